/* EASE and L3AE on every grid against their equations, computed plainly. */
#include "cf/closed.h"
#include "cf_test.h"
#include "cf_test_dataset.h"
#include "cf_test_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Settings of modules that closed does not call. */
static const cf_setting other_settings[] = {
    {.name = "model", .kind = CF_SETTING_CHOICE, .initial = "EASE", .choices = "BPR|EASE|L3AE"},
    {.name = "reg_weight", .kind = CF_SETTING_REAL, .initial = "1e-05", .min = 0, .max = 1e6},
    {.name = "missing_embedding",
     .kind = CF_SETTING_CHOICE,
     .initial = "error",
     .choices = "error|zero|mean|random"},
    {0}};

static cf_config *create_config(void)
{
    const cf_setting *const tables[] = {cf_closed_settings, other_settings};
    cf_config *config = NULL;

    assert_int_equal(cf_config_create(tables, 2, &config), CF_OK);
    return config;
}

/* ---- Problems ------------------------------------------------------------------------------- */

/** Interactions and vectors that every rank holds whole, and the dataset of them. */
typedef struct data {
    cf_test_graph graph;
    int64_t dim;
    double *vectors; /* items x dim */
    int64_t missing; /* the item without a vector; -1: none */
    cf_dataset *file;
} data;

static cf_status give_vectors(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present)
{
    const data *d = context;

    for (int64_t k = 0; k < count; k++) {
        present[k] = first + k != d->missing;
        for (int64_t j = 0; j < d->dim; j++)
            ((float *)rows)[k * d->dim + j] =
                present[k] ? (float)d->vectors[(first + k) * d->dim + j] : 0;
    }
    return CF_OK;
}

/* Write the dataset and open it. Collective. */
static void open_file(data *d)
{
    cf_lists train = {.count = d->graph.n_users};

    assert_int_equal(CF_ALLOC(train.start, train.count + 1), CF_OK);
    assert_int_equal(CF_ALLOC(train.index, d->graph.n_pairs), CF_OK);
    for (int64_t u = 0, e = 0; u < train.count; u++) {
        for (; e < d->graph.n_pairs && d->graph.pairs[e][0] == u; e++)
            train.index[e] = d->graph.pairs[e][1];
        train.start[u + 1] = e;
    }
    cf_test_dataset_write(cf_test_scratch("data.h5"), d->graph.n_items,
                          &(cf_dataset_content){.train = train,
                                                .embedding_dim = d->dim,
                                                .n_missing = d->missing >= 0,
                                                .read_vectors = give_vectors,
                                                .context = d});
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &d->file), CF_OK);
    cf_free(&train.start);
    cf_free(&train.index);
}

/* Wider than a block of the matrices; user and item numbers without any partner are in it. */
static data new_data(int64_t n_items, int64_t dim, int64_t missing)
{
    data d = {.graph = cf_test_graph_random(90, n_items, 0.1, 5), .dim = dim, .missing = missing};

    d.vectors = calloc((size_t)(n_items * dim + 1), sizeof *d.vectors);
    for (int64_t k = 0; k < n_items * dim; k++)
        d.vectors[k] = (float)cf_test_noise(7, k / dim, k % dim);
    open_file(&d);
    return d;
}

static void free_data(data *d)
{
    cf_dataset_close(&d->file);
    cf_test_graph_destroy(&d->graph);
    free(d->vectors);
}

/* A closed form on a grid: what it is solved from, and its solution. */
typedef struct solution {
    data *d; /* borrowed */
    const cf_grid *grid;
    cf_closed_options options;
    cf_shard shard;
    cf_closed *closed;
} solution;

static cf_closed_options read_options(const char *const *sets)
{
    cf_config *config = create_config();
    cf_closed_options options;

    for (; *sets != NULL; sets++)
        assert_int_equal(cf_config_set(config, *sets), CF_OK);
    assert_true(cf_closed_is(config));
    cf_closed_read_options(config, &options);
    cf_config_destroy(&config);
    return options;
}

static cf_status solution_solve(void *context)
{
    solution *s = context;
    cf_closed_seconds seconds = {0};
    cf_status status = cf_closed_create(&s->options, s->grid, &s->shard, &s->closed);

    if (status == CF_OK) status = cf_closed_solve(s->closed, s->d->file, &seconds);
    if (status == CF_OK) {
        cf_test_table_check_padding(cf_closed_matrix(s->closed));
        assert_true(seconds.gram > 0 && seconds.invert > 0 && seconds.rest > 0);
    }
    return status;
}

/* Solve on a grid; the matrix on every rank, items x items, in *out if all is well. */
static cf_status solve_on(data *d, const cf_grid *grid, const char *const *sets, float **out)
{
    solution s = {.d = d, .grid = grid, .options = read_options(sets)};
    cf_status status;

    s.shard = cf_test_graph_cut(&d->graph, grid);
    status = solution_solve(&s);
    if (status == CF_OK) *out = cf_test_table_get(cf_closed_matrix(s.closed));
    cf_closed_destroy(&s.closed);
    cf_test_shard_destroy(&s.shard);
    return status;
}

/* ---- The plain way -------------------------------------------------------------------------- */

/* The inverse by Gauss and Jordan; positive definite, so that no pivot has to be looked for. */
static void invert_plainly(double *a, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        const double pivot = a[k * n + k];

        a[k * n + k] = 1;
        for (int64_t j = 0; j < n; j++)
            a[k * n + j] /= pivot;
        for (int64_t i = 0; i < n; i++) {
            const double times = a[i * n + k];

            if (i == k) continue;
            a[i * n + k] = 0;
            for (int64_t j = 0; j < n; j++)
                a[i * n + j] -= times * a[k * n + j];
        }
    }
}

static double *square(int64_t n)
{
    double *a = calloc((size_t)(n * n), sizeof *a);

    assert_non_null(a);
    return a;
}

/* P (target) - P diag(mu), P the inverse of gram + weight I; target = gram + times * text. */
static double *constrain_plainly(const double *gram, int64_t n, double weight, const double *text,
                                 double times)
{
    double *p = square(n), *b = square(n);

    for (int64_t k = 0; k < n * n; k++)
        p[k] = gram[k] + (k % (n + 1) == 0 ? weight : 0);
    invert_plainly(p, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < n; j++)
                b[i * n + j] +=
                    p[i * n + k] * (gram[k * n + j] + (text ? times * text[k * n + j] : 0));
    for (int64_t j = 0; j < n; j++) {
        const double mu = b[j * n + j] / p[j * n + j];

        for (int64_t i = 0; i < n; i++)
            b[i * n + j] -= p[i * n + j] * mu;
    }
    free(p);
    return b;
}

static double *gram_plainly(const data *d)
{
    const int64_t n = d->graph.n_items;
    double *gram = square(n);

    for (int64_t a = 0; a < d->graph.n_pairs; a++)
        for (int64_t b = 0; b < d->graph.n_pairs; b++)
            if (d->graph.pairs[a][0] == d->graph.pairs[b][0])
                gram[d->graph.pairs[a][1] * n + d->graph.pairs[b][1]]++;
    return gram;
}

/* FF', F: centred rows of length 1. */
static double *text_gram_plainly(const data *d)
{
    const int64_t n = d->graph.n_items, dim = d->dim;
    double *gram = square(n), *f = calloc((size_t)(n * dim), sizeof *f);

    for (int64_t k = 0; k < dim; k++) {
        double sum = 0;

        for (int64_t i = 0; i < n; i++)
            sum += i == d->missing ? 0 : d->vectors[i * dim + k];
        for (int64_t i = 0; i < n; i++)
            if (i != d->missing)
                f[i * dim + k] = d->vectors[i * dim + k] - sum / (double)(n - (d->missing >= 0));
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double ij = 0, ii = 0, jj = 0;

            for (int64_t k = 0; k < dim; k++) {
                ij += f[i * dim + k] * f[j * dim + k];
                ii += f[i * dim + k] * f[i * dim + k];
                jj += f[j * dim + k] * f[j * dim + k];
            }
            gram[i * n + j] = ij == 0 ? 0 : ij / sqrt(ii * jj);
        }
    free(f);
    return gram;
}

static double *ease_plainly(const data *d, double weight)
{
    double *gram = gram_plainly(d), *b = constrain_plainly(gram, d->graph.n_items, weight, NULL, 0);

    free(gram);
    return b;
}

static double *l3ae_plainly(const data *d, double text_weight, double weight, double distill)
{
    const int64_t n = d->graph.n_items;
    double *gram = gram_plainly(d), *of_text = text_gram_plainly(d);
    double *text = constrain_plainly(of_text, n, text_weight, NULL, 0);
    double *b = constrain_plainly(gram, n, weight + distill, text, distill);

    free(gram);
    free(of_text);
    free(text);
    return b;
}

/* The table is B's transpose: within tolerance x B's largest entry, and with a diagonal of zeros.
 */
static void check_transposed(const float *table, const double *b, int64_t n, double tolerance)
{
    double largest = 0;

    for (int64_t k = 0; k < n * n; k++)
        largest = fmax(largest, fabs(b[k]));
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < n; i++)
            assert_close(table[j * n + i], b[i * n + j], tolerance * largest);
    for (int64_t j = 0; j < n; j++)
        assert_true(table[j * (n + 1)] == 0);
}

/* On every grid: near `b`, and the same bits. */
static void check_everywhere(data *d, const char *const *sets, const double *b, double tolerance)
{
    const int64_t n = d->graph.n_items;
    cf_grid *grid = NULL;
    float *first = NULL;

    for (int k = 0; cf_test_next_grid(&world, (n + CF_LANES - 1) / CF_LANES, &k, &grid);) {
        float *table = NULL;

        if (solve_on(d, grid, sets, &table) != CF_OK) fail_msg("%s", cf_error_message());
        check_transposed(table, b, n, tolerance);
        if (first == NULL)
            first = table;
        else
            cf_test_same_bits(table, first, n * n, "item-item matrix");
        if (first != table) free(table);
    }
    free(first);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* The table has 24 bits; what is solved in float32 loses as many as the condition number has. */
static const double rounded = 1e-6, rounded_often = 1e-4;

static const char *const ease_sets[] = {"model=EASE", "reg_weight=3", NULL};
static const char *const ease32_sets[] = {"model=EASE", "reg_weight=3", "solve_precision=float32",
                                          NULL};
static const char *const l3ae_sets[] = {"model=L3AE", "reg_weight=2", "text_reg_weight=0.7",
                                        "distill_weight=5", NULL};
static const char *const l3ae32_sets[] = {"model=L3AE",
                                          "reg_weight=2",
                                          "text_reg_weight=0.7",
                                          "distill_weight=5",
                                          "solve_precision=float32",
                                          NULL};

static void the_golden_problem_is_solved(void **state)
{
    static const struct {
        const char *file;
        const char *const *sets, *const *sets32;
    } models[] = {{"ease", ease_sets, ease32_sets}, {"l3ae", l3ae_sets, l3ae32_sets}};
    data d = {.graph = cf_test_graph_load(CF_TEST_DATA "/golden/tiny/train.npy", 40, 30),
              .dim = 48,
              .missing = -1};
    int64_t dims[2];

    (void)state;
    d.vectors = cf_test_npy(CF_TEST_DATA "/golden/tiny/llm.npy", dims);
    assert_int_equal(dims[1], d.dim);
    open_file(&d);
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        char path[1024];

        snprintf(path, sizeof path, CF_TEST_DATA "/golden/tiny/%s.npy", models[m].file);
        double *want = cf_test_npy(path, dims);
        assert_int_equal(dims[0] * dims[1], 900);
        check_everywhere(&d, models[m].sets, want, rounded);
        check_everywhere(&d, models[m].sets32, want, rounded_often);
        free(want);
    }
    free_data(&d);
}

static void many_blocks_are_as_one(void **state)
{
    data d = new_data(270, 20, -1);
    double *ease = ease_plainly(&d, 3), *l3ae = l3ae_plainly(&d, 0.7, 2, 5);

    (void)state;
    check_everywhere(&d, ease_sets, ease, rounded);
    check_everywhere(&d, ease32_sets, ease, rounded_often);
    check_everywhere(&d, l3ae_sets, l3ae, rounded);
    check_everywhere(&d, l3ae32_sets, l3ae, rounded_often);
    free(ease);
    free(l3ae);
    free_data(&d);
}

static void l3ae_without_distillation_is_ease(void **state)
{
    static const char *const sets[] = {"model=L3AE", "reg_weight=3", "distill_weight=0", NULL};
    data d = new_data(70, 12, -1);
    double *want = ease_plainly(&d, 3);

    (void)state;
    check_everywhere(&d, sets, want, rounded);
    free(want);
    free_data(&d);
}

/* Its row of F is zero, so that its text says nothing of any other item. */
static void an_item_without_a_vector_is_refused_or_tells_nothing(void **state)
{
    static const char *const zero[] = {
        "model=L3AE",       "reg_weight=2",           "text_reg_weight=0.7",
        "distill_weight=5", "missing_embedding=zero", NULL};
    static const char *const mean[] = {
        "model=L3AE",       "reg_weight=2",           "text_reg_weight=0.7",
        "distill_weight=5", "missing_embedding=mean", NULL};
    static const char *const random[] = {"model=L3AE", "missing_embedding=random", NULL};
    data d = new_data(70, 12, 33);
    double *want = l3ae_plainly(&d, 0.7, 2, 5);
    cf_grid *grid = NULL;
    float *none = NULL;

    (void)state;
    check_everywhere(&d, zero, want, rounded);
    check_everywhere(&d, mean, want, rounded);
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    assert_int_equal(solve_on(&d, grid, l3ae_sets, &none), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "1 of 70 items have no vector"));
    assert_int_equal(solve_on(&d, grid, random, &none), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "missing_embedding"));
    assert_null(none);
    cf_par_destroy_grid(&grid);
    free(want);
    free_data(&d);
}

static void a_singular_matrix_is_refused_by_every_rank(void **state)
{
    static const char *const sets[] = {"model=EASE", "reg_weight=0", NULL};
    static const char *const text[] = {"model=L3AE", "text_reg_weight=0", NULL};
    data d = new_data(70, 0, -1), with_text = new_data(70, 12, 3);
    cf_grid *grid = NULL;
    float *none = NULL;

    (void)state;
    assert_int_equal(cf_par_create_grid(&world, 1, world.size, &grid), CF_OK);
    if (world.size <= 5) { /* slices of whole 16s */
        assert_int_equal(solve_on(&d, grid, sets, &none), CF_ERR_NUMERIC);
        assert_non_null(strstr(cf_error_message(), "a larger reg_weight helps"));
    }
    cf_par_destroy_grid(&grid);
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    assert_int_equal(solve_on(&d, grid, text, &none), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "has no language-model vectors"));
    assert_int_equal(solve_on(&with_text, grid,
                              (const char *const[]){"model=L3AE", "text_reg_weight=0",
                                                    "missing_embedding=zero", NULL},
                              &none),
                     CF_ERR_NUMERIC);
    assert_non_null(strstr(cf_error_message(), "a larger text_reg_weight helps"));
    assert_null(none);
    cf_par_destroy_grid(&grid);
    free_data(&d);
    free_data(&with_text);
}

static void a_closed_form_has_its_own_default_of_reg_weight(void **state)
{
    static const struct {
        const char *model;
        bool closed;
        double initial;
    } cases[] = {{"model=BPR", false, 1e-5}, {"model=EASE", true, 250}, {"model=L3AE", true, 10}};

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        cf_config *config = create_config();

        assert_int_equal(cf_config_set(config, cases[k].model), CF_OK);
        assert_int_equal(cf_closed_is(config), cases[k].closed);
        assert_int_equal(cf_closed_uses(config) != NULL, cases[k].closed);
        assert_int_equal(cf_closed_set_defaults(config), CF_OK);
        assert_true(cf_config_real(config, "reg_weight") == cases[k].initial);
        assert_int_equal(cf_config_set(config, "reg_weight=7"), CF_OK);
        assert_int_equal(cf_closed_set_defaults(config), CF_OK);
        assert_true(cf_config_real(config, "reg_weight") == 7);
        cf_config_destroy(&config);
    }
}

/* The file is opened anew: a pass over its vectors that was cut short cannot be verified. */
static void solution_prepare(void *context)
{
    data *d = ((solution *)context)->d;

    cf_dataset_close(&d->file);
    assert_int_equal(cf_dataset_open(&world, cf_test_scratch("data.h5"), &d->file), CF_OK);
}

static void solution_clean_up(void *context)
{
    cf_closed_destroy(&((solution *)context)->closed);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = solution_solve,
                                 .prepare = solution_prepare,
                                 .clean_up = solution_clean_up,
                                 .thinning = 6,
                                 .rotate = true};
    cf_grid *grid = NULL;
    data d;

    (void)state;
    if (world.size > 4) skip(); /* six ranks are for the mesh of 2 x 3 */
    d = new_data(70, 12, -1);
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    solution s = {.d = &d, .grid = grid, .options = read_options(l3ae_sets)};
    s.shard = cf_test_graph_cut(&d.graph, grid);
    assert_true(cf_test_every_allocation(&trial, &s) > 10);
    cf_test_shard_destroy(&s.shard);
    cf_par_destroy_grid(&grid);
    free_data(&d);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_golden_problem_is_solved),
    cmocka_unit_test(many_blocks_are_as_one),
    cmocka_unit_test(l3ae_without_distillation_is_ease),
    cmocka_unit_test(an_item_without_a_vector_is_refused_or_tells_nothing),
    cmocka_unit_test(a_singular_matrix_is_refused_by_every_rank),
    cmocka_unit_test(a_closed_form_has_its_own_default_of_reg_weight),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
