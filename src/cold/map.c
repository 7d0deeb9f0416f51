/* Fitting a map and applying it.
 *
 * A fit reads the vectors once, chooses parameter and gain (calibrate.c), and then keeps what new
 * rows are made of: for ridge the weights, of all items that are fitted on; for nearest nothing, as
 * the rows themselves are in the table. Applying reads the vectors again, for they are never kept:
 * it may be another dataset, with more items, which are centred as those of the fit were. */
#include "internal.h"

#include <string.h>

/* ---- Maps ---- */

static cf_status create_map(cf_cold_kind kind, int64_t source_dim, int64_t dim, cf_cold_map **out)
{
    cf_cold_map *map = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(map, 1));
    map->kind = kind;
    map->source_dim = source_dim;
    map->dim = dim;
    CF_TRY(CF_ALLOC(map->center, source_dim));
    *out = map;
    map = NULL;
done:
    cf_cold_destroy(&map);
    return status;
}

void cf_cold_destroy(cf_cold_map **map)
{
    if (*map == NULL) return;
    cf_free(&(*map)->center);
    cf_table_destroy(&(*map)->weights);
    cf_free(&(*map)->points);
    cf_free(map);
}

/* ---- Fitting ---- */

static cf_cold_kind choose_kind(const cf_cold_options *options, const cf_cold_place *place)
{
    if (options->kind != CF_COLD_AUTO) return options->kind;
    return place->users == NULL ? CF_COLD_RIDGE : CF_COLD_NEAREST;
}

/* There is no vector to fit on. Who asked for a map gets an error; else there is none. Local, the
 * same on every rank. */
static cf_status go_without(const cf_cold_options *options, const cf_cold_place *place)
{
    const char *path = cf_dataset_path(place->dataset);

    if (options->kind != CF_COLD_AUTO)
        return CF_FAIL(CF_ERR_USAGE,
                       "%s: no warm item has a language-model vector, which cold_map: nearest and "
                       "ridge need",
                       path);
    if (place->shard->cold != NULL)
        cf_log("%s: no warm item has a vector, so that rows of cold items stay as the model has "
               "them",
               path);
    return CF_OK;
}

/* What the map keeps, with parameter and gain known. Collective. */
static cf_status keep_weights(const cf_cold_place *place, const cold_vectors *v, cf_cold_map *map)
{
    cold_ridge ridge = {0};
    cf_status status;

    if (map->kind != CF_COLD_RIDGE) return CF_OK;
    CF_TRY(cold_create_ridge(v, place->items, &ridge));
    CF_TRY(cold_create_weights(place->grid, map->source_dim, map->dim, &map->weights));
    CF_TRY(cold_solve_ridge(&ridge, map->parameter, map->weights));
done:
    cold_destroy_ridge(&ridge);
    return status;
}

/* What was chosen, and the curve of its parameter. */
static void log_map(const cf_cold_map *map, double seconds)
{
    const char *name = map->kind == CF_COLD_NEAREST ? "cold_neighbors" : "cold_reg";

    cf_log("map of cold items: %s, %s %g, gain %.4g, %.1f s", cf_cold_kind_names[map->kind], name,
           map->parameter, map->gain, seconds);
    for (const cf_cold_point *p = map->points; p < map->points + map->n_points; p++)
        if (p->parameter == map->parameter)
            cf_log("  gain %-6.4g held out as cold: %.4f of them in the ten best, of other items "
                   "%.4f (ndcg %.4f)%s",
                   p->gain, p->cold_hit, p->warm_hit, p->ndcg,
                   p->gain == map->gain ? ", chosen" : "");
}

/* `*map` becomes NULL if no item has a vector to fit on. Collective. */
static cf_status fit(const cf_cold_options *options, const cf_cold_place *place, cf_cold_map **map)
{
    const double started = cf_clock_now();
    cold_vectors v;
    cf_status status;

    CF_TRY(cold_read_vectors(place, false, (*map)->center, &v));
    if (v.n_inside == 0) {
        cf_cold_destroy(map);
        CF_TRY(go_without(options, place));
        goto done;
    }
    CF_TRY(cold_calibrate(options, place, &v, *map));
    CF_TRY(keep_weights(place, &v, *map));
    log_map(*map, cf_clock_now() - started);
done:
    cold_destroy_vectors(&v);
    return status;
}

cf_status cf_cold_fit(const cf_cold_options *options, const cf_cold_place *place, cf_cold_map **out)
{
    const cf_cold_kind kind = choose_kind(options, place);
    const int64_t source_dim = place->dataset->embedding_dim;
    cf_cold_map *map = NULL;
    cf_status status = CF_OK;

    if (kind == CF_COLD_NONE || (kind != CF_COLD_ZERO && source_dim == 0)) {
        if (kind != CF_COLD_NONE) CF_TRY(go_without(options, place));
        *out = NULL;
        return CF_OK;
    }
    CF_TRY(
        cf_par_agree(&place->grid->world, create_map(kind, source_dim, place->items->dim, &map)));
    if (kind != CF_COLD_ZERO) CF_TRY(fit(options, place, &map));
    *out = map;
    map = NULL;
done:
    cf_cold_destroy(&map);
    return status;
}

/* ---- Applying ---- */

/* Flags of the marked items, by whether they have a vector; their rows become zero. Local. */
static void mark_rows(const cf_cold_place *place, const cold_vectors *v, cf_table *items,
                      uint8_t *chosen, uint8_t *hidden)
{
    const int64_t width = items->width;

    for (int64_t i = 0; i < items->n_rows; i++) {
        const int64_t row = i - items->first_row;

        if (!cf_is_cold(place->shard->cold, i)) continue;
        chosen[i] = v->present != NULL && v->present[i];
        hidden[i] = v->present != NULL && !v->present[i];
        if (row >= 0 && row < items->local_rows)
            memset(items->data + row * width, 0, (size_t)width * sizeof *items->data);
    }
}

/* Rows of the items that are marked and have a vector. Collective. */
static cf_status fill_rows(const cf_cold_map *map, const cold_vectors *v, int64_t memory,
                           const uint8_t *chosen, cf_table *items)
{
    const int64_t k = (int64_t)map->parameter;
    cold_rows rows;
    int64_t *nearest = NULL;
    cf_status status;

    CF_TRY(cold_create_rows(items, chosen, &rows));
    if (map->kind == CF_COLD_NEAREST) {
        CF_TRY(cold_find_nearest(v, &rows, k, memory, &nearest));
        CF_TRY(cold_fill_nearest(items, nearest, k, k, &rows));
    } else {
        CF_TRY(cold_fill_ridge(v, map->weights, &rows));
    }
    cold_put_rows(&rows, map->gain, items);
    CF_TRY(cf_table_check_finite(items, "item table with the rows of cold items"));
done:
    cold_destroy_rows(&rows);
    cf_free(&nearest);
    return status;
}

cf_status cf_cold_apply(const cf_cold_map *map, const cf_cold_place *place, cf_table *items,
                        uint8_t *hidden)
{
    cold_vectors v = {0};
    uint8_t *chosen = NULL;
    cf_status status = CF_OK;

    CF_ASSERT(items->n_rows == place->dataset->n_items);
    memset(hidden, 0, (size_t)items->n_rows);
    if (map == NULL || place->shard->cold == NULL) return CF_OK;
    CF_ASSERT(map->dim == items->dim);
    CF_REQUIRE(map->source_dim == place->dataset->embedding_dim, CF_ERR_FORMAT,
               "%s has vectors of %lld numbers, the map of cold items is of %lld",
               cf_dataset_path(place->dataset), (long long)place->dataset->embedding_dim,
               (long long)map->source_dim);
    CF_TRY(cf_par_agree(&place->grid->world, CF_ALLOC(chosen, items->n_rows)));
    if (map->source_dim > 0) CF_TRY(cold_read_vectors(place, true, map->center, &v));
    mark_rows(place, &v, items, chosen, hidden);
    if (map->kind != CF_COLD_ZERO) CF_TRY(fill_rows(map, &v, place->memory, chosen, items));
done:
    cold_destroy_vectors(&v);
    cf_free(&chosen);
    return status;
}
