/* Made-up datasets have the requested properties, and the same bytes on any number of ranks. */
#include "cf/synth.h"
#include "cf_test_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Make one with settings, '|'-separated "name=value". */
static cf_status make(const cf_par *par, const char *path, const char *settings)
{
    cf_config *config = cf_test_config(cf_synth_settings, settings);
    cf_synth_options options;
    cf_synth_report report;

    cf_synth_read_options(config, &options);
    cf_config_destroy(&config);
    return cf_synth_make(par, &options, path, &report);
}

/* A whole dataset on every rank. */
typedef struct whole {
    cf_dataset *dataset;
    cf_grid *grid;
    cf_shard *shard;
} whole;

static void open_whole(const char *settings, whole *out)
{
    const char *path = cf_test_scratch("made.h5");

    if (make(&world, path, settings) != CF_OK) fail_msg("%s", cf_error_message());
    assert_int_equal(cf_dataset_open(&world, path, &out->dataset), CF_OK);
    assert_int_equal(cf_par_create_grid(&world, 1, world.size, &out->grid), CF_OK);
    assert_int_equal(cf_dataset_load_shard(out->dataset, out->grid, &out->shard), CF_OK);
}

static void close_whole(whole *w)
{
    cf_dataset_destroy_shard(&w->shard);
    cf_par_destroy_grid(&w->grid);
    cf_dataset_close(&w->dataset);
}

static int64_t length(const cf_lists *lists, int64_t k)
{
    return lists->start[k + 1] - lists->start[k];
}

/* Also with more ranks than users, items or clusters. */
static void the_same_bytes_as_on_one_rank(void **state)
{
    static const char *const settings[] = {
        "", "embedding_dim=0", "n_clusters=50|cluster_depth=6",
        "embedding_type=float32|embedding_dim=5|titles=true|seed=3",
        "n_users=3|n_items=3|n_interactions=9|n_clusters=1|titles=true"};
    char *mine = strdup(cf_test_scratch("ranks.h5")), *one = strdup(cf_test_scratch("one.h5"));

    (void)state;
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
        assert_int_equal(make(&world, mine, settings[k]), CF_OK);
        if (world.rank == 0) {
            const cf_par alone = {MPI_COMM_SELF, 0, 1};
            char command[2100];

            assert_int_equal(make(&alone, one, settings[k]), CF_OK);
            snprintf(command, sizeof command, "cmp '%s' '%s'", mine, one);
            assert_int_equal(system(command), 0);
        }
        MPI_Barrier(world.comm);
    }
    free(mine);
    free(one);
}

/* Lists are ascending and within bounds, or the shard would have been refused. */
static void every_user_is_in_all_parts(void **state)
{
    whole w = {0};
    const cf_shard *s;

    (void)state;
    open_whole("n_users=501|n_items=203|n_interactions=5001|n_clusters=7", &w);
    s = w.shard;
    assert_int_equal(w.dataset->n_users, 501);
    assert_int_equal(w.dataset->n_items, 203);
    assert_int_equal(s->train.start[501] + s->valid.start[501] + s->test.start[501], 5001);
    for (int64_t u = 0; u < 501; u++) {
        const int64_t *train = s->train.index + s->train.start[u], n = length(&s->train, u);

        assert_true(n >= CF_SYNTH_MIN_PER_USER - 2);
        assert_int_equal(length(&s->valid, u), 1);
        assert_int_equal(length(&s->test, u), 1);
        assert_int_not_equal(s->valid.index[u], s->test.index[u]);
        assert_false(cf_contains_i64(train, n, s->valid.index[u]));
        assert_false(cf_contains_i64(train, n, s->test.index[u]));
    }
    close_whole(&w);
}

static void all_pairs_of_users_and_items(void **state)
{
    whole w = {0};

    (void)state;
    open_whole("n_users=40|n_items=30|n_interactions=1200|n_clusters=4", &w);
    for (int64_t u = 0; u < 40; u++)
        assert_int_equal(length(&w.shard->train, u), 28);
    close_whole(&w);
}

static int descending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x > y ? -1 : x < y;
}

/*
 * The slope of log size over log rank, of ranks from `low` to before `high`: a law whose sizes are
 * distributed as n^-a has -1 / (a - 1).
 */
static double slope(const cf_lists *lists, int64_t subtract, int64_t low, int64_t high)
{
    int64_t *sizes = malloc((size_t)lists->count * sizeof *sizes);
    double n = 0, x = 0, y = 0, xx = 0, xy = 0;

    for (int64_t k = 0; k < lists->count; k++)
        sizes[k] = length(lists, k) - subtract;
    qsort(sizes, (size_t)lists->count, sizeof *sizes, descending);
    for (int64_t k = low; k < high; k++) {
        const double log_rank = log((double)k + 1.5), log_size = log((double)sizes[k]);

        n++;
        x += log_rank;
        y += log_size;
        xx += log_rank * log_rank;
        xy += log_rank * log_size;
    }
    free(sizes);
    return (n * xy - x * y) / (n * xx - x * x);
}

/* Users' numbers are rounded, items' are drawn: within 3% and 10%. A few clusters share the head of
 * the items, and the tail, of few draws, is noise. */
static void degrees_follow_the_laws(void **state)
{
    static const double users[] = {3, 2.2, 2.5}, items[] = {2, 2.2, 4};

    (void)state;
    for (int k = 0; k < 3; k++) {
        char settings[200];
        whole w = {0};
        double got;

        snprintf(settings, sizeof settings,
                 "n_users=20000|n_items=10000|n_interactions=400000|n_clusters=2|embedding_dim=0|"
                 "user_exponent=%g|item_exponent=%g",
                 users[k], items[k]);
        open_whole(settings, &w);
        got = slope(&w.shard->train, 1, 500,
                    4000); /* train: all but two, CF_SYNTH_MIN_PER_USER apart */
        assert_close(got * (users[k] - 1), -1, 0.03);
        got = slope(&w.shard->train_by_item, 0, 40, 1000);
        assert_close(got * (items[k] - 1), -1, 0.1);
        close_whole(&w);
    }
}

/* The fraction of interactions in a user's most frequent cluster, of users with at least 8. */
static double own_cluster_fraction(const cf_shard *shard, int64_t n_clusters)
{
    double in_own = 0, all = 0;

    for (int64_t u = 0; u < shard->train.count; u++) {
        int64_t counts[64] = {0}, most = 0;

        if (length(&shard->train, u) < 8) continue;
        for (int64_t e = shard->train.start[u]; e < shard->train.start[u + 1]; e++) {
            const int64_t n = ++counts[shard->train.index[e] % n_clusters];

            if (n > most) most = n;
        }
        in_own += (double)most;
        all += (double)length(&shard->train, u);
    }
    return in_own / all;
}

/* The own cluster of 20 gets cluster_share and a 20th of the rest, unless its items run out. */
static void users_keep_to_their_cluster(void **state)
{
    static const double shares[] = {0.3, 0.7, 1};

    (void)state;
    for (int k = 0; k < 3; k++) {
        char settings[200];
        whole w = {0};

        snprintf(settings, sizeof settings,
                 "n_users=2000|n_items=20000|n_interactions=30000|n_clusters=20|embedding_dim=0|"
                 "user_exponent=10|item_exponent=10|cluster_share=%g",
                 shares[k]);
        open_whole(settings, &w);
        assert_close(own_cluster_fraction(w.shard, 20), shares[k] + (1 - shares[k]) / 20, 0.05);
        close_whole(&w);
    }
}

/* Fraction of the train interactions whose cluster is not in the user's part of clusters, where all
 * are divided into parts of `size`. The own cluster is the one that most interactions are in. */
static double crossing_fraction(const cf_shard *shard, int64_t n_clusters, int64_t size)
{
    int64_t n = 0, crossing = 0, *counts = malloc((size_t)n_clusters * sizeof *counts);

    for (int64_t u = 0; u < shard->train.count; u++) {
        int64_t own = 0;

        memset(counts, 0, (size_t)n_clusters * sizeof *counts);
        for (int64_t e = shard->train.start[u]; e < shard->train.start[u + 1]; e++)
            counts[shard->train.index[e] % n_clusters]++;
        for (int64_t c = 0; c < n_clusters; c++)
            if (counts[c] > counts[own]) own = c;
        for (int64_t c = 0; c < n_clusters; c++) {
            n += counts[c];
            crossing += c / size == own / size ? 0 : counts[c];
        }
    }
    free(counts);
    return (double)crossing / (double)n;
}

/* 32 clusters, the leaves of a tree: a draw reaches level l or more with probability (1 - s)^l, and
 * then takes any of the 2^l clusters there. So it leaves the 2^m clusters around its own with
 * probability sum_{l > m} P(l) (1 - 2^(m - l)). */
static void interactions_climb_the_tree_of_clusters(void **state)
{
    enum { DEPTH = 5 };
    const double share = 0.6;
    whole w = {0};

    (void)state;
    open_whole("n_users=1000|n_items=64000|n_interactions=60000|n_clusters=32|embedding_dim=0|"
               "user_exponent=10|item_exponent=10|cluster_share=0.6|cluster_depth=5",
               &w);
    for (int m = 0; m < DEPTH; m++) {
        double leaves = 0;

        for (int l = m + 1; l <= DEPTH; l++)
            leaves += pow(1 - share, l) * (l < DEPTH ? share : 1) * (1 - exp2(m - l));
        assert_close(crossing_fraction(w.shard, 32, (int64_t)1 << m), leaves, 0.1 * leaves);
    }
    assert_close(crossing_fraction(w.shard, 32, 32), 0, 0);
    close_whole(&w);
}

/* Mean squares of vectors, and of what is left of them without their clusters' means. */
static void measure(const float *rows, int64_t n, int64_t dim, int64_t n_clusters, double out[2])
{
    double *mean = calloc((size_t)(n_clusters * dim), sizeof *mean);

    out[0] = out[1] = 0;
    for (int64_t e = 0; e < n * dim; e++)
        mean[e / dim % n_clusters * dim + e % dim] +=
            (double)rows[e] * (double)n_clusters / (double)n;
    for (int64_t e = 0; e < n * dim; e++) {
        const double left = (double)rows[e] - mean[e / dim % n_clusters * dim + e % dim];

        out[0] += (double)rows[e] * (double)rows[e] / (double)n;
        out[1] += left * left / (double)n;
    }
    free(mean);
}

/* The mean square length is 1 over many clusters, and the noise within each is the given one. */
static void vectors_know_the_clusters(void **state)
{
    enum { ITEMS = 4000, DIM = 50, CLUSTERS = 200 };
    static const double noise[] = {0, 0.5, 2};
    float *rows = malloc(ITEMS * DIM * sizeof *rows);

    (void)state;
    for (int k = 0; k < 3; k++) {
        char settings[200];
        double squares[2];
        whole w = {0};

        snprintf(settings, sizeof settings,
                 "n_users=100|n_items=%d|n_interactions=1000|n_clusters=%d|embedding_dim=%d|"
                 "embedding_noise=%g|embedding_type=%s",
                 ITEMS, CLUSTERS, DIM, noise[k], k == 0 ? "float16" : "float32");
        open_whole(settings, &w);
        assert_int_equal(w.dataset->n_missing, 0);
        assert_int_equal(cf_dataset_read_embedding(w.dataset, 0, ITEMS, rows, NULL), CF_OK);
        measure(rows, ITEMS, DIM, CLUSTERS, squares);
        assert_close(squares[0], 1, 0.1);
        /* 20 items a cluster: their mean removes a 20th of the noise */
        assert_close(squares[1], 0.95 * noise[k] * noise[k] / (1 + noise[k] * noise[k]), 0.02);
        close_whole(&w);
    }
    free(rows);
}

static void names(void **state)
{
    whole w = {0};
    cf_strings ids = {0}, titles = {0};

    (void)state;
    open_whole("n_clusters=7|titles=true", &w);
    assert_int_equal(cf_dataset_read_names(w.dataset, CF_USER_IDS, 4321, 1, &ids), CF_OK);
    assert_string_equal(ids.bytes, "u4321");
    cf_dataset_destroy_strings(&ids);
    assert_int_equal(cf_dataset_read_names(w.dataset, CF_ITEM_IDS, 4321, 1, &ids), CF_OK);
    assert_int_equal(cf_dataset_read_names(w.dataset, CF_ITEM_TITLES, 4321, 1, &titles), CF_OK);
    assert_string_equal(ids.bytes, "i4321");
    assert_string_equal(titles.bytes, "item 4321 of cluster 2");
    cf_dataset_destroy_strings(&ids);
    cf_dataset_destroy_strings(&titles);
    close_whole(&w);
}

static void numbers_that_do_not_fit(void **state)
{
    static const char *const rows[][2] = {
        {"n_users=10|n_items=5|n_interactions=51|n_clusters=2", "more than there are pairs of 10"},
        {"n_users=4294967294|n_items=3|n_interactions=9007199254740992", "more than there are"},
        {"n_users=10|n_interactions=29", "less than 3 for each of 10 users"},
        {"n_users=10|n_items=5|n_interactions=40", "n_clusters: 50 is more than 5 items"},
        {"n_clusters=15|cluster_depth=5", "depth 5 has at least 16 clusters; n_clusters is 15"}};
    const char *path = cf_test_scratch("none.h5");

    (void)state;
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        assert_int_equal(make(&world, path, rows[k][0]), CF_ERR_USAGE);
        if (!strstr(cf_error_message(), rows[k][1])) fail_msg("%s", cf_error_message());
        assert_int_equal(access(path, F_OK), -1);
    }
}

typedef struct drawing {
    cf_synth_options options;
    const char *path;
} drawing;

static cf_status draw_dataset(void *context)
{
    const drawing *d = context;
    cf_synth_report report;

    return cf_synth_make(&world, &d->options, d->path, &report);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = draw_dataset, .thinning = 4};
    drawing d = {.path = cf_test_scratch("memory.h5")};
    const cf_setting *table = cf_synth_settings;
    cf_config *config = NULL;

    (void)state;
    assert_int_equal(cf_config_create(&table, 1, &config), CF_OK);
    cf_synth_read_options(config, &d.options);
    cf_config_destroy(&config);
    d.options.n_users = 100;
    d.options.n_interactions = 1000;
    assert_true(cf_test_every_allocation(&trial, &d) > 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_same_bytes_as_on_one_rank),
    cmocka_unit_test(every_user_is_in_all_parts),
    cmocka_unit_test(all_pairs_of_users_and_items),
    cmocka_unit_test(degrees_follow_the_laws),
    cmocka_unit_test(users_keep_to_their_cluster),
    cmocka_unit_test(interactions_climb_the_tree_of_clusters),
    cmocka_unit_test(vectors_know_the_clusters),
    cmocka_unit_test(names),
    cmocka_unit_test(numbers_that_do_not_fit),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
