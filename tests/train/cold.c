/* Runs on a dataset with cold items: their map is fitted after training, kept in best.h5, and used
 * by who loads it; every grid gives the same. The map itself is tested in tests/cold. */
#include "run.h"

/* ---- Runs and what they leave ---------------------------------------------------------------- */

static const run_spec specs[] = {
    {.data = "cold.h5",
     .folder = "run",
     .sets = {"model=LightGCN", "epochs=2", "emb_selection=pca", "cold_neighbors=[2,5]"}},
    {.data = "cold.h5",
     .folder = "run",
     .sets = {"model=BPR", "epochs=2", "emb_selection=var", "valid_candidates=all",
              "cold_map=ridge", "cold_reg=[1]"}},
    {.data = "cold.h5", .folder = "run", .sets = {"model=L3AE", "cold_reg=[1]"}},
    {.data = "cold.h5",
     .folder = "run",
     .sets = {"model=iALS", "epochs=2", "reg_weight=0.05", "emb_selection=pca"}},
};
static const run_spec ease = {
    .data = "cold.h5", .folder = "run", .sets = {"model=EASE", "reg_weight=5", "cold_reg=[1]"}};
enum { N_SPECS = sizeof specs / sizeof *specs };

/* Collective over the world. */
static cf_status load(const char *file, const char *set, cf_trained **out)
{
    char data[1024], path[1100];
    const char *sets[] = {set};

    scratch_path("cold.h5", data);
    snprintf(path, sizeof path, "%s/%s", cf_test_scratch("run"), file);
    return cf_train_load(&world, &(cf_train_source){path, data, sets, set != NULL, 0}, out);
}

/* The metrics of two measurements are the same to the last bit. */
static void check_same_metrics(const cf_cold_metrics *got, const cf_cold_metrics *want)
{
    assert_true(got->is_marked && want->is_marked);
    for (int which = 0; which < CF_N_CANDIDATES; which++) {
        assert_true(got->has[which] && want->has[which]);
        assert_int_equal(got->table[which].n_users, want->table[which].n_users);
        assert_memory_equal(got->table[which].mean, want->table[which].mean,
                            sizeof want->table[which].mean);
    }
    assert_memory_equal(got->n_targets, want->n_targets, sizeof want->n_targets);
    assert_memory_equal(got->hit, want->hit, sizeof want->hit);
}

static void check_same_map(const cf_cold_map *got, const cf_cold_map *want)
{
    assert_int_equal(got->kind, want->kind);
    assert_true(got->parameter == want->parameter && got->gain == want->gain);
    assert_int_equal(got->n_points, want->n_points);
    assert_true(got->n_points > 0);
    assert_memory_equal(got->points, want->points, (size_t)want->n_points * sizeof *want->points);
}

/* What a loaded model measures of the test part. Collective. */
static cf_cold_metrics measure(const cf_trained *t)
{
    cf_eval_options options;
    cf_cold_metrics metrics;

    assert_ok(cf_eval_read_options(t->config, &options));
    assert_ok(cf_eval_run_cold(&t->scorer, CF_SPLIT_TEST, &options, NULL, &metrics));
    return metrics;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void best_has_the_map_and_measures_as_the_run_did(void **state)
{
    (void)state;
    write_cold(cf_test_scratch("cold.h5"), true);
    for (int k = 0; k < N_SPECS; k++) {
        cf_train_result result;
        cf_trained *best = NULL, *latest = NULL;
        cf_cold_metrics loaded;

        clear_folder("run");
        assert_ok(run_train(&world, 1, &specs[k], &result));
        assert_ok(load("best.h5", NULL, &best));
        loaded = measure(best);
        check_same_metrics(&loaded, &result.test);
        assert_true(result.test.n_targets[CF_COLD] > 0);
        /* latest.h5 has none, and gets the one of its tables: those of the best epoch or not */
        assert_ok(load("latest.h5", NULL, &latest));
        assert_non_null(latest->map);
        if (result.progress.best_epoch == result.progress.epoch)
            check_same_map(latest->map, best->map);
        cf_train_unload(&latest);
        cf_train_unload(&best);
    }
}

static void every_grid_gives_the_same_map_and_metrics(void **state)
{
    (void)state;
    write_cold(cf_test_scratch("cold.h5"), true);
    for (int k = 0; k < N_SPECS; k++) {
        cf_train_result want, got;
        cf_trained *first = NULL;

        clear_folder("run");
        assert_ok(run_train(&world, 1, &specs[k], &want));
        assert_ok(load("best.h5", NULL, &first));
        for (int g = 1, columns; (columns = grid_columns(&world, g)) > 0; g++) {
            cf_trained *other = NULL;

            clear_folder("run");
            assert_ok(run_train(&world, columns, &specs[k], &got));
            check_same_metrics(&got.test, &want.test);
            assert_ok(load("best.h5", NULL, &other));
            check_same_map(other->map, first->map);
            cf_train_unload(&other);
        }
        cf_train_unload(&first);
    }
}

/* The map of a run that was resumed, also after its end, is that of one that was not. */
static void a_resumed_run_has_the_same_map(void **state)
{
    (void)state;
    write_cold(cf_test_scratch("cold.h5"), true);
    for (int k = 0; k < N_SPECS; k++) {
        run_spec spec = specs[k];
        cf_train_result want, got;
        cf_trained *first = NULL, *second = NULL;

        clear_folder("run");
        assert_ok(run_train(&world, 1, &spec, &want));
        assert_ok(load("best.h5", NULL, &first));
        if (k < 2) { /* those that are trained by steps */
            clear_folder("run");
            spec.sets[1] = "epochs=1";
            assert_ok(run_train(&world, 1, &spec, &got));
            spec.sets[1] = specs[k].sets[1];
        }
        spec.resume = true;
        assert_ok(run_train(&world, 1, &spec, &got));
        check_same_metrics(&got.test, &want.test);
        assert_ok(load("best.h5", NULL, &second));
        check_same_map(second->map, first->map);
        cf_train_unload(&first);
        cf_train_unload(&second);
    }
}

/* On a trained model a map may be asked for that the run did not have. */
static void a_trained_model_takes_another_map(void **state)
{
    cf_train_result result;
    cf_trained *t = NULL;

    (void)state;
    write_cold(cf_test_scratch("cold.h5"), true);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &specs[0], &result)); /* LightGCN */
    assert_ok(load("best.h5", "cold_map=none", &t));
    assert_null(t->map);
    assert_null(t->scorer.hidden);
    cf_train_unload(&t);
    assert_ok(load("best.h5", "cold_gains=[3]", &t));
    assert_int_equal(t->map->kind, CF_COLD_NEAREST);
    cf_train_unload(&t);
    assert_ok(load("best.h5", "cold_map=zero", &t));
    assert_int_equal(t->map->kind, CF_COLD_ZERO);
    for (int64_t i = 0; i < t->final[CF_ITEMS]->local_rows; i++)
        if (cf_is_cold(t->shard->cold, t->final[CF_ITEMS]->first_row + i))
            for (int64_t d = 0; d < t->final[CF_ITEMS]->width; d++)
                assert_true(t->final[CF_ITEMS]->data[i * t->final[CF_ITEMS]->width + d] == 0);
    cf_train_unload(&t);
    assert_refused(load("best.h5", "n_layers=3", &t), CF_ERR_USAGE, "cold_map");
}

/* L3AE is solved with the texts of cold items or without them; EASE knows nothing of these. */
static void closed_forms_without_a_map(void **state)
{
    run_spec spec = specs[2];
    cf_train_result result;
    cf_trained *t = NULL;
    cf_cold_metrics none;

    (void)state;
    write_cold(cf_test_scratch("cold.h5"), true);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
    assert_refused(load("best.h5", "cold_map=none", &t), CF_ERR_USAGE, "solve it again");
    spec.sets[1] = "cold_map=none";
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
    assert_refused(load("best.h5", "cold_map=ridge", &t), CF_ERR_USAGE, "solve it again");
    assert_ok(load("best.h5", NULL, &t));
    assert_null(t->map);
    none = measure(t);
    assert_true(none.hit[CF_COLD][1] > 0); /* as solved, its rows of cold items are not zero */
    cf_train_unload(&t);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &ease, &result));
    assert_ok(load("best.h5", "cold_map=none", &t));
    assert_int_equal(t->map->kind, CF_COLD_ZERO);
    cf_train_unload(&t);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(best_has_the_map_and_measures_as_the_run_did),
    cmocka_unit_test(every_grid_gives_the_same_map_and_metrics),
    cmocka_unit_test(a_resumed_run_has_the_same_map),
    cmocka_unit_test(a_trained_model_takes_another_map),
    cmocka_unit_test(closed_forms_without_a_map),
};
CF_TEST_MAIN(tests)
