/* ItemKNN and Pop, which only count, on every grid: the numbers of plain loops and of NumPy, and
 * the same bits. */
#include "problem.h"

#include <math.h>

/* ---- The plain way -------------------------------------------------------------------------- */

typedef struct neighbour {
    double similarity;
    int64_t item;
} neighbour;

/* The most similar first, then the lower item. */
static int compare(const void *a, const void *b)
{
    const neighbour *x = a, *y = b;

    if (x->similarity != y->similarity) return x->similarity > y->similarity ? -1 : 1;
    return x->item < y->item ? -1 : 1;
}

/* Row j: what the k items that are most similar to j add to its score. */
static double *itemknn_plainly(const data *d, int64_t k, double shrink)
{
    const int64_t n = d->graph.n_items;
    double *pairs = gram_plainly(d), *out = square(n);
    neighbour *all = calloc((size_t)n, sizeof *all);

    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = 0; i < n; i++)
            all[i] = (neighbour){
                i == j ? 0
                       : pairs[j * n + i] /
                             (sqrt(pairs[i * n + i]) * sqrt(pairs[j * n + j]) + shrink + 1e-6),
                i};
        qsort(all, (size_t)n, sizeof *all, compare);
        for (int64_t m = 0; m < k && m < n; m++)
            out[j * n + all[m].item] = all[m].similarity;
    }
    free(pairs);
    free(all);
    return out;
}

/* How many numbers of a row stand for other items than the k-th does, though they are its equal. */
static int64_t count_cut_ties(const data *d, int64_t k)
{
    const int64_t n = d->graph.n_items;
    double *all = itemknn_plainly(d, n, 0), *kept = itemknn_plainly(d, k, 0);
    int64_t count = 0;

    for (int64_t j = 0; j < n; j++) {
        double least = INFINITY;

        for (int64_t i = 0; i < n; i++)
            if (kept[j * n + i] > 0) least = fmin(least, kept[j * n + i]);
        for (int64_t i = 0; i < n; i++)
            count += kept[j * n + i] == 0 && all[j * n + i] == least;
    }
    free(all);
    free(kept);
    return count;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* Within float32 of `want` (items x columns), and 0 where it is. */
static void check_table(const float *table, const double *want, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        if (want[k] == 0)
            assert_true(table[k] == 0);
        else
            assert_close((double)table[k] / want[k], 1, 1e-7);
}

/* On every grid: near `want`, and the bits of `*first`, which the first solution is if NULL. */
static void check_everywhere(data *d, const char *const *sets, const double *want, int64_t columns,
                             float **first)
{
    const int64_t n = d->graph.n_items;
    cf_grid *grid = NULL;

    for (int k = 0; cf_test_next_grid(&world, cf_table_segments(columns), &k, &grid);) {
        float *table = NULL;

        if (solve_on(d, grid, sets, &table) != CF_OK) fail_msg("%s", cf_error_message());
        check_table(table, want, n * columns);
        if (*first == NULL)
            *first = table;
        else
            cf_test_same_bits(table, *first, n * columns, "table of items");
        if (*first != table) free(table);
    }
}

/* In both precisions the same bits: counts are whole numbers, and neighbours are chosen in float64.
 */
static void check_itemknn(data *d, int64_t k, double shrink, const double *want)
{
    char k_text[32], shrink_text[32];
    const char *sets[] = {"model=ItemKNN", k_text, shrink_text, NULL, NULL};
    float *first = NULL;

    snprintf(k_text, sizeof k_text, "k=%lld", (long long)k);
    snprintf(shrink_text, sizeof shrink_text, "shrink=%g", shrink);
    check_everywhere(d, sets, want, d->graph.n_items, &first);
    sets[3] = "solve_precision=float32";
    check_everywhere(d, sets, want, d->graph.n_items, &first);
    free(first);
}

static void itemknn_keeps_the_most_similar_items(void **state)
{
    static const struct {
        int64_t k;
        double shrink;
    } cases[] = {{7, 0}, {1, 0}, {20, 12.5}, {1000, 0}};
    data d = new_data(270, 0, -1);

    (void)state;
    assert_true(count_cut_ties(&d, 7) > 100); /* so that it is tested which of the ties are kept */
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        double *want = itemknn_plainly(&d, cases[c].k, cases[c].shrink);

        check_itemknn(&d, cases[c].k, cases[c].shrink, want);
        free(want);
    }
    free_data(&d);
}

static void pop_counts_the_train_interactions(void **state)
{
    static const char *const sets[] = {"model=Pop", NULL};
    data d = new_data(270, 0, -1);
    double *want = calloc((size_t)d.graph.n_items, sizeof *want);
    float *first = NULL;

    (void)state;
    for (int64_t e = 0; e < d.graph.n_pairs; e++)
        want[d.graph.pairs[e][1]]++;
    check_everywhere(&d, sets, want, 1, &first);
    for (int64_t i = 0; i < d.graph.n_items; i++)
        assert_true((double)first[i] == want[i]);
    free(first);
    free(want);
    free_data(&d);
}

/* A user's row is 1, so that scores are the numbers of the items. */
static void pop_has_users_of_one(void **state)
{
    static const char *const sets[] = {"model=Pop", NULL};
    data d = new_data(70, 0, -1);
    solution s = {.d = &d, .options = read_options(sets)};
    cf_grid *grid = NULL;
    float *users;

    (void)state;
    assert_int_equal(cf_closed_dim(&s.options, 70), 1);
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    s.grid = grid;
    s.shard = cf_test_graph_cut(&d.graph, grid);
    assert_int_equal(solution_solve(&s), CF_OK);
    users = cf_test_table_get(cf_closed_table(s.closed, CF_USERS));
    for (int64_t u = 0; u < d.graph.n_users; u++)
        assert_true(users[u] == 1);
    free(users);
    cf_closed_destroy(&s.closed);
    cf_test_shard_destroy(&s.shard);
    cf_par_destroy_grid(&grid);
    free_data(&d);
}

static void the_golden_problem_is_solved(void **state)
{
    static const char *const pop[] = {"model=Pop", NULL};
    data d = {.graph = cf_test_graph_load(CF_TEST_DATA "/golden/tiny/train.npy", 40, 30),
              .missing = -1};
    int64_t dims[2];
    double *itemknn = cf_test_npy(CF_TEST_DATA "/golden/tiny/itemknn.npy", dims),
           *degrees = cf_test_npy(CF_TEST_DATA "/golden/tiny/item_degrees.npy", dims);
    float *first = NULL;

    (void)state;
    open_file(&d);
    check_itemknn(&d, 5, 2, itemknn);
    check_everywhere(&d, pop, degrees, 1, &first);
    free(first);
    free(itemknn);
    free(degrees);
    free_data(&d);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    static const char *const itemknn[] = {"model=ItemKNN", NULL}, *const pop[] = {"model=Pop",
                                                                                  NULL};

    (void)state;
    check_no_memory(new_data(70, 0, -1), itemknn, 10);
    check_no_memory(new_data(70, 0, -1), pop, 3);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(itemknn_keeps_the_most_similar_items),
    cmocka_unit_test(pop_counts_the_train_interactions),
    cmocka_unit_test(pop_has_users_of_one),
    cmocka_unit_test(the_golden_problem_is_solved),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
