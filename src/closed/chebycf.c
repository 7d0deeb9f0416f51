/* ChebyCF (Kim et al. 2025, "Graph spectral filtering with Chebyshev interpolation for
 * recommendation") and GF-CF (Shen et al. 2021, "How powerful is graph convolution for
 * recommendation?"): filters of the normalised item graph, applied to a user's history s,
 *
 *     score(s) = D^b p(L~) D^-b s + alpha D^c V V' D^-c s + Z Z' s,    L~ = I - 2 R'R,
 *
 * V: the leading right singular vectors of R (cf/filter.h), Z: the items' text (text.c). ChebyCF: p
 * interpolates a plateau, c = b. GF-CF: p(L~) = (I - L~) / 2 = R'R, b = 0, c = 1/2. The polynomial
 * is applied when users are scored; what is solved are two tables whose products are the other
 * terms,
 *
 *     items: alpha D^c V (eta columns), Z       users: the sums of D^-c V and of Z over their items
 *
 * Terms of weight 0 have no columns; without both there is one column of zeros.
 * tests/closed/chebycf.c compares with NumPy. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* Items whose rows pass by all users at once. */
enum { ITEMS_AT_ONCE = 512 };

/* ---- Which filter ---- */

static void set_chebycf(const cf_closed_options *options, cf_filter_options *out)
{
    *out = (cf_filter_options){.power = options->degree_power};
    cf_filter_set_plateau((int)options->filter_order, options->filter_flatness, out);
}

static void set_gfcf(const cf_closed_options *options, cf_filter_options *out)
{
    (void)options;
    *out = (cf_filter_options){.degree = 1, .coefficient = {0.5, -0.5}};
}

/* c of the term of the singular vectors. */
static double ideal_power(const cf_closed *closed)
{
    return closed->form == &closed_gfcf ? 0.5 : closed->options.degree_power;
}

/* ---- Columns ---- */

static int64_t ideal_dim(const cf_closed_options *options)
{
    return options->ideal_weight > 0 ? options->ideal_dim : 0;
}

/* Those of all terms; 0: the tables have one column of zeros. */
static int64_t all_dims(const cf_closed_options *options)
{
    return ideal_dim(options) + closed_text_dim(options);
}

static int64_t chebycf_dim(const cf_closed_options *options)
{
    return cf_max(1, all_dims(options));
}

/* Each term has a table of its own first. */
static int64_t chebycf_narrowest(const cf_closed_options *options)
{
    const int64_t ideal = ideal_dim(options), text = closed_text_dim(options);

    return ideal > 0 && text > 0 ? cf_min(ideal, text) : chebycf_dim(options);
}

/* ---- Rows of users ---- */

/* The ideal filter's columns of row i *= factor degree^power, 0 without train interactions. Local.
 */
static void scale_ideal(const cf_closed *closed, double factor, double power, cf_table *items)
{
    const int64_t end = cf_min(ideal_dim(&closed->options) - items->first_dim, items->local_dim);

    for (int64_t i = 0; i < items->local_rows; i++) {
        const double degree = (double)cf_graph_degree(closed->graph, CF_ITEMS, i);
        const float times = degree > 0 ? (float)(factor * pow(degree, power)) : 0;

        for (int64_t d = 0; d < end; d++)
            items->data[i * items->width + d] *= times;
    }
}

/* The items of an ascending list from `first` up to `end`, of which the next is taken. */
typedef struct span {
    const int64_t *next, *end;
} span;

static span span_of(const cf_lists *lists, int64_t user, int64_t first, int64_t end)
{
    const int64_t *items = lists->index + lists->start[user];
    const int64_t n = lists->start[user + 1] - lists->start[user];

    return (span){items + cf_search_i64(items, n, first), items + cf_search_i64(items, n, end)};
}

/* Add to a user's row those of its train and added items among `rows`, which are of the items from
 * `first` up to `end`: in ascending order, whatever the list that an item is in. */
static void add_items(const cf_shard *shard, int64_t user, const float *rows,
                      const int64_t range[2], cf_table *users)
{
    const int64_t full = users->full_width;
    span train = span_of(&shard->train, user, range[0], range[1]),
         added = span_of(&shard->added, user, range[0], range[1]);
    float *sum = users->data + user * users->width;

    while (train.next < train.end || added.next < added.end) {
        const bool takes_train =
            added.next == added.end || (train.next < train.end && *train.next < *added.next);
        const int64_t item = takes_train ? *train.next++ : *added.next++;
        const float *row = rows + (item - range[0]) * full + users->first_dim;

        for (int64_t d = 0; d < users->local_dim; d++)
            sum[d] += row[d];
    }
}

/* users := the sums of the rows that a user's items have in `items`, which pass by all ranks in
 * tiles. Collective. */
static cf_status sum_histories(const cf_table *items, const cf_shard *shard, cf_table *users)
{
    float *rows = NULL;
    cf_status status = CF_ALLOC(rows, ITEMS_AT_ONCE * items->full_width);

    CF_TRY(cf_par_agree(&items->grid->world, status));
    memset(users->data, 0, (size_t)(users->local_rows * users->width) * sizeof *users->data);
    for (int64_t first = 0; first < items->n_rows; first += ITEMS_AT_ONCE) {
        const int64_t range[2] = {first, cf_min(first + ITEMS_AT_ONCE, items->n_rows)};

        CF_TRY(cf_table_gather(items, first, range[1] - first, rows));
#pragma omp parallel for schedule(static)
        for (int64_t u = 0; u < users->local_rows; u++)
            add_items(shard, u, rows, range, users);
    }
done:
    cf_free(&rows);
    return status;
}

cf_status cf_closed_fold_in(const cf_closed *closed, const cf_shard *shard, cf_table *users)
{
    const double alpha = closed->options.ideal_weight, power = ideal_power(closed);
    cf_table *items = NULL;
    cf_status status = CF_OK;

    CF_ASSERT(closed->filter != NULL);
    if (all_dims(&closed->options) == 0) return CF_OK;
    CF_TRY(cf_table_copy(closed->table[CF_ITEMS], &items));
    if (alpha > 0) scale_ideal(closed, 1 / alpha, -2 * power, items);
    CF_TRY(sum_histories(items, shard, users));
done:
    cf_table_destroy(&items);
    return status;
}

/* ---- The solution ---- */

/* items := alpha D^c V, where they have no other columns, or do not yet. */
static cf_status find_vectors(closed_solver *s, cf_table *items)
{
    const cf_closed *closed = s->closed;
    double *values = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(&closed->grid->world, CF_ALLOC(values, items->dim)));
    status = cf_filter_singular(closed->graph, closed->shard, items, values);
    if (status == CF_ERR_USAGE || status == CF_ERR_NUMERIC)
        status = CF_FAIL(status, "ideal_dim: %s", cf_error_message());
    CF_TRY(status);
    cf_log("%s: singular values %.4f to %.4f", closed->form->name, values[0],
           values[items->dim - 1]);
    scale_ideal(closed, closed->options.ideal_weight, ideal_power(closed), items);
    closed_lap(s, &s->seconds.singular, "singular vectors found");
done:
    cf_free(&values);
    return status;
}

/* Both terms, each with a table of its own first; the text's first, as its settings may be wrong.
 */
static cf_status join_terms(closed_solver *s)
{
    const cf_closed *closed = s->closed;
    const int64_t ideal = ideal_dim(&closed->options);
    cf_table *part = NULL;
    cf_status status;

    CF_TRY(closed_make_text(s, &part));
    CF_TRY(closed_put_columns(part, ideal, closed->table[CF_ITEMS]));
    cf_table_destroy(&part);
    if (ideal == 0) return CF_OK;
    CF_TRY(cf_table_create(closed->grid, &closed->shard->items, ideal, &part));
    CF_TRY(find_vectors(s, part));
    CF_TRY(closed_put_columns(part, 0, closed->table[CF_ITEMS]));
done:
    cf_table_destroy(&part);
    return status;
}

static cf_status chebycf_solve(closed_solver *s)
{
    const cf_closed *closed = s->closed;
    cf_status status = CF_OK;

    if (all_dims(&closed->options) == 0) return CF_OK;
    CF_TRY(closed_text_dim(&closed->options) > 0 ? join_terms(s)
                                                 : find_vectors(s, closed->table[CF_ITEMS]));
    CF_TRY(cf_closed_fold_in(closed, closed->shard, closed->table[CF_USERS]));
    closed_lap(s, &s->seconds.rest, "rows of users summed");
done:
    return status;
}

/* The graph and the filter, and what the terms take meanwhile, one after the other. */
static double chebycf_predict(const closed_size *size)
{
    const cf_filter_size of_filter = {.graph = {{size->dataset->n_users, size->n},
                                                size->dataset->n_train,
                                                &size->dataset->leaves},
                                      .n_rows = size->grid->n_rows,
                                      .n_columns = size->grid->n_columns,
                                      .node_ranks = size->grid->node_ranks};
    const int64_t ideal = ideal_dim(size->options);
    double vectors = 0, text = 0;

    if (ideal > 0) vectors = cf_filter_predict_singular(&of_filter, ideal);
    if (closed_text_dim(size->options) > 0) {
        if (ideal > 0) vectors += closed_predict_table(size, ideal);
        text = closed_predict_text(size);
    }
    return cf_filter_predict_memory(&of_filter) + fmax(vectors, text);
}

#define CHEBYCF_USES "filter_order,filter_flatness,ideal_dim,ideal_weight,degree_power,text_weight"
#define GFCF_USES "ideal_dim,ideal_weight,text_weight"

const closed_form closed_chebycf = {.name = "ChebyCF",
                                    .uses = CHEBYCF_USES,
                                    .uses_with_text = CHEBYCF_USES CLOSED_TEXT_USES,
                                    .dim = chebycf_dim,
                                    .narrowest = chebycf_narrowest,
                                    .set_filter = set_chebycf,
                                    .predict = chebycf_predict,
                                    .solve = chebycf_solve};
const closed_form closed_gfcf = {.name = "GF-CF",
                                 .uses = GFCF_USES,
                                 .uses_with_text = GFCF_USES CLOSED_TEXT_USES,
                                 .dim = chebycf_dim,
                                 .narrowest = chebycf_narrowest,
                                 .set_filter = set_gfcf,
                                 .predict = chebycf_predict,
                                 .solve = chebycf_solve};
