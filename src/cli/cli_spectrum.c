/* spectrum: the singular values of tables, and what they say about collapse.
 *
 * A table of n rows of d dimensions has d singular values s. If few of them hold almost the whole
 * of sum s^2, the rows lie near a space of few dimensions: the embeddings have collapsed (Guo et
 * al. 2024, On the Embedding Collapse when Scaling up Recommendation Models). A dataset has the
 * table llm and, with settings, selected; a checkpoint the raw tables and, with its dataset, the
 * final ones. */
#include "cli.h"

#include <string.h>

/* In the order of the output; those from FIRST_OF_CHECKPOINT on belong to a checkpoint. */
typedef enum table_name {
    LLM,
    SELECTED,
    FIRST_OF_CHECKPOINT,
    USER_RAW = FIRST_OF_CHECKPOINT + CF_TRAIN_USER_RAW,
    ITEM_RAW = FIRST_OF_CHECKPOINT + CF_TRAIN_ITEM_RAW,
    USER_FINAL = FIRST_OF_CHECKPOINT + CF_TRAIN_USER_FINAL,
    ITEM_FINAL = FIRST_OF_CHECKPOINT + CF_TRAIN_ITEM_FINAL,
    FIRST_FINAL = USER_FINAL,
    N_TABLES = FIRST_OF_CHECKPOINT + CF_TRAIN_N_TABLES
} table_name;

/* Tables of a checkpoint are called as in log.jsonl. */
static const char *get_name(int name)
{
    return name == LLM        ? "llm"
           : name == SELECTED ? "selected"
                              : cf_train_table_names[name - FIRST_OF_CHECKPOINT];
}

/* The spectrum of one table. */
typedef struct spectrum {
    table_name name;
    int64_t rows, dims;
    double *singular; /* dims */
    cf_spectrum measures;
} spectrum;

/* The spectra found so far, and what was asked for. */
typedef struct spectra {
    const cf_par *world;
    const cli_arguments *arguments;
    cf_select_options options; /* of the run, or as given for a dataset */
    int count;
    spectrum list[N_TABLES];
} spectra;

/* True unless --table names another one. */
static bool is_requested(const spectra *s, table_name name)
{
    const char *given = cli_value(s->arguments, "table");

    return given == NULL || strcmp(given, get_name(name)) == 0;
}

/* ---- Computing ------------------------------------------------------------------------------ */

/* Append a spectrum whose values are still to be computed. Collective. */
static cf_status append_spectrum(spectra *s, table_name name, int64_t rows, int64_t dims)
{
    spectrum *out = &s->list[s->count];

    *out = (spectrum){.name = name, .rows = rows, .dims = dims};
    s->count++; /* counted at once, so that run_spectrum() frees it in any case */
    return cf_par_agree(s->world, CF_ALLOC(out->singular, dims));
}

/* The spectrum of a table, if it is requested. Collective. */
static cf_status add_table(spectra *s, table_name name, const cf_table *table)
{
    spectrum *out = &s->list[s->count];
    cf_status status = CF_OK;

    if (!is_requested(s, name)) return CF_OK;
    CF_TRY(append_spectrum(s, name, table->n_rows, table->dim));
    CF_TRY(cf_linalg_singular(table, s->options.one_rank_dim, out->singular));
    out->measures = cf_linalg_measure_spectrum(out->singular, out->dims);
done:
    return status;
}

/* The spectrum of the dataset's language-model vectors, if it is requested. Collective. */
static cf_status add_vectors(spectra *s, const cf_dataset *dataset)
{
    spectrum *out = &s->list[s->count];
    cf_status status = CF_OK;

    if (!is_requested(s, LLM)) return CF_OK;
    if (dataset->embedding_dim == 0)
        CF_TRY(
            CF_FAIL(CF_ERR_USAGE, "%s: has no language-model vectors", cf_dataset_path(dataset)));
    CF_TRY(append_spectrum(s, LLM, dataset->n_items, dataset->embedding_dim));
    CF_TRY(cf_select_spectrum(dataset, s->options.one_rank_dim, out->singular));
    out->measures = cf_linalg_measure_spectrum(out->singular, out->dims);
done:
    return status;
}

/* A table of zeros in blocks of equal numbers of rows: the work here depends on rows alone.
 * Collective. */
static cf_status create_table(const cf_grid *grid, int64_t n_rows, int64_t dim, cf_table **out)
{
    cf_blocks blocks = {0};
    cf_status status = cf_par_create_blocks(n_rows, grid->n_rows, &blocks);

    CF_TRY(cf_par_agree(&grid->world, status));
    CF_TRY(cf_table_create(grid, &blocks, dim, out));
done:
    cf_par_destroy_blocks(&blocks);
    return status;
}

/* The spectrum of the table that items would start from, if it is requested by name or settings are
 * given that say which it is. Collective. */
static cf_status add_selected(spectra *s, const cf_dataset *dataset)
{
    const cli_arguments *a = s->arguments;
    const bool noise = s->options.method == CF_SELECT_NOISE;
    cf_selection *selection = NULL;
    cf_grid *grid = NULL;
    cf_table *items = NULL;
    cf_status status = CF_OK;

    if (!is_requested(s, SELECTED)) return CF_OK;
    if (!cli_value(a, "table") && (noise || (a->n_sets == 0 && a->n_files == 0))) return CF_OK;
    if (noise)
        CF_TRY(
            CF_FAIL(CF_ERR_USAGE, "spectrum: emb_selection is False: there is nothing to select"));
    CF_TRY(cf_select_create(dataset, &s->options, &selection));
    CF_TRY(cf_par_create_grid(s->world, s->world->size, 1, &grid));
    CF_TRY(create_table(grid, dataset->n_items, selection->n_dims, &items));
    CF_TRY(cf_select_fill_items(dataset, selection, &s->options, items));
    CF_TRY(add_table(s, SELECTED, items));
done:
    cf_table_destroy(&items);
    cf_par_destroy_grid(&grid);
    cf_select_destroy(&selection);
    return status;
}

/* Collective. */
static cf_status add_of_dataset(spectra *s)
{
    const cli_arguments *a = s->arguments;
    cf_config *config = NULL;
    cf_dataset *dataset = NULL;
    cf_status status;

    if (cli_value(a, "data"))
        CF_TRY(CF_FAIL(CF_ERR_USAGE, "spectrum: %s is a dataset: --data is for a checkpoint",
                       a->positional[0]));
    CF_TRY(cli_create_config(s->world, a, &config));
    cf_select_read_options(config, &s->options);
    CF_TRY(cf_dataset_open(s->world, a->positional[0], &dataset));
    CF_TRY(add_vectors(s, dataset));
    CF_TRY(add_selected(s, dataset));
done:
    cf_dataset_close(&dataset);
    cf_config_destroy(&config);
    return status;
}

/* Errors: USAGE for an item-item matrix. */
static cf_status check_has_tables(const cf_ckpt_file *file, const char *path)
{
    if (!file->closed) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE,
                   "spectrum: %s has an item-item matrix (%lld x %lld) and no tables of users and "
                   "items to measure",
                   path, (long long)file->n_items, (long long)file->n_items);
}

/* The raw tables, which need no dataset. Collective. */
static cf_status add_of_checkpoint(spectra *s)
{
    const char *path = s->arguments->positional[0];
    cf_ckpt_file *file = NULL;
    cf_config *config = NULL;
    cf_grid *grid = NULL;
    cf_table *table[2] = {NULL, NULL};
    cf_status status;

    if (s->arguments->n_sets > 0)
        CF_TRY(CF_FAIL(CF_ERR_USAGE,
                       "spectrum: --set is for a dataset, or for a checkpoint with --data"));
    CF_TRY(cf_ckpt_open(s->world, path, &file));
    CF_TRY(check_has_tables(file, path));
    CF_TRY(cf_par_agree(s->world, cf_train_read_settings(file, &config)));
    cf_select_read_options(config, &s->options);
    CF_TRY(cf_par_create_grid(s->world, s->world->size, 1, &grid));
    CF_TRY(create_table(grid, file->n_users, file->dim, &table[CF_USERS]));
    CF_TRY(create_table(grid, file->n_items, file->dim, &table[CF_ITEMS]));
    CF_TRY(cf_ckpt_read(file, table, NULL));
    CF_TRY(add_table(s, USER_RAW, table[CF_USERS]));
    CF_TRY(add_table(s, ITEM_RAW, table[CF_ITEMS]));
done:
    cf_table_destroy(&table[CF_USERS]);
    cf_table_destroy(&table[CF_ITEMS]);
    cf_par_destroy_grid(&grid);
    cf_config_destroy(&config);
    cf_ckpt_close(&file);
    return status;
}

/* Raw and final tables: the model is loaded, which propagates the raw ones. Collective. */
static cf_status add_of_trained(spectra *s)
{
    cf_trained *t = NULL;
    cf_status status;

    CF_TRY(cli_load(s->world, s->arguments, &t));
    CF_TRY(check_has_tables(t->file, s->arguments->positional[0]));
    CF_REQUIRE(!t->dataset->is_appended, CF_ERR_USAGE,
               "spectrum: %s is appended to the dataset of the training: give that one, whose "
               "tables these are",
               cf_dataset_path(t->dataset));
    cf_select_read_options(t->config, &s->options);
    CF_TRY(add_table(s, USER_RAW, t->raw[CF_USERS]));
    CF_TRY(add_table(s, ITEM_RAW, t->raw[CF_ITEMS]));
    CF_TRY(add_table(s, USER_FINAL, t->final[CF_USERS]));
    CF_TRY(add_table(s, ITEM_FINAL, t->final[CF_ITEMS]));
done:
    cf_train_unload(&t);
    return status;
}

/* ---- Printing ------------------------------------------------------------------------------- */

/* Name and shape, then the measures as in log.jsonl, then all singular values. */
static json_t *spectrum_json(const spectrum *s)
{
    json_t *object =
        CF_JSON_OBJECT({"table", json_string(get_name(s->name))}, {"rows", json_integer(s->rows)},
                       {"dims", json_integer(s->dims)});
    json_t *measures = cf_train_spectrum_json(&s->measures, s->dims);
    json_t *singular = json_array();

    for (int64_t k = 0; k < s->dims; k++)
        cf_train_json_append(&singular, json_real(s->singular[k]));
    if (object != NULL && json_object_update(object, measures) != 0) {
        json_decref(object);
        object = NULL;
    }
    cf_train_json_set(&object, "singular_values", singular);
    json_decref(measures);
    return object;
}

/* {"file": ..., "tables": [...]} */
static json_t *spectra_json(const spectra *s)
{
    json_t *tables = json_array();

    for (int k = 0; k < s->count; k++)
        cf_train_json_append(&tables, spectrum_json(&s->list[k]));
    return CF_JSON_OBJECT({"file", cf_train_json_text(s->arguments->positional[0])},
                          {"tables", tables});
}

/* A line for each table. */
static void print_spectra(const spectra *s)
{
    char top[16];

    printf("%-14s %9s %5s %9s %9s %9s", "table", "rows", "dims", "effective", "particip.",
           "abundance");
    for (int t = 0; t < CF_SPECTRUM_TOPS; t++) {
        snprintf(top, sizeof top, "top %d", cf_spectrum_top[t]);
        printf(" %7s", top);
    }
    printf("\n");
    for (int k = 0; k < s->count; k++) {
        const spectrum *one = &s->list[k];
        const cf_spectrum *m = &one->measures;

        printf("%-14s %9lld %5lld %9.2f %9.2f %9.2f", get_name(one->name), (long long)one->rows,
               (long long)one->dims, m->effective_rank, m->participation_ratio,
               m->information_abundance);
        for (int t = 0; t < CF_SPECTRUM_TOPS; t++) {
            snprintf(top, sizeof top, "%.4f", m->fraction[t]);
            printf(" %7s", cf_spectrum_top[t] < one->dims ? top : "-");
        }
        printf("\n");
    }
}

/* ---- The command ---------------------------------------------------------------------------- */

/* --table, if given, must name a table that this kind of file has. Local; the same status on all
 * ranks. */
static cf_status check_table(const cli_arguments *arguments, bool of_ckpt)
{
    const char *given = cli_value(arguments, "table"), *file = arguments->positional[0];
    int name = 0;

    if (given == NULL) return CF_OK;
    while (name < N_TABLES && strcmp(given, get_name(name)) != 0)
        name++;
    if (name == N_TABLES)
        return CF_FAIL(CF_ERR_USAGE,
                       "spectrum: --table: \"%.60s\" is not one of llm, selected, user_embedding, "
                       "item_embedding, user_final and item_final",
                       given);
    if (of_ckpt != (name >= FIRST_OF_CHECKPOINT))
        return CF_FAIL(CF_ERR_USAGE, "spectrum: %s is a %s, which has no table %s; it has %s", file,
                       of_ckpt ? "checkpoint" : "dataset", given,
                       of_ckpt ? "user_embedding, item_embedding, user_final and item_final"
                               : "llm and selected");
    if (name >= FIRST_FINAL && cli_value(arguments, "data") == NULL)
        return CF_FAIL(CF_ERR_USAGE,
                       "spectrum: --table %s needs --data, the dataset that the model was trained "
                       "on",
                       given);
    return CF_OK;
}

/* Collective. Errors: FORMAT (neither a dataset nor a checkpoint), those of opening. */
static cf_status find_kind(const cf_par *world, const char *path, bool *of_ckpt)
{
    cf_store *store = NULL;
    char *kind = NULL;
    cf_status status;

    CF_TRY(cf_store_open(world, path, NULL, &store));
    CF_TRY(cf_store_read_text(store, "kind", &kind));
    *of_ckpt = strcmp(kind, "checkpoint") == 0;
    if (!*of_ckpt && strcmp(kind, "dataset") != 0)
        CF_TRY(CF_FAIL(CF_ERR_FORMAT, "%s: is a %s, not a dataset or a checkpoint", path, kind));
done:
    cf_free(&kind);
    cf_store_close(&store);
    return status;
}

/* Which options are allowed depends on the kind of file. Collective. */
static cf_status add_all(spectra *s)
{
    bool of_ckpt = false;
    cf_status status;

    CF_TRY(find_kind(s->world, s->arguments->positional[0], &of_ckpt));
    CF_TRY(check_table(s->arguments, of_ckpt));
    if (of_ckpt && s->arguments->n_files > 0)
        CF_TRY(CF_FAIL(CF_ERR_USAGE, "spectrum: --settings is for a dataset: a checkpoint has its "
                                     "own"));
    if (!of_ckpt)
        CF_TRY(add_of_dataset(s));
    else if (cli_value(s->arguments, "data"))
        CF_TRY(add_of_trained(s));
    else
        CF_TRY(add_of_checkpoint(s));
done:
    return status;
}

/* The singular values are the same on every rank; rank 0 prints them. */
static cf_status run_spectrum(const cf_par *world, const cli_arguments *arguments)
{
    spectra s = {.world = world, .arguments = arguments};
    cf_status status;

    CF_TRY(add_all(&s));
    if (arguments->json)
        CF_TRY(cli_print_json(world, world->rank == 0 ? spectra_json(&s) : NULL));
    else if (world->rank == 0)
        print_spectra(&s);
done:
    for (int k = 0; k < s.count; k++)
        cf_free(&s.list[k].singular);
    return status;
}

static const cli_option spectrum_options[] = {
    {"data", "DATA.h5", "dataset of the checkpoint; adds the final tables", false, CLI_INPUT},
    {"settings", "FILE.yaml", "settings of train; adds the selected table of a dataset", false,
     CLI_SETTINGS_FILE},
    {"table", "NAME",
     "this table alone: llm, selected; user_embedding, item_embedding, user_final, item_final",
     false, CLI_VALUE},
    {0}};

const cli_command cli_spectrum = {
    .name = "spectrum",
    .summary = "print how many dimensions tables use, by their singular values",
    .operand = "FILE.h5",
    .operand_kind = CLI_INPUT,
    .remarks = "Tables of a dataset: llm (the language model's vectors) and, with settings, "
               "selected (what\n"
               "items start from). Tables of a checkpoint: the raw ones and, with --data, the "
               "final ones.\n\n"
               "effective  effective rank: exp of the entropy of the normalised singular values s\n"
               "particip.  participation ratio: (sum s^2)^2 / sum s^4\n"
               "abundance  information abundance: sum s / largest s\n"
               "top k      fraction of sum s^2 in the k largest\n\n"
               "The values s are square roots of the eigenvalues of X'X, X not centred, accurate "
               "to about\n"
               "1e-8 of the largest. --json prints all of them.",
    .settings = CLI_SETTINGS_TRAIN,
    .has_json = true,
    .options = spectrum_options,
    .uses_blas = true,
    .run = run_spectrum,
};
