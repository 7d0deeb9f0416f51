/* Choosing the parameter of a map and its gain on warm items that are held out as if they were
 * cold.
 *
 * H: a share of the items that are fitted on, the first in a hashed order. The map is fitted
 * without them, and gives their rows. Some users, again the first in a hashed order, are asked for
 * what they like: their history is their train items outside of H, which are masked and, with an
 * item-item matrix, are all that scores. Targets are their train items in H, and warm items that
 * training did not see: their valid items, or, where the dataset has no valid part, one of their
 * train items outside of H, drawn and taken out of the history. All warm items are ranked, scores
 * of H times the gain. A target at rank r of ten is worth 1 / log2(r + 1), one that is not found 0.
 * A larger gain brings more of H up and pushes other items down.
 *
 * By ndcg, the mean worth decides, that of targets in H and that of the others with equal weight,
 * among the gains that keep most of the hits of the others: training knew the items of H, which
 * favours them. A table that is trained by steps has learned its train pairs by heart, so that this
 * is no measure of it. By norm, the gain makes the rows of H as long as those they have in the
 * table: a mean of rows is shorter than they are. src/cold/README.md has the measurements.
 *
 * A gain changes the order between the items of H and the others, never within: so the best of the
 * others are ranked once, those of H once a parameter, and each gain merges two short lists. A rank
 * does so for its own part of the users; sums are exact. tests/cold compares with NumPy. */
#include "internal.h"

#include "cf/eval.h"

#include <math.h>

enum { LENGTH = 10 };

/* The best items of each user of this rank's part, as cf_eval_topk() gives them. */
typedef struct best_lists {
    int64_t *items; /* n_users x LENGTH, -1 past the last */
    float *scores;  /* n_users x LENGTH */
} best_lists;

typedef struct calibration {
    const cf_cold_options *options;
    const cf_cold_place *place;
    bool by_norm;
    cold_asked asked;
    int64_t *users; /* n_users: those of them that this rank ranks for */
    int64_t n_users;
    cf_table *items;               /* copy of the place's table */
    cold_rows rows;                /* of H */
    uint8_t *not_held, *not_other; /* n_items: who is no candidate among H, among the others */
    best_lists best_held, best_other;
    cf_eval_scorer scorer, held_scorer; /* of the others; of H, to whose scores no filter adds */
} calibration;

/* My part of those who are asked, and room for their lists. The ranks of a grid row have the same
 * users, and divide them evenly. Local. */
static cf_status create_lists_of_best(calibration *c)
{
    const cf_grid *grid = c->place->grid;
    const int64_t n = c->items->n_rows;
    int64_t in_block = 0, first, end, seen = 0;
    cf_status status;

    for (int64_t u = 0; u < c->asked.shard.n_users; u++)
        in_block += c->asked.asked[u];
    first = cf_par_even_start(in_block, grid->n_columns, grid->my_column);
    end = cf_par_even_start(in_block, grid->n_columns, grid->my_column + 1);
    CF_TRY(CF_ALLOC(c->users, end - first));
    CF_TRY(CF_ALLOC(c->not_held, n));
    CF_TRY(CF_ALLOC(c->not_other, n));
    CF_TRY(CF_ALLOC(c->best_held.items, (end - first) * LENGTH));
    CF_TRY(CF_ALLOC(c->best_held.scores, (end - first) * LENGTH));
    CF_TRY(CF_ALLOC(c->best_other.items, (end - first) * LENGTH));
    CF_TRY(CF_ALLOC(c->best_other.scores, (end - first) * LENGTH));
    for (int64_t u = 0; u < c->asked.shard.n_users; u++)
        if (c->asked.asked[u] && seen++ >= first && seen <= end) c->users[c->n_users++] = u;
    for (int64_t i = 0; i < n; i++) {
        c->not_held[i] = !c->asked.held[i];
        c->not_other[i] = c->asked.held[i] || cf_is_cold(c->place->shard->cold, i);
    }
done:
    return status;
}

/* ---- Trying ---- */

/* Collective. */
static cf_status rank_users(const calibration *c, const cf_eval_scorer *scorer,
                            const uint8_t *excluded, const best_lists *out)
{
    return cf_eval_topk(scorer,
                        &(cf_eval_request){.users = c->users,
                                           .count = c->n_users,
                                           .k = LENGTH,
                                           .mask_train = true,
                                           .memory = c->place->memory,
                                           .excluded = excluded},
                        out->items, out->scores);
}

/* Sums over users, of targets outside of H and in H. */
typedef struct tally {
    cf_exact worth[2];
    int64_t n_hits[2];
} tally;

/* Add the list of one user: the best of both lists, scores of H times the gain; ties to the lower
 * item. */
static void add_user(const calibration *c, int64_t k, double gain, tally *sums)
{
    const int64_t *of_held = c->best_held.items + k * LENGTH,
                  *of_other = c->best_other.items + k * LENGTH;
    const float *held_score = c->best_held.scores + k * LENGTH,
                *other_score = c->best_other.scores + k * LENGTH;
    const int64_t *start = c->asked.shard.test.start + c->users[k],
                  *liked = c->asked.shard.test.index + start[0];

    for (int64_t rank = 0, h = 0, o = 0; rank < LENGTH; rank++) {
        const double a = gain * (double)held_score[h], b = (double)other_score[o];
        const bool held =
            of_held[h] >= 0 && (of_other[o] < 0 || a > b || (a == b && of_held[h] < of_other[o]));
        const int64_t item = held ? of_held[h++] : of_other[o++];

        if (item < 0 || !cf_contains_i64(liked, start[1] - start[0], item)) continue;
        cf_exact_add(&sums->worth[held], 1 / log2((double)rank + 2));
        sums->n_hits[held]++;
    }
}

/* Fill the numbers of a point. Collective. */
static void measure(const calibration *c, cf_cold_point *point)
{
    const cf_par *world = &c->place->grid->world;
    const double n[2] = {(double)cf_max(c->asked.n_targets[0], 1),
                         (double)cf_max(c->asked.n_targets[1], 1)};
    tally sums = {0};

    for (int64_t k = 0; k < c->n_users; k++)
        add_user(c, k, point->gain, &sums);
    cf_par_sum_exact(world, sums.worth, 2);
    MPI_Allreduce(MPI_IN_PLACE, sums.n_hits, 2, MPI_INT64_T, MPI_SUM, world->comm);
    point->ndcg =
        (cf_exact_value(&sums.worth[0]) / n[0] + cf_exact_value(&sums.worth[1]) / n[1]) / 2;
    point->warm_hit = (double)sums.n_hits[0] / n[0];
    point->cold_hit = (double)sums.n_hits[1] / n[1];
}

/* The gain at which the rows of H are as long as those that the table has, by their mean squares.
 * Collective. */
static double find_norm_gain(const calibration *c)
{
    const cf_table *own = c->place->items;
    cf_exact sums[2] = {0}; /* of squares: of the table's rows, of the map's */

    for (int64_t n = 0; n < c->rows.n_mine; n++) {
        const int64_t row = c->rows.items[c->rows.first + n] - own->first_row;

        for (int64_t d = 0; d < own->width; d++) {
            const double x = (double)own->data[row * own->width + d],
                         y = (double)c->rows.rows[n * own->width + d];

            cf_exact_add(&sums[0], x * x);
            cf_exact_add(&sums[1], y * y);
        }
    }
    cf_par_sum_exact(&c->place->grid->world, sums, 2);
    return cf_exact_value(&sums[0]) > 0 && cf_exact_value(&sums[1]) > 0
               ? sqrt(cf_exact_value(&sums[0]) / cf_exact_value(&sums[1]))
               : 1;
}

static void try_gain(const calibration *c, double parameter, double gain, cf_cold_map *map)
{
    cf_cold_point *point = &map->points[map->n_points++];

    *point = (cf_cold_point){.parameter = parameter, .gain = gain};
    measure(c, point);
}

/* All gains with the rows as they are, 1 among them; last, by norm, the one of the lengths.
 * Collective. */
static cf_status try_gains(calibration *c, double parameter, cf_cold_map *map)
{
    const cf_cold_options *options = c->options;
    bool has_one = false;
    cf_status status;

    cold_put_rows(&c->rows, 1, c->items);
    CF_TRY(rank_users(c, &c->held_scorer, c->not_held, &c->best_held));
    for (int g = 0; g < options->n_gains; g++) {
        try_gain(c, parameter, options->gains[g], map);
        has_one = has_one || options->gains[g] == 1;
    }
    if (!has_one) try_gain(c, parameter, 1, map);
    if (c->by_norm) try_gain(c, parameter, find_norm_gain(c), map);
done:
    return status;
}

/* Collective. */
static cf_status try_nearest(calibration *c, const cold_vectors *v, cf_cold_map *map)
{
    const cf_cold_options *options = c->options;
    int64_t most = 0, *nearest = NULL;
    cf_status status = CF_OK;

    for (int n = 0; n < options->n_neighbors; n++)
        most = cf_max(most, options->neighbors[n]);
    CF_TRY(cold_find_nearest(v, &c->rows, most, c->place->memory, &nearest));
    for (int n = 0; n < options->n_neighbors; n++) {
        CF_TRY(cold_fill_nearest(c->place->items, nearest, most, options->neighbors[n], &c->rows));
        CF_TRY(try_gains(c, (double)options->neighbors[n], map));
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
    cf_status status;

    CF_TRY(cold_create_ridge(v, c->place->items, &ridge));
    CF_TRY(cold_create_weights(c->place->grid, map->source_dim, map->dim, &weights));
    for (int n = 0; n < options->n_reg; n++) {
        CF_TRY(cold_solve_ridge(&ridge, options->reg[n], weights));
        CF_TRY(cold_fill_ridge(v, weights, &c->rows));
        CF_TRY(try_gains(c, options->reg[n], map));
    }
done:
    cold_destroy_ridge(&ridge);
    cf_table_destroy(&weights);
    return status;
}

/* ---- Choosing ---- */

/* The share of other targets hit at the smallest gain of the parameter: nothing of H is in their
 * way there, or next to nothing. */
static double hits_without(const cf_cold_map *map, double parameter)
{
    const cf_cold_point *least = NULL;

    for (const cf_cold_point *p = map->points; p < map->points + map->n_points; p++)
        if (p->parameter == parameter && (least == NULL || p->gain < least->gain)) least = p;
    return least->warm_hit;
}

/* May the k-th point be chosen? */
static bool may_choose(const calibration *c, const cf_cold_map *map, int64_t k)
{
    const cf_cold_point *p = &map->points[k];

    if (c->by_norm) return k + 1 == map->n_points || p[1].parameter != p->parameter;
    return p->warm_hit >= (1 - c->options->calibrate_loss) * hits_without(map, p->parameter);
}

/* The best of them; of equal ones the first. */
static void choose(const calibration *c, cf_cold_map *map)
{
    const cf_cold_point *best = NULL;

    for (int64_t k = 0; k < map->n_points; k++)
        if (may_choose(c, map, k) && (best == NULL || map->points[k].ndcg > best->ndcg))
            best = &map->points[k];
    map->parameter = best->parameter;
    map->gain = best->gain;
}

/* ---- The whole ---- */

static void destroy_calibration(calibration *c)
{
    cold_destroy_asked(&c->asked);
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

    CF_TRY(cf_table_copy(items, &c->items));
    CF_TRY(cold_create_rows(items, c->asked.held, &c->rows));
    status = create_lists_of_best(c);
    if (status == CF_OK) status = CF_ALLOC(map->points, n_parameters * (options->n_gains + 2));
    CF_TRY(cf_par_agree(&c->place->grid->world, status));
    c->scorer = cf_eval_tables(c->place->users, c->items, &c->asked.shard, c->place->filter);
    c->held_scorer = cf_eval_tables(c->place->users, c->items, &c->asked.shard, NULL);
    c->scorer.popular = c->held_scorer.popular = false; /* who is asked has a history */
    CF_TRY(rank_users(c, &c->scorer, c->not_other, &c->best_other));
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
        v->outside[i] |= c->asked.held[i];
    status = map->kind == CF_COLD_NEAREST ? try_nearest(c, v, map) : try_ridge(c, v, map);
    for (int64_t i = 0; i < n; i++)
        v->outside[i] ^= c->asked.held[i];
done:
    return status;
}

cf_status cold_calibrate(const cf_cold_options *options, const cf_cold_place *place,
                         cold_vectors *v, cf_cold_map *map)
{
    calibration c = {.options = options,
                     .place = place,
                     .by_norm = options->by == CF_COLD_BY_NORM ||
                                (options->by == CF_COLD_BY_AUTO && place->users != NULL)};
    cf_status status = CF_OK;

    map->gain = 1;
    map->parameter = map->kind == CF_COLD_NEAREST ? (double)options->neighbors[0] : options->reg[0];
    if (options->calibrate_share == 0) return CF_OK;
    CF_TRY(cold_ask(options, place, v, &c.asked));
    if (c.asked.n_held == 0) {
        cf_warn("the map of cold items is not calibrated: calibrate_share of %lld items is none",
                (long long)v->n_inside);
        goto done;
    }
    CF_TRY(try_all(&c, v, map));
    if (c.by_norm || (c.asked.n_targets[0] > 0 && c.asked.n_targets[1] > 0))
        choose(&c, map);
    else
        cf_warn("the map of cold items is not calibrated: of the users who are asked none likes an "
                "item that is held out, or none another");
done:
    destroy_calibration(&c);
    return status;
}
