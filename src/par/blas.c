/* What is said to one make of BLAS alone. Everything else calls the C interface, which all have
 * (cf/blas.h). CMake finds out which it is (tools/cmake/libraries.cmake): CF_BLAS_OPENBLAS,
 * CF_BLAS_MKL, CF_BLAS_BLIS or CF_BLAS_FLEXIBLAS is defined, or none, where the program knows of
 * nothing to call.
 *
 * Threads: each rank calls BLAS from its OpenMP threads, so a call may take one thread alone.
 *
 * Memory: OpenBLAS starts a thread a core when it is loaded, and gives each thread, and each call
 * that is under way at one time, a buffer of its own. Where there is no memory for a buffer it
 * tries again for ever (memory.c of 0.3). So its own threads are kept from starting
 * (environment.c), and all buffers that those of OpenMP will need are taken at once, after a look
 * whether there is room for them: it keeps buffers, and asks for no other. */
#include "blas.h"

#include <dlfcn.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* ---- Each make: can its threads be set, its name, its kernels, and how it is prepared ---- */

#if defined CF_BLAS_OPENBLAS

char *openblas_get_config(void);
char *openblas_get_corename(void);
void openblas_set_num_threads(int n);

static const bool one_thread = true;

static void print_name(char *out, size_t size)
{
    const char *config = openblas_get_config(); /* "OpenBLAS 0.3.21 NO_LAPACKE ..." */
    const size_t name = strcspn(config, " ");
    const size_t version = config[name] != '\0' ? 1 + strcspn(config + name + 1, " ") : 0;

    (void)snprintf(out, size, "%.*s", (int)(name + version), config);
}

static const char *kernels(void)
{
    return openblas_get_corename();
}

void blas_prepare(void)
{
    openblas_set_num_threads(1);
}

#elif defined CF_BLAS_MKL

typedef struct MKLVersion { /* mkl_types.h */
    int MajorVersion, MinorVersion, UpdateVersion;
    char *ProductStatus, *Build, *Processor, *Platform;
} MKLVersion;
void MKL_Get_Version(MKLVersion *version);
void MKL_Set_Num_Threads(int n);
int MKL_CBWR_Set(int settings);
enum { MKL_CBWR_AUTO = 2, MKL_CBWR_STRICT = 0x10000 }; /* mkl_service.h */

static const bool one_thread = true;

static void print_name(char *out, size_t size)
{
    MKLVersion version;

    MKL_Get_Version(&version);
    (void)snprintf(out, size, "MKL %d.%d.%d", version.MajorVersion, version.MinorVersion,
                   version.UpdateVersion);
}

static const char *kernels(void)
{
    MKLVersion version;

    MKL_Get_Version(&version);
    return version.Processor;
}

/* Without CBWR ("conditional numerical reproducibility") sums follow the alignment of matrices. */
void blas_prepare(void)
{
    if (MKL_CBWR_Set(MKL_CBWR_AUTO | MKL_CBWR_STRICT) != 0) (void)MKL_CBWR_Set(MKL_CBWR_AUTO);
    MKL_Set_Num_Threads(1);
}

#elif defined CF_BLAS_BLIS

const char *bli_info_get_version_str(void);
int bli_arch_query_id(void);
const char *bli_arch_string(int id);
void bli_thread_set_num_threads(intptr_t n);

static const bool one_thread = true;

static void print_name(char *out, size_t size)
{
    (void)snprintf(out, size, "BLIS %s", bli_info_get_version_str());
}

static const char *kernels(void)
{
    return bli_arch_string(bli_arch_query_id());
}

void blas_prepare(void)
{
    bli_thread_set_num_threads(1);
}

#elif defined CF_BLAS_FLEXIBLAS

void flexiblas_get_version(int *major, int *minor, int *patch);
int flexiblas_current_backend(char *name, size_t size);
void flexiblas_set_num_threads(int n);

static const bool one_thread = true;

static void print_name(char *out, size_t size)
{
    char backend[64] = "";
    int major = 0, minor = 0, patch = 0;

    flexiblas_get_version(&major, &minor, &patch);
    (void)flexiblas_current_backend(backend, sizeof backend);
    (void)snprintf(out, size, "FlexiBLAS %d.%d.%d (%s)", major, minor, patch, backend);
}

static const char *kernels(void)
{
    return ""; /* its backend's */
}

void blas_prepare(void)
{
    flexiblas_set_num_threads(1);
}

#else

static const bool one_thread = false;

/* The file that it was loaded from is all that can be said. */
static void print_name(char *out, size_t size)
{
    Dl_info found;
    void *gemm = dlsym(RTLD_DEFAULT, "cblas_sgemm");

    if (gemm != NULL && dladdr(gemm, &found) != 0)
        (void)snprintf(out, size, "BLAS of %s", found.dli_fname);
    else
        (void)snprintf(out, size, "BLAS");
}

static const char *kernels(void)
{
    return "";
}

void blas_prepare(void)
{
}

#endif

cf_blas cf_par_find_blas(void)
{
    static char name[256];

    print_name(name, sizeof name);
    return (cf_blas){.name = name, .kernels = kernels(), .one_thread = one_thread};
}

bool blas_loads_openblas(void)
{
#if defined CF_BLAS_OPENBLAS
    return true;
#elif defined CF_BLAS_FLEXIBLAS
    return strcasestr(cf_par_find_blas().name, "openblas") != NULL;
#else
    return dlsym(RTLD_DEFAULT, "openblas_get_corename") != NULL;
#endif
}

environment_features blas_built_kernels(void)
{
#ifdef CF_BLAS_OPENBLAS
    return (environment_features){dlsym(RTLD_DEFAULT, "gotoblas_HASWELL") != NULL,
                                  dlsym(RTLD_DEFAULT, "gotoblas_SKYLAKEX") != NULL};
#else
    return (environment_features){false, false};
#endif
}

/* ---- OpenBLAS's memory ---- */

#ifdef CF_BLAS_OPENBLAS

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

#else

cf_status cf_par_reserve_blas(const cf_par *par)
{
    (void)par;
    return CF_OK;
}

#endif
