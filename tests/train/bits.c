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
     .sets = {"neg_distribution=popularity", "neg_sample_num=3", "epochs=2", "n_layers=1"}},
};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

static void every_grid_ends_with_the_bits_of_one_rank(void **state)
{
    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    write_dataset(cf_test_scratch("novalid.h5"), false);
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_grid_ends_with_the_bits_of_one_rank),
};
CF_TEST_MAIN(tests)
