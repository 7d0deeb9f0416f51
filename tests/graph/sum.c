#include "cf/graph.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* The last user has more neighbours than one go of the sparse sum looks at (256). */
enum { USERS = 213, ITEMS = 400, MAX_COLUMNS = 4 };
static const int64_t n_rows[2] = {USERS, ITEMS};
static const int64_t widths[] = {16, 64, 128, 144, 272};
enum { N_WIDTHS = sizeof widths / sizeof *widths };

/* A graph on a grid, a field of noise, and its sums as a serial loop makes them. */
typedef struct setup {
    cf_test_graph pairs;
    cf_grid *grid;
    cf_shard shard;
    cf_graph *graph;
    int64_t width, first[2];
    float *value[2]; /* n_rows x width: of this rank's slice */
    float *want[2];  /* their sums over neighbours, pairs in ascending order */
    float *got[2];   /* what the visitor saw; as `want` */
    int *visits[2];  /* of each row */
    const int32_t *list[2];
    bool misplaced; /* a visit was not of the place in the list that it said */
} setup;

static float *new_rows(int64_t count, int64_t width)
{
    float *rows = NULL;

    assert_int_equal(CF_ALLOC(rows, count * width), CF_OK);
    return rows;
}

/* Values of many sizes, so that the order of a sum shows in its bits. */
static float value_of(int side, int64_t row, int64_t d)
{
    const uint64_t bits =
        cf_random_bits((cf_random){7, CF_STREAM_TEST}, (uint64_t)side, (uint64_t)row, (uint64_t)d);

    return ldexpf((float)(int32_t)bits, (int)(bits >> 61) - 31);
}

static void sum_pairs(setup *s)
{
    for (int64_t e = 0; e < s->pairs.n_pairs; e++) {
        const int64_t u = s->pairs.pairs[e][0] * s->width, i = s->pairs.pairs[e][1] * s->width;

        for (int64_t d = 0; d < s->width; d++) {
            s->want[CF_USERS][u + d] += s->value[CF_ITEMS][i + d];
            s->want[CF_ITEMS][i + d] += s->value[CF_USERS][u + d];
        }
    }
}

/* `kept`: NULL, or which rows of each side are not zero. */
static void set_width(setup *s, int64_t width, bool *const kept[2])
{
    s->width = width;
    for (int side = 0; side < 2; side++) {
        s->value[side] = new_rows(n_rows[side], width);
        s->want[side] = new_rows(n_rows[side], width);
        s->got[side] = new_rows(n_rows[side], width);
        assert_int_equal(CF_ALLOC(s->visits[side], n_rows[side]), CF_OK);
        for (int64_t row = 0; row < n_rows[side]; row++)
            for (int64_t d = 0; d < width; d++)
                if (!kept || kept[side][row])
                    s->value[side][row * width + d] =
                        value_of(side, row, s->grid->my_column * width + d);
    }
    sum_pairs(s);
}

static void drop_width(setup *s)
{
    for (int side = 0; side < 2; side++) {
        cf_free(&s->value[side]);
        cf_free(&s->want[side]);
        cf_free(&s->got[side]);
        cf_free(&s->visits[side]);
    }
}

static bool next_setup(setup *s, int threads, int *k)
{
    if (*k > 0) {
        cf_graph_destroy(&s->graph);
        cf_test_shard_destroy(&s->shard);
        cf_test_graph_destroy(&s->pairs);
    }
    if (!cf_test_next_grid(&world, MAX_COLUMNS, k, &s->grid)) return false;
    s->pairs = cf_test_graph_random(USERS, ITEMS, 0.05, 3);
    s->shard = cf_test_graph_cut(&s->pairs, s->grid);
    s->first[CF_USERS] = s->shard.first_user;
    s->first[CF_ITEMS] = s->shard.first_item;
    omp_set_num_threads(threads); /* a graph makes scratch for as many as there are */
    assert_int_equal(cf_graph_create(s->grid, &s->shard, &s->graph), CF_OK);
    return true;
}

static cf_field new_field(setup *s)
{
    cf_field field = {0};

    assert_int_equal(cf_graph_create_field(s->graph, s->width, &field), CF_OK);
    for (int side = 0; side < 2; side++)
        memcpy(field.rows[side], s->value[side] + s->first[side] * s->width,
               (size_t)(cf_graph_rows(s->graph, (cf_side)side) * s->width) * sizeof(float));
    return field;
}

/* Runs on any thread: notes what is wrong, and leaves it to check_rows() to fail. */
static void keep(void *context, const cf_visit *visit)
{
    setup *s = context;

    for (int k = 0; k < visit->count; k++) {
        const int64_t row = s->first[visit->side] + visit->rows[k];

        memcpy(s->got[visit->side] + row * s->width, visit->sums + k * s->width,
               (size_t)s->width * sizeof(float));
        s->visits[visit->side][row]++;
        if (s->list[visit->side] && s->list[visit->side][visit->first + k] != visit->rows[k])
            s->misplaced = true;
    }
    memset(visit->sums, 0xff, (size_t)(visit->count * s->width) * sizeof(float)); /* scratch */
}

/* Rows that `listed` (NULL: all of mine) has were visited once with their sums, the others not. */
static void check_rows(const setup *s, bool *const listed[2])
{
    assert_false(s->misplaced);
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < n_rows[side]; row++) {
            const int64_t local = row - s->first[side];
            const bool mine = local >= 0 && local < cf_graph_rows(s->graph, (cf_side)side);

            assert_int_equal(s->visits[side][row], mine && (!listed || listed[side][row]));
            if (s->visits[side][row])
                cf_test_same_bits(s->got[side] + row * s->width, s->want[side] + row * s->width,
                                  s->width, side ? "item" : "user");
        }
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void all_rows_have_the_sums_of_a_serial_loop(void **state)
{
    setup s = {0};

    (void)state;
    for (int threads = 1; threads <= 2; threads++)
        for (int k = 0; next_setup(&s, threads, &k);)
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
    for (int k = 0; next_setup(&s, 2, &k);) {
        int32_t users[USERS], items[ITEMS], *rows[2] = {users, items};
        bool of_users[USERS] = {0}, of_items[ITEMS] = {0}, *listed[2] = {of_users, of_items};
        int64_t count[2];
        cf_field field;

        set_width(&s, 144, NULL);
        for (int side = 0; side < 2; side++) {
            count[side] = list_rows(&s, side, rows[side], listed[side]);
            s.list[side] = rows[side];
        }
        field = new_field(&s);
        cf_graph_sum_rows(s.graph, field, rows, count, keep, &s);
        check_rows(&s, listed);
        s.list[CF_USERS] = s.list[CF_ITEMS] = NULL;
        cf_graph_destroy_field(&field);
        drop_width(&s);
    }
}

/* The owned rows among those kept, into a sparse field. */
static void fill_sparse(const setup *s, bool *const kept[2], int32_t *const rows[2], cf_sparse *out)
{
    for (int side = 0; side < 2; side++) {
        out->count[side] = 0;
        out->rows[side] = rows[side];
        for (int64_t row = 0; row < cf_graph_rows(s->graph, (cf_side)side); row++) {
            const int64_t global = s->first[side] + row;

            if (!kept[side][global]) continue;
            memcpy(out->values[side] + out->count[side] * s->width,
                   s->value[side] + global * s->width, (size_t)s->width * sizeof(float));
            rows[side][out->count[side]++] = (int32_t)row;
        }
    }
}

/* Twice with the same sparse field, other rows each time: the slots must have been cleared. */
static void check_sparse(setup *s, int64_t width, double density)
{
    int32_t users[USERS], items[ITEMS], *rows[2] = {users, items};
    bool of_users[USERS], of_items[ITEMS], *kept[2] = {of_users, of_items};
    cf_sparse sparse = {0};

    assert_int_equal(cf_graph_create_sparse(s->graph, ITEMS, width, &sparse), CF_OK);
    for (uint64_t round = 0; round < 2; round++) {
        for (int side = 0; side < 2; side++)
            for (int64_t row = 0; row < n_rows[side]; row++)
                kept[side][row] = cf_test_noise(31 + round, side, row) < 2 * density - 1;
        set_width(s, width, kept);
        fill_sparse(s, kept, rows, &sparse);
        cf_graph_open_sparse(&sparse);
        cf_graph_exchange_sparse(s->graph, &sparse);
        cf_graph_sum_sparse(s->graph, &sparse, keep, s);
        cf_graph_close_sparse(&sparse);
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
    for (int k = 0; next_setup(&s, 2, &k);)
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

    assert_int_equal(cf_graph_create_field(s->graph, s->width, &field), CF_OK);
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
    for (int k = 0; next_setup(&s, 2, &k);) {
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
    for (int k = 0; next_setup(&s, 2, &k);)
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
            if (s.grid->n_rows == 1) assert_int_equal(cf_graph_halo(s.graph, (cf_side)side), 0);
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_rows_have_the_sums_of_a_serial_loop),
    cmocka_unit_test(listed_rows_have_the_sums_of_a_serial_loop),
    cmocka_unit_test(a_sparse_field_has_the_sums_of_a_serial_loop),
    cmocka_unit_test(the_product_is_symmetric),
    cmocka_unit_test(rows_edges_and_degrees_are_those_of_the_pairs),
};
CF_TEST_MAIN(tests)
