#include "cf_test.h"

static void work(double seconds)
{
    const double began = cf_clock_now();

    while (cf_clock_now() - began < seconds)
        continue;
}

static double total(const cf_profile *profile)
{
    double seconds = 0;

    for (int p = 0; p < CF_N_PHASES; p++)
        seconds += profile->phase[p].seconds;
    return seconds;
}

static void every_second_is_one_phases(void **state)
{
    const double began = cf_clock_now();
    cf_phase outer, inner;
    cf_profile profile;
    double all;

    (void)state;
    cf_par_start_profile();
    outer = cf_par_set_phase(CF_PHASE_PROPAGATION);
    work(0.01);
    inner = cf_par_set_phase(CF_PHASE_HALO);
    work(0.02);
    cf_par_set_phase(CF_PHASE_SCORES); /* the halo ends here */
    work(0.03);
    cf_par_restore_phase(inner);
    work(0.01);
    cf_par_restore_phase(outer);
    profile = cf_par_read_profile();
    all = cf_clock_now() - began;
    assert_true(profile.phase[CF_PHASE_PROPAGATION].seconds >= 0.02);
    assert_true(profile.phase[CF_PHASE_HALO].seconds >= 0.02);
    assert_true(profile.phase[CF_PHASE_SCORES].seconds >= 0.03);
    assert_true(profile.phase[CF_PHASE_BATCH].seconds == 0);
    assert_true(total(&profile) <= all && total(&profile) >= all - 0.01);
}

static void inside_of_a_whole_phase_nothing_is_told_apart(void **state)
{
    cf_profile profile;
    cf_phase outer, inner;

    (void)state;
    cf_par_start_profile();
    outer = cf_par_set_phase(CF_PHASE_EVALUATION);
    inner = cf_par_set_phase(CF_PHASE_HALO);
    work(0.01);
    cf_par_move_seconds(CF_PHASE_EVALUATION, CF_PHASE_OPTIMIZER, 1.0);
    cf_par_restore_phase(inner);
    cf_par_restore_phase(outer);
    profile = cf_par_read_profile();
    assert_true(profile.phase[CF_PHASE_EVALUATION].seconds >= 0.01);
    assert_true(profile.phase[CF_PHASE_HALO].seconds == 0);
    assert_true(profile.phase[CF_PHASE_OPTIMIZER].seconds == 0);
}

static void seconds_move_from_one_phase_to_another(void **state)
{
    cf_profile profile;

    (void)state;
    cf_par_start_profile();
    cf_par_move_seconds(CF_PHASE_PROPAGATION, CF_PHASE_OPTIMIZER, 2.5);
    profile = cf_par_read_profile();
    assert_close(profile.phase[CF_PHASE_PROPAGATION].seconds, -2.5, 0);
    assert_close(profile.phase[CF_PHASE_OPTIMIZER].seconds, 2.5, 0);
}

/* ceil(log2 P) of 1 to 4 ranks */
static int64_t rounds(void)
{
    return world.size > 2 ? 2 : world.size - 1;
}

/* What one call sends, in a phase of its own. */
static void check(cf_phase before, int64_t bytes, int64_t messages, const char *what)
{
    cf_profile profile;

    cf_par_restore_phase(before);
    profile = cf_par_read_profile();
    if (profile.phase[CF_PHASE_HALO].bytes != bytes ||
        profile.phase[CF_PHASE_HALO].messages != messages)
        fail_msg("%s: %lld bytes in %lld messages, expected %lld in %lld", what,
                 (long long)profile.phase[CF_PHASE_HALO].bytes,
                 (long long)profile.phase[CF_PHASE_HALO].messages, (long long)bytes,
                 (long long)messages);
    assert_true(profile.phase[CF_PHASE_HALO].mpi_seconds > 0);
    assert_true(profile.phase[CF_PHASE_HALO].mpi_seconds <= profile.phase[CF_PHASE_HALO].seconds);
    assert_int_equal(profile.phase[CF_PHASE_OTHER].bytes, 0);
}

static cf_phase begin(void)
{
    cf_par_start_profile();
    return cf_par_set_phase(CF_PHASE_HALO);
}

enum { MOST = 4, LENGTH = 10 };

static void collective_calls_are_counted(void **state)
{
    const int64_t others = world.size - 1;
    int64_t data[LENGTH] = {0}, all[MOST * LENGTH] = {0};
    cf_phase before = begin();

    (void)state;
    MPI_Allreduce(MPI_IN_PLACE, data, LENGTH, MPI_INT64_T, MPI_SUM, world.comm);
    check(before, 2 * 80 * others / world.size, 2 * rounds(), "Allreduce");
    before = begin();
    MPI_Bcast(data, LENGTH, MPI_INT64_T, 0, world.comm);
    check(before, world.rank == 0 ? 80 * others : 0, world.rank == 0 ? others : 0, "Bcast");
    before = begin();
    MPI_Barrier(world.comm);
    check(before, 0, rounds(), "Barrier");
    before = begin();
    MPI_Exscan(data, all, LENGTH, MPI_INT64_T, MPI_SUM, world.comm);
    check(before, 80 * rounds(), rounds(), "Exscan");
    before = begin();
    MPI_Gather(data, 3, MPI_INT64_T, all, 3, MPI_INT64_T, 0, world.comm);
    check(before, world.rank == 0 ? 0 : 24, world.rank == 0 ? 0 : 1, "Gather");
    before = begin();
    MPI_Allgather(data, 3, MPI_INT64_T, all, 3, MPI_INT64_T, world.comm);
    check(before, 24 * others, others, "Allgather");
    before = begin();
    MPI_Alltoall(all, 3, MPI_INT64_T, all + MOST * 3, 3, MPI_INT64_T, world.comm);
    check(before, 24 * others, others, "Alltoall");
}

/* Rank r has r + 1 numbers for all together, and p + r for rank p: none from rank 0 to rank 0. */
static void calls_with_counts_are_counted(void **state)
{
    int64_t data[LENGTH] = {0}, all[MOST * LENGTH] = {0}, sum = 0, n_peers = 0;
    int counts[MOST], starts[MOST], pairs[MOST], pair_starts[MOST];
    cf_phase before;

    (void)state;
    for (int p = 0; p < world.size; p++) {
        counts[p] = p + 1;
        pairs[p] = p + world.rank;
        if (p == world.rank || pairs[p] == 0) continue;
        sum += pairs[p];
        n_peers++;
    }
    cf_par_displacements(counts, starts, world.size);
    cf_par_displacements(pairs, pair_starts, world.size);
    before = begin();
    MPI_Gatherv(data, counts[world.rank], MPI_INT64_T, all, counts, starts, MPI_INT64_T, 0,
                world.comm);
    check(before, world.rank == 0 ? 0 : 8 * counts[world.rank], world.rank == 0 ? 0 : 1, "Gatherv");
    before = begin();
    MPI_Allgatherv(data, counts[world.rank], MPI_INT64_T, all, counts, starts, MPI_INT64_T,
                   world.comm);
    check(before, 8 * counts[world.rank] * (world.size - 1), world.size - 1, "Allgatherv");
    before = begin();
    MPI_Alltoallv(all, pairs, pair_starts, MPI_INT64_T, all + 2 * LENGTH, pairs, pair_starts,
                  MPI_INT64_T, world.comm);
    check(before, 8 * sum, n_peers, "Alltoallv");
}

/* Two numbers to the next rank, round and round; alone to oneself, which is none. */
static void messages_are_counted(void **state)
{
    const int next = (world.rank + 1) % world.size,
              previous = (world.rank + world.size - 1) % world.size;
    const int64_t away = world.size > 1;
    MPI_Request requests[2];
    double data[2] = {0}, came[2];
    cf_phase before = begin();

    (void)state;
    MPI_Irecv(came, 2, MPI_DOUBLE, previous, 0, world.comm, &requests[0]);
    MPI_Isend(data, 2, MPI_DOUBLE, next, 0, world.comm, &requests[1]);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    check(before, 16 * away, away, "Isend");
    if (!away) return;
    before = begin();
    if (world.rank == 0) MPI_Send(data, 2, MPI_DOUBLE, 1, 0, world.comm);
    if (world.rank == 1) MPI_Recv(came, 2, MPI_DOUBLE, 0, 0, world.comm, MPI_STATUS_IGNORE);
    if (world.rank < 2) check(before, world.rank == 0 ? 16 : 0, world.rank == 0, "Send");
    cf_par_restore_phase(before);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_second_is_one_phases),
    cmocka_unit_test(inside_of_a_whole_phase_nothing_is_told_apart),
    cmocka_unit_test(seconds_move_from_one_phase_to_another),
    cmocka_unit_test(collective_calls_are_counted),
    cmocka_unit_test(calls_with_counts_are_counted),
    cmocka_unit_test(messages_are_counted),
};
CF_TEST_MAIN(tests)
