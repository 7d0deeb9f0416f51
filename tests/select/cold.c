/* Cold items shape no start: a selection is that of the warm items alone, whatever vectors cold
 * items have. Their rows are filled by it all the same. */
#include "result.h"

enum { STEP = 3 }; /* two warm items, then a cold one */

static plain warm;

/* The place of warm item i among all. */
static int64_t place_of(int64_t i)
{
    return i / (STEP - 1) * STEP + i % (STEP - 1);
}

/* `data`: the warm items of `warm`, and cold ones between them and at the end with large vectors;
 * every other cold item has none where `missing`. */
static void add_cold(bool missing)
{
    data = new_plain(warm.n_users, place_of(warm.n_items) + STEP, warm.dim);
    data.cold = take(data.n_items, 1);
    for (int64_t i = 0; i < data.n_items; i++) {
        data.cold[i] = (uint8_t)(1 + i % 3);
        for (int64_t k = 0; k < data.dim; k++)
            data.vectors[i * data.dim + k] = (float)(1000 * (i + 1) * (k % 2 ? 3 : -5) + 7 * k);
        if (missing && i % 2) remove_vector(&data, i);
    }
    for (int64_t i = 0; i < warm.n_items; i++) {
        const int64_t at = place_of(i);

        data.cold[at] = 0;
        data.present[at] = warm.present[i];
        memcpy(data.vectors + at * data.dim, warm.vectors + i * data.dim,
               (size_t)data.dim * sizeof *data.vectors);
    }
    for (int64_t u = 0; u < warm.n_users; u++)
        data.user_start[u + 1] = warm.user_start[u + 1];
    for (int64_t e = 0; e < warm.user_start[warm.n_users]; e++)
        data.item[e] = place_of(warm.item[e]);
    write_plain(cf_test_scratch("data.h5"), &data);
}

static void drop_both(void)
{
    free_plain(&data);
    free_plain(&warm);
}

/* Golden numbers of NumPy on the warm items alone. */
static void assert_golden(const double *got, const char *path, double tolerance)
{
    int64_t shape[2];
    double *want = cf_test_npy(path, shape), most = 0;

    for (int64_t k = 0; k < shape[0] * shape[1]; k++)
        most = fmax(most, fabs(want[k]));
    for (int64_t k = 0; k < shape[0] * shape[1]; k++)
        assert_close(got[k], want[k], tolerance * most);
    free(want);
}

/* The row of the table that this rank has for item `item`; NULL if another one has it. */
static const float *row_of(const result *r, int64_t item)
{
    const int64_t row = item - r->items->first_row;

    return row < 0 || row >= r->items->local_rows ? NULL : r->items->data + row * r->items->width;
}

/* Of a warm item the golden row, of a cold one scales V'(x - center), zero without a vector. */
static void check_map_table(const result *r, const char *path)
{
    int64_t shape[2], n_dims = r->selection->n_dims;
    double *want = cf_test_npy(path, shape), most = 0;

    for (int64_t k = 0; k < shape[0] * shape[1]; k++)
        most = fmax(most, fabs(want[k]));
    for (int64_t i = 0, w = 0; i < data.n_items; i++) {
        const float *row = row_of(r, i);

        for (int64_t k = 0; k < n_dims && row != NULL; k++) {
            double sum = 0;

            for (int64_t j = 0; j < data.dim && data.present[i]; j++)
                sum += ((double)data.vectors[i * data.dim + j] - r->selection->center[j]) *
                       r->selection->components[j * n_dims + k] * r->selection->scales[k];
            if (data.cold[i]) /* float32, of products of numbers of up to 1e6 */
                assert_close((double)row[k], sum, 1e-7 * fabs(sum) + 1e-7 * most);
            else /* stored as float32 */
                assert_close((double)row[k], want[w * n_dims + k], 1e-7 * most);
        }
        w += !data.cold[i];
    }
    free(want);
}

static void maps_take_the_golden_numbers_of_warm_items(void **state)
{
    static const struct {
        const char *settings, *table;
    } cases[] = {
        {"emb_selection=pca", GOLDEN "pca_item_init.npy"},
        {"emb_selection=pca pca_one_rank=0", GOLDEN "pca_item_init.npy"},
        {"emb_selection=whiten whiten_power=0.5", GOLDEN "whiten_0.5_item_init.npy"},
    };

    (void)state;
    open_golden();
    warm = data;
    add_cold(true);
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        char settings[128];

        snprintf(settings, sizeof settings, "embedding_size=16 missing_embedding=zero %s",
                 cases[n].settings);
        result r = start(&world, settings, world.size);

        assert_golden(r.selection->center, GOLDEN "map_center.npy", 1e-14);
        assert_golden(r.selection->variances, GOLDEN "pca_variances.npy", 1e-13);
        assert_golden(r.selection->components, GOLDEN "pca_directions.npy", 1e-11);
        check_map_table(&r, cases[n].table);
        drop(&r);
    }
    drop_both();
}

static void qr_takes_the_golden_pivots_of_warm_items(void **state)
{
    int64_t shape[2], n = 0;
    double *order = cf_test_npy(GOLDEN "qr_order.npy", shape);
    bool taken[48] = {false};

    (void)state;
    for (int64_t k = 0; k < 9; k++)
        taken[(int64_t)order[k]] = true;
    open_golden();
    warm = data;
    add_cold(false);
    result r = start(&world, "emb_selection=qr embedding_size=9", world.size);
    for (int64_t k = 0; k < 48; k++)
        if (taken[k]) assert_int_equal(r.selection->dims[n++], k);
    assert_int_equal(n, 9);
    drop(&r);
    drop_both();
    free(order);
}

static const char *const kinds[] = {
    "embedding_size=9 popular_ratio=0.5",
    "embedding_size=9 popular_ratio=1 emb_norm=2",
    "embedding_size=9 popular_ratio=0.04 emb_scale=center",
    "embedding_size=9 emb_scale=minmax",
    "embedding_size=9 emb_scale=l2 emb_norm=3 emb_selection=uni",
    "embedding_size=9 emb_selection=rand emb_scale=center",
    "embedding_size=9 emb_selection=projection emb_norm=0.5",
};

/* Of dimensions and of a projection nothing is summed in an order, so that the bits are those of a
 * dataset without the cold items. */
static void the_bits_are_those_of_warm_items_alone(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof kinds / sizeof *kinds; n++) {
        cf_select_options options = options_of(kinds[n]);
        cf_dataset *dataset = NULL;
        cf_selection *want = NULL;

        options.missing = CF_SELECT_MISSING_ZERO;
        warm = new_mixed();
        remove_vector(&warm, 7);
        write_plain(cf_test_scratch("warm.h5"), &warm);
        assert_ok(cf_dataset_open(&world, cf_test_scratch("warm.h5"), &dataset));
        assert_ok(cf_select_create(dataset, &options, &want));
        cf_dataset_close(&dataset);
        add_cold(n % 2);
        char settings[128];
        snprintf(settings, sizeof settings, "%s missing_embedding=zero", kinds[n]);
        result r = start(&world, settings, world.size);

        assert_same_selection(r.selection, want);
        assert_int_equal(r.selection->n_popular, want->n_popular);
        assert_true(r.selection->factor == want->factor);
        if (want->shift != NULL)
            assert_memory_equal(r.selection->shift, want->shift, 9 * sizeof *want->shift);
        cf_select_destroy(&want);
        drop(&r);
        drop_both();
    }
}

/* What fills missing vectors: mean and deviation of the warm ones. */
static void missing_vectors_are_filled_from_warm_items(void **state)
{
    cf_select_options options = options_of("embedding_size=9 missing_embedding=random");
    cf_dataset *dataset = NULL;
    cf_selection *want = NULL;

    (void)state;
    warm = new_mixed();
    remove_vector(&warm, 7);
    write_plain(cf_test_scratch("warm.h5"), &warm);
    assert_ok(cf_dataset_open(&world, cf_test_scratch("warm.h5"), &dataset));
    assert_ok(cf_select_create(dataset, &options, &want));
    cf_dataset_close(&dataset);
    add_cold(true);
    result r = start(&world, "embedding_size=9 missing_embedding=random", world.size);
    assert_memory_equal(r.selection->mean, want->mean, 9 * sizeof *want->mean);
    assert_memory_equal(r.selection->deviation, want->deviation, 9 * sizeof *want->deviation);
    for (int64_t i = 0; i < data.n_items; i++) { /* a cold item without a vector is drawn too */
        const float *row = row_of(&r, i);
        const cf_random key = {options.seed, CF_STREAM_MISSING};

        for (int64_t k = 0; k < 9 && row != NULL && !data.present[i]; k++)
            assert_true(row[k] ==
                        (float)(want->mean[k] +
                                want->deviation[k] * cf_random_normal(key, (uint64_t)i,
                                                                      (uint64_t)want->dims[k], 0)));
    }
    cf_select_destroy(&want);
    drop(&r);
    drop_both();
}

static void a_ratio_of_too_few_warm_items_is_refused(void **state)
{
    const cf_select_options options = options_of("embedding_size=9 popular_ratio=0.03");
    cf_dataset *dataset = NULL;
    cf_selection *selection = NULL;

    (void)state;
    warm = new_mixed();
    add_cold(false);
    assert_ok(cf_dataset_open(&world, cf_test_scratch("data.h5"), &dataset));
    assert_refused(cf_select_create(dataset, &options, &selection), CF_ERR_USAGE,
                   "popular_ratio 0.03 of 57 items is 1");
    cf_dataset_close(&dataset);
    drop_both();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(maps_take_the_golden_numbers_of_warm_items),
    cmocka_unit_test(qr_takes_the_golden_pivots_of_warm_items),
    cmocka_unit_test(the_bits_are_those_of_warm_items_alone),
    cmocka_unit_test(missing_vectors_are_filled_from_warm_items),
    cmocka_unit_test(a_ratio_of_too_few_warm_items_is_refused),
};
CF_TEST_MAIN(tests)
