/* The log of a run: log.jsonl, one JSON object a line, each with its "event".
 *
 * Rank 0 writes each line at once, so that the file can be followed and a killed run leaves whole
 * lines. What cannot be written (a full disk) does not end a training run: it waits for the next
 * line, so that none is lost once there is room. A resumed run appends. The events and their keys
 * are listed in README.md of this folder; tools/ and tests read them by these names.
 * tests/train/log.c makes writes fail. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* On rank 0. */
static cf_status open_file(const char *folder, int64_t epochs, int *out)
{
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND;
    char *path = NULL;
    cf_status status;

    CF_TRY(cf_text_format(&path, "%s/" RUN_LOG_NAME, folder));
    if (epochs >= 0) CF_TRY(log_cut(path, epochs));
    *out = open(path, epochs >= 0 ? flags : flags | O_TRUNC, 0666);
    CF_REQUIRE(*out >= 0, CF_ERR_IO, "%s: cannot write (%s)", path, strerror(errno));
done:
    cf_free(&path);
    return status;
}

/* Opened on rank 0 alone; an error there is an error of all ranks. */
cf_status run_log_open(const cf_par *world, const char *folder, int64_t epochs, run_log *out)
{
    cf_status status = CF_OK;

    *out = (run_log){0};
    if (world->rank == 0) status = open_file(folder, epochs, &out->fd);
    out->is_open = world->rank == 0 && status == CF_OK;
    return cf_par_agree(world, status);
}

/* Write what waits, or as much of it as can be written. */
static void write_waiting(run_log *log)
{
    int64_t done = 0;
    ssize_t n = 0;

    while (done < log->n_waiting && n >= 0) {
        n = write(log->fd, log->waiting + done, (size_t)(log->n_waiting - done));
        if (n > 0) done += n;
        if (n < 0 && errno == EINTR) n = 0;
    }
    if (n < 0 && !log->warned)
        cf_warn("log.jsonl: cannot write (%s): what is missing will be tried again",
                strerror(errno));
    log->warned = n < 0;
    memmove(log->waiting, log->waiting + done, (size_t)(log->n_waiting - done));
    log->n_waiting -= done;
}

void run_log_close(run_log *log)
{
    if (!log->is_open) return;
    write_waiting(log);
    if (close(log->fd) != 0 || log->n_waiting > 0)
        cf_warn("log.jsonl: cannot write (%s): its end is missing", strerror(errno));
    cf_free(&log->waiting);
    *log = (run_log){0};
}

/* Write and free one line of an open log. NULL: there was no memory for it. */
static void write_line(run_log *log, json_t *line)
{
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    const int64_t length = text != NULL ? (int64_t)strlen(text) : 0;

    if (text != NULL &&
        CF_GROW(log->waiting, log->capacity, log->n_waiting + length + 1) == CF_OK) {
        memcpy(log->waiting + log->n_waiting, text, (size_t)length);
        log->waiting[log->n_waiting + length] = '\n';
        log->n_waiting += length + 1;
        write_waiting(log);
    } else {
        cf_warn("log.jsonl: a line is missing (out of memory)");
    }
    cf_free(&text); /* jansson's memory is the program's (json.c) */
    json_decref(line);
}

void run_log_set_up(const cf_grid *grid, const cf_dataset *dataset, double memory)
{
    cf_log("%lld users, %lld items, %lld train interactions", (long long)dataset->n_users,
           (long long)dataset->n_items, (long long)dataset->n_train);
    cf_log("%d nodes, %d ranks x %d threads, grid %dx%d, about %.0f MiB a rank",
           cf_par_count_nodes(&grid->world), grid->world.size, omp_get_max_threads(), grid->n_rows,
           grid->n_columns, memory / 1048576);
}

/* [{"rank": 0, "node": "n1", "cpus": "0-3", ...}, ...] */
static json_t *bindings_json(const cf_binding *all, int n)
{
    json_t *array = json_array();

    for (int k = 0; k < n; k++)
        cf_train_json_append(
            &array,
            CF_JSON_OBJECT({"rank", json_integer(k)}, {"node", cf_train_json_text(all[k].node)},
                           {"cpus", json_string(all[k].cpus)}, {"numa", json_string(all[k].numa)},
                           {"bound", json_boolean(all[k].n_cpus < all[k].n_node_cpus)},
                           {"threads", json_integer(all[k].n_threads)},
                           {"thread_cpus", json_integer(all[k].n_thread_cpus)}));
    return array;
}

/* A resumed run writes this event again, with the epochs done so far. */
void run_log_start(run_log *log, const run_start *start)
{
    const cf_grid *grid = start->grid;
    const cf_dataset *dataset = start->dataset;
    json_t *line;

    if (!log->is_open) return;
    line = CF_JSON_OBJECT(
        {"event", json_string("start")}, {"version", json_string(CF_VERSION)},
        {"build", cf_train_build_json()}, {"ranks", json_integer(grid->world.size)},
        {"threads", json_integer(omp_get_max_threads())},
        {"binding", bindings_json(start->bindings, grid->world.size)},
        {"grid", json_sprintf("%dx%d", grid->n_rows, grid->n_columns)},
        {"dataset", json_sprintf("%016llx", (unsigned long long)dataset->digest)},
        {"users", json_integer(dataset->n_users)}, {"items", json_integer(dataset->n_items)},
        {"train", json_integer(dataset->n_train)}, {"from_epoch", json_integer(start->from_epoch)},
        {"predicted_held", json_real(start->predicted->memory)},
        {"predicted_step_bytes", profile_predicted(start->predicted)});
    if (start->from != NULL) {
        cf_train_json_set(&line, "from", cf_train_json_text(start->from));
        cf_train_json_set(&line, "matched_users", json_integer(start->matched[CF_USERS]));
        cf_train_json_set(&line, "matched_items", json_integer(start->matched[CF_ITEMS]));
    }
    write_line(log, line);
}

void run_log_profile(run_log *log, json_t *summary)
{
    if (!log->is_open)
        json_decref(summary);
    else
        write_line(log, summary);
}

/* Samples of an epoch that was resumed amid are those done since. */
void run_log_epoch(run_log *log, const cf_run_progress *progress, double loss, double seconds,
                   int64_t samples)
{
    const double rate = seconds > 0 ? (double)samples / seconds : 0;

    if (!log->is_open) return;
    write_line(log, CF_JSON_OBJECT({"event", json_string("epoch")},
                                   {"epoch", json_integer(progress->epoch)},
                                   {"loss", json_real(loss)}, {"seconds", json_real(seconds)},
                                   {"samples_per_second", json_real(rate)}));
}

/* The seconds are all of the solution, then its parts. */
void run_log_solve(run_log *log, const cf_closed_seconds *seconds)
{
    const double all =
        seconds->gram + seconds->invert + seconds->product + seconds->singular + seconds->rest;

    if (!log->is_open) return;
    write_line(log, CF_JSON_OBJECT({"event", json_string("solve")}, {"seconds", json_real(all)},
                                   {"gram", json_real(seconds->gram)},
                                   {"invert", json_real(seconds->invert)},
                                   {"product", json_real(seconds->product)},
                                   {"singular", json_real(seconds->singular)},
                                   {"rest", json_real(seconds->rest)}));
}

void run_log_metrics(run_log *log, const run_evaluation *event, const cf_cold_metrics *metrics)
{
    json_t *line;

    if (!log->is_open) return;
    line =
        CF_JSON_OBJECT({"event", json_string(event->split)}, {"epoch", json_integer(event->epoch)},
                       {"metrics", cf_train_metrics_json(&metrics->table[event->main])},
                       {"best", json_boolean(event->best)}, {"seconds", json_real(event->seconds)});
    if (metrics->is_marked) cf_train_json_set(&line, "cold", cf_train_cold_json(metrics));
    write_line(log, line);
}

void run_log_map(run_log *log, int64_t epoch, const cf_cold_map *map, double seconds)
{
    if (!log->is_open) return;
    write_line(log,
               CF_JSON_OBJECT({"event", json_string("map")}, {"epoch", json_integer(epoch)},
                              {"map", cf_train_map_json(map)}, {"seconds", json_real(seconds)}));
}

/* Only the measures: the singular values themselves are in the tables of the checkpoint. */
void run_log_collapse(run_log *log, int64_t epoch, const collapse *c, bool best)
{
    json_t *tables;

    if (!log->is_open) return;
    tables = json_object();
    for (int k = 0; k < c->count; k++)
        cf_train_json_set(&tables, c->table[k].name,
                          cf_train_spectrum_json(&c->table[k].spectrum, c->table[k].dim));
    write_line(log,
               CF_JSON_OBJECT({"event", json_string("spectrum")}, {"epoch", json_integer(epoch)},
                              {"tables", tables}, {"best", json_boolean(best)},
                              {"seconds", json_real(c->seconds)}));
}

void run_log_end(run_log *log, const cf_run_progress *progress, const char *why)
{
    if (!log->is_open) return;
    write_line(log, CF_JSON_OBJECT({"event", json_string("end")}, {"why", json_string(why)},
                                   {"epoch", json_integer(progress->epoch)},
                                   {"best_epoch", json_integer(progress->best_epoch)},
                                   {"seconds", json_real(progress->seconds)}));
}
