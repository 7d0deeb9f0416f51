/* The spectra in log.jsonl are the same from every grid and after a restart, and training does not
 * feel them. */
#include "spectra.h"

static const run_spec with_spectra = {
    .data = "data.h5",
    .folder = "run",
    .sets = {"epochs=4", "train_batch_size=512", "eval_step=2", "collapse_every=1", "n_layers=2"}};

static void check_same_spectra(const spectra *got, const spectra *want)
{
    assert_int_equal(got->count, want->count);
    for (int k = 0; k < want->count; k++)
        assert_string_equal(got->text[k], want->text[k]);
}

/* The same lines from every grid, and the same tables as without. */
static void every_grid_logs_the_same_and_trains_the_same(void **state)
{
    run_spec spec = with_spectra;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    outcome with = run_alone(&spec);
    spectra *want = read_spectra("alone");
    spec.sets[3] = "collapse_every=0";
    outcome without = run_alone(&spec);
    check_same_outcome(&with, &without);
    for (int k = 0, columns; (columns = grid_columns(&world, k)) > 0; k++) {
        cf_train_result result;

        clear_folder("run");
        assert_ok(run_train(&world, columns, &with_spectra, &result));
        spectra *got = read_spectra("run");
        outcome trained = finished(&with_spectra, &result);
        check_same_spectra(got, want);
        check_same_outcome(&trained, &without);
        drop_outcome(&trained);
        free(got);
    }
    drop_outcome(&with);
    drop_outcome(&without);
    free(want);
}

/* A run of three epochs that goes on to four had logged its own best epoch, which is cut. */
static void a_resumed_run_logs_the_same(void **state)
{
    run_spec spec = with_spectra;
    cf_train_result result;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    outcome whole = run_alone(&spec);
    spectra *want = read_spectra("alone");
    clear_folder("run");
    spec.sets[0] = "epochs=3";
    assert_ok(run_train(&world, 1, &spec, &result));
    spec.sets[0] = "epochs=4";
    spec.resume = true;
    assert_ok(run_train(&world, grid_columns(&world, 1) > 0 ? grid_columns(&world, 1) : 1, &spec,
                        &result));
    spectra *got = read_spectra("run");
    check_same_spectra(got, want);
    drop_outcome(&whole);
    free(want);
    free(got);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_grid_logs_the_same_and_trains_the_same),
    cmocka_unit_test(a_resumed_run_logs_the_same),
};
CF_TEST_MAIN(tests)
