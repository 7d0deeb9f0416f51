/**
 * A synthetic run to save and load on any grid: every number is a function of its global position,
 * so that any rank knows what it must read.
 */
#pragma once

#include "cf/ckpt.h"
#include "cf_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { N_USERS = 23, N_ITEMS = 17, DIM = 70, STEPS = 12345 };

static const char settings[] = "model: BPR\nembedding_size: 70\n";
static const char build[] = "{\"version\": \"9\"}";
static const uint64_t digest = 0x00c0ffee12345678;
static const cf_run_progress progress = {
    .epoch = 7,
    .batch = (int64_t)1 << 40,
    .loss_sum = 1.0 / 3,
    .best_epoch = 5,
    .best_value = 0.1,
    .n_bad_evals = 2,
    .seconds = 12.5,
};
static int64_t selection_dims[3] = {4, 9, (int64_t)1 << 33};
static double selection_variances[3] = {0.1, 0.2, 0.3}, selection_shift[3] = {-0.1, 0, 1e-300};
static const cf_selection selection = {
    .n_dims = 3,
    .dims = selection_dims,
    .variances = selection_variances,
    .n_popular = 11,
    .shift = selection_shift,
    .factor = 1.0 / 7,
    .gain = 0.3,
    .unit = true,
};

typedef struct test_run {
    cf_grid *grid;
    cf_table *table[2];
    cf_config *config;
    cf_optim *optim;
} test_run;

/* The tables of a side: the raw one, then those that the optimizer keeps; NULL: not kept. */
enum { ALL_TABLES = 1 + CF_N_KEPT };

static inline cf_table *test_table(const test_run *run, int side, int which)
{
    return which == 0 ? run->table[side]
                      : cf_optim_table(run->optim, (cf_side)side, (cf_kept)(which - 1));
}

static inline float test_value(int side, int which, int64_t row, int64_t k)
{
    const cf_random key = {(uint64_t)(2 * which + side), CF_STREAM_TEST};

    return (float)cf_random_uniform(key, (uint64_t)row, (uint64_t)k, 0) - 0.5f;
}

/* Tables and optimizer of zeros on n_rows x (size / n_rows) ranks; with more than one block, the
 * last has no users. `learner`: its name, and maybe " start", " frozen" behind it. */
static inline void test_create(int n_rows, const char *learner, test_run *run)
{
    const cf_setting *const settings_of_optim[] = {cf_optim_settings};
    const int64_t n[2] = {N_USERS, N_ITEMS};
    cf_optim_options options;
    char assignment[32];

    memset(run, 0, sizeof *run);
    snprintf(assignment, sizeof assignment, "learner=%.*s", (int)strcspn(learner, " "), learner);
    assert_ok(cf_config_create(settings_of_optim, 1, &run->config));
    assert_ok(cf_config_set(run->config, assignment));
    if (strstr(learner, " start")) assert_ok(cf_config_set(run->config, "start_decay=0.1"));
    if (strstr(learner, " frozen")) assert_ok(cf_config_set(run->config, "freeze_items=true"));
    assert_ok(cf_par_create_grid(&world, n_rows, world.size / n_rows, &run->grid));
    cf_optim_read_options(run->config, &options);
    for (int side = 0; side < 2; side++) {
        cf_blocks blocks;

        assert_ok(cf_par_create_blocks(n[side], n_rows, &blocks));
        if (side == CF_USERS && n_rows > 1) blocks.start[n_rows - 1] = n[side];
        assert_ok(cf_table_create(run->grid, &blocks, DIM, &run->table[side]));
        cf_par_destroy_blocks(&blocks);
    }
    assert_ok(cf_optim_create(&options, run->table, &run->optim));
}

static inline void test_fill(const test_run *run)
{
    for (int side = 0; side < 2; side++)
        for (int which = 0; which < ALL_TABLES; which++) {
            cf_table *table = test_table(run, side, which);

            for (int64_t r = 0; table != NULL && r < table->local_rows; r++)
                for (int64_t k = 0; k < table->local_dim; k++)
                    table->data[r * table->width + k] =
                        test_value(side, which, table->first_row + r, table->first_dim + k);
        }
    cf_optim_set_steps(run->optim, STEPS);
}

/* Every float of this rank, the padding too, of the first `n_tables` tables of each side. */
static inline void test_check(const test_run *run, int n_tables)
{
    for (int side = 0; side < 2; side++)
        for (int which = 0; which < n_tables; which++) {
            const cf_table *table = test_table(run, side, which);

            for (int64_t r = 0; table != NULL && r < table->local_rows; r++)
                for (int64_t k = 0; k < table->width; k++) {
                    float want =
                        k < table->local_dim
                            ? test_value(side, which, table->first_row + r, table->first_dim + k)
                            : 0.0f;

                    assert_memory_equal(&table->data[r * table->width + k], &want, sizeof want);
                }
        }
}

static inline void test_destroy(test_run *run)
{
    cf_optim_destroy(&run->optim);
    cf_table_destroy(&run->table[CF_USERS]);
    cf_table_destroy(&run->table[CF_ITEMS]);
    cf_par_destroy_grid(&run->grid);
    cf_config_destroy(&run->config);
}

/* What is saved of a run: all of it. */
static inline cf_ckpt test_state(const test_run *run)
{
    return (cf_ckpt){.table = {run->table[CF_USERS], run->table[CF_ITEMS]},
                     .optim = run->optim,
                     .selection = &selection,
                     .progress = progress,
                     .settings = settings,
                     .build = build,
                     .dataset_digest = digest,
                     .n_users = N_USERS,
                     .n_items = N_ITEMS};
}

/* Open and read all; the status of the first call that failed, nothing left open. */
static inline cf_status test_load(const char *path, const test_run *run, bool with_optim)
{
    cf_ckpt_file *file = NULL;
    cf_status status;

    CF_TRY(cf_ckpt_open(&world, path, &file));
    CF_TRY(cf_ckpt_read(file, run->table, with_optim ? run->optim : NULL));
done:
    cf_ckpt_close(&file);
    assert_null(file);
    return status;
}

/* A file's bytes, to be freed with free(). */
static inline char *test_read_file(const char *path, int64_t *size)
{
    struct stat file;
    FILE *in = fopen(path, "rb");
    char *bytes;

    assert_non_null(in);
    assert_int_equal(fstat(fileno(in), &file), 0);
    bytes = malloc((size_t)file.st_size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)file.st_size, in), file.st_size);
    fclose(in);
    *size = (int64_t)file.st_size;
    return bytes;
}
