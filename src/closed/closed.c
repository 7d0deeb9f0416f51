/* Closed forms: their table, their settings, and the handle of one: its tables over the grid, of
 * users and items or of items alone (items x items). How each is solved is in the file of its name.
 */
#include "internal.h"

#include <string.h>

const cf_setting cf_closed_settings[] = {
    {.name = "text_reg_weight",
     .kind = CF_SETTING_REAL,
     .initial = "1.0",
     .min = 0,
     .max = 1e9,
     .help = "L3AE: added to the diagonal of the vectors' Gram matrix"},
    {.name = "distill_weight",
     .kind = CF_SETTING_REAL,
     .initial = "100.0",
     .min = 0,
     .max = 1e9,
     .help = "L3AE: weight of the vectors' item-item matrix (0: EASE)"},
    {.name = "item_dropout",
     .kind = CF_SETTING_REAL,
     .initial = "0.0",
     .min = 0,
     .max = 0.99,
     .help = "EASE, L3AE: dropout of a user's items, p: p / (1 - p) times the diagonal of the Gram "
             "matrix is added to it"},
    {.name = "user_weight",
     .kind = CF_SETTING_REAL,
     .initial = "0.0",
     .min = 0,
     .max = 2,
     .help = "EASE, L3AE: a user of n train items weighs n to the power of minus this"},
    {.name = "item_power",
     .kind = CF_SETTING_REAL,
     .initial = "0.0",
     .min = -1,
     .max = 1,
     .help = "EASE, L3AE: what item i adds to the score of j times (n_i / n_j) to this power, n: "
             "train users (above 0: rare items rank higher)"},
    {.name = "solve_precision",
     .kind = CF_SETTING_CHOICE,
     .initial = "float64",
     .choices = "float32|float64",
     .help =
         "EASE, L3AE, ItemKNN: numbers of the linear algebra; float32 takes half the memory and "
         "time"},
    {.name = "k",
     .kind = CF_SETTING_INT,
     .initial = "100",
     .min = 1,
     .max = 1e9,
     .help = "ItemKNN: the most similar items, which alone add to the score of an item"},
    {.name = "shrink",
     .kind = CF_SETTING_REAL,
     .initial = "0.0",
     .min = 0,
     .max = 1e9,
     .help = "ItemKNN: added to the denominator of the cosine similarity"},
    {.name = "filter_order",
     .kind = CF_SETTING_INT,
     .initial = "8",
     .min = 1,
     .max = CF_FILTER_MAX_DEGREE,
     .help = "ChebyCF: degree of the polynomial, the paper's K; a score takes twice as many sums "
             "over neighbours"},
    {.name = "filter_flatness",
     .kind = CF_SETTING_REAL,
     .initial = "1.5",
     .min = 0.01,
     .max = 1000,
     .help = "ChebyCF: the paper's phi: how flat the plateau is that the polynomial approximates"},
    {.name = "ideal_dim",
     .kind = CF_SETTING_INT,
     .initial = "256",
     .min = 1,
     .max = 4096,
     .help = "ChebyCF, GF-CF: the paper's eta: singular vectors of the ideal low-pass filter"},
    {.name = "ideal_weight",
     .kind = CF_SETTING_REAL,
     .initial = "0.2",
     .min = 0,
     .max = 1e6,
     .help = "ChebyCF, GF-CF: the paper's alpha: weight of the ideal low-pass filter (0: none)"},
    {.name = "degree_power",
     .kind = CF_SETTING_REAL,
     .initial = "0.4",
     .min = 0,
     .max = 1,
     .help = "ChebyCF: the paper's beta: scores are multiplied by degrees of items to this power, "
             "and histories divided"},
    {.name = "text_weight",
     .kind = CF_SETTING_REAL,
     .initial = "0.0",
     .min = 0,
     .max = 1e6,
     .help = "ChebyCF, GF-CF: weight of the filter by the items' text, of the rows that "
             "emb_selection and embedding_size make of the vectors (0: none)"},
    {0},
};

static const closed_form *const forms[] = {&closed_ease, &closed_l3ae,    &closed_itemknn,
                                           &closed_pop,  &closed_chebycf, &closed_gfcf};

/* Float32 represents every whole number up to here, so that counts of users are exact. */
enum { MAX_FLOAT32_USERS = 1 << 24 };

/* NULL: a model that is trained. */
static const closed_form *find_form(const char *name)
{
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++)
        if (strcmp(name, forms[k]->name) == 0) return forms[k];
    return NULL;
}

bool cf_closed_is(const cf_config *config)
{
    return find_form(cf_config_text(config, "model")) != NULL;
}

/* A closed form has its own default of reg_weight, since its scale differs from a trained model's;
 * a value that the user gave is kept. */
cf_status cf_closed_set_defaults(cf_config *config)
{
    const closed_form *form = find_form(cf_config_text(config, "model"));

    if (form == NULL || form->reg_default == NULL || cf_config_given(config, "reg_weight"))
        return CF_OK;
    return cf_config_set(config, form->reg_default);
}

static bool has_text(const closed_form *form, const cf_config *config)
{
    return form->uses_with_text != NULL && cf_config_real(config, "text_weight") > 0;
}

const char *cf_closed_uses(const cf_config *config)
{
    const closed_form *form = find_form(cf_config_text(config, "model"));

    if (form == NULL) return NULL;
    return has_text(form, config) ? form->uses_with_text : form->uses;
}

/* The setting's other values, zero and mean, give L3AE the same result. */
static cf_closed_missing read_missing(const cf_config *config)
{
    if (cf_config_is(config, "missing_embedding", "error")) return CF_CLOSED_MISSING_REFUSED;
    return cf_config_is(config, "missing_embedding", "random") ? CF_CLOSED_MISSING_RANDOM
                                                               : CF_CLOSED_MISSING_ZERO;
}

void cf_closed_read_options(const cf_config *config, cf_closed_options *out)
{
    const closed_form *form = find_form(cf_config_text(config, "model"));

    CF_ASSERT(form != NULL);
    *out = (cf_closed_options){
        .name = form->name,
        .reg_weight = cf_config_real(config, "reg_weight"),
        .text_reg_weight = cf_config_real(config, "text_reg_weight"),
        .distill_weight = cf_config_real(config, "distill_weight"),
        .item_dropout = cf_config_real(config, "item_dropout"),
        .user_weight = cf_config_real(config, "user_weight"),
        .item_power = cf_config_real(config, "item_power"),
        .precision = cf_config_is(config, "solve_precision", "float32") ? CF_F32 : CF_F64,
        .n_neighbours = cf_config_int(config, "k"),
        .shrink = cf_config_real(config, "shrink"),
        .filter_order = cf_config_int(config, "filter_order"),
        .filter_flatness = cf_config_real(config, "filter_flatness"),
        .ideal_dim = cf_config_int(config, "ideal_dim"),
        .ideal_weight = cf_config_real(config, "ideal_weight"),
        .degree_power = cf_config_real(config, "degree_power"),
        .missing = read_missing(config),
        .text_of_cold = cf_config_is(config, "cold_map", "none"),
    };
    if (!has_text(form, config)) return;
    out->text_weight = cf_config_real(config, "text_weight");
    cf_select_read_options(config, &out->select);
}

int64_t cf_closed_dim(const cf_closed_options *options, int64_t n_items)
{
    const closed_form *form = find_form(options->name);

    return form->dim != NULL ? form->dim(options) : n_items;
}

int64_t cf_closed_segments(const cf_closed_options *options, int64_t n_items)
{
    const closed_form *form = find_form(options->name);

    return cf_table_segments(form->narrowest != NULL ? form->narrowest(options)
                                                     : cf_closed_dim(options, n_items));
}

double cf_closed_predict_memory(const cf_closed_options *options, const cf_dataset *dataset,
                                const cf_closed_grid *grid)
{
    const closed_form *form = find_form(options->name);
    const closed_size size = {.n = dataset->n_items,
                              .dim = form->vectors ? dataset->embedding_dim : 0,
                              .precision = options->precision,
                              .n_ranks = grid->n_rows * grid->n_columns,
                              .options = options,
                              .dataset = dataset,
                              .grid = grid};
    const int64_t columns = cf_closed_dim(options, size.n);
    const double n = (double)size.n, users = form->dim != NULL ? (double)dataset->n_users : 0;
    const double scratch = 2 * 8 * n, tables = 4 * (n + users) * CF_LANES *
                                               (double)cf_table_segments(columns) / size.n_ranks;

    return scratch + tables + (form->predict != NULL ? form->predict(&size) : 0);
}

static cf_status check_text(const cf_closed_options *options, const cf_dataset *dataset)
{
    if (options->select.method == CF_SELECT_NOISE)
        return CF_FAIL(CF_ERR_USAGE, "text_weight: needs rows of the vectors, so that "
                                     "emb_selection has to be other than False");
    if (dataset->embedding_dim == 0)
        return CF_FAIL(CF_ERR_USAGE, "%s: has no language-model vectors, which text_weight needs",
                       cf_dataset_path(dataset));
    return cf_select_check(dataset, &options->select);
}

/* L3AE needs vectors, and draws none for items without one. The setting `error` is checked first,
 * because its message names the first such item. */
static cf_status check_vectors(const cf_closed_options *options, const cf_dataset *dataset)
{
    const char *path = cf_dataset_path(dataset);
    cf_status status = CF_OK;

    CF_REQUIRE(dataset->embedding_dim > 0, CF_ERR_USAGE,
               "%s: has no language-model vectors, which L3AE needs", path);
    if (dataset->n_missing == 0) return CF_OK;
    if (options->missing == CF_CLOSED_MISSING_REFUSED)
        CF_TRY(cf_dataset_refuse_missing(dataset, "zero or mean"));
    CF_REQUIRE(options->missing != CF_CLOSED_MISSING_RANDOM, CF_ERR_USAGE,
               "missing_embedding: L3AE draws no vectors, so that it has to be zero or mean, which "
               "are the same to it");
done:
    return status;
}

/* X'X may have a negative weight where S, of which distill_weight is a multiple, makes up for it.
 */
static cf_status check_reg_weight(const cf_closed_options *options)
{
    const closed_form *form = find_form(options->name);

    if (options->reg_weight >= 0 || form->reg_default == NULL) return CF_OK;
    if (!form->vectors)
        return CF_FAIL(CF_ERR_USAGE, "reg_weight: %g is negative, which only L3AE may have",
                       options->reg_weight);
    if (options->reg_weight + options->distill_weight > 0) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE, "reg_weight: %g is not above minus distill_weight, which is %g",
                   options->reg_weight, options->distill_weight);
}

cf_status cf_closed_check_dataset(const cf_closed_options *options, const cf_dataset *dataset)
{
    cf_status status = CF_OK;

    CF_TRY(check_reg_weight(options));
    CF_REQUIRE(options->precision != CF_F32 || dataset->n_users <= MAX_FLOAT32_USERS, CF_ERR_USAGE,
               "solve_precision: float32 counts exactly up to %d users, there are %lld: float64 is "
               "needed",
               MAX_FLOAT32_USERS, (long long)dataset->n_users);
    if (find_form(options->name)->vectors) CF_TRY(check_vectors(options, dataset));
    if (options->text_weight > 0) CF_TRY(check_text(options, dataset));
done:
    return status;
}

/* The graph of the train interactions, and the filter on it. Collective. */
static cf_status create_filter(cf_closed *closed)
{
    cf_filter_options options;
    cf_status status;

    closed->form->set_filter(&closed->options, &options);
    CF_TRY(cf_graph_create(closed->grid, closed->shard, &closed->graph));
    CF_TRY(cf_filter_create(&options, closed->grid, closed->shard, closed->graph, &closed->filter));
done:
    return status;
}

cf_status cf_closed_create(const cf_closed_options *options, const cf_grid *grid,
                           const cf_shard *shard, cf_closed **out)
{
    const int64_t dim = cf_closed_dim(options, shard->n_base_items);
    cf_closed *closed = NULL;
    cf_status status = cf_par_agree(&grid->world, CF_ALLOC(closed, 1));

    CF_TRY(status);
    closed->form = find_form(options->name);
    closed->options = *options;
    closed->grid = grid;
    closed->shard = shard;
    if (closed->form->dim != NULL)
        CF_TRY(cf_table_create(grid, &shard->users, dim, &closed->table[CF_USERS]));
    CF_TRY(cf_table_create(grid, &shard->items, dim, &closed->table[CF_ITEMS]));
    if (closed->form->set_filter != NULL) CF_TRY(create_filter(closed));
    *out = closed;
    closed = NULL;
done:
    cf_closed_destroy(&closed);
    return status;
}

void cf_closed_destroy(cf_closed **closed)
{
    if (*closed == NULL) return;
    cf_table_destroy(&(*closed)->table[CF_USERS]);
    cf_table_destroy(&(*closed)->table[CF_ITEMS]);
    cf_filter_destroy(&(*closed)->filter);
    cf_graph_destroy(&(*closed)->graph);
    cf_free(closed);
}

cf_table *cf_closed_table(const cf_closed *closed, cf_side side)
{
    return closed->table[side];
}

cf_filter *cf_closed_filter(const cf_closed *closed)
{
    return closed->filter;
}

/* Seconds that a solution takes at the very most: 10 n^3 operations (Cholesky, inverse and products
 * of L3AE are fewer), at 1 GFLOP/s a rank. One rank is silent for all of it. What filters has no
 * such matrix, and shows progress. */
static double slowest(const cf_closed *closed)
{
    const double n = (double)closed->table[CF_ITEMS]->n_rows;

    if (closed->form->predict == NULL || closed->filter != NULL) return 0;
    return 10 * n * n * n / 1e9 / closed->grid->world.size;
}

cf_status cf_closed_solve(cf_closed *closed, const cf_dataset *dataset, cf_closed_seconds *out)
{
    closed_solver solver = {.closed = closed, .dataset = dataset};
    cf_status status;

    CF_TRY(cf_closed_check_dataset(&closed->options, dataset));
    CF_TRY(closed_open_solver(&solver));
    cf_par_expect(slowest(closed));
    CF_TRY(closed->form->solve(&solver));
    *out = solver.seconds;
done:
    cf_par_expect(0);
    closed_close_solver(&solver);
    return status;
}
