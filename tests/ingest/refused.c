/* Damaged input, wrong settings: one line that names file, line and column, no output, the same
 * status on all ranks. */
#include "fixture.h"

#include <math.h>

#define HEADER "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
#define RATING "val_interval={rating: \"[0,9]\"}"
#define GOOD HEADER "u\ta\t1\t1\nu\tb\t1\t2\nu\tc\t1\t3\n"
#define TIMES HEADER "u\ta\t1\t-2.5\nv\tb\t1\t7\nw\tc\t1\t2022-03-01\nw\tc\t1\t2029-01-01\n"

typedef struct refusal {
    const char *text, *settings;
    cf_status status;
    const char *message;
} refusal;

static void check(const refusal *row, const cf_ingest_paths *paths)
{
    cf_ingest_report report = {.lines = -5};
    cf_status status = prepare(paths, row->settings ? row->settings : "", &report);

    if (status != row->status || !strstr(cf_error_message(), row->message))
        fail_msg("status %d \"%s\", expected %d \"%s\"", (int)status, cf_error_message(),
                 (int)row->status, row->message);
    assert_int_equal(report.lines, -5);
    assert_int_equal(access(paths->out, F_OK), -1);
}

static const refusal interactions[] = {
    {"", NULL, CF_ERR_FORMAT, "x.inter: the file is empty"},
    {"\n\n", NULL, CF_ERR_FORMAT, "x.inter: the file is empty"},
    {HEADER, NULL, CF_ERR_FORMAT, "x.inter: no interactions"},
    {HEADER "u\ta\t1\n", NULL, CF_ERR_FORMAT, "x.inter:2: too few columns, expected 4"},
    {HEADER "u\ta\t1\t1\nu\ta\t1\t1\t1\n", NULL, CF_ERR_FORMAT, "x.inter:3: too many columns"},
    {HEADER "u\ta\tabc\t1\n", RATING, CF_ERR_FORMAT, "x.inter:2: rating: \"abc\" is not a number"},
    {HEADER "u\ta\tnan\t1\n", RATING, CF_ERR_FORMAT, "x.inter:2: rating: \"nan\" is not a number"},
    {HEADER "u\ta\tinf\t1\n", RATING, CF_ERR_FORMAT, "x.inter:2: rating: \"inf\" is not a number"},
    {HEADER "u\ta\t1e999\t1\n", RATING, CF_ERR_FORMAT, "x.inter:2: rating: \"1e999\" is not"},
    {HEADER "u\ta\t0x10\t1\n", RATING, CF_ERR_FORMAT, "x.inter:2: rating: \"0x10\" is not"},
    {HEADER "u\ta\t1.2.3\t1\n", RATING, CF_ERR_FORMAT, "x.inter:2: rating: \"1.2.3\" is not"},
    {HEADER "u\ta\t 1\t1\n", RATING, CF_ERR_FORMAT, "x.inter:2: rating: \" 1\" is not"},
    {HEADER "u\ta\t-\t1\n", RATING, CF_ERR_FORMAT, "x.inter:2: rating: \"-\" is not"},
    {HEADER "u\ta\t1\t\n", "order=time", CF_ERR_FORMAT,
     "x.inter:2: timestamp: \"\" is not a number"},
    {HEADER "u\ta\t1\t\x01\x02\n", "order=time", CF_ERR_FORMAT,
     "x.inter:2: timestamp: \"??\" is not"},
    {HEADER "u\ta\t1\t2022-02-29\n", "order=time", CF_ERR_FORMAT,
     "timestamp: \"2022-02-29\" is not a number or a date such as 2022-03-01T12:34:56"},
    {HEADER "u\ta\t2022-02-28\t1\n", RATING, CF_ERR_FORMAT, "rating: \"2022-02-28\" is not a"},
    {HEADER "\ta\t1\t1\n", NULL, CF_ERR_FORMAT, "x.inter:2: user_id: is empty, expected an id"},
    {HEADER "u\t\t1\t1\n", NULL, CF_ERR_FORMAT, "x.inter:2: item_id: is empty, expected an id"},
    {HEADER "u\ta\t1\t1\n\nu\ta\t1\t1\n", NULL, CF_ERR_FORMAT, "x.inter:3: an empty line"},
    {"user_id:token\tmovie:token\nu\ta\n", NULL, CF_ERR_FORMAT,
     "x.inter:1: no column \"item_id\", required by item_field; the columns are \"user_id\", "
     "\"movie\""},
    {"1::1193::5::978300760\n", NULL, CF_ERR_FORMAT,
     "x.inter:1: no column \"user_id\", required by user_field; the columns are "
     "\"1::1193::5::978300760\"; field_separator \"::\" would cut the line"},
    {"user_id,item_id\nu,a\n", NULL, CF_ERR_FORMAT, "; field_separator \",\" would cut the line"},
    {"user_id:token item_id:token\nu a\n", NULL, CF_ERR_FORMAT,
     "x.inter:1: user_id has type \"token item_id:token\", expected token; field_separator \" \" "
     "would cut the line"},
    {"user_id\titem_id\nu\ta\n", "field_separator=\",\"", CF_ERR_FORMAT,
     "; field_separator \"\\t\" would cut the line"},
    {"who,what\nu,a\n", "field_separator=\",\"", CF_ERR_FORMAT,
     "no column \"user_id\", required by user_field; the columns are \"who\", \"what\""},
    {"user_id,item_id\nu,\"a\nu,b\n", "field_separator=\",\"", CF_ERR_FORMAT,
     "x.inter:2: column 2: a quote is not closed on its line"},
    {"user_id,item_id\n\"u\" ,a\n", "field_separator=\",\"", CF_ERR_FORMAT,
     "x.inter:2: column 1: text behind a quoted field"},
    {"\"user_id,item_id\nu,a\n", "field_separator=\",\"", CF_ERR_FORMAT,
     "x.inter:1: column 1: a quote is not closed"},
    {"user_id::item_id\nu::a:b\nu::a::b\n", "field_separator=::", CF_ERR_FORMAT,
     "x.inter:3: too many columns"},
    {"user_id:float\titem_id:token\nu\ta\n", NULL, CF_ERR_FORMAT,
     "x.inter:1: user_id has type \"float\", expected token"},
    {"user_id:token\titem_id:token\tuser_id:token\nu\ta\tu\n", NULL, CF_ERR_FORMAT,
     "x.inter:1: two columns are named \"user_id\""},
    {"user_id:token\titem_id:token\nu\ta\n", "order=time", CF_ERR_FORMAT,
     "x.inter:1: no column \"timestamp\", required by order: time"},
    {GOOD, "val_interval={stars: \"[1,2]\"}", CF_ERR_FORMAT,
     "x.inter:1: no column \"stars\", required"},
    {GOOD, "val_interval={rating: \"[5,inf)\"}", CF_ERR_FORMAT, "x.inter: the filters leave no"},
    {GOOD, "user_inter_num_interval=[4,inf)", CF_ERR_FORMAT, "x.inter: the filters leave no"},
    {HEADER "u\ta\t1\t1\nu\tb\t1\t2\n", NULL, CF_ERR_FORMAT, "no interactions are left for valid"},
    {HEADER "u\ta\t1\t1\nv\tb\t1\t2\n", "split=RS", CF_ERR_FORMAT,
     "no interactions are left for valid"},
    {"0 1 2\n1 x\n", NULL, CF_ERR_FORMAT, "x.inter:2: column 2: \"x\" is not an item number"},
    {"0 1 2\n-1 2\n", NULL, CF_ERR_FORMAT, "x.inter:2: column 1: \"-1\" is not a user number"},
    {"0 1 2\n1 2 -3 4\n", NULL, CF_ERR_FORMAT, "x.inter:2: column 3: \"-3\" is not an item number"},
    {"0 1 2\n1 2 9223372036854775808 4\n", NULL, CF_ERR_FORMAT,
     "x.inter:2: column 3: \"92233720368547"},
    {"0 1 2\n1 18446744073709551617\n", NULL, CF_ERR_FORMAT,
     "x.inter:2: column 2: \"18446744073709"},
    {"0 1 2\n1 2\t3\n", NULL, CF_ERR_FORMAT, "x.inter:2: column 2: \"2?3\" is not an item number"},
    {"0 1 2\n1 2.5\n", NULL, CF_ERR_FORMAT, "x.inter:2: column 2: \"2.5\" is not an item number"},
    {"1 2 3\n4 5 6\n", NULL, CF_ERR_FORMAT,
     "x.inter: 3 whole numbers on each line, and no user twice: these may be user, item and "
     "rating, "
     "or a user and 2 items; set headerless to ratings or lists, or give it a header"},
    {"1 2 3 4\n", NULL, CF_ERR_FORMAT, "may be user, item, rating and time, or a user and 3 items"},
    {"1 2 3 4 5\n6 7 8 9 1\n1 2 3 4 6\n", NULL, CF_ERR_FORMAT,
     "x.inter: 5 words on each line, and no header: expected user, item, rating and time, or"},
    {"1 2 3 4 5\n6 7 8 9 1.5\n", NULL, CF_ERR_FORMAT, "x.inter: 5 words on each line, and no"},
    {"1 2 3 4 5\n1 2 3 4 6\n", "headerless=ratings", CF_ERR_FORMAT,
     "x.inter:1: 5 columns and no header, expected user, item, perhaps rating"},
    {"u 1 2 3 4\n", NULL, CF_ERR_FORMAT, "field_separator \" \" would cut the line"},
    {"1 2 3\n1 3 4\n1 4\n", "headerless=ratings", CF_ERR_FORMAT, "x.inter:3: too few columns"},
    {"1 2 3\n1 3 4\n2 5 1\n", "headerless=lists|order=time", CF_ERR_FORMAT, "have no times"},
    {"1 2 3\n1 3 4\n2 5 1\n", "order=time", CF_ERR_FORMAT,
     "x.inter:1: no column \"timestamp\", required by order: time; the columns are \"user_id\", "
     "\"item_id\", \"rating\""},
    {"1 2 3\n\n1 3 4\n2 5 1\n", NULL, CF_ERR_FORMAT, "x.inter:2: an empty line"},
    {"0\n1\n2\n", NULL, CF_ERR_FORMAT, "x.inter: no interactions"},
    {"0 1 2 3 4\n", "order=time", CF_ERR_FORMAT, "x.inter:1: LightGCN lines have no times"},
    {"0 1 2 3 4\n", "val_interval={rating: \"[1,2]\"}", CF_ERR_FORMAT,
     "LightGCN lines have no column"},
    {GOOD, "val_interval={rating: \"[1,2\"}", CF_ERR_USAGE,
     "val_interval: \"[1,2\" is not an interval"},
    {GOOD, "val_interval={rating: \"[2,1]\"}", CF_ERR_USAGE, "val_interval: \"[2,1]\" is not"},
    {GOOD, "item_inter_num_interval=5", CF_ERR_USAGE, "item_inter_num_interval: \"5\" is not an"},
    {GOOD, "split_ratios=[0.8, 0.2]", CF_ERR_USAGE, "split_ratios: expected three numbers"},
    {GOOD, "split=TS", CF_ERR_USAGE,
     "split_times: expected two times for split: TS, when valid and test begin, such as"},
    {GOOD, "split=TS|split_times=5", CF_ERR_USAGE, "split_times: expected two times"},
    {GOOD, "split=TS|split_times=[1, 2, 3]", CF_ERR_USAGE, "split_times: expected two times"},
    {GOOD, "split_times=[1, 2]", CF_ERR_USAGE, "split_times: needs split: TS"},
    {GOOD, "split=TS|split_times=[2, 1]", CF_ERR_USAGE,
     "split_times: the first time, 2, must be before the second, 1"},
    {GOOD, "split=TS|split_times=[2022-03-01, 1646092800]", CF_ERR_USAGE,
     "split_times: the first time, 2022-03-01, must be before the second, 1646092800"},
    {GOOD, "split=TS|split_times=[2022-02-29, 2022-04-01]", CF_ERR_USAGE,
     "split_times: \"2022-02-29\" is neither a number nor a date of ISO 8601"},
    {"user_id\titem_id\nu\ta\n", "split=TS|split_times=[1, 2]", CF_ERR_FORMAT,
     "x.inter:1: no column \"timestamp\", required by split: TS; the columns are"},
    {"0 1 2 3 4\n", "split=TS|split_times=[1, 2]", CF_ERR_FORMAT,
     "x.inter:1: LightGCN lines have no times, required by split: TS"},
    {TIMES, "split=TS|split_times=[-5, 2]", CF_ERR_FORMAT,
     "x.inter: no interactions are left for train: their times are from -2.5 to 1646092800, and "
     "split_times are -5 and 2"},
    {TIMES, "split=TS|split_times=[10, 11]", CF_ERR_FORMAT,
     "x.inter: no interactions are left for valid: their times are from -2.5 to 1646092800, and "},
    {TIMES, "split=TS|split_times=[7, 2022-03-01T00:00:01]", CF_ERR_FORMAT,
     "x.inter: no interactions are left for test: their times are from -2.5 to 1646092800, and "
     "split_times are 7 and 1646092801"},
    {GOOD, "split_ratios=[0, 1, 1]", CF_ERR_USAGE, "split_ratios: expected three numbers"},
    {GOOD, "field_separator=abcdefghi", CF_ERR_USAGE,
     "field_separator: \"abcdefghi\" is not a separator, expected 1 to 8 characters"},
    {GOOD, "field_separator='\"'", CF_ERR_USAGE, "field_separator: \"\"\" is not a separator"},
    {GOOD, "seq_separator=ab", CF_ERR_USAGE, "seq_separator: \"ab\" is not a separator"},
    {GOOD, "embedding_field=e", CF_ERR_USAGE, "embedding_field needs --item"},
};

static void damaged_interactions(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof interactions / sizeof *interactions; k++) {
        const cf_ingest_paths paths = {.inter = put_file("x.inter", interactions[k].text),
                                       .out = file_path("none.h5")};

        check(&interactions[k], &paths);
    }
}

static void parts_that_train_has_already(void **state)
{
    const char *all = put_file("all.inter", GOOD),
               *some = put_file("some.inter", HEADER "u\ta\t1\t1\n");
    const char *other = put_file("other.inter", HEADER "u\td\t1\t1\n");
    const cf_ingest_paths valid = {
        .train = all, .valid = some, .test = other, .out = file_path("none.h5")};
    const cf_ingest_paths test = {
        .train = some, .valid = other, .test = other, .out = file_path("none.h5")};
    const refusal rows[] = {
        {NULL, NULL, CF_ERR_FORMAT,
         "some.inter: no interactions are left for valid; those that train has as well stay there"},
        {NULL, NULL, CF_ERR_FORMAT,
         "other.inter: no interactions are left for test; those that train or valid has as well"},
    };

    (void)state;
    check(&rows[0], &valid);
    check(&rows[1], &test);
}

static void a_nul_byte_is_named(void **state)
{
    static const char text[] = "user_id:token\titem_id:token\nu\ta\nu\tb\0\n";
    const refusal row = {NULL, NULL, CF_ERR_FORMAT, "x.inter:3: a NUL byte, expected text"};
    const cf_ingest_paths paths = {.inter = put_bytes("x.inter", text, sizeof text - 1),
                                   .out = file_path("none.h5")};

    (void)state;
    check(&row, &paths);
}

static const refusal items[] = {
    {"", NULL, CF_ERR_FORMAT, "x.item: the file is empty"},
    {"item_id:token\te:float_seq\n", NULL, CF_ERR_FORMAT, "x.item: no items"},
    {"id:token\te:float_seq\na\t1\n", NULL, CF_ERR_FORMAT, "x.item:1: no column \"item_id\""},
    {"item_id:token\tf:float_seq\na\t1\n", NULL, CF_ERR_FORMAT, "x.item:1: no column \"e\""},
    {"item_id:token\te:token\na\t1\n", NULL, CF_ERR_FORMAT,
     "e has type \"token\", expected float_seq or token_seq"},
    {"item_id:token\te:float_seq\na\t1 2\n\t1 2\n", NULL, CF_ERR_FORMAT,
     "x.item:3: item_id: is empty"},
    {"item_id:token\te:float_seq\na\t1\nb\t1\na\t1\n", NULL, CF_ERR_FORMAT,
     "x.item:4: item \"a\" occurs twice"},
    {"item_id:token\te:float_seq\na\t1\nb\nc\t1\n", NULL, CF_ERR_FORMAT,
     "x.item:3: too few columns"},
    {"item_id:token\te:float_seq\na\t1 2\nb\t1 2\n", NULL, CF_ERR_FORMAT,
     "x.item: 1 of 3 items have no vector, the first is item \"c\""},
    {"item_id:token\te:float_seq\na\t\nb\t1 2\nc\t\n", NULL, CF_ERR_FORMAT,
     "x.item: 2 of 3 items have no vector, the first is item \"a\""},
    {"item_id:token\te:float_seq\na\t\nb\t\nc\t\n", NULL, CF_ERR_FORMAT, "e: no item has a vector"},
    {"item_id:token\te:float_seq\na\t1 2\nb\t1\nc\t1 2\n", NULL, CF_ERR_FORMAT,
     "x.item:3: item \"b\": too few numbers, expected 2"},
    {"item_id:token\te:float_seq\na\t1 2\nb\t1 2 3\nc\t1 2\n", NULL, CF_ERR_FORMAT,
     "x.item:3: item \"b\": too many numbers, expected 2"},
    {"item_id:token\te:float_seq\na\t1 2\nb\t1 x\nc\t1 2\n", NULL, CF_ERR_FORMAT,
     "x.item:3: item \"b\": something that is not a number"},
    {"item_id:token\te:float_seq\na\t1 2\nb\t1 \nc\t1 2\n", NULL, CF_ERR_FORMAT,
     "x.item:3: item \"b\": something that is not a number"},
    {"item_id:token\te:float_seq\na\t1 2\nb\t1 2\nc\t1 1e39\n", NULL, CF_ERR_NUMERIC,
     "x.item: row 2 (item \"c\"), column 1: not a finite number of float32, whose greatest is "
     "3.4e38"},
};

static void damaged_items(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof items / sizeof *items; k++) {
        refusal row = items[k];
        const cf_ingest_paths paths = {.inter = put_file("good.inter", GOOD),
                                       .item = put_file("x.item", row.text),
                                       .out = file_path("none.h5")};

        row.settings = "embedding_field=e|filter_inter_by_user_or_item=no";
        check(&row, &paths);
    }
}

/* ---- .npy ------------------------------------------------------------------------------------ */

static const char *break_npy(int what)
{
    static const float rows[] = {1, 2, 3, 4, 5, 6};
    const int64_t shape[2] = {3, 2};
    const char *path = put_npy("x.npy", 1, "<f4", shape, rows);

    if (world.rank == 0) {
        char bytes[512], *at;
        size_t size;
        FILE *file = fopen(path, "rb");

        size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        at = memmem(bytes, size, "<f4", 3);
        if (what == 0) bytes[1] = 'n';
        if (what == 1) bytes[6] = 4;
        if (what == 2) at[0] = '>';
        if (what == 3) at[1] = 'i';
        if (what == 4) memcpy(memmem(bytes, size, "False", 5), "True ", 5);
        if (what == 5) memcpy(memmem(bytes, size, "(3, 2)", 6), "(3,)  ", 6);
        if (what == 6) memcpy(memmem(bytes, size, "(3, 2)", 6), "(3,2,1", 6);
        if (what == 7) memcpy(memmem(bytes, size, "(3, 2)", 6), "(2, 2)", 6);
        if (what == 8) memcpy(memmem(bytes, size, "(3, 2)", 6), "(4, 2)", 6);
        if (what == 9) size -= 4;
        if (what == 10) bytes[size++] = 0;
        if (what == 11) size = 60;
        if (what == 12) size = 4;
        if (what == 13) memcpy(bytes + size - 12, &(float){NAN}, 4);
        if (what == 14) memcpy(bytes + size - 4, &(float){-INFINITY}, 4);
        if (what == 15) memcpy(memmem(bytes, size, "(3, 2)", 6), "(-3,2)", 6);
        if (what == 16) memcpy(memmem(bytes, size, "False,", 6), "Falsey", 6);
        if (what == 17) memcpy(memmem(bytes, size, "), }  ", 6), "),'a':", 6);
        if (what == 18) memcpy(memmem(bytes, size, "}   ", 4), "} {}", 4);
        if (what == 19)
            memcpy(memmem(bytes, size, "}                  ", 19), "'shape': (3, 2), } ", 19);
        if (what == 20) memcpy(memmem(bytes, size, "'shape'", 7), "'shapf'", 7);
        if (what == 21) memcpy(memmem(bytes, size, "(3, 2)", 6), "(3e,2)", 6);
        file = fopen(path, "wb");
        fwrite(bytes, 1, size, file);
        fclose(file);
    }
    MPI_Barrier(world.comm);
    return path;
}

static const refusal npy[] = {
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: it begins neither as a .npy file nor as an HDF5 file"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its format version is not 1, 2 or 3"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its numbers are big-endian"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its numbers have another type"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: it is in Fortran order"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its shape is not that of a 2-D array"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its shape is not that of a 2-D array"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: bytes after the last row"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: truncated"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: truncated"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: bytes after the last row"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: it ends inside its header"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: it begins neither as a .npy file nor as an HDF5 file"},
    {NULL, NULL, CF_ERR_NUMERIC, "x.npy: row 1 (item \"b\"), column 1: not a finite number"},
    {NULL, NULL, CF_ERR_NUMERIC, "x.npy: row 2 (item \"c\"), column 1: not a finite number"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its shape is not that of a 2-D array"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its header is not a dictionary"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its header has something else than"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its header goes on after the dictionary"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: a key occurs twice in its header"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its header has something else than"},
    {NULL, NULL, CF_ERR_FORMAT, "x.npy: its shape is not that of a 2-D array"},
};

static void damaged_vectors(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof npy / sizeof *npy; k++) {
        const cf_ingest_paths paths = {.inter = put_file("good.inter", GOOD),
                                       .embedding_ids = put_file("ids.txt", "a\nb\nc\n"),
                                       .embedding = break_npy((int)k),
                                       .out = file_path("none.h5")};

        check(&npy[k], &paths);
    }
}

static void paths_that_do_not_fit(void **state)
{
    static const float rows[] = {1, 2, 3, 4, 5, 6};
    const int64_t shape[2] = {3, 2};
    const char *good = put_file("good.inter", GOOD), *ids = put_file("ids.txt", "a\nb\n");
    const char *vectors = put_npy("x.npy", 1, "<f4", shape, rows), *out = file_path("none.h5");
    const char *absent = file_path("absent"), *folder = file_path("");
    const struct {
        cf_ingest_paths paths;
        refusal row;
    } cases[] = {
        {{.out = out}, {NULL, NULL, CF_ERR_USAGE, "expected either --inter"}},
        {{.inter = good, .train = good, .out = out},
         {NULL, NULL, CF_ERR_USAGE, "expected either --inter"}},
        {{.inter = good, .test = good, .out = out},
         {NULL, NULL, CF_ERR_USAGE, "--valid and --test go with --train"}},
        {{.inter = absent, .out = out}, {NULL, NULL, CF_ERR_IO, "absent: No such file"}},
        {{.inter = folder, .out = out}, {NULL, NULL, CF_ERR_IO, "Is a directory"}},
        {{.inter = good, .item = absent, .out = out},
         {NULL, NULL, CF_ERR_IO, "absent: No such file"}},
        {{.inter = good, .embedding = vectors, .out = out},
         {NULL, NULL, CF_ERR_USAGE, "--embedding needs --item or --embedding-ids"}},
        {{.inter = good, .embedding_ids = ids, .out = out},
         {NULL, NULL, CF_ERR_USAGE, "--embedding-ids needs --embedding"}},
        {{.inter = good, .embedding = vectors, .embedding_ids = ids, .out = out},
         {NULL, NULL, CF_ERR_FORMAT, "ids.txt has 2 items"}},
        {{.inter = good, .embedding = vectors, .embedding_ids = absent, .out = out},
         {NULL, NULL, CF_ERR_IO, "absent: No such file"}},
    };

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        check(&cases[k].row, &cases[k].paths);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(damaged_interactions), cmocka_unit_test(parts_that_train_has_already),
    cmocka_unit_test(a_nul_byte_is_named),  cmocka_unit_test(damaged_items),
    cmocka_unit_test(damaged_vectors),      cmocka_unit_test(paths_that_do_not_fit),
};
CF_TEST_MAIN(tests)
