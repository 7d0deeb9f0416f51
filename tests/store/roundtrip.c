#include "sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A 64-bit digest that must never change, whatever the ranks, or older files would be refused. */
static const uint64_t sample_digest = 0xd6616f9a480c7d89u;

static const sample_array small = {"/small", CF_F32, {3000, 20}};
static const sample_array table = {"/table", CF_F32, {66000, 20}};

static void what_was_written_is_read(void **state)
{
    const char *path = cf_test_scratch("sample.h5");

    (void)state;
    assert_ok(sample_commit(path, "dataset"));
    assert_ok(sample_check(path, "dataset"));
    assert_ok(sample_check(path, NULL));
}

/* Ways to cut a small table: which part is this rank's, and in how many calls. */
static cf_slab all_on_last_rank(int call)
{
    bool mine = world.rank == world.size - 1 && call == 0;

    return (cf_slab){0, mine ? small.shape[0] : 0, 0, small.shape[1], small.shape[1]};
}

static cf_slab rows_in_three_calls(int call)
{
    cf_slab rows = sample_rows(&small);
    int64_t third = rows.n_rows / 3, first = call * third;

    rows.first_row += first;
    rows.n_rows = call == 2 ? rows.n_rows - first : third;
    return rows;
}

static cf_slab columns_with_gaps(int call)
{
    int64_t first_row = cf_par_even_start(small.shape[0], world.size, world.rank);
    int64_t next_row = cf_par_even_start(small.shape[0], world.size, world.rank + 1);
    int64_t first_column = call == 0 ? 16 : 0, n_columns = call == 0 ? 4 : call == 1 ? 16 : 0;

    return (cf_slab){first_row, next_row - first_row, first_column, n_columns, 19};
}

static cf_slab uneven(int call)
{
    int64_t cut = 1501;
    bool mine = call < 2 && world.rank == (call == 0 ? 0 : world.size - 1);

    return (cf_slab){call == 0 ? 0 : cut,
                     !mine       ? 0
                     : call == 0 ? cut
                                 : small.shape[0] - cut,
                     0, 20, 20};
}

static cf_slab (*const cuts[])(int) = {all_on_last_rank, rows_in_three_calls, columns_with_gaps,
                                       uneven};
enum { N_CUTS = sizeof cuts / sizeof cuts[0] };

static void any_cut_gives_the_same_file(void **state)
{
    uint64_t first = 0, digest = 0, opened = 0;

    (void)state;
    for (int cut = 0; cut < N_CUTS; cut++) {
        cf_store *store = NULL;
        char path[512];

        snprintf(path, sizeof path, "%s", cf_test_scratch("cut.h5"));
        assert_ok(cf_store_create(&world, path, "dataset", &store));
        assert_ok(cf_store_add(store, "/small", CF_F32, small.shape, "rows, columns"));
        for (int call = 0; call < 3; call++)
            assert_ok(sample_write(store, &small, cuts[cut](call)));
        assert_ok(cf_store_digest(store, &digest));
        assert_ok(cf_store_commit(&store));
        if (cut == 0) first = digest;
        assert_true(digest == first);

        assert_ok(cf_store_open(&world, path, "dataset", &store));
        assert_ok(cf_store_digest(store, &opened));
        assert_true(opened == first);
        for (int other = 0; other < N_CUTS; other++) {
            for (int call = 0; call < 3; call++)
                assert_ok(sample_read(store, &small, cuts[other](call)));
            assert_ok(cf_store_verify(store, "/small"));
        }
        cf_store_close(&store);
    }
}

/* A table of one column is one of two dimensions, as others are, and its rows may lie apart. */
static void a_table_may_have_one_column(void **state)
{
    static const sample_array column = {"/column", CF_F32, {66000, 1}};
    const char *path = cf_test_scratch("column.h5");
    cf_slab apart = sample_rows(&column);
    uint64_t digest[2] = {0, 0};
    cf_store *store = NULL;
    cf_external *matrix = NULL; /* takes arrays of two dimensions alone */
    int64_t shape[2];
    cf_type type;

    (void)state;
    apart.stride = 16;
    for (int k = 0; k < 2; k++) {
        assert_ok(cf_store_create(&world, path, "dataset", &store));
        assert_ok(cf_store_add(store, "/column", CF_F32, column.shape, "rows, columns"));
        assert_ok(sample_write(store, &column, k == 0 ? sample_rows(&column) : apart));
        assert_ok(cf_store_digest(store, &digest[k]));
        assert_ok(cf_store_commit(&store));
        assert_ok(cf_store_open(&world, path, "dataset", &store));
        assert_ok(sample_compare(store, &column, apart, true));
        assert_ok(sample_compare(store, &column, sample_rows(&column), true));
        cf_store_close(&store);
    }
    assert_true(digest[0] == digest[1]);
    assert_ok(cf_store_open_external(path, "/column", &matrix, &type, shape));
    assert_int_equal(shape[0], column.shape[0]);
    assert_int_equal(shape[1], 1);
    cf_store_close_external(&matrix);
    MPI_Barrier(world.comm);
}

/* This rank's part when a wide table lies on a grid of n_columns grid columns; the first grid row
 * has the fewest rows. */
static const sample_array wide = {"/wide", CF_F32, {70000, 70}};

static cf_slab grid_part(int n_columns, int64_t gap)
{
    int n_rows = world.size / n_columns, row = world.rank / n_columns,
        column = world.rank % n_columns;
    int64_t first = row == 0 ? 0 : 100 + cf_par_even_start(wide.shape[0] - 100, n_rows, row);
    int64_t next = 100 + cf_par_even_start(wide.shape[0] - 100, n_rows, row + 1);
    int64_t first_column = 16 * cf_par_even_start(5, n_columns, column);
    int64_t next_column = 16 * cf_par_even_start(5, n_columns, column + 1);

    if (next_column > wide.shape[1]) next_column = wide.shape[1];
    return (cf_slab){first, next - first, first_column, next_column - first_column,
                     next_column - first_column + gap};
}

static void any_grid_gives_the_same_file(void **state)
{
    uint64_t digest = 0, first = 0;
    char path[512];

    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("grid.h5"));
    for (int columns = 1; columns <= world.size; columns++) {
        cf_store *store = NULL;

        if (world.size % columns != 0) continue;
        assert_ok(cf_store_create(&world, path, "dataset", &store));
        assert_ok(cf_store_add(store, "/wide", CF_F32, wide.shape, "rows, columns"));
        assert_ok(sample_write(store, &wide, grid_part(columns, 5)));
        assert_ok(cf_store_commit(&store));
        assert_ok(cf_store_open(&world, path, "dataset", &store));
        assert_ok(cf_store_digest(store, &digest));
        if (columns == 1) first = digest;
        assert_true(digest == first);
        for (int other = 1; other <= world.size; other++)
            if (world.size % other == 0)
                assert_ok(sample_compare(store, &wide, grid_part(other, other == 1 ? 0 : 3), true));
        cf_store_close(&store);
    }
}

/* Slices that do not make up whole rows in one call: the other slice comes in the next. */
static void slices_may_come_in_any_call(void **state)
{
    cf_store *store = NULL;
    const char *path = cf_test_scratch("calls.h5");

    (void)state;
    assert_ok(cf_store_create(&world, path, "dataset", &store));
    assert_ok(cf_store_add(store, "/small", CF_F32, small.shape, "rows, columns"));
    for (int call = 0; call < 2; call++) {
        bool left = world.rank == 0 && call == 0, right = world.rank == world.size - 1 && call == 1;
        cf_slab part = {0, left || right ? 3000 : 0, left ? 0 : 16, left ? 16 : 4, 20};

        assert_ok(sample_write(store, &small, part));
    }
    assert_ok(cf_store_commit(&store));
    assert_ok(cf_store_open(&world, path, "dataset", &store));
    assert_ok(sample_compare(store, &small, sample_rows(&small), true));
    cf_store_close(&store);
}

static void digest_is_the_same_on_any_number_of_ranks(void **state)
{
    cf_store *store = NULL;
    uint64_t digest = 0;

    (void)state;
    assert_ok(sample_create(cf_test_scratch("digest.h5"), "dataset", &store));
    assert_ok(cf_store_digest(store, &digest));
    cf_store_close(&store);
    if (digest != sample_digest) fail_msg("digest is %#llx", (unsigned long long)digest);
}

static void halves_are_read_as_floats(void **state)
{
    const sample_array half = {"/half", CF_F16, {301, 40}};
    cf_slab rows = sample_rows(&half);
    cf_store *store = NULL;
    uint16_t *halves = NULL;
    float *got = NULL, want;

    (void)state;
    rows.stride = 48;
    assert_ok(sample_commit(cf_test_scratch("half.h5"), "dataset"));
    assert_ok(cf_store_open(&world, cf_test_scratch("half.h5"), "dataset", &store));
    assert_ok(CF_ALLOC(got, rows.n_rows * rows.stride));
    assert_ok(cf_store_read(store, "/half", CF_F32, &rows, got));
    assert_ok(cf_store_verify(store, "/half"));
    halves = (uint16_t *)(void *)sample_data(&half, &rows);
    for (int64_t k = 0; k < rows.n_rows * rows.stride; k++) {
        cf_store_f16_to_f32(halves + k, &want, 1);
        if (k % rows.stride >= rows.n_columns) want = 0;
        assert_true(got[k] == want);
    }
    assert_int_equal(cf_store_read(store, "/half", CF_F64, &rows, got), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "/half: is float16, expected float64"));
    cf_free(&halves);
    cf_free(&got);
    cf_store_close(&store);
}

static void small_arrays_are_read_whole_on_every_rank(void **state)
{
    const char *path = cf_test_scratch("small.h5");
    const int64_t numbers[3] = {5, -6, INT64_MAX};
    int64_t *got = NULL, count = 0;
    float *table_row = NULL;
    cf_store *store = NULL;

    (void)state;
    assert_ok(cf_store_create(&world, path, "dataset", &store));
    assert_ok(cf_store_write_whole(store, "/selection/dims", CF_I64, 3, numbers));
    assert_ok(cf_store_write_whole(store, "/selection/none", CF_U8, 0, NULL));
    assert_ok(cf_store_commit(&store));

    assert_ok(cf_store_open(&world, path, "dataset", &store));
    assert_ok(cf_store_read_whole(store, "/selection/dims", CF_I64, &count, &got));
    assert_int_equal(count, 3);
    assert_memory_equal(got, numbers, sizeof numbers);
    cf_free(&got);
    assert_ok(cf_store_read_whole(store, "/selection/none", CF_U8, &count, &got));
    assert_int_equal(count, 0);
    cf_free(&got);
    assert_int_equal(cf_store_read_whole(store, "/selection/dims", CF_F32, &count, &table_row),
                     CF_ERR_FORMAT);
    assert_null(table_row);
    cf_store_close(&store);
}

static void attributes_come_back(void **state)
{
    const char *path = cf_test_scratch("attributes.h5");
    cf_store *store = NULL;
    char name[32], *text = NULL;
    int64_t number = 0;
    double real = 0;

    (void)state;
    assert_ok(cf_store_create(&world, path, "dataset", &store));
    for (int k = 0; k < 40; k++) { /* more than HDF5 keeps in the header */
        snprintf(name, sizeof name, "number_%d", k);
        assert_ok(cf_store_write_int(store, name, INT64_MIN + k));
    }
    assert_ok(cf_store_write_real(store, "seconds", 1.0 / 3));
    assert_ok(cf_store_write_text(store, "empty", ""));
    assert_ok(cf_store_write_text(store, "text", "first"));
    assert_ok(cf_store_write_text(store, "text", "d\xc3\xa9j\xc3\xa0 vu\nfine"));
    assert_ok(cf_store_commit(&store));

    assert_ok(cf_store_open(&world, path, "dataset", &store));
    assert_ok(cf_store_read_int(store, "number_39", &number));
    assert_true(number == INT64_MIN + 39);
    assert_ok(cf_store_read_real(store, "seconds", &real));
    assert_true(real == 1.0 / 3);
    assert_ok(cf_store_read_text(store, "empty", &text));
    assert_string_equal(text, "");
    cf_free(&text);
    assert_ok(cf_store_read_text(store, "text", &text));
    assert_string_equal(text, "d\xc3\xa9j\xc3\xa0 vu\nfine");
    cf_free(&text);
    assert_int_equal(cf_store_read_int(store, "seconds", &number), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "attribute seconds is not an integer"));
    assert_int_equal(cf_store_read_real(store, "nothing", &real), CF_ERR_FORMAT);
    assert_int_equal(cf_store_read_text(store, "number_1", &text), CF_ERR_FORMAT);
    assert_null(text);
    cf_store_close(&store);
}

static void names_are_listed_in_order(void **state)
{
    const char *path = cf_test_scratch("names.h5");
    cf_store *store = NULL;
    char *list = NULL;
    cf_type type;
    int64_t shape[2];
    bool has = false;

    (void)state;
    assert_ok(sample_commit(path, "dataset"));
    assert_ok(cf_store_open(&world, path, "dataset", &store));
    assert_string_equal(cf_store_path(store), path);
    assert_ok(cf_store_list(store, &list));
    assert_string_equal(
        list, "/empty\n/half\n/one_row\n/real\n/table\n/train/item\n/train/user_ptr\n/users/id");
    cf_free(&list);
    assert_ok(cf_store_has(store, "/train/item", &has));
    assert_true(has);
    assert_ok(cf_store_has(store, "/train/items", &has));
    assert_false(has);
    assert_ok(cf_store_has(store, "/nowhere/item", &has));
    assert_false(has);
    assert_ok(cf_store_shape(store, "/table", &type, shape));
    assert_true(type == CF_F32 && shape[0] == 66000 && shape[1] == 20);
    assert_ok(cf_store_shape(store, "/users/id", &type, shape));
    assert_true(type == CF_U8 && shape[0] == 5000 && shape[1] == 1);
    assert_int_equal(cf_store_shape(store, "/nowhere", &type, shape), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "has no array /nowhere"));
    cf_store_close(&store);
}

static void what_is_given_up_leaves_nothing(void **state)
{
    char path[512];
    cf_store *store = NULL;

    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("given_up.h5"));
    assert_ok(sample_create(path, "dataset", &store));
    assert_int_equal(cf_test_count_temporary(path), 1);
    MPI_Barrier(world.comm); /* before the first rank removes it */
    cf_store_close(&store);
    assert_null(store);
    assert_int_equal(cf_test_count_temporary(path), 0);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void what_is_not_written_is_not_committed(void **state)
{
    const sample_array real = {"/real", CF_F64, {7, 1}};
    const char *path = cf_test_scratch("partly.h5");
    cf_slab rows = sample_rows(&real);
    cf_store *store = NULL;

    (void)state;
    if (rows.first_row + rows.n_rows == 7) rows.n_rows--;
    assert_ok(cf_store_create(&world, path, "dataset", &store));
    assert_ok(cf_store_add(store, "/real", CF_F64, real.shape, "rows"));
    assert_ok(sample_write(store, &real, rows));
    assert_int_equal(cf_store_commit(&store), CF_ERR_BUG);
    assert_non_null(strstr(cf_error_message(), "/real: 6 of 7 elements were written"));
    assert_null(store);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void reading_a_part_is_not_verified(void **state)
{
    const char *path = cf_test_scratch("part.h5");
    cf_slab rows = sample_rows(&table);
    cf_store *store = NULL;

    (void)state;
    assert_ok(sample_commit(path, "dataset"));
    assert_ok(cf_store_open(&world, path, "dataset", &store));
    rows.first_column =
        3; /* cuts a unit of the checksums: may be read, but says nothing about the whole */
    rows.n_columns = 10;
    assert_ok(sample_read(store, &table, rows));
    assert_int_equal(cf_store_verify(store, "/table"), CF_ERR_BUG);
    assert_non_null(strstr(cf_error_message(), "/table: 0 of 1320000 elements were read"));
    assert_ok(sample_read(store, &table, sample_rows(&table)));
    assert_ok(cf_store_verify(store, "/table"));
    cf_store_close(&store);
}

/* Bytes of the whole file: equal content gives equal bytes, and nothing stays of what was reserved.
 */
static void same_content_same_bytes(void **state)
{
    struct stat file[2];
    char *bytes[2] = {NULL, NULL};

    (void)state;
    for (int k = 0; k < 2; k++) {
        const char *path = cf_test_scratch(k == 0 ? "first.h5" : "second.h5");
        FILE *in;

        if (k == 1) sleep(1); /* no time of day is in the file */
        assert_ok(sample_commit(path, "dataset"));
        in = fopen(path, "rb");
        assert_int_equal(fstat(fileno(in), &file[k]), 0);
        bytes[k] = malloc((size_t)file[k].st_size);
        assert_int_equal(fread(bytes[k], 1, (size_t)file[k].st_size, in), file[k].st_size);
        fclose(in);
    }
    assert_true(file[0].st_size == file[1].st_size);
    assert_memory_equal(bytes[0], bytes[1], (size_t)file[0].st_size);
    assert_true(file[0].st_size < 6250000 && file[0].st_blocks * 512 < 6300000);
    free(bytes[0]);
    free(bytes[1]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_was_written_is_read),
    cmocka_unit_test(any_cut_gives_the_same_file),
    cmocka_unit_test(a_table_may_have_one_column),
    cmocka_unit_test(any_grid_gives_the_same_file),
    cmocka_unit_test(slices_may_come_in_any_call),
    cmocka_unit_test(digest_is_the_same_on_any_number_of_ranks),
    cmocka_unit_test(halves_are_read_as_floats),
    cmocka_unit_test(small_arrays_are_read_whole_on_every_rank),
    cmocka_unit_test(attributes_come_back),
    cmocka_unit_test(names_are_listed_in_order),
    cmocka_unit_test(what_is_given_up_leaves_nothing),
    cmocka_unit_test(what_is_not_written_is_not_committed),
    cmocka_unit_test(reading_a_part_is_not_verified),
    cmocka_unit_test(same_content_same_bytes),
};
CF_TEST_MAIN(tests)
