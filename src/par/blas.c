/* OpenBLAS's memory, seen to before it can fail.
 *
 * OpenBLAS starts a thread a core when it is loaded, and gives each thread, and each call that is
 * under way at one time, a buffer of its own. Where there is no memory for a buffer it tries again
 * for ever (memory.c of 0.3). So its own threads are kept from starting (environment.c), since each
 * rank calls it from OpenMP threads, and all buffers that these will need are taken at once, after
 * a look whether there is room for them: it keeps buffers, and asks for no other. */
#include "cf/par.h"

#include <cblas.h>
#include <omp.h>
#include <sys/mman.h>

/* Exported by OpenBLAS, though in no header: take a buffer, give it back. */
void *blas_memory_alloc(int position);
void blas_memory_free(void *buffer);

/* Of x86-64 128 MiB and a page, of other processors less. */
static const size_t buffer_bytes = (size_t)129 << 20;

/* Room for `n` buffers? Mapped and not touched, it takes no memory. */
static cf_status look_for_room(size_t n)
{
    const size_t bytes = n * buffer_bytes;
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (room == MAP_FAILED)
        return CF_FAIL(CF_ERR_MEMORY,
                       "out of memory: %zu bytes, the buffers of OpenBLAS for %zu threads", bytes,
                       n);
    munmap(room, bytes);
    return CF_OK;
}

/* All held at one time, so that they are `n` different ones. */
static cf_status take_buffers(int n)
{
    void **buffers = NULL;
    cf_status status = CF_ALLOC(buffers, n);

    if (status != CF_OK) return status;
    for (int k = 0; k < n; k++)
        buffers[k] = blas_memory_alloc(0);
    for (int k = 0; k < n; k++)
        blas_memory_free(buffers[k]);
    cf_free(&buffers);
    return CF_OK;
}

cf_status cf_par_reserve_blas(const cf_par *par)
{
    const int n = omp_get_max_threads();
    cf_status status = look_for_room((size_t)n);

    if (status == CF_OK) status = take_buffers(n);
    return cf_par_agree(par, status);
}
