/* A trained model, loaded for evaluate, recommend, export and spectrum: the checkpoint, the dataset
 * that it was trained on, and the tables on a grid of these ranks. Settings are the run's; only
 * those of the machine and of the map of cold items may differ.
 *
 * The dataset may also be appended to the one of the training. The tables then have rows of all its
 * users and items: the first are those of the file, and those of new users are made of the items
 * that were added for them, as of users that no dataset has. tests/cli/append.c compares the two.
 */
#include "internal.h"

#include <string.h>

/* In a file of settings an error is the user's; in a checkpoint it is the file's. */
cf_status cf_train_read_settings(const cf_ckpt_file *file, cf_config **out)
{
    cf_config *config = NULL;
    cf_status status;

    CF_TRY(cf_config_create(cf_train_tables, cf_train_n_tables, &config));
    status = cf_config_load_text(config, file->settings, "/settings");
    if (status == CF_ERR_USAGE)
        status = CF_FAIL(CF_ERR_FORMAT, "%s: %s", file->path, cf_error_message());
    CF_TRY(status);
    *out = config;
    config = NULL;
done:
    cf_config_destroy(&config);
    return status;
}

/* What `--set` asks of a trained model. */
typedef struct request {
    bool makes_map;  /* of the map of cold items: it is made anew */
    bool had_no_map; /* the run had cold_map: none */
} request;

/* The run's settings with those of the machine and of the map as given now: the grid of the run
 * need not fit these ranks. Local. */
static cf_status load_settings(const cf_ckpt_file *file, const cf_train_source *source,
                               request *asked, cf_config **out)
{
    const int flags = CF_SETTING_MACHINE | CF_SETTING_AFTERWARDS;
    cf_config *config = NULL;
    char *names = NULL;
    cf_status status;

    CF_TRY(cf_train_read_settings(file, &config));
    asked->had_no_map = cf_config_is(config, "cold_map", "none");
    CF_TRY(cf_config_set(config, "grid=auto"));
    CF_TRY(cf_config_list(config, flags, &names));
    for (int k = 0; k < source->n_sets; k++) {
        CF_REQUIRE(cf_config_sets(config, source->sets[k], flags), CF_ERR_USAGE,
                   "--set %s: the model is trained: only %s can be set", source->sets[k], names);
        CF_TRY(cf_config_set(config, source->sets[k]));
        asked->makes_map |= cf_config_sets(config, source->sets[k], CF_SETTING_AFTERWARDS);
    }
    *out = config;
    config = NULL;
done:
    cf_free(&names);
    cf_config_destroy(&config);
    return status;
}

cf_eval_scorer train_scorer(const cf_table *const final[2], cf_filter *filter,
                            const uint8_t *hidden, const cf_shard *shard)
{
    cf_eval_scorer scorer = cf_eval_tables(final[CF_USERS], final[CF_ITEMS], shard, filter);

    scorer.hidden = hidden;
    return scorer;
}

/* Read the tables that the model or the closed form has. Collective. */
static cf_status read_tables(cf_trained *t, cf_table *const table[2])
{
    cf_status status;

    CF_TRY(cf_ckpt_read(t->file, table, NULL));
    t->raw[CF_USERS] = table[CF_USERS];
    t->raw[CF_ITEMS] = table[CF_ITEMS];
done:
    return status;
}

/* The model, its tables read from the checkpoint. Collective. */
static cf_status load_model(cf_trained *t, const cf_model_options *options)
{
    const cf_model_place place = {t->grid, t->shard, 0};
    cf_status status;

    CF_TRY(cf_model_create(options, &place, &t->model));
    CF_TRY(read_tables(
        t, (cf_table *[]){cf_model_table(t->model, CF_USERS), cf_model_table(t->model, CF_ITEMS)}));
    cf_model_final(t->model, t->final);
done:
    return status;
}

/* The closed form, its tables read from the checkpoint: scores are made of them as they are.
 * Collective. */
static cf_status load_closed(cf_trained *t, const cf_closed_options *options)
{
    cf_status status;

    CF_TRY(cf_closed_create(options, t->grid, t->shard, &t->closed));
    CF_TRY(read_tables(t, (cf_table *[]){cf_closed_table(t->closed, CF_USERS),
                                         cf_closed_table(t->closed, CF_ITEMS)}));
    t->final[CF_USERS] = t->raw[CF_USERS];
    t->final[CF_ITEMS] = t->raw[CF_ITEMS];
done:
    return status;
}

/* What adds to the products of the tables; NULL: nothing. */
static cf_filter *filter_of(const cf_trained *t)
{
    return t->closed != NULL ? cf_closed_filter(t->closed) : NULL;
}

/* Final rows that may be written: a copy, as a model computes its own anew; a closed form's are its
 * own. From now on scores are made of them. Collective. */
static cf_status own_final(cf_trained *t, cf_side side, cf_table **out)
{
    cf_status status = CF_OK;

    if (t->closed != NULL) {
        *out = cf_closed_table(t->closed, side);
        return CF_OK;
    }
    if (t->owned[side] == NULL) {
        CF_TRY(cf_table_copy(t->final[side], &t->owned[side]));
        t->final[side] = t->owned[side];
    }
    *out = t->owned[side];
done:
    return status;
}

/* Rows of the users of whom the model knows added items alone. Collective. */
static cf_status fold_in_users(cf_trained *t)
{
    const int64_t *train = t->shard->train.start;
    cf_table *folded = NULL, *final;
    cf_status status;

    CF_TRY(own_final(t, CF_USERS, &final));
    CF_TRY(cf_model_fold_in(t->model, t->shard, &folded));
    for (int64_t u = 0; u < t->shard->n_users; u++)
        if (train[u + 1] == train[u] && cf_dataset_knows_user(t->shard, u))
            memcpy(final->data + u * final->width, folded->data + u * folded->width,
                   (size_t) final->width * sizeof *final->data);
done:
    cf_table_destroy(&folded);
    return status;
}

/* Rows that are not in the file, since their users were appended. A matrix scores users by their
 * items, and so does a filter, whose rows of users are made of these; Pop has one row for all
 * users. Collective. */
static cf_status fill_users(cf_trained *t)
{
    cf_table *users;
    cf_status status = CF_OK;

    if (t->final[CF_USERS] == NULL) return CF_OK;
    if (t->model != NULL) return t->dataset->n_added > 0 ? fold_in_users(t) : CF_OK;
    if (filter_of(t) != NULL)
        return cf_closed_fold_in(t->closed, t->shard, cf_closed_table(t->closed, CF_USERS));
    CF_TRY(own_final(t, CF_USERS, &users));
    CF_TRY(cf_table_repeat_row(users, t->dataset->base.n_users, users, 0));
done:
    return status;
}

/* L3AE was solved with the vectors of cold items if it had no map, and without them if it had one.
 * What another closed form has of cold items without a map is zeros. Local. */
static cf_status check_map(const cf_trained *t, const request *asked, cf_cold_options *options)
{
    const bool has_none = options->kind == CF_COLD_NONE;

    if (t->final[CF_USERS] != NULL || has_none == asked->had_no_map) return CF_OK;
    if (cf_config_is(t->config, "model", "L3AE"))
        return CF_FAIL(CF_ERR_USAGE,
                       "--set cold_map: L3AE was solved with cold_map: %s; solve it again for this",
                       asked->had_no_map ? "none" : "a map");
    if (has_none) options->kind = CF_COLD_ZERO;
    return CF_OK;
}

/* Rows of the cold items: by the map that the file has; by a new one if it has none, as latest.h5,
 * or if one is asked for. Collective. */
static cf_status map_cold_items(cf_trained *t, const request *asked, run_options *options)
{
    const cf_cold_place place = {.dataset = t->dataset,
                                 .grid = t->grid,
                                 .shard = t->shard,
                                 .users = t->final[CF_USERS],
                                 .items = t->final[CF_ITEMS],
                                 .filter = filter_of(t),
                                 .memory = cf_config_int(t->config, "eval_memory") << 20};
    cf_table *items;
    cf_status status = CF_OK;

    if (t->dataset->n_cold == 0) return CF_OK;
    CF_TRY(check_map(t, asked, &options->cold));
    if (!asked->makes_map)
        CF_TRY(cf_cold_read(t->grid, t->file->store, t->final[CF_ITEMS]->dim, &t->map));
    if (t->map == NULL) CF_TRY(cf_cold_fit(&options->cold, &place, &t->map));
    if (t->map == NULL) return CF_OK;
    CF_TRY(cf_par_agree(&t->grid->world, CF_ALLOC(t->hidden, t->dataset->n_items)));
    CF_TRY(own_final(t, CF_ITEMS, &items));
    CF_TRY(cf_cold_apply(t->map, &place, items, t->hidden));
done:
    return status;
}

/* ---- Sparse rows ---- */

/* Is the matrix to be cut before it is read? A map of cold items needs it whole. */
static bool reads_sparse(const cf_trained *t, int64_t n_kept)
{
    return n_kept > 0 && t->dataset->n_cold == 0;
}

static void own_sparse(cf_trained *t, cf_table *entries)
{
    t->owned[CF_ITEMS] = entries;
    t->final[CF_ITEMS] = entries;
    t->is_sparse = true;
}

/* Collective. */
static cf_status read_sparse(cf_trained *t, int64_t n_kept)
{
    const cf_closed_file file = {t->file->store, "/" CF_CKPT_MATRIX};
    const cf_closed_grid size = {t->grid->n_rows, t->grid->n_columns, 1};
    cf_table *entries;
    cf_status status;

    cf_log("the %lld largest numbers of each row of the item-item matrix are read: about %.1f MiB "
           "a rank",
           (long long)n_kept, cf_closed_predict_cut(t->file->n_items, n_kept, &size) / 1048576);
    CF_TRY(cf_closed_read_cut(&file, t->grid, &t->shard->items, n_kept, &entries));
    own_sparse(t, entries);
done:
    return status;
}

/* Cut the matrix, which has its rows of cold items. Collective. */
static cf_status cut_matrix(cf_trained *t, int64_t n_kept)
{
    cf_table *entries;
    cf_status status;

    CF_TRY(cf_closed_cut(cf_closed_table(t->closed, CF_ITEMS), n_kept, &entries));
    own_sparse(t, entries);
    t->raw[CF_ITEMS] = NULL;
    cf_closed_destroy(&t->closed);
done:
    return status;
}

/* ---- Loading ---- */

/* The tables of the file, with rows for what the file has none of. Collective. */
static cf_status load_tables(cf_trained *t, const request *asked, run_options *options)
{
    cf_status status;

    CF_TRY(options->is_closed ? load_closed(t, &options->closed) : load_model(t, &options->model));
    if (t->dataset->is_appended) CF_TRY(fill_users(t));
    CF_TRY(map_cold_items(t, asked, options));
done:
    return status;
}

static cf_status check_sparse(const cf_trained *t, int64_t n_kept)
{
    if (n_kept == 0 || t->file->closed) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE,
                   "--sparse: %s has tables of users and items, and no item-item matrix to cut",
                   cf_config_text(t->config, "model"));
}

/* How users are scored. */
static cf_eval_scorer scorer_of(const cf_trained *t)
{
    cf_eval_scorer scorer;

    if (!t->is_sparse) return train_scorer(t->final, filter_of(t), t->hidden, t->shard);
    scorer = cf_eval_entry_sums(t->final[CF_ITEMS], t->shard);
    scorer.hidden = t->hidden;
    return scorer;
}

cf_status cf_train_load(const cf_par *world, const cf_train_source *source, cf_trained **out)
{
    cf_trained *t = NULL;
    run_options options;
    request asked = {0};
    cf_status status = cf_par_agree(world, CF_ALLOC(t, 1));

    CF_TRY(status);
    CF_TRY(cf_ckpt_open(world, source->checkpoint, &t->file));
    CF_TRY(cf_dataset_open(world, source->data, &t->dataset));
    CF_TRY(cf_ckpt_check_dataset(t->file, source->data, t->dataset->base.digest,
                                 (int64_t[]){t->dataset->base.n_users, t->dataset->base.n_items}));
    CF_TRY(cf_par_agree(world, load_settings(t->file, source, &asked, &t->config)));
    cf_par_set_hang_timeout((double)cf_config_int(t->config, "hang_timeout"));
    CF_TRY(cf_par_agree(world, run_read_options(t->config, &options)));
    CF_TRY(grid_create(t->dataset, &options, &t->grid));
    CF_TRY(cf_dataset_load_shard(t->dataset, t->grid, &t->shard));
    CF_TRY(check_sparse(t, source->n_kept));
    CF_TRY(reads_sparse(t, source->n_kept) ? read_sparse(t, source->n_kept)
                                           : load_tables(t, &asked, &options));
    if (source->n_kept > 0 && !t->is_sparse) CF_TRY(cut_matrix(t, source->n_kept));
    t->scorer = scorer_of(t);
    *out = t;
    t = NULL;
done:
    cf_train_unload(&t);
    return status;
}

void cf_train_unload(cf_trained **trained)
{
    cf_trained *t = *trained;

    if (t == NULL) return;
    for (int side = 0; side < 2; side++)
        cf_table_destroy(&t->owned[side]);
    cf_free(&t->hidden);
    cf_cold_destroy(&t->map);
    cf_model_destroy(&t->model);
    cf_closed_destroy(&t->closed);
    cf_dataset_destroy_shard(&t->shard);
    cf_par_destroy_grid(&t->grid);
    cf_dataset_close(&t->dataset);
    cf_ckpt_close(&t->file);
    cf_config_destroy(&t->config);
    cf_free(trained);
}
