/* Names, vectors and counts come back as written, wherever a rank begins; what fails on one rank
 * fails on all. */
#include "fixture.h"

#include <math.h>

static void names_come_back(void **state)
{
    const char *path = cf_test_scratch("names.h5"), kinds[] = "uit";
    const int64_t sizes[] = {N_USERS, N_ITEMS, N_ITEMS};
    cf_dataset *dataset = NULL;

    (void)state;
    assert_int_equal(write_dataset(path, CF_F32), CF_OK);
    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    for (int which = CF_USER_IDS; which <= CF_ITEM_TITLES; which++) {
        cf_strings names = {0};
        int64_t first, count;

        my_range(sizes[which], &first, &count);
        assert_int_equal(cf_dataset_read_names(dataset, (cf_name_kind)which, first, count, &names),
                         CF_OK);
        assert_int_equal(names.count, count);
        for (int64_t k = 0; k < count; k++)
            assert_string_equal(names.bytes + names.start[k], make_name(kinds[which], first + k));
        cf_dataset_destroy_strings(&names);
    }
    cf_dataset_close(&dataset);
}

static void ids_are_found(void **state)
{
    const char *path = cf_test_scratch("find.h5");
    int64_t start[] = {0, 6, 12, 18}, numbers[3] = {-7, -7, -7};
    char bytes[] = "u1035\0u1000\0u1035";
    cf_strings ids = {3, start, bytes};
    cf_dataset *dataset = NULL;
    char text[256];

    (void)state;
    assert_int_equal(write_dataset(path, CF_F32), CF_OK);
    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    assert_int_equal(cf_dataset_find(dataset, CF_USER_IDS, &ids, numbers), CF_OK);
    assert_int_equal(numbers[0], 5);
    assert_int_equal(numbers[1], 0);
    assert_int_equal(numbers[2], 5);
    bytes[7] = 'x';
    assert_int_equal(cf_dataset_find(dataset, CF_USER_IDS, &ids, numbers), CF_OK);
    assert_int_equal(numbers[0], 5);
    assert_int_equal(numbers[1], -1);
    assert_int_equal(numbers[2], 5);
    cf_dataset_describe(dataset, CF_ITEM_IDS, 17, text, sizeof text);
    assert_string_equal(text, "item \"i1119\" (number 17)");
    cf_dataset_close(&dataset);
}

static void vectors_and_counts_come_back(void **state)
{
    (void)state;
    for (int type = CF_F16; type <= CF_F32; type++) {
        const char *path = cf_test_scratch("vectors.h5");
        const int64_t first = cf_par_even_start(N_ITEMS, world.size, world.rank);
        const int64_t count = cf_par_even_start(N_ITEMS, world.size, world.rank + 1) - first;
        cf_lists by_item = make_lists(1, true, first, count);
        float rows[N_ITEMS * DIM];
        uint8_t present[N_ITEMS];
        int64_t counts[N_ITEMS];
        cf_dataset *dataset = NULL;

        assert_int_equal(write_dataset(path, (cf_type)type), CF_OK);
        assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
        assert_int_equal(dataset->embedding_dim, DIM);
        assert_int_equal(dataset->n_missing, 1);
        assert_int_equal(cf_dataset_read_embedding(dataset, first, count, rows, present), CF_OK);
        assert_int_equal(cf_dataset_verify_embedding(dataset), CF_OK);
        assert_int_equal(cf_dataset_read_item_counts(dataset, first, count, counts), CF_OK);
        for (int64_t k = 0; k < count; k++) {
            assert_int_equal(present[k], first + k != 3);
            assert_int_equal(counts[k], by_item.start[k + 1] - by_item.start[k]);
            for (int64_t j = 0; j < DIM; j++)
                assert_true(rows[k * DIM + j] == make_value(first + k, j));
        }
        cf_dataset_close(&dataset);
        free_lists(&by_item);
    }
}

static cf_status infinite_vectors(void *context, int64_t first, int64_t count, void *rows,
                                  uint8_t *present)
{
    const int64_t bad = 9 - ((const formula *)context)->first_item;

    make_vectors(context, first, count, rows, present);
    if (first <= bad && bad < first + count) ((float *)rows)[(bad - first) * DIM + 19] = INFINITY;
    return CF_OK;
}

static void a_vector_that_is_not_finite_is_named(void **state)
{
    const char *path = cf_test_scratch("infinite.h5");
    formula from;
    cf_dataset_content content = make_content(CF_F32, &from);
    const int64_t count = world.rank == world.size - 1 ? N_ITEMS : 0;
    float rows[N_ITEMS * DIM];
    cf_dataset *dataset = NULL;

    (void)state;
    content.read_vectors = infinite_vectors;
    assert_int_equal(cf_dataset_write(&world, path, &content), CF_OK);
    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    assert_int_equal(cf_dataset_read_embedding(dataset, 0, count, rows, NULL), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "item \"i1063\" (number 9) is not finite"));
    cf_dataset_close(&dataset);
    free_content(&content);
}

static cf_status no_vectors(void *context, int64_t first, int64_t count, void *rows,
                            uint8_t *present)
{
    (void)context, (void)first, (void)count, (void)rows, (void)present;
    return CF_FAIL(CF_ERR_NUMERIC, "no vector today");
}

enum { WIDE = 1 << 20, WIDE_ITEMS = 4 }; /* of 4 MiB each, so that a block has two */

/* The last rank's first item fails at once, rank 0's last one in the second block. */
static cf_status two_bad_vectors(void *context, int64_t first, int64_t count, void *rows,
                                 uint8_t *present)
{
    const int64_t bad = world.rank == 0 ? WIDE_ITEMS - 1 : 0;

    (void)context, (void)rows;
    memset(present, 1, (size_t)count);
    if ((world.rank == 0 || world.rank == world.size - 1) && first <= bad && bad < first + count)
        return CF_FAIL(CF_ERR_NUMERIC, "rank %d has a bad vector", world.rank);
    return CF_OK;
}

/* Not the first that is met, which depends on the ranks, but the first in order. */
static void the_first_bad_vector_of_all_is_told(void **state)
{
    formula from;
    const int64_t users[2] = {N_USERS - 1, world.rank == 0}; /* one, without interactions */
    const int64_t items[2] = {(int64_t)world.rank * WIDE_ITEMS, WIDE_ITEMS};
    cf_dataset_content content = make_part(users, items, CF_F32, &from);

    (void)state;
    content.embedding_dim = WIDE;
    content.read_vectors = two_bad_vectors;
    assert_int_equal(cf_dataset_write(&world, cf_test_scratch("bad.h5"), &content), CF_ERR_NUMERIC);
    assert_string_equal(cf_error_message(), "rank 0 has a bad vector");
    free_content(&content);
}

/* The source of vectors fails in the middle of writing: the older file stays. */
static void a_failed_source_leaves_the_older_file(void **state)
{
    const char *path = cf_test_scratch("older.h5");
    formula from;
    cf_dataset_content content = make_content(CF_F32, &from);
    cf_dataset *dataset = NULL;

    (void)state;
    assert_int_equal(cf_dataset_write(&world, path, &content), CF_OK);
    content.read_vectors = no_vectors;
    assert_int_equal(cf_dataset_write(&world, path, &content), CF_ERR_NUMERIC);
    assert_non_null(strstr(cf_error_message(), "no vector today"));
    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    cf_dataset_close(&dataset);
    free_content(&content);
}

/* How users and items lie on the ranks does not change a byte of the file. */
static void the_same_bytes_from_one_rank(void **state)
{
    const int64_t users[2] = {0, N_USERS}, items[2] = {0, N_ITEMS};
    char *parts = strdup(cf_test_scratch("parts.h5")), *whole = strdup(cf_test_scratch("whole.h5"));

    (void)state;
    for (int type = CF_F16; type <= CF_F32; type++) {
        formula from;
        cf_dataset_content content = make_part(users, items, (cf_type)type, &from);
        char command[2100];

        assert_int_equal(write_dataset(parts, (cf_type)type), CF_OK);
        assert_int_equal(cf_dataset_write(&world, whole, world.rank == 0 ? &content : NULL), CF_OK);
        snprintf(command, sizeof command, "cmp '%s' '%s'", parts, whole);
        if (world.rank == 0) assert_int_equal(system(command), 0);
        MPI_Barrier(world.comm);
        free_content(&content);
    }
    free(parts);
    free(whole);
}

static void the_digest_names_the_content(void **state)
{
    uint64_t digests[3];

    (void)state;
    for (int k = 0; k < 3; k++) {
        const char *path = cf_test_scratch("digest.h5");
        formula from;
        cf_dataset_content content = make_content(CF_F32, &from);
        cf_dataset *dataset = NULL;

        content.source = k == 1 ? "another name" : "a formula";
        if (k == 2 && world.rank == 0) content.user_ids.bytes[1] = '9';
        assert_int_equal(cf_dataset_write(&world, path, &content), CF_OK);
        assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
        digests[k] = dataset->digest;
        cf_dataset_close(&dataset);
        free_content(&content);
    }
    assert_true(digests[0] == digests[1]);
    assert_true(digests[0] != digests[2]);
}

/* One collective call of each kind, chosen by number. */
typedef struct call {
    int what;
    const char *path;
    cf_dataset *dataset;
} call;

static cf_status make_call(void *context)
{
    const call *c = context;
    cf_dataset *opened = NULL;
    cf_strings names = {0};
    float rows[2 * DIM];
    int64_t counts[2], start[] = {0, 6};
    char id[] = "u1000";
    cf_status status = CF_OK;

    if (c->what == 0) status = cf_dataset_open(&world, c->path, &opened);
    if (c->what == 1) status = cf_dataset_read_names(c->dataset, CF_ITEM_IDS, 1, 2, &names);
    if (c->what == 2) status = cf_dataset_read_embedding(c->dataset, 1, 2, rows, NULL);
    if (c->what == 3) status = cf_dataset_read_item_counts(c->dataset, 1, 2, counts);
    if (c->what == 4)
        status = cf_dataset_find(c->dataset, CF_USER_IDS, &(cf_strings){1, start, id}, counts);
    cf_dataset_close(&opened);
    cf_dataset_destroy_strings(&names);
    return status;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = make_call, .thinning = 12};
    call c = {.path = cf_test_scratch("memory.h5")};

    (void)state;
    assert_int_equal(write_dataset(c.path, CF_F32), CF_OK);
    assert_int_equal(cf_dataset_open(&world, c.path, &c.dataset), CF_OK);
    for (; c.what < 5; c.what++) {
        assert_int_equal(make_call(&c), CF_OK); /* the arrays that it uses stay open */
        assert_true(cf_test_every_allocation(&trial, &c) > 0);
    }
    cf_dataset_close(&c.dataset);
}

/* An item without a vector ends with its name, once all flags were read and verified. */
static void the_first_item_without_a_vector_is_named(void **state)
{
    const char *path = cf_test_scratch("missing.h5");
    cf_dataset *dataset = NULL;

    (void)state;
    assert_int_equal(write_dataset(path, CF_F32), CF_OK);
    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    assert_string_equal(cf_dataset_path(dataset), path);
    for (int k = 0; k < 2; k++) { /* the flags can be read again */
        assert_int_equal(cf_dataset_refuse_missing(dataset, "zero or mean"), CF_ERR_FORMAT);
        assert_non_null(strstr(cf_error_message(),
                               "1 of 23 items have no vector, the first is item \"i1021\" (number "
                               "3); set missing_embedding to zero or mean"));
    }
    cf_dataset_close(&dataset);
}

static void no_memory_while_writing_leaves_no_file(void **state)
{
    const char *path = cf_test_scratch("unwritten.h5");
    formula from;
    cf_dataset_content content = make_content(CF_F16, &from);

    (void)state;
    if (world.rank == 0) remove(path); /* of an earlier run */
    for (int bad = 0; bad < world.size; bad++) {
        int64_t live = cf_alloc_live();

        for (int n = 1; n < 10000; n += 1 + n / 3) {
            cf_dataset *dataset = NULL;
            cf_status status;

            if (world.rank == bad) cf_alloc_fail_at(n);
            status = cf_dataset_write(&world, path, &content);
            cf_alloc_fail_at(0);
            assert_int_equal(cf_alloc_live(), live);
            if (status == CF_OK) break;
            assert_int_equal(status, CF_ERR_MEMORY);
            if (bad == 0) assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_ERR_IO);
        }
    }
    free_content(&content);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_come_back),
    cmocka_unit_test(ids_are_found),
    cmocka_unit_test(vectors_and_counts_come_back),
    cmocka_unit_test(a_vector_that_is_not_finite_is_named),
    cmocka_unit_test(the_first_bad_vector_of_all_is_told),
    cmocka_unit_test(a_failed_source_leaves_the_older_file),
    cmocka_unit_test(the_same_bytes_from_one_rank),
    cmocka_unit_test(the_digest_names_the_content),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(the_first_item_without_a_vector_is_named),
    cmocka_unit_test(no_memory_while_writing_leaves_no_file),
};
CF_TEST_MAIN(tests)
