/* Memory that the ranks of a node share.
 *
 * The first of them makes a file that lies in memory alone (memfd_create), and the others open it
 * by way of /proc. It has no name that could outlive a killed job, and /dev/shm may be as small as
 * it likes. Each rank reserves a part of the pages, so that a lack of memory is an error here, and
 * not a signal at the first touch; the pages then lie in this rank's part of the machine. Where the
 * kernel can, they become huge pages (MADV_COLLAPSE), as those of cf_alloc(). A rank that is alone
 * has memory of cf_alloc().
 *
 * Order: what a rank wrote before cf_par_meet() is what the others read after it, by the fences
 * around the barrier (what MPI_Win_sync does for windows). tests/par/shared.c. */
#include "cf/par.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

void cf_par_meet(const cf_par *node)
{
    if (node->size == 1) return;
    atomic_thread_fence(memory_order_seq_cst);
    MPI_Barrier(node->comm);
    atomic_thread_fence(memory_order_seq_cst);
}

/* Where a rank's part of `n` bytes or pages begins. */
static int64_t part_start(const cf_par *node, int64_t n, int rank)
{
    return cf_par_even_start(n, node->size, rank);
}

/* Would `size` bytes fit into the memory that is free? Linux reserves pages of a file until it has
 * none left, and then ends processes. */
static bool is_available(int64_t size)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    long long free_kib = INT64_MAX / 1024;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %lld kB", &free_kib) == 1) break;
    if (file != NULL) (void)fclose(file);
    return size / 1024 < free_kib;
}

/* The file, `size` bytes, opened on every rank; -1 where that fails. Collective over the node. */
static int open_file(const cf_par *node, int64_t size)
{
    struct {
        long long process;
        int file;
    } made = {syscall(SYS_getpid), -1}; /* the kernel's number: simulated ranks have others */
    char path[64];

    if (node->rank == 0 && is_available(size)) {
        made.file = memfd_create("llminit", MFD_CLOEXEC);
        if (made.file >= 0 && ftruncate(made.file, size) != 0) {
            (void)close(made.file);
            made.file = -1;
        }
    }
    MPI_Bcast(&made, sizeof made, MPI_BYTE, 0, node->comm);
    if (node->rank == 0 || made.file < 0) return made.file;
    snprintf(path, sizeof path, "/proc/%lld/fd/%d", made.process, made.file);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* The file at an address aligned to huge pages, or NULL. */
static char *map_file(int file, int64_t size)
{
    const size_t whole = (size_t)(size + CF_HUGE_PAGE);
    char *space = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *start, *end;

    if (space == MAP_FAILED) return NULL;
    start = space +
            (CF_HUGE_PAGE - (int64_t)((uintptr_t)space % (uintptr_t)CF_HUGE_PAGE)) % CF_HUGE_PAGE;
    end = start + size;
    if (start > space) (void)munmap(space, (size_t)(start - space));
    if (space + whole > end) (void)munmap(end, (size_t)(space + whole - end));
    if (mmap(start, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) !=
        MAP_FAILED)
        return start;
    (void)munmap(start, (size_t)size);
    return NULL;
}

/* Whole huge pages that begin in bytes first .. end - 1. Advice alone. */
static void collapse(char *start, int64_t first, int64_t end, int64_t size)
{
    const int64_t begin = cf_ceil_div(first, CF_HUGE_PAGE) * CF_HUGE_PAGE,
                  stop = cf_min(cf_ceil_div(end, CF_HUGE_PAGE), size / CF_HUGE_PAGE) * CF_HUGE_PAGE;

    if (stop > begin) (void)madvise(start + begin, (size_t)(stop - begin), MADV_COLLAPSE);
}

/* Map the file, and reserve this rank's part. NULL, and errno: no memory. */
static char *map_and_reserve(const cf_par *node, int file, int64_t size)
{
    const int64_t page = sysconf(_SC_PAGESIZE), n = size / page;
    const int64_t first = part_start(node, n, node->rank) * page,
                  end = part_start(node, n, node->rank + 1) * page;
    char *start = map_file(file, size);

    if (start == NULL) return NULL;
    errno = end > first ? posix_fallocate(file, first, end - first) : 0;
    if (errno == 0) {
        collapse(start, first, end, size);
        return start;
    }
    (void)munmap(start, (size_t)size);
    return NULL;
}

/* Whole pages, and of what is large whole huge pages. */
static int64_t size_of(int64_t bytes)
{
    const int64_t page = bytes >= CF_HUGE_FROM ? CF_HUGE_PAGE : sysconf(_SC_PAGESIZE);

    return cf_max(1, cf_ceil_div(bytes, page)) * page;
}

/* Mapped and reserved by all ranks, or NULL on this one. Only the first keeps the file open until
 * all have it. Collective over the node. */
static char *share(const cf_par *node, int64_t size)
{
    const int file = open_file(node, size);
    char *start = file >= 0 ? map_and_reserve(node, file, size) : NULL;

    if (file >= 0 && node->rank > 0) (void)close(file);
    cf_par_meet(node);
    if (file >= 0 && node->rank == 0) (void)close(file);
    /* what the others collapsed is here still mapped by small pages */
    if (start != NULL) collapse(start, 0, size, size);
    return start;
}

cf_status cf_par_create_shared(const cf_par *node, int64_t bytes, cf_shared *out)
{
    const int64_t mine =
        part_start(node, bytes, node->rank + 1) - part_start(node, bytes, node->rank);
    cf_status counted;
    void *data;

    *out = (cf_shared){0};
    if (node->size == 1) return cf_alloc(&out->data, bytes, 1);
    counted = cf_alloc_count(mine);
    data = share(node, size_of(bytes));
    *out = (cf_shared){data, size_of(bytes), mine};
    if (counted == CF_OK && data != NULL) return CF_OK;
    if (data != NULL) (void)munmap(data, (size_t)out->mapped);
    if (counted == CF_OK) cf_alloc_uncount(mine);
    *out = (cf_shared){0};
    return CF_FAIL(CF_ERR_MEMORY, "out of memory: %lld bytes that ranks of a node share",
                   (long long)bytes);
}

void cf_par_destroy_shared(cf_shared *shared)
{
    if (shared->mapped > 0) {
        (void)munmap(shared->data, (size_t)shared->mapped);
        cf_alloc_uncount(shared->counted);
        shared->data = NULL;
    } else {
        cf_free(&shared->data);
    }
    *shared = (cf_shared){0};
}

/* A page tries it. */
bool cf_par_can_share(const cf_par *node)
{
    const int64_t size = size_of(1);
    char *start;

    if (node->size == 1) return true;
    start = share(node, size);
    if (start != NULL) (void)munmap(start, (size_t)size);
    return start != NULL;
}
