/* The vectors of all items (n_items x D), centred and of length 1, each rank an even part of them.
 *
 * One pass over the file: each rank reads its own rows in blocks of bounded memory. The center is
 * the mean over the items that are fitted on, an exact sum that is rounded once, so that it does
 * not depend on the ranks; it is kept with the map, and new items are centred by it. */
#include "internal.h"

#include <string.h>

/* Floats that are read at once. */
enum { READ_FLOATS = 1 << 22 };

/* Copy rows of the file, D numbers each, to where they lie in the table: rows of whole segments. */
static void keep_rows(const float *read, int64_t count, cf_table *table, int64_t first)
{
    for (int64_t r = 0; r < count; r++)
        memcpy(table->data + (first + r) * table->width, read + r * table->dim,
               (size_t)table->dim * sizeof *read);
}

/* Read my part, all ranks in as many rounds as the largest needs. Collective. */
static cf_status read_part(const cf_dataset *dataset, cold_vectors *v)
{
    cf_table *table = v->rows;
    const int64_t most = cf_par_even_start(table->n_rows, v->grid->n_rows, 1),
                  step = cf_max(1, READ_FLOATS / table->dim);
    float *read = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(&v->grid->world, CF_ALLOC(read, cf_min(step, most) * table->dim)));
    for (int64_t at = 0; at < most; at += step) {
        const int64_t local = cf_min(at, table->local_rows),
                      count = cf_min(step, table->local_rows - local),
                      first = count > 0 ? table->first_row + local : 0;

        CF_TRY(cf_dataset_read_embedding(dataset, first, count, read, v->present + first));
        keep_rows(read, count, table, local);
    }
    CF_TRY(cf_dataset_verify_embedding(dataset));
done:
    cf_free(&read);
    return status;
}

/* Each rank's flags to all, and what follows from them. Collective. */
static void share_flags(const cf_shard *shard, cold_vectors *v)
{
    const int64_t *start = v->blocks.start;

    for (int b = 0; b < v->blocks.count; b++)
        cf_par_broadcast(&v->grid->world, v->present + start[b], start[b + 1] - start[b], b);
    for (int64_t i = 0; i < start[v->blocks.count]; i++) {
        v->outside[i] = !v->present[i] || cf_is_cold(shard->cold, i);
        v->n_inside += !v->outside[i];
    }
}

/* My rows of the table. */
static cf_vector_rows my_rows(const cold_vectors *v)
{
    const cf_table *table = v->rows;

    return (cf_vector_rows){.first = table->first_row,
                            .count = table->local_rows,
                            .dim = table->dim,
                            .stride = table->width,
                            .rows = table->data,
                            .present = v->present + table->first_row};
}

cf_status cold_read_vectors(const cf_cold_place *place, bool is_known, double *center,
                            cold_vectors *out)
{
    const cf_dataset *dataset = place->dataset;
    const cf_par *world = &place->grid->world;
    cf_vector_rows rows;
    cf_status status;

    *out = (cold_vectors){0};
    CF_TRY(cf_par_create_grid(world, world->size, 1, &out->grid));
    CF_TRY(cf_linalg_create_mesh(world, 0, 0, &out->mesh));
    status = cf_par_create_blocks(dataset->n_items, world->size, &out->blocks);
    if (status == CF_OK) status = CF_ALLOC(out->present, dataset->n_items);
    if (status == CF_OK) status = CF_ALLOC(out->outside, dataset->n_items);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cf_table_create(out->grid, &out->blocks, dataset->embedding_dim, &out->rows));
    CF_TRY(read_part(dataset, out));
    share_flags(place->shard, out);
    rows = my_rows(out);
    if (!is_known) CF_TRY(cf_dataset_find_center(world, &rows, place->shard->cold, center));
    cf_dataset_make_directions(&rows, center);
done:
    return status;
}

void cold_destroy_vectors(cold_vectors *v)
{
    cf_table_destroy(&v->rows);
    cf_par_destroy_blocks(&v->blocks);
    cf_free(&v->present);
    cf_free(&v->outside);
    cf_linalg_destroy_mesh(&v->mesh);
    cf_par_destroy_grid(&v->grid);
}
