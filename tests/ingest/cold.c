/* Cold items: who is marked, where their interactions go, and that nothing else changes. And
 * max_train_items, which users then keep. */
#include "fixture.h"

#include "ingest/ids.h"

enum { N_USERS = 40, N_ITEMS = 23, N_LINES = 400 };

/* The marks of all items, in the order of their numbers; "" if none is marked. Static buffer. */
static const char *marks_of(const char *path)
{
    static char out[MAX_PATHS][64];
    static int next;
    char *marks = out[next++ % MAX_PATHS];
    cf_dataset *dataset = NULL;

    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_true(dataset->n_items < 64);
    marks[0] = 0;
    for (int64_t i = 0; i < dataset->n_items && dataset->cold != NULL; i++)
        sprintf(marks + i, "%d", dataset->cold[i]);
    cf_dataset_close(&dataset);
    return marks;
}

static void assert_text(const char *path, const char *want)
{
    cf_store *store = NULL;
    char *split = NULL;

    assert_ok(cf_store_open(&world, path, "dataset", &store));
    assert_ok(cf_store_read_text(store, "split", &split));
    assert_string_equal(split, want);
    cf_free(&split);
    cf_store_close(&store);
}

/* ---- Drawn items ----------------------------------------------------------------------------- */

static uint64_t hash_of(const char *id)
{
    return ingest_hash(id, (int64_t)strlen(id));
}

/* The mark of each of `n` items "i10", "i11", ...: by how many come before it. */
static void draw_plainly(int n, int64_t seed, double share, uint8_t *marks)
{
    const cf_random random = {(uint64_t)seed, CF_STREAM_COLD};
    uint64_t keys[N_ITEMS];
    char id[16];

    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof id, "i%d", 10 + i);
        keys[i] = cf_random_bits(random, hash_of(id), 0, 0);
    }
    for (int i = 0; i < n; i++) {
        int before = 0;

        for (int j = 0; j < n; j++)
            before += keys[j] < keys[i];
        marks[i] = before < (int)(share * n / 2)       ? CF_COLD_VALID
                   : before < 2 * (int)(share * n / 2) ? CF_COLD_TEST
                                                       : 0;
    }
}

/* Interactions of N_ITEMS items by N_USERS users, some with times that tie. Those of items that
 * `marks` has (NULL: none) are left out. */
static const char *make_inter(const char *name, const uint8_t *marks)
{
    static char text[N_LINES * 32];
    char *at = text + sprintf(text, "user_id\titem_id\ttimestamp\n");

    for (uint64_t k = 0; k < N_LINES; k++) {
        const cf_random random = {4, CF_STREAM_TEST};
        const int item = (int)cf_random_below(random, k, 0, 0, N_ITEMS);

        if (marks != NULL && marks[item]) continue;
        at += sprintf(at, "u%lld\ti%d\t%lld\n",
                      (long long)(10 + cf_random_below(random, k, 1, 0, N_USERS)), 10 + item,
                      (long long)cf_random_below(random, k, 2, 0, 30));
    }
    return put_file(name, text);
}

/* The parts of a dataset's users: their warm items, and how many cold ones. */
typedef struct content {
    int64_t n_users;
    char users[N_USERS][8];
    char parts[N_USERS][3][8 * N_ITEMS]; /* "i11 i12 " */
    int n_cold[N_USERS][3][4];           /* items of each mark */
} content;

static void add_part(const cf_dataset *dataset, const cf_lists *lists, const cf_strings *ids,
                     int part, content *out)
{
    for (int64_t u = 0; u < dataset->n_users; u++)
        for (int64_t e = lists->start[u]; e < lists->start[u + 1]; e++) {
            const int64_t item = lists->index[e];
            const int mark = dataset->cold != NULL ? dataset->cold[item] : 0;

            out->n_cold[u][part][mark]++;
            if (mark) continue;
            strcat(out->parts[u][part], ids->bytes + ids->start[item]);
            strcat(out->parts[u][part], " ");
        }
}

static void read_content(const char *path, content *out)
{
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;
    cf_strings users = {0}, items = {0};

    *out = (content){0};
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_ok(cf_par_create_grid(&world, 1, world.size, &grid));
    assert_ok(cf_dataset_load_shard(dataset, grid, &shard));
    assert_ok(cf_dataset_read_names(dataset, CF_USER_IDS, 0, dataset->n_users, &users));
    assert_ok(cf_dataset_read_names(dataset, CF_ITEM_IDS, 0, dataset->n_items, &items));
    out->n_users = dataset->n_users;
    for (int64_t u = 0; u < dataset->n_users; u++)
        snprintf(out->users[u], sizeof out->users[u], "%s", users.bytes + users.start[u]);
    add_part(dataset, &shard->train, &items, 0, out);
    add_part(dataset, &shard->valid, &items, 1, out);
    add_part(dataset, &shard->test, &items, 2, out);
    cf_dataset_destroy_strings(&users);
    cf_dataset_destroy_strings(&items);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
}

/* Users of `warm`, which lacks the cold items, have the same parts in `all`. */
static void assert_same_warm_parts(const content *all, const content *warm)
{
    int64_t at = 0;

    for (int64_t u = 0; u < all->n_users; u++) {
        const bool has = at < warm->n_users && strcmp(all->users[u], warm->users[at]) == 0;

        for (int part = 0; part < 3; part++)
            assert_string_equal(all->parts[u][part], has ? warm->parts[at][part] : "");
        at += has;
    }
    assert_int_equal(at, warm->n_users);
}

/* The first items by hash are cold, their interactions are in their part alone, and the others are
 * split as in a file without the cold ones. */
static void check_share(const char *settings, int64_t seed, double share)
{
    static content all, warm;
    char text[256], want[64] = "";
    uint8_t marks[N_ITEMS];
    int64_t counts[2] = {0, 0}, empty = 0;
    cf_ingest_report report;
    cf_ingest_paths paths = {.inter = make_inter("all.inter", NULL), .out = file_path("all.h5")};

    draw_plainly(N_ITEMS, seed, share, marks);
    snprintf(text, sizeof text, "%s|seed=%lld|cold_share=%g", settings, (long long)seed, share);
    assert_ok(prepare(&paths, text, &report));
    read_content(paths.out, &all);
    for (int i = 0; i < N_ITEMS; i++)
        sprintf(want + i, "%d", marks[i]);
    assert_string_equal(marks_of(paths.out), want);
    paths =
        (cf_ingest_paths){.inter = make_inter("warm.inter", marks), .out = file_path("warm.h5")};
    snprintf(text, sizeof text, "%s|seed=%lld", settings, (long long)seed);
    assert_ok(prepare(&paths, text, NULL));
    assert_string_equal(marks_of(paths.out), "");
    read_content(paths.out, &warm);
    assert_same_warm_parts(&all, &warm);
    for (int64_t u = 0; u < all.n_users; u++) {
        int(*n)[4] = all.n_cold[u];

        assert_int_equal(n[0][1] + n[0][2] + n[1][2] + n[2][1], 0);
        counts[0] += n[1][1];
        counts[1] += n[2][2];
        empty += n[0][0] == 0;
    }
    assert_true(counts[0] > 0 && counts[1] > 0);
    assert_int_equal(report.cold.n_items, 2 * (int)(share * N_ITEMS / 2));
    for (int part = 0; part < 2; part++) {
        assert_int_equal(report.cold.n_candidates[part], (int)(share * N_ITEMS / 2));
        assert_int_equal(report.cold.n_interactions[part], counts[part]);
    }
    assert_int_equal(report.n_no_train, empty);
}

static void a_share_of_the_items_is_cold(void **state)
{
    (void)state;
    check_share("split=LS", 2020, 0.3);
    check_share("split=LS|order=time", 5, 0.2);
    check_share("split=RS|split_ratios=[0.5, 0.25, 0.25]", 5, 0.4);
    check_share("split=RS|order=time", 1, 0.1);
}

/* With most items cold some users lose all of train. */
static void users_may_lose_all_of_train(void **state)
{
    cf_ingest_report report;
    cf_ingest_paths paths = {.inter = make_inter("all.inter", NULL), .out = file_path("all.h5")};

    (void)state;
    check_share("split=RS|split_ratios=[1, 0, 0]", 7, 0.9);
    assert_ok(prepare(&paths, "seed=7|cold_share=0.9|max_train_items=2", &report));
    assert_true(report.n_no_train > 0);
    assert_text(paths.out, "LS valid_and_test; cold_share 0.9; max_train_items 2; order random");
}

static void shares_that_leave_nothing_are_refused(void **state)
{
    char text[200] = "item_id\n";
    cf_ingest_paths paths = {.inter = put_file("one.inter", "user_id\titem_id\nu\ti10\nv\ti10\n"),
                             .out = file_path("one.h5")};
    uint8_t marks[N_ITEMS];
    int64_t seed = 0;

    (void)state;
    assert_refused(prepare(&paths, "cold_share=0.9", NULL), CF_ERR_USAGE,
                   "cold_share 0.9 of 1 items is less than one for valid and one for test");
    for (int i = 0; i < 10; i++)
        sprintf(text + strlen(text), "i%d\n", 10 + i);
    paths.item = put_file("one.item", text);
    do
        draw_plainly(10, ++seed, 0.5, marks);
    while (marks[0] != CF_COLD_TEST);
    snprintf(text, sizeof text, "keep_items=all|split=RS|cold_share=0.5|seed=%lld",
             (long long)seed);
    assert_refused(prepare(&paths, text, NULL), CF_ERR_FORMAT,
                   "one.inter: no interactions are left for train with cold_share 0.5: give "
                   "another seed or share");
    do
        draw_plainly(10, ++seed, 0.5, marks);
    while (marks[0] != 0);
    snprintf(text, sizeof text, "keep_items=all|split=RS|cold_share=0.5|seed=%lld",
             (long long)seed);
    assert_refused(prepare(&paths, text, NULL), CF_ERR_FORMAT, "left for valid with cold_share");
}

static void shares_need_a_split_to_make(void **state)
{
    const char *inter = put_file("r.inter", "user_id\titem_id\ttimestamp\nu\ta\t1\nu\tb\t2\n");

    (void)state;
    assert_refused(prepare(&(cf_ingest_paths){.inter = inter, .out = file_path("r.h5")},
                           "split=TS|split_times=[1, 2]|cold_share=0.2", NULL),
                   CF_ERR_USAGE, "cold_share: goes with split: LS or RS");
    assert_refused(prepare(&(cf_ingest_paths){.train = inter, .out = file_path("r.h5")},
                           "cold_share=0.2", NULL),
                   CF_ERR_USAGE, "cold_share goes with --inter");
    assert_refused(prepare(&(cf_ingest_paths){.train = inter, .out = file_path("r.h5")},
                           "max_train_items=1|order=time", NULL),
                   CF_ERR_USAGE, "max_train_items with --train takes items in random order");
}

/* ---- Items that train lacks for other reasons ------------------------------------------------ */

/* a is in all parts, b in valid, c in test, d in both, f in train alone. */
static const char later[] = "user_id\titem_id\ttimestamp\n"
                            "u\ta\t1\nu\tf\t2\nu\tb\t5\nu\td\t6\nv\ta\t5\nv\td\t9\nv\tc\t9\n";

static void times_make_items_cold(void **state)
{
    cf_ingest_report report;
    const cf_ingest_paths paths = {.inter = put_file("t.inter", later), .out = file_path("t.h5")};

    (void)state;
    assert_ok(prepare(&paths, "split=TS|split_times=[3, 7]", &report));
    assert_string_equal(dump(paths.out), "u: a f | b d |\nv: | a | c d\n");
    assert_string_equal(marks_of(paths.out), "01230");
    assert_int_equal(report.cold.n_items, 3);
    assert_int_equal(report.cold.n_candidates[0], 2);
    assert_int_equal(report.cold.n_candidates[1], 2);
    assert_int_equal(report.cold.n_interactions[0], 2);
    assert_int_equal(report.cold.n_interactions[1], 2);
    assert_int_equal(report.n_no_train, 1);
    assert_ok(prepare(&paths, "split=TS|split_times=[3, 7]|max_train_items=1", &report));
    assert_string_equal(dump(paths.out), "u: a | b d |\nv: | a | c d\n");
    assert_string_equal(marks_of(paths.out), "01233"); /* f has lost its interaction */
    assert_int_equal(report.n_above_most, 1);
    assert_text(paths.out, "TS 3 7; max_train_items 1");
}

static void given_files_make_items_cold(void **state)
{
    cf_ingest_report report;
    const cf_ingest_paths paths = {
        .train = put_file("t.inter", "user_id\titem_id\nu\ta\nu\tf\nv\ta\n"),
        .valid = put_file("v.inter", "user_id\titem_id\nu\tb\nv\td\nu\td\n"),
        .test = put_file("e.inter", "user_id\titem_id\nv\tc\nw\td\nw\tf\n"),
        .item = put_file("t.item", "item_id\na\nb\nc\nd\ne\nf\n"),
        .out = file_path("t.h5")};

    (void)state;
    assert_ok(prepare(&paths, "", &report));
    assert_string_equal(marks_of(paths.out), "01230");
    assert_int_equal(report.cold.n_interactions[0], 3);
    assert_int_equal(report.cold.n_interactions[1], 2);
    assert_int_equal(report.n_no_train, 1);
    assert_ok(prepare(&paths, "keep_items=all", &report));
    assert_string_equal(marks_of(paths.out), "012330"); /* e has no interaction at all */
    assert_int_equal(report.cold.n_candidates[1], 3);
}

/* The last item of a user is in test. With interacted items alone nothing is marked. */
static void the_catalogue_makes_items_cold(void **state)
{
    const cf_ingest_paths paths = {.inter = put_file("t.inter", later),
                                   .item = put_file("t.item", "item_id\na\nb\nc\nd\ne\nf\n"),
                                   .out = file_path("t.h5")};

    (void)state;
    assert_ok(prepare(&paths, "order=time", NULL));
    assert_string_equal(dump(paths.out), "u: a f | b | d\nv: a | d | c\n");
    assert_string_equal(marks_of(paths.out), "");
    assert_ok(prepare(&paths, "order=time|keep_items=all", NULL));
    assert_string_equal(marks_of(paths.out), "012330");
}

/* ---- max_train_items ------------------------------------------------------------------------- */

static void the_first_train_items_by_time_are_kept(void **state)
{
    static const char text[] = "user_id\titem_id\ttimestamp\n"
                               "u\ta\t9\nu\tb\t1\nu\tc\t4\nu\td\t2\nu\te\t4\nu\tf\t3\nv\ta\t1\n";
    cf_ingest_report report;
    const cf_ingest_paths paths = {.inter = put_file("m.inter", text), .out = file_path("m.h5")};

    (void)state;
    assert_string_equal(dump_of(text, "order=time"), "u: b c d f | e | a\nv: a | |\n");
    assert_string_equal(dump_of(text, "order=time|max_train_items=4"),
                        "u: b c d f | e | a\nv: a | |\n");
    assert_string_equal(dump_of(text, "order=time|max_train_items=3"),
                        "u: b d f | e | a\nv: a | |\n");
    assert_string_equal(dump_of(text, "order=time|max_train_items=1"), "u: b | e | a\nv: a | |\n");
    assert_string_equal(
        dump_of(text, "order=time|max_train_items=2|split=RS|split_ratios=[0.5, 0.17, 0.34]"),
        "u: b d | c | a e\nv: a | |\n");
    assert_ok(prepare(&paths, "order=time|max_train_items=2", &report));
    assert_int_equal(report.n_above_most, 2);
    assert_int_equal(report.cold.n_items, 0);
    assert_text(paths.out, "LS valid_and_test; max_train_items 2; order time");
}

/* Of user "u", the `most` of n items a, b, ... that come first in the random order. */
static void first_plainly(const char *items, int most, char *out)
{
    const cf_random random = {2020, CF_STREAM_SPLIT};
    const int n = (int)strlen(items);

    *out = 0;
    for (int i = 0; i < n; i++) {
        const char id[2] = {items[i], 0};
        int before = 0;

        for (int j = 0; j < n; j++) {
            const char other[2] = {items[j], 0};

            before += cf_random_bits(random, hash_of("u"), hash_of(other), 0) <
                      cf_random_bits(random, hash_of("u"), hash_of(id), 0);
        }
        if (before < most) sprintf(out + strlen(out), " %s", id);
    }
}

/* At random, also of a split that files give. */
static void the_first_train_items_at_random_are_kept(void **state)
{
    static const char train[] = "user_id\titem_id\nu\ta\nu\tb\nu\tc\nu\td\nu\te\n";
    char settings[64], first[64], want[128];

    (void)state;
    for (int most = 1; most < 6; most++) {
        const cf_ingest_paths paths = {.train = put_file("t.inter", train),
                                       .test = put_file("e.inter", "user_id\titem_id\nu\tf\n"),
                                       .out = file_path("m.h5")};

        first_plainly("abcde", most, first);
        snprintf(settings, sizeof settings, "max_train_items=%d", most);
        assert_ok(prepare(&paths, settings, NULL));
        snprintf(want, sizeof want, "u:%s | | f\n", first);
        assert_string_equal(dump(paths.out), want);
        snprintf(settings, sizeof settings, "split=RS|split_ratios=[1,0,0]|max_train_items=%d",
                 most);
        snprintf(want, sizeof want, "u:%s | |\n", first);
        assert_string_equal(dump_of(train, settings), want);
    }
}

/* Allocations fail, the later ones not all of them, on each rank in turn. */
static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = prepare_dataset, .thinning = 2, .least = {45, 4}};
    preparation p = {
        .paths = {.inter = make_inter("memory.inter", NULL), .out = file_path("memory.h5")}};
    const cf_setting *table = cf_ingest_settings;
    cf_config *config = NULL;

    (void)state;
    assert_ok(cf_config_create(&table, 1, &config));
    assert_ok(cf_config_set(config, "cold_share=0.3"));
    assert_ok(cf_config_set(config, "max_train_items=2"));
    assert_ok(cf_ingest_read_options(config, &p.options));
    assert_true(cf_test_every_allocation(&trial, &p) >= 3);
    cf_config_destroy(&config);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_share_of_the_items_is_cold),
    cmocka_unit_test(users_may_lose_all_of_train),
    cmocka_unit_test(shares_that_leave_nothing_are_refused),
    cmocka_unit_test(shares_need_a_split_to_make),
    cmocka_unit_test(times_make_items_cold),
    cmocka_unit_test(given_files_make_items_cold),
    cmocka_unit_test(the_catalogue_makes_items_cold),
    cmocka_unit_test(the_first_train_items_by_time_are_kept),
    cmocka_unit_test(the_first_train_items_at_random_are_kept),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
