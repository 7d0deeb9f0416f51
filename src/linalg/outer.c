/* Sums of outer products, C += alpha L'R, over the inner blocks one after the other.
 *
 * For an inner block of `width` numbers the ranks that have a piece of a factor broadcast it (one
 * Allgatherv; all ranks know from the block-cyclic formula who has what), and each rank keeps the
 * rows that belong to its rows of C as L, and those that belong to its columns as R. Then every
 * block of C that it has grows by one gemm of block x width x block: fixed shapes, and the inner
 * blocks in their order, so each element of C has the same bits on any mesh. The diagonal block of
 * the mesh needs no special case. Memory: (longest side + local rows + local columns) x block.
 * tests/linalg/factor.c multiplies by three loops and compares meshes with one rank. */
#include "outer.h"
#include "cf/blas.h"

#include <string.h>

int linalg_in_column(const cf_mesh *mesh, int64_t i, int64_t k)
{
    return (int)(i % mesh->n_rows * mesh->n_columns + k % mesh->n_columns);
}

int linalg_in_row(const cf_mesh *mesh, int64_t i, int64_t k)
{
    return linalg_in_column(mesh, k, i);
}

/* Numbers are float32 or float64: those arrays are counted in bytes. */
enum { LEFT_BYTES, RIGHT_BYTES, ALL_BYTES, RANKS };
static const cf_array outer_arrays[] = {
    {offsetof(linalg_outer, left), 1, LEFT_BYTES, 1, 0},
    {offsetof(linalg_outer, right), 1, RIGHT_BYTES, 1, 0},
    {offsetof(linalg_outer, all), 1, ALL_BYTES, 1, 0},
    CF_ARRAY(linalg_outer, count, RANKS, 1),
    CF_ARRAY(linalg_outer, start, RANKS, 1),
    CF_ARRAY(linalg_outer, next, RANKS, 1),
};
enum { N_OUTER_ARRAYS = sizeof outer_arrays / sizeof *outer_arrays };

cf_status linalg_create_outer(cf_cyclic *c, linalg_outer *out)
{
    const int64_t size = (int64_t)cf_store_type_size(c->type), row = c->block * size;
    const int64_t counts[] = {c->local_rows * row, c->local_columns * row,
                              cf_max(c->n_rows, c->n_columns) * row, c->mesh->world.size};

    *out = (linalg_outer){.c = c, .size = (size_t)size};
    return cf_par_agree(&c->mesh->world,
                        cf_arrays_create(out, outer_arrays, N_OUTER_ARRAYS, counts));
}

void linalg_destroy_outer(linalg_outer *o)
{
    cf_arrays_destroy(o, outer_arrays, N_OUTER_ARRAYS);
}

/* The last inner block may be shorter. */
bool linalg_next_inner(linalg_outer *o, int64_t n_inner, int64_t k)
{
    o->k = k;
    o->first = k * o->c->block;
    o->width = cf_min(n_inner - o->first, o->c->block);
    return o->width > 0;
}

/* ---- Broadcasting rows ---- */

/* Rows in block i of the broadcast. */
static int64_t block_length(const linalg_outer *o, int64_t i)
{
    return cf_min(o->n_rows - i * o->c->block, o->c->block);
}

/* Counts how many rows each rank has, by asking who owns each block; every rank computes the same,
 * so the counts of the Allgatherv need no message. Each rank's rows go in ascending order. */
void linalg_plan_rows(linalg_outer *o, int64_t n_rows, linalg_owner *owner)
{
    const cf_par *world = &o->c->mesh->world;

    o->n_rows = n_rows;
    o->owner = owner;
    memset(o->next, 0, (size_t)world->size * sizeof *o->next);
    for (int64_t i = 0; i * o->c->block < n_rows; i++) {
        const int rank = owner(o->c->mesh, i, o->k);

        if (rank >= 0) o->next[rank] += block_length(o, i);
    }
    for (int rank = 0; rank < world->size; rank++)
        o->count[rank] = cf_par_count(o->next[rank] * o->width);
    cf_par_displacements(o->count, o->start, world->size);
    o->n_mine = o->next[world->rank];
    o->mine = linalg_at(o->c, o->all, o->start[world->rank]);
}

#define READ_ROWS(real)                                                                            \
    for (int64_t row = 0; row < n; row++)                                                          \
        for (int64_t j = 0; j < o->width; j++)                                                     \
    ((real *)rows)[row * o->width + j] = ((const real *)a)[row * row_step + j * step]

void linalg_read_rows(const linalg_outer *o, int64_t n, const void *a, int64_t row_step,
                      int64_t step, void *rows)
{
    if (o->c->type == CF_F64)
        READ_ROWS(double);
    else
        READ_ROWS(float);
}

#define WRITE_ROWS(real)                                                                           \
    for (int64_t row = 0; row < n; row++)                                                          \
        for (int64_t j = 0; j < o->width; j++)                                                     \
    ((real *)a)[row * row_step + j * step] = ((const real *)rows)[row * o->width + j]

void linalg_write_rows(const linalg_outer *o, int64_t n, const void *rows, int64_t row_step,
                       int64_t step, void *a)
{
    if (o->c->type == CF_F64)
        WRITE_ROWS(double);
    else
        WRITE_ROWS(float);
}

/* In place: mine lie in `all` already. */
void linalg_broadcast_rows(linalg_outer *o)
{
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, o->all, o->count, o->start,
                   linalg_mpi_type(o->c->type), o->c->mesh->world.comm);
}

/* Copy the rows of the blocks that process p of n_processes has. `next` runs through what each rank
 * has sent: it sent its blocks in ascending order. */
static void copy_local_rows(linalg_outer *o, int n_processes, int p, void *out)
{
    for (int rank = 0; rank < o->c->mesh->world.size; rank++)
        o->next[rank] = o->start[rank];
    for (int64_t i = 0; i * o->c->block < o->n_rows; i++) {
        const int rank = o->owner(o->c->mesh, i, o->k);
        const int64_t numbers = block_length(o, i) * o->width;
        void *to = linalg_at(o->c, out, i / n_processes * o->c->block * o->width);

        if (i % n_processes == p) {
            if (rank < 0)
                memset(to, 0, (size_t)numbers * o->size);
            else
                memcpy(to, linalg_at(o->c, o->all, o->next[rank]), (size_t)numbers * o->size);
        }
        if (rank >= 0) o->next[rank] += numbers;
    }
}

void linalg_set_left(linalg_outer *o)
{
    copy_local_rows(o, o->c->mesh->n_rows, o->c->mesh->my_row, o->left);
}

void linalg_set_right(linalg_outer *o)
{
    copy_local_rows(o, o->c->mesh->n_columns, o->c->mesh->my_column, o->right);
}

/* ---- The product ---- */

/* One block, from my `row` and `column` on. In column-major order the rows of L and R, contiguous,
 * are the columns of matrices of `width` rows: the product is their L'R. */
static void add_block(const linalg_outer *o, double alpha, int64_t row, int64_t column)
{
    const cf_cyclic *c = o->c;
    const int m = (int)cf_min(c->local_rows - row, c->block),
              n = (int)cf_min(c->local_columns - column, c->block), width = (int)o->width,
              ld = (int)c->local_rows;
    const void *left = linalg_at(c, o->left, row * width),
               *right = linalg_at(c, o->right, column * width);
    void *out = linalg_element(c, row, column);

    if (c->type == CF_F64)
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, m, n, width, alpha, left, width, right,
                    width, 1, out, ld);
    else
        cblas_sgemm(CblasColMajor, CblasTrans, CblasNoTrans, m, n, width, (float)alpha, left, width,
                    right, width, 1, out, ld);
}

/* Threads take block columns in turn, for of the lower triangle they differ in length. */
void linalg_add_outer(const linalg_outer *o, double alpha, bool lower)
{
    const cf_cyclic *c = o->c;
    const cf_mesh *mesh = c->mesh;

#pragma omp parallel for schedule(dynamic)
    for (int64_t column = 0; column < c->local_columns; column += c->block) {
        const int64_t diagonal = (column / c->block * mesh->n_columns + mesh->my_column) * c->block;

        for (int64_t row = lower ? linalg_rows_before(c, diagonal) : 0; row < c->local_rows;
             row += c->block)
            add_block(o, alpha, row, column);
    }
}
