#include "internal.h"

#include <errno.h>
#include <jansson.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

cf_status run_log_open(const cf_par *world, const char *folder, bool append, run_log *out)
{
    char path[4096];
    cf_status status = CF_OK;

    out->file = NULL;
    if (world->rank == 0) {
        snprintf(path, sizeof path, "%s/log.jsonl", folder);
        out->file = fopen(path, append ? "a" : "w");
        if (out->file == NULL)
            status = CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", path, strerror(errno));
    }
    return cf_par_agree(world, status);
}

void run_log_close(run_log *log)
{
    if (log->file != NULL) fclose(log->file);
    log->file = NULL;
}

/* Write and free one line of an open log; one that cannot be written (full disk) does not end a
 * training run. */
static void write_line(run_log *log, json_t *line)
{
    if (json_dumpf(line, log->file, JSON_COMPACT | JSON_REAL_PRECISION(12)) != 0 ||
        fputc('\n', log->file) == EOF || fflush(log->file) != 0) {
        cf_warn("log.jsonl: cannot write (%s)", strerror(errno));
        run_log_close(log);
    }
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

void run_log_start(run_log *log, const cf_grid *grid, const cf_dataset *dataset,
                   const step_costs *predicted, int64_t from_epoch)
{
    char grid_text[32], digest[24];

    if (log->file == NULL) return;
    snprintf(grid_text, sizeof grid_text, "%dx%d", grid->n_rows, grid->n_columns);
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)dataset->digest);
    write_line(log,
               json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:o}", "event",
                         "start", "version", CF_VERSION, "ranks", grid->world.size, "threads",
                         omp_get_max_threads(), "grid", grid_text, "dataset", digest, "users",
                         (json_int_t)dataset->n_users, "items", (json_int_t)dataset->n_items,
                         "train", (json_int_t)dataset->n_train, "from_epoch",
                         (json_int_t)from_epoch, "predicted_held", predicted->memory,
                         "predicted_step_bytes", costs_predicted(predicted)));
}

void run_log_profile(run_log *log, json_t *summary)
{
    if (log->file == NULL)
        json_decref(summary);
    else
        write_line(log, summary);
}

void run_log_epoch(run_log *log, const cf_run_progress *progress, double loss, double seconds,
                   int64_t samples)
{
    if (log->file == NULL) return;
    write_line(log, json_pack("{s:s, s:I, s:f, s:f, s:f}", "event", "epoch", "epoch",
                              (json_int_t)progress->epoch, "loss", loss, "seconds", seconds,
                              "samples_per_second", seconds > 0 ? (double)samples / seconds : 0.0));
}

void run_log_solve(run_log *log, const cf_closed_seconds *seconds)
{
    if (log->file == NULL) return;
    write_line(log, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f}", "event", "solve", "seconds",
                              seconds->gram + seconds->invert + seconds->product + seconds->rest,
                              "gram", seconds->gram, "invert", seconds->invert, "product",
                              seconds->product, "rest", seconds->rest));
}

void run_log_metrics(run_log *log, const char *split, int64_t epoch, const cf_metrics *metrics,
                     bool best, double seconds)
{
    json_t *values;

    if (log->file == NULL) return;
    values = json_object();
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int k = 0; k < metrics->n_topk; k++) {
            char name[64];

            snprintf(name, sizeof name, "%s@%lld", cf_eval_metric_names[m],
                     (long long)metrics->topk[k]);
            json_object_set_new(values, name, json_real(metrics->mean[m][k]));
        }
    write_line(log,
               json_pack("{s:s, s:I, s:o, s:b, s:f}", "event", split, "epoch", (json_int_t)epoch,
                         "metrics", values, "best", best, "seconds", seconds));
}

/* As llminit spectrum --json has it. */
static json_t *spectrum_json(const collapse_table *t)
{
    const cf_spectrum *s = &t->spectrum;
    json_t *shares = json_object();
    char top[16];

    for (int k = 0; k < CF_SPECTRUM_TOPS && cf_spectrum_top[k] < t->dim; k++) {
        snprintf(top, sizeof top, "%d", cf_spectrum_top[k]);
        json_object_set_new(shares, top, json_real(s->fraction[k]));
    }
    return json_pack("{s:f, s:f, s:f, s:o}", "effective_rank", s->effective_rank,
                     "participation_ratio", s->participation_ratio, "information_abundance",
                     s->information_abundance, "shares", shares);
}

void run_log_collapse(run_log *log, int64_t epoch, const collapse *c)
{
    json_t *tables;

    if (log->file == NULL) return;
    tables = json_object();
    for (int k = 0; k < c->count; k++)
        json_object_set_new(tables, c->table[k].name, spectrum_json(&c->table[k]));
    write_line(log, json_pack("{s:s, s:I, s:o, s:f}", "event", "spectrum", "epoch",
                              (json_int_t)epoch, "tables", tables, "seconds", c->seconds));
}

void run_log_end(run_log *log, const cf_run_progress *progress, const char *why)
{
    if (log->file == NULL) return;
    write_line(log, json_pack("{s:s, s:s, s:I, s:I, s:f}", "event", "end", "why", why, "epoch",
                              (json_int_t)progress->epoch, "best_epoch",
                              (json_int_t)progress->best_epoch, "seconds", progress->seconds));
}
