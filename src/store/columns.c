/* Transfers of rows whose columns are cut among ranks. Each piece of a row would be a call of the
 * file system. So the ranks that hold slices of the same rows, a group, exchange in
 * memory first: of each round of rows every rank of the group gets an even part as whole rows,
 * which lie in the file as one run. Reading goes the other way. (Two-phase I/O of Thakur, Gropp and
 * Lusk 1999, with the partners known.) tests/store/roundtrip.c compares with rows that are whole.
 *
 * Writing, a rank sends its slice (rows of the round x its columns) to the ranks that get its rows.
 * It receives pieces (its part of the rows x the columns of each rank), which it interleaves to
 * whole rows. Reading takes the same steps backwards: the reply of the same plan.
 */
#include "internal.h"

#include <string.h>

static const int64_t round_bytes = (int64_t)1
                                   << 24; /* of a rank's own slice; three such buffers are held */

typedef struct columns {
    cf_par group;      /* ranks with my rows, by their first column; null comm if I have none */
    int64_t *start;    /* size + 1: rank k of the group has columns start[k] .. start[k + 1] - 1 */
    int64_t max_width; /* columns of the widest slice */
    cf_plan plan;      /* bytes: send by rows of the slice, receive pieces */
    char *slice;       /* rows of a round x my columns */
    char *pieces;      /* my part of these rows, the columns of one rank after another's */
    char *rows;        /* my part of these rows, whole */
} columns;

/* A rank with rows has a group, if only of itself; an idle rank has none. */
static bool has_group(const columns *c)
{
    return c->group.comm != MPI_COMM_NULL;
}

/* The lowest rank with the same rows as `me`, given the slabs of all ranks; -1 if the columns of
 * these ranks do not make up whole rows. */
static int find_group(const cf_slab *slabs, int n_ranks, int me, int64_t n_columns)
{
    const cf_slab *mine = &slabs[me];
    int64_t before = 0, all = 0;
    int lowest = n_ranks;

    for (int rank = n_ranks - 1; rank >= 0; rank--) {
        const cf_slab *slab = &slabs[rank];

        if (slab->first_row != mine->first_row || slab->n_rows != mine->n_rows ||
            slab->n_columns == 0)
            continue;
        if (slab->first_column < mine->first_column) before += slab->n_columns;
        all += slab->n_columns;
        lowest = rank;
    }
    return before == mine->first_column && all == n_columns ? lowest : -1;
}

/* Make the groups. `*cut` is true if rows are cut on any rank, and the groups of all ranks have
 * whole rows; without it there are no groups. Collective. */
static cf_status create_group(const cf_store *store, const store_array *array, const cf_slab *slab,
                              columns *c, bool *cut)
{
    const cf_par *par = &store->par;
    cf_slab *slabs = NULL;
    bool idle = slab->n_rows == 0 || slab->n_columns == 0;
    int state[2], lowest = 0; /* all groups are complete; all ranks have all columns */
    cf_status status = CF_ALLOC(slabs, par->size);

    CF_TRY(cf_par_agree(par, status));
    MPI_Allgather(slab, sizeof *slab, MPI_BYTE, slabs, sizeof *slab, MPI_BYTE, par->comm);
    if (!idle) lowest = find_group(slabs, par->size, par->rank, array->shape[1]);
    state[0] = lowest >= 0;
    state[1] = idle || slab->n_columns == array->shape[1];
    MPI_Allreduce(MPI_IN_PLACE, state, 2, MPI_INT, MPI_MIN, par->comm);
    *cut = state[0] && !state[1];
    if (*cut)
        MPI_Comm_split(par->comm, idle ? MPI_UNDEFINED : lowest, cf_par_count(slab->first_column),
                       &c->group.comm);
done:
    cf_free(&slabs);
    return status;
}

static void destroy_columns(columns *c)
{
    if (has_group(c)) MPI_Comm_free(&c->group.comm);
    cf_par_destroy_plan(&c->plan);
    cf_free(&c->start);
    cf_free(&c->slice);
    cf_free(&c->pieces);
    cf_free(&c->rows);
}

/* Rows of a round: the same on all ranks of the group. */
static int64_t rows_per_round(const columns *c, size_t size)
{
    return cf_max(round_bytes / (c->max_width * (int64_t)size), 1);
}

/* Buffers of one round, and the columns that each rank of the group has. Collective over the group;
 * the status is the rank's own. */
static cf_status create_buffers(columns *c, const store_array *array, const cf_slab *slab)
{
    size_t size = cf_store_type_size(array->type);
    int64_t n, part;
    cf_status status;

    MPI_Comm_rank(c->group.comm, &c->group.rank);
    MPI_Comm_size(c->group.comm, &c->group.size);
    c->max_width = slab->n_columns;
    MPI_Allreduce(MPI_IN_PLACE, &c->max_width, 1, MPI_INT64_T, MPI_MAX, c->group.comm);
    n = cf_min(rows_per_round(c, size), slab->n_rows);
    part = n / c->group.size + 1;
    CF_TRY(CF_ALLOC(c->start, c->group.size + 1));
    CF_TRY(cf_par_create_plan(&c->group, &c->plan));
    CF_TRY(cf_alloc(&c->slice, n * slab->n_columns, size));
    CF_TRY(cf_alloc(&c->pieces, part * array->shape[1], size));
    CF_TRY(cf_alloc(&c->rows, part * array->shape[1], size));
done:
    return status;
}

/* Fill the plan for a round of `n` rows, of which `part` are mine. All counts follow from n, so
 * nothing is communicated. */
static void plan_round(columns *c, int64_t n, int64_t part, int64_t size)
{
    const int n_ranks = c->group.size;
    const int64_t width = (c->start[c->group.rank + 1] - c->start[c->group.rank]) * size;

    for (int k = 0; k < n_ranks; k++) {
        const int64_t n_theirs =
            cf_par_even_start(n, n_ranks, k + 1) - cf_par_even_start(n, n_ranks, k);

        c->plan.send_count[k] = cf_par_count(n_theirs * width);
        c->plan.recv_count[k] = cf_par_count(part * (c->start[k + 1] - c->start[k]) * size);
    }
    cf_par_order_plan(&c->plan);
}

/* Make whole rows of pieces, or pieces of whole rows. */
static void interleave(columns *c, int64_t part, int64_t size, bool to_rows)
{
    const int64_t row_bytes = c->start[c->group.size] * size;

    for (int k = 0; k < c->group.size; k++) {
        int64_t shape[2] = {part, (c->start[k + 1] - c->start[k]) * size};
        char *piece = c->pieces + part * c->start[k] * size, *row = c->rows + c->start[k] * size;

        if (to_rows)
            store_copy_rows(row, row_bytes, piece, shape[1], shape);
        else
            store_copy_rows(piece, shape[1], row, row_bytes, shape);
    }
}

/* One round of this group: the rows of `slab`. After an error (`status`) the file is left alone,
 * but the partners are served. Collective over the group; the status is the rank's own. */
static cf_status move_round(const cf_store *store, const store_array *array, bool write, columns *c,
                            const cf_slab *slab, char *data, cf_status status)
{
    const int64_t size = (int64_t)cf_store_type_size(array->type), n = slab->n_rows;
    const int64_t first = cf_par_even_start(n, c->group.size, c->group.rank);
    const int64_t part = cf_par_even_start(n, c->group.size, c->group.rank + 1) - first;
    const int64_t shape[2] = {n, slab->n_columns * size};
    const cf_slab whole = {slab->first_row + first, part, 0, array->shape[1], array->shape[1]};

    plan_round(c, n, part, size);
    if (write) {
        store_copy_rows(c->slice, shape[1], data, slab->stride * size, shape);
        cf_par_send(&c->plan, c->slice, c->pieces, MPI_BYTE);
        interleave(c, part, size, true);
    }
    /* whole rows: one run in the file */
    if (status == CF_OK) status = store_move(store, array, write, &whole, c->rows);
    if (!write) {
        interleave(c, part, size, false);
        cf_par_reply(&c->plan, c->pieces, c->slice, MPI_BYTE);
        store_copy_rows(data, slab->stride * size, c->slice, shape[1], shape);
    }
    return status;
}

/* All rounds of this group. Collective over the group; the status is the rank's own. */
static cf_status move_rounds(const cf_store *store, const store_array *array, bool write,
                             columns *c, const cf_slab *slab, char *data)
{
    const int64_t rows = rows_per_round(c, cf_store_type_size(array->type));
    cf_status status = CF_OK;

    MPI_Allgather(&slab->first_column, 1, MPI_INT64_T, c->start, 1, MPI_INT64_T, c->group.comm);
    c->start[c->group.size] = array->shape[1];
    for (int64_t first = 0; first < slab->n_rows; first += rows) {
        const cf_slab part = store_part(slab, first, rows);

        status = move_round(store, array, write, c, &part, data + store_offset(array, slab, first),
                            status);
    }
    return status;
}

/* An idle rank has no group, and nothing to move. */
cf_status store_move_columns(const cf_store *store, const store_array *array, bool write,
                             const cf_slab *slab, void *data, bool *moved)
{
    columns c = {.group.comm = MPI_COMM_NULL};
    cf_status status;

    CF_TRY(create_group(store, array, slab, &c, moved));
    if (!*moved) goto done;
    if (has_group(&c)) status = create_buffers(&c, array, slab);
    CF_TRY(cf_par_agree(&store->par, status));
    if (has_group(&c)) status = move_rounds(store, array, write, &c, slab, data);
    CF_TRY(cf_par_agree(&store->par, status));
done:
    destroy_columns(&c);
    return status;
}
