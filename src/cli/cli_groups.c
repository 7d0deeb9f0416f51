/* The metrics of groups, and those of the catalogue, as tables and as JSON. Groups without users
 * are left out: their zeros would look like results. */
#include "cli.h"

#include <string.h>

static const struct {
    const char *kind, *title;
} kinds[] = {{"users", "users by train items"},
             {"items", "positives by train interactions of the item"},
             {"popularity", "positives by popularity of the item (head: the first 20%)"}};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static bool is_shown(const cf_eval_detail *detail, int g, const char *kind)
{
    return strcmp(cf_eval_groups[g].kind, kind) == 0 && detail->group[g].n_users > 0;
}

/* ---- Tables --------------------------------------------------------------------------------- */

/* A line for each group, a column for each metric at one length of the list. */
static void print_kind(const cf_eval_detail *detail, const char *kind, const char *title, int t)
{
    const int64_t topk = detail->group[0].topk[t];

    printf("\n%s, @%lld\n%-10s%10s%12s", title, (long long)topk, "", "users", "positives");
    for (int m = 0; m < CF_N_METRICS; m++)
        printf("%12s", cf_eval_metric_names[m]);
    printf("\n");
    for (int g = 0; g < CF_EVAL_GROUPS; g++) {
        const cf_metrics *metrics = &detail->group[g];

        if (!is_shown(detail, g, kind)) continue;
        printf("%-10s%10lld%12lld", cf_eval_groups[g].name, (long long)metrics->n_users,
               (long long)metrics->n_positives);
        for (int m = 0; m < CF_N_METRICS; m++)
            printf("%12.4f", metrics->mean[m][t]);
        printf("\n");
    }
}

static void print_catalogue(const cf_eval_detail *detail)
{
    const cf_metrics *lengths = &detail->group[0];

    printf("\n%-18s", "catalogue");
    for (int t = 0; t < lengths->n_topk; t++) {
        char head[32];

        snprintf(head, sizeof head, "@%lld", (long long)lengths->topk[t]);
        printf("%12s", head);
    }
    printf("\n");
    for (int m = 0; m < CF_N_CATALOGUE; m++) {
        printf("%-18s", cf_eval_catalogue_names[m]);
        for (int t = 0; t < lengths->n_topk; t++)
            printf("%12.4f", detail->catalogue[m][t]);
        printf("\n");
    }
}

void cli_print_groups(const cf_eval_detail *detail)
{
    for (int k = 0; k < N_KINDS; k++)
        for (int t = 0; t < detail->group[0].n_topk; t++)
            print_kind(detail, kinds[k].kind, kinds[k].title, t);
    print_catalogue(detail);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

json_t *cli_groups_json(const cf_eval_detail *detail)
{
    json_t *object = json_object();

    for (int k = 0; k < N_KINDS; k++) {
        json_t *groups = json_object();

        for (int g = 0; g < CF_EVAL_GROUPS; g++)
            if (is_shown(detail, g, kinds[k].kind))
                cf_train_json_set(&groups, cf_eval_groups[g].name,
                                  cf_train_counted_json(&detail->group[g]));
        cf_train_json_set(&object, kinds[k].kind, groups);
    }
    return object;
}

json_t *cli_catalogue_json(const cf_eval_detail *detail)
{
    const cf_metrics *lengths = &detail->group[0];
    json_t *object = json_object();

    for (int m = 0; m < CF_N_CATALOGUE; m++)
        for (int t = 0; t < lengths->n_topk; t++) {
            char key[64];

            snprintf(key, sizeof key, "%s@%lld", cf_eval_catalogue_names[m],
                     (long long)lengths->topk[t]);
            cf_train_json_set(&object, key, json_real(detail->catalogue[m][t]));
        }
    return object;
}
