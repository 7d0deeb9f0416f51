/* weight_field: weights go with the train interactions that are kept, whatever moves these; what is
 * no weight is refused. */
#include "ranks.h"

#define HEADER "user_id:token\titem_id:token\tplays:float\ttimestamp:float\n"

/* The train part as lines "user: item=weight ...", in the order of numbers. Static buffer. */
static const char *dump_weights(const char *path)
{
    static char out[DUMP_SIZE];
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;
    cf_strings users = {0}, items = {0};
    size_t used = 0;

    assert_ok(cf_dataset_open(&world, path, &dataset));
    assert_true(dataset->has_weights);
    assert_ok(cf_par_create_grid(&world, 1, world.size, &grid));
    assert_ok(cf_dataset_load_shard(dataset, grid, &shard));
    assert_ok(cf_dataset_read_names(dataset, CF_USER_IDS, 0, dataset->n_users, &users));
    assert_ok(cf_dataset_read_names(dataset, CF_ITEM_IDS, 0, dataset->n_items, &items));
    out[0] = 0;
    for (int64_t u = 0; u < dataset->n_users; u++) {
        used += (size_t)sprintf(out + used, "%s:", users.bytes + users.start[u]);
        for (int64_t e = shard->train.start[u]; e < shard->train.start[u + 1]; e++)
            used += (size_t)sprintf(out + used, " %s=%g",
                                    items.bytes + items.start[shard->train.index[e]],
                                    (double)shard->train.weight[e]);
        used += (size_t)sprintf(out + used, "\n");
    }
    cf_dataset_destroy_strings(&users);
    cf_dataset_destroy_strings(&items);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
    return out;
}

static const char *weights_of(const char *text, const char *settings)
{
    const cf_ingest_paths paths = {.inter = put_file("data.inter", text),
                                   .out = file_path("data.h5")};

    assert_ok(prepare(&paths, settings, NULL));
    return dump_weights(paths.out);
}

static void weights_go_with_their_interactions(void **state)
{
    static const char text[] = HEADER "bob\tp3\t3.5\t30\nbob\tp1\t1\t10\nbob\tp2\t2e1\t20\n"
                                      "bob\tp4\t0.25\t5\nal\tp2\t7\t1\n";

    (void)state;
    assert_string_equal(weights_of(text, "weight_field=plays|order=time"),
                        "al: p2=7\nbob: p1=1 p4=0.25\n");
    assert_string_equal(weights_of(text, "weight_field=plays|split=TS|split_times=[15, 25]"),
                        "al: p2=7\nbob: p1=1 p4=0.25\n");
    assert_string_equal(
        weights_of(text, "weight_field=plays|order=time|max_train_items=1|field_separator=\\t"),
        "al: p2=7\nbob: p4=0.25\n");
}

/* Of repeats the one that is kept has its own weight, with times or without. */
static void repeats_keep_one_weight(void **state)
{
    static const char text[] = HEADER "u\ta\t1\t9\nu\ta\t2\t4\nu\tb\t3\t5\nu\ta\t4\t7\n";
    static const char *const all = "split=RS|split_ratios=[1,0,0]|weight_field=plays";
    char settings[200];

    (void)state;
    assert_string_equal(weights_of(text, all), "u: a=1 b=3\n");
    snprintf(settings, sizeof settings, "%s|rm_dup_inter=last", all);
    assert_string_equal(weights_of(text, settings), "u: a=4 b=3\n");
    snprintf(settings, sizeof settings, "%s|order=time", all);
    assert_string_equal(weights_of(text, settings), "u: a=2 b=3\n");
    snprintf(settings, sizeof settings, "%s|order=time|rm_dup_inter=last", all);
    assert_string_equal(weights_of(text, settings), "u: a=1 b=3\n");
}

/* What val_interval drops needs no weight. */
static void filters_drop_weights_too(void **state)
{
    static const char text[] = HEADER "u\ta\t0\t1\nu\tb\t5\t1\nv\tb\t6\t1\nv\tc\t-3\t1\n";

    (void)state;
    assert_string_equal(weights_of(text, "split=RS|split_ratios=[1,0,0]|weight_field=plays|"
                                         "val_interval={plays: \"[1,inf)\"}"),
                        "u: b=5\nv: b=6\n");
}

/* Of files that are split already, train alone needs weights. */
static void given_parts_have_weights(void **state)
{
    const cf_ingest_paths paths = {
        .train = put_file("a.train", "user_id\titem_id\tplays\nu\ta\t2\nu\tb\t3\nv\ta\t4\n"),
        .test = put_file("a.test", "user_id\titem_id\nu\tc\nv\tb\n"),
        .out = file_path("data.h5")};
    cf_ingest_report report;

    (void)state;
    assert_ok(prepare(&paths, "weight_field=plays", &report));
    assert_string_equal(dump_weights(paths.out), "u: a=2 b=3\nv: a=4\n");
    assert_true(report.mean_weight == 3);
}

static void ratings_without_a_header_are_weights(void **state)
{
    (void)state;
    assert_string_equal(weights_of("1\t10\t4.5\n1\t20\t3\n2\t10\t1\n",
                                   "split=RS|split_ratios=[1,0,0]|weight_field=rating"),
                        "1: 10=4.5 20=3\n2: 10=1\n");
}

static void without_the_setting_there_are_none(void **state)
{
    const cf_ingest_paths paths = {.inter = put_file("data.inter", HEADER "u\ta\t2\t1\n"),
                                   .out = file_path("data.h5")};
    cf_dataset *dataset = NULL;
    cf_ingest_report report;

    (void)state;
    assert_ok(prepare(&paths, "split=RS|split_ratios=[1,0,0]", &report));
    assert_true(report.mean_weight == 0);
    assert_ok(cf_dataset_open(&world, paths.out, &dataset));
    assert_false(dataset->has_weights);
    cf_dataset_close(&dataset);
}

/* ---- Files of many lines --------------------------------------------------------------------- */

static void all_ranks_write_what_one_writes(void **state)
{
    static const char *const settings[] = {
        "", "|order=time|rm_dup_inter=last", "|split=TS|split_times=[15, 35]",
        "|split=RS|val_interval={rating: \"[2,4]\"}", "|reorder=bisect|split=RS"};
    writer *w = malloc(sizeof *w);

    (void)state;
    for (uint64_t seed = 0; seed < sizeof settings / sizeof *settings; seed++) {
        cf_ingest_paths paths = {.out = file_path("r.h5")};
        char options[300];

        *w = (writer){.seed = seed};
        snprintf(options, sizeof options, "weight_field=rating%s", settings[seed]);
        paths.inter = write_inter(w, 160);
        assert_ok(compare_with_one_rank(&paths, options));
    }
    free(w);
}

/* The weight says whose it is: 1000 u + i. */
static void reordering_moves_weights(void **state)
{
    writer *w = malloc(sizeof *w);
    cf_ingest_paths paths = {.out = file_path("data.h5")};
    const char *line;
    int n = 0;

    (void)state;
    *w = (writer){.seed = 1};
    put(w, "user_id\titem_id\tw\n");
    for (int user = 1; user <= 90; user++)
        for (int k = 0; k < 8; k++) {
            const int item = 1 + (user % 3 * 20 + below(w, 20)) % 60;

            put(w, "%d\t%d\t%d\n", user, item, 1000 * user + item);
        }
    paths.inter = put_bytes("data.inter", w->bytes, w->size);
    assert_ok(prepare(&paths, "weight_field=w|reorder=bisect", NULL));
    for (line = dump_weights(paths.out); *line != 0; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n'), *at = strchr(line, ':');
        const int user = atoi(line);

        while ((at = strchr(at, ' ')) != NULL && at < end) {
            int item, weight;

            assert_int_equal(sscanf(at, " %d=%d", &item, &weight), 2);
            assert_int_equal(weight, 1000 * user + item);
            at++;
            n++;
        }
    }
    assert_true(n > 90);
    free(w);
}

static void appending_keeps_weights(void **state)
{
    const cf_ingest_paths paths = {
        .inter = put_file("data.inter", HEADER "u\ta\t2\t1\nu\tb\t3\t2\nv\ta\t4\t3\n"),
        .out = file_path("data.h5")};
    const cf_ingest_append_paths more = {
        .data = paths.out,
        .inter = put_file("more.inter", "user_id\titem_id\nv\tb\nw\ta\n"),
        .out = file_path("more.h5")};
    cf_config *config = cf_test_config(cf_ingest_append_settings, "");
    cf_ingest_append_report report;
    cf_ingest_options options;

    (void)state;
    assert_ok(prepare(&paths, "split=RS|split_ratios=[1,0,0]|weight_field=plays", NULL));
    if (world.size <= 2) { /* a rank needs a user and an item */
        assert_ok(cf_ingest_read_append_options(config, &options));
        assert_ok(cf_ingest_append(&world, &options, &more, &report));
        assert_int_equal(report.added, 2);
        assert_string_equal(dump_weights(more.out), "u: a=2 b=3\nv: a=4\nw:\n");
    }
    cf_config_destroy(&config);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static void what_is_no_weight_is_refused(void **state)
{
    static const struct {
        const char *text, *settings, *words;
    } rows[] = {
        {HEADER "u\ta\t0\t1\n", "weight_field=plays",
         "data.inter:2: plays: \"0\" is not a weight, expected a number above 0"},
        {HEADER "u\ta\t-1\t1\n", "weight_field=plays", "\"-1\" is not a weight"},
        {HEADER "u\ta\t1e39\t1\n", "weight_field=plays", "\"1e39\" is not a weight"},
        {HEADER "u\ta\t1e-60\t1\n", "weight_field=plays", "\"1e-60\" is not a weight"},
        {HEADER "u\ta\tx\t1\n", "weight_field=plays", "plays: \"x\" is not a number"},
        {HEADER "u\ta\t1\t1\n", "weight_field=play",
         "no column \"play\", required by weight_field; the columns are"},
        {"1 2 3 4 5\n2 3 4 5 6 7\n", "weight_field=plays",
         "LightGCN lines have no column \"plays\", required by weight_field"},
    };

    (void)state;
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        const cf_ingest_paths paths = {.inter = put_file("data.inter", rows[k].text),
                                       .out = file_path("refused.h5")};

        assert_refused(prepare(&paths, rows[k].settings, NULL), CF_ERR_FORMAT, rows[k].words);
        assert_int_equal(access(paths.out, F_OK), -1);
    }
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = prepare_dataset, .rotate = true, .thinning = 6};
    cf_config *config =
        cf_test_config(cf_ingest_settings, "weight_field=rating|split=RS|reorder=bisect");
    writer *w = malloc(sizeof *w);
    preparation p = {.paths.out = file_path("memory.h5")};

    (void)state;
    *w = (writer){.seed = 2};
    p.paths.inter = write_inter(w, 60);
    assert_ok(cf_ingest_read_options(config, &p.options));
    assert_true(cf_test_every_allocation(&trial, &p) > 10);
    cf_config_destroy(&config);
    free(w);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(weights_go_with_their_interactions),
    cmocka_unit_test(repeats_keep_one_weight),
    cmocka_unit_test(filters_drop_weights_too),
    cmocka_unit_test(given_parts_have_weights),
    cmocka_unit_test(ratings_without_a_header_are_weights),
    cmocka_unit_test(without_the_setting_there_are_none),
    cmocka_unit_test(all_ranks_write_what_one_writes),
    cmocka_unit_test(reordering_moves_weights),
    cmocka_unit_test(appending_keeps_weights),
    cmocka_unit_test(what_is_no_weight_is_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
