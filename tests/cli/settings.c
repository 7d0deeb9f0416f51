/* Files of settings as people of RecBole and LLMInit have them: several at once, and what a run
 * makes of them. */
#include "problem.h"

/* Write a file of settings into the folder of this test, and return its path. */
static const char *settings(const char *name, const char *yaml)
{
    static char path[4][1024];
    static int next;
    char *own = path[next++ % 4];

    put_path(own, name);
    if (world.rank == 0) {
        FILE *f = fopen(own, "w");

        assert_non_null(f);
        fputs(yaml, f);
        fclose(f);
    }
    MPI_Barrier(world.comm);
    return own;
}

/* On rank 0: `text` has the line. */
static void assert_line(const char *text, const char *line)
{
    if (world.rank == 0 && strstr(text, line) == NULL) fail_msg("\"%s\" is not in\n%s", line, text);
}

/* The keys of RecBole's overall.yaml, of its dataset's file and of a model's. */
static const char overall[] =
    "gpu_id: '0'\nuse_gpu: True\nseed: 2020\nstate: INFO\ndataset_save_path: ~\nepochs: 2\n"
    "train_batch_size: 64\nlearner: adam\nlearning_rate: 0.001\ntrain_neg_sample_args:\n"
    "  distribution: uniform\n  sample_num: 1\n  alpha: 1.0\n  dynamic: False\n"
    "  candidate_num: 0\neval_step: 1\nclip_grad_norm: ~\nweight_decay: 0.0\ntransform: ~\n"
    "eval_args:\n  split: {'RS':[0.8,0.1,0.1]}\n  group_by: user\n  order: RO\n  mode: full\n"
    "repeatable: True\nmetrics: [\"Recall\",\"NDCG\"]\ntopk: [10]\nvalid_metric: NDCG@10\n";
static const char dataset[] =
    "field_separator: \"\\t\"\nUSER_ID_FIELD: user_id\nITEM_ID_FIELD: item_id\nthreshold: ~\n"
    "kg_reverse_r: False\nentity_kg_num_interval: ~\nload_col:\n    inter: [user_id, item_id]\n"
    "rm_dup_inter: ~\nval_interval: ~\nuser_inter_num_interval: ~\n"
    "item_inter_num_interval: \"[0,inf)\"\nnormalize_field: ~\nnormalize_all: True\n";

static void files_of_recbole_make_a_dataset_and_a_run(void **state)
{
    const char *all = settings("overall.yaml", overall), *own = settings("ml.yaml", dataset),
               *model = settings("SGL.yaml", "type: 'ED'\nembedding_size: 32\nssl_tau: 0.2\n");
    char *text = NULL;

    (void)state;
    make_inputs();
    succeed("llminit prepare --inter %s --settings %s --settings %s --out %s --quiet", inter, all,
            own, data);
    succeed("llminit train %s %s %s --set model=SGL --set emb_selection=False --data %s --out %s "
            "--quiet",
            all, own, model, data, run);
    assert_int_equal(run_format(&text, "llminit settings %s/settings.yaml --yaml", run), CF_OK);
    assert_line(text, "\nmask_history: false\n");
    assert_line(text, "\nneg_exclude: current\n");
    assert_line(text, "\nepochs: 2\n");
    assert_line(text, "\nembedding_size: 32\n");
    free(text);
}

static void a_later_file_counts(void **state)
{
    const char *a = settings("a.yaml", "seed: 1\nepochs: 7\ntopk: [3]\n"),
               *b = settings("b.yaml", "seed: 2\ntopk: ~\n");
    char *text = NULL;

    (void)state;
    assert_int_equal(run_format(&text, "llminit settings %s --yaml %s --set eval_step=3", a, b),
                     CF_OK);
    assert_line(text, "\nseed: 2\n");
    assert_line(text, "\nepochs: 7\n");
    assert_line(text, "\ntopk: [10, 20]\n");
    assert_line(text, "\neval_step: 3\n");
    free(text);
    assert_int_equal(run_format(&text, "llminit settings %s %s --yaml", b, a), CF_OK);
    assert_line(text, "\nseed: 1\n");
    assert_line(text, "\ntopk: [3]\n");
    free(text);
}

/* LLMInit's False is the whole vector; a width that is not the dataset's is told. */
static void a_file_of_llminit_starts_from_the_whole_vector(void **state)
{
    const char *file = settings("ContGCN.yaml", "n_layers: 2\nreg_weight: 1e-05\n"
                                                "embedding_size: 16\nllm_embedding_size: 48\n"
                                                "emb_selection: False\n");
    const char *without = settings("c.yaml", "embedding_size: 16\nemb_selection: False\n");
    char *text = NULL;

    (void)state;
    make_inputs();
    succeed("llminit prepare --inter %s --item %s --embedding %s --out %s --quiet", inter, item,
            npy, data);
    succeed("llminit train %s --data %s --out %s --set epochs=1 --quiet", file, data, run);
    assert_int_equal(run_format(&text, "llminit settings %s/settings.yaml --yaml", run), CF_OK);
    assert_line(text, "model: LightGCN\n");
    assert_line(text, "\nemb_selection: full\n");
    assert_line(text, "\nembedding_size: 48\n");
    free(text);
    clear_output();
    assert_int_equal(run_format(NULL,
                                "llminit train %s --set model=ContGCN --data %s --out %s --quiet",
                                without, data, run),
                     CF_ERR_USAGE);
    assert_non_null(
        strstr(cf_error_message(), "embedding_size is 16, but emb_selection: full takes all 48"));
}

/* The greatest that a setting may be is told. */
static void limits_are_told(void **state)
{
    (void)state;
    assert_int_equal(
        run_line("llminit prepare --inter x --out y --set seed=18446744073709551615", NULL),
        CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "a whole number from 0 to 9007199254740992"));
    assert_int_equal(run_line("llminit train --data x --out y --set learning_rate=1e38", NULL),
                     CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "a number from 0 to 1e+30"));
}

/* Every metric that is computed passes without a word, and so does the name of every model's file.
 */
static void names_of_metrics_and_models_are_known(void **state)
{
    cf_config *config = NULL;
    char line[128];

    (void)state;
    assert_int_equal(cf_config_create(cf_train_tables, cf_train_n_tables, &config), CF_OK);
    assert_non_null(cf_config_model_name(config, "sgl"));
    assert_string_equal(cf_config_model_name(config, "ContSGCL"), "SGCL");
    assert_null(cf_config_model_name(config, "NGCF"));
    for (int m = 0; m < CF_N_METRICS; m++) {
        snprintf(line, sizeof line, "metrics: [%s]\n", cf_eval_metric_names[m]);
        cf_test_begin_stderr();
        assert_int_equal(cf_config_load_text(config, line, "f"), CF_OK);
        assert_string_equal(cf_test_end_stderr(), "");
    }
    cf_config_destroy(&config);
}

/* A model's file of RecBole does not say which model it is for. */
static void the_model_of_a_files_name_is_told(void **state)
{
    const char *file = settings("SGL.yaml", "ssl_tau: 0.2\n"), *told;
    char line[2200];

    (void)state;
    for (int set = 0; set < 2; set++) {
        snprintf(line, sizeof line, "llminit settings %s --yaml%s", file,
                 set ? " --set model=SGL" : "");
        cf_test_begin_stderr();
        assert_int_equal(run_line(line, NULL), CF_OK);
        told = cf_test_end_stderr();
        assert_true((strstr(told, "SGL.yaml: model is not set, LightGCN is trained; for the model "
                                  "of the file's name add --set model=SGL") != NULL) ==
                    (world.rank == 0 && !set));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(files_of_recbole_make_a_dataset_and_a_run),
    cmocka_unit_test(a_later_file_counts),
    cmocka_unit_test(a_file_of_llminit_starts_from_the_whole_vector),
    cmocka_unit_test(limits_are_told),
    cmocka_unit_test(the_model_of_a_files_name_is_told),
    cmocka_unit_test(names_of_metrics_and_models_are_known),
};
CF_TEST_MAIN(tests)
