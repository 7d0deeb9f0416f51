/* Texts that are written piece by piece: into a new file that gets its name at the end (file.c), or
 * straight into a device, FIFO or open file, which a file must not replace. Errors of writing stay
 * noted in the stream, so that they need not be asked for after each piece. */
#include "cf/core.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FIFO_SECONDS = 5, MAX_OUTPUTS = 8 };

/* Open what is no regular file; -1 and errno on failure. A FIFO without a reader must not hold up
 * the program for ever: O_NONBLOCK has open() say so (ENXIO), and the reader gets some time. */
static int open_stream(const char *path)
{
    const int flags = O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC;
    const double end = cf_clock_now() + FIFO_SECONDS;
    struct stat file;
    int fd;

    if (strcmp(path, "-") == 0) return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    while ((fd = open(path, flags | O_NONBLOCK)) < 0 && errno == ENXIO) {
        if (stat(path, &file) != 0 || !S_ISFIFO(file.st_mode) || cf_clock_now() > end) {
            errno = ENXIO;
            break;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
    if (fd >= 0) (void)fcntl(fd, F_SETFL, O_APPEND); /* from here writing waits for the reader */
    return fd;
}

static cf_status fail_write(const cf_output *output)
{
    const int error = errno != 0 ? errno : EIO; /* a stream keeps no reason of an earlier error */

    return CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", output->name,
                   error == ENXIO ? "no program reads it" : strerror(error));
}

/* The stream has a descriptor of its own, since publishing needs one after the stream is closed. */
cf_status cf_output_open(cf_output *output, const char *path)
{
    char *target = NULL;
    int fd = -1;
    cf_status status;

    *output = (cf_output){0};
    CF_TRY(cf_text_format(&output->name, "%s", strcmp(path, "-") == 0 ? "standard output" : path));
    CF_TRY(cf_file_target(path, &target));
    if (target != NULL) CF_TRY(cf_file_create(path, &output->made));
    fd = target != NULL ? fcntl(output->made.fd, F_DUPFD_CLOEXEC, 0) : open_stream(path);
    output->file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (output->file == NULL) CF_TRY(fail_write(output));
    fd = -1;
done:
    if (fd >= 0) (void)close(fd);
    if (status != CF_OK) cf_output_close(output);
    cf_free(&target);
    return status;
}

cf_status cf_output_check(const cf_output *output)
{
    return ferror(output->file) ? fail_write(output) : CF_OK;
}

/* Closing a stream may be what tells of an error, on NFS for one. */
static cf_status finish(cf_output *output)
{
    const bool failed = fflush(output->file) != 0 || ferror(output->file);
    const int error = errno;
    FILE *file = output->file;

    output->file = NULL;
    if (fclose(file) == 0 && !failed) return CF_OK;
    if (failed) errno = error;
    return fail_write(output);
}

cf_status cf_output_commit_all(cf_output *const *outputs, int n)
{
    cf_new_file *made[MAX_OUTPUTS] = {NULL};
    int n_made = 0;
    cf_status status = CF_OK;

    CF_ASSERT(n <= MAX_OUTPUTS);
    for (int k = 0; k < n; k++) {
        CF_TRY(finish(outputs[k]));
        if (outputs[k]->made.path != NULL) made[n_made++] = &outputs[k]->made;
    }
    CF_TRY(cf_file_publish_all(made, n_made));
done:
    for (int k = 0; k < n; k++)
        cf_output_close(outputs[k]);
    return status;
}

cf_status cf_output_commit(cf_output *output)
{
    return cf_output_commit_all(&output, 1);
}

/* A file that is still there was not committed. */
void cf_output_close(cf_output *output)
{
    if (output->file != NULL) (void)fclose(output->file);
    cf_file_discard(&output->made);
    cf_free(&output->name);
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
