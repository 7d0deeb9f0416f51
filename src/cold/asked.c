/* Calibration: which items are held out, who is asked, and about what.
 *
 * Items and users are the first in a hashed order of (seed, number), so that neither the number of
 * ranks nor the grid changes who they are. The lists are by user of the block, as a shard has them:
 * history as train, what is liked as test, both ascending. */
#include "internal.h"

/* What is drawn, as counters of the random stream. */
enum { DRAW_ITEMS, DRAW_USERS, DRAW_WITHHELD };

/* ---- Who is held out, and who is asked ---- */

/* Items are known to all ranks, so that each finds the same by itself. Local. */
static cf_status hold_items_out(cold_asked *c, cold_vectors *v)
{
    const cf_par self = {MPI_COMM_SELF, 0, 1};
    const int64_t n = v->rows->n_rows;
    uint64_t *keys = NULL;
    cf_status status;

    c->n_held = (int64_t)(c->options->calibrate_share * (double)v->n_inside);
    CF_TRY(CF_ALLOC(c->held, n));
    CF_TRY(CF_ALLOC(keys, n));
    for (int64_t i = 0; i < n; i++)
        keys[i] = v->outside[i] ? UINT64_MAX : cf_random_bits(c->key, (uint64_t)i, DRAW_ITEMS, 0);
    cf_par_mark_first(&self, keys, n, c->n_held, c->held);
done:
    cf_free(&keys);
    return status;
}

/* Train items of a user that are in H. */
static int64_t count_held(const cold_asked *c, int64_t user)
{
    const cf_lists *train = &c->place->shard->train;
    int64_t count = 0;

    for (int64_t e = train->start[user]; e < train->start[user + 1]; e++)
        count += c->held[train->index[e]];
    return count;
}

/* Is one train item withheld of each user? */
static bool withholds(const cold_asked *c)
{
    return c->place->dataset->n_valid == 0;
}

/* Is a valid item a target outside of H? */
static bool has_valid_target(const cold_asked *c, int64_t user)
{
    const cf_shard *shard = c->place->shard;
    const cf_lists *valid = &shard->valid;
    bool has = false;

    for (int64_t e = valid->start[user]; e < valid->start[user + 1] && !has; e++)
        has = !c->held[valid->index[e]] && !cf_is_cold(shard->cold, valid->index[e]);
    return has;
}

/* A user can be asked with a target outside of H, and a train item left as history. */
static bool can_be_asked(const cold_asked *c, int64_t user)
{
    const cf_lists *train = &c->place->shard->train;
    const int64_t n_left = train->start[user + 1] - train->start[user] - count_held(c, user);

    return withholds(c) ? n_left >= 2 : n_left >= 1 && has_valid_target(c, user);
}

/* The ranks of a grid column have all users. Collective. */
static cf_status choose_users(cold_asked *c)
{
    const cf_grid *grid = c->place->grid;
    const cf_shard *shard = c->place->shard;
    uint64_t *keys = NULL;
    cf_status status = CF_ALLOC(keys, shard->n_users);

    if (status == CF_OK) status = CF_ALLOC(c->asked, shard->n_users);
    CF_TRY(cf_par_agree(&grid->world, status));
    for (int64_t u = 0; u < shard->n_users; u++) {
        const bool can = can_be_asked(c, u);

        keys[u] = can ? cf_random_bits(c->key, (uint64_t)(shard->first_user + u), DRAW_USERS, 0)
                      : UINT64_MAX;
        c->n_asked += can;
    }
    MPI_Allreduce(MPI_IN_PLACE, &c->n_asked, 1, MPI_INT64_T, MPI_SUM, grid->column.comm);
    c->n_asked = cf_min(c->n_asked, c->options->calibrate_users);
    cf_par_mark_first(&grid->column, keys, shard->n_users, c->n_asked, c->asked);
done:
    cf_free(&keys);
    return status;
}

/* ---- Histories, and what is liked ---- */

static void append(cf_lists *lists, int64_t user, int64_t item)
{
    lists->index[lists->start[user + 1]++] = item;
}

/* The number, among the user's train items outside of H, of the one that is withheld; -1: none. */
static int64_t draw_withheld(const cold_asked *c, int64_t user)
{
    const cf_shard *shard = c->place->shard;
    const int64_t n_left =
        shard->train.start[user + 1] - shard->train.start[user] - count_held(c, user);

    if (!withholds(c)) return -1;
    return cf_random_below(c->key, (uint64_t)(shard->first_user + user), DRAW_WITHHELD, 0, n_left);
}

/* One user's lists, which begin where those of the user before end. `scratch`: as many numbers as
 * test->index. */
static void divide_items(cold_asked *c, int64_t user, uint64_t *scratch)
{
    const cf_shard *shard = c->place->shard;
    const cf_lists *train = &shard->train, *valid = &shard->valid;
    cf_lists *history = &c->shard.train, *liked = &c->shard.test;
    const int64_t withheld = draw_withheld(c, user), first = liked->start[user];
    int64_t n_left = 0;

    for (int64_t e = train->start[user]; e < train->start[user + 1]; e++) {
        const int64_t item = train->index[e];
        const bool held = c->held[item] != 0;

        append(held || n_left == withheld ? liked : history, user, item);
        n_left += !held;
    }
    for (int64_t e = valid->start[user]; e < valid->start[user + 1]; e++)
        if (!cf_is_cold(shard->cold, valid->index[e])) append(liked, user, valid->index[e]);
    cf_sort_u64((uint64_t *)liked->index + first, scratch, liked->start[user + 1] - first);
}

/* Local. */
static cf_status create_lists(cold_asked *c)
{
    const cf_shard *shard = c->place->shard;
    const int64_t n_users = shard->n_users, n_train = shard->train.start[n_users],
                  n_all = n_train + shard->valid.start[n_users];
    cf_lists *lists[] = {&c->shard.train, &c->shard.valid, &c->shard.test};
    const int64_t sizes[] = {n_train, 0, n_all};
    uint64_t *scratch = NULL;
    cf_status status = CF_OK;

    for (int k = 0; k < 3; k++) {
        lists[k]->count = n_users;
        CF_TRY(CF_ALLOC(lists[k]->start, n_users + 1));
        CF_TRY(CF_ALLOC(lists[k]->index, sizes[k]));
    }
    CF_TRY(CF_ALLOC(scratch, n_all));
    for (int64_t u = 0; u < n_users; u++) {
        for (int k = 0; k < 3; k++)
            lists[k]->start[u + 1] = lists[k]->start[u];
        if (c->asked[u]) divide_items(c, u, scratch);
    }
done:
    cf_free(&scratch);
    return status;
}

/* Collective. */
static void count_targets(cold_asked *c)
{
    const cf_lists *liked = &c->shard.test;

    for (int64_t e = 0; e < liked->start[liked->count]; e++)
        c->n_targets[c->held[liked->index[e]]]++;
    MPI_Allreduce(MPI_IN_PLACE, c->n_targets, 2, MPI_INT64_T, MPI_SUM, c->place->grid->column.comm);
}

cf_status cold_ask(const cf_cold_options *options, const cf_cold_place *place, cold_vectors *v,
                   cold_asked *out)
{
    cf_status status;

    *out = (cold_asked){.options = options,
                        .place = place,
                        .key = {options->seed, CF_STREAM_CALIBRATE},
                        .shard = *place->shard};
    out->shard.train = out->shard.valid = out->shard.test = (cf_lists){0};
    CF_TRY(cf_par_agree(&place->grid->world, hold_items_out(out, v)));
    CF_TRY(choose_users(out));
    CF_TRY(cf_par_agree(&place->grid->world, create_lists(out)));
    count_targets(out);
done:
    return status;
}

void cold_destroy_asked(cold_asked *asked)
{
    cf_lists *lists[] = {&asked->shard.train, &asked->shard.valid, &asked->shard.test};

    for (int k = 0; k < 3; k++) {
        cf_free(&lists[k]->start);
        cf_free(&lists[k]->index);
    }
    cf_free(&asked->held);
    cf_free(&asked->asked);
}
