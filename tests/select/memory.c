#include "fixture.h"

enum { ITEMS = 1 << 17, DIM = 256 }; /* 128 MiB of vectors */

static cf_status made_vectors(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present)
{
    float *out = rows;

    (void)context;
    for (int64_t k = 0; k < count * DIM; k++)
        out[k] = (float)((first * DIM + k) * 7919 % 10007);
    memset(present, 1, (size_t)count);
    return CF_OK;
}

static void write_large(const char *path)
{
    int64_t user_start[2] = {0, 1}, item[1] = {0};

    cf_test_dataset_write(
        path, ITEMS,
        &(cf_dataset_content){.train = {.count = 1, .start = user_start, .index = item},
                              .embedding_dim = DIM,
                              .read_vectors = made_vectors});
}

/** Vectors of 128 MiB, so at least 32 MiB a rank, through buffers of 4 MiB. */
static void no_rank_holds_its_share_of_the_vectors(void **state)
{
    const int64_t table_bytes = (int64_t)ITEMS / world.size * 16 * (int64_t)sizeof(float);
    const cf_select_options options =
        options_of("embedding_size=16 select_memory=4 popular_ratio=0.9");
    const cf_select_options map =
        options_of("embedding_size=16 select_memory=4 emb_selection=pca emb_norm=1");
    cf_selection *selection = NULL, *of_map = NULL;
    cf_dataset *dataset = NULL;
    cf_table *items = NULL;
    cf_blocks blocks;
    cf_grid *grid = NULL;

    (void)state;
    write_large(cf_test_scratch("large.h5"));
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("large.h5"), &dataset), CF_OK);
    assert_true(cf_alloc_peak() < 20 << 20); /* the writer's, which the limits below must exceed */
    assert_int_equal(cf_select_create(dataset, &options, &selection), CF_OK);
    assert_true(cf_alloc_peak() < 20 << 20);
    assert_int_equal(cf_select_create(dataset, &map, &of_map), CF_OK);
    assert_true(cf_alloc_peak() < 20 << 20);
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    assert_int_equal(cf_par_create_blocks(ITEMS, world.size, &blocks), CF_OK);
    assert_int_equal(cf_table_create(grid, &blocks, 16, &items), CF_OK);
    assert_int_equal(cf_select_fill_items(dataset, selection, &options, items), CF_OK);
    assert_int_equal(cf_select_fill_items(dataset, of_map, &map, items), CF_OK);
    assert_true(cf_alloc_peak() < (20 << 20) + table_bytes);
    cf_table_destroy(&items);
    cf_par_destroy_blocks(&blocks);
    cf_par_destroy_grid(&grid);
    cf_select_destroy(&selection);
    cf_select_destroy(&of_map);
    cf_dataset_close(&dataset);
    if (world.rank == 0) remove(cf_test_scratch("large.h5"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_rank_holds_its_share_of_the_vectors),
};

CF_TEST_MAIN(tests)
