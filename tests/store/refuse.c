#include "sample.h"

#include <hdf5.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Damage done by rank 0 to a good file ---- */

static char good[512], bad[512];

static char *read_file(const char *path, int64_t *size)
{
    struct stat file;
    FILE *in = fopen(path, "rb");
    char *bytes;

    assert_non_null(in);
    assert_int_equal(fstat(fileno(in), &file), 0);
    bytes = malloc((size_t)file.st_size);
    assert_int_equal(fread(bytes, 1, (size_t)file.st_size, in), file.st_size);
    fclose(in);
    *size = (int64_t)file.st_size;
    return bytes;
}

static void write_file(const char *path, const char *bytes, int64_t size)
{
    FILE *out = fopen(path, "wb");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, (size_t)size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* `bad` becomes the first `size` bytes of `good` (all, if negative), with byte `at` changed (none,
 * if negative). */
static void damage(int64_t size, int64_t at)
{
    MPI_Barrier(world.comm);
    if (world.rank == 0) {
        int64_t whole;
        char *bytes = read_file(good, &whole);

        if (at >= 0) bytes[at] = (char)(bytes[at] ^ 0x10);
        write_file(bad, bytes, size < 0 ? whole : size);
        free(bytes);
    }
    MPI_Barrier(world.comm);
}

/* Where the middle of an array lies in `good`. */
static int64_t place_of(const sample_array *array)
{
    cf_slab all = {0, array->shape[0], 0, array->shape[1], array->shape[1]};
    int64_t bytes = all.n_rows * all.n_columns * (int64_t)cf_store_type_size(array->type), size;
    char *want = sample_data(array, &all), *file = read_file(good, &size);
    const char *found = memmem(file, (size_t)size, want, (size_t)bytes);
    int64_t place = found == NULL ? -1 : found - file + bytes / 2;

    assert_non_null(found);
    free(file);
    cf_free(&want);
    return place;
}

static void make_good(void)
{
    snprintf(good, sizeof good, "%s", cf_test_scratch("good.h5"));
    snprintf(bad, sizeof bad, "%s", cf_test_scratch("bad.h5"));
    assert_ok(sample_commit(good, "dataset"));
}

static void one_changed_byte_is_found_in_each_array(void **state)
{
    char words[128];

    (void)state;
    make_good();
    for (int k = 0; k < N_SAMPLES; k++) {
        if (sample_arrays[k].shape[0] == 0) continue;
        damage(-1, place_of(&sample_arrays[k]));
        snprintf(words, sizeof words, "bad.h5: %s is damaged (rows 0 to ", sample_arrays[k].name);
        assert_refused(sample_check(bad, "dataset"), CF_ERR_FORMAT, words);
    }
}

static void damaged_rows_are_named(void **state)
{
    const sample_array table = {"/table", CF_F32, {66000, 20}};
    float *all = NULL;
    int64_t count = 0;
    cf_store *store = NULL;

    (void)state;
    make_good();
    damage(-1, place_of(&table) + 32900 * 80); /* row 65900 */
    assert_ok(cf_store_open(&world, bad, "dataset", &store));
    assert_refused(cf_store_read_whole(store, "/table", CF_F32, &count, &all), CF_ERR_FORMAT,
                   "/table is damaged (rows 65536 to 65999)");
    assert_null(all);
    cf_store_close(&store);
}

static void cut_files_are_refused(void **state)
{
    static const int64_t lengths[] = {1,  7,   8,   9,   12,  40,  47,   48,   49,
                                      96, 100, 200, 511, 512, 800, 2048, 4096, 100000};
    struct stat file;

    (void)state;
    make_good();
    assert_int_equal(stat(good, &file), 0);
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        damage(lengths[k], -1);
        assert_refused(sample_check(bad, "dataset"), CF_ERR_FORMAT, "bad.h5: is ");
    }
    damage((int64_t)file.st_size / 2, -1);
    assert_refused(sample_check(bad, "dataset"), CF_ERR_FORMAT, "bad.h5: is truncated");
    damage((int64_t)file.st_size - 1, -1);
    assert_refused(sample_check(bad, "dataset"), CF_ERR_FORMAT, "bad.h5: is truncated");
    damage(-1, -1);
    assert_ok(sample_check(bad, "dataset"));
}

/* Wherever the byte lies: either every element is what it should be (sample_check() compares), or
 * there is an error. */
static void a_changed_byte_anywhere_changes_no_element(void **state)
{
    const cf_random key = {7, CF_STREAM_TEST};
    struct stat file;

    (void)state;
    make_good();
    assert_int_equal(stat(good, &file), 0);
    for (uint64_t trial = 0; trial < 40; trial++) {
        int64_t near = cf_random_below(key, trial, 0, 0, 3000);
        cf_status status;

        damage(-1, trial % 2 == 0 ? near : (int64_t)file.st_size - 1 - near);
        status = sample_check(bad, "dataset");
        assert_true(status == CF_OK || status == CF_ERR_FORMAT || status == CF_ERR_IO);
    }
}

/* ---- Other files ---- */

static void make_text_file(void)
{
    char text[3000];

    memset(text, 'x', sizeof text);
    write_file(bad, text, sizeof text);
}

static void make_empty_file(void)
{
    write_file(bad, "", 0);
}

static void make_folder(void)
{
    assert_int_equal(mkdir(bad, 0777), 0);
}

static void make_nothing(void)
{
}

static const struct {
    void (*make)(void);
    cf_status status;
    const char *words;
} foreign[] = {
    {make_nothing, CF_ERR_IO, "bad.h5: cannot open (No such file or directory)"},
    {make_folder, CF_ERR_IO, "bad.h5: cannot open (Is a directory)"},
    {make_empty_file, CF_ERR_FORMAT, "bad.h5: is empty, not an HDF5 file"},
    {make_text_file, CF_ERR_FORMAT, "bad.h5: is not an HDF5 file"},
};

static void other_files_are_refused(void **state)
{
    (void)state;
    snprintf(bad, sizeof bad, "%s", cf_test_scratch("bad.h5"));
    for (size_t k = 0; k < sizeof foreign / sizeof foreign[0]; k++) {
        cf_store *store = NULL;

        MPI_Barrier(world.comm);
        if (world.rank == 0) {
            remove(bad);
            foreign[k].make();
        }
        MPI_Barrier(world.comm);
        assert_refused(cf_store_open(&world, bad, "dataset", &store), foreign[k].status,
                       foreign[k].words);
        assert_null(store);
    }
    MPI_Barrier(world.comm);
    if (world.rank == 0) remove(bad);
}

static void other_hdf5_files_are_refused(void **state)
{
    cf_store *store = NULL;

    (void)state;
    assert_refused(cf_store_open(&world, CF_TEST_DATA "/store/foreign.h5", "dataset", &store),
                   CF_ERR_FORMAT, "foreign.h5: is not a file of this program");
    assert_refused(cf_store_open(&world, CF_TEST_DATA "/store/incomplete.h5", "dataset", &store),
                   CF_ERR_FORMAT, "incomplete.h5: is not complete");
    assert_refused(cf_store_open(&world, CF_TEST_DATA "/store/incomplete.h5", "checkpoint", &store),
                   CF_ERR_FORMAT, "incomplete.h5: is a dataset, not a checkpoint");
    assert_null(store);
}

static void another_format_version_is_refused(void **state)
{
    const char *path = cf_test_scratch("version.h5");
    cf_store *store = NULL;

    (void)state;
    assert_ok(sample_commit(path, "dataset"));
    if (world.rank == 0) {
        const int64_t version = 99;
        hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT),
              attribute = H5Aopen(file, "format_version", H5P_DEFAULT);

        assert_true(H5Awrite(attribute, H5T_NATIVE_INT64, &version) >= 0);
        H5Aclose(attribute);
        assert_true(H5Fclose(file) >= 0);
    }
    MPI_Barrier(world.comm);
    assert_refused(cf_store_open(&world, path, "dataset", &store), CF_ERR_FORMAT,
                   "version.h5: has format version 99; this program reads 1: take the program that "
                   "wrote it, or prepare and train again");
    assert_null(store);
}

/* ---- Places that cannot be written ---- */

/* A new folder that everybody can reach: the scratch folder may lie in a home that others cannot
 * enter, and root tests as another user. The same on all ranks. */
static void make_open_folder(char path[64])
{
    if (world.rank == 0) {
        snprintf(path, 64, "/tmp/cf_test.XXXXXX");
        assert_non_null(mkdtemp(path));
        assert_int_equal(chmod(path, 0755), 0);
    }
    cf_par_broadcast(&world, path, 64, 0);
}

static void places_that_cannot_be_written_are_named(void **state)
{
    char base[64], folder[100], path[200];
    cf_store *store = NULL;
    uid_t user = geteuid();

    (void)state;
    make_open_folder(base);
    snprintf(folder, sizeof folder, "%s/folder.h5", base);
    snprintf(path, sizeof path, "%s/latest.h5", folder);
    assert_refused(cf_store_create(&world, "/proc/nowhere/latest.h5", "dataset", &store), CF_ERR_IO,
                   "/proc/nowhere: cannot make the folder: No such file or directory");
    MPI_Barrier(world.comm);
    if (world.rank == 0) assert_int_equal(mkdir(folder, 0755), 0);
    MPI_Barrier(world.comm);
    assert_refused(cf_store_create(&world, folder, "dataset", &store), CF_ERR_IO,
                   "folder.h5: cannot create (Is a directory)");
    assert_ok(sample_commit(path, "dataset"));
    if (world.rank == 0) assert_int_equal(chmod(folder, 0555), 0);
    MPI_Barrier(world.comm);
    if (user == 0) assert_int_equal(seteuid(65534), 0); /* root may write anywhere */
    assert_refused(cf_store_create(&world, path, "dataset", &store), CF_ERR_IO,
                   "cannot create (Permission denied)");
    assert_ok(sample_check(path, "dataset")); /* but read it */
    if (user == 0) assert_int_equal(seteuid(user), 0);
    MPI_Barrier(world.comm);
    if (world.rank == 0) {
        chmod(folder, 0755);
        remove(path);
        remove(folder);
        remove(base);
    }
    assert_null(store);
}

/* The name is taken by a folder while the file is being written. */
static void a_rename_that_fails_removes_the_new_file(void **state)
{
    char path[512];
    cf_store *store = NULL;

    (void)state;
    snprintf(path, sizeof path, "%s", cf_test_scratch("taken.h5"));
    if (world.rank == 0) remove(path); /* of a run that was killed */
    assert_ok(sample_create(path, "dataset", &store));
    if (world.rank == 0) assert_int_equal(mkdir(path, 0755), 0);
    assert_refused(cf_store_commit(&store), CF_ERR_IO, "taken.h5: cannot write (Is a directory)");
    assert_null(store);
    assert_int_equal(cf_test_count_temporary(path), 0);
    MPI_Barrier(world.comm);
    if (world.rank == 0) remove(path);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_changed_byte_is_found_in_each_array),
    cmocka_unit_test(damaged_rows_are_named),
    cmocka_unit_test(cut_files_are_refused),
    cmocka_unit_test(a_changed_byte_anywhere_changes_no_element),
    cmocka_unit_test(other_files_are_refused),
    cmocka_unit_test(other_hdf5_files_are_refused),
    cmocka_unit_test(another_format_version_is_refused),
    cmocka_unit_test(places_that_cannot_be_written_are_named),
    cmocka_unit_test(a_rename_that_fails_removes_the_new_file),
};
CF_TEST_MAIN(tests)
