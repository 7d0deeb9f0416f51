/* The checks of selftest: the same small training in several ways must come to the same bits, and,
 * where they are known for this build, to known ones.
 *
 * The ways of a model: rank 0 alone with one thread; all ranks as blocks; all ranks as slices, or
 * as both; with the threads that are set, but one rank with two at least. Of each way the digest of
 * the trained tables is taken (the checksums in the checkpoint), and the metrics of the test part.
 * Two checks come before: the digest of the dataset, and whether all ranks run the same kernels of
 * BLAS.
 *
 * Files are those of a run, in a folder that all ranks see: what is written and read back is tried
 * as well. */
#include "selftest.h"

#include "cf/ckpt.h"
#include "cf/dataset.h"
#include "cf/store.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SETS = 8, PATH_SIZE = 4096 };

/* The models, and their settings beside those of all. */
#define EPOCHS "epochs=2", "collapse_every=0", "emb_selection=var"
#define STEPS EPOCHS, "train_batch_size=1024", "learning_rate=0.01"
static const struct {
    const char *name;
    int n_segments;             /* of its tables: at most so many slices */
    const char *sets[MAX_SETS]; /* ended by NULL */
} models[SELFTEST_MODELS] = {
    {"BPR", 4, {STEPS}},
    {"LightGCN", 4, {STEPS, "reg_weight=0.001"}},
    {"SGL", 4, {STEPS}},
    {"SGCL", 4, {STEPS}},
    {"iALS", 4, {EPOCHS}},
    {"EASE", 4, {NULL}},
    {"L3AE", 4, {NULL}},
    {"ItemKNN", 4, {"k=50"}},
    {"Pop", 1, {NULL}},
    {"ChebyCF", 4, {"ideal_dim=64"}},
    {"GF-CF", 4, {"ideal_dim=64"}},
};
static const char *const all_sets[] = {"embedding_size=64", "eval_step=0", "topk=[10]",
                                       "checkpoint_interval=1e9"};

/* A way to train. */
typedef struct way {
    const cf_par *ranks;
    int n_rows, n_columns, n_threads;
} way;

/* What a training came to. */
typedef struct outcome {
    uint64_t tables;
    double metrics[CF_N_METRICS];
} outcome;

/* What all checks share. */
typedef struct selftest {
    const cf_par *world;
    const selftest_plan *plan;
    char data[PATH_SIZE], run[PATH_SIZE];
    cf_blas blas;
} selftest;

/* ---- One training ---- */

/* Local. */
static cf_status make_config(int model, const way *w, cf_config **out)
{
    cf_config *config = NULL;
    char text[64];
    cf_status status;

    CF_TRY(cf_config_create(cf_train_tables, cf_train_n_tables, &config));
    for (size_t k = 0; k < sizeof all_sets / sizeof *all_sets; k++)
        CF_TRY(cf_config_set(config, all_sets[k]));
    snprintf(text, sizeof text, "model=%s", models[model].name);
    CF_TRY(cf_config_set(config, text));
    snprintf(text, sizeof text, "grid=%dx%d", w->n_rows, w->n_columns);
    CF_TRY(cf_config_set(config, text));
    for (int k = 0; models[model].sets[k] != NULL; k++)
        CF_TRY(cf_config_set(config, models[model].sets[k]));
    CF_TRY(cf_config_settle(config));
    CF_TRY(cf_closed_set_defaults(config));
    CF_TRY(cf_model_set_defaults(config));
    *out = config;
    config = NULL;
done:
    cf_config_destroy(&config);
    return status;
}

/* The digest of the tables in latest.h5. Collective over the ranks of the way. */
static cf_status read_digest(const selftest *s, const way *w, uint64_t *out)
{
    static const char *const names[] = {"/" CF_CKPT_ITEM_TABLE, "/" CF_CKPT_USER_TABLE,
                                        "/" CF_CKPT_MATRIX};
    char path[PATH_SIZE + 16];
    cf_store *store = NULL;
    cf_status status;

    *out = 0;
    snprintf(path, sizeof path, "%s/latest.h5", s->run);
    CF_TRY(cf_store_open(w->ranks, path, "checkpoint", &store));
    for (int k = 0; k < 3; k++) {
        bool has = false;

        CF_TRY(cf_store_has(store, names[k], &has));
        if (has) CF_TRY(cf_store_extend_digest(store, names[k], out));
    }
done:
    cf_store_close(&store);
    return status;
}

/* Remove what a training has written. Rank 0 of the way, when all have left. */
static void clear_run(const selftest *s)
{
    for (int k = 0; cf_train_files[k] != NULL; k++) {
        char path[PATH_SIZE + 32];

        snprintf(path, sizeof path, "%s/%s", s->run, cf_train_files[k]);
        (void)unlink(path);
    }
    (void)rmdir(s->run);
}

/* Collective over the ranks of the way. */
static cf_status train(const selftest *s, int model, const way *w, outcome *out)
{
    const int threads = omp_get_max_threads();
    const cf_train_job job = {.data = s->data, .out = s->run};
    cf_train_result result = {0};
    cf_config *config = NULL;
    cf_status status;

    omp_set_num_threads(w->n_threads);
    CF_TRY(cf_par_agree(w->ranks, make_config(model, w, &config)));
    CF_TRY(cf_train_run(w->ranks, config, &job, &result));
    for (int m = 0; m < CF_N_METRICS; m++)
        out->metrics[m] = result.test.table[CF_ALL].mean[m][0];
    CF_TRY(read_digest(s, w, &out->tables));
done:
    if (w->ranks->rank == 0) clear_run(s);
    MPI_Barrier(w->ranks->comm);
    omp_set_num_threads(threads);
    cf_config_destroy(&config);
    return status;
}

/* The others wait for rank 0. Collective. */
static cf_status train_alone(const selftest *s, int model, outcome *out)
{
    const cf_par self = {MPI_COMM_SELF, 0, 1};
    const way alone = {&self, 1, 1, 1};
    cf_status status = s->world->rank == 0 ? train(s, model, &alone, out) : CF_OK;

    status = cf_par_agree_on_input(s->world, status);
    if (status == CF_OK) cf_par_broadcast(s->world, out, sizeof *out, 0);
    return status;
}

/* ---- Ways ---- */

/* As many columns of slices as there may be and as divide the ranks. */
static int most_columns(int n_ranks, int n_segments)
{
    int n = n_segments;

    while (n_ranks % n != 0)
        n--;
    return n;
}

/* All ranks, as blocks, and with slices if that is another grid. Returns their number. Local. */
static int list_ways(const cf_par *world, int n_segments, way out[2])
{
    const int columns = most_columns(world->size, n_segments), threads = omp_get_max_threads();

    /* one rank has no other way; elsewhere two threads may be more than a rank's core takes */
    out[0] = (way){world, world->size, 1, world->size == 1 && threads == 1 ? 2 : threads};
    out[1] = (way){world, world->size / columns, columns, threads};
    return columns > 1 ? 2 : 1;
}

/* ---- Checks ---- */

static void note_digest(const selftest *s, uint64_t digest, selftest_check *out)
{
    const selftest_known *known = selftest_find(s->plan->known, out->name, s->blas);

    out->has_digest = true;
    out->digest = digest;
    out->is_known = known != NULL;
    if (known == NULL) return;
    out->known = known->digest;
    if (digest != known->digest)
        snprintf(out->wrong, sizeof out->wrong, "the digest should be %016llx",
                 (unsigned long long)known->digest);
}

/* Note what the way came to beside what rank 0 alone did. */
static void compare(const way *w, const outcome *got, const outcome *want, selftest_check *out)
{
    const bool tables = got->tables == want->tables;
    const size_t used = strlen(out->ways);
    char text[48];

    if (w->n_threads > 1)
        snprintf(text, sizeof text, "%dx%d with %d threads", w->n_rows, w->n_columns, w->n_threads);
    else
        snprintf(text, sizeof text, "%dx%d", w->n_rows, w->n_columns);
    if (tables && memcmp(got->metrics, want->metrics, sizeof want->metrics) == 0)
        snprintf(out->ways + used, sizeof out->ways - used, ", %s", text);
    else if (out->wrong[0] == '\0')
        snprintf(out->wrong, sizeof out->wrong, "%s on %s differ from those of 1 rank",
                 tables ? "the metrics" : "the tables", text);
}

static cf_status check_model(const selftest *s, int model, selftest_check *out)
{
    way ways[2];
    const int n = list_ways(s->world, models[model].n_segments, ways);
    outcome want = {0}, got = {0};
    cf_status status;

    *out = (selftest_check){.name = models[model].name, .ways = "1 rank"};
    CF_TRY(train_alone(s, model, &want));
    note_digest(s, want.tables, out);
    for (int k = 0; k < n; k++) {
        CF_TRY(train(s, model, &ways[k], &got));
        compare(&ways[k], &got, &want, out);
    }
done:
    return status;
}

static cf_status check_data(const selftest *s, selftest_check *out)
{
    cf_dataset *dataset = NULL;
    cf_status status;

    *out = (selftest_check){.name = "dataset"};
    CF_TRY(selftest_write_data(s->world, s->data));
    CF_TRY(cf_dataset_open(s->world, s->data, &dataset));
    note_digest(s, dataset->digest, out);
done:
    cf_dataset_close(&dataset);
    return status;
}

/* Ranks with other kernels of BLAS than rank 0 sum in another order. Collective. */
static void check_kernels(const selftest *s, selftest_check *out)
{
    char first[64] = "";
    int differs;

    snprintf(first, sizeof first, "%s", s->blas.kernels);
    cf_par_broadcast(s->world, first, sizeof first, 0);
    differs = strcmp(first, s->blas.kernels) != 0;
    MPI_Allreduce(MPI_IN_PLACE, &differs, 1, MPI_INT, MPI_SUM, s->world->comm);
    *out = (selftest_check){.name = "kernels"};
    snprintf(out->ways, sizeof out->ways, "%s", first);
    if (differs > 0)
        snprintf(out->wrong, sizeof out->wrong,
                 "%d ranks have other kernels of BLAS than rank 0: the same bits are not promised",
                 differs);
}

/* ---- All ---- */

static void end_check(const selftest *s, selftest_report *report)
{
    const selftest_check *check = &report->check[report->count++];

    report->n_wrong += check->wrong[0] != '\0';
    if (s->plan->done != NULL) s->plan->done(check);
}

static cf_status run_checks(const selftest *s, selftest_report *out)
{
    cf_status status;

    check_kernels(s, &out->check[out->count]);
    end_check(s, out);
    CF_TRY(check_data(s, &out->check[out->count]));
    end_check(s, out);
    for (int model = 0; model < s->plan->n_models; model++) {
        CF_TRY(check_model(s, model, &out->check[out->count]));
        end_check(s, out);
    }
done:
    return status;
}

cf_status selftest_run(const cf_par *world, const selftest_plan *plan, selftest_report *out)
{
    selftest s = {.world = world, .plan = plan, .blas = cf_par_find_blas()};
    cf_status status;

    *out = (selftest_report){0};
    snprintf(s.data, sizeof s.data, "%s/data.h5", plan->folder);
    snprintf(s.run, sizeof s.run, "%s/run", plan->folder);
    status = run_checks(&s, out);
    if (world->rank == 0) (void)unlink(s.data);
    return status;
}

cf_status selftest_judge(const selftest_report *report)
{
    char names[256] = "";
    size_t used = 0;

    for (int k = 0; k < report->count; k++)
        if (report->check[k].wrong[0] != '\0' && used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s",
                                     used > 0 ? ", " : "", report->check[k].name);
    if (report->n_wrong == 0) return CF_OK;
    return CF_FAIL(CF_ERR_RESULT, "selftest: %d of %d checks failed: %s", report->n_wrong,
                   report->count, names);
}
