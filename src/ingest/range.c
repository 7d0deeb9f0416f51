/* A text file read by all ranks together, each its own byte range.
 *
 * The ranges are even parts of the file. A line belongs to the range in which it begins, so every
 * line is read by exactly one rank. A rank does not know how many lines the ranks before have. It
 * learns that from an exclusive sum of the line counts after reading; only if a line is malformed
 * does a rank read again, now with the right line numbers for the message. */
#include "fields.h"

#include <inttypes.h>
#include <sys/stat.h>

/* This rank's even part of the file, whose size rank 0 tells: the ranges of all ranks must fit
 * together. The last range is open-ended: a file that still grows is read to its end by then. */
ingest_range ingest_make_range(const cf_par *world, const ingest_file *file)
{
    const bool is_last = world->rank == world->size - 1;
    struct stat about = {0};
    int64_t size = 0; /* stays where opening the file will give the error */

    if (world->rank == 0 && stat(file->path, &about) == 0) size = about.st_size;
    cf_par_broadcast(world, &size, sizeof size, 0);
    return (ingest_range){.begin = cf_par_even_start(size, world->size, world->rank),
                          .end = is_last ? INT64_MAX
                                         : cf_par_even_start(size, world->size, world->rank + 1)};
}

/* Empty lines are allowed at the end of the file alone. Those at the end of a range are an error if
 * a later range has text. `status`: of reading the range, which goes first. */
static cf_status check_end(const cf_par *world, const char *path, const ingest_range *range,
                           cf_status status)
{
    int last_with_text = range->has_text ? world->rank : -1;

    MPI_Allreduce(MPI_IN_PLACE, &last_with_text, 1, MPI_INT, MPI_MAX, world->comm);
    if (status != CF_OK || range->first_empty == 0 || world->rank >= last_with_text) return status;
    return CF_FAIL(CF_ERR_FORMAT, "%s:%" PRId64 ": an empty line", path, range->first_empty);
}

/* A second reading happens on errors alone: a correct file is read once. */
cf_status ingest_read_ranges(const cf_par *world, const ingest_file *file, ingest_read_fn *read,
                             void *context, ingest_range *range)
{
    const char *path = file->name;
    int64_t n_lines;
    cf_status mine, status;

    *range = ingest_make_range(world, file);
    mine = check_end(world, path, range, read(context, range));
    status = cf_par_agree_on_input(world, mine);
    range->bad_line = INT64_MAX;
    cf_par_exscan(world, range->n_lines, &range->first_line, &n_lines);
    if (status != CF_ERR_FORMAT) return status;
    /* The ranks before the first failed one have read all their lines. Its first_line is thus
     * right, and it is the rank whose message counts. */
    if (mine != CF_OK) {
        mine = read(context, range);
        range->bad_line = mine != CF_OK ? range->first_line + range->n_lines : range->first_empty;
    }
    status = cf_par_agree_on_input(world, check_end(world, path, range, mine));
    MPI_Allreduce(MPI_IN_PLACE, &range->bad_line, 1, MPI_INT64_T, MPI_MIN, world->comm);
    if (status == CF_OK) status = CF_FAIL(CF_ERR_FORMAT, "%s: changed while it was read", path);
    return status;
}
