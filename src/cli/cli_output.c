/* Results on standard output: JSON, and tables of metrics.
 *
 * stdout carries results alone, from rank 0: with --json one object on one line, so that a script
 * can read it whatever the log says. */
#include "cli.h"

#include <errno.h>
#include <string.h>

/* A NULL object on rank 0 is jansson's way to say that memory ran out while it was packed. */
cf_status cli_print_json(const cf_par *world, json_t *object)
{
    cf_status status = CF_OK;

    if (world->rank == 0) {
        if (object == NULL)
            status = CF_FAIL(CF_ERR_MEMORY, "out of memory for the result");
        else if (json_dumpf(object, stdout, 0) != 0 || putchar('\n') == EOF)
            status = CF_FAIL(CF_ERR_IO, "standard output: cannot write (%s)", strerror(errno));
    }
    json_decref(object);
    return cf_par_agree(world, status);
}

/* Counts are int64_t at their offsets, whatever the struct. */
json_t *cli_report_json(const void *report, const cli_count *counts, double seconds)
{
    json_t *object = json_object();

    for (; counts->name != NULL; counts++) {
        int64_t count;

        memcpy(&count, (const char *)report + counts->offset, sizeof count);
        json_object_set_new(object, counts->name, json_integer((json_int_t)count));
    }
    json_object_set_new(object, "seconds", json_real(seconds));
    return object;
}

/* The same keys as in log.jsonl. */
json_t *cli_metrics_json(const cf_metrics *metrics)
{
    json_t *object = json_object();

    for (int m = 0; m < CF_N_METRICS; m++)
        for (int t = 0; t < metrics->n_topk; t++) {
            char name[64];

            snprintf(name, sizeof name, "%s@%lld", cf_eval_metric_names[m],
                     (long long)metrics->topk[t]);
            json_object_set_new(object, name, json_real(metrics->mean[m][t]));
        }
    return object;
}

/* A line for each metric, a column for each length of the list. */
void cli_print_metrics(const cf_metrics *metrics, const char *title)
{
    printf("%s, %lld users\n%-10s", title, (long long)metrics->n_users, "");
    for (int t = 0; t < metrics->n_topk; t++) {
        char head[32];

        snprintf(head, sizeof head, "@%lld", (long long)metrics->topk[t]);
        printf("%10s", head);
    }
    printf("\n");
    for (int m = 0; m < CF_N_METRICS; m++) {
        printf("%-10s", cf_eval_metric_names[m]);
        for (int t = 0; t < metrics->n_topk; t++)
            printf("%10.4f", metrics->mean[m][t]);
        printf("\n");
    }
}
