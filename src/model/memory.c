#include "memory.h"

#include <math.h>
#include <omp.h>

double memory_padded(double count, int64_t tile)
{
    return ceil(count / (double)tile) * (double)tile;
}

/* Rows of a side of `n` that other blocks own and mine has edges to. */
static double halo_rows(double n, double edges, double n_blocks)
{
    return n * (1 - 1 / n_blocks) * -expm1(-edges / n);
}

static memory_shape shape_of(const cf_config *config, const cf_model_size *size)
{
    const double dim =
        CF_LANES * (double)cf_table_segments(cf_config_int(config, "embedding_size"));
    const double users = (double)size->n_users, items = (double)size->n_items;
    const double one_way = (double)size->n_train / size->n_rows;

    return (memory_shape){.users = users / size->n_rows,
                          .items = items / size->n_rows,
                          .edges = 2 * one_way,
                          .halo = halo_rows(users, one_way, size->n_rows) +
                                  halo_rows(items, one_way, size->n_rows),
                          .width = dim / size->n_columns,
                          .full_width = dim,
                          .batch = (double)size->max_batch,
                          .n_rows = size->n_rows,
                          .n_columns = size->n_columns,
                          .ranks = (double)size->n_rows * size->n_columns};
}

/* cf_graph_create() */
static double graph_memory(const memory_shape *m)
{
    const double rows = m->users + m->items;

    return rows * (8 + 4 + 4) + 4 * m->edges + 4 * m->halo +
           4 * m->width * CF_ROWS_PER_CALL * omp_get_max_threads();
}

/* allocate_step(): lists and rows of a batch, and its gradient. */
static double step_memory(const memory_shape *m)
{
    const double an_item = 3 * 8 + 2 * 4 + 8 + 4 + 8 + 2 * 4 + 4 + 2 * (double)sizeof(occurrence);
    const double lists = 2 * an_item + 4 + 4 + 8 + 4 + 16 - 4;
    const double most_sent = (m->n_rows - 1) * 2 * m->batch; /* of the gradient's rows, a side */
    const double outbox = m->halo / 2 < most_sent ? m->halo / 2 : most_sent;
    const double n_rows = 3 + (m->n_rows > 1 ? 6 : 0) + 4 + 4; /* floats x width a sample */

    return m->batch * (lists + 32 + 4 + 4 * n_rows * m->width +
                       4 * (m->width + m->full_width) / CF_LANES) +
           4.125 * (m->users + m->items + m->halo) + outbox * (4 * m->width + 4);
}

/* With propagation: two fields, and a reach. */
double memory_of(const model_kind *kind, const cf_config *config, const cf_model_size *size)
{
    const memory_shape m = shape_of(config, size);
    const bool propagates = kind->propagates && cf_config_int(config, "n_layers") > 0;
    const double rows = m.users + m.items;

    return 4 * rows * m.width + graph_memory(&m) + step_memory(&m) +
           (propagates ? 2 * 4 * m.width * (rows + 2 * m.halo) + 5.125 * rows + 2.125 * m.halo
                       : 0) +
           (kind->memory != NULL ? kind->memory(config, &m) : 0);
}
