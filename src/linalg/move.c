/* Between a matrix dealt out over a mesh and parts that ranks hold row by row. */
#include "scalapack.h"

#include <string.h>

/* Numbers of its part that a rank moves in a round, over the ranks: what one of them meets is as
 * much, if the part is dealt out evenly. */
static const int64_t round_numbers = (int64_t)1 << 23;

/* A move under way; arrays of ints are one number a rank. */
typedef struct move {
    const cf_cyclic *a;
    cf_slab *parts; /* ranks */
    int64_t most;   /* numbers in my or anybody's part of a round, at least one row */
    int *part_count, *part_at;
    int *local_count, *local_at;
    void *part, *local; /* packed: of my part; of what I have of all parts */
} move;

/* One end of a copy: my part, row by row, or my share of the matrix, column by column. */
typedef struct end {
    void *data;
    cf_type type;
    int64_t stride;
    bool local;
} end;

/* First number from `i` on that process p has, blocks being dealt out. */
static int64_t next_dealt(int64_t i, int64_t block, int n_processes, int p)
{
    const int64_t b = i / block, away = (p - b % n_processes + n_processes) % n_processes;

    return away == 0 ? i : (b + away) * block;
}

/* Rows of a part that go in round `round`. */
static cf_slab piece_of(const move *m, int rank, int64_t round)
{
    cf_slab piece = m->parts[rank];
    const int64_t width = piece.n_columns > 0 ? piece.n_columns : 1;
    const int64_t rows = m->most / width > 1 ? m->most / width : 1;
    const int64_t first = linalg_smaller(round * rows, piece.n_rows);

    piece.n_rows = linalg_smaller(rows, piece.n_rows - first);
    piece.first_row += first;
    return piece;
}

/* Numbers of `piece` on process (p, q). */
static int64_t numbers_on(const cf_cyclic *a, const cf_slab *piece, int p, int q)
{
    const cf_mesh *mesh = a->mesh;
    const int64_t row = piece->first_row, column = piece->first_column;

    return (linalg_dealt(row + piece->n_rows, a->block, mesh->n_rows, p) -
            linalg_dealt(row, a->block, mesh->n_rows, p)) *
           (linalg_dealt(column + piece->n_columns, a->block, mesh->n_columns, q) -
            linalg_dealt(column, a->block, mesh->n_columns, q));
}

/* Numbers of rank `of`'s part in a round that rank `on` has. */
static int64_t numbers_between(const move *m, int64_t round, int of, int on)
{
    const cf_mesh *mesh = m->a->mesh;
    const cf_slab piece = piece_of(m, of, round);

    if (on >= mesh->n_rows * mesh->n_columns) return 0;
    return numbers_on(m->a, &piece, on / mesh->n_columns, on % mesh->n_columns);
}

#define COPY(to_real, from_real)                                                                   \
    for (int64_t k = 0; k < n; k++)                                                                \
    ((to_real *)to)[to_at + k * to_step] =                                                         \
        (to_real)((const from_real *)from)[from_at + k * from_step]

static void copy(void *to, cf_type to_type, int64_t to_at, int64_t to_step, const void *from,
                 cf_type from_type, int64_t from_at, int64_t from_step, int64_t n)
{
    if (to_type == CF_F64 && from_type == CF_F64)
        COPY(double, double);
    else if (to_type == CF_F64)
        COPY(double, float);
    else if (from_type == CF_F64)
        COPY(float, double);
    else
        COPY(float, float);
}

/* Copy what process (p, q) has of a piece between one end and `packed`, row by row. */
static void pack(const cf_cyclic *a, const cf_slab *piece, const int process[2], const end *e,
                 void *packed, bool to_packed)
{
    const cf_mesh *mesh = a->mesh;
    const int64_t last_row = piece->first_row + piece->n_rows,
                  last_column = piece->first_column + piece->n_columns;
    int64_t at = 0;

    for (int64_t i = next_dealt(piece->first_row, a->block, mesh->n_rows, process[0]); i < last_row;
         i = next_dealt(i + 1, a->block, mesh->n_rows, process[0])) {
        const int64_t row = e->local ? i / a->block / mesh->n_rows * a->block + i % a->block
                                     : (i - piece->first_row) * e->stride;

        for (int64_t j = next_dealt(piece->first_column, a->block, mesh->n_columns, process[1]);
             j < last_column;) {
            const int64_t n = linalg_smaller((j / a->block + 1) * a->block, last_column) - j;
            const int64_t column = j / a->block / mesh->n_columns * a->block + j % a->block;
            const int64_t place =
                e->local ? row + column * e->stride : row + j - piece->first_column;
            const int64_t step = e->local ? e->stride : 1;

            if (to_packed)
                copy(packed, a->type, at, 1, e->data, e->type, place, step, n);
            else
                copy(e->data, e->type, place, step, packed, a->type, at, 1, n);
            at += n;
            j = next_dealt(j + n, a->block, mesh->n_columns, process[1]);
        }
    }
}

/* Pack or unpack what I have of every rank's piece (`local`), or what every rank has of mine. */
static void pack_all(const move *m, int64_t round, bool local, const end *e, bool to_packed)
{
    const cf_mesh *mesh = m->a->mesh;
    const int me = mesh->world.rank;
    const int64_t size = (int64_t)cf_store_type_size(m->a->type);

    if (local && !linalg_on_mesh(mesh)) return;
    for (int rank = 0; rank < mesh->world.size; rank++) {
        const int owner = local ? me : rank;
        const int process[2] = {owner / mesh->n_columns, owner % mesh->n_columns};
        const cf_slab piece = piece_of(m, local ? rank : me, round);
        char *packed = local ? (char *)m->local + m->local_at[rank] * size
                             : (char *)m->part + m->part_at[rank] * size;

        if ((local ? m->local_count : m->part_count)[rank] > 0)
            pack(m->a, &piece, process, e, packed, to_packed);
    }
}

/* Counts of a round; false if they do not fit an int. `total`: numbers of my part, and on me. */
static bool count_round(move *m, int64_t round, int64_t total[2])
{
    const int me = m->a->mesh->world.rank;

    total[0] = total[1] = 0;
    for (int rank = 0; rank < m->a->mesh->world.size; rank++) {
        const int64_t mine = numbers_between(m, round, me, rank);
        const int64_t theirs = numbers_between(m, round, rank, me);

        m->part_at[rank] = (int)total[0];
        m->local_at[rank] = (int)total[1];
        total[0] += mine;
        total[1] += theirs;
        if (total[0] > INT_MAX || total[1] > INT_MAX) return false;
        m->part_count[rank] = (int)mine;
        m->local_count[rank] = (int)theirs;
    }
    return true;
}

static int64_t count_rounds(const move *m)
{
    int64_t rounds = 0;

    for (int rank = 0; rank < m->a->mesh->world.size; rank++) {
        const int64_t rows = piece_of(m, rank, 0).n_rows;
        const int64_t n = rows > 0 ? (m->parts[rank].n_rows + rows - 1) / rows : 0;

        rounds = n > rounds ? n : rounds;
    }
    return rounds;
}

/* Local. Errors: MEMORY, USAGE. */
static cf_status create_buffers(move *m, int64_t rounds)
{
    int64_t most[2] = {0, 0}, total[2];
    cf_status status;

    for (int64_t round = 0; round < rounds; round++) {
        if (!count_round(m, round, total))
            CF_TRY(CF_FAIL(CF_ERR_USAGE,
                           "a matrix of %lld x %lld on %d ranks: its rows are too wide to be moved",
                           (long long)m->a->n_rows, (long long)m->a->n_columns,
                           m->a->mesh->world.size));
        for (int k = 0; k < 2; k++)
            most[k] = total[k] > most[k] ? total[k] : most[k];
    }
    CF_TRY(cf_alloc(&m->part, most[0], cf_store_type_size(m->a->type)));
    CF_TRY(cf_alloc(&m->local, most[1], cf_store_type_size(m->a->type)));
done:
    return status;
}

static cf_status create_move(move *m)
{
    const int64_t n = m->a->mesh->world.size;
    cf_status status;

    CF_TRY(CF_ALLOC(m->parts, n));
    CF_TRY(CF_ALLOC(m->part_count, 4 * n));
    m->part_at = m->part_count + n;
    m->local_count = m->part_count + 2 * n;
    m->local_at = m->part_count + 3 * n;
    m->most = round_numbers / n;
done:
    return status;
}

static void destroy_move(move *m)
{
    cf_free(&m->parts);
    cf_free(&m->part_count);
    cf_free(&m->part);
    cf_free(&m->local);
}

static void move_round(move *m, int64_t round, const end *part, const end *local, bool put)
{
    const MPI_Datatype real = m->a->type == CF_F64 ? MPI_DOUBLE : MPI_FLOAT;
    int64_t total[2];

    count_round(m, round, total);
    pack_all(m, round, !put, put ? part : local, true);
    if (put)
        MPI_Alltoallv(m->part, m->part_count, m->part_at, real, m->local, m->local_count,
                      m->local_at, real, m->a->mesh->world.comm);
    else
        MPI_Alltoallv(m->local, m->local_count, m->local_at, real, m->part, m->part_count,
                      m->part_at, real, m->a->mesh->world.comm);
    pack_all(m, round, put, put ? local : part, false);
}

static cf_status move_part(const cf_cyclic *a, const cf_slab *part, end of_part, bool put)
{
    const cf_par *world = &a->mesh->world;
    const end of_local = {a->data, a->type, a->local_rows, true};
    const int64_t size = (int64_t)cf_store_type_size(of_part.type);
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
        end now = of_part;

        now.data =
            (char *)of_part.data +
            (piece_of(&m, world->rank, round).first_row - part->first_row) * part->stride * size;
        move_round(&m, round, &now, &of_local, put);
    }
done:
    destroy_move(&m);
    return status;
}

cf_status cf_linalg_get_cyclic(const cf_cyclic *a, const cf_slab *part, cf_type type, void *data)
{
    return move_part(a, part, (end){data, type, part->stride, false}, false);
}

cf_status cf_linalg_put_cyclic(cf_cyclic *a, const cf_slab *part, cf_type type, const void *data)
{
    return move_part(a, part, (end){(void *)(uintptr_t)data, type, part->stride, false}, true);
}

static cf_slab part_of_table(const cf_cyclic *a, const cf_table *table)
{
    CF_ASSERT(table->n_rows == a->n_rows && table->dim == a->n_columns);
    return (cf_slab){table->first_row, table->local_rows, table->first_dim, table->local_dim,
                     table->width};
}

cf_status cf_linalg_get_table(const cf_cyclic *a, cf_table *table)
{
    const cf_slab part = part_of_table(a, table);

    return cf_linalg_get_cyclic(a, &part, CF_F32, table->data);
}

cf_status cf_linalg_put_table(cf_cyclic *a, const cf_table *table)
{
    const cf_slab part = part_of_table(a, table);

    return cf_linalg_put_cyclic(a, &part, CF_F32, table->data);
}
