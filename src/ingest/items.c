/* Readers of item files and id files: for each line its id, its title, and where its vector is.
 *
 * Each rank reads a byte range. Ids and titles are kept as text. Of an embedding column only the
 * position in the file is kept: the numbers are parsed while the dataset is written, so that they
 * are never held whole. Lines then move to the ranks that own their ids (move_items.c), which also
 * finds ids that occur on lines of two ranks. */
#include "vectors.h"

#include <string.h>

/* A file of items, and where its lines go. */
typedef struct item_source {
    const cf_ingest_options *options; /* NULL: an id file */
    const ingest_file *file;
    ingest_items *items;
} item_source;

/* Add the id of a line, which must be new on this rank. */
static cf_status add_id(ingest_items *items, const ingest_text *text, const ingest_field *id)
{
    int64_t before = items->ids.count, number;
    cf_status status = ingest_add_id(&items->ids, ingest_hash(id->text, id->length), id, &number);

    if (status != CF_OK || number == before) return status;
    return ingest_refuse_repeated_id(text->path, text->line, id);
}

/* Append the title of the line with the newest id: title k belongs to id k. */
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

/* Note where the embedding column of the line with the newest id is in the file. */
static cf_status add_span(ingest_items *items, const ingest_text *text, const ingest_field *field)
{
    const int64_t k = items->ids.count - 1;
    cf_status status = CF_GROW(items->embedding, items->embedding_capacity, k + 1);

    if (status != CF_OK) return status;
    items->embedding[k] = (ingest_span){text->offset + (field->text - text->buffer), field->length};
    return CF_OK;
}

/* Local: an ingest_read_fn for item files. What an earlier reading left is dropped first. */
static cf_status read_item_lines(void *context, ingest_range *range)
{
    const item_source *from = context;
    const cf_ingest_options *options = from->options;
    const ingest_layout layout = {.separator = options->field_separator};
    const bool has_column = options->embedding_field[0] != 0;
    ingest_items *out = from->items;
    ingest_records records;
    int id, title, vector = -1;
    bool more;
    cf_status status;

    ingest_destroy_items(out);
    *out = (ingest_items){.path = from->file->name, .file = from->file, .first_line = 2};
    CF_TRY(ingest_open_records(from->file, &layout, range, &records));
    CF_TRY(ingest_require_column(&records, options->item_field, "token", "item_field", &id));
    CF_TRY(ingest_find_column(&records, options->title_field, NULL, &title));
    if (has_column)
        CF_TRY(ingest_require_column(&records, options->embedding_field, "float_seq",
                                     "embedding_field", &vector));
    out->has_titles = title >= 0;
    out->has_embeddings = vector >= 0;
    for (;;) {
        CF_TRY(ingest_next_record(&records, &more));
        if (!more) break;
        CF_TRY(ingest_check_id(&records, id));
        CF_TRY(add_id(out, &records.text, &records.fields[id]));
        if (title >= 0) CF_TRY(add_title(out, &records.fields[title]));
        if (vector >= 0) CF_TRY(add_span(out, &records.text, &records.fields[vector]));
    }
done:
    ingest_close_records(&records);
    return status;
}

/* Local: an ingest_read_fn for id files. */
static cf_status read_id_lines(void *context, ingest_range *range)
{
    const item_source *from = context;
    ingest_text text;
    ingest_field id;
    cf_status status;

    ingest_destroy_items(from->items);
    *from->items = (ingest_items){.path = from->file->name, .file = from->file, .first_line = 1};
    CF_TRY(ingest_open_text(from->file, &text));
    CF_TRY(ingest_limit_text(&text, range));
    for (;;) {
        CF_TRY(ingest_next_line(&text, &id.text, &id.length));
        if (id.text == NULL) break;
        CF_TRY(add_id(from->items, &text, &id));
    }
done:
    ingest_close_text(&text);
    return status;
}

/* Read a file and move its lines to the owners. A malformed line is reported only after the lines
 * before it were compared with one another: a repeated id among them is the first error of the
 * file, as it would be on one rank. */
static cf_status read_and_move(const cf_par *world, item_source *from, ingest_read_fn *read,
                               const ingest_id_partition *partition)
{
    ingest_items *items = from->items;
    ingest_range range;
    int64_t before;
    cf_status status, read_status = ingest_read_ranges(world, from->file, read, from, &range);

    if (read_status != CF_OK && read_status != CF_ERR_FORMAT) return read_status;
    /* Each line has one new id, so ids are numbered as the lines of the rank are. */
    CF_TRY(cf_par_agree(world, CF_ALLOC(items->row, items->ids.count)));
    cf_par_exscan(world, items->ids.count, &before, &items->n_rows);
    for (int64_t k = 0; k < items->ids.count; k++)
        items->row[k] = before + k;
    CF_TRY(ingest_move_items(world, partition, range.bad_line, items));
    CF_TRY(read_status);
    CF_REQUIRE(items->n_rows > 0, CF_ERR_FORMAT, "%s: no items", items->path);
done:
    return status;
}

cf_status ingest_read_items(const cf_par *world, const cf_ingest_options *options,
                            const ingest_file *file, const ingest_id_partition *partition,
                            ingest_items *out)
{
    return read_and_move(world, &(item_source){options, file, out}, read_item_lines, partition);
}

cf_status ingest_read_id_file(const cf_par *world, const ingest_file *file,
                              const ingest_id_partition *partition, ingest_items *out)
{
    return read_and_move(world, &(item_source){NULL, file, out}, read_id_lines, partition);
}
