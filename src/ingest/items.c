/* Item files and id files: which line is which item, titles, and where the vectors of a column lie.
 */
#include "internal.h"

#include <inttypes.h>
#include <string.h>

void ingest_items_free(ingest_items *items)
{
    ingest_names_free(&items->ids);
    cf_free(&items->titles);
    cf_free(&items->title_start);
    cf_free(&items->field_offset);
    cf_free(&items->field_length);
}

static cf_status add_id(ingest_items *items, const ingest_text *text, const ingest_field *id)
{
    int64_t before = items->ids.count, number;
    cf_status status =
        ingest_names_add(&items->ids, ingest_hash(id->text, id->length), id, &number);

    if (status != CF_OK || number == before) return status;
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": item \"%s\" is here twice", text->path,
                   text->line, ingest_excerpt(id->text, id->length));
}

static cf_status add_title(ingest_items *items, const ingest_field *field)
{
    const int64_t row = items->ids.count - 1, end = items->title_bytes;
    cf_status status;

    CF_TRY(CF_GROW(items->title_start, items->start_capacity, row + 1));
    CF_TRY(CF_GROW(items->titles, items->title_capacity, end + field->length + 1));
    items->title_start[row] = end;
    memcpy(items->titles + end, field->text, (size_t)field->length);
    items->titles[end + field->length] = 0;
    items->title_bytes = end + field->length + 1;
done:
    return status;
}

static cf_status add_field(ingest_items *items, const ingest_text *text, const ingest_field *field)
{
    const int64_t row = items->ids.count - 1;
    cf_status status;

    CF_TRY(CF_GROW(items->field_offset, items->offset_capacity, row + 1));
    CF_TRY(CF_GROW(items->field_length, items->length_capacity, row + 1));
    items->field_offset[row] = text->offset + (field->text - text->buffer);
    items->field_length[row] = field->length;
done:
    return status;
}

cf_status ingest_items_read(const ingest_options *options, const char *path, ingest_items *out)
{
    ingest_table table;
    int id, title, field = -1;
    bool more;
    cf_status status;

    out->path = path;
    CF_TRY(ingest_table_open(path, options->separator, &table));
    CF_TRY(ingest_table_find(&table, options->item_field, "token", &id));
    CF_TRY(ingest_table_find(&table, options->title_field, NULL, &title));
    if (options->embedding_field[0])
        CF_TRY(ingest_table_find(&table, options->embedding_field, "float_seq", &field));
    if (id < 0 || (options->embedding_field[0] && field < 0))
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s:1: no column \"%s\"", path,
                       id < 0 ? options->item_field : options->embedding_field));
    for (;;) {
        CF_TRY(ingest_table_next(&table, &more));
        if (!more) break;
        CF_TRY(ingest_table_id(&table, id));
        CF_TRY(add_id(out, &table.text, &table.fields[id]));
        if (title >= 0) CF_TRY(add_title(out, &table.fields[title]));
        if (field >= 0) CF_TRY(add_field(out, &table.text, &table.fields[field]));
    }
    if (out->ids.count == 0) status = CF_FAIL(CF_ERR_FORMAT, "%s: no items", path);
done:
    ingest_table_close(&table);
    return status;
}

cf_status ingest_ids_read(const char *path, ingest_items *out)
{
    ingest_text text;
    ingest_field id;
    cf_status status;

    out->path = path;
    CF_TRY(ingest_text_open(path, &text));
    for (;;) {
        CF_TRY(ingest_text_next(&text, &id.text, &id.length));
        if (!id.text) break;
        CF_TRY(add_id(out, &text, &id));
    }
    if (out->ids.count == 0) status = CF_FAIL(CF_ERR_FORMAT, "%s: no items", path);
done:
    ingest_text_close(&text);
    return status;
}
