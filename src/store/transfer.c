/* Writing and reading of slabs by all ranks together, and of small arrays as a whole. Each element
 * that goes through here is added to its block's checksum (checksum.c), which commit and verify
 * compare. Rows that are cut among ranks are first made whole in memory (columns.c).
 * tests/store/roundtrip.c reads every cut of rows and columns back.
 */
#include "internal.h"

#include <string.h>

static const int64_t max_half_bytes = (int64_t)1 << 24; /* of float16 held beside its float32 */

/* Slabs come from the program, not from a file: one outside of its array is a bug. */
static void check_slab(const store_array *array, const cf_slab *slab)
{
    CF_ASSERT(slab->n_rows >= 0 && slab->first_row >= 0 &&
              slab->first_row + slab->n_rows <= array->shape[0]);
    CF_ASSERT(slab->n_columns >= 0 && slab->first_column >= 0 &&
              slab->first_column + slab->n_columns <= array->shape[1]);
    CF_ASSERT(slab->stride >= slab->n_columns);
}

/* Move a slab, and agree on the outcome. Collective. */
static cf_status move_slab(const cf_store *store, const store_array *array, bool write,
                           const cf_slab *slab, void *data)
{
    bool moved = false;
    cf_status status;

    CF_TRY(store_move_columns(store, array, write, slab, data, &moved));
    if (!moved) status = cf_par_agree(&store->par, store_move(store, array, write, slab, data));
done:
    return status;
}

/* The checksums are added before the transfer: what the file then holds is compared with them in
 * store_read_back(). A slab that cuts a unit of the checksums is a bug of the caller. */
cf_status cf_store_write(cf_store *store, const char *name, const cf_slab *slab, const void *data)
{
    store_array *array = NULL;
    int64_t before;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    check_slab(array, slab);
    before = array->n_moved;
    store_checksum_add(array, slab, data);
    CF_ASSERT(array->n_moved ==
              before + slab->n_rows * slab->n_columns); /* columns cut at multiples of 16 */
    CF_TRY(move_slab(store, array, true, slab, (void *)(uintptr_t)data));
done:
    return status;
}

/* Read rows in the file's own type. */
static cf_status read_plain(const cf_store *store, store_array *array, const cf_slab *slab,
                            void *data)
{
    cf_status status;

    CF_TRY(move_slab(store, array, false, slab, data));
    store_checksum_add(array, slab, data);
done:
    return status;
}

/* Read rows of float16 as float32, through a small buffer. The checksums are those of the float16
 * numbers, so they are added before the conversion. Local. */
static cf_status read_halves(const cf_store *store, store_array *array, const cf_slab *slab,
                             float *data)
{
    const int64_t rows = store_rows_per_call(array, slab, max_half_bytes);
    uint16_t *halves = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(halves, cf_min(rows, slab->n_rows) * slab->n_columns));
    for (int64_t first = 0; first < slab->n_rows; first += rows) {
        cf_slab part = store_part(slab, first, rows);

        part.stride = part.n_columns;
        CF_TRY(store_move(store, array, false, &part, halves));
        store_checksum_add(array, &part, halves);
        for (int64_t row = 0; row < part.n_rows; row++)
            cf_store_f16_to_f32(halves + row * part.n_columns, data + (first + row) * slab->stride,
                                part.n_columns);
    }
done:
    cf_free(&halves);
    return status;
}

cf_status cf_store_read(cf_store *store, const char *name, cf_type type, const cf_slab *slab,
                        void *data)
{
    store_array *array = NULL;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    check_slab(array, slab);
    CF_REQUIRE(array->type == type || (array->type == CF_F16 && type == CF_F32), CF_ERR_FORMAT,
               "%s: %s: is %s, expected %s", store->path, name, cf_store_type_name(array->type),
               cf_store_type_name(type));
    if (array->type == type)
        CF_TRY(read_plain(store, array, slab, data));
    else
        CF_TRY(cf_par_agree(&store->par, read_halves(store, array, slab, data)));
done:
    return status;
}

/* ---- Small arrays ---- */

/* Rank 0 writes, the others join in with no rows. */
cf_status cf_store_write_whole(cf_store *store, const char *name, cf_type type, int64_t count,
                               const void *data)
{
    int64_t shape[2] = {count, 1};
    cf_slab all = {.n_rows = store->par.rank == 0 ? count : 0, .n_columns = 1, .stride = 1};
    cf_status status;

    CF_TRY(cf_store_add(store, name, type, shape, "values"));
    CF_TRY(cf_store_write(store, name, &all, data));
done:
    return status;
}

/* Rank 0 reads and broadcasts: then each element is read once, as verification demands. */
cf_status cf_store_read_whole(cf_store *store, const char *name, cf_type type, int64_t *count,
                              void *out)
{
    size_t size = cf_store_type_size(type);
    store_array *array = NULL;
    cf_slab all = {0};
    void *data = NULL;
    int64_t n;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    n = array->shape[0] * array->shape[1];
    all = (cf_slab){.n_rows = store->par.rank == 0 ? array->shape[0] : 0,
                    .n_columns = array->shape[1],
                    .stride = array->shape[1]};
    CF_TRY(cf_par_agree(&store->par, cf_alloc(&data, n, size)));
    CF_TRY(cf_store_read(store, name, type, &all, data));
    CF_TRY(cf_store_verify(store, name));
    cf_par_broadcast(&store->par, data, n * (int64_t)size, 0);
    *count = n;
    memcpy(out, &data, sizeof data);
    data = NULL;
done:
    cf_free(&data);
    return status;
}
