/* Runs that start from another run: on the same dataset, and on one with other users and items. */
#include "shops.h"

#include <jansson.h>
#include <math.h>

/* ---- Runs ----------------------------------------------------------------------------------- */

static const run_spec old_run = {
    .data = "old.h5", .folder = "old", .sets = {"emb_selection=pca", "epochs=2"}};
static const run_spec warm_run = {
    .data = "new.h5",
    .folder = "run",
    .sets = {"emb_selection=var", "epochs=0", "learning_rate=0.02", "start_decay=0.01"},
    .from = "old/latest.h5",
    .from_data = "old.h5"};

static void train_old(void)
{
    cf_train_result result;

    write_shop("old.h5", YESTERDAY);
    clear_folder("old");
    assert_ok(run_train(&world, 1, &old_run, &result));
}

/* The tables that a run leaves. */
static saved run_on(const run_spec *spec, int columns)
{
    cf_train_result result;

    clear_folder(spec->folder);
    assert_ok(run_train(&world, columns, spec, &result));
    return read_saved_rows(spec->folder, "latest.h5", new_rows, DIM);
}

static void check_same_new(const saved *got, const saved *want)
{
    for (int side = 0; side < 2; side++)
        cf_test_same_bits(got->table[side], want->table[side], new_rows[side] * DIM, "table");
}

static void the_same_dataset_has_the_same_rows(void **state)
{
    run_spec spec = {.data = "data.h5",
                     .folder = "run",
                     .sets = {"emb_selection=pca", "epochs=0"},
                     .from = "old/best.h5",
                     .from_data = "data.h5"};
    run_spec first = old_run;
    cf_train_result result;
    saved want;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    first.data = "data.h5";
    clear_folder("old");
    assert_ok(run_train(&world, 1, &first, &result));
    want = read_saved("old", "best.h5");
    for (int k = 0, columns; (columns = grid_columns(&world, k)) > 0; k++) {
        saved got;

        clear_folder("run");
        assert_ok(run_train(&world, columns, &spec, &result));
        assert_int_equal(result.progress.epoch, 0);
        got = read_saved("run", "latest.h5");
        check_same_tables(&got, &want);
        drop_saved(&got);
    }
    drop_saved(&want);
}

/* ---- Plain loops ---------------------------------------------------------------------------- */

/* f: vectors of all items, less the mean over those with a row and a vector, of length 1. */
static double *unit_vectors(void)
{
    double *f = calloc(NEW_ITEMS * LLM_DIM, sizeof *f), mean[LLM_DIM] = {0};
    int n = 0;

    for (int64_t i = 0; i < NEW_ITEMS; i++) {
        if (!has_row(i) || !has_vector(i)) continue;
        n++;
        for (int64_t d = 0; d < LLM_DIM; d++)
            mean[d] += (double)new_value(i, d);
    }
    for (int64_t i = 0; i < NEW_ITEMS; i++) {
        double square = 0;

        for (int64_t d = 0; d < LLM_DIM; d++) {
            f[i * LLM_DIM + d] = (double)new_value(i, d) - mean[d] / n;
            square += f[i * LLM_DIM + d] * f[i * LLM_DIM + d];
        }
        for (int64_t d = 0; d < LLM_DIM; d++)
            f[i * LLM_DIM + d] /= sqrt(square);
    }
    return f;
}

/* The mean of the rows of the five items of largest cosine. */
static void mean_of_nearest(const double *f, int64_t item, const double *rows, double out[DIM])
{
    bool taken[NEW_ITEMS] = {false};

    memset(out, 0, DIM * sizeof *out);
    for (int n = 0; n < 5; n++) {
        int64_t best = -1;
        double largest = -2;

        for (int64_t i = 0; i < NEW_ITEMS; i++) {
            double cosine = 0;

            if (!has_row(i) || !has_vector(i) || taken[i]) continue;
            for (int64_t d = 0; d < LLM_DIM; d++)
                cosine += f[item * LLM_DIM + d] * f[i * LLM_DIM + d];
            if (cosine > largest) {
                largest = cosine;
                best = i;
            }
        }
        taken[best] = true;
        for (int64_t d = 0; d < DIM; d++)
            out[d] += rows[best * DIM + d] / 5;
    }
}

/* Rows of today's items: yesterday's, or means; `noise` where there is no vector. */
static double *expect_items(const saved *old, const saved *noise)
{
    double *rows = calloc(NEW_ITEMS * DIM, sizeof *rows), *f = unit_vectors();

    for (int64_t i = 0; i < NEW_ITEMS; i++)
        for (int64_t d = 0; d < DIM; d++)
            if (has_row(i))
                rows[i * DIM + d] = (double)old->table[CF_ITEMS][old_item(i) * DIM + d];
            else if (!has_vector(i))
                rows[i * DIM + d] = (double)noise->table[CF_ITEMS][i * DIM + d];
    for (int64_t i = 0; i < NEW_ITEMS; i++)
        if (!has_row(i) && has_vector(i)) mean_of_nearest(f, i, rows, rows + i * DIM);
    free(f);
    return rows;
}

/* Rows of today's users: yesterday's, or the mean of the rows of their train items. */
static double *expect_users(const saved *old, const double *items)
{
    cf_test_graph pairs = new_pairs();
    cf_lists train = lists_of(&pairs, NEW_USERS, 0, -1);
    double *rows = calloc(NEW_USERS * DIM, sizeof *rows);

    for (int64_t u = 0; u < NEW_USERS; u++)
        for (int64_t d = 0; d < DIM; d++) {
            const int64_t first = train.start[u], end = train.start[u + 1];

            if (old_user(u) >= 0)
                rows[u * DIM + d] = (double)old->table[CF_USERS][old_user(u) * DIM + d];
            for (int64_t e = first; e < end && old_user(u) < 0; e++)
                rows[u * DIM + d] += items[train.index[e] * DIM + d] / (double)(end - first);
        }
    cf_free(&train.start);
    cf_free(&train.index);
    cf_test_graph_destroy(&pairs);
    return rows;
}

/* Float rows against those of plain loops; rows that are only copied must be the same bits. */
static void check_rows(const saved *got, const double *items, const double *users)
{
    for (int64_t k = 0; k < NEW_ITEMS * DIM; k++) {
        const double row = (double)got->table[CF_ITEMS][k];

        if (has_row(k / DIM) || !has_vector(k / DIM))
            assert_true(row == items[k]);
        else
            assert_true(fabs(row - items[k]) < 1e-6);
    }
    for (int64_t k = 0; k < NEW_USERS * DIM; k++) {
        const double row = (double)got->table[CF_USERS][k];

        if (old_user(k / DIM) >= 0)
            assert_true(row == users[k]);
        else
            assert_true(fabs(row - users[k]) < 1e-6);
    }
}

/* The tables of noise on today's dataset, as the settings of the warm run say. */
static saved noise_tables(void)
{
    const run_spec spec = {
        .data = "new.h5", .folder = "noise", .sets = {"emb_selection=False", "epochs=0"}};

    return run_on(&spec, 1);
}

static void other_users_and_items_are_found_by_their_ids(void **state)
{
    saved old, noise, first;
    double *items, *users;

    (void)state;
    train_old();
    write_shop("new.h5", TODAY);
    old = read_saved("old", "latest.h5");
    noise = noise_tables();
    items = expect_items(&old, &noise);
    users = expect_users(&old, items);
    first = run_on(&warm_run, 1);
    check_rows(&first, items, users);
    for (int k = 1, columns; (columns = grid_columns(&world, k)) > 0; k++) {
        saved got = run_on(&warm_run, columns);

        check_same_new(&got, &first);
        drop_saved(&got);
    }
    drop_saved(&old);
    drop_saved(&noise);
    drop_saved(&first);
    free(items);
    free(users);
}

static void without_vectors_new_items_are_noise(void **state)
{
    saved old, noise, got;

    (void)state;
    train_old();
    write_shop("new.h5", TODAY_WITHOUT_VECTORS);
    old = read_saved("old", "latest.h5");
    noise = noise_tables();
    got = run_on(&(run_spec){.data = "new.h5",
                             .folder = "run",
                             .sets = {"emb_selection=False", "epochs=0"},
                             .from = "old/latest.h5",
                             .from_data = "old.h5"},
                 1);
    for (int64_t i = 0; i < NEW_ITEMS; i++) {
        const float *want =
            has_row(i) ? old.table[CF_ITEMS] + old_item(i) * DIM : noise.table[CF_ITEMS] + i * DIM;

        cf_test_same_bits(got.table[CF_ITEMS] + i * DIM, want, DIM, "item row");
    }
    drop_saved(&old);
    drop_saved(&noise);
    drop_saved(&got);
}

/* ---- Resume, log ---------------------------------------------------------------------------- */

static void a_warm_run_resumes_without_the_other(void **state)
{
    run_spec spec = warm_run;
    cf_train_result result;
    saved want, got;

    (void)state;
    train_old();
    write_shop("new.h5", TODAY);
    spec.sets[1] = "epochs=3";
    want = run_on(&spec, 1);
    spec.sets[1] = "epochs=1";
    drop_saved(&(saved[]){run_on(&spec, 1)}[0]);
    spec.sets[1] = "epochs=3";
    spec.resume = true;
    spec.from = "gone.h5"; /* as the command line still has it */
    assert_ok(run_train(&world, grid_columns(&world, 1) > 0 ? grid_columns(&world, 1) : 1, &spec,
                        &result));
    got = read_saved_rows("run", "latest.h5", new_rows, DIM);
    check_same_new(&got, &want);
    drop_saved(&got);
    drop_saved(&want);
}

/* The first line of the log. */
static json_t *read_start(void)
{
    char path[1100], line[16384];
    FILE *file;
    json_t *object;

    snprintf(path, sizeof path, "%s/log.jsonl", cf_test_scratch("run"));
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    object = json_loads(line, 0, NULL);
    assert_non_null(object);
    return object;
}

static void the_log_says_where_the_rows_came_from(void **state)
{
    int64_t n[2] = {0, 0};

    (void)state;
    train_old();
    write_shop("new.h5", TODAY);
    drop_saved(&(saved[]){run_on(&warm_run, 1)}[0]);
    for (int64_t k = 0; k < NEW_USERS; k++)
        n[CF_USERS] += old_user(k) >= 0;
    for (int64_t k = 0; k < NEW_ITEMS; k++)
        n[CF_ITEMS] += has_row(k);
    if (world.rank == 0) {
        json_t *start = read_start();
        const char *from = json_string_value(json_object_get(start, "from"));

        assert_non_null(from);
        assert_non_null(strstr(from, "old/latest.h5"));
        assert_int_equal(json_integer_value(json_object_get(start, "matched_users")), n[CF_USERS]);
        assert_int_equal(json_integer_value(json_object_get(start, "matched_items")), n[CF_ITEMS]);
        json_decref(start);
    }
    MPI_Barrier(world.comm);
}

/* ---- Refusals ------------------------------------------------------------------------------- */

static const struct {
    const char *set, *from, *from_data;
    cf_status status;
    const char *words;
} refusals[] = {
    {"model=BPR", "old/latest.h5", "old.h5", CF_ERR_USAGE,
     "its model is LightGCN with embedding_size 40, this run's is BPR with 40"},
    {"embedding_size=32", "old/latest.h5", "old.h5", CF_ERR_USAGE,
     "its model is LightGCN with embedding_size 40, this run's is LightGCN with 32"},
    {"model=EASE", "old/latest.h5", "old.h5", CF_ERR_USAGE,
     "EASE is solved, not trained: it has no start"},
    {"epochs=1", "old/latest.h5", "new.h5", CF_ERR_FORMAT, "was trained on another dataset than"},
    {"epochs=1", "old/latest.h5", "none.h5", CF_ERR_IO, "none.h5"},
    {"epochs=1", "none.h5", "old.h5", CF_ERR_IO, "none.h5"},
    {"epochs=1", "old.h5", "old.h5", CF_ERR_FORMAT, "old.h5"},
};

static void what_does_not_fit_is_refused(void **state)
{
    char folder[1024];

    (void)state;
    train_old();
    write_shop("new.h5", TODAY);
    for (size_t k = 0; k < sizeof refusals / sizeof *refusals; k++) {
        run_spec spec = warm_run;
        cf_train_result result;

        clear_folder("refused");
        scratch_path("refused", folder);
        if (world.rank == 0) (void)rmdir(folder); /* what a broken off test left */
        spec.folder = "refused";
        spec.sets[3] = refusals[k].set;
        spec.from = refusals[k].from;
        spec.from_data = refusals[k].from_data;
        assert_int_equal(run_train(&world, 1, &spec, &result), refusals[k].status);
        if (strstr(cf_error_message(), refusals[k].words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", cf_error_message(), refusals[k].words);
        if (world.rank == 0) assert_int_equal(access(folder, F_OK), -1); /* nothing is left */
    }
}

/* Datasets that have no item in common. */
static void a_dataset_of_other_ids_is_refused(void **state)
{
    cf_dataset_content content = {.user_ids = make_ids('u', USERS, NULL),
                                  .item_ids = make_ids('x', ITEMS, NULL),
                                  .source = "",
                                  .filters = "",
                                  .split = "",
                                  .embedding_model = ""};
    cf_test_graph pairs = all_pairs();
    cf_lists *const parts[] = {&content.train, &content.valid, &content.test};
    run_spec spec = warm_run;
    cf_train_result result;

    (void)state;
    train_old();
    for (int k = 0; k < 3; k++)
        *parts[k] = lists_of(&pairs, USERS, k, -1);
    assert_ok(
        cf_dataset_write(&world, cf_test_scratch("other.h5"), world.rank == 0 ? &content : NULL));
    spec.data = "other.h5";
    spec.sets[0] = "emb_selection=False";
    clear_folder("run");
    assert_int_equal(run_train(&world, 1, &spec, &result), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "has no trained row of an item of"));
    assert_non_null(strstr(cf_error_message(), "are their ids written alike?"));
    cf_dataset_destroy_strings(&content.user_ids);
    cf_dataset_destroy_strings(&content.item_ids);
    for (int k = 0; k < 3; k++) {
        cf_free(&parts[k]->start);
        cf_free(&parts[k]->index);
    }
    cf_test_graph_destroy(&pairs);
}

/* Each rank in turn lacks memory, ever later, until a run comes through. */
static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    cf_train_result result;
    cf_status status = CF_ERR_MEMORY;
    int64_t n = 1;

    (void)state;
    train_old();
    write_shop("new.h5", TODAY);
    for (int turn = 0; status != CF_OK; turn++, n += 1 + n / 2) {
        run_spec spec = warm_run;

        spec.fail_at = world.rank == turn % world.size ? n : 0;
        clear_folder("run");
        status = run_train(&world, 1, &spec, &result);
        if (status == CF_OK) break;
        assert_int_equal(status, CF_ERR_MEMORY);
        assert_non_null(strstr(cf_error_message(), "out of memory"));
    }
    assert_true(n > 100); /* so that the warm start was among what failed */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_same_dataset_has_the_same_rows),
    cmocka_unit_test(other_users_and_items_are_found_by_their_ids),
    cmocka_unit_test(without_vectors_new_items_are_noise),
    cmocka_unit_test(a_warm_run_resumes_without_the_other),
    cmocka_unit_test(the_log_says_where_the_rows_came_from),
    cmocka_unit_test(what_does_not_fit_is_refused),
    cmocka_unit_test(a_dataset_of_other_ids_is_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
