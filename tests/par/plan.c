/* What goes by a plan arrives grouped by sender, and its replies come back in their places. */
#include "cf_test.h"

/* How many elements one rank sends another: none for some, and none at all from the last. */
static int count_for(int from, int to)
{
    return from == world.size - 1 && world.size > 1 ? 0 : (from * 3 + to * 5) % 7;
}

/* Element k from one rank to another. */
static int64_t value_of(int from, int to, int k)
{
    return from * 10000 + to * 100 + k;
}

static void fill_counts(cf_plan *plan)
{
    for (int to = 0; to < world.size; to++)
        plan->send_count[to] = count_for(world.rank, to);
    cf_par_complete_plan(plan);
}

static void each_element_arrives_and_its_reply_comes_back(void **state)
{
    cf_plan plan;
    int64_t *send = NULL, *recv = NULL;

    (void)state;
    assert_int_equal(cf_par_create_plan(&world, &plan), CF_OK);
    fill_counts(&plan);
    assert_int_equal(CF_ALLOC(send, plan.n_send), CF_OK);
    assert_int_equal(CF_ALLOC(recv, plan.n_recv), CF_OK);
    for (int to = 0; to < world.size; to++)
        for (int k = 0; k < plan.send_count[to]; k++)
            send[plan.send_start[to] + k] = value_of(world.rank, to, k);
    cf_par_send(&plan, send, recv, MPI_INT64_T);
    for (int from = 0; from < world.size; from++) {
        assert_int_equal(plan.recv_count[from], count_for(from, world.rank));
        for (int k = 0; k < plan.recv_count[from]; k++)
            assert_int_equal(recv[plan.recv_start[from] + k], value_of(from, world.rank, k));
    }
    for (int64_t k = 0; k < plan.n_recv; k++)
        recv[k] = -recv[k];
    cf_par_reply(&plan, recv, send, MPI_INT64_T);
    for (int to = 0; to < world.size; to++)
        for (int k = 0; k < plan.send_count[to]; k++)
            assert_int_equal(send[plan.send_start[to] + k], -value_of(world.rank, to, k));
    cf_free(&send);
    cf_free(&recv);
    cf_par_destroy_plan(&plan);
}

static void its_bytes_are_those_to_other_ranks(void **state)
{
    cf_plan plan;
    double sent = 0, replied = 0;

    (void)state;
    assert_int_equal(cf_par_create_plan(&world, &plan), CF_OK);
    fill_counts(&plan);
    for (int p = 0; p < world.size; p++) {
        if (p == world.rank) continue;
        sent += 12.0 * count_for(world.rank, p);
        replied += 12.0 * count_for(p, world.rank);
    }
    assert_true(cf_par_plan_bytes(&plan, 12, false) == sent);
    assert_true(cf_par_plan_bytes(&plan, 12, true) == replied);
    cf_par_destroy_plan(&plan);
}

/* A plan is created by each rank alone; the ranks agree so that all of them try again. What a
 * failed creation leaves allocated is forgotten here, and counts as a leak. */
static cf_status create_plan(void *context)
{
    cf_plan *plan = context;
    cf_status status = cf_par_create_plan(&world, plan);

    if (status != CF_OK) {
        assert_null(plan->send_count);
        *plan = (cf_plan){0};
    }
    return cf_par_agree(&world, status);
}

static void destroy_plan(void *context)
{
    cf_par_destroy_plan(context);
}

static void without_memory_there_is_no_plan(void **state)
{
    const cf_test_trial trial = {.attempt = create_plan, .clean_up = destroy_plan};
    cf_plan plan = {0};

    (void)state;
    assert_true(cf_test_every_allocation(&trial, &plan) >= 4);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_element_arrives_and_its_reply_comes_back),
    cmocka_unit_test(its_bytes_are_those_to_other_ranks),
    cmocka_unit_test(without_memory_there_is_no_plan),
};
CF_TEST_MAIN(tests)
