/* Sums of outer products: rows from their owners to everybody, and gemm block by block. */
#include "outer.h"

#include <cblas.h>
#include <string.h>

int linalg_in_column(const cf_mesh *mesh, int64_t i, int64_t k)
{
    return (int)(i % mesh->n_rows * mesh->n_columns + k % mesh->n_columns);
}

int linalg_in_row(const cf_mesh *mesh, int64_t i, int64_t k)
{
    return linalg_in_column(mesh, k, i);
}

static cf_status fill(cf_cyclic *c, linalg_outer *o)
{
    const int64_t b = c->block, ranks = c->mesh->world.size;
    const int64_t longest = c->n_rows > c->n_columns ? c->n_rows : c->n_columns;
    cf_status status;

    *o = (linalg_outer){.c = c, .size = cf_store_type_size(c->type)};
    CF_TRY(cf_alloc(&o->down, c->local_rows * b, o->size));
    CF_TRY(cf_alloc(&o->across, c->local_columns * b, o->size));
    CF_TRY(cf_alloc(&o->all, longest * b, o->size));
    CF_TRY(CF_ALLOC(o->count, ranks));
    CF_TRY(CF_ALLOC(o->start, ranks));
    CF_TRY(CF_ALLOC(o->next, ranks));
done:
    return status;
}

cf_status linalg_create_outer(cf_cyclic *c, linalg_outer *out)
{
    return cf_par_agree(&c->mesh->world, fill(c, out));
}

void linalg_destroy_outer(linalg_outer *o)
{
    cf_free(&o->down);
    cf_free(&o->across);
    cf_free(&o->all);
    cf_free(&o->count);
    cf_free(&o->start);
    cf_free(&o->next);
}

bool linalg_next_inner(linalg_outer *o, int64_t n_inner, int64_t k)
{
    o->k = k;
    o->first = k * o->c->block;
    o->width = linalg_smaller(n_inner - o->first, o->c->block);
    return o->width > 0;
}

/* ---- Sharing rows ---- */

static int64_t block_length(const linalg_outer *o, int64_t i)
{
    return linalg_smaller(o->n - i * o->c->block, o->c->block);
}

void linalg_plan_rows(linalg_outer *o, int64_t n, linalg_owner *owner)
{
    const cf_par *world = &o->c->mesh->world;

    o->n = n;
    o->owner = owner;
    memset(o->next, 0, (size_t)world->size * sizeof *o->next);
    for (int64_t i = 0; i * o->c->block < n; i++) {
        const int rank = owner(o->c->mesh, i, o->k);

        if (rank >= 0) o->next[rank] += block_length(o, i);
    }
    for (int rank = 0; rank < world->size; rank++)
        o->count[rank] = cf_par_count(o->next[rank] * o->width);
    cf_par_displacements(o->count, o->start, world->size);
    o->n_mine = o->next[world->rank];
    o->mine = linalg_at(o->c, o->all, o->start[world->rank]);
}

#define COPY(real)                                                                                 \
    for (int64_t row = 0; row < n; row++)                                                          \
        for (int64_t j = 0; j < o->width; j++) {                                                   \
            real *of_a = (real *)a + row * across + j * along,                                     \
                 *of_rows = (real *)rows + row * o->width + j;                                     \
            if (back)                                                                              \
                *of_a = *of_rows;                                                                  \
            else                                                                                   \
                *of_rows = *of_a;                                                                  \
        }

void linalg_copy_rows(const linalg_outer *o, int64_t n, void *rows, void *a, int64_t across,
                     int64_t along, bool back)
{
    if (o->c->type == CF_F64)
        COPY(double)
    else
        COPY(float)
}

void linalg_share_rows(linalg_outer *o)
{
    const MPI_Datatype type = o->c->type == CF_F64 ? MPI_DOUBLE : MPI_FLOAT;

    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, o->all, o->count, o->start, type,
                   o->c->mesh->world.comm);
}

/* Those of the blocks that process p of n_processes has. */
static void place(linalg_outer *o, int n_processes, int p, void *out)
{
    for (int rank = 0; rank < o->c->mesh->world.size; rank++)
        o->next[rank] = o->start[rank];
    for (int64_t i = 0; i * o->c->block < o->n; i++) {
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

void linalg_place_down(linalg_outer *o)
{
    place(o, o->c->mesh->n_rows, o->c->mesh->my_row, o->down);
}

void linalg_place_across(linalg_outer *o)
{
    place(o, o->c->mesh->n_columns, o->c->mesh->my_column, o->across);
}

/* ---- The product ---- */

/* Of one block, from my `row` and `column` on. */
static void add_block(const linalg_outer *o, double alpha, int64_t row, int64_t column)
{
    const cf_cyclic *c = o->c;
    const int m = (int)linalg_smaller(c->local_rows - row, c->block),
              n = (int)linalg_smaller(c->local_columns - column, c->block), width = (int)o->width,
              ld = (int)c->local_rows;
    const void *down = linalg_at(c, o->down, row * width),
               *across = linalg_at(c, o->across, column * width);
    void *out = linalg_element(c, row, column);

    if (c->type == CF_F64)
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, m, n, width, alpha, down, width,
                    across, width, 1, out, ld);
    else
        cblas_sgemm(CblasColMajor, CblasTrans, CblasNoTrans, m, n, width, (float)alpha, down, width,
                    across, width, 1, out, ld);
}

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
