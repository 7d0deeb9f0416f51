/** Small datasets, and whole runs on them, for the tests of train. */
#pragma once

#include "cf/train.h"
#include "cf_test.h"
#include "cf_test_dataset.h"
#include "cf_test_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { USERS = 63, ITEMS = 50, LLM_DIM = 48, DIM = 40, SEGMENTS = 3 };

/* ---- Datasets ------------------------------------------------------------------------------- */

/** Which part a pair is of: 0 train, 1 valid, 2 test; without a valid part 0 or 2. */
static inline int part_of(const int64_t pair[2], bool with_valid)
{
    const double x = cf_test_noise(41, pair[0], pair[1]);

    return x < 0.4 ? 0 : x < 0.7 ? with_valid : 2;
}

static inline cf_test_graph all_pairs(void)
{
    return cf_test_graph_random(USERS, ITEMS, 0.25, 17);
}

/** The pairs of a part, by user. Those of cold items (NULL: there are none) are in test, or in
 * valid by their mark. */
static inline cf_lists make_part(const cf_test_graph *pairs, int part, bool with_valid,
                                 const uint8_t *cold)
{
    cf_lists lists = {.count = USERS};

    assert_int_equal(CF_ALLOC(lists.start, USERS + 1), CF_OK);
    assert_int_equal(CF_ALLOC(lists.index, pairs->n_pairs), CF_OK);
    for (int64_t u = 0, e = 0; u < USERS; u++) {
        lists.start[u + 1] = lists.start[u];
        for (; e < pairs->n_pairs && pairs->pairs[e][0] == u; e++) {
            const int mark = cold != NULL ? cold[pairs->pairs[e][1]] : 0;

            if (part == (mark == CF_COLD_VALID && with_valid ? 1
                         : mark != 0                         ? 2
                                     : part_of(pairs->pairs[e], with_valid)))
                lists.index[lists.start[u + 1]++] = pairs->pairs[e][1];
        }
    }
    return lists;
}

static inline cf_status make_vectors(void *context, int64_t first, int64_t count, void *rows,
                                     uint8_t *present)
{
    (void)context;
    for (int64_t k = 0; k < count; k++) {
        present[k] = 1;
        for (int64_t d = 0; d < LLM_DIM; d++)
            ((float *)rows)[k * LLM_DIM + d] =
                (float)((double)(1 + d % 5) * cf_test_noise(43, first + k, d));
    }
    return CF_OK;
}

/** Users with two items each, the second of which the next user has too, and some with one: few
 * rows are near one. */
static inline cf_test_graph path_pairs(void)
{
    cf_test_graph pairs = all_pairs(); /* room enough */

    pairs.n_pairs = 0;
    for (int64_t u = 0; u < USERS; u++)
        for (int64_t k = 0; k < (u < ITEMS - 1 ? 2 : 1); k++) {
            pairs.pairs[pairs.n_pairs][0] = u;
            pairs.pairs[pairs.n_pairs++][1] = (u < ITEMS - 1 ? u : u * 7 % ITEMS) + k;
        }
    return pairs;
}

/** Weights of train interactions. */
static inline void weigh(cf_lists *train)
{
    assert_int_equal(CF_ALLOC(train->weight, train->start[USERS]), CF_OK);
    for (int64_t e = 0; e < train->start[USERS]; e++)
        train->weight[e] = (float)(1.1 + cf_test_noise(44, e, train->index[e]));
}

/** The parts of some pairs, which it destroys; train with weights or not. `cold`: the items' marks;
 * NULL: none is cold. Collective. */
static inline void write_parts(const char *path, bool with_valid, cf_test_graph pairs,
                               const uint8_t *cold, bool weighted)
{
    cf_dataset_content content = {.train = make_part(&pairs, 0, with_valid, cold),
                                  .valid = make_part(&pairs, 1, with_valid, cold),
                                  .test = make_part(&pairs, 2, with_valid, cold),
                                  .cold = cold,
                                  .embedding_dim = LLM_DIM,
                                  .read_vectors = make_vectors};
    cf_lists *const parts[] = {&content.train, &content.valid, &content.test};

    if (weighted) weigh(&content.train);
    cf_test_dataset_write(path, ITEMS, &content);
    for (int k = 0; k < 3; k++) {
        cf_free(&parts[k]->start);
        cf_free(&parts[k]->index);
        cf_free(&parts[k]->weight);
    }
    cf_test_graph_destroy(&pairs);
}

/** Collective. */
static inline void write_weighted(const char *path, bool with_valid)
{
    write_parts(path, with_valid, all_pairs(), NULL, true);
}

/** Collective. */
static inline void write_marked(const char *path, bool with_valid, cf_test_graph pairs,
                                const uint8_t *cold)
{
    write_parts(path, with_valid, pairs, cold, false);
}

/** Collective. */
static inline void write_pairs(const char *path, bool with_valid, cf_test_graph pairs)
{
    write_marked(path, with_valid, pairs, NULL);
}

/** Collective. */
static inline void write_dataset(const char *path, bool with_valid)
{
    write_pairs(path, with_valid, all_pairs());
}

/** With cold items: a fifth of them, most at the end. Collective. */
static inline void write_cold(const char *path, bool with_valid)
{
    uint8_t cold[ITEMS];

    for (int i = 0; i < ITEMS; i++)
        cold[i] = (uint8_t)(i >= ITEMS - 8 || i % 20 == 3 ? 1 + i % 3 : 0);
    write_marked(path, with_valid, all_pairs(), cold);
}

/* ---- Runs ----------------------------------------------------------------------------------- */

enum { MAX_SETS = 16 };

/** A run: its settings beside those of every test, "name=value" up to a NULL. */
typedef struct run_spec {
    const char *data, *folder; /* names in the scratch folder */
    const char *sets[MAX_SETS];
    bool resume;
    int64_t fail_at;     /* which of this rank's allocations in the run fails; 0: none */
    double time_limit;   /* seconds; 0: none */
    const char *profile; /* name in the scratch folder; NULL: none */
    bool logs;           /* on stderr */
    const char *from; /* names in the scratch folder: a checkpoint, and its dataset; NULL: none */
    const char *from_data;
} run_spec;

static inline void scratch_path(const char *name, char out[1024])
{
    snprintf(out, 1024, "%s", cf_test_scratch(name));
}

/** The last event of this name in the log of a run; a new reference, NULL if there is none. On
 * rank 0. */
static inline json_t *last_event(const char *folder, const char *name)
{
    char path[1100], line[16384];
    json_t *found = NULL;
    FILE *file;

    snprintf(path, sizeof path, "%s/log.jsonl", cf_test_scratch(folder));
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *event = json_loads(line, 0, NULL);

        assert_non_null(event);
        if (strcmp(json_string_value(json_object_get(event, "event")), name) == 0) {
            json_decref(found);
            found = json_incref(event);
        }
        json_decref(event);
    }
    fclose(file);
    return found;
}

/** Remove what an earlier run left. Collective over the world. */
static inline void clear_folder(const char *name)
{
    char path[1100];

    MPI_Barrier(world.comm);
    for (size_t k = 0; world.rank == 0 && cf_train_files[k] != NULL; k++) {
        snprintf(path, sizeof path, "%s/%s", cf_test_scratch(name), cf_train_files[k]);
        (void)unlink(path);
    }
    MPI_Barrier(world.comm);
}

static inline cf_config *run_config(const run_spec *spec)
{
    static const char *const common[] = {"embedding_size=40",    "train_batch_size=64",
                                         "learning_rate=0.01",   "topk=[5,10]",
                                         "valid_metric=NDCG@10", NULL};
    const char *const *const lists[] = {common, spec->sets};
    cf_config *config = NULL;

    assert_ok(cf_config_create(cf_train_tables, cf_train_n_tables, &config));
    for (int l = 0; l < 2; l++)
        for (int k = 0; lists[l][k] != NULL; k++)
            assert_ok(cf_config_set(config, lists[l][k]));
    return config;
}

/** Train on `par` with `columns` grid columns. Collective over it. */
static inline cf_status run_train(const cf_par *par, int columns, const run_spec *spec,
                                  cf_train_result *result)
{
    cf_config *config = run_config(spec);
    char data[1024], out[1024], profile[1024], from[1024], from_data[1024], grid[64];
    cf_status status;

    scratch_path(spec->data, data);
    scratch_path(spec->folder, out);
    if (spec->profile != NULL) scratch_path(spec->profile, profile);
    if (spec->from != NULL) scratch_path(spec->from, from);
    if (spec->from_data != NULL) scratch_path(spec->from_data, from_data);
    snprintf(grid, sizeof grid, "grid=%dx%d", par->size / columns, columns);
    assert_ok(cf_config_set(config, grid));
    cf_log_enable(world.rank == 0, !spec->logs);
    cf_alloc_fail_at(spec->fail_at);
    status = cf_train_run(par, config,
                          &(cf_train_job){.data = data,
                                          .out = out,
                                          .resume = spec->resume,
                                          .time_limit = spec->time_limit,
                                          .profile = spec->profile != NULL ? profile : NULL,
                                          .from = spec->from != NULL ? from : NULL,
                                          .from_data = spec->from_data != NULL ? from_data : NULL},
                          result);
    cf_alloc_fail_at(0);
    cf_config_destroy(&config);
    return status;
}

/** Grid columns of the k-th grid of `par`, from 0 on; 0 after the last. */
static inline int grid_columns(const cf_par *par, int k)
{
    for (int columns = 1; columns <= par->size && columns <= SEGMENTS; columns++)
        if (par->size % columns == 0 && k-- == 0) return columns;
    return 0;
}

/** What a checkpoint has, whole, on every rank. */
typedef struct saved {
    float *table[2];
    cf_run_progress progress;
} saved;

static const int64_t saved_rows[2] = {USERS, ITEMS};

/** Each rank reads all of it by itself, tables of `rows` and `dim` columns. Collective over the
 * world. */
static inline saved read_saved_rows(const char *folder, const char *file, const int64_t rows[2],
                                    int64_t dim)
{
    cf_ckpt_file *in = NULL;
    cf_grid *alone = NULL;
    cf_blocks blocks[2];
    cf_table *table[2] = {NULL, NULL};
    char path[1100];
    saved out;

    snprintf(path, sizeof path, "%s/%s", cf_test_scratch(folder), file);
    MPI_Barrier(world.comm);
    assert_ok(cf_par_create_grid(&cf_test_self, 1, 1, &alone));
    assert_ok(cf_ckpt_open(&cf_test_self, path, &in));
    for (int side = 0; side < 2; side++) {
        assert_ok(cf_par_create_blocks(rows[side], 1, &blocks[side]));
        assert_ok(cf_table_create(alone, &blocks[side], dim, &table[side]));
    }
    assert_ok(cf_ckpt_read(in, table, NULL));
    out.progress = in->progress;
    for (int side = 0; side < 2; side++) {
        out.table[side] = cf_test_table_get(table[side]);
        cf_table_destroy(&table[side]);
        cf_par_destroy_blocks(&blocks[side]);
    }
    cf_ckpt_close(&in);
    cf_par_destroy_grid(&alone);
    MPI_Barrier(world.comm);
    return out;
}

static inline saved read_saved_tables(const char *folder, const char *file, int64_t dim)
{
    return read_saved_rows(folder, file, saved_rows, dim);
}

static inline saved read_saved(const char *folder, const char *file)
{
    return read_saved_tables(folder, file, DIM);
}

static inline void drop_saved(saved *s)
{
    free(s->table[0]);
    free(s->table[1]);
}

static inline void check_same_tables(const saved *got, const saved *want)
{
    cf_test_same_bits(got->table[CF_USERS], want->table[CF_USERS], USERS * DIM, "user table");
    cf_test_same_bits(got->table[CF_ITEMS], want->table[CF_ITEMS], ITEMS * DIM, "item table");
}

/** All but the seconds. */
static inline void check_same_progress(const cf_run_progress *got, const cf_run_progress *want)
{
    assert_int_equal(got->epoch, want->epoch);
    assert_int_equal(got->batch, want->batch);
    assert_true(got->loss_sum == want->loss_sum);
    assert_int_equal(got->best_epoch, want->best_epoch);
    assert_true(got->best_value == want->best_value);
    assert_int_equal(got->n_bad_evals, want->n_bad_evals);
}

/** A finished run: the result and both checkpoints. */
typedef struct outcome {
    cf_train_result result;
    saved latest, best;
} outcome;

static inline outcome finished(const run_spec *spec, const cf_train_result *result)
{
    return (outcome){*result, read_saved(spec->folder, "latest.h5"),
                     read_saved(spec->folder, "best.h5")};
}

/** The same run on rank 0 alone, in the folder "alone". Collective over the world. */
static inline outcome run_alone(const run_spec *spec)
{
    run_spec alone = *spec;
    cf_train_result result = {0};

    alone.folder = "alone";
    clear_folder("alone");
    if (world.rank == 0) assert_ok(run_train(&cf_test_self, 1, &alone, &result));
    cf_par_broadcast(&world, &result, sizeof result, 0);
    return finished(&alone, &result);
}

static inline void check_same_outcome(const outcome *got, const outcome *want)
{
    const cf_metrics *a = &got->result.test.table[CF_ALL], *b = &want->result.test.table[CF_ALL];

    check_same_progress(&got->result.progress, &want->result.progress);
    check_same_progress(&got->latest.progress, &want->latest.progress);
    check_same_progress(&got->best.progress, &want->best.progress);
    check_same_tables(&got->latest, &want->latest);
    check_same_tables(&got->best, &want->best);
    assert_int_equal(got->result.has_test, want->result.has_test);
    if (!got->result.has_test) return;
    assert_int_equal(a->n_topk, b->n_topk);
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int k = 0; k < a->n_topk; k++)
            assert_true(a->mean[m][k] == b->mean[m][k]);
}

static inline void drop_outcome(outcome *o)
{
    drop_saved(&o->latest);
    drop_saved(&o->best);
}

/* One rank alone loads what all made in "run", from "data.h5". Collective. */
static inline cf_trained *load_alone(void)
{
    static const char *const no_sets[] = {NULL};
    char checkpoint[1100], data[1024];
    cf_trained *trained = NULL;

    snprintf(checkpoint, sizeof checkpoint, "%s/best.h5", cf_test_scratch("run"));
    scratch_path("data.h5", data);
    MPI_Barrier(world.comm);
    assert_ok(cf_train_load(&cf_test_self, &(cf_train_source){checkpoint, data, no_sets, 0, 0},
                            &trained));
    return trained;
}

/* Its test metrics are those of the run, to the bit. */
static inline void check_same_test(const cf_trained *trained, const cf_train_result *result)
{
    cf_eval_options options;
    cf_metrics metrics;

    assert_ok(cf_eval_read_options(trained->config, &options));
    assert_true(options.mask_history);
    assert_ok(cf_eval_run(&trained->scorer, CF_SPLIT_TEST, &options, &metrics));
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int t = 0; t < metrics.n_topk; t++)
            assert_true(metrics.mean[m][t] == result->test.table[CF_ALL].mean[m][t]);
}
