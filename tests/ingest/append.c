/* append: what a dataset has with new items, users and interactions, by id; the same bytes on any
 * number of ranks; the same as a dataset that was prepared from all files. */
#include "append.h"

#include <stdarg.h>

enum { MAX_LINES = 64, LINE = 256 };

/* ---- A dataset as text, by id ---------------------------------------------------------------- */

typedef struct text {
    char line[MAX_LINES][LINE];
    int count;
} text;

__attribute__((format(printf, 2, 3))) static void put(text *t, const char *format, ...)
{
    char *line = t->line[t->count - 1];
    const size_t used = strlen(line);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line + used, LINE - used, format, arguments);
    va_end(arguments);
}

static void begin_line(text *t, const char *id)
{
    assert_true(t->count < MAX_LINES);
    t->line[t->count++][0] = '\0';
    put(t, "%s", id);
}

static int by_id(const void *left, const void *right)
{
    return strcmp(left, right);
}

/* The ids of a list, in the order of ids. */
static void put_list(text *t, const cf_lists *lists, int64_t user, const cf_strings *items)
{
    char ids[MAX_LINES][32];
    int n = 0;

    for (int64_t e = lists->start[user]; e < lists->start[user + 1]; e++)
        snprintf(ids[n++], sizeof ids[0], "%s", items->bytes + items->start[lists->index[e]]);
    qsort(ids, (size_t)n, sizeof ids[0], by_id);
    put(t, " |");
    for (int k = 0; k < n; k++)
        put(t, " %s", ids[k]);
}

/* A line an item: title, mark, vector; a line a user: train, valid, test, added. Sorted. */
static void describe(const char *path, text *t)
{
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;
    cf_strings names[3] = {{0}};
    float rows[MAX_LINES * DIM] = {0};
    uint8_t present[MAX_LINES];

    *t = (text){0};
    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_ok(cf_par_create_grid(&world, 1, world.size, &grid));
    assert_ok(cf_dataset_load_shard(dataset, grid, &shard));
    for (int k = CF_USER_IDS; k <= CF_ITEM_TITLES; k++)
        assert_ok(cf_dataset_read_names(dataset, (cf_name_kind)k, 0,
                                        k == CF_USER_IDS ? dataset->n_users : dataset->n_items,
                                        &names[k]));
    if (dataset->embedding_dim > 0)
        assert_ok(cf_dataset_read_embedding(dataset, 0, dataset->n_items, rows, present));
    for (int64_t i = 0; i < dataset->n_items; i++) {
        begin_line(t, names[1].bytes + names[1].start[i]);
        put(t, " \"%s\" %d", names[2].bytes + names[2].start[i],
            shard->cold != NULL ? shard->cold[i] : 0);
        if (dataset->embedding_dim > 0 && present[i])
            put(t, " %g %g %g", (double)rows[i * DIM], (double)rows[i * DIM + 1],
                (double)rows[i * DIM + 2]);
    }
    for (int64_t u = 0; u < dataset->n_users; u++) {
        begin_line(t, names[0].bytes + names[0].start[u]);
        put_list(t, &shard->train, u, &names[1]);
        put_list(t, &shard->valid, u, &names[1]);
        put_list(t, &shard->test, u, &names[1]);
        put_list(t, &shard->added, u, &names[1]);
    }
    qsort(t->line, (size_t)t->count, sizeof t->line[0], by_id);
    for (int k = 0; k < 3; k++)
        cf_dataset_destroy_strings(&names[k]);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
}

static void check_text(const char *path, const char *const *want, int count)
{
    text got;

    describe(path, &got);
    for (int k = 0; k < cf_min(got.count, count); k++)
        assert_string_equal(got.line[k], want[k]);
    assert_int_equal(got.count, count);
}

static void check_same(const char *path, const char *as)
{
    text got, want;

    describe(path, &got);
    describe(as, &want);
    assert_int_equal(got.count, want.count);
    for (int k = 0; k < want.count; k++)
        assert_string_equal(got.line[k], want.line[k]);
}

/* ---- Calls ------------------------------------------------------------------------------------
 */

static void append(const cf_ingest_append_paths *paths)
{
    if (append_with(&world, paths, "", NULL) != CF_OK) fail_msg("%s", cf_error_message());
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void everything_new_has_its_place(void **state)
{
    static const char *const want[] = {
        "a \"A\" 0 1 2 3",    "b \"B\" 0 4 5 6",      "c \"C\" 0 7 8 9",      "d \"D\" 0 10 11 12",
        "e \"E\" 0 13 14 15", "f \"F\" 0 16 17 18",   "n1 | | | z | a x",     "n3 | | | | b",
        "n4 | | | y |",       "u1 | a b | c | | d x", "u2 | b c | a | d |",   "u3 | a d | | b |",
        "u4 | e | | a |",     "u5 | f | | |",         "x \"Xen\" 3 -1 -2 -3", "y \"Yps\" 3 0.5 1 2",
        "z \"\" 3 9 9 9"};
    cf_ingest_append_report r;
    cf_ingest_append_paths paths;
    cf_dataset *dataset[2] = {NULL};

    (void)state;
    make_base("<f4");
    paths = all_files();
    assert_ok(append_with(&world, &paths, "", &r));
    check_text(out, want, sizeof want / sizeof *want);
    assert_int_equal(r.n_users, 8);
    assert_int_equal(r.n_items, 9);
    assert_int_equal(r.new_users, 3);
    assert_int_equal(r.new_items, 3);
    assert_int_equal(r.known_items, 1);
    assert_int_equal(r.added, 5);
    assert_int_equal(r.test, 3);
    assert_int_equal(r.moved, 1);
    assert_int_equal(r.repeats, 5); /* u1 a, u1 c, n1 a, and in test u1 x, u3 b */
    assert_int_equal(r.unknown, 2);
    assert_int_equal(r.n_missing, 0);
    assert_ok(cf_dataset_open(&world, base, &dataset[0]));
    assert_ok(cf_dataset_open(&world, out, &dataset[1]));
    assert_true(dataset[1]->base.digest == dataset[0]->digest);
    assert_int_equal(dataset[1]->base.n_users, 5);
    assert_int_equal(dataset[1]->base.n_items, 6);
    cf_dataset_close(&dataset[0]);
    cf_dataset_close(&dataset[1]);
}

static bool are_equal_files(const char *a, const char *b)
{
    char command[2 * PATH_SIZE + 16];
    int differ = 0;

    snprintf(command, sizeof command, "cmp '%s' '%s'", a, b);
    if (world.rank == 0) differ = system(command) != 0;
    MPI_Bcast(&differ, 1, MPI_INT, 0, world.comm);
    return !differ;
}

/* Rank 0 appends alone to another file. */
static void the_bytes_are_those_of_one_rank(void **state)
{
    cf_ingest_append_paths paths;

    (void)state;
    make_base("<f4");
    paths = all_files();
    append(&paths);
    paths.out = other;
    if (world.rank == 0) assert_ok(append_with(&cf_test_self, &paths, "", NULL));
    MPI_Barrier(world.comm);
    assert_true(are_equal_files(out, other));
}

/* Items that were appended are those of a dataset that was prepared with them. */
static void appended_items_are_those_of_a_prepared_dataset(void **state)
{
    float rows[27];
    cf_ingest_append_paths paths;
    cf_ingest_paths all;

    (void)state;
    make_base("<f2");
    paths = (cf_ingest_append_paths){
        .data = base,
        .item = put_file("new.item", NEW_ITEMS),
        .embedding = put_npy("new.npy", 1, "<f4", (int64_t[]){4, DIM}, new_rows),
        .out = out};
    append(&paths);
    memcpy(rows, old_rows, sizeof old_rows);
    memcpy(rows + 18, new_rows, 3 * sizeof *rows);     /* y */
    memcpy(rows + 21, new_rows + 6, 6 * sizeof *rows); /* x, z */
    all = (cf_ingest_paths){.train = put_file("train.inter", TRAIN),
                            .valid = put_file("valid.inter", VALID),
                            .test = put_file("test.inter", TEST),
                            .item = put_file("all.item", OLD_ITEMS "y\tYps\nx\tXen\nz\t\n"),
                            .embedding = put_npy("all.npy", 1, "<f4", (int64_t[]){9, DIM}, rows),
                            .out = other};
    assert_ok(prepare(&all, "keep_items=all", NULL));
    check_same(out, other);
}

/* x, then y with what there is of it: as both at once. The base stays that of the training. */
static void appending_twice_is_appending_once(void **state)
{
    static const float x[] = {-1, -2, -3}, y[] = {0.5, 1, 2}, both[] = {-1, -2, -3, 0.5, 1, 2};
    cf_ingest_append_paths paths;
    cf_dataset *dataset = NULL;
    char twice[PATH_SIZE];

    (void)state;
    make_base("<f4");
    snprintf(twice, sizeof twice, "%s", cf_test_scratch("twice.h5"));
    append(&(cf_ingest_append_paths){
        .data = base,
        .item = put_file("x.item", "item_id\ttitle\nx\tXen\n"),
        .embedding = put_npy("x.npy", 1, "<f4", (int64_t[]){1, DIM}, x),
        .inter = put_file("x.inter", "user_id\titem_id\nn9\tx\nu2\tx\nu1\td\n"),
        .out = other});
    append(&(cf_ingest_append_paths){
        .data = other,
        .item = put_file("y.item", "item_id\ttitle\ny\tYps\n"),
        .embedding = put_npy("y.npy", 1, "<f4", (int64_t[]){1, DIM}, y),
        .inter = put_file("y.inter", "user_id\titem_id\nn1\ty\nn9\ty\nu2\tx\nn9\ta\n"),
        .test = put_file("y.test", "user_id\titem_id\nn1\tx\nu2\tx\nu5\ty\n"),
        .out = twice});
    paths = (cf_ingest_append_paths){
        .data = base,
        .item = put_file("xy.item", "item_id\ttitle\nx\tXen\ny\tYps\n"),
        .embedding = put_npy("xy.npy", 1, "<f4", (int64_t[]){2, DIM}, both),
        .inter = put_file("xy.inter", "user_id\titem_id\nn9\tx\nu2\tx\nu1\td\n"
                                      "n1\ty\nn9\ty\nn9\ta\n"),
        .test = put_file("xy.test", "user_id\titem_id\nn1\tx\nu2\tx\nu5\ty\n"),
        .out = out};
    append(&paths);
    check_same(twice, out);
    assert_ok(cf_dataset_open(&world, twice, &dataset));
    assert_int_equal(dataset->base.n_users, 5);
    assert_int_equal(dataset->base.n_items, 6);
    cf_dataset_close(&dataset);
}

/* New users alone, and new items without titles or vectors. */
static void what_is_not_given_is_not_needed(void **state)
{
    cf_ingest_append_report r;
    text got;

    (void)state;
    make_base("<f4");
    append(
        &(cf_ingest_append_paths){.data = base,
                                  .inter = put_file("new.inter", "user_id\titem_id\nn\tb\nn\ta\n"),
                                  .out = out});
    describe(out, &got);
    assert_int_equal(got.count, 6 + 6);
    assert_string_equal(got.line[6], "n | | | | a b");
    assert_ok(append_with(&world,
                          &(cf_ingest_append_paths){
                              .data = base, .item = put_file("new.item", "id\nx\ny\n"), .out = out},
                          "item_field=id", &r));
    assert_int_equal(r.n_missing, 2);
    describe(out, &got);
    assert_string_equal(got.line[11], "x \"\" 3");
}

/* Vectors of any type take that of the dataset; an id file says whose they are, and may lack one.
 */
static void vectors_take_the_type_of_the_dataset(void **state)
{
    static const char *const types[] = {"<f2", "<f4"};
    const double wide[] = {0.5, 1, 2, 0.1, 0.2, 0.3};
    const float third[] = {1.0F / 3, 1, 2};
    const uint16_t half[] = {0x3800, 0x3c00, 0x4000};
    text got;

    (void)state;
    for (int t = 0; t < 2; t++) {
        cf_ingest_append_report r;
        float rows[2] = {0.1F, 1.0F / 3};
        uint16_t halves[2];
        char want[64];

        make_base(types[t]);
        cf_store_f32_to_f16(rows, halves, 2);
        if (t == 0) cf_store_f16_to_f32(halves, rows, 2);
        assert_ok(
            append_with(&world,
                        &(cf_ingest_append_paths){
                            .data = base,
                            .item = put_file("new.item", "item_id\nx\ny\nz\n"),
                            .embedding = put_npy("new.npy", 1, "<f8", (int64_t[]){2, DIM}, wide),
                            .embedding_ids = put_file("new.ids", "z\nx\n"),
                            .out = out},
                        "", &r));
        assert_int_equal(r.n_missing, 1);
        assert_int_equal(stored_type(out), t == 0 ? CF_F16 : CF_F32);
        describe(out, &got);
        snprintf(want, sizeof want, "x \"\" 3 %g", (double)rows[0]);
        assert_int_equal(strncmp(got.line[11], want, strlen(want)), 0);
        assert_string_equal(got.line[12], "y \"\" 3");
        assert_string_equal(got.line[13], "z \"\" 3 0.5 1 2");

        append(&(cf_ingest_append_paths){
            .data = base,
            .item = put_file("new.item", "item_id\nx\n"),
            .embedding = put_npy("new.npy", 1, "<f4", (int64_t[]){1, DIM}, third),
            .out = out});
        describe(out, &got);
        snprintf(want, sizeof want, "x \"\" 3 %g 1 2", (double)rows[1]);
        assert_string_equal(got.line[11], want);
        append(&(cf_ingest_append_paths){
            .data = base,
            .item = put_file("new.item", "item_id\nx\n"),
            .embedding = put_npy("new.npy", 1, "<f2", (int64_t[]){1, DIM}, half),
            .out = out});
        describe(out, &got);
        assert_string_equal(got.line[11], "x \"\" 3 0.5 1 2");
        assert_ok(append_with(
            &world,
            &(cf_ingest_append_paths){
                .data = base, .item = put_file("new.item", "item_id\tv\nx\t0.5 1 2\n"), .out = out},
            "embedding_field=v", NULL));
        describe(out, &got);
        assert_string_equal(got.line[11], "x \"\" 3 0.5 1 2");
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(everything_new_has_its_place),
    cmocka_unit_test(the_bytes_are_those_of_one_rank),
    cmocka_unit_test(appended_items_are_those_of_a_prepared_dataset),
    cmocka_unit_test(appending_twice_is_appending_once),
    cmocka_unit_test(what_is_not_given_is_not_needed),
    cmocka_unit_test(vectors_take_the_type_of_the_dataset),
};
CF_TEST_MAIN(tests)
