/* Records reach their ranks, in the order of the ranks they come from. */
#include "cf_test.h"

#include <string.h>

typedef struct record {
    int32_t from, to, place;
} record;

/* How many records one rank has for another: none for some, and none at all from the last. */
static int64_t count_for(int from, int to)
{
    return from == world.size - 1 && world.size > 1 ? 0 : (from * 3 + to * 5) % 7;
}

static record *make_records(int64_t *counts)
{
    int64_t n = 0;
    record *records = NULL;

    for (int to = 0; to < world.size; to++)
        n += counts[to] = count_for(world.rank, to);
    assert_int_equal(CF_ALLOC(records, n), CF_OK);
    n = 0;
    for (int to = 0; to < world.size; to++)
        for (int64_t k = 0; k < counts[to]; k++)
            records[n++] = (record){world.rank, to, (int32_t)k};
    return records;
}

static void records_come_in_order(void **state)
{
    int64_t counts[16], got[16], n = 0;
    record *records = make_records(counts), *mine = NULL;

    (void)state;
    assert_int_equal(cf_par_exchange(&world, sizeof *records, counts, records, got, &mine), CF_OK);
    for (int from = 0; from < world.size; from++) {
        assert_int_equal(got[from], count_for(from, world.rank));
        for (int64_t k = 0; k < got[from]; k++, n++) {
            assert_int_equal(mine[n].from, from);
            assert_int_equal(mine[n].to, world.rank);
            assert_int_equal(mine[n].place, k);
        }
    }
    cf_free(&records);
    cf_free(&mine);
}

/* What is exchanged, and what comes. */
typedef struct exchange {
    int64_t counts[16];
    record *records, *received;
} exchange;

static cf_status try_exchange(void *context)
{
    exchange *e = context;
    int64_t got[16];
    cf_status status =
        cf_par_exchange(&world, sizeof *e->records, e->counts, e->records, got, &e->received);

    if (status != CF_OK) assert_null(e->received);
    return status;
}

static void free_received(void *context)
{
    cf_free(&((exchange *)context)->received);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = try_exchange, .clean_up = free_received};
    exchange e = {0};

    (void)state;
    e.records = make_records(e.counts);
    assert_true(cf_test_every_allocation(&trial, &e) >= 1);
    cf_free(&e.records);
}

static void parts_follow_one_another(void **state)
{
    int64_t before = -1, total = -1;

    (void)state;
    cf_par_exscan(&world, world.rank == 1 ? 0 : world.rank + 5, &before, &total);
    for (int rank = 0; rank < world.size; rank++) {
        const int64_t count = rank == 1 ? 0 : rank + 5;

        if (rank < world.rank) before -= count;
        total -= count;
    }
    assert_int_equal(before, 0);
    assert_int_equal(total, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(records_come_in_order),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(parts_follow_one_another),
};
CF_TEST_MAIN(tests)
