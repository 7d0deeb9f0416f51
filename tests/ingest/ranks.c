/* Whatever the files, all ranks together write the bytes that one rank writes, or refuse them with
 * the same line. Files of all lengths bring the ends of the ranks' parts to every place of a line.
 */
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

static int below(writer *w, int n)
{
    return (int)cf_random_below((cf_random){9, CF_STREAM_TEST}, w->seed, w->n++, 0, n);
}

__attribute__((format(printf, 2, 3))) static void put(writer *w, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    w->size += (size_t)vsnprintf(w->bytes + w->size, MOST - w->size, format, arguments);
    va_end(arguments);
    assert_true(w->size < MOST);
}

/* Some files have only numbers for ids, some of these with zeros in front; some have long ids. */
static void put_id(writer *w, char kind, int number)
{
    const int style = (int)(w->seed % 4);

    if (style == 0) put(w, "%d", number);
    if (style == 1) put(w, "%c%d", kind, number);
    if (style == 2) put(w, "%s%d", number == 7 ? "0" : "", number);
    if (style == 3) put(w, "%c_is_a_rather_long_id_of_number_%d", kind, number);
}

static const char *line_end(const writer *w)
{
    return w->seed % 3 == 1 ? "\r\n" : "\n";
}

/* The last line may be cut short of its end, or have empty lines behind it. */
static const char *finish(writer *w, const char *name)
{
    const int what = below(w, 3);

    if (what == 0) w->size -= strlen(line_end(w));
    if (what == 1)
        for (int k = below(w, 12); k > 0; k--)
            put(w, "%s", line_end(w));
    return put_bytes(name, w->bytes, w->size);
}

static void put_note(writer *w)
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

static const char *write_inter(writer *w, int lines)
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

static const char *write_lightgcn(writer *w, const char *name, int lines)
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

/* All items that there can be, and a few more, in some order; every seventh without a vector. */
static const char *write_items(writer *w)
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

static const char *write_ids(writer *w)
{
    w->size = 0;
    for (int k = 0; k < 50; k++) {
        put_id(w, 'i', (k * 11) % 50);
        put(w, "%s", line_end(w));
    }
    return finish(w, "r.ids");
}

/* ---- One rank and all ------------------------------------------------------------------------ */

/* What a prepare came to. */
typedef struct outcome {
    cf_status status;
    char message[1024];
    cf_ingest_report report;
    char *bytes;
    size_t size;
} outcome;

static void read_whole(const char *path, outcome *out)
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

/* By the ranks of `world`, which is all of them or this one. Rank 0 reads the file. */
static void run(const cf_ingest_paths *paths, const char *settings, outcome *out)
{
    *out = (outcome){0};
    out->status = prepare(paths, settings, &out->report);
    out->report.seconds = 0;
    if (out->status != CF_OK) snprintf(out->message, 1024, "%s", cf_error_message());
    if (world.rank == 0) read_whole(paths->out, out);
    if (world.rank == 0) unlink(paths->out);
    MPI_Barrier(world.comm);
}

/* Gives back the status, on rank 0. */
static cf_status compare(const cf_ingest_paths *paths, const char *settings)
{
    const cf_par all = world;
    outcome many, one = {0};

    run(paths, settings, &many);
    if (all.rank == 0) {
        world = (cf_par){MPI_COMM_SELF, 0, 1};
        run(paths, settings, &one);
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

static const char *const settings[] = {
    "missing_embedding=zero",
    "missing_embedding=zero|order=time",
    "missing_embedding=zero|order=time|split=RS|val_interval={rating: \"[2,4]\"}",
    "missing_embedding=zero|split=RS|user_inter_num_interval=[5,inf)|"
    "item_inter_num_interval=[3,inf)",
    "missing_embedding=zero|item_inter_num_interval=[2,9]|split=RS|split_ratios=[1,0,0]",
    "missing_embedding=zero|user_inter_num_interval=[500,inf)"};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

/* Whole data: bytes, settings and vectors of all kinds. How many are written, and not refused. */
static void tables(void **state)
{
    writer *w = malloc(sizeof *w);
    int written = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 18; seed++) {
        cf_ingest_paths paths = {.out = file_path("r.h5")};
        char options[300];

        *w = (writer){.seed = seed};
        snprintf(options, sizeof options, "%s", settings[seed % N_SETTINGS]);
        paths.inter = write_inter(w, below(w, 4) == 0 ? 1 + below(w, 3) : 60 + below(w, 100));
        if (below(w, 2)) paths.item = write_items(w);
        if (paths.item && below(w, 2)) strcat(options, "|embedding_field=v");
        written += compare(&paths, options) == CF_OK;
    }
    assert_in_range(written, 6, 17);
    free(w);
}

static void matrices(void **state)
{
    static float rows[50 * 3];
    const int64_t shape[2] = {50, 3};
    writer *w = malloc(sizeof *w);

    (void)state;
    for (uint64_t seed = 0; seed < 9; seed++) {
        cf_ingest_paths paths = {.out = file_path("r.h5")};

        *w = (writer){.seed = seed};
        for (int k = 0; k < 150; k++)
            rows[k] = (float)below(w, 1000) * (seed % 2 ? 1.0F : 0.1F);
        if (seed % 3 == 2) rows[below(w, 150)] = rows[below(w, 150)] = (float)NAN;
        paths.inter = write_inter(w, 150);
        paths.embedding = put_npy("r.npy", 1, "<f4", shape, rows);
        if (below(w, 2)) paths.item = write_items(w);
        if (!paths.item || below(w, 2)) paths.embedding_ids = write_ids(w);
        compare(&paths, "split=RS");
    }
    free(w);
}

static void lightgcn_files(void **state)
{
    static const char *const vectors = CF_TEST_DATA "/store/matrices.h5:/f4";
    writer *w = malloc(sizeof *w);

    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        cf_ingest_paths paths = {.out = file_path("r.h5")};

        *w = (writer){.seed = seed};
        paths.train = write_lightgcn(w, "r.train", 1 + below(w, 30));
        if (below(w, 2)) paths.test = write_lightgcn(w, "r.test", 1 + below(w, 9));
        if (below(w, 2)) paths.valid = write_lightgcn(w, "r.valid", 1 + below(w, 9));
        if (below(w, 2)) paths.embedding = vectors;
        assert_int_equal(compare(&paths, settings[0]), CF_OK);
    }
    free(w);
}

/* ---- Wrong lines ----------------------------------------------------------------------------- */

/* One or two wrong lines somewhere: the first of them is named, by its number. */
static const char *spoil(writer *w, const char *name)
{
    static const char *const wrong[] = {"\n", "\n\n\n", "too\tfew\n", "a\tb\tc\td\te\tf\tg\n",
                                        "\t\t\t\t\n"};
    char *text = malloc(2 * MOST);
    const char *path;
    int left = 1 + below(w, 2);
    size_t size = 0;

    for (size_t k = 0; k < w->size; k++) {
        text[size++] = w->bytes[k];
        if (left == 0 || w->bytes[k] != '\n' || below(w, 60) > 0) continue;
        strcpy(text + size, wrong[below(w, 5)]);
        size += strlen(text + size);
        left--;
    }
    if (below(w, 8) == 0) text[(size_t)below(w, (int)size)] = 0;
    path = put_bytes(name, text, size);
    free(text);
    return path;
}

static void wrong_lines(void **state)
{
    writer *w = malloc(sizeof *w);
    int refused = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 24; seed++) {
        cf_ingest_paths paths = {.out = file_path("r.h5")};

        *w = (writer){.seed = seed};
        paths.inter = write_inter(w, 100);
        if (seed % 2) paths.inter = spoil(w, "r.inter");
        if (seed % 2 == 0) {
            write_items(w);
            paths.item = spoil(w, "r.item");
        }
        refused += compare(&paths, settings[0]) == CF_ERR_FORMAT;
    }
    assert_in_range(refused, 12, 24);
    free(w);
}

/* Ids that are on two lines, and a line that is wrong, of a file of one id a line. */
static void ids_that_are_there_twice(void **state)
{
    static const float rows[100] = {0};
    writer *w = malloc(sizeof *w);

    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        const int64_t shape[2] = {52, 1};
        cf_ingest_paths paths = {.out = file_path("r.h5")};
        int twice[2], wrong;

        *w = (writer){.seed = seed};
        paths.inter = write_inter(w, 40);
        paths.embedding = put_npy("r.npy", 1, "<f4", shape, rows);
        twice[0] = below(w, 50);
        twice[1] = below(w, 50);
        wrong = below(w, 2) ? below(w, 50) : -1;
        w->size = 0;
        for (int k = 0; k < 50; k++) {
            if (k == wrong) put(w, "\n");
            put_id(w, 'i', k);
            put(w, "\n");
            if (k != twice[0] && k != twice[1]) continue;
            put_id(w, 'i', below(w, 50));
            put(w, "\n");
        }
        paths.embedding_ids = put_bytes("r.ids", w->bytes, w->size);
        assert_int_equal(compare(&paths, settings[0]), CF_ERR_FORMAT);
    }
    free(w);
}

/* Files of a few bytes, fewer than there are ranks, and lines longer than many ranks' parts. */
static void small_files_and_long_lines(void **state)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "0",
                                        "0\n",
                                        "0 1",
                                        "0 1\n",
                                        "0 1\n1",
                                        "\n0 1\n",
                                        "0 1\n\n",
                                        "0 1\n\n\n1 1\n",
                                        "0 1\r\n1 2\r\n\r\n",
                                        "1 1\n2 1\n3 1\n",
                                        "\xef\xbb\xbf"
                                        "0 1\n",
                                        "0 1\n1 x\n2 y\n"};
    char *text = malloc(MOST);

    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        const cf_ingest_paths paths = {.train = put_file("r.txt", texts[k]),
                                       .out = file_path("r.h5")};

        compare(&paths, "");
    }
    for (int length = 1; length < 60000; length = 7 * length + 1) {
        const cf_ingest_paths paths = {.inter = file_path("r.inter"), .out = file_path("r.h5")};
        int n =
            sprintf(text, "user_id\titem_id\nu\ta\n%0*d\tb\nu\tb\nu\t%0*d\n", length, 1, length, 2);

        put_bytes("r.inter", text, (size_t)n);
        assert_int_equal(compare(&paths, "split=RS|split_ratios=[1,0,0]"), CF_OK);
        n += sprintf(text + n, "u\t%0*d\tx\n", length, 3);
        put_bytes("r.inter", text, (size_t)n);
        assert_int_equal(compare(&paths, ""), CF_ERR_FORMAT);
    }
    free(text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tables),
    cmocka_unit_test(matrices),
    cmocka_unit_test(lightgcn_files),
    cmocka_unit_test(wrong_lines),
    cmocka_unit_test(ids_that_are_there_twice),
    cmocka_unit_test(small_files_and_long_lines),
};
CF_TEST_MAIN(tests)
