/* The commands on a model that is solved for. */
#include "problem.h"

#include <math.h>

static double *weights; /* ITEMS x ITEMS, as exported */

static void a_model_is_solved_for(void **state)
{
    json_t *trained, *evaluated, *info;

    (void)state;
    make_inputs();
    succeed("llminit prepare --inter %s --item %s --embedding %s --out %s --set split=RS --quiet",
            inter, item, npy, data);
    trained = succeed_json("llminit train --data %s --out %s --json --quiet --set model=L3AE --set "
                           "topk=5,10 --set valid_metric=MRR@10",
                           data, run);
    evaluated = succeed_json("llminit evaluate %s/best.h5 --data %s --json --set grid=%dx1", run,
                             data, world.size);
    info = succeed_json("llminit info %s/best.h5 --json", run);
    if (world.rank == 0) {
        const json_t *arrays = json_object_get(info, "arrays");

        assert_int_equal(integer(trained, "best_epoch"), 1);
        assert_true(
            json_equal(json_object_get(trained, "test"), json_object_get(evaluated, "test")));
        assert_non_null(json_object_get(arrays, "/item_similarity"));
        assert_null(json_object_get(arrays, "/user_embedding"));
    }
    json_decref(trained);
    json_decref(evaluated);
    json_decref(info);
}

/* A closed form's default replaces the table's, but not a value that was given. */
static void reg_weight_has_the_models_default(void **state)
{
    static const struct {
        const char *sets;
        double want;
    } lines[] = {{"--set model=EASE", 250},
                 {"--set model=L3AE", 10},
                 {"--set model=LightGCN", 1e-5},
                 {"--set model=EASE --set reg_weight=3", 3}};

    (void)state;
    for (size_t k = 0; k < sizeof lines / sizeof *lines; k++) {
        const char *at;
        char *text = NULL;

        assert_int_equal(run_format(&text, "llminit settings --yaml %s", lines[k].sets), CF_OK);
        at = strstr(text, "\nreg_weight: ");
        if (world.rank == 0) assert_non_null(at);
        if (at) assert_true(strtod(at + strlen("\nreg_weight: "), NULL) == lines[k].want);
        free(text);
    }
}

static void export_writes_the_matrix_and_its_ids(void **state)
{
    char path[1100];
    int64_t dims[2];

    (void)state;
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", run, data, folder);
    MPI_Barrier(world.comm);
    snprintf(path, sizeof path, "%s/item_similarity.npy", folder);
    weights = cf_test_npy(path, dims);
    assert_int_equal(dims[0], ITEMS);
    assert_int_equal(dims[1], ITEMS);
    for (int j = 0; j < ITEMS; j++)
        assert_true(weights[j * (ITEMS + 1)] == 0);
    snprintf(path, sizeof path, "%s/items.txt", folder);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/users.npy", folder);
    assert_int_equal(access(path, F_OK), -1);
}

/* Which number the program gave to the id that ends in `k`. */
static void read_numbers(const cf_dataset *dataset, cf_name_kind which, int64_t count, int *number)
{
    cf_strings names = {0};

    assert_int_equal(cf_dataset_read_names(dataset, which, 0, count, &names), CF_OK);
    for (int n = 0; n < count; n++)
        number[atoi(names.bytes + names.start[n] + 1)] = n;
    cf_dataset_destroy_strings(&names);
}

static int user_number[USERS], item_number[ITEMS];

/* A user's score: what their train items have in the item's row, summed in their order. */
static void check_line(const char *line, const cf_lists *train)
{
    int user, rank, i;
    double value, want = 0;
    char shown[64];

    assert_int_equal(sscanf(line, "u%d\t%d\ti%d\t%lf", &user, &rank, &i, &value), 4);
    user = user_number[user];
    i = item_number[i];
    for (int64_t k = train->start[user]; k < train->start[user + 1]; k++)
        want += weights[i * ITEMS + train->index[k]];
    snprintf(shown, sizeof shown, "%.7g", (double)(float)want);
    assert_true(value == strtod(shown, NULL));
}

/* Of the commands with `options`. */
static void check_recommendations(const char *options)
{
    const cf_par self = {MPI_COMM_SELF, 0, 1};
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;
    char line[256];
    int lines = 0;
    FILE *file;

    succeed("llminit recommend %s/best.h5 --data %s --topk %d --out %s --quiet %s", run, data, TOPK,
            tsv, options);
    MPI_Barrier(world.comm);
    assert_int_equal(cf_dataset_open(&self, data, &dataset), CF_OK);
    assert_int_equal(cf_par_create_grid(&self, 1, 1, &grid), CF_OK);
    assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard), CF_OK);
    read_numbers(dataset, CF_USER_IDS, USERS, user_number);
    read_numbers(dataset, CF_ITEM_IDS, ITEMS, item_number);
    file = fopen(tsv, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    for (; fgets(line, sizeof line, file) != NULL; lines++)
        check_line(line, &shard->train);
    fclose(file);
    assert_int_equal(lines, USERS * TOPK);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
}

static void recommendations_are_sums_of_the_matrix(void **state)
{
    (void)state;
    check_recommendations("");
}

/* A file of export --sparse. */
static double *read_sparse(const char *name, int64_t *count)
{
    char path[1100];
    int64_t dims[2] = {0, 0};
    double *numbers;

    snprintf(path, sizeof path, "%s/item_similarity_%s.npy", folder, name);
    numbers = cf_test_npy(path, dims);
    *count = dims[0];
    return numbers;
}

/* Is weights[j][i] among the KEPT of row j, ties to the lower column? */
enum { KEPT = 6 };

static bool is_kept(int j, int i)
{
    const double *row = weights + j * ITEMS;
    int before = 0;

    for (int c = 0; c < ITEMS; c++)
        before += fabs(row[c]) > fabs(row[i]) || (fabs(row[c]) == fabs(row[i]) && c < i);
    return row[i] != 0 && before < KEPT;
}

static void a_cut_matrix_is_exported_and_recommends_as_it_says(void **state)
{
    int64_t n_data, n_columns, n_starts, at = 0;
    char options[32];
    double *cut = calloc(ITEMS * ITEMS, sizeof *cut);

    (void)state;
    snprintf(options, sizeof options, "--sparse %d", KEPT);
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet %s", run, data, folder, options);
    MPI_Barrier(world.comm);
    double *numbers = read_sparse("data", &n_data), *columns = read_sparse("indices", &n_columns),
           *starts = read_sparse("indptr", &n_starts);
    assert_int_equal(n_data, n_columns);
    assert_int_equal(n_starts, ITEMS + 1);
    for (int j = 0; j < ITEMS; j++) {
        assert_true(starts[j] == (double)at);
        for (int i = 0; i < ITEMS; i++) {
            if (!is_kept(j, i)) continue;
            assert_true(at < n_data && columns[at] == i && numbers[at] == weights[j * ITEMS + i]);
            cut[j * ITEMS + i] = numbers[at++];
        }
    }
    assert_true(starts[ITEMS] == (double)at && at == n_data);
    assert_true(at > 0 && at <= KEPT * ITEMS);
    free(numbers);
    free(columns);
    free(starts);
    free(weights);
    weights = cut;
    check_recommendations(options);
    free(weights);
}

/* What recommend prints, on rank 0; "" on the others. */
static char *recommended(const char *model, const char *dataset, const char *whom,
                         const char *sparse)
{
    char *text = NULL;

    if (run_format(&text, "llminit recommend %s/best.h5 --data %s --topk %d --quiet %s %s", model,
                   dataset, TOPK, whom, sparse) != CF_OK)
        fail_msg("recommend %s %s: %s", whom, sparse, cf_error_message());
    return text;
}

/* For users, a new user and items. */
static void check_all_kept(const char *model, const char *dataset)
{
    static const char *const whom[] = {"", "--given i1 --given i4 --given i17",
                                       "--similar i3 --similar i21"};

    for (size_t k = 0; k < sizeof whom / sizeof *whom; k++) {
        char *want = recommended(model, dataset, whom[k], ""),
             *got = recommended(model, dataset, whom[k], "--sparse 40");

        if (world.rank == 0) {
            assert_true(strlen(want) > 100);
            assert_string_equal(got, want);
        }
        free(want);
        free(got);
    }
}

/* Also where cold items have rows by a map, which needs all of the matrix. */
static void as_many_numbers_as_there_are_items_are_the_whole_matrix(void **state)
{
    char other_data[1100], other_run[1100];

    (void)state;
    check_all_kept(run, data);
    snprintf(other_data, sizeof other_data, "%s/cold.h5", run); /* removed with it */
    snprintf(other_run, sizeof other_run, "%s/cold", run);
    succeed("llminit prepare --inter %s --item %s --embedding %s --out %s --set split=RS --set "
            "cold_share=0.3 --quiet",
            inter, item, npy, other_data);
    succeed("llminit train --data %s --out %s --quiet --set model=EASE --set reg_weight=5",
            other_data, other_run);
    check_all_kept(other_run, other_data);
}

static void only_a_matrix_is_cut(void **state)
{
    char other_run[1100];

    (void)state;
    snprintf(other_run, sizeof other_run, "%s/other", run); /* removed with it */
    assert_int_equal(run_format(NULL, "llminit export %s/best.h5 --data %s --out %s --sparse 0",
                                run, data, folder),
                     CF_ERR_USAGE);
    succeed("llminit train --data %s --out %s --quiet --set model=BPR --set epochs=1 --set "
            "embedding_size=8",
            data, other_run);
    assert_int_equal(run_format(NULL, "llminit export %s/latest.h5 --data %s --out %s --sparse 3",
                                other_run, data, folder),
                     CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "--sparse: BPR has tables of users and items"));
    assert_int_equal(run_format(NULL, "llminit evaluate --recs %s --data %s --sparse 3", tsv, data),
                     CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "--sparse is of a model"));
}

static void there_is_no_table_to_measure_collapse_of(void **state)
{
    (void)state;
    assert_int_equal(run_format(NULL, "llminit spectrum %s/best.h5", run), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "has an item-item matrix (40 x 40) and no tables"));
    assert_int_equal(run_format(NULL, "llminit spectrum %s/best.h5 --data %s", run, data),
                     CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "has an item-item matrix"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_model_is_solved_for),
    cmocka_unit_test(reg_weight_has_the_models_default),
    cmocka_unit_test(export_writes_the_matrix_and_its_ids),
    cmocka_unit_test(recommendations_are_sums_of_the_matrix),
    cmocka_unit_test(a_cut_matrix_is_exported_and_recommends_as_it_says),
    cmocka_unit_test(as_many_numbers_as_there_are_items_are_the_whole_matrix),
    cmocka_unit_test(only_a_matrix_is_cut),
    cmocka_unit_test(there_is_no_table_to_measure_collapse_of),
};
CF_TEST_MAIN(tests)
