#include "run.h"

#include <signal.h>
#include <time.h>

/* Epochs enough that a signal comes amid them. */
static const run_spec long_run = {.data = "data.h5",
                                  .folder = "run",
                                  .sets = {"emb_selection=var", "epochs=200", "n_layers=2",
                                           "eval_step=0", "checkpoint_interval=60"}};

/* SIGUSR1 to this process in `seconds`. */
static timer_t send_signal_in(double seconds)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec when = {0};
    timer_t timer = NULL;

    when.it_value.tv_sec = (time_t)seconds;
    when.it_value.tv_nsec = 1 + (long)((seconds - (double)when.it_value.tv_sec) * 1e9);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &when, NULL), 0);
    return timer;
}

/* Go on without the last rank: there the flag of its signal stays up. */
static void resume_without_the_last_rank(const run_spec *stopped, const outcome *want)
{
    run_spec spec = *stopped;
    cf_train_result result = {0};
    cf_par fewer = {.comm = MPI_COMM_NULL};
    const bool last = world.rank == world.size - 1;
    outcome got;

    spec.resume = true;
    MPI_Comm_split(world.comm, last, world.rank, &fewer.comm);
    MPI_Comm_rank(fewer.comm, &fewer.rank);
    MPI_Comm_size(fewer.comm, &fewer.size);
    if (!last) assert_ok(run_train(&fewer, 1, &spec, &result));
    MPI_Comm_free(&fewer.comm);
    cf_par_broadcast(&world, &result, sizeof result, 0);
    got = finished(&spec, &result);
    check_same_outcome(&got, want);
    drop_outcome(&got);
}

static void a_signal_to_one_rank_stops_all_after_a_checkpoint(void **state)
{
    outcome want;
    cf_train_result result = {.has_test = true};
    saved latest;
    double seconds;
    timer_t timer = NULL;

    (void)state;
    cf_train_install_signals();
    write_dataset(cf_test_scratch("data.h5"), true);
    want = run_alone(&long_run);
    seconds = want.result.progress.seconds;
    clear_folder("run");
    if (world.rank == world.size - 1) timer = send_signal_in(seconds / 3);
    assert_int_equal(run_train(&world, 1, &long_run, &result), CF_STOPPED);
    if (timer) timer_delete(timer);
    assert_non_null(strstr(cf_error_message(), "latest.h5 is complete"));
    latest = read_saved("run", "latest.h5");
    assert_true(latest.progress.epoch < 200);
    drop_saved(&latest);
    if (world.size > 1) resume_without_the_last_rank(&long_run, &want);
    drop_outcome(&want);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_signal_to_one_rank_stops_all_after_a_checkpoint),
};
CF_TEST_MAIN(tests)
