/* Exchange of any number of bytes: records to the ranks that they belong to, and prefix sums.
 *
 * Unlike an exchange plan, which needs counts that fit an int, the records go pairwise in P rounds,
 * each message in chunks of at most 1 GiB: in round s, rank r sends to r + s and receives from r -
 * s. */
#include "cf/par.h"

#include <string.h>

static const int64_t chunk_bytes = (int64_t)1 << 30; /* an MPI count is an int */

/* Send n_out bytes to one rank while receiving n_in bytes from another. */
static void send_receive(const cf_par *par, const char *out, int64_t n_out, int to, char *in,
                         int64_t n_in, int from)
{
    for (int64_t at = 0; at < n_out || at < n_in; at += chunk_bytes) {
        const int64_t send = cf_min(n_out - at, chunk_bytes);
        const int64_t receive = cf_min(n_in - at, chunk_bytes);

        MPI_Sendrecv(send > 0 ? out + at : NULL, send > 0 ? cf_par_count(send) : 0, MPI_BYTE,
                     send > 0 ? to : MPI_PROC_NULL, 0, receive > 0 ? in + at : NULL,
                     receive > 0 ? cf_par_count(receive) : 0, MPI_BYTE,
                     receive > 0 ? from : MPI_PROC_NULL, 0, par->comm, MPI_STATUS_IGNORE);
    }
}

/* Where the records of `rank` begin: they are grouped by rank, in order of ranks. */
static int64_t sum_before(const int64_t *counts, int rank)
{
    int64_t sum = 0;

    for (int p = 0; p < rank; p++)
        sum += counts[p];
    return sum;
}

cf_status cf_par_exchange(const cf_par *par, size_t size, const int64_t *counts,
                          const void *records, int64_t *got, void *out)
{
    const char *mine = records != NULL ? records : ""; /* NULL: there is nothing to send */
    const int64_t bytes = (int64_t)size;
    char *all = NULL;
    cf_status status;

    MPI_Alltoall(counts, 1, MPI_INT64_T, got, 1, MPI_INT64_T, par->comm);
    CF_TRY(cf_par_agree(par, cf_alloc(&all, sum_before(got, par->size), size)));
    for (int step = 0; step < par->size; step++) {
        const int to = (par->rank + step) % par->size;
        const int from = (par->rank - step + par->size) % par->size;
        const char *send = mine + sum_before(counts, to) * bytes;
        char *receive = all + sum_before(got, from) * bytes;

        if (step > 0)
            send_receive(par, send, counts[to] * bytes, to, receive, got[from] * bytes, from);
        else if (counts[to] > 0)
            memcpy(receive, send, (size_t)(counts[to] * bytes));
    }
    memcpy(out, &all, sizeof all);
    all = NULL;
done:
    cf_free(&all);
    return status;
}

void cf_par_exscan(const cf_par *par, int64_t count, int64_t *before, int64_t *total)
{
    int64_t ends = 0;

    MPI_Scan(&count, &ends, 1, MPI_INT64_T, MPI_SUM, par->comm);
    *before = ends - count;
    *total = ends;
    cf_par_broadcast(par, total, sizeof *total, par->size - 1);
}
