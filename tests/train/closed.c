/* Runs of models that are solved for. */
#include "run.h"
#include "train/internal.h"

#include <jansson.h>
#include <math.h>

static const run_spec closed[] = {
    {.data = "data.h5", .folder = "run", .sets = {"model=EASE", "reg_weight=5", "epochs=7"}},
    {.data = "data.h5", .folder = "run", .sets = {"model=L3AE", "distill_weight=20"}},
    {.data = "novalid.h5", .folder = "run", .sets = {"model=EASE", "reg_weight=20"}},
    {.data = "data.h5", .folder = "run", .sets = {"model=ItemKNN", "k=7", "shrink=3"}},
};
enum { N_CLOSED = sizeof closed / sizeof *closed };

/* ITEMS numbers are four segments. */
static int next_columns(int k)
{
    for (int columns = 1; columns <= world.size && columns <= 4; columns++)
        if (world.size % columns == 0 && k-- == 0) return columns;
    return 0;
}

/* The matrix of a checkpoint, whole, read by each rank by itself. */
static float *read_matrix(const char *folder, const char *file, cf_run_progress *progress)
{
    cf_ckpt_file *in = NULL;
    cf_grid *alone = NULL;
    cf_blocks blocks;
    cf_table *table[2] = {NULL, NULL};
    char path[1100];
    float *out;

    snprintf(path, sizeof path, "%s/%s", cf_test_scratch(folder), file);
    MPI_Barrier(world.comm);
    assert_ok(cf_par_create_grid(&cf_test_self, 1, 1, &alone));
    assert_ok(cf_ckpt_open(&cf_test_self, path, &in));
    assert_true(in->closed);
    assert_int_equal(in->dim, ITEMS);
    assert_ok(cf_par_create_blocks(ITEMS, 1, &blocks));
    assert_ok(cf_table_create(alone, &blocks, ITEMS, &table[CF_ITEMS]));
    assert_ok(cf_ckpt_read(in, table, NULL));
    *progress = in->progress;
    out = cf_test_table_get(table[CF_ITEMS]);
    cf_table_destroy(&table[CF_ITEMS]);
    cf_par_destroy_blocks(&blocks);
    cf_ckpt_close(&in);
    cf_par_destroy_grid(&alone);
    MPI_Barrier(world.comm);
    return out;
}

/* Both checkpoints have the matrix that `want` is, within `tolerance`; 0: the same bits. */
static void check_matrix(const char *folder, const float *want, double tolerance, bool validates)
{
    static const char *const files[] = {"latest.h5", "best.h5"};
    cf_run_progress progress;

    for (int f = 0; f < 2; f++) {
        float *got = read_matrix(folder, files[f], &progress);

        assert_int_equal(progress.epoch, 1);
        assert_int_equal(progress.best_epoch, validates ? 1 : 0);
        for (int64_t k = 0; k < ITEMS * ITEMS; k++)
            assert_true(fabs((double)got[k] - (double)want[k]) <= tolerance);
        free(got);
    }
}

static void every_grid_ends_with_the_bits_of_as_many_ranks(void **state)
{
    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    write_dataset(cf_test_scratch("novalid.h5"), false);
    for (int v = 1; v < N_CLOSED; v++) {
        const bool validates = strcmp(closed[v].data, "data.h5") == 0;
        run_spec one = closed[v];
        cf_train_result result, want = {0};
        cf_run_progress progress;
        float *alone, *first = NULL;

        one.folder = "alone";
        clear_folder("alone");
        if (world.rank == 0) assert_ok(run_train(&cf_test_self, 1, &one, &want));
        cf_par_broadcast(&world, &want, sizeof want, 0);
        alone = read_matrix("alone", "best.h5", &progress);
        for (int k = 0, columns; (columns = next_columns(k)) > 0; k++) {
            clear_folder("run");
            assert_ok(run_train(&world, columns, &closed[v], &result));
            assert_true(result.has_test);
            for (int t = 0; t < result.test.table[CF_ALL].n_topk; t++)
                assert_close(result.test.table[CF_ALL].mean[CF_NDCG][t],
                             want.test.table[CF_ALL].mean[CF_NDCG][t], 1e-3);
            check_matrix("run", alone, 1e-6, validates);
            if (first != NULL)
                check_matrix("run", first, 0, validates);
            else
                first = read_matrix("run", "best.h5", &progress);
        }
        free(first);
        free(alone);
    }
}

/* How often an event is in the log, on rank 0; `last`: of the last, what `field` says. */
static int count_events(const char *event, const char *field, char *last)
{
    char path[1100], line[4096];
    int count = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/log.jsonl", cf_test_scratch("run"));
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *object = json_loads(line, 0, NULL);

        assert_non_null(object);
        if (strcmp(json_string_value(json_object_get(object, "event")), event) == 0) {
            const json_t *value = json_object_get(object, field);

            count++;
            assert_non_null(value);
            if (json_is_string(value)) snprintf(last, 64, "%s", json_string_value(value));
        }
        json_decref(object);
    }
    fclose(file);
    return count;
}

static void a_finished_run_has_nothing_left_to_solve(void **state)
{
    run_spec spec = closed[0];
    cf_train_result first, again;
    char why[64] = "";

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &first));
    assert_int_equal(run_train(&world, 1, &spec, &again), CF_ERR_USAGE); /* without resume */
    spec.resume = true;
    assert_ok(run_train(&world, 1, &spec, &again));
    check_same_progress(&again.progress, &first.progress);
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int t = 0; t < first.test.table[CF_ALL].n_topk; t++)
            assert_true(again.test.table[CF_ALL].mean[m][t] == first.test.table[CF_ALL].mean[m][t]);
    if (world.rank == 0) {
        assert_int_equal(count_events("solve", "invert", NULL), 1);
        assert_int_equal(count_events("valid", "metrics", NULL), 1);
        assert_int_equal(count_events("test", "metrics", NULL), 1); /* tested anew, logged once */
        assert_int_equal(count_events("end", "why", why), 2);
        assert_string_equal(why, "solved");
    }
    spec.sets[1] = "reg_weight=6";
    assert_int_equal(run_train(&world, 1, &spec, &again), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "reg_weight differs from the run's"));
}

/* A checkpoint is used on other ranks and grids than it was made on: the same metrics. */
static void a_checkpoint_is_evaluated_on_one_rank_as_on_all(void **state)
{
    cf_train_result result;
    cf_trained *trained;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &closed[1], &result));
    trained = load_alone();
    check_same_test(trained, &result);
    cf_train_unload(&trained);
}

/* 12 bytes for each two items on all ranks together, on each rank at most thrice a block of every
 * item's row, and of L3AE thrice its vectors, and no more than a hundredth beside. */
static void check_prediction(const run_spec *spec, const cf_dataset *dataset)
{
    const int64_t matrices = 12 * dataset->n_items * dataset->n_items,
                  on_their_way = 3 * CF_CLOSED_BLOCK * 8 * dataset->n_items * world.size +
                                 3 * dataset->embedding_dim * 8 * dataset->n_items;
    cf_config *config = run_config(spec);
    run_options options;
    double bytes;

    run_read_options(config, &options);
    bytes = grid_predict_bytes(dataset, &options, 1, 1, world.size) * world.size;
    assert_in_range((int64_t)bytes, matrices, matrices / 100 * 101 + on_their_way);
    cf_config_destroy(&config);
}

static void what_does_not_fit_is_refused_beforehand(void **state)
{
    cf_dataset dataset = {
        .world = &world, .n_users = 10, .n_items = 40000, .n_train = 30, .embedding_dim = 512};
    cf_config *config = run_config(&closed[0]);
    cf_grid *grid = NULL;
    run_options options;
    double bytes;

    (void)state;
    check_prediction(&closed[0], &dataset);
    check_prediction(&closed[1], &dataset);
    run_read_options(config, &options);
    assert_ok(cf_par_create_grid(&world, 1, world.size, &grid));
    dataset.n_items = 30000000; /* 10^16 bytes */
    bytes = grid_predict_bytes(&dataset, &options, 1, 1, world.size);
    assert_int_equal(grid_check_memory(&dataset, &options, grid, bytes), CF_ERR_MEMORY);
    assert_non_null(strstr(cf_error_message(), "EASE of 30000000 items needs about"));
    assert_non_null(strstr(cf_error_message(), "float32"));
    dataset.n_items = 50;
    bytes = grid_predict_bytes(&dataset, &options, 1, 1, world.size);
    assert_ok(grid_check_memory(&dataset, &options, grid, bytes));
    cf_par_destroy_grid(&grid);
    cf_config_destroy(&config);
}

/* The names are in model's table of settings; what they mean is in two modules. */
static void every_choice_of_model_is_trained_or_a_closed_form(void **state)
{
    char choices[128], sets[64];
    int n_closed = 0;

    (void)state;
    assert_string_equal(cf_model_settings[0].name, "model");
    snprintf(choices, sizeof choices, "%s", cf_model_settings[0].choices);
    for (char *next, *name = strtok_r(choices, "|", &next); name;
         name = strtok_r(NULL, "|", &next)) {
        cf_config *config = NULL;

        snprintf(sets, sizeof sets, "model=%s", name);
        assert_ok(cf_config_create(cf_train_tables, cf_train_n_tables, &config));
        assert_ok(cf_config_set(config, sets));
        assert_true(cf_closed_is(config) != cf_model_is_trained(name));
        n_closed += cf_closed_is(config);
        cf_config_destroy(&config);
    }
    assert_int_equal(n_closed, 6);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_grid_ends_with_the_bits_of_as_many_ranks),
    cmocka_unit_test(a_finished_run_has_nothing_left_to_solve),
    cmocka_unit_test(a_checkpoint_is_evaluated_on_one_rank_as_on_all),
    cmocka_unit_test(every_choice_of_model_is_trained_or_a_closed_form),
    cmocka_unit_test(what_does_not_fit_is_refused_beforehand),
};
CF_TEST_MAIN(tests)
