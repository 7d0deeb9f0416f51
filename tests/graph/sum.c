#include "sums.h"

#include <stdlib.h>

/* The last user has more neighbours than are picked in one go (1024). */
enum { USERS = 213, ITEMS = 1300 };
static const int64_t widths[] = {16, 64, 128, 144, 272};
enum { N_WIDTHS = sizeof widths / sizeof *widths };

static cf_test_graph make_graph(void)
{
    return cf_test_graph_random(USERS, ITEMS, 0.05, 3);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void all_rows_have_the_sums_of_a_serial_loop(void **state)
{
    setup s = {0};

    (void)state;
    for (int threads = 1; threads <= 2; threads++)
        for (int k = 0; next_setup(&s, make_graph, threads, &k);)
            for (int w = 0; w < N_WIDTHS; w++) {
                cf_field field;

                set_width(&s, widths[w], NULL);
                field = new_field(&s);
                cf_graph_sum(s.graph, field, keep, &s);
                check_rows(&s, NULL);
                cf_graph_destroy_field(&field);
                drop_width(&s);
            }
}

/* What a sum of one side writes into the rows of that side while others of it are still summed. */
typedef struct overwriting {
    setup *s;
    cf_field field;
} overwriting;

static void keep_and_overwrite(void *context, const cf_rows *sums)
{
    const overwriting *o = context;
    const int64_t width = o->s->width;

    keep(o->s, sums);
    for (int k = 0; k < sums->count; k++)
        memset(o->field.rows[sums->side] + sums->rows[k] * width, 0xff,
               (size_t)width * sizeof(float));
}

/* Rows of the side that is summed are not read: they may be NaN before, and become it. */
static void one_side_has_the_sums_of_a_serial_loop(void **state)
{
    setup s = {0};

    (void)state;
    for (int k = 0; next_setup(&s, make_graph, 2, &k);)
        for (int side = 0; side < 2; side++) {
            bool of_users[USERS], of_items[ITEMS], *listed[2] = {of_users, of_items};
            overwriting o = {.s = &s};
            cf_sides sides;

            memset(of_users, side == CF_USERS, sizeof of_users);
            memset(of_items, side == CF_ITEMS, sizeof of_items);
            set_width(&s, 144, NULL);
            o.field = new_field(&s);
            assert_ok(cf_graph_create_sides(s.graph, &sides));
            memset(o.field.rows[side], 0xff,
                   (size_t)(cf_graph_rows(s.graph, (cf_side)side) * s.width) * sizeof(float));
            cf_graph_sum_side(s.graph, &sides, (cf_side)side, o.field, keep_and_overwrite, &o);
            check_rows(&s, listed);
            cf_graph_destroy_sides(&sides);
            cf_graph_destroy_field(&o.field);
            drop_width(&s);
        }
}

/* Every third row of mine, from the last on. */
static int64_t list_rows(const setup *s, int side, int32_t *list, bool *listed)
{
    int64_t count = 0;

    for (int64_t row = cf_graph_rows(s->graph, (cf_side)side) - 1; row >= 0; row -= 3) {
        list[count++] = (int32_t)row;
        listed[s->first[side] + row] = true;
    }
    return count;
}

static void listed_rows_have_the_sums_of_a_serial_loop(void **state)
{
    setup s = {0};

    (void)state;
    for (int k = 0; next_setup(&s, make_graph, 2, &k);) {
        int32_t users[USERS], items[ITEMS], *rows[2] = {users, items};
        bool of_users[USERS] = {0}, of_items[ITEMS] = {0}, *listed[2] = {of_users, of_items};
        int64_t count[2];
        cf_field field;
        cf_hops hops = {0};

        set_width(&s, 144, NULL);
        for (int side = 0; side < 2; side++) {
            count[side] = list_rows(&s, side, rows[side], listed[side]);
            s.list[side] = rows[side];
        }
        field = new_field(&s);
        assert_int_equal(cf_graph_create_hops(s.graph, 1, &hops), CF_OK);
        cf_graph_find_hops(s.graph, rows, count, 0, &hops);
        cf_graph_sum_hops(s.graph, &hops, (cf_hop_limit){0, CF_ALL_HOPS}, field, keep, &s);
        check_rows(&s, listed);
        s.list[CF_USERS] = s.list[CF_ITEMS] = NULL;
        cf_graph_destroy_field(&field);
        cf_graph_destroy_hops(&hops);
        drop_width(&s);
    }
}

/* Twice with the same sparse field, other rows each time: the slots must have been cleared. */
static void check_sparse(setup *s, int64_t width, double density)
{
    int32_t users[USERS], items[ITEMS], *rows[2] = {users, items};
    bool of_users[USERS], of_items[ITEMS], *kept[2] = {of_users, of_items};
    cf_sparse sparse = {0};

    assert_int_equal(
        cf_graph_create_sparse(s->graph, USERS + ITEMS, (cf_row_kind){width, CF_FLOAT32}, &sparse),
        CF_OK);
    for (uint64_t round = 0; round < 2; round++) {
        for (int side = 0; side < 2; side++)
            for (int64_t row = 0; row < s->n_rows[side]; row++)
                kept[side][row] = cf_test_noise(31 + round, side, row) < 2 * density - 1;
        set_width(s, width, kept);
        open_sparse(s, kept, rows, &sparse);
        cf_graph_exchange_sparse(s->graph, &sparse);
        cf_graph_sum_sparse(s->graph, NULL, CF_ALL_HOPS, &sparse, keep, s);
        cf_graph_close_sparse(s->graph, &sparse);
        check_rows(s, NULL);
        drop_width(s);
    }
    cf_graph_destroy_sparse(&sparse);
}

static void a_sparse_field_has_the_sums_of_a_serial_loop(void **state)
{
    static const double density[] = {0, 0.02, 0.5, 1};
    setup s = {0};

    (void)state;
    for (int k = 0; next_setup(&s, make_graph, 2, &k);)
        for (int w = 0; w < N_WIDTHS; w++)
            check_sparse(&s, widths[w], density[w % 4]);
}

/* x . y over the owned rows of all ranks; y is `other` as noise. */
static double dot_with_noise(const setup *s, uint64_t seed, float *const x[2])
{
    double sum = 0;

    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < cf_graph_rows(s->graph, (cf_side)side); row++)
            for (int64_t d = 0; d < s->width; d++) {
                const int64_t global = s->first[side] + row;

                sum += (double)x[side][global * s->width + d] *
                       cf_test_noise(seed + (uint64_t)side, global, d);
            }
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, world.comm);
    return sum;
}

/* A^ of a field of noise into got; A^ x = s sum(s x). */
static void multiply_noise(setup *s, uint64_t seed)
{
    cf_field field = {0};

    assert_int_equal(cf_graph_create_field(s->graph, (cf_row_kind){s->width, CF_FLOAT32}, &field),
                     CF_OK);
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < cf_graph_rows(s->graph, (cf_side)side); row++)
            for (int64_t d = 0; d < s->width; d++)
                field.rows[side][row * s->width + d] =
                    cf_graph_scale(s->graph, (cf_side)side)[row] *
                    (float)cf_test_noise(seed + (uint64_t)side, s->first[side] + row, d);
    cf_graph_sum(s->graph, field, keep, s);
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < cf_graph_rows(s->graph, (cf_side)side); row++)
            for (int64_t d = 0; d < s->width; d++)
                s->got[side][(s->first[side] + row) * s->width + d] *=
                    cf_graph_scale(s->graph, (cf_side)side)[row];
    cf_graph_destroy_field(&field);
}

static void the_product_is_symmetric(void **state)
{
    setup s = {0};

    (void)state;
    for (int k = 0; next_setup(&s, make_graph, 2, &k);) {
        double ax_y, x_ay;

        set_width(&s, 16, NULL);
        multiply_noise(&s, 50);
        ax_y = dot_with_noise(&s, 60, s.got);
        multiply_noise(&s, 60);
        x_ay = dot_with_noise(&s, 50, s.got);
        assert_true(fabs(ax_y) > 0.1);
        assert_close(ax_y, x_ay, 1e-4); /* float rounding of some 10^4 terms below 1 */
        drop_width(&s);
    }
}

static void rows_edges_and_degrees_are_those_of_the_pairs(void **state)
{
    setup s = {0};

    (void)state;
    for (int k = 0; next_setup(&s, make_graph, 2, &k);)
        for (int side = 0; side < 2; side++) {
            int64_t degree[ITEMS] = {0}, edges = 0;
            const int64_t n = cf_graph_rows(s.graph, (cf_side)side);

            assert_int_equal(n, side ? s.shard.n_items : s.shard.n_users);
            for (int64_t e = 0; e < s.pairs.n_pairs; e++)
                degree[s.pairs.pairs[e][side]]++;
            for (int64_t row = 0; row < n; row++) {
                const int64_t want = degree[s.first[side] + row];
                const double scale = want > 0 ? 1 / sqrt((double)want) : 0;

                edges += want;
                assert_int_equal(cf_graph_degree(s.graph, (cf_side)side, row), want);
                assert_close(cf_graph_scale(s.graph, (cf_side)side)[row], scale, 1e-7);
            }
            assert_int_equal(cf_graph_edges(s.graph, (cf_side)side), edges);
            if (s.grid->n_rows == 1) assert_int_equal(cf_graph_halo(s.graph), 0);
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_rows_have_the_sums_of_a_serial_loop),
    cmocka_unit_test(one_side_has_the_sums_of_a_serial_loop),
    cmocka_unit_test(listed_rows_have_the_sums_of_a_serial_loop),
    cmocka_unit_test(a_sparse_field_has_the_sums_of_a_serial_loop),
    cmocka_unit_test(the_product_is_symmetric),
    cmocka_unit_test(rows_edges_and_degrees_are_those_of_the_pairs),
};
CF_TEST_MAIN(tests)
