#include "cf_test.h"

#include <stdio.h>
#include <string.h>

static void all_well_costs_nothing(void **state)
{
    (void)state;
    assert_int_equal(cf_par_agree(&world, CF_OK), CF_OK);
}

static void one_failing_rank_stops_all(void **state)
{
    (void)state;
    for (int bad = 0; bad < world.size; bad++) {
        char want[100];
        cf_status status = CF_OK;

        CF_FAIL(CF_ERR_USAGE, "an older error");
        if (world.rank == bad) status = CF_FAIL(CF_ERR_FORMAT, "line %d: bad", bad);
        assert_int_equal(cf_par_agree(&world, status), CF_ERR_FORMAT);
        if (world.size > 1)
            snprintf(want, sizeof want, "rank %d: line %d: bad", bad, bad);
        else
            snprintf(want, sizeof want, "line 0: bad");
        assert_string_equal(cf_error_message(), want);
    }
}

static void the_lowest_failing_rank_speaks(void **state)
{
    (void)state;
    if (world.size < 3) return;
    cf_status status = CF_OK;
    if (world.rank == 1) status = CF_FAIL(CF_ERR_IO, "one");
    if (world.rank == 2) status = CF_FAIL(CF_ERR_MEMORY, "two");
    assert_int_equal(cf_par_agree(&world, status), CF_ERR_IO);
    assert_string_equal(cf_error_message(), "rank 1: one");
}

static void any_rank_makes_it_true_on_all(void **state)
{
    (void)state;
    assert_false(cf_par_any(&world, false));
    for (int one = 0; one < world.size; one++)
        assert_true(cf_par_any(&world, world.rank == one));
}

static void a_part_of_the_ranks_agrees_alone_and_names_the_world_rank(void **state)
{
    cf_par part = {0};
    char want[100];

    (void)state;
    MPI_Comm_split(MPI_COMM_WORLD, world.rank % 2, world.rank, &part.comm);
    MPI_Comm_rank(part.comm, &part.rank);
    MPI_Comm_size(part.comm, &part.size);
    for (int bad = 0; bad < world.size; bad++) {
        cf_status status = world.rank == bad ? CF_FAIL(CF_ERR_IO, "torn") : CF_OK;
        const bool mine = world.rank % 2 == bad % 2;

        assert_int_equal(cf_par_agree(&part, status), mine ? CF_ERR_IO : CF_OK);
        snprintf(want, sizeof want, part.size > 1 ? "rank %d: torn" : "torn", bad);
        if (mine) assert_string_equal(cf_error_message(), want);
    }
    MPI_Comm_free(&part.comm);
}

static void what_is_wrong_with_the_input_has_no_prefix(void **state)
{
    cf_status status = CF_OK;

    (void)state;
    assert_int_equal(cf_par_agree_on_input(&world, CF_OK), CF_OK);
    if (world.rank == world.size - 1) status = CF_FAIL(CF_ERR_FORMAT, "file:7: bad");
    assert_int_equal(cf_par_agree_on_input(&world, status), CF_ERR_FORMAT);
    assert_string_equal(cf_error_message(), "file:7: bad");
}

static void what_all_ranks_say_has_no_prefix(void **state)
{
    (void)state;
    assert_int_equal(cf_par_agree(&world, CF_FAIL(CF_ERR_USAGE, "same")), CF_ERR_USAGE);
    assert_string_equal(cf_error_message(), "same");
    if (world.size == 1) return;
    cf_status status = world.rank == 1 ? CF_FAIL(CF_ERR_IO, "one") : CF_OK;
    status = cf_par_agree(&world, status);
    assert_int_equal(cf_par_agree(&world, status), CF_ERR_IO); /* agreeing again adds nothing */
    assert_string_equal(cf_error_message(), "rank 1: one");
}

static void bytes_reach_every_rank(void **state)
{
    char bytes[1000];

    (void)state;
    for (int root = 0; root < world.size; root++) {
        memset(bytes, world.rank == root ? 'a' + root : '?', sizeof bytes);
        cf_par_broadcast(&world, bytes, sizeof bytes - 1, root);
        for (size_t i = 0; i < sizeof bytes - 1; i++)
            assert_int_equal(bytes[i], 'a' + root);
        cf_par_broadcast(&world, NULL, 0, root);
    }
}

static void exact_sums_do_not_depend_on_the_ranks(void **state)
{
    enum { SUMS = 7, TERMS = 1000 };
    cf_exact serial[SUMS] = {{{0}, 0}}, parallel[SUMS] = {{{0}, 0}};

    (void)state;
    for (uint64_t i = 0; i < TERMS; i++)
        for (uint64_t s = 0; s < SUMS; s++) {
            double term = cf_random_normal((cf_random){1, CF_STREAM_TEST}, i, s, 0);
            cf_exact_add(&serial[s], term);
            if ((int)(i % (uint64_t)world.size) == world.rank) cf_exact_add(&parallel[s], term);
        }
    cf_par_sum_exact(&world, parallel, SUMS);
    for (int s = 0; s < SUMS; s++) {
        cf_exact_carry(&serial[s]);
        assert_memory_equal(&parallel[s], &serial[s], sizeof serial[s]);
    }
    cf_exact bad = {{0}, 0};
    if (world.rank == world.size - 1) cf_exact_add(&bad, 1e300);
    cf_par_sum_exact(&world, &bad, 1);
    assert_int_equal(bad.not_finite, 1);
}

static void a_full_sum_on_every_rank_does_not_overflow(void **state)
{
    cf_exact sum = {{0}, 0};
    double want = 0;

    (void)state;
    sum.digit[10] = INT64_MAX - 0xffffffff; /* weight 2^0: a multiple of 2^32 */
    want = (double)sum.digit[10] * world.size;
    cf_par_sum_exact(&world, &sum, 1);
    assert_close(cf_exact_value(&sum), want, 0x1p-40 * want);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_well_costs_nothing),
    cmocka_unit_test(one_failing_rank_stops_all),
    cmocka_unit_test(the_lowest_failing_rank_speaks),
    cmocka_unit_test(any_rank_makes_it_true_on_all),
    cmocka_unit_test(a_part_of_the_ranks_agrees_alone_and_names_the_world_rank),
    cmocka_unit_test(what_is_wrong_with_the_input_has_no_prefix),
    cmocka_unit_test(what_all_ranks_say_has_no_prefix),
    cmocka_unit_test(bytes_reach_every_rank),
    cmocka_unit_test(exact_sums_do_not_depend_on_the_ranks),
    cmocka_unit_test(a_full_sum_on_every_rank_does_not_overflow),
};
CF_TEST_MAIN(tests)
