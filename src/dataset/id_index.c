/* The numbers of ids, by a hash table: open addressing, at most half full, over strings that stay
 * with the caller. The hash is FNV-1a (Fowler, Noll and Vo) in 64 bits. Two datasets are matched by
 * it: each rank has a table of its own ids, and reads all ids of the other dataset past it, in
 * blocks. */
#include "cf/dataset.h"

#include <string.h>

static uint64_t hash_of(const char *id, int64_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (int64_t k = 0; k < length; k++)
        hash = (hash ^ (uint8_t)id[k]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

/* The slot of an id: where it is, or an empty one. */
static int64_t *slot_of(const cf_id_index *index, const char *id, int64_t length)
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

cf_status cf_dataset_create_id_index(const cf_strings *ids, cf_id_index *out)
{
    int64_t n_slots = 16;
    cf_status status;

    while (n_slots < 2 * ids->count)
        n_slots *= 2;
    *out = (cf_id_index){.ids = ids, .mask = (uint64_t)n_slots - 1};
    CF_TRY(CF_ALLOC(out->slot, n_slots));
    for (int64_t k = 0; k < ids->count; k++)
        *slot_of(out, ids->bytes + ids->start[k], ids->start[k + 1] - ids->start[k] - 1) = k + 1;
done:
    return status;
}

int64_t cf_dataset_find_id(const cf_id_index *index, const char *id, int64_t length)
{
    return *slot_of(index, id, length) - 1;
}

void cf_dataset_destroy_id_index(cf_id_index *index)
{
    cf_free(&index->slot);
}

/* Names of the file in one block: those of one block of checksums. */
enum { IDS_PER_BLOCK = 65536 };

cf_status cf_dataset_match(const cf_dataset *dataset, cf_name_kind which, const cf_strings *ids,
                           int64_t *out)
{
    const int64_t n = which == CF_USER_IDS ? dataset->n_users : dataset->n_items;
    cf_id_index index = {0};
    cf_strings names = {0};
    cf_status status;

    CF_TRY(cf_par_agree(dataset->world, cf_dataset_create_id_index(ids, &index)));
    for (int64_t k = 0; k < ids->count; k++)
        out[k] = -1;
    for (int64_t first = 0; first < n; first += IDS_PER_BLOCK) {
        CF_TRY(
            cf_dataset_read_names(dataset, which, first, cf_min(IDS_PER_BLOCK, n - first), &names));
        for (int64_t k = 0; k < names.count; k++) {
            const int64_t start = names.start[k];
            const int64_t mine =
                cf_dataset_find_id(&index, names.bytes + start, names.start[k + 1] - start - 1);

            if (mine >= 0) out[mine] = first + k;
        }
        cf_dataset_destroy_strings(&names);
    }
done:
    cf_dataset_destroy_strings(&names);
    cf_dataset_destroy_id_index(&index);
    return status;
}
