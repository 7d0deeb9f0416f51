/* Choosing the parameter of a map and its gain on warm items that are held out as if they were
 * cold.
 *
 * H: a share of the items that are fitted on, the first in a hashed order. The map is fitted
 * without them, and gives their rows in a copy of the table. Some users, again the first in a
 * hashed order, are asked for what they like: their history is their train items outside of H,
 * which are masked and, with an item-item matrix, are all that scores; what they like are their
 * train items in H and warm items that training did not see: their valid items, or, where the
 * dataset has no valid part, one of their train items outside of H, drawn and taken out of the
 * history. All warm items are ranked, scores of H times the gain; NDCG at 10 decides. A larger gain
 * brings more of H up and pushes other items down: the shares of both that are hit show the
 * exchange.
 *
 * A gain changes the order between the items of H and the others, never within: so the best of the
 * others are ranked once, those of H once a parameter, and each gain merges two short lists. A rank
 * does so for its own part of the users; sums are exact. tests/cold compares with NumPy. */
#include "internal.h"

#include "cf/eval.h"

#include <math.h>
#include <string.h>

enum { LENGTH = 10 };

/* What is drawn, as counters of the random stream. */
enum { DRAW_ITEMS, DRAW_USERS, DRAW_WITHHELD };

/* The best items of each user of this rank's part, as cf_eval_topk() gives them. */
typedef struct best_lists {
    int64_t *items; /* n_users x LENGTH, -1 past the last */
    float *scores;  /* n_users x LENGTH */
} best_lists;

typedef struct calibration {
    const cf_cold_options *options;
    const cf_cold_place *place;
    cf_random key;
    uint8_t *held; /* n_items: in H */
    int64_t n_held;
    uint8_t *asked;  /* users of the block: is asked */
    int64_t n_asked; /* on all ranks */
    int64_t *users;  /* n_users: those of them that this rank ranks for */
    int64_t n_users;
    cf_shard shard;                /* histories as train, what is liked as test; else the place's */
    cf_table *items;               /* copy of the place's table */
    cold_rows rows;                /* of H */
    uint8_t *not_held, *not_other; /* n_items: who is no candidate among H, among the others */
    best_lists best_held, best_other;
    cf_eval_scorer scorer;
} calibration;

/* ---- Who is held out, and who is asked ---- */

/* Items are known to all ranks, so that each finds the same by itself. Local. */
static cf_status hold_items_out(calibration *c, cold_vectors *v)
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
static int64_t count_held(const calibration *c, int64_t user)
{
    const cf_lists *train = &c->place->shard->train;
    int64_t count = 0;

    for (int64_t e = train->start[user]; e < train->start[user + 1]; e++)
        count += c->held[train->index[e]];
    return count;
}

/* Is one train item withheld of each user? */
static bool withholds(const calibration *c)
{
    return c->place->dataset->n_valid == 0;
}

/* A user can be asked with an item in H and one left as history. */
static bool can_be_asked(const calibration *c, int64_t user)
{
    const cf_lists *train = &c->place->shard->train;
    const int64_t n_held = count_held(c, user),
                  n_left = train->start[user + 1] - train->start[user] - n_held;

    return n_held >= 1 && n_left >= 1 + withholds(c);
}

/* The ranks of a grid column have all users. Collective. */
static cf_status choose_users(calibration *c)
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
static int64_t draw_withheld(const calibration *c, int64_t user)
{
    const cf_shard *shard = c->place->shard;
    const int64_t n_left =
        shard->train.start[user + 1] - shard->train.start[user] - count_held(c, user);

    if (!withholds(c)) return -1;
    return cf_random_below(c->key, (uint64_t)(shard->first_user + user), DRAW_WITHHELD, 0, n_left);
}

/* One user's lists, which begin where those of the user before end. `scratch`: as many numbers as
 * test->index. */
static void divide_items(calibration *c, int64_t user, uint64_t *scratch)
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
        if (!cold_is_marked(shard, valid->index[e])) append(liked, user, valid->index[e]);
    cf_sort_u64((uint64_t *)liked->index + first, scratch, liked->start[user + 1] - first);
}

/* Local. */
static cf_status create_lists(calibration *c)
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

/* My part of those who are asked, and room for their lists. The ranks of a grid row have the same
 * users, and divide them evenly. Local. */
static cf_status create_lists_of_best(calibration *c)
{
    const cf_grid *grid = c->place->grid;
    const int64_t n = c->items->n_rows;
    int64_t in_block = 0, first, end, seen = 0;
    cf_status status;

    for (int64_t u = 0; u < c->shard.n_users; u++)
        in_block += c->asked[u];
    first = cf_par_even_start(in_block, grid->n_columns, grid->my_column);
    end = cf_par_even_start(in_block, grid->n_columns, grid->my_column + 1);
    CF_TRY(CF_ALLOC(c->users, end - first));
    CF_TRY(CF_ALLOC(c->not_held, n));
    CF_TRY(CF_ALLOC(c->not_other, n));
    CF_TRY(CF_ALLOC(c->best_held.items, (end - first) * LENGTH));
    CF_TRY(CF_ALLOC(c->best_held.scores, (end - first) * LENGTH));
    CF_TRY(CF_ALLOC(c->best_other.items, (end - first) * LENGTH));
    CF_TRY(CF_ALLOC(c->best_other.scores, (end - first) * LENGTH));
    for (int64_t u = 0; u < c->shard.n_users; u++)
        if (c->asked[u] && seen++ >= first && seen <= end) c->users[c->n_users++] = u;
    for (int64_t i = 0; i < n; i++) {
        c->not_held[i] = !c->held[i];
        c->not_other[i] = c->held[i] || cold_is_marked(c->place->shard, i);
    }
done:
    return status;
}

/* The users' rows are those of the tables; scores are made of the histories of the shard. */
static cf_eval_scorer create_scorer(const calibration *c)
{
    cf_eval_scorer scorer = c->place->users != NULL
                                ? cf_eval_products(c->place->users, c->items, &c->shard)
                                : cf_eval_item_sums(c->items, &c->shard);

    scorer.popular = false; /* who is asked has a history */
    return scorer;
}

/* ---- Trying ---- */

/* Collective. */
static cf_status rank_users(const calibration *c, const uint8_t *excluded, const best_lists *out)
{
    return cf_eval_topk(&c->scorer,
                        &(cf_eval_request){.users = c->users,
                                           .count = c->n_users,
                                           .k = LENGTH,
                                           .mask_train = true,
                                           .memory = c->place->memory,
                                           .excluded = excluded},
                        out->items, out->scores);
}

/* Sums over users; the second of two is of H. */
typedef struct tally {
    cf_exact ndcg;
    int64_t counts[4]; /* hits, then what is liked */
} tally;

/* Add the list of one user: the best of both lists, scores of H times the gain; ties to the lower
 * item. */
static void add_user(const calibration *c, int64_t k, double gain, tally *sums)
{
    const int64_t *of_held = c->best_held.items + k * LENGTH,
                  *of_other = c->best_other.items + k * LENGTH;
    const float *held_score = c->best_held.scores + k * LENGTH,
                *other_score = c->best_other.scores + k * LENGTH;
    const int64_t *start = c->shard.test.start + c->users[k],
                  *liked = c->shard.test.index + start[0];
    double found = 0, ideal = 0;

    for (int64_t rank = 0, h = 0, o = 0; rank < LENGTH; rank++) {
        const double worth = 1 / log2((double)rank + 2), a = gain * (double)held_score[h],
                     b = (double)other_score[o];
        const bool held =
            of_held[h] >= 0 && (of_other[o] < 0 || a > b || (a == b && of_held[h] < of_other[o]));
        const int64_t item = held ? of_held[h++] : of_other[o++];

        if (rank < start[1] - start[0]) ideal += worth;
        if (item < 0 || !cf_contains_i64(liked, start[1] - start[0], item)) continue;
        found += worth;
        sums->counts[held]++;
    }
    for (int64_t j = 0; j < start[1] - start[0]; j++)
        sums->counts[2 + c->held[liked[j]]]++;
    cf_exact_add(&sums->ndcg, found / ideal);
}

/* Fill the numbers of a point. Collective. */
static void measure(const calibration *c, cf_cold_point *point)
{
    const cf_par *world = &c->place->grid->world;
    tally sums = {0};

    for (int64_t k = 0; k < c->n_users; k++)
        add_user(c, k, point->gain, &sums);
    cf_par_sum_exact(world, &sums.ndcg, 1);
    MPI_Allreduce(MPI_IN_PLACE, sums.counts, 4, MPI_INT64_T, MPI_SUM, world->comm);
    point->ndcg = cf_exact_value(&sums.ndcg) / (double)c->n_asked;
    point->warm_hit = sums.counts[2] > 0 ? (double)sums.counts[0] / (double)sums.counts[2] : 0;
    point->cold_hit = (double)sums.counts[1] / (double)sums.counts[3];
}

/* All gains with the rows as they are; a gain of 1 is shown in any case, and chosen if it is one of
 * the options'. Collective. */
static cf_status try_gains(calibration *c, double parameter, double *best, cf_cold_map *map)
{
    const cf_cold_options *options = c->options;
    bool has_one = false;
    cf_status status;

    cold_put_rows(&c->rows, 1, c->items);
    CF_TRY(rank_users(c, c->not_held, &c->best_held));
    for (int g = 0; g <= options->n_gains; g++) {
        cf_cold_point *point = &map->points[map->n_points];

        if (g == options->n_gains && has_one) break;
        *point = (cf_cold_point){.parameter = parameter,
                                 .gain = g < options->n_gains ? options->gains[g] : 1};
        has_one = has_one || point->gain == 1;
        measure(c, point);
        map->n_points++;
        if (g == options->n_gains || point->ndcg <= *best) continue;
        *best = point->ndcg;
        map->parameter = point->parameter;
        map->gain = point->gain;
    }
done:
    return status;
}

/* Collective. */
static cf_status try_nearest(calibration *c, const cold_vectors *v, cf_cold_map *map)
{
    const cf_cold_options *options = c->options;
    int64_t most = 0, *nearest = NULL;
    double best = -1;
    cf_status status = CF_OK;

    for (int n = 0; n < options->n_neighbors; n++)
        most = cf_max(most, options->neighbors[n]);
    CF_TRY(cold_find_nearest(v, &c->rows, most, c->place->memory, &nearest));
    for (int n = 0; n < options->n_neighbors; n++) {
        CF_TRY(cold_fill_nearest(c->place->items, nearest, most, options->neighbors[n], &c->rows));
        CF_TRY(try_gains(c, (double)options->neighbors[n], &best, map));
    }
done:
    cf_free(&nearest);
    return status;
}

/* Collective. */
static cf_status try_ridge(calibration *c, const cold_vectors *v, cf_cold_map *map)
{
    const cf_cold_options *options = c->options;
    cold_ridge ridge;
    cf_table *weights = NULL;
    double best = -1;
    cf_status status;

    CF_TRY(cold_create_ridge(v, c->place->items, &ridge));
    CF_TRY(cold_create_weights(c->place->grid, map->source_dim, map->dim, &weights));
    for (int n = 0; n < options->n_reg; n++) {
        CF_TRY(cold_solve_ridge(&ridge, options->reg[n], weights));
        CF_TRY(cold_fill_ridge(v, weights, &c->rows));
        CF_TRY(try_gains(c, options->reg[n], &best, map));
    }
done:
    cold_destroy_ridge(&ridge);
    cf_table_destroy(&weights);
    return status;
}

/* ---- The whole ---- */

static void destroy_calibration(calibration *c)
{
    cf_lists *lists[] = {&c->shard.train, &c->shard.valid, &c->shard.test};

    for (int k = 0; k < 3; k++) {
        cf_free(&lists[k]->start);
        cf_free(&lists[k]->index);
    }
    cf_free(&c->held);
    cf_free(&c->asked);
    cf_free(&c->users);
    cf_free(&c->not_held);
    cf_free(&c->not_other);
    cf_free(&c->best_held.items);
    cf_free(&c->best_held.scores);
    cf_free(&c->best_other.items);
    cf_free(&c->best_other.scores);
    cf_table_destroy(&c->items);
    cold_destroy_rows(&c->rows);
}

/* All that no parameter changes. Collective. */
static cf_status set_up(calibration *c, cf_cold_map *map)
{
    const cf_cold_options *options = c->options;
    const cf_table *items = c->place->items;
    const int n_parameters = map->kind == CF_COLD_NEAREST ? options->n_neighbors : options->n_reg;
    cf_status status;

    CF_TRY(cf_table_create(c->place->grid, &items->blocks, items->dim, &c->items));
    memcpy(c->items->data, items->data,
           (size_t)(items->local_rows * items->width) * sizeof *items->data);
    CF_TRY(cold_create_rows(items, c->held, &c->rows));
    status = create_lists(c);
    if (status == CF_OK) status = create_lists_of_best(c);
    if (status == CF_OK) status = CF_ALLOC(map->points, n_parameters * (options->n_gains + 1));
    CF_TRY(cf_par_agree(&c->place->grid->world, status));
    c->scorer = create_scorer(c);
    CF_TRY(rank_users(c, c->not_other, &c->best_other));
done:
    return status;
}

/* While H is outside of the fit. Collective. */
static cf_status try_all(calibration *c, cold_vectors *v, cf_cold_map *map)
{
    const int64_t n = v->rows->n_rows;
    cf_status status;

    CF_TRY(set_up(c, map));
    for (int64_t i = 0; i < n; i++)
        v->outside[i] |= c->held[i];
    status = map->kind == CF_COLD_NEAREST ? try_nearest(c, v, map) : try_ridge(c, v, map);
    for (int64_t i = 0; i < n; i++)
        v->outside[i] ^= c->held[i];
done:
    return status;
}

cf_status cold_calibrate(const cf_cold_options *options, const cf_cold_place *place,
                         cold_vectors *v, cf_cold_map *map)
{
    calibration c = {.options = options,
                     .place = place,
                     .key = {options->seed, CF_STREAM_CALIBRATE},
                     .shard = *place->shard};
    cf_status status = CF_OK;

    c.shard.train = c.shard.valid = c.shard.test = (cf_lists){0};
    c.shard.cold = NULL;
    map->gain = 1;
    map->parameter = map->kind == CF_COLD_NEAREST ? (double)options->neighbors[0] : options->reg[0];
    if (options->calibrate_share == 0) return CF_OK;
    CF_TRY(cf_par_agree(&place->grid->world, hold_items_out(&c, v)));
    CF_TRY(choose_users(&c));
    if (c.n_asked == 0) {
        cf_warn("the map of cold items is not calibrated: no user has a train item among the %lld "
                "that are held out, and others",
                (long long)c.n_held);
        goto done;
    }
    CF_TRY(try_all(&c, v, map));
done:
    destroy_calibration(&c);
    return status;
}
