/* What is known of reduced vectors only after they have been computed once. */
#include "internal.h"

typedef struct measures {
    select_moments columns; /* of the reduced columns; empty unless wanted */
    cf_exact norms;
    int64_t count; /* items that have a vector */
} measures;

/* Add the rows of a block that have a vector. */
static void add_block(const select_reducer *r, int64_t count, measures *m)
{
    const cf_selection *s = r->selection;

    for (int64_t at = 0; at < count; at++) {
        double norm = select_norm(r, at);

        if (!r->present[at]) continue;
        m->count++;
        cf_exact_add(&m->norms, s->unit ? norm > 0 : norm);
        for (int64_t k = 0; k < s->n_dims && m->columns.sum; k++) {
            const double y = r->values[at * s->n_dims + k];

            cf_exact_add(&m->columns.sum[k], y);
            cf_exact_add(&m->columns.squares[k], y * y);
        }
    }
}

/* Read and reduce my even share. Collective. */
static cf_status take(const cf_dataset *dataset, const select_reducer *r, measures *m)
{
    const cf_par *par = dataset->world;
    const int64_t first = cf_par_even_start(dataset->n_items, par->size, par->rank);
    const int64_t share = cf_par_even_start(dataset->n_items, par->size, par->rank + 1) - first;
    const int64_t most = cf_par_even_start(dataset->n_items, par->size, 1); /* no share is larger */
    cf_status status = CF_OK;

    for (int64_t at = 0; at < most; at += r->block_rows) {
        const int64_t from = at < share ? at : share;
        const int64_t count = share - from < r->block_rows ? share - from : r->block_rows;

        CF_TRY(cf_dataset_read_embedding(dataset, first + from, count, r->rows, r->present));
        select_reduce(r, first + from, count);
        add_block(r, count, m);
    }
    CF_TRY(cf_dataset_verify_embedding(dataset));
    MPI_Allreduce(MPI_IN_PLACE, &m->count, 1, MPI_INT64_T, MPI_SUM, par->comm);
    cf_par_sum_exact(par, &m->norms, 1);
    if (m->columns.sum) {
        cf_par_sum_exact(par, m->columns.sum, r->selection->n_dims);
        cf_par_sum_exact(par, m->columns.squares, r->selection->n_dims);
    }
done:
    return status;
}

static cf_status set(const measures *m, const cf_config *config, cf_selection *s)
{
    const double wanted = cf_config_real(config, "emb_norm"), sum = cf_exact_value(&m->norms);

    for (int64_t k = 0; k < s->n_dims && m->columns.sum; k++) {
        const double variance =
            cf_exact_variance(&m->columns.sum[k], &m->columns.squares[k], m->count);
        s->variances[k] = variance > 0 ? variance : 0; /* squares were rounded */
    }
    if (wanted == 0) return CF_OK;
    if (!(sum > 0))
        return CF_FAIL(CF_ERR_USAGE, "emb_norm %g: the starting item vectors are all zero", wanted);
    s->gain = wanted / (sum / (double)m->count);
    return CF_OK;
}

cf_status select_measure(const cf_dataset *dataset, const cf_config *config, cf_selection *s)
{
    const bool projection = cf_config_is(config, "emb_selection", "projection");
    select_reducer reducer = {0};
    measures m = {0};
    cf_status status;

    if (cf_config_real(config, "emb_norm") == 0 && !projection) return CF_OK;
    status = select_reducer_create(dataset, s, config, 0, &reducer);
    if (status == CF_OK && projection) status = CF_ALLOC(m.columns.sum, s->n_dims);
    if (status == CF_OK && projection) status = CF_ALLOC(m.columns.squares, s->n_dims);
    CF_TRY(cf_par_agree(dataset->world, status));
    CF_TRY(take(dataset, &reducer, &m));
    CF_TRY(set(&m, config, s));
done:
    select_reducer_destroy(&reducer);
    cf_free(&m.columns.sum);
    cf_free(&m.columns.squares);
    return status;
}
