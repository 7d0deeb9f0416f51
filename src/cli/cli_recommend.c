/* recommend: the best items of users, of new users, or for items, as text.
 *
 * Whatever the lists are for, they are lists of users of some shard: of the dataset's users; of new
 * users, with the items that were given for them; or of items in the place of users, where an
 * item's best items are those that are most like it. The scorer is made for that shard, and
 * cli_lists.c does the rest. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct recommendation {
    const cli_arguments *arguments;
    cf_trained *trained;
    cli_lists lists;
    /* What `lists` borrows: */
    cli_ids ids;       /* of the queries, if they are listed */
    int64_t *numbers;  /* of these ids; NULL: all queries of the shard, in order */
    cf_shard *shard;   /* of new users, or of items; NULL: the dataset's */
    cf_table *users;   /* rows of new users */
    uint8_t *excluded; /* items that nobody is to get; NULL: none */
} recommendation;

static const char *value(const recommendation *r, const char *name)
{
    return cli_value(r->arguments, name);
}

/* ---- Whom the lists are for ----------------------------------------------------------------- */

/* The lists' ids and numbers, for those that are listed. */
static void set_queries(recommendation *r, const char *what, int64_t count)
{
    r->lists.what = what;
    r->lists.count = count;
    r->lists.names = r->ids.text.count > 0 ? &r->ids.text : NULL;
    r->lists.numbers = r->numbers;
}

/* Users of the dataset: those of --users, or all. Collective. */
static cf_status find_users(recommendation *r)
{
    const cf_dataset *dataset = r->trained->dataset;
    const char *path = value(r, "users");
    cf_status status = CF_OK;

    if (path != NULL) {
        CF_TRY(cf_par_agree(dataset->world, cli_read_ids(path, &r->ids)));
        CF_TRY(cli_find_ids(dataset, CF_USER_IDS, &r->ids, &r->numbers));
        CF_TRY(cf_par_agree(dataset->world, cli_check_distinct(&r->ids, r->numbers)));
    }
    r->lists.scorer = r->trained->scorer;
    set_queries(r, "users", path != NULL ? r->ids.text.count : dataset->n_users);
done:
    return status;
}

/* Rows of new users, of a closed form with tables. One with a filter makes them of items; Pop has
 * one row for all users, which new ones get too. Collective. */
static cf_status make_rows(const cf_trained *t, const cf_shard *shard, cf_table **out)
{
    const cf_table *users = t->final[CF_USERS];
    cf_table *table = NULL;
    cf_status status;

    CF_TRY(cf_table_create(users->grid, &shard->users, users->dim, &table));
    CF_TRY(t->scorer.filter != NULL ? cf_closed_fold_in(t->closed, shard, table)
                                    : cf_table_repeat_row(table, 0, users, 0));
    *out = table;
    table = NULL;
done:
    cf_table_destroy(&table);
    return status;
}

/* Sums of the item-item matrix over the items of a shard's users. */
static cf_eval_scorer sum_items(const cf_trained *t, const cf_shard *shard)
{
    const cf_table *items = t->final[CF_ITEMS];

    return t->is_sparse ? cf_eval_entry_sums(items, shard) : cf_eval_item_sums(items, shard);
}

/* How new users are scored by the model. Collective. */
static cf_status score_new_users(recommendation *r)
{
    cf_trained *t = r->trained;
    cf_status status = CF_OK;

    if (t->final[CF_USERS] == NULL) {
        r->lists.scorer = sum_items(t, r->shard);
        return CF_OK;
    }
    CF_TRY(t->model != NULL ? cf_model_fold_in(t->model, r->shard, &r->users)
                            : make_rows(t, r->shard, &r->users));
    r->lists.scorer = cf_eval_tables(r->users, t->final[CF_ITEMS], r->shard, t->scorer.filter);
    if (t->model != NULL && !cf_model_propagates(t->model) &&
        !cf_model_sweeps(cf_config_text(t->config, "model")))
        cf_log("a model without layers: a new user is the mean of the rows of its items");
done:
    return status;
}

/* Users with the items of --new-users or --given. Collective. */
static cf_status find_new_users(recommendation *r)
{
    cf_lists items = {0};
    cf_status status;

    CF_TRY(cli_read_new_users(r->trained->dataset, r->arguments, &r->ids.text, &items));
    CF_TRY(cf_dataset_create_user_shard(r->trained->grid, r->trained->shard, &items, &r->shard));
    CF_TRY(score_new_users(r));
    set_queries(r, "new users", r->ids.text.count);
done:
    cf_free(&items.start);
    cf_free(&items.index);
    return status;
}

/* A matrix says what the items of the training add to scores, and nothing of others. Local. */
static cf_status check_has_columns(const recommendation *r)
{
    for (int64_t k = 0; k < r->ids.text.count; k++)
        if (r->numbers[k] >= r->trained->shard->n_base_items)
            return CF_FAIL(CF_ERR_USAGE,
                           "recommend: --similar: \"%.100s\" was appended, and %s knows only what "
                           "items of the training add to scores",
                           r->ids.text.bytes + r->ids.text.start[k],
                           cf_config_text(r->trained->config, "model"));
    return CF_OK;
}

/* Items, for which those that are most like them are listed. Rows of one number, as Pop has, do not
 * tell. Collective. */
static cf_status find_items(recommendation *r)
{
    const cf_trained *t = r->trained;
    const cf_table *items = t->final[CF_ITEMS];
    const bool is_matrix = t->final[CF_USERS] == NULL;
    cf_status status = CF_OK;

    CF_REQUIRE(is_matrix || t->model != NULL || items->dim > 1, CF_ERR_USAGE,
               "recommend: --similar: %s has no rows that tell items apart",
               cf_config_text(t->config, "model"));
    CF_TRY(cf_par_agree(t->dataset->world, cli_take_words(r->arguments, "similar", &r->ids)));
    CF_TRY(cli_find_ids(t->dataset, CF_ITEM_IDS, &r->ids, &r->numbers));
    CF_TRY(cf_par_agree(t->dataset->world, cli_check_distinct(&r->ids, r->numbers)));
    if (is_matrix) CF_TRY(check_has_columns(r));
    CF_TRY(cf_dataset_create_item_shard(t->grid, t->shard, &r->shard));
    r->lists.scorer = is_matrix ? sum_items(t, r->shard) : cf_eval_cosines(items, r->shard);
    r->lists.header = "item_id\trank\tsimilar_item_id\tscore\ttitle";
    set_queries(r, "items", r->ids.text.count);
done:
    return status;
}

/* ---- Which items they may have -------------------------------------------------------------- */

/* Set the flags of the items that a file lists. Collective. */
static cf_status flag_items(recommendation *r, const char *path, uint8_t flag)
{
    const cf_dataset *dataset = r->trained->dataset;
    int64_t *numbers = NULL;
    cli_ids ids = {0};
    cf_status status;

    CF_TRY(cf_par_agree(dataset->world, cli_read_ids(path, &ids)));
    CF_TRY(cli_find_ids(dataset, CF_ITEM_IDS, &ids, &numbers));
    for (int64_t k = 0; k < ids.text.count; k++)
        r->excluded[numbers[k]] = flag;
done:
    cf_free(&numbers);
    cli_free_ids(&ids);
    return status;
}

/* --items and --exclude. An item of both is excluded. Collective. */
static cf_status find_excluded(recommendation *r)
{
    const int64_t n_items = r->trained->dataset->n_items;
    const char *items = value(r, "items"), *exclude = value(r, "exclude");
    cf_status status = CF_OK;

    if (items == NULL && exclude == NULL) return CF_OK;
    CF_TRY(cf_par_agree(r->trained->dataset->world, CF_ALLOC(r->excluded, n_items)));
    if (items != NULL) {
        memset(r->excluded, 1, (size_t)n_items);
        CF_TRY(flag_items(r, items, 0));
    }
    if (exclude != NULL) CF_TRY(flag_items(r, exclude, 1));
    CF_REQUIRE(memchr(r->excluded, 0, (size_t)n_items) != NULL, CF_ERR_FORMAT,
               "%s: excludes all items", exclude);
done:
    return status;
}

/* ---- The command ---------------------------------------------------------------------------- */

/* One of these says whom the lists are for; the command line is checked before anything is read.
 * `*drop`: items of the history are left out. */
static cf_status check_options(const cli_arguments *arguments, bool *drop)
{
    static const char *const sources[] = {"users", "new-users", "given", "similar"};
    const char *history = cli_value(arguments, "history"), *first = NULL;

    for (size_t k = 0; k < sizeof sources / sizeof *sources; k++) {
        if (cli_value(arguments, sources[k]) == NULL) continue;
        if (first != NULL)
            return CF_FAIL(CF_ERR_USAGE, "recommend: --%s and --%s are not for one command", first,
                           sources[k]);
        first = sources[k];
    }
    *drop = history == NULL || strcmp(history, "drop") == 0;
    if (!*drop && strcmp(history, "keep") != 0)
        return CF_FAIL(CF_ERR_USAGE, "recommend: --history: \"%.60s\" is not keep or drop",
                       history);
    if (history != NULL && cli_value(arguments, "similar") != NULL)
        return CF_FAIL(CF_ERR_USAGE, "recommend: --history is for users, --similar for items");
    return CF_OK;
}

static void destroy_recommendation(recommendation *r)
{
    cli_free_ids(&r->ids);
    cf_free(&r->numbers);
    cf_free(&r->excluded);
    cf_table_destroy(&r->users);
    cf_dataset_destroy_shard(&r->shard);
    cf_train_unload(&r->trained);
}

/* Collective. */
static cf_status find_queries(recommendation *r)
{
    if (value(r, "similar") != NULL) return find_items(r);
    if (value(r, "new-users") != NULL || value(r, "given") != NULL) return find_new_users(r);
    return find_users(r);
}

static cf_status run_recommend(const cf_par *world, const cli_arguments *arguments)
{
    recommendation r = {.arguments = arguments};
    cf_eval_options options;
    int64_t k = 20;
    bool drop = true;
    cf_status status;

    CF_TRY(check_options(arguments, &drop));
    CF_TRY(cli_integer(arguments, "topk", 10000, &k));
    CF_TRY(cli_load_sparse(world, arguments, &r.trained));
    CF_TRY(cf_eval_read_options(r.trained->config, &options));
    r.lists = (cli_lists){.dataset = r.trained->dataset,
                          .header = "user_id\trank\titem_id\tscore\ttitle",
                          .path = value(&r, "out") != NULL ? value(&r, "out") : "-"};
    CF_TRY(find_queries(&r));
    r.lists.scorer.hidden = r.trained->hidden;
    CF_TRY(find_excluded(&r));
    r.lists.request = (cf_eval_request){.k = k,
                                        .mask_train = drop,
                                        .mask_valid = drop,
                                        .memory = options.memory,
                                        .excluded = r.excluded};
    CF_TRY(cli_write_lists(&r.lists));
done:
    destroy_recommendation(&r);
    return status;
}

static const cli_option recommend_options[] = {
    {"data", "DATA.h5", "the dataset that the model was trained on", true, CLI_INPUT},
    {"out", "FILE.tsv", "the file to write; default and -: standard output", false, CLI_OUTPUT},
    {"topk", "K", "items of each list; default 20", false, CLI_VALUE},
    CLI_SPARSE,
    {"users", "FILE", "one user id a line; default: all users", false, CLI_INPUT},
    {"new-users", "FILE", "for users who are not in the dataset: lines of user and item", false,
     CLI_INPUT},
    {"given", "ITEM", "for one new user with this item; may be repeated", false, CLI_WORDS},
    {"similar", "ITEM", "for this item, the items most like it; may be repeated", false, CLI_WORDS},
    {"history", "drop|keep", "drop (default): leave out items that the user has already", false,
     CLI_VALUE},
    {"items", "FILE", "only these items: one item id a line", false, CLI_INPUT},
    {"exclude", "FILE", "never these items: one item id a line", false, CLI_INPUT},
    {0}};

const cli_command cli_recommend = {
    .name = "recommend",
    .summary = "write the best new items of each user, or items like an item",
    .operand = "CHECKPOINT.h5",
    .operand_kind = CLI_INPUT,
    .remarks =
        "Columns: user_id, rank from 1, item_id, score, title. Items that the user has in the\n"
        "train or valid part are left out, those of the test part are not; of a new user, the "
        "items\nthat were given. With --similar: item_id, rank, similar_item_id, score, title.",
    .settings = CLI_SETTINGS_MACHINE,
    .options = recommend_options,
    .uses_blas = true,
    .run = run_recommend,
};
