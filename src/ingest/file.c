/* A text file that all ranks can open, each at its own part.
 *
 * A plain file is one already. What is compressed by gzip can be read from its beginning alone, and
 * a pipe once alone: rank 0 unpacks it into a temporary file beside the dataset to be written,
 * which has a folder that all ranks see. That file goes when prepare ends; one that was left by a
 * process that was killed goes with the next output of the same name. Memory is bounded: a block.
 */
#include "fields.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK = 1 << 18 };

/* A path that means another file to each process. */
static bool is_own(const char *name)
{
    return strcmp(name, "-") == 0 || strcmp(name, "/dev/stdin") == 0 ||
           strncmp(name, "/dev/fd/", 8) == 0 || strncmp(name, "/proc/", 6) == 0;
}

/* Open what is to be read. "-" is standard input, which mpirun hands to rank 0. */
static cf_status open_source(const char *name, int *fd)
{
    *fd = strcmp(name, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                 : open(name, O_RDONLY | O_CLOEXEC);
    if (*fd >= 0) return CF_OK;
    return CF_FAIL(CF_ERR_IO, "%s: %s%s", name, strerror(errno),
                   strncmp(name, "/dev/fd/", 8) == 0
                       ? " (mpirun passes on no pipe but standard input: expected -)"
                       : "");
}

/* Whether ranks cannot open it, or cannot read parts of it. Errors: IO. */
static cf_status needs_copy(const char *name, int fd, bool *out)
{
    unsigned char magic[2] = {0};
    struct stat about;

    if (fstat(fd, &about) != 0) return CF_FAIL(CF_ERR_IO, "%s: %s", name, strerror(errno));
    *out = is_own(name) || !S_ISREG(about.st_mode);
    if (*out) return CF_OK;
    if (cf_file_read(fd, magic, sizeof magic, 0) < 0)
        return CF_FAIL(CF_ERR_IO, "%s: %s", name, strerror(errno));
    *out = magic[0] == 0x1f && magic[1] == 0x8b; /* RFC 1952 */
    return CF_OK;
}

/* The error of a stream that cannot be read on: of the file, or of what is compressed in it. */
static cf_status refuse_stream(const char *name, gzFile in)
{
    int code;
    const char *message = gzerror(in, &code), *words = strchr(message, ' '); /* behind its name */

    if (code == Z_ERRNO) return CF_FAIL(CF_ERR_IO, "%s: %s", name, strerror(errno));
    if (code == Z_MEM_ERROR) return CF_FAIL(CF_ERR_MEMORY, "%s: out of memory", name);
    return CF_FAIL(CF_ERR_FORMAT, "%s: its compressed data are damaged or cut off (%s)", name,
                   words != NULL ? words + 1 : message);
}

/* Copy a stream, decompressed if it is compressed, to an empty file. zlib tells which it is. */
static cf_status unpack(const char *name, gzFile in, const cf_new_file *copy)
{
    int64_t size = 0;
    char *block = NULL;
    int n, code;
    cf_status status;

    CF_TRY(CF_ALLOC(block, BLOCK));
    for (;;) {
        cf_par_enter("read");
        n = gzread(in, block, BLOCK);
        cf_par_leave();
        if (n <= 0) break;
        if (!cf_file_write(copy->fd, block, n, size))
            CF_TRY(CF_FAIL(CF_ERR_IO, "%s: cannot write %s (%s)", name, copy->temporary,
                           strerror(errno)));
        size += n;
    }
    (void)gzerror(in, &code);
    if (n < 0 || code != Z_OK) CF_TRY(refuse_stream(name, in));
done:
    cf_free(&block);
    return status;
}

/* Local, on rank 0: make the copy if one is needed. */
static cf_status make_copy(const char *out, ingest_file *file)
{
    bool copies = false;
    int fd = -1;
    gzFile in = NULL;
    cf_status status;

    CF_TRY(open_source(file->name, &fd));
    CF_TRY(needs_copy(file->name, fd, &copies));
    if (!copies) goto done;
    in = gzdopen(fd, "rb");
    CF_REQUIRE(in != NULL, CF_ERR_MEMORY, "%s: out of memory", file->name);
    fd = -1; /* the stream's */
    CF_TRY(cf_file_create(out, &file->copy));
    CF_TRY(unpack(file->name, in, &file->copy));
done:
    if (in != NULL) (void)gzclose_r(in);
    if (fd >= 0) (void)close(fd);
    return status;
}

/* Rank 0 tells the others what to open. */
cf_status ingest_open_file(const cf_par *world, const char *name, const char *out,
                           ingest_file *file)
{
    int64_t size = 0;
    cf_status status;

    *file = (ingest_file){.name = name, .path = name};
    status = world->rank == 0 ? make_copy(out, file) : CF_OK;
    CF_TRY(cf_par_agree_on_input(world, status));
    if (file->copy.temporary != NULL) size = (int64_t)strlen(file->copy.temporary) + 1;
    cf_par_broadcast(world, &size, sizeof size, 0);
    if (size == 0) goto done;
    CF_TRY(cf_par_agree(world, CF_ALLOC(file->copy_path, size)));
    if (world->rank == 0) memcpy(file->copy_path, file->copy.temporary, (size_t)size);
    cf_par_broadcast(world, file->copy_path, size, 0);
    file->path = file->copy_path;
done:
    return status;
}

void ingest_close_file(ingest_file *file)
{
    cf_file_discard(&file->copy);
    cf_free(&file->copy_path);
    *file = (ingest_file){0};
}
