/* How people write the same interactions: other separators, quotes, compressed files, pipes. All
 * ranks give what one rank gives. */
#include "ingest/fields.h"
#include "ranks.h"

#include <dirent.h>
#include <time.h>
#include <zlib.h>

#define ALL "split=RS|split_ratios=[1, 0, 0]"

/* ---- Separators and quotes ------------------------------------------------------------------- */

typedef struct spelling {
    const char *text, *settings, *want;
} spelling;

static const spelling spellings[] = {
    {"user_id::item_id::x\nu::a::1\nu::b:c::2\nv::d:::3\n",
     "field_separator=::", "u: a b:c | |\nv: d | |\n"},
    {"user_id:item_id\nu:a\nu:b\n", "field_separator=:", "u: a b | |\n"},
    {"user_id:token - item_id:token\nu - a\nu - b-\n", "field_separator=' - '", "u: a b- | |\n"},
    {"user_id item_id\nu a\nu b\n", "field_separator=' '", "u: a b | |\n"},
    {"\"user_id\",\"item_id\",x\r\n\"u\",\"a\",\r\nu,b,\"\"\r\n\"u\",\"c,d\",\"e\"\"f\"\r\n",
     "field_separator=\",\"", "u: a b c,d | |\n"},
    {"user_id;\"item_id\"\nu;\"a\"\"\"\"b\"\nu;\"\"\"\"\nu;c\"d\"\n", "field_separator=;",
     "u: \" a\"\"b c\"d\" | |\n"},
    {"user_id,item_id\n\"1\",\"11\"\n1,\"12\"\n1,11\n", "field_separator=\",\"", "1: 11 12 | |\n"},
    {"user_id\titem_id\nu\t\"a\"\nu\t\"b\n", "", "u: \"a\" \"b | |\n"}, /* no csv: a character */
};

/* All interactions are in train. */
static void check_spellings(const spelling *rows, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        char settings[128];

        snprintf(settings, sizeof settings, ALL "%s%s", rows[k].settings[0] ? "|" : "",
                 rows[k].settings);
        assert_string_equal(dump_of(rows[k].text, settings), rows[k].want);
    }
}

static void separators_and_quotes(void **state)
{
    (void)state;
    check_spellings(spellings, sizeof spellings / sizeof *spellings);
}

/* The place of a vector in the file is that of the text within the quotes. */
static void vectors_in_quotes(void **state)
{
    const cf_ingest_paths paths = {
        .inter = put_file("q.inter", "user_id,item_id\nu,2\nu,10\nu,7\nv,7\nv,2\n"),
        .item = put_file("q.item", "title,\"e:float_seq\",item_id\n\"a, \"\"b\"\"\",\"5 6\",10\n"
                                   ",1 2,\"2\"\nx,\"3 4\",7\n"),
        .out = file_path("q.h5")};

    (void)state;
    assert_ok(prepare(&paths, "field_separator=\",\"|embedding_field=e", NULL));
    check_vectors(paths.out, 2, (const float[]){1, 2, 3, 4, 5, 6}, "111");
}

/* Some fields in quotes, with separators and quotes within them. */
static const char *write_csv(writer *w, int lines)
{
    static const char *const texts[] = {"a", "\"a\"", "\"a,b\"", "\"\"\"\"", "\"x\"\"y\"", "c d"};

    w->size = 0;
    put(w, "note,\"item_id\",user_id%s", line_end(w));
    for (int k = 0; k < lines; k++)
        put(w, "%s,%s,%s%s", texts[below(w, 6)], texts[below(w, 6)], texts[below(w, 6)],
            line_end(w));
    return finish(w, "r.csv");
}

static void quotes_on_all_ranks(void **state)
{
    writer *w = malloc(sizeof *w);

    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        *w = (writer){.seed = seed};
        const cf_ingest_paths paths = {.inter = write_csv(w, 60), .out = file_path("r.h5")};

        assert_int_equal(compare_with_one_rank(&paths, "field_separator=\",\""), CF_OK);
    }
    free(w);
}

/* ---- Lines without a header ------------------------------------------------------------------ */

static const spelling headerless[] = {
    /* SELFRec, Surprise, LibRec, MovieLens */
    {"1 10 5\n1 11 4\n1 12 3\n2 10 5\n2 12 1\n2 11 2\n", "", "1: 10 11 12 | |\n2: 10 11 12 | |\n"},
    {"1 10 5 9\n2 11 4 8\n1 12 3 7\n", "", "1: 10 12 | |\n2: 11 | |\n"},
    {"1\t10\t5\t9\n2\t11\t4\t8\n", "", "1: 10 | |\n2: 11 | |\n"},
    {"1 10 3.5\n2 11 4\n", "", "1: 10 | |\n2: 11 | |\n"},
    {"1 10 3\n2 11 4\n3 12 4.5\n", "", "1: 10 | |\n2: 11 | |\n3: 12 | |\n"},
    {"u 10 3\nv 11 4\n", "", "u: 10 | |\nv: 11 | |\n"},
    {" 1  10 5 \n1 11   4\n", "", "1: 10 11 | |\n"},
    {"1::10::5::9\n2::11::4::8\n", "field_separator=::", "1: 10 | |\n2: 11 | |\n"},
    {"A1,B0,5.0,9\nA2,\"B,1\",5.0,9\n", "field_separator=\",\"", "A1: B0 | |\nA2: B,1 | |\n"},
    {"1\t10\n1\t11\n", "", "1: 10 11 | |\n"},
    {"1 10\n1 11\n", "", "1: 10 11 | |\n"},
    {"1 10 5\n1 11 4\n2 10 1\n", "val_interval={rating: \"[4,5]\"}", "1: 10 11 | |\n"},
    {"1 10 5\n1 11 4\n2 10 1\n", "rating_field=stars|val_interval={stars: \"[1,4]\"}",
     "1: 11 | |\n2: 10 | |\n"},
    {"1 2 3\n4 5 6\n", "headerless=ratings", "1: 2 | |\n4: 5 | |\n"},
    {"a b\nc d\n", "headerless=ratings", "a: b | |\nc: d | |\n"},
    /* LightGCN: other lengths of lines, or no user twice */
    {"1 2 3\n4 5 6\n", "headerless=lists", "1: 2 3 | |\n4: 5 6 | |\n"},
    {"1 2 3\n1 5\n", "", "1: 2 3 5 | |\n"},
    {"1 2 3 4 5\n4 5 6 7 8\n", "", "1: 2 3 4 5 | |\n4: 5 6 7 8 | |\n"},
    {"1 2 3\n1 2 4\n2 5\n", "", "1: 2 3 4 | |\n2: 5 | |\n"},
    /* a header goes first, whatever the setting */
    {"user_id item_id 7\n1 2 3\n1 4 5\n", "headerless=lists|field_separator=' '", "1: 2 4 | |\n"},
};

static void lines_without_a_header(void **state)
{
    (void)state;
    check_spellings(headerless, sizeof headerless / sizeof *headerless);
    assert_string_equal(dump_of("1 10 5 9\n1 11 4 8\n1 12 3 7\n", "order=time"),
                        "1: 12 | 11 | 10\n");
}

/* The other files of a split have the format of the first, where they do not tell. */
static void files_of_a_split_have_one_format(void **state)
{
    cf_ingest_paths paths = {.train = put_file("a.txt", "1 10 5\n1 11 4\n2 12 3\n"),
                             .test = put_file("b.txt", "1 12 5\n2 10 4\n"),
                             .out = file_path("one.h5")};

    (void)state;
    assert_ok(prepare(&paths, "", NULL));
    assert_string_equal(dump(paths.out), "1: 10 11 | | 12\n2: 12 | | 10\n");
    paths.train = put_file("a.txt", "1 10 5\n2 11 12 3\n");
    assert_ok(prepare(&paths, "", NULL));
    assert_string_equal(dump(paths.out), "1: 5 10 | | 12\n2: 3 11 12 | | 4 10\n");
    paths.train = put_file("a.txt", "1 10\n2 11\n"); /* either format */
    assert_refused(prepare(&paths, "", NULL), CF_ERR_FORMAT, "b.txt: 3 whole numbers on each line");
}

/* Lines of three or four numbers; the one that tells the format, if there is one, is anywhere. */
static const char *write_lines(writer *w, int lines)
{
    const int last = 1 + below(w, 2), special = below(w, lines), what = (int)(w->seed % 5);

    w->size = 0;
    for (int k = 0; k < lines; k++) {
        const bool tells = k == special;

        put(w, "%d %d", tells && what == 0 ? (k + 1) % lines : k, below(w, 99));
        for (int n = 0; n < last; n++)
            put(w, " %d%s", below(w, 99), tells && what == 1 ? ".5" : "");
        put(w, "%s%s", tells && what == 2 ? " 7" : "", line_end(w));
        if (tells && what == 3) put(w, "%s", line_end(w));
    }
    return finish(w, "r.txt");
}

static void the_format_does_not_depend_on_the_ranks(void **state)
{
    writer *w = malloc(sizeof *w);
    int refused = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        *w = (writer){.seed = seed};
        const cf_ingest_paths paths = {.inter = write_lines(w, 2 + below(w, 60)),
                                       .out = file_path("r.h5")};
        const cf_status status = compare_with_one_rank(&paths, ALL);

        assert_int_equal(status, seed % 5 < 3 ? CF_OK : CF_ERR_FORMAT);
        refused += status != CF_OK;
    }
    assert_int_equal(refused, 8);
    free(w);
}

/* More users than are compared at once, of which the last comes twice. */
static void many_users_before_one_comes_twice(void **state)
{
    enum { N = 5000 };
    char *text = malloc(N * 20), *at = text;
    cf_ingest_paths paths = {.out = file_path("twice.h5")};
    cf_ingest_report report;

    (void)state;
    for (int k = 0; k < N; k++)
        at += sprintf(at, "%d 1 5\n", (k * 7919) % N);
    paths.inter = put_file("twice.txt", text);
    assert_refused(prepare(&paths, ALL, NULL), CF_ERR_FORMAT, "no user twice");
    sprintf(at, "%d 2 5\n", 7919 % N);
    paths.inter = put_file("twice.txt", text);
    free(text);
    assert_ok(prepare(&paths, ALL, &report));
    assert_int_equal(report.lines, N + 1);
    assert_int_equal(report.n_items, 2);
}

/* ---- Compressed files and pipes -------------------------------------------------------------- */

/* Compress a text in `members` parts, as cat of several files does. */
static const char *put_gz(const char *name, const char *text, int members)
{
    const char *path = file_path(name);
    const size_t size = strlen(text);

    for (int k = 0; world.rank == 0 && k < members; k++) {
        const size_t begin = size * (size_t)k / (size_t)members,
                     end = size * (size_t)(k + 1) / (size_t)members;
        gzFile file = gzopen(path, k == 0 ? "wb" : "ab");

        assert_non_null(file);
        assert_int_equal(gzwrite(file, text + begin, (unsigned)(end - begin)), end - begin);
        assert_int_equal(gzclose(file), Z_OK);
    }
    MPI_Barrier(world.comm);
    return path;
}

/* The number of temporary files in the folder of `path`, once all ranks have come so far. */
static int count_temporary(const char *path)
{
    char folder[PATH_SIZE];
    struct dirent *entry;
    DIR *open_folder;
    int n = 0;

    MPI_Barrier(world.comm);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    open_folder = opendir(folder);
    assert_non_null(open_folder);
    while ((entry = readdir(open_folder)) != NULL)
        n += strstr(entry->d_name, ".tmp") != NULL;
    closedir(open_folder);
    return n;
}

static void compressed_files(void **state)
{
    static const float rows[] = {3, 4, 5, 6, 9, 9, 1, 2}; /* of 7, 10, 99, 2 */
    static const float want[] = {1, 2, 3, 4, 5, 6};
    cf_ingest_paths paths = {.inter = put_gz("a.inter.gz", INTER, 2),
                             .item = put_gz("a.item.gz", ITEMS, 1),
                             .embedding = put_npy("a.npy", 1, "<f4", (int64_t[2]){4, 2}, rows),
                             .out = file_path("gz.h5")};
    cf_ingest_report report;

    (void)state;
    assert_ok(prepare(&paths, "", &report));
    assert_true(report.bytes == (double)strlen(INTER));
    check_vectors(paths.out, 2, want, "111");
    paths.item = NULL;
    paths.embedding_ids = put_gz("a.ids.gz", "7\n10\n99\n2\n", 1);
    assert_ok(prepare(&paths, "", NULL));
    check_vectors(paths.out, 2, want, "111");
    assert_int_equal(count_temporary(paths.out), 0);
    assert_int_equal(compare_with_one_rank(&paths, ""), CF_OK);
}

static void damaged_compressed_files(void **state)
{
    const cf_ingest_paths paths = {.inter = put_gz("cut.gz", INTER, 1),
                                   .out = file_path("damaged.h5")};

    (void)state;
    if (world.rank == 0) assert_int_equal(truncate(paths.inter, 40), 0);
    MPI_Barrier(world.comm);
    assert_refused(prepare(&paths, "", NULL), CF_ERR_FORMAT,
                   "cut.gz: its compressed data are damaged or cut off");
    put_gz("cut.gz", INTER "u\n",
           1); /* lines are those of the text, the name is that of the file */
    assert_refused(prepare(&paths, "", NULL), CF_ERR_FORMAT, "cut.gz:7: too few columns");
    assert_int_equal(count_temporary(paths.out), 0);
}

/* Rank 0 has a pipe with the text; the others have nothing of this name. */
static void pipes_are_read_once(void **state)
{
    cf_ingest_paths paths = {.out = file_path("pipe.h5")};
    char name[32];
    int ends[2] = {-1, -1};

    (void)state;
    if (world.rank == 0) {
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], INTER, strlen(INTER)), strlen(INTER));
        close(ends[1]);
    }
    MPI_Bcast(ends, 1, MPI_INT, 0, world.comm);
    snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
    paths.inter = name;
    assert_ok(prepare(&paths, ALL, NULL));
    if (world.rank == 0) close(ends[0]);
    assert_string_equal(dump(paths.out), "u: 2 7 10 | |\nv: 2 7 | |\n");
    paths.inter = "/dev/fd/999";
    assert_refused(prepare(&paths, ALL, NULL), CF_ERR_IO,
                   "/dev/fd/999: No such file or directory (mpirun passes on no pipe but standard "
                   "input: expected -)");
}

/* ---- Times ----------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    double want; /* -1: not a time */
} times[] = {
    {"1646137296", 1646137296},
    {"-1.5e3", -1500},
    {"1970-01-01", 0},
    {"2022-03-01", 1646092800},
    {"2022-03-01T12:34:56", 1646138096},
    {"2022-03-01 12:34:56", 1646138096},
    {"2022-03-01T12:34:56Z", 1646138096},
    {"2022-03-01T12:34", 1646138040},
    {"2022-03-01T12:34:56.25Z", 1646138096.25},
    {"2022-03-01T14:34:56+02:00", 1646138096},
    {"2022-03-01 07:04:56-0530", 1646138096},
    {"2022-03-01T13:34:56+01", 1646138096},
    {"2022-02-28T24:00:00", 1646092800},
    {"2016-12-31T23:59:60Z", 1483228800},
    {"2022-03-01T", -1},
    {"2022-03-01 ", -1},
    {"2022-03-01Z", -1},
    {"2022-3-1", -1},
    {"2022-13-01", -1},
    {"2022-00-10", -1},
    {"2022-02-29", -1},
    {"1900-02-29", -1},
    {"2022-04-31", -1},
    {"2022-03-01T25:00", -1},
    {"2022-03-01T24:01", -1},
    {"2022-03-01T12", -1},
    {"2022-03-01T12:60", -1},
    {"2022-03-01T12:34:61", -1},
    {"2022-03-01T12:34:56.", -1},
    {"2022-03-01T12:34:56-", -1},
    {"2022-03-01T12:34:56-1", -1},
    {"2022-03-01T12:34:56+01:", -1},
    {"2022-03-01T12:34:56ZZ", -1},
    {"2022-03-01T12:34:56-Z", -1},
    {"01/03/2022", -1},
    {"", -1},
};

static void times_are_numbers_or_dates(void **state)
{
    double value;

    (void)state;
    for (size_t k = 0; k < sizeof times / sizeof *times; k++) {
        const bool ok = ingest_parse_time(times[k].text, (int64_t)strlen(times[k].text), &value);

        if (ok != (times[k].want != -1) || (ok && value != times[k].want))
            fail_msg("\"%s\" is %d %.17g, expected %.17g", times[k].text, ok, value, times[k].want);
    }
    /* each day of nine centuries, by the C library */
    for (time_t t = INT64_C(-20000000000); t < INT64_C(10000000000); t += 86400) {
        char text[64];
        struct tm day;

        assert_non_null(gmtime_r(&t, &day));
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &day);
        assert_true(ingest_parse_time(text, (int64_t)strlen(text), &value));
        assert_true(value == (double)t);
    }
}

#define DATES                                                                                      \
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"                                \
    "u\ta\t\t2022-03-02\nu\tb\tgood\t2022-03-01T23:59:59+00:00\nu\tc\t\t1646092800\n"

static void dates_order_and_filter(void **state)
{
    (void)state;
    assert_string_equal(dump_of(DATES, "order=time"), "u: c | b | a\n");
    assert_string_equal(dump_of(DATES, ALL "|val_interval={timestamp: \"[1646092801,inf)\"}"),
                        "u: a b | |\n");
}

/* Neither the split nor a filter uses them. */
static void other_columns_may_hold_anything(void **state)
{
    const cf_ingest_paths given = {
        .train = put_file("t.inter", "user_id\titem_id\trating\ttimestamp\nu\ta\t?\tthen\n"),
        .out = file_path("anything.h5")};

    (void)state;
    assert_string_equal(dump_of("user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
                                "u\ta\t\tyesterday\nu\tb\tgood\t\n",
                                ALL),
                        "u: a b | |\n");
    assert_string_equal(dump_of("user_id:token\titem_id:token\trating:token\ttimestamp:token\n"
                                "u\ta\t\tyesterday\n",
                                ALL),
                        "u: a | |\n");
    assert_ok(prepare(&given, "order=time", NULL));
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* While a compressed file is unpacked, and while ranks compare their users: no rank has one twice.
 */
static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = prepare_dataset, .thinning = 8, .least = {20, 20}};
    const cf_setting *table = cf_ingest_settings;
    preparation p = {.paths = {.train = put_gz("users.gz", "1 2 3\n4 5 6\n7 8 9\n1 3 4\n", 1),
                               .out = file_path("memory.h5")}};
    cf_config *config = NULL;

    (void)state;
    assert_int_equal(cf_config_create(&table, 1, &config), CF_OK);
    assert_int_equal(cf_ingest_read_options(config, &p.options), CF_OK);
    assert_true(cf_test_every_allocation(&trial, &p) >= 20);
    assert_int_equal(count_temporary(p.paths.out), 0);
    cf_config_destroy(&config);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(separators_and_quotes),
    cmocka_unit_test(vectors_in_quotes),
    cmocka_unit_test(quotes_on_all_ranks),
    cmocka_unit_test(lines_without_a_header),
    cmocka_unit_test(files_of_a_split_have_one_format),
    cmocka_unit_test(the_format_does_not_depend_on_the_ranks),
    cmocka_unit_test(many_users_before_one_comes_twice),
    cmocka_unit_test(compressed_files),
    cmocka_unit_test(damaged_compressed_files),
    cmocka_unit_test(pipes_are_read_once),
    cmocka_unit_test(times_are_numbers_or_dates),
    cmocka_unit_test(dates_order_and_filter),
    cmocka_unit_test(other_columns_may_hold_anything),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
