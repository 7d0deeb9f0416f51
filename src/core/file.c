/* Small files, replaced as a whole: the content goes into a temporary file beside the path, which
 * is then renamed over it. A reader, and a run that is killed at any moment, sees the old content
 * or the new one, never a part. */
#include "cf/core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static cf_status write_file(const char *path, const char *temporary, const void *bytes, size_t size)
{
    FILE *file = fopen(temporary, "w");
    bool written;

    if (file == NULL) return CF_FAIL(CF_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    written = fwrite(bytes, 1, size, file) == size && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (fclose(file) != 0) written = false;
    if (written && rename(temporary, path) == 0) return CF_OK;
    (void)CF_FAIL(CF_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    (void)unlink(temporary);
    return CF_ERR_IO;
}

cf_status cf_file_replace(const char *path, const void *bytes, size_t size)
{
    const size_t length = strlen(path) + sizeof ".tmp";
    char *temporary = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(temporary, (int64_t)length));
    (void)snprintf(temporary, length, "%s.tmp", path);
    CF_TRY(write_file(path, temporary, bytes, size));
done:
    cf_free(&temporary);
    return status;
}
