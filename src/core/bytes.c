/* Bytes of a file at an offset. pread() and pwrite() may do less than asked, or be interrupted by a
 * signal before they do anything: then they are called again for the rest. */
#include "cf/core.h"

#include <errno.h>
#include <unistd.h>

int64_t cf_file_read(int fd, void *out, int64_t size, int64_t offset)
{
    int64_t done = 0;

    while (done < size) {
        const ssize_t n = pread(fd, (char *)out + done, (size_t)(size - done), offset + done);

        if (n == 0) break;
        if (n < 0 && errno != EINTR) return -1;
        if (n > 0) done += n;
    }
    return done;
}

bool cf_file_write(int fd, const void *bytes, int64_t size, int64_t offset)
{
    for (int64_t done = 0; done < size;) {
        const ssize_t n =
            pwrite(fd, (const char *)bytes + done, (size_t)(size - done), offset + done);

        if (n == 0) errno = EIO; /* no progress, and no reason */
        if (n == 0 || (n < 0 && errno != EINTR)) return false;
        if (n > 0) done += n;
    }
    return true;
}
