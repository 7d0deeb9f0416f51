#include "fixture.h"

#include <math.h>
#include <omp.h>

#define GOLDEN CF_TEST_DATA "/golden/"

enum { ITEMS = MIXED_ITEMS, DIM = MIXED_DIM };

static plain data;
static cf_dataset *dataset;

static void open_data(void)
{
    write_plain(cf_test_scratch("data.h5"), &data);
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset), CF_OK);
}

static void drop_data(void)
{
    cf_dataset_close(&dataset);
    free_plain(&data);
}

static cf_selection *choose(const char *settings)
{
    const cf_select_options options = options_of(settings);
    cf_selection *selection = NULL;

    assert_int_equal(cf_select_create(dataset, &options, &selection), CF_OK);
    return selection;
}

/** The most interacted items, found plainly. */
static void plain_popular(int64_t n_popular, bool *popular)
{
    int64_t *counts = take(data.n_items, sizeof *counts);

    for (int64_t e = 0; e < data.user_start[data.n_users]; e++)
        counts[data.item[e]]++;
    memset(popular, 0, (size_t)data.n_items * sizeof *popular);
    while (n_popular-- > 0) {
        int64_t best = -1;
        for (int64_t i = 0; i < data.n_items; i++)
            if (!popular[i] && (best < 0 || counts[i] > counts[best])) best = i;
        popular[best] = true;
    }
    free(counts);
}

/** Exact variance of dimension k over the present items of a set (NULL: all), one number at a time.
 */
static double plain_variance(const bool *set, int64_t k)
{
    cf_exact sum = {0}, squares = {0};
    int64_t n = 0;

    for (int64_t i = 0; i < data.n_items; i++) {
        double x = (double)data.vectors[i * data.dim + k];
        if (!data.present[i] || (set && !set[i])) continue;
        cf_exact_add(&sum, x);
        cf_exact_add(&squares, x * x);
        n++;
    }
    return cf_exact_variance(&sum, &squares, n);
}

static double plain_mean(int64_t k)
{
    cf_exact sum = {0};
    int64_t n = 0;

    for (int64_t i = 0; i < data.n_items; i++)
        if (data.present[i]) {
            cf_exact_add(&sum, (double)data.vectors[i * data.dim + k]);
            n++;
        }
    return cf_exact_value(&sum) / (double)n;
}

static void open_golden(void)
{
    int64_t shape[2], dims[2];
    double *train = cf_test_npy(GOLDEN "tiny/train.npy", shape);
    double *llm = cf_test_npy(GOLDEN "tiny/llm.npy", dims);

    data = new_plain(40, dims[0], dims[1]);
    for (int64_t k = 0; k < dims[0] * dims[1]; k++)
        data.vectors[k] = (float)llm[k];
    for (int64_t u = 0; u < 40; u++) {
        int64_t n = data.user_start[u];
        for (int64_t i = 0; i < dims[0]; i++)
            for (int64_t e = 0; e < shape[0]; e++)
                if ((int64_t)train[2 * e] == u && (int64_t)train[2 * e + 1] == i)
                    data.item[n++] = i;
        data.user_start[u + 1] = n;
    }
    free(train);
    free(llm);
    open_data();
}

static void assert_dims(const cf_selection *selection, const char *golden)
{
    int64_t shape[2];
    double *want = cf_test_npy(golden, shape);

    assert_int_equal(selection->n_dims, shape[0]);
    for (int64_t k = 0; k < shape[0]; k++)
        assert_int_equal(selection->dims[k], (int64_t)want[k]);
    free(want);
}

static void var_takes_the_golden_dimensions(void **state)
{
    int64_t shape[2];
    double *variances = cf_test_npy(GOLDEN "tiny/var_variances.npy", shape);
    bool popular[30];

    (void)state;
    open_golden();
    cf_selection *selection = choose("embedding_size=16");
    assert_dims(selection, GOLDEN "tiny/var_dims.npy");
    assert_int_equal(selection->n_popular, 6);
    plain_popular(6, popular);
    for (int64_t k = 0; k < 16; k++) {
        double want = variances[selection->dims[k]];
        /* the golden values were rounded at every step; ours once, so the same on any number of
         * ranks */
        assert_close(selection->variances[k], want, 1e-12 * want);
        assert_true(selection->variances[k] == plain_variance(popular, selection->dims[k]));
    }
    assert_false(selection->unit);
    assert_true(selection->factor == 1 && selection->gain == 1 && selection->shift[0] == 0);
    assert_null(selection->mean);
    cf_select_destroy(&selection);
    assert_null(selection);
    free(variances);
    drop_data();
}

static void uni_takes_the_golden_dimensions(void **state)
{
    static const int sizes[][2] = {{48, 16},   {100, 64},  {384, 128},  {512, 64},
                                   {512, 100}, {512, 128}, {1024, 128}, {768, 128}};
    char path[256], settings[64];

    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        data = new_plain(1, 3, sizes[k][0]);
        data.user_start[1] = 1;
        open_data();
        snprintf(settings, sizeof settings, "emb_selection=uni embedding_size=%d", sizes[k][1]);
        snprintf(path, sizeof path, GOLDEN "uni/uni_%d_%d.npy", sizes[k][0], sizes[k][1]);
        cf_selection *selection = choose(settings);
        assert_dims(selection, path);
        cf_select_destroy(&selection);
        drop_data();
    }
}

static void var_ranks_exact_variances_of_the_popular_items(void **state)
{
    static const double ratios[] = {0.04, 0.2, 0.5, 0.77, 1.0};
    bool popular[ITEMS];
    char settings[128];

    (void)state;
    data = new_mixed();
    open_data();
    for (size_t r = 0; r < sizeof ratios / sizeof *ratios; r++) {
        int64_t n_popular = (int64_t)(ratios[r] * ITEMS);
        bool chosen[DIM] = {false};

        omp_set_num_threads(1 + (int)r % 3);
        snprintf(settings, sizeof settings, "embedding_size=9 popular_ratio=%g", ratios[r]);
        cf_selection *selection = choose(settings);
        omp_set_num_threads(1);
        plain_popular(n_popular, popular);
        assert_int_equal(selection->n_popular, n_popular);
        for (int64_t k = 0; k < 9; k++) {
            if (k > 0) assert_true(selection->dims[k - 1] < selection->dims[k]);
            assert_true(selection->variances[k] == plain_variance(popular, selection->dims[k]));
            chosen[selection->dims[k]] = true;
        }
        for (int64_t k = 0; k < DIM; k++)
            for (int64_t j = 0; j < 9 && !chosen[k]; j++)
                assert_true(plain_variance(popular, k) <= selection->variances[j]);
        cf_select_destroy(&selection);
    }
    drop_data();
}

static void equal_variances_go_to_the_lower_dimension(void **state)
{
    static const int64_t want[] = {1, 3, 4, 7};

    (void)state;
    data = new_plain(1, 10, 11);
    data.user_start[1] = 1;
    for (int64_t i = 0; i < 10; i++)
        for (int64_t k = 0; k < 11; k++)
            data.vectors[i * 11 + k] = (float)(i * (k == 7                       ? 3
                                                    : k == 1 || k == 3 || k >= 4 ? 2
                                                                                 : 1));
    open_data();
    cf_selection *selection = choose("embedding_size=4");
    for (int k = 0; k < 4; k++)
        assert_int_equal(selection->dims[k], want[k]);
    cf_select_destroy(&selection);
    drop_data();
}

static void rand_draws_distinct_dimensions_with_the_seed(void **state)
{
    bool seen[DIM] = {false};
    int different = 0;

    (void)state;
    data = new_mixed();
    open_data();
    cf_selection *one = choose("emb_selection=rand embedding_size=20 seed=1");
    cf_selection *same = choose("emb_selection=rand embedding_size=20 seed=1 popular_ratio=1");
    cf_selection *other = choose("emb_selection=rand embedding_size=20 seed=2");
    for (int k = 0; k < 20; k++) {
        assert_in_range(one->dims[k], k ? one->dims[k - 1] + 1 : 0, DIM - 1);
        assert_int_equal(one->dims[k], same->dims[k]);
        assert_true(one->variances[k] > 0);
        different += one->dims[k] != other->dims[k];
    }
    assert_true(different > 0);
    cf_select_destroy(&one);
    cf_select_destroy(&same);
    cf_select_destroy(&other);
    one = choose("emb_selection=rand embedding_size=30 rand_replacement=true");
    for (int k = 0; k < 30; k++) { /* as drawn, from the generator itself */
        cf_random key = {2020, CF_STREAM_DIMS};
        assert_int_equal(one->dims[k], cf_random_below(key, (uint64_t)k, 0, 0, DIM));
        different += seen[one->dims[k]] ? 100 : 0;
        seen[one->dims[k]] = true;
    }
    assert_true(different >= 100); /* 30 of 37 without a repeat: once in 10^8 */
    cf_select_destroy(&one);
    drop_data();
}

static void full_takes_all(void **state)
{
    (void)state;
    data = new_mixed();
    open_data();
    cf_selection *selection = choose("emb_selection=full embedding_size=37 popular_ratio=0");
    for (int k = 0; k < DIM; k++) {
        assert_int_equal(selection->dims[k], k);
        assert_true(selection->variances[k] == 0); /* of no items */
    }
    cf_select_destroy(&selection);
    drop_data();
}

static void the_constants_of_the_scale_are_global_and_exact(void **state)
{
    double low = INFINITY, high = -INFINITY;

    (void)state;
    data = new_mixed();
    remove_vector(&data, 7);
    open_data();
    cf_selection *center = choose("embedding_size=9 emb_scale=center missing_embedding=zero");
    cf_selection *minmax = choose("embedding_size=9 emb_scale=minmax missing_embedding=zero");
    cf_selection *l2 = choose("embedding_size=9 emb_scale=l2 emb_gain=3 missing_embedding=random");
    for (int64_t k = 0; k < 9; k++) {
        int64_t dim = center->dims[k];
        assert_true(center->shift[k] == plain_mean(dim));
        assert_true(l2->mean[k] == plain_mean(dim));
        assert_true(l2->deviation[k] == sqrt(plain_variance(NULL, dim)));
        for (int64_t i = 0; i < ITEMS; i++)
            if (data.present[i]) {
                low = fmin(low, (double)data.vectors[i * DIM + dim]);
                high = fmax(high, (double)data.vectors[i * DIM + dim]);
            }
    }
    for (int64_t k = 0; k < 9; k++)
        assert_true(minmax->shift[k] == low);
    assert_true(minmax->factor == 1 / (high - low));
    assert_true(l2->unit && l2->gain == 3 && !center->unit);
    cf_select_destroy(&center);
    cf_select_destroy(&minmax);
    cf_select_destroy(&l2);
    drop_data();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(var_takes_the_golden_dimensions),
    cmocka_unit_test(uni_takes_the_golden_dimensions),
    cmocka_unit_test(var_ranks_exact_variances_of_the_popular_items),
    cmocka_unit_test(equal_variances_go_to_the_lower_dimension),
    cmocka_unit_test(rand_draws_distinct_dimensions_with_the_seed),
    cmocka_unit_test(full_takes_all),
    cmocka_unit_test(the_constants_of_the_scale_are_global_and_exact),
};

CF_TEST_MAIN(tests)
