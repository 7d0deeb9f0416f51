#include "fixture.h"

static plain data;
static cf_dataset *dataset;

static void open_data(void)
{
    write_plain(cf_test_scratch("data.h5"), &data);
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset), CF_OK);
}

static void drop_data(void)
{
    cf_dataset_close(&dataset);
    free_plain(&data);
}

static void expect_refused(const char *settings, cf_status want, const char *message)
{
    const cf_select_options options = options_of(settings);
    cf_selection *selection = NULL;

    assert_int_equal(cf_select_create(dataset, &options, &selection), want);
    if (!strstr(cf_error_message(), message))
        fail_msg("%s: \"%s\" does not have \"%s\"", settings, cf_error_message(), message);
    assert_null(selection);
}

static void settings_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    data = new_mixed();
    open_data();
    expect_refused("embedding_size=38", CF_ERR_USAGE, "embedding_size is 38, but the vectors of ");
    expect_refused("embedding_size=38", CF_ERR_USAGE, "data.h5 have 37 dimensions");
    expect_refused("embedding_size=36 emb_selection=full", CF_ERR_USAGE,
                   "embedding_size is 36, but emb_selection: full takes all 37 dimensions");
    expect_refused("embedding_size=9 popular_ratio=0.03", CF_ERR_USAGE,
                   "popular_ratio 0.03 of 57 items is 1, but a variance needs at least 2");
    expect_refused("embedding_size=9 emb_selection=pca emb_scale=minmax", CF_ERR_USAGE,
                   "emb_scale: minmax is for dimensions, not for emb_selection: pca");
    expect_refused("embedding_size=9 emb_gain=2 emb_norm=1", CF_ERR_USAGE,
                   "emb_norm and emb_gain both set the length");
    expect_refused("embedding_size=38 emb_selection=projection", CF_ERR_USAGE,
                   "embedding_size is 38, but the vectors of ");
    cf_dataset_close(&dataset);
    data.dim = 0;
    open_data();
    expect_refused("embedding_size=9", CF_ERR_USAGE, "has no language-model vectors");
    drop_data();
}

static void missing_vectors_are_counted_and_the_first_named(void **state)
{
    (void)state;
    data = new_mixed();
    remove_vector(&data, 56);
    remove_vector(&data, 31);
    remove_vector(&data, 40);
    open_data();
    expect_refused("embedding_size=9", CF_ERR_FORMAT, "3 of 57 items have no vector, the first is");
    expect_refused("embedding_size=9", CF_ERR_FORMAT, "\"i31\"");
    for (int64_t i = 0; i < MIXED_ITEMS; i++)
        if (i != 50) remove_vector(&data, i);
    cf_dataset_close(&dataset);
    open_data();
    expect_refused("embedding_size=9 missing_embedding=zero", CF_ERR_USAGE,
                   "only 1 of the 11 most interacted items");
    expect_refused("embedding_size=9 missing_embedding=zero emb_selection=whiten", CF_ERR_USAGE,
                   "emb_selection: whiten needs 2");
    expect_refused("embedding_size=9 missing_embedding=zero emb_selection=qr", CF_ERR_USAGE,
                   "emb_selection: qr needs 2");
    drop_data();
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_select_options options = options_of("embedding_size=9 emb_scale=center");

    (void)state;
    data = new_mixed();
    write_plain(cf_test_scratch("data.h5"), &data);
    creation_fail(&options, 1, 15);
    free_plain(&data);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(settings_that_do_not_fit_are_refused),
    cmocka_unit_test(missing_vectors_are_counted_and_the_first_named),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};

CF_TEST_MAIN(tests)
