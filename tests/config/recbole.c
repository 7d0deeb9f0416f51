#include "cf_test.h"
#include "table.h"

#include <string.h>

/* Of two files the later counts, null too; each of them may use RecBole's key or the setting. */
static void a_later_file_counts(void **state)
{
    cf_config *config = new_config();

    (void)state;
    assert_int_equal(cf_config_load_text(config, "topk: 5\nseed: 1\norder: time\n", "a"), CF_OK);
    assert_int_equal(cf_config_load_text(config, "topk: ~\nseed: 2\neval_args: {order: RO}\n", "b"),
                     CF_OK);
    assert_saved(config, "topk", "[10, 20]");
    assert_false(cf_config_given(config, "topk"));
    assert_int_equal(cf_config_int(config, "seed"), 2);
    assert_true(cf_config_is(config, "order", "random"));
    assert_int_equal(cf_config_load_text(config, "repeatable: True\n", "c"), CF_OK);
    assert_int_equal(cf_config_set(config, "mask_history=true"), CF_OK);
    assert_true(cf_config_bool(config, "mask_history"));
    assert_true(cf_config_is(config, "neg_exclude", "current"));
    cf_config_destroy(&config);
}

/* In LLMInit `emb_selection: False` is the whole vector. */
static void false_of_llminit_is_the_whole_vector(void **state)
{
    static const struct {
        const char *first, *second, *selection;
        int64_t size;
    } cases[] = {
        {"emb_selection: False\nembedding_size: 16\n", "", "False", 16},
        {"emb_selection: False\nembedding_size: 16\n", "model: ContGCN\n", "full", 16},
        {"model: ContSGL\n", "emb_selection: False\n", "full", 64},
        {"model: ContSGL\n", "emb_selection: uni\n", "uni", 64},
        {"model: ContSGL\n", "", "var", 64},
        {"model: ContSGL\nemb_selection: False\n", "model: SGL\n", "False", 64},
        {"embedding_size: 16\nllm_embedding_size: 32\nemb_selection: False\n", "", "full", 32},
        {"embedding_size: 16\nllm_embedding_size: 32\n", "emb_selection: rand\n", "rand", 16},
    };

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        cf_config *config = new_config();

        assert_int_equal(cf_config_load_text(config, cases[k].first, "a"), CF_OK);
        assert_int_equal(cf_config_load_text(config, cases[k].second, "b"), CF_OK);
        assert_int_equal(cf_config_settle(config), CF_OK);
        assert_saved(config, "emb_selection", cases[k].selection);
        assert_int_equal(cf_config_int(config, "embedding_size"), cases[k].size);
        cf_config_destroy(&config);
    }
}

/* What loading a text writes to stderr. */
static const char *log_of(const char *yaml)
{
    cf_config *config = new_config();
    cf_status status;
    const char *text;

    cf_test_begin_stderr();
    status = cf_config_load_text(config, yaml, "f");
    text = cf_test_end_stderr();
    if (status != CF_OK) fail_msg("%s: %s", yaml, cf_error_message());
    cf_config_destroy(&config);
    return text;
}

/* Values that are RecBole's own, or say what is done anyway, need no word. */
static const char silent[] =
    "gpu_id: '0'\nworker: 0\nuse_gpu: True\nstate: INFO\nreproducibility: yes\n"
    "data_path: 'dataset/'\nshow_progress: True\ndataset_save_path: ~\nlog_wandb: False\n"
    "shuffle: true\nclip_grad_norm: ~\nloss_decimal_place: 7\nenable_amp: False\ntransform: ~\n"
    "train_neg_sample_args: {distribution: uniform, sample_num: 1, alpha: 1.0, dynamic: False, "
    "candidate_num: 0}\n"
    "eval_args:\n  split: {'RS':[0.8,0.1,0.1]}\n  group_by: user\n  order: RO\n  mode: full\n"
    "repeatable: False\nmetrics: [\"Recall\",\"MRR\",NDCG, Hit, Precision]\nthreshold: ~\n"
    "valid_metric_bigger: True\neval_batch_size: 4096\nUSER_ID_FIELD: u\nLABEL_FIELD: label\n"
    "NEG_PREFIX: neg_\nMAX_ITEM_LIST_LENGTH: 50\nkg_reverse_r: False\nnormalize_all: True\n"
    "load_col: {inter: [user_id, item_id]}\nalias_of_item_id: ~\nseq_len: ~\ncontext: False\n";

static void only_other_values_are_told_of(void **state)
{
    static const struct {
        const char *yaml, *told;
    } told[] = {
        {"gpu_id: 1\nworker: 4\nuse_gpu: True\n",
         "f: ignored, without a meaning here: gpu_id, worker"},
        {"metrics: [Recall, AUC, GAUC]\n", "f:1: metrics: not computed: AUC, GAUC; Recall, NDCG"},
        {"metrics: AUC\n", "f:1: metrics: not computed: AUC; Recall"},
        {"shuffle: False\n", "f:1: shuffle: each epoch has a random order of its own"},
        {"seed: 1\nthreshold: {rating: 3}\n", "f:2: threshold: interactions have no labels"},
        {"normalize_field: [rating]\n", "f:1: normalize_field: columns are taken as they are"},
        {"benchmark_filename: [a, b]\n", "f:1: benchmark_filename: the parts of a split"},
    };

    (void)state;
    if (world.rank != 0) return; /* which writes nothing */
    assert_string_equal(log_of(silent), "");
    for (size_t k = 0; k < sizeof told / sizeof *told; k++) {
        const char *text = log_of(told[k].yaml);

        if (strstr(text, told[k].told) == NULL) fail_msg("%s: %s", told[k].yaml, text);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_later_file_counts),
    cmocka_unit_test(false_of_llminit_is_the_whole_vector),
    cmocka_unit_test(only_other_values_are_told_of),
};
CF_TEST_MAIN(tests)
