/* What `llminit append` does: a dataset and new files become a new dataset.
 *
 *   open    the dataset: each rank has a block of its users and of its items, with all lists
 *   read    the new files, on the last rank, whose block the new users and items follow
 *   merge   the new interactions into the lists of their users, on the ranks that have these
 *   write   the dataset, from the old parts and the new; vectors pass in blocks
 *
 * The rank that tells the user is rank 0, and the one that reads is to be the last: so the work is
 * done by the same ranks in reverse order. Files do not depend on the order. */
#include "append.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 49152 }; /* of the source; an attribute has at most 60 KiB */
enum { ADDED, TEST, N_LISTS };

/* All that a rank holds between opening and writing. */
typedef struct append_job {
    cf_par world; /* the ranks in reverse order */
    const cf_ingest_options *options;
    const cf_ingest_append_paths *paths;
    cf_dataset *dataset;
    cf_grid *grid;
    cf_shard *shard;
    cf_dataset_origin origin;
    cf_strings users, items, titles; /* ids and titles of my part: old ones, then new ones */
    append_news news;
    cf_lists lists[N_LISTS];
    append_counts counts;
    append_vectors vectors;
    uint8_t *cold; /* of my items */
    char source[TEXT_SIZE];
} append_job;

static void free_job(append_job *job)
{
    cf_dataset_destroy_strings(&job->users);
    cf_dataset_destroy_strings(&job->items);
    cf_dataset_destroy_strings(&job->titles);
    append_close_vectors(&job->vectors);
    append_destroy_news(&job->news);
    for (int l = 0; l < N_LISTS; l++) {
        cf_free(&job->lists[l].start);
        cf_free(&job->lists[l].index);
    }
    cf_free(&job->cold);
    cf_dataset_destroy_origin(&job->origin);
    cf_dataset_destroy_shard(&job->shard);
    cf_par_destroy_grid(&job->grid);
    cf_dataset_close(&job->dataset);
}

static cf_status check_paths(const cf_ingest_append_paths *paths, const cf_ingest_options *options)
{
    const bool has_column = options->embedding_field[0] != 0;
    cf_status status = CF_OK;

    CF_REQUIRE(paths->item != NULL || paths->inter != NULL || paths->test != NULL, CF_ERR_USAGE,
               "append: expected --item, --inter or --test");
    CF_REQUIRE(!has_column || paths->embedding == NULL, CF_ERR_USAGE,
               "append: expected vectors either in --embedding or in embedding_field, not both");
    CF_REQUIRE((!has_column && paths->embedding == NULL) || paths->item != NULL, CF_ERR_USAGE,
               "append: %s needs --item", has_column ? "embedding_field" : "--embedding");
    CF_REQUIRE(paths->embedding_ids == NULL || paths->embedding != NULL, CF_ERR_USAGE,
               "append: --embedding-ids needs --embedding");
done:
    return status;
}

/* ---- Old parts ------------------------------------------------------------------------------- */

/* The dataset, and the block of each rank. */
static cf_status open_dataset(append_job *job)
{
    cf_shard *shard;
    cf_status status;

    CF_TRY(cf_dataset_open(&job->world, job->paths->data, &job->dataset));
    CF_TRY(cf_dataset_read_origin(job->dataset, &job->origin));
    CF_TRY(cf_par_create_grid(&job->world, job->world.size, 1, &job->grid));
    CF_TRY(cf_dataset_load_shard(job->dataset, job->grid, &job->shard));
    shard = job->shard;
    CF_TRY(cf_dataset_read_names(job->dataset, CF_USER_IDS, shard->first_user, shard->n_users,
                                 &job->users));
    CF_TRY(cf_dataset_read_names(job->dataset, CF_ITEM_IDS, shard->first_item, shard->n_items,
                                 &job->items));
    CF_TRY(cf_dataset_read_names(job->dataset, CF_ITEM_TITLES, shard->first_item, shard->n_items,
                                 &job->titles));
done:
    return status;
}

/* ---- New parts behind them ------------------------------------------------------------------- */

/* Append `count` strings; without `more` they are "". Local. */
static cf_status append_strings(cf_strings *strings, int64_t count, const cf_strings *more)
{
    const int64_t old = strings->count, begin = strings->start[old];
    const int64_t size = count == 0 ? 0 : more != NULL ? more->start[count] : count;
    cf_strings out = {.count = old + count};
    cf_status status;

    CF_TRY(CF_ALLOC(out.start, old + count + 1));
    CF_TRY(CF_ALLOC(out.bytes, begin + size));
    memcpy(out.start, strings->start, ((size_t)old + 1) * sizeof *out.start);
    memcpy(out.bytes, strings->bytes, (size_t)begin);
    for (int64_t k = 1; k <= count; k++)
        out.start[old + k] = begin + (more != NULL ? more->start[k] : k);
    if (more != NULL) memcpy(out.bytes + begin, more->bytes, (size_t)size);
    cf_dataset_destroy_strings(strings);
    *strings = out;
    out = (cf_strings){0};
done:
    cf_dataset_destroy_strings(&out);
    return status;
}

/* The marks of my items: new ones are candidates in valid and test. Local. */
static cf_status mark_items(append_job *job)
{
    const cf_shard *shard = job->shard;
    const int64_t n_new = job->news.new_ids.count;
    cf_status status = CF_ALLOC(job->cold, shard->n_items + n_new);

    if (status != CF_OK) return status;
    if (shard->cold != NULL)
        memcpy(job->cold, shard->cold + shard->first_item, (size_t)shard->n_items);
    memset(job->cold + shard->n_items, CF_COLD_VALID | CF_COLD_TEST, (size_t)n_new);
    return CF_OK;
}

/* Names and marks. Local. */
static cf_status append_items_and_users(append_job *job)
{
    const append_news *news = &job->news;
    const cf_strings users = ingest_id_strings(&news->user_ids);
    const bool has_titles = news->items.has_titles;
    cf_status status;

    CF_TRY(append_strings(&job->users, users.count, users.count > 0 ? &users : NULL));
    CF_TRY(append_strings(&job->items, news->new_ids.count,
                          news->new_ids.count > 0 ? &news->new_ids : NULL));
    CF_TRY(append_strings(&job->titles, news->new_ids.count,
                          has_titles && news->titles.count > 0 ? &news->titles : NULL));
    CF_TRY(mark_items(job));
done:
    return status;
}

/* The lists of new users are empty but for what was merged: their ends are those of the last old
 * user. Local. */
static cf_status extend_lists(cf_lists *lists, int64_t count)
{
    int64_t capacity = lists->count + 1;
    cf_status status = CF_GROW(lists->start, capacity, count + 1);

    if (status != CF_OK) return status;
    for (int64_t k = lists->count; k < count; k++)
        lists->start[k + 1] = lists->start[k];
    lists->count = count;
    return CF_OK;
}

/* ---- Descriptions ---------------------------------------------------------------------------- */

static void append_text(char *out, const char *name, const char *value)
{
    const size_t used = strlen(out);

    if (value != NULL) snprintf(out + used, TEXT_SIZE - used, "%s %s", name, value);
}

/* The source, for people: the files of the dataset, then those that were appended. */
static void describe_source(append_job *job)
{
    snprintf(job->source, TEXT_SIZE, "%s; appended", job->origin.source);
    append_text(job->source, " item", job->paths->item);
    append_text(job->source, " embedding", job->paths->embedding);
    append_text(job->source, " inter", job->paths->inter);
    append_text(job->source, " test", job->paths->test);
}

/* The sum over all ranks. */
static int64_t sum_all(const append_job *job, int64_t mine)
{
    int64_t before, all;

    cf_par_exscan(&job->world, mine, &before, &all);
    return all;
}

static cf_ingest_append_report make_report(const append_job *job)
{
    const append_news *news = &job->news;
    const int64_t new_users = sum_all(job, news->user_ids.count),
                  new_items = sum_all(job, news->new_ids.count);

    return (cf_ingest_append_report){
        .n_users = job->dataset->n_users + new_users,
        .n_items = job->dataset->n_items + new_items,
        .new_users = new_users,
        .new_items = new_items,
        .known_items = sum_all(job, news->n_known),
        .added = sum_all(job, job->counts.n_added),
        .test = sum_all(job, job->counts.n_test),
        .moved = sum_all(job, job->counts.n_moved),
        .repeats = sum_all(job, job->counts.n_repeats + news->inter.n_duplicates),
        .unknown = sum_all(job, news->n_unknown),
        .embedding_dim = job->dataset->embedding_dim,
        .n_missing = sum_all(job, job->vectors.n_new_missing)};
}

/* ---- All of it ------------------------------------------------------------------------------- */

/* What is written. Titles are left out where neither the dataset nor the item file has any. */
static cf_dataset_content make_content(append_job *job, bool has_titles)
{
    const cf_dataset *dataset = job->dataset;

    return (cf_dataset_content){.user_ids = job->users,
                                .item_ids = job->items,
                                .titles = has_titles ? job->titles : (cf_strings){0},
                                .train = job->shard->train,
                                .valid = job->shard->valid,
                                .test = job->lists[TEST],
                                .cold = job->cold,
                                .base = dataset->base,
                                .added = job->lists[ADDED],
                                .leaves = dataset->leaves,
                                .n_missing = job->vectors.n_missing,
                                .embedding_dim = dataset->embedding_dim,
                                .embedding_type = dataset->embedding_type,
                                .read_vectors = append_read_vectors,
                                .context = &job->vectors,
                                .source = job->source,
                                .filters = job->origin.filters,
                                .split = job->origin.split,
                                .embedding_model = job->origin.embedding_model,
                                .seed = job->origin.seed};
}

/* Old and new, side by side. */
static cf_status join_parts(append_job *job)
{
    cf_status status;

    CF_TRY(append_merge_lists(&job->world, job->shard, &job->news, job->lists, &job->counts));
    status = append_items_and_users(job);
    if (status == CF_OK) status = extend_lists(&job->shard->train, job->lists[ADDED].count);
    if (status == CF_OK) status = extend_lists(&job->shard->valid, job->lists[ADDED].count);
    CF_TRY(cf_par_agree(&job->world, status));
    CF_TRY(append_open_vectors(job->dataset, job->shard, &job->news, &job->vectors));
    describe_source(job);
done:
    return status;
}

static cf_status append_all(append_job *job, cf_ingest_append_report *report)
{
    cf_dataset_content content;
    bool has_titles;
    cf_status status;

    CF_TRY(open_dataset(job));
    CF_TRY(append_read_news(job->dataset, job->options, job->paths, &job->news));
    has_titles = cf_par_any(&job->world, job->dataset->has_titles || job->news.items.has_titles);
    CF_TRY(join_parts(job));
    content = make_content(job, has_titles);
    CF_TRY(cf_dataset_write(&job->world, job->paths->out, &content));
    *report = make_report(job);
done:
    return status;
}

/* Rank r becomes rank size - 1 - r. */
cf_status cf_ingest_append(const cf_par *world, const cf_ingest_options *options,
                           const cf_ingest_append_paths *paths, cf_ingest_append_report *report)
{
    const double started = cf_clock_now();
    append_job *job = NULL;
    cf_par reversed = {MPI_COMM_NULL, world->size - 1 - world->rank, world->size};
    cf_status status;

    CF_TRY(check_paths(paths, options));
    MPI_Comm_split(world->comm, 0, reversed.rank, &reversed.comm);
    CF_TRY(cf_par_agree(world, CF_ALLOC(job, 1)));
    *job = (append_job){.world = reversed,
                        .options = options,
                        .paths = paths,
                        .news = {.vectors = {.matrix = {.fd = -1}}}};
    CF_TRY(append_all(job, report));
    report->seconds = cf_clock_now() - started;
done:
    if (job != NULL) free_job(job);
    cf_free(&job);
    if (reversed.comm != MPI_COMM_NULL) MPI_Comm_free(&reversed.comm);
    return status;
}
