/* The batches of an epoch.
 *
 * Place t of epoch e is train interaction perm_e(t), a keyed permutation that every rank can
 * evaluate (cf_permutation). A batch is P consecutive places, its positives, neg_sample_num times
 * one after the other, as in RecBole: position c P + p is the c-th sample of positive p, with a
 * negative of its own, drawn with the counter (e, number of the sample, trial). A cold item is
 * never drawn: as it is no positive either, training would only push it away. So each rank finds
 * the samples of its own users in the global batch without a message, and any grid has the same
 * batches. tests/train/sampler.c draws all batches on every grid and compares. */
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
    *out = (sampler_options){
        .batch_size = cf_config_int(config, "train_batch_size"),
        .seed = (uint64_t)cf_config_int(config, "seed"),
        .exclude_all = cf_config_is(config, "neg_exclude", "train"),
        .by_popularity = cf_config_is(config, "neg_distribution", "popularity"),
        .n_negatives = cf_config_int(config, "neg_sample_num"),
    };
}

int64_t sampler_batch_size(const sampler_options *options, int64_t n_train)
{
    return options->n_negatives *
           cf_min(cf_max(options->batch_size / options->n_negatives, 1), n_train);
}

int64_t sampler_find_full_user(const sampler_options *options, const cf_dataset *dataset,
                               const cf_shard *shard)
{
    for (int64_t u = 0; options->exclude_all && u < shard->n_users; u++)
        if (shard->train.start[u + 1] - shard->train.start[u] == cf_dataset_warm_items(dataset))
            return shard->first_user + u;
    return INT64_MAX;
}

/* A model without negatives would have each positive several times in a batch. */
static cf_status check_number(const sampler_options *options, bool negatives)
{
    if (!negatives && options->n_negatives > 1)
        return CF_FAIL(CF_ERR_USAGE, "neg_sample_num is %lld, but this model draws no negatives",
                       (long long)options->n_negatives);
    if (options->n_negatives > options->batch_size)
        return CF_FAIL(CF_ERR_USAGE, "neg_sample_num is %lld, above train_batch_size %lld",
                       (long long)options->n_negatives, (long long)options->batch_size);
    return CF_OK;
}

cf_status sampler_create(const sampler_options *options, bool negatives, const sampler_place *place,
                         sampler *out)
{
    const int64_t batch_size = sampler_batch_size(options, place->dataset->n_train);
    cf_status status;

    *out = (sampler){.options = *options,
                     .negatives = negatives,
                     .shard = place->shard,
                     .n_train = place->dataset->n_train,
                     .n_items = place->dataset->n_items};
    out->options.batch_size = batch_size;
    CF_TRY(check_number(options, negatives));
    CF_REQUIRE(!negatives || cf_dataset_warm_items(place->dataset) > 1, CF_ERR_FORMAT,
               "there is one%s item alone: no negative item is left",
               place->dataset->n_cold > 0 ? " warm" : "");
    CF_TRY(cf_arrays_create(out, arrays, N_ARRAYS, (int64_t[N_SIZES]){batch_size}));
    if (negatives && options->by_popularity)
        CF_TRY(popular_create(place->column, batch_size, &out->popular));
done:
    return status;
}

void sampler_destroy(sampler *s)
{
    popular_destroy(&s->popular);
    cf_arrays_destroy(s, arrays, N_ARRAYS);
}

double sampler_bytes(const sampler_options *options, int64_t n_train, int n_rows)
{
    const double batch_size = (double)sampler_batch_size(options, n_train);

    return cf_arrays_bytes(arrays, N_ARRAYS, (double[N_SIZES]){batch_size}) +
           (options->by_popularity ? popular_bytes(batch_size, n_rows) : 0);
}

/* Positives of a full batch. */
static int64_t positives_of(const sampler *s)
{
    return s->options.batch_size / s->options.n_negatives;
}

int64_t sampler_n_batches(const sampler *s)
{
    return cf_ceil_div(s->n_train, positives_of(s));
}

int64_t sampler_n_samples(const sampler *s, int64_t index)
{
    return cf_min(index * positives_of(s), s->n_train) * s->options.n_negatives;
}

void sampler_start_epoch(sampler *s, int64_t epoch)
{
    s->epoch = epoch;
    cf_permutation_create(&s->order, (cf_random){s->options.seed, CF_STREAM_SHUFFLE},
                          (uint64_t)epoch, s->n_train);
}

/* With one negative a positive, its place in the epoch. */
int64_t sampler_number(const sampler *s, int64_t n)
{
    const int64_t position = s->batch.position[n];

    return (s->first + position % s->n_positives) * s->options.n_negatives +
           position / s->n_positives;
}

bool sampler_excludes(const sampler *s, int64_t n, int64_t item)
{
    const cf_lists *train = &s->shard->train;
    const int64_t start = train->start[s->batch.user[n]],
                  count = train->start[s->batch.user[n] + 1] - start;

    if (cf_is_cold(s->shard->cold, item)) return true;
    return s->options.exclude_all ? cf_contains_i64(train->index + start, count, item)
                                  : item == s->batch.positive[n];
}

/* Uniform over the items that are not excluded, by rejection. */
int64_t sampler_draw_uniform(const sampler *s, int64_t n, uint64_t trial)
{
    const cf_random key = {s->options.seed, CF_STREAM_NEGATIVE};
    const uint64_t number = (uint64_t)sampler_number(s, n);

    for (;; trial++) {
        const int64_t item = cf_random_below(key, (uint64_t)s->epoch, number, trial, s->n_items);

        if (!sampler_excludes(s, n, item)) return item;
    }
}

/* Keep the places whose interaction is one of my users', and the interactions as numbers within my
 * own, which the front of s->interaction has room for; then the same again for each negative. */
static void keep_mine(sampler *s)
{
    const cf_lists *train = &s->shard->train;
    const int64_t first = s->shard->first_interaction, n_mine = train->start[train->count];
    int64_t count = 0;

    for (int64_t p = 0; p < s->n_positives; p++) {
        const int64_t mine = s->interaction[p] - first;

        if (mine < 0 || mine >= n_mine) continue;
        s->batch.position[count] = (int32_t)p;
        s->interaction[count++] = mine;
    }
    s->batch.count = count * s->options.n_negatives;
    for (int64_t n = count; n < s->batch.count; n++) {
        s->batch.position[n] = (int32_t)(s->batch.position[n - count] + s->n_positives);
        s->interaction[n] = s->interaction[n - count];
    }
}

/* The user of an interaction is the one whose list has it. */
const cf_batch *sampler_draw(sampler *s, int64_t index)
{
    const cf_lists *train = &s->shard->train;
    const bool uniform = s->negatives && !s->options.by_popularity;

    s->first = index * positives_of(s);
    s->n_positives = cf_min(s->n_train - s->first, positives_of(s));
    s->batch.size = s->n_positives * s->options.n_negatives;
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < s->n_positives; p++)
        s->interaction[p] = cf_permutation_at(&s->order, s->first + p);
    keep_mine(s);
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < s->batch.count; n++) {
        const int64_t mine = s->interaction[n];

        s->batch.user[n] = (int32_t)(cf_search_i64(train->start, train->count + 1, mine + 1) - 1);
        s->batch.positive[n] = train->index[mine];
        if (uniform) s->batch.negative[n] = sampler_draw_uniform(s, n, 0);
    }
    if (s->negatives && !uniform) popular_draw(&s->popular, s);
    return &s->batch;
}
