#include "run.h"

#include <unistd.h>

static const run_spec llm_run = {
    .data = "data.h5",
    .folder = "run",
    .sets = {"emb_selection=pca", "epochs=2", "n_layers=2", "train_batch_size=100",
             "start_decay=0.05"}}; /* what a run needs of its start comes back too */

/* Without an optimizer, whose steps a checkpoint would count. */
static const run_spec sweeps_run = {
    .data = "data.h5",
    .folder = "run",
    .sets = {"emb_selection=pca", "epochs=4", "model=iALS", "reg_weight=0.05", "alpha0=0.05"}};

/* A run that a rank breaks off at one of its allocations goes on where the last checkpoint was,
 * on the k-th grid. True if it was broken off. */
static bool break_off_and_resume(const run_spec *whole, int64_t n, int k, const outcome *want)
{
    run_spec spec = *whole;
    int columns = grid_columns(&world, k);
    cf_train_result result = {.has_test = true};
    cf_status status;
    outcome got;

    clear_folder("run");
    spec.sets[5] = "checkpoint_interval=1e-9"; /* as often as it may be */
    spec.fail_at = world.rank == n % world.size ? n : 0;
    status = run_train(&world, 1, &spec, &result);
    spec.fail_at = 0;
    if (status != CF_OK) {
        assert_int_equal(status, CF_ERR_MEMORY);
        assert_non_null(strstr(cf_error_message(), "out of memory"));
        spec.resume = true;
        assert_ok(run_train(&world, columns > 0 ? columns : 1, &spec, &result));
    }
    got = finished(&spec, &result);
    check_same_outcome(&got, want);
    drop_outcome(&got);
    return status != CF_OK;
}

static void a_broken_off_run_goes_on_to_the_same_bits(void **state)
{
    const run_spec *const runs[] = {&llm_run, &sweeps_run};

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    for (int k = 0; k < 2; k++) {
        outcome want = run_alone(runs[k]);
        int64_t n = 5;
        int round = 0;

        while (break_off_and_resume(runs[k], n, round++ % 3, &want))
            n *= 4;
        assert_true(round > 3); /* at least one of them amid the epochs */
        drop_outcome(&want);
    }
}

static void go_on_with_more_epochs(run_spec spec)
{
    cf_train_result result;
    outcome want, got;

    spec.sets[1] = "epochs=2";
    write_dataset(cf_test_scratch("data.h5"), true);
    want = run_alone(&spec);
    clear_folder("run");
    spec.sets[1] = "epochs=1";
    assert_ok(run_train(&world, 1, &spec, &result));
    assert_int_equal(result.progress.epoch, 1);
    spec.resume = true;
    spec.sets[1] = "epochs=2";
    for (int round = 0; round < 2; round++) { /* the second has nothing left to do */
        assert_ok(run_train(&world, 1, &spec, &result));
        got = finished(&spec, &result);
        check_same_outcome(&got, &want);
        drop_outcome(&got);
    }
    drop_outcome(&want);
}

static void a_finished_run_goes_on_with_more_epochs(void **state)
{
    (void)state;
    go_on_with_more_epochs(llm_run);
    go_on_with_more_epochs(sweeps_run);
}

static void check_refused(const run_spec *spec, const char *words)
{
    cf_train_result result;

    assert_int_equal(run_train(&world, 1, spec, &result), CF_ERR_USAGE);
    if (strstr(cf_error_message(), words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", cf_error_message(), words);
}

static void a_run_is_neither_overwritten_nor_changed(void **state)
{
    run_spec spec = llm_run;
    cf_train_result result;
    saved before, after;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    spec.sets[1] = "epochs=1";
    assert_ok(run_train(&world, 1, &spec, &result));
    before = read_saved("run", "latest.h5");
    check_refused(&spec, "there is a run in it");
    spec.resume = true;
    spec.sets[2] = "n_layers=3";
    check_refused(&spec, "n_layers");
    after = read_saved("run", "latest.h5");
    check_same_tables(&after, &before);
    drop_saved(&before);
    drop_saved(&after);
}

/* The first run's settings.yaml has a second name. If a resumed run writes into the file in place,
 * a kill could cut it off, and the second name shows the new settings. */
static void a_resumed_run_replaces_its_settings_as_a_whole(void **state)
{
    run_spec spec = llm_run;
    cf_train_result result;
    char path[1100], second[1100], line[256];
    bool old = false;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    snprintf(path, sizeof path, "%s/settings.yaml", cf_test_scratch("run"));
    snprintf(second, sizeof second, "%s/second.yaml", cf_test_scratch("run"));
    spec.sets[1] = "epochs=1";
    assert_ok(run_train(&world, 1, &spec, &result));
    if (world.rank == 0) {
        (void)unlink(second);
        assert_int_equal(link(path, second), 0);
    }
    spec.resume = true;
    spec.sets[1] = "epochs=2";
    assert_ok(run_train(&world, 1, &spec, &result));
    if (world.rank == 0) {
        FILE *file = fopen(second, "r");

        assert_non_null(file);
        while (fgets(line, sizeof line, file) != NULL)
            old = old || strcmp(line, "epochs: 1\n") == 0;
        fclose(file);
        assert_true(old);
        assert_int_equal(unlink(second), 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_broken_off_run_goes_on_to_the_same_bits),
    cmocka_unit_test(a_finished_run_goes_on_with_more_epochs),
    cmocka_unit_test(a_resumed_run_replaces_its_settings_as_a_whole),
    cmocka_unit_test(a_run_is_neither_overwritten_nor_changed),
};
CF_TEST_MAIN(tests)
