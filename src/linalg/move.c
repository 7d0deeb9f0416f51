/* Between a block-cyclic matrix and parts that ranks hold row by row (row blocks, tables, whole
 * small matrices): every rank has the parts of all (a slab of rows and columns each), so all know
 * who exchanges what, and only numbers are sent.
 *
 * A move goes in rounds of some rows of every part. In a round the numbers of a part that one
 * process of the mesh has are packed row by row, by the rank that has the part or by the process;
 * both find the same order by the block-cyclic formula. A plan's send side is the part's, its
 * receive side the matrix's: putting into the matrix sends, getting from it replies.
 * tests/linalg/cyclic.c writes and reads with all types and meshes. */
#include "scalapack.h"

#include <string.h>

/* A move under way. */
typedef struct move {
    const cf_cyclic *a;
    cf_slab *parts;     /* ranks */
    int64_t most;       /* numbers of a rank's part in a round, at least one row */
    cf_plan plan;       /* of the current round; send: numbers of my part on each rank */
    void *part, *local; /* packed: numbers of my part; what I have of all parts */
} move;

/* How numbers lie at one end of a move: my part, row by row, or my part of the matrix, column by
 * column. */
typedef struct layout {
    void *data;
    cf_type type;
    int64_t stride; /* of rows, or of columns if `cyclic` */
    bool cyclic;
} layout;

/* ---- Who has what ---- */

/* The first number from `i` on that process p has. */
static int64_t next_on_process(int64_t i, int64_t block, int n_processes, int p)
{
    const int64_t b = i / block, away = (p - b % n_processes + n_processes) % n_processes;

    return away == 0 ? i : (b + away) * block;
}

/* The rows of rank `rank`'s part that are moved in round `round`. */
static cf_slab piece_of(const move *m, int rank, int64_t round)
{
    cf_slab piece = m->parts[rank];
    const int64_t rows = cf_max(1, m->most / cf_max(1, piece.n_columns));
    const int64_t first = cf_min(round * rows, piece.n_rows);

    piece.n_rows = cf_min(rows, piece.n_rows - first);
    piece.first_row += first;
    return piece;
}

/* Numbers of a piece on process (p, q). */
static int64_t numbers_on(const cf_cyclic *a, const cf_slab *piece, int p, int q)
{
    const cf_mesh *mesh = a->mesh;
    const int64_t row = piece->first_row, column = piece->first_column;

    return (linalg_local_count(row + piece->n_rows, a->block, mesh->n_rows, p) -
            linalg_local_count(row, a->block, mesh->n_rows, p)) *
           (linalg_local_count(column + piece->n_columns, a->block, mesh->n_columns, q) -
            linalg_local_count(column, a->block, mesh->n_columns, q));
}

/* Numbers of rank `of`'s part in a round that rank `on` has in the matrix. */
static int64_t numbers_between(const move *m, int64_t round, int of, int on)
{
    const cf_mesh *mesh = m->a->mesh;
    const cf_slab piece = piece_of(m, of, round);

    if (on >= mesh->n_rows * mesh->n_columns) return 0;
    return numbers_on(m->a, &piece, on / mesh->n_columns, on % mesh->n_columns);
}

/* The plan of a round. False if its counts do not fit an int. */
static bool plan_round(move *m, int64_t round)
{
    const cf_par *world = &m->a->mesh->world;
    int64_t n_send = 0, n_recv = 0;

    for (int rank = 0; rank < world->size; rank++) {
        const int64_t mine = numbers_between(m, round, world->rank, rank);
        const int64_t theirs = numbers_between(m, round, rank, world->rank);

        n_send += mine;
        n_recv += theirs;
        if (n_send > INT_MAX || n_recv > INT_MAX) return false;
        m->plan.send_count[rank] = (int)mine;
        m->plan.recv_count[rank] = (int)theirs;
    }
    cf_par_order_plan(&m->plan);
    return true;
}

/* As many as the largest part needs. */
static int64_t count_rounds(const move *m)
{
    int64_t rounds = 0;

    for (int rank = 0; rank < m->a->mesh->world.size; rank++) {
        const int64_t rows = piece_of(m, rank, 0).n_rows;

        if (rows > 0) rounds = cf_max(rounds, cf_ceil_div(m->parts[rank].n_rows, rows));
    }
    return rounds;
}

/* ---- Packing ---- */

/* `n` numbers, the first and the step counted in numbers. */
typedef struct strided {
    void *data;
    cf_type type;
    int64_t first, step;
} strided;

/* A loop for each pair of types. */
#define COPY(to_real, from_real)                                                                   \
    for (int64_t k = 0; k < n; k++)                                                                \
    ((to_real *)to->data)[to->first + k * to->step] =                                              \
        (to_real)((const from_real *)from->data)[from->first + k * from->step]

/* Converts on the way: a table is float32, the matrix may be float64. */
static void copy_numbers(const strided *to, const strided *from, int64_t n)
{
    if (to->type == CF_F64 && from->type == CF_F64)
        COPY(double, double);
    else if (to->type == CF_F64)
        COPY(double, float);
    else if (from->type == CF_F64)
        COPY(float, double);
    else
        COPY(float, float);
}

/* A row of a piece from column `j` on, as far as one block goes, in `e`. */
static strided find_run(const cf_cyclic *a, const cf_slab *piece, const layout *e, int64_t i,
                        int64_t j)
{
    int64_t row, column;

    if (!e->cyclic)
        return (strided){e->data, e->type,
                         (i - piece->first_row) * e->stride + j - piece->first_column, 1};
    row = linalg_local_index(i, a->block, a->mesh->n_rows);
    column = linalg_local_index(j, a->block, a->mesh->n_columns);
    return (strided){e->data, e->type, row + column * e->stride, e->stride};
}

/* Copy what process (p, q) has of a piece between one end and `packed`, row by row. */
static void pack_piece(const cf_cyclic *a, const cf_slab *piece, const int process[2],
                       const layout *e, void *packed, bool to_packed)
{
    const cf_mesh *mesh = a->mesh;
    const int64_t last_row = piece->first_row + piece->n_rows,
                  last_column = piece->first_column + piece->n_columns;
    strided buffer = {packed, a->type, 0, 1};

    for (int64_t i = next_on_process(piece->first_row, a->block, mesh->n_rows, process[0]);
         i < last_row; i = next_on_process(i + 1, a->block, mesh->n_rows, process[0]))
        for (int64_t j =
                 next_on_process(piece->first_column, a->block, mesh->n_columns, process[1]);
             j < last_column;) {
            const int64_t n = cf_min((j / a->block + 1) * a->block, last_column) - j;
            const strided run = find_run(a, piece, e, i, j);

            copy_numbers(to_packed ? &buffer : &run, to_packed ? &run : &buffer, n);
            buffer.first += n;
            j = next_on_process(j + n, a->block, mesh->n_columns, process[1]);
        }
}

/* Pack or unpack one side of a round: what I have in the matrix of every rank's piece (`e` cyclic),
 * or what every rank has of my piece. */
static void pack_round(const move *m, int64_t round, const layout *e, bool to_packed)
{
    const cf_mesh *mesh = m->a->mesh;
    const int me = mesh->world.rank;
    const int *count = e->cyclic ? m->plan.recv_count : m->plan.send_count;
    const int *start = e->cyclic ? m->plan.recv_start : m->plan.send_start;
    char *buffer = e->cyclic ? m->local : m->part;

    for (int rank = 0; rank < mesh->world.size; rank++) {
        const int owner = e->cyclic ? me : rank;
        const int process[2] = {owner / mesh->n_columns, owner % mesh->n_columns};
        const cf_slab piece = piece_of(m, e->cyclic ? rank : me, round);

        if (count[rank] > 0)
            pack_piece(m->a, &piece, process, e,
                       buffer + start[rank] * (int64_t)cf_store_type_size(m->a->type), to_packed);
    }
}

/* ---- Moving ---- */

/* What is needed before the parts of the other ranks are known. Local. Errors: MEMORY. */
static cf_status create_move(move *m)
{
    const cf_par *world = &m->a->mesh->world;
    cf_status status;

    CF_TRY(CF_ALLOC(m->parts, world->size));
    CF_TRY(cf_par_create_plan(world, &m->plan));
    m->most = LINALG_ROUND / world->size;
done:
    return status;
}

/* Buffers for the largest round. Local. Errors: MEMORY, USAGE. */
static cf_status create_buffers(move *m, int64_t rounds)
{
    int64_t n_send = 0, n_recv = 0;
    cf_status status;

    for (int64_t round = 0; round < rounds; round++) {
        CF_REQUIRE(plan_round(m, round), CF_ERR_USAGE,
                   "a matrix of %lld x %lld on %d ranks: a row of one rank's part has more numbers "
                   "than an MPI count can hold",
                   (long long)m->a->n_rows, (long long)m->a->n_columns, m->a->mesh->world.size);
        n_send = cf_max(n_send, m->plan.n_send);
        n_recv = cf_max(n_recv, m->plan.n_recv);
    }
    CF_TRY(cf_alloc(&m->part, n_send, cf_store_type_size(m->a->type)));
    CF_TRY(cf_alloc(&m->local, n_recv, cf_store_type_size(m->a->type)));
done:
    return status;
}

static void destroy_move(move *m)
{
    cf_free(&m->parts);
    cf_par_destroy_plan(&m->plan);
    cf_free(&m->part);
    cf_free(&m->local);
}

/* Pack at one end, exchange, unpack at the other. `part`: my part, from the rows of this round on.
 * Collective. */
static void move_round(move *m, int64_t round, const layout *part, bool put)
{
    const layout local = {m->a->data, m->a->type, m->a->local_rows, true};
    const MPI_Datatype real = linalg_mpi_type(m->a->type);

    plan_round(m, round);
    pack_round(m, round, put ? part : &local, true);
    if (put)
        cf_par_send(&m->plan, m->part, m->local, real);
    else
        cf_par_reply(&m->plan, m->local, m->part, real);
    pack_round(m, round, put ? &local : part, false);
}

/* Put `part` into the matrix, or get it. Collective. */
static cf_status move_part(const cf_cyclic *a, const cf_slab *part, layout rows, bool put)
{
    const cf_par *world = &a->mesh->world;
    const int64_t size = (int64_t)cf_store_type_size(rows.type);
    char *first = rows.data;
    move m = {.a = a};
    int64_t rounds;
    cf_status status;

    CF_ASSERT(part->first_row >= 0 && part->first_row + part->n_rows <= a->n_rows);
    CF_ASSERT(part->first_column >= 0 && part->first_column + part->n_columns <= a->n_columns);
    CF_TRY(cf_par_agree(world, create_move(&m)));
    MPI_Allgather(part, sizeof *part, MPI_BYTE, m.parts, sizeof *part, MPI_BYTE, world->comm);
    rounds = count_rounds(&m);
    CF_TRY(cf_par_agree(world, create_buffers(&m, rounds)));
    for (int64_t round = 0; round < rounds; round++) {
        const int64_t done_rows = piece_of(&m, world->rank, round).first_row - part->first_row;

        rows.data = first + done_rows * part->stride * size;
        move_round(&m, round, &rows, put);
    }
done:
    destroy_move(&m);
    return status;
}

cf_status cf_linalg_get_cyclic(const cf_cyclic *a, const cf_slab *part, cf_type type, void *data)
{
    return move_part(a, part, (layout){data, type, part->stride, false}, false);
}

cf_status cf_linalg_put_cyclic(cf_cyclic *a, const cf_slab *part, cf_type type, const void *data)
{
    /* a layout is read or written by the direction of the move: here only read */
    return move_part(a, part, (layout){(void *)(uintptr_t)data, type, part->stride, false}, true);
}

/* A table's part is a slab like any other; its row stride is the padded width. */
cf_status cf_linalg_get_table(const cf_cyclic *a, cf_table *table)
{
    const cf_slab part = {table->first_row, table->local_rows, table->first_dim, table->local_dim,
                          table->width};

    CF_ASSERT(table->n_rows == a->n_rows && table->dim == a->n_columns);
    return cf_linalg_get_cyclic(a, &part, CF_F32, table->data);
}
