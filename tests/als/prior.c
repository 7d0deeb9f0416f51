/* Sweeps with and without a prior of the items' vectors: known answers of NumPy, and cold items. */
#include "als/internal.h"
#include "cf_test.h"
#include "cf_test_dataset.h"
#include "cf_test_graph.h"

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
    double *vectors;     /* ITEMS x SOURCE_DIM */
    const uint8_t *cold; /* ITEMS, or NULL */
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

static cf_lists train_lists(const cf_test_graph *graph)
{
    cf_lists lists = {.count = USERS};

    lists.start = calloc(USERS + 1, sizeof *lists.start);
    lists.index = calloc((size_t)graph->n_pairs, sizeof *lists.index);
    assert_non_null(lists.start);
    assert_non_null(lists.index);
    for (int64_t e = 0; e < graph->n_pairs; e++) {
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
    content.train = train_lists(&p->graph);
    cf_test_dataset_write(cf_test_scratch(name), ITEMS, &content);
    assert_ok(cf_dataset_open(&world, cf_test_scratch(name), &p->file));
    free(content.train.start);
    free(content.train.index);
}

static void close_problem(problem *p)
{
    cf_dataset_close(&p->file);
    cf_test_graph_destroy(&p->graph);
    free(p->vectors);
}

/* ---- Runs ----------------------------------------------------------------------------------- */

typedef struct run {
    const problem *problem;
    cf_dataset *file; /* the problem's, or one of its own */
    int64_t dim;
    cf_grid *grid;
    cf_shard shard;
    cf_graph *graph;
    cf_table *table[2];
    cf_als *als;
} run;

static double *load(const char *name)
{
    char path[1024];
    int64_t dims[2];

    snprintf(path, sizeof path, TINY "%s.npy", name);
    return cf_test_npy(path, dims);
}

static cf_status make_parts(run *r)
{
    cf_als_place place = {.grid = r->grid,
                          .cold = r->problem->cold,
                          .n_counted = {USERS, ITEMS - r->problem->n_cold}};
    cf_status status;

    CF_TRY(cf_graph_create(r->grid, &r->shard, &r->graph));
    CF_TRY(cf_table_create(r->grid, &r->shard.users, r->dim, &r->table[CF_USERS]));
    CF_TRY(cf_table_create(r->grid, &r->shard.items, r->dim, &r->table[CF_ITEMS]));
    place.graph = r->graph;
    place.table[CF_USERS] = r->table[CF_USERS];
    place.table[CF_ITEMS] = r->table[CF_ITEMS];
    CF_TRY(cf_als_create(&options, &place, &r->als));
done:
    return status;
}

static void drop_parts(void *context)
{
    run *r = context;

    cf_als_destroy(&r->als);
    for (int side = 0; side < 2; side++)
        cf_table_destroy(&r->table[side]);
    cf_graph_destroy(&r->graph);
}

static void clear(cf_table *table)
{
    memset(table->data, 0, (size_t)(table->local_rows * table->width) * sizeof *table->data);
}

/* Items at their start, or at noise, and users solved for them. */
static cf_status start(run *r, bool text, const double *items)
{
    cf_als_loss loss;
    cf_status status;

    CF_TRY(make_parts(r));
    if (text) CF_TRY(cf_als_read_vectors(r->als, r->file, prior_reg_weight));
    if (items != NULL)
        cf_test_table_set(r->table[CF_ITEMS], items);
    else
        cf_table_fill_normal(r->table[CF_ITEMS], 7, 0, 0.1);
    clear(r->table[CF_USERS]);
    CF_TRY(cf_als_solve(r->als, CF_USERS, &loss));
done:
    return status;
}

static void begin(run *r, bool text, const double *items)
{
    r->shard = cf_test_graph_cut(&r->problem->graph, r->grid);
    assert_ok(start(r, text, items));
}

static double sweep(run *r)
{
    cf_als_loss items, users;
    double penalty;

    assert_ok(cf_als_fill_prior(r->als, &penalty));
    assert_ok(cf_als_solve(r->als, CF_ITEMS, &items));
    clear(r->table[CF_USERS]);
    assert_ok(cf_als_solve(r->als, CF_USERS, &users));
    return users.pairs + items.shrunk + penalty;
}

static void finish(run *r)
{
    drop_parts(r);
    cf_test_shard_destroy(&r->shard);
}

/* Within 1e-5 of the largest number, times what least squares in float32 make of rounding. */
static void check_table(const run *r, int side, const char *what)
{
    char name[64];
    double *want, largest = 0;
    float *got = cf_test_table_get(r->table[side]);

    snprintf(name, sizeof name, "%s_%s", what, side_name[side]);
    want = load(name);
    for (int64_t k = 0; k < n_rows[side] * DIM; k++)
        largest = want[k] > largest ? want[k] : -want[k] > largest ? -want[k] : largest;
    cf_test_close_f32(got, want, n_rows[side] * DIM, 5e-5, largest);
    free(got);
    free(want);
}

static void sweeps_end_where_numpy_does_on_any_grid(void **state)
{
    static const char *const names[] = {"ials", "ials_text"};
    problem p = {.cold = NULL};
    cf_grid *grid = NULL;

    (void)state;
    open_problem(&p, "tiny.h5");
    for (int text = 0; text < 2; text++)
        for (int k = 0; cf_test_next_grid(&world, 1, &k, &grid);) {
            run r = {.problem = &p, .file = p.file, .dim = DIM, .grid = grid};
            char name[64];
            double *losses, *items = load("var_item_init");

            snprintf(name, sizeof name, "%s_losses", names[text]);
            losses = load(name);
            begin(&r, text == 1, items);
            check_table(&r, CF_USERS, "ials_start");
            for (int n = 0; n < SWEEPS; n++)
                assert_close(sweep(&r), losses[n], 1e-5 * losses[n]);
            for (int side = 0; side < 2; side++)
                check_table(&r, side, names[text]);
            finish(&r);
            free(losses);
            free(items);
        }
    close_problem(&p);
}

/* ---- Bits ------------------------------------------------------------------------------------ */

static void compare_bits(const run *r, float *first[2])
{
    for (int side = 0; side < 2; side++) {
        float *got = cf_test_table_get(r->table[side]);

        if (first[side] == NULL) {
            first[side] = got;
            continue;
        }
        cf_test_same_bits(got, first[side], n_rows[side] * r->dim, side_name[side]);
        free(got);
    }
}

/* On all grids and nodes of these ranks; tests/train/bits.c has one rank beside them. A cold item
 * has its prior. */
static void all_grids_have_the_same_bits(void **state)
{
    static const uint8_t cold[ITEMS] = {[4] = CF_COLD_VALID, [11] = CF_COLD_TEST};
    problem p = {.cold = cold, .n_cold = 2};
    float *first[2] = {NULL, NULL};
    cf_grid *grid = NULL;

    (void)state;
    open_problem(&p, "cold.h5");
    for (int k = 0; cf_test_next_nodes(&world, MAX_COLUMNS, &k, &grid);)
        for (int threads = 1; threads <= 2; threads++) {
            run r = {.problem = &p, .file = p.file, .dim = WIDE, .grid = grid};

            omp_set_num_threads(threads);
            begin(&r, true, NULL);
            for (int n = 0; n < SWEEPS; n++)
                (void)sweep(&r);
            compare_bits(&r, first);
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

    return status == CF_OK ? cf_als_fill_prior(r->als, &penalty) : status;
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

    drop_parts(r);
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
    run r = {.problem = &p, .dim = DIM};

    (void)state;
    omp_set_num_threads(1);
    open_problem(&p, "memory.h5");
    cf_dataset_close(&p.file);
    assert_ok(cf_par_create_grid(&world, world.size, 1, &r.grid));
    r.shard = cf_test_graph_cut(&p.graph, r.grid);
    cf_test_every_allocation(&trial, &r);
    cf_test_shard_destroy(&r.shard);
    cf_par_destroy_grid(&r.grid);
    close_problem(&p);
}

/* 30 centred vectors of 48 numbers: their Gram matrix has no inverse. */
static void vectors_without_regularization_may_be_refused(void **state)
{
    problem p = {.cold = NULL};
    run r = {.problem = &p, .dim = DIM};

    (void)state;
    open_problem(&p, "singular.h5");
    assert_ok(cf_par_create_grid(&world, world.size, 1, &r.grid));
    r.shard = cf_test_graph_cut(&p.graph, r.grid);
    assert_ok(make_parts(&r));
    assert_refused(cf_als_read_vectors(r.als, p.file, 0), CF_ERR_NUMERIC, "prior_reg_weight");
    finish(&r);
    cf_par_destroy_grid(&r.grid);
    close_problem(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sweeps_end_where_numpy_does_on_any_grid),
    cmocka_unit_test(all_grids_have_the_same_bits),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(vectors_without_regularization_may_be_refused),
};

CF_TEST_MAIN(tests)
