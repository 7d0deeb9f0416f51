/* Runs on a dataset that marks cold items: which tables a validation and the test have, in the log
 * and in the result, and what valid_metric is measured on. */
#include "run.h"

enum { FIRST_COLD = 30 }; /* items from here on are cold: by turns of the valid and the test part */

static uint8_t mark(int64_t item)
{
    return item < FIRST_COLD ? 0 : item % 2 == 0 ? CF_COLD_VALID : CF_COLD_TEST;
}

/* The part of a pair: of a cold item its own, of another one train, valid or test. */
static int marked_part(const int64_t pair[2])
{
    return mark(pair[1]) != 0 ? mark(pair[1]) : part_of(pair, true);
}

/* Without `warm_valid` the valid part has cold items alone. Collective. */
static void write_with_marks(const char *path, bool warm_valid)
{
    static uint8_t marks[ITEMS];
    cf_test_graph pairs = all_pairs();
    cf_lists part[3];

    for (int k = 0; k < 3; k++) {
        part[k] = make_part(&pairs, -1, true, NULL); /* empty, with room */
        for (int64_t u = 0, e = 0; u < USERS; u++) {
            part[k].start[u + 1] = part[k].start[u];
            for (; e < pairs.n_pairs && pairs.pairs[e][0] == u; e++)
                if (marked_part(pairs.pairs[e]) == k &&
                    (k != 1 || warm_valid || mark(pairs.pairs[e][1]) != 0))
                    part[k].index[part[k].start[u + 1]++] = pairs.pairs[e][1];
        }
    }
    for (int64_t i = 0; i < ITEMS; i++)
        marks[i] = mark(i);
    cf_test_dataset_write(path, ITEMS,
                          &(cf_dataset_content){.train = part[0],
                                                .valid = part[1],
                                                .test = part[2],
                                                .cold = marks,
                                                .embedding_dim = LLM_DIM,
                                                .read_vectors = make_vectors});
    for (int k = 0; k < 3; k++) {
        cf_free(&part[k].start);
        cf_free(&part[k].index);
    }
    cf_test_graph_destroy(&pairs);
}

/* ---- The log -------------------------------------------------------------------------------- */

/* `object` has the value at a path such as "cold/warm/ndcg@10". */
static double number_at(const json_t *object, const char *path)
{
    char key[64];

    for (const char *end; (end = strchr(path, '/')) != NULL; path = end + 1) {
        snprintf(key, sizeof key, "%.*s", (int)(end - path), path);
        object = json_object_get(object, key);
    }
    if (!json_is_number(json_object_get(object, path))) fail_msg("%s: no number", path);
    return json_number_value(json_object_get(object, path));
}

/* The log has 12 digits. */
static void check_cold(const json_t *event, const cf_cold_metrics *want)
{
    static const char *const tables[] = {"cold/warm/ndcg@10", "cold/cold/ndcg@10",
                                         "cold/all/ndcg@10"};
    static const char *const users[] = {"cold/warm/users", "cold/cold/users", "cold/all/users"};
    static const char *const positives[] = {"cold/warm/positives", "cold/cold/positives",
                                            "cold/all/positives"};

    assert_true(want->is_marked);
    for (int c = 0; c < CF_N_CANDIDATES; c++) {
        assert_true(want->has[c] && want->table[c].n_users > 0);
        assert_close(number_at(event, tables[c]), want->table[c].mean[CF_NDCG][1], 1e-11);
        assert_true(number_at(event, users[c]) == (double)want->table[c].n_users);
        assert_true(number_at(event, positives[c]) == (double)want->table[c].n_positives);
    }
    assert_close(number_at(event, "cold/warm_hit@5"), want->hit[CF_WARM][0], 1e-11);
    assert_close(number_at(event, "cold/cold_hit@10"), want->hit[CF_COLD][1], 1e-11);
    assert_true(number_at(event, "cold/warm_targets") == (double)want->n_targets[CF_WARM]);
    assert_true(number_at(event, "cold/cold_targets") == (double)want->n_targets[CF_COLD]);
    assert_true(number_at(event, "cold/left_out") == (double)want->n_left_out);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* The tables of a part at the run's best tables, measured by one rank. */
static cf_cold_metrics measure_alone(cf_split split)
{
    cf_trained *trained = load_alone();
    cf_eval_options options;
    cf_cold_metrics out;

    assert_ok(cf_eval_read_options(trained->config, &options));
    assert_ok(cf_eval_run_cold(&trained->scorer, split, &options, NULL, &out));
    cf_train_unload(&trained);
    return out;
}

/* What the log and the result of a run have, which is one epoch long. `main`: the table of
 * valid_metric; `has_tables`: a validation has all. */
static void check_run(const run_spec *spec, cf_candidates main, bool has_tables)
{
    cf_train_result result;
    cf_cold_metrics valid, test;

    clear_folder("run");
    assert_ok(run_train(&world, 1, spec, &result));
    valid = measure_alone(CF_SPLIT_VALID);
    test = measure_alone(CF_SPLIT_TEST);
    assert_true(result.progress.best_value == valid.table[main].mean[CF_NDCG][1]);
    assert_memory_equal(result.test.table, test.table, sizeof test.table);
    assert_memory_equal(result.test.hit, test.hit, sizeof test.hit);
    assert_true(valid.table[CF_WARM].mean[CF_NDCG][1] != valid.table[CF_ALL].mean[CF_NDCG][1]);
    if (world.rank != 0) return;
    json_t *event = last_event("run", "valid");
    assert_close(number_at(event, "metrics/ndcg@10"), valid.table[main].mean[CF_NDCG][1], 1e-11);
    if (has_tables)
        check_cold(event, &valid);
    else
        assert_null(json_object_get(event, "cold"));
    json_decref(event);
    event = last_event("run", "test");
    assert_close(number_at(event, "metrics/ndcg@10"), test.table[CF_ALL].mean[CF_NDCG][1], 1e-11);
    check_cold(event, &test);
    json_decref(event);
}

static void valid_candidates_say_what_is_measured(void **state)
{
    const run_spec steps_warm = {.data = "data.h5",
                                 .folder = "run",
                                 .sets = {"model=BPR", "emb_selection=var", "epochs=1"}},
                   steps_all = {.data = "data.h5",
                                .folder = "run",
                                .sets = {"model=BPR", "emb_selection=var", "epochs=1",
                                         "valid_candidates=all"}},
                   closed_warm = {.data = "data.h5", .folder = "run", .sets = {"model=EASE"}},
                   closed_all = {.data = "data.h5",
                                 .folder = "run",
                                 .sets = {"model=EASE", "valid_candidates=all"}};

    (void)state;
    write_with_marks(cf_test_scratch("data.h5"), true);
    check_run(&steps_warm, CF_WARM, false);
    check_run(&steps_all, CF_ALL, true);
    check_run(&closed_warm, CF_WARM, true);
    check_run(&closed_all, CF_ALL, true);
}

/* valid_metric would be 0 in every epoch. */
static void a_valid_part_without_warm_items_is_refused(void **state)
{
    run_spec spec = {
        .data = "data.h5", .folder = "run", .sets = {"model=BPR", "emb_selection=var", "epochs=1"}};
    cf_train_result result;

    (void)state;
    write_with_marks(cf_test_scratch("data.h5"), false);
    clear_folder("run");
    assert_int_equal(run_train(&world, 1, &spec, &result), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "valid_candidates: warm: no user has such an item"));
    spec.sets[3] = "valid_candidates=all";
    assert_ok(run_train(&world, 1, &spec, &result));
    assert_true(result.progress.best_value > 0);
    clear_folder("run");
    spec.sets[3] = "eval_step=0";
    assert_ok(run_train(&world, 1, &spec, &result));
}

static void without_marks_nothing_is_told_of_cold_items(void **state)
{
    const run_spec spec = {.data = "data.h5", .folder = "run", .sets = {"model=EASE"}};
    cf_train_result result;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
    assert_false(result.test.is_marked || result.test.has[CF_WARM] || result.test.has[CF_COLD]);
    if (world.rank != 0) return;
    json_t *event = last_event("run", "test");
    assert_null(json_object_get(event, "cold"));
    json_decref(event);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(valid_candidates_say_what_is_measured),
    cmocka_unit_test(a_valid_part_without_warm_items_is_refused),
    cmocka_unit_test(without_marks_nothing_is_told_of_cold_items),
};
CF_TEST_MAIN(tests)
