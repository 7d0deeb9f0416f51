#include "run.h"

static const run_spec variants[] = {
    {.data = "data.h5",
     .folder = "run",
     .sets = {"emb_selection=var", "epochs=4", "n_layers=2", "eval_step=2"}},
    {.data = "data.h5",
     .folder = "run",
     .sets = {"model=BPR", "emb_selection=False", "init=normal", "epochs=3", "learner=sgd",
              "learning_rate=0.5", "neg_exclude=current"}},
    {.data = "novalid.h5",
     .folder = "run",
     .sets = {"emb_selection=uni", "epochs=2", "n_layers=3", "weight_decay=0.001"}},
    {.data = "data.h5",
     .folder = "run",
     .sets = {"model=SGL", "type=RW", "drop_ratio=0.3", "epochs=2", "n_layers=2", "ssl_tau=0.2"}},
    {.data = "data.h5",
     .folder = "run",
     .sets = {"emb_selection=whiten", "whiten_power=0.5", "emb_norm=1.5", "epochs=1"}},
    {.data = "data.h5", .folder = "run", .sets = {"model=SGCL", "epochs=2", "n_layers=1"}},
    {.data = "data.h5",
     .folder = "run",
     .sets = {"model=iALS", "emb_selection=pca", "epochs=3", "reg_weight=0.05", "nu=0.7"}},
    {.data = "novalid.h5",
     .folder = "run",
     .sets = {"model=iALS", "emb_selection=False", "epochs=2", "reg_weight=0.05",
              "item_prior=none"}},
    {.data = "weighted.h5",
     .folder = "run",
     .sets = {"model=iALS", "emb_selection=pca", "epochs=3", "reg_weight=0.05"}},
    {.data = "weighted.h5",
     .folder = "run",
     .sets = {"interaction_weights=none", "emb_selection=pca", "epochs=2"}},
    {.data = "data.h5",
     .folder = "run",
     .sets = {"neg_distribution=popularity", "neg_sample_num=3", "epochs=2", "n_layers=1"}},
    {.data = "data.h5",
     .folder = "run",
     .sets = {"emb_selection=pca", "start_decay=0.05", "weight_decay=0.001", "epochs=2"}},
    {.data = "data.h5",
     .folder = "run",
     .sets = {"emb_selection=pca", "freeze_items=true", "start_decay=0.05", "epochs=2"}},
};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

static void every_grid_ends_with_the_bits_of_one_rank(void **state)
{
    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    write_dataset(cf_test_scratch("novalid.h5"), false);
    write_weighted(cf_test_scratch("weighted.h5"), true);
    for (int v = 0; v < N_VARIANTS; v++) {
        outcome want = run_alone(&variants[v]);

        for (int k = 0, columns; (columns = grid_columns(&world, k)) > 0; k++) {
            cf_train_result result;
            outcome got;

            clear_folder("run");
            assert_ok(run_train(&world, columns, &variants[v], &result));
            got = finished(&variants[v], &result);
            check_same_outcome(&got, &want);
            drop_outcome(&got);
        }
        drop_outcome(&want);
    }
}

/* Users learn, items stay where they started. */
static void frozen_items_keep_their_start(void **state)
{
    run_spec spec = {.data = "data.h5",
                     .folder = "run",
                     .sets = {"emb_selection=pca", "freeze_items=true", "epochs=0"}};
    cf_train_result result;
    saved start, end;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
    start = read_saved("run", "latest.h5");
    clear_folder("run");
    spec.sets[2] = "epochs=2";
    assert_ok(run_train(&world, 1, &spec, &result));
    end = read_saved("run", "latest.h5");
    cf_test_same_bits(end.table[CF_ITEMS], start.table[CF_ITEMS], ITEMS * DIM, "item table");
    assert_true(memcmp(end.table[CF_USERS], start.table[CF_USERS],
                       USERS * DIM * sizeof *end.table[CF_USERS]) != 0);
    drop_saved(&start);
    drop_saved(&end);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(frozen_items_keep_their_start),
    cmocka_unit_test(every_grid_ends_with_the_bits_of_one_rank),
};
CF_TEST_MAIN(tests)
