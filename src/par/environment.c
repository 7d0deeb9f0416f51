/* The environment: variables that libraries read when they are loaded, or when MPI starts, set
 * where users have not set them, by running the program once again before MPI starts.
 *
 * OPENBLAS_NUM_THREADS: OpenBLAS starts a thread a core, which may find no memory (blas.c). Where
 * none is loaded, neither this nor OPENBLAS_CORETYPE is set.
 * OPENBLAS_CORETYPE: old versions take a processor that they do not know for an older one, and lose
 * half of its speed or more. What the processor can is asked of itself; a type is set only if the
 * library has its kernels, since else it would fall back to the oldest.
 * GOMP_SPINCOUNT, KMP_BLOCKTIME: a thread that waits at the end of a loop spins, for milliseconds
 * by default. On a core that others use too it spends the time in which it should compute later.
 * OMPI_MCA_mpi_yield_when_idle: Open MPI counts the ranks of a node, but not their threads, and
 * believes the slots of a host file.
 *
 * CHANGED carries what was done to the program that is run again, which forgets it once it is
 * noted: no program is run again twice. */
#include "blas.h"

#include <dlfcn.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Rounds of waiting before a thread sleeps, some 50 us; tools/bench/README.md has what others cost.
 * libgomp's own number where it knows that threads are more than cores. */
#define SPINS "1000"
/* libomp's: milliseconds, the fewest. */
#define BLOCK_TIME "1"

static const char changed_name[] = "LLMINIT_ENVIRONMENT";
static char changed[256]; /* "NAME=VALUE NAME=VALUE"; empty: nothing was done */

/* ---- Decisions ---- */

const char *environment_core_type(const char *kernels, environment_features usable)
{
    static const char *const avx2[] = {"Haswell", "Zen"};
    static const char *const older[] = {"Prescott", "Core2",     "Penryn",     "Dunnington",
                                        "Nehalem",  "Barcelona", "Sandybridge"};
    bool is_avx2 = false, is_older = false;

    for (size_t k = 0; k < sizeof avx2 / sizeof avx2[0]; k++)
        is_avx2 = is_avx2 || strcmp(kernels, avx2[k]) == 0;
    for (size_t k = 0; k < sizeof older / sizeof older[0]; k++)
        is_older = is_older || strcmp(kernels, older[k]) == 0;
    if ((is_avx2 || is_older) && usable.avx512) return "SkylakeX";
    if (is_older && usable.avx2) return "Haswell";
    return NULL;
}

static environment_features usable_features(const environment_facts *facts)
{
    return (environment_features){facts->processor.avx2 && facts->built.avx2,
                                  facts->processor.avx512 && facts->built.avx512};
}

int environment_choose(const environment_facts *facts, char *(*get)(const char *),
                       environment_variable *out)
{
    const char *blas_threads = get("OPENBLAS_NUM_THREADS");
    const char *core_type = environment_core_type(facts->kernels, usable_features(facts));
    const char *const waiting = facts->libomp ? "KMP_BLOCKTIME" : "GOMP_SPINCOUNT";
    const char *yields = get("OMPI_MCA_mpi_oversubscribe"); /* said by mpirun: then MPI yields */
    int n = 0;

    if (facts->openblas && (blas_threads == NULL || strcmp(blas_threads, "1") != 0))
        out[n++] = (environment_variable){"OPENBLAS_NUM_THREADS", "1"};
    if (core_type != NULL && get("OPENBLAS_CORETYPE") == NULL)
        out[n++] = (environment_variable){"OPENBLAS_CORETYPE", core_type};
    if (facts->threads > 1 && get("OMP_WAIT_POLICY") == NULL && get(waiting) == NULL)
        out[n++] = (environment_variable){waiting, facts->libomp ? BLOCK_TIME : SPINS};
    if (facts->ranks > 1 && facts->ranks * facts->threads > facts->cores &&
        get("OMPI_MCA_mpi_yield_when_idle") == NULL && (yields == NULL || strcmp(yields, "1") != 0))
        out[n++] = (environment_variable){"OMPI_MCA_mpi_yield_when_idle", "1"};
    return n;
}

/* ---- Facts ---- */

static environment_features processor_features(void)
{
#ifdef __x86_64__
    return (environment_features){
        .avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
        .avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl")};
#else
    return (environment_features){0};
#endif
}

static int count_cores(void)
{
    cpu_set_t cores;

    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores)
                                                           : omp_get_num_procs();
}

/* Ranks that mpirun has bound have cores of their own. */
static int count_ranks(void)
{
    const char *ranks = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");

    return ranks == NULL || getenv("OMPI_MCA_orte_bound_at_launch") != NULL ? 1 : atoi(ranks);
}

static environment_facts find_facts(void)
{
    return (environment_facts){
        .processor = processor_features(),
        .openblas = blas_loads_openblas(),
        .built = blas_built_kernels(),
        .kernels = cf_par_find_blas().kernels,
        .libomp = dlsym(RTLD_DEFAULT, "kmp_set_blocktime") != NULL,
        .threads = omp_get_max_threads(),
        .ranks = count_ranks(),
        .cores = count_cores(),
    };
}

/* ---- The program, again ---- */

/* What the program that ran this one has set. */
static bool note_changes(void)
{
    const char *done = getenv(changed_name);

    if (done == NULL) return false;
    (void)snprintf(changed, sizeof changed, "%s", done);
    (void)unsetenv(changed_name);
    return true;
}

/* Set them, and CHANGED. */
static bool set_variables(const environment_variable *variables, int n)
{
    char text[sizeof changed];
    size_t length = 0;
    bool set = true;

    for (int k = 0; k < n; k++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s=%s", k > 0 ? " " : "",
                                   variables[k].name, variables[k].value);
        set = set && setenv(variables[k].name, variables[k].value, 1) == 0;
    }
    return set && setenv(changed_name, text, 1) == 0;
}

void cf_par_restart(char **argv)
{
    environment_variable variables[ENVIRONMENT_VARIABLES];
    environment_facts facts;
    char program[4096];
    ssize_t length;
    int n;

    if (note_changes()) return;
    facts = find_facts();
    n = environment_choose(&facts, getenv, variables);
    length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n == 0 || length <= 0) return;
    program[length] = '\0';
    if (set_variables(variables, n)) execv(program, argv);
    (void)unsetenv(changed_name); /* it failed: libraries stay as they are loaded */
}

void cf_par_log_environment(void)
{
    const environment_features processor = processor_features();

    if (changed[0] != '\0') cf_log("environment: set %s", changed);
    if (getenv("OPENBLAS_CORETYPE") == NULL &&
        environment_core_type(cf_par_find_blas().kernels, processor) != NULL)
        cf_warn("this OpenBLAS was built without kernels for the vectors of this processor: %s",
                processor.avx512 ? "AVX-512" : "AVX2");
}
