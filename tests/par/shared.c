#include "cf_test.h"

#include <stdio.h>
#include <unistd.h>

enum { N = 1000 }; /* numbers of a rank */

/* The ranks of the world that share a node of `ranks` of them. */
static cf_par node_of(int ranks)
{
    cf_par node;

    cf_par_pretend_nodes(ranks);
    cf_par_split_node(&world, &node);
    cf_par_pretend_nodes(0);
    return node;
}

static void what_one_rank_writes_all_ranks_of_its_node_read(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= world.size; ranks++) {
        cf_par node = node_of(ranks);
        cf_shared shared = {0};
        int *numbers;

        assert_true(cf_par_can_share(&node));
        assert_ok(cf_par_create_shared(&node, node.size * N * (int)sizeof(int), &shared));
        numbers = shared.data;
        assert_int_equal((uintptr_t)numbers % 64, 0);
        for (int k = 0; k < node.size * N; k++)
            assert_int_equal(numbers[k], 0);
        cf_par_meet(&node);
        for (int k = 0; k < N; k++)
            numbers[node.rank * N + k] = world.rank * N + k;
        cf_par_meet(&node);
        for (int k = 0; k < node.size * N; k++)
            assert_int_equal(numbers[k], world.rank / ranks * ranks * N + k);
        cf_par_meet(&node);
        cf_par_destroy_shared(&shared);
        assert_null(shared.data);
        cf_par_destroy_shared(&shared);
        MPI_Comm_free(&node.comm);
    }
}

/* Sizes around those of pages; 5 MiB has huge pages and a rest. */
static void each_rank_holds_an_even_part(void **state)
{
    static const int64_t sizes[] = {0, 1, 64, 4095, 4097, 5 << 20};
    cf_par node = node_of(world.size);

    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const int64_t held = cf_alloc_held(), live = cf_alloc_live();
        cf_shared shared = {0};
        int64_t all;

        assert_ok(cf_par_create_shared(&node, sizes[k], &shared));
        all = cf_alloc_held() - held;
        assert_in_range(all, sizes[k] / world.size, cf_ceil_div(sizes[k], world.size));
        assert_int_equal(cf_alloc_live(), live + 1);
        MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT64_T, MPI_SUM, world.comm);
        assert_int_equal(all, sizes[k]);
        if (sizes[k] > 0) {
            ((char *)shared.data)[sizes[k] - 1] = 1;
            memset(shared.data, 1, (size_t)sizes[k]);
        }
        cf_par_destroy_shared(&shared);
        assert_int_equal(cf_alloc_held(), held);
        assert_int_equal(cf_alloc_live(), live);
    }
    MPI_Comm_free(&node.comm);
}

typedef struct sharing {
    cf_par node;
    cf_shared shared;
} sharing;

static cf_status share(void *context)
{
    sharing *s = context;

    return cf_par_agree(&world, cf_par_create_shared(&s->node, N, &s->shared));
}

static void give_up(void *context)
{
    cf_par_destroy_shared(&((sharing *)context)->shared);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = share, .clean_up = give_up};
    sharing s = {.node = node_of(world.size)};

    (void)state;
    assert_int_equal(cf_test_every_allocation(&trial, &s), 1);
    MPI_Comm_free(&s.node.comm);
}

/* More than any machine has: an error on all ranks, not a signal at the first touch. */
static void too_much_memory_is_an_error(void **state)
{
    cf_par node = node_of(world.size);
    cf_shared shared = {0};

    (void)state;
    if (world.size > 1) {
        const cf_status status =
            cf_par_agree(&world, cf_par_create_shared(&node, INT64_MAX / 4, &shared));

        assert_int_equal(status, CF_ERR_MEMORY);
        assert_non_null(strstr(cf_error_message(), "out of memory: 2305843009213693951 bytes"));
        cf_par_destroy_shared(&shared);
    }
    MPI_Comm_free(&node.comm);
}

/* Files that a killed job would leave behind have a name. */
static void shared_memory_has_no_name(void **state)
{
    cf_par node = node_of(world.size);
    cf_shared shared = {0};
    char line[512];
    int n_deleted = 0;
    FILE *maps;

    (void)state;
    assert_ok(cf_par_create_shared(&node, 1 << 20, &shared));
    maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        n_deleted += strstr(line, "/memfd:llminit (deleted)") != NULL;
    fclose(maps);
    assert_int_equal(n_deleted, world.size > 1);
    cf_par_meet(&node);
    cf_par_destroy_shared(&shared);
    MPI_Comm_free(&node.comm);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_one_rank_writes_all_ranks_of_its_node_read),
    cmocka_unit_test(each_rank_holds_an_even_part),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(too_much_memory_is_an_error),
    cmocka_unit_test(shared_memory_has_no_name),
};
CF_TEST_MAIN(tests)
