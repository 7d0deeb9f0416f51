/* append: what does not fit is refused, in one line and without an output; what fails on one rank
 * fails on all. */
#include "append.h"

#include <math.h>

enum { HALF, FULL, NONE, N_BASES };
static char bases[N_BASES][PATH_SIZE];

/* A dataset with vectors of each type, and one without. */
static int make_bases(void)
{
    static const char *const types[N_BASES] = {"<f2", "<f4", NULL};
    static const char *const names[N_BASES] = {"half.h5", "full.h5", "none.h5"};

    for (int b = 0; b < N_BASES; b++) {
        make_base(types[b]);
        snprintf(bases[b], PATH_SIZE, "%s", cf_test_scratch(names[b]));
        if (world.rank == 0) assert_int_equal(rename(base, bases[b]), 0);
        MPI_Barrier(world.comm);
    }
    return N_BASES;
}

static void what_does_not_fit_is_refused(void **state)
{
    const int made = make_bases();
    const float row[] = {1, 2, 3, 4}, large[] = {1, 70000, 3}, bad[] = {1, 2, NAN};
    const char *item = put_file("one.item", "item_id\nx\n");
    const char *npy = put_npy("new.npy", 1, "<f4", (int64_t[]){1, DIM}, row);
    const struct {
        int base;
        cf_ingest_append_paths paths;
        const char *settings;
        cf_status status;
        const char *words;
    } cases[] = {
        {FULL, {0}, "", CF_ERR_USAGE, "append: expected --item, --inter or --test"},
        {FULL, {.embedding = npy, .inter = item}, "", CF_ERR_USAGE, "--embedding needs --item"},
        {FULL,
         {.item = item, .embedding_ids = item},
         "",
         CF_ERR_USAGE,
         "--embedding-ids needs --embedding"},
        {FULL,
         {.item = item, .embedding = npy},
         "embedding_field=v",
         CF_ERR_USAGE,
         "either in --embedding or in embedding_field"},
        {NONE,
         {.item = item, .embedding = npy},
         "",
         CF_ERR_USAGE,
         "none.h5 has no vectors, so that new items cannot have any"},
        {FULL,
         {.item = item, .embedding = put_npy("4.npy", 1, "<f4", (int64_t[]){1, 4}, row)},
         "",
         CF_ERR_FORMAT,
         "4.npy: vectors of 4 numbers, but those of "},
        {FULL,
         {.item = put_file("2.item", "item_id\nx\ny\n"), .embedding = npy},
         "",
         CF_ERR_FORMAT,
         "new.npy: 1 rows, but "},
        {FULL,
         {.item = put_file("3.item", "item_id\nx\nx\n")},
         "",
         CF_ERR_FORMAT,
         "3.item:3: item \"x\" occurs twice"},
        {FULL,
         {.inter = put_file("q.inter", "user_id\titem_id\nu1\tq\n")},
         "filter_inter_by_user_or_item=false",
         CF_ERR_FORMAT,
         "q.inter: item \"q\" is neither in "},
        {FULL, {.inter = "absent.inter"}, "", CF_ERR_IO, "absent.inter: No such file"},
        {HALF,
         {.item = item, .embedding = put_npy("l.npy", 1, "<f4", (int64_t[]){1, DIM}, large)},
         "",
         CF_ERR_NUMERIC,
         "l.npy: item \"x\", column 1: too large for float16"},
        {FULL,
         {.item = item, .embedding = put_npy("n.npy", 1, "<f4", (int64_t[]){1, DIM}, bad)},
         "",
         CF_ERR_NUMERIC,
         "n.npy: row 0 (item \"x\"), column 2: not a finite number"},
    };

    (void)state;
    assert_int_equal(made, N_BASES);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        cf_ingest_append_paths paths = cases[c].paths;

        paths.data = bases[cases[c].base];
        paths.out = out;
        if (world.rank == 0) unlink(out);
        assert_refused(append_with(&world, &paths, cases[c].settings, NULL), cases[c].status,
                       cases[c].words);
        if (world.rank == 0) assert_int_not_equal(access(out, F_OK), 0);
    }
}

typedef struct trial {
    cf_ingest_options options;
    cf_ingest_append_paths paths;
} trial;

static cf_status attempt(void *context)
{
    const trial *t = context;
    cf_ingest_append_report report;

    return cf_ingest_append(&world, &t->options, &t->paths, &report);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial tried = {.attempt = attempt, .thinning = 2, .rotate = true};
    const cf_setting *table = cf_ingest_append_settings;
    cf_config *config = NULL;
    trial t;

    (void)state;
    make_base("<f2");
    t.paths = all_files();
    assert_ok(cf_config_create(&table, 1, &config));
    assert_ok(cf_ingest_read_append_options(config, &t.options));
    assert_true(cf_test_every_allocation(&tried, &t) > 10);
    cf_config_destroy(&config);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_does_not_fit_is_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
