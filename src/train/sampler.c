/* The batches of an epoch.
 *
 * Position t of epoch e is train interaction perm_e(t), a keyed permutation that every rank can
 * evaluate (cf_permutation), and its negative is drawn with the counter (e, t, trial). So each rank
 * finds the samples of its own users in the global batch without a message, and any grid has the
 * same batches. tests/train/sampler.c draws all batches on every grid and compares. */
#include "internal.h"

enum { SAMPLES, N_SIZES }; /* of the table of arrays: the batch size */

static const cf_array arrays[] = {
    CF_ARRAY(sampler, interaction, SAMPLES, 1),    CF_ARRAY(sampler, batch.position, SAMPLES, 1),
    CF_ARRAY(sampler, batch.user, SAMPLES, 1),     CF_ARRAY(sampler, batch.positive, SAMPLES, 1),
    CF_ARRAY(sampler, batch.negative, SAMPLES, 1),
};
enum { N_ARRAYS = sizeof arrays / sizeof *arrays };

void sampler_read_options(const cf_config *config, sampler_options *out)
{
    *out = (sampler_options){.batch_size = cf_config_int(config, "train_batch_size"),
                             .seed = (uint64_t)cf_config_int(config, "seed"),
                             .exclude_all = cf_config_is(config, "neg_exclude", "train")};
}

int64_t sampler_find_full_user(const sampler_options *options, const cf_dataset *dataset,
                               const cf_shard *shard)
{
    for (int64_t u = 0; options->exclude_all && u < shard->n_users; u++)
        if (shard->train.start[u + 1] - shard->train.start[u] == dataset->n_items)
            return shard->first_user + u;
    return INT64_MAX;
}

cf_status sampler_create(const sampler_options *options, bool negatives, const cf_dataset *dataset,
                         const cf_shard *shard, sampler *out)
{
    *out = (sampler){.options = *options,
                     .negatives = negatives,
                     .shard = shard,
                     .n_train = dataset->n_train,
                     .n_items = dataset->n_items};
    if (negatives && dataset->n_items == 1)
        return CF_FAIL(CF_ERR_FORMAT, "there is one item alone: no negative item is left");
    out->options.batch_size = cf_min(options->batch_size, dataset->n_train);
    return cf_arrays_create(out, arrays, N_ARRAYS, (int64_t[N_SIZES]){out->options.batch_size});
}

void sampler_destroy(sampler *s)
{
    cf_arrays_destroy(s, arrays, N_ARRAYS);
}

double sampler_bytes(int64_t batch_size)
{
    return cf_arrays_bytes(arrays, N_ARRAYS, (double[N_SIZES]){(double)batch_size});
}

int64_t sampler_n_batches(const sampler *s)
{
    return cf_ceil_div(s->n_train, s->options.batch_size);
}

void sampler_start_epoch(sampler *s, int64_t epoch)
{
    s->epoch = epoch;
    cf_permutation_create(&s->order, (cf_random){s->options.seed, CF_STREAM_SHUFFLE},
                          (uint64_t)epoch, s->n_train);
}

/* An item for sample n of the batch, whose position in the epoch is `position`: uniform over those
 * that are not excluded, by rejection. */
static int64_t draw_negative(const sampler *s, int64_t n, int64_t position)
{
    const cf_random key = {s->options.seed, CF_STREAM_NEGATIVE};
    const cf_lists *train = &s->shard->train;
    const int64_t start = train->start[s->batch.user[n]],
                  count = train->start[s->batch.user[n] + 1] - start;

    for (uint64_t trial = 0;; trial++) {
        const int64_t item =
            cf_random_below(key, (uint64_t)s->epoch, (uint64_t)position, trial, s->n_items);
        const bool excluded = s->options.exclude_all
                                  ? cf_contains_i64(train->index + start, count, item)
                                  : item == s->batch.positive[n];

        if (!excluded) return item;
    }
}

/* Keep the positions whose interaction is one of my users', and the interactions as numbers within
 * my own, which the front of s->interaction has room for. */
static void keep_mine(sampler *s, int64_t size)
{
    const cf_lists *train = &s->shard->train;
    const int64_t first = s->shard->first_interaction, n_mine = train->start[train->count];
    int64_t count = 0;

    for (int64_t position = 0; position < size; position++) {
        const int64_t mine = s->interaction[position] - first;

        if (mine < 0 || mine >= n_mine) continue;
        s->batch.position[count] = (int32_t)position;
        s->interaction[count++] = mine;
    }
    s->batch.count = count;
}

/* The user of an interaction is the one whose list has it. */
const cf_batch *sampler_draw(sampler *s, int64_t index)
{
    const cf_lists *train = &s->shard->train;
    const int64_t first = index * s->options.batch_size;

    s->batch.size = cf_min(s->n_train - first, s->options.batch_size);
#pragma omp parallel for schedule(static)
    for (int64_t position = 0; position < s->batch.size; position++)
        s->interaction[position] = cf_permutation_at(&s->order, first + position);
    keep_mine(s, s->batch.size);
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < s->batch.count; n++) {
        const int64_t mine = s->interaction[n];

        s->batch.user[n] = (int32_t)(cf_search_i64(train->start, train->count + 1, mine + 1) - 1);
        s->batch.positive[n] = train->index[mine];
        if (s->negatives) s->batch.negative[n] = draw_negative(s, n, first + s->batch.position[n]);
    }
    return &s->batch;
}
