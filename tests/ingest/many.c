/* More interactions than a block of reading, the predicted capacity and a digit of the sort can
 * hold, compared with a plain loop. */
#include "fixture.h"

enum { LINES = 150000, N_USERS = 7, N_ITEMS = 5000 };

/* Of each pair the earliest time * LINES + the line of it, -1 without one. */
typedef int earliest[N_USERS][N_ITEMS];

static int64_t below(int line, uint64_t what, int64_t n)
{
    return cf_random_below((cf_random){5, CF_STREAM_TEST}, (uint64_t)line, what, 0, n);
}

/* Lines get shorter, so that the first ones predict too few. Every item occurs at least once. */
static const char *write_lines(earliest times)
{
    char *text = malloc(LINES * 40 + 100), *at = text;
    const char *path;

    memset(times, -1, sizeof(earliest));
    at += sprintf(at, "item_id:token\ttimestamp:float\tuser_id:token\tnote:token\n");
    for (int k = 0; k < LINES; k++) {
        const int user = (int)below(k, 0, N_USERS), time = (int)below(k, 1, 1000);
        const int item = k < N_ITEMS ? k : (int)below(k, 2, N_ITEMS);
        int *known = &times[user][item];

        at += sprintf(at, "%d\t%d\t%d\t%s\n", item, time, user, k < LINES / 2 ? "some text" : "");
        if (*known < 0 || time * LINES + k < *known) *known = time * LINES + k;
    }
    path = put_file("many.inter", text);
    free(text);
    return path;
}

/* The last item by time, then by line, except `without`. */
static int last_of(const int *times, int without)
{
    int last = -1;

    for (int i = 0; i < N_ITEMS; i++)
        if (times[i] >= 0 && i != without && (last < 0 || times[i] > times[last])) last = i;
    return last;
}

static void check_user(const cf_shard *shard, int user, const int *times)
{
    const int test = last_of(times, -1), valid = last_of(times, test);
    int64_t e = shard->train.start[user];

    assert_int_equal(shard->test.start[user + 1] - shard->test.start[user], 1);
    assert_int_equal(shard->test.index[shard->test.start[user]], test);
    assert_int_equal(shard->valid.start[user + 1] - shard->valid.start[user], 1);
    assert_int_equal(shard->valid.index[shard->valid.start[user]], valid);
    for (int i = 0; i < N_ITEMS; i++)
        if (times[i] >= 0 && i != test && i != valid) assert_int_equal(shard->train.index[e++], i);
    assert_int_equal(e, shard->train.start[user + 1]);
}

static void as_the_plain_loop(void **state)
{
    earliest *times = malloc(sizeof *times);
    const cf_ingest_paths paths = {.inter = write_lines(*times), .out = file_path("many.h5")};
    cf_ingest_report report;
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;

    (void)state;
    if (prepare(&paths, "order=time", &report) != CF_OK) fail_msg("%s", cf_error_message());
    assert_int_equal(report.lines, LINES);
    assert_int_equal(report.n_items, N_ITEMS);
    assert_int_equal(cf_dataset_open(&world, paths.out, &dataset), CF_OK);
    assert_int_equal(cf_par_create_grid(&world, 1, world.size, &grid), CF_OK);
    assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard), CF_OK);
    for (int user = 0; user < N_USERS; user++)
        check_user(shard, user, (*times)[user]);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
    free(times);
}

/* Around the end of a block of reading, also in a line that two blocks share. */
static void a_nul_byte_is_named(void **state)
{
    enum { N = 100000, NEAR = 1 << 18 };
    char *text = malloc(N * 8), *at = text, want[100];

    (void)state;
    at += sprintf(at, "user_id:token\titem_id:token\n");
    for (int k = 2; k < N; k++)
        at += sprintf(at, "u\t%d\n", k % 1000);
    for (int place = NEAR - 6; place < NEAR + 6; place++) {
        const char kept = text[place];
        cf_ingest_paths paths = {.out = file_path("none.h5")};
        int line = 1;

        if (kept == '\n') continue;
        for (int k = 0; k < place; k++)
            line += text[k] == '\n';
        text[place] = 0;
        paths.inter = put_bytes("nul.inter", text, (size_t)(at - text));
        text[place] = kept;
        sprintf(want, "nul.inter:%d: a NUL byte, expected text", line);
        assert_int_equal(prepare(&paths, "", NULL), CF_ERR_FORMAT);
        if (!strstr(cf_error_message(), want)) fail_msg("%s", cf_error_message());
    }
    free(text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(as_the_plain_loop),
    cmocka_unit_test(a_nul_byte_is_named),
};
CF_TEST_MAIN(tests)
