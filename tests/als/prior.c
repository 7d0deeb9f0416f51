/* Sweeps with and without a prior of the items' vectors: known answers of NumPy, and cold items. */
#include "als/internal.h"
#include "cf_test_dataset.h"
#include "parts.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

/* tests/data/golden/README.md, golden_ials.py */
#define TINY CF_TEST_DATA "/golden/tiny/"
enum { USERS = 40, ITEMS = 30, SOURCE_DIM = 48, DIM = 16, WIDE = 40, SWEEPS = 3, MAX_COLUMNS = 3 };
static const int64_t n_rows[2] = {USERS, ITEMS};
static const char *const side_name[2] = {"user", "item"};
static const cf_als_options options = {.alpha0 = 0.05, .reg_weight = 0.02, .nu = 0.8};
static const double prior_reg_weight = 0.7;

/* ---- Datasets ------------------------------------------------------------------------------- */

typedef struct problem {
    cf_test_graph graph;
    cf_test_weight *weight; /* NULL: there are none */
    double *vectors;        /* ITEMS x SOURCE_DIM */
    const uint8_t *cold;    /* ITEMS, or NULL */
    int64_t n_cold;
    cf_dataset *file;
} problem;

static cf_status give_vectors(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present)
{
    const problem *p = context;

    for (int64_t k = 0; k < count * SOURCE_DIM; k++)
        ((float *)rows)[k] = (float)p->vectors[first * SOURCE_DIM + k];
    memset(present, 1, (size_t)count);
    return CF_OK;
}

/* Of golden_ials.py. */
static float weight_of(int64_t user, int64_t item)
{
    return 0.5f + (float)((3 * user + 5 * item) % 7);
}

static cf_lists train_lists(const problem *p)
{
    const cf_test_graph *graph = &p->graph;
    cf_lists lists = {.count = USERS};

    lists.start = calloc(USERS + 1, sizeof *lists.start);
    lists.index = calloc((size_t)graph->n_pairs, sizeof *lists.index);
    assert_non_null(lists.start);
    assert_non_null(lists.index);
    if (p->weight != NULL) {
        lists.weight = calloc((size_t)graph->n_pairs, sizeof *lists.weight);
        assert_non_null(lists.weight);
    }
    for (int64_t e = 0; e < graph->n_pairs; e++) {
        if (p->weight != NULL) lists.weight[e] = p->weight(graph->pairs[e][0], graph->pairs[e][1]);
        lists.index[e] = graph->pairs[e][1];
        lists.start[graph->pairs[e][0] + 1] = e + 1;
    }
    for (int64_t u = 0; u < USERS; u++)
        lists.start[u + 1] = cf_max(lists.start[u + 1], lists.start[u]);
    return lists;
}

/* The pairs of warm items alone. */
static void drop_cold_pairs(problem *p)
{
    int64_t n = 0;

    for (int64_t e = 0; e < p->graph.n_pairs; e++)
        if (!cf_is_cold(p->cold, p->graph.pairs[e][1])) {
            p->graph.pairs[n][0] = p->graph.pairs[e][0];
            p->graph.pairs[n++][1] = p->graph.pairs[e][1];
        }
    p->graph.n_pairs = n;
}

static void open_problem(problem *p, const char *name)
{
    cf_dataset_content content = {
        .cold = p->cold, .embedding_dim = SOURCE_DIM, .read_vectors = give_vectors, .context = p};
    int64_t dims[2];

    p->graph = cf_test_graph_load(TINY "train.npy", USERS, ITEMS);
    p->vectors = cf_test_npy(TINY "llm.npy", dims);
    drop_cold_pairs(p);
    content.train = train_lists(p);
    cf_test_dataset_write(cf_test_scratch(name), ITEMS, &content);
    assert_ok(cf_dataset_open(&world, cf_test_scratch(name), &p->file));
    free(content.train.start);
    free(content.train.index);
    free(content.train.weight);
}

static void close_problem(problem *p)
{
    cf_dataset_close(&p->file);
    cf_test_graph_destroy(&p->graph);
    free(p->vectors);
}

/* ---- Runs ----------------------------------------------------------------------------------- */

typedef struct run {
    parts parts;
    const problem *problem;
    cf_dataset *file; /* the problem's, or one of its own */
} run;

static run new_run(const problem *p, int64_t dim, cf_grid *grid)
{
    return (run){.parts = {.options = options,
                           .grid = grid,
                           .dim = dim,
                           .cold = p->cold,
                           .n_counted = {USERS, ITEMS - p->n_cold}},
                 .problem = p,
                 .file = p->file};
}

static double *load(const char *name)
{
    char path[1024];
    int64_t dims[2];

    snprintf(path, sizeof path, TINY "%s.npy", name);
    return cf_test_npy(path, dims);
}

/* Items at their start, or at noise, and users solved for them. */
static cf_status start(run *r, bool text, const double *items)
{
    parts *p = &r->parts;
    cf_als_loss loss;
    cf_status status;

    CF_TRY(parts_make(p));
    if (text) CF_TRY(cf_als_read_vectors(p->als, r->file, prior_reg_weight));
    if (items != NULL)
        cf_test_table_set(p->table[CF_ITEMS], items);
    else
        cf_table_fill_normal(p->table[CF_ITEMS], 7, 0, 0.1);
    parts_clear(p->table[CF_USERS]);
    CF_TRY(cf_als_solve(p->als, CF_USERS, &loss));
done:
    return status;
}

static void begin(run *r, bool text, const double *items)
{
    r->parts.shard = cf_test_graph_cut(&r->problem->graph, r->parts.grid);
    if (r->problem->weight != NULL) cf_test_shard_weigh(&r->parts.shard, r->problem->weight);
    assert_ok(start(r, text, items));
}

static double sweep(run *r)
{
    parts *p = &r->parts;
    cf_als_loss items, users;
    double penalty;

    assert_ok(cf_als_fill_prior(p->als, &penalty));
    assert_ok(cf_als_solve(p->als, CF_ITEMS, &items));
    parts_clear(p->table[CF_USERS]);
    assert_ok(cf_als_solve(p->als, CF_USERS, &users));
    return users.pairs + items.shrunk + penalty;
}

static void finish(run *r)
{
    parts_drop(&r->parts);
    cf_test_shard_destroy(&r->parts.shard);
}

/* Within 1e-5 of the largest number, times what least squares in float32 make of rounding. */
static void check_table(const run *r, int side, const char *what)
{
    char name[64];
    double *want, largest = 0;
    float *got = cf_test_table_get(r->parts.table[side]);

    snprintf(name, sizeof name, "%s_%s", what, side_name[side]);
    want = load(name);
    for (int64_t k = 0; k < n_rows[side] * DIM; k++)
        largest = want[k] > largest ? want[k] : -want[k] > largest ? -want[k] : largest;
    cf_test_close_f32(got, want, n_rows[side] * DIM, 5e-5, largest);
    free(got);
    free(want);
}

/* Known answers: without a prior, with one, and with weights too. */
static const struct {
    const char *name;
    bool text;
    cf_test_weight *weight;
} answers[] = {
    {"ials", false, NULL}, {"ials_text", true, NULL}, {"ials_weighted", true, weight_of}};
enum { N_ANSWERS = sizeof answers / sizeof *answers };

static void check_answer(int k, const problem *p, cf_grid *grid)
{
    run r = new_run(p, DIM, grid);
    char name[64];
    double *losses, *items = load("var_item_init");

    snprintf(name, sizeof name, "%s_losses", answers[k].name);
    losses = load(name);
    begin(&r, answers[k].text, items);
    if (p->weight == NULL) check_table(&r, CF_USERS, "ials_start");
    for (int n = 0; n < SWEEPS; n++)
        assert_close(sweep(&r), losses[n], 1e-5 * losses[n]);
    for (int side = 0; side < 2; side++)
        check_table(&r, side, answers[k].name);
    finish(&r);
    free(losses);
    free(items);
}

static void sweeps_end_where_numpy_does_on_any_grid(void **state)
{
    (void)state;
    for (int k = 0; k < N_ANSWERS; k++) {
        problem p = {.weight = answers[k].weight};
        cf_grid *grid = NULL;

        open_problem(&p, "tiny.h5");
        for (int g = 0; cf_test_next_grid(&world, 1, &g, &grid);)
            check_answer(k, &p, grid);
        close_problem(&p);
    }
}

/* ---- Bits ------------------------------------------------------------------------------------ */

/* On all grids and nodes of these ranks; tests/train/bits.c has one rank beside them. A cold item
 * has its prior. */
static void all_grids_have_the_same_bits(void **state)
{
    static const uint8_t cold[ITEMS] = {[4] = CF_COLD_VALID, [11] = CF_COLD_TEST};
    problem p = {.weight = weight_of, .cold = cold, .n_cold = 2};
    float *first[2] = {NULL, NULL};
    cf_grid *grid = NULL;

    (void)state;
    open_problem(&p, "cold.h5");
    for (int k = 0; cf_test_next_nodes(&world, MAX_COLUMNS, &k, &grid);)
        for (int threads = 1; threads <= 2; threads++) {
            run r = new_run(&p, WIDE, grid);

            omp_set_num_threads(threads);
            begin(&r, true, NULL);
            for (int n = 0; n < SWEEPS; n++)
                (void)sweep(&r);
            parts_compare_bits(&r.parts, first);
            finish(&r);
        }
    for (int d = 0; d < WIDE; d++)
        assert_true(first[CF_ITEMS][4 * WIDE + d] != 0);
    free(first[CF_USERS]);
    free(first[CF_ITEMS]);
    close_problem(&p);
}

/* ---- Failures -------------------------------------------------------------------------------- */

static cf_status try_run(void *context)
{
    run *r = context;
    double penalty;
    cf_status status = start(r, true, NULL);

    return status == CF_OK ? cf_als_fill_prior(r->parts.als, &penalty) : status;
}

/* A file counts what is read of it, so each attempt has its own. */
static void open_again(void *context)
{
    run *r = context;

    assert_ok(cf_dataset_open(&world, cf_test_scratch("memory.h5"), &r->file));
}

static void close_again(void *context)
{
    run *r = context;

    parts_drop(&r->parts);
    cf_dataset_close(&r->file);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.prepare = open_again,
                                 .attempt = try_run,
                                 .clean_up = close_again,
                                 .rotate = true,
                                 .thinning = 4,
                                 .least = {60, 60}};
    problem p = {.cold = NULL};
    run r;

    (void)state;
    omp_set_num_threads(1);
    open_problem(&p, "memory.h5");
    cf_dataset_close(&p.file);
    r = new_run(&p, DIM, NULL);
    assert_ok(cf_par_create_grid(&world, world.size, 1, &r.parts.grid));
    r.parts.shard = cf_test_graph_cut(&p.graph, r.parts.grid);
    cf_test_every_allocation(&trial, &r);
    cf_test_shard_destroy(&r.parts.shard);
    cf_par_destroy_grid(&r.parts.grid);
    close_problem(&p);
}

static void refuse_vectors(problem *p, cf_als_options with, double reg_weight, cf_status code,
                           const char *setting)
{
    run r = new_run(p, DIM, NULL);

    r.parts.options = with;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &r.parts.grid));
    r.parts.shard = cf_test_graph_cut(&p->graph, r.parts.grid);
    assert_ok(parts_make(&r.parts));
    assert_refused(cf_als_read_vectors(r.parts.als, p->file, reg_weight), code, setting);
    finish(&r);
    cf_par_destroy_grid(&r.parts.grid);
}

/* 30 centred vectors of 48 numbers: their Gram matrix has no inverse. Where no item is shrunk, it
 * is zero, whatever the regularization of the map. */
static void vectors_without_regularization_are_refused(void **state)
{
    static const cf_als_options unregularized = {.nu = 1};
    problem p = {.cold = NULL};

    (void)state;
    open_problem(&p, "singular.h5");
    refuse_vectors(&p, options, 0, CF_ERR_NUMERIC, "prior_reg_weight");
    close_problem(&p);
    open_problem(&p, "singular.h5");
    refuse_vectors(&p, unregularized, prior_reg_weight, CF_ERR_USAGE, "item_prior: none");
    close_problem(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sweeps_end_where_numpy_does_on_any_grid),
    cmocka_unit_test(all_grids_have_the_same_bits),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(vectors_without_regularization_are_refused),
};

CF_TEST_MAIN(tests)
