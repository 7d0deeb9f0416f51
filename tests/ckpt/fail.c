/* Saving and loading when a rank has no memory, or there can be no folder: the old file stays
 * whole. */
#include "run.h"

#include <unistd.h>

static char good[1024];

static void make_good(test_run *run)
{
    cf_ckpt state;

    snprintf(good, sizeof good, "%s", cf_test_scratch("good.h5"));
    test_create(1, "adam", run);
    test_fill(run);
    state = test_state(run);
    assert_ok(cf_ckpt_save(&world, good, &state));
}

/* `good` still is the `size` bytes of `before`, and nothing else is left. */
static void assert_whole(const char *before, int64_t size)
{
    int64_t size_now = 0;
    char *now = test_read_file(good, &size_now);

    assert_int_equal(size_now, size);
    assert_memory_equal(now, before, (size_t)size);
    free(now);
    assert_int_equal(cf_test_count_temporary(good), 0);
}

static void a_file_in_place_of_a_folder_is_an_error_on_every_rank(void **state)
{
    char path[1100], *before;
    test_run run;
    cf_ckpt saved;
    int64_t size;

    (void)state;
    make_good(&run);
    saved = test_state(&run);
    before = test_read_file(good, &size);
    snprintf(path, sizeof path, "%s/run.h5", good);
    assert_refused(cf_ckpt_save(&world, path, &saved), CF_ERR_IO, "good.h5");
    assert_whole(before, size);
    free(before);
    test_destroy(&run);
}

/* Each rank fails its own part of the allocations. One and two ranks fail them all; more ranks fail
 * every third, because each failure costs the collective calls of a whole file. */
static int64_t step(void)
{
    return world.size <= 2 ? world.size : 3 * world.size;
}

static void loading_without_memory_on_one_rank_stops_every_rank(void **state)
{
    test_run run;

    (void)state;
    make_good(&run);
    for (int one = 0; one < world.size; one++) {
        const int64_t live = cf_alloc_live();
        cf_status status = CF_ERR_MEMORY;

        for (int64_t n = 1 + one; status == CF_ERR_MEMORY; n += step()) {
            if (world.rank == one) cf_alloc_fail_at(n);
            status = test_load(good, &run, true);
            cf_alloc_fail_at(0);
            assert_int_equal(cf_alloc_live(), live);
            if (n <= 10) assert_refused(status, CF_ERR_MEMORY, "out of memory");
        }
        assert_ok(status);
        test_check(&run, ALL_TABLES);
    }
    test_destroy(&run);
}

static int64_t epoch_of(const char *path)
{
    cf_ckpt_file *file = NULL;
    int64_t epoch;

    assert_ok(cf_ckpt_open(&world, path, &file));
    epoch = file->progress.epoch;
    cf_ckpt_close(&file);
    return epoch;
}

static void saving_without_memory_on_one_rank_leaves_the_old_file(void **state)
{
    test_run run;

    (void)state;
    make_good(&run);
    for (int one = 0; one < world.size; one++) {
        const int64_t live = cf_alloc_live();
        cf_status status = CF_ERR_MEMORY;
        cf_ckpt saved = test_state(&run);
        char *before;
        int64_t size = 0;

        assert_ok(cf_ckpt_save(&world, good, &saved));
        before = test_read_file(good, &size);
        saved.progress.epoch++;
        for (int64_t n = 1 + one; status == CF_ERR_MEMORY; n += step()) {
            if (world.rank == one) cf_alloc_fail_at(n);
            status = cf_ckpt_save(&world, good, &saved);
            cf_alloc_fail_at(0);
            assert_int_equal(cf_alloc_live(), live);
            if (n <= 10) assert_refused(status, CF_ERR_MEMORY, "out of memory");
            if (status == CF_ERR_MEMORY) assert_whole(before, size);
            MPI_Barrier(world.comm); /* all have looked before the next one is written */
        }
        assert_ok(status);
        assert_true(epoch_of(good) ==
                    saved.progress.epoch); /* the new file was reported as saved */
        free(before);
    }
    test_destroy(&run);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_file_in_place_of_a_folder_is_an_error_on_every_rank),
    cmocka_unit_test(loading_without_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(saving_without_memory_on_one_rank_leaves_the_old_file),
};

CF_TEST_MAIN(tests)
