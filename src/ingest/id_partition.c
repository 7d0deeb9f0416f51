/* The final order of ids over all ranks, by a sample sort, and their global numbers.
 *
 *   cuts     each rank takes samples of its ids at equal intervals of work; all ranks sort all
 *            samples and take every n-th as a cut between two blocks
 *   route    each id goes to the rank whose block it falls into (id_route.c)
 *   numbers  the owner sorts what it received, drops repeats, and replies with the global number
 *            of each: the start of its block plus the index in it
 *
 * The work of an id is the number of its interactions + CF_ROW_WORK. The cuts depend on the number
 * of ranks and on who read what; the order, and with it every number, does not. Source: Frazer and
 * McKellar 1970, "Samplesort". */
#include "ids.h"

#include <stdlib.h>
#include <string.h>

/* ---- Cuts ------------------------------------------------------------------------------------ */

enum { SAMPLES_PER_BLOCK = 64 }; /* the work of blocks then differs by about an eighth */

static bool is_decimal_number(const char *id)
{
    size_t digits = strspn(id, "0123456789");

    return digits > 0 && id[digits] == 0 && (id[0] != '0' || digits == 1);
}

/* True if all ids in use, on all ranks, are decimal numbers. */
static bool are_decimal_numbers(const cf_par *world, const cf_strings *ids, const int64_t *n_uses)
{
    int yes = 1;

    for (int64_t k = 0; yes && k < ids->count; k++)
        if (n_uses[k] > 0) yes = is_decimal_number(ids->bytes + ids->start[k]);
    MPI_Allreduce(MPI_IN_PLACE, &yes, 1, MPI_INT, MPI_MIN, world->comm);
    return yes;
}

/* Local: take a sample of the ids of this rank each time that another `interval` of work is
 * complete, as NUL-terminated bytes. */
static cf_status take_samples(const cf_strings *ids, const int64_t *n_uses, int64_t interval,
                              char **bytes, int64_t *size)
{
    int64_t capacity = 0, work = 0;
    cf_status status = CF_OK;

    for (int64_t k = 0; k < ids->count; k++) {
        const int64_t before = work / interval, length = ids->start[k + 1] - ids->start[k];

        if (n_uses[k] > 0) work += n_uses[k] + CF_ROW_WORK;
        if (work / interval == before) continue;
        CF_TRY(CF_GROW(*bytes, capacity, *size + length));
        memcpy(*bytes + *size, ids->bytes + ids->start[k], (size_t)length);
        *size += length;
    }
done:
    return status;
}

/* Gather the samples of all ranks on every rank. */
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
    CF_TRY(cf_par_agree(world, ingest_take_strings(&all, total, out)));
done:
    cf_free(&counts);
    cf_free(&starts);
    cf_free(&all);
    return status;
}

/* Local: cut the sorted samples into even parts. Without samples every cut is the empty string, and
 * all ids belong to the last rank. */
static cf_status cut_samples(const cf_par *world, const cf_strings *samples,
                             ingest_id_partition *partition)
{
    const ingest_id_key empty = {.id = "", .size = 1};
    ingest_id_key *keys = NULL, *cuts = NULL;
    cf_status status;

    CF_TRY(ingest_create_id_keys(samples, partition->as_numbers, &keys));
    CF_TRY(CF_ALLOC(cuts, world->size - 1));
    qsort(keys, (size_t)samples->count, sizeof *keys, ingest_compare_id_keys);
    for (int r = 1; r < world->size; r++)
        cuts[r - 1] = samples->count > 0 ? keys[samples->count * r / world->size] : empty;
    CF_TRY(ingest_copy_keyed_ids(cuts, world->size - 1, &partition->cuts));
done:
    cf_free(&keys);
    cf_free(&cuts);
    return status;
}

/* Fill partition->cuts, the same on all ranks, from samples of all ids. */
static cf_status choose_cuts(const cf_par *world, const cf_strings *ids, const int64_t *n_uses,
                             ingest_id_partition *partition)
{
    cf_strings samples = {0};
    char *bytes = NULL;
    int64_t size = 0, work = 0, interval;
    cf_status status;

    for (int64_t k = 0; k < ids->count; k++)
        if (n_uses[k] > 0) work += n_uses[k] + CF_ROW_WORK;
    MPI_Allreduce(MPI_IN_PLACE, &work, 1, MPI_INT64_T, MPI_SUM, world->comm);
    interval = work / world->size / SAMPLES_PER_BLOCK + 1;
    CF_TRY(cf_par_agree(world, take_samples(ids, n_uses, interval, &bytes, &size)));
    CF_TRY(gather_samples(world, bytes, size, &samples));
    CF_TRY(cf_par_agree(world, cut_samples(world, &samples, partition)));
done:
    cf_free(&bytes);
    cf_dataset_destroy_strings(&samples);
    return status;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* Local: sort the received ids and keep each once, as the ids of my block. `index`: for each
 * received id, its index in the block. */
static cf_status sort_received_ids(const cf_par *world, const cf_strings *received, uint32_t *index,
                                   ingest_id_partition *partition)
{
    ingest_id_key *keys = NULL;
    int64_t n = 0;
    cf_status status;

    CF_TRY(ingest_create_id_keys(received, partition->as_numbers, &keys));
    qsort(keys, (size_t)received->count, sizeof *keys, ingest_compare_id_keys);
    for (int64_t k = 0; k < received->count; k++) {
        const bool again = n > 0 && ingest_compare_id_keys(&keys[n - 1], &keys[k]) == 0;

        index[keys[k].number] = (uint32_t)(again ? n - 1 : n);
        if (!again) keys[n++] = keys[k];
    }
    CF_TRY(ingest_copy_keyed_ids(keys, n, &partition->ids));
    CF_TRY(cf_par_create_blocks(0, world->size, &partition->blocks));
done:
    cf_free(&keys);
    return status;
}

/* Fill the starts of all blocks, once the size of each is known. */
static cf_status number_blocks(const cf_par *world, ingest_id_partition *partition)
{
    int64_t before, total;

    cf_par_exscan(world, partition->ids.count, &before, &total);
    if (total >= UINT32_MAX)
        return CF_FAIL(CF_ERR_FORMAT, "more than %u different ids", UINT32_MAX - 1);
    MPI_Allgather(&before, 1, MPI_INT64_T, partition->blocks.start, 1, MPI_INT64_T, world->comm);
    partition->blocks.start[world->size] = total;
    return CF_OK;
}

/* Several ranks may have sent one id: all get the same number in reply. */
cf_status ingest_create_id_partition(const cf_par *world, const cf_strings *ids,
                                     const int64_t *n_uses, uint32_t *number,
                                     ingest_id_partition *out)
{
    ingest_id_route route = {0};
    uint32_t *received_number = NULL, *reply = NULL;
    cf_status status;

    out->as_numbers = are_decimal_numbers(world, ids, n_uses);
    CF_TRY(choose_cuts(world, ids, n_uses, out));
    CF_TRY(ingest_create_id_route(world, out, ids, n_uses, &route));
    status = CF_ALLOC(received_number, route.received.count);
    if (status == CF_OK) status = sort_received_ids(world, &route.received, received_number, out);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(number_blocks(world, out));
    for (int64_t k = 0; k < route.received.count; k++)
        received_number[k] += (uint32_t)out->blocks.start[world->rank];
    /* The way back: counts received become counts sent, and the reply arrives in send_index order.
     */
    CF_TRY(cf_par_exchange(world, sizeof *reply, route.recv_count, received_number,
                           route.send_count, &reply));
    memset(number, -1, (size_t)ids->count * sizeof *number);
    for (int64_t k = 0; k < route.count; k++)
        number[route.send_index[k]] = reply[k];
done:
    ingest_destroy_id_route(&route);
    cf_free(&received_number);
    cf_free(&reply);
    return status;
}

void ingest_destroy_id_partition(ingest_id_partition *partition)
{
    cf_dataset_destroy_strings(&partition->ids);
    cf_par_destroy_blocks(&partition->blocks);
    cf_dataset_destroy_strings(&partition->cuts);
    *partition = (ingest_id_partition){0};
}
