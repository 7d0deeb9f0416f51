/* The rows of a batch and their gradient: count[side] x width floats each, in ascending order of
 * local rows. What a loss differs in is how it computes one gradient row (a gradient_row_fn); the
 * list of rows and the scaling for propagation are the same for all losses. */
#include "gradient.h"

enum { SAMPLES, FLOATS, N_SIZES }; /* of the tables of arrays: largest batch; x width */

/* A sample has one user, but up to two items. */
static const cf_array rows_arrays[] = {
    CF_ARRAY(batch_rows, final[CF_USERS], FLOATS, 1),
    CF_ARRAY(batch_rows, final[CF_ITEMS], FLOATS, 2),
};
enum { N_ROWS_ARRAYS = sizeof rows_arrays / sizeof *rows_arrays };

cf_status batch_rows_create(int64_t width, int64_t max_batch, batch_rows *out)
{
    *out = (batch_rows){.width = width};
    return cf_arrays_create(out, rows_arrays, N_ROWS_ARRAYS,
                            (int64_t[N_SIZES]){max_batch, max_batch * width});
}

void batch_rows_destroy(batch_rows *rows)
{
    cf_arrays_destroy(rows, rows_arrays, N_ROWS_ARRAYS);
}

double batch_rows_bytes(double max_batch, double width)
{
    return cf_arrays_bytes(rows_arrays, N_ROWS_ARRAYS,
                           (double[N_SIZES]){max_batch, max_batch * width});
}

/* Users need half of the 2 B rows that there is room for. */
static const cf_array gradient_arrays[] = {
    CF_ARRAY(gradient, values[CF_USERS], FLOATS, 2),
    CF_ARRAY(gradient, values[CF_ITEMS], FLOATS, 2),
    CF_ARRAY(gradient, reg_coefficient[CF_USERS], SAMPLES, 2),
    CF_ARRAY(gradient, reg_coefficient[CF_ITEMS], SAMPLES, 2),
};
enum { N_GRADIENT_ARRAYS = sizeof gradient_arrays / sizeof *gradient_arrays };

cf_status gradient_create(cf_graph *graph, cf_row_kind kind, int64_t max_batch, gradient *out)
{
    cf_status status;

    *out = (gradient){0};
    CF_TRY(cf_graph_create_sparse(graph, 3 * max_batch, kind, &out->scaled));
    CF_TRY(cf_arrays_create(out, gradient_arrays, N_GRADIENT_ARRAYS,
                            (int64_t[N_SIZES]){max_batch, max_batch * kind.width}));
done:
    return status;
}

void gradient_destroy(gradient *g)
{
    cf_graph_destroy_sparse(&g->scaled);
    cf_arrays_destroy(g, gradient_arrays, N_GRADIENT_ARRAYS);
}

double gradient_bytes(double max_batch, double width)
{
    return cf_arrays_bytes(gradient_arrays, N_GRADIENT_ARRAYS,
                           (double[N_SIZES]){max_batch, max_batch * width});
}

/* Rows have very different numbers of samples: chunks of 8 rows in turn give the threads like work,
 * and are known in advance, unlike dynamic chunks. Each row is one thread's, so its bits do not
 * depend on the threads. */
void gradient_fill(gradient *g, const cf_graph *graph, const batch_rows *rows, gradient_row_fn *row,
                   const void *context)
{
    const int64_t width = rows->width;

    for (int side = 0; side < 2; side++) {
        g->scaled.count[side] = rows->count[side];
        g->scaled.rows[side] = rows->local[side];
    }
    cf_graph_open_sparse(graph, &g->scaled);
    for (int side = 0; side < 2; side++) {
        const float *scale = cf_graph_scale(graph, (cf_side)side);

#pragma omp parallel for schedule(static, 8)
        for (int64_t k = 0; k < rows->count[side]; k++) {
            row(context, (cf_side)side, k, g->values[side] + k * width);
            cf_graph_store_row(g->scaled.kind, g->scaled.values[side] + k * g->scaled.stride,
                               g->values[side] + k * width, scale[rows->local[side][k]]);
        }
    }
}
