/* Readers of item files and id files: for each line its id, its title, where its vector is, and
 * whether val_interval rejects it.
 *
 * Each rank reads a byte range. Ids and titles are kept as text. Of an embedding column only the
 * position in the file is kept: the numbers are parsed while the dataset is written, so that they
 * are never held whole. Lines then move to the ranks that own their ids (move_items.c), which also
 * finds ids that occur on lines of two ranks. */
#include "split.h"
#include "vectors.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A file of items, and where its lines go. */
typedef struct item_source {
    const cf_ingest_options *options; /* NULL: an id file */
    const ingest_file *file;
    ingest_items *items;
    unsigned filters; /* bit k: column k of val_interval is in this file */
    char title[64];   /* the column that was found; "": none */
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

/* Find the column of titles: the one that is named, else the first of the usual names. */
static cf_status find_title(item_source *from, const ingest_records *records, int *out)
{
    static const char *const usual[] = {"title",         "movie_title", "item_title",
                                        "product_title", "item_name",   "name"};
    const char *named = from->options->title_field;
    int found = -1;
    cf_status status = CF_OK;

    if (strcmp(named, "none") != 0 && named[0] != 0)
        CF_TRY(ingest_require_column(records, named, NULL, "title_field", &found));
    for (size_t k = 0; named[0] == 0 && found < 0 && k < sizeof usual / sizeof *usual; k++)
        CF_TRY(ingest_find_column(records, usual[k], NULL, &found));
    snprintf(from->title, sizeof from->title, "%s", found >= 0 ? records->names[found] : "");
    *out = found;
done:
    return status;
}

/* Find the column of vectors; -1 if none is asked for. RecBole's token_seq is taken too: the
 * authors of LLMInit write lists of numbers into such a column. */
static cf_status find_vectors(const cf_ingest_options *options, const ingest_records *records,
                              int *out)
{
    const char *name = options->embedding_field, *type;
    cf_status status = CF_OK;

    *out = -1;
    if (name[0] == 0) goto done;
    CF_TRY(ingest_require_column(records, name, NULL, "embedding_field", out));
    type = records->types[*out];
    CF_REQUIRE(!type[0] || strcmp(type, "float_seq") == 0 || strcmp(type, "token_seq") == 0,
               CF_ERR_FORMAT, "%s:1: %s has type \"%s\", expected float_seq or token_seq",
               records->text.path, name, ingest_excerpt(type, (int64_t)strlen(type)));
done:
    return status;
}

/* Find the columns of val_interval that are in this file. */
static cf_status find_filters(const item_source *from, const ingest_records *records, int *columns)
{
    cf_status status = CF_OK;

    for (int k = 0; k < from->options->n_filters; k++)
        if (from->filters >> k & 1)
            CF_TRY(ingest_require_column(records, from->options->filter_field[k], "float",
                                         "val_interval", &columns[k]));
done:
    return status;
}

/* Note whether val_interval rejects the line with the newest id. An empty field is in no interval.
 */
static cf_status add_outside(const item_source *from, const ingest_records *records,
                             const int *columns)
{
    ingest_items *items = from->items;
    const int64_t k = items->ids.count - 1;
    double value;
    cf_status status;

    CF_TRY(CF_GROW(items->outside, items->outside_capacity, k + 1));
    items->outside[k] = 0;
    for (int f = 0; f < from->options->n_filters; f++) {
        if (!(from->filters >> f & 1)) continue;
        if (records->fields[columns[f]].length == 0) {
            items->outside[k] = 1;
            continue;
        }
        CF_TRY(ingest_read_number(records, columns[f], &value));
        if (!ingest_is_in_intervals(&from->options->filter[f], value)) items->outside[k] = 1;
    }
done:
    return status;
}

/* Local: an ingest_read_fn for item files. What an earlier reading left is dropped first. */
static cf_status read_item_lines(void *context, ingest_range *range)
{
    item_source *from = context;
    const cf_ingest_options *options = from->options;
    const ingest_layout layout = {.separator = options->field_separator};
    ingest_items *out = from->items;
    ingest_records records;
    int id, title, vector, filter[CF_INGEST_MAX_FILTERS];
    bool more;
    cf_status status;

    ingest_destroy_items(out);
    *out = (ingest_items){
        .path = from->file->name, .file = from->file, .first_line = 2, .filters = from->filters};
    CF_TRY(ingest_open_records(from->file, &layout, range, &records));
    CF_TRY(ingest_require_column(&records, options->item_field, "token", "item_field", &id));
    CF_TRY(find_title(from, &records, &title));
    CF_TRY(find_vectors(options, &records, &vector));
    CF_TRY(find_filters(from, &records, filter));
    out->has_titles = title >= 0;
    out->has_embeddings = vector >= 0;
    for (;;) {
        CF_TRY(ingest_next_record(&records, &more));
        if (!more) break;
        CF_TRY(ingest_check_id(&records, id));
        CF_TRY(add_id(out, &records.text, &records.fields[id]));
        if (title >= 0) CF_TRY(add_title(out, &records.fields[title]));
        if (vector >= 0) CF_TRY(add_span(out, &records.text, &records.fields[vector]));
        if (out->filters) CF_TRY(add_outside(from, &records, filter));
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

/* Tell where the titles come from, unless the column has the name that was given or is "title". */
static void log_title(const item_source *from)
{
    const char *named = from->options->title_field;

    if (named[0] != 0) return;
    if (from->title[0] == 0)
        cf_log("%s: no column of titles: title_field can name one", from->file->name);
    else if (strcmp(from->title, "title") != 0)
        cf_log("%s: the titles are those of the column \"%s\"", from->file->name, from->title);
}

cf_status ingest_read_items(const cf_par *world, const cf_ingest_options *options,
                            const ingest_file *file, const ingest_id_partition *partition,
                            ingest_items *out)
{
    item_source from = {.options = options, .file = file, .items = out, .filters = out->filters};
    cf_status status = read_and_move(world, &from, read_item_lines, partition);

    if (status == CF_OK) log_title(&from);
    return status;
}

cf_status ingest_read_id_file(const cf_par *world, const ingest_file *file,
                              const ingest_id_partition *partition, ingest_items *out)
{
    return read_and_move(world, &(item_source){.file = file, .items = out}, read_id_lines,
                         partition);
}

/* ---- Rows of items 0, 1, ... ----------------------------------------------------------------- */

/* Local: the rows range[0] .. range[1] - 1. */
static cf_status add_rows(const int64_t range[2], ingest_items *out)
{
    char text[INGEST_SLACK + 24] = {0};
    int64_t number;
    cf_status status;

    CF_TRY(CF_ALLOC(out->row, range[1] - range[0]));
    for (int64_t row = range[0]; row < range[1]; row++) {
        const ingest_field id = {text, snprintf(text, 24, "%" PRId64, row)};

        CF_TRY(ingest_add_id(&out->ids, ingest_hash(id.text, id.length), &id, &number));
        out->row[number] = row;
    }
done:
    return status;
}

cf_status ingest_number_rows(const cf_par *world, const char *name, int64_t n_rows,
                             const ingest_id_partition *partition, ingest_items *out)
{
    const int64_t mine[2] = {cf_par_even_start(n_rows, world->size, world->rank),
                             cf_par_even_start(n_rows, world->size, world->rank + 1)};
    cf_status status;

    *out = (ingest_items){.path = name, .n_rows = n_rows};
    CF_TRY(cf_par_agree(world, add_rows(mine, out)));
    CF_TRY(ingest_move_items(world, partition, INT64_MAX, out));
done:
    return status;
}
