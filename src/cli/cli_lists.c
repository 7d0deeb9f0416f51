/* Ranked lists of items as text: the best items of users, of new users, or for items.
 *
 * Each list is that of one query, a user of the scorer's shard. Each rank finds the items of
 * queries of its own block, in rounds of bounded size. After a round, rank 0 writes the results
 * into a spool file of fixed-size records (k items, int64; k scores, float), each at its query's
 * position in the text; at the end it reads the records in order and writes the text. So the text
 * does not depend on the ranks, and no rank holds more than a round and, on rank 0, the items' ids
 * and titles. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIN_ROUND = CF_EVAL_USERS, ROUND_BYTES = 64 << 20, NAMES_PER_PASS = 65536 };

/* Lists being made. */
typedef struct job {
    const cli_lists *lists;
    const cf_par *world;
    int64_t k; /* of the request */
    /* The n_local queries of this rank: local index in the block, and position in the text. */
    int64_t *users, *position;
    int64_t n_local;
    int spool; /* rank 0: descriptor of the spool file; else -1 */
} job;

/* Results of a round; on rank 0 also room for those of all ranks. */
typedef struct round_buffers {
    int64_t capacity; /* users of a rank */
    /* capacity; capacity x k; capacity x k */
    int64_t *position, *items;
    float *scores;
    /* rank 0: the same, of all ranks */
    int64_t *all_positions, *all_items;
    float *all_scores;
    /* by rank: users and their first index in all_positions; the same in numbers of items */
    int *counts, *starts, *item_counts, *item_starts;
} round_buffers;

/* Sizes of the arrays: this rank's users and items, rank 0's of all ranks, ranks. */
enum { ROUND_USERS, ROUND_ITEMS, ALL_USERS, ALL_ITEMS, RANKS, N_ROUND_SIZES };

static const cf_array round_arrays[] = {
    CF_ARRAY(round_buffers, position, ROUND_USERS, 1),
    CF_ARRAY(round_buffers, items, ROUND_ITEMS, 1),
    CF_ARRAY(round_buffers, scores, ROUND_ITEMS, 1),
    CF_ARRAY(round_buffers, all_positions, ALL_USERS, 1),
    CF_ARRAY(round_buffers, all_items, ALL_ITEMS, 1),
    CF_ARRAY(round_buffers, all_scores, ALL_ITEMS, 1),
    CF_ARRAY(round_buffers, counts, RANKS, 1),
    CF_ARRAY(round_buffers, starts, RANKS, 1),
    CF_ARRAY(round_buffers, item_counts, RANKS, 1),
    CF_ARRAY(round_buffers, item_starts, RANKS, 1),
};

enum { N_ROUND_ARRAYS = sizeof round_arrays / sizeof round_arrays[0] };

/* ---- Which queries -------------------------------------------------------------------------- */

/* Local index of the query at position `k` of the text; -1 if it is not in this rank's block. */
static int64_t local_query(const job *r, int64_t k)
{
    const cf_shard *shard = r->lists->scorer.shard;
    int64_t local = (r->lists->numbers != NULL ? r->lists->numbers[k] : k) - shard->first_user;

    return local >= 0 && local < shard->n_users ? local : -1;
}

/* The listed queries of the block, divided evenly among the ranks of the grid row in runs of
 * consecutive ones, which cf_eval_topk() ranks at the least cost. Local. */
static cf_status find_local_queries(job *r)
{
    const cf_grid *grid = r->lists->scorer.items->grid;
    int64_t in_block = 0, begin, end, seen = 0;
    cf_status status = CF_OK;

    for (int64_t k = 0; k < r->lists->count; k++)
        in_block += local_query(r, k) >= 0;
    begin = cf_par_even_start(in_block, grid->n_columns, grid->my_column);
    end = cf_par_even_start(in_block, grid->n_columns, grid->my_column + 1);
    CF_TRY(CF_ALLOC(r->users, end - begin));
    CF_TRY(CF_ALLOC(r->position, end - begin));
    for (int64_t k = 0; k < r->lists->count && seen < end; k++)
        if (local_query(r, k) >= 0 && seen++ >= begin) {
            r->users[r->n_local] = local_query(r, k);
            r->position[r->n_local++] = k;
        }
done:
    return status;
}

/* Say how many users get the most popular items. Collective. */
static void warn_cold(const job *r)
{
    int64_t n_cold = 0;

    for (int64_t n = 0; n < r->n_local; n++)
        n_cold += !cf_dataset_knows_user(r->lists->scorer.shard, r->users[n]);
    MPI_Allreduce(MPI_IN_PLACE, &n_cold, 1, MPI_INT64_T, MPI_SUM, r->world->comm);
    cf_eval_warn_cold(n_cold, r->lists->count);
}

/* ---- Rounds --------------------------------------------------------------------------------- */

/* A round's records of all ranks take at most ROUND_BYTES on rank 0, but a rank ranks at least the
 * users of one tile at a time. */
static cf_status create_buffers(const job *r, round_buffers *b)
{
    const int64_t size = r->world->size;
    const int64_t record = r->k * (int64_t)(sizeof(int64_t) + sizeof(float));
    const int64_t at_root = r->world->rank == 0 ? size : 0;

    b->capacity = cf_min(cf_max(ROUND_BYTES / record / size, MIN_ROUND), r->lists->count);
    return cf_arrays_create(b, round_arrays, N_ROUND_ARRAYS,
                            (int64_t[N_ROUND_SIZES]){[ROUND_USERS] = b->capacity,
                                                     [ROUND_ITEMS] = b->capacity * r->k,
                                                     [ALL_USERS] = at_root * b->capacity,
                                                     [ALL_ITEMS] = at_root * b->capacity * r->k,
                                                     [RANKS] = size});
}

/* Gather the results of `count` users on rank 0. Returns the users of all ranks there, 0 elsewhere.
 * Collective. */
static int64_t gather_round(const job *r, const round_buffers *b, int64_t count)
{
    const cf_par *world = r->world;
    const int n_users = cf_par_count(count), n_items = cf_par_count(count * r->k);
    int64_t all = 0;

    MPI_Gather(&n_users, 1, MPI_INT, b->counts, 1, MPI_INT, 0, world->comm);
    if (world->rank == 0) {
        for (int rank = 0; rank < world->size; rank++)
            b->item_counts[rank] = cf_par_count(b->counts[rank] * r->k);
        all = cf_par_displacements(b->counts, b->starts, world->size);
        cf_par_displacements(b->item_counts, b->item_starts, world->size);
    }
    MPI_Gatherv(b->position, n_users, MPI_INT64_T, b->all_positions, b->counts, b->starts,
                MPI_INT64_T, 0, world->comm);
    MPI_Gatherv(b->items, n_items, MPI_INT64_T, b->all_items, b->item_counts, b->item_starts,
                MPI_INT64_T, 0, world->comm);
    MPI_Gatherv(b->scores, n_items, MPI_FLOAT, b->all_scores, b->item_counts, b->item_starts,
                MPI_FLOAT, 0, world->comm);
    return all;
}

/* Write the records of a round at their positions. Local, on rank 0. */
static cf_status spool_round(const job *r, const round_buffers *b, int64_t count)
{
    const int64_t item_bytes = r->k * (int64_t)sizeof(int64_t);
    const int64_t score_bytes = r->k * (int64_t)sizeof(float);

    for (int64_t u = 0; u < count; u++) {
        int64_t offset = b->all_positions[u] * (item_bytes + score_bytes);

        if (!cf_file_write(r->spool, b->all_items + u * r->k, item_bytes, offset) ||
            !cf_file_write(r->spool, b->all_scores + u * r->k, score_bytes, offset + item_bytes))
            return CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", r->lists->path, strerror(errno));
    }
    return CF_OK;
}

/* The round from the local user `first` on: rank the items, gather, spool. `*count` is the number
 * of users of all ranks, on rank 0. Collective. */
static cf_status run_round(const job *r, const round_buffers *b, int64_t first, int64_t *count)
{
    cf_eval_request request = r->lists->request;
    cf_status status;

    request.users = r->users + first;
    request.count = cf_min(r->n_local - first, b->capacity);
    memcpy(b->position, r->position + first, (size_t)request.count * sizeof *b->position);
    CF_TRY(cf_eval_topk(&r->lists->scorer, &request, b->items, b->scores));
    *count = gather_round(r, b, request.count);
    CF_TRY(cf_par_agree(r->world, r->world->rank == 0 ? spool_round(r, b, *count) : CF_OK));
done:
    return status;
}

/* All ranks take part in as many rounds as the rank with the most users needs. Collective. */
static cf_status run_rounds(const job *r)
{
    int64_t rounds, count = 0, first = 0, done_users = 0;
    round_buffers b = {0};
    cf_progress bar;
    cf_status status;

    CF_TRY(cf_par_agree(r->world, create_buffers(r, &b)));
    rounds = cf_ceil_div(r->n_local, b.capacity);
    MPI_Allreduce(MPI_IN_PLACE, &rounds, 1, MPI_INT64_T, MPI_MAX, r->world->comm);
    cf_progress_begin(&bar, "recommend", r->lists->what, r->lists->count);
    for (int64_t round = 0; round < rounds; round++) {
        CF_TRY(run_round(r, &b, first, &count));
        first = cf_min(first + b.capacity, r->n_local);
        done_users += count;
        cf_progress_update(&bar, done_users, NULL);
    }
    cf_progress_end(&bar);
done:
    cf_arrays_destroy(&b, round_arrays, N_ROUND_ARRAYS);
    return status;
}

/* ---- The text ------------------------------------------------------------------------------- */

/* The lines of one query from its record; items of -1 end a list that is shorter than k. */
static void write_query(FILE *file, const char *query, const cf_strings names[2],
                        const void *record, int64_t k)
{
    const int64_t *items = record;
    const float *scores = (const float *)(const void *)(items + k);

    for (int64_t n = 0; n < k && items[n] >= 0; n++) {
        cli_write_name(file, query);
        fprintf(file, "\t%lld\t", (long long)n + 1);
        cli_write_name(file, names[0].bytes + names[0].start[items[n]]);
        fprintf(file, "\t%.7g\t", (double)scores[n]);
        cli_write_name(file, names[1].bytes + names[1].start[items[n]]);
        putc('\n', file);
    }
}

/* The queries from position `first` on, whose ids are given. Local, on rank 0. */
static cf_status write_queries(const job *r, cf_output *output, const cf_strings names[2],
                               const cf_strings *ids, int64_t first)
{
    const int64_t size = r->k * (int64_t)(sizeof(int64_t) + sizeof(float));
    int64_t *record = NULL;
    cf_status status = CF_OK;

    CF_TRY(CF_ALLOC(record, r->k * 2)); /* int64: aligned for both parts */
    for (int64_t u = 0; u < ids->count; u++) {
        const int64_t n = cf_file_read(r->spool, record, size, (first + u) * size);

        CF_REQUIRE(n == size, CF_ERR_IO, "%s: cannot read back (%s)", output->name,
                   n < 0 ? strerror(errno) : "it ended early");
        write_query(output->file, ids->bytes + ids->start[u], names, record, r->k);
    }
    CF_TRY(cf_output_check(output));
done:
    cf_free(&record);
    return status;
}

/* Rank 0 writes; the others take part in reading names, none of which they ask for. Collective. */
static cf_status write_text(const job *r, cf_output *output)
{
    const cf_dataset *dataset = r->lists->dataset;
    const bool root = r->world->rank == 0;
    cf_strings names[2] = {0}, ids = {0};
    cf_status status;

    CF_TRY(cf_dataset_read_names(dataset, CF_ITEM_IDS, 0, root ? dataset->n_items : 0, &names[0]));
    CF_TRY(
        cf_dataset_read_names(dataset, CF_ITEM_TITLES, 0, root ? dataset->n_items : 0, &names[1]));
    if (root) fprintf(output->file, "%s\n", r->lists->header);
    if (r->lists->names != NULL) {
        status = root ? write_queries(r, output, names, r->lists->names, 0) : CF_OK;
        CF_TRY(cf_par_agree(r->world, status));
        goto done;
    }
    for (int64_t first = 0; first < r->lists->count; first += NAMES_PER_PASS) {
        int64_t count = cf_min(NAMES_PER_PASS, r->lists->count - first);

        CF_TRY(cf_dataset_read_names(dataset, CF_USER_IDS, first, root ? count : 0, &ids));
        status = root ? write_queries(r, output, names, &ids, first) : CF_OK;
        CF_TRY(cf_par_agree(r->world, status));
        cf_dataset_destroy_strings(&ids);
    }
done:
    cf_dataset_destroy_strings(&names[0]);
    cf_dataset_destroy_strings(&names[1]);
    cf_dataset_destroy_strings(&ids);
    return status;
}

/* ---- All of it ------------------------------------------------------------------------------ */

/* Both files, on rank 0. Collective. */
static cf_status open_files(job *r, cf_output *output)
{
    cf_status status = CF_OK;

    if (r->world->rank == 0) {
        status = cf_output_open(output, r->lists->path);
        if (status == CF_OK) status = cf_file_spool(r->lists->path, &r->spool);
    }
    return cf_par_agree(r->world, status);
}

/* Closing the spool file frees its blocks: it has no name. */
static void destroy_job(job *r)
{
    if (r->spool >= 0) close(r->spool);
    cf_free(&r->users);
    cf_free(&r->position);
}

/* Both files are opened before the ranking, which may take long: a folder that cannot be written is
 * found at once. */
cf_status cli_write_lists(const cli_lists *lists)
{
    job r = {.lists = lists, .world = lists->dataset->world, .k = lists->request.k, .spool = -1};
    cf_output output = {0};
    bool is_file; /* else the text may be on stdout, and is not to be followed by another line */
    cf_status status;

    CF_TRY(cf_par_agree(r.world, find_local_queries(&r)));
    warn_cold(&r);
    CF_TRY(open_files(&r, &output));
    CF_TRY(run_rounds(&r));
    CF_TRY(write_text(&r, &output));
    is_file = output.made.path != NULL;
    CF_TRY(cf_par_agree(r.world, r.world->rank == 0 ? cf_output_commit(&output) : CF_OK));
    if (r.world->rank == 0 && is_file)
        cli_print_line("%s: up to %lld items for each of %lld %s", lists->path, (long long)r.k,
                       (long long)lists->count, lists->what);
done:
    destroy_job(&r);
    cf_output_close(&output);
    return status;
}
