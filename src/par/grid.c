/* The process grid: P ranks as R rows and C columns, with a communicator for each row (the slices
 * of a block) and each column (the blocks of a slice).
 *
 * Blocks exchange rows in every sum over neighbours, slices a few numbers a sample. So the ranks,
 * node after node, fill the grid column by column: the blocks of a slice share nodes, as far as
 * nodes are large enough, and slices lie on different ones. The grid's own communicator numbers
 * them row by row. tests/par/grid.c checks the order on pretended nodes. */
#include "cf/par.h"

/* A communicator of the ranks with the same color, in ascending order of key. */
static void split(const cf_par *world, int color, int key, cf_par *out)
{
    MPI_Comm_split(world->comm, color, key, &out->comm);
    MPI_Comm_rank(out->comm, &out->rank);
    MPI_Comm_size(out->comm, &out->size);
}

/* Ranks of one column on one node, if all of them can share memory on all nodes; else each alone.
 */
static void split_nodes(cf_grid *grid)
{
    cf_par_split_node(&grid->column, &grid->node);
    if (!cf_par_any(&grid->world, !cf_par_can_share(&grid->node))) return;
    cf_warn("the ranks of a node cannot open each other's memory (/proc/PID/fd): they send rows");
    MPI_Comm_free(&grid->node.comm);
    split(&grid->column, grid->column.rank, 0, &grid->node);
}

cf_status cf_par_create_grid(const cf_par *world, int n_rows, int n_columns, cf_grid **out)
{
    cf_grid *grid = NULL;
    int place; /* among the ranks, node after node */
    cf_status status;

    if (n_rows < 1 || n_columns < 1 || (int64_t)n_rows * n_columns != world->size)
        return CF_FAIL(CF_ERR_USAGE, "grid %dx%d: rows x columns must be the number of ranks, %d",
                       n_rows, n_columns, world->size);
    status = CF_ALLOC(grid, 1);
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cf_par_order_by_node(world, &place));
    *grid = (cf_grid){.n_rows = n_rows,
                      .n_columns = n_columns,
                      .my_row = place % n_rows,
                      .my_column = place / n_rows};
    split(world, 0, grid->my_row * n_columns + grid->my_column, &grid->world);
    split(world, grid->my_row, grid->my_column, &grid->row);
    split(world, grid->my_column, grid->my_row, &grid->column);
    split_nodes(grid);
    *out = grid;
    grid = NULL;
done:
    cf_free(&grid);
    return status;
}

void cf_par_destroy_grid(cf_grid **grid)
{
    if (*grid == NULL) return;
    MPI_Comm_free(&(*grid)->world.comm);
    MPI_Comm_free(&(*grid)->row.comm);
    MPI_Comm_free(&(*grid)->column.comm);
    MPI_Comm_free(&(*grid)->node.comm);
    cf_free(grid);
}
