/* selftest: does this build compute what it must, on these ranks? A line for each check; the status
 * is CF_ERR_RESULT on every rank if one fails. selftest_run.c does the work, in a temporary folder
 * that rank 0 makes, and that all nodes must see. */
#include "selftest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 3072 };

/* ---- Printing ---- */

/* What the digests are of. */
static void print_head(const cf_par *world)
{
    const cf_build build = cf_build_facts();
    const cf_blas blas = cf_par_find_blas();

    cli_print_line("llminit %s, commit %s, %s (%s multiply-add), %s with kernels for %s, %d "
                   "rank%s",
                   build.version, build.commit, build.instruction_set, selftest_arithmetic(),
                   blas.name, blas.kernels, world->size, world->size == 1 ? "" : "s");
}

/* "ok      BPR        0123456789abcdef  known, the same on 1 rank, 2x1, 1x2" */
static void print_check(const selftest_check *check)
{
    char digest[32] = "";

    if (check->has_digest)
        snprintf(digest, sizeof digest, "%016llx  ", (unsigned long long)check->digest);
    if (check->wrong[0] != '\0')
        cli_print_line("FAILED  %-10s %s%s", check->name, digest, check->wrong);
    else if (!check->has_digest)
        cli_print_line("ok      %-10s %s", check->name, check->ways);
    else
        cli_print_line("ok      %-10s %s%s%s%s", check->name, digest,
                       check->is_known ? "known" : "not known",
                       check->ways[0] != '\0' ? ", the same on " : "", check->ways);
    fflush(stdout);
}

/* On rank 0 alone; other ranks have no output. */
static void print_if_first(const selftest_check *check)
{
    int rank;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0) print_check(check);
}

static json_t *hex_json(bool has, uint64_t digest)
{
    return has ? json_sprintf("%016llx", (unsigned long long)digest) : json_null();
}

static json_t *check_json(const selftest_check *check)
{
    return CF_JSON_OBJECT({"check", json_string(check->name)},
                          {"digest", hex_json(check->has_digest, check->digest)},
                          {"known", hex_json(check->is_known, check->known)},
                          {"ways", json_string(check->ways)}, {"wrong", json_string(check->wrong)});
}

static json_t *report_json(const cf_par *world, const selftest_report *report)
{
    json_t *checks = json_array();

    for (int k = 0; k < report->count; k++)
        cf_train_json_append(&checks, check_json(&report->check[k]));
    return CF_JSON_OBJECT({"build", cf_train_build_json()},
                          {"arithmetic", json_string(selftest_arithmetic())},
                          {"ranks", json_integer(world->size)}, {"checks", checks},
                          {"wrong", json_integer(report->n_wrong)});
}

/* ---- The folder ---- */

/* Make a new folder in `parent`. Collective. */
static cf_status make_folder(const cf_par *world, const char *parent, char path[PATH_SIZE])
{
    cf_status status = CF_OK;

    if (world->rank == 0) {
        const int length = snprintf(path, PATH_SIZE, "%s/llminit-selftest.XXXXXX", parent);

        if (length >= PATH_SIZE)
            status = CF_FAIL(CF_ERR_USAGE, "selftest: --folder is too long");
        else if (mkdtemp(path) == NULL)
            status = CF_FAIL(CF_ERR_IO,
                             "%s: cannot make a folder in it (%s): --folder names one that all "
                             "nodes can write to",
                             parent, strerror(errno));
    }
    CF_TRY(cf_par_agree_on_input(world, status));
    cf_par_broadcast(world, path, PATH_SIZE, 0);
done:
    return status;
}

/* ---- The command ---- */

/* The log of each training would drown the lines of the checks. */
static cf_status run_selftest(const cf_par *world, const cli_arguments *arguments)
{
    const char *parent = cli_value(arguments, "folder");
    char folder[PATH_SIZE] = "";
    selftest_plan plan = {.known = &selftest_all_known,
                          .n_models = SELFTEST_MODELS,
                          .done = arguments->json ? NULL : print_if_first};
    selftest_report report;
    cf_status status;

    cf_log_enable(world->rank == 0, true);
    if (world->rank == 0 && !arguments->json) print_head(world);
    CF_TRY(make_folder(world, parent != NULL ? parent : ".", folder));
    plan.folder = folder;
    CF_TRY(selftest_run(world, &plan, &report));
    if (arguments->json)
        CF_TRY(cli_print_json(world, world->rank == 0 ? report_json(world, &report) : NULL));
    CF_TRY(selftest_judge(&report));
    if (!arguments->json && world->rank == 0) printf("all %d checks passed\n", report.count);
done:
    if (world->rank == 0 && folder[0] != '\0') (void)rmdir(folder);
    return status;
}

static const cli_option selftest_options[] = {
    {"folder", "FOLDER",
     "where to make a temporary folder, which all nodes must see; default: the current one", false,
     CLI_VALUE},
    {0}};

const cli_command cli_selftest = {
    .name = "selftest",
    .summary = "train each model on made-up data, and compare the bits with known ones",
    .remarks = "Each model is trained by rank 0 alone, and by all ranks as blocks and as slices. "
               "The tables must\n"
               "be the same, and have the known digest where one is known for this build and its "
               "BLAS.\n"
               "Exit status: 0 all checks passed; 8 one failed.",
    .has_json = true,
    .uses_blas = true,
    .options = selftest_options,
    .run = run_selftest,
};
