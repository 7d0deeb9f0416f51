/* Keys of ids: how two ids compare in the order of the dataset.
 *
 * By bytes, or by value if all ids are decimal numbers without leading zeros. Of two such numbers
 * the longer one is larger, and equally long ones compare as their bytes do, so numbers of any
 * length are ordered without being parsed. */
#include "ids.h"

#include <string.h>

int ingest_compare_id_keys(const void *a, const void *b)
{
    const ingest_id_key *x = a, *y = b;

    /* Both lengths are 0 unless ids are numbers. */
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    /* Equal first bytes decide nothing: both ids may go on, or end within them. */
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return strcmp(x->id, y->id);
}

/* The first 8 bytes of an id as a number, the first one highest, so that numbers compare as the
 * bytes do. A shorter id is padded with its NUL. */
static uint64_t first_bytes(const char *id)
{
    uint64_t first = 0;

    for (int k = 0; k < 8; k++) {
        first = first << 8 | (unsigned char)*id;
        if (*id != 0) id++;
    }
    return first;
}

ingest_id_key ingest_make_id_key(const cf_strings *ids, int64_t k, bool as_numbers)
{
    const char *id = ids->bytes + ids->start[k];
    const int64_t size = ids->start[k + 1] - ids->start[k];

    return (ingest_id_key){first_bytes(id), id, as_numbers ? size : 0, (uint32_t)k, (uint32_t)size};
}

cf_status ingest_create_id_keys(const cf_strings *ids, bool as_numbers, ingest_id_key **out)
{
    ingest_id_key *keys = NULL;
    cf_status status = CF_ALLOC(keys, ids->count);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < ids->count; k++)
        keys[k] = ingest_make_id_key(ids, k, as_numbers);
    *out = keys;
    return CF_OK;
}

/* Sorting moves the keys alone; the bytes are gathered here, once, in the final order. */
cf_status ingest_copy_keyed_ids(const ingest_id_key *keys, int64_t count, cf_strings *out)
{
    cf_strings strings = {.count = count};
    int64_t size = 0;
    cf_status status;

    for (int64_t k = 0; k < count; k++)
        size += keys[k].size;
    CF_TRY(CF_ALLOC(strings.start, count + 1));
    CF_TRY(CF_ALLOC(strings.bytes, size));
    for (int64_t k = 0; k < count; k++) {
        memcpy(strings.bytes + strings.start[k], keys[k].id, keys[k].size);
        strings.start[k + 1] = strings.start[k] + keys[k].size;
    }
    *out = strings;
    strings = (cf_strings){0};
done:
    cf_dataset_destroy_strings(&strings);
    return status;
}
