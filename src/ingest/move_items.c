/* Lines of an item file or id file, moved to the ranks that own their ids.
 *
 * The ids take the route (id_route.c); row numbers, spans and titles follow as payload, in the same
 * order. The owner numbers the received ids anew. All lines with one id meet at its owner, so it
 * finds repeated ids that no rank could see alone. */
#include "vectors.h"

#include <inttypes.h>
#include <string.h>

void ingest_destroy_items(ingest_items *items)
{
    ingest_destroy_id_table(&items->ids);
    cf_free(&items->row);
    cf_dataset_destroy_strings(&items->titles);
    cf_free(&items->embedding);
    cf_free(&items->outside);
    *items = (ingest_items){0};
}

cf_status ingest_refuse_repeated_id(const char *path, int64_t line, const ingest_field *id)
{
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": item \"%s\" occurs twice", path, line,
                   ingest_excerpt(id->text, id->length));
}

/* What is sent with the ids: one row and one span for each, and the bytes of all titles. */
typedef struct item_payload {
    int64_t *row;           /* route->count */
    ingest_span *embedding; /* route->count, or NULL */
    uint8_t *outside;       /* route->count, or NULL */
    char *titles;           /* NUL-terminated, or NULL */
    int64_t *title_size;    /* ranks: bytes of the titles for each owner */
    int64_t *recv_count;    /* ranks: what the last exchange received from each */
} item_payload;

static void free_item_payload(item_payload *p)
{
    cf_free(&p->row);
    cf_free(&p->embedding);
    cf_free(&p->outside);
    cf_free(&p->titles);
    cf_free(&p->title_size);
    cf_free(&p->recv_count);
}

/* Local: pack what belongs to the ids, in the order of the route. */
static cf_status pack_items(const cf_par *world, const ingest_items *items,
                            const ingest_id_route *route, item_payload *p)
{
    const cf_strings *titles = &items->titles;
    int64_t end = 0, k = 0;
    cf_status status;

    CF_TRY(CF_ALLOC(p->row, route->count));
    CF_TRY(CF_ALLOC(p->title_size, world->size));
    CF_TRY(CF_ALLOC(p->recv_count, world->size));
    if (items->has_embeddings) CF_TRY(CF_ALLOC(p->embedding, route->count));
    if (items->filters) CF_TRY(CF_ALLOC(p->outside, route->count));
    if (titles->count > 0) CF_TRY(CF_ALLOC(p->titles, titles->start[titles->count]));
    for (int r = 0; r < world->size; r++)
        for (int64_t end_of_rank = k + route->send_count[r]; k < end_of_rank; k++) {
            const uint32_t from = route->send_index[k];

            p->row[k] = items->row[from];
            if (items->has_embeddings) p->embedding[k] = items->embedding[from];
            if (items->filters) p->outside[k] = items->outside[from];
            if (!items->has_titles) continue;
            const int64_t size = titles->start[from + 1] - titles->start[from];

            memcpy(p->titles + end, titles->bytes + titles->start[from], (size_t)size);
            p->title_size[r] += size;
            end += size;
        }
done:
    return status;
}

/* Exchange the payload into `to`. */
static cf_status exchange_items(const cf_par *world, const ingest_id_route *route,
                                const item_payload *p, ingest_items *to)
{
    char *titles = NULL;
    int64_t size = 0;
    cf_status status;

    CF_TRY(
        cf_par_exchange(world, sizeof *p->row, route->send_count, p->row, p->recv_count, &to->row));
    if (to->has_embeddings)
        CF_TRY(cf_par_exchange(world, sizeof *p->embedding, route->send_count, p->embedding,
                               p->recv_count, &to->embedding));
    if (to->filters)
        CF_TRY(
            cf_par_exchange(world, 1, route->send_count, p->outside, p->recv_count, &to->outside));
    if (to->has_titles) {
        CF_TRY(cf_par_exchange(world, 1, p->title_size, p->titles, p->recv_count, &titles));
        for (int r = 0; r < world->size; r++)
            size += p->recv_count[r];
        CF_TRY(cf_par_agree(world, ingest_take_strings(&titles, size, &to->titles)));
    }
done:
    cf_free(&titles);
    return status;
}

/* Local: number the received ids. `*repeated`: of those that were received before, the one of the
 * first line in the file; -1 if all are distinct. */
static cf_status number_received_ids(const cf_strings *received, ingest_items *to,
                                     int64_t *repeated)
{
    char padded[INGEST_SLACK] = {0};
    cf_status status = CF_OK;

    *repeated = -1;
    for (int64_t k = 0; k < received->count; k++) {
        ingest_field id = {received->bytes + received->start[k],
                           received->start[k + 1] - received->start[k] - 1};
        int64_t before = to->ids.count, number;

        /* A short id is loaded as a word, beyond its end: give it the slack that lines have. */
        if (id.length <= INGEST_SLACK / 2) id.text = memcpy(padded, id.text, (size_t)id.length);

        CF_TRY(ingest_add_id(&to->ids, ingest_hash(id.text, id.length), &id, &number));
        if (number != before && (*repeated < 0 || to->row[k] < to->row[*repeated])) *repeated = k;
    }
done:
    return status;
}

/* Refuse the first line of the file that repeats the id of an earlier line, unless another
 * malformed line comes first. Rows arrive in ascending order from each rank and the ranks in order,
 * so the repeated id is always the later of two lines. */
static cf_status check_repeated(const cf_par *world, const ingest_items *to,
                                const cf_strings *received, int64_t repeated, int64_t bad_line)
{
    const int64_t mine = repeated >= 0 ? to->first_line + to->row[repeated] : INT64_MAX;
    int64_t first = mine;
    cf_status status = CF_OK;

    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT64_T, MPI_MIN, world->comm);
    if (mine == first && mine < bad_line)
        status = ingest_refuse_repeated_id(
            to->path, mine,
            &(ingest_field){received->bytes + received->start[repeated],
                            received->start[repeated + 1] - received->start[repeated] - 1});
    return cf_par_agree_on_input(world, status);
}

cf_status ingest_move_items(const cf_par *world, const ingest_id_partition *partition,
                            int64_t bad_line, ingest_items *items)
{
    const cf_strings ids = ingest_id_strings(&items->ids);
    ingest_items to = {.path = items->path,
                       .file = items->file,
                       .n_rows = items->n_rows,
                       .first_line = items->first_line,
                       .filters = items->filters,
                       .has_titles = items->has_titles,
                       .has_embeddings = items->has_embeddings};
    ingest_id_route route = {0};
    item_payload payload = {0};
    int64_t repeated;
    cf_status status;

    CF_TRY(ingest_create_id_route(world, partition, &ids, NULL, &route));
    CF_TRY(cf_par_agree(world, pack_items(world, items, &route, &payload)));
    CF_TRY(exchange_items(world, &route, &payload, &to));
    CF_TRY(cf_par_agree(world, number_received_ids(&route.received, &to, &repeated)));
    CF_TRY(check_repeated(world, &to, &route.received, repeated, bad_line));
    ingest_destroy_items(items);
    *items = to;
    to = (ingest_items){0};
done:
    ingest_destroy_items(&to);
    ingest_destroy_id_route(&route);
    free_item_payload(&payload);
    return status;
}
