/* Which format a file of interactions has.
 *
 *   a header      its first line names the column of users or of items
 *   interactions  no header; a line is user, item, perhaps rating, perhaps time
 *   lists         no header; a line is a user and its items, with spaces (LightGCN's text)
 *
 * A first line that names neither column and has a number is no header. With another separator than
 * a space such lines are interactions. With spaces, "1 2 3" may be both, so all lines are looked
 * at, each rank at those of its range:
 *
 *   another number of words on some line             lists
 *   3 or 4 words on each, one of them no whole number  interactions
 *   3 or 4 words on each, and a user on two lines     interactions: a list has all items of a user
 *   3 or 4 words on each, and no user twice           not known: as the files before, else refused
 *   5 words or more on each, and a user on two lines  refused
 *
 * Two words are one interaction in either format. The users of a rank are kept, by number, until
 * one of them is found twice; only if no rank has found one do they travel to the owner of each.
 * The answer thus depends on the file alone, not on the ranks. */
#include "interactions.h"

#include "cf/math.h"

#include <inttypes.h>
#include <string.h>

enum {
    MAX_COLUMNS = INGEST_MAX_NAMES,
    FIRST_CHECK = 1024 /* users among which a repeat is looked for first, then twice as many */
};

/* ---- Users that come twice ------------------------------------------------------------------- */

/* Users of lines, by number. */
typedef struct line_users {
    uint64_t *user; /* count */
    int64_t count, capacity;
    int64_t next_check; /* count at which they are compared */
    bool repeated;      /* one was there twice: no more are kept */
} line_users;

/* Compare what is kept: sorted, equal ones are neighbours. */
static cf_status find_repeat(line_users *users)
{
    uint64_t *scratch = NULL;
    cf_status status = CF_ALLOC(scratch, users->count);

    if (status != CF_OK) return status;
    cf_sort_u64(users->user, scratch, users->count);
    for (int64_t k = 1; k < users->count && !users->repeated; k++)
        users->repeated = users->user[k - 1] == users->user[k];
    cf_free(&scratch);
    return CF_OK;
}

static cf_status add_user(line_users *users, uint64_t user)
{
    cf_status status = CF_OK;

    if (users->repeated) return CF_OK;
    CF_TRY(CF_GROW(users->user, users->capacity, users->count + 1));
    users->user[users->count++] = user;
    if (users->count < users->next_check) goto done;
    users->next_check *= 2;
    CF_TRY(find_repeat(users));
done:
    return status;
}

/* Send each user to its owner, the rank of its remainder, who sees those of all ranks. */
static cf_status exchange_users(const cf_par *world, line_users *users)
{
    int64_t *count = NULL, *got = NULL, *next = NULL;
    uint64_t *send = NULL, *received = NULL;
    cf_status status;

    status = CF_ALLOC(count, world->size);
    if (status == CF_OK) status = CF_ALLOC(got, world->size);
    if (status == CF_OK) status = CF_ALLOC(next, world->size);
    if (status == CF_OK) status = CF_ALLOC(send, users->count);
    CF_TRY(cf_par_agree(world, status));
    for (int64_t k = 0; k < users->count; k++)
        count[users->user[k] % (uint64_t)world->size]++;
    for (int r = 1; r < world->size; r++)
        next[r] = next[r - 1] + count[r - 1];
    for (int64_t k = 0; k < users->count; k++)
        send[next[users->user[k] % (uint64_t)world->size]++] = users->user[k];
    CF_TRY(cf_par_exchange(world, sizeof *send, count, send, got, &received));
    cf_free(&users->user);
    users->user = received;
    received = NULL;
    users->count = 0;
    for (int r = 0; r < world->size; r++)
        users->count += got[r];
done:
    cf_free(&count);
    cf_free(&got);
    cf_free(&next);
    cf_free(&send);
    return status;
}

/* Whether a user is on two lines of the file. */
static cf_status find_repeat_on_all(const cf_par *world, line_users *users, bool *out)
{
    cf_status status = users->repeated ? CF_OK : find_repeat(users);

    CF_TRY(cf_par_agree(world, status));
    if (!cf_par_any(world, users->repeated)) {
        CF_TRY(exchange_users(world, users));
        CF_TRY(cf_par_agree(world, find_repeat(users)));
    }
    *out = cf_par_any(world, users->repeated);
done:
    return status;
}

/* ---- Lines of words -------------------------------------------------------------------------- */

/* What a rank has seen of its lines. */
typedef struct line_scan {
    int64_t n_words; /* of the first line of the file */
    bool varies;     /* a line has another number of words: nothing else counts */
    bool has_other;  /* a word is no whole number */
    line_users users;
} line_scan;

/* Count the words of a line; `*user`: the first one as a number (beyond 2^64: its remainder). */
static int64_t count_words(const char *line, bool *has_other, uint64_t *user)
{
    int64_t n = 0;

    *user = 0;
    for (line += strspn(line, " "); *line != 0; line += strspn(line, " ")) {
        for (; *line != 0 && *line != ' '; line++) {
            const unsigned digit = (unsigned)(*line - '0');

            if (digit > 9) *has_other = true;
            if (n == 0) *user = *user * 10 + digit;
        }
        n++;
    }
    return n;
}

/* Local: look at the lines of a range. Malformed ones are for the reading to report. */
static cf_status scan_lines(const ingest_file *file, ingest_range *range, line_scan *scan)
{
    ingest_text text;
    uint64_t user;
    int64_t length;
    char *line;
    cf_status status;

    CF_TRY(ingest_open_text(file, &text));
    CF_TRY(ingest_limit_text(&text, range));
    while (!scan->varies) {
        status = ingest_next_line(&text, &line, &length);
        if (status != CF_ERR_FORMAT) CF_TRY(status);
        if (line == NULL) break;
        scan->varies = count_words(line, &scan->has_other, &user) != scan->n_words;
        CF_TRY(add_user(&scan->users, user));
    }
    status = CF_OK;
done:
    ingest_close_text(&text);
    return status;
}

/* ---- The format ------------------------------------------------------------------------------ */

/* What the first line of a file says. */
typedef struct first_line {
    bool has_header; /* it names columns, or must be meant to: else there is a number in it */
    bool has_digits; /* it has nothing but digits and spaces */
    int n;           /* fields, cut as below */
    const char *separator;
} first_line;

/* Whether a column has one of the names. */
static bool names_ids(const cf_ingest_options *options, const ingest_records *records)
{
    for (int c = 0; c < records->n_columns; c++)
        if (strcmp(records->names[c], options->user_field) == 0 ||
            strcmp(records->names[c], options->item_field) == 0)
            return true;
    return false;
}

static bool has_number(const ingest_records *records)
{
    double value;

    for (int c = 0; c < records->n_columns; c++)
        if (ingest_parse_number(records->names[c], (int64_t)strlen(records->names[c]), &value))
            return true;
    return false;
}

/* Lines without a header have what separates the fields of others, or tabs, or spaces. */
static const char *find_separator(const cf_ingest_options *options, const char *line)
{
    if (strstr(line, options->field_separator) != NULL) return options->field_separator;
    return strchr(line, '\t') != NULL ? "\t" : " ";
}

/* Local: read the first line. `*bytes`: the size of the file. */
static cf_status read_first_line(const cf_ingest_options *options, const ingest_file *file,
                                 first_line *out, int64_t *bytes)
{
    ingest_layout layout = {.separator = options->field_separator};
    ingest_range all = {.end = INT64_MAX};
    ingest_records records;
    cf_status status;

    CF_TRY(ingest_open_records(file, &layout, &all, &records));
    *bytes = records.text.size;
    out->has_header = names_ids(options, &records);
    out->separator = layout.separator = find_separator(options, records.header);
    out->has_digits = records.header[strspn(records.header, "0123456789 ")] == 0;
    if (out->has_header) goto done;
    layout.has_runs = strcmp(layout.separator, " ") == 0;
    ingest_close_records(&records);
    CF_TRY(ingest_open_records(file, &layout, &all, &records));
    out->n = records.n_columns;
    if (options->headerless == CF_INGEST_AUTO && !out->has_digits)
        out->has_header = out->n < 2 || out->n > MAX_COLUMNS || !has_number(&records);
done:
    ingest_close_records(&records);
    return status;
}

/* Tell by all lines of whole numbers. CF_INGEST_AUTO: they may be both. */
static cf_status tell_by_lines(const cf_par *world, const ingest_file *file, int64_t n_words,
                               cf_ingest_lines *out)
{
    line_scan scan = {.n_words = n_words, .users = {.next_check = FIRST_CHECK}};
    ingest_range range = ingest_make_range(world, file);
    bool varies, has_other, repeated = false;
    cf_status status;

    CF_TRY(cf_par_agree_on_input(world, scan_lines(file, &range, &scan)));
    varies = cf_par_any(world, scan.varies);
    has_other = cf_par_any(world, scan.has_other);
    if (!varies && !has_other) CF_TRY(find_repeat_on_all(world, &scan.users, &repeated));
    CF_REQUIRE(
        varies || n_words <= MAX_COLUMNS || !(has_other || repeated), CF_ERR_FORMAT,
        "%s: %" PRId64 " words on each line, and no header: expected user, item, rating and "
        "time, or a user on one line with all its items; give it a header, or set headerless",
        file->name, n_words);
    *out = varies || n_words > MAX_COLUMNS ? CF_INGEST_LISTS
           : has_other || repeated         ? CF_INGEST_RATINGS
                                           : CF_INGEST_AUTO;
done:
    cf_free(&scan.users.user);
    return status;
}

/* What lines without a header are, by the setting, by themselves, or by an earlier file. */
static cf_status tell_lines(const cf_par *world, const cf_ingest_options *options,
                            const ingest_file *file, const first_line *first,
                            cf_ingest_lines *known)
{
    cf_ingest_lines lines = options->headerless;
    cf_status status = CF_OK;

    if (lines == CF_INGEST_AUTO && !first->has_digits)
        lines = CF_INGEST_RATINGS;
    else if (lines == CF_INGEST_AUTO)
        CF_TRY(tell_by_lines(world, file, first->n, &lines));
    CF_REQUIRE(lines != CF_INGEST_RATINGS || (first->n >= 2 && first->n <= MAX_COLUMNS),
               CF_ERR_FORMAT,
               "%s:1: %d columns and no header, expected user, item, perhaps rating, perhaps time",
               file->name, first->n);
    if (lines != CF_INGEST_AUTO) *known = lines;
    CF_REQUIRE(
        *known != CF_INGEST_AUTO, CF_ERR_FORMAT,
        "%s: %d whole numbers on each line, and no user twice: these may be user, item%s, or "
        "a user and %d items; set headerless to ratings or lists, or give it a header",
        file->name, first->n, first->n == 3 ? " and rating" : ", rating and time", first->n - 1);
done:
    return status;
}

/* All ranks read the first line; each then reads its own range, if that does not tell. */
cf_status ingest_find_format(const cf_par *world, const cf_ingest_options *options,
                             const ingest_file *file, cf_ingest_lines *known, ingest_format *out)
{
    first_line first = {0};
    cf_status status;

    *out = (ingest_format){.layout = {.separator = options->field_separator},
                           .names = {options->user_field, options->item_field,
                                     options->rating_field, options->time_field}};
    CF_TRY(cf_par_agree_on_input(world, read_first_line(options, file, &first, &out->bytes)));
    if (first.has_header) goto done;
    if (options->headerless == CF_INGEST_AUTO && first.has_digits && first.n <= 2) {
        out->is_lightgcn = true; /* one interaction a line, in either format */
        goto done;
    }
    CF_TRY(tell_lines(world, options, file, &first, known));
    out->is_lightgcn = *known == CF_INGEST_LISTS;
    if (out->is_lightgcn) goto done;
    out->layout = (ingest_layout){.separator = first.separator,
                                  .has_runs = strcmp(first.separator, " ") == 0,
                                  .names = out->names,
                                  .n_names = first.n};
    cf_log("%s: no header, a line is user, item%s", file->name,
           first.n == 2   ? ""
           : first.n == 3 ? ", rating"
                          : ", rating, time");
done:
    return status;
}
