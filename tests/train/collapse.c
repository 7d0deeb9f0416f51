/* The spectra in log.jsonl: when, and of what. */
#include "spectra.h"

static const struct {
    run_spec spec;
    int count, n_tables;
    int64_t epoch[2]; /* but for the last, which is the best one's */
} variants[] = {
    {{.data = "data.h5",
      .folder = "run",
      .sets = {"epochs=4", "train_batch_size=512", "eval_step=2", "collapse_every=1",
               "n_layers=2"}},
     3,
     4,
     {2, 4}},
    {{.data = "data.h5",
      .folder = "run",
      .sets = {"epochs=4", "train_batch_size=512", "eval_step=1", "collapse_every=2", "model=BPR"}},
     3,
     2,
     {2, 4}},
    {{.data = "novalid.h5",
      .folder = "run",
      .sets = {"epochs=3", "train_batch_size=512", "eval_step=3", "collapse_every=1",
               "n_layers=1"}},
     2,
     4,
     {3}},
    {{.data = "data.h5",
      .folder = "run",
      .sets = {"epochs=2", "train_batch_size=512", "eval_step=0", "collapse_every=1",
               "n_layers=0"}},
     1,
     2,
     {0}},
    {{.data = "data.h5",
      .folder = "run",
      .sets = {"epochs=2", "train_batch_size=512", "collapse_every=0"}},
     0,
     0,
     {0}},
};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

static int count_tables(const char *text)
{
    int count = 0;

    for (const char *at = text; (at = strstr(at, "effective_rank")) != NULL; at++)
        count++;
    return count;
}

static void spectra_come_when_they_are_due(void **state)
{
    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    write_dataset(cf_test_scratch("novalid.h5"), false);
    for (int v = 0; v < N_VARIANTS; v++) {
        cf_train_result result;

        clear_folder("run");
        assert_ok(run_train(&world, 1, &variants[v].spec, &result));
        saved best = read_saved("run", "best.h5");
        spectra *got = read_spectra("run");
        assert_int_equal(got->count, variants[v].count);
        for (int k = 0; k < got->count; k++) {
            assert_int_equal(got->epoch[k],
                             k < got->count - 1 ? variants[v].epoch[k] : best.progress.epoch);
            assert_int_equal(count_tables(got->text[k]), variants[v].n_tables);
        }
        drop_saved(&best);
        free(got);
    }
}

static void no_memory_for_spectra_stops_every_rank(void **state)
{
    run_spec spec = variants[0].spec;
    cf_train_result result;
    cf_status status = CF_ERR_MEMORY;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    spec.sets[0] = "epochs=0"; /* that of the start is all there is */
    for (int64_t n = 20; status != CF_OK; n = 2 * n + 1) {
        clear_folder("run");
        spec.fail_at = world.rank == n % world.size ? n : 0;
        status = run_train(&world, 1, &spec, &result);
        if (status != CF_OK) {
            assert_int_equal(status, CF_ERR_MEMORY);
            assert_non_null(strstr(cf_error_message(), "out of memory"));
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(spectra_come_when_they_are_due),
    cmocka_unit_test(no_memory_for_spectra_stops_every_rank),
};
CF_TEST_MAIN(tests)
