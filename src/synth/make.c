/* A dataset from a plan. Each rank makes an even range of the users and an even range of the items:
 * ids ("u17", "i4"), titles, and lists of interactions. Vectors are computed in blocks while the
 * file is written, so they are never held whole. */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 64, TEXT_SIZE = 512 };

/* What a rank makes. */
typedef struct synth_part {
    synth_plan plan;
    int64_t first_user, n_users, first_item, n_items;
    synth_vectors vectors;
    char source[TEXT_SIZE];
    cf_dataset_content content;
} synth_part;

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

static int write_title(const synth_plan *plan, int64_t item, char *out)
{
    return snprintf(out, NAME_SIZE, "item %" PRId64 " of cluster %" PRId64, item,
                    synth_cluster_of(plan, item));
}

/* The strings of numbers range[0] .. range[0] + range[1] - 1, each of at most NAME_SIZE - 1 bytes.
 * `name` is called twice for each: once for the length, once for the bytes. */
static cf_status make_strings(const synth_plan *plan, const int64_t range[2],
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

/* The attributes of the file that tell people where it comes from. */
static void describe_part(synth_part *p)
{
    const cf_synth_options *o = &p->plan.options;
    char depth[32] =
        ""; /* files of flat clusters have the bytes that they had before there was one */

    if (o->cluster_depth > 1) snprintf(depth, sizeof depth, ", cluster_depth %d", o->cluster_depth);
    snprintf(p->source, TEXT_SIZE,
             "synthetic: user_exponent %g, item_exponent %g, n_clusters %" PRId64
             ", cluster_share %g%s, embedding_noise %g",
             o->user_exponent, o->item_exponent, o->n_clusters, o->cluster_share, depth,
             o->embedding_noise);
    p->content.source = p->source;
    p->content.filters = "";
    p->content.split = "LS valid_and_test; order random";
    p->content.embedding_model = o->embedding_dim > 0 ? "synthetic" : "";
    p->content.seed = (int64_t)o->seed;
}

/* Local: everything but the vectors, which are computed while the file is written. */
static cf_status fill_part(synth_part *p)
{
    const cf_synth_options *o = &p->plan.options;
    const int64_t users[2] = {p->first_user, p->n_users}, items[2] = {p->first_item, p->n_items};
    cf_dataset_content *to = &p->content;
    cf_status status;

    CF_TRY(make_strings(&p->plan, users, name_user, &to->user_ids));
    CF_TRY(make_strings(&p->plan, items, name_item, &to->item_ids));
    if (o->titles) CF_TRY(make_strings(&p->plan, items, write_title, &to->titles));
    to->train.count = to->valid.count = to->test.count = p->n_users;
    CF_TRY(synth_draw_lists(&p->plan, p->first_user, &to->train, &to->valid, &to->test));
    if (o->embedding_dim > 0) CF_TRY(synth_open_vectors(&p->plan, p->first_item, &p->vectors));
    to->embedding_dim = o->embedding_dim;
    to->embedding_type = o->embedding_type;
    to->read_vectors = synth_read_vectors;
    to->context = &p->vectors;
    describe_part(p);
done:
    return status;
}

static void free_part(synth_part *p)
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

/* Ranges of users and of items are independent: a rank makes both without communication. */
cf_status cf_synth_make(const cf_par *world, const cf_synth_options *options, const char *path,
                        cf_synth_report *report)
{
    const cf_synth_options *o = options;
    const int rank = world->rank, size = world->size;
    const double started = cf_clock_now();
    synth_part p = {0};
    cf_status status;

    CF_TRY(cf_par_agree(world, synth_make_plan(options, &p.plan)));
    p.first_user = cf_par_even_start(o->n_users, size, rank);
    p.n_users = cf_par_even_start(o->n_users, size, rank + 1) - p.first_user;
    p.first_item = cf_par_even_start(o->n_items, size, rank);
    p.n_items = cf_par_even_start(o->n_items, size, rank + 1) - p.first_item;
    CF_TRY(cf_par_agree(world, fill_part(&p)));
    CF_TRY(cf_dataset_write(world, path, &p.content));
    *report = (cf_synth_report){.n_users = o->n_users,
                                .n_items = o->n_items,
                                .n_train = o->n_interactions - 2 * o->n_users,
                                .n_valid = o->n_users,
                                .n_test = o->n_users,
                                .embedding_dim = o->embedding_dim,
                                .seconds = cf_clock_now() - started};
done:
    free_part(&p);
    return status;
}
