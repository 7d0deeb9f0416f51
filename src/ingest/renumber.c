/* From the local numbers of a rank's ids to global numbers, and from the lines that a rank has read
 * to the interactions of its users.
 *
 *   number   partition the ids over the ranks; each rank learns the global numbers of its ids
 *   move     each interaction goes to the owner of its user
 *   sort     by (user, item), and drop all but the first of equal pairs
 *   index    users become indices in the block, items local numbers of the item index */
#include "split.h"

/* ---- Moving ---------------------------------------------------------------------------------- */

/* Local: copy pairs, and keys if there are any, grouped by the owner of the user. `send_count`: the
 * interactions for each rank. */
static cf_status group_by_owner(const ingest_interactions *inter, int64_t *send_count,
                                ingest_interactions *out)
{
    const cf_blocks *users = &inter->users.blocks;
    int64_t *next = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(next, users->count));
    CF_TRY(CF_ALLOC(out->pairs, inter->count));
    if (inter->key_words > 0) CF_TRY(CF_ALLOC(out->keys, inter->count * inter->key_words));
    for (int64_t e = 0; e < inter->count; e++)
        send_count[cf_par_block_of(users, ingest_user(inter->pairs[e]))]++;
    for (int r = 1; r < users->count; r++)
        next[r] = next[r - 1] + send_count[r - 1];
    for (int64_t e = 0; e < inter->count; e++) {
        const int64_t at = next[cf_par_block_of(users, ingest_user(inter->pairs[e]))]++;

        ingest_copy_interaction(inter, e, out, at);
    }
done:
    cf_free(&next);
    return status;
}

/* Send each interaction, by global numbers, to the owner of its user. Arrays are freed as soon as
 * they are not needed: this is where prepare holds most memory. */
static cf_status move_to_owners(const cf_par *world, ingest_interactions *inter)
{
    ingest_interactions send = {0};
    int64_t *send_count = NULL, *recv_count = NULL;
    cf_status status;

    if (world->size == 1) return CF_OK;
    status = CF_ALLOC(send_count, world->size);
    if (status == CF_OK) status = CF_ALLOC(recv_count, world->size);
    if (status == CF_OK) status = group_by_owner(inter, send_count, &send);
    CF_TRY(cf_par_agree(world, status));
    cf_free(&inter->pairs);
    cf_free(&inter->keys);
    CF_TRY(cf_par_exchange(world, sizeof *send.pairs, send_count, send.pairs, recv_count,
                           &inter->pairs));
    cf_free(&send.pairs);
    if (inter->key_words > 0)
        CF_TRY(cf_par_exchange(world, sizeof *send.keys * (size_t)inter->key_words, send_count,
                               send.keys, recv_count, &inter->keys));
    inter->count = 0;
    for (int r = 0; r < world->size; r++)
        inter->count += recv_count[r];
done:
    cf_free(&send.pairs);
    cf_free(&send.keys);
    cf_free(&send_count);
    cf_free(&recv_count);
    return status;
}

/* Keep one of equal pairs: the first or the last by time, then by the order of the files, in which
 * train goes before valid and valid before test. Whether val_interval rejects it is seen later. */
static void drop_duplicates(ingest_interactions *inter)
{
    int64_t kept = 0;

    for (int64_t e = 0; e < inter->count; e++) {
        if (kept == 0 || inter->pairs[kept - 1] != inter->pairs[e])
            ingest_copy_interaction(inter, e, inter, kept++);
        else if (inter->key_words > 0 && ingest_is_before(inter, e, kept - 1) != inter->keeps_last)
            ingest_copy_interaction(inter, e, inter, kept - 1);
    }
    inter->n_duplicates += inter->count - kept;
    inter->count = kept;
}

/* Pairs hold local numbers, then global ones, then those of the block and the index. */
cf_status ingest_apply_numbers(const cf_par *world, const ingest_new_numbers *numbers,
                               ingest_interactions *inter)
{
    int64_t first_user;
    cf_status status;

    for (int64_t e = 0; e < inter->count; e++)
        inter->pairs[e] = ingest_pair(numbers->users[ingest_user(inter->pairs[e])],
                                      numbers->items[ingest_item(inter->pairs[e])]);
    CF_TRY(move_to_owners(world, inter));
    CF_TRY(cf_par_agree(world, ingest_sort_interactions(inter)));
    drop_duplicates(inter);
    CF_TRY(ingest_create_item_index(world, &inter->items.blocks, inter->pairs, inter->count,
                                    &inter->index));
    first_user = inter->users.blocks.start[world->rank];
    for (int64_t e = 0; e < inter->count; e++) {
        const int64_t user = ingest_user(inter->pairs[e]) - first_user;
        const uint32_t item = ingest_local_item(&inter->index, ingest_item(inter->pairs[e]));

        inter->pairs[e] = ingest_pair((uint32_t)user, item);
    }
done:
    return status;
}

/* ---- Numbering ------------------------------------------------------------------------------- */

/* Count the interactions of each of n[0] users and n[1] items, into new arrays. */
static cf_status count_uses(const ingest_interactions *inter, const int64_t n[2],
                            int64_t *n_uses[2])
{
    cf_status status;

    CF_TRY(CF_ALLOC(n_uses[0], n[0]));
    CF_TRY(CF_ALLOC(n_uses[1], n[1]));
    for (int64_t e = 0; e < inter->count; e++) {
        n_uses[0][ingest_user(inter->pairs[e])]++;
        n_uses[1][ingest_item(inter->pairs[e])]++;
    }
done:
    return status;
}

/* Ids are counted first because those of dropped lines alone are no users or items of the dataset.
 * Each id table is freed as soon as its partition is made. */
cf_status ingest_number_ids(const cf_par *world, ingest_interactions *inter)
{
    const cf_strings users = ingest_id_strings(&inter->user_ids),
                     items = ingest_id_strings(&inter->item_ids);
    int64_t *n_uses[2] = {NULL, NULL};
    ingest_new_numbers new = {0};
    cf_status status = count_uses(inter, (int64_t[2]){users.count, items.count}, n_uses);

    if (status == CF_OK) status = CF_ALLOC(new.users, users.count);
    if (status == CF_OK) status = CF_ALLOC(new.items, items.count);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(ingest_create_id_partition(world, &users, n_uses[0], new.users, &inter->users));
    ingest_destroy_id_table(&inter->user_ids);
    CF_TRY(ingest_create_id_partition(world, &items, n_uses[1], new.items, &inter->items));
    ingest_destroy_id_table(&inter->item_ids);
    CF_TRY(ingest_apply_numbers(world, &new, inter));
done:
    cf_free(&n_uses[0]);
    cf_free(&n_uses[1]);
    cf_free(&new.users);
    cf_free(&new.items);
    return status;
}
