/* The tables of the best epoch, in step with latest.h5.
 *
 * best.h5 is of the epoch that latest.h5 names as the best. A better epoch that comes after
 * latest.h5 goes to better.h5, and takes the name best.h5 once latest.h5 names it:
 *
 *     better.h5 is written; ...; latest.h5 is replaced; better.h5 is renamed to best.h5
 *
 * A kill between any two of these leaves what a resume needs: it renames better.h5 if latest.h5
 * names its epoch, and else removes it, for the resumed run comes to that epoch again.
 * tests/train/kill.c kills runs at each operation on files. */
#include "run.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

cf_status run_find_file(const char *path, int *found)
{
    struct stat info;

    *found = stat(path, &info) == 0;
    if (*found || errno == ENOENT) return CF_OK;
    return CF_FAIL(CF_ERR_IO, "%s: cannot read (%s)", path, strerror(errno));
}

/* Rename better.h5 to best.h5, or, if it is not `kept`, remove it. Collective. */
static cf_status end_better(run *r, bool kept)
{
    cf_status status = CF_OK;

    if (r->world->rank == 0 && (kept ? rename(r->better, r->best) : unlink(r->better)) != 0)
        status = CF_FAIL(CF_ERR_IO, "%s: cannot %s (%s)", r->better, kept ? "rename" : "remove",
                         strerror(errno));
    return cf_par_agree(r->world, status);
}

/* Collective. */
static cf_status has_better(const run *r, int *found)
{
    cf_status status = CF_OK;

    if (r->world->rank == 0) status = run_find_file(r->better, found);
    CF_TRY(cf_par_agree(r->world, status));
    cf_par_broadcast(r->world, found, sizeof *found, 0);
done:
    return status;
}

/* The epoch that the tables of a checkpoint are of. Collective. */
static cf_status read_epoch(const run *r, const char *path, int64_t *epoch)
{
    cf_ckpt_file *file = NULL;
    cf_status status;

    CF_TRY(cf_ckpt_open(r->world, path, &file));
    *epoch = file->progress.epoch;
done:
    cf_ckpt_close(&file);
    return status;
}

cf_status run_discard_better(run *r)
{
    int found = 0;
    cf_status status;

    CF_TRY(has_better(r, &found));
    if (found) CF_TRY(end_better(r, false));
done:
    return status;
}

cf_status run_promote_better(run *r)
{
    cf_status status = CF_OK;

    if (r->has_better) CF_TRY(end_better(r, true));
    r->has_better = false;
done:
    return status;
}

cf_status run_settle_best(run *r)
{
    const int64_t best = r->progress.best_epoch;
    int64_t epoch = 0;
    int found = 0;
    cf_status status;

    CF_TRY(has_better(r, &found));
    if (found && best > 0) CF_TRY(read_epoch(r, r->better, &epoch));
    if (found) CF_TRY(end_better(r, best > 0 && epoch == best));
    if (best == 0) goto done; /* the end of the run writes best.h5 */
    CF_TRY(read_epoch(r, r->best, &epoch));
    CF_REQUIRE(epoch == best, CF_ERR_FORMAT,
               "%s: has the tables of epoch %lld, but the best epoch of %s is %lld", r->best,
               (long long)epoch, r->latest, (long long)best);
done:
    return status;
}
