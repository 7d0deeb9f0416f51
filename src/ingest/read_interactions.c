/* Readers of interactions in two formats, which format.c tells apart.
 *
 *   records   one interaction a line: user, item, and what the options need; with a header or not
 *   LightGCN  no header; whole numbers "user item item ...", any number of items a line
 *
 * Each rank reads its byte range and appends pairs of local numbers, with the time and the place in
 * the files as key. An interaction with a value outside val_interval is marked here; all are
 * filtered later, when they are with the owners of their users and repeats are gone. */
#include "split.h"

#include <float.h>
#include <inttypes.h>
#include <string.h>

/* A file of interactions, and where they go. */
typedef struct interaction_source {
    const cf_ingest_options *options;
    const ingest_file *file;
    const ingest_layout *layout; /* of records */
    int part;
    ingest_interactions *inter;
} interaction_source;

/* ---- Records --------------------------------------------------------------------------------- */

/* Indices of the columns that are used; others are not parsed. */
typedef struct interaction_columns {
    int user, item;
    int time, label, weight;               /* -1: not used */
    int filter[CF_INGEST_MAX_FILTERS];     /* -1: left to the item file */
    bool has_times[CF_INGEST_MAX_FILTERS]; /* the column of a filter has times */
} interaction_columns;

/* Whether the times of a file are used: a split that is given needs none. */
static bool needs_time(const interaction_source *from)
{
    return (from->options->by_time || from->options->by_dates) && from->part == INGEST_NO_PART;
}

/* Whether the weights of a file are used: those of valid and test are not. */
static bool needs_weight(const interaction_source *from)
{
    return from->options->weight_field != NULL &&
           (from->part == INGEST_NO_PART || from->part == INGEST_TRAIN);
}

/* What needs the times, for messages. */
static const char *time_user(const cf_ingest_options *options)
{
    return options->by_dates ? "split: TS" : "order: time";
}

/* The column of labels; -1 if there is none, or a filter says what to do with them. */
static cf_status find_label(const cf_ingest_options *options, const ingest_records *records,
                            int *out)
{
    *out = -1;
    for (int k = 0; k < options->n_filters; k++)
        if (strcmp(options->filter_field[k], options->label_field) == 0) return CF_OK;
    return ingest_find_column(records, options->label_field, NULL, out);
}

/* Whether the label of a record is 0. What is no number is none. */
static bool has_zero_label(const ingest_records *records, const interaction_columns *at)
{
    const ingest_field *label = &records->fields[at->label];
    double value;

    return ingest_parse_number(label->text, label->length, &value) && value == 0;
}

/* A column that was named must be there, even if nothing needs it: the name may be misspelt. */
static cf_status check_named_columns(const cf_ingest_options *options,
                                     const ingest_records *records)
{
    int unused;
    cf_status status = CF_OK;

    if (options->names_time)
        CF_TRY(ingest_require_column(records, options->time_field, NULL, "time_field", &unused));
    if (options->names_rating)
        CF_TRY(
            ingest_require_column(records, options->rating_field, NULL, "rating_field", &unused));
done:
    return status;
}

/* Columns of val_interval, some of which the item file may have. */
static cf_status find_filters(const interaction_source *from, const ingest_records *records,
                              interaction_columns *out)
{
    const cf_ingest_options *options = from->options;
    cf_status status = CF_OK;

    for (int k = 0; k < options->n_filters; k++) {
        CF_TRY(ingest_find_column(records, options->filter_field[k], "float", &out->filter[k]));
        if (out->filter[k] < 0 && !from->inter->has_item_file)
            CF_TRY(ingest_require_column(records, options->filter_field[k], "float", "val_interval",
                                         &out->filter[k]));
        if (out->filter[k] < 0) from->inter->item_filters |= 1U << k;
        out->has_times[k] = strcmp(options->filter_field[k], options->time_field) == 0;
    }
done:
    return status;
}

/* Find the columns, and refuse a file without those that the options need. */
static cf_status find_columns(const interaction_source *from, const ingest_records *records,
                              interaction_columns *out)
{
    const cf_ingest_options *options = from->options;
    cf_status status;

    CF_TRY(ingest_require_column(records, options->user_field, "token", "user_field", &out->user));
    CF_TRY(ingest_require_column(records, options->item_field, "token", "item_field", &out->item));
    out->time = out->weight = -1;
    if (needs_weight(from))
        CF_TRY(ingest_require_column(records, options->weight_field, "float", "weight_field",
                                     &out->weight));
    if (needs_time(from))
        CF_TRY(ingest_require_column(records, options->time_field, "float", time_user(options),
                                     &out->time));
    else if (from->inter->has_times) /* repeats are compared by time, if there are times */
        CF_TRY(ingest_find_column(records, options->time_field, "float", &out->time));
    CF_TRY(check_named_columns(options, records));
    CF_TRY(find_label(options, records, &out->label));
    CF_TRY(find_filters(from, records, out));
done:
    return status;
}

uint64_t ingest_time_bits(double time)
{
    uint64_t bits;

    time += 0.0;
    memcpy(&bits, &time, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

double ingest_time_of_bits(uint64_t bits)
{
    double time;

    bits = bits >> 63 ? bits & ~(UINT64_C(1) << 63) : ~bits;
    memcpy(&time, &bits, sizeof time);
    return time;
}

/* Parse the numbers of a record: its time, and whether val_interval rejects it. */
static cf_status read_numbers(const cf_ingest_options *options, const ingest_records *records,
                              const interaction_columns *at, uint64_t *time, bool *rejected)
{
    double value;
    cf_status status = CF_OK;

    if (at->time >= 0) {
        CF_TRY(ingest_read_time(records, at->time, &value));
        *time = ingest_time_bits(value);
    }
    for (int k = 0; k < options->n_filters; k++) {
        if (at->filter[k] < 0) continue;
        CF_TRY((at->has_times[k] ? ingest_read_time : ingest_read_number)(records, at->filter[k],
                                                                          &value));
        *rejected = *rejected || !ingest_is_in_intervals(&options->filter[k], value);
    }
done:
    return status;
}

/* The weight of a record that val_interval keeps. */
static cf_status read_weight(const ingest_records *records, int column, float *out)
{
    const ingest_field *field = &records->fields[column];
    double value;
    cf_status status;

    CF_TRY(ingest_read_number(records, column, &value));
    *out = (float)value;
    CF_REQUIRE(*out > 0 && *out <= FLT_MAX, CF_ERR_FORMAT,
               "%s:%" PRId64 ": %s: \"%s\" is not a weight, expected a number above 0",
               records->text.path, records->text.line, records->names[column],
               ingest_excerpt(field->text, field->length));
done:
    return status;
}

/* Local: an ingest_read_fn for files with a header. */
static cf_status read_records(void *context, ingest_range *range)
{
    const interaction_source *from = context;
    const cf_ingest_options *options = from->options;
    ingest_interactions *inter = from->inter;
    ingest_queue queue = {.inter = inter};
    ingest_records records;
    interaction_columns at;
    bool more;
    cf_status status;

    CF_TRY(ingest_open_records(from->file, from->layout, range, &records));
    inter->source = &records.text;
    inter->n_before = inter->count;
    CF_TRY(find_columns(from, &records, &at));
    for (;;) {
        ingest_key key = {.weight = 1};
        bool rejected = false;

        CF_TRY(ingest_next_record(&records, &more));
        if (!more) break;
        CF_TRY(ingest_check_id(&records, at.user));
        CF_TRY(ingest_check_id(&records, at.item));
        CF_TRY(read_numbers(options, &records, &at, &key.time, &rejected));
        if (at.weight >= 0 && !rejected) CF_TRY(read_weight(&records, at.weight, &key.weight));
        if (at.label >= 0 && !rejected) inter->n_zero_labels += has_zero_label(&records, &at);
        key.place = ingest_make_place(from->part, inter->n_lines++, rejected);
        CF_TRY(
            ingest_enqueue_pair(&queue, &records.fields[at.user], &records.fields[at.item], &key));
    }
    CF_TRY(ingest_flush_queue(&queue));
done:
    ingest_close_records(&records);
    return status;
}

/* ---- LightGCN -------------------------------------------------------------------------------- */

/* The next number of a line as an id, without leading zeros; a length of 0 is the end of the line.
 * `*at` moves behind it. False if there is something else, or a number above 2^63 - 1. */
static bool next_number(char **at, ingest_field *id)
{
    char *begin = *at + strspn(*at, " "), *end = begin + strspn(begin, "0123456789");

    *at = end;
    while (*begin == '0' && end - begin > 1)
        begin++;
    *id = (ingest_field){begin, end - begin};
    if (*end != 0 && *end != ' ') return false;
    return end - begin < 19 || (end - begin == 19 && memcmp(begin, "9223372036854775807", 19) <= 0);
}

/* Note the error of a field that is not a whole number. */
static cf_status refuse_id(const ingest_text *text, const char *id, int column)
{
    int64_t length = (int64_t)strcspn(id, " ");

    return CF_FAIL(CF_ERR_FORMAT,
                   "%s:%" PRId64 ": column %d: \"%s\" is not %s number from 0 to 2^63 - 1",
                   text->path, text->line, column, ingest_excerpt(id, length),
                   column == 1 ? "a user" : "an item");
}

/* The local number of an id. No queue here: LightGCN's ids are small numbers, most of which are
 * found without the hash table. */
static cf_status number_id(ingest_id_table *table, const ingest_field *id, int64_t *number)
{
    const int64_t known = ingest_find_small_id(table, id);

    if (known < 0) return ingest_add_id(table, ingest_hash(id->text, id->length), id, number);
    *number = known;
    return CF_OK;
}

/* Append the interactions of one line. A line with a user alone has none. */
static cf_status read_lightgcn_line(const interaction_source *from, const ingest_text *text,
                                    char *line)
{
    ingest_interactions *inter = from->inter;
    int64_t user = 0, item;
    ingest_field id;
    ingest_key key = {.weight = 1};
    cf_status status = CF_OK;

    for (int column = 1;; column++) {
        if (!next_number(&line, &id)) CF_TRY(refuse_id(text, id.text, column));
        if (id.length == 0) break;
        if (column == 1) {
            CF_TRY(number_id(&inter->user_ids, &id, &user));
            continue;
        }
        CF_TRY(number_id(&inter->item_ids, &id, &item));
        key.place = ingest_make_place(from->part, inter->n_lines++, false);
        CF_TRY(ingest_append_interaction(inter, user, item, &key));
    }
done:
    return status;
}

/* Local: an ingest_read_fn for LightGCN's files. */
static cf_status read_lightgcn(void *context, ingest_range *range)
{
    const interaction_source *from = context;
    ingest_text text;
    char *line;
    int64_t length;
    cf_status status;

    CF_TRY(ingest_open_text(from->file, &text));
    CF_TRY(ingest_limit_text(&text, range));
    from->inter->source = &text;
    from->inter->n_before = from->inter->count;
    for (;;) {
        CF_TRY(ingest_next_line(&text, &line, &length));
        if (line == NULL) break;
        CF_TRY(read_lightgcn_line(from, &text, line));
    }
done:
    ingest_close_text(&text);
    return status;
}

/* ---- Either ---------------------------------------------------------------------------------- */

/* Refuse options that need columns, which LightGCN's lines do not have. */
static cf_status check_lightgcn(const interaction_source *from)
{
    if (needs_time(from))
        return CF_FAIL(CF_ERR_FORMAT, "%s:1: LightGCN lines have no times, required by %s",
                       from->file->name, time_user(from->options));
    if (needs_weight(from))
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s:1: LightGCN lines have no column \"%s\", required by weight_field",
                       from->file->name, from->options->weight_field);
    if (from->options->n_filters > 0 && !from->inter->has_item_file)
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s:1: LightGCN lines have no column \"%s\", required by val_interval",
                       from->file->name, from->options->filter_field[0]);
    from->inter->item_filters |= (1U << from->options->n_filters) - 1;
    return CF_OK;
}

/* Tell of the lines with a label of 0, which are interactions like others here. `before`: this
 * rank's, of other files. */
static void warn_of_labels(const cf_par *world, const interaction_source *from, int64_t before)
{
    int64_t unused, n;

    cf_par_exscan(world, from->inter->n_zero_labels - before, &unused, &n);
    if (n > 0)
        cf_warn("%s: %" PRId64 " interactions have %s 0, and are interactions like the others; "
                "val_interval={%s: \"[1,1]\"} drops them",
                from->file->name, n, from->options->label_field, from->options->label_field);
}

/* Count the places of the newest file's interactions from the first of all ranks. */
static void move_places(ingest_interactions *inter, int64_t shift)
{
    for (int64_t e = inter->n_before; inter->key_words > 0 && e < inter->count; e++)
        *ingest_place_of(inter, e) += (uint64_t)shift << 1;
}

/* What is known of each interaction: places where which of two is kept makes a difference. */
static void choose_keys(const cf_ingest_options *options, int part, ingest_interactions *inter)
{
    inter->has_times =
        part == INGEST_NO_PART && (options->by_time || options->by_dates || options->n_filters > 0);
    inter->has_weights = options->weight_field != NULL;
    inter->key_words = inter->has_times + inter->has_weights +
                       (part != INGEST_NO_PART || inter->has_times || inter->has_weights);
}

/* All ranks tell the format; each then reads its own range. A place counts the interactions of this
 * rank first, and then those of all ranks before it too. */
cf_status ingest_read_interactions(const cf_par *world, const cf_ingest_options *options,
                                   const ingest_file *file, int part, ingest_interactions *inter)
{
    ingest_format format;
    const interaction_source from = {options, file, &format.layout, part, inter};
    const int64_t zeros_before = inter->n_zero_labels;
    int64_t before, total_before, total;
    ingest_range range;
    cf_status status;

    cf_par_exscan(world, inter->n_lines, &before, &total_before);
    inter->keeps_last = options->keeps_last;
    choose_keys(options, part, inter);
    CF_TRY(ingest_find_format(world, options, file, &inter->lines, &format));
    if (format.is_lightgcn) CF_TRY(check_lightgcn(&from));
    CF_TRY(ingest_read_ranges(world, file, format.is_lightgcn ? read_lightgcn : read_records,
                              (void *)&from, &range));
    cf_par_exscan(world, inter->n_lines, &before, &total);
    CF_REQUIRE(total > total_before, CF_ERR_FORMAT, "%s: no interactions", file->name);
    move_places(inter, before);
    inter->is_lightgcn = inter->is_lightgcn || format.is_lightgcn;
    inter->bytes += (double)format.bytes;
    warn_of_labels(world, &from, zeros_before);
done:
    return status;
}
