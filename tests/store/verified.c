/* What a file that comes from anywhere may try, made with HDF5 itself; and rows that are read in
 * part, which are verified. */
#include "sample.h"

#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[512];

/* ---- Files changed by HDF5 ---- */

/* A good file, changed by rank 0. */
static void make_file(void (*change)(hid_t file))
{
    snprintf(path, sizeof path, "%s", cf_test_scratch("changed.h5"));
    assert_ok(sample_commit(path, "dataset"));
    if (world.rank == 0 && change != NULL) {
        hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);

        assert_true(file >= 0);
        change(file);
        assert_true(H5Fclose(file) >= 0);
    }
    MPI_Barrier(world.comm);
}

static void put_soft_link(hid_t file)
{
    assert_true(H5Ldelete(file, "/real", H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_soft("/table", file, "/real", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void put_linked_group(hid_t file)
{
    assert_true(H5Ldelete(file, "/train", H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_soft("/users", file, "/train", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

/* To a pipe that nobody writes: opening it would wait for ever. */
static void put_external_link(hid_t file)
{
    const char *pipe = cf_test_scratch("pipe");

    unlink(pipe);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_true(H5Ldelete(file, "/real", H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_external(pipe, "/x", file, "/real", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

/* /real, 7 numbers, in another layout. */
static void replace(hid_t file, hid_t creation, hsize_t length)
{
    hid_t space = H5Screate_simple(1, &length, NULL), array;

    assert_true(H5Ldelete(file, "/real", H5P_DEFAULT) >= 0);
    array = H5Dcreate2(file, "/real", H5T_IEEE_F64LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    assert_true(array >= 0);
    H5Dclose(array);
    H5Pclose(creation);
    H5Sclose(space);
}

static void put_chunks(hid_t file)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk = 7;

    H5Pset_chunk(creation, 1, &chunk);
    H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
    replace(file, creation, 7);
}

static void put_outside(hid_t file)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);

    H5Pset_external(creation, "/etc/hostname", 0, H5F_UNLIMITED);
    replace(file, creation, 7);
}

static void put_virtual(hid_t file)
{
    const hsize_t length = 7;
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &length, NULL);

    H5Pset_virtual(creation, space, "absent.h5", "/x", space);
    H5Sclose(space);
    replace(file, creation, 7);
}

static void put_huge(hid_t file)
{
    replace(file, H5Pcreate(H5P_DATASET_CREATE), (hsize_t)1 << 50);
}

static void put_group(hid_t file)
{
    assert_true(H5Ldelete(file, "/real", H5P_DEFAULT) >= 0);
    H5Gclose(H5Gcreate2(file, "/real", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static const struct {
    void (*change)(hid_t file);
    const char *name, *words;
    bool lists; /* the file's arrays can be listed nevertheless */
} arrays[] = {
    {put_soft_link, "/real", "changed.h5: /real is reached by a link", false},
    {put_linked_group, "/train/id", "changed.h5: /train/id is reached by a link", false},
    {put_external_link, "/real", "changed.h5: /real is reached by a link", false},
    {put_chunks, "/real", "changed.h5: /real: is not an array of this program", true},
    {put_outside, "/real", "changed.h5: /real: is not an array of this program", true},
    {put_virtual, "/real", "changed.h5: /real: is not an array of this program", true},
    {put_huge, "/real", "/real is 1125899906842624 x 1 of float64, which the file cannot hold",
     true},
    {put_group, "/real", "changed.h5: /real: is not an array of this program", true},
};

static void an_array_lies_in_the_file_itself(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) {
        cf_store *store = NULL;
        char *list = NULL;
        double *values = NULL;
        int64_t count = 0;
        uint64_t digest = 0;

        make_file(arrays[k].change);
        assert_ok(cf_store_open(&world, path, "dataset", &store));
        assert_refused(cf_store_read_whole(store, arrays[k].name, CF_F64, &count, &values),
                       CF_ERR_FORMAT, arrays[k].words);
        assert_null(values);
        assert_int_equal(cf_store_list(store, &list), arrays[k].lists ? CF_OK : CF_ERR_FORMAT);
        cf_free(&list);
        if (arrays[k].change != put_group)
            assert_int_equal(cf_store_digest(store, &digest), CF_ERR_FORMAT);
        cf_store_close(&store);
    }
}

/* ---- Attributes ---- */

static void put_attribute(hid_t file, const char *name, hid_t type, hsize_t count)
{
    static const char values[65536];
    hid_t space = H5Screate_simple(1, &count, NULL), attribute;

    attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(attribute >= 0 && H5Awrite(attribute, type, values) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
}

static void put_attributes(hid_t file)
{
    hid_t text = H5Tcopy(H5T_C_S1), wide = H5Tcopy(H5T_STD_I64LE);

    H5Tset_size(text, 8);
    H5Tset_size(wide, 16);
    put_attribute(file, "integers", H5T_STD_I64LE, 1000);
    put_attribute(file, "reals", H5T_IEEE_F64LE, 1000);
    put_attribute(file, "texts", text, 1000);
    put_attribute(file, "nuls", text, 1);
    put_attribute(file, "wide", wide, 1);
    put_attribute(file, "short", H5T_STD_I16LE, 1);
    H5Tclose(text);
    H5Tclose(wide);
}

static void an_attribute_is_one_value(void **state)
{
    cf_store *store = NULL;
    cf_attribute *attributes = NULL;
    int64_t integer = 5, count = 0;
    double real = 5;
    char *text = NULL;
    bool has = false;

    (void)state;
    make_file(put_attributes);
    assert_ok(cf_store_open(&world, path, "dataset", &store));
    assert_refused(cf_store_read_int(store, "integers", &integer), CF_ERR_FORMAT,
                   "attribute integers is not an integer");
    assert_refused(cf_store_read_int(store, "wide", &integer), CF_ERR_FORMAT,
                   "attribute wide is not an integer");
    assert_refused(cf_store_read_real(store, "reals", &real), CF_ERR_FORMAT,
                   "attribute reals is not a real number");
    assert_refused(cf_store_read_text(store, "texts", &text), CF_ERR_FORMAT,
                   "attribute texts is not a text");
    assert_refused(cf_store_read_text(store, "nuls", &text), CF_ERR_FORMAT,
                   "attribute nuls is not a text");
    assert_true(integer == 5 && real == 5 && text == NULL);
    assert_ok(cf_store_read_int(store, "short", &integer));
    assert_int_equal(integer, 0);
    assert_ok(cf_store_has_attribute(store, "wide", &has));
    assert_true(has);
    assert_ok(cf_store_has_attribute(store, "narrow", &has));
    assert_false(has);
    assert_ok(cf_store_attributes(store, &attributes, &count));
    for (int64_t k = 0; k < count; k++)
        if (strcmp(attributes[k].name, "integers") == 0)
            assert_int_equal(attributes[k].type, CF_ATTRIBUTE_OTHER);
    cf_store_destroy_attributes(&attributes, count);
    cf_store_close(&store);
}

/* ---- The third answer ---- */

/* Change a byte of the last place in the file where `pattern` is. */
static void flip(const char *pattern, size_t size)
{
    MPI_Barrier(world.comm);
    if (world.rank == 0) {
        static char bytes[1 << 23];
        FILE *file = fopen(path, "r+b");
        size_t length, at = 0;

        assert_non_null(file);
        length = fread(bytes, 1, sizeof bytes, file);
        assert_true(length > size && length < sizeof bytes);
        for (size_t k = 0; k + size <= length; k++)
            if (memcmp(bytes + k, pattern, size) == 0) at = k;
        assert_true(at > 0);
        assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
        fputc(bytes[at] ^ 1, file);
        assert_int_equal(fclose(file), 0);
    }
    MPI_Barrier(world.comm);
}

/* A damaged group may or may not have the array: neither yes nor no. */
static void what_cannot_be_told_is_an_error(void **state)
{
    cf_store *store = NULL;
    bool has = true;
    uint64_t digest = 0;

    (void)state;
    make_file(NULL);
    flip("user_ptr", 8); /* the link in /train, or in /checksums/train */
    assert_ok(cf_store_open(&world, path, "dataset", &store));
    if (cf_store_has(store, "/train/item", &has) == CF_OK)
        assert_refused(cf_store_has(store, "/checksums/train/item", &has), CF_ERR_FORMAT,
                       "cannot tell whether it has /checksums/train/item");
    else
        assert_non_null(strstr(cf_error_message(), "cannot tell whether it has /train/item"));
    assert_int_equal(cf_store_digest(store, &digest), CF_ERR_FORMAT);
    cf_store_close(&store);
}

/* ---- Rows that are read in part ---- */

enum { N = 200000, BLOCK = 65536 };

static void make_list(void)
{
    const int64_t shape[2] = {N, 1};
    const cf_slab all = {0, world.rank == 0 ? N : 0, 0, 1, 1};
    cf_store *store = NULL;
    int64_t *values = NULL;

    snprintf(path, sizeof path, "%s", cf_test_scratch("list.h5"));
    assert_ok(CF_ALLOC(values, N));
    for (int64_t k = 0; k < N; k++)
        values[k] = k * 1000003;
    assert_ok(cf_store_create(&world, path, "test", &store));
    assert_ok(cf_store_add(store, "/list", CF_I64, shape, "rows"));
    assert_ok(cf_store_write(store, "/list", &all, values));
    assert_ok(cf_store_commit(&store));
    cf_free(&values);
}

static cf_status read_range(cf_store *store, int64_t first, int64_t count)
{
    const cf_slab rows = {first, count, 0, 1, 1};
    int64_t *values = NULL;
    cf_status status = CF_ALLOC(values, count);

    CF_TRY(cf_par_agree(&world, status));
    CF_TRY(cf_store_read_verified(store, "/list", CF_I64, &rows, values));
    for (int64_t k = 0; k < count; k++)
        assert_true(values[k] == (first + k) * 1000003);
done:
    cf_free(&values);
    return status;
}

/* Within blocks, over their ends, of none, of all; each rank another range. */
static void any_rows_can_be_read(void **state)
{
    static const int64_t ranges[][2] = {{0, 1},     {BLOCK - 1, 2}, {70000, 5},         {0, N},
                                        {N - 1, 1}, {N, 0},         {1, 3 * BLOCK - 1}, {0, 0}};
    enum { N_RANGES = sizeof ranges / sizeof *ranges };
    cf_store *store = NULL;
    int32_t wrong = 0;
    const cf_slab one = {0, 1, 0, 1, 1};

    (void)state;
    make_list();
    assert_ok(cf_store_open(&world, path, "test", &store));
    for (int k = 0; k < N_RANGES; k++) {
        const int64_t *range = ranges[(k + world.rank) % N_RANGES];

        assert_ok(read_range(store, range[0], range[1]));
    }
    assert_refused(cf_store_read_verified(store, "/list", CF_I32, &one, &wrong), CF_ERR_FORMAT,
                   "/list: is not a list of int32");
    cf_store_close(&store);
}

static void damage_is_found_in_the_block_that_has_it(void **state)
{
    const int64_t damaged = (BLOCK + 10) * (int64_t)1000003;
    cf_store *store = NULL;

    (void)state;
    make_list();
    flip((const char *)&damaged, sizeof damaged);
    assert_ok(cf_store_open(&world, path, "test", &store));
    assert_ok(read_range(store, 0, BLOCK));
    assert_refused(read_range(store, BLOCK + 5000, world.rank == world.size - 1), CF_ERR_FORMAT,
                   "list.h5: /list is damaged (rows 65536 to 131071)");
    assert_ok(read_range(store, 2 * BLOCK, N - 2 * BLOCK));
    cf_store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_array_lies_in_the_file_itself),
    cmocka_unit_test(an_attribute_is_one_value),
    cmocka_unit_test(what_cannot_be_told_is_an_error),
    cmocka_unit_test(any_rows_can_be_read),
    cmocka_unit_test(damage_is_found_in_the_block_that_has_it),
};
CF_TEST_MAIN(tests)
