/**
 * A small file of every type for the tests of store: each element is a function of its place, so
 * that any rank can write or check any part of it.
 */
#pragma once

#include "cf/store.h"
#include "cf_test.h"

#include <stdio.h>
#include <string.h>

typedef struct sample_array {
    const char *name;
    cf_type type;
    int64_t shape[2];
} sample_array;

static const sample_array sample_arrays[] = {
    {"/users/id", CF_U8, {5000, 1}},     {"/train/user_ptr", CF_I64, {66001, 1}},
    {"/train/item", CF_I32, {70001, 1}}, {"/table", CF_F32, {66000, 20}},
    {"/half", CF_F16, {301, 40}},        {"/real", CF_F64, {7, 1}},
    {"/one_row", CF_F32, {1, 64}},       {"/empty", CF_F32, {0, 8}},
};
enum { N_SAMPLES = sizeof sample_arrays / sizeof sample_arrays[0] };

/* Element number `index` of an array: small enough to be exact in its type, another one in each
 * place nearby. */
static inline void sample_set(const sample_array *array, int64_t index, void *out)
{
    int64_t value = (index * (7919 + array->shape[0] % 1000) + index / 251) % 2039;

    switch (array->type) {
    case CF_F16: {
        float real = (float)value;
        cf_store_f32_to_f16(&real, out, 1);
        break;
    }
    case CF_F32:
        *(float *)out = (float)value - 0.5f;
        break;
    case CF_F64:
        *(double *)out = (double)value / 3;
        break;
    case CF_I32:
        *(int32_t *)out = (int32_t)value - 1000;
        break;
    case CF_I64:
        *(int64_t *)out = value << 32;
        break;
    case CF_U8:
        *(uint8_t *)out = (uint8_t)value;
        break;
    }
}

/* Memory for a slab with its elements in place (and 0x5a in what lies between rows). Freed with
 * cf_free(). */
static inline char *sample_data(const sample_array *array, const cf_slab *slab)
{
    size_t size = cf_store_type_size(array->type);
    char *data = NULL;

    assert_ok(cf_alloc(&data, slab->n_rows * slab->stride, size));
    memset(data, 0x5a, (size_t)(slab->n_rows * slab->stride) * size);
    for (int64_t row = 0; row < slab->n_rows; row++)
        for (int64_t column = 0; column < slab->n_columns; column++)
            sample_set(array,
                       (slab->first_row + row) * array->shape[1] + slab->first_column + column,
                       data + (size_t)(row * slab->stride + column) * size);
    return data;
}

/* This rank's even part of the rows, all columns. */
static inline cf_slab sample_rows(const sample_array *array)
{
    int64_t first = cf_par_even_start(array->shape[0], world.size, world.rank);
    int64_t next = cf_par_even_start(array->shape[0], world.size, world.rank + 1);

    return (cf_slab){first, next - first, 0, array->shape[1], array->shape[1]};
}

static inline cf_status sample_write(cf_store *store, const sample_array *array, cf_slab slab)
{
    char *data = sample_data(array, &slab);
    cf_status status = cf_store_write(store, array->name, &slab, data);

    cf_free(&data);
    return status;
}

/* Read a slab, verify the array if asked to, and only then compare each element with what it should
 * be. */
static inline cf_status sample_compare(cf_store *store, const sample_array *array, cf_slab slab,
                                       bool verify)
{
    size_t bytes = (size_t)(slab.n_rows * slab.stride) * cf_store_type_size(array->type);
    char *want = sample_data(array, &slab), *got = NULL;
    cf_status status;

    assert_ok(CF_ALLOC(got, (int64_t)bytes));
    memset(got, 0x5a, bytes);
    CF_TRY(cf_store_read(store, array->name, array->type, &slab, got));
    if (verify) CF_TRY(cf_store_verify(store, array->name));
    assert_memory_equal(got, want, bytes);
done:
    cf_free(&want);
    cf_free(&got);
    return status;
}

static inline cf_status sample_read(cf_store *store, const sample_array *array, cf_slab slab)
{
    return sample_compare(store, array, slab, false);
}

static inline cf_status sample_create(const char *path, const char *kind, cf_store **store)
{
    cf_status status;

    CF_TRY(cf_store_create(&world, path, kind, store));
    for (int k = 0; k < N_SAMPLES; k++) {
        CF_TRY(cf_store_add(*store, sample_arrays[k].name, sample_arrays[k].type,
                            sample_arrays[k].shape, "rows, columns"));
        CF_TRY(sample_write(*store, &sample_arrays[k], sample_rows(&sample_arrays[k])));
    }
    CF_TRY(cf_store_write_int(*store, "epoch", -3));
done:
    return status;
}

/* Write the whole file. */
static inline cf_status sample_commit(const char *path, const char *kind)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(sample_create(path, kind, &store));
    CF_TRY(cf_store_commit(&store));
done:
    cf_store_close(&store);
    return status;
}

/* Open a file, read and verify all of it. */
static inline cf_status sample_check(const char *path, const char *kind)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(cf_store_open(&world, path, kind, &store));
    for (int k = 0; k < N_SAMPLES; k++)
        CF_TRY(sample_compare(store, &sample_arrays[k], sample_rows(&sample_arrays[k]), true));
done:
    cf_store_close(&store);
    return status;
}
