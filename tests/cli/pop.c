/* The commands on Pop, whose score of an item is its number of train interactions. */
#include "problem.h"

static cf_dataset *dataset;
static cf_grid *grid;
static cf_shard *shard; /* of the whole dataset, on every rank */

/* Train interactions of an item, by its number. */
static int64_t count_of(int64_t i)
{
    return shard->train_by_item.start[i + 1] - shard->train_by_item.start[i];
}

static void a_model_is_counted(void **state)
{
    json_t *trained, *evaluated, *info;

    (void)state;
    make_inputs();
    succeed("llminit prepare --inter %s --out %s --set split=RS --quiet", inter, data);
    trained = succeed_json("llminit train --data %s --out %s --json --quiet --set model=Pop --set "
                           "topk=5,10 --set valid_metric=MRR@10",
                           data, run);
    evaluated = succeed_json("llminit evaluate %s/best.h5 --data %s --json", run, data);
    info = succeed_json("llminit info %s/best.h5 --json", run);
    if (world.rank == 0) {
        const json_t *arrays = json_object_get(info, "arrays");

        assert_int_equal(integer(trained, "best_epoch"), 1);
        assert_true(
            json_equal(json_object_get(trained, "test"), json_object_get(evaluated, "test")));
        assert_non_null(json_object_get(arrays, "/item_embedding"));
        assert_null(json_object_get(arrays, "/item_similarity"));
    }
    json_decref(trained);
    json_decref(evaluated);
    json_decref(info);
    succeed("llminit spectrum %s/best.h5 --data %s", run, data);
    assert_int_equal(cf_dataset_open(&cf_test_self, data, &dataset), CF_OK);
    assert_int_equal(cf_par_create_grid(&cf_test_self, 1, 1, &grid), CF_OK);
    assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard), CF_OK);
}

static void export_writes_ones_and_counts(void **state)
{
    char path[1100];
    int64_t dims[2];
    double *rows;

    (void)state;
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", run, data, folder);
    MPI_Barrier(world.comm);
    snprintf(path, sizeof path, "%s/users.npy", folder);
    rows = cf_test_npy(path, dims);
    assert_int_equal(dims[0], USERS);
    assert_int_equal(dims[1], 1);
    for (int u = 0; u < USERS; u++)
        assert_true(rows[u] == 1);
    free(rows);
    snprintf(path, sizeof path, "%s/items.npy", folder);
    rows = cf_test_npy(path, dims);
    assert_int_equal(dims[0], ITEMS);
    for (int i = 0; i < ITEMS; i++)
        assert_true(rows[i] == (double)count_of(i));
    free(rows);
}

/* The best `k` items of a user by a plain search: not in train or valid, ties to the lower item. */
static void find_best(int64_t user, int k, int64_t *out)
{
    bool taken[ITEMS] = {false};

    for (int64_t e = shard->train.start[user]; e < shard->train.start[user + 1]; e++)
        taken[shard->train.index[e]] = true;
    for (int64_t e = shard->valid.start[user]; e < shard->valid.start[user + 1]; e++)
        taken[shard->valid.index[e]] = true;
    for (int n = 0; n < k; n++) {
        out[n] = -1;
        for (int64_t i = 0; i < ITEMS; i++)
            if (!taken[i] && (out[n] < 0 || count_of(i) > count_of(out[n]))) out[n] = i;
        taken[out[n]] = true;
    }
}

static void everyone_gets_the_most_popular_new_items(void **state)
{
    cf_strings users = {0}, items = {0};
    FILE *file;
    char line[256];

    (void)state;
    succeed("llminit recommend %s/best.h5 --data %s --topk %d --out %s --quiet", run, data, TOPK,
            tsv);
    MPI_Barrier(world.comm);
    assert_int_equal(cf_dataset_read_names(dataset, CF_USER_IDS, 0, USERS, &users), CF_OK);
    assert_int_equal(cf_dataset_read_names(dataset, CF_ITEM_IDS, 0, ITEMS, &items), CF_OK);
    file = fopen(tsv, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    for (int64_t u = 0; u < USERS; u++) {
        int64_t best[TOPK];

        find_best(u, TOPK, best);
        for (int n = 0; n < TOPK; n++) {
            char want[256];

            assert_non_null(fgets(line, sizeof line, file));
            snprintf(want, sizeof want, "%s\t%d\t%s\t%lld\t\n", users.bytes + users.start[u], n + 1,
                     items.bytes + items.start[best[n]], (long long)count_of(best[n]));
            assert_string_equal(line, want);
        }
    }
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
    cf_dataset_destroy_strings(&users);
    cf_dataset_destroy_strings(&items);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_model_is_counted),
    cmocka_unit_test(export_writes_ones_and_counts),
    cmocka_unit_test(everyone_gets_the_most_popular_new_items),
};
CF_TEST_MAIN(tests)
