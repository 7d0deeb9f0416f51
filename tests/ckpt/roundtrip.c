/* What is saved on one grid is loaded on every other; other learners and datasets are refused. */
#include "run.h"

static char path[1024];

static void name_file(void)
{
    snprintf(path, sizeof path, "%s", cf_test_scratch("run.h5"));
}

static void save(int n_rows, const char *learner, bool with_optim)
{
    test_run run;
    cf_ckpt state;

    name_file();
    test_create(n_rows, learner, &run);
    test_fill(&run);
    state = test_state(&run);
    if (!with_optim) state.optim = NULL;
    assert_ok(cf_ckpt_save(&world, path, &state));
    test_destroy(&run);
}

static void saved_on_one_grid_is_loaded_on_every_other(void **state)
{
    (void)state;
    for (int from = 1; from <= world.size; from++)
        for (int to = 1; to <= world.size; to++) {
            test_run run;

            if (world.size % from || world.size % to) continue;
            save(from, "adam start", true);
            test_create(to, "adam start", &run);
            assert_ok(test_load(path, &run, true));
            test_check(&run, ALL_TABLES);
            assert_int_equal(cf_optim_steps(run.optim), STEPS);
            test_destroy(&run);
        }
}

static void what_is_known_before_the_tables_comes_back(void **state)
{
    cf_ckpt_file *file = NULL;

    (void)state;
    save(1, "adam", true);
    assert_ok(cf_ckpt_open(&world, path, &file));
    assert_string_equal(file->settings, settings);
    assert_string_equal(file->version, CF_VERSION);
    assert_string_equal(file->build, build);
    assert_true(file->dataset_digest == digest);
    assert_int_equal(file->n_users, N_USERS);
    assert_int_equal(file->n_items, N_ITEMS);
    assert_int_equal(file->dim, DIM);
    assert_memory_equal(&file->progress, &progress, sizeof progress);
    assert_int_equal(file->selection->n_dims, selection.n_dims);
    assert_memory_equal(file->selection->dims, selection_dims, sizeof selection_dims);
    assert_memory_equal(file->selection->variances, selection_variances,
                        sizeof selection_variances);
    assert_memory_equal(file->selection->shift, selection_shift, sizeof selection_shift);
    assert_true(file->selection->factor == selection.factor);
    assert_true(file->selection->gain == selection.gain);
    assert_true(file->selection->unit);
    assert_int_equal(file->selection->n_popular, selection.n_popular);
    cf_ckpt_close(&file);
}

/* No selection, no settings, no build as of older programs, clocks that differ. */
static void a_run_from_noise_has_no_selection_and_rank_0s_seconds(void **state)
{
    cf_ckpt_file *file = NULL;
    test_run run;
    cf_ckpt noise;

    (void)state;
    name_file();
    test_create(1, "sgd", &run);
    noise = test_state(&run);
    noise.selection = NULL;
    noise.settings = "";
    noise.build = NULL;
    noise.progress.seconds = 100 + world.rank;
    assert_ok(cf_ckpt_save(&world, path, &noise));
    test_destroy(&run);
    assert_ok(cf_ckpt_open(&world, path, &file));
    assert_null(file->selection);
    assert_string_equal(file->settings, "");
    assert_null(file->build);
    assert_true(file->progress.seconds == 100);
    cf_ckpt_close(&file);
}

static void a_file_can_be_read_more_than_once(void **state)
{
    cf_ckpt_file *file = NULL;
    test_run run;

    (void)state;
    save(1, "adam", true);
    test_create(world.size, "adam", &run);
    assert_ok(cf_ckpt_open(&world, path, &file));
    for (int k = 0; k < 2; k++) {
        memset(run.table[0]->data, 0,
               (size_t)(run.table[0]->local_rows * run.table[0]->width) * sizeof(float));
        assert_ok(cf_ckpt_read(file, run.table, k == 0 ? NULL : run.optim));
        test_check(&run, k == 0 ? 1 : ALL_TABLES);
        assert_int_equal(cf_optim_steps(run.optim), k == 0 ? 0 : STEPS);
    }
    cf_ckpt_close(&file);
    test_destroy(&run);
}

/* What is in the file against who reads it. `words` NULL: it can be read. */
static const struct {
    const char *saved;
    bool with_optim;
    const char *reader, *words;
} learners[] = {
    {"adam", true, "adam", NULL},
    {"sgd", true, "sgd", NULL},
    {"adam start", true, "adam start", NULL},
    {"adam frozen", true, "adam frozen", NULL},
    {"sgd start frozen", true, "sgd start frozen", NULL},
    {"sgd", true, "adam", "run.h5: has no /optimizer/user_moment1, expected one"},
    {"adam", true, "sgd", "run.h5: has a /optimizer/user_moment1, expected none"},
    {"adam", true, "adam frozen", "run.h5: has a /optimizer/item_moment1, expected none"},
    {"adam frozen", true, "adam", "run.h5: has no /optimizer/item_moment1, expected one"},
    {"adam", true, "adam start", "run.h5: has no /start/user_embedding, expected one"},
    {"adam start", true, "adam", "run.h5: has a /start/user_embedding, expected none"},
    {"sgd start", true, "sgd start frozen", "run.h5: has a /start/item_embedding, expected none"},
    {"adam", false, "adam", "run.h5: has no optimizer state"},
    {"sgd", false, "sgd", "run.h5: has no optimizer state"},
};

static void another_learner_is_refused_before_a_table_is_touched(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof learners / sizeof learners[0]; k++) {
        test_run run;

        save(1, learners[k].saved, learners[k].with_optim);
        test_create(world.size, learners[k].reader, &run);
        if (learners[k].words == NULL) {
            assert_ok(test_load(path, &run, true));
            test_check(&run, ALL_TABLES);
            assert_int_equal(cf_optim_steps(run.optim), STEPS);
        } else {
            const cf_table *users = run.table[CF_USERS];

            assert_refused(test_load(path, &run, true), CF_ERR_FORMAT, learners[k].words);
            for (int64_t i = 0; i < users->local_rows * users->width; i++)
                assert_true(users->data[i] == 0);
            assert_int_equal(cf_optim_steps(run.optim), 0);
            assert_ok(test_load(path, &run, false)); /* the tables alone always can be */
            test_check(&run, 1);
        }
        test_destroy(&run);
    }
}

static void another_dataset_is_refused(void **state)
{
    static const struct {
        int64_t counts[2];
        uint64_t digest;
        const char *words; /* NULL: the same dataset */
    } cases[] = {
        {{N_USERS, N_ITEMS}, 0x00c0ffee12345678, NULL},
        {{15699, N_ITEMS},
         0x00c0ffee12345678,
         "run.h5 was trained on another dataset than data.h5 (15699 users x 17 items here, 23 x 17 "
         "there)"},
        {{N_USERS, 5192}, 0x00c0ffee12345678, "(23 users x 5192 items here, 23 x 17 there)"},
        {{N_USERS, N_ITEMS},
         0x80c0ffee12345678,
         "run.h5 was trained on another dataset than data.h5 (digest 80c0ffee12345678 here, "
         "00c0ffee12345678 there)"},
    };
    cf_ckpt_file *file = NULL;

    (void)state;
    save(1, "sgd", true);
    assert_ok(cf_ckpt_open(&world, path, &file));
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
        if (cases[k].words == NULL)
            assert_ok(cf_ckpt_check_dataset(file, "data.h5", cases[k].digest, cases[k].counts));
        else
            assert_refused(cf_ckpt_check_dataset(file, "data.h5", cases[k].digest, cases[k].counts),
                           CF_ERR_FORMAT, cases[k].words);
    cf_ckpt_close(&file);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(saved_on_one_grid_is_loaded_on_every_other),
    cmocka_unit_test(what_is_known_before_the_tables_comes_back),
    cmocka_unit_test(a_run_from_noise_has_no_selection_and_rank_0s_seconds),
    cmocka_unit_test(a_file_can_be_read_more_than_once),
    cmocka_unit_test(another_learner_is_refused_before_a_table_is_touched),
    cmocka_unit_test(another_dataset_is_refused),
};

CF_TEST_MAIN(tests)
