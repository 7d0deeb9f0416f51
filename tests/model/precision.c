/* Layers of bfloat16: final rows and the gradient with respect to raw rows are, to the last bit,
 * those of plain loops that round at the same places. */
#include "problem.h"

#include "model/internal.h"

#include <math.h>

enum { USERS = 63, ITEMS = 50, BATCH = 40, MAX_LAYERS = 3 };

static float rounded(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000; /* the numbers here are finite */
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* As the kernel's: once rounded where the build's target can. */
static float fused(float a, float b, float c)
{
#ifdef __FMA__
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

/* Both sides' rows, whole, on every rank. */
typedef struct plain {
    const problem *p;
    float *scale[2], *field[2], *sums[2];
} plain;

static float *new_floats(int64_t count)
{
    float *out = NULL;

    assert_int_equal(CF_ALLOC(out, count), CF_OK);
    return out;
}

static plain new_plain(const problem *p)
{
    plain out = {.p = p};

    for (int side = 0; side < 2; side++) {
        const int64_t n = problem_rows(p, side);

        out.scale[side] = new_floats(n);
        out.field[side] = new_floats(n * p->dim);
        out.sums[side] = new_floats(n * p->dim);
        for (int64_t e = 0; e < p->graph.n_pairs; e++)
            out.scale[side][p->graph.pairs[e][side]]++;
        for (int64_t row = 0; row < n; row++)
            if (out.scale[side][row] > 0)
                out.scale[side][row] = (float)(1 / sqrt((double)out.scale[side][row]));
    }
    return out;
}

static void drop_plain(plain *x)
{
    for (int side = 0; side < 2; side++) {
        cf_free(&x->scale[side]);
        cf_free(&x->field[side]);
        cf_free(&x->sums[side]);
    }
}

static void sum_neighbours(plain *x)
{
    const int64_t dim = x->p->dim;

    for (int side = 0; side < 2; side++)
        memset(x->sums[side], 0, (size_t)(problem_rows(x->p, side) * dim) * sizeof(float));
    for (int64_t e = 0; e < x->p->graph.n_pairs; e++)
        for (int side = 0; side < 2; side++) {
            const int64_t to = x->p->graph.pairs[e][side], from = x->p->graph.pairs[e][1 - side];

            for (int64_t d = 0; d < dim; d++)
                x->sums[side][to * dim + d] += x->field[1 - side][from * dim + d];
        }
}

/* out = 1/(L+1) sum_k A^^k in, by Horner's rule; fields are rounded. */
static void propagate(plain *x, int layers, float *const in[2], float *const out[2])
{
    const int64_t dim = x->p->dim;

    for (int layer = layers; layer >= 0; layer--) {
        if (layer < layers) sum_neighbours(x);
        for (int side = 0; side < 2; side++)
            for (int64_t k = 0; k < problem_rows(x->p, side) * dim; k++) {
                const float s = x->scale[side][k / dim];
                const float h =
                    layer < layers ? fused(s, x->sums[side][k], in[side][k]) : in[side][k];

                if (layer > 0)
                    x->field[side][k] = rounded(h * s);
                else
                    out[side][k] = h * (1.0f / (float)(layers + 1));
            }
    }
}

/* Rows of a batch: every fifth of all; those of mine, by local numbers. */
static bool is_listed(int64_t global)
{
    return global % 5 == 2;
}

static float gradient_of(int side, int64_t global, int64_t d)
{
    return is_listed(global) ? (float)cf_test_noise(77 + (uint64_t)side, global, d) : 0;
}

/* A gradient_row_fn */
static void give_row(const void *context, cf_side side, int64_t k, float *out)
{
    const setup *s = context;
    const cf_table *table = s->table[side];

    memset(out, 0, (size_t)table->width * sizeof *out);
    for (int64_t d = 0; d < table->local_dim; d++)
        out[d] = gradient_of(side, table->first_row + s->model->rows.local[side][k],
                             table->first_dim + d);
}

static void check_rows(const setup *s, float *const want[2])
{
    const batch_rows *rows = &s->model->rows;

    for (int side = 0; side < 2; side++)
        for (int64_t k = 0; k < rows->count[side]; k++) {
            const cf_table *table = s->table[side];
            const int64_t global = table->first_row + rows->local[side][k];

            cf_test_same_bits(rows->final[side] + k * table->width,
                              want[side] + global * s->problem->dim + table->first_dim,
                              table->local_dim, "row of the batch");
        }
}

/* Forward for the rows of the batch, then for all, then backward. */
static void check_model(setup *s, plain *x, int layers)
{
    propagation *p = &s->model->propagation;
    batch_rows *rows = &s->model->rows;
    recorder c = recorder_open(s);
    const cf_gradient_consumer consumer = {record_rows, &c};
    int32_t users[USERS], items[ITEMS], *list[2] = {users, items};
    const cf_table *final[2];
    float *in[2], *want[2];

    for (int side = 0; side < 2; side++) {
        in[side] = cf_test_table_get(s->table[side]);
        want[side] = new_floats(problem_rows(s->problem, side) * s->problem->dim);
        rows->count[side] = 0;
        rows->local[side] = list[side];
        for (int64_t row = 0; row < s->table[side]->local_rows; row++)
            if (is_listed(s->table[side]->first_row + row))
                list[side][rows->count[side]++] = (int32_t)row;
    }
    propagate(x, layers, in, want);
    cf_model_final(s->model, final);
    for (int side = 0; side < 2; side++) {
        float *got = cf_test_table_get(final[side]);

        cf_test_table_check_padding(final[side]);
        cf_test_same_bits(got, want[side], problem_rows(s->problem, side) * s->problem->dim,
                          "final table");
        free(got);
    }
    propagation_rows(p, rows->local, rows->count, rows->final);
    check_rows(s, want);
    for (int side = 0; side < 2; side++)
        for (int64_t k = 0; k < problem_rows(s->problem, side) * s->problem->dim; k++)
            in[side][k] = gradient_of(side, k / s->problem->dim, k % s->problem->dim);
    propagate(x, layers, in, want);
    gradient_fill(&s->model->gradient, s->model->graph, rows, give_row, s);
    propagation_backward(p, &s->model->gradient, &consumer);
    for (int side = 0; side < 2; side++) {
        float *got = cf_test_table_get(c.gradient[side]);

        cf_test_same_bits(got, want[side], problem_rows(s->problem, side) * s->problem->dim,
                          "gradient");
        free(got);
        free(in[side]);
        cf_free(&want[side]);
    }
    recorder_close(&c);
}

/* With all rows in every layer, and with those near the batch. */
static void layers_are_rounded_where_they_are_stored(void **state)
{
    static const int64_t dims[] = {16, 48, 64, 144};
    static const char *const reach[] = {"reach_share=0", "reach_share=1"};
    cf_grid *grid = NULL;

    (void)state;
    for (int k = 0; cf_test_next_grid(&world, 4, &k, &grid);)
        for (int layers = 1; layers <= MAX_LAYERS; layers++)
            for (int variant = 0; variant < 4; variant++) {
                char depth[32];
                problem p = {.graph = cf_test_graph_random(USERS, ITEMS, 0.06, 9),
                             .dim = dims[variant],
                             .batch_size = BATCH,
                             .settings = {"model=LightGCN", depth, reach[variant % 2],
                                          "init=normal", "init_std=0.4",
                                          "field_precision=bfloat16"}};
                plain x = new_plain(&p);
                setup s;

                snprintf(depth, sizeof depth, "n_layers=%d", layers);
                if (grid->n_columns <= problem_segments(&p)) {
                    setup_open(&s, &p, grid, NULL);
                    cf_model_fill_noise(s.model, 5);
                    check_model(&s, &x, layers);
                    setup_close(&s);
                }
                drop_plain(&x);
                cf_test_graph_destroy(&p.graph);
            }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(layers_are_rounded_where_they_are_stored),
};
CF_TEST_MAIN(tests)
