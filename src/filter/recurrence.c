/* The Chebyshev recurrence of the graph, in place: t_j of one side takes the place of t_(j-2), as
 * the sums that make it read the other side alone. tests/filter/apply.c multiplies by whole
 * matrices. */
#include "internal.h"

cf_status recurrence_create(cf_graph *graph, int64_t width, recurrence *out)
{
    cf_status status;

    *out = (recurrence){.graph = graph, .factor = 1};
    CF_TRY(cf_graph_create_sides(graph, &out->sides));
    CF_TRY(cf_graph_create_field(graph, (cf_row_kind){width, CF_FLOAT32}, &out->field));
done:
    return status;
}

void recurrence_destroy(recurrence *r)
{
    cf_graph_destroy_sides(&r->sides);
    cf_graph_destroy_field(&r->field);
}

/* A row of t_j from the sum of its neighbours' rows of t_(j-1). */
static void make_row(const recurrence *r, cf_side side, int64_t row, const float *neighbours)
{
    const int64_t width = r->field.kind.width;
    const float scale = cf_graph_scale(r->graph, side)[row],
                factor = (r->step > 1 ? 2 : 1) * r->factor * scale * scale;
    float *t = r->field.rows[side] + row * width;
    float *sum = side == CF_ITEMS && r->sum != NULL ? r->sum + row * width : NULL;

    for (int64_t d = 0; d < width; d += CF_VECTOR) {
        cf_vector x = cf_vector_all(factor) * cf_vector_load(neighbours + d);

        if (r->step > 1) x -= cf_vector_load(t + d);
        cf_vector_store(t + d, x);
        if (sum != NULL)
            cf_vector_store(sum + d, cf_vector_load(sum + d) + cf_vector_all(r->weight) * x);
    }
}

static void make_rows(void *context, const cf_rows *rows)
{
    const recurrence *r = context;

    for (int k = 0; k < rows->count; k++)
        make_row(r, rows->side, rows->rows[k], rows->sums + k * r->field.kind.width);
}

void recurrence_step(recurrence *r)
{
    r->step++;
    cf_graph_sum_side(r->graph, &r->sides, r->step % 2 == 1 ? CF_USERS : CF_ITEMS, r->field,
                      make_rows, r);
}

/* to = factor from, a row of `width`. */
static void scale_row(float *to, const float *from, int64_t width, float factor)
{
    for (int64_t d = 0; d < width; d += CF_VECTOR)
        cf_vector_store(to + d, cf_vector_all(factor) * cf_vector_load(from + d));
}

void recurrence_load(const recurrence *r, cf_side side, const cf_table *table)
{
    const float *scale = cf_graph_scale(r->graph, side);
    const int64_t width = table->width;

    CF_ASSERT(width == r->field.kind.width);
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < table->local_rows; row++)
        scale_row(r->field.rows[side] + row * width, table->data + row * width, width, scale[row]);
}

void recurrence_unload(const recurrence *r, cf_side side, cf_table *table)
{
    const float *scale = cf_graph_scale(r->graph, side);
    const int64_t width = table->width;

#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < table->local_rows; row++)
        scale_row(table->data + row * width, r->field.rows[side] + row * width, width,
                  scale[row] > 0 ? 1 / scale[row] : 0);
}
