/* The watchdog: ends a job that no longer moves.
 *
 * The main thread notes each call of MPI that it enters, and counts what returns and each change of
 * phase: relaxed stores, so that a run costs the same. A thread looks at the count once a second.
 * As long as it stays, the seconds add up; beyond the limit the thread says in which call, and ends
 * the job by MPI_Abort(), or this process alone if that does not return either.
 *
 * A rank that waits for another cannot know whether that one computes or is lost. So the limit is
 * above what may be computed in silence: within steps 20 times the longest so far, elsewhere ten
 * times the setting, and the seconds that a closed form is predicted to take. Only seconds in which
 * this thread ran count: a job that was suspended as a whole is not ended for it.
 *
 * All ranks that wait notice at about the same time. One in no call of MPI may be the cause, and
 * speaks first; of the others the lowest, as the rest are later by log2 of their rank. */
#include "watch.h"

#include "energy.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double steps = 20, elsewhere = 10; /* factors of the limit */
static const double late = 2;                   /* seconds between those who speak */
enum { ABORT_SECONDS = 5, STACK_BYTES = 256 << 10 };

/* Written by the main thread, read by the watchdog. */
static struct {
    _Atomic(uint64_t) moves;
    _Atomic(const char *) call; /* NULL: in none */
    _Atomic int phase;
    _Atomic double timeout, longest_step, expected; /* seconds */
} seen;

/* The thread. */
static struct {
    pthread_t thread;
    bool runs;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* on CLOCK_MONOTONIC */
    bool ends;           /* under the lock */
    int rank;
    void (*end)(const char *line); /* NULL: end the job */
    char line[256];
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- What the main thread tells ---- */

static void move(void)
{
    const uint64_t n = atomic_load_explicit(&seen.moves, memory_order_relaxed);

    atomic_store_explicit(&seen.moves, n + 1, memory_order_relaxed);
}

void cf_par_enter(const char *call)
{
    atomic_store_explicit(&seen.call, call, memory_order_relaxed);
}

void cf_par_leave(void)
{
    atomic_store_explicit(&seen.call, NULL, memory_order_relaxed);
    move();
}

void watch_phase(cf_phase phase)
{
    atomic_store_explicit(&seen.phase, (int)phase, memory_order_relaxed);
    move();
}

void cf_par_set_hang_timeout(double seconds)
{
    atomic_store(&seen.timeout, seconds);
}

void cf_par_expect(double seconds)
{
    atomic_store(&seen.expected, seconds);
    move();
}

void cf_par_note_step(double seconds)
{
    if (seconds > atomic_load(&seen.longest_step)) atomic_store(&seen.longest_step, seconds);
    move();
}

/* ---- The thread ---- */

/* Within steps one is known, and the phase is one of a step. */
static double limit(void)
{
    const double timeout = atomic_load(&seen.timeout), step = atomic_load(&seen.longest_step);
    const bool in_steps = step > 0 && atomic_load(&seen.phase) < CF_PHASE_EVALUATION;
    const double least = in_steps ? timeout : elsewhere * timeout + atomic_load(&seen.expected);

    return least > steps * step ? least : steps * step;
}

/* Seconds that this rank lets others speak first. */
static double patience(void)
{
    double seconds = 0;

    if (atomic_load(&seen.call) == NULL) return 0;
    for (int rank = dog.rank + 1; rank > 0; rank /= 2)
        seconds += late;
    return seconds;
}

/* stdio may be locked by the thread that hangs, so the line goes out by write(). */
static void *abort_job(void *unused)
{
    (void)unused;
    (void)!write(STDERR_FILENO, dog.line, strlen(dog.line));
    MPI_Abort(MPI_COMM_WORLD, CF_ERR_HANG);
    return NULL;
}

/* Writing and MPI_Abort() may hang as well: they have a thread and some seconds. */
static void end_job(double seconds)
{
    const char *call = atomic_load(&seen.call);
    pthread_t aborts;

    snprintf(dog.line, sizeof dog.line,
             "llminit: error: rank %d: no progress for %.0f s in phase %s: %s does not %s "
             "(hang_timeout)\n",
             dog.rank, seconds, cf_phase_names[atomic_load(&seen.phase)],
             call != NULL ? call : "a computation or file access", call != NULL ? "return" : "end");
    if (dog.end != NULL) {
        dog.end(dog.line);
        return;
    }
    if (pthread_create(&aborts, NULL, abort_job, NULL) != 0) abort_job(NULL);
    sleep(ABORT_SECONDS);
    _exit(CF_ERR_HANG);
}

/* Sleep a second; false if the watchdog is to end. */
static bool sleep_second(void)
{
    struct timespec until;
    bool goes_on;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    pthread_mutex_lock(&dog.lock);
    while (!dog.ends && pthread_cond_timedwait(&dog.wake, &dog.lock, &until) == 0)
        continue;
    goes_on = !dog.ends;
    pthread_mutex_unlock(&dog.lock);
    return goes_on;
}

static void *watch(void *unused)
{
    uint64_t before = 0;
    double silence = 0; /* looks, each a second after the last */

    (void)unused;
    while (sleep_second()) {
        const uint64_t moves = atomic_load_explicit(&seen.moves, memory_order_relaxed);

        (void)energy_read(); /* before a counter begins anew twice */
        silence = moves == before ? silence + 1 : 0;
        before = moves;
        if (atomic_load(&seen.timeout) > 0 && silence > limit() + patience()) {
            end_job(silence);
            silence = 0;
        }
    }
    return NULL;
}

/* All signals are for the main thread. Where there is no thread to be had, nothing is watched. */
void watch_start(int rank)
{
    pthread_condattr_t monotonic;
    pthread_attr_t small;
    sigset_t all, before;

    dog.rank = rank;
    dog.ends = false;
    cf_par_set_hang_timeout(CF_HANG_TIMEOUT);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&dog.wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    dog.runs = pthread_create(&dog.thread, &small, watch, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&small);
    if (!dog.runs) cf_warn("no thread for the watchdog: hang_timeout has no effect");
}

void watch_stop(void)
{
    if (!dog.runs) return;
    pthread_mutex_lock(&dog.lock);
    dog.ends = true;
    pthread_cond_signal(&dog.wake);
    pthread_mutex_unlock(&dog.lock);
    pthread_join(dog.thread, NULL);
    pthread_cond_destroy(&dog.wake);
    dog.runs = false;
}

void cf_par_on_hang(void (*end)(const char *line))
{
    dog.end = end;
}
