/* What a run cost each rank, and the table of phases that ends the log.
 *
 * Each rank counts its rows, edges, allocated bytes and, by phase, seconds, bytes and messages
 * (cf_profile). Rank 0 gathers these structs and shows each number as minimum, mean and maximum of
 * the ranks. Below the table stand the balance, maximum over mean, and predictions beside measured
 * numbers. tests/train/profile.c compares the two, and the log with the file of profile.c. */
#include "internal.h"

#include <sys/resource.h>

static const double mib = 1048576;

/* ---- Gathering ---- */

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

/* The rank's own costs. The system counts resident memory in KiB. */
static rank_costs count_costs(const cf_shard *shard)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (rank_costs){.rows = shard->n_users + shard->n_items,
                        .edges = shard->train.start[shard->n_users] +
                                 shard->train_by_item.start[shard->n_items],
                        .has_energy = cf_par_has_energy(),
                        .held = cf_alloc_held(),
                        .peak = cf_alloc_peak(),
                        .resident = (int64_t)used.ru_maxrss * 1024,
                        .cpu_seconds = seconds_of(used.ru_utime) + seconds_of(used.ru_stime),
                        .profile = cf_par_read_profile()};
}

/* The costs are counted first, so that the gathering is not in them. */
cf_status report_gather(const cf_grid *grid, const cf_shard *shard, report *out)
{
    const cf_par *world = &grid->world;
    const rank_costs mine = count_costs(shard);
    rank_costs *all = NULL;
    cf_status status = world->rank == 0 ? CF_ALLOC(all, world->size) : CF_OK;

    status = cf_par_agree(world, status);
    if (status != CF_OK) return status;
    MPI_Gather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, 0, world->comm);
    *out = (report){.n_ranks = world->size, .rank = all};
    return CF_OK;
}

void report_destroy(report *r)
{
    cf_free(&r->rank);
}

/* ---- Over the ranks ---- */

/* One of the numbers that belong to a phase. */
static double phase_value(const cf_phase_use *use, report_number number)
{
    switch (number) {
    case REPORT_SECONDS:
        return use->seconds;
    case REPORT_MPI_SECONDS:
        return use->mpi_seconds;
    case REPORT_BYTES:
        return (double)use->bytes;
    case REPORT_MESSAGES:
        return (double)use->messages;
    case REPORT_FILE_SECONDS:
        return use->file_seconds;
    case REPORT_READ:
        return (double)use->read_bytes;
    default:
        return (double)use->written_bytes;
    }
}

/* The sum over the phases before `end`. */
static double sum_phases(const rank_costs *rank, report_number number, int end)
{
    double sum = 0;

    for (int phase = 0; phase < end; phase++)
        sum += phase_value(&rank->profile.phase[phase], number);
    return sum;
}

/* The phases of steps come before CF_PHASE_EVALUATION. What is sent in CF_PHASE_OTHER is no part of
 * a step: it is how the ranks agree between two steps whether to stop. */
double report_value(const rank_costs *rank, report_number number, int phase)
{
    switch (number) {
    case REPORT_SECONDS:
    case REPORT_MPI_SECONDS:
    case REPORT_BYTES:
    case REPORT_MESSAGES:
    case REPORT_FILE_SECONDS:
    case REPORT_READ:
    case REPORT_WRITTEN:
        return phase < CF_N_PHASES ? phase_value(&rank->profile.phase[phase], number)
                                   : sum_phases(rank, number, CF_N_PHASES);
    case REPORT_ROWS:
        return (double)rank->rows;
    case REPORT_EDGES:
        return (double)rank->edges;
    case REPORT_HELD:
        return (double)rank->held;
    case REPORT_PEAK:
        return (double)rank->peak;
    case REPORT_RESIDENT:
        return (double)rank->resident;
    case REPORT_CPU_SECONDS:
        return rank->cpu_seconds;
    case REPORT_STEP_SECONDS:
        return sum_phases(rank, REPORT_SECONDS, CF_PHASE_EVALUATION) -
               sum_phases(rank, REPORT_MPI_SECONDS, CF_PHASE_EVALUATION);
    case REPORT_STEP_BYTES:
        return sum_phases(rank, REPORT_BYTES, CF_PHASE_EVALUATION) -
               report_value(rank, REPORT_BYTES, CF_PHASE_OTHER);
    }
    return 0;
}

spread report_spread(const report *r, report_number number, int phase)
{
    spread s = {0};

    for (int rank = 0; rank < r->n_ranks; rank++) {
        const double x = report_value(&r->rank[rank], number, phase);

        if (rank == 0 || x < s.minimum) s.minimum = x;
        if (rank == 0 || x > s.maximum) s.maximum = x;
        s.mean += x / r->n_ranks;
    }
    return s;
}

double report_balance(const report *r, report_number number)
{
    const spread s = report_spread(r, number, 0);

    return s.mean > 0 ? s.maximum / s.mean : 1;
}

/* ---- The table ---- */

/* A line of the table. Phases that did not happen, as those of other models, are left out. */
static void log_phase(const report *r, int phase, const char *name, double all_seconds)
{
    const spread seconds = report_spread(r, REPORT_SECONDS, phase),
                 bytes = report_spread(r, REPORT_BYTES, phase);
    const double mpi_seconds = report_spread(r, REPORT_MPI_SECONDS, phase).mean;

    if (seconds.maximum < 0.005 && bytes.maximum == 0) return; /* shown as zeros */
    cf_log("%-17s %9.2f %9.2f %9.2f %6.1f%% %6.1f%% %10.2f %10.2f %10.2f %10.0f", name,
           seconds.minimum, seconds.mean, seconds.maximum, 100 * seconds.mean / all_seconds,
           100 * mpi_seconds / all_seconds, bytes.minimum / mib, bytes.mean / mib,
           bytes.maximum / mib, report_spread(r, REPORT_MESSAGES, phase).mean);
}

/* The phase "other", which is number 0, comes last, before the sum of all. */
static void log_table(const report *r)
{
    const double all_seconds = report_spread(r, REPORT_SECONDS, CF_N_PHASES).mean;

    cf_log("%-17s %9s %9s %9s %7s %7s %10s %10s %10s %10s", "phase", "minimum s", "mean s",
           "maximum s", "of all", "in MPI", "min. MiB", "mean MiB", "max. MiB", "messages");
    for (int phase = 1; phase < CF_N_PHASES; phase++)
        log_phase(r, phase, cf_phase_names[phase], all_seconds);
    log_phase(r, CF_PHASE_OTHER, cf_phase_names[CF_PHASE_OTHER], all_seconds);
    log_phase(r, CF_N_PHASES, "all", all_seconds);
}

/* A line for each phase that reads or writes files. */
static void log_files(const report *r)
{
    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        const spread read = report_spread(r, REPORT_READ, phase),
                     written = report_spread(r, REPORT_WRITTEN, phase),
                     seconds = report_spread(r, REPORT_FILE_SECONDS, phase);

        if (read.maximum + written.maximum > 0)
            cf_log("files in %s: a rank reads %.2f MiB, at most %.2f, and writes %.2f, at most "
                   "%.2f, in %.2f s, at most %.2f",
                   cf_phase_names[phase], read.mean / mib, read.maximum / mib, written.mean / mib,
                   written.maximum / mib, seconds.mean, seconds.maximum);
    }
}

double step_costs_bytes(const step_costs *steps)
{
    double bytes = 0;

    for (int phase = 0; phase < CF_N_PHASES; phase++)
        bytes += steps->mean[phase];
    return bytes;
}

/* Memory and bytes of a step, each beside its prediction. */
static void log_predictions(const report *r, const step_costs *steps)
{
    cf_log("memory of a rank in steps: %.1f MiB (%.1f predicted)",
           report_spread(r, REPORT_HELD, 0).mean / mib, steps->memory / mib);
    cf_log("sent in a step: %.0f bytes a rank (%.0f predicted)",
           report_spread(r, REPORT_STEP_BYTES, 0).mean / (double)steps->steps,
           step_costs_bytes(steps));
}

bool report_has_energy(const report *r)
{
    for (int rank = 0; rank < r->n_ranks; rank++)
        if (r->rank[rank].has_energy) return true;
    return false;
}

double report_energy(const report *r, int phase)
{
    double joules = 0;

    for (int rank = 0; rank < r->n_ranks; rank++)
        for (int p = 0; p < CF_N_PHASES; p++)
            if (phase == CF_N_PHASES || phase == p) joules += r->rank[rank].profile.phase[p].joules;
    return joules;
}

static void log_energy(const report *r)
{
    if (report_has_energy(r))
        cf_log("energy of processors and memory: %.0f J, of these in steps %.0f, in evaluation "
               "%.0f, input %.0f, output %.0f, solve %.0f",
               report_energy(r, CF_N_PHASES), report_energy(r, CF_PHASE_OTHER),
               report_energy(r, CF_PHASE_EVALUATION), report_energy(r, CF_PHASE_INPUT),
               report_energy(r, CF_PHASE_OUTPUT), report_energy(r, CF_PHASE_SOLVE));
}

void report_log(const report *r, const step_costs *steps)
{
    log_table(r);
    log_files(r);
    log_energy(r);
    cf_log("maximum over mean of the ranks: rows %.3f, edges %.3f, seconds of computing in steps "
           "%.3f",
           report_balance(r, REPORT_ROWS), report_balance(r, REPORT_EDGES),
           report_balance(r, REPORT_STEP_SECONDS));
    cf_log("memory of a rank: %.1f MiB at most, %.1f with libraries",
           report_spread(r, REPORT_PEAK, 0).maximum / mib,
           report_spread(r, REPORT_RESIDENT, 0).maximum / mib);
    if (steps->steps > 0) log_predictions(r, steps);
}
