/* Nodes: which ranks share a machine, and an order of ranks that keeps those of a node together.
 *
 * MPI knows who shares memory (MPI 3.1, section 6.4.2). Tests and simulations pretend other nodes:
 * runs of k consecutive ranks of the world. tests/par/grid.c checks both. */
#include "cf/par.h"

static int pretended; /* ranks a node; 0: the machine's */
static const char *pretended_system;

void cf_par_pretend_nodes(int ranks)
{
    CF_ASSERT(ranks >= 0);
    pretended = ranks;
}

void cf_par_pretend_system(const char *folder)
{
    pretended_system = folder;
}

const char *cf_par_system(void)
{
    return pretended_system != NULL ? pretended_system : "/sys";
}

/* The order of `par` is kept. */
void cf_par_split_node(const cf_par *par, cf_par *out)
{
    if (pretended > 0) {
        int rank;

        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        MPI_Comm_split(par->comm, rank / pretended, par->rank, &out->comm);
    } else {
        MPI_Comm_split_type(par->comm, MPI_COMM_TYPE_SHARED, par->rank, MPI_INFO_NULL, &out->comm);
    }
    MPI_Comm_rank(out->comm, &out->rank);
    MPI_Comm_size(out->comm, &out->size);
}

int cf_par_count_nodes(const cf_par *par)
{
    cf_par node;
    int n;

    cf_par_split_node(par, &node);
    MPI_Comm_free(&node.comm);
    n = node.rank == 0;
    MPI_Allreduce(MPI_IN_PLACE, &n, 1, MPI_INT, MPI_SUM, par->comm);
    return n;
}

/* A node is named by its lowest rank. */
cf_status cf_par_order_by_node(const cf_par *par, int *place)
{
    int *first = NULL, mine = par->rank, before = 0;
    cf_par node;
    cf_status status = CF_ALLOC(first, par->size);

    CF_TRY(cf_par_agree(par, status));
    cf_par_split_node(par, &node);
    MPI_Bcast(&mine, 1, MPI_INT, 0, node.comm);
    MPI_Comm_free(&node.comm);
    MPI_Allgather(&mine, 1, MPI_INT, first, 1, MPI_INT, par->comm);
    for (int p = 0; p < par->size; p++)
        before += first[p] < mine || (first[p] == mine && p < par->rank);
    *place = before;
done:
    cf_free(&first);
    return status;
}
