/* Scores of histories on every grid: what plain matrices give, and the same bits. */
#include "problem.h"

enum { USERS = 41, ITEMS = 70, STRIDE = ITEMS + 2 };

typedef struct place {
    cf_test_graph pairs;
    cf_filter_options options;
    cf_grid *grid;
    cf_shard shard, *histories;
    cf_graph *graph;
    cf_filter *filter;
    int64_t count, *users;
    float *rows; /* count x STRIDE: scores from 1 on */
} place;

static void set_up(void *context)
{
    place *p = context;

    p->shard = cf_test_graph_cut(&p->pairs, p->grid);
    assert_ok(CF_ALLOC(p->shard.added.start, p->shard.n_users + 1));
    p->histories = &p->shard;
}

/* All users of my block, the last first, and the first of them once more. Local. */
static cf_status list_users(place *p)
{
    const int64_t n = p->histories->n_users;
    cf_status status;

    p->count = n > 0 ? n + 1 : 0;
    CF_TRY(CF_ALLOC(p->users, p->count));
    CF_TRY(CF_ALLOC(p->rows, p->count * STRIDE));
    for (int64_t k = 0; k < n; k++)
        p->users[k] = n - 1 - k;
done:
    return status;
}

static cf_status attempt(void *context)
{
    place *p = context;
    cf_status status;

    CF_TRY(cf_graph_create(p->grid, &p->shard, &p->graph));
    CF_TRY(cf_filter_create(&p->options, p->grid, &p->shard, p->graph, &p->filter));
    CF_TRY(cf_par_agree(&world, list_users(p)));
    CF_TRY(cf_filter_apply(p->filter, p->histories, p->users, p->count,
                           &(cf_filter_rows){p->rows + 1, STRIDE}));
done:
    return status;
}

static void clean_up(void *context)
{
    place *p = context;

    cf_free(&p->users);
    cf_free(&p->rows);
    cf_filter_destroy(&p->filter);
    cf_graph_destroy(&p->graph);
    cf_free(&p->shard.added.start);
    cf_test_shard_destroy(&p->shard);
}

/* ---- The plain way -------------------------------------------------------------------------- */

/* out = L~ x, L~ = I - 2 R'R. */
static void multiply_plainly(const double *square, const double *x, double *out)
{
    for (int64_t i = 0; i < ITEMS; i++) {
        out[i] = x[i];
        for (int64_t j = 0; j < ITEMS; j++)
            out[i] -= 2 * square[i * ITEMS + j] * x[j];
    }
}

/* Scores of one history (0 or 1). */
static void score_plainly(const cf_filter_options *f, const double *square, const double *degrees,
                          const double *history, double *out)
{
    double t[3][ITEMS] = {{0}}, sum[ITEMS];

    for (int64_t i = 0; i < ITEMS; i++)
        t[0][i] = degrees[i] > 0 ? history[i] * pow(degrees[i], -f->power) : 0;
    multiply_plainly(square, t[0], t[1]);
    for (int64_t i = 0; i < ITEMS; i++)
        sum[i] = f->coefficient[0] * t[0][i] + f->coefficient[1] * t[1][i];
    for (int k = 2; k <= f->degree; k++) {
        multiply_plainly(square, t[1], t[2]);
        for (int64_t i = 0; i < ITEMS; i++) {
            t[2][i] = 2 * t[2][i] - t[0][i];
            sum[i] += f->coefficient[k] * t[2][i];
            t[0][i] = t[1][i];
            t[1][i] = t[2][i];
        }
    }
    for (int64_t i = 0; i < ITEMS; i++)
        out[i] = degrees[i] > 0 ? sum[i] * pow(degrees[i], f->power) : 0;
}

/* Of all users of `histories` (n_users x ITEMS). */
static double *score_all(const place *p, const double *histories, int64_t n_users)
{
    double *square = square_plainly(&p->pairs), *degrees = count_degrees(&p->pairs, 1),
           *out = new_doubles(n_users * ITEMS);

    for (int64_t u = 0; u < n_users; u++)
        score_plainly(&p->options, square, degrees, histories + u * ITEMS, out + u * ITEMS);
    free(square);
    free(degrees);
    return out;
}

static double *histories_of(const cf_test_graph *graph)
{
    double *out = new_doubles(graph->n_users * ITEMS);

    for (int64_t e = 0; e < graph->n_pairs; e++)
        out[graph->pairs[e][0] * ITEMS + graph->pairs[e][1]] = 1;
    return out;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void plateaus_are_those_of_numpy(void **state)
{
    int64_t dims[2];
    double *want = cf_test_npy(CF_TEST_DATA "/golden/tiny/plateau.npy", dims);
    cf_filter_options options = {0};

    (void)state;
    cf_filter_set_plateau(5, 2, &options);
    assert_int_equal(options.degree, 5);
    for (int k = 0; k <= 5; k++)
        assert_close(options.coefficient[k], want[k], 1e-14);
    free(want);
}

/* The rows of this rank against `want`. What lies beside them is untouched. */
static void check_rows(const place *p, const double *want)
{
    for (int64_t k = 0; k < p->count; k++) {
        const float *row = p->rows + k * STRIDE;

        assert_true(row[0] == 0 && row[ITEMS + 1] == 0);
        for (int64_t i = 0; i < ITEMS; i++)
            assert_close(row[i + 1], want[(p->histories->first_user + p->users[k]) * ITEMS + i],
                         2e-5);
    }
}

/* The scores of all users (n_users x ITEMS), on every rank, each from the first rank of its grid
 * row. */
static float *join_rows(const place *p, int64_t n_users)
{
    float *out = calloc((size_t)(n_users * ITEMS), sizeof *out);

    assert_non_null(out);
    for (int64_t k = 0; k < p->count && p->grid->my_column == 0; k++)
        memcpy(out + (p->histories->first_user + p->users[k]) * ITEMS, p->rows + k * STRIDE + 1,
               ITEMS * sizeof *out);
    MPI_Allreduce(MPI_IN_PLACE, out, (int)(n_users * ITEMS), MPI_FLOAT, MPI_SUM, world.comm);
    return out;
}

/* On every grid: near `want`, and the same bits on all ranks. `make`: whose histories they are. */
static void check_everywhere(place *p, int64_t n_users, const double *want,
                             cf_shard *(*make)(place *))
{
    float *first = NULL;

    for (int k = 0; cf_test_next_nodes(&world, 4, &k, &p->grid);) {
        cf_shard *made = NULL;

        set_up(p);
        if (make != NULL) p->histories = made = make(p);
        assert_ok(attempt(p));
        check_rows(p, want);
        if (first == NULL) first = join_rows(p, n_users);
        for (int64_t u = 0; u < p->count; u++)
            cf_test_same_bits(p->rows + u * STRIDE + 1,
                              first + (p->histories->first_user + p->users[u]) * ITEMS, ITEMS,
                              "scores");
        cf_dataset_destroy_shard(&made);
        clean_up(p);
    }
    free(first);
}

static place new_place(int degree, double power)
{
    place p = {.pairs = cf_test_graph_random(USERS, ITEMS, 0.15, 9), .options.power = power};

    cf_filter_set_plateau(degree, 3, &p.options);
    return p;
}

static void scores_are_those_of_plain_matrices(void **state)
{
    static const struct {
        int degree;
        double power;
    } cases[] = {{1, 0}, {8, 0.2}, {5, 1}};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        place p = new_place(cases[c].degree, cases[c].power);
        double *histories = histories_of(&p.pairs), *want = score_all(&p, histories, USERS);

        check_everywhere(&p, USERS, want, NULL);
        free(histories);
        free(want);
        cf_test_graph_destroy(&p.pairs);
    }
}

/* Users who are not in the graph, of three items each; more than a pass takes. */
enum { NEW_USERS = 300 };

static int64_t new_item(int64_t user, int64_t k)
{
    return k == 0 ? user % 20 : k == 1 ? 20 + 2 * user % 40 : 65;
}

static cf_shard *make_new_users(place *p)
{
    int64_t start[NEW_USERS + 1], items[NEW_USERS * 3];
    const cf_lists lists = {.count = NEW_USERS, .start = start, .index = items};
    cf_shard *shard = NULL;

    for (int64_t k = 0; k <= NEW_USERS; k++)
        start[k] = 3 * k;
    for (int64_t k = 0; k < NEW_USERS * 3; k++)
        items[k] = new_item(k / 3, k % 3);
    assert_ok(cf_dataset_create_user_shard(p->grid, &p->shard, &lists, &shard));
    return shard;
}

static void new_users_are_scored_by_their_items(void **state)
{
    place p = new_place(4, 0.3);
    double *histories = new_doubles(NEW_USERS * ITEMS), *want;

    (void)state;
    for (int64_t k = 0; k < NEW_USERS * 3; k++)
        histories[k / 3 * ITEMS + new_item(k / 3, k % 3)] = 1;
    want = score_all(&p, histories, NEW_USERS);
    check_everywhere(&p, NEW_USERS, want, make_new_users);
    free(histories);
    free(want);
    cf_test_graph_destroy(&p.pairs);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    place p = new_place(2, 0.5);
    const cf_test_trial trial = {
        .attempt = attempt, .prepare = set_up, .clean_up = clean_up, .thinning = 6, .rotate = true};

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &p.grid));
    assert_true(cf_test_every_allocation(&trial, &p) > 10);
    cf_par_destroy_grid(&p.grid);
    cf_test_graph_destroy(&p.pairs);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(plateaus_are_those_of_numpy),
    cmocka_unit_test(scores_are_those_of_plain_matrices),
    cmocka_unit_test(new_users_are_scored_by_their_items),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
