#include "model/contrast.h"
#include "cf_test.h"
#include "cf_test_graph.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Several tiles each way, none of them full at the end; the last segment is half empty. */
enum { ROWS = 300, COLUMNS = 1300, DIM = 24, WIDTH = 32, PADDED = 1536, WHOLE = PADDED * WIDTH };

static int64_t id[ROWS];
static int32_t times[ROWS];
static double x[ROWS][DIM], y[COLUMNS][DIM];
static const uint8_t *cold; /* COLUMNS; NULL: none is cold */

static void fill(double *row, uint64_t seed, int64_t k)
{
    for (int d = 0; d < DIM; d++)
        row[d] = (float)cf_test_noise(seed, k, d);
}

/* Some rows and columns are zero; a row is near its own column. */
static void draw_problem(void)
{
    memset(x, 0, sizeof x);
    memset(y, 0, sizeof y);
    for (int64_t k = 0; k < COLUMNS; k++)
        if (k % 97 != 5) fill(y[k], 1, k);
    for (int64_t b = 0; b < ROWS; b++) {
        id[b] = b * 4 + b % 3;
        times[b] = 1 + (int32_t)(b % 4 == 0);
        if (b % 50 == 7) continue;
        fill(x[b], 2, b);
        for (int d = 0; d < DIM; d++)
            x[b][d] += y[id[b]][d];
    }
}

static double dot(const double *a, const double *b)
{
    double sum = 0;

    for (int d = 0; d < DIM; d++)
        sum += a[d] * b[d];
    return sum;
}

/* out = row over its length; returns that */
static double normalize(const double *row, double *out)
{
    const double length = sqrt(dot(row, row));

    for (int d = 0; d < DIM; d++)
        out[d] = length > 0 ? row[d] / length : 0;
    return length;
}

/* g becomes the gradient with respect to a row of this length and direction. */
static void go_through_norm(double *g, const double *unit, double length)
{
    const double along = dot(g, unit);

    for (int d = 0; d < DIM; d++)
        g[d] = length > 0 ? (g[d] - along * unit[d]) / length : 0;
}

/* ---- Rows against columns -------------------------------------------------------------------- */

typedef struct answer {
    double loss, rows[ROWS][DIM], columns[COLUMNS][DIM];
} answer;

static void solve_plainly(double tau, double weight, answer *out)
{
    static double unit_x[ROWS][DIM], unit_y[COLUMNS][DIM], length_y[COLUMNS];

    memset(out, 0, sizeof *out);
    for (int k = 0; k < COLUMNS; k++)
        length_y[k] = normalize(y[k], unit_y[k]);
    for (int b = 0; b < ROWS; b++) {
        const double length = normalize(x[b], unit_x[b]), factor = weight * times[b] / tau;
        double score[COLUMNS], sum = 0;

        for (int k = 0; k < COLUMNS; k++) {
            score[k] = cold != NULL && cold[k] ? -INFINITY : dot(unit_x[b], unit_y[k]) / tau;
            sum += exp(score[k]);
        }
        out->loss += weight * times[b] * (log(sum) - score[id[b]]);
        for (int k = 0; k < COLUMNS; k++)
            for (int d = 0; d < DIM; d++) {
                const double p = factor * (exp(score[k]) / sum - (k == id[b]));

                out->rows[b][d] += p * unit_y[k][d];
                out->columns[k][d] += p * unit_x[b][d];
            }
        go_through_norm(out->rows[b], unit_x[b], length);
    }
    for (int k = 0; k < COLUMNS; k++)
        go_through_norm(out->columns[k], unit_y[k], length_y[k]);
}

/* What a run on the grid gave, whole, in floats. */
typedef struct found {
    double loss;
    float rows[ROWS * WIDTH], columns[COLUMNS * WIDTH];
} found;

static void set_row(float *out, const double *row)
{
    for (int d = 0; d < DIM; d++)
        out[d] = (float)row[d];
}

static cf_tiles *new_tiles(const cf_grid *grid)
{
    cf_blocks blocks;
    cf_table *table = NULL;
    cf_tiles *tiles = NULL;

    assert_int_equal(cf_par_create_blocks(COLUMNS, grid->n_rows, &blocks), CF_OK);
    assert_int_equal(cf_table_create(grid, &blocks, DIM, &table), CF_OK);
    assert_int_equal(cf_table_create_tiles(table, CONTRAST_COLUMNS, &tiles), CF_OK);
    cf_table_destroy(&table);
    cf_par_destroy_blocks(&blocks);
    return tiles;
}

/* Loss, and the columns of all ranks. */
static void join_found(const cf_grid *grid, const infonce *term, cf_exact *loss, found *out)
{
    cf_par_sum_exact(&grid->world, loss, 1);
    out->loss = cf_exact_value(loss);
    memcpy(out->rows, term->rows, sizeof out->rows);
    memset(out->columns, 0, sizeof out->columns);
    memcpy(out->columns + term->tiles->first_row * WIDTH, term->gradient,
           (size_t)(term->tiles->count * WIDTH) * sizeof(float));
    MPI_Allreduce(MPI_IN_PLACE, out->columns, COLUMNS * WIDTH, MPI_FLOAT, MPI_SUM,
                  grid->world.comm);
}

static void solve(const cf_grid *grid, double tau, double weight, int64_t memory, found *out)
{
    infonce term = {.n_rows = ROWS, .id = id, .times = times, .cold = cold, .weight = weight};
    cf_tiles *tiles = new_tiles(grid);
    cf_exact loss = {{0}, 0};
    contrast c = {0};

    term.tiles = tiles;
    assert_int_equal(CF_ALLOC(term.rows, WHOLE), CF_OK);
    assert_int_equal(CF_ALLOC(term.columns, WHOLE), CF_OK);
    assert_int_equal(CF_ALLOC(term.gradient, WHOLE), CF_OK);
    assert_int_equal(CF_ALLOC(term.row_length, ROWS), CF_OK);
    assert_int_equal(CF_ALLOC(term.column_length, COLUMNS), CF_OK);
    for (int b = 0; b < ROWS; b++)
        set_row(term.rows + b * WIDTH, x[b]);
    for (int64_t k = 0; k < tiles->count; k++)
        set_row(term.columns + k * WIDTH, y[tiles->first_row + k]);
    assert_int_equal(contrast_create(&grid->world, WIDTH, tau, memory, 3, &c), CF_OK);
    contrast_infonce(&c, &term, &loss);
    join_found(grid, &term, &loss, out);
    contrast_destroy(&c);
    cf_free(&term.rows);
    cf_free(&term.columns);
    cf_free(&term.gradient);
    cf_free(&term.row_length);
    cf_free(&term.column_length);
    cf_table_destroy_tiles(&tiles);
}

/* Within 1e-5 of the largest entry: a score over tau has an error of some 1e-7 / tau. */
static void check_rows(const float *got, const double *want, int64_t n, double tolerance)
{
    double largest = 0;

    for (int64_t k = 0; k < n * DIM; k++)
        largest = fmax(largest, fabs(want[k]));
    for (int64_t r = 0; r < n; r++) {
        cf_test_close_f32(got + r * WIDTH, want + r * DIM, DIM, tolerance, largest);
        for (int d = DIM; d < WIDTH; d++)
            assert_true(got[r * WIDTH + d] == 0);
    }
}

/* The smallest memory there is keeps no tile on any rank; the largest all. */
static void rows_against_columns_are_those_of_a_plain_loop(void **state)
{
    static const double taus[] = {0.05, 0.2, 1};
    static answer want;
    static found first, other;

    (void)state;
    draw_problem();
    for (int t = 0; t < 3; t++) {
        cf_grid *grid = NULL;

        solve_plainly(taus[t], 0.3, &want);
        for (int k = 0, runs = 0; cf_test_next_grid(&world, 2, &k, &grid);)
            for (int threads = 1; threads <= 2; threads++, runs++) {
                omp_set_num_threads(threads);
                solve(grid, taus[t], 0.3, (int64_t)1 << (threads == 1 ? 19 : 24), &other);
                if (runs == 0) first = other;
                assert_memory_equal(&first, &other, sizeof first);
            }
        omp_set_num_threads(1);
        assert_close(first.loss, want.loss, 1e-6 * want.loss);
        check_rows(first.rows, want.rows[0], ROWS, 2e-6 / taus[t]);
        check_rows(first.columns, want.columns[0], COLUMNS, 2e-6 / taus[t]);
    }
}

/* Every fifth column is cold, unless it is some row's own: it is in no sum, and is not moved. */
static void cold_columns_are_in_no_sum(void **state)
{
    static answer want;
    static found first, other;
    static uint8_t marks[COLUMNS];
    int n_cold = 0;
    cf_grid *grid = NULL;

    (void)state;
    draw_problem();
    for (int k = 0; k < COLUMNS; k++)
        marks[k] = (uint8_t)(k % 5 == 2 ? 1 + k % 3 : 0);
    for (int b = 0; b < ROWS; b++)
        marks[id[b]] = 0;
    cold = marks;
    solve_plainly(0.2, 0.3, &want);
    for (int k = 0, runs = 0; cf_test_next_grid(&world, 2, &k, &grid); runs++) {
        solve(grid, 0.2, 0.3, (int64_t)1 << (runs % 2 ? 19 : 24), &other);
        if (runs == 0) first = other;
        assert_memory_equal(&first, &other, sizeof first);
    }
    cold = NULL;
    assert_close(first.loss, want.loss, 1e-6 * want.loss);
    check_rows(first.rows, want.rows[0], ROWS, 1e-5);
    check_rows(first.columns, want.columns[0], COLUMNS, 1e-5);
    for (int k = 0; k < COLUMNS; k++)
        for (int d = 0; d < WIDTH && marks[k]; d++)
            assert_true(first.columns[k * WIDTH + d] == 0);
    for (int k = 0; k < COLUMNS; k++)
        n_cold += marks[k] != 0;
    assert_true(n_cold > COLUMNS / 8);
}

/* ---- A batch against itself ------------------------------------------------------------------ */

enum { SAMPLES = 900, USERS = 300, ITEMS = 700 };
static int32_t index_of[2][SAMPLES], repeats[2][ITEMS];

static void draw_samples(void)
{
    static const int32_t n_distinct[2] = {USERS, ITEMS};

    memset(repeats, 0, sizeof repeats);
    for (int32_t t = 0; t < SAMPLES; t++)
        for (int side = 0; side < 2; side++) {
            index_of[side][t] = (t * (side ? 3 : 7)) % n_distinct[side];
            repeats[side][index_of[side][t]]++;
        }
}

/* Rows of the two sides: those of x and y of above. */
static const double *row_of(int side, int64_t k)
{
    return side ? y[k] : x[k];
}

/* The loss, and the gradient of both sides. */
static double solve_batch_plainly(double tau, double (*gradient)[ITEMS][DIM])
{
    static double unit[2][ITEMS][DIM], length[2][ITEMS], w[2][SAMPLES];
    double loss = 0;

    memset(gradient, 0, 2 * sizeof *gradient);
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < (side ? ITEMS : USERS); k++)
            length[side][k] = normalize(row_of(side, k), unit[side][k]);
    for (int b = 0; b < SAMPLES; b++) {
        double sum = 0;

        for (int side = 0; side < 2; side++)
            for (int c = 0; c < SAMPLES; c++)
                sum += w[side][c] =
                    exp(dot(unit[side][index_of[side][b]], unit[side][index_of[side][c]]) / tau);
        loss += log(sum) - dot(unit[0][index_of[0][b]], unit[1][index_of[1][b]]) / tau;
        for (int side = 0; side < 2; side++)
            for (int d = 0; d < DIM; d++) {
                double *mine = gradient[side][index_of[side][b]];

                for (int c = 0; c < SAMPLES; c++) {
                    mine[d] += w[side][c] / sum * unit[side][index_of[side][c]][d] / tau;
                    gradient[side][index_of[side][c]][d] +=
                        w[side][c] / sum * unit[side][index_of[side][b]][d] / tau;
                }
                mine[d] -= unit[!side][index_of[!side][b]][d] / tau;
            }
    }
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < (side ? ITEMS : USERS); k++)
            go_through_norm(gradient[side][k], unit[side][k], length[side][k]);
    return loss;
}

typedef struct batch_found {
    double loss;
    float gradient[2][ITEMS * WIDTH];
} batch_found;

static void solve_batch(double tau, int64_t memory, const cf_par *par, batch_found *out)
{
    batch_contrast term = {.size = SAMPLES, .count = {USERS, ITEMS}};
    contrast c = {0};

    memset(out, 0, sizeof *out);
    for (int side = 0; side < 2; side++) {
        term.index[side] = index_of[side];
        term.times[side] = repeats[side];
        assert_int_equal(CF_ALLOC(term.rows[side], WHOLE), CF_OK);
        assert_int_equal(CF_ALLOC(term.gradient[side], WHOLE), CF_OK);
        assert_int_equal(CF_ALLOC(term.length[side], ITEMS), CF_OK);
        assert_int_equal(CF_ALLOC(term.total[side], ITEMS), CF_OK);
        assert_int_equal(CF_ALLOC(term.inverse[side], PADDED), CF_OK);
        assert_int_equal(CF_ALLOC(term.repeats[side], PADDED), CF_OK);
        for (int k = 0; k < term.count[side]; k++)
            set_row(term.rows[side] + k * WIDTH, row_of(side, k));
    }
    assert_int_equal(contrast_create(par, WIDTH, tau, memory, 100, &c), CF_OK);
    out->loss = contrast_batch(&c, &term);
    contrast_destroy(&c);
    for (int side = 0; side < 2; side++) {
        memcpy(out->gradient[side], term.gradient[side],
               (size_t)(term.count[side] * WIDTH) * sizeof(float));
        cf_free(&term.rows[side]);
        cf_free(&term.gradient[side]);
        cf_free(&term.length[side]);
        cf_free(&term.total[side]);
        cf_free(&term.inverse[side]);
        cf_free(&term.repeats[side]);
    }
}

static void a_batch_against_itself_is_that_of_a_plain_loop(void **state)
{
    static const double taus[] = {0.05, 0.2};
    static double want[2][ITEMS][DIM];
    static batch_found alone, got;

    (void)state;
    draw_problem();
    draw_samples();
    for (int t = 0; t < 2; t++) {
        const double loss = solve_batch_plainly(taus[t], want);

        solve_batch(taus[t], 1 << 24, &cf_test_self, &alone);
        for (int threads = 1; threads <= 2; threads++) {
            omp_set_num_threads(threads);
            solve_batch(taus[t], 1 << (threads == 1 ? 19 : 24), &world, &got);
            assert_memory_equal(&got, &alone, sizeof got);
        }
        omp_set_num_threads(1);
        assert_close(got.loss, loss, 1e-6 * loss);
        check_rows(got.gradient[CF_USERS], want[CF_USERS][0], USERS, 2e-6 / taus[t]);
        check_rows(got.gradient[CF_ITEMS], want[CF_ITEMS][0], ITEMS, 2e-6 / taus[t]);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_against_columns_are_those_of_a_plain_loop),
    cmocka_unit_test(cold_columns_are_in_no_sum),
    cmocka_unit_test(a_batch_against_itself_is_that_of_a_plain_loop),
};
CF_TEST_MAIN(tests)
