/* export: the final tables, or the item-item matrix, as NumPy files, with ids. */
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { BYTES_PER_PASS = 8 << 20, NAMES_PER_PASS = 65536 };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The head of a .npy file, version 1: padded so that the data begin at a multiple of 64 bytes
 * (NumPy Enhancement Proposal 1). */
static void write_npy_head(FILE *file, int64_t rows, int64_t columns)
{
    char head[128];
    int length = snprintf(head, sizeof head,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                          (long long)rows, (long long)columns);
    int padded = (10 + length + 1 + 63) / 64 * 64 - 10;

    fwrite("\x93NUMPY\x01\x00", 1, 8, file);
    fputc(padded & 0xFF, file);
    fputc(padded >> 8, file);
    fprintf(file, "%-*s\n", padded - 1, head);
}

/* All rows, some at a time, through rank 0. */
static cf_status write_rows(const cf_table *table, cli_output *output)
{
    const cf_par *world = &table->grid->world;
    int64_t bytes_a_row = table->full_width * (int64_t)sizeof(float);
    int64_t pass = BYTES_PER_PASS / bytes_a_row + 1;
    float *rows = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(rows, pass * table->full_width)));
    for (int64_t first = 0; first < table->n_rows; first += pass) {
        int64_t count = smaller(pass, table->n_rows - first);

        CF_TRY(cf_table_gather(table, first, count, rows));
        for (int64_t k = 0; k < count && world->rank == 0; k++)
            fwrite(rows + k * table->full_width, sizeof *rows, (size_t)table->dim, output->file);
        CF_TRY(cf_par_agree(world, world->rank == 0 ? cli_output_check(output) : CF_OK));
    }
done:
    cf_free(&rows);
    return status;
}

static cf_status write_names(const cf_dataset *dataset, cf_name_kind which, cli_output *output)
{
    const cf_par *world = dataset->world;
    int64_t n = which == CF_USER_IDS ? dataset->n_users : dataset->n_items;
    cf_strings names = {0};
    cf_status status = CF_OK;

    for (int64_t first = 0; first < n; first += NAMES_PER_PASS) {
        int64_t count = world->rank == 0 ? smaller(NAMES_PER_PASS, n - first) : 0;

        CF_TRY(cf_dataset_read_names(dataset, which, first, count, &names));
        for (int64_t k = 0; k < names.count; k++)
            fprintf(output->file, "%s\n", names.bytes + names.start[k]);
        cf_dataset_destroy_strings(&names);
        CF_TRY(cf_par_agree(world, world->rank == 0 ? cli_output_check(output) : CF_OK));
    }
done:
    return status;
}

static const char *const rows_name[2] = {"users.npy", "items.npy"};
static const char *const ids_name[2] = {"users.txt", "items.txt"};
static const char similarity_name[] = "item_similarity.npy";

/* One side's rows, as `name`, and ids. Both are published only when both are whole. */
static cf_status export_side(const cf_trained *trained, cf_side side, const char *name,
                             const char *folder)
{
    const cf_table *table = trained->final[side];
    const cf_par *world = trained->dataset->world;
    cli_output rows = {0}, ids = {0};
    cf_status status = CF_OK;

    if (world->rank == 0) {
        status = cli_output_open(&rows, folder, name);
        if (status == CF_OK) status = cli_output_open(&ids, folder, ids_name[side]);
        if (status == CF_OK) write_npy_head(rows.file, table->n_rows, table->dim);
    }
    CF_TRY(cf_par_agree(world, status));
    CF_TRY(write_rows(table, &rows));
    CF_TRY(write_names(trained->dataset, side == CF_USERS ? CF_USER_IDS : CF_ITEM_IDS, &ids));
    if (world->rank == 0) {
        status = cli_output_publish(&rows);
        if (status == CF_OK) status = cli_output_publish(&ids);
    }
    CF_TRY(cf_par_agree(world, status));
done:
    cli_output_discard(&rows);
    cli_output_discard(&ids);
    return status;
}

static cf_status export_tables(const cf_trained *t, const char *folder)
{
    cf_status status;

    CF_TRY(export_side(t, CF_USERS, rows_name[CF_USERS], folder));
    CF_TRY(export_side(t, CF_ITEMS, rows_name[CF_ITEMS], folder));
    if (t->dataset->world->rank == 0)
        printf("%s: users.npy %lld x %lld, items.npy %lld x %lld, users.txt, items.txt\n", folder,
               (long long)t->dataset->n_users, (long long)t->final[CF_USERS]->dim,
               (long long)t->dataset->n_items, (long long)t->final[CF_ITEMS]->dim);
done:
    return status;
}

/* Of a closed form: its one table. */
static cf_status export_similarity(const cf_trained *t, const char *folder)
{
    const long long n = (long long)t->dataset->n_items;
    cf_status status;

    CF_TRY(export_side(t, CF_ITEMS, similarity_name, folder));
    if (t->dataset->world->rank == 0)
        printf("%s: %s %lld x %lld, items.txt\n", folder, similarity_name, n, n);
done:
    return status;
}

static cf_status make_folder(const cf_par *world, const char *folder)
{
    cf_status status = CF_OK;

    if (world->rank == 0 && mkdir(folder, 0777) != 0 && errno != EEXIST)
        status = CF_FAIL(CF_ERR_IO, "%s: cannot make the folder (%s)", folder, strerror(errno));
    return cf_par_agree(world, status);
}

static cf_status run(const cf_par *world, const cli_arguments *arguments)
{
    const char *folder = cli_value(arguments, "out");
    cf_trained *trained = NULL;
    cf_status status;

    CF_TRY(cli_load(world, arguments, &trained));
    CF_TRY(make_folder(world, folder));
    CF_TRY(trained->final[CF_USERS] ? export_tables(trained, folder)
                                    : export_similarity(trained, folder));
done:
    cf_train_unload(&trained);
    return status;
}

static const cli_option options[] = {
    {"data", "DATA.h5", "the dataset that the model was trained on", true},
    {"out", "FOLDER",
     "where users.npy, items.npy, users.txt and items.txt go; of EASE and L3AE "
     "item_similarity.npy and items.txt",
     true},
    {0}};

const cli_command cli_export = {
    .name = "export",
    .summary = "write the final tables as .npy files, with ids",
    .operand = "CHECKPOINT.h5",
    .remarks =
        "The score of a user and an item is the dot product of their rows (float32). Line k of\n"
        "users.txt and items.txt is the id of row k, from 0. EASE and L3AE: the score of a user\n"
        "and an item is the sum of what the user's train items have in the item's row.",
    .settings = CLI_SETTINGS_MACHINE,
    .options = options,
    .run = run,
};
