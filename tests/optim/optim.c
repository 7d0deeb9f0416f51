#include "cf/optim.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { USERS = 23, ITEMS = 14, DIM = 70, SEGMENTS = 5, STEPS = 20 };
static const int64_t n_rows[2] = {USERS, ITEMS};

typedef struct variant {
    const char *learner, *learning_rate, *weight_decay, *start_decay, *freeze_items;
} variant;
static const variant variants[] = {
    {"learner=adam", "learning_rate=0.01", "weight_decay=0", "start_decay=0", "freeze_items=no"},
    {"learner=adam", "learning_rate=0.003", "weight_decay=0.1", "start_decay=0", "freeze_items=no"},
    {"learner=sgd", "learning_rate=0.1", "weight_decay=0", "start_decay=0", "freeze_items=no"},
    {"learner=sgd", "learning_rate=0.05", "weight_decay=0.2", "start_decay=0", "freeze_items=no"},
    {"learner=adam", "learning_rate=0.01", "weight_decay=0", "start_decay=3", "freeze_items=no"},
    {"learner=adam", "learning_rate=0.01", "weight_decay=0.5", "start_decay=1", "freeze_items=yes"},
    {"learner=sgd", "learning_rate=0.05", "weight_decay=0.2", "start_decay=2", "freeze_items=no"},
    {"learner=sgd", "learning_rate=0.1", "weight_decay=0", "start_decay=0", "freeze_items=yes"},
};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

static cf_optim_options options_of(const variant *v)
{
    const cf_setting *const tables[] = {cf_optim_settings};
    cf_config *config = NULL;
    cf_optim_options options;

    assert_int_equal(cf_config_create(tables, 1, &config), CF_OK);
    for (int k = 0; k < 5; k++)
        assert_int_equal(
            cf_config_set(config,
                          (const char *const[]){v->learner, v->learning_rate, v->weight_decay,
                                                v->start_decay, v->freeze_items}[k]),
            CF_OK);
    cf_optim_read_options(config, &options);
    cf_config_destroy(&config);
    return options;
}

/* Some gradients are zero all the time, some tiny, and each changes its sign now and then. */
static float gradient_of(int side, int64_t step, int64_t row, int64_t d)
{
    const double size = d % 7 == 3 ? 0 : d % 5 == 1 ? 1e-4 : 1;

    return (float)(size * (0.3 + cf_test_noise(90 + (uint64_t)side, step * 1000 + row, d)));
}

/* Two tables of noise and their optimizer. */
typedef struct setup {
    cf_grid *grid; /* borrowed */
    cf_blocks blocks[2];
    cf_table *table[2];
    cf_optim *optim;
} setup;

static double *noise(int side)
{
    double *values = malloc((size_t)(n_rows[side] * DIM) * sizeof *values);

    assert_non_null(values);
    for (int64_t row = 0; row < n_rows[side]; row++)
        for (int64_t d = 0; d < DIM; d++)
            values[row * DIM + d] = (float)cf_test_noise(80 + (uint64_t)side, row, d);
    return values;
}

static setup open_setup(cf_grid *grid, const variant *v)
{
    setup s = {.grid = grid};
    const cf_optim_options options = options_of(v);

    for (int side = 0; side < 2; side++) {
        double *values = noise(side);

        assert_int_equal(cf_par_create_blocks(n_rows[side], grid->n_rows, &s.blocks[side]), CF_OK);
        assert_int_equal(cf_table_create(grid, &s.blocks[side], DIM, &s.table[side]), CF_OK);
        cf_test_table_set(s.table[side], values);
        free(values);
    }
    assert_int_equal(cf_optim_create(&options, s.table, &s.optim), CF_OK);
    cf_optim_keep_start(s.optim);
    return s;
}

static void close_setup(setup *s)
{
    cf_optim_destroy(&s->optim);
    for (int side = 0; side < 2; side++) {
        cf_table_destroy(&s->table[side]);
        cf_par_destroy_blocks(&s->blocks[side]);
    }
}

/* Rows in parts of three, the last part first: each once, in no special order. */
static void take_step(setup *s, int64_t step)
{
    cf_optim_begin(s->optim);
    for (int side = 0; side < 2; side++) {
        const cf_table *t = s->table[side];
        float *gradient = NULL;
        int32_t rows[3];

        assert_int_equal(CF_ALLOC(gradient, 3 * t->width), CF_OK);
        for (int64_t first = (t->local_rows + 2) / 3 * 3 - 3; first >= 0; first -= 3) {
            int count = 0;

            for (int64_t row = first; row < first + 3 && row < t->local_rows; row++, count++) {
                rows[count] = (int32_t)row;
                for (int64_t d = 0; d < t->local_dim; d++)
                    gradient[count * t->width + d] =
                        gradient_of(side, step, t->first_row + row, t->first_dim + d);
            }
            cf_optim_update(s->optim, (cf_side)side, rows, count, gradient);
        }
        cf_free(&gradient);
    }
}

/* Kingma and Ba 2015, algorithm 1, in doubles; PyTorch's weight decay, and one towards the start.
 */
static double reference(const cf_optim_options *options, int side, int64_t row, int64_t d)
{
    const double rate = options->learning_rate;
    const double start = (float)cf_test_noise(80 + (uint64_t)side, row, d);
    double x = start, m = 0, v = 0;

    if (side == CF_ITEMS && options->freeze_items) return start;
    for (int t = 1; t <= STEPS; t++) {
        const double g = (double)gradient_of(side, t, row, d) + options->weight_decay * x +
                         options->start_decay * (x - start);

        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        if (options->learner == CF_SGD)
            x -= rate * g;
        else
            x -= rate * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
    }
    return x;
}

static void check_against_doubles(const setup *s, const variant *v)
{
    const cf_optim_options options = options_of(v);

    for (int side = 0; side < 2; side++) {
        float *got = cf_test_table_get(s->table[side]);

        for (int64_t row = 0; row < n_rows[side]; row++)
            for (int64_t d = 0; d < DIM; d++) {
                const double want = reference(&options, side, row, d);

                /* 20 float steps of numbers of size 1 */
                cf_test_close_f32(got + row * DIM + d, &want, 1, 2e-6, 1);
            }
        free(got);
    }
}

static void twenty_steps_are_those_of_a_plain_double_loop(void **state)
{
    cf_grid *grid = NULL;

    (void)state;
    for (int k = 0; cf_test_next_grid(&world, SEGMENTS, &k, &grid);)
        for (int v = 0; v < N_VARIANTS; v++) {
            setup s = open_setup(grid, &variants[v]);

            for (int64_t step = 1; step <= STEPS; step++)
                take_step(&s, step);
            check_against_doubles(&s, &variants[v]);
            assert_int_equal(cf_optim_steps(s.optim), STEPS);
            for (int side = 0; side < 2; side++)
                cf_test_table_check_padding(s.table[side]);
            close_setup(&s);
        }
}

/* At the start itself nothing pulls; elsewhere the gradient is that of start_decay / 2 times the
 * squared distance, by central differences. */
static void the_decay_is_the_gradient_of_a_squared_distance(void **state)
{
    const variant v = {"learner=sgd", "learning_rate=1", "weight_decay=0", "start_decay=0.25",
                       "freeze_items=no"};
    const double h = 1.0 / 1024;
    cf_grid *grid = NULL;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    for (int moved = 0; moved < 2; moved++) {
        setup s = open_setup(grid, &v);
        const cf_table *t = s.table[CF_USERS];
        const int64_t count = t->local_rows * t->width;
        float *zero = NULL, *before = NULL;

        assert_int_equal(CF_ALLOC(zero, t->width), CF_OK);
        assert_int_equal(CF_ALLOC(before, count), CF_OK);
        for (int64_t k = 0; k < count; k++) {
            if (moved && k % t->width < t->local_dim) t->data[k] += (float)(k % 9 - 4);
            before[k] = t->data[k];
        }
        cf_optim_begin(s.optim);
        for (int32_t r = 0; r < t->local_rows; r++)
            cf_optim_update(s.optim, CF_USERS, &r, 1, zero);
        for (int64_t k = 0; k < count; k++) {
            const double d = moved && k % t->width < t->local_dim ? (double)(k % 9 - 4) : 0;
            const double want =
                0.125 * ((d + h) * (d + h) - (d - h) * (d - h)) / (2 * h); /* exact of a square */

            assert_true(fabs((double)(before[k] - t->data[k]) - want) < 2e-6);
            if (!moved) assert_true(before[k] == t->data[k]);
        }
        cf_free(&zero);
        cf_free(&before);
        close_setup(&s);
    }
    cf_par_destroy_grid(&grid);
}

/* The table of a side, and those that its optimizer keeps; NULL: not kept. */
static cf_table *table_of(const setup *s, int side, int which)
{
    return which < CF_N_KEPT ? cf_optim_table(s->optim, (cf_side)side, (cf_kept)which)
                             : s->table[side];
}

static void check_same(const setup *got, const setup *want)
{
    for (int side = 0; side < 2; side++)
        for (int t = 0; t <= CF_N_KEPT; t++) {
            const cf_table *a = table_of(got, side, t), *b = table_of(want, side, t);
            float *x, *y;

            assert_true((a == NULL) == (b == NULL));
            if (a == NULL) continue;
            x = cf_test_table_get(a);
            y = cf_test_table_get(b);
            cf_test_same_bits(x, y, n_rows[side] * DIM, "table, moment or start");
            free(x);
            free(y);
        }
}

static void every_grid_has_the_bits_of_one_rank(void **state)
{
    cf_grid *grid = NULL, *alone = NULL;

    (void)state;
    assert_int_equal(cf_par_create_grid(&cf_test_self, 1, 1, &alone), CF_OK);
    for (int v = 0; v < N_VARIANTS; v++) {
        setup serial = open_setup(alone, &variants[v]);

        for (int64_t step = 1; step <= STEPS; step++)
            take_step(&serial, step);
        for (int k = 0; cf_test_next_grid(&world, SEGMENTS, &k, &grid);) {
            setup s = open_setup(grid, &variants[v]);

            for (int64_t step = 1; step <= STEPS; step++)
                take_step(&s, step);
            check_same(&s, &serial);
            close_setup(&s);
        }
        close_setup(&serial);
    }
    cf_par_destroy_grid(&alone);
}

static void copy_state(const setup *from, setup *to)
{
    for (int side = 0; side < 2; side++) {
        const size_t bytes =
            (size_t)(from->table[side]->local_rows * from->table[side]->width) * sizeof(float);

        for (int t = 0; t <= CF_N_KEPT; t++)
            if (table_of(from, side, t) != NULL)
                memcpy(table_of(to, side, t)->data, table_of(from, side, t)->data, bytes);
    }
    cf_optim_set_steps(to->optim, cf_optim_steps(from->optim));
}

static void a_restored_optimizer_goes_on_with_the_same_bits(void **state)
{
    cf_grid *grid = NULL;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    for (int v = 0; v < N_VARIANTS; v++) {
        setup whole = open_setup(grid, &variants[v]), second = open_setup(grid, &variants[v]);

        for (int64_t step = 1; step <= STEPS; step++) {
            if (step == 8) copy_state(&whole, &second);
            take_step(&whole, step);
            if (step >= 8) take_step(&second, step);
        }
        check_same(&second, &whole);
        close_setup(&whole);
        close_setup(&second);
    }
    cf_par_destroy_grid(&grid);
}

/* Tables are kept where they are used: no moments of SGD, nothing of frozen items. */
static void no_more_is_kept_than_is_used(void **state)
{
    static const int kept[N_VARIANTS][2] = {{2, 2}, {2, 2}, {0, 0}, {0, 0},
                                            {3, 3}, {3, 0}, {1, 1}, {0, 0}};
    cf_grid *grid = NULL;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    for (int v = 0; v < N_VARIANTS; v++) {
        const cf_optim_options options = options_of(&variants[v]);
        setup s = open_setup(grid, &variants[v]);

        for (int side = 0; side < 2; side++) {
            int n = 0;

            for (int k = 0; k < CF_N_KEPT; k++) {
                assert_true(cf_optim_keeps(&options, (cf_side)side, (cf_kept)k) ==
                            (table_of(&s, side, k) != NULL));
                n += table_of(&s, side, k) != NULL;
            }
            assert_int_equal(n, kept[v][side]);
        }
        close_setup(&s);
    }
    cf_par_destroy_grid(&grid);
}

/* An optimizer of the tables of a setup, created again and again. */
typedef struct creation {
    const setup *s;
    cf_optim_options options;
    cf_optim *optim;
} creation;

static cf_status create_optim(void *context)
{
    creation *c = context;
    cf_status status = cf_optim_create(&c->options, c->s->table, &c->optim);

    if (status != CF_OK) assert_null(c->optim);
    return status;
}

static void destroy_optim(void *context)
{
    cf_optim_destroy(&((creation *)context)->optim);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = create_optim, .clean_up = destroy_optim};
    cf_grid *grid = NULL;

    (void)state;
    for (int k = 0; cf_test_next_grid(&world, SEGMENTS, &k, &grid);) {
        setup s = open_setup(grid, &variants[0]);
        creation c = {.s = &s, .options = options_of(&variants[4])};

        /* itself, and six tables of three each */
        assert_true(cf_test_every_allocation(&trial, &c) >= 1 + 6 * 3);
        close_setup(&s);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(twenty_steps_are_those_of_a_plain_double_loop),
    cmocka_unit_test(the_decay_is_the_gradient_of_a_squared_distance),
    cmocka_unit_test(every_grid_has_the_bits_of_one_rank),
    cmocka_unit_test(a_restored_optimizer_goes_on_with_the_same_bits),
    cmocka_unit_test(no_more_is_kept_than_is_used),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
