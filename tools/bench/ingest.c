/**
 * Speed of prepare: a RecBole .inter file of random lines, made here, to a dataset file.
 *
 *     bench_ingest [MEGABYTES [USERS ITEMS]]        default: 100 200000 50000
 */
#include "cf/ingest.h"
#include "bench.h"

#include <string.h>
#include <unistd.h>

typedef struct job {
    const cf_par *world;
    const cf_config *config;
    cf_ingest_paths paths;
    cf_ingest_report report;
    cf_status status;
} job;

static void run(void *context)
{
    job *j = context;
    cf_status status = cf_ingest_prepare(j->world, j->config, &j->paths, &j->report);

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

int main(int argc, char **argv)
{
    const cf_setting *table = cf_ingest_settings;
    cf_par world;
    cf_config *config = NULL;
    char folder[] = "/tmp/bench_ingest.XXXXXX", inter[64], out[64];
    int64_t megabytes, n_users, n_items, lines = 0;
    job j;
    double seconds;

    cf_par_init(&argc, &argv, &world);
    megabytes = argc > 1 ? atoll(argv[1]) : 100;
    n_users = argc > 3 ? atoll(argv[2]) : 200000;
    n_items = argc > 3 ? atoll(argv[3]) : 50000;
    if (world.size != 1 || !mkdtemp(folder) || cf_config_create(&table, 1, &config) != CF_OK)
        return 1;
    snprintf(inter, sizeof inter, "%s/x.inter", folder);
    snprintf(out, sizeof out, "%s/x.h5", folder);
    lines = make_file(inter, megabytes << 20, n_users, n_items);
    j = (job){.world = &world, .config = config, .paths = {.inter = inter, .out = out}};
    cf_log_enable(true, true);
    seconds = bench_time(&world, run, &j);
    if (j.status != CF_OK || j.report.lines != lines ||
        j.report.n_train + j.report.n_valid + j.report.n_test + j.report.duplicates != lines) {
        fprintf(stderr, "wrong: %s\n", cf_error_message());
        return 1;
    }
    printf("{\"bench\": \"ingest\", \"megabytes\": %lld, \"lines\": %lld, \"users\": %lld, "
           "\"items\": %lld, \"seconds\": %.3f, \"megabytes_per_second\": %.1f, "
           "\"peak_bytes_per_line\": %.1f}\n",
           (long long)megabytes, (long long)lines, (long long)j.report.n_users,
           (long long)j.report.n_items, seconds, (double)megabytes / seconds,
           (double)cf_alloc_peak() / (double)lines);
    unlink(inter);
    unlink(out);
    rmdir(folder);
    cf_config_destroy(&config);
    cf_par_finalize();
    return 0;
}
