/* Readers of interactions: tables with a header, and LightGCN's "user item item ..." lines. */
#include "internal.h"

#include <inttypes.h>
#include <string.h>

enum { FEW = 1 << 15 }; /* records; fewer say little about the rest of a file */

void ingest_log_free(ingest_log *log)
{
    ingest_names_free(&log->user_names);
    ingest_names_free(&log->item_names);
    ingest_order_free(&log->users);
    ingest_order_free(&log->items);
    ingest_places_free(&log->places);
    cf_free(&log->pairs);
    cf_free(&log->keys);
}

static void swap(uint64_t **one, uint64_t **other)
{
    uint64_t *kept = *one;

    *one = *other;
    *other = kept;
}

/*
 * Room for as many records as the part that was read says there will be: to double the
 * memory again and again would touch and copy several times what is needed.
 */
static cf_status make_room(ingest_log *log)
{
    const double so_far = (double)(log->count - log->before),
                 share = ingest_text_progress(log->reading);
    int64_t wanted = log->count + log->count / 8 + FEW;
    const double expected = (double)log->before + 1.02 * so_far / share;
    uint64_t *pairs = NULL, *keys = NULL;
    cf_status status;

    if (so_far >= FEW && expected > (double)wanted && expected < 0x1p48) wanted = (int64_t)expected;
    CF_TRY(CF_ALLOC(pairs, wanted));
    if (log->with_keys) CF_TRY(CF_ALLOC(keys, wanted));
    if (log->count > 0) memcpy(pairs, log->pairs, (size_t)log->count * sizeof *pairs);
    if (log->keys) memcpy(keys, log->keys, (size_t)log->count * sizeof *keys);
    swap(&log->pairs, &pairs);
    swap(&log->keys, &keys);
    log->capacity = wanted;
done:
    cf_free(&pairs);
    cf_free(&keys);
    return status;
}

static cf_status append(ingest_log *log, int64_t user, int64_t item, uint64_t key)
{
    if (log->count == log->capacity) {
        cf_status status = make_room(log);
        if (status != CF_OK) return status;
    }
    if (log->keys) log->keys[log->count] = key;
    log->pairs[log->count++] = ingest_pair((uint32_t)user, (uint32_t)item);
    return CF_OK;
}

/* ---- Queue ----------------------------------------------------------------------------------- */

enum { QUEUE = 32, COPIED = 48 };

/*
 * Interactions wait here, so that the memory of QUEUE pairs of ids is on its way at once: looking
 * ids up one by one is waiting for memory, and takes longer than reading them. A ring: the oldest
 * is looked up when a new one needs its place. Ids are copied, for a line is gone with the next.
 */
typedef struct queue {
    int64_t first, next; /* those from `first` to before `next` wait, at their number mod QUEUE */
    struct waiting {
        uint64_t key, user_hash, item_hash;
        int64_t user_length, item_length;
        char user[COPIED], item[COPIED];
    } entry[QUEUE];
} queue;

static cf_status add_pair(ingest_log *log, const uint64_t hashes[2], const ingest_field ids[2],
                          uint64_t key)
{
    int64_t user, item;
    cf_status status;

    CF_TRY(ingest_names_add(&log->user_names, hashes[0], &ids[0], &user));
    CF_TRY(ingest_names_add(&log->item_names, hashes[1], &ids[1], &item));
    CF_TRY(append(log, user, item, key));
done:
    return status;
}

/* Look up the oldest, until at most `left` wait. */
static cf_status flush(queue *q, ingest_log *log, int64_t left)
{
    cf_status status = CF_OK;

    for (; q->next - q->first > left; q->first++) {
        struct waiting *w = &q->entry[q->first % QUEUE];

        CF_TRY(add_pair(log, (uint64_t[2]){w->user_hash, w->item_hash},
                        (ingest_field[2]){{w->user, w->user_length}, {w->item, w->item_length}},
                        w->key));
    }
done:
    return status;
}

static void copy_id(char *to, const ingest_field *id)
{
    if (id->length <= 16)
        memcpy(to, id->text, 16); /* more than the id, but without a call */
    else
        memcpy(to, id->text, (size_t)id->length);
}

static cf_status enqueue(queue *q, ingest_log *log, const ingest_field *user,
                         const ingest_field *item, uint64_t key)
{
    const uint64_t hashes[2] = {ingest_hash(user->text, user->length),
                                ingest_hash(item->text, item->length)};
    const bool long_ids = user->length > COPIED || item->length > COPIED;
    struct waiting *w;
    cf_status status;

    CF_TRY(flush(q, log, long_ids ? 0 : QUEUE - 1));
    if (long_ids) return add_pair(log, hashes, (ingest_field[2]){*user, *item}, key);
    ingest_names_prefetch(&log->user_names, hashes[0]);
    ingest_names_prefetch(&log->item_names, hashes[1]);
    w = &q->entry[q->next++ % QUEUE];
    w->key = key;
    w->user_hash = hashes[0];
    w->item_hash = hashes[1];
    w->user_length = user->length;
    w->item_length = item->length;
    copy_id(w->user, user);
    copy_id(w->item, item);
done:
    return status;
}

/* The order of the records is of no account: they will be sorted. */
static cf_status take_pair(queue *q, ingest_log *log, const ingest_field *user,
                           const ingest_field *item, uint64_t key)
{
    const int64_t known_user = ingest_names_known(&log->user_names, user),
                  known_item = ingest_names_known(&log->item_names, item);

    if (known_user < 0 || known_item < 0) return enqueue(q, log, user, item, key);
    return append(log, known_user, known_item, key);
}

/* ---- Tables ---------------------------------------------------------------------------------- */

/* Where a table has what is wanted of it; -1: nowhere. */
typedef struct columns {
    int user, item, time, rating;
    int filter[INGEST_MAX_FILTERS];
} columns;

static cf_status find_columns(const ingest_options *options, const ingest_table *table,
                              bool needs_time, columns *out)
{
    const char *path = table->text.path;
    cf_status status;

    CF_TRY(ingest_table_find(table, options->user_field, "token", &out->user));
    CF_TRY(ingest_table_find(table, options->item_field, "token", &out->item));
    CF_TRY(ingest_table_find(table, options->time_field, "float", &out->time));
    CF_TRY(ingest_table_find(table, options->rating_field, "float", &out->rating));
    if (out->user < 0 || out->item < 0)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT,
                       "%s:1: no column \"%s\": expected a header such as user_id:token<TAB>"
                       "item_id:token, or LightGCN lines of whole numbers \"user item item ...\"",
                       path, out->user < 0 ? options->user_field : options->item_field));
    if (needs_time && out->time < 0)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s:1: no column \"%s\", which order: time needs", path,
                       options->time_field));
    for (int k = 0; k < options->n_filters; k++) {
        CF_TRY(ingest_table_find(table, options->filter_field[k], "float", &out->filter[k]));
        if (out->filter[k] < 0)
            CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s:1: no column \"%s\", which val_interval names", path,
                           options->filter_field[k]));
    }
done:
    return status;
}

/* Bits whose unsigned order is the order of the numbers; -0 is 0. */
static uint64_t sortable(double value)
{
    uint64_t bits;

    value += 0.0;
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

/* One line: its time, and whether the intervals keep it. */
static cf_status take_numbers(const ingest_options *options, const ingest_table *table,
                              const columns *at, uint64_t *key, bool *kept)
{
    double value;
    cf_status status = CF_OK;

    if (at->time >= 0) {
        CF_TRY(ingest_table_number(table, at->time, &value));
        *key = sortable(value);
    }
    if (at->rating >= 0) CF_TRY(ingest_table_number(table, at->rating, &value));
    for (int k = 0; k < options->n_filters; k++) {
        CF_TRY(ingest_table_number(table, at->filter[k], &value));
        *kept = *kept && ingest_intervals_hold(&options->filter[k], value);
    }
done:
    return status;
}

/* A file of interactions, and where they go. */
typedef struct source {
    const ingest_options *options;
    const char *path;
    int part;
    ingest_log *log;
} source;

static cf_status read_table(void *context, ingest_share *share)
{
    const source *from = context;
    const ingest_options *options = from->options;
    const int part = from->part;
    ingest_log *log = from->log;
    ingest_table table;
    queue waiting = {0};
    columns at;
    bool more;
    cf_status status;

    CF_TRY(ingest_table_open(from->path, options->separator, share, &table));
    log->reading = &table.text;
    log->before = log->count;
    CF_TRY(find_columns(options, &table, options->by_time && part == INGEST_NO_PART, &at));
    for (;;) {
        uint64_t key = 0;
        bool kept = true;

        CF_TRY(ingest_table_next(&table, &more));
        if (!more) break;
        log->lines++;
        CF_TRY(ingest_table_id(&table, at.user));
        CF_TRY(ingest_table_id(&table, at.item));
        CF_TRY(take_numbers(options, &table, &at, &key, &kept));
        if (part != INGEST_NO_PART) key = (uint64_t)part;
        if (kept)
            CF_TRY(take_pair(&waiting, log, &table.fields[at.user], &table.fields[at.item], key));
        else
            log->filtered++;
    }
    CF_TRY(flush(&waiting, log, 0));
done:
    ingest_table_close(&table);
    return status;
}

/* ---- LightGCN -------------------------------------------------------------------------------- */

/*
 * The next number of a line as an id without leading zeros. `at` is moved behind it; `length` 0:
 * the line is over. False if there is something else.
 */
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

static cf_status refuse_number(const ingest_text *text, const char *id, int column)
{
    int64_t length = (int64_t)strcspn(id, " ");

    return CF_FAIL(CF_ERR_FORMAT,
                   "%s:%" PRId64 ": column %d: \"%s\" is not %s number from 0 to 2^63 - 1",
                   text->path, text->line, column, ingest_excerpt(id, length),
                   column == 1 ? "a user" : "an item");
}

static cf_status add_name(ingest_names *names, const ingest_field *id, int64_t *number)
{
    const int64_t known = ingest_names_known(names, id);

    if (known < 0) return ingest_names_add(names, ingest_hash(id->text, id->length), id, number);
    *number = known;
    return CF_OK;
}

static cf_status read_lightgcn(void *context, ingest_share *share)
{
    const source *from = context;
    const uint64_t key = from->part == INGEST_NO_PART ? 0 : (uint64_t)from->part;
    ingest_log *log = from->log;
    ingest_text text;
    ingest_field id;
    char *line;
    int64_t length, user = 0, item;
    cf_status status;

    CF_TRY(ingest_text_open(from->path, &text));
    CF_TRY(ingest_text_limit(&text, share));
    log->reading = &text;
    log->before = log->count;
    for (;;) {
        CF_TRY(ingest_text_next(&text, &line, &length));
        if (!line) break;
        for (int column = 1;; column++) {
            if (!next_number(&line, &id)) CF_TRY(refuse_number(&text, id.text, column));
            if (id.length == 0) break;
            if (column == 1) {
                CF_TRY(add_name(&log->user_names, &id, &user));
                continue;
            }
            CF_TRY(add_name(&log->item_names, &id, &item));
            CF_TRY(append(log, user, item, key));
            log->lines++;
        }
    }
done:
    ingest_text_close(&text);
    return status;
}

/* LightGCN's format is known by a first line of digits and spaces alone. */
static cf_status is_lightgcn(const char *path, bool *out, int64_t *bytes)
{
    ingest_text text;
    char *line;
    int64_t length;
    cf_status status;

    CF_TRY(ingest_text_open(path, &text));
    CF_TRY(ingest_text_next(&text, &line, &length));
    if (!line) CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: the file is empty", path));
    *out = strspn(line, "0123456789 ") == (size_t)length;
    *bytes = text.size;
done:
    ingest_text_close(&text);
    return status;
}

/* What LightGCN's lines cannot give. */
static cf_status check_lightgcn(const source *from)
{
    if (from->part == INGEST_NO_PART && from->options->by_time)
        return CF_FAIL(CF_ERR_FORMAT, "%s:1: LightGCN lines have no times, which order: time needs",
                       from->path);
    if (from->options->n_filters > 0)
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s:1: LightGCN lines have no column \"%s\", which "
                       "val_interval names",
                       from->path, from->options->filter_field[0]);
    return CF_OK;
}

cf_status ingest_read_interactions(const cf_par *world, const ingest_options *options,
                                   const char *path, int part, ingest_log *log)
{
    source from = {options, path, part, log};
    int64_t before, had, have, bytes = 0;
    bool lightgcn = false;
    ingest_share share;
    cf_status status;

    cf_par_exscan(world, log->lines, &before, &had);
    log->with_keys = options->by_time || part != INGEST_NO_PART;
    status = is_lightgcn(path, &lightgcn, &bytes);
    if (status == CF_OK && lightgcn) status = check_lightgcn(&from);
    CF_TRY(cf_par_agree_on_input(world, status));
    CF_TRY(ingest_share_file(world, path, lightgcn ? read_lightgcn : read_table, &from, &share));
    cf_par_exscan(world, log->lines, &before, &have);
    if (have == had) CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: no interactions", path));
    log->lightgcn = log->lightgcn || lightgcn;
    log->bytes += (double)bytes;
done:
    return status;
}
