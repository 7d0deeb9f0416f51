/* A run that is killed at any operation on its files comes to the same end. What a kill would leave
 * is copied at each rename and unlink of rank 0, which does them all, just before it is done; then
 * the copies are resumed. */
#include "run.h"

#include <fcntl.h>

enum { FIRST_EPOCHS = 2, EPOCHS = 5, MAX_KILLS = 64 };

static const run_spec spec_of_run = {
    .data = "data.h5",
    .folder = "run",
    /* large steps: some epochs are better than the best so far, some are not */
    .sets = {"emb_selection=var", "learning_rate=0.05", "collapse_every=2", "checkpoint_interval=0",
             "stopping_step=10", "epochs=5"}};
enum { INTERVAL = 3, STOPPING = 4, N_EPOCHS = 5 }; /* places in `sets` */

/* ---- Kills ---------------------------------------------------------------------------------- */

static int n_kills;
static bool watched;

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[8192];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static void note_kill(void)
{
    char run[1024];

    if (!watched || n_kills == MAX_KILLS) return;
    scratch_path("run", run);
    shell("rm -rf '%s.%d' && cp -r '%s' '%s.%d'", run, n_kills, run, run, n_kills);
    n_kills++;
}

/* In place of the C library's. */
int rename(const char *from, const char *to)
{
    note_kill();
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path)
{
    note_kill();
    return unlinkat(AT_FDCWD, path, 0);
}

/* The folder "run" as a kill left it; its log ends amid a line. Collective. */
static void take_kill(int k)
{
    char run[1024];

    scratch_path("run", run);
    MPI_Barrier(world.comm);
    if (world.rank == 0)
        shell("rm -rf '%s' && cp -r '%s.%d' '%s' && if [ -e '%s/log.jsonl' ]; then "
              "printf '{\"event\":\"epo' >>'%s/log.jsonl'; fi",
              run, run, k, run, run, run);
    MPI_Barrier(world.comm);
}

/* ---- Logs ----------------------------------------------------------------------------------- */

/* The events of a log but those of the program's calls, without what clocks say. On rank 0. */
static json_t *read_events(const char *folder)
{
    json_t *events = json_array();
    char path[1100], line[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/log.jsonl", cf_test_scratch(folder));
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *event = json_loads(line, 0, NULL);
        const char *name = json_string_value(json_object_get(event, "event"));

        if (event == NULL) fail_msg("not JSON: %s", line);
        json_object_del(event, "seconds");
        json_object_del(event, "samples_per_second");
        if (strcmp(name, "start") != 0 && strcmp(name, "profile") != 0 && strcmp(name, "end") != 0)
            assert_int_equal(json_array_append(events, event), 0);
        json_decref(event);
    }
    fclose(file);
    return events;
}

static void check_same_log(const json_t *want)
{
    json_t *got;

    if (world.rank != 0) return;
    got = read_events("run");
    if (!json_equal(got, want)) {
        json_dumpf(got, stderr, 0);
        fail_msg("another log");
    }
    json_decref(got);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* Unkilled runs, by number of epochs, from `first` on. */
static outcome whole[EPOCHS + 1];
static json_t *whole_log[EPOCHS + 1];

static void run_unkilled(int first)
{
    char epochs[32];
    run_spec spec = spec_of_run;

    for (int n = first; n <= EPOCHS; n++) {
        snprintf(epochs, sizeof epochs, "epochs=%d", n);
        spec.sets[N_EPOCHS] = epochs;
        whole[n] = run_alone(&spec);
        if (world.rank == 0) whole_log[n] = read_events("alone");
    }
}

static void drop_unkilled(int first)
{
    for (int n = first; n <= EPOCHS; n++) {
        drop_outcome(&whole[n]);
        json_decref(whole_log[n]);
    }
}

/* Resume what the kill left, with as many epochs in all. */
static void check_resume(int k, const char *interval, int n_epochs)
{
    char epochs[32];
    run_spec spec = spec_of_run;
    cf_train_result result;
    outcome got;

    snprintf(epochs, sizeof epochs, "epochs=%d", n_epochs);
    spec.sets[INTERVAL] = interval;
    spec.sets[N_EPOCHS] = epochs;
    spec.resume = true;
    take_kill(k);
    assert_ok(run_train(&world, 1, &spec, &result));
    got = finished(&spec, &result);
    check_same_outcome(&got, &whole[n_epochs]);
    check_same_log(whole_log[n_epochs]);
    drop_outcome(&got);
}

/* A finished run goes on for more epochs and is killed everywhere. Kills are resumed to the end; on
 * one rank all of them, also to the fewest epochs that can be. `interval`: between checkpoints. */
static void kill_everywhere(const char *interval)
{
    run_spec spec = spec_of_run;
    cf_train_result result;

    clear_folder("run");
    spec.sets[INTERVAL] = interval;
    spec.sets[N_EPOCHS] = "epochs=2";
    assert_ok(run_train(&world, 1, &spec, &result));
    spec.resume = true;
    spec.sets[N_EPOCHS] = "epochs=5";
    n_kills = 0;
    watched = world.rank == 0;
    assert_ok(run_train(&world, 1, &spec, &result));
    watched = false;
    cf_par_broadcast(&world, &n_kills, sizeof n_kills, 0);
    assert_in_range(n_kills, 5, MAX_KILLS - 1);
    for (int k = 0; k < n_kills; k += 4 * world.size - 3) {
        saved latest;

        check_resume(k, interval, EPOCHS);
        if (world.size > 1) continue;
        take_kill(k);
        latest = read_saved("run", "latest.h5");
        check_resume(k, interval, (int)latest.progress.epoch);
        drop_saved(&latest);
    }
}

static void a_run_killed_at_any_operation_comes_to_the_same_end(void **state)
{
    const int first = world.size == 1 ? FIRST_EPOCHS : EPOCHS;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    run_unkilled(first);
    assert_true(whole[EPOCHS].best.progress.epoch > FIRST_EPOCHS); /* better.h5 is needed */
    kill_everywhere("checkpoint_interval=0");
    kill_everywhere("checkpoint_interval=1e9"); /* no checkpoint but the last: all epochs come
                                                         after latest.h5 */
    drop_unkilled(first);
}

/* Killed before its first checkpoint, a run begins anew, whatever it left. */
static void a_run_killed_before_its_first_checkpoint_begins_anew(void **state)
{
    run_spec spec = spec_of_run;
    cf_train_result result;

    (void)state;
    run_unkilled(EPOCHS);
    clear_folder("run");
    n_kills = 0;
    watched = world.rank == 0;
    assert_ok(run_train(&world, 1, &spec, &result));
    watched = false;
    for (int k = 0; k < 3; k++) /* settings.yaml, better.h5, latest.h5 */
        check_resume(k, "checkpoint_interval=0", EPOCHS);
    drop_unkilled(EPOCHS);
}

static void check_refused(const run_spec *spec, const char *words)
{
    cf_train_result result;

    assert_int_equal(run_train(&world, 1, spec, &result), CF_ERR_USAGE);
    if (strstr(cf_error_message(), words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", cf_error_message(), words);
}

/* A run that had begun with these settings would have ended before. */
static void settings_that_would_have_ended_the_run_before_are_refused(void **state)
{
    run_spec spec = spec_of_run;
    cf_train_result result;

    (void)state;
    clear_folder("run");
    spec.sets[1] = "learning_rate=0"; /* nothing gets better after the first epoch */
    assert_ok(run_train(&world, 1, &spec, &result));
    assert_int_equal(result.progress.n_bad_evals, EPOCHS - 1);
    spec.resume = true;
    spec.sets[N_EPOCHS] = "epochs=4";
    check_refused(&spec, "epochs is 4, but the run has done epoch 5: it can be no less");
    spec.sets[N_EPOCHS] = "epochs=5";
    spec.sets[STOPPING] = "stopping_step=2";
    check_refused(&spec, "stopping_step is 2, but the run went on after 3 evaluations");
    spec.sets[STOPPING] = "stopping_step=3"; /* would have ended here */
    spec.sets[N_EPOCHS] = "epochs=9";
    assert_ok(run_train(&world, 1, &spec, &result));
    assert_int_equal(result.progress.epoch, EPOCHS);
}

static void files_of_different_states_are_refused(void **state)
{
    run_spec spec = spec_of_run;
    cf_train_result result;
    char run[1024];

    (void)state;
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
    scratch_path("run", run);
    if (world.rank == 0) shell("cp '%s.0/best.h5' '%s/best.h5'", run, run);
    MPI_Barrier(world.comm);
    spec.resume = true;
    assert_int_equal(run_train(&world, 1, &spec, &result), CF_ERR_FORMAT);
    if (strstr(cf_error_message(), "best.h5: has the tables of epoch ") == NULL)
        fail_msg("%s", cf_error_message());
    if (world.rank == 0) shell("rm '%s/latest.h5'", run);
    MPI_Barrier(world.comm);
    check_refused(&spec, "no latest.h5 to resume from");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_run_killed_at_any_operation_comes_to_the_same_end),
    cmocka_unit_test(files_of_different_states_are_refused),
    cmocka_unit_test(a_run_killed_before_its_first_checkpoint_begins_anew),
    cmocka_unit_test(settings_that_would_have_ended_the_run_before_are_refused),
};
CF_TEST_MAIN(tests)
