/** Files for tests of prepare, and a dataset as text to compare with. */
#pragma once

#include "cf/ingest.h"
#include "cf_test_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PATHS = 16, PATH_SIZE = 1024, DUMP_SIZE = 65536 };

/** A scratch file's path that stays valid for MAX_PATHS more calls. */
static inline const char *file_path(const char *name)
{
    static char paths[MAX_PATHS][PATH_SIZE];
    static int next;
    char *path = paths[next++ % MAX_PATHS];

    snprintf(path, PATH_SIZE, "%s", cf_test_scratch(name));
    return path;
}

/** Write a file on rank 0, for all. */
static inline const char *put_bytes(const char *name, const void *bytes, size_t size)
{
    const char *path = file_path(name);

    if (world.rank == 0) {
        FILE *file = fopen(path, "wb");

        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, size, file), size);
        fclose(file);
    }
    MPI_Barrier(world.comm);
    return path;
}

static inline const char *put_file(const char *name, const char *text)
{
    return put_bytes(name, text, strlen(text));
}

/** A .npy file of n x dim numbers: `type` as in its header, "<f2"; of the given version of the
 * format. */
static inline const char *put_npy(const char *name, int version, const char *type,
                                  const int64_t shape[2], const void *data)
{
    const size_t size = (size_t)(shape[0] * shape[1] * (type[2] - '0'));
    const size_t skip = version == 1 ? 10 : 12, header = 118;
    char *bytes = malloc(skip + header + size);
    int length;
    const char *path;

    memcpy(bytes, "\x93NUMPY\0\0\0\0\0\0", 12);
    bytes[6] = (char)version;
    bytes[8] = (char)header;
    length = snprintf(bytes + skip, header,
                      "{'descr': '%s', 'fortran_order': False, 'shape': (%lld, %lld), }", type,
                      (long long)shape[0], (long long)shape[1]);
    memset(bytes + skip + length, ' ', header - (size_t)length);
    bytes[skip + header - 1] = '\n';
    memcpy(bytes + skip + header, data, size);
    path = put_bytes(name, bytes, skip + header + size);
    free(bytes);
    return path;
}

/** Prepare with settings, '|'-separated "name=value" ("" for none). paths->out must be set. */
static inline cf_status prepare(const cf_ingest_paths *paths, const char *settings,
                                cf_ingest_report *report)
{
    cf_config *config = cf_test_config(cf_ingest_settings, settings);
    cf_ingest_options options;
    cf_ingest_report unused;
    cf_status status = cf_ingest_read_options(config, &options);

    if (status == CF_OK)
        status = cf_ingest_prepare(&world, &options, paths, report != NULL ? report : &unused);
    cf_config_destroy(&config);
    return status;
}

/** For cf_test_every_allocation(): prepare with options that were read before. */
typedef struct preparation {
    cf_ingest_options options;
    cf_ingest_paths paths;
} preparation;

static inline cf_status prepare_dataset(void *context)
{
    const preparation *p = context;
    cf_ingest_report report;

    return cf_ingest_prepare(&world, &p->options, &p->paths, &report);
}

static inline void dump_list(char *out, const char *title, const cf_lists *lists, int64_t user,
                             const cf_strings *items)
{
    strcat(out, title);
    for (int64_t e = lists->start[user]; e < lists->start[user + 1]; e++) {
        strcat(out, " ");
        strcat(out, items->bytes + items->start[lists->index[e]]);
    }
}

/** A dataset as lines "user: train | valid | test", in the order of its numbers. Static buffer. */
static inline const char *dump(const char *path)
{
    static char out[DUMP_SIZE];
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;
    cf_strings users = {0}, items = {0};

    if (cf_dataset_open(&world, path, &dataset) != CF_OK) fail_msg("%s", cf_error_message());
    assert_int_equal(cf_par_create_grid(&world, 1, world.size, &grid), CF_OK);
    assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard), CF_OK);
    assert_int_equal(cf_dataset_read_names(dataset, CF_USER_IDS, 0, dataset->n_users, &users),
                     CF_OK);
    assert_int_equal(cf_dataset_read_names(dataset, CF_ITEM_IDS, 0, dataset->n_items, &items),
                     CF_OK);
    out[0] = 0;
    for (int64_t u = 0; u < dataset->n_users; u++) {
        strcat(out, users.bytes + users.start[u]);
        dump_list(out, ":", &shard->train, u, &items);
        dump_list(out, " |", &shard->valid, u, &items);
        dump_list(out, " |", &shard->test, u, &items);
        strcat(out, "\n");
    }
    cf_dataset_destroy_strings(&users);
    cf_dataset_destroy_strings(&items);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
    return out;
}

/** Prepare one file of interactions with settings; the dataset as text. */
static inline const char *dump_of(const char *text, const char *settings)
{
    const cf_ingest_paths paths = {.inter = put_file("data.inter", text),
                                   .out = file_path("data.h5")};

    if (prepare(&paths, settings, NULL) != CF_OK) fail_msg("%s", cf_error_message());
    return dump(paths.out);
}

/* Data for tests of vectors: items 2, 7, 10; the rows of the item file are 7, 10, 99, 2. */
#define INTER "user_id:token\titem_id:token\nu\t2\nu\t10\nu\t7\nv\t7\nv\t2\n"
#define ITEMS "item_id:token\ttitle:token_seq\n7\tseven\n10\tten: caf\xc3\xa9\n99\tnot used\n2\t\n"

/* The vectors of the dataset, whose items are 2, 7, 10 in this order. */
static inline void check_vectors(const char *path, int64_t dim, const float *want,
                                 const char *present)
{
    cf_dataset *dataset = NULL;
    float rows[64];
    uint8_t flags[3];

    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    assert_int_equal(dataset->n_items, 3);
    assert_int_equal(dataset->embedding_dim, dim);
    assert_int_equal(cf_dataset_read_embedding(dataset, 0, 3, rows, flags), CF_OK);
    for (int64_t e = 0; e < 3 * dim; e++)
        assert_true(rows[e] == want[e]);
    for (int k = 0; k < 3; k++)
        assert_int_equal(flags[k], present[k] == '1');
    assert_int_equal(dataset->n_missing, 3 - (present[0] + present[1] + present[2] - 3 * '0'));
    cf_dataset_close(&dataset);
}

static inline cf_type stored_type(const char *path)
{
    cf_store *store = NULL;
    cf_type type = CF_U8;
    int64_t shape[2];

    assert_int_equal(cf_store_open(&world, path, "dataset", &store), CF_OK);
    assert_int_equal(cf_store_shape(store, "/items/embedding", &type, shape), CF_OK);
    cf_store_close(&store);
    return type;
}
