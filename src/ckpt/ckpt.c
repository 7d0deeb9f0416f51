/* Checkpoints: one store file of kind "checkpoint". store checksums every array, writes each rank's
 * block in parallel and replaces the old file only when the new one is complete.
 *
 *     attributes             program_version, build, dataset_digest, n_users, n_items, dim,
 *                            progress_fields below, optimizer_steps, and those of cf_select_write()
 *     /settings              YAML text of the run's settings
 *     /user_embedding        n_users x dim, float32
 *     /item_embedding        n_items x dim
 *     /optimizer/..._moment1 the moments of Adam, each as its table
 *     /start/user_embedding  with start_decay: the tables before the first step
 *     /item_similarity       n_items x n_items: of a closed form, in place of all tables
 *
 * The file does not depend on the grid: a reader takes the rows and columns of its own grid.
 * tests/ckpt writes on one grid, reads on all others and compares every float. */
#include "cf/ckpt.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Digits of a digest of 64 bits in hexadecimal. */
enum { DIGEST_DIGITS = 16 };

static const char file_kind[] = "checkpoint";
/* Paths of the arrays, and the names of their dimensions, which the file keeps for other readers.
 */
static const char *const table_name[2] = {"/" CF_CKPT_USER_TABLE, "/" CF_CKPT_ITEM_TABLE};
static const char *const table_dims[2] = {"users, embedding_size", "items, embedding_size"};
static const char similarity_name[] = "/" CF_CKPT_MATRIX, similarity_dims[] = "items, items";
static const char *const kept_name[2][CF_N_KEPT] = {
    {"/optimizer/user_moment1", "/optimizer/user_moment2", "/start/" CF_CKPT_USER_TABLE},
    {"/optimizer/item_moment1", "/optimizer/item_moment2", "/start/" CF_CKPT_ITEM_TABLE},
};

static const char most_bad_name[] = "most_stale", build_name[] = "build";

/* The attributes of progress. One table serves writing and reading, so that they cannot differ. */
static const struct {
    const char *name;
    size_t offset;
    bool real; /* a double; else an int64_t */
} progress_fields[] = {
    {"epoch", offsetof(cf_run_progress, epoch), false},
    {"batch", offsetof(cf_run_progress, batch), false},
    {"loss_sum", offsetof(cf_run_progress, loss_sum), true},
    {"best_epoch", offsetof(cf_run_progress, best_epoch), false},
    {"best_value", offsetof(cf_run_progress, best_value), true},
    {"stale", offsetof(cf_run_progress, n_bad_evals), false},
    {"seconds", offsetof(cf_run_progress, seconds), true},
    {most_bad_name, offsetof(cf_run_progress, most_bad_evals), false},
};
enum { N_PROGRESS_FIELDS = sizeof progress_fields / sizeof progress_fields[0] };

/* ---- Writing ---- */

/* What the run is of: checked at resume before any table is read. Collective. */
static cf_status write_facts(cf_store *store, const cf_ckpt *state)
{
    char digest[DIGEST_DIGITS + 1];
    cf_status status;

    snprintf(digest, sizeof digest, "%016" PRIx64, state->dataset_digest);
    CF_TRY(cf_store_write_text(store, "program_version", CF_VERSION));
    if (state->build != NULL) CF_TRY(cf_store_write_text(store, build_name, state->build));
    CF_TRY(cf_store_write_text(store, "dataset_digest", digest));
    CF_TRY(cf_store_write_int(store, "n_users", state->n_users));
    CF_TRY(cf_store_write_int(store, "n_items", state->n_items));
    CF_TRY(cf_store_write_int(store, "dim", state->table[CF_ITEMS]->dim));
    CF_TRY(cf_store_write_whole(store, "/settings", CF_U8, (int64_t)strlen(state->settings),
                                state->settings));
done:
    return status;
}

/* The progress of rank 0: clocks differ, and a collective attribute needs one value. Collective. */
static cf_status write_progress(cf_store *store, const cf_par *world,
                                const cf_run_progress *progress)
{
    cf_run_progress common = *progress;
    cf_status status = CF_OK;

    cf_par_broadcast(world, &common, sizeof common, 0);
    for (int k = 0; k < N_PROGRESS_FIELDS; k++) {
        const void *field = (const char *)&common + progress_fields[k].offset;

        if (progress_fields[k].real)
            CF_TRY(cf_store_write_real(store, progress_fields[k].name, *(const double *)field));
        else
            CF_TRY(cf_store_write_int(store, progress_fields[k].name, *(const int64_t *)field));
    }
done:
    return status;
}

/* Steps of the optimizer, and the tables that it keeps. Collective. */
static cf_status write_optim(cf_store *store, const cf_optim *optim)
{
    cf_status status;

    CF_TRY(cf_store_write_int(store, "optimizer_steps", cf_optim_steps(optim)));
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < CF_N_KEPT; k++) {
            const cf_table *table = cf_optim_table(optim, (cf_side)side, (cf_kept)k);

            if (table != NULL)
                CF_TRY(cf_table_write(table, store, kept_name[side][k], table_dims[side]));
        }
done:
    return status;
}

/* The raw tables, or the matrix of a closed form. Collective. */
static cf_status write_tables(cf_store *store, cf_table *const table[2])
{
    cf_status status = CF_OK;

    if (table[CF_USERS] == NULL)
        return cf_table_write(table[CF_ITEMS], store, similarity_name, similarity_dims);
    for (int side = 0; side < 2; side++)
        CF_TRY(cf_table_write(table[side], store, table_name[side], table_dims[side]));
done:
    return status;
}

cf_status cf_ckpt_save(const cf_par *world, const char *path, const cf_ckpt *state)
{
    cf_store *store = NULL;
    cf_status status;

    CF_ASSERT(state->table[CF_USERS] == NULL || state->table[CF_USERS]->n_rows == state->n_users);
    CF_ASSERT(state->table[CF_ITEMS]->n_rows == state->n_items);
    /* Written beside `path`, which stays the old file until the commit. */
    CF_TRY(cf_store_create(world, path, file_kind, &store));
    CF_TRY(write_facts(store, state));
    CF_TRY(write_progress(store, world, &state->progress));
    if (state->selection != NULL) CF_TRY(cf_select_write(world, state->selection, store));
    CF_TRY(write_tables(store, state->table));
    if (state->map != NULL) CF_TRY(cf_cold_write(world, state->map, store));
    if (state->optim != NULL) CF_TRY(write_optim(store, state->optim));
    CF_TRY(cf_store_commit(&store));
done:
    cf_store_close(&store);
    return status;
}

/* ---- Opening ---- */

/* The digest is text of 16 hexadecimal digits, as error messages print it. */
static cf_status read_digest(cf_store *store, uint64_t *out)
{
    char *text = NULL;
    cf_status status;

    CF_TRY(cf_store_read_text(store, "dataset_digest", &text));
    CF_REQUIRE(strlen(text) == DIGEST_DIGITS && strspn(text, "0123456789abcdef") == DIGEST_DIGITS &&
                   sscanf(text, "%" SCNx64, out) == 1,
               CF_ERR_FORMAT, "%s: attribute dataset_digest is not %d hexadecimal digits",
               cf_store_path(store), DIGEST_DIGITS);
done:
    cf_free(&text);
    return status;
}

/* The array of bytes as a string: it is stored without the final NUL. Collective. */
static cf_status read_settings(const cf_par *world, cf_store *store, char **out)
{
    char *bytes = NULL, *text = NULL;
    int64_t count = 0;
    cf_status status;

    CF_TRY(cf_store_read_whole(store, "/settings", CF_U8, &count, &bytes));
    CF_REQUIRE(memchr(bytes, 0, (size_t)count) == NULL, CF_ERR_FORMAT,
               "%s: /settings has a NUL byte, expected YAML", cf_store_path(store));
    CF_TRY(cf_par_agree(world, CF_ALLOC(text, count + 1)));
    memcpy(text, bytes, (size_t)count);
    *out = text;
    text = NULL;
done:
    cf_free(&bytes);
    cf_free(&text);
    return status;
}

/* All that write_facts() wrote. What was read before an error is freed with the file. Collective.
 */
static cf_status read_facts(const cf_par *world, cf_ckpt_file *file)
{
    cf_store *store = file->store;
    bool has_build = false;
    cf_status status;

    CF_TRY(cf_store_read_text(store, "program_version", &file->version));
    CF_TRY(cf_store_has_attribute(store, build_name, &has_build));
    if (has_build) CF_TRY(cf_store_read_text(store, build_name, &file->build));
    CF_TRY(read_digest(store, &file->dataset_digest));
    CF_TRY(cf_store_read_int(store, "n_users", &file->n_users));
    CF_TRY(cf_store_read_int(store, "n_items", &file->n_items));
    CF_TRY(cf_store_read_int(store, "dim", &file->dim));
    CF_TRY(read_settings(world, store, &file->settings));
done:
    return status;
}

/* Attributes have no checksum of this program: each must be what a run can come to. How many
 * batches an epoch has, the run itself knows. Local. */
static cf_status check_progress(const char *path, const cf_run_progress *p)
{
    if (p->best_epoch > p->epoch || p->n_bad_evals > p->epoch - p->best_epoch)
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s: best epoch %" PRId64 " and %" PRId64 " evaluations since, of %" PRId64
                       " epochs",
                       path, p->best_epoch, p->n_bad_evals, p->epoch);
    if (p->seconds < 0)
        return CF_FAIL(CF_ERR_FORMAT, "%s: attribute seconds is %g, expected 0 or more", path,
                       p->seconds);
    return CF_OK;
}

/* One attribute of progress: a finite number, or a count. Collective. */
static cf_status read_field(cf_store *store, const char *name, bool real, void *field)
{
    cf_status status;

    if (real) {
        CF_TRY(cf_store_read_real(store, name, field));
        CF_REQUIRE(isfinite(*(const double *)field), CF_ERR_FORMAT,
                   "%s: attribute %s is not a finite number", cf_store_path(store), name);
    } else {
        CF_TRY(cf_store_read_int(store, name, field));
        CF_REQUIRE(*(const int64_t *)field >= 0, CF_ERR_FORMAT,
                   "%s: attribute %s is %" PRId64 ", expected 0 or more", cf_store_path(store),
                   name, *(const int64_t *)field);
    }
done:
    return status;
}

/* The counterpart of write_progress(). Older programs did not write most_bad_name. Collective. */
static cf_status read_progress(cf_store *store, cf_run_progress *progress)
{
    bool has = false;
    cf_status status;

    CF_TRY(cf_store_has_attribute(store, most_bad_name, &has));
    progress->most_bad_evals = CF_CKPT_UNKNOWN;
    for (int k = 0; k < N_PROGRESS_FIELDS; k++)
        if (has || progress_fields[k].name != most_bad_name)
            CF_TRY(read_field(store, progress_fields[k].name, progress_fields[k].real,
                              (char *)progress + progress_fields[k].offset));
    CF_TRY(check_progress(cf_store_path(store), progress));
done:
    return status;
}

/* The error of an array that is not n_rows x n_columns of float32. */
static cf_status check_shape(const cf_ckpt_file *file, const char *name, int64_t n_rows,
                             int64_t n_columns)
{
    cf_type type;
    int64_t shape[2];
    cf_status status = cf_store_shape(file->store, name, &type, shape);

    if (status != CF_OK || (type == CF_F32 && shape[0] == n_rows && shape[1] == n_columns))
        return status;
    return CF_FAIL(CF_ERR_FORMAT,
                   "%s: %s is %" PRId64 " x %" PRId64 ", expected %" PRId64 " x %" PRId64
                   " of float32",
                   file->path, name, shape[0], shape[1], n_rows, n_columns);
}

/* Find out which tables the file has and check their shapes against the attributes. */
static cf_status check_shapes(cf_ckpt_file *file)
{
    cf_status status;

    CF_TRY(cf_store_has(file->store, similarity_name, &file->closed));
    CF_REQUIRE(file->n_users >= 1 && file->n_items >= 1 && file->dim >= 1, CF_ERR_FORMAT,
               "%s: n_users, n_items and dim are %" PRId64 ", %" PRId64 " and %" PRId64
               ", expected at least 1",
               file->path, file->n_users, file->n_items, file->dim);
    if (file->closed) {
        CF_REQUIRE(file->dim == file->n_items, CF_ERR_FORMAT,
                   "%s: dim is %" PRId64 ", expected the %" PRId64 " items of %s", file->path,
                   file->dim, file->n_items, similarity_name);
        return check_shape(file, similarity_name, file->n_items, file->n_items);
    }
    CF_TRY(check_shape(file, table_name[CF_USERS], file->n_users, file->dim));
    CF_TRY(check_shape(file, table_name[CF_ITEMS], file->n_items, file->dim));
done:
    return status;
}

cf_status cf_ckpt_open(const cf_par *world, const char *path, cf_ckpt_file **out)
{
    cf_ckpt_file *file = NULL;
    cf_status status = cf_par_agree(world, CF_ALLOC(file, 1));

    CF_TRY(status);
    CF_TRY(cf_store_open(world, path, file_kind, &file->store));
    file->path = cf_store_path(file->store);
    CF_TRY(read_facts(world, file));
    CF_TRY(read_progress(file->store, &file->progress));
    CF_TRY(cf_select_read(world, file->store, &file->selection)); /* NULL if there is none */
    CF_TRY(check_shapes(file));
    *out = file;
    file = NULL;
done:
    cf_ckpt_close(&file);
    return status;
}

/* Also closes a file that cf_ckpt_open() could only read in part. */
void cf_ckpt_close(cf_ckpt_file **file)
{
    if (*file == NULL) return;
    cf_store_close(&(*file)->store);
    cf_select_destroy(&(*file)->selection);
    cf_free(&(*file)->settings);
    cf_free(&(*file)->version);
    cf_free(&(*file)->build);
    cf_free(file);
}

cf_status cf_ckpt_check_dataset(const cf_ckpt_file *file, const char *dataset_path, uint64_t digest,
                                const int64_t counts[2])
{
    const char *path = file->path;

    /* The counts first: they tell a user more than two digests do. */
    if (file->n_users != counts[CF_USERS] || file->n_items != counts[CF_ITEMS])
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s was trained on another dataset than %s (%" PRId64 " users x %" PRId64
                       " items here, %" PRId64 " x %" PRId64 " there)",
                       path, dataset_path, counts[CF_USERS], counts[CF_ITEMS], file->n_users,
                       file->n_items);
    if (file->dataset_digest != digest)
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s was trained on another dataset than %s (digest %016" PRIx64
                       " here, %016" PRIx64 " there)",
                       path, dataset_path, digest, file->dataset_digest);
    return CF_OK;
}

/* ---- Reading tables ---- */

/* Check that the file has what `optim` keeps, and no more, before any table is overwritten, and
 * read the steps. Collective. */
static cf_status check_optim(cf_store *store, const cf_optim *optim, int64_t *steps)
{
    bool has = false;
    cf_status status;

    CF_TRY(cf_store_has_attribute(store, "optimizer_steps", &has));
    /* A missing attribute is a file of the best epoch, which is saved without an optimizer. */
    CF_REQUIRE(has, CF_ERR_FORMAT,
               "%s: has no optimizer state, so that training cannot go on from it",
               cf_store_path(store));
    CF_TRY(cf_store_read_int(store, "optimizer_steps", steps));
    CF_REQUIRE(*steps >= 0, CF_ERR_FORMAT, "%s: optimizer_steps is %" PRId64 ", expected 0 or more",
               cf_store_path(store), *steps);
    for (int k = 0; k < 2 * CF_N_KEPT; k++) {
        const char *name = kept_name[k / CF_N_KEPT][k % CF_N_KEPT];
        const bool needed =
            cf_optim_table(optim, (cf_side)(k / CF_N_KEPT), (cf_kept)(k % CF_N_KEPT)) != NULL;

        CF_TRY(cf_store_has(store, name, &has));
        CF_REQUIRE(has == needed, CF_ERR_FORMAT,
                   "%s: has %s %s, expected %s: it comes from another learner, start_decay or "
                   "freeze_items",
                   cf_store_path(store), has ? "a" : "no", name, needed ? "one" : "none");
    }
done:
    return status;
}

cf_status cf_ckpt_read(cf_ckpt_file *file, cf_table *const table[2], cf_optim *optim)
{
    const int64_t n_rows[2] = {file->n_users, file->n_items};
    int64_t steps = 0;
    cf_status status = CF_OK;

    CF_REQUIRE(file->closed == (table[CF_USERS] == NULL), CF_ERR_FORMAT,
               "%s: has %s, which its model does not have", file->path,
               file->closed ? similarity_name : table_name[CF_USERS]);
    if (file->closed)
        return cf_table_read(table[CF_ITEMS], file->n_items, file->store, similarity_name);
    if (optim != NULL) CF_TRY(check_optim(file->store, optim, &steps));

    for (int side = 0; side < 2; side++) {
        CF_TRY(cf_table_read(table[side], n_rows[side], file->store, table_name[side]));
        for (int k = 0; optim != NULL && k < CF_N_KEPT; k++) {
            cf_table *kept = cf_optim_table(optim, (cf_side)side, (cf_kept)k);

            if (kept != NULL)
                CF_TRY(cf_table_read(kept, n_rows[side], file->store, kept_name[side][k]));
        }
    }
    if (optim != NULL) cf_optim_set_steps(optim, steps); /* only now: all tables are of this step */
done:
    return status;
}
