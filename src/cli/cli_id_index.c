/* The numbers of ids, by a hash table: open addressing, at most half full, over strings that stay
 * with the caller. The hash is FNV-1a (Fowler, Noll and Vo) in 64 bits. */
#include "cli.h"

#include <string.h>

static uint64_t hash_of(const char *id, int64_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (int64_t k = 0; k < length; k++)
        hash = (hash ^ (uint8_t)id[k]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

/* The slot of an id: where it is, or an empty one. */
static int64_t *slot_of(const cli_id_index *index, const char *id, int64_t length)
{
    const cf_strings *ids = index->ids;
    uint64_t at = hash_of(id, length) & index->mask;

    for (; index->slot[at] != 0; at = (at + 1) & index->mask) {
        const int64_t k = index->slot[at] - 1, start = ids->start[k];

        if (ids->start[k + 1] - start == length + 1 &&
            memcmp(ids->bytes + start, id, (size_t)length) == 0)
            break;
    }
    return &index->slot[at];
}

cf_status cli_create_id_index(const cf_strings *ids, cli_id_index *out)
{
    int64_t n_slots = 16;
    cf_status status;

    while (n_slots < 2 * ids->count)
        n_slots *= 2;
    *out = (cli_id_index){.ids = ids, .mask = (uint64_t)n_slots - 1};
    CF_TRY(CF_ALLOC(out->slot, n_slots));
    for (int64_t k = 0; k < ids->count; k++)
        *slot_of(out, ids->bytes + ids->start[k], ids->start[k + 1] - ids->start[k] - 1) = k + 1;
done:
    return status;
}

int64_t cli_find_id(const cli_id_index *index, const char *id, int64_t length)
{
    return *slot_of(index, id, length) - 1;
}

void cli_destroy_id_index(cli_id_index *index)
{
    cf_free(&index->slot);
}
