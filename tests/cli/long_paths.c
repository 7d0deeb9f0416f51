/* Paths as long as the system takes them, file names of 255 bytes, and any bytes in them. */
#include "problem.h"

#include <limits.h>
#include <sys/stat.h>

enum { NAME_BYTES = 255, PART = 200 };

static char base[PATH_MAX], dataset[PATH_MAX], table[PATH_MAX];

/* `folder` and a name of `length` bytes that ends in `suffix`. */
static void put_name(char out[PATH_MAX], const char *folder_name, size_t length, const char *suffix)
{
    char name[NAME_BYTES + 1];

    assert_true(length <= NAME_BYTES);
    memset(name, 'n', length);
    strcpy(name + length - strlen(suffix), suffix);
    assert_true(snprintf(out, PATH_MAX, "%s/%s", folder_name, name) < PATH_MAX);
}

static void make_folder(const char *path)
{
    MPI_Barrier(world.comm);
    if (world.rank == 0) (void)mkdir(path, 0777); /* may be there from an earlier test */
    MPI_Barrier(world.comm);
}

/* Every command on files in `base`. */
static void use_folder(void)
{
    char first[PATH_MAX], second[PATH_MAX];

    put_name(dataset, base, NAME_BYTES, ".h5");
    put_name(table, base, NAME_BYTES, ".tsv");
    assert_true(snprintf(first, sizeof first, "%s/run", base) < PATH_MAX);
    assert_true(snprintf(second, sizeof second, "%s/tables", base) < PATH_MAX);
    MPI_Barrier(world.comm);
    if (world.rank == 0) {
        char command[2 * PATH_MAX];

        snprintf(command, sizeof command, "rm -rf -- '%s'", first);
        assert_int_equal(system(command), 0);
    }
    succeed("llminit prepare --inter %s --item %s --out %s --quiet", inter, item, dataset);
    for (int epochs = 1; epochs <= 2; epochs++)
        succeed("llminit train --data %s --out %s --quiet --set emb_selection=False --resume auto "
                "--set embedding_size=64 --set epochs=%d",
                dataset, first, epochs);
    succeed("llminit recommend %s/best.h5 --data %s --out %s --quiet", first, dataset, table);
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", first, dataset, second);
    succeed("llminit evaluate %s/best.h5 --data %s", first, dataset);
    succeed("llminit info %s", dataset);
}

static void paths_may_be_as_long_as_the_system_takes(void **state)
{
    char part[PART + 1];

    (void)state;
    make_inputs();
    memset(part, 'd', PART);
    part[PART] = '\0';
    snprintf(base, sizeof base, "%s", cf_test_scratch("deep"));
    make_folder(base);
    while (strlen(base) + 1 + PART + 1 + NAME_BYTES < PATH_MAX) {
        strcat(strcat(base, "/"), part);
        make_folder(base);
    }
    use_folder();
}

static void a_name_may_have_any_bytes(void **state)
{
    (void)state;
    make_inputs();
    snprintf(base, sizeof base, "%s", cf_test_scratch("a\n\xff\x1b%s\"b"));
    make_folder(base);
    use_folder();
}

static void what_is_longer_is_the_systems_error(void **state)
{
    char path[PATH_MAX + 100];

    (void)state;
    make_inputs();
    for (size_t k = 0; k + 2 < sizeof path; k += 2)
        memcpy(path + k, "a/", 3);
    assert_int_equal(run_format(NULL, "llminit info %s", path), CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "File name too long"));
    assert_int_equal(run_format(NULL, "llminit prepare --inter %s --out %s", inter, path),
                     CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "File name too long"));
    assert_int_equal(run_format(NULL, "llminit train %s --data x --out y", path), CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "File name too long"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(paths_may_be_as_long_as_the_system_takes),
    cmocka_unit_test(a_name_may_have_any_bytes),
    cmocka_unit_test(what_is_longer_is_the_systems_error),
};
CF_TEST_MAIN(tests)
