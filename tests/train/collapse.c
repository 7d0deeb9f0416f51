/* The spectra in log.jsonl: when, of what, and that training does not feel them. */
#include "run.h"

enum { MOST_LINES = 32, MOST_TEXT = 4096 };

/* The spectra that a run has logged, without their seconds. */
typedef struct spectra {
    int count;
    int64_t epoch[MOST_LINES];
    char text[MOST_LINES][MOST_TEXT];
} spectra;

/* Collective over the world: every rank reads all. */
static spectra *read_spectra(const char *folder)
{
    static const char begins[] = "{\"event\":\"spectrum\",\"epoch\":";
    spectra *out = calloc(1, sizeof *out);
    char path[1100], line[MOST_TEXT];
    FILE *file;

    assert_non_null(out);
    snprintf(path, sizeof path, "%s/log.jsonl", cf_test_scratch(folder));
    MPI_Barrier(world.comm);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char *seconds = strstr(line, ",\"seconds\"");

        if (strncmp(line, begins, strlen(begins)) != 0) continue;
        assert_true(out->count < MOST_LINES && seconds != NULL);
        *seconds = '\0';
        out->epoch[out->count] = strtol(line + strlen(begins), NULL, 10);
        memcpy(out->text[out->count++], line, sizeof line);
    }
    fclose(file);
    MPI_Barrier(world.comm);
    return out;
}

static void check_same_spectra(const spectra *got, const spectra *want)
{
    assert_int_equal(got->count, want->count);
    for (int k = 0; k < want->count; k++)
        assert_string_equal(got->text[k], want->text[k]);
}

static const struct {
    run_spec spec;
    int count, n_tables;
    int64_t epoch[2]; /* but for the last, which is the best one's */
} variants[] = {
    {{.data = "data.h5",
      .folder = "run",
      .sets = {"epochs=4", "eval_step=2", "collapse_every=1", "n_layers=2"}},
     3,
     4,
     {2, 4}},
    {{.data = "data.h5",
      .folder = "run",
      .sets = {"epochs=4", "eval_step=1", "collapse_every=2", "model=BPR", "pca_one_rank=0"}},
     3,
     2,
     {2, 4}},
    {{.data = "novalid.h5",
      .folder = "run",
      .sets = {"epochs=3", "eval_step=3", "collapse_every=1", "model=SGCL"}},
     2,
     4,
     {3}},
    {{.data = "data.h5",
      .folder = "run",
      .sets = {"epochs=2", "eval_step=0", "collapse_every=1", "n_layers=0"}},
     1,
     2,
     {0}},
    {{.data = "data.h5", .folder = "run", .sets = {"epochs=2", "collapse_every=0"}}, 0, 0, {0}},
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

/* The same lines from every grid, and the same tables as without. */
static void every_grid_logs_the_same_and_trains_the_same(void **state)
{
    run_spec spec = variants[0].spec;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    outcome with = run_alone(&spec);
    spectra *want = read_spectra("alone");
    spec.sets[2] = "collapse_every=0";
    outcome without = run_alone(&spec);
    check_same_outcome(&with, &without);
    for (int k = 0, columns; (columns = grid_columns(&world, k)) > 0; k++) {
        cf_train_result result;

        clear_folder("run");
        assert_ok(run_train(&world, columns, &variants[0].spec, &result));
        spectra *got = read_spectra("run");
        outcome trained = finished(&variants[0].spec, &result);
        check_same_spectra(got, want);
        check_same_outcome(&trained, &without);
        drop_outcome(&trained);
        free(got);
    }
    drop_outcome(&with);
    drop_outcome(&without);
    free(want);
}

/* A run of three epochs that goes on to four has logged its own best epoch in between. */
static void a_resumed_run_logs_the_same(void **state)
{
    run_spec spec = variants[0].spec;
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
    assert_int_equal(got->count, want->count + 1);
    for (int k = 0; k < want->count; k++)
        assert_string_equal(got->text[k == 0 ? 0 : k + 1], want->text[k]);
    assert_string_equal(got->text[1], want->text[0]); /* epoch 2 was the best of the first three */
    drop_outcome(&whole);
    free(want);
    free(got);
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
    cmocka_unit_test(every_grid_logs_the_same_and_trains_the_same),
    cmocka_unit_test(a_resumed_run_logs_the_same),
    cmocka_unit_test(no_memory_for_spectra_stops_every_rank),
};
CF_TEST_MAIN(tests)
