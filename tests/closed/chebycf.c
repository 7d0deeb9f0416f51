/* ChebyCF and GF-CF on every grid: scores of NumPy, of train users and of new ones, and the same
 * bits. */
#include "problem.h"

enum { USERS = 40, ITEMS = 30 };

static const char *const chebycf_sets[] = {"model=ChebyCF",
                                           "filter_order=5",
                                           "filter_flatness=2",
                                           "ideal_dim=6",
                                           "ideal_weight=0.3",
                                           "degree_power=0.25",
                                           NULL};
static const char *const gfcf_sets[] = {"model=GF-CF", "ideal_dim=6", "ideal_weight=0.3", NULL};

/* Two segments each, and three in all. */
static const char *const text_sets[] = {
    "model=GF-CF",          "ideal_dim=18",     "ideal_weight=0.3",  "text_weight=0.7",
    "emb_selection=whiten", "whiten_power=0.5", "embedding_size=20", NULL};

/* A solution, the users that it scores, and their scores. */
typedef struct place {
    data d;
    const cf_grid *grid;
    cf_closed_options options;
    cf_shard shard;
    cf_closed *closed;
    cf_shard *scored; /* the shard, or new users */
    cf_table *users;  /* their rows; those of the solution are its own */
    double *scores;   /* my users x ITEMS */
} place;

static place new_place(const char *const *sets)
{
    int64_t dims[2];
    place p = {
        .d = {.graph = cf_test_graph_load(CF_TEST_DATA "/golden/tiny/train.npy", USERS, ITEMS),
              .vectors = cf_test_npy(CF_TEST_DATA "/golden/tiny/llm.npy", dims),
              .missing = -1},
        .options = read_options(sets)};

    p.d.dim = dims[1];
    open_file(&p.d);
    return p;
}

static void set_up(void *context)
{
    place *p = context;

    p->shard = cf_test_graph_cut(&p->d.graph, p->grid);
    assert_ok(CF_ALLOC(p->shard.added.start, p->shard.n_users + 1));
    p->scored = &p->shard;
}

static cf_status solve(void *context)
{
    place *p = context;
    cf_closed_seconds seconds = {0};
    cf_status status;

    CF_TRY(cf_closed_create(&p->options, p->grid, &p->shard, &p->closed));
    CF_TRY(cf_closed_solve(p->closed, p->d.file, &seconds));
done:
    return status;
}

static void clean_up(void *context)
{
    place *p = context;

    cf_closed_destroy(&p->closed);
    cf_free(&p->shard.added.start);
    cf_test_shard_destroy(&p->shard);
}

/* ---- Scores --------------------------------------------------------------------------------- */

/* Whole rows of the users and of all items; the rows of users are of p->scored. Collective. */
static void multiply_rows(place *p, const int64_t *numbers)
{
    const cf_table *items = cf_closed_table(p->closed, CF_ITEMS);
    const int64_t n = p->scored->n_users, width = items->full_width;
    float *of_users = calloc((size_t)(n * width + 1), sizeof *of_users),
          *of_items = calloc((size_t)(ITEMS * width), sizeof *of_items);

    assert_true(of_users != NULL && of_items != NULL);
    assert_ok(cf_table_gather_own(p->users, numbers, n, of_users));
    assert_ok(cf_table_gather(items, 0, ITEMS, of_items));
    for (int64_t u = 0; u < n; u++)
        for (int64_t i = 0; i < ITEMS; i++)
            for (int64_t k = 0; k < width; k++)
                p->scores[u * ITEMS + i] +=
                    (double)of_users[u * width + k] * (double)of_items[i * width + k];
    free(of_users);
    free(of_items);
}

/* Of all users of p->scored: what the filter gives and the products. Collective. */
static void score(place *p)
{
    const int64_t n = p->scored->n_users;
    int64_t *numbers = calloc((size_t)n + 1, sizeof *numbers);
    float *rows = calloc((size_t)(n * ITEMS + 1), sizeof *rows);

    p->scores = square(USERS);
    assert_true(numbers != NULL && rows != NULL && n * ITEMS <= USERS * USERS);
    for (int64_t u = 0; u < n; u++)
        numbers[u] = u;
    multiply_rows(p, numbers);
    assert_ok(cf_filter_apply(cf_closed_filter(p->closed), p->scored, numbers, n,
                              &(cf_filter_rows){rows, ITEMS}));
    for (int64_t k = 0; k < n * ITEMS; k++)
        p->scores[k] += (double)rows[k];
    free(numbers);
    free(rows);
}

static void check_scores(const place *p, const double *want)
{
    for (int64_t u = 0; u < p->scored->n_users; u++)
        for (int64_t i = 0; i < ITEMS; i++)
            assert_close(p->scores[u * ITEMS + i], want[(p->scored->first_user + u) * ITEMS + i],
                         1e-5);
}

/* The users of the graph, as if they were new. Collective. */
static cf_shard *make_new_users(const place *p)
{
    int64_t start[USERS + 1] = {0}, items[USERS * ITEMS], n = 0;
    const cf_lists lists = {.count = USERS, .start = start, .index = items};
    cf_shard *shard = NULL;

    for (int64_t u = 0; u < USERS; u++) {
        for (int64_t e = 0; e < p->d.graph.n_pairs; e++)
            if (p->d.graph.pairs[e][0] == u) items[n++] = p->d.graph.pairs[e][1];
        start[u + 1] = n;
    }
    assert_ok(cf_dataset_create_user_shard(p->grid, &p->shard, &lists, &shard));
    return shard;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* On a grid, whose tables go to `table`. */
static void check_on(place *p, const double *want, float *table[2])
{
    cf_shard *shard;

    set_up(p);
    assert_ok(solve(p));
    for (int side = 0; side < 2; side++)
        table[side] = cf_test_table_get(cf_closed_table(p->closed, (cf_side)side));
    p->users = cf_closed_table(p->closed, CF_USERS);
    score(p);
    check_scores(p, want);
    free(p->scores);
    p->scored = shard = make_new_users(p);
    assert_ok(cf_table_create(p->grid, &shard->users, p->users->dim, &p->users));
    assert_ok(cf_closed_fold_in(p->closed, shard, p->users));
    score(p);
    check_scores(p, want);
    free(p->scores);
    cf_table_destroy(&p->users);
    cf_dataset_destroy_shard(&shard);
    clean_up(p);
}

static void check_everywhere(const char *const *sets, const char *file)
{
    place p = new_place(sets);
    const int64_t rows[2] = {USERS, ITEMS}, dim = cf_closed_dim(&p.options, ITEMS);
    float *first[2] = {NULL, NULL};
    int64_t dims[2];
    double *want = cf_test_npy(file, dims);
    cf_grid *grid = NULL;

    for (int k = 0;
         cf_test_next_grid(&world, (int)cf_closed_segments(&p.options, ITEMS), &k, &grid);) {
        float *table[2];

        p.grid = grid;
        check_on(&p, want, table);
        for (int side = 0; side < 2; side++) {
            if (first[side] == NULL) {
                first[side] = table[side];
                continue;
            }
            cf_test_same_bits(table[side], first[side], rows[side] * dim, "table");
            free(table[side]);
        }
    }
    free(first[CF_USERS]);
    free(first[CF_ITEMS]);
    free(want);
    free_data(&p.d);
}

static void scores_are_those_of_numpy(void **state)
{
    (void)state;
    check_everywhere(chebycf_sets, CF_TEST_DATA "/golden/tiny/chebycf.npy");
    check_everywhere(gfcf_sets, CF_TEST_DATA "/golden/tiny/gfcf.npy");
}

static void text_adds_its_own_scores(void **state)
{
    (void)state;
    check_everywhere(text_sets, CF_TEST_DATA "/golden/tiny/gfcf_text.npy");
}

/* A weight of nothing, of what is not there, and of more than there is. */
static void text_needs_rows_of_vectors(void **state)
{
    static const char *const wide[] = {"model=ChebyCF", "text_weight=1", "embedding_size=49", NULL};
    static const char *const no_rows[] = {"model=ChebyCF", "text_weight=1", "emb_selection=False",
                                          NULL},
                             *const text[] = {"model=ChebyCF", "text_weight=1", NULL};
    place p = new_place(no_rows);
    cf_config *config = create_config();

    (void)state;
    assert_int_equal(cf_closed_check_dataset(&p.options, p.d.file), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "emb_selection"));
    free_data(&p.d);

    p = new_place(wide);
    assert_int_equal(cf_closed_check_dataset(&p.options, p.d.file), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "embedding_size is 49"));
    free_data(&p.d);

    p = new_place(text);
    cf_dataset_close(&p.d.file);
    p.d.dim = 0;
    open_file(&p.d);
    assert_int_equal(cf_closed_check_dataset(&p.options, p.d.file), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "no language-model vectors"));
    free_data(&p.d);

    assert_ok(cf_config_set(config, "model=ChebyCF"));
    assert_null(strstr(cf_closed_uses(config), "emb_selection"));
    assert_ok(cf_config_set(config, "text_weight=1"));
    assert_non_null(strstr(cf_closed_uses(config), "emb_selection"));
    cf_config_destroy(&config);
}

/* Without the singular vectors the tables have one column of zeros. */
static void a_filter_alone_has_empty_tables(void **state)
{
    static const char *const sets[] = {"model=ChebyCF", "ideal_weight=0", NULL};
    place p = new_place(sets);
    cf_grid *grid = NULL;

    (void)state;
    assert_int_equal(cf_closed_dim(&p.options, ITEMS), 1);
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    p.grid = grid;
    set_up(&p);
    assert_ok(solve(&p));
    for (int side = 0; side < 2; side++) {
        const cf_table *table = cf_closed_table(p.closed, (cf_side)side);

        for (int64_t k = 0; k < table->local_rows * table->width; k++)
            assert_true(table->data[k] == 0);
    }
    assert_non_null(cf_closed_filter(p.closed));
    clean_up(&p);
    cf_par_destroy_grid(&grid);
    free_data(&p.d);
}

static void more_vectors_than_items_are_refused(void **state)
{
    static const char *const sets[] = {"model=GF-CF", "ideal_dim=31", NULL};
    place p = new_place(sets);
    cf_grid *grid = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    p.grid = grid;
    set_up(&p);
    assert_int_equal(solve(&p), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "ideal_dim"));
    clean_up(&p);
    cf_par_destroy_grid(&grid);
    free_data(&p.d);
}

static void set_up_again(void *context)
{
    place *p = context;

    reopen_file(&p->d);
    set_up(p);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = solve,
                                 .prepare = set_up_again,
                                 .clean_up = clean_up,
                                 .thinning = 6,
                                 .rotate = true};
    place p = new_place(text_sets);
    cf_grid *grid = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    p.grid = grid;
    assert_true(cf_test_every_allocation(&trial, &p) > 15);
    cf_par_destroy_grid(&grid);
    free_data(&p.d);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(scores_are_those_of_numpy),
    cmocka_unit_test(text_adds_its_own_scores),
    cmocka_unit_test(text_needs_rows_of_vectors),
    cmocka_unit_test(a_filter_alone_has_empty_tables),
    cmocka_unit_test(more_vectors_than_items_are_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
