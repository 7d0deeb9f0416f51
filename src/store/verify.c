/* Checksums in the file: /checksums/NAME holds one 64-bit sum a block of /NAME (checksum.c). Commit
 * writes them, and verify compares them with what all ranks together have read. Both count the
 * elements moved: a sum over elements that were moved twice, or not at all, would mean nothing. A
 * rank that needs some rows reads their blocks whole, and compares those alone.
 */
#include "internal.h"

#include <string.h>

/* Sums are added modulo 2^64, in which order does not matter. */
cf_status store_join_sums(const cf_store *store, const store_array *array, uint64_t **out,
                          int64_t *moved)
{
    uint64_t *sums = NULL;
    cf_status status = CF_ALLOC(sums, array->n_blocks);

    CF_TRY(cf_par_agree(&store->par, status));
    MPI_Allreduce(array->sums, sums, cf_par_count(array->n_blocks), MPI_UINT64_T, MPI_SUM,
                  store->par.comm);
    *moved = array->n_moved;
    MPI_Allreduce(MPI_IN_PLACE, moved, 1, MPI_INT64_T, MPI_SUM, store->par.comm);
    *out = sums;
    sums = NULL;
done:
    cf_free(&sums);
    return status;
}

/* "/checksums/NAME". Collective. */
static cf_status checksum_name(const cf_store *store, const char *name, char **out)
{
    return cf_par_agree(&store->par, cf_text_format(out, "/checksums%s", name));
}

static const int64_t bytes_at_once = (int64_t)1 << 24; /* of rows that are read to be verified */

/* ---- Writing ---- */

/* Write the checksums of one array, whose elements must all have been written. They go through
 * store_move() alone, for they have no checksums of their own. Collective. */
static cf_status write_checksums_of(cf_store *store, const store_array *array)
{
    char *name = NULL;
    uint64_t *sums = NULL;
    store_array target = {.type = CF_I64, .shape = {array->n_blocks, 1}, .dataset = -1};
    cf_slab all = {
        .n_rows = store->par.rank == 0 ? array->n_blocks : 0, .n_columns = 1, .stride = 1};
    int64_t moved = 0;
    cf_status status;

    CF_TRY(store_join_sums(store, array, &sums, &moved));
    CF_REQUIRE(moved == array->shape[0] * array->shape[1], CF_ERR_BUG,
               "%s: %s: %lld of %lld elements were written", store->path, array->name,
               (long long)moved, (long long)(array->shape[0] * array->shape[1]));
    CF_TRY(checksum_name(store, array->name, &name));
    target.name = name;
    CF_TRY(store_create_groups(store, name));
    CF_TRY(store_create_dataset(store, name, "blocks", CF_I64, target.shape, &target.dataset));
    CF_TRY(store_reserve(store));
    CF_TRY(cf_par_agree(&store->par, store_move(store, &target, true, &all, sums)));
done:
    if (target.dataset >= 0) H5Dclose(target.dataset);
    cf_free(&name);
    cf_free(&sums);
    return status;
}

cf_status store_write_checksums(cf_store *store)
{
    cf_status status = CF_OK;

    for (int64_t k = 0; k < store->n_arrays; k++)
        CF_TRY(write_checksums_of(store, &store->arrays[k]));
done:
    return status;
}

/* ---- Reading ---- */

/* All ranks read all of them: there is one 8-byte sum for 65536 rows. */
cf_status store_read_checksums(const cf_store *store, store_array *array)
{
    store_array stored = {.dataset = -1};
    cf_slab all = {.n_rows = array->n_blocks, .n_columns = 1, .stride = 1};
    uint64_t *sums = NULL;
    cf_status status;

    if (array->stored != NULL) return CF_OK;
    CF_TRY(checksum_name(store, array->name, &stored.name));
    status = store_open_dataset(store, stored.name, &stored.dataset, &stored.type, stored.shape);
    CF_TRY(cf_par_agree(&store->par, status));
    CF_REQUIRE(stored.type == CF_I64 && stored.shape[0] == array->n_blocks && stored.shape[1] == 1,
               CF_ERR_FORMAT, "%s: %s does not hold the checksums of %s", store->path, stored.name,
               array->name);
    CF_TRY(cf_par_agree(&store->par, CF_ALLOC(sums, array->n_blocks)));
    CF_TRY(cf_par_agree(&store->par, store_move(store, &stored, false, &all, sums)));
    array->stored = sums;
    sums = NULL;
done:
    if (stored.dataset >= 0) H5Dclose(stored.dataset);
    cf_free(&stored.name);
    cf_free(&sums);
    return status;
}

/* The error of a block whose data does not have its checksum. */
static cf_status fail_damaged(const cf_store *store, const store_array *array, int64_t block)
{
    const int64_t first = block * STORE_BLOCK_ROWS;

    return CF_FAIL(CF_ERR_FORMAT, "%s: %s is damaged (rows %lld to %lld)", store->path, array->name,
                   (long long)first,
                   (long long)cf_min(first + STORE_BLOCK_ROWS, array->shape[0]) - 1);
}

/* The sums are reset whether they agree or not: the array can be read and verified once more. The
 * message names the rows of the first block that differs. */
cf_status cf_store_verify(cf_store *store, const char *name)
{
    store_array *array = NULL;
    uint64_t *read = NULL;
    int64_t moved = 0, block = 0;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    CF_TRY(store_read_checksums(store, array));
    CF_TRY(store_join_sums(store, array, &read, &moved));
    memset(array->sums, 0, (size_t)array->n_blocks * sizeof *array->sums);
    array->n_moved = 0;
    CF_REQUIRE(moved == array->shape[0] * array->shape[1], CF_ERR_BUG,
               "%s: %s: %lld of %lld elements were read", store->path, name, (long long)moved,
               (long long)(array->shape[0] * array->shape[1]));
    while (block < array->n_blocks && read[block] == array->stored[block])
        block++;
    if (block < array->n_blocks) status = fail_damaged(store, array, block);
done:
    cf_free(&read);
    return status;
}

/* ---- Reading in part ---- */

/* The blocks that a range of rows touches, whole. */
static cf_slab cover_blocks(const store_array *array, const cf_slab *rows)
{
    const int64_t first = rows->first_row / STORE_BLOCK_ROWS * STORE_BLOCK_ROWS;
    const int64_t end = cf_ceil_div(rows->first_row + rows->n_rows, STORE_BLOCK_ROWS);
    const int64_t n_rows = cf_min(end * STORE_BLOCK_ROWS, array->shape[0]) - first;

    return (cf_slab){first, rows->n_rows > 0 ? n_rows : 0, 0, 1, 1};
}

/* Whole blocks must have the checksums of the file. Local. */
static cf_status check_blocks(const cf_store *store, const store_array *array,
                              const cf_slab *blocks, const char *data)
{
    const size_t size = cf_store_type_size(array->type);

    for (int64_t k = 0; k < blocks->n_rows; k += STORE_BLOCK_ROWS) {
        const cf_slab rows = store_part(blocks, k, STORE_BLOCK_ROWS);
        const int64_t block = rows.first_row / STORE_BLOCK_ROWS;

        if (store_sum_rows(array, &rows, data + (size_t)k * size) != array->stored[block])
            return fail_damaged(store, array, block);
    }
    return CF_OK;
}

/* Copy those of the rows `from`, whose values begin at `data`, that `to` has. Local. */
static void copy_rows(const cf_slab *from, const char *data, const cf_slab *to, char *out,
                      size_t size)
{
    const int64_t first = cf_max(from->first_row, to->first_row);
    const int64_t end = cf_min(from->first_row + from->n_rows, to->first_row + to->n_rows);

    if (first < end)
        memcpy(out + (size_t)(first - to->first_row) * size,
               data + (size_t)(first - from->first_row) * size, (size_t)(end - first) * size);
}

/* Read the blocks that the rows `slab` touch, and verify them. What they have beside the rows is
 * summed and dropped; nothing reaches `data` before its block has been verified. Local. */
static cf_status read_blocks(const cf_store *store, const store_array *array, const cf_slab *slab,
                             void *data)
{
    const size_t size = cf_store_type_size(array->type);
    const int64_t rows = bytes_at_once / (int64_t)size / STORE_BLOCK_ROWS * STORE_BLOCK_ROWS;
    const cf_slab all = cover_blocks(array, slab);
    char *blocks = NULL;
    cf_status status;

    CF_TRY(cf_alloc(&blocks, cf_min(rows, all.n_rows), size));
    for (int64_t done = 0; done < all.n_rows; done += rows) {
        const cf_slab part = store_part(&all, done, rows);

        CF_TRY(store_move(store, array, false, &part, blocks));
        CF_TRY(check_blocks(store, array, &part, blocks));
        copy_rows(&part, blocks, slab, data, size);
    }
done:
    cf_free(&blocks);
    return status;
}

cf_status cf_store_read_verified(cf_store *store, const char *name, cf_type type,
                                 const cf_slab *slab, void *data)
{
    store_array *array = NULL;
    cf_status status;

    CF_TRY(store_find(store, name, &array));
    CF_REQUIRE(array->type == type && array->shape[1] == 1, CF_ERR_FORMAT,
               "%s: %s: is not a list of %s", store->path, name, cf_store_type_name(type));
    CF_ASSERT(slab->n_rows >= 0 && slab->first_row >= 0 &&
              slab->first_row <= array->shape[0] - slab->n_rows);
    CF_TRY(store_read_checksums(store, array));
    CF_TRY(cf_par_agree(&store->par, read_blocks(store, array, slab, data)));
done:
    return status;
}

/* ---- All of a file ---- */

/* Read an even part of the rows, and add it to the sums of `array`. Local. */
static cf_status read_rows(const cf_store *store, store_array *array)
{
    const int64_t first = cf_par_even_start(array->shape[0], store->par.size, store->par.rank);
    const int64_t next = cf_par_even_start(array->shape[0], store->par.size, store->par.rank + 1);
    const cf_slab mine = {first, next - first, 0, array->shape[1], array->shape[1]};
    const int64_t rows = store_rows_per_call(array, &mine, bytes_at_once);
    char *data = NULL;
    cf_status status = cf_alloc(&data, cf_min(rows, mine.n_rows) * array->shape[1],
                                cf_store_type_size(array->type));

    CF_TRY(status);
    for (int64_t done = 0; done < mine.n_rows; done += rows) {
        const cf_slab part = store_part(&mine, done, rows);

        CF_TRY(store_move(store, array, false, &part, data));
        store_checksum_add(array, &part, data);
    }
done:
    cf_free(&data);
    return status;
}

cf_status store_verify_all(cf_store *store)
{
    char **names = NULL;
    int64_t count = 0;
    store_array *array = NULL;
    cf_status status;

    CF_TRY(store_list_names(store, &names, &count));
    for (int64_t k = 0; k < count; k++) {
        CF_TRY(store_find(store, names[k], &array));
        CF_TRY(cf_par_agree(&store->par, read_rows(store, array)));
        CF_TRY(cf_store_verify(store, names[k]));
    }
done:
    store_free_names(&names, count);
    return status;
}
