/* What `llminit prepare` does: from files to a dataset, all ranks together.
 *
 *   read       interactions; number their ids over all ranks; then the lines of items
 *   arrange    filter, move the lines of items after their new owners, split
 *   complete   titles and vectors in the order of the items, texts that describe the source
 *   reorder    if asked for, new numbers for users and items
 *   write      the dataset; vectors are read from their file in blocks meanwhile
 *
 * Every step ends in agreement, so an error on one rank ends all. */
#include "filter.h"
#include "paths.h"
#include "reorder.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_SIZE = 32768 }; /* of a descriptive attribute: six paths of PATH_MAX, and more */

/* The text files. */
enum { INTER, TRAIN, VALID, TEST, ITEM, EMBEDDING_IDS, N_FILES };

/* All that a rank holds between reading and writing. */
typedef struct prepare_job {
    const cf_par *world;
    const cf_ingest_options *options;
    const cf_ingest_paths *paths;
    ingest_file files[N_FILES];
    ingest_interactions inter;
    ingest_items items; /* of the item file */
    ingest_items ids;   /* of the id file */
    ingest_vectors vectors;
    cf_strings titles;
    cf_lists parts[3];
    cf_leaves leaves;
    cf_ingest_report report;
    char source[TEXT_SIZE], filters[TEXT_SIZE], split[TEXT_SIZE];
    cf_dataset_content content; /* borrows from the above */
} prepare_job;

static void free_job(prepare_job *job)
{
    ingest_destroy_interactions(&job->inter);
    ingest_destroy_items(&job->items);
    ingest_destroy_items(&job->ids);
    ingest_close_vectors(&job->vectors);
    cf_dataset_destroy_strings(&job->titles);
    cf_dataset_destroy_leaves(&job->leaves);
    for (int k = 0; k < N_FILES; k++)
        ingest_close_file(&job->files[k]);
    for (int k = 0; k < 3; k++) {
        cf_free(&job->parts[k].start);
        cf_free(&job->parts[k].index);
        cf_free(&job->parts[k].weight);
    }
}

/* The file that messages about interactions name. */
static const char *interactions_path(const prepare_job *job)
{
    return job->paths->inter != NULL ? job->paths->inter : job->paths->train;
}

/* Open those of the files that are given. */
static cf_status open_files(prepare_job *job)
{
    const cf_ingest_paths *paths = job->paths;
    const char *const names[N_FILES] = {paths->inter, paths->train, paths->valid,
                                        paths->test,  paths->item,  paths->embedding_ids};
    cf_status status = CF_OK;

    for (int k = 0; k < N_FILES; k++)
        if (names[k] != NULL)
            CF_TRY(ingest_open_file(job->world, names[k], paths->out, &job->files[k]));
done:
    return status;
}

/* Read all files but vectors. Items come last: their lines go to the owners of their ids, who are
 * known once the ids of the interactions are numbered. */
static cf_status read_files(prepare_job *job)
{
    static const int part[] = {INGEST_NO_PART, INGEST_TRAIN, INGEST_VALID, INGEST_TEST};
    const ingest_file *files = job->files;
    const ingest_id_partition *items = &job->inter.items;
    cf_status status;

    CF_TRY(open_files(job));
    job->inter.has_item_file = files[ITEM].name != NULL;
    for (int k = INTER; k <= TEST; k++)
        if (files[k].name != NULL)
            CF_TRY(ingest_read_interactions(job->world, job->options, &files[k], part[k],
                                            &job->inter));
    CF_TRY(ingest_number_ids(job->world, &job->inter));
    job->items.filters = job->inter.item_filters;
    if (files[ITEM].name != NULL)
        CF_TRY(ingest_read_items(job->world, job->options, &files[ITEM], items, &job->items));
    if (files[EMBEDDING_IDS].name != NULL)
        CF_TRY(ingest_read_id_file(job->world, &files[EMBEDDING_IDS], items, &job->ids));
done:
    return status;
}

/* ---- Vectors --------------------------------------------------------------------------------- */

static bool has_vectors(const prepare_job *job)
{
    return job->paths->embedding != NULL || job->options->embedding_field[0] != 0;
}

/* What says whose each vector is: an id file, else the item file; NULL if there are no vectors. */
static const ingest_items *vector_rows(const prepare_job *job)
{
    return !has_vectors(job) ? NULL : job->ids.path != NULL ? &job->ids : &job->items;
}

/* Open the vectors, which are read while the dataset is written. Without an id file and an item
 * file, LightGCN's item numbers say whose each row is. */
static cf_status open_vectors(prepare_job *job)
{
    const bool has_rows = job->ids.path != NULL || job->items.path != NULL;
    ingest_vectors *vectors = &job->vectors;
    cf_status status;

    CF_REQUIRE(has_rows || job->inter.is_lightgcn, CF_ERR_USAGE,
               "prepare: --embedding needs --item or --embedding-ids, to know whose vector each "
               "row is");
    CF_TRY(ingest_open_vectors(job->world, job->options, job->paths->embedding,
                               has_rows ? vector_rows(job) : NULL, vectors));
    if (!has_rows)
        CF_TRY(ingest_number_rows(job->world, vectors->name, vectors->matrix.n_rows,
                                  &job->inter.items, &job->ids));
done:
    return status;
}

/* Find the vectors of the items of the dataset. */
static cf_status place_vectors(prepare_job *job)
{
    job->vectors.item_ids = &job->inter.items.ids;
    return ingest_find_rows(job->world, job->options, vector_rows(job), &job->vectors);
}

/* ---- Interactions ---------------------------------------------------------------------------- */

/* The sum over all ranks. */
static int64_t sum_all(const prepare_job *job, int64_t mine)
{
    int64_t before, all;

    cf_par_exscan(job->world, mine, &before, &all);
    return all;
}

static int64_t count_part(const prepare_job *job, int part)
{
    return sum_all(job, job->parts[part].start[job->parts[part].count]);
}

/* The first and the last time, over all ranks; there are interactions. Collective. */
static void find_times(const prepare_job *job, double *first, double *last)
{
    uint64_t ends[2] = {0, 0}; /* the largest of ~time and of time */

    for (int64_t e = 0; e < job->inter.count; e++) {
        const uint64_t time = ingest_time_of(&job->inter, e);

        if (~time > ends[0]) ends[0] = ~time;
        if (time > ends[1]) ends[1] = time;
    }
    cf_par_max_unsigned(job->world, ends, 2);
    *first = ingest_time_of_bits(~ends[0]);
    *last = ingest_time_of_bits(ends[1]);
}

/* Note the error of a part without interactions. Collective. */
static cf_status refuse_part(const prepare_job *job, int part)
{
    static const char *const names[] = {"train", "valid", "test"};
    const bool is_given = job->paths->inter == NULL;
    const double *times = job->options->split_times;
    double first, last;

    if (!is_given && job->options->by_dates) {
        find_times(job, &first, &last);
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s: no interactions are left for %s: their times are from %.15g to %.15g, "
                       "and split_times are %.15g and %.15g",
                       interactions_path(job), names[part], first, last, times[0], times[1]);
    }
    if (job->options->cold_share > 0)
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s: no interactions are left for %s with cold_share %g: give another seed "
                       "or share",
                       interactions_path(job), names[part], job->options->cold_share);
    if (!is_given || part == INGEST_TRAIN)
        return CF_FAIL(CF_ERR_FORMAT, "%s: no interactions are left for %s", interactions_path(job),
                       names[part]);
    return CF_FAIL(CF_ERR_FORMAT,
                   "%s: no interactions are left for %s; those that train%s has as well stay there",
                   job->files[TRAIN + part].name, names[part],
                   part == INGEST_TEST && job->paths->valid != NULL ? " or valid" : "");
}

/* Refuse an empty part, unless the options or the files ask for none. */
static cf_status check_parts(const prepare_job *job)
{
    const cf_ingest_paths *paths = job->paths;
    bool required[3] = {true, paths->valid != NULL, paths->test != NULL};
    cf_status status = CF_OK;

    /* Leave-one-out and times fill valid and test; ratios of 0 ask for an empty part. */
    for (int k = 1; k < 3; k++)
        if (paths->inter != NULL)
            required[k] = !job->options->by_ratio || job->options->ratios[k] > 0;
    for (int k = 0; k < 3; k++)
        if (required[k] && count_part(job, k) == 0) CF_TRY(refuse_part(job, k));
done:
    return status;
}

/* Split, and find the cold items: those that cold_share draws, and all that train lacks where the
 * times, the files or the catalogue make them so. With LS and RS alone, an item that lost all its
 * interactions to valid or test by chance is no new item. */
static cf_status split_interactions(prepare_job *job)
{
    const cf_ingest_options *options = job->options;
    const bool is_given = job->paths->inter == NULL;
    ingest_interactions *inter = &job->inter;
    cf_status status;

    if (options->cold_share > 0) CF_TRY(ingest_draw_cold(job->world, options, inter));
    CF_TRY(ingest_split(job->world, options, is_given, inter, job->parts));
    CF_TRY(check_parts(job));
    if (options->cold_share > 0 || options->by_dates || is_given || options->keeps_all)
        CF_TRY(ingest_mark_cold(job->world, job->parts, inter, &job->report.cold));
done:
    return status;
}

/* Filter and split. The arrays of interactions are freed here: writing needs the lists alone. */
static cf_status arrange_interactions(prepare_job *job)
{
    ingest_interactions *inter = &job->inter;
    const ingest_catalogue catalogue = {&job->items, vector_rows(job), &job->vectors};
    bool renumbered;
    cf_status status;

    CF_TRY(ingest_filter(job->world, job->options, &catalogue, inter, &renumbered));
    CF_REQUIRE(sum_all(job, inter->count) > 0, CF_ERR_FORMAT,
               "%s: the filters leave no interactions", interactions_path(job));
    if (renumbered) { /* ids were partitioned anew, so lines of items may have new owners */
        if (job->items.path != NULL)
            CF_TRY(ingest_move_items(job->world, &inter->items, INT64_MAX, &job->items));
        if (job->ids.path != NULL)
            CF_TRY(ingest_move_items(job->world, &inter->items, INT64_MAX, &job->ids));
    }
    CF_TRY(split_interactions(job));
done:
    cf_free(&inter->pairs);
    cf_free(&inter->keys);
    return status;
}

/* ---- Items ----------------------------------------------------------------------------------- */

/* Local: the titles of my items in their order; "" for items that the item file lacks. */
static cf_status order_titles(prepare_job *job)
{
    const cf_strings *ids = &job->inter.items.ids, *titles = &job->items.titles;
    cf_strings *out = &job->titles;
    int64_t capacity = 0, end = 0;
    cf_status status;

    CF_TRY(CF_ALLOC(out->start, ids->count + 1));
    out->count = ids->count;
    for (int64_t k = 0; k < ids->count; k++) {
        const char *id = ids->bytes + ids->start[k];
        int64_t line = ingest_find_id(&job->items.ids, id, (int64_t)strlen(id));
        const char *title = line < 0 ? "" : titles->bytes + titles->start[line];
        int64_t size = (int64_t)strlen(title) + 1;

        CF_TRY(CF_GROW(out->bytes, capacity, end + size));
        memcpy(out->bytes + end, title, (size_t)size);
        end += size;
        out->start[k + 1] = end;
    }
done:
    return status;
}

/* ---- Descriptions ---------------------------------------------------------------------------- */

/* Append "name value", after "; " unless it is the first. Nothing if value is NULL. */
static void append_text(char *out, const char *name, const char *value)
{
    size_t used = strlen(out);

    if (value != NULL)
        snprintf(out + used, TEXT_SIZE - used, "%s%s%s", used > 0 ? "; " : "", name, value);
}

/* Append "name number", after "; ", unless the number is 0. */
static void append_number(char *out, const char *name, double number)
{
    char text[32];

    snprintf(text, sizeof text, "%.15g", number);
    append_text(out, name, number != 0 ? text : NULL);
}

/* The split, for people. The order counts where a user's interactions are ordered. */
static void describe_split(prepare_job *job)
{
    const cf_ingest_options *o = job->options;

    if (job->paths->inter == NULL)
        append_text(job->split, "as the files give it", "");
    else if (o->by_dates)
        snprintf(job->split, TEXT_SIZE, "TS %s %s", o->time_texts[0], o->time_texts[1]);
    else if (o->by_ratio)
        snprintf(job->split, TEXT_SIZE, "RS %g %g %g", o->ratios[0], o->ratios[1], o->ratios[2]);
    else
        append_text(job->split, "LS valid_and_test", "");
    append_number(job->split, "cold_share ", o->cold_share);
    append_number(job->split, "max_train_items ", (double)o->max_train_items);
    if (job->paths->inter != NULL && !o->by_dates)
        append_text(job->split, "order ", o->by_time ? "time" : "random");
}

/* Fill the attributes that tell people how the dataset was made. */
static void describe_dataset(prepare_job *job)
{
    const cf_ingest_options *o = job->options;
    const cf_ingest_paths *paths = job->paths;

    append_text(job->source, "inter ", paths->inter);
    append_text(job->source, "train ", paths->train);
    append_text(job->source, "valid ", paths->valid);
    append_text(job->source, "test ", paths->test);
    append_text(job->source, "item ", paths->item);
    append_text(job->source, "embedding ", paths->embedding);
    for (int k = 0; k < o->n_filters; k++) {
        append_text(job->filters, o->filter_field[k], " in ");
        snprintf(job->filters + strlen(job->filters), TEXT_SIZE - strlen(job->filters), "%s",
                 o->filter[k].text);
    }
    append_text(job->filters, "user_inter_num_interval ", o->user_count.text);
    append_text(job->filters, "item_inter_num_interval ", o->item_count.text);
    describe_split(job);
    job->content.source = job->source;
    job->content.filters = job->filters;
    job->content.split = job->split;
    job->content.embedding_model = o->embedding_model;
    job->content.seed = o->seed;
}

/* The mean weight of all train interactions; 0 without weights. */
static double find_mean_weight(const prepare_job *job)
{
    const cf_lists *train = &job->parts[INGEST_TRAIN];
    cf_exact sum = {{0}, 0};

    for (int64_t e = 0; train->weight != NULL && e < train->start[train->count]; e++)
        cf_exact_add(&sum, (double)train->weight[e]);
    cf_par_sum_exact(job->world, &sum, 1);
    return cf_exact_value(&sum) / (double)count_part(job, INGEST_TRAIN);
}

/* Users of mine without train interactions. */
static int64_t count_untrained(const cf_lists *train)
{
    int64_t n = 0;

    for (int64_t u = 0; u < train->count; u++)
        n += train->start[u + 1] == train->start[u];
    return n;
}

/* Sums over all ranks; those of cold items are there. The arrays of interactions are gone, the
 * lists and counts are not. */
static void fill_report(prepare_job *job)
{
    cf_ingest_report *r = &job->report;

    r->lines = sum_all(job, job->inter.n_lines);
    r->duplicates = sum_all(job, job->inter.n_duplicates);
    r->filtered = sum_all(job, job->inter.n_filtered);
    r->unknown = sum_all(job, job->inter.n_unknown);
    r->no_vector = sum_all(job, job->inter.n_no_vector);
    r->n_no_interactions = job->inter.n_no_interactions;
    r->n_no_train = sum_all(job, count_untrained(&job->parts[INGEST_TRAIN]));
    r->n_users = sum_all(job, job->content.user_ids.count);
    r->n_items = sum_all(job, job->content.item_ids.count);
    r->n_train = count_part(job, INGEST_TRAIN);
    r->n_valid = count_part(job, INGEST_VALID);
    r->n_test = count_part(job, INGEST_TEST);
    r->n_above_most = sum_all(job, job->inter.count) - r->n_train - r->n_valid - r->n_test;
    r->embedding_dim = job->content.embedding_dim;
    r->n_missing = sum_all(job, job->content.n_missing);
    r->n_leaves = job->leaves.count;
    r->mean_weight = find_mean_weight(job);
    r->unused_vectors = job->vectors.n_unused;
    r->bytes = job->inter.bytes;
}

/* Number users and items anew, and move all that belongs to them. */
static cf_status reorder(prepare_job *job)
{
    const ingest_rows rows = {&job->inter, job->parts, job->items.has_titles ? &job->titles : NULL,
                              has_vectors(job) ? &job->vectors : NULL};

    return ingest_reorder(job->world, job->options, &rows, &job->leaves, &job->report.n_leaf_parts);
}

/* What is written, once all has its place; it borrows. */
static void collect_content(prepare_job *job)
{
    cf_dataset_content *content = &job->content;

    content->user_ids = job->inter.users.ids;
    content->item_ids = job->inter.items.ids;
    content->titles = job->titles;
    content->cold = job->inter.cold;
    content->train = job->parts[INGEST_TRAIN];
    content->valid = job->parts[INGEST_VALID];
    content->test = job->parts[INGEST_TEST];
    content->leaves = job->leaves;
    if (!has_vectors(job)) return;
    content->embedding_dim = job->vectors.matrix.dim;
    content->embedding_type = job->vectors.type;
    content->n_missing = job->vectors.n_missing;
    content->read_vectors = ingest_read_vectors;
    content->context = &job->vectors;
}

/* All steps before writing, which does not need the item index. */
static cf_status fill_content(prepare_job *job)
{
    cf_status status;

    CF_TRY(cf_par_agree_on_input(job->world, ingest_check_paths(job->paths, job->options)));
    CF_TRY(read_files(job));
    if (has_vectors(job)) CF_TRY(open_vectors(job));
    CF_TRY(arrange_interactions(job));
    if (job->items.has_titles) CF_TRY(cf_par_agree(job->world, order_titles(job)));
    if (has_vectors(job)) CF_TRY(place_vectors(job));
    if (job->options->bisects) CF_TRY(reorder(job));
    ingest_destroy_item_index(&job->inter.index);
    collect_content(job);
    describe_dataset(job);
    fill_report(job);
done:
    return status;
}

/* The job is allocated because it holds 24 kB of texts. */
cf_status cf_ingest_prepare(const cf_par *world, const cf_ingest_options *options,
                            const cf_ingest_paths *paths, cf_ingest_report *report)
{
    const double started = cf_clock_now();
    prepare_job *job = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(job, 1)));
    *job = (prepare_job){
        .world = world, .options = options, .paths = paths, .vectors = {.matrix = {.fd = -1}}};
    CF_TRY(fill_content(job));
    CF_TRY(cf_dataset_write(world, paths->out, &job->content));
    job->report.seconds = cf_clock_now() - started;
    *report = job->report;
done:
    if (job != NULL) free_job(job);
    cf_free(&job);
    return status;
}
