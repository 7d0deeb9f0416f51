/* Pairs of ids on their way from a line to numbers.
 *
 * A look-up in a large hash table waits for memory, longer than it takes to read the line. The
 * queue prefetches the slots of both ids and delays the look-up until INGEST_QUEUE_SIZE further
 * pairs were read, so that their memory accesses overlap. It is a ring: the oldest pair is looked
 * up when a new one needs its entry. Ids are copied into it, because the next line overwrites the
 * buffer.
 *
 * The way of an id string through ingest begins here:
 *
 *   field         a pointer into the buffer of the line            records.c
 *   queue         a copy of up to INGEST_QUEUE_BYTES, with hash    here
 *   id table      bytes in an arena, a local number                id_table.c
 *   cf_strings    the arena as strings, one for each local number  ids.h
 *   route         bytes packed for the rank that owns the id       id_route.c
 *   partition     the owner's sorted block of distinct ids         id_partition.c
 *   numbers       replies: local number -> global number           id_partition.c
 *   dataset       the blocks, written to /users/id and /items/id   prepare.c
 *
 * From the id table on, interactions hold numbers only. */
#include "interactions.h"

#include <string.h>

/* Number both ids and append the interaction. `hashes` and `ids`: of user and item. */
static cf_status add_pair(ingest_interactions *inter, const uint64_t hashes[2],
                          const ingest_field ids[2], const ingest_key *key)
{
    int64_t user, item;
    cf_status status;

    CF_TRY(ingest_add_id(&inter->user_ids, hashes[0], &ids[0], &user));
    CF_TRY(ingest_add_id(&inter->item_ids, hashes[1], &ids[1], &item));
    CF_TRY(ingest_append_interaction(inter, user, item, key));
done:
    return status;
}

/* Add the oldest pairs until at most `left` wait. */
static cf_status drain_queue(ingest_queue *queue, int64_t left)
{
    cf_status status = CF_OK;

    for (; queue->next - queue->first > left; queue->first++) {
        struct ingest_queued_pair *p = &queue->pair[queue->first % INGEST_QUEUE_SIZE];

        CF_TRY(add_pair(queue->inter, (uint64_t[2]){p->user_hash, p->item_hash},
                        (ingest_field[2]){{p->user, p->user_length}, {p->item, p->item_length}},
                        &p->key));
    }
done:
    return status;
}

/* A copy of constant size is inlined; it reads up to INGEST_SLACK bytes behind the id. */
static void copy_id(char *to, const ingest_field *id)
{
    if (id->length <= INGEST_SLACK)
        memcpy(to, id->text, INGEST_SLACK);
    else
        memcpy(to, id->text, (size_t)id->length);
}

/* Prefetch a pair's slots and let it wait. A pair with an id too long for an entry is added at
 * once, after all that wait. */
static cf_status enqueue(ingest_queue *queue, const ingest_field *user, const ingest_field *item,
                         const ingest_key *key)
{
    const uint64_t hashes[2] = {ingest_hash(user->text, user->length),
                                ingest_hash(item->text, item->length)};
    const bool is_long = user->length > INGEST_QUEUE_BYTES || item->length > INGEST_QUEUE_BYTES;
    struct ingest_queued_pair *p;
    cf_status status;

    CF_TRY(drain_queue(queue, is_long ? 0 : INGEST_QUEUE_SIZE - 1));
    if (is_long) return add_pair(queue->inter, hashes, (ingest_field[2]){*user, *item}, key);
    ingest_prefetch_id(&queue->inter->user_ids, hashes[0]);
    ingest_prefetch_id(&queue->inter->item_ids, hashes[1]);
    p = &queue->pair[queue->next++ % INGEST_QUEUE_SIZE];
    p->key = *key;
    p->user_hash = hashes[0];
    p->item_hash = hashes[1];
    p->user_length = user->length;
    p->item_length = item->length;
    copy_id(p->user, user);
    copy_id(p->item, item);
done:
    return status;
}

/* A pair of known small numbers need not wait: its look-up is two loads from small arrays. That it
 * overtakes the pairs in the queue is irrelevant, since interactions are sorted later. */
cf_status ingest_enqueue_pair(ingest_queue *queue, const ingest_field *user,
                              const ingest_field *item, const ingest_key *key)
{
    const int64_t known_user = ingest_find_small_id(&queue->inter->user_ids, user),
                  known_item = ingest_find_small_id(&queue->inter->item_ids, item);

    if (known_user < 0 || known_item < 0) return enqueue(queue, user, item, key);
    return ingest_append_interaction(queue->inter, known_user, known_item, key);
}

cf_status ingest_flush_queue(ingest_queue *queue)
{
    return drain_queue(queue, 0);
}
