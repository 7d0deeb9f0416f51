/* Datasets whose interactions have weights: iALS trains with them, unless interaction_weights is
 * none; every other model refuses them until it is. */
#include "run.h"

static const char *const others[] = {"BPR",  "LightGCN", "SGL", "SGCL",    "EASE",
                                     "L3AE", "ItemKNN",  "Pop", "ChebyCF", "GF-CF"};

static void other_models_refuse_weights(void **state)
{
    char model[64], words[128];
    run_spec spec = {.data = "weighted.h5", .folder = "run", .sets = {model, "ideal_dim=4"}};
    cf_train_result result;

    (void)state;
    write_weighted(cf_test_scratch("weighted.h5"), true);
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        clear_folder("run");
        snprintf(model, sizeof model, "model=%s", others[k]);
        snprintf(words, sizeof words,
                 "interactions have weights, which %s does not use: set interaction_weights: none",
                 others[k]);
        assert_refused(run_train(&world, 1, &spec, &result), CF_ERR_USAGE, words);
    }
    spec.sets[2] = "interaction_weights=none";
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        clear_folder("run");
        snprintf(model, sizeof model, "model=%s", others[k]);
        spec.sets[3] = k < 4 ? "epochs=1" : NULL;
        assert_ok(run_train(&world, 1, &spec, &result));
    }
}

static saved train_ials(const char *data, const char *weights)
{
    const run_spec spec = {
        .data = data,
        .folder = "run",
        .sets = {"model=iALS", "emb_selection=pca", "epochs=2", "reg_weight=0.05", weights}};
    cf_train_result result;

    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
    return read_saved("run", "latest.h5");
}

static void without_weights_a_training_is_that_of_equal_ones(void **state)
{
    saved plain, none, used;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    write_weighted(cf_test_scratch("weighted.h5"), true);
    plain = train_ials("data.h5", NULL);
    none = train_ials("weighted.h5", "interaction_weights=none");
    used = train_ials("weighted.h5", NULL);
    cf_test_same_bits(none.table[CF_USERS], plain.table[CF_USERS], USERS * DIM, "users");
    cf_test_same_bits(none.table[CF_ITEMS], plain.table[CF_ITEMS], ITEMS * DIM, "items");
    assert_true(memcmp(used.table[CF_ITEMS], plain.table[CF_ITEMS],
                       ITEMS * DIM * sizeof *used.table[CF_ITEMS]) != 0);
    drop_saved(&plain);
    drop_saved(&none);
    drop_saved(&used);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(other_models_refuse_weights),
    cmocka_unit_test(without_weights_a_training_is_that_of_equal_ones),
};
CF_TEST_MAIN(tests)
