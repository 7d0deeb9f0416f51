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
