#include "ranking.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { USERS = CF_EVAL_USERS, ITEMS = CF_EVAL_ITEMS, TILE = USERS * ITEMS, GROUP = 64 };

/* What is left of an ascending list of items, as the tiles pass over it. */
typedef struct span {
    const int64_t *next, *end;
} span;

/* A row of a user tile: whose scores it has, and the best of them so far. */
typedef struct row {
    int64_t request;  /* index in the request; -1: nobody */
    int64_t bad_item; /* the first whose score is not finite; -1: none */
    span history[2];  /* masked: train, valid */
    int64_t *items;   /* request->k, best first */
    float *scores;    /* -infinity past the last */
} row;

typedef struct ranking {
    const cf_eval_scorer *scorer;
    const cf_eval_request *request;
    int64_t *seats;                 /* n_user_tiles x USERS: index in the request; -1: nobody */
    int64_t n_user_tiles;           /* of this rank's users */
    int64_t n_item_tiles;           /* of all items */
    int64_t user_tiles, item_tiles; /* held at once */
    int64_t n_rounds;               /* passes over the items, the same on all ranks */
    int n_threads;
    row *rows;            /* user_tiles x USERS */
    int64_t *local_users; /* the same */
    float *users;         /* the same x the scorer's user_width */
    int64_t *best_items;  /* the same x request->k */
    float *best_scores;   /* the same x request->k */
    float *items;         /* item_tiles x ITEMS x full_width */
    float *scores;        /* n_threads x TILE */
} ranking;

static void destroy(ranking *r)
{
    cf_free(&r->seats);
    cf_free(&r->rows);
    cf_free(&r->local_users);
    cf_free(&r->users);
    cf_free(&r->best_items);
    cf_free(&r->best_scores);
    cf_free(&r->items);
    cf_free(&r->scores);
}

static int64_t tiles_of(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

/*
 * A user's row in its tile is its global number modulo USERS, so that sgemm treats it alike whoever
 * asks with whom. The n-th user with the same row goes into tile n: consecutive users fill whole
 * tiles.
 */
static cf_status seat_users(ranking *r)
{
    const cf_eval_request *request = r->request;
    int64_t first = r->scorer->shard->first_user, taken[USERS] = {0};
    cf_status status = CF_OK;

    for (int64_t k = 0; k < request->count; k++) {
        int64_t user = request->users[k];
        int64_t *n = &taken[(first + user) % USERS];

        CF_ASSERT(user >= 0 && user < r->scorer->shard->n_users);
        if (++*n > r->n_user_tiles) r->n_user_tiles = *n;
    }
    CF_TRY(CF_ALLOC(r->seats, r->n_user_tiles * USERS));
    for (int64_t k = 0; k < r->n_user_tiles * USERS; k++)
        r->seats[k] = -1;
    for (int64_t k = request->count - 1; k >= 0; k--) {
        int64_t seat = (first + request->users[k]) % USERS;

        r->seats[--taken[seat] * USERS + seat] = k;
    }
done:
    return status;
}

/*
 * Half of the memory for users, or what a tile of items leaves; the rest for items. All users at
 * once need one pass over the items; all items at once are gathered once.
 */
static cf_status plan(ranking *r)
{
    int64_t width = r->scorer->items->full_width, sizeof_float = (int64_t)sizeof(float);
    int64_t per_row = r->scorer->user_width * sizeof_float + (int64_t)sizeof(int64_t) +
                      (int64_t)sizeof(row) +
                      r->request->k * (sizeof_float + (int64_t)sizeof(int64_t));
    int64_t user_tile = USERS * per_row, item_tile = ITEMS * width * sizeof_float;
    int64_t scores = r->n_threads * TILE * sizeof_float;
    int64_t memory =
        r->request->memory; /* more than 2 GiB gain nothing and could overflow an MPI count */
    int64_t left = (memory < INT32_MAX ? memory : INT32_MAX) - scores;

    if (left < user_tile + item_tile)
        return CF_FAIL(CF_ERR_USAGE,
                       "eval_memory: %lld bytes are too few for one tile of scores a thread: "
                       "expected at least %lld (%d threads, %lld dimensions, the %lld best items)",
                       (long long)memory, (long long)(scores + user_tile + item_tile), r->n_threads,
                       (long long)r->scorer->items->dim, (long long)r->request->k);
    r->user_tiles = (left / 2 < left - item_tile ? left / 2 : left - item_tile) / user_tile;
    if (r->user_tiles < 1) r->user_tiles = 1;
    if (r->user_tiles > r->n_user_tiles) r->user_tiles = r->n_user_tiles;
    r->n_rounds = r->user_tiles > 0 ? tiles_of(r->n_user_tiles, r->user_tiles) : 0;
    r->item_tiles = (left - r->user_tiles * user_tile) / item_tile;
    if (r->item_tiles > r->n_item_tiles) r->item_tiles = r->n_item_tiles;
    return CF_OK;
}

static cf_status allocate(ranking *r)
{
    int64_t width = r->scorer->items->full_width, k = r->request->k;
    int64_t n_rows = r->user_tiles * USERS;
    cf_status status = CF_OK;

    CF_TRY(CF_ALLOC(r->rows, n_rows));
    CF_TRY(CF_ALLOC(r->local_users, n_rows));
    CF_TRY(CF_ALLOC(r->users, n_rows * r->scorer->user_width));
    CF_TRY(CF_ALLOC(r->best_items, n_rows * k));
    CF_TRY(CF_ALLOC(r->best_scores, n_rows * k));
    CF_TRY(CF_ALLOC(r->items, r->item_tiles * ITEMS * width));
    CF_TRY(CF_ALLOC(r->scores, (int64_t)r->n_threads * TILE));
    for (int64_t n = 0; n < n_rows; n++) {
        r->rows[n].items = r->best_items + n * k;
        r->rows[n].scores = r->best_scores + n * k;
    }
done:
    return status;
}

static cf_status create(ranking *r)
{
    const cf_par *world = &r->scorer->items->grid->world;
    int64_t agreed[2];
    cf_status status = CF_OK;

    CF_ASSERT(r->request->k > 0);
    r->n_threads = omp_get_max_threads();
    r->n_item_tiles = tiles_of(r->scorer->items->n_rows, ITEMS);
    status = seat_users(r);
    if (status == CF_OK) status = plan(r);
    CF_TRY(cf_par_agree(world, status));

    agreed[0] = r->item_tiles; /* the gathers need equal arguments, equally often */
    agreed[1] = -r->n_rounds;
    MPI_Allreduce(MPI_IN_PLACE, agreed, 2, MPI_INT64_T, MPI_MIN, world->comm);
    r->item_tiles = agreed[0];
    r->n_rounds = -agreed[1];
    CF_TRY(cf_par_agree(world, allocate(r)));
done:
    return status;
}

static span list_of(const cf_lists *lists, int64_t user, bool wanted)
{
    if (!wanted) return (span){NULL, NULL};
    return (span){lists->index + lists->start[user], lists->index + lists->start[user + 1]};
}

static void start_row(const ranking *r, row *me, int64_t request)
{
    const cf_shard *shard = r->scorer->shard;

    me->request = request;
    me->bad_item = -1;
    if (request < 0) return;
    me->history[0] = list_of(&shard->train, r->request->users[request], r->request->mask_train);
    me->history[1] = list_of(&shard->valid, r->request->users[request], r->request->mask_valid);
    for (int64_t k = 0; k < r->request->k; k++) {
        me->items[k] = -1;
        me->scores[k] = -INFINITY;
    }
}

/* The tiles of a round, from `first` on; rows of nobody get some user's numbers, which nobody looks
 * at. */
static cf_status load_users(ranking *r, int64_t first, int64_t n_tiles)
{
    int64_t n_rows = n_tiles * USERS;

    for (int64_t n = 0; n < n_rows; n++) {
        int64_t request = r->seats[first * USERS + n];

        start_row(r, &r->rows[n], request);
        r->local_users[n] = r->request->users[request < 0 ? 0 : request];
    }
    if (r->scorer->prepare == NULL) return CF_OK;
    return r->scorer->prepare(r->scorer, r->local_users, n_rows, r->users);
}

/* Item tiles from `first` on, the last one filled up with zeros. Collective over the grid. */
static cf_status load_items(ranking *r, int64_t first, int64_t n_tiles)
{
    const cf_table *items = r->scorer->items;
    int64_t count = n_tiles * ITEMS;

    if (first * ITEMS + count > items->n_rows) count = items->n_rows - first * ITEMS;
    memset(r->items + count * items->full_width, 0,
           (size_t)((n_tiles * ITEMS - count) * items->full_width) * sizeof(float));
    return cf_table_gather(items, first * ITEMS, count, r->items);
}

static void mask(float *scores, span *history, int64_t first)
{
    for (; history->next < history->end && *history->next < first + ITEMS; history->next++)
        scores[*history->next - first] = -INFINITY;
}

/*
 * True if one of GROUP scores is above the limit or is not a number. A plain loop with an int for
 * an answer: this is what compilers turn into lanes.
 */
static bool any_above(const float *scores, float limit)
{
    int above = 0;

    for (int k = 0; k < GROUP; k++)
        above |= scores[k] <= limit ? 0 : 1;
    return above != 0;
}

/* Items come in ascending order, so an equal score that is already there belongs to a lower item
 * and stays before. */
static void insert(row *me, int64_t n, int64_t item, float score)
{
    int64_t place = n - 1;

    for (; place > 0 && me->scores[place - 1] < score; place--) {
        me->scores[place] = me->scores[place - 1];
        me->items[place] = me->items[place - 1];
    }
    me->scores[place] = score;
    me->items[place] = item;
}

/* Take what is better than the last of the best. Most groups have nothing and cost a comparison a
 * register. */
static void keep_best(row *me, int64_t n, const float *scores, int64_t first)
{
    for (int j = 0; j < ITEMS; j += GROUP) {
        if (!any_above(scores + j, me->scores[n - 1])) continue;
        for (int k = j; k < j + GROUP; k++) {
            if (scores[k] <= me->scores[n - 1]) continue;
            if (!isfinite(scores[k])) {
                if (me->bad_item < 0) me->bad_item = first + k;
                return;
            }
            insert(me, n, first + k, scores[k]);
        }
    }
}

static void score_tile(ranking *r, int64_t user_tile, int64_t item_tile, int64_t first)
{
    int64_t n_left = r->scorer->items->n_rows - first;
    const cf_eval_tile tile = {.users = r->local_users + user_tile * USERS,
                               .user_rows = r->users + user_tile * USERS * r->scorer->user_width,
                               .item_rows =
                                   r->items + item_tile * ITEMS * r->scorer->items->full_width};
    float *scores = r->scores + (int64_t)omp_get_thread_num() * TILE;

    r->scorer->scores(r->scorer, &tile, scores);
    for (int64_t u = 0; u < USERS; u++) {
        row *me = &r->rows[user_tile * USERS + u];

        if (me->request < 0) continue;
        for (int64_t i = n_left; i < ITEMS; i++)
            scores[u * ITEMS + i] = -INFINITY;
        mask(scores + u * ITEMS, &me->history[0], first);
        mask(scores + u * ITEMS, &me->history[1], first);
        keep_best(me, r->request->k, scores + u * ITEMS, first);
    }
}

/* All items pass by the users of this round. Collective over the grid, also for a rank without
 * users. */
static cf_status pass_items(ranking *r, int64_t n_user_tiles, bool loaded)
{
    cf_status status = CF_OK;

    for (int64_t first = 0; first < r->n_item_tiles; first += r->item_tiles) {
        int64_t n =
            r->n_item_tiles - first < r->item_tiles ? r->n_item_tiles - first : r->item_tiles;

        if (!loaded) CF_TRY(load_items(r, first, n));
#pragma omp parallel for schedule(dynamic) num_threads(r->n_threads)
        for (int64_t t = 0; t < n_user_tiles; t++)
            for (int64_t i = 0; i < n; i++)
                score_tile(r, t, i, (first + i) * ITEMS);
    }
done:
    return status;
}

static cf_status check_finite(const ranking *r, int64_t n_user_tiles)
{
    for (int64_t n = 0; n < n_user_tiles * USERS; n++) {
        const row *me = &r->rows[n];

        if (me->request >= 0 && me->bad_item >= 0)
            return CF_FAIL(
                CF_ERR_NUMERIC, "score of user %lld and item %lld is not a finite number",
                (long long)(r->scorer->shard->first_user + r->request->users[me->request]),
                (long long)me->bad_item);
    }
    return CF_OK;
}

static void show(ranking *r, int64_t n_user_tiles, eval_visit *visit, void *context)
{
#pragma omp parallel for schedule(dynamic, USERS) num_threads(r->n_threads)
    for (int64_t n = 0; n < n_user_tiles * USERS; n++) {
        row *me = &r->rows[n];

        if (me->request < 0) continue;
        for (int64_t k = 0; k < r->request->k; k++)
            if (me->items[k] < 0) me->scores[k] = 0;
        visit(context, me->request, me->items, me->scores);
    }
}

cf_status eval_rank(const cf_eval_scorer *scorer, const cf_eval_request *request, eval_visit *visit,
                    void *context)
{
    const cf_par *world = &scorer->items->grid->world;
    ranking r = {.scorer = scorer, .request = request};
    cf_status status = CF_OK;

    CF_TRY(create(&r));
    for (int64_t round = 0; round < r.n_rounds; round++) {
        int64_t first = round * r.user_tiles, n = r.n_user_tiles - first;

        if (n > r.user_tiles) n = r.user_tiles;
        if (n < 0) n = 0; /* other ranks have more users */
        CF_TRY(cf_par_agree(world, load_users(&r, first, n)));
        CF_TRY(pass_items(&r, n, round > 0 && r.item_tiles == r.n_item_tiles));
        CF_TRY(cf_par_agree(world, check_finite(&r, n)));
        show(&r, n, visit, context);
    }
done:
    destroy(&r);
    return status;
}
