/* Vectors from HDF5 files reach the dataset's items as those from .npy files do. */
#include "fixture.h"

#define MATRICES CF_TEST_DATA "/store/matrices.h5"

/* The rows of vectors.c in HDF5; tests of store go through all types and layouts. */
static void every_kind_of_hdf5(void **state)
{
    static const float want[] = {2, 1024, 7, -0.5F, 10, 0.25F};
    static const struct {
        const char *source;
        cf_type stored;
    } cases[] = {{MATRICES ":/f2", CF_F16},
                 {MATRICES ":/f4_big", CF_F16},
                 {MATRICES ":/f8", CF_F32},
                 {MATRICES ":/deep/er/deflated", CF_F16}};

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const cf_ingest_paths paths = {.inter = put_file("v.inter", INTER),
                                       .item = put_file("v.item", ITEMS),
                                       .embedding = cases[k].source,
                                       .out = file_path("v.h5")};

        if (prepare(&paths, "split=RS|split_ratios=[1,0,0]", NULL) != CF_OK)
            fail_msg("%s", cf_error_message());
        check_vectors(paths.out, 2, want, "111");
        assert_int_equal(stored_type(paths.out), cases[k].stored);
    }
}

/* The vectors of a dataset of two items. */
static void read_back(const char *path, float rows[4])
{
    cf_dataset *dataset = NULL;
    uint8_t flags[2];

    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    assert_int_equal(dataset->n_items, 2);
    assert_int_equal(cf_dataset_read_embedding(dataset, 0, 2, rows, flags), CF_OK);
    cf_dataset_close(&dataset);
}

/* A file with a single matrix needs no dataset name; a file that prepare wrote is one. Its rows are
 * in the order of its items, and belong to the lines of an id file, or to LightGCN's numbers. */
static void the_only_matrix_of_a_file(void **state)
{
    static const float want[] = {2, 1024, 7, -0.5F, 10, 0.25F}, by_number[] = {7, -0.5F, 10, 0.25F};
    char *plain = strdup(file_path("made.npy")), named[PATH_SIZE];
    float rows[4];
    cf_ingest_paths paths = {.inter = put_file("v.inter", INTER),
                             .item = put_file("v.item", ITEMS),
                             .embedding = MATRICES ":/f4",
                             .out = plain};

    (void)state;
    assert_int_equal(prepare(&paths, "split=RS|split_ratios=[1,0,0]", NULL), CF_OK);
    snprintf(named, sizeof named, "%s:/items/embedding", plain);
    for (int k = 0; k < 2; k++) {
        paths = (cf_ingest_paths){.inter = put_file("v.inter", INTER),
                                  .embedding = k == 0 ? plain : named,
                                  .embedding_ids = put_file("ids.txt", "2\n7\n10\n"),
                                  .out = file_path("v.h5")};
        assert_int_equal(prepare(&paths, "split=RS|split_ratios=[1,0,0]", NULL), CF_OK);
        check_vectors(paths.out, 2, want, "111");
    }
    paths = (cf_ingest_paths){
        .train = put_file("t.txt", "0 1 2\n1 2\n"), .embedding = plain, .out = file_path("v.h5")};
    assert_int_equal(prepare(&paths, "", NULL), CF_OK);
    read_back(paths.out, rows);
    assert_memory_equal(rows, by_number, sizeof by_number);
    free(plain);
}

/* Malformed sources are refused with one line. */
static void hdf5_that_does_not_fit(void **state)
{
    static const struct {
        const char *source, *item;
        cf_status status;
        const char *words;
    } cases[] = {
        {MATRICES ":/bad/nan", ITEMS, CF_ERR_NUMERIC,
         "matrices.h5:/bad/nan: row 3 (item \"2\"), column 1: not a finite number"},
        {MATRICES ":/f4", "item_id:token\n7\n10\n2\n", CF_ERR_FORMAT,
         "matrices.h5:/f4: 4 rows, but "},
        {MATRICES ":/f4", "item_id:token\n7\n11\n99\n2\n", CF_ERR_FORMAT,
         "matrices.h5:/f4: 1 of 3 items have no vector, the first is item \"10\""},
        {MATRICES ":/f3", ITEMS, CF_ERR_FORMAT, "matrices.h5:/f3: no such dataset"},
        {MATRICES ":/bad/whole", ITEMS, CF_ERR_FORMAT,
         "/bad/whole: is not of floating-point numbers"},
        {MATRICES ":/bad/cube", ITEMS, CF_ERR_FORMAT, "/bad/cube: is not a 2-D array"},
        {MATRICES, ITEMS, CF_ERR_FORMAT, "matrices.h5: contains 11 2-D datasets"},
        {CF_TEST_DATA "/store/foreign.h5", ITEMS, CF_ERR_FORMAT,
         "foreign.h5: contains no 2-D dataset"},
        {CF_TEST_DATA "/store:/x", ITEMS, CF_ERR_FORMAT, "/store: not an HDF5 file, expected"},
        {CF_TEST_DATA "/absent:/x", ITEMS, CF_ERR_IO, "/absent:/x: No such file"},
    };

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const cf_ingest_paths paths = {.inter = put_file("v.inter", INTER),
                                       .item = put_file("v.item", cases[k].item),
                                       .embedding = cases[k].source,
                                       .out = file_path("refused.h5")};

        assert_int_equal(
            prepare(&paths, "split=RS|split_ratios=[1,0,0]|filter_inter_by_user_or_item=no", NULL),
            cases[k].status);
        if (!strstr(cf_error_message(), cases[k].words)) fail_msg("%s", cf_error_message());
        assert_int_not_equal(access(paths.out, F_OK), 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_kind_of_hdf5),
    cmocka_unit_test(the_only_matrix_of_a_file),
    cmocka_unit_test(hdf5_that_does_not_fit),
};
CF_TEST_MAIN(tests)
