/* Exchange plans: counts and displacements of an Alltoallv, kept together, so that whoever
 * exchanges rows writes down only how many elements go to each rank. hypre calls this a
 * communication package, PETSc a star forest. The same plan serves the request and the reply: the
 * reply swaps the two sides. */
#include "cf/par.h"

enum { RANKS, N_SIZES };
static const cf_array plan_arrays[] = {
    CF_ARRAY(cf_plan, send_count, RANKS, 1), CF_ARRAY(cf_plan, send_start, RANKS, 1),
    CF_ARRAY(cf_plan, recv_count, RANKS, 1), CF_ARRAY(cf_plan, recv_start, RANKS, 1)};
enum { N_PLAN_ARRAYS = sizeof plan_arrays / sizeof plan_arrays[0] };

cf_status cf_par_create_plan(const cf_par *par, cf_plan *out)
{
    const int64_t sizes[N_SIZES] = {[RANKS] = par->size};
    cf_status status;

    *out = (cf_plan){.par = par};
    status = cf_arrays_create(out, plan_arrays, N_PLAN_ARRAYS, sizes);
    if (status != CF_OK) cf_par_destroy_plan(out);
    return status;
}

void cf_par_destroy_plan(cf_plan *plan)
{
    cf_arrays_destroy(plan, plan_arrays, N_PLAN_ARRAYS);
}

/* Counts alone decide; calling it again restores starts that were used as cursors. */
void cf_par_order_plan(cf_plan *plan)
{
    plan->n_send = cf_par_displacements(plan->send_count, plan->send_start, plan->par->size);
    plan->n_recv = cf_par_displacements(plan->recv_count, plan->recv_start, plan->par->size);
}

/* Counts travel once; displacements follow from them on each side. */
void cf_par_complete_plan(cf_plan *plan)
{
    MPI_Alltoall(plan->send_count, 1, MPI_INT, plan->recv_count, 1, MPI_INT, plan->par->comm);
    cf_par_order_plan(plan);
}

void cf_par_send(const cf_plan *plan, const void *send, void *recv, MPI_Datatype type)
{
    MPI_Alltoallv(send, plan->send_count, plan->send_start, type, recv, plan->recv_count,
                  plan->recv_start, type, plan->par->comm);
}

/* A reply goes back to the rank that sent the request, so the two sides of the plan change roles.
 */
void cf_par_reply(const cf_plan *plan, const void *reply, void *out, MPI_Datatype type)
{
    MPI_Alltoallv(reply, plan->recv_count, plan->recv_start, type, out, plan->send_count,
                  plan->send_start, type, plan->par->comm);
}

/* What a rank sends to itself is no message. */
double cf_par_plan_bytes(const cf_plan *plan, int64_t element_bytes, bool reply)
{
    const int *count = reply ? plan->recv_count : plan->send_count;
    const int64_t total = reply ? plan->n_recv : plan->n_send;

    return (double)(total - count[plan->par->rank]) * (double)element_bytes;
}
