#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Calls that fail: these functions come before the C library's ---- */

static struct {
    long countdown; /* calls until one fails; 0 or less: none */
    bool is_short;  /* it moves one byte less, or none, in place of failing */
    int error;
    const char *call; /* the one that failed */
} fault;

/* Is this the call that fails? Only files of the test count. */
static bool fails(const char *call)
{
    if (fault.countdown <= 0 || --fault.countdown > 0) return false;
    fault.call = call;
    errno = fault.error;
    return true;
}

/* How many bytes of `size` a call moves; -1: it fails. */
static long moved(const char *call, size_t size)
{
    if (!fails(call)) return (long)size;
    if (!fault.is_short) return -1;
    return size > 1 ? (long)size / 2 : (long)size;
}

ssize_t pread(int fd, void *buffer, size_t size, off_t at)
{
    const long n = moved(__func__, size);

    return n < 0 ? -1 : (ssize_t)syscall(SYS_pread64, fd, buffer, n, at);
}

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t at)
{
    const long n = moved(__func__, size);

    return n < 0 ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, buffer, n, at);
}

int fsync(int fd)
{
    return !fault.is_short && fails(__func__) ? -1 : (int)syscall(SYS_fsync, fd);
}

int ftruncate(int fd, off_t size)
{
    return !fault.is_short && fails(__func__) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int posix_fallocate(int fd, off_t at, off_t size)
{
    if (!fault.is_short && fails(__func__)) return errno;
    return syscall(SYS_fallocate, fd, 0, at, size) == 0 ? 0 : errno;
}

int rename(const char *from, const char *to)
{
    return !fault.is_short && fails(__func__)
               ? -1
               : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ---- What is tried ---- */

static char path[512];
static const sample_array table = {"/table", CF_F32, {300, 20}};

static cf_status write_file(void)
{
    const int64_t numbers[3] = {7, 8, 9};
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(cf_store_create(&world, path, "dataset", &store));
    CF_TRY(cf_store_add(store, table.name, table.type, table.shape, "rows, columns"));
    CF_TRY(sample_write(store, &table, sample_rows(&table)));
    CF_TRY(cf_store_write_whole(store, "/group/numbers", CF_I64, 3, numbers));
    CF_TRY(cf_store_write_text(store, "text", "of an attribute"));
    CF_TRY(cf_store_commit(&store));
done:
    cf_store_close(&store);
    return status;
}

static cf_status read_file(void)
{
    cf_store *store = NULL;
    int64_t *numbers = NULL, count = 0;
    char *text = NULL;
    uint64_t digest;
    cf_status status;

    CF_TRY(cf_store_open(&world, path, "dataset", &store));
    CF_TRY(cf_store_digest(store, &digest));
    CF_TRY(cf_store_read_text(store, "text", &text));
    CF_TRY(sample_compare(store, &table, sample_rows(&table), true));
    CF_TRY(cf_store_read_whole(store, "/group/numbers", CF_I64, &count, &numbers));
    assert_int_equal(count, 3);
    assert_string_equal(text, "of an attribute");
done:
    cf_free(&text);
    cf_free(&numbers);
    cf_store_close(&store);
    return status;
}

/* Let the n-th call of one rank fail, for n = 1, 2, ... until none is left to fail; `recovers`:
 * what is tried must succeed all the same. Gives the number of calls. */
static long try_every_call(cf_status (*attempt)(void), int error, bool recovers)
{
    long n_calls = 0;

    for (int rank = 0; rank < world.size; rank++)
        for (long n = 1, failed = 1; failed; n++) {
            cf_status status;

            fault.countdown = world.rank == rank ? n : 0;
            fault.error = error;
            fault.is_short = error == 0;
            status = attempt();
            failed = fault.countdown <= 0;
            fault.countdown = 0;
            MPI_Bcast(&failed, 1, MPI_LONG, rank, world.comm);
            if (status != (failed && !recovers ? CF_ERR_IO : CF_OK))
                fail_msg("call %ld, %s of rank %d: status %d: %s", n, fault.call, rank, status,
                         cf_error_message());
            if (status != CF_OK && strstr(cf_error_message(), strerror(error)) == NULL)
                fail_msg("call %ld: %s", n, cf_error_message());
            n_calls += failed;
        }
    return n_calls;
}

/* What lies in the folder of the file. */
static int count_files(void)
{
    char command[600];
    int count = 0;

    if (world.rank == 0) {
        FILE *list;

        snprintf(command, sizeof command, "ls -A '%s'* | wc -l", path);
        list = popen(command, "r");
        assert_non_null(list);
        assert_int_equal(fscanf(list, "%d", &count), 1);
        pclose(list);
    }
    MPI_Bcast(&count, 1, MPI_INT, 0, world.comm);
    return count;
}

static void a_write_that_fails_keeps_the_older_file(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("write.h5"));
    assert_ok(write_file());
    assert_true(try_every_call(write_file, EIO, false) > 20);
    assert_true(try_every_call(write_file, ENOSPC, false) > 20);
    assert_int_equal(count_files(), 1);
    assert_ok(read_file());
}

static void a_read_that_fails_is_told_from_a_damaged_file(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("read.h5"));
    assert_ok(write_file());
    assert_true(try_every_call(read_file, EIO, false) > 10 * world.size);
}

static void calls_that_move_less_are_continued(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("short.h5"));
    assert_true(try_every_call(write_file, 0, true) > 20);
    assert_true(try_every_call(read_file, 0, true) > 10 * world.size);
    assert_true(try_every_call(read_file, EINTR, true) > 10 * world.size);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_write_that_fails_keeps_the_older_file),
    cmocka_unit_test(a_read_that_fails_is_told_from_a_damaged_file),
    cmocka_unit_test(calls_that_move_less_are_continued),
};

CF_TEST_MAIN(tests)
