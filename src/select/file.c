/* A selection in a file, kept with the model so that new vectors can be mapped later. Dimensions
 * are the arrays dims, variances and shift (n_dims each) under /selection; a map is center (D),
 * directions (D x n_dims), variances and scales (n_dims each). Factor, gain and the like are
 * attributes. Every rank has the whole selection, so rank 0 alone writes and reads the one matrix,
 * and broadcasts it. */
#include "internal.h"

#include <math.h>

static const char components_name[] = "/selection/directions";

/* Rank 0 has all rows of a matrix; the others have none. */
static cf_slab rows_of_rank_0(const cf_par *par, int64_t n_rows, int64_t n_columns)
{
    return (cf_slab){0, par->rank == 0 ? n_rows : 0, 0, n_columns, n_columns};
}

/* `components` is the one array that is not small: D x n_dims. Collective. */
static cf_status write_map(const cf_par *par, const cf_selection *s, cf_store *store)
{
    const int64_t shape[2] = {s->source_dim, s->n_dims};
    const cf_slab slab = rows_of_rank_0(par, s->source_dim, s->n_dims);
    cf_status status;

    CF_TRY(cf_store_write_whole(store, "/selection/center", CF_F64, s->source_dim, s->center));
    CF_TRY(cf_store_add(store, components_name, CF_F64, shape,
                        "embedding dimensions, embedding_size"));
    CF_TRY(cf_store_write(store, components_name, &slab, s->components));
    CF_TRY(cf_store_write_whole(store, "/selection/scales", CF_F64, s->n_dims, s->scales));
    CF_TRY(cf_store_write_real(store, "selection_total_variance", s->total_variance));
done:
    return status;
}

/* A reader tells a map from dimensions by which of /selection/dims and the matrix is there. */
cf_status cf_select_write(const cf_par *par, const cf_selection *s, cf_store *store)
{
    cf_status status;

    if (s->source_dim == 0)
        CF_TRY(cf_store_write_whole(store, "/selection/dims", CF_I64, s->n_dims, s->dims));
    CF_TRY(cf_store_write_whole(store, "/selection/variances", CF_F64, s->n_dims, s->variances));
    if (s->source_dim == 0)
        CF_TRY(cf_store_write_whole(store, "/selection/shift", CF_F64, s->n_dims, s->shift));
    else
        CF_TRY(write_map(par, s, store));
    CF_TRY(cf_store_write_real(store, "selection_factor", s->factor));
    CF_TRY(cf_store_write_real(store, "selection_gain", s->gain));
    CF_TRY(cf_store_write_int(store, "selection_unit", s->unit));
    CF_TRY(cf_store_write_int(store, "selection_n_popular", s->n_popular));
done:
    return status;
}

/* Every array is checked against the number of dims, for the file may come from anywhere. */
static cf_status read_dims(cf_store *store, cf_selection *s)
{
    int64_t n_variances = 0, n_shift = 0;
    cf_status status;

    CF_TRY(cf_store_read_whole(store, "/selection/dims", CF_I64, &s->n_dims, &s->dims));
    CF_TRY(cf_store_read_whole(store, "/selection/variances", CF_F64, &n_variances, &s->variances));
    CF_TRY(cf_store_read_whole(store, "/selection/shift", CF_F64, &n_shift, &s->shift));
    CF_REQUIRE(n_variances == s->n_dims && n_shift == s->n_dims, CF_ERR_FORMAT,
               "%s: /selection has %lld dims, %lld variances and %lld shifts, expected the same "
               "number of each",
               cf_store_path(store), (long long)s->n_dims, (long long)n_variances,
               (long long)n_shift);
done:
    return status;
}

/* Rank 0 reads and broadcasts. Collective. */
static cf_status read_components(const cf_par *par, cf_store *store, cf_selection *s)
{
    const int64_t count = s->source_dim * s->n_dims;
    const cf_slab slab = rows_of_rank_0(par, s->source_dim, s->n_dims);
    cf_status status;

    CF_TRY(cf_par_agree(par, CF_ALLOC(s->components, count)));
    CF_TRY(cf_store_read(store, components_name, CF_F64, &slab, s->components));
    CF_TRY(cf_store_verify(store, components_name));
    cf_par_broadcast(par, s->components, count * (int64_t)sizeof *s->components, 0);
done:
    return status;
}

/* The matrix's shape gives n_dims and D; the other arrays must have them too. Collective. */
static cf_status read_map(const cf_par *par, cf_store *store, cf_selection *s)
{
    int64_t shape[2], n_variances = 0, n_scales = 0;
    cf_type type;
    cf_status status;

    CF_TRY(cf_store_shape(store, components_name, &type, shape));
    CF_TRY(cf_store_read_whole(store, "/selection/center", CF_F64, &s->source_dim, &s->center));
    CF_TRY(cf_store_read_whole(store, "/selection/variances", CF_F64, &n_variances, &s->variances));
    CF_TRY(cf_store_read_whole(store, "/selection/scales", CF_F64, &n_scales, &s->scales));
    s->n_dims = shape[1];
    CF_REQUIRE(s->source_dim == shape[0] && n_variances == s->n_dims && n_scales == s->n_dims,
               CF_ERR_FORMAT,
               "%s: %s is %lld x %lld, but there are %lld means, %lld variances and %lld scales",
               cf_store_path(store), components_name, (long long)shape[0], (long long)shape[1],
               (long long)s->source_dim, (long long)n_variances, (long long)n_scales);
    CF_TRY(read_components(par, store, s));
    CF_TRY(cf_store_read_real(store, "selection_total_variance", &s->total_variance));
done:
    return status;
}

cf_status cf_select_read(const cf_par *par, cf_store *store, cf_selection **out)
{
    bool dims = false, map = false;
    cf_selection *selection = NULL;
    int64_t unit = 0;
    cf_status status;

    CF_TRY(cf_store_has(store, "/selection/dims", &dims));
    CF_TRY(cf_store_has(store, components_name, &map));
    if (!dims && !map) {
        *out = NULL;
        return CF_OK;
    }
    CF_TRY(cf_par_agree(par, CF_ALLOC(selection, 1)));
    CF_TRY(dims ? read_dims(store, selection) : read_map(par, store, selection));
    CF_TRY(cf_store_read_real(store, "selection_factor", &selection->factor));
    CF_TRY(cf_store_read_real(store, "selection_gain", &selection->gain));
    CF_TRY(cf_store_read_int(store, "selection_unit", &unit));
    CF_TRY(cf_store_read_int(store, "selection_n_popular", &selection->n_popular));
    CF_REQUIRE(isfinite(selection->factor) && isfinite(selection->gain) &&
                   (unit == 0 || unit == 1) && selection->n_popular >= 0,
               CF_ERR_FORMAT,
               "%s: the selection has factor %g, gain %g, unit %lld, n_popular %lld, expected "
               "finite numbers, 0 or 1, and 0 or more",
               cf_store_path(store), selection->factor, selection->gain, (long long)unit,
               (long long)selection->n_popular);
    selection->unit = unit == 1;
    *out = selection;
    selection = NULL;
done:
    cf_select_destroy(&selection);
    return status;
}
