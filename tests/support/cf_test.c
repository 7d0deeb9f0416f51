#include "cf_test.h"

#include <errno.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

cf_par world;
const cf_par cf_test_self = {MPI_COMM_SELF, 0, 1};
static char scratch_folder[768];

/** Make `path` and the folders it is in; false with errno set if that fails. */
static bool make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0777); /* what matters is whether the last one is there */
        *slash = '/';
    }
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

static void make_scratch_folder(void)
{
    const char *given = getenv("CF_TEST_SCRATCH");

    if (given)
        snprintf(scratch_folder, sizeof scratch_folder, "%s", given);
    else
        snprintf(scratch_folder, sizeof scratch_folder, "/tmp/cf_test.%d", (int)getppid());
    cf_par_broadcast(&world, scratch_folder, sizeof scratch_folder, 0);
    if (world.rank == 0 && !make_folders(scratch_folder)) {
        fprintf(stderr, "%s: %s\n", scratch_folder, strerror(errno));
        MPI_Abort(world.comm, 1);
    }
    MPI_Barrier(world.comm);
}

const char *cf_test_scratch(const char *name)
{
    static char path[1024];

    snprintf(path, sizeof path, "%s/%s", scratch_folder, name);
    return path;
}

int cf_test_count_temporary(const char *path)
{
    char pattern[1100];
    glob_t found;
    int count;

    snprintf(pattern, sizeof pattern, "%s.*tmp", path);
    count = glob(pattern, 0, NULL, &found) == 0 ? (int)found.gl_pathc : 0;
    globfree(&found);
    return count;
}

void cf_test_close(double got, double want, double tolerance, const char *what, const char *file,
                   int line)
{
    if (fabs(got - want) <= tolerance) return; /* false for NaN */
    print_error("%s is %.17g, not %.17g within %g\n", what, got, want, tolerance);
    _fail(file, line);
}

void cf_test_close_f32(const float *got, const double *want, int64_t count, double tolerance,
                       double scale)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - want[i]) <= tolerance * scale))
            fail_msg("[%lld] is %.9g, not %.9g within %g", (long long)i, (double)got[i], want[i],
                     tolerance * scale);
}

/** The value of the 'name' entry in a .npy header, which is the text of a Python dictionary. */
static const char *npy_entry(const char *header, const char *name)
{
    const char *at = strstr(header, name);

    return at ? strchr(at, ':') + 1 : "";
}

static void npy_shape(const char *header, int64_t dims[2])
{
    const char *at = strchr(npy_entry(header, "'shape'"), '(');

    dims[0] = dims[1] = 1;
    for (int k = 0; at; k++) {
        char *end = NULL;
        long long value = strtoll(at + 1, &end, 10);
        if (end == at + 1) break; /* (n,) or () */
        dims[k > 0] *= value;
        at = *end == ',' ? end : NULL;
    }
}

static double npy_value(const char *type, const char *bytes, int64_t i)
{
    switch (type[0] << 8 | type[1]) {
    case 'f' << 8 | '4':
        return (double)((const float *)(const void *)bytes)[i];
    case 'f' << 8 | '8':
        return ((const double *)(const void *)bytes)[i];
    case 'i' << 8 | '4':
        return (double)((const int32_t *)(const void *)bytes)[i];
    case 'i' << 8 | '8':
        return (double)((const int64_t *)(const void *)bytes)[i];
    case 'b' << 8 | '1':
        return bytes[i] != 0;
    default:
        return NAN;
    }
}

/** The whole file in memory, with a zero byte behind; ends the test if that fails. */
static char *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    struct stat info = {0};

    if (!file || fstat(fileno(file), &info) != 0) fail_msg("%s: %s", path, strerror(errno));
    *size = (size_t)info.st_size;
    char *bytes = calloc(*size + 1, 1);
    if (!bytes || fread(bytes, 1, *size, file) != *size) fail_msg("%s: cannot read", path);
    fclose(file);
    return bytes;
}

double *cf_test_npy(const char *path, int64_t dims[2])
{
    size_t size = 0, data = 0;
    char *bytes = read_whole(path, &size);

    if (size < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0) fail_msg("%s: not a .npy file", path);
    uint16_t length;
    memcpy(&length, bytes + 8,
           sizeof length); /* version 1: magic, version, 2-byte length, header */
    data = 10 + (size_t)length;
    if (bytes[6] != 1 || data > size) fail_msg("%s: not version 1 of .npy", path);
    char *header = strndup(bytes + 10, length);
    const char *type = strpbrk(npy_entry(header, "'descr'"), "<|");
    npy_shape(header, dims);
    int64_t count = dims[0] * dims[1];
    double *values = malloc((size_t)(count ? count : 1) * sizeof *values);
    if (!type || !values || strstr(header, "'fortran_order': True") ||
        isnan(npy_value(type + 1, "\0\0\0\0\0\0\0", 0)) ||
        size - data < (size_t)count * (size_t)(type[2] - '0'))
        fail_msg("%s: unexpected header %s", path, header);
    memmove(bytes, bytes + data, size - data); /* to where malloc aligned it */
    for (int64_t i = 0; i < count; i++)
        values[i] = npy_value(type + 1, bytes, i);
    free(header);
    free(bytes);
    return values;
}

static int caught_stderr = -1; /* the real one meanwhile */

/* The file is each rank's own. */
static const char *stderr_path(void)
{
    char name[40];

    snprintf(name, sizeof name, "stderr.%d", world.rank);
    return cf_test_scratch(name);
}

void cf_test_begin_stderr(void)
{
    assert_true(caught_stderr < 0);
    fflush(stderr);
    caught_stderr = dup(STDERR_FILENO);
    assert_non_null(freopen(stderr_path(), "w", stderr));
}

const char *cf_test_end_stderr(void)
{
    static char text[4096];
    FILE *file = fopen(stderr_path(), "r");

    fflush(stderr);
    dup2(caught_stderr, STDERR_FILENO);
    close(caught_stderr);
    caught_stderr = -1;
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static int real_stderr = -1;

int cf_test_end_group(void **state)
{
    (void)state;
    if (world.rank == 0) return 0;
    real_stderr = dup(STDERR_FILENO); /* failures have been printed by now */
    return freopen("/dev/null", "w", stderr) ? 0 : -1;
}

int cf_test_main(int argc, char **argv, int (*run)(void))
{
    cf_par_init(&argc, &argv, &world);
    make_scratch_folder();
    if (world.rank != 0 && !freopen("/dev/null", "w", stdout)) return 1; /* failures go to stderr */
    int failures = run();
    if (real_stderr >= 0) dup2(real_stderr, STDERR_FILENO);
    if (cf_alloc_live() != 0) {
        fprintf(stderr, "rank %d: %lld allocations were not freed\n", world.rank,
                (long long)cf_alloc_live());
        failures++;
    }
    MPI_Allreduce(MPI_IN_PLACE, &failures, 1, MPI_INT, MPI_MAX, world.comm);
    cf_par_finalize();
    return failures ? 1 : 0;
}

void cf_test_damage(const char *path, float value)
{
    FILE *file = fopen(path, "r+b");
    char *bytes = calloc(1, 1 << 20);

    assert_non_null(file);
    size_t size = fread(bytes, 1, 1 << 20, file);
    char *found = memmem(bytes, size, &value, sizeof value);
    assert_non_null(found);
    fseek(file, found - bytes, SEEK_SET);
    assert_int_not_equal(fputc(*found ^ 1, file), EOF);
    fclose(file);
    free(bytes);
}

/* ---- Allocations that fail ------------------------------------------------------------------ */

/* One attempt whose n-th allocation fails on rank `bad`. True if it failed, as it should have. */
static bool fails_at(const cf_test_trial *trial, void *context, int bad, int64_t n)
{
    const int64_t live = cf_alloc_live();
    char origin[32];
    cf_status status;

    if (trial->prepare != NULL) trial->prepare(context);
    if (world.rank == bad) cf_alloc_fail_at(n);
    status = trial->attempt(context);
    cf_alloc_fail_at(0);
    if (status != CF_OK) {
        if (status != CF_ERR_MEMORY)
            fail_msg("allocation %lld: %s", (long long)n, cf_error_message());
        origin[0] = '\0';
        if (world.size > 1) snprintf(origin, sizeof origin, "rank %d: ", bad);
        if (strstr(cf_error_message(), "out of memory") == NULL ||
            strstr(cf_error_message(), origin) == NULL)
            fail_msg("allocation %lld of rank %d: %s", (long long)n, bad, cf_error_message());
    } else if (n <= trial->least[bad > 0]) {
        fail_msg("rank %d makes fewer than %lld allocations", bad, (long long)n);
    }
    if (trial->clean_up != NULL) trial->clean_up(context);
    if (cf_alloc_live() != live)
        fail_msg("allocation %lld of rank %d: %lld blocks were not freed", (long long)n, bad,
                 (long long)(cf_alloc_live() - live));
    return status != CF_OK;
}

static int64_t next_after(const cf_test_trial *trial, int64_t n)
{
    return n + cf_max(trial->step, 1) + (trial->thinning > 0 ? n / trial->thinning : 0);
}

/* Each n on one rank alone, until no rank has that many allocations. */
static int64_t fail_in_rotation(const cf_test_trial *trial, void *context)
{
    int64_t failed = 0, n = 1;
    int bad = 0;

    for (int passed = 0; passed < world.size; bad = (bad + 1) % world.size) {
        passed = fails_at(trial, context, bad, n) ? 0 : passed + 1;
        failed += passed == 0;
        n = next_after(trial, n);
    }
    return failed;
}

int64_t cf_test_every_allocation(const cf_test_trial *trial, void *context)
{
    int64_t fewest = INT64_MAX;

    if (trial->rotate) return fail_in_rotation(trial, context);
    for (int bad = 0; bad < world.size; bad++) {
        int64_t failed = 0, n = 1;

        for (; fails_at(trial, context, bad, n); failed++)
            n = next_after(trial, n);
        fewest = cf_min(fewest, failed);
    }
    return fewest;
}
