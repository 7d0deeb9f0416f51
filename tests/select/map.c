#include "result.h"

#include <math.h>
#include <omp.h>

/* Three tiles of the covariance, two panels; five segments: any grid up to 4 columns. */
enum { ITEMS = 600, DIM = 150, SIZE = 70 };

static cf_par self;

/* Vectors with a mean, correlated and of different lengths; items 5, 41, ... have none. */
static void make_data(void)
{
    const cf_random key = {4, CF_STREAM_TEST};

    MPI_Comm_dup(MPI_COMM_SELF, &self.comm);
    self.rank = 0;
    self.size = 1;
    data = new_plain(1, ITEMS, DIM);
    data.user_start[1] = 1;
    for (int64_t i = 0; i < ITEMS; i++) {
        if (i % 36 == 5) remove_vector(&data, i);
        for (int64_t k = 0; k < DIM && data.present[i]; k++) {
            double z = cf_random_normal(key, (uint64_t)i, (uint64_t)k, 0);
            double common = cf_random_normal(key, (uint64_t)i, (uint64_t)(k % 7 + 1000), 0);
            data.vectors[i * DIM + k] = (float)(1 + z / (1 + 0.05 * (double)k) + 2 * common);
        }
    }
    write_plain(cf_test_scratch("data.h5"), &data);
}

static void drop_data(void)
{
    free_plain(&data);
    MPI_Comm_free(&self.comm);
}

static float value_at(const result *r, int64_t row, int64_t k)
{
    return r->items->data[row * r->items->width + k];
}

/* ---- Golden numbers ---- */

/* Within `tolerance` of the largest number of the file. */
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

static void assert_golden_table(const result *r, const char *path)
{
    int64_t shape[2];
    double *want = cf_test_npy(path, shape), most = 0;

    for (int64_t k = 0; k < shape[0] * shape[1]; k++)
        most = fmax(most, fabs(want[k]));
    for (int64_t row = 0; row < r->items->local_rows; row++)
        for (int64_t k = 0; k < 16; k++) /* stored as float32 */
            assert_close(value_at(r, row, k), want[(r->items->first_row + row) * 16 + k],
                         1e-7 * most);
    free(want);
}

/* By one rank and by all. */
static void maps_take_the_golden_numbers(void **state)
{
    static const struct {
        const char *settings, *table;
    } cases[] = {
        {"emb_selection=pca", GOLDEN "pca_item_init.npy"},
        {"emb_selection=pca pca_one_rank=0", GOLDEN "pca_item_init.npy"},
        {"emb_selection=whiten whiten_power=0", GOLDEN "pca_item_init.npy"},
        {"emb_selection=whiten whiten_power=0.5", GOLDEN "whiten_0.5_item_init.npy"},
        {"emb_selection=whiten", GOLDEN "whiten_1_item_init.npy"},
        {"emb_selection=whiten pca_one_rank=0", GOLDEN "whiten_1_item_init.npy"},
    };

    (void)state;
    open_golden();
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        char settings[128];
        snprintf(settings, sizeof settings, "embedding_size=16 %s", cases[n].settings);
        result r = start(&world, settings, world.size);

        assert_null(r.selection->dims);
        assert_int_equal(r.selection->source_dim, 48);
        assert_golden(r.selection->center, GOLDEN "map_center.npy", 1e-14);
        assert_golden(r.selection->variances, GOLDEN "pca_variances.npy", 1e-13);
        assert_golden(r.selection->components, GOLDEN "pca_directions.npy", 1e-11);
        assert_golden_table(&r, cases[n].table);
        drop(&r);
    }
    free_plain(&data);
}

static void qr_takes_the_golden_pivots(void **state)
{
    int64_t shape[2];
    double *order = cf_test_npy(GOLDEN "qr_order.npy", shape);

    (void)state;
    open_golden();
    for (int64_t size = 1; size <= 16; size++) {
        char settings[64];
        bool taken[48] = {false};
        int64_t n = 0;

        snprintf(settings, sizeof settings, "emb_selection=qr embedding_size=%d", (int)size);
        for (int64_t k = 0; k < size; k++)
            taken[(int64_t)order[k]] = true;
        result r = start(&world, settings, world.size);
        for (int64_t k = 0; k < 48; k++)
            if (taken[k]) assert_int_equal(r.selection->dims[n++], k);
        assert_int_equal(n, size);
        drop(&r);
    }
    free_plain(&data);
    free(order);
}

/* The first n pivots of QR with column pivoting of a (m x DIM, row-major; destroyed), by modified
 * Gram and Schmidt: take the longest column, and subtract its direction from the others (Golub and
 * Van Loan, sections 5.2.8 and 5.4.1). */
static void qr_pivots(int64_t m, double *a, int64_t n, bool *taken)
{
    for (int64_t k = 0; k < n; k++) {
        int64_t pivot = 0;
        double most = -1;

        for (int64_t j = 0; j < DIM; j++) {
            double squares = 0;
            for (int64_t i = 0; i < m; i++)
                squares += a[i * DIM + j] * a[i * DIM + j];
            if (!taken[j] && squares > most) {
                most = squares;
                pivot = j;
            }
        }
        taken[pivot] = true;
        for (int64_t j = 0; j < DIM; j++) {
            double along = 0;
            if (taken[j]) continue;
            for (int64_t i = 0; i < m; i++)
                along += a[i * DIM + j] * a[i * DIM + pivot] / most;
            for (int64_t i = 0; i < m; i++)
                a[i * DIM + j] -= along * a[i * DIM + pivot];
        }
    }
}

/* QR itself of the centred vectors, on each rank. */
static void qr_takes_the_pivots_of_qr(void **state)
{
    double *rows = take(ITEMS * DIM, sizeof *rows);
    bool taken[DIM] = {false};

    (void)state;
    make_data();
    result r =
        start(&world, "emb_selection=qr embedding_size=70 missing_embedding=zero", world.size);
    result pca =
        start(&world, "emb_selection=pca embedding_size=70 missing_embedding=zero", world.size);
    for (int64_t i = 0; i < ITEMS; i++)
        for (int64_t k = 0; k < DIM && data.present[i]; k++)
            rows[i * DIM + k] = (double)data.vectors[i * DIM + k] - pca.selection->center[k];
    qr_pivots(ITEMS, rows, SIZE, taken);
    for (int k = 0; k < SIZE; k++)
        assert_true(taken[r.selection->dims[k]]);
    drop(&r);
    drop(&pca);
    drop_data();
    free(rows);
}

/* ---- The same bits ---- */

static void assert_same_table(const result *got, const result *want)
{
    for (int64_t row = 0; row < got->items->local_rows; row++)
        for (int64_t k = 0; k < got->items->local_dim; k++) {
            const float a = value_at(got, row, k);
            const float b = value_at(want, got->items->first_row + row - want->items->first_row,
                                     got->items->first_dim + k - want->items->first_dim);
            assert_memory_equal(&a, &b, sizeof a);
        }
}

static const char *const every_kind[] = {
    "embedding_size=70 emb_selection=pca missing_embedding=zero",
    "embedding_size=70 emb_selection=pca missing_embedding=mean emb_scale=l2 emb_gain=2",
    "embedding_size=70 emb_selection=whiten missing_embedding=zero emb_norm=1.5",
    "embedding_size=70 emb_selection=whiten whiten_power=0.3 missing_embedding=random seed=3",
    "embedding_size=70 emb_selection=projection missing_embedding=zero emb_norm=0.5",
    "embedding_size=70 emb_selection=qr missing_embedding=mean emb_scale=center emb_norm=3",
    "embedding_size=70 emb_selection=var missing_embedding=zero emb_norm=2",
};
enum { N_KINDS = sizeof every_kind / sizeof every_kind[0] };

/* Each rank alone, and all together on a grid, with little memory and with threads. */
static void ranks_grid_memory_and_threads_change_no_bit(void **state)
{
    (void)state;
    make_data();
    for (int n = 0; n < N_KINDS; n++) {
        char settings[192];
        result want = start(&self, every_kind[n], 1);

        int n_rows = 1 + n % world.size; /* in turn */

        while (world.size % n_rows || world.size / n_rows > 5)
            n_rows++;
        snprintf(settings, sizeof settings, "%s select_memory=1", every_kind[n]);
        omp_set_num_threads(1 + n % 3);
        result got = start(&world, n % 2 ? settings : every_kind[n], n_rows);
        omp_set_num_threads(1);
        assert_same_selection(got.selection, want.selection);
        assert_same_table(&got, &want);
        drop(&got);
        drop(&want);
    }
    drop_data();
}

/* Wide vectors: all ranks find the components. */
static void all_ranks_find_the_components_of_one(void **state)
{
    (void)state;
    make_data();
    result one = start(&self, every_kind[0], 1);
    result all =
        start(&world, "embedding_size=70 emb_selection=pca missing_embedding=zero pca_one_rank=149",
              world.size);
    result again =
        start(&world, "embedding_size=70 emb_selection=pca missing_embedding=zero pca_one_rank=149",
              world.size);
    for (int64_t k = 0; k < SIZE; k++)
        assert_close(all.selection->variances[k], one.selection->variances[k],
                     1e-14 * one.selection->variances[0] * 10);
    for (int64_t k = 0; k < DIM * 7; k++) /* the first 7, far from one another */
        assert_close(all.selection->components[k / 7 * SIZE + k % 7],
                     one.selection->components[k / 7 * SIZE + k % 7], 1e-11);
    assert_same_selection(again.selection, all.selection);
    assert_same_table(&again, &all);
    drop(&one);
    drop(&all);
    drop(&again);
    drop_data();
}

/* ---- The formula ---- */

/* y before the norm and gain. */
static double plain_y(const result *r, int64_t item, int64_t k)
{
    const cf_selection *s = r->selection;
    const cf_random key = {r->options.seed, CF_STREAM_MISSING};
    const bool random = r->options.missing == CF_SELECT_MISSING_RANDOM;
    double sum = 0;

    for (int64_t j = 0; j < DIM; j++) {
        double x = (double)data.vectors[item * DIM + j] - s->center[j];
        if (!data.present[item])
            x = random ? s->deviation[j] * cf_random_normal(key, (uint64_t)item, (uint64_t)j, 0)
                       : 0;
        sum += x * s->components[j * SIZE + k];
    }
    return sum * s->scales[k] * s->factor;
}

static void maps_are_those_of_their_formula(void **state)
{
    (void)state;
    make_data();
    for (int n = 0; n < 5; n++) {
        result r = start(&world, every_kind[n], world.size);
        for (int64_t row = 0; row < r.items->local_rows; row++) {
            double y[SIZE], squares = 0, times = r.selection->gain;
            for (int64_t k = 0; k < SIZE; k++) {
                y[k] = plain_y(&r, r.items->first_row + row, k);
                squares += y[k] * y[k];
            }
            if (r.selection->unit) times = squares > 0 ? times / sqrt(squares) : 0;
            for (int64_t k = 0; k < SIZE; k++)
                assert_close(value_at(&r, row, k), y[k] * times, 1e-6 * sqrt(squares) * times);
        }
        drop(&r);
    }
    drop_data();
}

/* Whitened columns have variance 1; a projection keeps lengths in the mean; signs are fixed. */
static void maps_have_the_properties_of_their_names(void **state)
{
    const cf_random key = {7, CF_STREAM_PROJECTION};
    double ratio = 0;

    (void)state;
    make_data();
    result white = start(&self, "embedding_size=70 emb_selection=whiten missing_embedding=zero", 1);
    result p =
        start(&self, "embedding_size=70 emb_selection=projection seed=7 missing_embedding=zero", 1);
    int64_t n = 0;
    for (int64_t i = 0; i < ITEMS; i++)
        n += data.present[i];
    for (int64_t k = 0; k < SIZE; k++) {
        double sum = 0, squares = 0, most = 0;
        for (int64_t i = 0; i < ITEMS; i++) {
            sum += (double)value_at(&white, i, k);
            squares += (double)value_at(&white, i, k) * (double)value_at(&white, i, k);
        }
        assert_close(sum, 0, 1e-3);
        assert_close(squares / (double)(n - 1), 1, 1e-5);
        for (int64_t j = 0; j < DIM; j++) {
            const double x = white.selection->components[j * SIZE + k];
            if (fabs(x) > fabs(most)) most = x;
            assert_true(p.selection->components[j * SIZE + k] ==
                        cf_random_normal(key, (uint64_t)j, (uint64_t)k, 0) / sqrt(SIZE));
        }
        assert_true(most > 0);
        ratio += p.selection->variances[k] / p.selection->total_variance;
    }
    assert_close(ratio, 1, 0.5); /* few strong components: it varies from seed to seed */
    drop(&white);
    drop(&p);
    drop_data();
}

static void emb_norm_is_the_mean_length(void **state)
{
    (void)state;
    make_data();
    for (int n = 0; n < N_KINDS; n++) {
        double sum = 0;
        int64_t count = 0;
        result r = start(&self, every_kind[n], 1);
        const double wanted = r.options.norm;

        for (int64_t i = 0; i < ITEMS; i++) {
            double squares = 0;
            for (int64_t k = 0; k < SIZE; k++)
                squares += (double)value_at(&r, i, k) * (double)value_at(&r, i, k);
            if (data.present[i]) sum += sqrt(squares);
            count += data.present[i];
        }
        if (wanted > 0) assert_close(sum / (double)count, wanted, 1e-6 * wanted);
        drop(&r);
    }
    drop_data();
}

/* Three items span two dimensions: the others have scale 0, and qr goes on with the lowest. */
static void what_has_no_variance_stays_zero(void **state)
{
    (void)state;
    data = new_plain(1, 3, 20);
    data.user_start[1] = 1;
    for (int64_t i = 0; i < 3; i++)
        for (int64_t k = 0; k < 20; k++)
            data.vectors[i * 20 + k] = (float)(1 + (i == 1 && k == 6) * 3 - (i == 2 && k == 9) * 2);
    write_plain(cf_test_scratch("data.h5"), &data);
    result r = start(&world, "embedding_size=5 emb_selection=whiten", world.size);
    for (int k = 0; k < 5; k++)
        assert_true(k < 2 ? r.selection->scales[k] > 0 : r.selection->scales[k] == 0);
    drop(&r);
    r = start(&world, "embedding_size=5 emb_selection=qr", world.size);
    for (int k = 0; k < 5; k++)
        assert_int_equal(r.selection->dims[k], ((int64_t[]){0, 1, 2, 6, 9})[k]);
    drop(&r);
    free_plain(&data);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(maps_take_the_golden_numbers),
    cmocka_unit_test(qr_takes_the_golden_pivots),
    cmocka_unit_test(qr_takes_the_pivots_of_qr),
    cmocka_unit_test(ranks_grid_memory_and_threads_change_no_bit),
    cmocka_unit_test(all_ranks_find_the_components_of_one),
    cmocka_unit_test(maps_are_those_of_their_formula),
    cmocka_unit_test(maps_have_the_properties_of_their_names),
    cmocka_unit_test(emb_norm_is_the_mean_length),
    cmocka_unit_test(what_has_no_variance_stays_zero),
};

CF_TEST_MAIN(tests)
