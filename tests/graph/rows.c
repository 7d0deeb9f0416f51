#include "sums.h"

enum { USERS = 61, ITEMS = 143, WIDTH = 32 };

static cf_test_graph make_graph(void)
{
    return cf_test_graph_random(USERS, ITEMS, 0.05, 5);
}

/* A row of `side` has the rows of its neighbours, by the pairs, in their order. */
static void check_neighbours(const setup *s, cf_side side, const cf_field *field)
{
    const int other = 1 - (int)side;
    int64_t seen[ITEMS] = {0};

    for (int64_t e = 0; e < s->pairs.n_pairs; e++) {
        const int64_t local = s->pairs.pairs[e][side] - s->first[side];
        const float *want = s->value[other] + s->pairs.pairs[e][other] * WIDTH;

        if (local < 0 || local >= cf_graph_rows(s->graph, side)) continue;
        cf_test_same_bits(
            cf_graph_row(field, cf_graph_neighbours(s->graph, side, local)[seen[local]++]), want,
            WIDTH, "neighbour");
    }
    for (int64_t row = 0; row < cf_graph_rows(s->graph, side); row++)
        assert_int_equal(seen[row], cf_graph_degree(s->graph, side, row));
}

/* While the rows of one side are there, those of the other are written anew, twice. */
static void neighbours_have_the_rows_that_their_owners_wrote(void **state)
{
    setup s = {0};

    (void)state;
    for (int k = 0; next_setup(&s, make_graph, 1, &k);) {
        cf_sides sides = {0};
        cf_field field;

        set_width(&s, WIDTH, NULL);
        field = new_field(&s);
        assert_ok(cf_graph_create_sides(s.graph, &sides));
        for (int half = 0; half < 4; half++) {
            const cf_side side = (cf_side)(half % 2), other = (cf_side)(1 - half % 2);
            const size_t bytes = (size_t)(cf_graph_rows(s.graph, side) * WIDTH) * sizeof(float);

            cf_graph_begin_rows(s.graph, &sides, other, field);
            memset(field.rows[side], 0, bytes);
            check_neighbours(&s, side, &field);
            memcpy(field.rows[side], s.value[side] + s.first[side] * WIDTH, bytes);
            cf_graph_end_rows(s.graph);
        }
        cf_graph_destroy_sides(&sides);
        cf_graph_destroy_field(&field);
        drop_width(&s);
    }
}

static cf_status try_sides(void *context)
{
    cf_sides sides = {0};
    const cf_status status = cf_graph_create_sides(context, &sides);

    cf_graph_destroy_sides(&sides);
    return status;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = try_sides, .least = {4, 4}};
    setup s = {0};

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &s.grid));
    make_setup(&s, make_graph, 1);
    cf_test_every_allocation(&trial, s.graph);
    drop_setup(&s);
    cf_par_destroy_grid(&s.grid);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(neighbours_have_the_rows_that_their_owners_wrote),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};

CF_TEST_MAIN(tests)
