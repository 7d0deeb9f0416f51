/* Files that are complete or absent.
 *
 * The content goes into a temporary file beside the path, which is synced and then renamed over it
 * (rename() is atomic by POSIX). A reader, and a run that is killed at any moment, sees the old
 * content or the new one, never a part. */
#include "cf/core.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The message names the final path: the temporary file means nothing to the user. */
static cf_status fail_write(const char *path)
{
    return CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", path, strerror(errno));
}

cf_status cf_output_open(cf_output *output, const char *path)
{
    cf_status status;

    *output = (cf_output){0};
    CF_TRY(cf_text_format(&output->path, "%s", path));
    /* in the same folder: rename() cannot cross file systems */
    CF_TRY(cf_text_format(&output->temporary, "%s.tmp", path));
    output->file = fopen(output->temporary, "wb");
    if (output->file == NULL) CF_TRY(fail_write(path));
done:
    if (status != CF_OK) cf_output_close(output);
    return status;
}

cf_status cf_output_check(const cf_output *output)
{
    return ferror(output->file) ? fail_write(output->path) : CF_OK;
}

/* Synced before the rename: else a crash of the machine could leave the name with no content. */
cf_status cf_output_commit(cf_output *output)
{
    cf_status status = CF_OK;

    if (fflush(output->file) != 0 || ferror(output->file) || fsync(fileno(output->file)) != 0 ||
        rename(output->temporary, output->path) != 0)
        CF_TRY(fail_write(output->path));
    fclose(output->file);
    output->file = NULL;
done:
    cf_output_close(output);
    return status;
}

/* A file that is still open was not committed: its temporary file is deleted. */
void cf_output_close(cf_output *output)
{
    if (output->file != NULL) {
        (void)fclose(output->file);
        (void)unlink(output->temporary);
    }
    cf_free(&output->path);
    cf_free(&output->temporary);
    output->file = NULL;
}

cf_status cf_file_replace(const char *path, const void *bytes, size_t size)
{
    cf_output output = {0};
    cf_status status;

    CF_TRY(cf_output_open(&output, path));
    (void)fwrite(bytes, 1, size, output.file); /* an error stays noted in the stream */
    CF_TRY(cf_output_commit(&output));
done:
    cf_output_close(&output);
    return status;
}
