/** Pseudo-random files of many lengths, so that the ranks' byte ranges end at every position of a
 * line; and the outcome of one rank compared with that of all. */
#pragma once

#include "fixture.h"

#include <math.h>
#include <sys/stat.h>

enum { MOST = 1 << 18 };

/* ---- Pseudo-random files --------------------------------------------------------------------- */

typedef struct writer {
    char bytes[MOST];
    size_t size;
    uint64_t seed, n; /* which file, and draws so far */
} writer;

static inline int below(writer *w, int n)
{
    return (int)cf_random_below((cf_random){9, CF_STREAM_TEST}, w->seed, w->n++, 0, n);
}

__attribute__((format(printf, 2, 3))) static inline void put(writer *w, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    w->size += (size_t)vsnprintf(w->bytes + w->size, MOST - w->size, format, arguments);
    va_end(arguments);
    assert_true(w->size < MOST);
}

/* Some files have numbers as ids, some of these with leading zeros; some have long ids. */
static inline void put_id(writer *w, char kind, int number)
{
    const int style = (int)(w->seed % 4);

    if (style == 0) put(w, "%d", number);
    if (style == 1) put(w, "%c%d", kind, number);
    if (style == 2) put(w, "%s%d", number == 7 ? "0" : "", number);
    if (style == 3) put(w, "%c_is_a_rather_long_id_of_number_%d", kind, number);
}

static inline const char *line_end(const writer *w)
{
    return w->seed % 3 == 1 ? "\r\n" : "\n";
}

/* The last line may lack its line end, or be followed by empty lines. */
static inline const char *finish(writer *w, const char *name)
{
    const int what = below(w, 3);

    if (what == 0) w->size -= strlen(line_end(w));
    if (what == 1)
        for (int k = below(w, 12); k > 0; k--)
            put(w, "%s", line_end(w));
    return put_bytes(name, w->bytes, w->size);
}

static inline void put_note(writer *w)
{
    if (below(w, 20) == 0)
        put(w, "%.*s", below(w, 400),
            "a note that is longer than what others have to say, ......"
            "........................................................."
            "........................................................."
            "........................................................."
            "........................................................."
            ".........................................................");
}

static inline const char *write_inter(writer *w, int lines)
{
    w->size = 0;
    if (w->seed % 5 == 0) put(w, "\xef\xbb\xbf");
    put(w, "note:token\titem_id:token\ttimestamp:float\tuser_id:token\trating:float%s",
        line_end(w));
    for (int k = 0; k < lines; k++) {
        put_note(w);
        put(w, "\t");
        put_id(w, 'i', below(w, 12) * below(w, 5));
        put(w, "\t%d\t", below(w, 50));
        put_id(w, 'u', below(w, 9));
        put(w, "\t%d%s", 1 + below(w, 5), line_end(w));
    }
    return finish(w, "r.inter");
}

static inline const char *write_lightgcn(writer *w, const char *name, int lines)
{
    w->size = 0;
    for (int k = 0; k < lines; k++) {
        put(w, "%d", below(w, 9));
        for (int n = 1 + below(w, 8); n > 0; n--)
            put(w, " %d", below(w, 25));
        put(w, "%s", line_end(w));
    }
    return finish(w, name);
}

/* All items that may occur, and some more, in some order; every seventh without a vector. */
static inline const char *write_items(writer *w)
{
    const int shift = below(w, 50);

    w->size = 0;
    put(w, "title:token_seq\titem_id:token\tv:float_seq%s", line_end(w));
    for (int k = 0; k < 50; k++) {
        const int item = (k * 7 + shift) % 50;

        put(w, "%.*s\t", below(w, 30), "a title of some length or none");
        put_id(w, 'i', item);
        put(w, "\t");
        if (item % 7 != 3) put(w, "%d %d.5", below(w, 9), below(w, 99));
        put(w, "%s", line_end(w));
    }
    return finish(w, "r.item");
}

static inline const char *write_ids(writer *w)
{
    w->size = 0;
    for (int k = 0; k < 50; k++) {
        put_id(w, 'i', (k * 11) % 50);
        put(w, "%s", line_end(w));
    }
    return finish(w, "r.ids");
}

/* ---- One rank and all ------------------------------------------------------------------------ */

/* The outcome of a prepare. */
typedef struct outcome {
    cf_status status;
    char message[1024];
    cf_ingest_report report;
    char *bytes;
    size_t size;
} outcome;

static inline void read_whole(const char *path, outcome *out)
{
    struct stat about = {0};
    FILE *file = fopen(path, "rb");

    if (!file) return;
    assert_int_equal(fstat(fileno(file), &about), 0);
    out->size = (size_t)about.st_size;
    out->bytes = malloc(out->size);
    assert_int_equal(fread(out->bytes, 1, out->size, file), out->size);
    fclose(file);
}

/* Prepare on the ranks of `world`: all of them, or this one alone. Rank 0 reads the file. */
static inline void prepare_outcome(const cf_ingest_paths *paths, const char *settings, outcome *out)
{
    *out = (outcome){0};
    out->status = prepare(paths, settings, &out->report);
    out->report.seconds = 0;
    if (out->status != CF_OK) snprintf(out->message, 1024, "%s", cf_error_message());
    if (world.rank == 0) read_whole(paths->out, out);
    if (world.rank == 0) unlink(paths->out);
    MPI_Barrier(world.comm);
}

/* One rank and all must have the same outcome. Returns its status. */
static inline cf_status compare_with_one_rank(const cf_ingest_paths *paths, const char *settings)
{
    const cf_par all = world;
    outcome many, one = {0};

    prepare_outcome(paths, settings, &many);
    if (all.rank == 0) {
        world = (cf_par){MPI_COMM_SELF, 0, 1};
        prepare_outcome(paths, settings, &one);
        world = all;
        if (one.status != many.status || strcmp(one.message, many.message) != 0)
            fail_msg("\"%s\" from one rank, \"%s\" from all", one.message, many.message);
        assert_memory_equal(&one.report, &many.report, sizeof one.report);
        assert_int_equal(one.size, many.size);
        if (one.size > 0) assert_memory_equal(one.bytes, many.bytes, one.size);
    }
    free(one.bytes);
    free(many.bytes);
    MPI_Barrier(world.comm);
    return many.status;
}
