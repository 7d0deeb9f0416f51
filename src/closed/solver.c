/* What the solutions of EASE, L3AE and ItemKNN have in common. Matrices of all items lie over all
 * ranks as ScaLAPACK wants them (cf_cyclic, n x n); the result is moved into a table over the grid.
 * Its rows are those of B', the transpose of the papers' B, so that a score is, as in every model,
 * the product of a user's row and an item's: a user's row is X's, zeros and ones. */
#include "internal.h"

#include <math.h>
#include <string.h>

void closed_lap(closed_solver *s, double *part, const char *what)
{
    const double now = cf_clock_now(), seconds = now - s->clock;

    *part += seconds;
    s->clock = now;
    cf_log("%s: %s, %.1f s", s->closed->form->name, what, seconds);
}

cf_status closed_open_solver(closed_solver *s)
{
    const cf_par *world = &s->closed->grid->world;
    cf_status status;

    s->clock = cf_clock_now();
    s->n = s->closed->table[CF_ITEMS]->n_rows;
    status = CF_ALLOC(s->diagonal, s->n);
    if (status == CF_OK) status = CF_ALLOC(s->factors, s->n);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cf_linalg_create_mesh(world, 0, 0, &s->mesh));
done:
    return status;
}

/* A solver of zero bytes, or one whose opening failed, may be closed. */
void closed_close_solver(closed_solver *s)
{
    cf_free(&s->diagonal);
    cf_free(&s->factors);
    cf_linalg_destroy_mesh(&s->mesh);
}

cf_status closed_create_matrix(const closed_solver *s, cf_type type, const int64_t shape[2],
                               cf_cyclic **out)
{
    return cf_linalg_create_cyclic(s->mesh, type, shape, CF_CLOSED_BLOCK, out);
}

cf_status closed_create_items(const closed_solver *s, cf_cyclic **out)
{
    return closed_create_matrix(s, s->closed->options.precision, (const int64_t[]){s->n, s->n},
                                out);
}

cf_cyclic_size closed_size_of(const closed_size *size, cf_type type, int64_t n_rows,
                              int64_t n_columns)
{
    return (cf_cyclic_size){n_rows, n_columns, CF_CLOSED_BLOCK, type, size->n_ranks};
}

cf_cyclic_size closed_size_of_items(const closed_size *size)
{
    return closed_size_of(size, size->precision, size->n, size->n);
}

double closed_predict_table(const closed_size *size, int64_t dim)
{
    return 4 * (double)size->n * CF_LANES * (double)cf_table_segments(dim) / size->n_ranks;
}

double closed_predict_kept(const closed_size *size)
{
    const cf_cyclic_size items = closed_size_of_items(size);

    return cf_linalg_predict_matrix(&items) + cf_linalg_predict_move(&items);
}

double closed_predict_inverted(const closed_size *size)
{
    const cf_cyclic_size items = closed_size_of_items(size);

    return fmax(cf_linalg_predict_matrix(&items) + cf_linalg_predict_inverse(&items),
                closed_predict_kept(size));
}

cf_status closed_invert(cf_cyclic *matrix, double weight, const char *what, const char *setting)
{
    cf_status status;

    cf_linalg_add_diagonal(matrix, weight);
    status = cf_linalg_invert(matrix);
    if (status == CF_ERR_NUMERIC)
        status = CF_FAIL(CF_ERR_NUMERIC, "Gram matrix of the %s: %s: a larger %s helps", what,
                         cf_error_message(), setting);
    return status;
}

void closed_constrain(closed_solver *s, cf_cyclic *p)
{
    cf_linalg_get_diagonal(p, s->diagonal);
    for (int64_t j = 0; j < s->n; j++)
        s->factors[j] = -1 / s->diagonal[j];
    cf_linalg_scale_rows(p, s->factors);
    cf_linalg_fill_diagonal(p, 0);
}

/* The train lists of the users of grid row `row`, on every rank of the grid column. Those of my row
 * are borrowed from the shard; others are new, also if this fails. Collective over the grid. */
static cf_status broadcast_lists(const cf_closed *closed, int row, cf_lists *out)
{
    const cf_par *column = &closed->grid->column;
    const cf_lists *mine = &closed->shard->train;
    int64_t sizes[2] = {mine->count, mine->start[mine->count]};
    cf_status status = CF_OK;

    *out = row == column->rank ? *mine : (cf_lists){0};
    /* a single block is this rank's own, so nothing is sent and nothing can fail */
    if (column->size == 1) return CF_OK;
    cf_par_broadcast(column, sizes, sizeof sizes, row);
    if (row != column->rank) {
        out->count = sizes[0];
        status = CF_ALLOC(out->start, sizes[0] + 1);
        if (status == CF_OK) status = CF_ALLOC(out->index, sizes[1]);
    }
    CF_TRY(cf_par_agree(&closed->grid->world, status));
    cf_par_broadcast(column, out->start, (sizes[0] + 1) * (int64_t)sizeof *out->start, row);
    cf_par_broadcast(column, out->index, sizes[1] * (int64_t)sizeof *out->index, row);
done:
    return status;
}

/* Add the pairs of some users, each with the weight |user's items|^-user_weight. Local. */
static cf_status add_lists(const cf_lists *lists, double user_weight, cf_cyclic *gram)
{
    double *weights = NULL;
    cf_status status = CF_OK;

    if (user_weight != 0) {
        CF_TRY(CF_ALLOC(weights, lists->count));
        for (int64_t u = 0; u < lists->count; u++)
            weights[u] = pow((double)(lists->start[u + 1] - lists->start[u]), -user_weight);
    }
    CF_TRY(cf_linalg_add_pairs(gram, lists->start, lists->index, weights, lists->count));
done:
    cf_free(&weights);
    return status;
}

/* gram += X' D_U^-user_weight X. In each round all ranks get the users of one block, and each adds
 * the pairs that lie in its part of the matrix: no rank ever holds the interactions of more than
 * two blocks. So users go in ascending order, whatever the blocks. */
static cf_status add_pairs(const closed_solver *s, double user_weight, cf_cyclic *gram)
{
    const cf_closed *closed = s->closed;
    cf_status status = CF_OK;

    for (int row = 0; row < closed->grid->n_rows && status == CF_OK; row++) {
        cf_lists lists;

        status = broadcast_lists(closed, row, &lists);
        if (status == CF_OK)
            status = cf_par_agree(&closed->grid->world, add_lists(&lists, user_weight, gram));
        if (row != closed->grid->my_row) {
            cf_free(&lists.start);
            cf_free(&lists.index);
        }
    }
    return status;
}

cf_status closed_count_pairs(closed_solver *s, double user_weight, cf_cyclic **out)
{
    cf_status status;

    CF_TRY(closed_create_items(s, out));
    CF_TRY(add_pairs(s, user_weight, *out));
    closed_lap(s, &s->seconds.gram, "pairs of items counted");
done:
    return status;
}

cf_status closed_invert_pairs(closed_solver *s, double weight, cf_cyclic **out)
{
    const cf_closed_options *options = &s->closed->options;
    cf_status status;

    CF_TRY(closed_count_pairs(s, options->user_weight, out));
    cf_linalg_scale_diagonal(*out, 1 / (1 - options->item_dropout)); /* 1 + p / (1 - p) */
    CF_TRY(closed_invert(*out, weight, "items", "reg_weight"));
    closed_lap(s, &s->seconds.invert, "Gram matrix inverted");
done:
    return status;
}

/* The items' train users, at least 1, on every rank. An item is in the block of one grid row, and
 * counted by the first rank of it. */
static void count_users(const closed_solver *s, double *out)
{
    const cf_grid *grid = s->closed->grid;
    const cf_shard *shard = s->closed->shard;
    const cf_table *items = s->closed->table[CF_ITEMS];

    memset(out, 0, (size_t)s->n * sizeof *out);
    for (int64_t i = 0; i < items->local_rows && grid->my_column == 0; i++)
        out[items->first_row + i] =
            (double)(shard->train_by_item.start[i + 1] - shard->train_by_item.start[i]);
    MPI_Allreduce(MPI_IN_PLACE, out, cf_par_count(s->n), MPI_DOUBLE, MPI_SUM, grid->world.comm);
    for (int64_t i = 0; i < s->n; i++)
        out[i] = fmax(out[i], 1);
}

void closed_apply_power(closed_solver *s, cf_cyclic *matrix)
{
    const double power = s->closed->options.item_power;

    if (power == 0) return;
    count_users(s, s->diagonal);
    for (int64_t i = 0; i < s->n; i++) {
        s->factors[i] = pow(s->diagonal[i], -power);
        s->diagonal[i] = pow(s->diagonal[i], power);
    }
    cf_linalg_scale_rows(matrix, s->factors);
    cf_linalg_scale_columns(matrix, s->diagonal);
}

cf_status closed_keep(closed_solver *s, const cf_cyclic *solution)
{
    cf_status status;

    CF_TRY(cf_linalg_get_table(solution, s->closed->table[CF_ITEMS]));
    CF_TRY(cf_table_check_finite(s->closed->table[CF_ITEMS], "item-item matrix"));
    closed_lap(s, &s->seconds.rest, "item-item matrix dealt out");
done:
    return status;
}
