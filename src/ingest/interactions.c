/* The array of a rank's interactions while files are read. It grows to the size predicted from the
 * part of the file that has been read, so that it is copied a few times only. */
#include "interactions.h"

#include <string.h>

enum { MIN_GROWTH = 1 << 15 }; /* interactions; fewer say little about the rest of a file */

void ingest_destroy_interactions(ingest_interactions *inter)
{
    ingest_destroy_id_table(&inter->user_ids);
    ingest_destroy_id_table(&inter->item_ids);
    ingest_destroy_id_partition(&inter->users);
    ingest_destroy_id_partition(&inter->items);
    ingest_destroy_item_index(&inter->index);
    cf_free(&inter->cold);
    cf_free(&inter->pairs);
    cf_free(&inter->keys);
}

static void swap(uint64_t **one, uint64_t **other)
{
    uint64_t *kept = *one;

    *one = *other;
    *other = kept;
}

/* The capacity to grow to: what the fraction of the file read so far predicts for all of it, plus
 * 2%. Doubling again and again would touch and copy several times the memory that is needed. */
static int64_t predict_capacity(const ingest_interactions *inter)
{
    const double n_read = (double)(inter->count - inter->n_before);
    const double fraction = ingest_text_progress(inter->source);
    const double predicted = (double)inter->n_before + 1.02 * n_read / fraction;
    const int64_t least = inter->count + inter->count / 8 + MIN_GROWTH;

    if (n_read >= MIN_GROWTH && predicted > (double)least && predicted < 0x1p48)
        return (int64_t)predicted;
    return least;
}

/* New arrays instead of a reallocation: the old ones stay valid if the second allocation fails. */
static cf_status grow_interactions(ingest_interactions *inter)
{
    const int64_t capacity = predict_capacity(inter);
    const int words = inter->key_words;
    const size_t bytes = (size_t)inter->count * sizeof(uint64_t);
    uint64_t *pairs = NULL, *keys = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(pairs, capacity));
    if (words > 0) CF_TRY(CF_ALLOC(keys, capacity * words));
    if (inter->count > 0) memcpy(pairs, inter->pairs, bytes);
    if (inter->keys != NULL) memcpy(keys, inter->keys, bytes * (size_t)words);
    swap(&inter->pairs, &pairs);
    swap(&inter->keys, &keys);
    inter->capacity = capacity;
done:
    cf_free(&pairs);
    cf_free(&keys);
    return status;
}

cf_status ingest_append_interaction(ingest_interactions *inter, int64_t user, int64_t item,
                                    const ingest_key *key)
{
    if (inter->count == inter->capacity) {
        cf_status status = grow_interactions(inter);
        if (status != CF_OK) return status;
    }
    if (inter->has_times) inter->keys[inter->count * inter->key_words] = key->time;
    if (inter->has_weights)
        memcpy(ingest_place_of(inter, inter->count) - 1, &key->weight, sizeof key->weight);
    if (inter->key_words > 0) *ingest_place_of(inter, inter->count) = key->place;
    inter->pairs[inter->count++] = ingest_pair((uint32_t)user, (uint32_t)item);
    return CF_OK;
}
