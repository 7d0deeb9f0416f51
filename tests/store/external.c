/* Matrices in files of other programs: tests/data/store/matrices.h5 has one of every kind. */
#include "sample.h"

#include <hdf5.h>
#include <stdlib.h>

#define MATRICES CF_TEST_DATA "/store/matrices.h5"

static const double values[4][2] = {{7, -0.5}, {10, 0.25}, {99, 99}, {2, 1024}};

static double number(cf_type type, const void *rows, int64_t e)
{
    float value;

    if (type == CF_F64) return ((const double *)rows)[e];
    if (type == CF_F32) return ((const float *)rows)[e];
    cf_store_f16_to_f32((const uint16_t *)rows + e, &value, 1);
    return value;
}

static void every_type_and_layout(void **state)
{
    static const struct {
        const char *name;
        cf_type type;
    } cases[] = {{"/f2", CF_F16},      {"/f2_big", CF_F16},  {"/f4", CF_F32},
                 {"/f4_big", CF_F32},  {"f8", CF_F64},       {"/f8_big", CF_F64},
                 {"/chunked", CF_F32}, {"/compact", CF_F64}, {"/deep/er/deflated", CF_F16}};

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        cf_external *external = NULL;
        cf_type type;
        int64_t shape[2];
        double rows[8];

        assert_ok(cf_store_open_external(MATRICES, cases[k].name, &external, &type, shape));
        assert_int_equal(type, cases[k].type);
        assert_int_equal(shape[0], 4);
        assert_int_equal(shape[1], 2);
        assert_non_null(strstr(cf_store_external_name(external), cases[k].name));
        for (int first = 3; first >= 0; first--) { /* backwards, and in blocks of each size */
            assert_ok(cf_store_read_external(external, first, 4 - first, rows));
            for (int e = 0; e < 2 * (4 - first); e++)
                assert_true(number(type, rows, e) == values[first + e / 2][e % 2]);
        }
        cf_store_close_external(&external);
        assert_null(external);
    }
}

static void what_is_no_matrix_is_refused(void **state)
{
    static const struct {
        const char *path, *name, *words;
    } cases[] = {
        {MATRICES, "/absent",
         "matrices.h5:/absent: no such dataset (object 'absent' doesn't exist"},
        {MATRICES, "/deep", "matrices.h5:/deep: no such dataset"},
        {MATRICES, "/bad/whole", "/bad/whole: is not of floating-point numbers, expected float16"},
        {MATRICES, "/bad/line", "/bad/line: is not a 2-D array"},
        {MATRICES, "/bad/cube", "/bad/cube: is not a 2-D array"},
        {MATRICES, "/bad/unwritten", "/bad/unwritten: has no data: it was never written"},
        {MATRICES, NULL,
         "matrices.h5: contains 11 2-D datasets of floating-point numbers; choose one as "
         "FILE:/DATASET: /bad/nan, /bad/unwritten, /chunked, /compact, "
         "/deep/er/deflated, /f2"},
        {CF_TEST_DATA "/store/foreign.h5", NULL, "foreign.h5: contains no 2-D dataset"},
    };
    cf_external *none = NULL;
    cf_type type;
    int64_t shape[2];
    bool hdf5 = false;

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        cf_external *external = NULL;

        assert_int_equal(
            cf_store_open_external(cases[k].path, cases[k].name, &external, &type, shape),
            CF_ERR_FORMAT);
        if (!strstr(cf_error_message(), cases[k].words)) fail_msg("%s", cf_error_message());
        assert_null(external);
    }
    assert_int_equal(cf_store_open_external(CF_TEST_DATA "/absent.h5", NULL, &none, &type, shape),
                     CF_ERR_IO);
    assert_null(none);
    assert_ok(cf_store_is_hdf5(MATRICES, &hdf5));
    assert_true(hdf5);
    assert_ok(cf_store_is_hdf5(CF_TEST_DATA "/debian-packages/debian-packages.item", &hdf5));
    assert_false(hdf5);
    assert_int_equal(cf_store_is_hdf5(CF_TEST_DATA "/absent.h5", &hdf5), CF_ERR_IO);
}

/* ---- Zeros that HDF5 makes up ---- */

enum { N_GAPS = 4 };

/* A matrix of 8 x 4 whose data is not, or not all, in the file. */
static void write_gaps(const char *path)
{
    const hsize_t shape[2] = {8, 4}, chunk[2] = {3, 4}, start[2] = {3, 0}, some[2] = {3, 4};
    const float ones[12] = {1};
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(2, shape, NULL), memory = H5Screate_simple(2, some, NULL);
    hid_t lists[3], array;
    static const char *const names[3] = {"chunks", "virtual", "outside"};

    for (int k = 0; k < 3; k++)
        lists[k] = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(lists[0], 2, chunk);
    H5Pset_virtual(lists[1], space, "absent.h5", "/x", space);
    H5Pset_external(lists[2], "absent.raw", 0, H5F_UNLIMITED);
    for (int k = 0; k < 3; k++) {
        array =
            H5Dcreate2(file, names[k], H5T_IEEE_F32LE, space, H5P_DEFAULT, lists[k], H5P_DEFAULT);
        assert_true(array >= 0);
        if (k == 0) { /* one chunk of three */
            H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, some, NULL);
            assert_true(H5Dwrite(array, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, ones) >= 0);
            H5Sselect_all(space);
        }
        H5Dclose(array);
        H5Pclose(lists[k]);
    }
    H5Lcreate_soft("/chunks", file, "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Sclose(memory);
    H5Sclose(space);
    assert_true(H5Fclose(file) >= 0);
}

static void what_hdf5_would_fill_with_zeros_is_refused(void **state)
{
    static const char *const cases[N_GAPS][2] = {
        {"/chunks", "gaps.h5:/chunks: 2 of its 3 chunks were never written"},
        {"/virtual", "gaps.h5:/virtual: is a virtual dataset"},
        {"/outside", "gaps.h5:/outside: its numbers lie in files beside it"},
        {"/soft", "gaps.h5:/soft: is reached by a link"},
    };
    const char *path = cf_test_scratch("gaps.h5");

    (void)state;
    if (world.rank == 0) write_gaps(path);
    MPI_Barrier(world.comm);
    for (int k = 0; k < N_GAPS; k++) {
        cf_external *external = NULL;
        cf_type type;
        int64_t shape[2];

        assert_int_equal(cf_store_open_external(path, cases[k][0], &external, &type, shape),
                         CF_ERR_FORMAT);
        if (!strstr(cf_error_message(), cases[k][1])) fail_msg("%s", cf_error_message());
        assert_null(external);
    }
}

static void no_memory(void **state)
{
    cf_external *external = NULL;
    cf_type type;
    int64_t shape[2];

    (void)state;
    for (int n = 1; n <= 3; n++) {
        cf_alloc_fail_at(n);
        assert_int_equal(cf_store_open_external(MATRICES, "/f4", &external, &type, shape),
                         CF_ERR_MEMORY);
        assert_null(external);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_type_and_layout),
    cmocka_unit_test(what_is_no_matrix_is_refused),
    cmocka_unit_test(what_hdf5_would_fill_with_zeros_is_refused),
    cmocka_unit_test(no_memory),
};
CF_TEST_MAIN(tests)
