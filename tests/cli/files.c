/* Outputs that would replace what is read are refused before any file is opened: so these files
 * need no content. A line that is not refused for this ends at the first file. */
#include "line.h"

#include <stdio.h>
#include <sys/stat.h>

static char folder[1024];

static const char *path_of(const char *name)
{
    static char path[2048];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* a, b, run/latest.h5, run/settings.yaml, run/users.txt; links link -> a and dir -> run. */
static int make_files(void **state)
{
    static const char *const names[] = {"a", "b", "run/latest.h5", "run/settings.yaml",
                                        "run/users.txt"};

    (void)state;
    snprintf(folder, sizeof folder, "%s", cf_test_scratch("files"));
    if (world.rank == 0) {
        (void)mkdir(folder, 0777);
        (void)mkdir(path_of("run"), 0777);
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            FILE *file = fopen(path_of(names[k]), "w");

            assert_non_null(file);
            fprintf(file, "epochs: 1\n");
            fclose(file);
        }
        (void)symlink("a", path_of("link"));
        (void)symlink("run", path_of("dir"));
    }
    MPI_Barrier(world.comm);
    return 0;
}

/* A line of words, where @ stands for the folder. */
static cf_status run_in_folder(const char *words)
{
    char line[16384] = "llminit ";
    size_t n = strlen(line);

    for (; *words != '\0'; words++)
        n += (size_t)snprintf(line + n, sizeof line - n, *words == '@' ? "%s/" : "%.1s",
                              *words == '@' ? folder : words);
    return run_line(line, NULL);
}

/* Of every command that writes, each output and each input at least once. */
static const char *const refused[][2] = {
    {"prepare --inter @a --out @a", "prepare: --out is one of the files to read: "},
    {"prepare --inter @a --out @link", "--out is one of the files to read"},
    {"prepare --train @a --valid @b --test @a --out @b", "--out is one of"},
    {"prepare --train @b --test @a --out @a", "--out is one of"},
    {"prepare --inter @b --item @a --out @a", "--out is one of"},
    {"prepare --inter @b --item @b --embedding @a --out @a", "--out is one of"},
    {"prepare --inter @b --item @b --embedding @a:/items/embedding --out @a", "--out is one of"},
    {"prepare --inter @b --embedding @b --embedding-ids @a --out @a", "--out is one of"},
    {"prepare --inter @b --settings @a --out @a", "--out is one of"},
    {"prepare --inter @b --settings @b --settings @a --out @a", "--out is one of"},
    {"select @a --out @run/../a", "select: --out is one of"},
    {"select @b --settings @a --out @a", "--out is one of"},
    {"recommend @a --data @b --out @a", "recommend: --out is one of"},
    {"recommend @a --data @b --out @b", "--out is one of"},
    {"recommend @run/latest.h5 --data @b --users @a --out @a", "--out is one of"},
    {"evaluate @a --data @b --profile @a", "evaluate: --profile is one of"},
    {"evaluate @a --data @b --profile @b", "--profile is one of"},
    {"export @a --data @run/users.txt --out @run",
     "export: a file of --out is one of the files to read: "},
    {"export @run/users.txt --data @a --out @dir", "dir/users.txt"},
    {"train --data @a --out @run --profile @link", "train: --profile is one of"},
    {"train @a --data @b --out @run --profile @a", "--profile is one of"},
    {"train --data @run/latest.h5 --out @run", "a file of --out is one of the files to read: "},
    {"train --data @run/latest.h5 --out @dir", "a file of --out is one of the files to read: "},
    {"train --data @run/settings.yaml --out @run", "a file of --out is one of"},
    {"train @run/latest.h5 --data @a --out @run", "a file of --out is one of"},
    {"train @a @run/latest.h5 --data @a --out @run", "a file of --out is one of"},
    {"train --data @a --out @run --from @dir/latest.h5 --from-data @b",
     "a file of --out is one of"},
    {"train --data @a --out @run --from @b --from-data @run/latest.h5",
     "a file of --out is one of"},
    {"train --data @a --out @run --from @b --from-data @a --profile @b", "--profile is one of"},
    {"train --data @a --out @run --from @a --from-data @b --profile @b", "--profile is one of"},
    {"train --data @a --out @run --profile @dir/latest.h5", "--out and --profile are one file: "},
    {"train --data @a --out @run --profile @run/log.jsonl", "--out and --profile are one file: "},
    {"train --data @a --out @new --profile @run/.././new//best.h5", "--out and --profile are one"},
    {"train @run/settings.yaml --data @a --out @run --profile @run/settings.yaml", "are one file"},
};

static const char *const accepted[] = {
    "prepare --inter @nothing --out @a",
    "select @nothing --out @b",
    "recommend @nothing --data @a --users /dev/null --out /dev/null",
    "export @nothing --data @run/latest.h5 --out @run",
    "train @run/settings.yaml --data @nothing --out @run", /* its own settings */
    "train --data @nothing --out @run --profile @run/profile.json",
    "train --data @nothing --out @new --profile @new/sub/best.h5",
};

static void outputs_that_are_inputs_are_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof refused / sizeof *refused; k++) {
        const cf_status status = run_in_folder(refused[k][0]);

        if (status != CF_ERR_USAGE || !strstr(cf_error_message(), refused[k][1]))
            fail_msg("%s: %d, %s", refused[k][0], (int)status, cf_error_message());
    }
}

static void other_files_are_accepted(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof accepted / sizeof *accepted; k++) {
        const cf_status status = run_in_folder(accepted[k]);

        if (status != CF_ERR_IO || !strstr(cf_error_message(), "nothing: "))
            fail_msg("%s: %d, %s", accepted[k], (int)status, cf_error_message());
    }
}

static cf_status run_a_line(void *context)
{
    const cf_status status = run_in_folder(context);

    return status == CF_ERR_USAGE ? CF_OK : status;
}

static void no_memory_on_a_rank_stops_every_rank(void **state)
{
    char line[] = "prepare --inter @b --item @b --embedding @a:/items/embedding --out @a";
    const cf_test_trial trial = {.attempt = run_a_line};

    (void)state;
    (void)cf_test_every_allocation(&trial, line);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(outputs_that_are_inputs_are_refused, make_files),
    cmocka_unit_test_setup(other_files_are_accepted, make_files),
    cmocka_unit_test_setup(no_memory_on_a_rank_stops_every_rank, make_files),
};
CF_TEST_MAIN(tests)
