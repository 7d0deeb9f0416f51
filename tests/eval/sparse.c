/* Sums over the entries of sparse rows: the bits of sums over the matrix that has zeros for what is
 * left out, on every grid, with one thread and two, and in whatever memory. */
#include "cf_test_graph.h"
#include "problem.h"

#include <omp.h>
#include <string.h>

enum { K = 25, USERS = 300, ITEMS = 700, APPENDED = 40, PLENTY = 64 << 20 };

/* One in eight numbers of a row, none of every eleventh row. Of the items alone. */
static float some(bool is_item, int64_t row, int64_t k)
{
    if (!is_item || row % 11 == 3 || scrambled(7, row, k) % 8 != 0) return 0;
    return real(true, row, k);
}

/* Each ninth user has added items, too. */
static int parts(int64_t user, int64_t item)
{
    const int part = some_parts(user, item);

    return part == 0 && user % 9 == 0 && scrambled(8, user, item) % 40 == 0 ? IN_ADDED : part;
}

/* ITEMS of the base and APPENDED ones, which the matrix has rows of and no columns. */
static const shape sparse_shape = {USERS, ITEMS + APPENDED, ITEMS, some, parts, true};

/* The numbers of the matrix that are not 0. Collective. */
static cf_table *create_entries(const problem *p)
{
    const int64_t room = cf_max(ITEMS / 4, 8 * (int64_t)p->grid->n_columns);
    float *row = calloc((size_t)(2 * room), sizeof *row);
    cf_table *out = NULL;

    assert_non_null(row);
    assert_ok(cf_table_create(p->grid, &p->shard.items, CF_ENTRY_FLOATS * room, &out));
    for (int64_t r = 0; r < out->local_rows; r++) {
        int64_t n = 0;

        memset(row, 0, (size_t)(2 * room) * sizeof *row);
        for (int32_t j = 0; j < ITEMS; j++) {
            const float value = some(true, out->first_row + r, j);

            assert_true(n < room);
            if (value != 0) cf_table_set_entry(row, n++, (cf_entry){value, j});
        }
        memcpy(out->data + r * out->width, row + out->first_dim,
               (size_t)out->local_dim * sizeof *row);
    }
    free(row);
    return out;
}

/* The lists of this rank's part of the block's users. */
typedef struct lists {
    int64_t count, *users, *items;
    float *scores;
} lists;

static lists rank_users(const problem *p, const cf_eval_scorer *scorer, int64_t memory)
{
    lists l = {0};

    assert_ok(CF_ALLOC(l.users, p->shard.n_users));
    for (int64_t u = 0; u < p->shard.n_users; u++)
        if (u % p->grid->n_columns == p->grid->my_column) l.users[l.count++] = u;
    assert_ok(CF_ALLOC(l.items, l.count * K));
    assert_ok(CF_ALLOC(l.scores, l.count * K));
    assert_ok(cf_eval_topk(
        scorer,
        &(cf_eval_request){
            .users = l.users, .count = l.count, .k = K, .mask_train = true, .memory = memory},
        l.items, l.scores));
    return l;
}

static void destroy_lists(lists *l)
{
    cf_free(&l->users);
    cf_free(&l->items);
    cf_free(&l->scores);
}

static void check_same(const problem *p, const cf_table *entries, int64_t memory)
{
    const cf_eval_scorer sparse = cf_eval_entry_sums(entries, &p->shard);
    lists want = rank_users(p, &p->scorer, PLENTY), got = rank_users(p, &sparse, memory);

    assert_memory_equal(got.items, want.items, (size_t)(want.count * K) * sizeof *want.items);
    cf_test_same_bits(got.scores, want.scores, want.count * K, "scores");
    destroy_lists(&want);
    destroy_lists(&got);
}

static void entries_give_the_bits_of_the_matrix(void **state)
{
    const int before = omp_get_max_threads();

    (void)state;
    for (int rows = next_grid(0); rows > 0; rows = next_grid(rows)) {
        cf_table *entries;
        problem p;

        create_problem(&sparse_shape, &world, rows, &p);
        entries = create_entries(&p);
        for (int threads = 1; threads <= 2; threads++) {
            omp_set_num_threads(threads);
            check_same(&p, entries, PLENTY);
            check_same(&p, entries, 3 << 20);
        }
        omp_set_num_threads(before);
        cf_table_destroy(&entries);
        destroy_problem(&p);
    }
}

static void no_memory_for_a_row_of_the_matrix_is_refused(void **state)
{
    cf_table *entries;
    problem p;

    (void)state;
    create_problem(&sparse_shape, &world, world.size, &p);
    entries = create_entries(&p);
    const cf_eval_scorer sparse = cf_eval_entry_sums(entries, &p.shard);
    const cf_eval_request request = {.k = K, .memory = 300000};
    assert_int_equal(cf_eval_topk(&sparse, &request, NULL, NULL), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "eval_memory: 300000 bytes are too few"));
    cf_table_destroy(&entries);
    destroy_problem(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(entries_give_the_bits_of_the_matrix),
    cmocka_unit_test(no_memory_for_a_row_of_the_matrix_is_refused),
};
CF_TEST_MAIN(tests)
