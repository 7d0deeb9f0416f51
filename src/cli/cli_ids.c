/* Ids that people write: lists of one id a line, and of pairs of user and item, in files; and words
 * of the command line. Blank lines are ignored, line ends are those of any system. Every rank reads
 * the whole file and has the same ids in the same order, each with the number of its line. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Lists ---------------------------------------------------------------------------------- */

/* A list that grows: `capacity` of start, bytes and line. */
typedef struct growing {
    cli_ids ids;
    int64_t capacity[3];
} growing;

static cf_status append_id(growing *list, const char *id, int64_t line)
{
    cf_strings *text = &list->ids.text;
    const int64_t end = text->count > 0 ? text->start[text->count] : 0;
    const int64_t length = (int64_t)strlen(id);
    cf_status status;

    /* start has count + 1 offsets; the bytes keep a NUL after each id */
    CF_TRY(CF_GROW(text->start, list->capacity[0], text->count + 2));
    CF_TRY(CF_GROW(text->bytes, list->capacity[1], end + length + 1));
    CF_TRY(CF_GROW(list->ids.line, list->capacity[2], text->count + 1));
    memcpy(text->bytes + end, id, (size_t)length + 1);
    list->ids.line[text->count] = line;
    text->start[++text->count] = end + length + 1;
done:
    return status;
}

void cli_free_ids(cli_ids *ids)
{
    cf_dataset_destroy_strings(&ids->text);
    cf_free(&ids->line);
}

cf_status cli_take_words(const cli_arguments *arguments, const char *name, cli_ids *out)
{
    growing list = {0};
    cf_status status = CF_OK;

    for (int n = 0; cli_word(arguments, name, n) != NULL; n++)
        CF_TRY(append_id(&list, cli_word(arguments, name, n), 0));
    list.ids.origin = name;
    *out = list.ids;
    list.ids = (cli_ids){0};
done:
    cli_free_ids(&list.ids);
    return status;
}

/* ---- Files ---------------------------------------------------------------------------------- */

/* What takes a line that is not blank, without its end. */
typedef cf_status line_fn(void *context, char *line, int64_t number);

/* The text of a line, which ends where its line end was: past UTF-8's byte order mark, which some
 * editors put at the beginning of a file. */
static char *trim_line(char *line, int64_t length, int64_t number)
{
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    line[length] = '\0';
    return line + (number == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
}

/* getline() grows its own buffer, so an id may have any length; a zero byte would end it early. It
 * also ends before the end of the file where memory does, which ferror() does not say. `what` is
 * expected. */
static cf_status read_lines(const char *path, const char *what, line_fn *take, void *context)
{
    FILE *file = fopen(path, "r");
    int64_t number = 0, taken = 0;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    cf_status status = CF_OK;

    if (file == NULL) return CF_FAIL(CF_ERR_IO, "%s: cannot open (%s)", path, strerror(errno));
    while ((length = getline(&line, &size, file)) >= 0) {
        char *text;

        number++; /* blank lines count, so that it is the editor's line number */
        CF_REQUIRE(strlen(line) == (size_t)length, CF_ERR_FORMAT,
                   "%s:%lld: has a zero byte, expected %s", path, (long long)number, what);
        text = trim_line(line, length, number);
        if (*text == '\0') continue;
        CF_TRY(take(context, text, number));
        taken++;
    }
    CF_REQUIRE(feof(file) || ferror(file), CF_ERR_MEMORY, "%s: out of memory", path);
    CF_REQUIRE(!ferror(file), CF_ERR_IO, "%s: cannot read (%s)", path, strerror(errno));
    CF_REQUIRE(taken > 0, CF_ERR_FORMAT, "%s: is empty, expected %s", path, what);
done:
    free(line);
    fclose(file);
    return status;
}

static cf_status take_id(void *context, char *line, int64_t number)
{
    return append_id(context, line, number);
}

cf_status cli_read_ids(const char *path, cli_ids *out)
{
    growing list = {0};
    cf_status status;

    CF_TRY(read_lines(path, "one id a line", take_id, &list));
    list.ids.origin = path;
    *out = list.ids;
    list.ids = (cli_ids){0};
done:
    cli_free_ids(&list.ids);
    return status;
}

/* ---- Pairs ---------------------------------------------------------------------------------- */

enum { MAX_FIELDS = 64 };
static const char *const pair_column[2] = {"user_id", "item_id"};

/* A file of pairs being read. */
typedef struct pair_reader {
    const char *path;
    growing list[2]; /* users, items */
    bool begun;      /* the first line was seen */
    int n_fields;    /* of a line; of more than these two only with a header */
    int column[2];   /* of user and item among them */
} pair_reader;

/* Cut a line at its tabs; one without any at its blanks. At most MAX_FIELDS; returns their number,
 * MAX_FIELDS + 1 if there are more. */
static int split_line(char *line, char *fields[MAX_FIELDS])
{
    const bool has_tab = strchr(line, '\t') != NULL;
    const char *separator = has_tab ? "\t" : " ";
    int n = 0;

    if (!has_tab) line += strspn(line, " ");
    while (n < MAX_FIELDS && (has_tab || *line != '\0')) {
        const size_t length = strcspn(line, separator);
        const bool last = line[length] == '\0';

        fields[n++] = line;
        line[length] = '\0';
        if (last) return n;
        line += length + 1;
        if (!has_tab) line += strspn(line, " ");
    }
    return has_tab || *line != '\0' ? MAX_FIELDS + 1 : n;
}

/* Is the field `name`, also with a type behind it, as in RecBole's "user_id:token"? */
static bool is_column(const char *field, const char *name)
{
    const size_t length = strlen(name);

    return strncmp(field, name, length) == 0 && (field[length] == '\0' || field[length] == ':');
}

/* A first line that names both columns is a header; else there are two fields a line. */
static bool read_header(pair_reader *reader, char *const *fields, int n)
{
    int found = 0;

    reader->begun = true;
    for (int c = 0; c < 2; c++)
        for (int k = 0; k < n; k++)
            if (is_column(fields[k], pair_column[c])) {
                reader->column[c] = k;
                found++;
                break;
            }
    reader->n_fields = found == 2 ? n : 2;
    if (found == 2) return true;
    reader->column[0] = 0;
    reader->column[1] = 1;
    return false;
}

static cf_status take_pair(void *context, char *line, int64_t number)
{
    pair_reader *reader = context;
    char *fields[MAX_FIELDS];
    const int n = split_line(line, fields);
    cf_status status = CF_OK;

    CF_REQUIRE(n <= MAX_FIELDS, CF_ERR_FORMAT, "%s:%lld: more than %d fields", reader->path,
               (long long)number, MAX_FIELDS);
    if (!reader->begun && read_header(reader, fields, n)) return CF_OK;
    CF_REQUIRE(n == reader->n_fields, CF_ERR_FORMAT,
               "%s:%lld: %d fields, expected %d: user and item, with a tab or blanks between them, "
               "or a header with user_id and item_id",
               reader->path, (long long)number, n, reader->n_fields);
    for (int c = 0; c < 2; c++) {
        const char *id = fields[reader->column[c]];

        CF_REQUIRE(*id != '\0', CF_ERR_FORMAT, "%s:%lld: %s is empty", reader->path,
                   (long long)number, pair_column[c]);
        CF_TRY(append_id(&reader->list[c], id, number));
    }
done:
    return status;
}

cf_status cli_read_pairs(const char *path, cli_ids out[2])
{
    pair_reader reader = {.path = path};
    cf_status status;

    CF_TRY(read_lines(path, "lines of user and item", take_pair, &reader));
    CF_REQUIRE(reader.list[0].ids.text.count > 0, CF_ERR_FORMAT,
               "%s: has a header alone, expected lines of user and item", path);
    for (int c = 0; c < 2; c++) {
        reader.list[c].ids.origin = path;
        out[c] = reader.list[c].ids;
        reader.list[c].ids = (cli_ids){0};
    }
done:
    cli_free_ids(&reader.list[0].ids);
    cli_free_ids(&reader.list[1].ids);
    return status;
}

/* ---- Numbers -------------------------------------------------------------------------------- */

/* file:line of an id, or the option that it is a value of; of the command line. */
static cf_status fail_id(const cli_ids *ids, int64_t k, const char *what)
{
    const char *id = ids->text.bytes + ids->text.start[k];

    if (ids->line[k] == 0)
        return CF_FAIL(CF_ERR_USAGE, "--%s: \"%.200s\" %s", ids->origin, id, what);
    return CF_FAIL(CF_ERR_FORMAT, "%s:%lld: \"%.200s\" %s", ids->origin, (long long)ids->line[k],
                   id, what);
}

cf_status cli_find_ids(const cf_dataset *dataset, cf_name_kind which, const cli_ids *ids,
                       int64_t **out)
{
    const char *kind = which == CF_USER_IDS ? "user" : "item";
    char what[CF_LINE_SIZE];
    int64_t *numbers = NULL, bad = 0;
    cf_status status = CF_ALLOC(numbers, ids->text.count);

    CF_TRY(cf_par_agree(dataset->world, status));
    CF_TRY(cf_dataset_find(dataset, which, &ids->text, numbers));
    while (bad < ids->text.count && numbers[bad] >= 0)
        bad++;
    if (bad < ids->text.count) {
        snprintf(what, sizeof what, "is no %s of %s", kind, cf_dataset_path(dataset));
        CF_TRY(fail_id(ids, bad, what));
    }
    *out = numbers;
    numbers = NULL;
done:
    cf_free(&numbers);
    return status;
}

/* Numbers are sorted to find one that comes twice; its second place is named. */
cf_status cli_check_distinct(const cli_ids *ids, const int64_t *numbers)
{
    uint64_t *sorted = NULL, *scratch = NULL;
    int64_t twice = -1;
    bool seen = false;
    cf_status status = CF_OK;

    CF_TRY(CF_ALLOC(sorted, ids->text.count));
    CF_TRY(CF_ALLOC(scratch, ids->text.count));
    for (int64_t k = 0; k < ids->text.count; k++)
        sorted[k] = (uint64_t)numbers[k];
    cf_sort_u64(sorted, scratch, ids->text.count);
    for (int64_t k = 1; k < ids->text.count && twice < 0; k++)
        if (sorted[k] == sorted[k - 1]) twice = (int64_t)sorted[k];
    for (int64_t k = 0; k < ids->text.count && twice >= 0; k++)
        if (numbers[k] == twice) {
            if (seen) CF_TRY(fail_id(ids, k, "is listed twice"));
            seen = true;
        }
done:
    cf_free(&sorted);
    cf_free(&scratch);
    return status;
}
