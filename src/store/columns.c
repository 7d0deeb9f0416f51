#include "internal.h"

#include <string.h>

/*
 * MPI-IO is slow where every row of the file is cut among ranks: it handles each piece of a row by
 * itself. So the ranks that hold slices of the same rows trade first, in memory: of each round of
 * rows, each of them gets an even part of whole rows, which lie in the file in one run. Reading
 * goes the other way. (Two-phase I/O as in Thakur, Gropp and Lusk 1999, with the partners known.)
 */
static const int64_t round_bytes = (int64_t)1
                                   << 24; /* of a rank's own slice; three such buffers are held */

typedef struct columns {
    MPI_Comm
        group; /* the ranks with my rows, in the order of their columns; null if I have no rows */
    int rank, size; /* in it */
    int64_t *start; /* size + 1: rank k of the group has columns start[k] .. start[k + 1] - 1 */
    int64_t most;   /* columns of the widest slice */
    int *counts;    /* 4 x size: bytes and places to send, bytes and places to receive */
    char *slice;    /* rows of a round x my columns */
    char
        *pieces; /* my part of these rows, the columns of each rank after those of the one before */
    char *rows;  /* my part of these rows, whole */
} columns;

static const columns nobody = {.group = MPI_COMM_NULL};

/* The lowest rank whose rows are mine; -1 if our columns do not make up the whole rows. Slabs of
 * all ranks. */
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

/* Join the ranks that share rows. `*cut` is true if rows are cut anywhere, and whole in every
 * group. Collective. */
static cf_status find_partners(const cf_store *store, const store_array *array, const cf_slab *slab,
                               columns *c, bool *cut)
{
    const cf_par *par = &store->par;
    cf_slab *slabs = NULL;
    bool idle = slab->n_rows == 0 || slab->n_columns == 0;
    int state[2], lowest = 0; /* no group is incomplete; no rank has a part of the columns alone */
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
                       &c->group);
done:
    cf_free(&slabs);
    return status;
}

static void end(columns *c)
{
    if (c->group != MPI_COMM_NULL) MPI_Comm_free(&c->group);
    cf_free(&c->start);
    cf_free(&c->counts);
    cf_free(&c->slice);
    cf_free(&c->pieces);
    cf_free(&c->rows);
}

/* Rows of a round. */
static int64_t round_rows(const columns *c, size_t size)
{
    int64_t n = round_bytes / (c->most * (int64_t)size);

    return n > 0 ? n : 1;
}

/* Memory for the trade, after find_partners(). Local, but for the group. */
static cf_status begin(columns *c, const store_array *array, const cf_slab *slab)
{
    size_t size = cf_store_type_size(array->type);
    int64_t n, part;
    cf_status status;

    MPI_Comm_rank(c->group, &c->rank);
    MPI_Comm_size(c->group, &c->size);
    c->most = slab->n_columns;
    MPI_Allreduce(MPI_IN_PLACE, &c->most, 1, MPI_INT64_T, MPI_MAX, c->group);
    n = round_rows(c, size) < slab->n_rows ? round_rows(c, size) : slab->n_rows;
    part = n / c->size + 1;
    CF_TRY(CF_ALLOC(c->start, c->size + 1));
    CF_TRY(CF_ALLOC(c->counts, 4 * c->size));
    CF_TRY(cf_alloc(&c->slice, n * slab->n_columns, size));
    CF_TRY(cf_alloc(&c->pieces, part * array->shape[1], size));
    CF_TRY(cf_alloc(&c->rows, part * array->shape[1], size));
done:
    return status;
}

static void copy_rows(char *to, int64_t to_stride, const char *from, int64_t from_stride,
                      const int64_t shape[2])
{
    for (int64_t row = 0; row < shape[0]; row++)
        memcpy(to + row * to_stride, from + row * from_stride, (size_t)shape[1]);
}

/* Send the slice of `n` rows and receive the pieces, or the other way round. */
static void trade(columns *c, int64_t n, int64_t size, bool to_pieces)
{
    int *slice_counts = c->counts, *slice_places = c->counts + c->size;
    int *piece_counts = slice_places + c->size, *piece_places = piece_counts + c->size;
    int64_t width = (c->start[c->rank + 1] - c->start[c->rank]) * size;
    int64_t part =
        cf_par_even_start(n, c->size, c->rank + 1) - cf_par_even_start(n, c->size, c->rank);

    for (int k = 0; k < c->size; k++) {
        int64_t first = cf_par_even_start(n, c->size, k),
                next = cf_par_even_start(n, c->size, k + 1);

        slice_counts[k] = cf_par_count((next - first) * width);
        slice_places[k] = cf_par_count(first * width);
        piece_counts[k] = cf_par_count(part * (c->start[k + 1] - c->start[k]) * size);
        piece_places[k] = cf_par_count(part * c->start[k] * size);
    }
    if (to_pieces)
        MPI_Alltoallv(c->slice, slice_counts, slice_places, MPI_BYTE, c->pieces, piece_counts,
                      piece_places, MPI_BYTE, c->group);
    else
        MPI_Alltoallv(c->pieces, piece_counts, piece_places, MPI_BYTE, c->slice, slice_counts,
                      slice_places, MPI_BYTE, c->group);
}

/* Whole rows from pieces, or pieces from whole rows. */
static void arrange(columns *c, int64_t part, int64_t size, bool to_rows)
{
    int64_t whole = c->start[c->size] * size;

    for (int k = 0; k < c->size; k++) {
        int64_t shape[2] = {part, (c->start[k + 1] - c->start[k]) * size};
        char *piece = c->pieces + part * c->start[k] * size, *place = c->rows + c->start[k] * size;

        if (to_rows)
            copy_rows(place, whole, piece, shape[1], shape);
        else
            copy_rows(piece, shape[1], place, whole, shape);
    }
}

/* One round: the rows of `slab`, which are this group's. Collective. */
static cf_status move_round(const cf_store *store, const store_array *array, bool write, columns *c,
                            const cf_slab *slab, char *data)
{
    int64_t size = (int64_t)cf_store_type_size(array->type), n = slab->n_rows;
    int64_t shape[2] = {n, slab->n_columns * size};
    cf_slab whole = {.n_columns = array->shape[1], .stride = array->shape[1]};
    cf_status status;

    if (n > 0) {
        int64_t first = cf_par_even_start(n, c->size, c->rank);

        whole.first_row = slab->first_row + first;
        whole.n_rows = cf_par_even_start(n, c->size, c->rank + 1) - first;
    }
    if (n > 0 && write) {
        copy_rows(c->slice, shape[1], data, slab->stride * size, shape);
        trade(c, n, size, true);
        arrange(c, whole.n_rows, size, true);
    }
    CF_TRY(store_move(store, array, write, &whole, c->rows));
    if (n > 0 && !write) {
        arrange(c, whole.n_rows, size, false);
        trade(c, n, size, false);
        copy_rows(data, slab->stride * size, c->slice, shape[1], shape);
    }
done:
    return status;
}

cf_status store_move_columns(const cf_store *store, const store_array *array, bool write,
                             const cf_slab *slab, void *data, bool *moved)
{
    size_t size = cf_store_type_size(array->type);
    int64_t rows = 1, calls;
    columns c = nobody;
    cf_status status;

    CF_TRY(find_partners(store, array, slab, &c, moved));
    if (!*moved) goto done;
    if (c.group != MPI_COMM_NULL) status = begin(&c, array, slab);
    CF_TRY(cf_par_agree(&store->par, status));
    if (c.group != MPI_COMM_NULL) {
        rows = round_rows(&c, size);
        MPI_Allgather(&slab->first_column, 1, MPI_INT64_T, c.start, 1, MPI_INT64_T, c.group);
        c.start[c.size] = array->shape[1];
    }
    calls = store_calls(store, c.group != MPI_COMM_NULL ? slab->n_rows : 0, rows);
    for (int64_t k = 0; k < calls; k++) {
        cf_slab part = store_part(slab, k * rows, rows);

        if (c.group == MPI_COMM_NULL) part.n_rows = 0;
        CF_TRY(move_round(store, array, write, &c, &part,
                          (char *)data +
                              (part.n_rows == 0 ? 0 : (size_t)(k * rows * slab->stride) * size)));
    }
done:
    end(&c);
    return status;
}
