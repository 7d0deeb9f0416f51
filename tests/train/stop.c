#include "run.h"

static void training_stops_when_nothing_gets_better(void **state)
{
    const run_spec spec = {.data = "data.h5",
                           .folder = "run",
                           .sets = {"emb_selection=var", "epochs=50", "learning_rate=0",
                                    "stopping_step=2", "eval_step=3"}};
    cf_train_result result;
    outcome got;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
    /* best at the first evaluation, then one more than stopping_step without a better one */
    assert_int_equal(result.progress.best_epoch, 3);
    assert_int_equal(result.progress.n_bad_evals, 3);
    assert_int_equal(result.progress.epoch, 12);
    got = finished(&spec, &result);
    check_same_tables(&got.latest, &got.best);
    drop_outcome(&got);
}

/* Steps so large that the first epochs are the best ones. */
static void best_is_the_epoch_with_the_best_metric(void **state)
{
    run_spec spec = {.data = "data.h5",
                     .folder = "run",
                     .sets = {"emb_selection=var", "epochs=8", "learning_rate=0.3"}};
    cf_train_result result, shorter;
    char epochs[32];
    outcome got;
    saved want;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
    got = finished(&spec, &result);
    assert_int_equal(result.progress.epoch, 8);
    assert_in_range(result.progress.best_epoch, 1, 7);
    assert_int_equal(result.progress.n_bad_evals, 8 - result.progress.best_epoch);
    assert_int_equal(got.best.progress.epoch, result.progress.best_epoch);
    snprintf(epochs, sizeof epochs, "epochs=%d", (int)result.progress.best_epoch);
    spec.sets[1] = epochs;
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &shorter));
    want = read_saved("run", "latest.h5");
    check_same_tables(&got.best, &want);
    assert_memory_equal(&result.test.table[CF_ALL].mean, &shorter.test.table[CF_ALL].mean,
                        sizeof result.test.table[CF_ALL].mean);
    drop_outcome(&got);
    drop_saved(&want);
}

static void without_a_valid_part_best_is_latest(void **state)
{
    const run_spec spec = {.data = "novalid.h5",
                           .folder = "run",
                           .sets = {"emb_selection=var", "epochs=3", "stopping_step=0"}};
    cf_train_result result;
    outcome got;

    (void)state;
    write_dataset(cf_test_scratch("novalid.h5"), false);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
    got = finished(&spec, &result);
    assert_int_equal(result.progress.epoch, 3);
    assert_int_equal(result.progress.best_epoch, 0);
    check_same_tables(&got.latest, &got.best);
    drop_outcome(&got);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(training_stops_when_nothing_gets_better),
    cmocka_unit_test(best_is_the_epoch_with_the_best_metric),
    cmocka_unit_test(without_a_valid_part_best_is_latest),
};
CF_TEST_MAIN(tests)
