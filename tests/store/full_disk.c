#include "sample.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* One table of `rows` x 16 float32, all ranks writing; the status of the first call that failed,
 * nothing left open. */
static cf_status commit_table(const char *path, int64_t rows)
{
    const sample_array table = {"/user_embedding", CF_F32, {rows, 16}};
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(cf_store_create(&world, path, "checkpoint", &store));
    CF_TRY(cf_store_add(store, table.name, table.type, table.shape, "users, embedding_size"));
    CF_TRY(sample_write(store, &table, sample_rows(&table)));
    CF_TRY(cf_store_commit(&store));
done:
    cf_store_close(&store);
    return status;
}

static cf_status open_table(const char *path)
{
    cf_store *store = NULL;
    float *all = NULL;
    int64_t count = 0;
    cf_status status;

    CF_TRY(cf_store_open(&world, path, "checkpoint", &store));
    CF_TRY(cf_store_read_whole(store, "/user_embedding", CF_F32, &count, &all));
done:
    cf_free(&all);
    cf_store_close(&store);
    return status;
}

/* True on all ranks if this program may mount a file system of 1 MiB. */
static bool mount_small(const char *folder)
{
    int mounted = 0;

    if (world.rank == 0) umount(folder); /* of a run that was killed */
    if (world.rank == 0)
        mounted = (mkdir(folder, 0777) == 0 || errno == EEXIST) &&
                  mount("tmpfs", folder, "tmpfs", 0, "size=1m") == 0;
    MPI_Bcast(&mounted, 1, MPI_INT, 0, world.comm);
    if (!mounted && world.rank == 0) print_message("skipped: no right to mount a file system\n");
    return mounted;
}

/* A file of `rows` does not fit the disk: the older file stays, and nothing else. */
static void assert_full(const char *path, cf_status status)
{
    const char *words = "small/latest.h5: cannot write (No space left on device)";

    assert_int_equal(status, CF_ERR_IO);
    if (strstr(cf_error_message(), words) == NULL) fail_msg("%s", cf_error_message());
    assert_int_equal(cf_test_count_temporary(path), 0);
    assert_ok(open_table(path));
}

static void a_full_disk_keeps_the_older_file(void **state)
{
    const int64_t far_too_large[2] = {100000000, 16}; /* nobody should write it first */
    const double start = cf_clock_now();
    char folder[512], path[600];
    cf_store *store = NULL;
    cf_status status;
    int n_fit = 0, n_full = 0;

    (void)state;
    snprintf(folder, sizeof folder, "%s", cf_test_scratch("small"));
    snprintf(path, sizeof path, "%s/latest.h5", folder);
    if (!mount_small(folder)) return;
    assert_ok(commit_table(path, 5000));
    assert_full(path, commit_table(path, 4000 * 16));
    assert_full(path, commit_table(path, 12000));
    assert_ok(cf_store_create(&world, path, "checkpoint", &store));
    status = cf_store_add(store, "/user_embedding", CF_F32, far_too_large, "users");
    cf_store_close(&store);
    assert_full(path, status);

    /* 320 KB of the older file and 708 of the new one are about what the disk holds: from page to
     * page, what does not fit is the rows, the file's structure, or nothing */
    for (int64_t rows = 11000; rows < 11500; rows += 32) {
        status = commit_table(path, rows);

        n_fit += status == CF_OK;
        n_full += status != CF_OK;
        if (status != CF_OK) assert_full(path, status);
        if (status == CF_OK && world.rank == 0) assert_int_equal(remove(path), 0);
        MPI_Barrier(world.comm);
        assert_ok(commit_table(path, 5000)); /* what failed has taken nothing for good */
    }
    assert_true(n_fit > 2 && n_full > 2);
    assert_ok(open_table(path));
    assert_true(cf_clock_now() - start < 30);
    MPI_Barrier(world.comm);
    if (world.rank == 0) assert_int_equal(umount(folder), 0);
}

static void limit_file_size(rlim_t bytes, struct rlimit *before)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, before), 0);
    limit = *before;
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The limit comes after the space was reserved, so that writes fail. Stands for quotas, broken
 * disks and file systems that cannot reserve. */
static void writes_that_are_lost_are_noticed(void **state)
{
    static const rlim_t limits[] = {100000, 3000000, 6000000}; /* the file has 6.4 MB */
    const sample_array table = {"/user_embedding", CF_F32, {100000, 16}};
    char path[512];

    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("lost.h5"));
    signal(SIGXFSZ, SIG_IGN);
    assert_ok(commit_table(path, 5000));
    for (size_t k = 0; k < sizeof limits / sizeof limits[0]; k++) {
        cf_store *store = NULL;
        struct rlimit before;
        double start = cf_clock_now();
        cf_status status;

        assert_ok(cf_store_create(&world, path, "checkpoint", &store));
        assert_ok(cf_store_add(store, table.name, table.type, table.shape, "users"));
        limit_file_size(limits[k], &before);
        status = sample_write(store, &table, sample_rows(&table));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        if (status == CF_OK) status = cf_store_commit(&store);
        cf_store_close(&store);
        assert_int_equal(status, CF_ERR_IO);
        assert_non_null(strstr(cf_error_message(), "lost.h5: "));
        assert_true(cf_clock_now() - start < 10);
        assert_int_equal(cf_test_count_temporary(path), 0);
        assert_ok(open_table(path));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_full_disk_keeps_the_older_file),
    cmocka_unit_test(writes_that_are_lost_are_noticed),
};
CF_TEST_MAIN(tests)
