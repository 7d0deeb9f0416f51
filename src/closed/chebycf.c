/* ChebyCF (Kim et al. 2025, "Graph spectral filtering with Chebyshev interpolation for
 * recommendation") and GF-CF (Shen et al. 2021, "How powerful is graph convolution for
 * recommendation?"): filters of the normalised item graph, applied to a user's history s,
 *
 *     score(s) = D^b p(L~) D^-b s + alpha D^c V V' D^-c s,    L~ = I - 2 R'R,
 *
 * V: the leading right singular vectors of R (cf/filter.h). ChebyCF: p interpolates a plateau,
 * c = b. GF-CF: p(L~) = (I - L~) / 2 = R'R, b = 0, c = 1/2. The polynomial is applied when users
 * are scored; what is solved are two tables whose products are the other term,
 *
 *     items (n_items x eta): alpha D^c V        users (n_users x eta): the sum of D^-c V over items
 *
 * Without that term (alpha = 0) they have one column of zeros. tests/closed/chebycf.c compares with
 * NumPy. */
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

static int64_t ideal_dim(const cf_closed_options *options)
{
    return options->ideal_weight > 0 ? options->ideal_dim : 1;
}

/* ---- Rows of users ---- */

/* row k of `table` *= factor degree^power, 0 without train interactions. Local. */
static void scale_items(const cf_closed *closed, double factor, double power, cf_table *table)
{
    for (int64_t i = 0; i < table->local_rows; i++) {
        const double degree = (double)cf_graph_degree(closed->graph, CF_ITEMS, i);
        const float times = degree > 0 ? (float)(factor * pow(degree, power)) : 0;

        for (int64_t d = 0; d < table->width; d++)
            table->data[i * table->width + d] *= times;
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
    if (alpha == 0) return CF_OK;
    CF_TRY(cf_table_copy(closed->table[CF_ITEMS], &items));
    scale_items(closed, 1 / alpha, -2 * power, items);
    CF_TRY(sum_histories(items, shard, users));
done:
    cf_table_destroy(&items);
    return status;
}

/* ---- The solution ---- */

static cf_status find_vectors(closed_solver *s)
{
    const cf_closed *closed = s->closed;
    cf_table *items = closed->table[CF_ITEMS];
    double *values = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(&closed->grid->world, CF_ALLOC(values, items->dim)));
    status = cf_filter_singular(closed->graph, closed->shard, items, values);
    if (status == CF_ERR_USAGE || status == CF_ERR_NUMERIC)
        status = CF_FAIL(status, "ideal_dim: %s", cf_error_message());
    CF_TRY(status);
    cf_log("%s: singular values %.4f to %.4f", closed->form->name, values[0],
           values[items->dim - 1]);
    scale_items(closed, closed->options.ideal_weight, ideal_power(closed), items);
    closed_lap(s, &s->seconds.singular, "singular vectors found");
done:
    cf_free(&values);
    return status;
}

static cf_status chebycf_solve(closed_solver *s)
{
    const cf_closed *closed = s->closed;
    cf_status status = CF_OK;

    if (closed->options.ideal_weight == 0) return CF_OK;
    CF_TRY(find_vectors(s));
    CF_TRY(cf_closed_fold_in(closed, closed->shard, closed->table[CF_USERS]));
    closed_lap(s, &s->seconds.rest, "rows of users summed");
done:
    return status;
}

/* The graph and the filter, and what the singular vectors take meanwhile. */
static double chebycf_predict(const closed_size *size)
{
    const cf_filter_size of_filter = {.graph = {{size->dataset->n_users, size->n},
                                                size->dataset->n_train,
                                                &size->dataset->leaves},
                                      .n_rows = size->grid->n_rows,
                                      .n_columns = size->grid->n_columns,
                                      .node_ranks = size->grid->node_ranks};
    const bool has_vectors = size->options->ideal_weight > 0;

    return cf_filter_predict_memory(&of_filter) +
           (has_vectors ? cf_filter_predict_singular(&of_filter, size->options->ideal_dim) : 0);
}

const closed_form closed_chebycf = {
    .name = "ChebyCF",
    .uses = "filter_order,filter_flatness,ideal_dim,ideal_weight,degree_power",
    .dim = ideal_dim,
    .set_filter = set_chebycf,
    .predict = chebycf_predict,
    .solve = chebycf_solve};
const closed_form closed_gfcf = {.name = "GF-CF",
                                 .uses = "ideal_dim,ideal_weight",
                                 .dim = ideal_dim,
                                 .set_filter = set_gfcf,
                                 .predict = chebycf_predict,
                                 .solve = chebycf_solve};
