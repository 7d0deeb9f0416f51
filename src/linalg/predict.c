/* What block-cyclic matrices and the work on them take on a rank, in bytes: the arrays of the other
 * files, with the mean over the mesh of what its ranks have of rows and columns. tests/closed
 * compares with what is counted. */
#include "outer.h"

#include <math.h>

/* The mesh: floor(sqrt(ranks)) rows. Fractions of rows and columns that a rank has. */
typedef struct share {
    double rows, columns, word; /* word: bytes of a number */
} share;

static share share_of(const cf_cyclic_size *size)
{
    const int down = (int)sqrt((double)size->n_ranks), across = size->n_ranks / down;

    return (share){1.0 / down, 1.0 / across, (double)cf_store_type_size(size->type)};
}

double cf_linalg_predict_matrix(const cf_cyclic_size *size)
{
    const share s = share_of(size);

    return (double)size->n_rows * s.rows * (double)size->n_columns * s.columns * s.word;
}

/* All rows of an inner block, and those of my rows and columns (outer.c). */
double cf_linalg_predict_product(const cf_cyclic_size *size)
{
    const share s = share_of(size);
    const double rows = (double)size->n_rows, columns = (double)size->n_columns;

    return (double)size->block * s.word *
           (fmax(rows, columns) + rows * s.rows + columns * s.columns);
}

/* And the factor of a block (invert.c). */
double cf_linalg_predict_inverse(const cf_cyclic_size *size)
{
    const double block = (double)size->block;

    return cf_linalg_predict_product(size) + block * block * (double)cf_store_type_size(size->type);
}

/* A round, as it is sent and as it is received (move.c). */
double cf_linalg_predict_move(const cf_cyclic_size *size)
{
    const double numbers = (double)size->n_rows * (double)size->n_columns;

    return 2 * fmin(numbers, (double)LINALG_ROUND) * (double)cf_store_type_size(size->type) /
           size->n_ranks;
}
