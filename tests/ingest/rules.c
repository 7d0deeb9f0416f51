/* Reading, filters and splits: the datasets of small files, written out. */
#include "fixture.h"

static const char by_time[] = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
                              "bob\tp3\t4\t30\n"
                              "bob\tp1\t5\t10.5\n"
                              "bob\tp2\t3\t20\n"
                              "bob\tp4\t1\t10\n"
                              "al\tp1\t5\t2\n"
                              "al\tp2\t4.5\t1\n"
                              "cy\tp9\t2\t1e2\n"
                              "dee\tp1\t5\t-1\n"
                              "dee\tp3\t5\t-2\n"
                              "dee\tp2\t5\t0\n";

/* Four, two, one and three interactions: RecBole leaves out min(2, n - 1), test first. */
static void leave_one_out_by_time(void **state)
{
    (void)state;
    assert_string_equal(dump_of(by_time, "order=time"), "al: p2 | | p1\n"
                                                        "bob: p1 p4 | p2 | p3\n"
                                                        "cy: p9 | |\n"
                                                        "dee: p3 | p1 | p2\n");
}

static void equal_times_keep_the_order_of_the_file(void **state)
{
    (void)state;
    assert_string_equal(dump_of("item_id:token\ttimestamp:float\tuser_id:token\n"
                                "10\t5\tu\n9\t5\tu\n100\t5\tu\n",
                                "order=time"),
                        "u: 10 | 9 | 100\n");
    assert_string_equal(dump_of("user_id:token\titem_id:token\ttimestamp:float\n"
                                "u0\ti3\t14\nu0\ti1\t14\nu0\ti4\t14\nu0\ti0\t14\nu0\ti2\t14\n"
                                "u1\ti3\t14\nu1\ti1\t14\nu1\ti4\t14\nu1\ti0\t14\nu1\ti2\t14\n",
                                "order=time"),
                        "u0: i1 i3 i4 | i0 | i2\nu1: i1 i3 i4 | i0 | i2\n");
    assert_string_equal(dump_of("user_id:token\titem_id:token\ttimestamp:float\n"
                                "u\ta\t5\nu\tf\t5\nu\te\t4\nu\td\t5\nu\tb\t5\nu\tc\t5\n",
                                "order=time|split=RS|split_ratios=[0.5, 0.17, 0.34]"),
                        "u: a e f | d | b c\n");
}

/* The sizes of valid and test by RecBole's rule: for ratios 0.8, 0.1, 0.1 and 2, 1, 0. */
static void ratios_round_as_recbole(void **state)
{
    static const struct {
        int n, valid, test;
    } want[] = {{1, 0, 0},  {2, 0, 1},  {3, 1, 1},  {4, 1, 1},  {9, 1, 1},  {10, 1, 1},
                {11, 1, 1}, {19, 1, 1}, {20, 2, 2}, {29, 2, 2}, {30, 3, 3}, {70, 7, 7}};
    char text[4096];
    cf_ingest_report report;
    cf_ingest_paths paths = {0};

    (void)state;
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        /* A second user with ten keeps the parts from being empty. */
        strcpy(text, "user_id:token\titem_id:token\n");
        for (int i = 0; i < want[k].n + 10; i++)
            sprintf(text + strlen(text), "%s\t%d\n", i < want[k].n ? "a" : "b",
                    i < want[k].n ? i : i - want[k].n);
        paths.inter = put_file("ratios.inter", text);
        paths.out = file_path("ratios.h5");
        if (prepare(&paths, "split=RS", &report) != CF_OK) fail_msg("%s", cf_error_message());
        assert_int_equal(report.n_valid, want[k].valid + 1);
        assert_int_equal(report.n_test, want[k].test + 1);
        assert_int_equal(report.n_train, want[k].n - want[k].valid - want[k].test + 8);
        if (prepare(&paths, "split=RS|split_ratios=[2, 1, 0]", &report) != CF_OK)
            fail_msg("%s", cf_error_message());
        assert_int_equal(report.n_test, 0);
        assert_int_equal(report.n_valid, (want[k].n == 2 ? 1 : want[k].n / 3) + 3);
    }
}

static void ratios_by_time(void **state)
{
    (void)state;
    assert_string_equal(dump_of("user_id:token\titem_id:token\ttimestamp:float\n"
                                "u\ta\t6\nu\tb\t5\nu\tc\t4\nu\td\t3\nu\te\t2\nu\tf\t1\n",
                                "order=time|split=RS|split_ratios=[0.5, 0.17, 0.34]"),
                        "u: d e f | c | a b\n");
}

/* The answer as dump() writes it. `parts`: rows of user, part, item, ascending; users from 0 on. */
static void expected_parts(const double *parts, int64_t n, char *out)
{
    int64_t e = 0;

    out[0] = 0;
    for (int user = 0; e < n; user++) {
        sprintf(out + strlen(out), "%d:", user);
        for (int part = 0; part < 3; part++) {
            if (part > 0) strcat(out, " |");
            for (; e < n && parts[3 * e] == user && parts[3 * e + 1] == part; e++)
                sprintf(out + strlen(out), " %.0f", parts[3 * e + 2]);
        }
        strcat(out, "\n");
    }
}

/* One pair of times for all users, as numbers or as dates, whatever the order. */
static void two_times_for_all_users(void **state)
{
    static const char *const settings[] = {
        "split=TS|split_times=[15, 30]", "split=TS|split_times=1.5e1,30|order=time|seed=7",
        "split=TS|split_times=[1970-01-01T00:00:15Z, 1970-01-01 01:00:30+01:00]",
        "eval_args={split: {TS: [15, 30]}, group_by: user}"};
    static char text[8192], want[4096];
    int64_t shape[2], n[2];
    double *rows = cf_test_npy(CF_TEST_DATA "/golden/times/interactions.npy", shape),
           *parts = cf_test_npy(CF_TEST_DATA "/golden/times/parts.npy", n);

    (void)state;
    strcpy(text, "user_id\titem_id\ttimestamp\n");
    for (int64_t e = 0; e < shape[0]; e++)
        sprintf(text + strlen(text), "%.0f\t%.0f\t%.1f\n", rows[3 * e], rows[3 * e + 1],
                rows[3 * e + 2]);
    expected_parts(parts, n[0], want);
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++)
        assert_string_equal(dump_of(text, settings[k]), want);
    free(rows);
    free(parts);
}

static void the_file_says_which_times(void **state)
{
    cf_store *store = NULL;
    char *split = NULL;

    (void)state;
    dump_of(by_time, "split=TS|split_times=[2, 1970-01-01T00:00:20]");
    assert_int_equal(cf_store_open(&world, file_path("data.h5"), "dataset", &store), CF_OK);
    assert_int_equal(cf_store_read_text(store, "split", &split), CF_OK);
    assert_string_equal(split, "TS 2 1970-01-01T00:00:20");
    cf_free(&split);
    cf_store_close(&store);
}

/* The random split is a function of seed and ids: these lines are from the first run, for ever. */
static void random_order_is_a_function_of_seed_and_ids(void **state)
{
    static const char forward[] = "user_id:token\titem_id:token\n"
                                  "u1\ta\nu1\tb\nu1\tc\nu1\td\nu1\te\nu2\ta\nu2\tb\nu2\tc\n";
    static const char backward[] = "item_id:token\tx:float_seq\tuser_id:token\n"
                                   "c\t1\tu2\nb\t1\tu2\na\t1\tu2\ne\t1\tu1\nd\t1\tu1\nb\t1\tu1\n"
                                   "a\t1\tu1\nc\t1\tu1\nz\t1\tu3\n";
    static const char want[] = "u1: a c d | e | b\nu2: b | c | a\n";
    const char *got;

    (void)state;
    assert_string_equal(dump_of(forward, ""), want);
    got = dump_of(backward, ""); /* with one more user, of one item */
    assert_memory_equal(got, want, strlen(want));
    assert_string_equal(got + strlen(want), "u3: z | |\n");
    assert_string_not_equal(dump_of(forward, "seed=7"), want);
}

static void repeats_keep_the_earliest(void **state)
{
    (void)state;
    assert_string_equal(dump_of("user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
                                "u\ta\t1\t1\nu\ta\t5\t9\nu\ta\t5\t4\nu\tb\t5\t5\nu\tc\t5\t6\n",
                                "order=time"),
                        "u: a | b | c\n");
}

/* The times of a: 9, 4, 4; the last of two equal ones is the later line. */
static void repeats_keep_the_latest(void **state)
{
    static const char text[] = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
                               "u\ta\t1\t9\nu\ta\t5\t4\nu\ta\t3\t4\nu\tb\t5\t5\nu\tc\t5\t6\n";

    (void)state;
    assert_string_equal(dump_of(text, "order=time"), "u: a | b | c\n");
    assert_string_equal(dump_of(text, "order=time|rm_dup_inter=last"), "u: b | c | a\n");
}

/* RecBole's order: which repeat is kept does not depend on its rating. */
static void repeats_are_dropped_before_the_filters(void **state)
{
    static const char text[] =
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "u\ta\t1\t1\nu\tb\t5\t2\nu\tc\t5\t3\nu\ta\t5\t10\n"
        "v\ta\t5\t100\nv\tb\t5\t101\nv\tc\t5\t102\nv\td\t5\t103\nv\te\t5\t104\n";
    static const char *const orders[] = {"time", "random"};
    char settings[200];
    cf_ingest_report report;
    const cf_ingest_paths paths = {.inter = put_file("data.inter", text),
                                   .out = file_path("data.h5")};

    (void)state;
    assert_string_equal(dump_of(text, "order=time|val_interval={rating: \"[4,inf)\"}"),
                        "u: b | | c\nv: a b c | d | e\n");
    assert_string_equal(
        dump_of(text, "order=time|rm_dup_inter=last|val_interval={rating: \"[4,inf)\"}"),
        "u: b | c | a\nv: a b c | d | e\n");
    for (int k = 0; k < 2; k++) {
        snprintf(settings, sizeof settings, "order=%s|val_interval={rating: \"[4,inf)\"}",
                 orders[k]);
        assert_ok(prepare(&paths, settings, &report));
        assert_int_equal(report.lines, 9);
        assert_int_equal(report.duplicates, 1);
        assert_int_equal(report.filtered, 1);
        assert_int_equal(report.n_train + report.n_valid + report.n_test, 7);
    }
    /* Without times the first line counts. */
    assert_string_equal(dump_of("user_id:token\titem_id:token\trating:float\n"
                                "u\ta\t1\nu\tb\t5\nu\ta\t5\nu\tc\t1\nv\tc\t3\n",
                                "split=RS|split_ratios=[1,0,0]|val_interval={rating: \"[3,inf)\"}"),
                        "u: b | |\nv: c | |\n");
}

static void counts_are_reported(void **state)
{
    const cf_ingest_paths paths = {
        .inter = put_file("data.inter", "user_id:token\titem_id:token\trating:float\n"
                                        "u\ta\t3\nu\ta\t4\nu\tb\t2.9\nu\tc\t5\nu\td\t4\nv\ta\t3\n"),
        .out = file_path("data.h5")};
    cf_ingest_report report;

    (void)state;
    assert_int_equal(prepare(&paths, "val_interval={rating: \"[3,inf)\"}", &report), CF_OK);
    assert_int_equal(report.lines, 6);
    assert_int_equal(report.filtered, 1);
    assert_int_equal(report.duplicates, 1);
    assert_int_equal(report.n_users, 2);
    assert_int_equal(report.n_items, 3);
    assert_int_equal(report.n_train, 2);
    assert_int_equal(report.n_valid, 1);
    assert_int_equal(report.n_test, 1);
}

static void intervals_of_values(void **state)
{
    static const char text[] = "user_id:token\titem_id:token\tx:float\n"
                               "u\ta\t0\nu\tb\t1\nu\tc\t1.5\nu\td\t2\nu\te\t3\n";

    (void)state;
    assert_string_equal(
        dump_of(text, "split=RS|split_ratios=[1, 0, 0]|val_interval={x: \"(0,1];[2,3)\"}"),
        "u: b d | |\n");
    assert_string_equal(
        dump_of(text, "split=RS|split_ratios=[1, 0, 0]|val_interval={x: \"(-inf, 0]; (2,+inf)\"}"),
        "u: a e | |\n");
}

/* Dropping item d takes user 3 below two, which takes item c below two, and so on until a and b are
 * left. */
static void cores_are_repeated_until_stable(void **state)
{
    static const char text[] = "user_id:token\titem_id:token\n"
                               "1\ta\n1\tb\n2\ta\n2\tb\n2\tc\n3\tc\n3\td\n4\tc\n";

    (void)state;
    assert_string_equal(dump_of(text,
                                "split=RS|split_ratios=[1, 0, 0]|user_inter_num_interval=[2,inf)|"
                                "item_inter_num_interval=[2,inf)"),
                        "1: a b | |\n2: a b | |\n");
    assert_string_equal(
        dump_of(text, "split=RS|split_ratios=[1, 0, 0]|item_inter_num_interval=(2,3]"),
        "2: c | |\n3: c | |\n4: c | |\n");
}

/* Numbers by value if all ids are numbers, else by bytes. */
static void ids_are_in_ascending_order(void **state)
{
    (void)state;
    assert_string_equal(
        dump_of("user_id:token\titem_id:token\n10\t0\n9\t18446744073709551616\n9\t2\n10\t11\n",
                "split=RS|split_ratios=[1, 0, 0]"),
        "9: 2 18446744073709551616 | |\n10: 0 11 | |\n");
    assert_string_equal(dump_of("user_id:token\titem_id:token\n10\t01\n9\t2\n9\t01\n10\t11\nx\t2\n",
                                "split=RS|split_ratios=[1, 0, 0]"),
                        "10: 01 11 | |\n9: 01 2 | |\nx: 2 | |\n");
    /* Ids that are dropped do not count. */
    assert_string_equal(dump_of("user_id:token\titem_id:token\n10\t3\n10\t20\nx\t3\n9\t20\n9\t3\n",
                                "split=RS|split_ratios=[1, 0, 0]|user_inter_num_interval=[2,inf)"),
                        "9: 3 20 | |\n10: 3 20 | |\n");
}

/* Pairs of known ids, after more lines than the queue holds. */
static void ids_that_look_alike(void **state)
{
    static const char *const ids[] = {"0",  "00", "07",       "1/",       "10", "1234567",
                                      "1:", "20", "20000000", "30000001", "7"};
    enum { N = sizeof ids / sizeof *ids, USERS = 8 };
    char text[4096] = "user_id:token\titem_id:token\n", want[2048] = "";

    (void)state;
    for (int user = 0; user < USERS; user++)
        sprintf(text + strlen(text), "%d\t%s\n", user, ids[0]);
    for (int k = 0; k < 8 * N; k++)
        sprintf(text + strlen(text), "0\t%s\n", ids[k % N]);
    for (int k = 0; k < N * USERS; k++)
        sprintf(text + strlen(text), "%d\t%s\n", k / N, ids[k % N]);
    for (int user = 0; user < USERS; user++) {
        sprintf(want + strlen(want), "%d:", user);
        for (int k = 0; k < N; k++)
            sprintf(want + strlen(want), " %s", ids[k]);
        strcat(want, " | |\n");
    }
    assert_string_equal(dump_of(text, "split=RS|split_ratios=[1, 0, 0]"), want);
}

/* Ids of 1 to 100 bytes: kept in a slot, in a queue entry, or in neither. Each occurs three times,
 * and there are more of them than the first table has slots. */
static void ids_of_any_length(void **state)
{
    enum { N = 5000, LONGEST = 100 };
    char *text = malloc(3 * N * (LONGEST + 16)), *at = text;
    cf_ingest_paths paths = {.out = file_path("lengths.h5")};
    cf_ingest_report report;

    (void)state;
    at += sprintf(at, "user_id:token\titem_id:token\n");
    for (int k = 0; k < 3 * N; k++) {
        int user = k % N;

        at += sprintf(at, "%d", user);
        for (int c = 0; c < user % LONGEST; c++)
            *at++ = 'x';
        at += sprintf(at, "\t%d\n", k / N);
    }
    paths.inter = put_file("lengths.inter", text);
    free(text);
    assert_int_equal(prepare(&paths, "", &report), CF_OK);
    assert_int_equal(report.n_users, N);
    assert_int_equal(report.n_items, 3);
    assert_int_equal(report.duplicates, 0);
    assert_int_equal(report.n_test, N);
    assert_int_equal(report.n_valid, N);
}

static void line_ends_do_not_matter(void **state)
{
    static const char want[] = "\xc3\xa9t\xc3\xa9: a b | |\n";
    static const char rs[] = "split=RS|split_ratios=[1, 0, 0]";

    (void)state;
    assert_string_equal(dump_of("user_id:token\titem_id:token\n\xc3\xa9t\xc3\xa9\ta\n"
                                "\xc3\xa9t\xc3\xa9\tb\n",
                                rs),
                        want);
    assert_string_equal(dump_of("\xef\xbb\xbfuser_id:token\titem_id:token\r\n"
                                "\xc3\xa9t\xc3\xa9\ta\r\n\xc3\xa9t\xc3\xa9\tb\r\n\r\n\r\n",
                                rs),
                        want);
    assert_string_equal(dump_of("user_id:token\titem_id:token\n\xc3\xa9t\xc3\xa9\ta\n"
                                "\xc3\xa9t\xc3\xa9\tb",
                                rs),
                        want);
}

static void other_columns_and_separators(void **state)
{
    (void)state;
    assert_string_equal(dump_of("x,product,who\n1,a b,u\n,c,u\n2,d,u\n",
                                "field_separator=\",\"|user_field=who|item_field=product|split=RS|"
                                "split_ratios=[1, 0, 0]"),
                        "u: a b c d | |\n");
}

/* ---- LightGCN -------------------------------------------------------------------------------- */

static void lightgcn_lines_keep_their_split(void **state)
{
    const cf_ingest_paths paths = {.train = put_file("train.txt", "0 1 2 03\n7 2\n1\n0 10 1\n"),
                                   .test = put_file("test.txt", "7 1 \r\n0 2 5\n9"),
                                   .out = file_path("lightgcn.h5")};
    cf_ingest_report report;

    (void)state;
    assert_int_equal(prepare(&paths, "", &report), CF_OK);
    /* 0 2 is in train already; users 1 and 9 have nothing. */
    assert_string_equal(dump(paths.out), "0: 1 2 3 10 | | 5\n7: 2 | | 1\n");
    assert_int_equal(report.lines, 9);
    assert_int_equal(report.duplicates, 2);
    assert_int_equal(report.n_valid, 0);
}

static void tables_with_a_given_split(void **state)
{
    const cf_ingest_paths paths = {
        .train = put_file("t.inter", "user_id:token\titem_id:token\na\t1\na\t2\nb\t1\n"),
        .valid = put_file("v.inter", "user_id:token\titem_id:token\na\t3\n"),
        .test = put_file("e.inter", "item_id:token\tuser_id:token\n4\ta\n3\tb\n"),
        .out = file_path("given.h5")};

    (void)state;
    assert_int_equal(prepare(&paths, "order=time", NULL), CF_OK);
    assert_string_equal(dump(paths.out), "a: 1 2 | 3 | 4\nb: 1 | | 3\n");
}

static void lightgcn_lines_can_be_split(void **state)
{
    (void)state;
    assert_string_equal(dump_of("3 1 2\n4 9223372036854775807 1\n",
                                "split=RS|split_ratios=[1,0,0]|headerless=lists"),
                        "3: 1 2 | |\n4: 1 9223372036854775807 | |\n");
}

/* A line much longer than a block of reading. */
static void long_lines(void **state)
{
    enum { N = 700000 };
    char *text = malloc(N * 8 + 100), *at = text;
    cf_ingest_paths paths = {.out = file_path("long.h5")};
    cf_ingest_report report;

    (void)state;
    at += sprintf(at, "5");
    for (int k = 0; k < N; k++)
        at += sprintf(at, " %d", 1000000 + k);
    sprintf(at, "\n6 1000000 1000001 1000002");
    paths.inter = put_file("long.txt", text);
    free(text);
    assert_int_equal(prepare(&paths, "", &report), CF_OK);
    assert_int_equal(report.lines, N + 3);
    assert_int_equal(report.n_users, 2);
    assert_int_equal(report.n_items, N);
    assert_int_equal(report.n_train, N - 2 + 1);
}

/* Allocations fail, the later ones not all of them, on each rank in turn. */
static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = prepare_dataset, .thinning = 2, .least = {39, 4}};
    preparation p = {
        .paths = {.inter = put_file("data.inter", by_time),
                  .item =
                      put_file("data.item",
                               "item_id:token\ttitle:token_seq\te:float_seq\n"
                               "p1\tone\t1 2\np2\ttwo\t3 4\np3\t\t5 6\np4\tx\t7 8\np9\tx\t9 9\n"),
                  .out = file_path("memory.h5")}};
    const cf_setting *table = cf_ingest_settings;
    cf_config *config = NULL;

    (void)state;
    assert_int_equal(cf_config_create(&table, 1, &config), CF_OK);
    assert_int_equal(cf_config_set(config, "embedding_field=e"), CF_OK);
    assert_int_equal(cf_ingest_read_options(config, &p.options), CF_OK);
    assert_true(cf_test_every_allocation(&trial, &p) >= 3);
    cf_config_destroy(&config);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(leave_one_out_by_time),
    cmocka_unit_test(equal_times_keep_the_order_of_the_file),
    cmocka_unit_test(ratios_round_as_recbole),
    cmocka_unit_test(ratios_by_time),
    cmocka_unit_test(two_times_for_all_users),
    cmocka_unit_test(the_file_says_which_times),
    cmocka_unit_test(random_order_is_a_function_of_seed_and_ids),
    cmocka_unit_test(repeats_keep_the_earliest),
    cmocka_unit_test(repeats_keep_the_latest),
    cmocka_unit_test(repeats_are_dropped_before_the_filters),
    cmocka_unit_test(counts_are_reported),
    cmocka_unit_test(intervals_of_values),
    cmocka_unit_test(cores_are_repeated_until_stable),
    cmocka_unit_test(ids_are_in_ascending_order),
    cmocka_unit_test(ids_that_look_alike),
    cmocka_unit_test(ids_of_any_length),
    cmocka_unit_test(line_ends_do_not_matter),
    cmocka_unit_test(other_columns_and_separators),
    cmocka_unit_test(lightgcn_lines_keep_their_split),
    cmocka_unit_test(tables_with_a_given_split),
    cmocka_unit_test(lightgcn_lines_can_be_split),
    cmocka_unit_test(long_lines),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
