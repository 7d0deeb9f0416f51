/* Opening a dataset file: its counts are read, and its arrays must have the shapes that follow from
 * them, so that no later read can leave an array. Nothing else is read but the checksums, the
 * marks of cold items and where leaves begin. */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t max_count = (int64_t)1 << 48; /* far above any file: no sum can overflow */

/* A 1-D array of this type with this number of rows. */
static cf_status expect_shape(cf_store *store, const char *name, cf_type type, int64_t rows)
{
    cf_type found;
    int64_t shape[2];
    cf_status status = cf_store_shape(store, name, &found, shape);

    if (status != CF_OK) return status;
    if (found != type || shape[0] != rows || shape[1] != 1)
        return CF_FAIL(CF_ERR_FORMAT,
                       "%s: %s is %" PRId64 " x %" PRId64 ", expected %" PRId64
                       " numbers of its type",
                       cf_store_path(store), name, shape[0], shape[1], rows);
    return CF_OK;
}

/* The counts are attributes; a dataset without users, items or train interactions is no dataset. */
static cf_status read_counts(cf_dataset *dataset)
{
    const struct {
        const char *name;
        int64_t *value, low;
    } counts[] = {{"n_users", &dataset->n_users, 1},
                  {"n_items", &dataset->n_items, 1},
                  {"n_train", &dataset->n_train, 1},
                  {"n_valid", &dataset->n_valid, 0},
                  {"n_test", &dataset->n_test, 0},
                  {"n_missing", &dataset->n_missing, 0},
                  {"embedding_dim", &dataset->embedding_dim, 0}};

    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        cf_status status = cf_store_read_int(dataset->store, counts[k].name, counts[k].value);

        if (status != CF_OK) return status;
        if (*counts[k].value < counts[k].low || *counts[k].value > max_count)
            return CF_FAIL(CF_ERR_FORMAT, "%s: %s is %" PRId64 ", expected %" PRId64 " to %" PRId64,
                           cf_dataset_path(dataset), counts[k].name, *counts[k].value,
                           counts[k].low, max_count);
    }
    if (dataset->n_missing > dataset->n_items)
        return CF_FAIL(CF_ERR_FORMAT, "%s: n_missing is %" PRId64 " of %" PRId64 " items",
                       cf_dataset_path(dataset), dataset->n_missing, dataset->n_items);
    return CF_OK;
}

/* Weights of train interactions are there from both sides, or not at all. */
static cf_status check_weights(cf_dataset *dataset)
{
    cf_store *store = dataset->store;
    cf_status status;

    CF_TRY(cf_store_has(store, DATASET_WEIGHTS, &dataset->has_weights));
    if (!dataset->has_weights) return CF_OK;
    CF_TRY(expect_shape(store, DATASET_WEIGHTS, CF_F32, dataset->n_train));
    CF_TRY(expect_shape(store, DATASET_WEIGHTS_BY_ITEM, CF_F32, dataset->n_train));
done:
    return status;
}

/* Every array must have the shape that follows from the counts: offsets one more than rows. Titles,
 * weights and vectors may be absent. */
static cf_status check_arrays(cf_dataset *dataset)
{
    const struct {
        const char *name;
        cf_type type;
        int64_t rows;
    } arrays[] = {{"/users/id_start", CF_I64, dataset->n_users + 1},
                  {"/items/id_start", CF_I64, dataset->n_items + 1},
                  {"/train/user_ptr", CF_I64, dataset->n_users + 1},
                  {"/train/item", CF_I64, dataset->n_train},
                  {"/train/item_ptr", CF_I64, dataset->n_items + 1},
                  {"/train/user", CF_I64, dataset->n_train},
                  {"/valid/user_ptr", CF_I64, dataset->n_users + 1},
                  {"/valid/item", CF_I64, dataset->n_valid},
                  {"/test/user_ptr", CF_I64, dataset->n_users + 1},
                  {"/test/item", CF_I64, dataset->n_test}};
    cf_store *store = dataset->store;
    cf_status status = CF_OK;
    cf_type type;
    int64_t shape[2];

    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        CF_TRY(expect_shape(store, arrays[k].name, arrays[k].type, arrays[k].rows));
    CF_TRY(cf_store_has(store, "/items/title_start", &dataset->has_titles));
    if (dataset->has_titles)
        CF_TRY(expect_shape(store, "/items/title_start", CF_I64, dataset->n_items + 1));
    CF_TRY(check_weights(dataset));
    /* without vectors neither array exists; the type of the vectors is the file's choice */
    if (dataset->embedding_dim == 0) goto done;
    CF_TRY(expect_shape(store, "/items/embedding_present", CF_U8, dataset->n_items));
    CF_TRY(cf_store_shape(store, "/items/embedding", &type, shape));
    if ((type != CF_F16 && type != CF_F32) || shape[0] != dataset->n_items ||
        shape[1] != dataset->embedding_dim)
        status = CF_FAIL(CF_ERR_FORMAT,
                         "%s: /items/embedding is %" PRId64 " x %" PRId64 ", expected %" PRId64
                         " x %" PRId64 " of float16 or float32",
                         cf_store_path(store), shape[0], shape[1], dataset->n_items,
                         dataset->embedding_dim);
    dataset->embedding_type = type;
done:
    return status;
}

/* The marks of cold items, a byte an item, on every rank. A file without them has none. */
static cf_status read_marks(cf_dataset *dataset)
{
    cf_store *store = dataset->store;
    int64_t count = 0;
    bool has = false;
    cf_status status;

    CF_TRY(cf_store_has(store, "/items/cold", &has));
    if (!has) return CF_OK;
    CF_TRY(expect_shape(store, "/items/cold", CF_U8, dataset->n_items));
    CF_TRY(cf_store_read_whole(store, "/items/cold", CF_U8, &count, &dataset->cold));
    for (int64_t i = 0; i < count; i++) {
        CF_REQUIRE(dataset->cold[i] <= (CF_COLD_VALID | CF_COLD_TEST), CF_ERR_FORMAT,
                   "%s: /items/cold is damaged: %d, expected 0 to %d", cf_store_path(store),
                   dataset->cold[i], CF_COLD_VALID | CF_COLD_TEST);
        dataset->n_cold += dataset->cold[i] != 0;
    }
done:
    return status;
}

/* What the file is appended to. Its digest is text, as messages print it. Collective. */
static cf_status read_base(cf_dataset *dataset)
{
    cf_store *store = dataset->store;
    cf_dataset_base *base = &dataset->base;
    char *digest = NULL;
    cf_status status;

    CF_TRY(cf_store_read_text(store, "base_digest", &digest));
    CF_TRY(cf_store_read_int(store, "base_users", &base->n_users));
    CF_TRY(cf_store_read_int(store, "base_items", &base->n_items));
    CF_TRY(cf_store_read_int(store, "n_added", &dataset->n_added));
    CF_REQUIRE(strlen(digest) == DATASET_DIGEST_DIGITS &&
                   strspn(digest, "0123456789abcdef") == DATASET_DIGEST_DIGITS &&
                   sscanf(digest, "%" SCNx64, &base->digest) == 1,
               CF_ERR_FORMAT, "%s: attribute base_digest is not %d hexadecimal digits",
               cf_store_path(store), DATASET_DIGEST_DIGITS);
    CF_REQUIRE(base->n_users >= 1 && base->n_users <= dataset->n_users && base->n_items >= 1 &&
                   base->n_items <= dataset->n_items,
               CF_ERR_FORMAT,
               "%s: base_users and base_items are %" PRId64 " and %" PRId64
               ", expected 1 to %" PRId64 " and 1 to %" PRId64,
               cf_store_path(store), base->n_users, base->n_items, dataset->n_users,
               dataset->n_items);
    CF_REQUIRE(dataset->n_added >= 0 && dataset->n_added <= max_count, CF_ERR_FORMAT,
               "%s: n_added is %" PRId64 ", expected 0 to %" PRId64, cf_store_path(store),
               dataset->n_added, max_count);
    CF_TRY(expect_shape(store, "/added/user_ptr", CF_I64, dataset->n_users + 1));
    CF_TRY(expect_shape(store, "/added/item", CF_I64, dataset->n_added));
done:
    cf_free(&digest);
    return status;
}

/* The digest is computed from the checksums alone, so opening stays cheap. */
cf_status cf_dataset_open(const cf_par *world, const char *path, cf_dataset **out)
{
    cf_dataset *dataset = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(dataset, 1)));
    dataset->world = world;
    CF_TRY(cf_store_open(world, path, "dataset", &dataset->store));
    CF_TRY(read_counts(dataset));
    CF_TRY(check_arrays(dataset));
    CF_TRY(read_marks(dataset));
    CF_TRY(cf_store_digest(dataset->store, &dataset->digest));
    dataset->base = (cf_dataset_base){dataset->digest, dataset->n_users, dataset->n_items};
    CF_TRY(cf_store_has_attribute(dataset->store, "base_digest", &dataset->is_appended));
    if (dataset->is_appended) CF_TRY(read_base(dataset));
    CF_TRY(dataset_read_leaves(dataset));
    *out = dataset;
    dataset = NULL;
done:
    cf_dataset_close(&dataset);
    return status;
}

void cf_dataset_close(cf_dataset **dataset)
{
    if (*dataset == NULL) return;
    cf_store_close(&(*dataset)->store);
    cf_free(&(*dataset)->cold);
    cf_dataset_destroy_leaves(&(*dataset)->leaves);
    cf_free(dataset);
}

const char *cf_dataset_path(const cf_dataset *dataset)
{
    return cf_store_path(dataset->store);
}

/* Where the lists of some items begin, and the last one ends; `*ptr` is new. Collective. */
static cf_status read_item_starts(const cf_dataset *dataset, int64_t first, int64_t count,
                                  int64_t **ptr)
{
    const int64_t bounds[2] = {0, dataset->n_train}, rows = count > 0 ? count + 1 : 0;
    cf_status status;

    CF_TRY(cf_par_agree(dataset->world, CF_ALLOC(*ptr, count + 1)));
    CF_TRY(dataset_read_verified(dataset->store, "/train/item_ptr", CF_I64, first, rows, *ptr));
    status = dataset_check_offsets(dataset->store, "/train/item_ptr", *ptr, rows, bounds);
    CF_TRY(cf_par_agree(dataset->world, status));
done:
    return status;
}

/* The length of an item's list of users. */
cf_status cf_dataset_read_item_counts(const cf_dataset *dataset, int64_t first, int64_t count,
                                      int64_t *out)
{
    int64_t *ptr = NULL;
    cf_status status;

    CF_TRY(read_item_starts(dataset, first, count, &ptr));
    for (int64_t k = 0; k < count; k++)
        out[k] = ptr[k + 1] - ptr[k];
done:
    cf_free(&ptr);
    return status;
}

cf_status cf_dataset_read_item_weights(const cf_dataset *dataset, int64_t first, int64_t count,
                                       double *out)
{
    const char *name = DATASET_WEIGHTS_BY_ITEM;
    int64_t *ptr = NULL, size;
    float *weights = NULL;
    cf_status status;

    CF_TRY(read_item_starts(dataset, first, count, &ptr));
    size = ptr[count] - ptr[0];
    CF_TRY(cf_par_agree(dataset->world, CF_ALLOC(weights, size)));
    CF_TRY(dataset_read_verified(dataset->store, name, CF_F32, ptr[0], size, weights));
    CF_TRY(
        cf_par_agree(dataset->world, dataset_check_weights(dataset->store, name, weights, size)));
    for (int64_t k = 0; k < count; k++) {
        out[k] = 0;
        for (int64_t e = ptr[k]; e < ptr[k + 1]; e++)
            out[k] += (double)weights[e - ptr[0]];
    }
done:
    cf_free(&ptr);
    cf_free(&weights);
    return status;
}
