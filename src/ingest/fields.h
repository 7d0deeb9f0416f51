/**
 * Inside ingest: text files, from bytes to fields. A byte range belongs to a rank, a range has
 * lines, a line is a record of fields, and a field may be a number. What takes `world` is
 * Collective, all else Local.
 */
#pragma once

#include "cf/ingest.h"

/* ---- Files (file.c) -------------------------------------------------------------------------- */

/** A text file that all ranks can open and read in parts. */
typedef struct ingest_file {
    const char *name; /* as given, for messages; borrowed; NULL: no file */
    const char *path; /* what to open: `name`, or copy_path */
    char *copy_path;  /* an unpacked copy of what is compressed or a pipe; NULL: there is none */
    cf_new_file copy; /* the same, held by rank 0 */
} ingest_file;

/** Open a file, or standard input for "-". What is compressed by gzip, or can be read only once, is
 * copied to a temporary file beside `out`. Close in every case. Errors: IO, FORMAT (compressed data
 * that are damaged), MEMORY. */
cf_status ingest_open_file(const cf_par *world, const char *name, const char *out,
                           ingest_file *file);
/** Local: remove the copy. */
void ingest_close_file(ingest_file *file);

/* ---- Byte ranges (range.c) ------------------------------------------------------------------- */

/**
 * A rank's part of a text file: the lines that begin in bytes begin .. end - 1. A line that begins
 * there and ends later belongs to the range as a whole. ingest_close_text() fills what is known
 * once the range is read: n_lines, first_empty, has_text.
 */
typedef struct ingest_range {
    int64_t begin, end;
    int64_t first_line;  /* number of lines in the ranges before; 0 until that is known */
    int64_t bad_line;    /* of the whole file: the first malformed line; INT64_MAX if none */
    int64_t n_lines;     /* lines read, with the header and empty ones */
    int64_t first_empty; /* number of the first of the empty lines at its end; 0: none */
    bool has_text;       /* it has lines that are not empty */
} ingest_range;

/** Reads the lines of a range; `context` is the caller's. Local. */
typedef cf_status ingest_read_fn(void *context, ingest_range *range);

/** This rank's even part of the file, whose size rank 0 tells. Collective. */
ingest_range ingest_make_range(const cf_par *world, const ingest_file *file);

/**
 * Have each rank read its range of a file. A rank does not know the number of its first line. If a
 * line is malformed, the ranks count their lines, and the ranks that failed call `read` again to
 * get the message with the right line number; `context` is then of no more use. All ranks report
 * the first malformed line of the file.
 *
 * Collective. Errors: those of `read`, the same on all ranks; FORMAT (an empty line at the end of a
 * range with text after it).
 */
cf_status ingest_read_ranges(const cf_par *world, const ingest_file *file, ingest_read_fn *read,
                             void *context, ingest_range *range);

/* ---- Lines (text.c) -------------------------------------------------------------------------- */

enum { INGEST_SLACK = 16 }; /* bytes that may be read after the end of a line's buffer */

/** A text file, read in blocks. Its lines are handed out in the buffer, without a copy. */
typedef struct ingest_text {
    const char *path;    /* its name, for messages; borrowed; NULL: closed */
    ingest_range *range; /* borrowed; NULL: the whole file */
    int fd;
    char *buffer; /* buffer[begin .. end) is not yet handed out; INGEST_SLACK more bytes may be
                     read, and the first of them written */
    int64_t capacity, begin, end;
    int64_t offset;      /* of buffer[0] in the file */
    int64_t size;        /* of the file */
    int64_t stop;        /* lines that begin here or later belong to another range */
    int64_t line;        /* number of the last line handed out, from 1 */
    int64_t first_empty; /* number of the first of the empty lines at the end; 0: none */
    bool has_text;       /* a line was not empty */
    int64_t nul; /* index in the buffer of the first NUL not yet handed out; INT64_MAX: none */
    bool at_end; /* the file has no more bytes than the buffer */
    cf_progress progress;
} ingest_text;

/** Open, and skip a byte order mark. Errors: IO, MEMORY. Close in every case. */
cf_status ingest_open_text(const ingest_file *file, ingest_text *out);
/** From now on hand out only the lines of `range`. Lines handed out before are the first of the
 * file. Errors: IO, MEMORY. */
cf_status ingest_limit_text(ingest_text *text, ingest_range *range);
/** The fraction of the range, or of the file, that was read: 0 to 1. */
double ingest_text_progress(const ingest_text *text);
/**
 * The next line without its "\n" or "\r\n", ended by a NUL, writable and valid until the next call;
 * NULL at the end. Empty lines at the end of the file are ignored. Errors: FORMAT (a NUL byte, an
 * empty line before others), IO, MEMORY.
 */
cf_status ingest_next_line(ingest_text *text, char **line, int64_t *length);
void ingest_close_text(ingest_text *text);

/* ---- Records (records.c) --------------------------------------------------------------------- */

/** A field of a line. INGEST_SLACK bytes behind it may be read. */
typedef struct ingest_field {
    char *text; /* in the line's buffer */
    int64_t length;
} ingest_field;

enum { INGEST_MAX_SEPARATOR = 8 }; /* bytes */

/** How the lines of a delimited file are cut, and where the names of its columns are. */
typedef struct ingest_layout {
    const char *separator;    /* between fields: 1 to INGEST_MAX_SEPARATOR bytes; borrowed */
    bool has_runs;            /* several separators in a row count as one, at the ends as none */
    const char *const *names; /* of the columns; borrowed; NULL: the first line names them */
    int n_names;
} ingest_layout;

/**
 * A delimited file. Unless the layout has the names of the columns, its first line does, "name" or
 * "name:type"; each further line is a record. Where the separator is a comma or a semicolon, fields
 * may be quoted (RFC 4180).
 */
typedef struct ingest_records {
    ingest_text text;
    const char *separator;
    int64_t separator_length;
    bool has_quotes, has_runs;
    int n_columns;
    char *header;         /* the first line as it is; NULL: the layout has the names */
    char *cut_header;     /* the same, cut at separators and colons */
    const char **names;   /* n_columns */
    const char **types;   /* n_columns, "" if not given */
    ingest_field *fields; /* n_columns: the last record */
} ingest_records;

/** Open, read the header, and continue at the range. Errors: those of text, FORMAT. Close in every
 * case. */
cf_status ingest_open_records(const ingest_file *file, const ingest_layout *layout,
                              ingest_range *range, ingest_records *out);
/** The index of the named column; -1 if there is none. The column's type, if given, must be `type`;
 * NULL accepts any. Errors: FORMAT (another type, a name that occurs twice). */
cf_status ingest_find_column(const ingest_records *records, const char *name, const char *type,
                             int *out);
/** The same for a column that must be there. `why`: what needs it, for the message. Errors: FORMAT
 * (there is none: the message has the columns that there are). */
cf_status ingest_require_column(const ingest_records *records, const char *name, const char *type,
                                const char *why, int *out);
/** Cut the next line into records->fields; `*more` is false at the end. Errors: FORMAT (another
 * number of columns, a quote that is not closed), those of text. */
cf_status ingest_next_record(ingest_records *records, bool *more);
/** The number in a column. Errors: FORMAT ("FILE:LINE: COLUMN: "abc" is not a number"). */
cf_status ingest_read_number(const ingest_records *records, int column, double *out);
/** The time in a column, as ingest_parse_time(). Errors: FORMAT. */
cf_status ingest_read_time(const ingest_records *records, int column, double *out);
/** Refuse an empty id. Errors: FORMAT. */
cf_status ingest_check_id(const ingest_records *records, int column);
void ingest_close_records(ingest_records *records);

/** Cut a line, which is changed, into records->fields; `*n`: how many fields there are, of which
 * n_columns are kept (cut.c). Errors: FORMAT (a quote that is not closed, text behind a quoted
 * field). */
cf_status ingest_cut_line(ingest_records *records, char *line, int64_t length, int64_t *n);

/* ---- Numbers and messages (number.c, time.c)
 * --------------------------------------------------------- */

/** Parse a decimal number with fraction and exponent and nothing before or after. False if the text
 * is not one, or is not finite. */
bool ingest_parse_number(const char *text, int64_t length, double *out);
/** Parse a time: a number, which is taken as it is, or a date of ISO 8601, 2022-03-01 or
 * 2022-03-01T12:34:56Z, in seconds since 1970 UTC (time.c). False if the text is neither. */
bool ingest_parse_time(const char *text, int64_t length, double *out);
/** Input made fit for a message: at most 40 bytes, control characters as '?'. Static buffer. */
const char *ingest_excerpt(const char *text, int64_t length);
