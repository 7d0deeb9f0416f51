/* Rows of bfloat16: rounded as plain C rounds them, and summed as the serial loop sums the rounded
 * numbers, to the last bit. */
#include "sums.h"

enum { USERS = 213, ITEMS = 1300 };
static const int64_t widths[] = {16, 32, 48, 64, 128, 144, 272};
enum { N_WIDTHS = sizeof widths / sizeof *widths };

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The nearer of the two neighbours of 8 bits, and of two as near the one whose last bit is 0. By
 * the definition, with none of the kernel's tricks. */
static float rounded(float x)
{
    const uint32_t bits = bits_of(x), down = bits & 0xffff0000, rest = bits & 0xffff;

    if (isnan(x)) return float_of(down | 0x400000);
    if (isinf(x) || rest < 0x8000 || (rest == 0x8000 && (down & 0x10000) == 0))
        return float_of(down);
    return float_of(down + 0x10000); /* beyond the largest number: infinity */
}

/* Where a row of bfloat16 keeps dimension d, in numbers of 16 bits: pairs of segments in turn, a
 * last segment without a partner in order. */
static int64_t place_of(int64_t d, int64_t width)
{
    const int64_t pair = d / 32 * 32;

    return pair + 32 > width ? d : pair + d % 16 * 2 + d % 32 / 16;
}

static void check_row(const float *in, float factor, int64_t width)
{
    const cf_row_kind kind = {width, CF_BFLOAT16};
    uint16_t got[512];
    float *row = NULL;

    assert_int_equal(cf_graph_row_floats(kind), width / 2);
    assert_int_equal(CF_ALLOC(row, width / 2), CF_OK);
    cf_graph_store_row(kind, row, in, factor);
    memcpy(got, row, (size_t)width * sizeof *got);
    for (int64_t d = 0; d < width; d++) {
        const uint32_t want = bits_of(rounded(factor * in[d])) >> 16;

        if (got[place_of(d, width)] != want)
            fail_msg("%08x x %g: %04x, expected %04x", bits_of(in[d]), (double)factor,
                     got[place_of(d, width)], want);
    }
    cf_free(&row);
}

static void numbers_are_rounded_to_the_nearest_even(void **state)
{
    /* ties both ways, beside ties, denormals, the largest numbers, infinity, NaN whose bits are all
     * in the dropped half, NaN that would carry into the sign */
    static const uint32_t special[] = {
        0x00000000, 0x80000000, 0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001, 0xbf818000,
        0x00000001, 0x00008000, 0x00018000, 0x007fffff, 0x80007fff, 0x7f7fffff, 0x7f7f7fff,
        0xff7f8000, 0x7f800000, 0xff800000, 0x7f800001, 0x7fffffff, 0xffffffff, 0x7fc00000};
    enum { N_SPECIAL = sizeof special / sizeof *special };
    float *in = NULL;

    (void)state;
    assert_int_equal(CF_ALLOC(in, 512), CF_OK);
    for (uint64_t round = 0; round < 200; round++)
        for (int w = 0; w < N_WIDTHS; w++) {
            for (int64_t d = 0; d < widths[w]; d++) {
                const uint64_t bits =
                    cf_random_bits((cf_random){5, CF_STREAM_TEST}, round, (uint64_t)w, (uint64_t)d);

                in[d] = float_of(bits % 3 == 0   ? special[bits / 3 % N_SPECIAL]
                                 : bits % 3 == 1 ? (uint32_t)(bits >> 32) & 0xffff8000 /* ties */
                                                 : (uint32_t)(bits >> 32));
            }
            check_row(in, 1, widths[w]);
            check_row(in, 0.37f, widths[w]);
        }
    cf_free(&in);
}

static cf_test_graph make_graph(void)
{
    return cf_test_graph_random(USERS, ITEMS, 0.05, 3);
}

/* Values as bfloat16 holds them, and their sums. */
static void round_values(setup *s)
{
    for (int side = 0; side < 2; side++) {
        memset(s->want[side], 0, (size_t)(s->n_rows[side] * s->width) * sizeof(float));
        for (int64_t k = 0; k < s->n_rows[side] * s->width; k++)
            s->value[side][k] = rounded(s->value[side][k]);
    }
    sum_pairs(s);
}

/* Values that are not rounded go in. */
static void store_values(const setup *s, cf_row_kind kind, int side, int64_t global, float *out)
{
    cf_graph_store_row(kind, out, s->value[side] + global * kind.width, 1);
}

static void sums_are_those_of_the_rounded_numbers(void **state)
{
    setup s = {0};

    (void)state;
    for (int threads = 1; threads <= 2; threads++)
        for (int k = 0; next_setup(&s, make_graph, threads, &k);)
            for (int w = 0; w < N_WIDTHS; w++) {
                const cf_row_kind kind = {widths[w], CF_BFLOAT16};
                cf_field field;

                set_width(&s, widths[w], NULL);
                assert_int_equal(cf_graph_create_field(s.graph, kind, &field), CF_OK);
                for (int side = 0; side < 2; side++)
                    for (int64_t row = 0; row < cf_graph_rows(s.graph, (cf_side)side); row++)
                        store_values(&s, kind, side, s.first[side] + row,
                                     field.rows[side] + row * field.stride);
                round_values(&s);
                cf_graph_sum(s.graph, field, keep, &s);
                check_rows(&s, NULL);
                cf_graph_destroy_field(&field);
                drop_width(&s);
            }
}

/* The same of a field that is zero but for every fourth row. */
static void sums_of_few_rows_are_those_of_the_rounded_numbers(void **state)
{
    setup s = {0};

    (void)state;
    for (int k = 0; next_setup(&s, make_graph, 2, &k);)
        for (int w = 0; w < N_WIDTHS; w++) {
            const cf_row_kind kind = {widths[w], CF_BFLOAT16};
            int32_t users[USERS], items[ITEMS], *rows[2] = {users, items};
            bool of_users[USERS], of_items[ITEMS], *kept[2] = {of_users, of_items};
            cf_sparse sparse = {0};

            for (int side = 0; side < 2; side++)
                for (int64_t row = 0; row < s.n_rows[side]; row++)
                    kept[side][row] = row % 4 == side;
            set_width(&s, widths[w], kept);
            assert_int_equal(cf_graph_create_sparse(s.graph, USERS + ITEMS, kind, &sparse), CF_OK);
            for (int side = 0; side < 2; side++) {
                sparse.count[side] = 0;
                sparse.rows[side] = rows[side];
                for (int64_t row = 0; row < cf_graph_rows(s.graph, (cf_side)side); row++)
                    if (kept[side][s.first[side] + row])
                        rows[side][sparse.count[side]++] = (int32_t)row;
            }
            cf_graph_open_sparse(s.graph, &sparse);
            for (int side = 0; side < 2; side++)
                for (int64_t n = 0; n < sparse.count[side]; n++)
                    store_values(&s, kind, side, s.first[side] + rows[side][n],
                                 sparse.values[side] + n * sparse.stride);
            round_values(&s);
            cf_graph_exchange_sparse(s.graph, &sparse);
            cf_graph_sum_sparse(s.graph, NULL, CF_ALL_HOPS, &sparse, keep, &s);
            cf_graph_close_sparse(s.graph, &sparse);
            check_rows(&s, NULL);
            cf_graph_destroy_sparse(&sparse);
            drop_width(&s);
        }
}

/* Rows that are written into a field, all or every third, are those that are stored by themselves;
 * the others stay. */
static void check_writing(const setup *s, cf_row_kind kind, bool streams)
{
    int32_t thirds[USERS + ITEMS];
    float *factor = NULL, *row = NULL;
    cf_field field;

    assert_int_equal(cf_graph_create_field(s->graph, kind, &field), CF_OK);
    assert_int_equal(CF_ALLOC(factor, USERS + ITEMS), CF_OK);
    assert_int_equal(CF_ALLOC(row, field.stride), CF_OK);
    field.streams = streams;
    for (int side = 0; side < 2; side++) {
        const int64_t n = cf_graph_rows(s->graph, (cf_side)side);
        cf_scaled_rows rows = {
            .count = n, .values = s->value[side] + s->first[side] * kind.width, .factor = factor};

        for (int64_t k = 0; k < n; k++)
            factor[k] = 1 + 0.1f * (float)k;
        cf_graph_write_rows(&field, (cf_side)side, &rows);
        rows.rows = thirds;
        for (rows.count = 0; 3 * rows.count < n; rows.count++) {
            thirds[rows.count] = (int32_t)(3 * rows.count);
            factor[3 * rows.count] = -2;
        }
        cf_graph_write_rows(&field, (cf_side)side, &rows);
        for (int64_t k = 0; k < n; k++) {
            cf_graph_store_row(kind, row, rows.values + k * kind.width, factor[k]);
            assert_memory_equal(field.rows[side] + k * field.stride, row,
                                (size_t)field.stride * sizeof *row);
        }
    }
    cf_graph_destroy_field(&field);
    cf_free(&factor);
    cf_free(&row);
}

static void rows_written_past_the_caches_are_the_same(void **state)
{
    setup s = {0};

    (void)state;
    for (int k = 0; next_setup(&s, make_graph, 2, &k);)
        for (int w = 0; w < N_WIDTHS; w++) {
            set_width(&s, widths[w], NULL);
            for (int streams = 0; streams < 2; streams++) {
                check_writing(&s, (cf_row_kind){widths[w], CF_FLOAT32}, streams);
                check_writing(&s, (cf_row_kind){widths[w], CF_BFLOAT16}, streams);
            }
            drop_width(&s);
        }
}

/* From 128 MiB on: 2^25 floats. */
static void only_large_fields_are_written_past_the_caches(void **state)
{
    setup s = {0};
    int k = 0;

    (void)state;
    assert_true(next_setup(&s, make_graph, 1, &k));
    for (int large = 0; large < 2; large++) {
        const int64_t width =
            (large ? cf_ceil_div(1 << 25, CF_LANES * (USERS + ITEMS)) : 4) * CF_LANES;
        cf_field field;

        assert_int_equal(cf_graph_create_field(s.graph, (cf_row_kind){width, CF_FLOAT32}, &field),
                         CF_OK);
        assert_int_equal(field.streams, large);
        cf_graph_destroy_field(&field);
    }
    while (next_setup(&s, make_graph, 1, &k))
        continue;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(numbers_are_rounded_to_the_nearest_even),
    cmocka_unit_test(sums_are_those_of_the_rounded_numbers),
    cmocka_unit_test(sums_of_few_rows_are_those_of_the_rounded_numbers),
    cmocka_unit_test(rows_written_past_the_caches_are_the_same),
    cmocka_unit_test(only_large_fields_are_written_past_the_caches),
};

CF_TEST_MAIN(tests)
