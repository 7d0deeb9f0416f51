/* export: the final tables, or the item-item matrix of a closed form, as NumPy files, with ids.
 *
 * Rows (n x dim, float32) are gathered on rank 0 some at a time, in the order of their global
 * index, so that no rank ever holds a whole table. Row k belongs to the id of line k. */
#include "cli.h"

#include <string.h>

enum { BYTES_PER_PASS = 8 << 20, NAMES_PER_PASS = 65536 };

/* The header of a .npy file, version 1: padded so that the data begin at a multiple of 64 bytes
 * (NumPy Enhancement Proposal 1). `columns` 0: an array of one dimension. */
static void write_npy_header(FILE *file, const char *type, int64_t rows, int64_t columns)
{
    char shape[64], header[160];
    int length, padded;

    if (columns > 0)
        snprintf(shape, sizeof shape, "%lld, %lld", (long long)rows, (long long)columns);
    else
        snprintf(shape, sizeof shape, "%lld,", (long long)rows);
    length = snprintf(header, sizeof header,
                      "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, shape);
    /* 10 bytes stand before the text, and a newline ends it */
    padded = (10 + length + 1 + 63) / 64 * 64 - 10;
    /* magic, version 1.0, length of what follows (little-endian) */
    fwrite("\x93NUMPY\x01\x00", 1, 8, file);
    fputc(padded & 0xFF, file);
    fputc(padded >> 8, file);
    fprintf(file, "%-*s\n", padded - 1, header);
}

/* The files of a table on rank 0: all its numbers; or, of sparse rows, those of the entries, their
 * columns, and how many there are up to each row. */
typedef struct matrix_files {
    cf_output data, columns, starts; /* the last two: not open if all numbers are written */
    int64_t n_numbers;               /* written so far */
} matrix_files;

static void write_sparse_row(matrix_files *files, const float *row, int64_t dim)
{
    for (int64_t k = 0; k < dim / CF_ENTRY_FLOATS; k++) {
        const cf_entry entry = cf_table_entry(row, k);

        if (entry.value == 0) break;
        fwrite(&entry.value, sizeof entry.value, 1, files->data.file);
        fwrite(&entry.column, sizeof entry.column, 1, files->columns.file);
        files->n_numbers++;
    }
    fwrite(&files->n_numbers, sizeof files->n_numbers, 1, files->starts.file);
}

/* A row, without the padding to whole segments. Local. */
static void write_row(matrix_files *files, const float *row, int64_t dim)
{
    if (files->starts.file != NULL)
        write_sparse_row(files, row, dim);
    else
        fwrite(row, sizeof *row, (size_t)dim, files->data.file);
}

/* Local. */
static cf_status check_files(matrix_files *files)
{
    cf_status status;

    CF_TRY(cf_output_check(&files->data));
    if (files->starts.file == NULL) return CF_OK;
    CF_TRY(cf_output_check(&files->columns));
    CF_TRY(cf_output_check(&files->starts));
done:
    return status;
}

/* All rows, a pass of bounded size at a time. A full disk is agreed on after each pass, so that the
 * others do not gather for nothing. Collective. */
static cf_status write_rows(const cf_table *table, matrix_files *files)
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
            write_row(files, rows + k * table->full_width, table->dim);
        CF_TRY(cf_par_agree(world, world->rank == 0 ? check_files(files) : CF_OK));
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
/* Of a matrix that is cut: as SciPy's csr_matrix() takes them. */
static const char data_name[] = "item_similarity_data.npy",
                  columns_name[] = "item_similarity_indices.npy",
                  starts_name[] = "item_similarity_indptr.npy";
static const char *const file_names[] = {"users.npy",  "items.npy",     "users.txt",
                                         "items.txt",  similarity_name, data_name,
                                         columns_name, starts_name,     NULL};

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

/* What is exported, and its outputs by side, on rank 0; a closed form has no table of users. */
typedef struct export
{
    const cf_trained *trained;
    const char *folder;
    int64_t n_numbers;  /* of a matrix that was cut; -1: all are written */
    cf_folders folders; /* that were made for the files */
    matrix_files rows[2];
    cf_output ids[2];
}
export;

/* Local. */
static cf_status open_sparse(const export *e, const cf_table *table, matrix_files *files)
{
    const int64_t zero = 0;
    cf_status status;

    CF_TRY(open_in_folder(&files->data, e->folder, data_name));
    CF_TRY(open_in_folder(&files->columns, e->folder, columns_name));
    CF_TRY(open_in_folder(&files->starts, e->folder, starts_name));
    write_npy_header(files->data.file, "<f4", e->n_numbers, 0);
    write_npy_header(files->columns.file, "<i4", e->n_numbers, 0);
    write_npy_header(files->starts.file, "<i8", table->n_rows + 1, 0);
    fwrite(&zero, sizeof zero, 1, files->starts.file);
done:
    return status;
}

/* Open all files, so that the last finds what is wrong before anything is written. Local. */
static cf_status open_files(export *e)
{
    const bool is_closed = e->trained->final[CF_USERS] == NULL;
    cf_status status;

    CF_TRY(cf_folder_make(e->folder, &e->folders));
    for (int side = 0; side < 2; side++) {
        const cf_table *table = e->trained->final[side];

        if (table == NULL) continue;
        CF_TRY(open_in_folder(&e->ids[side], e->folder, ids_name[side]));
        if (e->n_numbers >= 0) {
            CF_TRY(open_sparse(e, table, &e->rows[side]));
            continue;
        }
        CF_TRY(open_in_folder(&e->rows[side].data, e->folder,
                              is_closed ? similarity_name : rows_name[side]));
        write_npy_header(e->rows[side].data.file, "<f4", table->n_rows, table->dim);
    }
done:
    return status;
}

/* All files get their names, or none. Local. */
static cf_status commit_files(export *e)
{
    cf_output *outputs[4];
    int n = 0;

    for (int side = 0; side < 2; side++) {
        cf_output *const of_side[] = {&e->rows[side].data, &e->rows[side].columns,
                                      &e->rows[side].starts, &e->ids[side]};

        for (int k = 0; k < 4; k++)
            if (of_side[k]->file != NULL) outputs[n++] = of_side[k];
    }
    return cf_output_commit_all(outputs, n);
}

static void close_files(export *e)
{
    for (int side = 0; side < 2; side++) {
        cf_output_close(&e->rows[side].data);
        cf_output_close(&e->rows[side].columns);
        cf_output_close(&e->rows[side].starts);
        cf_output_close(&e->ids[side]);
    }
    cf_folders_leave(&e->folders);
}

/* Collective. */
static cf_status write_files(export *e)
{
    const cf_trained *t = e->trained;
    const cf_par *world = t->dataset->world;
    cf_status status;

    CF_TRY(cf_par_agree(world, world->rank == 0 ? open_files(e) : CF_OK));
    for (int side = 0; side < 2; side++) {
        if (t->final[side] == NULL) continue;
        CF_TRY(write_rows(t->final[side], &e->rows[side]));
        CF_TRY(
            write_names(t->dataset, side == CF_USERS ? CF_USER_IDS : CF_ITEM_IDS, &e->ids[side]));
    }
    CF_TRY(cf_par_agree(world, world->rank == 0 ? commit_files(e) : CF_OK));
done:
    close_files(e);
    return status;
}

/* Entries of a table of sparse rows, of all ranks. Collective. */
static int64_t count_entries(const cf_table *table)
{
    int64_t count = 0;

    for (int64_t r = 0; r < table->local_rows; r++)
        for (int64_t k = 0; k < table->width / CF_ENTRY_FLOATS; k++)
            count += cf_table_entry(table->data + r * table->width, k).value != 0;
    MPI_Allreduce(MPI_IN_PLACE, &count, 1, MPI_INT64_T, MPI_SUM, table->grid->world.comm);
    return count;
}

/* What is in the folder now. */
static void print_exported(const export *e)
{
    const cf_trained *t = e->trained;
    const long long n_users = (long long)t->dataset->n_users,
                    n_items = (long long)t->dataset->n_items;

    if (e->n_numbers >= 0)
        cli_print_line("%s: item_similarity_{data,indices,indptr}.npy %lld x %lld with %lld "
                       "numbers, items.txt",
                       e->folder, n_items, (long long)t->shard->n_base_items,
                       (long long)e->n_numbers);
    else if (t->final[CF_USERS] == NULL)
        cli_print_line("%s: %s %lld x %lld, items.txt", e->folder, similarity_name, n_items,
                       (long long)t->final[CF_ITEMS]->dim);
    else
        cli_print_line("%s: users.npy %lld x %lld, items.npy %lld x %lld, users.txt, items.txt",
                       e->folder, n_users, (long long)t->final[CF_USERS]->dim, n_items,
                       (long long)t->final[CF_ITEMS]->dim);
}

static cf_status run_export(const cf_par *world, const cli_arguments *arguments)
{
    export e = {.folder = cli_value(arguments, "out"), .n_numbers = -1};
    cf_trained *trained = NULL;
    cf_status status;

    CF_TRY(cli_load_sparse(world, arguments, &trained));
    if (trained->scorer.filter != NULL)
        cf_warn("scores of %s are the products of these tables and those of a filter, which is in "
                "no file",
                cf_config_text(trained->config, "model"));
    e.trained = trained;
    if (trained->is_sparse) e.n_numbers = count_entries(trained->final[CF_ITEMS]);
    CF_TRY(write_files(&e));
    if (world->rank == 0) print_exported(&e);
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
    CLI_SPARSE,
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
        "the sum, over the user's train items, of their columns in the item's row. With --sparse "
        "K\n"
        "a row has its K numbers of largest magnitude, as scipy.sparse.csr_matrix() takes them:\n"
        "item_similarity_data.npy, item_similarity_indices.npy and item_similarity_indptr.npy.",
    .settings = CLI_SETTINGS_MACHINE,
    .options = export_options,
    .uses_blas = true,
    .run = run_export,
};
