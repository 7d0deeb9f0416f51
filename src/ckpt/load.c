#include "internal.h"

#include <inttypes.h>
#include <string.h>

/* `count` elements of an array of the selection, where all have the same length. */
static cf_status get_equal(cf_store *store, const char *name, cf_type type, int64_t expected,
                           void *out)
{
    int64_t count = 0;
    cf_status status;

    CF_TRY(cf_store_get(store, name, type, &count, out));
    if (count != expected)
        status = CF_FAIL(CF_ERR_FORMAT, "%s: %s has %lld numbers, expected %lld",
                         cf_store_path(store), name, (long long)count, (long long)expected);
done:
    return status;
}

static cf_status read_selection(const cf_par *world, cf_store *store, cf_selection **out)
{
    cf_selection *s = NULL;
    int64_t unit = 0;
    cf_status status = CF_OK;

    if (!cf_store_has(store, "/selection/dims")) return CF_OK;
    CF_TRY(cf_par_agree(world, CF_ALLOC(s, 1)));
    CF_TRY(cf_store_get(store, "/selection/dims", CF_I64, &s->n_dims, &s->dims));
    CF_TRY(get_equal(store, "/selection/variances", CF_F64, s->n_dims, &s->variances));
    CF_TRY(get_equal(store, "/selection/shift", CF_F64, s->n_dims, &s->shift));
    CF_TRY(cf_store_get_int(store, "selection_n_popular", &s->n_popular));
    CF_TRY(cf_store_get_real(store, "selection_factor", &s->factor));
    CF_TRY(cf_store_get_real(store, "selection_gain", &s->gain));
    CF_TRY(cf_store_get_int(store, "selection_unit", &unit));
    s->unit = unit != 0;
    *out = s;
    s = NULL;
done:
    cf_select_destroy(&s);
    return status;
}

static cf_status read_progress(cf_store *store, cf_run_progress *out)
{
    cf_status status;

    CF_TRY(cf_store_get_int(store, "epoch", &out->epoch));
    CF_TRY(cf_store_get_int(store, "batch", &out->batch));
    CF_TRY(cf_store_get_real(store, "loss_sum", &out->loss_sum));
    CF_TRY(cf_store_get_int(store, "best_epoch", &out->best_epoch));
    CF_TRY(cf_store_get_real(store, "best_value", &out->best_value));
    CF_TRY(cf_store_get_int(store, "stale", &out->stale));
    CF_TRY(cf_store_get_real(store, "seconds", &out->seconds));
done:
    return status;
}

static cf_status read_settings(const cf_par *world, cf_store *store, char **out)
{
    char *bytes = NULL, *text = NULL;
    int64_t count = 0;
    cf_status status;

    CF_TRY(cf_store_get(store, "/settings", CF_U8, &count, &bytes));
    CF_TRY(cf_par_agree(world, CF_ALLOC(text, count + 1)));
    memcpy(text, bytes, (size_t)count);
    *out = text;
done:
    cf_free(&bytes);
    return status;
}

static cf_status read_origin(const cf_par *world, cf_ckpt_file *file)
{
    int64_t shape[2], digest = 0;
    cf_type type;
    cf_status status;

    CF_TRY(read_settings(world, file->store, &file->settings));
    CF_TRY(cf_store_get_int(file->store, "dataset_digest", &digest));
    file->dataset_digest = (uint64_t)digest;
    CF_TRY(cf_store_get_int(file->store, "n_users", &file->n_users));
    CF_TRY(cf_store_get_int(file->store, "n_items", &file->n_items));
    CF_TRY(cf_store_get_text(file->store, "program", &file->version));
    CF_TRY(cf_store_shape(file->store, table_names[CF_ITEMS], &type, shape));
    file->dim = shape[1];
done:
    return status;
}

cf_status cf_ckpt_open(const cf_par *world, const char *path, cf_ckpt_file **out)
{
    cf_ckpt_file *file = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(file, 1)));
    CF_TRY(cf_store_open(world, path, "checkpoint", &file->store));
    CF_TRY(read_origin(world, file));
    CF_TRY(read_progress(file->store, &file->progress));
    CF_TRY(read_selection(world, file->store, &file->selection));
    *out = file;
    file = NULL;
done:
    cf_ckpt_close(&file);
    return status;
}

void cf_ckpt_close(cf_ckpt_file **file)
{
    cf_ckpt_file *f = *file;

    if (f == NULL) return;
    cf_store_close(&f->store);
    cf_select_destroy(&f->selection);
    cf_free(&f->settings);
    cf_free(&f->version);
    cf_free(file);
}

cf_status cf_ckpt_check_dataset(const cf_ckpt_file *file, const char *dataset_path, uint64_t digest,
                                const int64_t counts[2])
{
    const char *path = cf_store_path(file->store);

    if (file->n_users != counts[CF_USERS] || file->n_items != counts[CF_ITEMS])
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s was trained on another dataset than %s: %lld users x %lld items there, "
                       "%lld x %lld here",
                       path, dataset_path, (long long)file->n_users, (long long)file->n_items,
                       (long long)counts[CF_USERS], (long long)counts[CF_ITEMS]);
    if (file->dataset_digest != digest)
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s was trained on another dataset than %s: digest %016" PRIx64
                       " there, %016" PRIx64 " here",
                       path, dataset_path, file->dataset_digest, digest);
    return CF_OK;
}

static cf_status read_moments(cf_store *store, cf_optim *optim)
{
    const int n_moments = cf_optim_n_moments(optim);
    int64_t steps = 0;
    cf_status status = CF_OK;

    for (int k = 0; k < MAX_MOMENTS; k++)
        if (cf_store_has(store, moment_names[CF_USERS][k]) != (k < n_moments))
            CF_TRY(CF_FAIL(CF_ERR_FORMAT,
                           "%s: the optimizer's state is not in it, or is another optimizer's",
                           cf_store_path(store)));
    CF_TRY(cf_store_get_int(store, "optimizer_steps", &steps));
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < n_moments; k++)
            CF_TRY(cf_dense_read(cf_optim_moment(optim, (cf_side)side, k), store,
                                 moment_names[side][k]));
    cf_optim_set_steps(optim, steps);
done:
    return status;
}

cf_status cf_ckpt_read(cf_ckpt_file *file, cf_dense *const table[2], cf_optim *optim)
{
    cf_status status = CF_OK;

    for (int side = 0; side < 2; side++)
        CF_TRY(cf_dense_read(table[side], file->store, table_names[side]));
    if (optim != NULL) CF_TRY(read_moments(file->store, optim));
done:
    return status;
}
