#include "fixture.h"

#include <math.h>

enum { ITEMS = 45, DIM = 90, SIZE = 72 }; /* 5 segments: any grid up to 4 columns */

static plain data;
static cf_grid *grid;
static cf_blocks blocks;

static void make_data(void)
{
    const cf_random key = {4, CF_STREAM_TEST};

    data = new_plain(1, ITEMS, DIM);
    data.user_start[1] = 1;
    for (int64_t i = 0; i < ITEMS; i++)
        for (int64_t k = 0; k < DIM && i != 12; k++)
            data.vectors[i * DIM + k] = (float)cf_random_normal(key, (uint64_t)i, (uint64_t)k, 0);
    for (int64_t i = 3; i < ITEMS; i += 17) { /* 3, 20, 37 */
        data.present[i] = 0;
        memset(data.vectors + i * DIM, 0, DIM * sizeof *data.vectors);
    }
    write_plain(cf_test_scratch("data.h5"), &data);
}

/** A table on a grid of `n_rows` rows of ranks; the second block is empty. */
static cf_table *new_table(int n_rows, int64_t n_items, int64_t dim)
{
    cf_table *items = NULL;

    assert_int_equal(cf_par_create_grid(&world, n_rows, world.size / n_rows, &grid), CF_OK);
    assert_int_equal(cf_par_create_blocks(n_items, n_rows, &blocks), CF_OK);
    for (int b = 1; b < n_rows && b <= 2; b++)
        blocks.start[b] = n_items / 3;
    assert_int_equal(cf_table_create(grid, &blocks, dim, &items), CF_OK);
    return items;
}

static void drop_table(cf_table **items)
{
    cf_table_destroy(items);
    cf_par_destroy_blocks(&blocks);
    cf_par_destroy_grid(&grid);
}

/** The vector that stands for the item's own. */
static double plain_x(const cf_select_options *options, const cf_selection *s, int64_t item,
                      int64_t k)
{
    const cf_random key = {options->seed, CF_STREAM_MISSING};
    double x = (double)data.vectors[item * DIM + s->dims[k]];

    if (data.present[item] || !s->mean) return x;
    x = s->mean[k];
    if (options->missing == CF_SELECT_MISSING_RANDOM)
        x += s->deviation[k] * cf_random_normal(key, (uint64_t)item, (uint64_t)s->dims[k], 0);
    return x;
}

/** y[k] of an item by the formula of cf_selection. */
static double plain_y(const cf_select_options *options, const cf_selection *s, int64_t item,
                      int64_t k)
{
    double y = 0, norm = 0, times = s->gain;

    if (!data.present[item] && !s->mean) return 0;
    for (int64_t j = 0; j < s->n_dims; j++) {
        double z = (plain_x(options, s, item, j) - s->shift[j]) * s->factor;
        norm += z * z;
        y = j == k ? z : y;
    }
    if (s->unit) times = norm > 0 ? s->gain / sqrt(norm) : 0;
    return y * times;
}

static void check_table(const cf_select_options *options, const cf_selection *s,
                        const cf_table *items)
{
    for (int64_t r = 0; r < items->local_rows; r++)
        for (int64_t k = 0; k < items->width; k++) {
            float want = 0;
            if (k < items->local_dim)
                want = (float)plain_y(options, s, items->first_row + r, items->first_dim + k);
            assert_true(items->data[r * items->width + k] == want);
        }
}

static void check_on_every_grid(const char *settings)
{
    const cf_select_options options = options_of(settings);
    cf_selection *selection = NULL;
    cf_dataset *dataset = NULL;

    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset), CF_OK);
    assert_int_equal(cf_select_create(dataset, &options, &selection), CF_OK);
    for (int r = 1; r <= world.size; r++) {
        if (world.size % r) continue;
        cf_table *items = new_table(r, ITEMS, SIZE);
        assert_int_equal(cf_select_fill_items(dataset, selection, &options, items), CF_OK);
        check_table(&options, selection, items);
        drop_table(&items);
    }
    cf_dataset_close(&dataset);
    cf_select_destroy(&selection);
}

static void every_scale_has_the_bits_of_its_formula_on_every_grid(void **state)
{
    static const char *const settings[] = {
        "missing_embedding=zero embedding_size=72",
        "missing_embedding=mean embedding_size=72 emb_gain=0.125",
        "missing_embedding=random embedding_size=72 seed=5 emb_selection=uni",
        "missing_embedding=zero embedding_size=72 emb_scale=center",
        "missing_embedding=mean embedding_size=72 emb_scale=minmax emb_gain=2",
        "missing_embedding=random embedding_size=72 emb_scale=l2 emb_gain=0.5",
        "missing_embedding=zero embedding_size=72 emb_scale=l2 emb_selection=rand",
        "missing_embedding=mean embedding_size=72 emb_selection=rand rand_replacement=true",
    };

    (void)state;
    make_data();
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++)
        check_on_every_grid(settings[k]);
    free_plain(&data);
}

static void minmax_ends_at_0_and_1(void **state)
{
    const cf_select_options options =
        options_of("missing_embedding=mean embedding_size=72 emb_scale=minmax");
    cf_selection *selection = NULL;
    cf_dataset *dataset = NULL;
    float range[2] = {INFINITY, INFINITY}; /* least, and most negated */

    (void)state;
    make_data();
    for (int64_t k = 0; k < ITEMS * DIM;
         k++) /* far from the zeros that stand for missing vectors */
        data.vectors[k] += data.present[k / DIM] ? 10 : 0;
    write_plain(cf_test_scratch("data.h5"), &data);
    cf_table *items = new_table(world.size, ITEMS, SIZE);
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset), CF_OK);
    assert_int_equal(cf_select_create(dataset, &options, &selection), CF_OK);
    assert_int_equal(cf_select_fill_items(dataset, selection, &options, items), CF_OK);
    for (int64_t r = 0; r < items->local_rows; r++)
        for (int64_t k = 0; k < items->local_dim; k++) {
            float y = items->data[r * items->width + k];
            range[0] = fminf(range[0], y);
            range[1] = fminf(range[1], -y);
        }
    MPI_Allreduce(MPI_IN_PLACE, range, 2, MPI_FLOAT, MPI_MIN, world.comm);
    assert_true(range[0] == 0);
    assert_close(-range[1], 1, 1e-7);
    drop_table(&items);
    cf_dataset_close(&dataset);
    cf_select_destroy(&selection);
    free_plain(&data);
}

/** The selected columns as they are: equal, not near. */
static void the_golden_tables_come_out_exactly(void **state)
{
    static const char *const settings[] = {"embedding_size=16 emb_selection=uni",
                                           "embedding_size=16 popular_ratio=1"};
    int64_t shape[2], dims[2];
    double *llm = cf_test_npy(CF_TEST_DATA "/golden/tiny/llm.npy", dims);
    double *want = cf_test_npy(CF_TEST_DATA "/golden/tiny/uni_item_init.npy", shape);

    (void)state;
    data = new_plain(1, dims[0], dims[1]);
    data.user_start[1] = 1;
    for (int64_t k = 0; k < dims[0] * dims[1]; k++)
        data.vectors[k] = (float)llm[k];
    write_plain(cf_test_scratch("data.h5"), &data);
    for (int n = 0; n < 2; n++) {
        const cf_select_options options = options_of(settings[n]);
        cf_selection *s = NULL;
        cf_dataset *dataset = NULL;
        cf_table *items = new_table(world.size, dims[0], 16);

        assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset), CF_OK);
        assert_int_equal(cf_select_create(dataset, &options, &s), CF_OK);
        assert_int_equal(cf_select_fill_items(dataset, s, &options, items), CF_OK);
        for (int64_t r = 0; r < items->local_rows; r++)
            for (int64_t k = 0; k < 16; k++) {
                int64_t row = items->first_row + r;
                double x = n == 0 ? want[row * 16 + k] : llm[row * dims[1] + s->dims[k]];
                assert_true((double)items->data[r * items->width + k] == x);
            }
        drop_table(&items);
        cf_dataset_close(&dataset);
        cf_select_destroy(&s);
    }
    free_plain(&data);
    free(llm);
    free(want);
}

static void damaged_vectors_are_refused(void **state)
{
    const cf_select_options options = options_of("missing_embedding=zero embedding_size=72");
    cf_selection *selection = NULL, *none = NULL;
    cf_dataset *dataset = NULL;

    (void)state;
    make_data();
    cf_table *items = new_table(world.size, ITEMS, SIZE);
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset), CF_OK);
    assert_int_equal(cf_select_create(dataset, &options, &selection), CF_OK);
    cf_dataset_close(&dataset);
    if (world.rank == 0) cf_test_damage(cf_test_scratch("data.h5"), data.vectors[40 * DIM + 81]);
    MPI_Barrier(world.comm);
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset), CF_OK);
    assert_int_equal(cf_select_fill_items(dataset, selection, &options, items), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "/items/embedding is damaged"));
    assert_int_equal(cf_select_create(dataset, &options, &none), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "/items/embedding is damaged"));
    assert_null(none);
    cf_dataset_close(&dataset);
    drop_table(&items);
    cf_select_destroy(&selection);
    free_plain(&data);
}

typedef struct filling {
    const cf_select_options *options;
    cf_selection *selection;
    cf_table *items;
    cf_dataset *dataset;
} filling;

static void open_dataset(void *context)
{
    filling *f = context;

    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &f->dataset), CF_OK);
}

static cf_status fill_table(void *context)
{
    filling *f = context;

    return cf_select_fill_items(f->dataset, f->selection, f->options, f->items);
}

static void close_dataset(void *context)
{
    cf_dataset_close(&((filling *)context)->dataset);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {
        .attempt = fill_table, .prepare = open_dataset, .clean_up = close_dataset, .rotate = true};
    const cf_select_options options = options_of("missing_embedding=mean embedding_size=72");
    filling f = {.options = &options};

    (void)state;
    make_data();
    f.items = new_table(1, ITEMS, SIZE);
    open_dataset(&f);
    assert_int_equal(cf_select_create(f.dataset, &options, &f.selection), CF_OK);
    close_dataset(&f);
    assert_true(cf_test_every_allocation(&trial, &f) > 5);
    drop_table(&f.items);
    cf_select_destroy(&f.selection);
    free_plain(&data);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_scale_has_the_bits_of_its_formula_on_every_grid),
    cmocka_unit_test(minmax_ends_at_0_and_1),
    cmocka_unit_test(the_golden_tables_come_out_exactly),
    cmocka_unit_test(damaged_vectors_are_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};

CF_TEST_MAIN(tests)
