/* Vectors and titles reach the dataset's items from every kind of source. */
#include "fixture.h"

#include <math.h>

/* Rows 7, 10, 99, 2; every type and version of .npy. What is exact in float16 stays or becomes
 * float16. */
static void every_type_of_npy(void **state)
{
    const double source[] = {7, -0.5, 10, 0.25, 99, 99, 2, 1024}, odd = 0.1;
    const struct {
        const char *type;
        bool exact;
        cf_type stored;
    } cases[] = {{"<f2", true, CF_F16},
                 {"<f4", true, CF_F16},
                 {"<f4", false, CF_F32},
                 {"<f8", true, CF_F32},
                 {"<f8", false, CF_F32}};

    (void)state;
    for (int k = 0; k < 5; k++) {
        float want[] = {2, 1024, 7, -0.5F, 10, 0.25F}, f4[8];
        double f8[8];
        uint16_t f2[8];
        cf_ingest_paths paths = {.inter = put_file("v.inter", INTER),
                                 .item = put_file("v.item", ITEMS),
                                 .out = file_path("v.h5")};

        for (int e = 0; e < 8; e++)
            f8[e] = !cases[k].exact && e == 1 ? odd : source[e];
        for (int e = 0; e < 8; e++)
            f4[e] = (float)f8[e];
        cf_store_f32_to_f16(f4, f2, 8);
        if (!cases[k].exact) want[3] = (float)odd;
        paths.embedding = put_npy("v.npy", 1 + k % 3, cases[k].type, (int64_t[2]){4, 2},
                                  k == 0  ? (void *)f2
                                  : k < 3 ? (void *)f4
                                          : (void *)f8);
        if (prepare(&paths, "split=RS|split_ratios=[1,0,0]", NULL) != CF_OK)
            fail_msg("%s", cf_error_message());
        check_vectors(paths.out, 2, want, "111");
        assert_int_equal(stored_type(paths.out), cases[k].stored);
    }
}

static void titles_come_back(void **state)
{
    const cf_ingest_paths paths = {.inter = put_file("v.inter", INTER),
                                   .item = put_file("v.item", ITEMS),
                                   .out = file_path("v.h5")};
    cf_dataset *dataset = NULL;
    cf_strings titles = {0};

    (void)state;
    assert_int_equal(prepare(&paths, "split=RS|split_ratios=[1,0,0]", NULL), CF_OK);
    assert_int_equal(cf_dataset_open(&world, paths.out, &dataset), CF_OK);
    assert_int_equal(cf_dataset_read_names(dataset, CF_ITEM_TITLES, 0, 3, &titles), CF_OK);
    assert_string_equal(titles.bytes + titles.start[0], "");
    assert_string_equal(titles.bytes + titles.start[1], "seven");
    assert_string_equal(titles.bytes + titles.start[2], "ten: caf\xc3\xa9");
    cf_dataset_destroy_strings(&titles);
    assert_int_equal(dataset->embedding_dim, 0);
    cf_dataset_close(&dataset);
}

/* The id file comes before the item file: item 10 has no row there. */
static void items_without_a_vector(void **state)
{
    static const float rows[] = {1, 2, 3, 4, 5, 6}, want[] = {5, 6, 1, 2, 0, 0};
    static const char *const kept[] = {"zero", "mean", "random"};
    const cf_ingest_paths paths = {.inter = put_file("v.inter", INTER),
                                   .item = put_file("v.item", ITEMS),
                                   .embedding_ids = put_file("ids.txt", "7\n8\n2"),
                                   .embedding =
                                       put_npy("v.npy", 2, "<f4", (int64_t[2]){3, 2}, rows),
                                   .out = file_path("v.h5")};
    cf_ingest_report report;

    (void)state;
    assert_int_equal(prepare(&paths, "split=RS|split_ratios=[1,0,0]", &report), CF_ERR_FORMAT);
    assert_non_null(
        strstr(cf_error_message(), "1 of 3 items have no vector, the first is item \"10\""));
    for (int k = 0; k < 3; k++) {
        char settings[100];

        sprintf(settings, "split=RS|split_ratios=[1,0,0]|missing_embedding=%s", kept[k]);
        assert_int_equal(prepare(&paths, settings, &report), CF_OK);
        assert_int_equal(report.n_missing, 1);
        assert_int_equal(report.unused_vectors, 1);
        check_vectors(paths.out, 2, want, "110");
    }
}

static void vectors_in_a_column(void **state)
{
    const cf_ingest_paths paths = {
        .inter = put_file("v.inter", INTER),
        .item = put_file("v.item", "e:float_seq\titem_id:token\n0.1 1e10 0\t7\n\t10\n"
                                   "4 4 4\t5\n1.5 -2e-3 3\t2\n"),
        .out = file_path("v.h5")};
    static const float want[] = {1.5F, -2e-3F, 3, 0.1F, 1e10F, 0, 0, 0, 0};
    cf_ingest_report report;

    (void)state;
    assert_int_equal(prepare(&paths,
                             "embedding_field=e|missing_embedding=zero|split=RS|"
                             "split_ratios=[1,0,0]|embedding_model=hand",
                             &report),
                     CF_OK);
    assert_int_equal(report.n_missing, 1);
    assert_int_equal(report.unused_vectors, 1);
    assert_int_equal(report.embedding_dim, 3);
    check_vectors(paths.out, 3, want, "110");
}

/* LightGCN's item numbers are rows. */
static void lightgcn_items_are_rows(void **state)
{
    static const double rows[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    static const float want[] = {2, 7, 8};
    const cf_ingest_paths paths = {.train = put_file("train.txt", "0 7 2\n1 8\n"),
                                   .embedding =
                                       put_npy("v.npy", 3, "<f8", (int64_t[2]){9, 1}, rows),
                                   .out = file_path("v.h5")};
    cf_ingest_report report;

    (void)state;
    assert_int_equal(prepare(&paths, "", &report), CF_OK);
    assert_int_equal(report.unused_vectors, 6);
    check_vectors(paths.out, 1, want, "111");
}

static void the_file_says_where_it_is_from(void **state)
{
    const cf_ingest_paths paths = {.inter = put_file("v.inter", INTER), .out = file_path("v.h5")};
    const struct {
        const char *name, *part;
    } want[] = {{"source", "v.inter"},
                {"filters", "user_inter_num_interval [1,inf)"},
                {"split", "RS 1 0 0; order random"},
                {"embedding_model", "some model"},
                {"program", "llminit "}};
    cf_store *store = NULL;
    int64_t seed;

    (void)state;
    assert_int_equal(prepare(&paths,
                             "split=RS|split_ratios=[1,0,0]|seed=5|embedding_model=some model|"
                             "user_inter_num_interval=[1,inf)",
                             NULL),
                     CF_OK);
    assert_int_equal(cf_store_open(&world, paths.out, "dataset", &store), CF_OK);
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        char *text = NULL;

        assert_int_equal(cf_store_read_text(store, want[k].name, &text), CF_OK);
        if (!strstr(text, want[k].part)) fail_msg("%s is \"%s\"", want[k].name, text);
        cf_free(&text);
    }
    assert_int_equal(cf_store_read_int(store, "seed", &seed), CF_OK);
    assert_int_equal(seed, 5);
    cf_store_close(&store);
}

/* ---- Real data ------------------------------------------------------------------------------- */

#define DEBIAN CF_TEST_DATA "/debian-packages/debian-packages"

/* The vector of each item is the row of its line in the item file; `rows` is the .npy as doubles.
 */
static void check_debian_vectors(const cf_dataset *dataset, const double *rows)
{
    FILE *file = fopen(DEBIAN ".item", "r");
    const int64_t dim = dataset->embedding_dim;
    const int64_t first = cf_par_even_start(dataset->n_items, world.size, world.rank);
    const int64_t count = cf_par_even_start(dataset->n_items, world.size, world.rank + 1) - first;
    cf_strings ids = {0};
    float *got = malloc((size_t)(count * dim) * sizeof *got);
    char line[4096];
    int64_t seen = 0;

    assert_int_equal(cf_dataset_read_embedding(dataset, first, count, got, NULL), CF_OK);
    assert_int_equal(cf_dataset_verify_embedding(dataset), CF_OK);
    assert_int_equal(cf_dataset_read_names(dataset, CF_ITEM_IDS, first, count, &ids), CF_OK);
    assert_non_null(fgets(line, sizeof line, file));
    for (int64_t row = 0; fgets(line, sizeof line, file); row++) {
        *strchr(line, '\t') = 0;
        for (int64_t k = 0; k < count; k++) {
            if (strcmp(line, ids.bytes + ids.start[k]) != 0) continue;
            for (int64_t j = 0; j < dim; j += 37)
                assert_true(got[k * dim + j] == (float)rows[row * dim + j]);
            seen++;
        }
    }
    assert_int_equal(seen, count);
    fclose(file);
    free(got);
    cf_dataset_destroy_strings(&ids);
}

static double half(uint16_t bits)
{
    float value;

    cf_store_f16_to_f32(&bits, &value, 1);
    return value;
}

static void debian_packages(void **state)
{
    const cf_ingest_paths paths = {.inter = DEBIAN ".inter",
                                   .item = DEBIAN ".item",
                                   .embedding = DEBIAN ".emb.npy",
                                   .out = file_path("debian.h5")};
    const int64_t n = 5192 * 512;
    cf_ingest_report report;
    cf_dataset *dataset = NULL;
    uint16_t *halves;
    double *rows;
    FILE *file;

    (void)state;
    if (access(paths.inter, R_OK) != 0) skip();
    if (prepare(&paths, "", &report) != CF_OK) fail_msg("%s", cf_error_message());
    assert_int_equal(report.lines, 156751);
    assert_int_equal(report.n_users, 15699);
    assert_int_equal(report.n_items, 5192);
    assert_int_equal(report.n_valid, 15699);
    assert_int_equal(report.n_test, 15699);
    assert_int_equal(report.n_train + 2 * 15699 + report.duplicates, 156751);
    assert_int_equal(report.n_missing, 0);
    halves = malloc((size_t)n * sizeof *halves);
    rows = malloc((size_t)n * sizeof *rows);
    file = fopen(paths.embedding, "rb");
    fseek(file, -n * 2, SEEK_END);
    assert_int_equal(fread(halves, 2, (size_t)n, file), n);
    fclose(file);
    for (int64_t e = 0; e < n; e++)
        rows[e] = half(halves[e]);
    assert_int_equal(cf_dataset_open(&world, paths.out, &dataset), CF_OK);
    check_debian_vectors(dataset, rows);
    cf_dataset_close(&dataset);
    free(halves);
    free(rows);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_type_of_npy),       cmocka_unit_test(titles_come_back),
    cmocka_unit_test(items_without_a_vector),  cmocka_unit_test(vectors_in_a_column),
    cmocka_unit_test(lightgcn_items_are_rows), cmocka_unit_test(the_file_says_where_it_is_from),
    cmocka_unit_test(debian_packages),
};
CF_TEST_MAIN(tests)
