/* Whatever the files, all ranks together write the bytes that one rank writes. */
#include "ranks.h"

static const char *const settings[] = {
    "missing_embedding=zero",
    "missing_embedding=zero|order=time",
    "missing_embedding=zero|split=TS|split_times=[15, 35]",
    "missing_embedding=zero|order=time|split=RS|val_interval={rating: \"[2,4]\"}",
    ("missing_embedding=zero|split=RS|user_inter_num_interval=[5,inf)|"
     "item_inter_num_interval=[3,inf)"),
    "missing_embedding=zero|item_inter_num_interval=[2,9]|split=RS|split_ratios=[1,0,0]",
    "missing_embedding=zero|user_inter_num_interval=[500,inf)",
    "missing_embedding=drop|rm_dup_inter=last|order=time|item_inter_num_interval=[2,inf)",
    "missing_embedding=zero|filter_inter_by_user_or_item=no|user_inter_num_interval=[3,inf)",
    "missing_embedding=zero|cold_share=0.3|keep_items=all",
    "missing_embedding=zero|cold_share=0.5|split=RS|order=time|max_train_items=2"};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

/* All kinds of ids, settings and vectors; some datasets are written, the others are refused. */
static void tables(void **state)
{
    writer *w = malloc(sizeof *w);
    int written = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 2 * N_SETTINGS; seed++) {
        cf_ingest_paths paths = {.out = file_path("r.h5")};
        char options[300];

        *w = (writer){.seed = seed};
        snprintf(options, sizeof options, "%s", settings[seed % N_SETTINGS]);
        paths.inter = write_inter(w, below(w, 4) == 0 ? 1 + below(w, 3) : 60 + below(w, 100));
        if (below(w, 2)) paths.item = write_items(w);
        if (paths.item && below(w, 2)) strcat(options, "|embedding_field=v");
        written += compare_with_one_rank(&paths, options) == CF_OK;
    }
    assert_in_range(written, 4, 2 * N_SETTINGS - 1);
    free(w);
}

static void matrices(void **state)
{
    static float rows[50 * 3];
    const int64_t shape[2] = {50, 3};
    writer *w = malloc(sizeof *w);

    (void)state;
    for (uint64_t seed = 0; seed < 6; seed++) {
        cf_ingest_paths paths = {.out = file_path("r.h5")};

        *w = (writer){.seed = seed};
        for (int k = 0; k < 150; k++)
            rows[k] = (float)below(w, 1000) * (seed % 2 ? 1.0F : 0.1F);
        if (seed % 3 == 2) rows[below(w, 150)] = rows[below(w, 150)] = (float)NAN;
        paths.inter = write_inter(w, 150);
        paths.embedding = put_npy("r.npy", 1, "<f4", shape, rows);
        if (below(w, 2)) paths.item = write_items(w);
        if (!paths.item || below(w, 2)) paths.embedding_ids = write_ids(w);
        compare_with_one_rank(&paths, seed < 3 ? "split=RS"
                                               : "split=RS|missing_embedding=drop|keep_items=all");
    }
    free(w);
}

static void lightgcn_files(void **state)
{
    static const char *const vectors = CF_TEST_DATA "/store/matrices.h5:/f4";
    writer *w = malloc(sizeof *w);

    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        cf_ingest_paths paths = {.out = file_path("r.h5")};

        *w = (writer){.seed = seed};
        paths.train = write_lightgcn(w, "r.train", 1 + below(w, 30));
        if (below(w, 2)) paths.test = write_lightgcn(w, "r.test", 1 + below(w, 9));
        if (below(w, 2)) paths.valid = write_lightgcn(w, "r.valid", 1 + below(w, 9));
        if (below(w, 2)) paths.embedding = vectors;
        assert_int_equal(
            compare_with_one_rank(&paths, paths.embedding && seed % 2
                                              ? "missing_embedding=zero|keep_items=all|"
                                                "max_train_items=2"
                                              : settings[0]),
            CF_OK);
    }
    free(w);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tables),
    cmocka_unit_test(matrices),
    cmocka_unit_test(lightgcn_files),
};
CF_TEST_MAIN(tests)
