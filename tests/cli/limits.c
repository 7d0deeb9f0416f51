/* The smallest models and datasets: tables of one dimension, a catalogue of one item. */
#include "problem.h"

/* Train, and run every command on the model: its table of one dimension, or its matrix of one item,
 * is written, read and cut as any other. */
static void train_and_use(const char *model, const char *sets)
{
    const bool has_matrix =
        strcmp(model, "EASE") == 0 || strcmp(model, "L3AE") == 0 || strcmp(model, "ItemKNN") == 0;
    json_t *trained;

    clear_output();
    trained = succeed_json("llminit train --data %s --out %s --json --quiet --set model=%s --set "
                           "epochs=1 --set topk=3 --set valid_metric=MRR@3 %s",
                           data, run, model, sets);
    if (trained != NULL) assert_int_equal(integer(trained, "epochs"), 1);
    json_decref(trained);
    succeed("llminit recommend %s/best.h5 --data %s --out %s --topk 3 --quiet", run, data, tsv);
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", run, data, folder);
    succeed("llminit info %s/latest.h5", run);
    if (!has_matrix) succeed("llminit spectrum %s/best.h5 --data %s", run, data);
}

static void tables_may_have_one_dimension(void **state)
{
    static const char *const models[] = {"BPR", "LightGCN", "SGL", "SGCL"};
    static const char *const starts[] = {"var", "pca", "projection"};
    char sets[256];

    (void)state;
    make_inputs();
    succeed("llminit prepare --inter %s --item %s --embedding %s --out %s --set split=RS --quiet",
            inter, item, npy, data);
    for (size_t k = 0; k < sizeof models / sizeof *models; k++) {
        snprintf(sets, sizeof sets, "--set embedding_size=1 --set emb_selection=%s",
                 k > 0 ? starts[k - 1] : "False");
        train_and_use(models[k], sets);
        succeed("llminit evaluate %s/best.h5 --data %s", run, data);
    }
    succeed("llminit select %s --set embedding_size=1 --set emb_selection=qr", data);
    succeed("llminit spectrum %s --set embedding_size=1 --set emb_selection=whiten", data);
}

/* `n_users` users who have all chosen the one item, whose vector has one number. */
static void make_one_item(int n_users)
{
    make_inputs();
    if (world.rank == 0) {
        FILE *f = fopen(inter, "w");

        assert_non_null(f);
        fprintf(f, "user_id:token\titem_id:token\n");
        for (int u = 0; u < n_users; u++)
            fprintf(f, "u%d\tonly\n", u);
        fclose(f);
        f = fopen(item, "w");
        assert_non_null(f);
        fprintf(f, "item_id:token\ttitle:token_seq\tvector:float_seq\nonly\tThe item\t0.5\n");
        fclose(f);
    }
    succeed("llminit prepare --train %s --item %s --set embedding_field=vector --out %s --quiet",
            inter, item, data);
}

/* Only SGCL has no negatives, which there are none of. More ranks share the dimensions, of which a
 * closed form has one. */
static void a_catalogue_may_have_one_item(void **state)
{
    (void)state;
    for (int n_users = 1; n_users <= 3; n_users += 2) {
        make_one_item(n_users);
        train_and_use("SGCL", "--set embedding_size=64 --set emb_selection=False");
        if (world.size == 1) {
            train_and_use("SGCL", "--set embedding_size=1 --set emb_selection=full");
            train_and_use("EASE", "");
            train_and_use("L3AE", "");
            train_and_use("ItemKNN", "");
            train_and_use("Pop", "");
            train_and_use("ChebyCF", "--set ideal_dim=1");
            train_and_use("GF-CF", "--set ideal_weight=0");
            continue;
        }
        clear_output();
        assert_int_equal(
            run_format(NULL, "llminit train --data %s --out %s --set model=EASE", data, run),
            CF_ERR_USAGE);
        assert_non_null(strstr(cf_error_message(), "use fewer ranks"));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tables_may_have_one_dimension),
    cmocka_unit_test(a_catalogue_may_have_one_item),
};
CF_TEST_MAIN(tests)
