/* The process grid: P ranks as R rows and C columns, row by row, with a communicator for each row
 * (the slices of a block) and each column (the blocks of a slice). */
#include "cf/par.h"

/* A communicator of the ranks with the same color, in ascending order of key. */
static void split(const cf_par *world, int color, int key, cf_par *out)
{
    MPI_Comm_split(world->comm, color, key, &out->comm);
    MPI_Comm_rank(out->comm, &out->rank);
    MPI_Comm_size(out->comm, &out->size);
}

cf_status cf_par_create_grid(const cf_par *world, int n_rows, int n_columns, cf_grid **out)
{
    cf_grid *grid = NULL;
    cf_status status;

    if (n_rows < 1 || n_columns < 1 || (int64_t)n_rows * n_columns != world->size)
        return CF_FAIL(CF_ERR_USAGE, "grid %dx%d: rows x columns must be the number of ranks, %d",
                       n_rows, n_columns, world->size);
    status = CF_ALLOC(grid, 1);
    CF_TRY(cf_par_agree(world, status));
    *grid = (cf_grid){.world = *world,
                      .n_rows = n_rows,
                      .n_columns = n_columns,
                      .my_row = world->rank / n_columns,
                      .my_column = world->rank % n_columns};
    split(world, grid->my_row, grid->my_column, &grid->row);
    split(world, grid->my_column, grid->my_row, &grid->column);
    *out = grid;
    grid = NULL;
done:
    cf_free(&grid);
    return status;
}

void cf_par_destroy_grid(cf_grid **grid)
{
    if (*grid == NULL) return;
    MPI_Comm_free(&(*grid)->row.comm);
    MPI_Comm_free(&(*grid)->column.comm);
    cf_free(grid);
}
