/* The best k items of each user, exactly and in bounded memory.
 *
 * Scores are computed in tiles of USERS x ITEMS. A rank holds as many tiles of users and of items
 * as its memory allows. In a round, all items pass by one set of users: the ranks of the grid
 * gather item tiles, and each thread scores whole tiles of users against them. Every user keeps its
 * k best items, sorted, with an insertion sort; most scores fail one comparison with the k-th best
 * and cost no more. Of n items, k (1 + ln(n / k)) are inserted if their order is random.
 *
 * A sgemm may sum in another order in another row or column of the result. So the position of a
 * score in its tile is a function of the global numbers of its user and item alone, and the bits do
 * not depend on ranks, threads or memory. tests/eval sorts all scores of a user instead.
 *
 * A user may get several lists, each of other candidates (candidates.c), from the same scores. A
 * tile of items without a candidate is not scored.
 *
 * A user of whom no model knows anything is ranked in the same way, by the train interactions of
 * the items in place of its scores; these counts are gathered only if some rank has such a user. */
#include "ranking.h"

#include "counts.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* GROUP scores are compared at once with the k-th best. */
enum { USERS = CF_EVAL_USERS, ITEMS = CF_EVAL_ITEMS, TILE = USERS * ITEMS, GROUP = 64 };

enum { N_HISTORY = 3 }; /* lists of a user's history */

/* The rest of an ascending list of items, as the tiles pass over it. */
typedef struct item_span {
    const int64_t *next, *end;
} item_span;

/* A row of a user tile: the user whose scores it has, and the best of them so far. */
typedef struct tile_row {
    int64_t request;              /* index in the request; -1: unused */
    int64_t bad_item;             /* the first item whose score is not finite; -1: none */
    bool is_cold;                 /* no model knows the user: gets the most popular items */
    item_span history[N_HISTORY]; /* masked: train, added, valid */
    int64_t *items;               /* n_lists x request->k, best first; -1 past the last */
    float *scores;                /* request->k; -infinity past the last */
} tile_row;

typedef struct ranking {
    const cf_eval_scorer *scorer;
    const cf_eval_request *request;
    const eval_candidates *candidates;
    int64_t n_best; /* items of all lists of a user: n_lists x request->k */
    int n_threads;
    int64_t n_user_tiles;    /* of this rank's users */
    int64_t n_item_tiles;    /* of all items */
    int64_t held_user_tiles; /* in memory at once */
    int64_t held_item_tiles; /* in memory at once, the same on all ranks */
    int64_t n_rounds;        /* passes over the items, the same on all ranks */
    int64_t *assigned;       /* n_user_tiles x USERS: index in the request; -1: unused */
    int64_t *item_counts;    /* of all items: train interactions; NULL if no user is cold */
    /* Of one round; n_rows = held_user_tiles x USERS. */
    tile_row *rows;       /* n_rows */
    int64_t *local_users; /* n_rows */
    float *users;         /* n_rows x the scorer's user_width */
    int64_t *best_items;  /* n_rows x n_best */
    float *best_scores;   /* n_rows x n_best */
    float *items;         /* held_item_tiles x ITEMS x full_width */
    float *scores;        /* n_threads x TILE */
    float *scratch;       /* n_threads x the scorer's scratch_width */
} ranking;

/* ---- Memory and assignment of rows ---- */

/* The arrays of a round and the counts that they depend on. */
enum { COUNT_ROWS, COUNT_USER_FLOATS, COUNT_BEST, COUNT_ITEM_FLOATS, COUNT_THREADS, COUNT_SCRATCH };
static const cf_array round_arrays[] = {
    CF_ARRAY(ranking, rows, COUNT_ROWS, 1),         CF_ARRAY(ranking, local_users, COUNT_ROWS, 1),
    CF_ARRAY(ranking, users, COUNT_USER_FLOATS, 1), CF_ARRAY(ranking, best_items, COUNT_BEST, 1),
    CF_ARRAY(ranking, best_scores, COUNT_BEST, 1),  CF_ARRAY(ranking, items, COUNT_ITEM_FLOATS, 1),
    CF_ARRAY(ranking, scores, COUNT_THREADS, TILE), CF_ARRAY(ranking, scratch, COUNT_SCRATCH, 1),
};
enum { N_ROUND_ARRAYS = sizeof round_arrays / sizeof *round_arrays };

static void ranking_destroy(ranking *r)
{
    cf_free(&r->assigned);
    cf_free(&r->item_counts);
    cf_arrays_destroy(r, round_arrays, N_ROUND_ARRAYS);
}

/*
 * A user's row in its tile is its global number modulo USERS, whatever other users are requested.
 * The n-th user with the same row goes into tile n, so that consecutive users fill whole tiles. The
 * first loop counts the users of each row, the second assigns them from the last to the first.
 */
static cf_status assign_rows(ranking *r)
{
    const cf_eval_request *request = r->request;
    int64_t first = r->scorer->shard->first_user, count[USERS] = {0};
    cf_status status = CF_OK;

    for (int64_t k = 0; k < request->count; k++) {
        int64_t user = request->users[k], row = (first + user) % USERS;

        CF_ASSERT(user >= 0 && user < r->scorer->shard->n_users);
        r->n_user_tiles = cf_max(r->n_user_tiles, ++count[row]);
    }
    CF_TRY(CF_ALLOC(r->assigned, r->n_user_tiles * USERS));
    for (int64_t k = 0; k < r->n_user_tiles * USERS; k++)
        r->assigned[k] = -1;
    for (int64_t k = request->count - 1; k >= 0; k--) {
        int64_t row = (first + request->users[k]) % USERS;

        r->assigned[--count[row] * USERS + row] = k;
    }
done:
    return status;
}

/* Whether a user gets the most popular items. */
static bool is_cold(const cf_eval_scorer *scorer, int64_t user)
{
    return scorer->popular && !cf_dataset_knows_user(scorer->shard, user);
}

/* Get the counts of items, if a user of any rank is cold. Collective. */
static cf_status gather_counts(ranking *r)
{
    const cf_grid *grid = r->scorer->items->grid;
    bool any = false;

    for (int64_t k = 0; k < r->request->count && !any; k++)
        any = is_cold(r->scorer, r->request->users[k]);
    return cf_par_any(&grid->world, any)
               ? eval_gather_item_counts(grid, r->scorer->shard, &r->item_counts)
               : CF_OK;
}

/*
 * Divide the memory: half for users, or all but one tile of items if that is less; the rest for
 * items. More users at once mean fewer passes over the items; if all items are held, they are
 * gathered once. Memory over 2 GiB gains nothing and could overflow an MPI count.
 */
static cf_status plan_memory(ranking *r)
{
    int64_t width = r->scorer->items->full_width, sizeof_float = (int64_t)sizeof(float);
    int64_t per_row = r->scorer->user_width * sizeof_float + (int64_t)sizeof(int64_t) +
                      (int64_t)sizeof(tile_row) +
                      r->n_best * (sizeof_float + (int64_t)sizeof(int64_t));
    int64_t user_tile = USERS * per_row, item_tile = ITEMS * width * sizeof_float;
    int64_t counts = r->item_counts != NULL ? r->scorer->items->n_rows : 0;
    int64_t scores = r->n_threads * (TILE + r->scorer->scratch_width) * sizeof_float +
                     counts * (int64_t)sizeof *r->item_counts;
    int64_t left = cf_min(r->request->memory, INT32_MAX) - scores, user_tiles;

    if (left < user_tile + item_tile)
        return CF_FAIL(CF_ERR_USAGE,
                       "eval_memory: %lld bytes are too few for one tile of scores a thread: "
                       "expected at least %lld (%d threads, %lld dimensions, the %lld best items)",
                       (long long)r->request->memory, (long long)(scores + user_tile + item_tile),
                       r->n_threads, (long long)r->scorer->items->dim, (long long)r->request->k);
    user_tiles = cf_max(cf_min(left / 2, left - item_tile) / user_tile, 1);
    r->held_user_tiles = cf_min(user_tiles, r->n_user_tiles);
    r->n_rounds = r->held_user_tiles > 0 ? cf_ceil_div(r->n_user_tiles, r->held_user_tiles) : 0;
    r->held_item_tiles =
        cf_min((left - r->held_user_tiles * user_tile) / item_tile, r->n_item_tiles);
    return CF_OK;
}

/* The arrays of a round; each row gets its part of the lists of best items. */
static cf_status create_round(ranking *r)
{
    int64_t width = r->scorer->items->full_width;
    int64_t n_rows = r->held_user_tiles * USERS;
    cf_status status = CF_OK;

    CF_TRY(
        cf_arrays_create(r, round_arrays, N_ROUND_ARRAYS,
                         (int64_t[]){[COUNT_ROWS] = n_rows,
                                     [COUNT_USER_FLOATS] = n_rows * r->scorer->user_width,
                                     [COUNT_BEST] = n_rows * r->n_best,
                                     [COUNT_ITEM_FLOATS] = r->held_item_tiles * ITEMS * width,
                                     [COUNT_THREADS] = r->n_threads,
                                     [COUNT_SCRATCH] = r->n_threads * r->scorer->scratch_width}));
    for (int64_t n = 0; n < n_rows; n++) {
        r->rows[n].items = r->best_items + n * r->n_best;
        r->rows[n].scores = r->best_scores + n * r->n_best;
    }
done:
    return status;
}

/* Assign rows and plan the memory, then agree on what the collective gathers need: each rank takes
 * the fewest item tiles and the most rounds of all ranks. */
static cf_status ranking_create(ranking *r)
{
    const cf_par *world = &r->scorer->items->grid->world;
    int64_t agreed[2];
    cf_status status = CF_OK;

    CF_ASSERT(r->request->k > 0);
    r->n_best = r->candidates->n_lists * r->request->k;
    r->n_threads = omp_get_max_threads();
    r->n_item_tiles = cf_ceil_div(r->scorer->items->n_rows, ITEMS);
    CF_TRY(cf_par_agree(world, assign_rows(r)));
    CF_TRY(gather_counts(r));
    CF_TRY(cf_par_agree(world, plan_memory(r)));

    agreed[0] = r->held_item_tiles;
    agreed[1] = -r->n_rounds;
    MPI_Allreduce(MPI_IN_PLACE, agreed, 2, MPI_INT64_T, MPI_MIN, world->comm);
    r->held_item_tiles = agreed[0];
    r->n_rounds = -agreed[1];
    CF_TRY(cf_par_agree(world, create_round(r)));
done:
    return status;
}

/* ---- Loading tiles ---- */

/* The items of a user in one part of the data; empty if that part is not masked. */
static item_span span_of_user(const cf_lists *lists, int64_t user, bool masked)
{
    if (!masked) return (item_span){NULL, NULL};
    return (item_span){lists->index + lists->start[user], lists->index + lists->start[user + 1]};
}

/* A row before a pass over the items: nothing masked yet, nothing found yet. */
static void start_row(const ranking *r, tile_row *row, int64_t request)
{
    const cf_shard *shard = r->scorer->shard;

    row->request = request;
    row->bad_item = -1;
    if (request < 0) return;
    row->is_cold = is_cold(r->scorer, r->request->users[request]);
    row->history[0] =
        span_of_user(&shard->train, r->request->users[request], r->request->mask_train);
    row->history[1] =
        span_of_user(&shard->added, r->request->users[request], r->request->mask_train);
    row->history[2] =
        span_of_user(&shard->valid, r->request->users[request], r->request->mask_valid);
    for (int64_t k = 0; k < r->n_best; k++) {
        row->items[k] = -1;
        row->scores[k] = -INFINITY;
    }
}

/* Load the user tiles of a round, from `first` on. An unused row gets the first user of the
 * request: its scores are computed and ignored. Collective over the grid. */
static cf_status load_users(ranking *r, int64_t first, int64_t n_tiles)
{
    int64_t n_rows = n_tiles * USERS;

    for (int64_t n = 0; n < n_rows; n++) {
        int64_t request = r->assigned[first * USERS + n];

        start_row(r, &r->rows[n], request);
        r->local_users[n] = r->request->users[request < 0 ? 0 : request];
    }
    if (r->scorer->prepare == NULL) return CF_OK;
    return r->scorer->prepare(r->scorer, r->local_users, n_rows, r->users);
}

/* Gather item tiles from `first` on; zeros fill the last one. Collective over the grid. */
static cf_status load_items(ranking *r, int64_t first, int64_t n_tiles)
{
    const cf_table *items = r->scorer->items;
    int64_t count = cf_min(n_tiles * ITEMS, items->n_rows - first * ITEMS);

    memset(r->items + count * items->full_width, 0,
           (size_t)((n_tiles * ITEMS - count) * items->full_width) * sizeof(float));
    return cf_table_gather(items, first * ITEMS, count, r->items);
}

/* ---- Scores ---- */

/* Exclude the items of a list from the tile of items that starts at `first`. Those before it are of
 * tiles that were not scored. */
static void mask_items(float *scores, item_span *history, int64_t first)
{
    for (; history->next < history->end && *history->next < first + ITEMS; history->next++)
        if (*history->next >= first) scores[*history->next - first] = -INFINITY;
}

/* The scores that a list takes: those of items with its bit become -infinity. */
static void mask_barred(const float *scores, const uint8_t *barred, int list, float *out)
{
    for (int64_t i = 0; i < ITEMS; i++)
        out[i] = barred[i] >> list & 1 ? -INFINITY : scores[i];
}

/*
 * True if one of GROUP scores is above the limit or is not a number. Compilers vectorize this loop
 * because it has no early exit and its result is an int.
 */
static bool any_above(const float *scores, float limit)
{
    int above = 0;

    for (int k = 0; k < GROUP; k++)
        above |= scores[k] <= limit ? 0 : 1;
    return above != 0;
}

/* A list of a row: its n best items so far, and their scores. */
typedef struct best_list {
    int64_t n, *items;
    float *scores;
} best_list;

/* Insert an item into the n best. Items arrive in ascending order, so an equal score in the list
 * belongs to a lower item and keeps its rank. */
static void insert_item(const best_list *best, int64_t item, float score)
{
    int64_t position = best->n - 1;

    for (; position > 0 && best->scores[position - 1] < score; position--) {
        best->scores[position] = best->scores[position - 1];
        best->items[position] = best->items[position - 1];
    }
    best->scores[position] = score;
    best->items[position] = item;
}

/* Insert the scores of a row of a tile that are better than the n-th best so far. Most groups have
 * none and cost one comparison a vector register. A score that is not finite ends the row: the
 * round reports it. */
static void keep_best(tile_row *row, const best_list *best, const float *scores, int64_t first)
{
    const float *limit = &best->scores[best->n - 1];

    for (int j = 0; j < ITEMS; j += GROUP) {
        if (!any_above(scores + j, *limit)) continue;
        for (int k = j; k < j + GROUP; k++) {
            if (scores[k] <= *limit) continue;
            if (!isfinite(scores[k])) {
                if (row->bad_item < 0) row->bad_item = first + k;
                return;
            }
            insert_item(best, first + k, scores[k]);
        }
    }
}

/* Each list of a row takes the best of its candidates. */
static void keep_lists(const ranking *r, tile_row *row, const float *scores, int64_t first)
{
    const uint8_t *barred = r->candidates->barred;
    const int64_t k = r->request->k;
    float taken[ITEMS];

    for (int l = 0; l < r->candidates->n_lists; l++) {
        const best_list best = {k, row->items + l * k, row->scores + l * k};

        if (barred != NULL) mask_barred(scores, barred + first, l, taken);
        keep_best(row, &best, barred != NULL ? taken : scores, first);
    }
}

/* Is no item of a tile a candidate of any list? */
static bool is_without_candidates(const ranking *r, int64_t first, int64_t n_items)
{
    const uint8_t *barred = r->candidates->barred;
    const int all = (1 << r->candidates->n_lists) - 1;
    int open = 0;

    for (int64_t i = 0; i < n_items && barred != NULL; i++)
        open |= ~barred[first + i] & all;
    return barred != NULL && open == 0;
}

/* The scores of a cold user: above 2^24 they round, but keep their order. */
static void score_popular(const int64_t *item_counts, int64_t count, float *scores)
{
    for (int64_t i = 0; i < count; i++)
        scores[i] = (float)item_counts[i];
}

/* Score one tile of users against one tile of items, whose first item is `first`, and keep the
 * best. Columns past the last item, and masked items, get -infinity, which never enters a list. */
static void score_tile(ranking *r, int64_t user_tile, int64_t item_tile, int64_t first)
{
    const int64_t n_left = r->scorer->items->n_rows - first, n_items = cf_min(n_left, ITEMS);
    const int64_t thread = omp_get_thread_num();
    const cf_eval_tile tile = {.users = r->local_users + user_tile * USERS,
                               .user_rows = r->users + user_tile * USERS * r->scorer->user_width,
                               .item_rows =
                                   r->items + item_tile * ITEMS * r->scorer->items->full_width,
                               .scratch = r->scratch + thread * r->scorer->scratch_width,
                               .first_item = first};
    float *scores = r->scores + thread * TILE;

    if (is_without_candidates(r, first, n_items)) return;
    r->scorer->scores(r->scorer, &tile, scores);
    for (int64_t u = 0; u < USERS; u++) {
        tile_row *row = &r->rows[user_tile * USERS + u];

        if (row->request < 0) continue;
        if (row->is_cold) score_popular(r->item_counts + first, n_items, scores + u * ITEMS);
        for (int64_t i = n_left; i < ITEMS; i++)
            scores[u * ITEMS + i] = -INFINITY;
        for (int part = 0; part < N_HISTORY; part++)
            mask_items(scores + u * ITEMS, &row->history[part], first);
        keep_lists(r, row, scores + u * ITEMS, first);
    }
}

/* Pass all items by the user tiles of a round. If `loaded`, all items are in memory from the round
 * before. A thread owns whole user tiles, so that no two threads write one list. Collective over
 * the grid, also for a rank without users. */
static cf_status pass_items(ranking *r, int64_t n_user_tiles, bool loaded)
{
    cf_status status = CF_OK;

    for (int64_t first = 0; first < r->n_item_tiles; first += r->held_item_tiles) {
        int64_t n = cf_min(r->n_item_tiles - first, r->held_item_tiles);

        if (!loaded) CF_TRY(load_items(r, first, n));
#pragma omp parallel for schedule(dynamic) num_threads(r->n_threads)
        for (int64_t t = 0; t < n_user_tiles; t++)
            for (int64_t i = 0; i < n; i++)
                score_tile(r, t, i, (first + i) * ITEMS);
    }
done:
    return status;
}

/* ---- Rounds ---- */

/* The error of the first row of a round with a score that is not finite. Local. */
static cf_status check_finite(const ranking *r, int64_t n_user_tiles)
{
    for (int64_t n = 0; n < n_user_tiles * USERS; n++) {
        const tile_row *row = &r->rows[n];

        if (row->request >= 0 && row->bad_item >= 0)
            return CF_FAIL(
                CF_ERR_NUMERIC, "score of user %lld and item %lld is not a finite number",
                (long long)(r->scorer->shard->first_user + r->request->users[row->request]),
                (long long)row->bad_item);
    }
    return CF_OK;
}

/* Call `consume` for each user of a round. Scores past the last item become 0, which callers see in
 * place of -infinity. */
static void consume_round(ranking *r, int64_t n_user_tiles, eval_user_fn *consume, void *context)
{
#pragma omp parallel for schedule(dynamic, USERS) num_threads(r->n_threads)
    for (int64_t n = 0; n < n_user_tiles * USERS; n++) {
        tile_row *row = &r->rows[n];

        if (row->request < 0) continue;
        for (int64_t k = 0; k < r->n_best; k++)
            if (row->items[k] < 0) row->scores[k] = 0;
        consume(context, row->request, row->items, row->scores);
    }
}

cf_status eval_rank(const cf_eval_scorer *scorer, const cf_eval_request *request,
                    const eval_candidates *candidates, eval_user_fn *consume, void *context)
{
    const cf_par *world = &scorer->items->grid->world;
    ranking r = {.scorer = scorer, .request = request, .candidates = candidates};
    cf_status status = CF_OK;

    CF_TRY(ranking_create(&r));
    for (int64_t round = 0; round < r.n_rounds; round++) {
        const int64_t first = round * r.held_user_tiles;
        /* 0 if only other ranks have users left */
        const int64_t n = cf_max(cf_min(r.n_user_tiles - first, r.held_user_tiles), 0);

        CF_TRY(load_users(&r, first, n));
        CF_TRY(pass_items(&r, n, round > 0 && r.held_item_tiles == r.n_item_tiles));
        CF_TRY(cf_par_agree(world, check_finite(&r, n)));
        consume_round(&r, n, consume, context);
    }
done:
    ranking_destroy(&r);
    return status;
}
