/* Rows move to the ranks that have them in a new order: arrays with an element a row, and lists.
 *
 * A rank sends its rows in the order of their new numbers, which groups them by owner. The owner
 * learns once at which place of its block each received row belongs. */
#include "reorder.h"

#include <string.h>

void ingest_destroy_move(ingest_move *move)
{
    cf_free(&move->from);
    cf_free(&move->place);
    cf_free(&move->send_count);
    cf_free(&move->recv_count);
    cf_free(&move->send_sizes);
    cf_free(&move->recv_sizes);
    *move = (ingest_move){0};
}

/* Sort my rows by new number: `sorted` has these numbers. Count those for each rank. Local. */
static cf_status sort_rows(const uint32_t *number, const cf_blocks *blocks, uint32_t *sorted,
                           ingest_move *out)
{
    uint64_t *keys = NULL, *scratch = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(keys, out->count));
    CF_TRY(CF_ALLOC(scratch, out->count));
    for (int64_t k = 0; k < out->count; k++)
        keys[k] = (uint64_t)number[k] << 32 | (uint64_t)k;
    cf_sort_u64(keys, scratch, out->count);
    for (int64_t k = 0; k < out->count; k++) {
        sorted[k] = (uint32_t)(keys[k] >> 32);
        out->from[k] = (uint32_t)keys[k];
        out->send_count[cf_par_block_of(blocks, sorted[k])]++;
    }
done:
    cf_free(&keys);
    cf_free(&scratch);
    return status;
}

static cf_status allocate_move(const cf_par *world, ingest_move *out)
{
    cf_status status;

    CF_TRY(CF_ALLOC(out->from, out->count));
    CF_TRY(CF_ALLOC(out->send_count, world->size));
    CF_TRY(CF_ALLOC(out->recv_count, world->size));
    CF_TRY(CF_ALLOC(out->send_sizes, world->size));
    CF_TRY(CF_ALLOC(out->recv_sizes, world->size));
done:
    return status;
}

cf_status ingest_create_move(const cf_par *world, const uint32_t *number, int64_t count,
                             const cf_blocks *blocks, ingest_move *out)
{
    uint32_t *sorted = NULL;
    cf_status status;

    *out = (ingest_move){.world = world, .count = count};
    status = allocate_move(world, out);
    if (status == CF_OK) status = CF_ALLOC(sorted, count);
    if (status == CF_OK) status = sort_rows(number, blocks, sorted, out);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cf_par_exchange(world, sizeof *sorted, out->send_count, sorted, out->recv_count,
                           &out->place));
    for (int r = 0; r < world->size; r++)
        out->n_received += out->recv_count[r];
    for (int64_t k = 0; k < out->n_received; k++)
        out->place[k] -= (uint32_t)blocks->start[world->rank];
done:
    cf_free(&sorted);
    return status;
}

/* ---- Arrays ---------------------------------------------------------------------------------- */

/* Send an element a row; `*received` is new, in the order in which rows arrive. */
static cf_status send_array(ingest_move *move, size_t size, const char *array, void *received)
{
    char *packed = NULL;
    cf_status status = cf_alloc(&packed, move->count, size);

    CF_TRY(cf_par_agree(move->world, status));
    for (int64_t k = 0; k < move->count; k++)
        memcpy(packed + (size_t)k * size, array + move->from[k] * size, size);
    CF_TRY(
        cf_par_exchange(move->world, size, move->send_count, packed, move->recv_sizes, received));
done:
    cf_free(&packed);
    return status;
}

cf_status ingest_move_array(ingest_move *move, size_t size, void *array)
{
    char *old = NULL, *received = NULL, *placed = NULL;
    cf_status status;

    memcpy(&old, array, sizeof old);
    CF_TRY(send_array(move, size, old, &received));
    CF_TRY(cf_par_agree(move->world, cf_alloc(&placed, move->n_received, size)));
    for (int64_t k = 0; k < move->n_received; k++)
        memcpy(placed + move->place[k] * size, received + (size_t)k * size, size);
    memcpy(array, &placed, sizeof placed);
    placed = old;
done:
    cf_free(&placed);
    cf_free(&received);
    return status;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

/* Lists as they are sent, and as they arrive. */
typedef struct moving_lists {
    size_t size;                /* of an element */
    int64_t *length, *received; /* of each row sent, of each that arrives */
    char *packed, *arrived;     /* elements */
    int64_t *start;             /* n_received + 1, in the new order */
    char *placed;               /* elements, likewise */
} moving_lists;

static void free_lists(moving_lists *l)
{
    cf_free(&l->length);
    cf_free(&l->received);
    cf_free(&l->packed);
    cf_free(&l->arrived);
    cf_free(&l->start);
    cf_free(&l->placed);
}

/* Elements in the order of the rows that are sent, and how many each rank gets. Local. */
static cf_status pack_lists(const ingest_move *move, const int64_t *start, const char *elements,
                            moving_lists *l)
{
    int64_t row = 0;
    char *to;
    cf_status status;

    CF_TRY(cf_alloc(&l->packed, start[move->count], l->size));
    to = l->packed;
    for (int r = 0; r < move->world->size; r++) {
        move->send_sizes[r] = 0;
        for (int64_t end = row + move->send_count[r]; row < end; row++) {
            const int64_t begin = start[move->from[row]], n = l->length[move->from[row]];

            if (n > 0) memcpy(to, elements + (size_t)begin * l->size, (size_t)n * l->size);
            to += (size_t)n * l->size;
            move->send_sizes[r] += n;
        }
    }
done:
    return status;
}

/* Starts in the new order, once the lengths are known. Local. */
static cf_status place_starts(const ingest_move *move, moving_lists *l)
{
    cf_status status = CF_ALLOC(l->start, move->n_received + 1);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < move->n_received; k++)
        l->start[move->place[k] + 1] = l->received[k];
    for (int64_t k = 0; k < move->n_received; k++)
        l->start[k + 1] += l->start[k];
    return cf_alloc(&l->placed, l->start[move->n_received], l->size);
}

static void place_elements(const ingest_move *move, moving_lists *l)
{
    const char *from = l->arrived;

    for (int64_t k = 0; k < move->n_received; k++) {
        const size_t bytes = (size_t)l->received[k] * l->size;

        memcpy(l->placed + (size_t)l->start[move->place[k]] * l->size, from, bytes);
        from += bytes;
    }
}

cf_status ingest_move_lists(ingest_move *move, size_t size, int64_t **start, void *elements)
{
    moving_lists l = {.size = size};
    char *old = NULL;
    cf_status status = CF_ALLOC(l.length, move->count);

    memcpy(&old, elements, sizeof old);
    for (int64_t k = 0; status == CF_OK && k < move->count; k++)
        l.length[k] = (*start)[k + 1] - (*start)[k];
    if (status == CF_OK) status = pack_lists(move, *start, old, &l);
    CF_TRY(cf_par_agree(move->world, status));
    CF_TRY(send_array(move, sizeof *l.length, (const char *)l.length, &l.received));
    CF_TRY(cf_par_exchange(move->world, size, move->send_sizes, l.packed, move->recv_sizes,
                           &l.arrived));
    CF_TRY(cf_par_agree(move->world, place_starts(move, &l)));
    place_elements(move, &l);
    cf_free(start);
    *start = l.start;
    memcpy(elements, &l.placed, sizeof l.placed);
    l.start = NULL;
    l.placed = old;
done:
    free_lists(&l);
    return status;
}
