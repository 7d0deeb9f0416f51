/* Write the train interactions of a dataset as lists.h has them:
 *     simulate_lists DATA.h5 OUT */
#include "lists.h"

#include "cf/dataset.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool write_lists(const cf_lists *lists, FILE *file)
{
    const size_t n = (size_t)lists->count + 1, n_edges = (size_t)lists->start[lists->count];

    return fwrite(lists->start, sizeof(int64_t), n, file) == n &&
           fwrite(lists->index, sizeof(int64_t), n_edges, file) == n_edges;
}

static bool write_leaves(const cf_leaves *leaves, FILE *file)
{
    const size_t n = leaves->count > 0 ? (size_t)leaves->count + 1 : 0;

    return n == 0 || (fwrite(leaves->start[0], sizeof(int64_t), n, file) == n &&
                      fwrite(leaves->start[1], sizeof(int64_t), n, file) == n);
}

static cf_status write_file(const cf_dataset *dataset, const cf_shard *shard, const char *path)
{
    const lists_header header = {dataset->n_users, dataset->n_items, dataset->n_train,
                                 dataset->n_cold, dataset->leaves.count};
    const size_t n_marks = dataset->cold != NULL ? (size_t)dataset->n_items : 0;
    FILE *file = fopen(path, "wb");
    bool written = file != NULL && fwrite(&header, sizeof header, 1, file) == 1 &&
                   write_lists(&shard->train, file) && write_lists(&shard->train_by_item, file) &&
                   write_leaves(&dataset->leaves, file) &&
                   (n_marks == 0 || fwrite(dataset->cold, 1, n_marks, file) == n_marks);

    if (file != NULL && fclose(file) != 0) written = false;
    return written ? CF_OK : CF_FAIL(CF_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
}

static cf_status run(const cf_par *world, const char *data, const char *out)
{
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;
    cf_status status;

    CF_TRY(cf_par_create_grid(world, 1, world->size, &grid));
    CF_TRY(cf_dataset_open(world, data, &dataset));
    CF_TRY(cf_dataset_load_shard(dataset, grid, &shard));
    CF_TRY(write_file(dataset, shard, out));
done:
    cf_dataset_destroy_shard(&shard);
    cf_dataset_close(&dataset);
    cf_par_destroy_grid(&grid);
    return status;
}

int main(int argc, char **argv)
{
    cf_status status = CF_ERR_USAGE;
    cf_par world;

    cf_par_init(&argc, &argv, &world);
    if (argc == 3 && world.size == 1)
        status = run(&world, argv[1], argv[2]);
    else
        CF_FAIL(status, "usage: simulate_lists DATA.h5 OUT, on one rank");
    if (status != CF_OK) fprintf(stderr, "llminit: error: %s\n", cf_error_message());
    cf_par_finalize();
    return (int)status;
}
