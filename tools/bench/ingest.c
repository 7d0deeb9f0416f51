/**
 * Speed of prepare: a RecBole .inter file of random lines, made here, to a dataset file.
 *
 *     [mpirun -n RANKS] bench_ingest [MEGABYTES [USERS ITEMS]]        default: 100 200000 50000
 */
#include "cf/ingest.h"
#include "bench.h"

#include <string.h>
#include <unistd.h>

typedef struct job {
    const cf_par *world;
    cf_ingest_options options; /* borrows from the config */
    cf_ingest_paths paths;
    cf_ingest_report report;
    cf_status status;
} job;

static void run(void *context)
{
    job *j = context;
    cf_status status = cf_ingest_prepare(j->world, &j->options, &j->paths, &j->report);

    if (status != CF_OK) j->status = status;
}

/* Users in random order, items with many at the low numbers. Gives back the number of lines. */
static int64_t make_file(const char *path, int64_t bytes, int64_t n_users, int64_t n_items)
{
    const cf_random key = {1, CF_STREAM_TEST};
    FILE *file = fopen(path, "w");
    int64_t lines = 0, written = 0;

    if (!file) return 0;
    written += fprintf(file, "user_id:token\titem_id:token\trating:float\ttimestamp:float\n");
    while (written < bytes) {
        uint64_t n = (uint64_t)lines++;
        double u = cf_random_uniform(key, n, 1, 0);

        written += fprintf(
            file, "%lld\t%lld\t%d.0\t%lld\n", (long long)cf_random_below(key, n, 0, 0, n_users),
            (long long)(u * u * (double)n_items), 1 + (int)cf_random_below(key, n, 2, 0, 5),
            1300000000 + (long long)cf_random_below(key, n, 3, 0, 200000000));
    }
    return fclose(file) == 0 ? lines : 0;
}

/* What is read and written, in a folder of its own; all ranks know where. Rank 0 makes the file; 0
 * lines if it cannot. */
static int64_t make_input(const cf_par *world, int64_t bytes, int64_t n_users, int64_t n_items,
                          char paths[3][64])
{
    int64_t lines = 0;

    if (world->rank == 0) {
        snprintf(paths[0], 64, "/tmp/bench_ingest.XXXXXX");
        if (mkdtemp(paths[0])) {
            snprintf(paths[1], 64, "%.40s/x.inter", paths[0]);
            snprintf(paths[2], 64, "%.40s/x.h5", paths[0]);
            lines = make_file(paths[1], bytes, n_users, n_items);
        }
    }
    cf_par_broadcast(world, paths, 3 * 64, 0);
    cf_par_broadcast(world, &lines, sizeof lines, 0);
    return lines;
}

static void print(const job *j, int64_t megabytes, double seconds)
{
    int64_t peak = cf_alloc_peak();

    MPI_Allreduce(MPI_IN_PLACE, &peak, 1, MPI_INT64_T, MPI_MAX, j->world->comm);
    if (j->world->rank != 0) return;
    printf("{\"benchmark\": \"ingest\", \"ranks\": %d, \"megabytes\": %lld, \"lines\": %lld, "
           "\"users\": %lld, \"items\": %lld, \"seconds\": %.3f, \"megabytes_per_second\": %.1f, "
           "\"peak_bytes_per_line\": %.1f}\n",
           j->world->size, (long long)megabytes, (long long)j->report.lines,
           (long long)j->report.n_users, (long long)j->report.n_items, seconds,
           (double)megabytes / seconds, (double)peak / (double)j->report.lines);
}

int main(int argc, char **argv)
{
    const cf_setting *table = cf_ingest_settings;
    cf_par world;
    cf_config *config = NULL;
    char paths[3][64];
    int64_t megabytes, n_users, n_items, lines = 0;
    job j;
    double seconds;

    cf_par_init(&argc, &argv, &world);
    megabytes = argc > 1 ? atoll(argv[1]) : 100;
    n_users = argc > 3 ? atoll(argv[2]) : 200000;
    n_items = argc > 3 ? atoll(argv[3]) : 50000;
    lines = make_input(&world, megabytes << 20, n_users, n_items, paths);
    if (lines == 0 || cf_config_create(&table, 1, &config) != CF_OK) return 1;
    j = (job){.world = &world, .paths = {.inter = paths[1], .out = paths[2]}};
    if (cf_ingest_read_options(config, &j.options) != CF_OK) return 1;
    cf_log_enable(world.rank == 0, true);
    seconds = bench_time(&world, run, &j);
    if (j.status != CF_OK || j.report.lines != lines ||
        j.report.n_train + j.report.n_valid + j.report.n_test + j.report.duplicates != lines) {
        fprintf(stderr, "wrong: %s\n", cf_error_message());
        return 1;
    }
    print(&j, megabytes, seconds);
    if (world.rank == 0) {
        unlink(paths[1]);
        unlink(paths[2]);
        rmdir(paths[0]);
    }
    cf_config_destroy(&config);
    cf_par_finalize();
    return 0;
}
