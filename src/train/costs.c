/* What a run cost each rank: the table of phases, and the file of --profile. */
#include "internal.h"

#include <errno.h>
#include <omp.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MAX_PATH = 4096 };
static const double mib = 1048576;

/* ---- Gathering ---- */

static rank_costs my_costs(const cf_shard *shard)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (rank_costs){.rows = shard->n_users + shard->n_items,
                        .edges = shard->train.start[shard->n_users] +
                                 shard->train_by_item.start[shard->n_items],
                        .held = cf_alloc_held(),
                        .peak = cf_alloc_peak(),
                        .resident = (int64_t)used.ru_maxrss * 1024,
                        .profile = cf_par_read_profile()};
}

cf_status costs_gather(const cf_grid *grid, const cf_shard *shard, run_costs *out)
{
    const cf_par *world = &grid->world;
    const rank_costs mine = my_costs(shard);
    rank_costs *all = NULL;
    cf_status status = world->rank == 0 ? CF_ALLOC(all, world->size) : CF_OK;

    status = cf_par_agree(world, status);
    if (status != CF_OK) return status;
    MPI_Gather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, 0, world->comm);
    *out = (run_costs){.n_ranks = world->size, .rank = all};
    return CF_OK;
}

void costs_destroy(run_costs *c)
{
    cf_free(&c->rank);
}

/* ---- Over the ranks ---- */

/* A number of a rank, of one phase or of all. */
typedef double get_number(const rank_costs *rank, int phase);

static double get_seconds(const rank_costs *rank, int phase)
{
    return rank->profile.phase[phase].seconds;
}

static double get_mpi_seconds(const rank_costs *rank, int phase)
{
    return rank->profile.phase[phase].mpi_seconds;
}

static double get_bytes(const rank_costs *rank, int phase)
{
    return (double)rank->profile.phase[phase].bytes;
}

static double get_messages(const rank_costs *rank, int phase)
{
    return (double)rank->profile.phase[phase].messages;
}

static double get_held(const rank_costs *rank, int phase)
{
    (void)phase;
    return (double)rank->held;
}

static double get_peak(const rank_costs *rank, int phase)
{
    (void)phase;
    return (double)rank->peak;
}

static double get_resident(const rank_costs *rank, int phase)
{
    (void)phase;
    return (double)rank->resident;
}

static double get_rows(const rank_costs *rank, int phase)
{
    (void)phase;
    return (double)rank->rows;
}

static double get_edges(const rank_costs *rank, int phase)
{
    (void)phase;
    return (double)rank->edges;
}

static double sum_phases(const rank_costs *rank, get_number *get, int end)
{
    double sum = 0;

    for (int phase = 0; phase < end; phase++)
        sum += get(rank, phase);
    return sum;
}

/* Of the steps: computing, without what a rank waits for others. */
static double get_step_work(const rank_costs *rank, int phase)
{
    (void)phase;
    return sum_phases(rank, get_seconds, CF_PHASE_EVALUATION) -
           sum_phases(rank, get_mpi_seconds, CF_PHASE_EVALUATION);
}

/* Between two steps ranks agree on going on, which is no part of a step. */
static double get_step_bytes(const rank_costs *rank, int phase)
{
    (void)phase;
    return sum_phases(rank, get_bytes, CF_PHASE_EVALUATION) - get_bytes(rank, CF_PHASE_OTHER);
}

typedef struct spread {
    double least, mean, most;
} spread;

/* `phase` CF_N_PHASES: all together. */
static spread over_ranks(const run_costs *c, get_number *get, int phase)
{
    spread s = {0};

    for (int rank = 0; rank < c->n_ranks; rank++) {
        const double x = phase < CF_N_PHASES ? get(&c->rank[rank], phase)
                                             : sum_phases(&c->rank[rank], get, CF_N_PHASES);

        if (rank == 0 || x < s.least) s.least = x;
        if (rank == 0 || x > s.most) s.most = x;
        s.mean += x / c->n_ranks;
    }
    return s;
}

static double balance(const run_costs *c, get_number *get)
{
    const spread s = over_ranks(c, get, 0);

    return s.mean > 0 ? s.most / s.mean : 1;
}

/* ---- The table ---- */

static void log_line(const run_costs *c, int phase, const char *name, double all_seconds)
{
    const spread seconds = over_ranks(c, get_seconds, phase),
                 bytes = over_ranks(c, get_bytes, phase);
    const double waited = over_ranks(c, get_mpi_seconds, phase).mean;

    if (seconds.most < 0.005 && bytes.most == 0) return; /* nothing to show */
    cf_log("%-17s %9.2f %9.2f %9.2f %6.1f%% %6.1f%% %10.2f %10.2f %10.2f %10.0f", name,
           seconds.least, seconds.mean, seconds.most, 100 * seconds.mean / all_seconds,
           100 * waited / all_seconds, bytes.least / mib, bytes.mean / mib, bytes.most / mib,
           over_ranks(c, get_messages, phase).mean);
}

void costs_log(const run_costs *c, const step_costs *steps)
{
    const double all_seconds = over_ranks(c, get_seconds, CF_N_PHASES).mean;
    double predicted = 0;

    cf_log("%-17s %9s %9s %9s %7s %7s %10s %10s %10s %10s", "phase", "least s", "mean s", "most s",
           "share", "in MPI", "least MiB", "mean MiB", "most MiB", "messages");
    for (int phase = 1; phase < CF_N_PHASES; phase++)
        log_line(c, phase, cf_phase_names[phase], all_seconds);
    log_line(c, CF_PHASE_OTHER, cf_phase_names[CF_PHASE_OTHER], all_seconds);
    log_line(c, CF_N_PHASES, "all", all_seconds);
    cf_log("most over mean of the ranks: rows %.3f, edges %.3f, seconds of computing in steps %.3f",
           balance(c, get_rows), balance(c, get_edges), balance(c, get_step_work));
    cf_log("memory of a rank: %.1f MiB at most, %.1f with libraries",
           over_ranks(c, get_peak, 0).most / mib, over_ranks(c, get_resident, 0).most / mib);
    if (steps->steps == 0) return;
    cf_log("memory of a rank in steps: %.1f MiB (%.1f predicted)",
           over_ranks(c, get_held, 0).mean / mib, steps->memory / mib);
    for (int phase = 0; phase < CF_N_PHASES; phase++)
        predicted += steps->mean[phase];
    cf_log("sent in a step: %.0f bytes a rank (%.0f predicted)",
           over_ranks(c, get_step_bytes, 0).mean / (double)steps->steps, predicted);
}

/* ---- As JSON ---- */

static json_t *spread_json(spread s)
{
    return json_pack("[f, f, f]", s.least, s.mean, s.most);
}

json_t *costs_predicted(const step_costs *steps)
{
    json_t *object = json_object();
    double total = 0;

    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        if (steps->mean[phase] == 0) continue;
        json_object_set_new(object, cf_phase_names[phase], json_real(steps->mean[phase]));
        total += steps->mean[phase];
    }
    json_object_set_new(object, "total", json_real(total));
    json_object_set_new(object, "most", json_real(steps->most));
    return object;
}

static json_t *balance_json(const run_costs *c)
{
    return json_pack("{s:f, s:f, s:f}", "rows", balance(c, get_rows), "edges",
                     balance(c, get_edges), "seconds", balance(c, get_step_work));
}

json_t *costs_summary(const run_costs *c, const step_costs *steps)
{
    json_t *phases = json_object();

    for (int phase = 0; phase < CF_N_PHASES; phase++)
        json_object_set_new(phases, cf_phase_names[phase],
                            json_pack("{s:o, s:o, s:o, s:o}", "seconds",
                                      spread_json(over_ranks(c, get_seconds, phase)), "mpi_seconds",
                                      spread_json(over_ranks(c, get_mpi_seconds, phase)), "bytes",
                                      spread_json(over_ranks(c, get_bytes, phase)), "messages",
                                      spread_json(over_ranks(c, get_messages, phase))));
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "event", "profile", "steps",
                     (json_int_t)steps->steps, "phases", phases, "balance", balance_json(c), "held",
                     spread_json(over_ranks(c, get_held, 0)), "allocated",
                     spread_json(over_ranks(c, get_peak, 0)), "resident",
                     spread_json(over_ranks(c, get_resident, 0)));
}

static json_t *rank_json(const rank_costs *rank, int number)
{
    json_t *phases = json_object();

    for (int phase = 0; phase < CF_N_PHASES; phase++) {
        const cf_phase_use *use = &rank->profile.phase[phase];

        json_object_set_new(phases, cf_phase_names[phase],
                            json_pack("{s:f, s:f, s:I, s:I}", "seconds", use->seconds,
                                      "mpi_seconds", use->mpi_seconds, "bytes",
                                      (json_int_t)use->bytes, "messages",
                                      (json_int_t)use->messages));
    }
    return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:f, s:o}", "rank", number, "rows",
                     (json_int_t)rank->rows, "edges", (json_int_t)rank->edges, "held",
                     (json_int_t)rank->held, "allocated", (json_int_t)rank->peak, "resident",
                     (json_int_t)rank->resident, "seconds",
                     sum_phases(rank, get_seconds, CF_N_PHASES), "phases", phases);
}

static json_t *whole_json(const run_costs *c, const cf_report_context *scene,
                          const step_costs *steps, int n_nodes)
{
    const cf_dataset *dataset = scene->dataset;
    json_t *ranks = json_array(), *object;
    char grid[32];

    for (int rank = 0; rank < c->n_ranks; rank++)
        json_array_append_new(ranks, rank_json(&c->rank[rank], rank));
    snprintf(grid, sizeof grid, "%dx%d", scene->grid->n_rows, scene->grid->n_columns);
    object = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:I, s:I, s:I, s:I, s:o, s:o}",
                       "command", scene->command, "version", CF_VERSION, "model",
                       cf_config_text(scene->config, "model"), "nodes", n_nodes, "ranks",
                       c->n_ranks, "threads", omp_get_max_threads(), "grid", grid, "users",
                       (json_int_t)dataset->n_users, "items", (json_int_t)dataset->n_items, "train",
                       (json_int_t)dataset->n_train, "embedding_size",
                       (json_int_t)cf_config_int(scene->config, "embedding_size"), "balance",
                       balance_json(c), "per_rank", ranks);
    if (steps->steps == 0) return object;
    json_object_set_new(object, "steps", json_integer((json_int_t)steps->steps));
    json_object_set_new(object, "predicted_held", json_real(steps->memory));
    json_object_set_new(object, "predicted_step_bytes", costs_predicted(steps));
    return object;
}

/* As every file of a run: under another name until it is whole. */
static cf_status open_temporary(const char *path, char temporary[MAX_PATH], FILE **out)
{
    if (snprintf(temporary, MAX_PATH, "%s.tmp", path) >= MAX_PATH)
        return CF_FAIL(CF_ERR_USAGE, "--profile: the path is too long");
    *out = fopen(temporary, "w");
    if (*out == NULL) return CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", path, strerror(errno));
    return CF_OK;
}

cf_status costs_check(const cf_par *world, const char *path)
{
    char temporary[MAX_PATH];
    FILE *file = NULL;
    cf_status status = world->rank == 0 ? open_temporary(path, temporary, &file) : CF_OK;

    if (file != NULL) {
        (void)fclose(file);
        (void)unlink(temporary);
    }
    return cf_par_agree(world, status);
}

static cf_status write_json(const json_t *object, const char *path)
{
    char temporary[MAX_PATH];
    FILE *file = NULL;
    bool written;
    cf_status status;

    CF_TRY(open_temporary(path, temporary, &file));
    written = json_dumpf(object, file, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) == 0 &&
              fputc('\n', file) != EOF;
    if (fclose(file) != 0) written = false;
    if (!written || rename(temporary, path) != 0) {
        status = CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", path, strerror(errno));
        (void)unlink(temporary);
    }
done:
    return status;
}

cf_status costs_write(const run_costs *c, const cf_report_context *scene, const step_costs *steps,
                      const char *path)
{
    const cf_par *world = &scene->grid->world;
    const int n_nodes = cf_par_count_nodes(world);
    cf_status status = CF_OK;

    if (world->rank == 0) {
        json_t *object = whole_json(c, scene, steps, n_nodes);

        status = write_json(object, path);
        json_decref(object);
    }
    return cf_par_agree(world, status);
}

cf_status cf_train_write_profile(const cf_report_context *scene, const char *path)
{
    run_costs all = {0};
    cf_status status;

    CF_TRY(costs_gather(scene->grid, scene->shard, &all));
    CF_TRY(costs_write(&all, scene, &(step_costs){0}, path));
done:
    costs_destroy(&all);
    return status;
}
