#include "als/internal.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <omp.h>
#include <stdlib.h>

enum { A = 37, B = 20, STRIDE = 48, FIRST = 5 };

/* Rows that a grid cuts anywhere: tiles lie as cf_tiles has them. */
typedef struct rows {
    cf_grid *grid;
    cf_blocks blocks;
    cf_table *table;
    cf_tiles *tiles;
    float *whole;
    double *factors;
} rows;

static void make_rows(int64_t n, rows *r)
{
    const int columns = world.size % 2 == 0 ? 2 : 1;

    assert_ok(cf_par_create_grid(&world, world.size / columns, columns, &r->grid));
    assert_ok(cf_par_create_blocks(n, r->grid->n_rows, &r->blocks));
    assert_ok(cf_table_create(r->grid, &r->blocks, STRIDE, &r->table));
    cf_table_fill_normal(r->table, 4, 0, 1);
    assert_ok(cf_table_create_tiles(r->table, CF_TILE_ROWS, &r->tiles));
    assert_ok(CF_ALLOC(r->whole, r->tiles->capacity * STRIDE));
    assert_ok(CF_ALLOC(r->factors, r->tiles->count));
    cf_table_to_tiles(r->tiles, r->table->data, r->whole);
    for (int64_t k = 0; k < r->tiles->count; k++)
        r->factors[k] = cf_test_noise(8, r->tiles->first_row + k, 0);
}

static void drop_rows(rows *r)
{
    cf_free(&r->whole);
    cf_free(&r->factors);
    cf_table_destroy_tiles(&r->tiles);
    cf_table_destroy(&r->table);
    cf_par_destroy_blocks(&r->blocks);
    cf_par_destroy_grid(&r->grid);
}

static void sum_all(const rows *r, double *out)
{
    const als_columns a = {r->whole, STRIDE, FIRST, A, r->factors},
                      b = {r->whole, STRIDE, 0, B, NULL};
    als_products products = {0};

    assert_ok(als_create_products(A, STRIDE, &products)); /* more room than is used */
    als_sum_products(&products, &r->grid->world, &a, &b, r->tiles->count, out);
    als_destroy_products(&products);
}

static void sums_are_those_of_a_plain_loop_and_have_the_bits_of_one_rank(void **state)
{
    static const int64_t sizes[] = {9, 700, 1200};
    static double got[A * B], want[A * B], hash[A * B];

    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int threads = 1; threads <= 2; threads++) {
            rows r = {.grid = NULL};
            float *all = NULL;

            omp_set_num_threads(threads);
            make_rows(sizes[k], &r);
            assert_ok(CF_ALLOC(all, sizes[k] * STRIDE));
            assert_ok(cf_table_gather(r.table, 0, sizes[k], all));
            sum_all(&r, got);
            memset(want, 0, sizeof want);
            for (int64_t n = 0; n < sizes[k]; n++)
                for (int64_t i = 0; i < A; i++)
                    for (int64_t j = 0; j < B; j++)
                        want[i * B + j] += cf_test_noise(8, n, 0) *
                                           (double)all[n * STRIDE + FIRST + i] *
                                           (double)all[n * STRIDE + j];
            for (int64_t e = 0; e < A * B; e++)
                assert_close(got[e], want[e], 1e-11 * (double)sizes[k]);
            if (threads == 1) memcpy(hash, got, sizeof got);
            assert_memory_equal(got, hash, sizeof got);
            cf_free(&all);
            drop_rows(&r);
        }
}

/* The tiles of one rank, summed in any order, are those of all ranks. */
static void ranks_change_no_bit(void **state)
{
    enum { N = 1100 };
    static double got[A * B], want[A * B];
    const als_columns a = {NULL, STRIDE, FIRST, A, NULL};
    als_columns all[2] = {a, {NULL, STRIDE, 0, B, NULL}};
    als_products products = {0};
    rows r = {.grid = NULL};
    float *whole = NULL;

    (void)state;
    make_rows(N, &r);
    memset(r.factors, 0, (size_t)r.tiles->count * sizeof *r.factors);
    for (int64_t k = 0; k < r.tiles->count; k++)
        r.factors[k] = 1;
    sum_all(&r, got);
    assert_ok(CF_ALLOC(whole, N * STRIDE));
    assert_ok(cf_table_gather(r.table, 0, N, whole));
    all[0].rows = all[1].rows = whole;
    assert_ok(als_create_products(A, B, &products));
    als_sum_products(&products, &cf_test_self, &all[0], &all[1], N, want);
    assert_memory_equal(got, want, sizeof got);
    als_destroy_products(&products);
    cf_free(&whole);
    drop_rows(&r);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sums_are_those_of_a_plain_loop_and_have_the_bits_of_one_rank),
    cmocka_unit_test(ranks_change_no_bit),
};

CF_TEST_MAIN(tests)
