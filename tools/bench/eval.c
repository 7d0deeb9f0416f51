/**
 * Speed of evaluation: all items ranked for all users, against the bare sgemm of the same tiles in
 * the same run.
 *
 *     mpirun -n P bench_eval [USERS ITEMS DIM [GRID_ROWS]]        default: the shape of Gowalla,
 * 29858 40981 64 1
 */
#include "bench.h"

#include "cf/blas.h"
#include "cf/eval.h"

enum { REPEATS = 5, TRAIN_ITEMS = 27, TEST_ITEMS = 7, CHECKED = 20 };

typedef struct bench {
    cf_par world;
    int64_t n_users, n_items, dim;
    cf_grid *grid;
    cf_table *users, *items;
    cf_shard shard;
    cf_eval_scorer scorer;
    cf_eval_options options;
} bench;

/* `per_user` ascending items each, one drawn in each of as many equal ranges. */
static cf_status make_lists(const bench *b, int64_t per_user, cf_lists *out)
{
    cf_random key = {(uint64_t)per_user, CF_STREAM_TEST};
    cf_status status = CF_OK;

    out->count = b->shard.n_users;
    CF_TRY(CF_ALLOC(out->start, out->count + 1));
    CF_TRY(CF_ALLOC(out->index, out->count * per_user));
    for (int64_t n = 0; n < out->count * per_user; n++) {
        int64_t user = b->shard.first_user + n / per_user, range = n % per_user;
        int64_t first = range * b->n_items / per_user, end = (range + 1) * b->n_items / per_user;

        out->index[n] =
            first + cf_random_below(key, (uint64_t)user, (uint64_t)range, 0, end - first);
    }
    for (int64_t u = 0; u <= out->count; u++)
        out->start[u] = u * per_user;
done:
    return status;
}

static cf_status create(bench *b, int n_rows)
{
    const cf_setting *tables[] = {cf_eval_settings};
    cf_config *config = NULL;
    cf_shard *shard = &b->shard;
    cf_status status = CF_OK;

    CF_TRY(cf_config_create(tables, 1, &config));
    CF_TRY(cf_eval_read_options(config, &b->options));
    b->options.valid_metric = NULL; /* it would outlive the config */
    CF_TRY(cf_par_create_grid(&b->world, n_rows, b->world.size / n_rows, &b->grid));
    CF_TRY(cf_par_create_blocks(b->n_users, n_rows, &shard->users));
    CF_TRY(cf_par_create_blocks(b->n_items, n_rows, &shard->items));
    shard->first_user = shard->users.start[b->grid->my_row];
    shard->n_users = shard->users.start[b->grid->my_row + 1] - shard->first_user;
    CF_TRY(make_lists(b, TRAIN_ITEMS, &shard->train));
    CF_TRY(make_lists(b, TEST_ITEMS - 1, &shard->valid));
    CF_TRY(make_lists(b, TEST_ITEMS, &shard->test));
    CF_TRY(make_lists(b, 0, &shard->added));
    shard->n_base_items = b->n_items;
    CF_TRY(cf_table_create(b->grid, &shard->users, b->dim, &b->users));
    CF_TRY(cf_table_create(b->grid, &shard->items, b->dim, &b->items));
    cf_table_fill_uniform(b->users, 1, 0, 1);
    cf_table_fill_uniform(b->items, 1, b->n_users, 1);
    b->scorer = cf_eval_products(b->users, b->items, shard);
done:
    cf_config_destroy(&config);
    return status;
}

static void destroy(bench *b)
{
    cf_lists *lists[] = {&b->shard.train, &b->shard.valid, &b->shard.test, &b->shard.added};

    for (int k = 0; k < 4; k++) {
        cf_free(&lists[k]->start);
        cf_free(&lists[k]->index);
    }
    cf_table_destroy(&b->users);
    cf_table_destroy(&b->items);
    cf_par_destroy_blocks(&b->shard.users);
    cf_par_destroy_blocks(&b->shard.items);
    cf_par_destroy_grid(&b->grid);
}

/* A user's best score by plain dot products. */
static double best_score(const bench *b, const float *user, const float *items)
{
    double best = -1e300;

    for (int64_t i = 0; i < b->n_items; i++) {
        double score = 0;

        for (int64_t k = 0; k < b->dim; k++)
            score += (double)user[k] * (double)items[i * b->items->full_width + k];
        if (score > best) best = score;
    }
    return best;
}

/* Unmasked best scores of the first users of each block against the plain loop. */
static cf_status check(const bench *b)
{
    int64_t users[CHECKED], items[CHECKED], count = CHECKED, width = b->items->full_width;
    float scores[CHECKED], *rows = NULL, *all = NULL;
    cf_status status = CF_OK;

    if (count > b->shard.n_users || b->grid->my_column > 0) count = 0;
    for (int64_t u = 0; u < count; u++)
        users[u] = u;
    cf_eval_request request = {users, count, 1, false, false, 256 << 20, NULL};
    CF_TRY(cf_eval_topk(&b->scorer, &request, items, scores));
    CF_TRY(cf_par_agree(&b->world, CF_ALLOC(rows, CHECKED * width)));
    CF_TRY(cf_par_agree(&b->world, CF_ALLOC(all, b->n_items * width)));
    CF_TRY(cf_table_gather_own(b->users, users, count, rows));
    CF_TRY(cf_table_gather(b->items, 0, b->n_items, all));
    for (int64_t u = 0; u < count && status == CF_OK; u++) {
        double want = best_score(b, rows + u * width, all), off = want - (double)scores[u];

        if (!(off < 1e-4 && off > -1e-4))
            status = CF_FAIL(CF_ERR_NUMERIC, "user %lld: best score %g, expected %g", (long long)u,
                             (double)scores[u], want);
    }
    CF_TRY(cf_par_agree(&b->world, status));
done:
    cf_free(&rows);
    cf_free(&all);
    return status;
}

/* What this rank's share of the scores costs with nothing else: as many sgemms of the same shape on
 * as many threads. */
static cf_status bare_sgemm(const bench *b, double *seconds)
{
    enum { TILE = CF_EVAL_USERS * CF_EVAL_ITEMS };
    int width = cf_par_count(b->items->full_width), columns = b->grid->n_columns;
    int64_t n_users = (b->shard.n_users + columns - 1) / columns;
    int64_t user_tiles = (n_users + CF_EVAL_USERS - 1) / CF_EVAL_USERS;
    int64_t item_tiles = (b->n_items + CF_EVAL_ITEMS - 1) / CF_EVAL_ITEMS;
    float *users = NULL, *items = NULL, *scores = NULL;
    cf_status status = CF_OK;

    CF_TRY(CF_ALLOC(users, user_tiles * CF_EVAL_USERS * width));
    CF_TRY(CF_ALLOC(items, item_tiles * CF_EVAL_ITEMS * width));
    CF_TRY(CF_ALLOC(scores, (int64_t)omp_get_max_threads() * TILE));
    for (int64_t n = 0; n < user_tiles * CF_EVAL_USERS * width; n++)
        users[n] = 1;
    for (int64_t n = 0; n < item_tiles * CF_EVAL_ITEMS * width; n++)
        items[n] = 1;
    *seconds = cf_clock_now();
#pragma omp parallel for schedule(dynamic)
    for (int64_t u = 0; u < user_tiles; u++)
        for (int64_t i = 0; i < item_tiles; i++)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, CF_EVAL_USERS, CF_EVAL_ITEMS,
                        width, 1.0F, users + u * CF_EVAL_USERS * width, width,
                        items + i * CF_EVAL_ITEMS * width, width, 0.0F,
                        scores + (int64_t)omp_get_thread_num() * TILE, CF_EVAL_ITEMS);
    *seconds = cf_clock_now() - *seconds;
done:
    cf_free(&users);
    cf_free(&items);
    cf_free(&scores);
    return status;
}

/* Alternating, so that a machine that gets slower does so for both. Seconds of the slowest rank. */
static cf_status measure(const bench *b, double *ranking, double *bare)
{
    double seconds[2][REPEATS];
    cf_metrics metrics;
    cf_status status = CF_OK;

    for (int n = -1; n < REPEATS; n++) { /* the first is the warm-up */
        double two[2];

        MPI_Barrier(b->world.comm);
        two[0] = cf_clock_now();
        CF_TRY(cf_eval_run(&b->scorer, CF_SPLIT_TEST, &b->options, &metrics));
        two[0] = cf_clock_now() - two[0];
        MPI_Barrier(b->world.comm);
        CF_TRY(cf_par_agree(&b->world, bare_sgemm(b, &two[1])));
        MPI_Allreduce(MPI_IN_PLACE, two, 2, MPI_DOUBLE, MPI_MAX, b->world.comm);
        for (int k = 0; k < 2 && n >= 0; k++)
            seconds[k][n] = two[k];
    }
    *ranking = bench_median(seconds[0], REPEATS);
    *bare = bench_median(seconds[1], REPEATS);
done:
    return status;
}

static cf_status run(bench *b, int n_rows)
{
    double ranking = 0, bare = 0;
    double flop = 2.0 * (double)b->n_users * (double)b->n_items * (double)b->dim;
    cf_status status = CF_OK;

    CF_TRY(cf_par_agree(&b->world, create(b, n_rows)));
    CF_TRY(check(b));
    CF_TRY(measure(b, &ranking, &bare));
    if (b->world.rank == 0)
        printf("{\"benchmark\": \"eval\", \"ranks\": %d, \"grid\": \"%dx%d\", \"threads\": %d, "
               "\"users\": %lld, \"items\": %lld, \"dim\": %lld, \"blas\": \"%s\", "
               "\"seconds\": %.4f, \"gflops\": %.1f, \"sgemm_seconds\": %.4f, "
               "\"share_of_sgemm\": %.3f}\n",
               b->world.size, n_rows, b->world.size / n_rows, omp_get_max_threads(),
               (long long)b->n_users, (long long)b->n_items, (long long)b->dim,
               cf_par_find_blas().kernels, ranking, 1e-9 * flop / ranking, bare, bare / ranking);
done:
    return status;
}

int main(int argc, char **argv)
{
    bench b = {.n_users = 29858, .n_items = 40981, .dim = 64};
    int n_rows = 1;
    cf_status status = CF_OK;

    cf_par_init(&argc, &argv, &b.world);
    if (argc > 3) {
        b.n_users = atoll(argv[1]);
        b.n_items = atoll(argv[2]);
        b.dim = atoll(argv[3]);
    }
    if (argc > 4) n_rows = atoi(argv[4]);
    status = run(&b, n_rows);
    if (status != CF_OK && b.world.rank == 0)
        fprintf(stderr, "bench_eval: %s\n", cf_error_message());
    destroy(&b);
    cf_par_finalize();
    return (int)status;
}
