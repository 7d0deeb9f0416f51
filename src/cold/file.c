/* A map in a file, beside the tables that it was fitted on: /cold/center (D), /cold/weights (D x
 * dim, over the grid), and the points of calibration, an array for each of their numbers. Kind,
 * parameter and gain are attributes; the first of them tells whether there is a map. */
#include "internal.h"

#include <math.h>
#include <string.h>

static const char kind_name[] = "cold_map", parameter_name[] = "cold_parameter",
                  gain_name[] = "cold_gain", center_name[] = "/cold/center",
                  weights_name[] = "/cold/weights";

/* What a file calls the kinds that a map may have. */
static const char *const kinds[] = {
    [CF_COLD_ZERO] = "zero", [CF_COLD_NEAREST] = "nearest", [CF_COLD_RIDGE] = "ridge"};
enum { FIRST_KIND = CF_COLD_ZERO, LAST_KIND = CF_COLD_RIDGE };

/* The numbers of a point. One table serves writing and reading, so that they cannot differ. */
static const struct {
    const char *name;
    size_t offset;
} columns[] = {
    {"/cold/parameters", offsetof(cf_cold_point, parameter)},
    {"/cold/gains", offsetof(cf_cold_point, gain)},
    {"/cold/ndcg", offsetof(cf_cold_point, ndcg)},
    {"/cold/warm_hit", offsetof(cf_cold_point, warm_hit)},
    {"/cold/cold_hit", offsetof(cf_cold_point, cold_hit)},
};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

static double *number_of(cf_cold_point *point, int column)
{
    return (double *)(void *)((char *)point + columns[column].offset);
}

/* ---- Writing ---- */

/* Collective. */
static cf_status write_points(const cf_par *par, const cf_cold_map *map, cf_store *store)
{
    double *numbers = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(par, CF_ALLOC(numbers, map->n_points)));
    for (int c = 0; c < N_COLUMNS; c++) {
        for (int64_t p = 0; p < map->n_points; p++)
            numbers[p] = *number_of(&map->points[p], c);
        CF_TRY(cf_store_write_whole(store, columns[c].name, CF_F64, map->n_points, numbers));
    }
done:
    cf_free(&numbers);
    return status;
}

cf_status cf_cold_write(const cf_par *par, const cf_cold_map *map, cf_store *store)
{
    cf_status status;

    CF_TRY(cf_store_write_text(store, kind_name, kinds[map->kind]));
    CF_TRY(cf_store_write_real(store, parameter_name, map->parameter));
    CF_TRY(cf_store_write_real(store, gain_name, map->gain));
    CF_TRY(cf_store_write_whole(store, center_name, CF_F64, map->source_dim, map->center));
    if (map->weights != NULL)
        CF_TRY(cf_table_write(map->weights, store, weights_name,
                              "embedding dimensions, embedding_size"));
    CF_TRY(write_points(par, map, store));
done:
    return status;
}

/* ---- Reading ---- */

/* Collective. */
static cf_status read_kind(cf_store *store, cf_cold_kind *out)
{
    char *name = NULL;
    int kind = FIRST_KIND;
    cf_status status;

    CF_TRY(cf_store_read_text(store, kind_name, &name));
    while (kind <= LAST_KIND && strcmp(name, kinds[kind]) != 0)
        kind++;
    CF_REQUIRE(kind <= LAST_KIND, CF_ERR_FORMAT,
               "%s: attribute %s is \"%s\", expected zero, nearest or ridge", cf_store_path(store),
               kind_name, name);
    *out = (cf_cold_kind)kind;
done:
    cf_free(&name);
    return status;
}

/* All columns have as many numbers. Collective. */
static cf_status read_points(const cf_par *par, cf_store *store, cf_cold_map *map)
{
    double *numbers = NULL;
    cf_status status = CF_OK;

    for (int c = 0; c < N_COLUMNS; c++) {
        int64_t count;

        CF_TRY(cf_store_read_whole(store, columns[c].name, CF_F64, &count, &numbers));
        if (c == 0) {
            CF_TRY(cf_par_agree(par, CF_ALLOC(map->points, count)));
            map->n_points = count;
        }
        CF_REQUIRE(count == map->n_points, CF_ERR_FORMAT, "%s: %s has %lld numbers, expected %lld",
                   cf_store_path(store), columns[c].name, (long long)count,
                   (long long)map->n_points);
        for (int64_t p = 0; p < count; p++)
            *number_of(&map->points[p], c) = numbers[p];
        cf_free(&numbers);
    }
done:
    cf_free(&numbers);
    return status;
}

/* The same on every rank. */
static cf_status check_map(cf_store *store, const cf_cold_map *map)
{
    const bool is_nearest = map->kind == CF_COLD_NEAREST;
    bool finite = isfinite(map->parameter) && isfinite(map->gain) && map->parameter >= 0;

    for (int64_t k = 0; k < map->source_dim; k++)
        finite = finite && isfinite(map->center[k]);
    if (finite && (map->kind == CF_COLD_ZERO || map->source_dim > 0) &&
        (!is_nearest || (map->parameter >= 1 && map->parameter <= 0x1p31)))
        return CF_OK;
    return CF_FAIL(CF_ERR_FORMAT,
                   "%s: the map of cold items has parameter %g, gain %g, and %lld means, expected "
                   "finite numbers",
                   cf_store_path(store), map->parameter, map->gain, (long long)map->source_dim);
}

/* Collective. */
static cf_status read_map(const cf_grid *grid, cf_store *store, cf_cold_map *map)
{
    cf_status status;

    CF_TRY(read_kind(store, &map->kind));
    CF_TRY(cf_store_read_real(store, parameter_name, &map->parameter));
    CF_TRY(cf_store_read_real(store, gain_name, &map->gain));
    CF_TRY(cf_store_read_whole(store, center_name, CF_F64, &map->source_dim, &map->center));
    CF_TRY(check_map(store, map));
    if (map->kind == CF_COLD_RIDGE) {
        CF_TRY(cold_create_weights(grid, map->source_dim, map->dim, &map->weights));
        CF_TRY(cf_table_read(map->weights, map->source_dim, store, weights_name));
    }
    CF_TRY(read_points(&grid->world, store, map));
done:
    return status;
}

cf_status cf_cold_read(const cf_grid *grid, cf_store *store, int64_t dim, cf_cold_map **out)
{
    cf_cold_map *map = NULL;
    bool has = false;
    cf_status status;

    CF_TRY(cf_store_has_attribute(store, kind_name, &has));
    if (!has) {
        *out = NULL;
        return CF_OK;
    }
    CF_TRY(cf_par_agree(&grid->world, CF_ALLOC(map, 1)));
    map->dim = dim;
    CF_TRY(read_map(grid, store, map));
    *out = map;
    map = NULL;
done:
    cf_cold_destroy(&map);
    return status;
}
