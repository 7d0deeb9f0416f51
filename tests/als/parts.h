/** Graph, tables and normal equations of a graph on a grid, for tests of sweeps. */
#pragma once

#include "cf/als.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <stdlib.h>
#include <string.h>

typedef struct parts {
    cf_als_options options; /* these six are set by the test */
    cf_grid *grid;
    cf_shard shard;
    int64_t dim;
    const uint8_t *cold;
    int64_t n_counted[2];
    cf_graph *graph;
    cf_table *table[2];
    cf_als *als;
} parts;

/** All but the shard. Collective. */
static inline cf_status parts_make(parts *p)
{
    cf_als_place place = {.grid = p->grid,
                          .pairs = {&p->shard.train, &p->shard.train_by_item},
                          .cold = p->cold,
                          .n_counted = {p->n_counted[0], p->n_counted[1]}};
    cf_status status;

    CF_TRY(cf_graph_create(p->grid, &p->shard, &p->graph));
    CF_TRY(cf_table_create(p->grid, &p->shard.users, p->dim, &p->table[CF_USERS]));
    CF_TRY(cf_table_create(p->grid, &p->shard.items, p->dim, &p->table[CF_ITEMS]));
    place.graph = p->graph;
    place.table[CF_USERS] = p->table[CF_USERS];
    place.table[CF_ITEMS] = p->table[CF_ITEMS];
    CF_TRY(cf_als_create(&p->options, &place, &p->als));
done:
    return status;
}

/** What parts_make() made, also in part. */
static inline void parts_drop(parts *p)
{
    cf_als_destroy(&p->als);
    for (int side = 0; side < 2; side++)
        cf_table_destroy(&p->table[side]);
    cf_graph_destroy(&p->graph);
}

/** Zeros. */
static inline void parts_clear(cf_table *table)
{
    memset(table->data, 0, (size_t)(table->local_rows * table->width) * sizeof *table->data);
}

/** The tables of the first call, `first` (NULL before it), are kept for those of the others to be
 * compared with. */
static inline void parts_compare_bits(const parts *p, float *first[2])
{
    for (int side = 0; side < 2; side++) {
        float *got = cf_test_table_get(p->table[side]);

        if (first[side] == NULL) {
            first[side] = got;
            continue;
        }
        cf_test_same_bits(got, first[side], p->table[side]->n_rows * p->dim,
                          side == CF_USERS ? "users" : "items");
        free(got);
    }
}
