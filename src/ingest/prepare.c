/* From files to a dataset: what `llminit prepare` does. */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TEXT_SIZE = 8192 }; /* of a descriptive attribute; longer ones are cut */

/* All that a rank holds between reading and writing. */
typedef struct work {
    const cf_par *world;
    const cf_config *config;
    const cf_ingest_paths *paths;
    ingest_options options;
    ingest_log log;
    ingest_items items; /* of the item file */
    ingest_items ids;   /* of the id file */
    ingest_vectors vectors;
    cf_strings titles;
    cf_lists parts[3];
    cf_ingest_report report;
    char source[TEXT_SIZE], filters[TEXT_SIZE], split[TEXT_SIZE];
    cf_dataset_content content;
} work;

static void free_work(work *w)
{
    ingest_log_free(&w->log);
    ingest_items_free(&w->items);
    ingest_items_free(&w->ids);
    ingest_vectors_close(&w->vectors);
    cf_dataset_destroy_strings(&w->titles);
    for (int k = 0; k < 3; k++) {
        cf_free(&w->parts[k].start);
        cf_free(&w->parts[k].index);
    }
}

/* Writing over what is read would lose it. */
static bool same_file(const char *path, const char *other)
{
    struct stat one, two;

    return path && stat(path, &one) == 0 && stat(other, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

static cf_status check_out(const cf_ingest_paths *paths)
{
    const char *inputs[] = {paths->inter, paths->train, paths->valid,        paths->test,
                            paths->item,  NULL,         paths->embedding_ids};
    const char *dataset;
    char *embedding = NULL;
    cf_status status = CF_OK;

    if (paths->embedding) CF_TRY(ingest_matrix_split(paths->embedding, &embedding, &dataset));
    inputs[5] = embedding;
    for (size_t k = 0; k < sizeof inputs / sizeof *inputs; k++)
        if (same_file(inputs[k], paths->out))
            CF_TRY(CF_FAIL(CF_ERR_USAGE, "prepare: --out is one of the files to read: %s",
                           paths->out));
done:
    cf_free(&embedding);
    return status;
}

static cf_status check_paths(const cf_ingest_paths *paths, const ingest_options *options)
{
    if (!paths->out) return CF_FAIL(CF_ERR_USAGE, "prepare: --out is missing");
    if (!paths->inter == !paths->train)
        return CF_FAIL(CF_ERR_USAGE, "prepare: give either --inter, to be split, or --train with "
                                     "--test and --valid");
    if (paths->inter && (paths->test || paths->valid))
        return CF_FAIL(CF_ERR_USAGE, "prepare: --inter is split here; --test and --valid go with "
                                     "--train");
    if (options->embedding_field[0] && paths->embedding)
        return CF_FAIL(CF_ERR_USAGE, "prepare: give vectors either by --embedding or by "
                                     "embedding_field");
    if (options->embedding_field[0] && !paths->item)
        return CF_FAIL(CF_ERR_USAGE, "prepare: embedding_field needs --item");
    if (paths->embedding_ids && !paths->embedding)
        return CF_FAIL(CF_ERR_USAGE, "prepare: --embedding-ids needs --embedding");
    return CF_OK;
}

/* Items are read when it is known which of them this rank will have. */
static cf_status read_all(work *w)
{
    const cf_ingest_paths *paths = w->paths;
    const struct {
        const char *path;
        int part;
    } files[] = {{paths->inter, INGEST_NO_PART},
                 {paths->train, INGEST_TRAIN},
                 {paths->valid, INGEST_VALID},
                 {paths->test, INGEST_TEST}};
    cf_status status = CF_OK;

    for (size_t k = 0; k < sizeof files / sizeof *files; k++)
        if (files[k].path)
            CF_TRY(ingest_read_interactions(w->world, &w->options, files[k].path, files[k].part,
                                            &w->log));
    CF_TRY(ingest_renumber(w->world, &w->log));
    if (paths->item)
        CF_TRY(ingest_items_read(w->world, &w->options, paths->item, &w->log.items, &w->items));
    if (paths->embedding_ids)
        CF_TRY(ingest_ids_read(w->world, paths->embedding_ids, &w->log.items, &w->ids));
done:
    return status;
}

/* ---- Interactions ---------------------------------------------------------------------------- */

static int64_t total(const work *w, int64_t mine)
{
    int64_t before, all;

    cf_par_exscan(w->world, mine, &before, &all);
    return all;
}

static int64_t list_total(const work *w, int part)
{
    return total(w, w->parts[part].start[w->parts[part].count]);
}

/* Parts that were asked for must not be empty. */
static cf_status check_parts(const work *w)
{
    static const char *const names[] = {"train", "valid", "test"};
    const cf_ingest_paths *paths = w->paths;
    bool wanted[3] = {true, paths->valid != NULL, paths->test != NULL};

    for (int k = 1; k < 3; k++)
        if (paths->inter) wanted[k] = !w->options.by_ratio || w->options.ratios[k] > 0;
    for (int k = 0; k < 3; k++)
        if (wanted[k] && list_total(w, k) == 0)
            return CF_FAIL(CF_ERR_FORMAT, "%s: no interactions are left for %s",
                           paths->inter ? paths->inter : paths->train, names[k]);
    return CF_OK;
}

static cf_status arrange(work *w)
{
    const int64_t before = total(w, w->log.count);
    cf_status status;

    CF_TRY(ingest_filter_counts(w->world, &w->options, &w->log));
    if (total(w, w->log.count) == 0)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: the filters leave no interactions",
                       w->paths->inter ? w->paths->inter : w->paths->train));
    if (total(w, w->log.count) < before) { /* items may belong elsewhere now */
        if (w->items.path) CF_TRY(ingest_items_move(w->world, &w->log.items, &w->items));
        if (w->ids.path) CF_TRY(ingest_items_move(w->world, &w->log.items, &w->ids));
    }
    CF_TRY(ingest_split(w->world, &w->options, !w->paths->inter, &w->log, w->parts));
    CF_TRY(check_parts(w));
    w->content.user_ids = w->log.users.ids;
    w->content.item_ids = w->log.items.ids;
    w->content.train = w->parts[INGEST_TRAIN];
    w->content.valid = w->parts[INGEST_VALID];
    w->content.test = w->parts[INGEST_TEST];
done:
    cf_free(&w->log.pairs);
    cf_free(&w->log.keys);
    ingest_places_free(&w->log.places);
    return status;
}

/* ---- Items ----------------------------------------------------------------------------------- */

/* Local: titles of my items in their order; "" for those the item file does not have. */
static cf_status order_titles(work *w)
{
    const cf_strings *ids = &w->log.items.ids, *titles = &w->items.titles;
    const int64_t n = ids->count;
    int64_t capacity = 0, end = 0;
    cf_status status;

    CF_TRY(CF_ALLOC(w->titles.start, n + 1));
    w->titles.count = n;
    for (int64_t k = 0; k < n; k++) {
        const char *id = ids->bytes + ids->start[k];
        int64_t row = ingest_names_find(&w->items.ids, id, (int64_t)strlen(id));
        const char *title = row < 0 ? "" : titles->bytes + titles->start[row];
        int64_t size = (int64_t)strlen(title) + 1;

        CF_TRY(CF_GROW(w->titles.bytes, capacity, end + size));
        memcpy(w->titles.bytes + end, title, (size_t)size);
        end += size;
        w->titles.start[k + 1] = end;
    }
    w->content.titles = w->titles;
done:
    return status;
}

static cf_status add_vectors(work *w)
{
    const ingest_items *rows = w->ids.path ? &w->ids : w->items.path ? &w->items : NULL;
    cf_status status;

    if (!rows && !w->log.lightgcn)
        return CF_FAIL(CF_ERR_USAGE,
                       "prepare: --embedding needs --item or --embedding-ids, to know "
                       "whose vector each row is");
    CF_TRY(
        ingest_vectors_open(w->world, &w->options, w->paths, rows, &w->log.items.ids, &w->vectors));
    w->content.embedding_dim = w->vectors.matrix.dim;
    w->content.embedding_type = w->vectors.type;
    w->content.n_missing = w->vectors.n_missing;
    w->content.read_vectors = ingest_vectors_read;
    w->content.context = &w->vectors;
done:
    return status;
}

/* ---- What the file says of itself ------------------------------------------------------------ */

static void add_text(char *out, const char *name, const char *value)
{
    size_t used = strlen(out);

    if (value) snprintf(out + used, TEXT_SIZE - used, "%s%s%s", used > 0 ? "; " : "", name, value);
}

static void describe(work *w)
{
    const cf_ingest_paths *paths = w->paths;
    const char *field, *text;
    double ratios[3];

    add_text(w->source, "inter ", paths->inter);
    add_text(w->source, "train ", paths->train);
    add_text(w->source, "valid ", paths->valid);
    add_text(w->source, "test ", paths->test);
    add_text(w->source, "item ", paths->item);
    add_text(w->source, "embedding ", paths->embedding);
    for (int k = 0; cf_config_entry(w->config, "val_interval", k, &field, &text); k++) {
        add_text(w->filters, field, " in ");
        snprintf(w->filters + strlen(w->filters), TEXT_SIZE - strlen(w->filters), "%s", text);
    }
    add_text(w->filters, "user_inter_num_interval ",
             cf_config_text(w->config, "user_inter_num_interval"));
    add_text(w->filters, "item_inter_num_interval ",
             cf_config_text(w->config, "item_inter_num_interval"));
    memcpy(ratios, w->options.ratios, sizeof ratios);
    if (!paths->inter)
        add_text(w->split, "as the files give it", "");
    else if (w->options.by_ratio)
        snprintf(w->split, TEXT_SIZE, "RS %g %g %g", ratios[0], ratios[1], ratios[2]);
    else
        add_text(w->split, "LS valid_and_test", "");
    if (paths->inter) add_text(w->split, "order ", cf_config_text(w->config, "order"));
    w->content.source = w->source;
    w->content.filters = w->filters;
    w->content.split = w->split;
    w->content.embedding_model = cf_config_text(w->config, "embedding_model");
    w->content.seed = w->options.seed;
}

static void make_report(work *w)
{
    w->report = (cf_ingest_report){.lines = total(w, w->log.lines),
                                   .duplicates = total(w, w->log.duplicates),
                                   .filtered = total(w, w->log.filtered),
                                   .n_users = total(w, w->content.user_ids.count),
                                   .n_items = total(w, w->content.item_ids.count),
                                   .n_train = list_total(w, INGEST_TRAIN),
                                   .n_valid = list_total(w, INGEST_VALID),
                                   .n_test = list_total(w, INGEST_TEST),
                                   .embedding_dim = w->content.embedding_dim,
                                   .n_missing = total(w, w->content.n_missing),
                                   .unused_vectors = w->vectors.n_unused,
                                   .bytes = w->log.bytes};
}

/* Local: what can be said before reading. */
static cf_status check_all(work *w)
{
    cf_status status;

    CF_TRY(ingest_options_read(w->config, &w->options));
    CF_TRY(check_paths(w->paths, &w->options));
    CF_TRY(check_out(w->paths));
done:
    return status;
}

/* All that comes before writing. */
static cf_status gather(work *w)
{
    cf_status status;

    CF_TRY(cf_par_agree_on_input(w->world, check_all(w)));
    CF_TRY(read_all(w));
    CF_TRY(arrange(w));
    if (w->items.has_titles) CF_TRY(cf_par_agree(w->world, order_titles(w)));
    if (w->paths->embedding || w->options.embedding_field[0]) CF_TRY(add_vectors(w));
    describe(w);
    make_report(w);
done:
    return status;
}

cf_status cf_ingest_prepare(const cf_par *world, const cf_config *config,
                            const cf_ingest_paths *paths, cf_ingest_report *report)
{
    const double started = cf_clock_now();
    work *w = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(w, 1)));
    *w =
        (work){.world = world, .config = config, .paths = paths, .vectors = {.matrix = {.fd = -1}}};
    CF_TRY(gather(w));
    CF_TRY(cf_dataset_write(world, paths->out, &w->content));
    w->report.seconds = cf_clock_now() - started;
    *report = w->report;
done:
    if (w) free_work(w);
    cf_free(&w);
    return status;
}
