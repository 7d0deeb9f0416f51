/* reorder: two planted communities end in different halves of the leaves; what belongs to a user or
 * an item travels with it; the same bytes on any number of ranks; appended rows are behind the
 * leaves. All this also by all ranks, for as little reorder_memory as they need; what no clusters
 * or parts fit in is refused. */
#include "ranks.h"

enum { N_USERS = 120, N_ITEMS = 120, N_UNUSED = 8, N_LIST = 10, DIM = 2 };

/* On rank 0, and by all ranks: METIS would take 1.3e-4 GiB. */
static const char *const ways[] = {"reorder=bisect", "reorder=bisect|reorder_memory=1e-4"};
enum { N_WAYS = sizeof ways / sizeof *ways };

/* ---- Files ----------------------------------------------------------------------------------- */

/* User k and item k are of community k % 2; the last item of a user is of the other one. Both have
 * the same work. */
static const char *write_communities(writer *w)
{
    static const int strides[] = {7, 11, 13, 17, 19, 23, 29}; /* no divisors with N_ITEMS / 2 */

    w->size = w->n = 0;
    put(w, "user_id\titem_id\n");
    for (int user = 0; user < N_USERS; user++) {
        const int first = below(w, N_ITEMS / 2), stride = strides[below(w, 7)];

        for (int k = 0; k < N_LIST; k++) {
            const int other = k == N_LIST - 1 ? 1 - user % 2 : user % 2;

            put(w, "u%03d\ti%03d\n", user, (first + k * stride) % (N_ITEMS / 2) * 2 + other);
        }
    }
    return put_bytes("communities.inter", w->bytes, w->size);
}

/* Items in another order, then some that no interaction has; every eleventh has no vector. */
static const char *write_catalogue(writer *w)
{
    w->size = 0;
    put(w, "item_id\ttitle\tv:float_seq\n");
    for (int k = 0; k < N_ITEMS + N_UNUSED; k++) {
        const int item = k < N_ITEMS ? k * 77 % N_ITEMS : k;

        put(w, "i%03d\t%.*s %d\t", item, item % 9, "some title", item);
        if (item % 11 != 5) put(w, "%d %d.5", item, k);
        put(w, "\n");
    }
    return put_bytes("communities.item", w->bytes, w->size);
}

static const char *write_matrix(void)
{
    float rows[(N_ITEMS + N_UNUSED) * DIM];

    for (int e = 0; e < (N_ITEMS + N_UNUSED) * DIM; e++)
        rows[e] = (float)e / 3;
    return put_npy("communities.npy", 1, "<f4", (int64_t[]){N_ITEMS + N_UNUSED, DIM}, rows);
}

/* ---- A dataset in memory --------------------------------------------------------------------- */

/* All of it on every rank. */
typedef struct loaded {
    cf_dataset *dataset;
    cf_shard *shard;
    cf_strings names[3];
    float *rows;
    uint8_t *present;
    int64_t *by_id[2], *place[2]; /* of users, of items: numbers in order of ids, and the inverse */
} loaded;

static const cf_strings *sorted_names;

static int by_name(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return strcmp(sorted_names->bytes + sorted_names->start[a],
                  sorted_names->bytes + sorted_names->start[b]);
}

static void load(const char *path, loaded *out)
{
    cf_grid *grid = NULL;

    *out = (loaded){0};
    assert_ok(cf_dataset_open(&world, path, &out->dataset));
    assert_ok(cf_par_create_grid(&world, 1, world.size, &grid));
    assert_ok(cf_dataset_load_shard(out->dataset, grid, &out->shard));
    cf_par_destroy_grid(&grid);
    for (int k = 0; k < 3; k++) {
        const int64_t n = k == CF_USER_IDS ? out->dataset->n_users : out->dataset->n_items;

        assert_ok(cf_dataset_read_names(out->dataset, (cf_name_kind)k, 0, n, &out->names[k]));
        if (k == CF_ITEM_TITLES) break;
        assert_ok(CF_ALLOC(out->by_id[k], n));
        assert_ok(CF_ALLOC(out->place[k], n));
        for (int64_t row = 0; row < n; row++)
            out->by_id[k][row] = row;
        sorted_names = &out->names[k];
        qsort(out->by_id[k], (size_t)n, sizeof **out->by_id, by_name);
        for (int64_t row = 0; row < n; row++)
            out->place[k][out->by_id[k][row]] = row;
    }
    assert_ok(CF_ALLOC(out->rows, out->dataset->n_items * DIM));
    assert_ok(CF_ALLOC(out->present, out->dataset->n_items));
    if (out->dataset->embedding_dim > 0) {
        assert_int_equal(out->dataset->embedding_dim, DIM);
        assert_ok(cf_dataset_read_embedding(out->dataset, 0, out->dataset->n_items, out->rows,
                                            out->present));
    }
}

static void unload(loaded *l)
{
    for (int k = 0; k < 3; k++)
        cf_dataset_destroy_strings(&l->names[k]);
    for (int k = 0; k < 2; k++) {
        cf_free(&l->by_id[k]);
        cf_free(&l->place[k]);
    }
    cf_free(&l->rows);
    cf_free(&l->present);
    cf_dataset_destroy_shard(&l->shard);
    cf_dataset_close(&l->dataset);
}

static const char *name(const loaded *l, cf_name_kind kind, int64_t number)
{
    return l->names[kind].bytes + l->names[kind].start[number];
}

static int by_value(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return a < b ? -1 : a > b;
}

/* A user's list as places of ids, ascending; `*count` of them. */
static void list_places(const loaded *l, const cf_lists *lists, int64_t user, int64_t *out,
                        int64_t *count)
{
    *count = lists->start[user + 1] - lists->start[user];
    for (int64_t k = 0; k < *count; k++)
        out[k] = l->place[1][lists->index[lists->start[user] + k]];
    qsort(out, (size_t)*count, sizeof *out, by_value);
}

static void check_same_user(const loaded *a, const loaded *b, int64_t k)
{
    const cf_lists *lists[2][4] = {
        {&a->shard->train, &a->shard->valid, &a->shard->test, &a->shard->added},
        {&b->shard->train, &b->shard->valid, &b->shard->test, &b->shard->added}};
    int64_t places[2][N_ITEMS + N_UNUSED], count[2];

    assert_string_equal(name(a, CF_USER_IDS, a->by_id[0][k]), name(b, CF_USER_IDS, b->by_id[0][k]));
    for (int part = 0; part < 4; part++) {
        list_places(a, lists[0][part], a->by_id[0][k], places[0], &count[0]);
        list_places(b, lists[1][part], b->by_id[0][k], places[1], &count[1]);
        assert_int_equal(count[0], count[1]);
        assert_memory_equal(places[0], places[1], (size_t)count[0] * sizeof **places);
    }
}

/* The part of a row; `start`: of the leaves. */
static int part_of(const int64_t *start, int64_t n_leaves, int n_parts, int64_t row)
{
    int64_t leaf = 0;

    while (start[leaf + 1] <= row)
        leaf++;
    return (int)(leaf * n_parts / n_leaves);
}

/* Each part asks each row of other parts whether any of its rows has it. */
static int64_t count_crossing(const loaded *l, int n_parts)
{
    const cf_leaves *leaves = &l->dataset->leaves;
    const cf_lists *train = &l->shard->train;
    static bool needs[2][N_USERS + N_ITEMS + N_UNUSED][64];
    int64_t count = 0;

    memset(needs, 0, sizeof needs);
    for (int64_t u = 0; u < train->count; u++)
        for (int64_t e = train->start[u]; e < train->start[u + 1]; e++) {
            const int64_t i = train->index[e];
            const int parts[2] = {part_of(leaves->start[0], leaves->count, n_parts, u),
                                  part_of(leaves->start[1], leaves->count, n_parts, i)};

            needs[0][u][parts[1]] |= parts[0] != parts[1];
            needs[1][i][parts[0]] |= parts[0] != parts[1];
        }
    for (size_t k = 0; k < sizeof needs; k++)
        count += ((const bool *)needs)[k];
    return count;
}

static void check_crossing(const loaded *l)
{
    const cf_leaves *leaves = &l->dataset->leaves;
    int64_t k = 0;

    for (int n_parts = 2; n_parts <= leaves->count; n_parts *= 2, k++) {
        assert_true(k < leaves->n_crossing);
        assert_int_equal(leaves->crossing[k], count_crossing(l, n_parts));
    }
    assert_int_equal(leaves->n_crossing, k);
}

/* Two datasets have the same content by ids. */
static void check_same_content(const char *one, const char *other)
{
    loaded a, b;

    load(one, &a);
    load(other, &b);
    assert_int_equal(a.dataset->n_users, b.dataset->n_users);
    assert_int_equal(a.dataset->n_items, b.dataset->n_items);
    assert_int_equal(a.dataset->n_cold, b.dataset->n_cold);
    assert_int_equal(a.dataset->n_missing, b.dataset->n_missing);
    check_crossing(&b);
    for (int64_t k = 0; k < a.dataset->n_users; k++)
        check_same_user(&a, &b, k);
    for (int64_t k = 0; k < a.dataset->n_items; k++) {
        const int64_t i = a.by_id[1][k], j = b.by_id[1][k];

        assert_string_equal(name(&a, CF_ITEM_IDS, i), name(&b, CF_ITEM_IDS, j));
        assert_string_equal(name(&a, CF_ITEM_TITLES, i), name(&b, CF_ITEM_TITLES, j));
        if (a.shard->cold != NULL) assert_int_equal(a.shard->cold[i], b.shard->cold[j]);
        assert_int_equal(a.present[i], b.present[j]);
        assert_memory_equal(a.rows + i * DIM, b.rows + j * DIM, DIM * sizeof *a.rows);
    }
    unload(&a);
    unload(&b);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

/* Rows below `half` are all of one community, the others of the other one. */
static void check_halves(const loaded *l, cf_name_kind kind, int64_t half)
{
    const int64_t n = l->names[kind].count;

    assert_int_equal(half, n / 2);
    for (int64_t k = 0; k < n; k++)
        assert_int_equal(atoi(name(l, kind, k) + 1) % 2,
                         (atoi(name(l, kind, 0) + 1) + (k >= half)) % 2);
}

static void check_communities(int way)
{
    writer *w = calloc(1, sizeof *w);
    const cf_ingest_paths paths = {.train = write_communities(w), .out = file_path("halves.h5")};
    cf_ingest_report report;
    loaded l;

    if (prepare(&paths, ways[way], &report) != CF_OK) fail_msg("%s", cf_error_message());
    assert_int_equal(report.n_leaves, 4); /* of 240 rows, 32 to 63 each */
    assert_int_equal(report.n_leaf_parts, 1 + way);
    load(paths.out, &l);
    assert_int_equal(l.dataset->leaves.count, 4);
    check_halves(&l, CF_USER_IDS, l.dataset->leaves.start[0][2]);
    check_halves(&l, CF_ITEM_IDS, l.dataset->leaves.start[1][2]);
    check_crossing(&l);
    assert_in_range(l.dataset->leaves.crossing[0], N_USERS / 2, 2 * N_USERS);
    /* within a leaf the order is that of ids */
    for (int side = 0; side < 2; side++)
        for (int leaf = 0; leaf < 4; leaf++)
            for (int64_t k = l.dataset->leaves.start[side][leaf] + 1;
                 k < l.dataset->leaves.start[side][leaf + 1]; k++)
                assert_true(l.place[side][k - 1] < l.place[side][k]);
    unload(&l);
    free(w);
}

static void planted_communities_are_different_halves(void **state)
{
    (void)state;
    for (int way = 0; way < N_WAYS; way++)
        check_communities(way);
}

/* Cold items, items without interactions, titles, a column of vectors and a file of them. */
static const char *const variants[] = {
    "split=RS", "cold_share=0.3", "keep_items=all|max_train_items=3",
    "keep_items=all|embedding_field=v|missing_embedding=zero", "cold_share=0.2|split=RS"};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

static cf_ingest_paths variant_paths(writer *w, int k)
{
    return (cf_ingest_paths){.inter = write_communities(w),
                             .item = k > 0 ? write_catalogue(w) : NULL,
                             .embedding = k == 1 || k == 4 ? write_matrix() : NULL};
}

static void everything_travels_with_its_id(void **state)
{
    writer *w = calloc(1, sizeof *w);

    (void)state;
    for (int k = 0; k < N_WAYS * N_VARIANTS; k++) {
        const char *variant = variants[k / N_WAYS];
        cf_ingest_paths paths = variant_paths(w, k / N_WAYS);
        char settings[256];
        cf_ingest_report report[2];

        paths.out = file_path("plain.h5");
        if (prepare(&paths, variant, &report[0]) != CF_OK) fail_msg("%s", cf_error_message());
        paths.out = file_path("leaves.h5");
        snprintf(settings, sizeof settings, "%s|%s", variant, ways[k % N_WAYS]);
        if (prepare(&paths, settings, &report[1]) != CF_OK) fail_msg("%s", cf_error_message());
        assert_int_equal(report[0].n_leaves, 0);
        assert_true(report[1].n_leaves >= 4);
        report[1].n_leaves = report[1].n_leaf_parts = 0;
        report[1].seconds = report[0].seconds;
        assert_memory_equal(&report[0], &report[1], sizeof *report);
        check_same_content(file_path("plain.h5"), file_path("leaves.h5"));
    }
    free(w);
}

static void any_number_of_ranks_gives_the_same_bytes(void **state)
{
    writer *w = calloc(1, sizeof *w);

    (void)state;
    for (int k = 0; k < N_WAYS * N_VARIANTS; k++) {
        cf_ingest_paths paths = variant_paths(w, k / N_WAYS);
        char settings[256];

        paths.out = file_path("ranks.h5");
        snprintf(settings, sizeof settings, "%s|%s", variants[k / N_WAYS], ways[k % N_WAYS]);
        assert_int_equal(compare_with_one_rank(&paths, settings), CF_OK);
    }
    free(w);
}

/* Fewer rows than two leaves have: one leaf, in the order of ids. */
static void little_data_are_one_leaf(void **state)
{
    const cf_ingest_paths paths = {.inter = put_file("few.inter", INTER),
                                   .out = file_path("few.h5")};
    cf_ingest_report report;
    cf_dataset *dataset = NULL;
    char plain[DUMP_SIZE];

    (void)state;
    if (prepare(&paths, "", NULL) != CF_OK) fail_msg("%s", cf_error_message());
    snprintf(plain, sizeof plain, "%s", dump(paths.out));
    if (prepare(&paths, "reorder=bisect", &report) != CF_OK) fail_msg("%s", cf_error_message());
    assert_int_equal(report.n_leaves, 1);
    assert_string_equal(plain, dump(paths.out));
    assert_ok(cf_dataset_open(&world, paths.out, &dataset));
    assert_int_equal(dataset->leaves.start[1][1], 3);
    cf_dataset_close(&dataset);
}

/* Append with the settings' defaults. */
static cf_status append(const cf_ingest_append_paths *paths)
{
    const cf_setting *table = cf_ingest_append_settings;
    cf_ingest_append_report report;
    cf_ingest_options options;
    cf_config *config = NULL;
    cf_status status;

    assert_ok(cf_config_create(&table, 1, &config));
    assert_ok(cf_ingest_read_append_options(config, &options));
    status = cf_ingest_append(&world, &options, paths, &report);
    cf_config_destroy(&config);
    return status;
}

/* Old users and items keep their numbers and leaves; new ones are behind them. */
static void appended_rows_are_behind_the_leaves(void **state)
{
    writer *w = calloc(1, sizeof *w);
    const cf_ingest_paths paths = {.inter = write_communities(w), .out = file_path("base.h5")};
    const cf_ingest_append_paths news = {
        .data = paths.out,
        .item = put_file("later.item", "item_id\na_new_one\n"),
        .inter = put_file("later.inter", "user_id\titem_id\na_new_user\ta_new_one\nu007\ti000\n"),
        .out = file_path("later.h5")};
    loaded old, new;

    (void)state;
    if (prepare(&paths, "reorder=bisect", NULL) != CF_OK) fail_msg("%s", cf_error_message());
    if (append(&news) != CF_OK) fail_msg("%s", cf_error_message());
    load(paths.out, &old);
    load(news.out, &new);
    assert_int_equal(new.dataset->n_users, N_USERS + 1);
    assert_int_equal(new.dataset->n_items, N_ITEMS + 1);
    assert_string_equal(name(&new, CF_USER_IDS, N_USERS), "a_new_user");
    assert_string_equal(name(&new, CF_ITEM_IDS, N_ITEMS), "a_new_one");
    assert_int_equal(new.dataset->leaves.count, old.dataset->leaves.count);
    for (int side = 0; side < 2; side++) {
        assert_memory_equal(new.dataset->leaves.start[side], old.dataset->leaves.start[side],
                            (size_t)(old.dataset->leaves.count + 1) * sizeof(int64_t));
        for (int64_t k = 0; k < old.names[side].count; k++)
            assert_string_equal(name(&old, (cf_name_kind)side, k),
                                name(&new, (cf_name_kind)side, k));
    }
    unload(&old);
    unload(&new);
    free(w);
}

/* A memory in which METIS can take neither the clusters nor any part. */
static void what_no_part_fits_in_is_refused(void **state)
{
    writer *w = calloc(1, sizeof *w);
    cf_ingest_paths paths = {.inter = write_communities(w), .out = file_path("too_much.h5")};

    (void)state;
    assert_int_equal(prepare(&paths, "reorder=bisect|reorder_memory=1e-6", NULL), CF_ERR_USAGE);
    assert_string_equal(
        cf_error_message(),
        "reorder: bisect finds no clusters or parts of 240 users and items with 960 train "
        "interactions that METIS takes within reorder_memory, 1e-06 GiB: raise it, or set reorder: "
        "none");
    assert_int_not_equal(access(paths.out, F_OK), 0);
    free(w);
}

/* Allocations fail, on each rank in turn; no rank hangs, nothing leaks. */
static void fail_allocations(const char *memory)
{
    const cf_test_trial trial = {.attempt = prepare_dataset, .thinning = 12, .rotate = true};
    const cf_setting *table = cf_ingest_settings;
    writer *w = calloc(1, sizeof *w);
    preparation p = {.paths = variant_paths(w, 4)};
    cf_config *config = NULL;

    p.paths.out = file_path("memory.h5");
    assert_ok(cf_config_create(&table, 1, &config));
    assert_ok(cf_config_set(config, "reorder=bisect"));
    assert_ok(cf_config_set(config, memory));
    assert_ok(cf_config_set(config, "cold_share=0.2"));
    assert_ok(cf_config_set(config, "missing_embedding=zero"));
    assert_ok(cf_ingest_read_options(config, &p.options));
    assert_true(cf_test_every_allocation(&trial, &p) > 10);
    cf_config_destroy(&config);
    free(w);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    (void)state;
    fail_allocations("reorder_memory=16");
    fail_allocations("reorder_memory=1e-4");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(planted_communities_are_different_halves),
    cmocka_unit_test(everything_travels_with_its_id),
    cmocka_unit_test(any_number_of_ranks_gives_the_same_bytes),
    cmocka_unit_test(little_data_are_one_leaf),
    cmocka_unit_test(appended_rows_are_behind_the_leaves),
    cmocka_unit_test(what_no_part_fits_in_is_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
