/* Pop: the most popular items for everyone. The score of item j is its number of train interactions
 * as the product of two tables of one column, so that all that is made of a trained model's tables
 * is made of these:
 *
 *     users (n_users x 1): 1        items (n_items x 1): degree of the item
 *
 * The tests count interactions one by one. */
#include "internal.h"

/* The one column lies in the first slice. */
static cf_status pop_solve(closed_solver *s)
{
    const cf_lists *users_of = &s->closed->shard->train_by_item;
    const cf_table *users = s->closed->table[CF_USERS], *items = s->closed->table[CF_ITEMS];

    for (int64_t u = 0; u < users->local_rows && users->local_dim > 0; u++)
        users->data[u * users->width] = 1;
    for (int64_t i = 0; i < items->local_rows && items->local_dim > 0; i++)
        items->data[i * items->width] = (float)(users_of->start[i + 1] - users_of->start[i]);
    closed_lap(s, &s->seconds.gram, "interactions counted");
    return CF_OK;
}

static int64_t pop_dim(const cf_closed_options *options)
{
    (void)options;
    return 1;
}

const closed_form closed_pop = {.name = "Pop", .uses = "", .dim = pop_dim, .solve = pop_solve};
