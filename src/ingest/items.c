/* Item files and id files: which line is which item, titles, and where the vectors of a column lie.
 */
#include "internal.h"

#include <inttypes.h>
#include <string.h>

void ingest_items_free(ingest_items *items)
{
    ingest_names_free(&items->ids);
    cf_free(&items->row);
    cf_dataset_destroy_strings(&items->titles);
    cf_free(&items->field);
    *items = (ingest_items){0};
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* A file of items, and where its lines go. */
typedef struct source {
    const ingest_options *options;
    const char *path;
    ingest_items *items;
} source;

static cf_status refuse_twice(const char *path, int64_t line, const char *id, int64_t length)
{
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": item \"%s\" is here twice", path, line,
                   ingest_excerpt(id, length));
}

static cf_status add_id(ingest_items *items, const ingest_text *text, const ingest_field *id)
{
    int64_t before = items->ids.count, number;
    cf_status status =
        ingest_names_add(&items->ids, ingest_hash(id->text, id->length), id, &number);

    if (status != CF_OK || number == before) return status;
    return refuse_twice(text->path, text->line, id->text, id->length);
}

static cf_status add_title(ingest_items *items, const ingest_field *field)
{
    cf_strings *titles = &items->titles;
    const int64_t end = titles->count > 0 ? titles->start[titles->count] : 0;
    cf_status status;

    CF_TRY(CF_GROW(titles->start, items->start_capacity, titles->count + 2));
    CF_TRY(CF_GROW(titles->bytes, items->title_capacity, end + field->length + 1));
    memcpy(titles->bytes + end, field->text, (size_t)field->length);
    titles->bytes[end + field->length] = 0;
    titles->start[++titles->count] = end + field->length + 1;
done:
    return status;
}

static cf_status add_field(ingest_items *items, const ingest_text *text, const ingest_field *field)
{
    const int64_t k = items->ids.count - 1;
    cf_status status = CF_GROW(items->field, items->field_capacity, k + 1);

    if (status != CF_OK) return status;
    items->field[k] = (ingest_span){text->offset + (field->text - text->buffer), field->length};
    return CF_OK;
}

static cf_status read_items(void *context, ingest_share *share)
{
    const source *from = context;
    const ingest_options *options = from->options;
    ingest_items *out = from->items;
    ingest_table table;
    int id, title, field = -1;
    bool more;
    cf_status status;

    ingest_items_free(out); /* it may be read again */
    *out = (ingest_items){.path = from->path, .first_line = 2};
    CF_TRY(ingest_table_open(from->path, options->separator, share, &table));
    CF_TRY(ingest_table_find(&table, options->item_field, "token", &id));
    CF_TRY(ingest_table_find(&table, options->title_field, NULL, &title));
    if (options->embedding_field[0])
        CF_TRY(ingest_table_find(&table, options->embedding_field, "float_seq", &field));
    if (id < 0 || (options->embedding_field[0] && field < 0))
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s:1: no column \"%s\"", from->path,
                       id < 0 ? options->item_field : options->embedding_field));
    out->has_titles = title >= 0;
    out->has_fields = field >= 0;
    for (;;) {
        CF_TRY(ingest_table_next(&table, &more));
        if (!more) break;
        CF_TRY(ingest_table_id(&table, id));
        CF_TRY(add_id(out, &table.text, &table.fields[id]));
        if (title >= 0) CF_TRY(add_title(out, &table.fields[title]));
        if (field >= 0) CF_TRY(add_field(out, &table.text, &table.fields[field]));
    }
done:
    ingest_table_close(&table);
    return status;
}

static cf_status read_ids(void *context, ingest_share *share)
{
    const source *from = context;
    ingest_text text;
    ingest_field id;
    cf_status status;

    ingest_items_free(from->items);
    *from->items = (ingest_items){.path = from->path, .first_line = 1};
    CF_TRY(ingest_text_open(from->path, &text));
    CF_TRY(ingest_text_limit(&text, share));
    for (;;) {
        CF_TRY(ingest_text_next(&text, &id.text, &id.length));
        if (!id.text) break;
        CF_TRY(add_id(from->items, &text, &id));
    }
done:
    ingest_text_close(&text);
    return status;
}

/* ---- Moving ---------------------------------------------------------------------------------- */

/* What comes with the ids: rows, fields, and the bytes of titles, as `route` sends them. */
typedef struct luggage {
    int64_t *row, *n_bytes, *n_got;
    ingest_span *field;
    char *titles;
} luggage;

static void free_luggage(luggage *l)
{
    cf_free(&l->row);
    cf_free(&l->n_bytes);
    cf_free(&l->n_got);
    cf_free(&l->field);
    cf_free(&l->titles);
}

/* Local. */
static cf_status pack(const cf_par *world, const ingest_items *items, const ingest_route *route,
                      luggage *l)
{
    const cf_strings *titles = &items->titles;
    int64_t end = 0, k = 0;
    cf_status status;

    CF_TRY(CF_ALLOC(l->row, route->count));
    CF_TRY(CF_ALLOC(l->n_bytes, world->size));
    CF_TRY(CF_ALLOC(l->n_got, world->size));
    if (items->has_fields) CF_TRY(CF_ALLOC(l->field, route->count));
    if (titles->count > 0) CF_TRY(CF_ALLOC(l->titles, titles->start[titles->count]));
    for (int r = 0; r < world->size; r++)
        for (int64_t end_of_rank = k + route->n_sent[r]; k < end_of_rank; k++) {
            const uint32_t from = route->sent[k];

            l->row[k] = items->row[from];
            if (items->has_fields) l->field[k] = items->field[from];
            if (!items->has_titles) continue;
            const int64_t size = titles->start[from + 1] - titles->start[from];

            memcpy(l->titles + end, titles->bytes + titles->start[from], (size_t)size);
            l->n_bytes[r] += size;
            end += size;
        }
done:
    return status;
}

/* Where titles begin that came as bytes. */
static cf_status start_titles(int64_t count, cf_strings *titles)
{
    cf_status status = CF_ALLOC(titles->start, count + 1);

    if (status != CF_OK) return status;
    titles->count = count;
    for (int64_t k = 0; k < count; k++)
        titles->start[k + 1] =
            titles->start[k] + (int64_t)strlen(titles->bytes + titles->start[k]) + 1;
    return CF_OK;
}

/* Local: the ids that came. `*again`: of those that came before, the one of the first line in the
 * file; -1 if all are distinct. */
static cf_status unpack(const ingest_route *route, ingest_items *to, int64_t *again)
{
    const cf_strings *got = &route->got;
    char padded[INGEST_SLACK] = {0};
    cf_status status = CF_OK;

    *again = -1;
    for (int64_t k = 0; k < got->count; k++) {
        ingest_field id = {got->bytes + got->start[k], got->start[k + 1] - got->start[k] - 1};
        int64_t before = to->ids.count, number;

        if (id.length <= INGEST_SLACK / 2) /* more than the id may be read */
            id.text = memcpy(padded, id.text, (size_t)id.length);

        CF_TRY(ingest_names_add(&to->ids, ingest_hash(id.text, id.length), &id, &number));
        if (number != before && (*again < 0 || to->row[k] < to->row[*again])) *again = k;
    }
    if (to->has_titles) CF_TRY(start_titles(got->count, &to->titles));
done:
    return status;
}

/* Refuse the first line in the file whose id is on a line before it, if it is before `bad_line`. */
static cf_status check_again(const cf_par *world, const ingest_items *to, const cf_strings *got,
                             int64_t again, int64_t bad_line)
{
    const int64_t mine = again >= 0 ? to->first_line + to->row[again] : INT64_MAX;
    int64_t first = mine;
    cf_status status = CF_OK;

    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT64_T, MPI_MIN, world->comm);
    if (mine == first && mine < bad_line)
        status = refuse_twice(to->path, mine, got->bytes + got->start[again],
                              got->start[again + 1] - got->start[again] - 1);
    return cf_par_agree_on_input(world, status);
}

static cf_status move(const cf_par *world, const ingest_order *order, int64_t bad_line,
                      ingest_items *items)
{
    const cf_strings ids = ingest_names_strings(&items->ids);
    ingest_items to = {.path = items->path,
                       .n_rows = items->n_rows,
                       .first_line = items->first_line,
                       .has_titles = items->has_titles,
                       .has_fields = items->has_fields};
    ingest_route route = {0};
    luggage l = {0};
    int64_t again;
    cf_status status;

    CF_TRY(ingest_route_make(world, order, &ids, NULL, &route));
    CF_TRY(cf_par_agree(world, pack(world, items, &route, &l)));
    CF_TRY(cf_par_exchange(world, sizeof *l.row, route.n_sent, l.row, l.n_got, &to.row));
    if (items->has_fields)
        CF_TRY(cf_par_exchange(world, sizeof *l.field, route.n_sent, l.field, l.n_got, &to.field));
    if (items->has_titles)
        CF_TRY(cf_par_exchange(world, 1, l.n_bytes, l.titles, l.n_got, &to.titles.bytes));
    CF_TRY(cf_par_agree(world, unpack(&route, &to, &again)));
    CF_TRY(check_again(world, &to, &route.got, again, bad_line));
    ingest_items_free(items);
    *items = to;
    to = (ingest_items){0};
done:
    ingest_items_free(&to);
    ingest_route_free(&route);
    free_luggage(&l);
    return status;
}

cf_status ingest_items_move(const cf_par *world, const ingest_order *order, ingest_items *items)
{
    return move(world, order, INT64_MAX, items);
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* A line that is wrong is told after all lines before it have been held against one another. */
static cf_status read_file(const cf_par *world, source *from,
                           cf_status (*read)(void *context, ingest_share *share),
                           const ingest_order *order)
{
    ingest_items *items = from->items;
    ingest_share share;
    int64_t before;
    cf_status status, as_read = ingest_share_file(world, from->path, read, from, &share);

    if (as_read != CF_OK && as_read != CF_ERR_FORMAT) return as_read;
    CF_TRY(cf_par_agree(world, CF_ALLOC(items->row, items->ids.count)));
    cf_par_exscan(world, items->ids.count, &before, &items->n_rows);
    for (int64_t k = 0; k < items->ids.count; k++)
        items->row[k] = before + k;
    CF_TRY(move(world, order, share.bad_line, items));
    CF_TRY(as_read);
    if (items->n_rows == 0) status = CF_FAIL(CF_ERR_FORMAT, "%s: no items", from->path);
done:
    return status;
}

cf_status ingest_items_read(const cf_par *world, const ingest_options *options, const char *path,
                            const ingest_order *order, ingest_items *out)
{
    return read_file(world, &(source){options, path, out}, read_items, order);
}

cf_status ingest_ids_read(const cf_par *world, const char *path, const ingest_order *order,
                          ingest_items *out)
{
    return read_file(world, &(source){NULL, path, out}, read_ids, order);
}
