/* A selection in a file, to be kept with the model. */
#include "internal.h"

#include <inttypes.h>

static const char directions_name[] = "/selection/directions";

/* Rank 0 has all rows; the others bring none. */
static cf_slab rows_of_rank_0(const cf_par *par, int64_t n_rows, int64_t n_columns)
{
    return (cf_slab){0, par->rank == 0 ? n_rows : 0, 0, n_columns, n_columns};
}

static cf_status write_map(const cf_par *par, const cf_selection *s, cf_store *store)
{
    const int64_t shape[2] = {s->source_dim, s->n_dims};
    const cf_slab slab = rows_of_rank_0(par, s->source_dim, s->n_dims);
    cf_status status;

    CF_TRY(cf_store_write_whole(store, "/selection/center", CF_F64, s->source_dim, s->center));
    CF_TRY(cf_store_add(store, directions_name, CF_F64, shape,
                        "embedding dimensions, embedding_size"));
    CF_TRY(cf_store_write(store, directions_name, &slab, s->directions));
    CF_TRY(cf_store_write_whole(store, "/selection/scales", CF_F64, s->n_dims, s->scales));
    CF_TRY(cf_store_write_real(store, "selection_total_variance", s->total_variance));
done:
    return status;
}

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

static cf_status read_dims(cf_store *store, cf_selection *s)
{
    int64_t n_variances = 0, n_shift = 0;
    cf_status status;

    CF_TRY(cf_store_read_whole(store, "/selection/dims", CF_I64, &s->n_dims, &s->dims));
    CF_TRY(cf_store_read_whole(store, "/selection/variances", CF_F64, &n_variances, &s->variances));
    CF_TRY(cf_store_read_whole(store, "/selection/shift", CF_F64, &n_shift, &s->shift));
    if (n_variances != s->n_dims || n_shift != s->n_dims)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT,
                       "%s: /selection has %" PRId64 " dims, %" PRId64 " variances and %" PRId64
                       " shifts, expected as many of each",
                       cf_store_path(store), s->n_dims, n_variances, n_shift));
done:
    return status;
}

/* All rows on rank 0, then on the others. */
static cf_status read_directions(const cf_par *par, cf_store *store, cf_selection *s)
{
    const int64_t count = s->source_dim * s->n_dims;
    const cf_slab slab = rows_of_rank_0(par, s->source_dim, s->n_dims);
    cf_status status;

    CF_TRY(cf_par_agree(par, CF_ALLOC(s->directions, count)));
    CF_TRY(cf_store_read(store, directions_name, CF_F64, &slab, s->directions));
    CF_TRY(cf_store_verify(store, directions_name));
    cf_par_broadcast(par, s->directions, count * (int64_t)sizeof *s->directions, 0);
done:
    return status;
}

static cf_status read_map(const cf_par *par, cf_store *store, cf_selection *s)
{
    int64_t shape[2], n_variances = 0, n_scales = 0;
    cf_type type;
    cf_status status;

    CF_TRY(cf_store_shape(store, directions_name, &type, shape));
    CF_TRY(cf_store_read_whole(store, "/selection/center", CF_F64, &s->source_dim, &s->center));
    CF_TRY(cf_store_read_whole(store, "/selection/variances", CF_F64, &n_variances, &s->variances));
    CF_TRY(cf_store_read_whole(store, "/selection/scales", CF_F64, &n_scales, &s->scales));
    s->n_dims = shape[1];
    if (s->source_dim != shape[0] || n_variances != s->n_dims || n_scales != s->n_dims)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT,
                       "%s: %s is %" PRId64 " x %" PRId64 ", but there are %" PRId64
                       " means, %" PRId64 " variances and %" PRId64 " scales",
                       cf_store_path(store), directions_name, shape[0], shape[1], s->source_dim,
                       n_variances, n_scales));
    CF_TRY(read_directions(par, store, s));
    CF_TRY(cf_store_read_real(store, "selection_total_variance", &s->total_variance));
done:
    return status;
}

cf_status cf_select_read(const cf_par *par, cf_store *store, cf_selection **out)
{
    const bool dims = cf_store_has(store, "/selection/dims");
    cf_selection *selection = NULL;
    int64_t unit = 0;
    cf_status status;

    if (!dims && !cf_store_has(store, directions_name)) {
        *out = NULL;
        return CF_OK;
    }
    CF_TRY(cf_par_agree(par, CF_ALLOC(selection, 1)));
    CF_TRY(dims ? read_dims(store, selection) : read_map(par, store, selection));
    CF_TRY(cf_store_read_real(store, "selection_factor", &selection->factor));
    CF_TRY(cf_store_read_real(store, "selection_gain", &selection->gain));
    CF_TRY(cf_store_read_int(store, "selection_unit", &unit));
    CF_TRY(cf_store_read_int(store, "selection_n_popular", &selection->n_popular));
    selection->unit = unit != 0;
    *out = selection;
    selection = NULL;
done:
    cf_select_destroy(&selection);
    return status;
}
