/* Recommendations from a text: ranked lists of items, of users in any order.
 *
 * Every rank gets every line (cli_lines.c), and keeps those of the users of its own block; it has
 * the ids of these users and of all items. A line becomes an entry (user, key, tie, item). Entries
 * are sorted by them: the key is the rank, or minus the score, or 0; the tie is the line, or of
 * equal scores the item's number, as in this program's rankings. What cannot be used is counted and
 * told once. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HAS_USER = 1, LACKS_ITEM = 2 }; /* flags of a line, joined over the ranks */
enum { COLUMN_USER, COLUMN_ITEM, COLUMN_RANK, COLUMN_SCORE, N_RECS_COLUMNS };
static const char *const column_names[N_RECS_COLUMNS] = {"user_id", "item_id", "rank", "score"};

typedef struct recs_entry {
    int64_t user, item; /* local; global or CF_EVAL_UNKNOWN_ITEM */
    int64_t tie, line;
    double key;
} recs_entry;

/* Lines with an id that is not in the dataset, and the first of them. */
typedef struct unknown_ids {
    int64_t count, line;
    char id[64];
} unknown_ids;

/* A line of the block that is read: its number, and where it begins in lines.bytes. */
typedef struct recs_place {
    int64_t line, start;
} recs_place;

typedef struct recs {
    const cf_dataset *dataset;
    const cf_shard *shard;
    cli_lines lines;
    cf_strings user_ids, item_ids; /* of the block; all */
    cf_id_index user_index, item_index;
    char separator;
    int n_columns;              /* of each line; 0: the first line is not read yet */
    int column[N_RECS_COLUMNS]; /* where they are; -1: nowhere */
    recs_entry *entries;        /* n_entries, of this block's users */
    int64_t n_entries, entry_capacity;
    uint8_t *flags;     /* of the lines of the block that is read: HAS_USER, LACKS_ITEM */
    recs_place *places; /* where they are */
    int64_t n_flags, flag_capacity, place_capacity;
    int64_t n_data, n_known; /* lines with data; those whose user is known */
    unknown_ids users, items;
    int64_t n_repeats;
} recs;

typedef struct recs_field {
    const char *text;
    int64_t length;
} recs_field;

/* ---- Fields --------------------------------------------------------------------------------- */

/* Field `k` of a line that has it. */
static recs_field field_of(const recs *r, const char *line, int k)
{
    const char *end;

    for (; k > 0; k--)
        line = strchr(line, r->separator) + 1;
    end = strchr(line, r->separator);
    return (recs_field){line, end != NULL ? end - line : (int64_t)strlen(line)};
}

static int count_fields(const recs *r, const char *line)
{
    int count = 1;

    for (; (line = strchr(line, r->separator)) != NULL; line++)
        count++;
    return count;
}

/* A header names its columns "name" or "name:type". */
static int find_column(const recs *r, const char *header, const char *name)
{
    const int64_t length = (int64_t)strlen(name);

    for (int k = 0; k < r->n_columns; k++) {
        const recs_field field = field_of(r, header, k);

        if (field.length >= length && memcmp(field.text, name, (size_t)length) == 0 &&
            (field.length == length || field.text[length] == ':'))
            return k;
    }
    return -1;
}

/* The first line tells the separator, and whether it is a header or has data already. */
static cf_status read_first_line(recs *r, const char *line, bool *is_header)
{
    r->separator = strchr(line, '\t') != NULL ? '\t' : strchr(line, ',') != NULL ? ',' : ' ';
    r->n_columns = count_fields(r, line);
    for (int c = 0; c < N_RECS_COLUMNS; c++)
        r->column[c] = find_column(r, line, column_names[c]);
    *is_header = r->column[COLUMN_USER] >= 0 && r->column[COLUMN_ITEM] >= 0;
    if (*is_header) return CF_OK;
    if (r->n_columns != 2 || r->column[COLUMN_USER] >= 0 || r->column[COLUMN_ITEM] >= 0)
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s:1: expected a header with user_id and item_id, perhaps rank or score, "
                       "as recommend writes; or lines \"user item\", best first",
                       r->lines.path);
    r->column[COLUMN_USER] = 0;
    r->column[COLUMN_ITEM] = 1;
    return CF_OK;
}

/* What a line is sorted by. Local, but the same on every rank. */
static cf_status read_key(const recs *r, const char *line, double *key)
{
    const int which = r->column[COLUMN_RANK] >= 0 ? COLUMN_RANK : COLUMN_SCORE;
    recs_field field;
    double value;
    char *end;

    *key = 0;
    if (r->column[which] < 0) return CF_OK;
    field = field_of(r, line, r->column[which]);
    value = strtod(field.text, &end);
    if (field.length == 0 || end != field.text + field.length || !isfinite(value))
        return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": %s: \"%.*s\" is not a number", r->lines.path,
                       r->lines.line, column_names[which], (int)cf_min(field.length, 40),
                       field.text);
    *key = which == COLUMN_RANK ? value : -value;
    return CF_OK;
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* Keep a line of a user of this block, and note what is not known of it. */
static cf_status keep_line(recs *r, const char *line, double key, uint8_t *flags)
{
    const recs_field user = field_of(r, line, r->column[COLUMN_USER]);
    const recs_field item = field_of(r, line, r->column[COLUMN_ITEM]);
    const bool has_score = r->column[COLUMN_RANK] < 0 && r->column[COLUMN_SCORE] >= 0;
    recs_entry entry = {.user = cf_dataset_find_id(&r->user_index, user.text, user.length),
                        .line = r->lines.line,
                        .key = key};
    cf_status status = CF_OK;

    *flags = 0;
    if (entry.user < 0) return CF_OK; /* unless another rank has the user, it is unknown */
    entry.item = cf_dataset_find_id(&r->item_index, item.text, item.length);
    *flags = entry.item < 0 ? HAS_USER | LACKS_ITEM : HAS_USER;
    if (entry.item < 0) entry.item = CF_EVAL_UNKNOWN_ITEM;
    entry.tie = has_score ? entry.item : entry.line;
    CF_TRY(CF_GROW(r->entries, r->entry_capacity, r->n_entries + 1));
    r->entries[r->n_entries++] = entry;
done:
    return status;
}

/* Read one line. Local. */
static cf_status read_line(recs *r, const char *line)
{
    bool is_header = false;
    int64_t at = r->n_flags;
    double key;
    cf_status status;

    if (*line == '\0') return CF_OK; /* an empty line */
    if (r->n_columns == 0) CF_TRY(read_first_line(r, line, &is_header));
    if (is_header) return CF_OK;
    CF_REQUIRE(count_fields(r, line) == r->n_columns, CF_ERR_FORMAT,
               "%s:%" PRId64 ": has %d fields, expected %d as in line 1", r->lines.path,
               r->lines.line, count_fields(r, line), r->n_columns);
    CF_TRY(read_key(r, line, &key));
    CF_TRY(CF_GROW(r->flags, r->flag_capacity, at + 1));
    CF_TRY(CF_GROW(r->places, r->place_capacity, at + 1));
    CF_TRY(keep_line(r, line, key, &r->flags[at]));
    r->places[at] = (recs_place){r->lines.line, line - r->lines.bytes};
    r->n_flags++;
done:
    return status;
}

/* Count an id that is not in the dataset; keep the first. */
static void note_unknown(const recs *r, const recs_place *place, int column, unknown_ids *ids)
{
    const recs_field id = field_of(r, r->lines.bytes + place->start, r->column[column]);

    if (ids->count++ > 0) return;
    ids->line = place->line;
    snprintf(ids->id, sizeof ids->id, "%.*s", (int)cf_min(id.length, 60), id.text);
}

/* Read the lines of a block, and find what no rank knows. Collective. */
static cf_status read_block(recs *r)
{
    const cf_par *world = r->lines.world;
    char *line;
    cf_status status = CF_OK;

    r->n_flags = 0;
    while (status == CF_OK && (line = cli_next_line(&r->lines)) != NULL)
        status = read_line(r, line);
    CF_TRY(cf_par_agree_on_input(world, status));
    MPI_Allreduce(MPI_IN_PLACE, r->flags, cf_par_count(r->n_flags), MPI_UINT8_T, MPI_BOR,
                  world->comm);
    for (int64_t k = 0; k < r->n_flags; k++) {
        if (!(r->flags[k] & HAS_USER)) note_unknown(r, &r->places[k], COLUMN_USER, &r->users);
        if (r->flags[k] & LACKS_ITEM) note_unknown(r, &r->places[k], COLUMN_ITEM, &r->items);
        r->n_known += (r->flags[k] & HAS_USER) != 0;
    }
    r->n_data += r->n_flags;
done:
    return status;
}

/* Collective. */
static cf_status read_file(recs *r)
{
    const char *path = r->lines.path, *data = cf_dataset_path(r->dataset);
    bool more = true;
    cf_status status;

    while (true) {
        CF_TRY(cli_next_block(&r->lines, &more));
        if (!more) break;
        CF_TRY(read_block(r));
    }
    CF_REQUIRE(r->n_data > 0, CF_ERR_FORMAT, "%s: has no recommendations", path);
    CF_REQUIRE(r->n_known > 0, CF_ERR_FORMAT,
               "%s: none of its users is in %s, the first is \"%s\" (line %" PRId64 ")", path, data,
               r->users.id, r->users.line);
    CF_REQUIRE(r->items.count < r->n_known, CF_ERR_FORMAT,
               "%s: none of its items is in %s, the first is \"%s\" (line %" PRId64 ")", path, data,
               r->items.id, r->items.line);
done:
    return status;
}

/* The ids of the block's users and of all items. Collective. */
static cf_status read_ids(recs *r)
{
    cf_status status;

    CF_TRY(cf_dataset_read_names(r->dataset, CF_USER_IDS, r->shard->first_user, r->shard->n_users,
                                 &r->user_ids));
    CF_TRY(cf_dataset_read_names(r->dataset, CF_ITEM_IDS, 0, r->dataset->n_items, &r->item_ids));
    status = cf_dataset_create_id_index(&r->user_ids, &r->user_index);
    if (status == CF_OK) status = cf_dataset_create_id_index(&r->item_ids, &r->item_index);
    CF_TRY(cf_par_agree(r->dataset->world, status));
done:
    return status;
}

/* ---- Lists ---------------------------------------------------------------------------------- */

static int compare_entries(const void *left, const void *right)
{
    const recs_entry *a = left, *b = right;

    if (a->user != b->user) return a->user < b->user ? -1 : 1;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    if (a->tie != b->tie) return a->tie < b->tie ? -1 : 1;
    return a->line < b->line ? -1 : a->line > b->line;
}

/* Two items at one rank have no order. Local. */
static cf_status check_ranks(const recs *r)
{
    for (int64_t n = 1; n < r->n_entries && r->column[COLUMN_RANK] >= 0; n++) {
        const recs_entry *a = &r->entries[n - 1], *b = &r->entries[n];

        if (a->user == b->user && a->key == b->key)
            return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": user \"%.60s\" has two items at rank %g",
                           r->lines.path, b->line, r->user_ids.bytes + r->user_ids.start[b->user],
                           b->key);
    }
    return CF_OK;
}

/* Lists of the sorted entries, without repeats. Local. */
static cf_status fill_lists(recs *r, cf_lists *out)
{
    int64_t *seen = NULL, count = 0; /* by item: 1 + the last user that has it */
    cf_status status;

    out->count = r->shard->n_users;
    CF_TRY(CF_ALLOC(out->start, out->count + 1));
    CF_TRY(CF_ALLOC(out->index, r->n_entries));
    CF_TRY(CF_ALLOC(seen, r->dataset->n_items));
    for (int64_t n = 0; n < r->n_entries; n++) {
        const recs_entry *entry = &r->entries[n];
        const bool known = entry->item != CF_EVAL_UNKNOWN_ITEM;

        if (known && seen[entry->item] == entry->user + 1) {
            r->n_repeats++;
            continue;
        }
        if (known) seen[entry->item] = entry->user + 1;
        out->index[count++] = entry->item;
        out->start[entry->user + 1] = count;
    }
    for (int64_t u = 0; u < out->count; u++)
        out->start[u + 1] = cf_max(out->start[u + 1], out->start[u]);
done:
    cf_free(&seen);
    return status;
}

/* Collective. */
static cf_status make_lists(recs *r, const cf_grid *grid, cf_lists *out)
{
    cf_status status;

    if (r->n_entries > 0)
        qsort(r->entries, (size_t)r->n_entries, sizeof *r->entries, compare_entries);
    CF_TRY(cf_par_agree_on_input(&grid->world, check_ranks(r)));
    CF_TRY(cf_par_agree(&grid->world, fill_lists(r, out)));
    /* the ranks of a grid row have the same users */
    MPI_Allreduce(MPI_IN_PLACE, &r->n_repeats, 1, MPI_INT64_T, MPI_SUM, grid->column.comm);
done:
    return status;
}

static void warn(const recs *r)
{
    const char *path = r->lines.path, *data = cf_dataset_path(r->dataset);

    if (r->users.count > 0)
        cf_warn("%s: %" PRId64 " lines are left out: their users are not in %s, the first is "
                "\"%s\" (line %" PRId64 ")",
                path, r->users.count, data, r->users.id, r->users.line);
    if (r->items.count > 0)
        cf_warn("%s: %" PRId64 " items are not in %s, the first is \"%s\" (line %" PRId64
                "): they keep their places, as misses",
                path, r->items.count, data, r->items.id, r->items.line);
    if (r->n_repeats > 0)
        cf_warn("%s: %" PRId64 " repeats of an item in a user's list are left out", path,
                r->n_repeats);
}

cf_status cli_read_recs(const cf_dataset *dataset, const cf_grid *grid, const cf_shard *shard,
                        const char *path, cf_lists *out)
{
    recs r = {.dataset = dataset, .shard = shard};
    cf_status status;

    CF_TRY(cli_open_lines(&grid->world, path, &r.lines));
    CF_TRY(read_ids(&r));
    CF_TRY(read_file(&r));
    CF_TRY(make_lists(&r, grid, out));
    warn(&r);
done:
    cli_close_lines(&r.lines);
    cf_dataset_destroy_id_index(&r.user_index);
    cf_dataset_destroy_id_index(&r.item_index);
    cf_dataset_destroy_strings(&r.user_ids);
    cf_dataset_destroy_strings(&r.item_ids);
    cf_free(&r.entries);
    cf_free(&r.flags);
    cf_free(&r.places);
    return status;
}
