/* The new files of append, read by one rank with the readers of prepare, and numbered.
 *
 * The rank reads as a world of its own. Its ids are looked up in the dataset by one pass over that,
 * which all ranks read. Items that are not found get the numbers behind the dataset's, in the order
 * of the item file; users likewise, in the order of their ids, if an interaction of theirs is
 * left. */
#include "append.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Numbers in the dataset by which the ids of the files are known; -1: not there. */
typedef struct numbers {
    int64_t *lines; /* of the items of the item file, by line; then also those of new items */
    int64_t *items; /* of the items of the interactions */
    int64_t *users; /* of their users */
} numbers;

static void free_numbers(numbers *n)
{
    cf_free(&n->lines);
    cf_free(&n->items);
    cf_free(&n->users);
}

void append_destroy_news(append_news *news)
{
    ingest_destroy_interactions(&news->inter);
    ingest_destroy_items(&news->items);
    ingest_destroy_items(&news->ids);
    ingest_close_vectors(&news->vectors);
    ingest_destroy_id_table(&news->item_ids);
    ingest_destroy_id_table(&news->user_ids);
    cf_dataset_destroy_strings(&news->titles);
    cf_free(&news->pairs);
    for (int k = 0; k < APPEND_N_FILES; k++)
        ingest_close_file(&news->files[k]);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static cf_status open_files(const cf_ingest_append_paths *paths, append_news *news)
{
    const char *const names[APPEND_N_FILES] = {paths->item, paths->embedding_ids, paths->inter,
                                               paths->test};
    cf_status status = CF_OK;

    for (int k = 0; k < APPEND_N_FILES; k++)
        if (names[k] != NULL)
            CF_TRY(ingest_open_file(&news->self, names[k], paths->out, &news->files[k]));
done:
    return status;
}

/* Vectors must be as long as the dataset's. */
static cf_status open_vectors(const cf_dataset *dataset, const cf_ingest_options *options,
                              const char *embedding, append_news *news)
{
    const ingest_items *rows = news->ids.path != NULL ? &news->ids : &news->items;
    ingest_vectors *vectors = &news->vectors;
    cf_status status;

    CF_TRY(ingest_open_vectors(&news->self, options, embedding, rows, vectors));
    CF_REQUIRE(vectors->matrix.dim == dataset->embedding_dim, CF_ERR_FORMAT,
               "%s: vectors of %" PRId64 " numbers, but those of %s have %" PRId64, vectors->name,
               vectors->matrix.dim, cf_dataset_path(dataset), dataset->embedding_dim);
    news->has_vectors = true;
done:
    return status;
}

/* Local: all files, on the rank that reads them. */
static cf_status read_files(const cf_dataset *dataset, const cf_ingest_options *options,
                            const cf_ingest_append_paths *paths, append_news *news)
{
    const ingest_id_partition all = {0}; /* one block: ids stay in the order of the file */
    const ingest_file *files = news->files;
    cf_status status;

    CF_TRY(open_files(paths, news));
    if (paths->item != NULL)
        CF_TRY(ingest_read_items(&news->self, options, &files[APPEND_ITEM], &all, &news->items));
    if (paths->embedding_ids != NULL)
        CF_TRY(ingest_read_id_file(&news->self, &files[APPEND_IDS], &all, &news->ids));
    if (paths->embedding != NULL || options->embedding_field[0] != 0)
        CF_TRY(open_vectors(dataset, options, paths->embedding, news));
    if (paths->inter != NULL)
        CF_TRY(ingest_read_interactions(&news->self, options, &files[APPEND_INTER], INGEST_TRAIN,
                                        &news->inter));
    if (paths->test != NULL)
        CF_TRY(ingest_read_interactions(&news->self, options, &files[APPEND_TEST], INGEST_TEST,
                                        &news->inter));
    if (paths->inter != NULL || paths->test != NULL)
        CF_TRY(ingest_number_ids(&news->self, &news->inter));
done:
    return status;
}

/* ---- Items ----------------------------------------------------------------------------------- */

/* An id of strings as a field with the slack that lines have, in `padded` if it is short. */
static ingest_field field_of(const cf_strings *ids, int64_t k, char padded[INGEST_SLACK])
{
    const ingest_field id = {ids->bytes + ids->start[k], ids->start[k + 1] - ids->start[k] - 1};

    if (id.length > INGEST_SLACK / 2) return id;
    memset(padded, 0, INGEST_SLACK);
    return (ingest_field){memcpy(padded, id.text, (size_t)id.length), id.length};
}

/* Add an id that is not there yet. */
static cf_status add_id(const cf_strings *ids, int64_t k, ingest_id_table *out)
{
    char padded[INGEST_SLACK];
    const ingest_field id = field_of(ids, k, padded);
    int64_t number;

    return ingest_add_id(out, ingest_hash(id.text, id.length), &id, &number);
}

static cf_status add_title(const cf_strings *titles, int64_t k, cf_strings *out, int64_t *capacity)
{
    const int64_t size = titles->start[k + 1] - titles->start[k], end = out->start[out->count];
    cf_status status = CF_GROW(out->bytes, *capacity, end + size);

    if (status != CF_OK) return status;
    memcpy(out->bytes + end, titles->bytes + titles->start[k], (size_t)size);
    out->start[++out->count] = end + size;
    return CF_OK;
}

/* Number the items that the dataset lacks. Local. */
static cf_status number_items(const cf_dataset *dataset, append_news *news, int64_t *lines)
{
    const cf_strings ids = ingest_id_strings(&news->items.ids);
    int64_t capacity = 0;
    cf_status status = CF_OK;

    if (news->items.has_titles) CF_TRY(CF_ALLOC(news->titles.start, ids.count + 1));
    for (int64_t k = 0; k < ids.count; k++) {
        if (lines[k] >= 0) {
            news->n_known++;
            continue;
        }
        lines[k] = dataset->n_items + news->item_ids.count;
        CF_TRY(add_id(&ids, k, &news->item_ids));
        if (news->items.has_titles)
            CF_TRY(add_title(&news->items.titles, k, &news->titles, &capacity));
    }
    news->new_ids = ingest_id_strings(&news->item_ids);
done:
    return status;
}

/* ---- Interactions ---------------------------------------------------------------------------- */

/* The number of an item of the interactions; -1 if neither the dataset nor the item file has it. */
static int64_t find_item(const append_news *news, const numbers *known, int64_t k)
{
    const cf_strings *ids = &news->inter.items.ids;
    const char *id = ids->bytes + ids->start[k];
    int64_t line;

    if (known->items[k] >= 0) return known->items[k];
    line = ingest_find_id(&news->items.ids, id, (int64_t)strlen(id));
    return line >= 0 ? known->lines[line] : -1;
}

static int by_user_then_item(const void *left, const void *right)
{
    const append_pair *a = left, *b = right;

    if (a->user != b->user) return a->user < b->user ? -1 : 1;
    return a->item < b->item ? -1 : a->item > b->item;
}

/* Note the error of an item that is not known. */
static cf_status refuse_unknown(const cf_dataset *dataset, const append_news *news, int64_t item)
{
    const char *file = news->files[APPEND_INTER].name;
    const cf_strings *ids = &news->inter.items.ids;

    return CF_FAIL(CF_ERR_FORMAT,
                   "%s: item \"%.100s\" is neither in %s nor in a file of --item; "
                   "filter_inter_by_user_or_item: true drops its interactions",
                   file != NULL ? file : news->files[APPEND_TEST].name,
                   ids->bytes + ids->start[item], cf_dataset_path(dataset));
}

/* The interactions by number; those of unknown items are dropped. A user that the dataset lacks
 * gets a number with the first that is left. Local. */
static cf_status number_pairs(const cf_dataset *dataset, const cf_ingest_options *options,
                              numbers *known, append_news *news)
{
    ingest_interactions *inter = &news->inter;
    cf_status status = CF_ALLOC(news->pairs, inter->count);

    for (int64_t e = 0; status == CF_OK && e < inter->count; e++) {
        const int64_t user = ingest_user(inter->pairs[e]);
        const int64_t id = inter->index.item[ingest_item(inter->pairs[e])];
        const int64_t item = find_item(news, known, id);

        if (item < 0 && !options->drops_unknown) CF_TRY(refuse_unknown(dataset, news, id));
        if (item < 0) {
            news->n_unknown++;
            continue;
        }
        if (known->users[user] < 0) {
            known->users[user] = dataset->n_users + news->user_ids.count;
            CF_TRY(add_id(&inter->users.ids, user, &news->user_ids));
        }
        news->pairs[news->n_pairs++] =
            (append_pair){known->users[user], item,
                          ingest_part_of_place(*ingest_place_of(inter, e)) == INGEST_TEST};
    }
    CF_TRY(status);
    if (news->n_pairs > 0)
        qsort(news->pairs, (size_t)news->n_pairs, sizeof *news->pairs, by_user_then_item);
done:
    return status;
}

/* ---- All of it ------------------------------------------------------------------------------- */

/* The numbers of ids that the dataset has. Collective. */
static cf_status find_numbers(const cf_dataset *dataset, const append_news *news, numbers *out)
{
    const cf_strings lines = ingest_id_strings(&news->items.ids);
    const cf_strings *items = &news->inter.items.ids, *users = &news->inter.users.ids;
    cf_status status = CF_ALLOC(out->lines, lines.count);

    if (status == CF_OK) status = CF_ALLOC(out->items, items->count);
    if (status == CF_OK) status = CF_ALLOC(out->users, users->count);
    CF_TRY(cf_par_agree(dataset->world, status));
    CF_TRY(cf_dataset_match(dataset, CF_ITEM_IDS, &lines, out->lines));
    CF_TRY(cf_dataset_match(dataset, CF_ITEM_IDS, items, out->items));
    CF_TRY(cf_dataset_match(dataset, CF_USER_IDS, users, out->users));
done:
    return status;
}

cf_status append_read_news(const cf_dataset *dataset, const cf_ingest_options *options,
                           const cf_ingest_append_paths *paths, append_news *out)
{
    const cf_par *world = dataset->world;
    const bool reads = world->rank == world->size - 1;
    const bool has_vectors = paths->embedding != NULL || options->embedding_field[0] != 0;
    numbers known = {0};
    cf_status status = CF_OK;

    CF_REQUIRE(!has_vectors || dataset->embedding_dim > 0, CF_ERR_USAGE,
               "append: %s has no vectors, so that new items cannot have any",
               cf_dataset_path(dataset));
    out->self = (cf_par){MPI_COMM_SELF, 0, 1};
    if (reads) status = read_files(dataset, options, paths, out);
    CF_TRY(cf_par_agree_on_input(world, status));
    CF_TRY(find_numbers(dataset, out, &known));
    status = number_items(dataset, out, known.lines);
    if (status == CF_OK) status = number_pairs(dataset, options, &known, out);
    CF_TRY(cf_par_agree_on_input(world, status));
done:
    free_numbers(&known);
    return status;
}
