/* The same bits on every grid as on one rank; wide tables; more items than the fit had. */
#include "problem.h"

enum { N_USERS = 60, N_ITEMS = 350, SOURCE_DIM = 37, DIM = 70, N_BASE = 300 };

/* Items from N_BASE on are marked in every dataset, before that every seventh; some have no vector.
 * Of the first three vectors two are equal, and so are many of their distances to others. */
static double *draw(uint64_t seed, int64_t rows, int64_t columns)
{
    double *values = take(rows * columns, sizeof *values);

    for (int64_t k = 0; k < rows * columns; k++)
        values[k] = (float)cf_test_noise(seed, k / columns, k % columns);
    return values;
}

static problem draw_problem(const double *vectors, int64_t n_items, bool marked)
{
    problem p = new_problem(N_USERS, n_items, SOURCE_DIM, vectors);

    for (int64_t i = 0; i < n_items; i++) {
        if (i >= N_BASE || (marked && i % 7 == 3)) p.cold[i] = CF_COLD_VALID | CF_COLD_TEST;
        if (i % 19 == 5) p.present[i] = 0;
    }
    for (int64_t k = 0; k < N_USERS * n_items; k++) {
        const double x = cf_test_noise(9, k / n_items, k % n_items);

        p.parts[k] = p.cold[k % n_items] ? 0 : x > 0.9 ? 1 : x > 0.88 ? 2 : 0;
    }
    if (!marked && n_items <= N_BASE) {
        free(p.cold);
        p.cold = NULL;
    }
    return p;
}

/* ---- The same bits -------------------------------------------------------------------------- */

/* What a fit and its rows are, whole. */
typedef struct outcome {
    float *items, *weights; /* weights NULL: none */
    double center[SOURCE_DIM], parameter, gain;
    int64_t n_points;
    cf_cold_point points[CF_COLD_MOST * 8];
    uint8_t hidden[N_ITEMS];
} outcome;

static outcome take_outcome(const setting *s)
{
    outcome o = {.items = cf_test_table_get(s->items),
                 .parameter = s->map->parameter,
                 .gain = s->map->gain,
                 .n_points = s->map->n_points};

    if (s->map->weights != NULL) {
        cf_test_table_check_padding(s->map->weights);
        o.weights = cf_test_table_get(s->map->weights);
    }
    cf_test_table_check_padding(s->items);
    assert_int_equal(s->map->source_dim, SOURCE_DIM);
    assert_true(o.n_points <= CF_COLD_MOST * 8);
    memcpy(o.center, s->map->center, sizeof o.center);
    if (o.n_points > 0) /* none, and no memory, where nothing was calibrated */
        memcpy(o.points, s->map->points, (size_t)o.n_points * sizeof *o.points);
    memcpy(o.hidden, s->hidden, (size_t)s->p->n_items);
    return o;
}

static void drop_outcome(outcome *o)
{
    free(o->items);
    free(o->weights);
}

static void check_same(const outcome *got, const outcome *want, int64_t n_items, int64_t dim)
{
    cf_test_same_bits(got->items, want->items, n_items * dim, "items");
    assert_int_equal(got->weights != NULL, want->weights != NULL);
    if (want->weights != NULL)
        cf_test_same_bits(got->weights, want->weights, SOURCE_DIM * dim, "weights");
    assert_memory_equal(got->center, want->center, sizeof want->center);
    assert_true(got->parameter == want->parameter && got->gain == want->gain);
    assert_int_equal(got->n_points, want->n_points);
    assert_memory_equal(got->points, want->points, (size_t)want->n_points * sizeof *want->points);
    assert_memory_equal(got->hidden, want->hidden, sizeof want->hidden);
}

/* On this grid, in much memory or in little, with the neighbours ranked in several rounds. */
static outcome run_on(const problem *p, cf_grid *grid, const double *users, const double *items,
                      cf_cold_kind kind, int64_t memory)
{
    setting s = new_setting(p, grid, users, items, users != NULL ? DIM : p->n_items);
    outcome o;

    s.options.kind = kind;
    s.options.n_neighbors = 3;
    s.options.neighbors[1] = 1;
    s.options.neighbors[2] = 9;
    s.options.calibrate_users = 30;
    s.options.n_gains = 2; /* and 1, which is tried all the same, and, by norm, another */
    s.place.memory = memory;
    assert_ok(fit_and_apply(&s));
    o = take_outcome(&s);
    destroy_setting(&s);
    return o;
}

static void check_kind(cf_cold_kind kind, bool matrix)
{
    double *vectors = draw(1, N_ITEMS, SOURCE_DIM), *users = matrix ? NULL : draw(2, N_USERS, DIM),
           *items = draw(3, N_ITEMS, matrix ? N_ITEMS : DIM);
    const int64_t dim = matrix ? N_ITEMS : DIM;
    problem p = draw_problem(vectors, N_ITEMS, true), alone;
    cf_grid *grid = NULL;
    outcome want;

    memcpy(vectors + SOURCE_DIM, vectors, SOURCE_DIM * sizeof *vectors);
    open_problem(&p, "data.h5");
    alone = p;
    assert_ok(cf_dataset_open(&cf_test_self, cf_test_scratch("data.h5"), &alone.file));
    assert_ok(cf_par_create_grid(&cf_test_self, 1, 1, &grid));
    want = run_on(&alone, grid, users, items, kind, 64 << 20);
    assert_int_equal(want.n_points, (matrix ? 3 : 4) * (kind == CF_COLD_RIDGE ? 4 : 3));
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&alone.file);
    for (int k = 0; cf_test_next_grid(&world, cf_table_segments(dim), &k, &grid);) {
        outcome got = run_on(&p, grid, users, items, kind, 3 << 20);

        check_same(&got, &want, N_ITEMS, dim);
        drop_outcome(&got);
    }
    drop_outcome(&want);
    close_problem(&p);
    free(vectors);
    free(users);
    free(items);
}

static void the_grid_changes_no_bit(void **state)
{
    (void)state;
    check_kind(CF_COLD_NEAREST, false);
    check_kind(CF_COLD_RIDGE, false);
    check_kind(CF_COLD_RIDGE, true);
    check_kind(CF_COLD_NEAREST, true);
}

/* ---- What a gain may cost -------------------------------------------------------------------- */

/* The gain chosen by ndcg if it may cost so much is the best of those that do not cost more. */
static double check_loss(const problem *p, cf_grid *grid, const double *items, double loss)
{
    setting s = new_setting(p, grid, NULL, items, N_ITEMS);
    const cf_cold_point *best = NULL;
    double gain;

    s.options.kind = CF_COLD_NEAREST;
    s.options.calibrate_loss = loss;
    s.options.calibrate_users = 1000;
    assert_ok(fit_and_apply(&s));
    for (int64_t k = 0; k < s.map->n_points; k++) { /* the first gain is the smallest */
        const cf_cold_point *point = &s.map->points[k];

        if (point->warm_hit < (1 - loss) * s.map->points[0].warm_hit) continue;
        if (best == NULL || point->ndcg > best->ndcg) best = point;
    }
    assert_true(s.map->gain == best->gain);
    gain = s.map->gain;
    destroy_setting(&s);
    return gain;
}

static void a_gain_costs_no_more_hits_than_it_may(void **state)
{
    double *vectors = draw(1, N_ITEMS, SOURCE_DIM), *items = draw(3, N_ITEMS, N_ITEMS);
    problem p = draw_problem(vectors, N_ITEMS, true);
    cf_grid *grid = NULL;

    (void)state;
    open_problem(&p, "data.h5");
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    assert_true(check_loss(&p, grid, items, 0) < check_loss(&p, grid, items, 1));
    cf_par_destroy_grid(&grid);
    close_problem(&p);
    free(vectors);
    free(items);
}

/* ---- Wide tables ---------------------------------------------------------------------------- */

/* Strips of columns are seams that a map does not have: columns about a seam, and the last of a
 * wide table, get the rows that they get alone. */
static void columns_do_not_depend_on_each_other(void **state)
{
    enum { WIDE = 2048 + 300, SEAM = 2048, FEW = 64, HALF = FEW / 2 };
    double *vectors = draw(1, N_BASE, SOURCE_DIM), *users = take(N_USERS * WIDE, sizeof *users),
           *wide = draw(4, N_BASE, WIDE), *few = take(N_BASE * FEW, sizeof *few);
    problem p = draw_problem(vectors, N_BASE, true);
    cf_grid *grid = NULL;
    int64_t from[FEW];

    (void)state;
    for (int64_t j = 0; j < FEW; j++)
        from[j] = j < HALF ? SEAM - HALF / 2 + j : WIDE - FEW + j;
    for (int64_t k = 0; k < N_BASE * FEW; k++)
        few[k] = wide[k / FEW * WIDE + from[k % FEW]];
    open_problem(&p, "data.h5");
    for (int k = 0; cf_test_next_grid(&world, FEW / CF_LANES, &k, &grid);) {
        setting a = new_setting(&p, grid, users, wide, WIDE),
                b = new_setting(&p, grid, users, few, FEW);
        float *of_wide, *of_few;

        a.options.kind = b.options.kind = CF_COLD_RIDGE;
        a.options.calibrate_share = b.options.calibrate_share = 0;
        assert_ok(fit_and_apply(&a));
        assert_ok(fit_and_apply(&b));
        of_wide = cf_test_table_get(a.items);
        of_few = cf_test_table_get(b.items);
        for (int64_t e = 0; e < N_BASE * FEW; e++)
            assert_close(of_wide[e / FEW * WIDE + from[e % FEW]], of_few[e], 1e-6);
        free(of_wide);
        free(of_few);
        destroy_setting(&a);
        destroy_setting(&b);
    }
    close_problem(&p);
    free(vectors);
    free(users);
    free(wide);
    free(few);
}

/* ---- More items than the fit had ------------------------------------------------------------ */

/* A map that is fitted without the items that come later gives them the rows of one that is fitted
 * with them: they are marked, and nothing of theirs enters a fit. Of an item-item matrix they have
 * rows and no columns. */
static void new_items_get_their_rows(cf_cold_kind kind, bool matrix)
{
    const int64_t dim = matrix ? N_BASE : DIM;
    double *vectors = draw(1, N_ITEMS, SOURCE_DIM), *users = draw(2, N_USERS, dim),
           *items = draw(3, N_ITEMS, dim);
    problem base = draw_problem(vectors, N_BASE, false),
            more = draw_problem(vectors, N_ITEMS, false);
    cf_grid *grid = NULL;

    open_problem(&base, "base.h5");
    open_problem(&more, "more.h5");
    for (int k = 0; cf_test_next_grid(&world, cf_table_segments(dim), &k, &grid);) {
        setting a = new_setting(&base, grid, users, items, dim),
                b = new_setting(&more, grid, users, items, dim);
        cf_cold_map *own;
        outcome got, want;

        a.options.kind = b.options.kind = kind;
        a.options.calibrate_share = b.options.calibrate_share = 0;
        assert_ok(fit_and_apply(&a));
        assert_ok(fit_and_apply(&b));
        want = take_outcome(&b);
        cf_test_table_set(b.items, items);
        own = b.map;
        b.map = a.map;
        assert_ok(cf_cold_apply(b.map, &b.place, b.items, b.hidden));
        got = take_outcome(&b);
        for (int64_t i = 0; i < N_ITEMS; i++)
            assert_int_equal(got.hidden[i], i >= N_BASE && i % 19 == 5);
        check_same(&got, &want, N_ITEMS, dim);
        b.map = own;
        drop_outcome(&got);
        drop_outcome(&want);
        destroy_setting(&a);
        destroy_setting(&b);
    }
    close_problem(&base);
    close_problem(&more);
    free(vectors);
    free(users);
    free(items);
}

static void items_that_come_later_are_served(void **state)
{
    (void)state;
    new_items_get_their_rows(CF_COLD_NEAREST, false);
    new_items_get_their_rows(CF_COLD_RIDGE, true);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_grid_changes_no_bit),
    cmocka_unit_test(a_gain_costs_no_more_hits_than_it_may),
    cmocka_unit_test(columns_do_not_depend_on_each_other),
    cmocka_unit_test(items_that_come_later_are_served),
};
CF_TEST_MAIN(tests)
