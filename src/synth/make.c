/* A dataset from a plan: each rank makes an even part of the users and of the items. */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 64, TEXT_SIZE = 512 };

/* A rank's part. */
typedef struct part {
    synth_plan plan;
    int64_t first_user, n_users, first_item, n_items;
    synth_vectors vectors;
    char source[TEXT_SIZE];
    cf_dataset_content content;
} part;

static int name_user(const synth_plan *plan, int64_t user, char *out)
{
    (void)plan;
    return snprintf(out, NAME_SIZE, "u%" PRId64, user);
}

static int name_item(const synth_plan *plan, int64_t item, char *out)
{
    (void)plan;
    return snprintf(out, NAME_SIZE, "i%" PRId64, item);
}

static int name_title(const synth_plan *plan, int64_t item, char *out)
{
    return snprintf(out, NAME_SIZE, "item %" PRId64 " of cluster %" PRId64, item,
                    synth_cluster_of(plan, item));
}

/* Names first .. first + count - 1, each of at most NAME_SIZE - 1 bytes. */
static cf_status make_names(const synth_plan *plan, const int64_t range[2],
                            int (*name)(const synth_plan *, int64_t, char *), cf_strings *out)
{
    char text[NAME_SIZE];
    int64_t size = 0;
    cf_status status;

    out->count = range[1];
    CF_TRY(CF_ALLOC(out->start, range[1] + 1));
    for (int64_t k = 0; k < range[1]; k++)
        out->start[k + 1] = size += name(plan, range[0] + k, text) + 1;
    CF_TRY(CF_ALLOC(out->bytes, size));
    for (int64_t k = 0; k < range[1]; k++) {
        name(plan, range[0] + k, text);
        memcpy(out->bytes + out->start[k], text, (size_t)(out->start[k + 1] - out->start[k]));
    }
done:
    return status;
}

static void describe(const cf_config *config, part *p)
{
    const synth_plan *plan = &p->plan;

    snprintf(p->source, TEXT_SIZE,
             "synthetic: user_exponent %g, item_exponent %g, n_clusters %" PRId64
             ", cluster_share %g, embedding_noise %g",
             cf_config_real(config, "user_exponent"), cf_config_real(config, "item_exponent"),
             plan->n_clusters, plan->cluster_share, plan->noise);
    p->content.source = p->source;
    p->content.filters = "";
    p->content.split = "LS valid_and_test; order random";
    p->content.embedding_model = plan->dim > 0 ? "synthetic" : "";
    p->content.seed = (int64_t)plan->seed;
}

/* Local: all of the part but what is made while writing. */
static cf_status fill(const cf_config *config, part *p)
{
    const int64_t users[2] = {p->first_user, p->n_users}, items[2] = {p->first_item, p->n_items};
    cf_dataset_content *to = &p->content;
    cf_status status;

    CF_TRY(make_names(&p->plan, users, name_user, &to->user_ids));
    CF_TRY(make_names(&p->plan, items, name_item, &to->item_ids));
    if (p->plan.titles) CF_TRY(make_names(&p->plan, items, name_title, &to->titles));
    to->train.count = to->valid.count = to->test.count = p->n_users;
    CF_TRY(synth_draw_lists(&p->plan, p->first_user, &to->train, &to->valid, &to->test));
    if (p->plan.dim > 0) CF_TRY(synth_open_vectors(&p->plan, p->first_item, &p->vectors));
    to->embedding_dim = p->plan.dim;
    to->embedding_type = p->plan.type;
    to->read_vectors = synth_read_vectors;
    to->context = &p->vectors;
    describe(config, p);
done:
    return status;
}

static void free_part(part *p)
{
    cf_dataset_content *c = &p->content;
    cf_lists *lists[3] = {&c->train, &c->valid, &c->test};

    cf_dataset_destroy_strings(&c->user_ids);
    cf_dataset_destroy_strings(&c->item_ids);
    cf_dataset_destroy_strings(&c->titles);
    for (int k = 0; k < 3; k++) {
        cf_free(&lists[k]->start);
        cf_free(&lists[k]->index);
    }
    synth_close_vectors(&p->vectors);
}

cf_status cf_synth_make(const cf_par *world, const cf_config *config, const char *path,
                        cf_synth_report *report)
{
    const double started = cf_clock_now();
    part p = {0};
    cf_status status;

    CF_TRY(cf_par_agree(world, synth_make_plan(config, &p.plan)));
    p.first_user = cf_par_even_start(p.plan.n_users, world->size, world->rank);
    p.n_users = cf_par_even_start(p.plan.n_users, world->size, world->rank + 1) - p.first_user;
    p.first_item = cf_par_even_start(p.plan.n_items, world->size, world->rank);
    p.n_items = cf_par_even_start(p.plan.n_items, world->size, world->rank + 1) - p.first_item;
    CF_TRY(cf_par_agree(world, fill(config, &p)));
    CF_TRY(cf_dataset_write(world, path, &p.content));
    *report = (cf_synth_report){.n_users = p.plan.n_users,
                                .n_items = p.plan.n_items,
                                .n_train = p.plan.n_interactions - 2 * p.plan.n_users,
                                .n_valid = p.plan.n_users,
                                .n_test = p.plan.n_users,
                                .embedding_dim = p.plan.dim,
                                .seconds = cf_clock_now() - started};
done:
    free_part(&p);
    return status;
}
