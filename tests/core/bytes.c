#include "cf_test.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static ssize_t most_bytes; /* of a call, every other of which is interrupted; 0: any */

static ssize_t allowed(ssize_t size)
{
    static bool interrupted;

    if (most_bytes == 0) return size;
    interrupted = !interrupted;
    errno = EINTR;
    return interrupted ? -1 : size < most_bytes ? size : most_bytes;
}

/* In place of the C library's. */
ssize_t pread(int fd, void *out, size_t size, off_t offset)
{
    const ssize_t n = allowed((ssize_t)size);

    return n < 0 ? n : syscall(SYS_pread64, fd, out, (size_t)n, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    const ssize_t n = allowed((ssize_t)size);

    return n < 0 ? n : syscall(SYS_pwrite64, fd, bytes, (size_t)n, offset);
}

static void bytes_are_read_and_written_in_parts(void **state)
{
    const int fd = memfd_create("bytes", 0);
    char found[8] = "";

    (void)state;
    assert_true(fd >= 0);
    for (most_bytes = 3; most_bytes >= 0; most_bytes--) {
        assert_true(cf_file_write(fd, "abcdefg", 7, 2));
        assert_int_equal(cf_file_read(fd, found, 7, 2), 7);
        assert_string_equal(found, "abcdefg");
        assert_int_equal(cf_file_read(fd, found, 7, 5), 4); /* to the end */
        assert_memory_equal(found, "defg", 4);
    }
    most_bytes = 0;
    assert_int_equal(close(fd), 0);
}

static void bytes_of_a_closed_file_are_an_error(void **state)
{
    char byte;

    (void)state;
    errno = 0;
    assert_int_equal(cf_file_read(-1, &byte, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    errno = 0;
    assert_false(cf_file_write(-1, "a", 1, 0));
    assert_int_equal(errno, EBADF);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(bytes_are_read_and_written_in_parts),
    cmocka_unit_test(bytes_of_a_closed_file_are_an_error),
};

CF_TEST_MAIN(tests)
