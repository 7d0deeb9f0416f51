/* The final order of ids, over all ranks: a sort by samples. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* An id with its first bytes as a number, which settles most comparisons without touching the id.
 */
typedef struct entry {
    uint64_t first;
    const char *id;
    int64_t length;        /* compared first if ids are numbers, else 0 */
    uint32_t number, size; /* size: bytes with the NUL */
} entry;

static int compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return strcmp(x->id, y->id);
}

static uint64_t first_bytes(const char *id)
{
    uint64_t first = 0;

    for (int k = 0; k < 8; k++) {
        first = first << 8 | (unsigned char)*id;
        if (*id) id++;
    }
    return first;
}

static entry make_entry(const cf_strings *ids, int64_t k, bool as_numbers)
{
    const char *id = ids->bytes + ids->start[k];
    const int64_t size = ids->start[k + 1] - ids->start[k];

    return (entry){first_bytes(id), id, as_numbers ? size : 0, (uint32_t)k, (uint32_t)size};
}

static cf_status make_entries(const cf_strings *ids, bool as_numbers, entry **out)
{
    entry *entries = NULL;
    cf_status status = CF_ALLOC(entries, ids->count);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < ids->count; k++)
        entries[k] = make_entry(ids, k, as_numbers);
    *out = entries;
    return CF_OK;
}

static cf_status copy_entries(const entry *entries, int64_t count, cf_strings *out)
{
    cf_strings strings = {.count = count};
    int64_t size = 0;
    cf_status status;

    for (int64_t k = 0; k < count; k++)
        size += entries[k].size;
    CF_TRY(CF_ALLOC(strings.start, count + 1));
    CF_TRY(CF_ALLOC(strings.bytes, size));
    for (int64_t k = 0; k < count; k++) {
        memcpy(strings.bytes + strings.start[k], entries[k].id, entries[k].size);
        strings.start[k + 1] = strings.start[k] + entries[k].size;
    }
    *out = strings;
    strings = (cf_strings){0};
done:
    cf_dataset_destroy_strings(&strings);
    return status;
}

/* Strings from their bytes, which are taken: each ends with a NUL. */
static cf_status take_strings(char **bytes, int64_t size, cf_strings *out)
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

/* ---- Routes ---------------------------------------------------------------------------------- */

/* The rank where an id belongs: as many cuts are not above it. */
static int owner_of(const entry *cuts, int64_t n_cuts, const entry *id)
{
    int64_t low = 0, high = n_cuts;

    while (low < high) {
        const int64_t middle = low + (high - low) / 2;

        if (compare_entries(&cuts[middle], id) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return (int)low;
}

/* Ids on their way: `n_bytes` and `bytes` go as they are to each rank. */
typedef struct parcel {
    int32_t *owner; /* of each id; -1: it stays */
    int64_t *n_bytes, *next;
    char *bytes;
} parcel;

static void free_parcel(parcel *p)
{
    cf_free(&p->owner);
    cf_free(&p->n_bytes);
    cf_free(&p->next);
    cf_free(&p->bytes);
}

/* Local: whose each id is, and how much goes to each rank. */
static cf_status address(const cf_par *world, const ingest_order *order, const cf_strings *ids,
                         const int64_t *uses, ingest_route *route, parcel *p)
{
    entry *cuts = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(route->n_sent, world->size));
    CF_TRY(CF_ALLOC(route->n_got, world->size));
    CF_TRY(CF_ALLOC(p->n_bytes, world->size));
    CF_TRY(CF_ALLOC(p->next, 2 * (int64_t)world->size));
    CF_TRY(CF_ALLOC(p->owner, ids->count));
    CF_TRY(make_entries(&order->cuts, order->as_numbers, &cuts));
    for (int64_t k = 0; k < ids->count; k++) {
        const entry id = make_entry(ids, k, order->as_numbers);

        p->owner[k] = -1;
        if (uses && uses[k] == 0) continue;
        p->owner[k] = owner_of(cuts, order->cuts.count, &id);
        route->n_sent[p->owner[k]]++;
        p->n_bytes[p->owner[k]] += id.size;
    }
done:
    cf_free(&cuts);
    return status;
}

/* Local: ids grouped by rank. */
static cf_status group(const cf_par *world, const cf_strings *ids, ingest_route *route, parcel *p)
{
    int64_t *next_id = p->next, *next_byte = p->next + world->size, size = 0;
    cf_status status;

    for (int r = 0; r < world->size; r++) {
        next_id[r] = route->count;
        next_byte[r] = size;
        route->count += route->n_sent[r];
        size += p->n_bytes[r];
    }
    CF_TRY(CF_ALLOC(route->sent, route->count));
    CF_TRY(CF_ALLOC(p->bytes, size));
    for (int64_t k = 0; k < ids->count; k++) {
        const int32_t owner = p->owner[k];
        const int64_t length = ids->start[k + 1] - ids->start[k];

        if (owner < 0) continue;
        route->sent[next_id[owner]++] = (uint32_t)k;
        memcpy(p->bytes + next_byte[owner], ids->bytes + ids->start[k], (size_t)length);
        next_byte[owner] += length;
    }
done:
    return status;
}

cf_status ingest_route_make(const cf_par *world, const ingest_order *order, const cf_strings *ids,
                            const int64_t *uses, ingest_route *out)
{
    parcel p = {0};
    char *bytes = NULL;
    int64_t size = 0;
    cf_status status = address(world, order, ids, uses, out, &p);

    if (status == CF_OK) status = group(world, ids, out, &p);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cf_par_exchange(world, 1, p.n_bytes, p.bytes, p.next, &bytes));
    for (int r = 0; r < world->size; r++)
        size += p.next[r];
    MPI_Alltoall(out->n_sent, 1, MPI_INT64_T, out->n_got, 1, MPI_INT64_T, world->comm);
    CF_TRY(cf_par_agree(world, take_strings(&bytes, size, &out->got)));
done:
    free_parcel(&p);
    cf_free(&bytes);
    return status;
}

void ingest_route_free(ingest_route *route)
{
    cf_free(&route->sent);
    cf_free(&route->n_sent);
    cf_free(&route->n_got);
    cf_dataset_destroy_strings(&route->got);
    *route = (ingest_route){0};
}

/* ---- Cuts ------------------------------------------------------------------------------------ */

enum { SAMPLES = 64 }; /* for each rank's block: blocks differ by an eighth or so */

static bool is_whole_number(const char *id)
{
    size_t digits = strspn(id, "0123456789");

    return digits > 0 && id[digits] == 0 && (id[0] != '0' || digits == 1);
}

static bool are_numbers(const cf_par *world, const cf_strings *ids, const int64_t *uses)
{
    int yes = 1;

    for (int64_t k = 0; yes && k < ids->count; k++)
        if (uses[k] > 0) yes = is_whole_number(ids->bytes + ids->start[k]);
    MPI_Allreduce(MPI_IN_PLACE, &yes, 1, MPI_INT, MPI_MIN, world->comm);
    return yes;
}

/* Ids of this rank, one each time that another `interval` of work is passed. */
static cf_status take_samples(const cf_strings *ids, const int64_t *uses, int64_t interval,
                              char **bytes, int64_t *size)
{
    int64_t capacity = 0, work = 0;
    cf_status status = CF_OK;

    for (int64_t k = 0; k < ids->count; k++) {
        const int64_t before = work / interval, length = ids->start[k + 1] - ids->start[k];

        if (uses[k] > 0) work += uses[k] + CF_ROW_WORK;
        if (work / interval == before) continue;
        CF_TRY(CF_GROW(*bytes, capacity, *size + length));
        memcpy(*bytes + *size, ids->bytes + ids->start[k], (size_t)length);
        *size += length;
    }
done:
    return status;
}

/* The samples of all ranks on every rank. */
static cf_status gather_samples(const cf_par *world, const char *bytes, int64_t size,
                                cf_strings *out)
{
    int *counts = NULL, *starts = NULL, mine = cf_par_count(size);
    char *all = NULL;
    int64_t total = 0;
    cf_status status = CF_ALLOC(counts, world->size);

    if (status == CF_OK) status = CF_ALLOC(starts, world->size);
    CF_TRY(cf_par_agree(world, status));
    MPI_Allgather(&mine, 1, MPI_INT, counts, 1, MPI_INT, world->comm);
    total = cf_par_displacements(counts, starts, world->size);
    CF_TRY(cf_par_agree(world, CF_ALLOC(all, total)));
    MPI_Allgatherv(bytes, mine, MPI_BYTE, all, counts, starts, MPI_BYTE, world->comm);
    CF_TRY(cf_par_agree(world, take_strings(&all, total, out)));
done:
    cf_free(&counts);
    cf_free(&starts);
    cf_free(&all);
    return status;
}

/* Local: cut the sorted samples into even parts. Without any, all belong to the last rank. */
static cf_status cut_samples(const cf_par *world, const cf_strings *samples, ingest_order *order)
{
    const entry none = {.id = "", .size = 1};
    entry *entries = NULL, *cuts = NULL;
    cf_status status;

    CF_TRY(make_entries(samples, order->as_numbers, &entries));
    CF_TRY(CF_ALLOC(cuts, world->size - 1));
    qsort(entries, (size_t)samples->count, sizeof *entries, compare_entries);
    for (int r = 1; r < world->size; r++)
        cuts[r - 1] = samples->count > 0 ? entries[samples->count * r / world->size] : none;
    CF_TRY(copy_entries(cuts, world->size - 1, &order->cuts));
done:
    cf_free(&entries);
    cf_free(&cuts);
    return status;
}

static cf_status choose_cuts(const cf_par *world, const cf_strings *ids, const int64_t *uses,
                             ingest_order *order)
{
    cf_strings samples = {0};
    char *bytes = NULL;
    int64_t size = 0, work = 0;
    cf_status status;

    for (int64_t k = 0; k < ids->count; k++)
        if (uses[k] > 0) work += uses[k] + CF_ROW_WORK;
    MPI_Allreduce(MPI_IN_PLACE, &work, 1, MPI_INT64_T, MPI_SUM, world->comm);
    CF_TRY(cf_par_agree(world,
                        take_samples(ids, uses, work / world->size / SAMPLES + 1, &bytes, &size)));
    CF_TRY(gather_samples(world, bytes, size, &samples));
    CF_TRY(cf_par_agree(world, cut_samples(world, &samples, order)));
done:
    cf_free(&bytes);
    cf_dataset_destroy_strings(&samples);
    return status;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* Local: `got` in order, each id once, as the ids of my block; places there for each that came. */
static cf_status arrange(const cf_par *world, const cf_strings *got, uint32_t *place,
                         ingest_order *order)
{
    entry *entries = NULL;
    int64_t n = 0;
    cf_status status;

    CF_TRY(make_entries(got, order->as_numbers, &entries));
    qsort(entries, (size_t)got->count, sizeof *entries, compare_entries);
    for (int64_t k = 0; k < got->count; k++) {
        const bool again = n > 0 && compare_entries(&entries[n - 1], &entries[k]) == 0;

        place[entries[k].number] = (uint32_t)(again ? n - 1 : n);
        if (!again) entries[n++] = entries[k];
    }
    CF_TRY(copy_entries(entries, n, &order->ids));
    CF_TRY(cf_par_create_blocks(0, world->size, &order->blocks));
done:
    cf_free(&entries);
    return status;
}

/* Where all blocks begin. */
static cf_status number_blocks(const cf_par *world, ingest_order *order)
{
    int64_t before, total;

    cf_par_exscan(world, order->ids.count, &before, &total);
    if (total >= UINT32_MAX)
        return CF_FAIL(CF_ERR_FORMAT, "more than %u different ids", UINT32_MAX - 1);
    MPI_Allgather(&before, 1, MPI_INT64_T, order->blocks.start, 1, MPI_INT64_T, world->comm);
    order->blocks.start[world->size] = total;
    return CF_OK;
}

cf_status ingest_order_make(const cf_par *world, const cf_strings *ids, const int64_t *uses,
                            uint32_t *number, ingest_order *out)
{
    ingest_route route = {0};
    uint32_t *place = NULL, *reply = NULL;
    cf_status status;

    out->as_numbers = are_numbers(world, ids, uses);
    CF_TRY(choose_cuts(world, ids, uses, out));
    CF_TRY(ingest_route_make(world, out, ids, uses, &route));
    status = CF_ALLOC(place, route.got.count);
    if (status == CF_OK) status = arrange(world, &route.got, place, out);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(number_blocks(world, out));
    for (int64_t k = 0; k < route.got.count; k++)
        place[k] += (uint32_t)out->blocks.start[world->rank];
    CF_TRY(cf_par_exchange(world, sizeof *place, route.n_got, place, route.n_sent, &reply));
    memset(number, -1, (size_t)ids->count * sizeof *number);
    for (int64_t k = 0; k < route.count; k++)
        number[route.sent[k]] = reply[k];
done:
    ingest_route_free(&route);
    cf_free(&place);
    cf_free(&reply);
    return status;
}

void ingest_order_free(ingest_order *order)
{
    cf_dataset_destroy_strings(&order->ids);
    cf_par_destroy_blocks(&order->blocks);
    cf_dataset_destroy_strings(&order->cuts);
    *order = (ingest_order){0};
}
