/* The command selftest: it passes here, and a wrong digest fails on every rank. */
#include "cli/selftest.h"
#include "problem.h"

#include <glob.h>

/* What is left of its folder. On rank 0. */
static size_t count_left(void)
{
    char pattern[1100];
    glob_t found;
    size_t count;

    snprintf(pattern, sizeof pattern, "%s*", cf_test_scratch("llminit-selftest"));
    count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

static const json_t *find(const json_t *report, const char *name)
{
    const json_t *checks = json_object_get(report, "checks");

    for (size_t k = 0; k < json_array_size(checks); k++) {
        const json_t *check = json_array_get(checks, k);

        if (strcmp(json_string_value(json_object_get(check, "check")), name) == 0) return check;
    }
    fail_msg("no check %s", name);
    return NULL;
}

static void every_check_passes(void **state)
{
    json_t *report = succeed_json("llminit selftest --json --folder %s", cf_test_scratch("."));

    (void)state;
    if (world.rank == 0) {
        static const char *const slices[] = {" with 2 threads", ", 1x2", ", 1x3", ", 1x4"};
        const json_t *check = find(report, "LightGCN");
        char ways[64];

        assert_int_equal(json_array_size(json_object_get(report, "checks")), SELFTEST_CHECKS);
        assert_int_equal(integer(report, "wrong"), 0);
        assert_int_equal(integer(report, "ranks"), world.size);
        snprintf(ways, sizeof ways, "1 rank, %dx1%s", world.size, slices[world.size - 1]);
        assert_string_equal(json_string_value(json_object_get(check, "ways")), ways);
        /* no build has other digests of these */
        assert_true(json_is_string(json_object_get(check, "known")));
        assert_true(json_is_string(json_object_get(find(report, "dataset"), "known")));
        assert_int_equal(count_left(), 0);
    }
    json_decref(report);
}

static cf_status run_models(int n, const selftest_table *known, selftest_report *out)
{
    static char where[1024];
    const selftest_plan plan = {.folder = where, .known = known, .n_models = n};

    snprintf(where, sizeof where, "%s", cf_test_scratch("."));
    cf_log_enable(world.rank == 0, true);
    return selftest_run(&world, &plan, out);
}

static void a_wrong_digest_fails_on_every_rank(void **state)
{
    const selftest_known row = {.check = "BPR", .digest = 1};
    const selftest_table wrong = {&row, 1}, nothing = {&row, 0};
    selftest_report report;

    (void)state;
    assert_ok(run_models(1, &wrong, &report));
    assert_int_equal(report.count, 3);
    assert_int_equal(report.n_wrong, 1);
    assert_string_equal(report.check[2].wrong, "the digest should be 0000000000000001");
    assert_refused(selftest_judge(&report), CF_ERR_RESULT, "1 of 3 checks failed: BPR");
    assert_ok(run_models(1, &nothing, &report)); /* not known is not wrong */
    assert_false(report.check[2].is_known);
    assert_ok(selftest_judge(&report));
}

static void a_digest_is_known_for_one_blas_and_one_arithmetic(void **state)
{
    const cf_blas here = {.name = "OpenBLAS 1", .kernels = "Zen"};
    const char *const other = strcmp(selftest_arithmetic(), "fused") == 0 ? "separate" : "fused";
    const selftest_known rows[] = {{"A", NULL, "OpenBLAS 2", "Zen", 1},
                                   {"A", NULL, "OpenBLAS 1", "Zen3 Haswell", 2},
                                   {"A", other, "OpenBLAS 1", "Zen", 3},
                                   {"A", selftest_arithmetic(), "OpenBLAS 1", "Haswell Zen", 4},
                                   {"B", other, NULL, NULL, 5},
                                   {"C", NULL, NULL, NULL, 6}};
    const selftest_table known = {rows, sizeof rows / sizeof *rows};

    (void)state;
    assert_int_equal(selftest_find(&known, "A", here)->digest, 4);
    assert_null(selftest_find(&known, "B", here));
    assert_int_equal(selftest_find(&known, "C", here)->digest, 6);
    assert_null(selftest_find(&known, "D", here));
}

static void a_folder_that_cannot_be_made_is_one_line(void **state)
{
    (void)state;
    assert_refused(run_line("llminit selftest --folder /nonexistent", NULL), CF_ERR_IO,
                   "/nonexistent: cannot make a folder in it (No such file or directory)");
}

static cf_status check_data_alone(void *context)
{
    return run_models(0, &selftest_all_known, context);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = check_data_alone, .thinning = 2, .rotate = true};
    selftest_report report;

    (void)state;
    assert_true(cf_test_every_allocation(&trial, &report) > 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_check_passes),
    cmocka_unit_test(a_wrong_digest_fails_on_every_rank),
    cmocka_unit_test(a_digest_is_known_for_one_blas_and_one_arithmetic),
    cmocka_unit_test(a_folder_that_cannot_be_made_is_one_line),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
