/* Results: JSON, tables of metrics, files that are complete or absent. */
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- Standard output ------------------------------------------------------------------------ */

cf_status cli_print_json(const cf_par *world, json_t *object)
{
    cf_status status = CF_OK;

    if (world->rank == 0) {
        if (!object)
            status = CF_FAIL(CF_ERR_MEMORY, "out of memory for the result");
        else if (json_dumpf(object, stdout, 0) != 0 || putchar('\n') == EOF)
            status = CF_FAIL(CF_ERR_IO, "standard output: cannot write (%s)", strerror(errno));
    }
    json_decref(object);
    return cf_par_agree(world, status);
}

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

/* ---- Files ---------------------------------------------------------------------------------- */

static cf_status fail(const cli_output *output)
{
    return CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", output->path, strerror(errno));
}

cf_status cli_output_open(cli_output *output, const char *folder, const char *name)
{
    *output = (cli_output){0};
    if (strlen(folder) + (name ? strlen(name) : 0) + 8 > CLI_PATH_SIZE)
        return CF_FAIL(CF_ERR_USAGE, "%.60s...: the path is too long", folder);
    snprintf(output->path, CLI_PATH_SIZE, "%s%s%s", folder, name ? "/" : "", name ? name : "");
    snprintf(output->temporary, CLI_PATH_SIZE, "%.4000s.tmp", output->path);
    output->file = fopen(output->temporary, "wb");
    return output->file ? CF_OK : fail(output);
}

cf_status cli_output_check(const cli_output *output)
{
    return ferror(output->file) ? fail(output) : CF_OK;
}

cf_status cli_output_publish(cli_output *output)
{
    cf_status status = CF_OK;

    if (fflush(output->file) != 0 || ferror(output->file) || fsync(fileno(output->file)) != 0 ||
        rename(output->temporary, output->path) != 0)
        CF_TRY(fail(output));
    fclose(output->file);
    output->file = NULL;
done:
    cli_output_discard(output);
    return status;
}

void cli_output_discard(cli_output *output)
{
    if (!output->file) return;
    fclose(output->file);
    unlink(output->temporary);
    output->file = NULL;
}
