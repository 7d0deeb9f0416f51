#include "run.h"

#include <signal.h>
#include <time.h>

/* Longer than any machine takes until the signal comes. */
static const run_spec endless_run = {
    .data = "data.h5",
    .folder = "run",
    .sets = {"emb_selection=var", "n_layers=2", "eval_step=0", "epochs=1000000"}};
enum { EPOCHS_SET = 3 };

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
static cf_train_result resume_without_the_last_rank(const run_spec *spec)
{
    const bool last = world.rank == world.size - 1;
    cf_train_result result = {0};
    cf_par fewer;

    MPI_Comm_split(world.comm, last, world.rank, &fewer.comm);
    MPI_Comm_rank(fewer.comm, &fewer.rank);
    MPI_Comm_size(fewer.comm, &fewer.size);
    if (!last) assert_ok(run_train(&fewer, 1, spec, &result));
    MPI_Comm_free(&fewer.comm);
    cf_par_broadcast(&world, &result, sizeof result, 0);
    return result;
}

/* Two epochs more than the stopped run has, and the same without a stop. */
static void check_resumed(int64_t epochs_done)
{
    run_spec spec = endless_run;
    char epochs[32];
    cf_train_result result;
    outcome got, want;

    snprintf(epochs, sizeof epochs, "epochs=%lld", (long long)epochs_done + 2);
    spec.sets[EPOCHS_SET] = epochs;
    want = run_alone(&spec);
    spec.resume = true;
    result = resume_without_the_last_rank(&spec);
    got = finished(&spec, &result);
    check_same_outcome(&got, &want);
    drop_outcome(&got);
    drop_outcome(&want);
}

static void a_signal_to_one_rank_stops_all_after_a_checkpoint(void **state)
{
    cf_train_result result = {.has_test = true};
    saved latest;
    timer_t timer = NULL;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    if (world.rank == world.size - 1) {
        cf_train_install_signals();
        timer = send_signal_in(0.7); /* mostly amid an epoch; right at any time */
    }
    assert_int_equal(run_train(&world, 1, &endless_run, &result), CF_STOPPED);
    if (timer) timer_delete(timer);
    assert_non_null(strstr(cf_error_message(), "latest.h5 is complete"));
    assert_true(result.has_test); /* untouched */
    latest = read_saved("run", "latest.h5");
    if (world.size > 1) check_resumed(latest.progress.epoch);
    drop_saved(&latest);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_signal_to_one_rank_stops_all_after_a_checkpoint),
};
CF_TEST_MAIN(tests)
