/** Selections and what they give, for the tests of maps. */
#pragma once

#include "fixture.h"

#define GOLDEN CF_TEST_DATA "/golden/tiny/"

static plain data;

/* A selection and the table that it fills, by the ranks of `par` on n_rows rows of them. */
typedef struct result {
    cf_select_options options;
    cf_dataset *dataset;
    cf_selection *selection;
    cf_grid *grid;
    cf_table *items;
} result;

static inline result start(const cf_par *par, const char *settings, int n_rows)
{
    result r = {.options = options_of(settings)};
    cf_blocks blocks;

    assert_int_equal(cf_dataset_open(par, cf_test_scratch("data.h5"), &r.dataset), CF_OK);
    if (cf_select_create(r.dataset, &r.options, &r.selection) != CF_OK)
        fail_msg("%s: %s", settings, cf_error_message());
    assert_int_equal(cf_par_create_grid(par, n_rows, par->size / n_rows, &r.grid), CF_OK);
    assert_int_equal(cf_par_create_blocks(data.n_items, n_rows, &blocks), CF_OK);
    if (n_rows > 1) blocks.start[1] = 0; /* an empty block */
    assert_int_equal(cf_table_create(r.grid, &blocks, r.selection->n_dims, &r.items), CF_OK);
    assert_int_equal(cf_select_fill_items(r.dataset, r.selection, &r.options, r.items), CF_OK);
    cf_par_destroy_blocks(&blocks);
    return r;
}

static inline void drop(result *r)
{
    cf_table_destroy(&r->items);
    cf_par_destroy_grid(&r->grid);
    cf_select_destroy(&r->selection);
    cf_dataset_close(&r->dataset);
}

/** The golden vectors as a dataset. */
static inline void open_golden(void)
{
    int64_t dims[2];
    double *llm = cf_test_npy(GOLDEN "llm.npy", dims);

    data = new_plain(1, dims[0], dims[1]);
    data.user_start[1] = 1;
    for (int64_t k = 0; k < dims[0] * dims[1]; k++)
        data.vectors[k] = (float)llm[k];
    write_plain(cf_test_scratch("data.h5"), &data);
    free(llm);
}

static inline void assert_same_selection(const cf_selection *got, const cf_selection *want)
{
    const size_t reals = (size_t)got->n_dims * sizeof(double);

    assert_memory_equal(got->variances, want->variances, reals);
    assert_true(got->gain == want->gain && got->total_variance == want->total_variance);
    if (want->source_dim == 0) {
        assert_memory_equal(got->dims, want->dims, (size_t)got->n_dims * sizeof(int64_t));
        return;
    }
    assert_memory_equal(got->center, want->center, (size_t)got->source_dim * sizeof(double));
    assert_memory_equal(got->scales, want->scales, reals);
    assert_memory_equal(got->components, want->components, (size_t)got->source_dim * reals);
}
