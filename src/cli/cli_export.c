/* export: the final tables, or the item-item matrix of a closed form, as NumPy files, with ids.
 *
 * Rows (n x dim, float32) are gathered on rank 0 some at a time, in the order of their global
 * index, so that no rank ever holds a whole table. Row k belongs to the id of line k. */
#include "cli.h"

#include <string.h>

enum { BYTES_PER_PASS = 8 << 20, NAMES_PER_PASS = 65536 };

/* The header of a .npy file, version 1: padded so that the data begin at a multiple of 64 bytes
 * (NumPy Enhancement Proposal 1). */
static void write_npy_header(FILE *file, int64_t rows, int64_t columns)
{
    char header[128];
    int length = snprintf(header, sizeof header,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                          (long long)rows, (long long)columns);
    /* 10 bytes stand before the text, and a newline ends it */
    int padded = (10 + length + 1 + 63) / 64 * 64 - 10;

    /* magic, version 1.0, length of what follows (little-endian) */
    fwrite("\x93NUMPY\x01\x00", 1, 8, file);
    fputc(padded & 0xFF, file);
    fputc(padded >> 8, file);
    fprintf(file, "%-*s\n", padded - 1, header);
}

/* All rows, a pass of bounded size at a time. A full disk is agreed on after each pass, so that the
 * others do not gather for nothing. Collective. */
static cf_status write_rows(const cf_table *table, cf_output *output)
{
    const cf_par *world = &table->grid->world;
    int64_t bytes_a_row = table->full_width * (int64_t)sizeof(float);
    int64_t pass = BYTES_PER_PASS / bytes_a_row + 1;
    float *rows = NULL;
    cf_status status;

    CF_TRY(cf_par_agree(world, CF_ALLOC(rows, pass * table->full_width)));
    for (int64_t first = 0; first < table->n_rows; first += pass) {
        int64_t count = cf_min(pass, table->n_rows - first);

        /* all ranks gather, rank 0 alone writes: it may fail alone, hence the agreement below */
        CF_TRY(cf_table_gather(table, first, count, rows));
        for (int64_t k = 0; k < count && world->rank == 0; k++)
            /* without the padding to whole segments */
            fwrite(rows + k * table->full_width, sizeof *rows, (size_t)table->dim, output->file);
        CF_TRY(cf_par_agree(world, world->rank == 0 ? cf_output_check(output) : CF_OK));
    }
done:
    cf_free(&rows);
    return status;
}

/* All ids of one side, one a line. Collective. */
static cf_status write_names(const cf_dataset *dataset, cf_name_kind which, cf_output *output)
{
    const cf_par *world = dataset->world;
    int64_t n = which == CF_USER_IDS ? dataset->n_users : dataset->n_items;
    cf_strings names = {0};
    cf_status status = CF_OK;

    for (int64_t first = 0; first < n; first += NAMES_PER_PASS) {
        int64_t count = world->rank == 0 ? cf_min(NAMES_PER_PASS, n - first) : 0;

        /* rank 0 reads the pass; the others enter the read with no names */
        CF_TRY(cf_dataset_read_names(dataset, which, first, count, &names));
        for (int64_t k = 0; k < names.count; k++)
            fprintf(output->file, "%s\n", names.bytes + names.start[k]);
        cf_dataset_destroy_strings(&names);
        CF_TRY(cf_par_agree(world, world->rank == 0 ? cf_output_check(output) : CF_OK));
    }
done:
    return status;
}

/* Names of the files, by side. */
static const char *const rows_name[2] = {"users.npy", "items.npy"};
static const char *const ids_name[2] = {"users.txt", "items.txt"};
static const char similarity_name[] = "item_similarity.npy";
static const char *const file_names[] = {"users.npy", "items.npy",     "users.txt",
                                         "items.txt", similarity_name, NULL};

/* Open folder/name. Local. */
static cf_status open_in_folder(cf_output *output, const char *folder, const char *name)
{
    char *path = NULL;
    cf_status status;

    CF_TRY(cf_text_format(&path, "%s/%s", folder, name));
    CF_TRY(cf_output_open(output, path));
done:
    cf_free(&path);
    return status;
}

/* The outputs by side, on rank 0; a closed form has no table of users. */
typedef struct export_files {
    cf_folders folders; /* that were made for them */
    cf_output rows[2], ids[2];
} export_files;

/* Open all files, so that the last finds what is wrong before anything is written. Local. */
static cf_status open_files(const cf_trained *t, const char *folder, export_files *files)
{
    const bool is_closed = t->final[CF_USERS] == NULL;
    cf_status status;

    CF_TRY(cf_folder_make(folder, &files->folders));
    for (int side = 0; side < 2; side++) {
        const cf_table *table = t->final[side];

        if (table == NULL) continue;
        CF_TRY(open_in_folder(&files->rows[side], folder,
                              is_closed ? similarity_name : rows_name[side]));
        CF_TRY(open_in_folder(&files->ids[side], folder, ids_name[side]));
        write_npy_header(files->rows[side].file, table->n_rows, table->dim);
    }
done:
    return status;
}

/* All files get their names, or none. Local. */
static cf_status commit_files(export_files *files)
{
    cf_output *outputs[4];
    int n = 0;

    for (int side = 0; side < 2; side++) {
        if (files->rows[side].file == NULL) continue;
        outputs[n++] = &files->rows[side];
        outputs[n++] = &files->ids[side];
    }
    return cf_output_commit_all(outputs, n);
}

/* Collective. */
static cf_status write_files(const cf_trained *t, const char *folder)
{
    const cf_par *world = t->dataset->world;
    export_files files = {0};
    cf_status status;

    CF_TRY(cf_par_agree(world, world->rank == 0 ? open_files(t, folder, &files) : CF_OK));
    for (int side = 0; side < 2; side++) {
        if (t->final[side] == NULL) continue;
        CF_TRY(write_rows(t->final[side], &files.rows[side]));
        CF_TRY(write_names(t->dataset, side == CF_USERS ? CF_USER_IDS : CF_ITEM_IDS,
                           &files.ids[side]));
    }
    CF_TRY(cf_par_agree(world, world->rank == 0 ? commit_files(&files) : CF_OK));
done:
    for (int side = 0; side < 2; side++) {
        cf_output_close(&files.rows[side]);
        cf_output_close(&files.ids[side]);
    }
    cf_folders_leave(&files.folders);
    return status;
}

/* What is in the folder now. */
static void print_exported(const cf_trained *t, const char *folder)
{
    const long long n_users = (long long)t->dataset->n_users,
                    n_items = (long long)t->dataset->n_items;

    if (t->final[CF_USERS] == NULL)
        cli_print_line("%s: %s %lld x %lld, items.txt", folder, similarity_name, n_items,
                       (long long)t->final[CF_ITEMS]->dim);
    else
        cli_print_line("%s: users.npy %lld x %lld, items.npy %lld x %lld, users.txt, items.txt",
                       folder, n_users, (long long)t->final[CF_USERS]->dim, n_items,
                       (long long)t->final[CF_ITEMS]->dim);
}

static cf_status run_export(const cf_par *world, const cli_arguments *arguments)
{
    const char *folder = cli_value(arguments, "out");
    cf_trained *trained = NULL;
    cf_status status;

    CF_TRY(cli_load(world, arguments, &trained));
    CF_TRY(write_files(trained, folder));
    if (world->rank == 0) print_exported(trained, folder);
done:
    cf_train_unload(&trained);
    return status;
}

static const cli_option export_options[] = {
    {"data", "DATA.h5", "the dataset that the model was trained on", true, CLI_INPUT},
    {"out", "FOLDER",
     "folder for users.npy, items.npy, users.txt and items.txt; for EASE, L3AE and ItemKNN "
     "item_similarity.npy and items.txt",
     true, CLI_FOLDER},
    {0}};

const cli_command cli_export = {
    .name = "export",
    .summary = "write the final tables as .npy files, with ids",
    .operand = "CHECKPOINT.h5",
    .operand_kind = CLI_INPUT,
    .files = file_names,
    .remarks =
        "The score of a user and an item is the dot product of their rows (float32). Line k of\n"
        "users.txt and items.txt is the id of row k, from 0. With EASE, L3AE and ItemKNN the score "
        "is\n"
        "the sum, over the user's train items, of their columns in the item's row.",
    .settings = CLI_SETTINGS_MACHINE,
    .options = export_options,
    .uses_blas = true,
    .run = run_export,
};
