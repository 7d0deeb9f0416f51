/* Files of interactions: lines, fields, numbers, RecBole's records and LightGCN's lines.
 *
 * An input is the separator of fields (1 byte; ':' stands for "::"), a way to read (1 byte: 't'
 * orders by time, 'v' keeps ratings of an interval, anything else gives a part of a split), and the
 * file. Required:
 *
 *   lines    the same, or the same error, when 2 to 4 ranks read a range each
 *   fields   without separators, unless they may be quoted; quoted, written and read again, the
 * same numbers  those of a grammar written out here, with the value of strtod(), and no byte beyond
 *   pairs    the same on all ranks as on one; what is accepted, written as records and read again,
 *            is the same */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "ingest/split.h"

enum { MAX_RANGES = 4, MESSAGE = 1024 };

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* Read the lines of a range; `hash` goes on with them. */
static cf_status read_lines(const ingest_file *file, ingest_range *range, uint64_t *hash)
{
    ingest_text text;
    char *line;
    int64_t length;
    cf_status status;

    CF_TRY(ingest_open_text(file, &text));
    CF_TRY(ingest_limit_text(&text, range));
    for (;;) {
        CF_TRY(ingest_next_line(&text, &line, &length));
        if (line == NULL) break;
        FUZZ_REQUIRE(length > 0 && (int64_t)strlen(line) == length);
        *hash = mix(*hash, ingest_hash(line, length));
    }
done:
    ingest_close_text(&text);
    return status;
}

/* Read the lines in `n` ranges, one after the other. `error`: the first one of the file, or "". An
 * empty line at the end of a range is one if a later range has text. */
static void read_ranges(const char *path, int64_t size, int n, uint64_t *hash, char error[MESSAGE])
{
    const ingest_file file = {.name = path, .path = path};
    char message[MAX_RANGES][MESSAGE];
    ingest_range range[MAX_RANGES];
    int64_t first_line = 0;
    bool text_follows = false;

    for (int r = 0; r < n; r++) {
        range[r] = (ingest_range){
            .begin = cf_par_even_start(size, n, r),
            .end = r < n - 1 ? cf_par_even_start(size, n, r + 1) : INT64_MAX,
            .first_line = first_line,
        };
        const cf_status status = read_lines(&file, &range[r], hash);

        snprintf(message[r], MESSAGE, "%s", status == CF_OK ? "" : cf_error_message());
        if (status != CF_OK) fuzz_check_error(status);
        first_line += range[r].n_lines;
    }
    error[0] = 0;
    for (int r = n - 1; r >= 0; r--) {
        if (message[r][0])
            strcpy(error, message[r]);
        else if (range[r].first_empty > 0 && text_follows)
            snprintf(error, MESSAGE, "%s:%lld: an empty line", path,
                     (long long)range[r].first_empty);
        text_follows = text_follows || range[r].has_text;
    }
}

static void check_ranges(const char *path, int64_t size)
{
    uint64_t whole = 0;
    char whole_error[MESSAGE];

    read_ranges(path, size, 1, &whole, whole_error);
    for (int n = 2; n <= MAX_RANGES; n++) {
        uint64_t hash = 0;
        char error[MESSAGE];

        read_ranges(path, size, n, &hash, error);
        FUZZ_REQUIRE(strcmp(error, whole_error) == 0);
        FUZZ_REQUIRE(hash == whole || error[0]);
    }
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static const char *skip_digits(const char *at)
{
    return at + strspn(at, "0123456789");
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before or after the point. */
static bool is_number(const char *at)
{
    const char *begin = at += *at == '+' || *at == '-', *point;

    point = at = skip_digits(at);
    if (*at == '.') at = skip_digits(at + 1);
    if (at == begin || (at == point + 1 && point == begin)) return false;
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        begin = at;
        at = skip_digits(at);
        if (at == begin) return false;
    }
    return *at == 0;
}

/* The text lies in memory of its exact size, so that a sanitizer sees a read beyond it. */
static void check_number(const char *text, int64_t length)
{
    char *exact = malloc((size_t)cf_max(length, 1)), *copy = malloc((size_t)length + 1);
    double value = -1, want;

    FUZZ_REQUIRE(exact != NULL && copy != NULL);
    memcpy(exact, text, (size_t)length);
    memcpy(copy, text, (size_t)length);
    copy[length] = 0;
    want = strtod(copy, NULL);
    if (ingest_parse_number(exact, length, &value))
        FUZZ_REQUIRE(is_number(copy) && memcmp(&value, &want, sizeof want) == 0);
    else
        FUZZ_REQUIRE(!is_number(copy) || !isfinite(want) || length > 63);
    free(exact);
    free(copy);
}

/* Write a field in quotes, with quotes within it doubled. */
static void put_quoted(FILE *copy, const ingest_field *field)
{
    fputc('"', copy);
    for (int64_t k = 0; k < field->length; k++)
        fprintf(copy, field->text[k] == '"' ? "\"\"" : "%c", field->text[k]);
    fputc('"', copy);
}

static void check_field(const ingest_records *records, const ingest_field *field)
{
    const size_t size = strlen(records->separator);

    check_number(field->text, field->length);
    if (records->has_quotes) return;
    FUZZ_REQUIRE(memmem(field->text, (size_t)field->length, records->separator, size) == NULL);
    FUZZ_REQUIRE(field->text[field->length] == 0 ||
                 memcmp(field->text + field->length, records->separator, size) == 0);
}

/* All fields of all records up to the first malformed one. Returns a hash of them. `copy`: they are
 * written to it, in quotes. */
static uint64_t check_fields(const char *path, const char *separator, FILE *copy)
{
    const ingest_file file = {.name = path, .path = path};
    ingest_range range = {.end = INT64_MAX};
    ingest_records records;
    uint64_t hash = 0;
    bool more;
    cf_status status;

    CF_TRY(ingest_open_records(&file, &(ingest_layout){.separator = separator}, &range, &records));
    for (int c = 0; c < records.n_columns && copy != NULL; c++)
        fprintf(copy, "%sc", c > 0 ? separator : "");
    for (;;) {
        CF_TRY(ingest_next_record(&records, &more));
        if (!more) break;
        for (int c = 0; c < records.n_columns; c++) {
            const ingest_field *field = &records.fields[c];

            check_field(&records, field);
            hash = mix(hash, ingest_hash(field->text, field->length));
            if (copy != NULL) fprintf(copy, "%s", c > 0 ? separator : "\n");
            if (copy != NULL) put_quoted(copy, field);
        }
    }
done:
    if (status != CF_OK) fuzz_check_error(status);
    ingest_close_records(&records);
    return hash;
}

static void check_quotes(const char *path, const char *separator)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *copy = open_memstream(&bytes, &size);
    uint64_t hash;

    FUZZ_REQUIRE(copy != NULL);
    hash = check_fields(path, separator, copy);
    FUZZ_REQUIRE(fclose(copy) == 0);
    FUZZ_REQUIRE(check_fields(fuzz_file(1, bytes, size), separator, NULL) == hash);
    free(bytes);
}

/* ---- Interactions ---------------------------------------------------------------------------- */

/* What reading a file gave, over all ranks. */
typedef struct reading {
    cf_status status;
    char message[MESSAGE];
    int64_t lines, count;
    uint64_t pairs, keys; /* sums of hashes: the order of interactions is lost */
} reading;

static const char *id_of(const ingest_id_table *table, uint32_t number)
{
    FUZZ_REQUIRE(number < table->count);
    return table->bytes + table->start[number];
}

/* Read a file. `copy`: if not NULL, the pairs are written to it, as records. A third column keeps
 * the last id apart from the line's end. */
static reading read_pairs(const cf_par *par, const cf_ingest_options *options, const char *path,
                          int part, FILE *copy)
{
    ingest_interactions inter = {0};
    const ingest_file file = {.name = path, .path = path};
    reading r = {.status = ingest_read_interactions(par, options, &file, part, &inter)};

    if (r.status != CF_OK) {
        fuzz_check_error(r.status);
        strcpy(r.message, cf_error_message());
    }
    for (int64_t k = 0; k < inter.count && r.status == CF_OK; k++) {
        const char *user = id_of(&inter.user_ids, ingest_user(inter.pairs[k]));
        const char *item = id_of(&inter.item_ids, ingest_item(inter.pairs[k]));
        const uint64_t pair =
            mix(ingest_hash(user, (int64_t)strlen(user)), ingest_hash(item, (int64_t)strlen(item)));

        r.pairs += pair;
        for (int w = 0; w < inter.key_words; w++)
            r.keys += mix(pair, inter.keys[k * inter.key_words + w]);
        if (copy != NULL) fprintf(copy, "%s\t%s\t\n", user, item);
    }
    r.lines = inter.n_lines;
    r.count = inter.count;
    ingest_destroy_interactions(&inter);
    MPI_Allreduce(MPI_IN_PLACE, &r.lines, 1, MPI_INT64_T, MPI_SUM, par->comm);
    MPI_Allreduce(MPI_IN_PLACE, &r.count, 1, MPI_INT64_T, MPI_SUM, par->comm);
    MPI_Allreduce(MPI_IN_PLACE, &r.pairs, 1, MPI_UINT64_T, MPI_SUM, par->comm);
    MPI_Allreduce(MPI_IN_PLACE, &r.keys, 1, MPI_UINT64_T, MPI_SUM, par->comm);
    return r;
}

static int64_t count_tabs(const char *bytes, size_t size)
{
    int64_t n = 0;

    for (size_t k = 0; k < size; k++)
        n += bytes[k] == '\t';
    return n;
}

static void check_pairs(const cf_ingest_options *options, const char *path, int part)
{
    cf_ingest_options plain = *options;
    char *bytes = NULL;
    size_t size = 0;
    FILE *copy = open_memstream(&bytes, &size);
    reading one, all, back;

    FUZZ_REQUIRE(copy != NULL);
    fprintf(copy, "user_id:token\titem_id:token\tend\n");
    one = read_pairs(&fuzz_self, options, path, part, copy);
    FUZZ_REQUIRE(fclose(copy) == 0);
    all = read_pairs(&fuzz_world, options, path, part, NULL);
    FUZZ_REQUIRE(all.status == one.status && strcmp(all.message, one.message) == 0);
    if (one.status == CF_OK) {
        FUZZ_REQUIRE(one.count == one.lines);
        FUZZ_REQUIRE(all.lines == one.lines && all.count == one.count);
        FUZZ_REQUIRE(all.pairs == one.pairs && all.keys == one.keys);
    }
    /* a tab may be part of an id where it does not separate fields */
    if (one.status == CF_OK && one.count > 0 && count_tabs(bytes, size) == 2 * (one.count + 1)) {
        plain.field_separator = "\t";
        plain.by_time = false;
        plain.n_filters = 0;
        back = read_pairs(&fuzz_self, &plain, fuzz_file(1, bytes, size), INGEST_NO_PART, NULL);
        FUZZ_REQUIRE(back.status == CF_OK && back.count == one.count && back.pairs == one.pairs);
    }
    free(bytes);
}

void fuzz_input(const uint8_t *data, size_t size)
{
    char separator[3] = {0};
    cf_ingest_options options = {.field_separator = separator,
                                 .seq_separator = ' ',
                                 .user_field = "user_id",
                                 .item_field = "item_id",
                                 .time_field = "timestamp",
                                 .rating_field = "rating",
                                 .label_field = "label"};
    const char *path;

    /* the settings take any character but these as a separator */
    if (size < 2 || memchr("\n\r\"", data[0], 4) != NULL) return;
    memset(separator, data[0], data[0] == ':' ? 2 : 1);
    options.by_time = data[1] == 't';
    if (data[1] == 'v') {
        options.n_filters = 1;
        options.filter_field[0] = "rating";
        FUZZ_REQUIRE(ingest_parse_intervals("", "(-1,2];[3,inf)", &options.filter[0]) == CF_OK);
    }
    path = fuzz_file(0, data + 2, size - 2);
    check_ranges(path, (int64_t)size - 2);
    if (separator[0] == ',' || separator[0] == ';')
        check_quotes(path, separator);
    else
        check_fields(path, separator, NULL);
    check_pairs(&options, path,
                options.by_time || options.n_filters > 0 ? INGEST_NO_PART : INGEST_VALID);
}
