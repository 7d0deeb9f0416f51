/* On which CPUs ranks and threads run, and what is wrong with it.
 *
 * Each thread asks the kernel where it may run (sched_getaffinity); a rank's CPUs are those of all
 * of its threads, since the main thread alone is bound to one place where OMP_PROC_BIND is set.
 * Cores and NUMA nodes are read from /sys, which is all that hwloc would add here. A rank that may
 * run on all CPUs of its node is not bound. tests/par/binding.c has nodes of its own. */
#include "binding.h"

#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORD = 64, N_CPUS = BINDING_WORDS * WORD, MAX_NUMA = 1024 };

/* ---- Sets ---- */

void binding_add(binding_set *set, int cpu)
{
    if (cpu >= 0 && cpu < N_CPUS) set->bits[cpu / WORD] |= (uint64_t)1 << cpu % WORD;
}

static bool has(const binding_set *set, int cpu)
{
    return (set->bits[cpu / WORD] >> cpu % WORD & 1) != 0;
}

int binding_count(const binding_set *set)
{
    int n = 0;

    for (int w = 0; w < BINDING_WORDS; w++)
        n += __builtin_popcountll(set->bits[w]);
    return n;
}

bool binding_meets(const binding_set *a, const binding_set *b)
{
    for (int w = 0; w < BINDING_WORDS; w++)
        if ((a->bits[w] & b->bits[w]) != 0) return true;
    return false;
}

static void join(binding_set *set, const binding_set *more)
{
    for (int w = 0; w < BINDING_WORDS; w++)
        set->bits[w] |= more->bits[w];
}

bool binding_parse(const char *text, binding_set *out)
{
    *out = (binding_set){0};
    while (*text != '\0' && *text != '\n') {
        char *end;
        const long first = strtol(text, &end, 10);
        long last = first;

        if (end == text) return false;
        if (*end == '-') {
            text = end + 1;
            last = strtol(text, &end, 10);
            if (end == text) return false;
        }
        for (long cpu = first; cpu <= last && cpu < N_CPUS; cpu++)
            binding_add(out, (int)cpu);
        text = *end == ',' ? end + 1 : end;
        if (*end != ',' && *end != '\0' && *end != '\n') return false;
    }
    return true;
}

const char *binding_print(const binding_set *set, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (int cpu = 0, last; cpu < N_CPUS; cpu = last + 1) {
        char run[32];

        last = cpu;
        if (!has(set, cpu)) continue;
        while (last + 1 < N_CPUS && has(set, last + 1))
            last++;
        if (last > cpu)
            snprintf(run, sizeof run, "%s%d-%d", used > 0 ? "," : "", cpu, last);
        else
            snprintf(run, sizeof run, "%s%d", used > 0 ? "," : "", cpu);
        if (used + strlen(run) + sizeof "..." > size) {
            snprintf(out + used, size - used, "...");
            break;
        }
        used += (size_t)snprintf(out + used, size - used, "%s", run);
    }
    return out;
}

/* ---- What /sys says ---- */

/* A list of CPUs that a file has; false if there is none. */
static bool read_list(const char *root, const char *name, int number, binding_set *out)
{
    char path[512], text[4096] = "";
    FILE *file;
    bool read;

    snprintf(path, sizeof path, name, root, number);
    file = fopen(path, "r");
    if (file == NULL) return false;
    read = fgets(text, sizeof text, file) != NULL && binding_parse(text, out);
    fclose(file);
    return read;
}

/* The first CPU of the core that a CPU is of. */
static int first_of_core(const char *root, int cpu)
{
    binding_set core;

    if (!read_list(root, "%s/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu, &core))
        return cpu;
    for (int k = 0; k < cpu; k++)
        if (has(&core, k)) return k;
    return cpu;
}

/* NUMA nodes have no gaps but in the largest machines: after the first that is missing, none is
 * looked for. */
static void find_numa(const char *root, const binding_set *cpus, binding_set *out)
{
    binding_set node;

    *out = (binding_set){0};
    for (int k = 0; k < MAX_NUMA; k++) {
        if (!read_list(root, "%s/devices/system/node/node%d/cpulist", k, &node)) break;
        if (binding_meets(&node, cpus)) binding_add(out, k);
    }
}

void binding_read(const char *root, binding_rank *rank, cf_binding *out)
{
    binding_set online, numa;

    if (!read_list(root, "%s/devices/system/cpu/online", 0, &online)) online = rank->cpus;
    out->n_cpus = binding_count(&rank->cpus);
    out->n_node_cpus = binding_count(&online);
    rank->is_bound = out->n_cpus < out->n_node_cpus;
    find_numa(root, &rank->cpus, &numa);
    binding_print(&rank->cpus, out->cpus, sizeof out->cpus);
    binding_print(&numa, out->numa, sizeof out->numa);
    rank->cores = (binding_set){0};
    for (int cpu = 0; cpu < N_CPUS; cpu++)
        if (has(&rank->cpus, cpu)) binding_add(&rank->cores, first_of_core(root, cpu));
}

/* ---- What is wrong ---- */

void binding_find_fault(const binding_rank *ranks, int n, int me, char *line, size_t size)
{
    const binding_rank *mine = &ranks[me];
    binding_set cores = mine->cores;
    const int n_cpus = binding_count(&mine->cpus);
    int threads = mine->n_threads, other = -1, n_cores;
    char text[64];

    line[0] = '\0';
    if (!mine->is_bound) return;
    if (threads > n_cpus) {
        snprintf(line, size,
                 "rank %d has %d threads, but is bound to %d CPU%s (%s): take fewer threads, or "
                 "mpirun --map-by slot:PE=%d, or srun --cpus-per-task=%d",
                 mine->rank, threads, n_cpus, n_cpus == 1 ? "" : "s",
                 binding_print(&mine->cpus, text, sizeof text), threads, threads);
        return;
    }
    for (int k = 0; k < n; k++) {
        if (k == me || !ranks[k].is_bound || !binding_meets(&ranks[k].cores, &mine->cores))
            continue;
        if (other < 0) other = k;
        join(&cores, &ranks[k].cores);
        threads += ranks[k].n_threads;
    }
    n_cores = binding_count(&cores);
    if (other < 0 || threads <= n_cores) return;
    snprintf(line, size,
             "ranks %d and %d are bound to the same core (CPU %s): %d threads share %d core%s",
             mine->rank, ranks[other].rank, binding_print(&mine->cpus, text, sizeof text), threads,
             n_cores, n_cores == 1 ? "" : "s");
}

void binding_describe(const cf_binding *all, int n, char *line, size_t size)
{
    int fewest = all[0].n_cpus, most = all[0].n_cpus, n_bound = 0;
    const char *threads = "";
    char count[48];

    for (int k = 0; k < n; k++) {
        fewest = all[k].n_cpus < fewest ? all[k].n_cpus : fewest;
        most = all[k].n_cpus > most ? all[k].n_cpus : most;
        n_bound += all[k].n_cpus < all[k].n_node_cpus;
        if (all[k].n_thread_cpus < all[k].n_cpus) threads = "; threads are bound";
    }
    if (n_bound == 0) {
        snprintf(line, size, "ranks are not bound: rank 0 runs on all %d CPUs of %s%s",
                 all[0].n_cpus, all[0].node, threads);
        return;
    }
    if (fewest == most)
        snprintf(count, sizeof count, "%d CPU%s each", most, most == 1 ? "" : "s");
    else
        snprintf(count, sizeof count, "%d to %d CPUs", fewest, most);
    snprintf(line, size, "%d of %d ranks are bound to %s: rank 0 to %s of %s, NUMA node %s%s",
             n_bound, n, count, all[0].cpus, all[0].node,
             all[0].numa[0] != '\0' ? all[0].numa : "unknown", threads);
}

/* ---- All ranks ---- */

/* The CPUs of the calling thread, of a machine with any number of them. Returns how many. */
static int add_thread(binding_set *set)
{
    const size_t bytes = CPU_ALLOC_SIZE(N_CPUS);
    cpu_set_t *cpus = CPU_ALLOC(N_CPUS);
    int n = 0;

    if (cpus != NULL && sched_getaffinity(0, bytes, cpus) == 0)
        for (size_t cpu = 0; cpu < N_CPUS; cpu++)
            if (CPU_ISSET_S(cpu, bytes, cpus)) {
                binding_add(set, (int)cpu);
                n++;
            }
    CPU_FREE(cpus);
    return n;
}

/* What the kernel says of all threads of this rank. */
static void ask_threads(binding_rank *rank, int *most)
{
    binding_set all = {0};
    int n_most = 0;

    rank->n_threads = omp_get_max_threads();
#pragma omp parallel
    {
        binding_set mine = {0};
        const int n = add_thread(&mine);

#pragma omp critical
        {
            join(&all, &mine);
            if (n > n_most) n_most = n;
        }
    }
    rank->cpus = all;
    *most = n_most;
}

/* The fault of the lowest rank that has one, on every rank. Collective. */
static void agree_on_fault(const cf_par *world, const char *mine, cf_binding_fault *out)
{
    int lowest = mine[0] != '\0' ? world->rank : world->size;

    out->n_ranks = mine[0] != '\0';
    MPI_Allreduce(MPI_IN_PLACE, &out->n_ranks, 1, MPI_INT, MPI_SUM, world->comm);
    MPI_Allreduce(MPI_IN_PLACE, &lowest, 1, MPI_INT, MPI_MIN, world->comm);
    out->line[0] = '\0';
    if (lowest == world->size) return;
    if (lowest == world->rank) snprintf(out->line, sizeof out->line, "%s", mine);
    cf_par_broadcast(world, out->line, sizeof out->line, lowest);
}

/* Those of a node are compared on each of its ranks. Collective. */
static cf_status find_fault(const cf_par *world, const binding_rank *mine, cf_binding_fault *out)
{
    char line[sizeof out->line] = "";
    binding_rank *ranks = NULL;
    cf_par node;
    cf_status status;

    cf_par_split_node(world, &node);
    CF_TRY(cf_par_agree(world, CF_ALLOC(ranks, node.size)));
    MPI_Allgather(mine, sizeof *mine, MPI_BYTE, ranks, sizeof *mine, MPI_BYTE, node.comm);
    binding_find_fault(ranks, node.size, node.rank, line, sizeof line);
    agree_on_fault(world, line, out);
done:
    cf_free(&ranks);
    MPI_Comm_free(&node.comm);
    return status;
}

cf_status cf_par_find_bindings(const cf_par *world, cf_binding **out, cf_binding_fault *fault)
{
    binding_rank rank = {.rank = world->rank};
    cf_binding mine = {0}, *all = NULL;
    cf_status status = world->rank == 0 ? CF_ALLOC(all, world->size) : CF_OK;

    CF_TRY(cf_par_agree(world, status));
    ask_threads(&rank, &mine.n_thread_cpus);
    binding_read(cf_par_system(), &rank, &mine);
    mine.n_threads = rank.n_threads;
    (void)gethostname(mine.node, sizeof mine.node - 1);
    CF_TRY(find_fault(world, &rank, fault));
    MPI_Gather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, 0, world->comm);
    *out = all;
    all = NULL;
done:
    cf_free(&all);
    return status;
}

void cf_par_log_bindings(const cf_binding *all, int n, const cf_binding_fault *fault)
{
    char line[512];

    binding_describe(all, n, line, sizeof line);
    cf_log("%s", line);
    if (fault->n_ranks > 1)
        cf_warn("%s (%d ranks have this or the like)", fault->line, fault->n_ranks);
    else if (fault->n_ranks == 1)
        cf_warn("%s", fault->line);
}
