/* Runs of ItemKNN and Pop: the metrics of NumPy, and Pop's tables, which are two as those of models
 * that are trained. */
#include "run.h"
#include "train/internal.h"

enum { GOLDEN_USERS = 40, GOLDEN_ITEMS = 30, HELD_OUT = 4 };

/* ---- Metrics -------------------------------------------------------------------------------- */

/* Three of four pairs are for training, the fourth is tested, as in tests/data/make_golden.py. */
static cf_lists golden_part(const cf_test_graph *pairs, bool tested)
{
    cf_lists lists = {.count = GOLDEN_USERS};

    assert_int_equal(CF_ALLOC(lists.start, GOLDEN_USERS + 1), CF_OK);
    assert_int_equal(CF_ALLOC(lists.index, pairs->n_pairs), CF_OK);
    for (int64_t u = 0, e = 0; u < GOLDEN_USERS; u++) {
        lists.start[u + 1] = lists.start[u];
        for (; e < pairs->n_pairs && pairs->pairs[e][0] == u; e++)
            if ((e % HELD_OUT == HELD_OUT - 1) == tested)
                lists.index[lists.start[u + 1]++] = pairs->pairs[e][1];
    }
    return lists;
}

static void write_golden(void)
{
    cf_test_graph pairs =
        cf_test_graph_load(CF_TEST_DATA "/golden/tiny/train.npy", GOLDEN_USERS, GOLDEN_ITEMS);
    cf_dataset_content content = {.train = golden_part(&pairs, false),
                                  .test = golden_part(&pairs, true)};

    cf_test_dataset_write(cf_test_scratch("golden.h5"), GOLDEN_ITEMS, &content);
    cf_free(&content.train.start);
    cf_free(&content.train.index);
    cf_free(&content.test.start);
    cf_free(&content.test.index);
    cf_test_graph_destroy(&pairs);
}

/* The metrics are in the order of cf_metric. */
static void metrics_are_the_golden_ones(void **state)
{
    static const run_spec specs[] = {
        {.data = "golden.h5", .folder = "run", .sets = {"model=ItemKNN", "k=5", "shrink=2"}},
        {.data = "golden.h5", .folder = "run", .sets = {"model=Pop"}}};
    int64_t dims[2];
    double *want = cf_test_npy(CF_TEST_DATA "/golden/tiny/held_out_metrics.npy", dims);

    (void)state;
    assert_int_equal(dims[0], 2);
    assert_int_equal(dims[1], CF_N_METRICS);
    write_golden();
    for (int m = 0; m < 2; m++) {
        cf_train_result result;

        clear_folder("run");
        assert_ok(run_train(&world, 1, &specs[m], &result));
        assert_true(result.has_test);
        assert_int_equal(result.test.table[CF_ALL].topk[1], 10);
        for (int k = 0; k < CF_N_METRICS; k++)
            assert_close(result.test.table[CF_ALL].mean[k][1], want[m * CF_N_METRICS + k], 1e-12);
    }
    free(want);
}

/* ---- Pop ------------------------------------------------------------------------------------ */

static const run_spec pop = {.data = "data.h5", .folder = "run", .sets = {"model=Pop"}};

/* Fail unless the checkpoint has users of 1 and the items' numbers of train interactions. */
static void check_tables(const char *file)
{
    cf_test_graph pairs = all_pairs();
    cf_lists train = make_part(&pairs, 0, true, NULL);
    saved got = read_saved_tables("run", file, 1);
    float want[ITEMS] = {0};

    for (int64_t e = 0; e < train.start[USERS]; e++)
        want[train.index[e]]++;
    for (int64_t u = 0; u < USERS; u++)
        assert_true(got.table[CF_USERS][u] == 1);
    cf_test_same_bits(got.table[CF_ITEMS], want, ITEMS, "item table");
    assert_int_equal(got.progress.epoch, 1);
    assert_int_equal(got.progress.best_epoch, 1);
    drop_saved(&got);
    cf_free(&train.start);
    cf_free(&train.index);
    cf_test_graph_destroy(&pairs);
}

static void pop_is_counted_saved_and_not_counted_again(void **state)
{
    run_spec spec = pop;
    cf_train_result first, again;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &first));
    check_tables("latest.h5");
    check_tables("best.h5");
    spec.resume = true;
    assert_ok(run_train(&world, 1, &spec, &again));
    check_same_progress(&again.progress, &first.progress);
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int t = 0; t < first.test.table[CF_ALL].n_topk; t++)
            assert_true(again.test.table[CF_ALL].mean[m][t] == first.test.table[CF_ALL].mean[m][t]);
    spec.sets[1] = "topk=[5,10,20]";
    assert_refused(run_train(&world, 1, &spec, &again), CF_ERR_USAGE,
                   "topk differs from the run's");
}

/* One rank loads what all made: the same metrics, from tables that are raw and final at once. */
static void pop_is_loaded_with_both_tables(void **state)
{
    cf_train_result result;
    cf_trained *trained;

    (void)state;
    clear_folder("run");
    assert_ok(run_train(&world, 1, &pop, &result));
    trained = load_alone();
    assert_false(trained->file->closed);
    for (int side = 0; side < 2; side++) {
        assert_ptr_equal(trained->raw[side], trained->final[side]);
        assert_int_equal(trained->final[side]->dim, 1);
    }
    check_same_test(trained, &result);
    cf_train_unload(&trained);
}

/* Tables of one segment: two slices are refused, and `auto` takes blocks. */
static void pop_has_no_second_slice(void **state)
{
    cf_train_result result;

    (void)state;
    if (world.size == 1) skip();
    clear_folder("run");
    assert_refused(run_train(&world, world.size, &pop, &result), CF_ERR_USAGE,
                   "they have only 1 segments of 16");
}

/* Both tables, in 16 floats a row, the lists, and the solver's two doubles an item: no matrix of
 * items x items. */
static void pop_needs_memory_for_rows_alone(void **state)
{
    const cf_dataset dataset = {
        .world = &world, .n_users = 1000, .n_items = 3000000, .n_train = 3000000};
    const double lists =
        8.0 * (double)(2 * dataset.n_train + 3 * dataset.n_users + dataset.n_items);
    cf_config *config = run_config(&pop);
    run_options options;

    (void)state;
    run_read_options(config, &options);
    assert_true(grid_predict_bytes(&dataset, &options, 1, 1, 1) ==
                lists + 64.0 * (double)(dataset.n_users + dataset.n_items) +
                    16.0 * (double)dataset.n_items);
    cf_config_destroy(&config);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(metrics_are_the_golden_ones),
    cmocka_unit_test(pop_is_counted_saved_and_not_counted_again),
    cmocka_unit_test(pop_is_loaded_with_both_tables),
    cmocka_unit_test(pop_has_no_second_slice),
    cmocka_unit_test(pop_needs_memory_for_rows_alone),
};
CF_TEST_MAIN(tests)
