/** A trained model, and what `recommend` writes from it. */
#pragma once

#include "problem.h"

/** Write a file of text. Collective. */
static inline void write_text(const char *path, const char *text)
{
    if (world.rank == 0) {
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        fputs(text, file);
        fclose(file);
    }
    MPI_Barrier(world.comm);
}

/** The items of each user, all of them in train: make_inputs() has drawn them so. */
static inline bool has_item(int user, int i)
{
    return (i + user) % 9 < 2 || draw((uint64_t)user, (uint64_t)i) % 8 == 0;
}

/** Prepare a dataset by `split` ("--inter" of one file, or "--train" alone), and train. */
static inline void train_model(const char *split, const char *settings)
{
    make_inputs();
    succeed("llminit prepare %s %s --item %s --embedding %s --out %s --quiet", split, inter, item,
            npy, data);
    succeed("llminit train --data %s --out %s --quiet --set train_batch_size=64 --set %s", data,
            run, settings);
}

/** What `recommend` prints with these options, on rank 0; "" on the others. Free with free(). */
__attribute__((format(printf, 1, 2))) static inline char *recommend(const char *format, ...)
{
    char options[8192], *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(options, sizeof options, format, arguments);
    va_end(arguments);
    if (run_format(&text, "llminit recommend %s/best.h5 --data %s --quiet %s", run, data,
                   options) != CF_OK)
        fail_msg("recommend %s: %s", options, cf_error_message());
    return text;
}

/** Fails with this status, and says `words`. */
__attribute__((format(printf, 3, 4))) static inline void refuse(cf_status status, const char *words,
                                                                const char *format, ...)
{
    char options[8192];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(options, sizeof options, format, arguments);
    va_end(arguments);
    assert_refused(
        run_format(NULL, "llminit recommend %s/best.h5 --data %s --quiet %s", run, data, options),
        status, words);
}

/** A line of the text. */
typedef struct text_line {
    char query[64], name[64], title[64];
    int rank;
    double score;
} text_line;

/** The lines of the text below its header, which must be `header`; at most `most`. */
static inline int read_lines_of(const char *text, const char *header, text_line *lines, int most)
{
    int count = 0;

    assert_int_equal(strncmp(text, header, strlen(header)), 0);
    for (const char *at = strchr(text, '\n') + 1; *at; at = strchr(at, '\n') + 1, count++) {
        text_line *line = &lines[count];

        assert_true(count < most);
        assert_int_equal(sscanf(at, "%63[^\t]\t%d\t%63[^\t]\t%lf\t%63[^\n]", line->query,
                                &line->rank, line->name, &line->score, line->title),
                         5);
    }
    return count;
}

static const char user_header[] = "user_id\trank\titem_id\tscore\ttitle\n";
static const char item_header[] = "item_id\trank\tsimilar_item_id\tscore\ttitle\n";
