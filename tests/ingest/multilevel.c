/* reorder: bisect by all ranks, with so little reorder_memory that it takes eight parts and several
 * contractions: the parts are nearly as good as those that METIS finds alone, none is much larger
 * than the others, and the bytes are the same on any number of ranks. What METIS' integers do not
 * hold is known beforehand. */
#include "ranks.h"

#include "ingest/reorder.h"

enum { N_ROWS = 1024, N_LIST = 5, N_COMMUNITIES = 16, N_PARTS = 8 };

/* METIS would take 0.85 MiB for all. */
static const char *const spread = "reorder=bisect|reorder_memory=1.5e-4";

/* User k and item k are of community k % 16; a user has five items of its own community, and every
 * fourth one more of any. */
static const char *write_nested(writer *w)
{
    static const int strides[] = {7, 11, 13, 17, 19, 23, 29};

    w->size = w->n = 0;
    put(w, "user_id\titem_id\n");
    for (int user = 0; user < N_ROWS; user++) {
        const int first = below(w, N_ROWS), stride = strides[below(w, 7)];

        for (int k = 0; k < N_LIST; k++)
            put(w, "u%d\ti%d\n", user,
                (first + k * stride) * N_COMMUNITIES % N_ROWS + user % N_COMMUNITIES);
        if (user % 4 == 0) put(w, "u%d\ti%d\n", user, below(w, N_ROWS));
    }
    return put_bytes("nested.inter", w->bytes, w->size);
}

/* Rows that eight parts need of each other (cf_leaves.crossing). */
static int64_t prepare_leaves(const cf_ingest_paths *paths, const char *settings, int64_t n_parts)
{
    cf_ingest_report report;
    cf_dataset *dataset = NULL;
    int64_t crossing, n_leaves;

    if (prepare(paths, settings, &report) != CF_OK) fail_msg("%s", cf_error_message());
    assert_int_equal(report.n_leaf_parts, n_parts);
    assert_ok(cf_dataset_open(&world, paths->out, &dataset));
    n_leaves = dataset->leaves.count;
    assert_int_equal(n_leaves, 32);
    for (int side = 0; side < 2; side++)
        for (int64_t k = 0; k < N_PARTS; k++) {
            const int64_t *start = dataset->leaves.start[side] + k * n_leaves / N_PARTS;

            assert_in_range(start[n_leaves / N_PARTS] - start[0], N_ROWS / N_PARTS * 4 / 5,
                            N_ROWS / N_PARTS * 5 / 4);
        }
    crossing = dataset->leaves.crossing[2];
    cf_dataset_close(&dataset);
    return crossing;
}

static void eight_parts_are_nearly_as_good_as_those_of_one_rank(void **state)
{
    writer *w = calloc(1, sizeof *w);
    const cf_ingest_paths paths = {.train = write_nested(w), .out = file_path("nested.h5")};
    const int64_t alone = prepare_leaves(&paths, "reorder=bisect", 1);

    (void)state;
    assert_in_range(prepare_leaves(&paths, spread, N_PARTS), alone * 3 / 4, alone * 5 / 4);
    free(w);
}

static void any_number_of_ranks_gives_the_same_bytes(void **state)
{
    writer *w = calloc(1, sizeof *w);
    const cf_ingest_paths paths = {.train = write_nested(w), .out = file_path("ranks.h5")};

    (void)state;
    assert_int_equal(compare_with_one_rank(&paths, spread), CF_OK);
    free(w);
}

/* The sum of all weights, 2 edges + CF_ROW_WORK rows, is an integer of 32 bits there. */
static void what_no_integer_of_metis_holds_is_known(void **state)
{
    const int64_t n_rows = 1000, most = (INT32_MAX - CF_ROW_WORK * n_rows - 1) / 2;

    (void)state;
    assert_true(ingest_can_bisect(n_rows, most));
    assert_false(ingest_can_bisect(n_rows, most + 1));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(eight_parts_are_nearly_as_good_as_those_of_one_rank),
    cmocka_unit_test(any_number_of_ranks_gives_the_same_bytes),
    cmocka_unit_test(what_no_integer_of_metis_holds_is_known),
};
CF_TEST_MAIN(tests)
