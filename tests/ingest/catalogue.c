/* Items beyond the interactions: what the item file and the vectors drop and keep, and columns of
 * vectors and titles under the names that others give them. */
#include "fixture.h"

#define RS "split=RS|split_ratios=[1, 0, 0]"

/* Data as in RecBole's test of filter_inter_by_user_or_item. */
static const char pairs[] = "user_id:token\titem_id:token\n"
                            "1\t1\n1\t2\n2\t1\n2\t2\n3\t3\n3\t4\n4\t3\n4\t4\n";
static const char prices[] = "item_id:token\tprice:float\ttitle:token_seq\n"
                             "1\t0\tone\n3\t2.5\tthree\n4\t\tfour\n9\t7\tnine\n8\t1\teight\n";

/* The dataset as text, then its items as "id=title". Static buffer. */
static const char *made(const cf_ingest_paths *paths, const char *settings,
                        cf_ingest_report *report)
{
    static char out[DUMP_SIZE];
    cf_dataset *dataset = NULL;
    cf_strings ids = {0}, titles = {0};

    if (prepare(paths, settings, report) != CF_OK) fail_msg("%s", cf_error_message());
    strcpy(out, dump(paths->out));
    assert_ok(cf_dataset_open(&world, paths->out, &dataset));
    assert_ok(cf_dataset_read_names(dataset, CF_ITEM_IDS, 0, dataset->n_items, &ids));
    assert_ok(cf_dataset_read_names(dataset, CF_ITEM_TITLES, 0, dataset->n_items, &titles));
    for (int64_t k = 0; k < ids.count; k++)
        sprintf(out + strlen(out), "%s=%s ", ids.bytes + ids.start[k],
                titles.bytes + titles.start[k]);
    cf_dataset_destroy_strings(&ids);
    cf_dataset_destroy_strings(&titles);
    cf_dataset_close(&dataset);
    return out;
}

static cf_ingest_paths paths_with(const char *inter, const char *item)
{
    return (cf_ingest_paths){.inter = put_file("c.inter", inter),
                             .item = item != NULL ? put_file("c.item", item) : NULL,
                             .out = file_path("c.h5")};
}

static void items_that_the_item_file_lacks(void **state)
{
    const cf_ingest_paths paths = paths_with(pairs, prices);
    cf_ingest_report report;

    (void)state;
    assert_string_equal(made(&paths,
                             RS "|user_inter_num_interval=[2,inf)|item_inter_num_interval=[2,inf)",
                             &report),
                        "3: 3 4 | |\n4: 3 4 | |\n3=three 4=four ");
    assert_int_equal(report.unknown, 2);
    assert_int_equal(report.filtered, 2);
    assert_string_equal(made(&paths, RS "|filter_inter_by_user_or_item=false", &report),
                        "1: 1 2 | |\n2: 1 2 | |\n3: 3 4 | |\n4: 3 4 | |\n"
                        "1=one 2= 3=three 4=four ");
    assert_int_equal(report.unknown, 0);
}

/* A column that the interactions lack is looked for in the item file; no value is in no interval.
 */
static void intervals_of_the_item_file(void **state)
{
    const cf_ingest_paths paths = paths_with(pairs, prices);
    cf_ingest_report report;

    (void)state;
    assert_string_equal(made(&paths, RS "|val_interval={price: \"[1,inf)\"}", &report),
                        "3: 3 | |\n4: 3 | |\n3=three ");
    assert_int_equal(report.filtered, 4);
    assert_int_equal(report.unknown, 2);
    assert_string_equal(made(&paths,
                             RS "|keep_items=all|val_interval={price: \"[1,2];(5,7]\"}"
                                "|filter_inter_by_user_or_item=no",
                             &report),
                        "1: 2 | |\n2: 2 | |\n2= 8=eight 9=nine ");
    assert_int_equal(report.n_no_interactions, 2);
    assert_refused(prepare(&paths, "val_interval={cost: \"[1,inf)\"}", NULL), CF_ERR_FORMAT,
                   "c.item:1: no column \"cost\", required by val_interval");
}

/* Item 4 loses its interactions with user 4; 1 and 2 are outside; 8 and 9 never had any. */
static void items_without_interactions_are_kept(void **state)
{
    static const char text[] = "user_id:token\titem_id:token\n"
                               "1\t1\n2\t3\n3\t3\n2\t5\n3\t5\n4\t4\n";
    static const char lines[] = "title:token_seq\titem_id:token\n"
                                "a\t1\nb\t3\nc\t4\nd\t5\ne\t8\nf\t9\n";
    const cf_ingest_paths paths = paths_with(text, lines);
    cf_ingest_report report;

    (void)state;
    assert_string_equal(made(&paths, RS "|keep_items=all", &report),
                        "1: 1 | |\n2: 3 5 | |\n3: 3 5 | |\n4: 4 | |\n1=a 3=b 4=c 5=d 8=e 9=f ");
    assert_int_equal(report.n_no_interactions, 2);
    assert_int_equal(report.n_items, 6);
    /* Users are dropped, items keep. */
    assert_string_equal(made(&paths, RS "|keep_items=all|user_inter_num_interval=[2,inf)", &report),
                        "2: 3 5 | |\n3: 3 5 | |\n1=a 3=b 4=c 5=d 8=e 9=f ");
    assert_int_equal(report.n_no_interactions, 4);
    /* Items that had interactions are dropped by their number, those that never had any are not. */
    assert_string_equal(made(&paths, RS "|keep_items=all|item_inter_num_interval=[2,inf)", &report),
                        "2: 3 5 | |\n3: 3 5 | |\n3=b 5=d 8=e 9=f ");
    assert_int_equal(report.n_no_interactions, 2);
    assert_string_equal(made(&paths, RS, &report),
                        "1: 1 | |\n2: 3 5 | |\n3: 3 5 | |\n4: 4 | |\n1=a 3=b 4=c 5=d ");
    assert_int_equal(report.n_no_interactions, 0);
    assert_refused(
        prepare(&(cf_ingest_paths){.inter = paths.inter, .out = paths.out}, "keep_items=all", NULL),
        CF_ERR_USAGE, "keep_items: all needs --item or --embedding");
}

/* Rows are 7, 10, 99, 2; the item of the interactions that has none is 5. */
static void items_without_a_vector_are_dropped(void **state)
{
    static const float rows[] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const float want[] = {7, 8, 1, 2, 3, 4};
    cf_ingest_paths paths = {.inter = put_file("c.inter", INTER "v\t5\nw\t5\n"),
                             .embedding = put_npy("c.npy", 1, "<f4", (int64_t[2]){4, 2}, rows),
                             .embedding_ids = put_file("c.ids", "7\n10\n99\n2\n"),
                             .out = file_path("c.h5")};
    cf_ingest_report report;

    (void)state;
    assert_refused(prepare(&paths, RS, NULL), CF_ERR_FORMAT, "1 of 4 items have no vector");
    assert_string_equal(made(&paths, RS "|missing_embedding=drop", &report),
                        "u: 2 7 10 | |\nv: 2 7 | |\n2= 7= 10= ");
    assert_int_equal(report.no_vector, 2);
    assert_int_equal(report.n_missing, 0);
    check_vectors(paths.out, 2, want, "111");
    assert_string_equal(made(&paths, RS "|missing_embedding=drop|keep_items=all", &report),
                        "u: 2 7 10 | |\nv: 2 7 | |\n2= 7= 10= 99= ");
    assert_int_equal(report.n_no_interactions, 1);
    assert_int_equal(report.unused_vectors, 0);
}

/* LightGCN: item k has row k. */
static void rows_of_numbered_items(void **state)
{
    static const float rows[] = {1, 2, 3, 4, 5, 6};
    static const float want[] = {1, 2, 3, 4, 5, 6};
    const cf_ingest_paths paths = {.train = put_file("c.txt", "0 0 2\n1 2 5\n"),
                                   .embedding =
                                       put_npy("c.npy", 1, "<f4", (int64_t[2]){3, 2}, rows),
                                   .out = file_path("c.h5")};
    cf_ingest_report report;

    (void)state;
    assert_string_equal(
        made(&paths, "headerless=lists|missing_embedding=drop|keep_items=all", &report),
        "0: 0 2 | |\n1: 2 | |\n0= 1= 2= ");
    assert_int_equal(report.no_vector, 1);
    assert_int_equal(report.n_no_interactions, 1);
    check_vectors(paths.out, 2, want, "111");
}

static void titles_under_other_names(void **state)
{
    cf_ingest_paths paths = paths_with(pairs, "item_id:token\tmovie_title:token_seq\n"
                                              "1\ta\n2\tb\n3\tc\n4\td\n");
    const char *users = "1: 1 2 | |\n2: 1 2 | |\n3: 3 4 | |\n4: 3 4 | |\n";
    char want[200];

    (void)state;
    snprintf(want, sizeof want, "%s1=a 2=b 3=c 4=d ", users);
    assert_string_equal(made(&paths, RS, NULL), want);
    assert_string_equal(made(&paths, RS "|title_field=movie_title", NULL), want);
    snprintf(want, sizeof want, "%s1= 2= 3= 4= ", users);
    assert_string_equal(made(&paths, RS "|title_field=none", NULL), want);
    assert_refused(prepare(&paths, "title_field=movie_titel", NULL), CF_ERR_FORMAT,
                   "c.item:1: no column \"movie_titel\", required by title_field");
    paths.item = put_file("c.item", "item_id:token\tname:token\ttitle:token\n"
                                    "1\tx\ta\n2\tx\tb\n3\tx\tc\n4\tx\td\n");
    snprintf(want, sizeof want, "%s1=a 2=b 3=c 4=d ", users);
    assert_string_equal(made(&paths, RS, NULL), want);
    paths.item = put_file("c.item", "item_id:token\n1\n2\n3\n4\n");
    snprintf(want, sizeof want, "%s1= 2= 3= 4= ", users);
    assert_string_equal(made(&paths, RS, NULL), want);
}

/* Names that were given must be columns, also where nothing needs them. */
static void columns_that_were_named(void **state)
{
    const cf_ingest_paths paths = paths_with(pairs, NULL);

    (void)state;
    assert_refused(prepare(&paths, "rating_field=stars", NULL), CF_ERR_FORMAT,
                   "c.inter:1: no column \"stars\", required by rating_field");
    assert_refused(prepare(&paths, "time_field=when", NULL), CF_ERR_FORMAT,
                   "c.inter:1: no column \"when\", required by time_field");
    assert_ok(prepare(&paths, RS "|rating_field=rating|time_field=timestamp", NULL));
}

/* As LLMInit's authors write them, and as other programs do. */
static void lists_in_brackets(void **state)
{
    static const char *const lists[] = {"[1, -2.5, 3e1]", "[1,-2.5,3e1]", " [ 1  -2.5 30. ] ",
                                        "[1 , -2.5, 30, ]"};
    static const char *const wrong[][2] = {{"[1, -2.5]", "too few numbers"},
                                           {"[1, 2, 3, 4]", "too many numbers"},
                                           {"[1,, 2, 3]", "something that is not a number"},
                                           {"[]", "too few numbers"},
                                           {"[1 2 3", "something that is not a number"},
                                           {"[[1, 2, 3]]", "something that is not a number"}};
    static const float want[] = {1, 2, 3, 1, -2.5F, 30, 4, 5, 6};
    cf_ingest_paths paths;
    char text[400];

    (void)state;
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++)
        for (int type = 0; type < 2; type++) {
            snprintf(text, sizeof text,
                     "item_id:token\tllm_embedding:%s\n2\t[1, 2, 3]\n7\t%s\n10\t4 5 6\n",
                     type ? "token_seq" : "float_seq", lists[k]);
            paths = (cf_ingest_paths){.inter = put_file("c.inter", INTER),
                                      .item = put_file("c.item", text),
                                      .out = file_path("c.h5")};
            assert_ok(prepare(&paths, "embedding_field=llm_embedding", NULL));
            check_vectors(paths.out, 3, want, "111");
        }
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        snprintf(text, sizeof text, "item_id:token\tv:token_seq\n2\t[1, 2, 3]\n7\t%s\n10\t4 5 6\n",
                 wrong[k][0]);
        paths.inter = put_file("c.inter", INTER);
        paths.item = put_file("c.item", text);
        assert_refused(prepare(&paths, "embedding_field=v", NULL), CF_ERR_FORMAT, wrong[k][1]);
        assert_non_null(strstr(cf_error_message(), "c.item:3: item \"7\""));
    }
    paths.item = put_file("c.item", "item_id:token\tv:token\n2\t[1, 2, 3]\n");
    assert_refused(prepare(&paths, "embedding_field=v", NULL), CF_ERR_FORMAT,
                   "c.item:1: v has type \"token\", expected float_seq or token_seq");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(items_that_the_item_file_lacks),
    cmocka_unit_test(intervals_of_the_item_file),
    cmocka_unit_test(items_without_interactions_are_kept),
    cmocka_unit_test(items_without_a_vector_are_dropped),
    cmocka_unit_test(rows_of_numbered_items),
    cmocka_unit_test(titles_under_other_names),
    cmocka_unit_test(columns_that_were_named),
    cmocka_unit_test(lists_in_brackets),
};
CF_TEST_MAIN(tests)
