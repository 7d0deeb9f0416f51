/* A warm start: the raw tables of another run, on this run's dataset, which may have other users
 * and items, and in another order.
 *
 *     items that the other dataset has too     its rows
 *     other items                              the mean of the rows of the N_NEAREST nearest of the
 *                                              former, by cosine of this dataset's centred vectors;
 *                                              without a vector noise, as the settings say
 *     users that the other dataset has too     its rows
 *     other users                              the mean of their train items' rows
 *
 * Each rank matches the ids of its own rows (cf_dataset_match()). Old tables are read onto this
 * grid and gathered in blocks, so that memory is bounded and every grid has the same bits. An item
 * that the other dataset marks as cold was never trained: it counts as one that the dataset lacks.
 * tests/train/warm.c compares with plain loops. */
#include "run.h"

#include "cf/cold.h"

#include <string.h>

/* Neighbours of an item without a row; floats of a block of old rows on a rank. */
enum { N_NEAREST = 5, BLOCK_FLOATS = 1 << 22 };

/* The other run, on this run's grid. */
typedef struct old_run {
    cf_ckpt_file *file;
    cf_dataset *dataset;
    cf_table *table[2];
    int64_t *number[2]; /* of each of my rows, its number in the other dataset; -1: it has none */
} old_run;

static void close_old(old_run *old)
{
    for (int side = 0; side < 2; side++) {
        cf_table_destroy(&old->table[side]);
        cf_free(&old->number[side]);
    }
    cf_dataset_close(&old->dataset);
    cf_ckpt_close(&old->file);
}

/* ---- Opening ---- */

/* Rows of another model mean something else, and those of another size do not fit. */
static cf_status check_model(const run *r, const cf_ckpt_file *file)
{
    const char *model = r->options.model.name;
    const int64_t dim = r->options.model.dim;
    cf_config *config = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(r->world, cf_train_read_settings(file, &config)));
    CF_REQUIRE(
        strcmp(cf_config_text(config, "model"), model) == 0 && file->dim == dim, CF_ERR_USAGE,
        "--from %s: its model is %s with embedding_size %lld, this run's is %s with %lld: "
        "they must be the same",
        file->path, cf_config_text(config, "model"), (long long)file->dim, model, (long long)dim);
done:
    cf_config_destroy(&config);
    return status;
}

/* Even blocks of rows, which have nothing to do with those of the run. Collective. */
static cf_status create_table(const run *r, int64_t n_rows, int64_t dim, cf_table **out)
{
    cf_blocks blocks = {0};
    cf_status status;

    CF_TRY(cf_par_agree(r->world, cf_par_create_blocks(n_rows, r->grid->n_rows, &blocks)));
    CF_TRY(cf_table_create(r->grid, &blocks, dim, out));
done:
    cf_par_destroy_blocks(&blocks);
    return status;
}

/* Collective. */
static cf_status open_old(const run *r, old_run *old)
{
    const cf_train_job *job = r->job;
    cf_status status;

    CF_TRY(cf_ckpt_open(r->world, job->from, &old->file));
    CF_TRY(check_model(r, old->file));
    CF_TRY(cf_dataset_open(r->world, job->from_data, &old->dataset));
    CF_TRY(cf_ckpt_check_dataset(old->file, job->from_data, old->dataset->digest,
                                 (int64_t[]){old->dataset->n_users, old->dataset->n_items}));
    CF_TRY(create_table(r, old->file->n_users, old->file->dim, &old->table[CF_USERS]));
    CF_TRY(create_table(r, old->file->n_items, old->file->dim, &old->table[CF_ITEMS]));
    CF_TRY(cf_ckpt_read(old->file, old->table, NULL));
done:
    return status;
}

/* ---- Matching ---- */

/* Those of my rows. `total`: of all rows, the matched ones. Collective. */
static cf_status match(const run *r, old_run *old, cf_side side, int64_t *total)
{
    const cf_name_kind kind = side == CF_USERS ? CF_USER_IDS : CF_ITEM_IDS;
    const cf_table *table = r->table[side];
    const uint8_t *cold = side == CF_ITEMS ? old->dataset->cold : NULL;
    cf_strings ids = {0};
    int64_t *number;
    cf_status status;

    CF_TRY(cf_par_agree(r->world, CF_ALLOC(old->number[side], table->local_rows)));
    number = old->number[side];
    CF_TRY(cf_dataset_read_names(r->dataset, kind, table->first_row, table->local_rows, &ids));
    CF_TRY(cf_dataset_match(old->dataset, kind, &ids, number));
    *total = 0;
    for (int64_t k = 0; k < table->local_rows; k++) {
        if (number[k] >= 0 && cf_is_cold(cold, number[k])) number[k] = -1;
        *total += number[k] >= 0;
    }
    MPI_Allreduce(MPI_IN_PLACE, total, 1, MPI_INT64_T, MPI_SUM, r->grid->column.comm);
done:
    cf_dataset_destroy_strings(&ids);
    return status;
}

/* Both sides. All users may be new, but without an item nothing is learned from the other run.
 * Collective. */
static cf_status match_all(run *r, old_run *old)
{
    cf_status status = CF_OK;

    for (int side = 0; side < 2; side++)
        CF_TRY(match(r, old, (cf_side)side, &r->matched[side]));
    CF_REQUIRE(r->matched[CF_ITEMS] > 0, CF_ERR_FORMAT,
               "--from-data %s: has no trained row of an item of %s: are their ids written alike?",
               r->job->from_data, r->job->data);
done:
    return status;
}

/* ---- Rows ---- */

/* Rows of the other run into those of mine that are matched, block by block. Collective. */
static cf_status take_rows(const old_run *old, cf_side side, cf_table *table)
{
    const cf_table *from = old->table[side];
    const int64_t *number = old->number[side];
    const int64_t step = cf_max(1, cf_min(from->n_rows, BLOCK_FLOATS / from->full_width));
    float *block = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(&table->grid->world, CF_ALLOC(block, step * from->full_width)));
    for (int64_t first = 0; first < from->n_rows; first += step) {
        const int64_t count = cf_min(step, from->n_rows - first);

        CF_TRY(cf_table_gather(from, first, count, block));
        for (int64_t k = 0; k < table->local_rows; k++)
            if (number[k] >= first && number[k] < first + count)
                memcpy(table->data + k * table->width,
                       block + (number[k] - first) * from->full_width + table->first_dim,
                       (size_t)table->local_dim * sizeof *block);
    }
done:
    cf_free(&block);
    return status;
}

/* Overwrite the rows of items that are flagged (one byte for each of all items) with noise. The
 * model draws noise for both tables as a whole. Local. */
static cf_status add_noise(cf_model *model, uint64_t seed, const uint8_t *flags)
{
    cf_table *items = cf_model_table(model, CF_ITEMS);
    const size_t width = (size_t)items->width;
    float *rows = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(rows, items->local_rows * items->width));
    memcpy(rows, items->data, (size_t)items->local_rows * width * sizeof *rows);
    cf_model_fill_noise(model, seed);
    for (int64_t k = 0; k < items->local_rows; k++)
        if (!flags[items->first_row + k])
            memcpy(items->data + k * items->width, rows + k * items->width, width * sizeof *rows);
done:
    cf_free(&rows);
    return status;
}

/* Flags of all items without a row of the other run, on every rank. Collective. */
static void flag_new(const run *r, const old_run *old, uint8_t *flags)
{
    const cf_table *items = r->table[CF_ITEMS];

    for (int64_t k = 0; k < items->local_rows; k++)
        flags[items->first_row + k] = old->number[CF_ITEMS][k] < 0;
    MPI_Allreduce(MPI_IN_PLACE, flags, cf_par_count(items->n_rows), MPI_UINT8_T, MPI_MAX,
                  r->grid->column.comm);
}

/* Rows of flagged items from those of their nearest others. Flags stay where there is no vector.
 * Collective. */
static cf_status fill_from_nearest(run *r, uint8_t *flags)
{
    const cf_cold_options options = {.kind = CF_COLD_AUTO, /* no map if no vector is there */
                                     .n_neighbors = 1,
                                     .neighbors = {N_NEAREST},
                                     .n_gains = 1,
                                     .gains = {1}};
    cf_shard shard = *r->shard; /* in which flagged items are the cold ones */
    const cf_cold_place place = {.dataset = r->dataset,
                                 .grid = r->grid,
                                 .shard = &shard,
                                 .users = r->table[CF_USERS],
                                 .items = r->table[CF_ITEMS],
                                 .memory = r->eval.memory};
    cf_cold_map *map = NULL;
    uint8_t *hidden = NULL;
    cf_status status;

    shard.cold = flags;
    CF_TRY(cf_par_agree(r->world, CF_ALLOC(hidden, r->dataset->n_items)));
    CF_TRY(cf_cold_fit(&options, &place, &map));
    if (map == NULL) goto done;
    CF_TRY(cf_cold_apply(map, &place, r->table[CF_ITEMS], hidden));
    memcpy(flags, hidden, (size_t)r->dataset->n_items);
done:
    cf_cold_destroy(&map);
    cf_free(&hidden);
    return status;
}

/* The rows of items that the other run has none of. Collective. */
static cf_status fill_new_items(run *r, const old_run *old, cf_model *model)
{
    const int64_t n_items = r->dataset->n_items, n_new = n_items - r->matched[CF_ITEMS];
    int64_t n_noise = 0;
    uint8_t *flags = NULL;
    cf_status status = CF_OK;

    if (n_new == 0) return CF_OK;
    CF_TRY(cf_par_agree(r->world, CF_ALLOC(flags, n_items)));
    flag_new(r, old, flags);
    if (r->dataset->embedding_dim > 0) CF_TRY(fill_from_nearest(r, flags));
    for (int64_t i = 0; i < n_items; i++)
        n_noise += flags[i];
    if (n_noise > 0)
        CF_TRY(cf_par_agree(r->world, add_noise(model, r->options.sampler.seed, flags)));
    cf_log("new items: %lld start at the mean of their %d nearest, %lld have no vector and start "
           "from noise",
           (long long)(n_new - n_noise), N_NEAREST, (long long)n_noise);
done:
    cf_free(&flags);
    return status;
}

/* Items first: new users are the means of theirs. */
cf_status run_fill_from(run *r, cf_model *model)
{
    const cf_dataset *d = r->dataset;
    old_run old = {0};
    cf_status status;

    CF_TRY(open_old(r, &old));
    CF_TRY(match_all(r, &old));
    cf_log("starts from %s: it has rows of %lld of %lld users and of %lld of %lld items; "
           "emb_selection is not used",
           r->job->from, (long long)r->matched[CF_USERS], (long long)d->n_users,
           (long long)r->matched[CF_ITEMS], (long long)d->n_items);
    CF_TRY(take_rows(&old, CF_ITEMS, r->table[CF_ITEMS]));
    CF_TRY(fill_new_items(r, &old, model));
    CF_TRY(cf_model_pool_users(model));
    CF_TRY(take_rows(&old, CF_USERS, r->table[CF_USERS]));
done:
    close_old(&old);
    return status;
}
