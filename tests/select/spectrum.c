/* The singular values of the vectors themselves. */
#include "result.h"

static void spectrum_of(const cf_par *par, const char *settings, double *singular)
{
    const cf_select_options options = options_of(settings);
    cf_dataset *dataset = NULL;

    assert_int_equal(cf_dataset_open(par, cf_test_scratch("data.h5"), &dataset), CF_OK);
    if (cf_select_spectrum(dataset, options.one_rank_dim, singular) != CF_OK)
        fail_msg("%s", cf_error_message());
    cf_dataset_close(&dataset);
}

static void vectors_have_the_golden_singular_values(void **state)
{
    const cf_par self = {MPI_COMM_SELF, 0, 1};
    int64_t dims[2];
    double *want = cf_test_npy(GOLDEN "llm_singular.npy", dims), one[48], got[48];

    (void)state;
    open_golden();
    spectrum_of(&self, "seed=1", one);
    spectrum_of(&world, "seed=1", got);
    assert_memory_equal(got, one, sizeof one); /* the same bits on any number of ranks */
    for (int k = 0; k < 48; k++)               /* float32 input; zeros come as 1e-8 of the first */
        assert_close(got[k], want[k], 2e-7 * want[0]);
    spectrum_of(&world, "pca_one_rank=0", got); /* by all ranks */
    for (int k = 0; k < 48; k++)
        assert_close(got[k], want[k], 2e-7 * want[0]);
    free_plain(&data);
    free(want);
}

static void items_without_a_vector_add_nothing(void **state)
{
    double with[4], without[4];

    (void)state;
    for (int n = 0; n < 2; n++) {
        data = new_plain(1, 3 + n, 4);
        data.user_start[1] = 1;
        for (int k = 0; k < 12; k++)
            data.vectors[k] = (float)(k * k % 7);
        if (n == 1) remove_vector(&data, 3);
        write_plain(cf_test_scratch("data.h5"), &data);
        spectrum_of(&world, "seed=1", n == 1 ? without : with);
        free_plain(&data);
    }
    assert_memory_equal(with, without, sizeof with);
}

static void failures_are_those_of_every_rank(void **state)
{
    const cf_select_options options = options_of("seed=1");
    cf_dataset *dataset = NULL;
    double singular[48];

    (void)state;
    open_golden();
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset), CF_OK);
    for (int bad = 0; bad < world.size; bad++)
        for (int64_t n = 1;; n++) {
            cf_status status;

            if (world.rank == bad) cf_alloc_fail_at(n);
            status = cf_select_spectrum(dataset, options.one_rank_dim, singular);
            cf_alloc_fail_at(0);
            if (status == CF_OK) break;
            assert_int_equal(status, CF_ERR_MEMORY);
            assert_non_null(strstr(cf_error_message(), "out of memory"));
            /* what was read of a pass that failed is not to be read again */
            cf_dataset_close(&dataset);
            assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset), CF_OK);
        }
    cf_dataset_close(&dataset);
    data.dim = 0;
    write_plain(cf_test_scratch("data.h5"), &data);
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset), CF_OK);
    assert_int_equal(cf_select_spectrum(dataset, options.one_rank_dim, singular), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "has no language-model vectors"));
    cf_dataset_close(&dataset);
    free_plain(&data);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(vectors_have_the_golden_singular_values),
    cmocka_unit_test(items_without_a_vector_add_nothing),
    cmocka_unit_test(failures_are_those_of_every_rank),
};

CF_TEST_MAIN(tests)
