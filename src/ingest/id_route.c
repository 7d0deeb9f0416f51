/* The route of ids to the ranks that own them.
 *
 * The partition's cuts tell the owner of an id. Ids are packed as NUL-terminated bytes, grouped by
 * owner, and exchanged; the receiver finds where each begins. Further data of the same ids follow
 * the route by its counts. Bytes are counted in 64 bits, because the ids of one rank may exceed an
 * MPI count; hence cf_par_exchange() and not a cf_plan. */
#include "ids.h"

#include <string.h>

/* Two passes over the bytes, one to count the strings and one to note where each begins. */
cf_status ingest_take_strings(char **bytes, int64_t size, cf_strings *out)
{
    cf_strings strings = {0};
    cf_status status;

    for (int64_t k = 0; k < size; k++)
        strings.count += (*bytes)[k] == 0;
    status = CF_ALLOC(strings.start, strings.count + 1);
    if (status != CF_OK) return status;
    for (int64_t k = 0, n = 0; k < size; k++)
        if ((*bytes)[k] == 0) strings.start[++n] = k + 1;
    strings.bytes = *bytes;
    *bytes = NULL;
    *out = strings;
    return CF_OK;
}

/* The rank that owns an id: the number of cuts that are not above it, by bisection. */
static int owner_of_id(const ingest_id_key *cuts, int64_t n_cuts, const ingest_id_key *id)
{
    int64_t low = 0, high = n_cuts;

    while (low < high) {
        const int64_t middle = low + (high - low) / 2;

        if (ingest_compare_id_keys(&cuts[middle], id) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return (int)low;
}

/* Ids packed for their owners. */
typedef struct id_payload {
    int32_t *owner;               /* of each id; -1: it is left out */
    int64_t *send_size;           /* ranks: bytes for each owner */
    int64_t *recv_size;           /* ranks: bytes from each rank */
    int64_t *next_id, *next_byte; /* ranks: where the next id of an owner goes */
    char *bytes;                  /* grouped by owner */
} id_payload;

static void free_id_payload(id_payload *p)
{
    cf_free(&p->owner);
    cf_free(&p->send_size);
    cf_free(&p->recv_size);
    cf_free(&p->next_id);
    cf_free(&p->next_byte);
    cf_free(&p->bytes);
}

/* Allocate what does not depend on the number of bytes. */
static cf_status allocate_id_payload(int64_t n_ranks, int64_t n_ids, id_payload *p)
{
    cf_status status;

    CF_TRY(CF_ALLOC(p->owner, n_ids));
    CF_TRY(CF_ALLOC(p->send_size, n_ranks));
    CF_TRY(CF_ALLOC(p->recv_size, n_ranks));
    CF_TRY(CF_ALLOC(p->next_id, n_ranks));
    CF_TRY(CF_ALLOC(p->next_byte, n_ranks));
done:
    return status;
}

/* Local: find the owner of each id, and count ids and bytes for each owner. */
static cf_status find_owners(const ingest_id_partition *partition, const cf_strings *ids,
                             const int64_t *n_uses, ingest_id_route *route, id_payload *p)
{
    const int64_t n_ranks = partition->cuts.count + 1;
    ingest_id_key *cuts = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(route->send_count, n_ranks));
    CF_TRY(CF_ALLOC(route->recv_count, n_ranks));
    CF_TRY(allocate_id_payload(n_ranks, ids->count, p));
    CF_TRY(ingest_create_id_keys(&partition->cuts, partition->as_numbers, &cuts));
    for (int64_t k = 0; k < ids->count; k++) {
        const ingest_id_key id = ingest_make_id_key(ids, k, partition->as_numbers);

        p->owner[k] = -1;
        if (n_uses != NULL && n_uses[k] == 0) continue;
        p->owner[k] = owner_of_id(cuts, partition->cuts.count, &id);
        route->send_count[p->owner[k]]++;
        p->send_size[p->owner[k]] += id.size;
    }
done:
    cf_free(&cuts);
    return status;
}

/* Local: pack the bytes of the ids, grouped by owner, and note the order in route->send_index. */
static cf_status pack_ids(const cf_par *world, const cf_strings *ids, ingest_id_route *route,
                          id_payload *p)
{
    int64_t size = 0;
    cf_status status;

    for (int r = 0; r < world->size; r++) {
        p->next_id[r] = route->count;
        p->next_byte[r] = size;
        route->count += route->send_count[r];
        size += p->send_size[r];
    }
    CF_TRY(CF_ALLOC(route->send_index, route->count));
    CF_TRY(CF_ALLOC(p->bytes, size));
    for (int64_t k = 0; k < ids->count; k++) {
        const int32_t owner = p->owner[k];
        const int64_t length = ids->start[k + 1] - ids->start[k];

        if (owner < 0) continue;
        route->send_index[p->next_id[owner]++] = (uint32_t)k;
        memcpy(p->bytes + p->next_byte[owner], ids->bytes + ids->start[k], (size_t)length);
        p->next_byte[owner] += length;
    }
done:
    return status;
}

/* Count the ids received from each rank: those whose bytes end within the rank's bytes. */
static void count_received_ids(const cf_par *world, const int64_t *recv_size,
                               ingest_id_route *route)
{
    const cf_strings *received = &route->received;
    int64_t k = 0, end = 0;

    for (int r = 0; r < world->size; r++) {
        const int64_t first = k;

        end += recv_size[r];
        while (k < received->count && received->start[k + 1] <= end)
            k++;
        route->recv_count[r] = k - first;
    }
}

/* One exchange of bytes, whatever the number of ids: an id's length is where its NUL is. */
cf_status ingest_create_id_route(const cf_par *world, const ingest_id_partition *partition,
                                 const cf_strings *ids, const int64_t *n_uses, ingest_id_route *out)
{
    id_payload p = {0};
    char *bytes = NULL;
    int64_t size = 0;
    cf_status status = find_owners(partition, ids, n_uses, out, &p);

    if (status == CF_OK) status = pack_ids(world, ids, out, &p);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cf_par_exchange(world, 1, p.send_size, p.bytes, p.recv_size, &bytes));
    for (int r = 0; r < world->size; r++)
        size += p.recv_size[r];
    CF_TRY(cf_par_agree(world, ingest_take_strings(&bytes, size, &out->received)));
    count_received_ids(world, p.recv_size, out);
done:
    free_id_payload(&p);
    cf_free(&bytes);
    return status;
}

void ingest_destroy_id_route(ingest_id_route *route)
{
    cf_free(&route->send_index);
    cf_free(&route->send_count);
    cf_free(&route->recv_count);
    cf_dataset_destroy_strings(&route->received);
    *route = (ingest_id_route){0};
}
