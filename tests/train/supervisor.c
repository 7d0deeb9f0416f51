/* When a run is to save, and to stop for its time limit. */
#include "run.h"
#include "train/internal.h"

static const run_spec short_run = {
    .data = "data.h5",
    .folder = "run",
    .sets = {"emb_selection=var", "epochs=2", "n_layers=2", "train_batch_size=160"}};

/* Each of the runs has time for one step alone, and the next one is on another grid. */
static void a_run_without_time_does_one_step_and_comes_to_the_same_end(void **state)
{
    run_spec spec = short_run;
    cf_train_result result = {0};
    cf_status status;
    outcome want, got;
    int n_runs = 0;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    want = run_alone(&spec);
    clear_folder("run");
    spec.time_limit = 1e-9;
    do {
        const int columns = grid_columns(&world, n_runs % 3);

        status = run_train(&world, columns > 0 ? columns : 1, &spec, &result);
        if (status != CF_OK) {
            assert_int_equal(status, CF_STOPPED);
            assert_non_null(strstr(cf_error_message(), "stopped by the time limit in epoch"));
            assert_non_null(strstr(cf_error_message(), "latest.h5 is complete"));
        }
        spec.resume = true;
        n_runs++;
        assert_in_range(n_runs, 1, 100);
    } while (status != CF_OK);
    assert_true(n_runs >= 4); /* batches of two epochs, and their ends */
    got = finished(&spec, &result);
    check_same_outcome(&got, &want);
    drop_outcome(&got);
    drop_outcome(&want);
}

static void a_run_stops_within_its_time(void **state)
{
    run_spec spec = short_run;
    cf_train_result result;
    double seconds;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    spec.sets[1] = "epochs=1000000";
    spec.sets[4] = "eval_step=0";
    spec.time_limit = 2;
    seconds = cf_clock_now();
    assert_int_equal(run_train(&world, 1, &spec, &result), CF_STOPPED);
    seconds = cf_clock_now() - seconds;
    assert_true(seconds > 0.2); /* not for want of time */
    if (seconds > 8)            /* as many ranks on as few cores as there are */
        fail_msg("stopped after %.1f s of 2", seconds);
}

/* A supervisor whose last decision ended so many seconds ago. */
static supervisor make_supervisor(const char *interval, double limit, double ago)
{
    cf_config *config = NULL;
    supervisor s;

    assert_ok(cf_config_create(cf_train_tables, cf_train_n_tables, &config));
    assert_ok(cf_config_set(config, interval));
    supervisor_start(&s, &world, cf_config_real(config, "checkpoint_interval"), limit);
    cf_config_destroy(&config);
    s.started = s.saved = s.ended = cf_clock_now() - ago;
    s.has_step = true;
    return s;
}

static void a_checkpoint_is_due_after_the_interval_and_twenty_times_its_cost(void **state)
{
    static const struct {
        const char *interval;
        double cost, ago;
        int due;
    } cases[] = {{"checkpoint_interval=60", 0, 59, 0}, {"checkpoint_interval=60", 0, 61, 1},
                 {"checkpoint_interval=60", 3, 61, 1}, {"checkpoint_interval=60", 4, 61, 0},
                 {"checkpoint_interval=60", 4, 79, 0}, {"checkpoint_interval=60", 4, 81, 1},
                 {"checkpoint_interval=0", 0, 1000, 0}};

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        supervisor s = make_supervisor(cases[k].interval, 0, cases[k].ago);
        decision next;

        s.cost = cases[k].cost;
        next = supervisor_decide(&s);
        assert_int_equal(next.save, cases[k].due);
        assert_int_equal(next.stop, STOP_NOT);
    }
}

static void a_step_and_a_checkpoint_fit_into_what_is_left_of_the_limit(void **state)
{
    static const struct {
        double cost, longest, ago, since; /* of the start, of the last duty */
        int stop;
    } cases[] = {{0, 0, 85, 1, STOP_NOT},    {0, 0, 91, 1, STOP_LIMIT}, /* a tenth for the first */
                 {0, 0, 85, 6, STOP_LIMIT},  {1, 0, 94, 1, STOP_NOT},   {1, 0, 98, 1, STOP_LIMIT},
                 {10, 0, 81, 1, STOP_LIMIT}, {1, 30, 65, 1, STOP_NOT},  {1, 30, 69, 1, STOP_LIMIT}};

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        supervisor s = make_supervisor("checkpoint_interval=60", 100, cases[k].ago);
        decision next;

        s.cost = cases[k].cost;
        s.longest = cases[k].longest;
        s.ended += cases[k].ago - cases[k].since;
        if (world.rank > 0) s.started = s.saved = s.ended = 0; /* their clocks do not count */
        next = supervisor_decide(&s);
        assert_int_equal(next.stop, cases[k].stop);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_run_without_time_does_one_step_and_comes_to_the_same_end),
    cmocka_unit_test(a_run_stops_within_its_time),
    cmocka_unit_test(a_checkpoint_is_due_after_the_interval_and_twenty_times_its_cost),
    cmocka_unit_test(a_step_and_a_checkpoint_fit_into_what_is_left_of_the_limit),
};
CF_TEST_MAIN(tests)
