/* What is known of reduced vectors only after they have been computed once: the mean length of a
 * row, from which emb_norm gives the gain, and the variances of a projection's columns. One more
 * pass over the vectors; the sums are exact, so that no bit depends on the ranks. The values of y
 * enter exactly, their squares after one rounding to double. */
#include "internal.h"

typedef struct measures {
    const select_reducer *reducer;
    select_moments columns; /* of the reduced columns; empty unless wanted */
    cf_exact norms;         /* sum of the row lengths */
    int64_t count;          /* warm items that have a vector */
} measures;

/* Reduce a block and add its rows that are counted. */
static void measure_block(void *context, const select_block *block)
{
    measures *m = context;
    const cf_selection *s = m->reducer->selection;

    select_reduce(m->reducer, block);
    for (int64_t r = 0; r < block->count; r++) {
        const double norm = select_norm(m->reducer, r);

        if (!block->counted[r]) continue;
        m->count++;
        cf_exact_add(&m->norms, s->unit ? norm > 0 : norm); /* lengths are 1 after l2, or 0 */
        for (int64_t k = 0; k < s->n_dims && m->columns.sum != NULL; k++) {
            const double y = m->reducer->values[r * s->n_dims + k];

            cf_exact_add(&m->columns.sum[k], y);
            cf_exact_add(&m->columns.squares[k], y * y);
        }
    }
}

/* All ranks' sums. Collective. */
static void sum_measures(const cf_par *par, measures *m)
{
    const int64_t n_dims = m->reducer->selection->n_dims;

    MPI_Allreduce(MPI_IN_PLACE, &m->count, 1, MPI_INT64_T, MPI_SUM, par->comm);
    cf_par_sum_exact(par, &m->norms, 1);
    if (m->columns.sum == NULL) return;
    m->columns.count = m->count;
    cf_par_sum_exact(par, m->columns.sum, n_dims);
    cf_par_sum_exact(par, m->columns.squares, n_dims);
}

/* Local: the same on every rank. */
static cf_status apply_measures(const measures *m, double emb_norm, cf_selection *s)
{
    const double sum = cf_exact_value(&m->norms);

    for (int64_t k = 0; k < s->n_dims && m->columns.sum != NULL; k++) {
        const double variance = select_variance(&m->columns, k);
        s->variances[k] = variance > 0 ? variance : 0; /* squares were rounded */
    }
    if (emb_norm == 0) return CF_OK;
    if (!(sum > 0))
        return CF_FAIL(CF_ERR_USAGE, "emb_norm %g: the starting item vectors are all zero",
                       emb_norm);
    s->gain = emb_norm / (sum / (double)m->count);
    return CF_OK;
}

/* Skipped where neither is asked for: it costs as much as reading and reducing all vectors once. */
cf_status select_measure(const cf_dataset *dataset, const cf_select_options *options,
                         cf_selection *s)
{
    const bool projection = options->method == CF_SELECT_PROJECTION;
    select_reducer reducer = {0};
    measures m = {.reducer = &reducer};
    select_range range;
    cf_status status;

    if (options->norm == 0 && !projection) return CF_OK;
    status = select_create_reducer(dataset, s, options, 0, &reducer);
    if (status == CF_OK && projection) status = select_create_moments(s->n_dims, &m.columns);
    CF_TRY(cf_par_agree(dataset->world, status));
    range = select_even_range(dataset, reducer.block_rows);
    CF_TRY(select_each_block(dataset, &range, measure_block, &m));
    sum_measures(dataset->world, &m);
    CF_TRY(apply_measures(&m, options->norm, s));
done:
    select_destroy_reducer(&reducer);
    select_destroy_moments(&m.columns);
    return status;
}
