/* The watchdog of a job that does not move. The end of the job is replaced by a note of the line.
 *
 * A timeout of a second lasts ten outside of steps, so each test does a step first. */
#include "cf_test.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static char line[512];
static _Atomic int n_lines;

static void note(const char *text)
{
    snprintf(line, sizeof line, "%s", text);
    n_lines++;
}

/* Watch for a second; the ranks begin together. */
static void start(double timeout)
{
    n_lines = 0;
    line[0] = '\0';
    cf_par_on_hang(note);
    cf_par_set_hang_timeout(timeout);
    cf_par_note_step(1e-3);
    MPI_Barrier(world.comm);
}

static void stop(void)
{
    MPI_Barrier(world.comm);
    cf_par_set_hang_timeout(CF_HANG_TIMEOUT);
    cf_par_on_hang(NULL);
}

/* Until this rank has noticed, or in vain. */
static void wait_for_line(double seconds)
{
    const double began = cf_clock_now();

    while (n_lines == 0 && cf_clock_now() - began < seconds)
        usleep(10000);
}

/* The last rank comes late; all others are in the call by then, and say so. */
static void a_rank_that_waits_names_the_call(void **state)
{
    const bool is_late = world.rank == world.size - 1;
    int sum = 1;

    (void)state;
    start(1);
    if (is_late) wait_for_line(30);
    if (is_late && world.size > 1) sleep(12); /* the others have patience with each other */
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_INT, MPI_SUM, world.comm);
    assert_true(n_lines > 0);
    assert_non_null(strstr(line, "no progress for "));
    assert_non_null(strstr(line, " s in phase other: "));
    assert_non_null(strstr(line, is_late ? "a computation or file access does not end"
                                         : "MPI_Allreduce does not return"));
    assert_true(line[strlen(line) - 1] == '\n');
    stop();
}

static void a_slow_job_that_moves_goes_on(void **state)
{
    (void)state;
    start(2);
    for (int k = 0; k < 6; k++) {
        usleep(700000);
        MPI_Barrier(world.comm);
    }
    assert_int_equal(n_lines, 0);
    stop();
}

/* Twenty times 0.25 seconds, after a timeout of one. */
static void the_longest_step_counts_twentyfold(void **state)
{
    (void)state;
    start(1);
    cf_par_note_step(0.25);
    wait_for_line(3.5);
    assert_int_equal(n_lines, 0);
    stop();
}

static void work_outside_of_steps_and_expected_work_may_take_longer(void **state)
{
    const cf_phase before = cf_par_set_phase(CF_PHASE_SOLVE);

    (void)state;
    start(0.1); /* ten times: one second */
    cf_par_expect(60);
    wait_for_line(4);
    assert_int_equal(n_lines, 0);
    cf_par_expect(0);
    cf_par_restore_phase(before);
    stop();
}

static void without_a_timeout_nothing_ends(void **state)
{
    (void)state;
    start(0);
    wait_for_line(3);
    assert_int_equal(n_lines, 0);
    stop();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_rank_that_waits_names_the_call),
    cmocka_unit_test(a_slow_job_that_moves_goes_on),
    cmocka_unit_test(work_outside_of_steps_and_expected_work_may_take_longer),
    cmocka_unit_test(without_a_timeout_nothing_ends),
    cmocka_unit_test(the_longest_step_counts_twentyfold), /* last: it stays the longest */
};

CF_TEST_MAIN(tests)
