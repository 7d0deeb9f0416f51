/* Results on standard output: JSON, and tables of metrics.
 *
 * stdout carries results alone, from rank 0: with --json one object on one line, so that a script
 * can read it whatever the log says. */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

cf_status cli_check_json(const cf_par *world, const json_t *object)
{
    cf_status status = CF_OK;

    if (world->rank == 0 && object == NULL)
        status = CF_FAIL(CF_ERR_MEMORY, "out of memory for the result");
    return cf_par_agree(world, status);
}

/* Made into text before the first byte of it is printed. */
cf_status cli_print_json(const cf_par *world, json_t *object)
{
    char *text = object != NULL ? json_dumps(object, 0) : NULL;
    cf_status status = CF_OK;

    if (world->rank == 0) {
        if (text == NULL)
            status = CF_FAIL(CF_ERR_MEMORY, "out of memory for the result");
        else if (puts(text) == EOF)
            status = CF_FAIL(CF_ERR_IO, "standard output: cannot write (%s)", strerror(errno));
    }
    cf_free(&text); /* jansson's memory is the program's (train/json.c) */
    json_decref(object);
    return cf_par_agree(world, status);
}

void cli_print_line(const char *format, ...)
{
    char text[CF_LINE_SIZE], shown[CF_LINE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    puts(cf_text_show(text, shown, sizeof shown));
}

void cli_write_name(FILE *file, const char *name)
{
    for (; *name; name++)
        putc(*name == '\t' || *name == '\n' || *name == '\r' ? ' ' : *name, file);
}

/* ---- Metrics ---- */

/* A line for each metric, a column for each length of the list. */
static void print_metrics(const cf_metrics *metrics, const char *title)
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

enum { NAME_WIDTH = 22 };

/* A line of cold items' tables, a column for each; "-" where there is none. */
static void print_values(const cf_cold_metrics *metrics, int m, int t)
{
    char name[64];

    snprintf(name, sizeof name, "%s@%lld", cf_eval_metric_names[m],
             (long long)metrics->table[CF_ALL].topk[t]);
    printf("%-*s", NAME_WIDTH, name);
    for (int which = 0; which < CF_N_CANDIDATES; which++)
        if (metrics->has[which])
            printf("%10.4f", metrics->table[which].mean[m][t]);
        else
            printf("%10s", "-");
    printf("\n");
}

/* The same of a count of each table. */
static void print_counts(const cf_cold_metrics *metrics, const char *name,
                         const int64_t counts[CF_N_CANDIDATES])
{
    printf("%-*s", NAME_WIDTH, name);
    for (int which = 0; which < CF_N_CANDIDATES; which++)
        if (metrics->has[which])
            printf("%10lld", (long long)counts[which]);
        else
            printf("%10s", "-");
    printf("\n");
}

/* The targets of warm and of cold items, and how many of them the lists of all candidates have. */
static void print_targets(const cf_cold_metrics *metrics)
{
    const cf_metrics *lengths = &metrics->table[CF_ALL];

    printf("in the lists of all\n%-*s%10lld%10lld\n", NAME_WIDTH, "  targets",
           (long long)metrics->n_targets[CF_WARM], (long long)metrics->n_targets[CF_COLD]);
    for (int t = 0; t < lengths->n_topk; t++) {
        char name[64];

        snprintf(name, sizeof name, "  share hit@%lld", (long long)lengths->topk[t]);
        printf("%-*s%10.4f%10.4f\n", NAME_WIDTH, name, metrics->hit[CF_WARM][t],
               metrics->hit[CF_COLD][t]);
    }
}

/* The tables of cold items side by side: a line for each metric at each length. */
static void print_marked(const cf_cold_metrics *metrics, const char *title)
{
    const cf_metrics *table = metrics->table;

    printf("%-*s", NAME_WIDTH, title);
    for (int which = 0; which < CF_N_CANDIDATES; which++)
        printf("%10s", cf_eval_candidate_names[which]);
    printf("\n");
    print_counts(
        metrics, "users",
        (int64_t[]){table[CF_WARM].n_users, table[CF_COLD].n_users, table[CF_ALL].n_users});
    print_counts(metrics, "positives",
                 (int64_t[]){table[CF_WARM].n_positives, table[CF_COLD].n_positives,
                             table[CF_ALL].n_positives});
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int t = 0; t < table[CF_ALL].n_topk; t++)
            print_values(metrics, m, t);
    print_targets(metrics);
    if (metrics->n_left_out > 0)
        printf("%lld users without train items are left out of cold\n",
               (long long)metrics->n_left_out);
}

void cli_print_result(const cf_cold_metrics *metrics, const char *title)
{
    if (metrics->is_marked)
        print_marked(metrics, title);
    else
        print_metrics(&metrics->table[CF_ALL], title);
}
