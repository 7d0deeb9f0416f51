/* The memory that a model takes on a rank, on average over the ranks.
 *
 * Each object's file knows its arrays; here their sizes are averages of the problem and the grid
 * (memory_shape), and the bytes are added up. Only the halo is a guess (graph/memory.c). The tests
 * compare with the bytes that are allocated. */
#include "memory.h"

#include "internal.h"
#include "pairwise.h"

#include <math.h>
#include <omp.h>

memory_shape memory_shape_of(const cf_model_options *options, const cf_model_size *size)
{
    const double number = options->field_precision == CF_BFLOAT16 ? 2 : 4; /* bytes in a field */
    const double dim = CF_LANES * (double)cf_table_segments(options->dim);
    const double users = (double)size->n_users, items = (double)size->n_items;
    const double node_blocks = (double)cf_min(size->n_rows, size->node_ranks);
    const double n_nodes = size->n_rows / node_blocks;
    const cf_graph_size graph = {{size->n_users, size->n_items}, size->n_train, size->leaves};

    return (memory_shape){.users = users / size->n_rows,
                          .items = items / size->n_rows,
                          .edges = 2 * (double)size->n_train / size->n_rows,
                          .halo = cf_graph_predict_halo(&graph, n_nodes) / node_blocks,
                          .n_nodes = n_nodes,
                          .width = dim / size->n_columns,
                          .full_width = dim,
                          .field_bytes = number * dim / size->n_columns,
                          .batch = (double)size->max_batch,
                          .n_rows = size->n_rows,
                          .n_columns = size->n_columns,
                          .ranks = (double)size->n_rows * size->n_columns,
                          .source_dim = cf_model_reads_vectors(options) ? size->source_dim : 0};
}

/* cf_graph_create_sparse(), of a capacity of three rows a sample: values and halo indices of the
 * rows received, an index and a mark a row, and rows on their way, which are at most those of the
 * halo. */
static double sparse_memory(const memory_shape *m)
{
    const double most_sent = fmin(m->halo, (m->n_rows - 1) * 3 * m->batch);

    return m->batch * 3 * (m->field_bytes + 4) + 4.125 * (m->users + m->items + m->halo) +
           most_sent * (m->field_bytes + 4);
}

/* propagation_create(): two fields with their send buffers, a neighbourhood, and the final tables
 * where a field has no room for them. */
static double propagation_memory(const cf_model_options *options, const memory_shape *m)
{
    const double rows = m->users + m->items;
    const double final = options->field_precision == CF_FLOAT32 ? 0 : 4 * m->width * rows;

    return 2 * m->field_bytes * (rows + 2 * m->halo) + final + 5.125 * rows + 4.125 * m->halo;
}

double cf_model_predict_memory(const cf_model_options *options, const cf_model_size *size)
{
    const model_ops *ops = model_find_ops(options->name);
    const memory_shape m = memory_shape_of(options, size);
    double bytes = 4 * (m.users + m.items) * m.width; /* the raw tables */

    bytes += cf_graph_predict_memory(m.users + m.items, m.edges, m.halo, m.width) +
             row_sort_bytes(m.batch) + batch_rows_bytes(m.batch, m.width) +
             gradient_bytes(m.batch, m.width) + sparse_memory(&m);
    if (ops->propagates && options->n_layers > 0) bytes += propagation_memory(options, &m);
    if (ops->negatives) bytes += pairwise_bytes(&m);
    if (ops->memory != NULL) bytes += ops->memory(options, &m);
    return bytes;
}
