/* Matrices in files of other programs: tests/data/store/matrices.h5 has one of every kind. */
#include "sample.h"

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

static void no_memory(void **state)
{
    cf_external *external = NULL;
    cf_type type;
    int64_t shape[2];

    (void)state;
    for (int n = 1; n <= 2; n++) {
        cf_alloc_fail_at(n);
        assert_int_equal(cf_store_open_external(MATRICES, "/f4", &external, &type, shape),
                         CF_ERR_MEMORY);
        assert_null(external);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_type_and_layout),
    cmocka_unit_test(what_is_no_matrix_is_refused),
    cmocka_unit_test(no_memory),
};
CF_TEST_MAIN(tests)
