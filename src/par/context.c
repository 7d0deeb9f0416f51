/* MPI context: start and end, agreement of the ranks on errors, broadcasts and exact sums of any
 * size.
 *
 * Agreement is one small Allreduce (minimum of the failing rank, and of "some rank did not fail");
 * only when a rank failed does its message follow in a broadcast. Exact sums are brought to their
 * one form before the Allreduce, so that words cannot overflow, and after it, so that equal sums
 * have equal words. tests/par/agree.c makes each rank fail in turn. */
#include "blas.h"
#include "watch.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const int64_t chunk_bytes = (int64_t)1 << 30; /* an MPI count is an int */

static void abort_job(void)
{
    MPI_Abort(MPI_COMM_WORLD, CF_ERR_BUG);
}

void cf_par_init(int *argc, char ***argv, cf_par *world)
{
    int provided = MPI_THREAD_SINGLE;

    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    world->comm = MPI_COMM_WORLD;
    MPI_Comm_rank(world->comm, &world->rank);
    MPI_Comm_size(world->comm, &world->size);
    cf_error_set_abort(abort_job);
    CF_ASSERT(provided >= MPI_THREAD_FUNNELED);
    cf_log_enable(world->rank == 0, false);
    blas_prepare();
    cf_par_start_profile();
    watch_start(world->rank);
}

void cf_par_finalize(void)
{
    cf_error_set_abort(NULL);
    MPI_Finalize();
    watch_stop();
}

/* The lowest rank that failed decides. Its world rank is named, whatever the communicator, unless
 * all ranks failed, since then it is not that rank's doing. */
static cf_status agree(const cf_par *par, cf_status status, bool name_rank)
{
    enum { FIRST, ANY_OK }; /* lowest rank that failed; -1 if any rank did not fail */
    int state[2] = {status == CF_OK ? INT_MAX : par->rank, status == CF_OK ? -1 : 0};
    struct {
        int status, world_rank;
        char message[CF_LINE_SIZE];
    } report = {.status = status};

    MPI_Allreduce(MPI_IN_PLACE, state, 2, MPI_INT, MPI_MIN, par->comm);
    if (state[FIRST] == INT_MAX) return CF_OK;
    if (par->rank == state[FIRST]) {
        MPI_Comm_rank(MPI_COMM_WORLD, &report.world_rank);
        strncpy(report.message, cf_error_message(), sizeof report.message - 1);
    }
    MPI_Bcast(&report, sizeof report, MPI_BYTE, state[FIRST], par->comm);
    if (state[ANY_OK] == 0 || (!name_rank && report.status != CF_ERR_MEMORY))
        return CF_FAIL((cf_status)report.status, "%s", report.message);
    return CF_FAIL((cf_status)report.status, "rank %d: %s", report.world_rank, report.message);
}

cf_status cf_par_agree(const cf_par *par, cf_status status)
{
    return agree(par, status, true);
}

cf_status cf_par_agree_on_input(const cf_par *par, cf_status status)
{
    return agree(par, status, false);
}

bool cf_par_any(const cf_par *par, bool mine)
{
    int any = mine;

    MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, par->comm);
    return any != 0;
}

void cf_par_max_unsigned(const cf_par *par, uint64_t *values, int n)
{
    const uint64_t top = (uint64_t)1 << 63; /* flipped, it makes the order that of signed numbers */

    for (int k = 0; k < n; k++)
        values[k] ^= top;
    MPI_Allreduce(MPI_IN_PLACE, values, n, MPI_INT64_T, MPI_MAX, par->comm);
    for (int k = 0; k < n; k++)
        values[k] ^= top;
}

int cf_par_count(int64_t count)
{
    CF_ASSERT(count >= 0 && count <= INT_MAX);
    return (int)count;
}

int64_t cf_par_displacements(const int *count, int *start, int n)
{
    int64_t total = 0;

    for (int p = 0; p < n; p++) {
        start[p] = cf_par_count(total);
        total += count[p];
    }
    (void)cf_par_count(total);
    return total;
}

void cf_par_broadcast(const cf_par *par, void *bytes, int64_t size, int root)
{
    for (int64_t at = 0; at < size; at += chunk_bytes) {
        const int64_t part = cf_min(size - at, chunk_bytes);

        MPI_Bcast((char *)bytes + at, cf_par_count(part), MPI_BYTE, root, par->comm);
    }
}

void cf_par_sum_exact(const cf_par *par, cf_exact *sums, int64_t count)
{
    const int64_t chunk = chunk_bytes / (int64_t)sizeof *sums;

    for (int64_t i = 0; i < count; i++)
        cf_exact_carry(&sums[i]); /* room for any number of ranks */
    for (int64_t at = 0; at < count; at += chunk) {
        const int64_t part = cf_min(count - at, chunk);

        MPI_Allreduce(MPI_IN_PLACE, sums + at, cf_par_count(part * CF_EXACT_WORDS), MPI_INT64_T,
                      MPI_SUM, par->comm);
    }
    for (int64_t i = 0; i < count; i++)
        cf_exact_carry(&sums[i]);
}
