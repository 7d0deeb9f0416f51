#include "cf_test.h"
#include "table.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A file of this rank alone. */
static const char *scratch(const char *name)
{
    char own[64];

    snprintf(own, sizeof own, "%s.%d", name, world.rank);
    return cf_test_scratch(own);
}

static const char *write_file(const char *bytes, size_t size)
{
    const char *path = scratch("settings.yaml");
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void assert_message_has(const char *text)
{
    if (!strstr(cf_error_message(), text))
        fail_msg("\"%s\" is not in the message \"%s\"", text, cf_error_message());
}

/* ---- What is understood --------------------------------------------------------------------- */

typedef struct accepted {
    const char *yaml, *name, *value; /* value: as cf_config_to_yaml() writes it */
} accepted;

static const accepted fine[] = {
    {"", "topk", "[10, 20]"},
    {"\n# only a comment\n", "topk", "[10, 20]"},
    {"---\n...\n", "topk", "[10, 20]"},
    {"~\n", "topk", "[10, 20]"},
    {"embedding_size: 128\n", "embedding_size", "128"},
    {"embedding_size: 1e3\n", "embedding_size", "1000"},
    {"embedding_size: \"32\"\n", "embedding_size", "32"},
    {"embedding_size: 64.0\n", "embedding_size", "64"},
    {"embedding_size: +7", "embedding_size", "7"},
    {"seed: 9000000000000000000\n", "seed", "9000000000000000000"},
    {"learning_rate: 1e-3\n", "learning_rate", "0.001"},
    {"learning_rate: .5\n", "learning_rate", "0.5"},
    {"learning_rate: 0.1\n", "learning_rate", "0.1"},
    {"learning_rate: 0.30000000000000004\n", "learning_rate", "0.30000000000000004"},
    {"limit: .inf\n", "limit", ".inf"},
    {"limit: -1e300\n", "limit", "-1e+300"},
    {"require_pow: yes\n", "require_pow", "true"},
    {"require_pow: True\n", "require_pow", "true"},
    {"require_pow: off\n", "require_pow", "false"},
    {"emb_selection: UNI\n", "emb_selection", "uni"},
    {"emb_selection: False\n", "emb_selection", "False"},
    {"topk: 10\n", "topk", "[10]"},
    {"topk: [5]\n", "topk", "[5]"},
    {"topk:\n- 5\n- 1e2\n", "topk", "[5, 100]"},
    {"topk: []\n", "topk", "[]"},
    /* null is "not set": the default */
    {"topk: ~\n", "topk", "[10, 20]"},
    {"embedding_size:\n", "embedding_size", "64"},
    {"emb_selection: null\n", "emb_selection", "var"},
    {"require_pow: ~\n", "require_pow", "false"},
    {"TIME_FIELD: ~\n", "time_field", "\"timestamp\""},
    {"eval_args: ~\ntrain_neg_sample_args: ~\nrepeatable: ~\nmetrics: ~\n", "split", "RS"},
    {"clip_grad_norm: ~\npreload_weight: ~\nthreshold: ~\n", "split", "RS"},
    {"split_ratios: [0.5, 0.25, .25]\n", "split_ratios", "[0.5, 0.25, 0.25]"},
    {"valid_metric: Recall@20 # best\n", "valid_metric", "\"Recall@20\""},
    {"valid_metric: null\n", "valid_metric", "\"NDCG@10\""},
    {"valid_metric: ''\n", "valid_metric", "\"\""},
    {"valid_metric: 'null'\n", "valid_metric", "\"null\""},
    {"valid_metric: \"a\\\"b\\\\c\\n\\td\"\n", "valid_metric", "\"a\\\"b\\\\c\\n\\td\""},
    {"valid_metric: \xC3\xA9\xF0\x9F\x98\x80\n", "valid_metric", "\"\\U000000E9\\U0001F600\""},
    {"valid_metric: \"\\u2028\\ufeff\\x1b\"\n", "valid_metric",
     "\"\\U00002028\\U0000FEFF\\U0000001B\""},
    {"val_interval: {rating: \"[3,inf)\", timestamp: 5}\n", "val_interval",
     "{\"rating\": \"[3,inf)\", \"timestamp\": \"5\"}"},
    {"val_interval:\n    rating: \"[3,inf)\"\n", "val_interval", "{\"rating\": \"[3,inf)\"}"},
    {"val_interval: ~\n", "val_interval", "{}"},
    {"eval_args:\n  split: {'RS': [0.7, 0.1, 0.2]}\n  order: TO\n  group_by: user\n  mode: full\n",
     "split_ratios", "[0.7, 0.1, 0.2]"},
    {"eval_args: {order: TO}\n", "order", "time"},
    {"eval_args: {order: RO}\n", "order", "random"},
    {"eval_args: {split: {LS: valid_and_test}, mode: {valid: full, test: full}}\n", "split", "LS"},
    {"eval_args: {split: {TS: [10, 2e1]}, group_by: user}\n", "split", "TS"},
    {"eval_args: {split: {TS: [10, 2e1]}}\n", "split_times", "[\"10\", \"2e1\"]"},
    {"split_times: [2022-03-01 12:34:56, '2022-04-01']\n", "split_times",
     "[\"2022-03-01 12:34:56\", \"2022-04-01\"]"},
    {"split_times: 2022-03-01T12:34:56+01:00\n", "split_times", "[\"2022-03-01T12:34:56+01:00\"]"},
    {"TIME_FIELD: when\n", "time_field", "\"when\""},
    {"title: name\n", "title_field", "\"name\""},
    {"emb_init: vector\n", "embedding_field", "\"vector\""},
    {"repeatable: True\n", "mask_history", "false"},
    {"repeatable: True\n", "neg_exclude", "current"},
    {"repeatable: False\n", "mask_history", "true"},
    {"repeatable: no\n", "neg_exclude", "train"},
    {"train_neg_sample_args: {distribution: popularity, sample_num: 5, alpha: 1.0, dynamic: False, "
     "candidate_num: 0}\n",
     "neg_distribution", "popularity"},
    {"train_neg_sample_args: {distribution: uniform, sample_num: 5, alpha: 0.5}\n",
     "neg_sample_num", "5"},
    {"neg_sampling: {popularity: 3}\n", "neg_sample_num", "3"},
    {"neg_sampling: {popularity: 3}\n", "neg_distribution", "popularity"},
    {"model: ContGCN\n", "model", "LightGCN"},
    {"model: contsgl\n", "model", "SGL"},
    {"model: ContSGCL\n", "model", "SGCL"},
    {"gpu_id: 0\nworker: 4\nUSER_ID_FIELD: user_id\nNEG_PREFIX: neg_\nload_col: {inter: [a]}\n"
     "embedding_size: 9\nmetrics: [Recall]\neval_batch_size: 4096\nbenchmark_filename: [a, b]\n",
     "embedding_size", "9"},
};

static void values_of_all_kinds_are_taken(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof fine / sizeof *fine; k++) {
        cf_config *config = new_config();
        cf_status status;

        status = cf_config_load(config, write_file(fine[k].yaml, strlen(fine[k].yaml)));
        if (status != CF_OK) fail_msg("%s: %s", fine[k].yaml, cf_error_message());
        assert_saved(config, fine[k].name, fine[k].value);
        cf_config_destroy(&config);
    }
}

static void an_alias_stands_for_its_value(void **state)
{
    cf_config *config = new_config();

    (void)state;
    assert_int_equal(cf_config_load_text(config, "topk: &k [3]\nsplit_ratios: *k\n", "f"),
                     CF_ERR_USAGE); /* 3 is no ratio: what was read is the alias's list */
    assert_string_equal(cf_error_message(), "f:1: split_ratios: \"3\" is not a number from 0 to 1");
    assert_int_equal(cf_config_load_text(config, "topk: &k [1]\nsplit_ratios: *k\n", "f"), CF_OK);
    assert_saved(config, "split_ratios", "[1]");
    cf_config_destroy(&config);
}

/* ---- What is refused ------------------------------------------------------------------------ */

typedef struct refused {
    const char *yaml, *message;
} refused;

static const refused bad[] = {
    {"embedding_size: abc\n", "f:1: embedding_size: \"abc\" is not a whole number from 1 to 4096"},
    {"seed: 1\n\nembedding_size: 0\n", "f:3: embedding_size: \"0\" is not"},
    {"embedding_size: 4097\n", "\"4097\" is not"},
    {"embedding_size: 1.5\n", "\"1.5\" is not a whole number"},
    {"embedding_size: 010\n", "\"010\" is not"},
    {"embedding_size: 0x10\n", "\"0x10\" is not"},
    {"embedding_size: 1_000\n", "\"1_000\" is not"},
    {"embedding_size: 99999999999999999999999999\n", "is not a whole number"},
    {"embedding_size: 1e999\n", "\"1e999\" is not"},
    {"embedding_size: [64]\n",
     "f:1: embedding_size: expected a whole number from 1 to 4096, found"},
    {"embedding_size: ''\n", "\"\" is not a whole number"},
    {"embedding_size: {a: 1}\n", "found a list or mapping"},
    {"embedding_size: .nan\n", "\".nan\" is not a whole number"},
    {"embedding_size: .inf\n", "\".inf\" is not a whole number"},
    {"embedding_size: \"6\\n4\"\n", "\"6?4\" is not"},
    {"embedding_size: \"64\\0\"\n", "f:1: 64: the text has a zero byte"},
    {"seed: 1\ntopk: [5, \"10\\0\"]\n", "f:2: 10: the text has a zero byte"},
    {"val_interval: {rating: \"[3,inf)\\0(0,1)\"}\n", "f:1: [3,inf): the text has a zero byte"},
    {"val_interval: {\"rating\\0x\": \"[3,inf)\"}\n", "f:1: rating: the text has a zero byte"},
    {"\"seed\\0x\": 1\n", "f:1: seed: the text has a zero byte"},
    {"seed: -1\n", "\"-1\" is not a whole number from 0 to 9000000000000000000"},
    {"seed: 9000000000000000001\n", "is not a whole number from 0 to 9000000000000000000"},
    {"seed: 18446744073709551615\n", "is not a whole number from 0 to 9000000000000000000"},
    {"limit: -1e301\n", "\"-1e301\" is not a number of at least -1e+300"},
    {"seed: 9223372036854775808\n", "is not a whole number"},
    {"seed: 9100000000000000000\n", "is not a whole number"},
    {"learning_rate: nan\n", "\"nan\" is not a number from 0 to 10"},
    {"learning_rate: 1e\n", "\"1e\" is not"},
    {"learning_rate: 1-2\n", "\"1-2\" is not"},
    {"learning_rate: 0x1p-3\n", "is not a number"},
    {"learning_rate: inf\n", "\"inf\" is not"},
    {"limit: -.inf\n", "\"-.inf\" is not"},
    {"limit: nan\n", "\"nan\" is not"},
    {"require_pow: 2\n", "f:1: require_pow: \"2\" is not true or false"},
    {"require_pow: [true]\n", "expected true or false"},
    {"emb_selection: vra\n", "f:1: emb_selection: \"vra\" is not one of uni, rand, var, full, "
                             "False (did you mean \"var\"?)"},
    {"emb_selection: [var]\n", "expected one of"},
    {"topk: [10, x]\n", "f:1: topk: \"x\" is not a whole number from 1 to 1000"},
    {"topk:\n- 10\n- 0\n", "f:3: topk: \"0\" is not"},
    {"topk: [10, [20]]\n", "found a list or mapping"},
    {"topk: {10: 20}\n", "found a mapping"},
    {"topk: 10, 20\n", "\"10, 20\" is not"},
    {"valid_metric: [a]\n", "expected a text"},
    {"val_interval: \"[3,inf)\"\n", "f:1: val_interval: expected a mapping"},
    {"val_interval: {rating: [3, 4]}\n", "expected one text for each name"},
    {"val_interval: {a: 1, a: 2}\n", "\"a\" is given twice"},
    {"seed: 1\nembeding_size: 64\n",
     "f:2: embeding_size: unknown setting (did you mean \"embedding_size\"?)"},
    {"completely_else: 1\n", "f:1: completely_else: unknown setting"},
    {"sed: 1\nseed: 3\n\nwhatever: 1\nepoch: ~\n",
     "f: unknown settings: sed (line 1, did you mean \"seed\"?), whatever (line 4), epoch (line 5, "
     "did you mean \"epochs\"?)"},
    {"sed: 1\nseed: x\n", "f:2: seed: \"x\" is not"}, /* a value before an unknown name */
    {"seed: 1\ntopk: 5\nseed: 1\n", "f:3: seed: given twice, first on line 1"},
    {"eval_args: {order: TO}\norder: time\n", "f:2: order: given twice"},
    {"[1, 2]: 3\n", "expected the name of a setting"},
    {"- a\n- b\n", "f:1: not a file of settings: expected lines of \"name: value\""},
    {"just a text\n", "f:1: not a file of settings"},
    {"seed: 1\n---\nseed: 2\n", "expected one document"},
    {"seed: 1\n\ttopk: 5\n", "f:2: not valid YAML"},
    {"\tseed: 1\n", "f:1: not valid YAML"},
    {"topk: [10, 20\n", "not valid YAML"},
    {"seed: 1\ntopk: [10,\n", "not valid YAML"},
    {"valid_metric: \"abc\n", "not valid YAML"},
    {"seed: *nothing\n", "not valid YAML: found undefined alias"},
    {"seed: 1\nvalid_metric: \xFF\xFE\n", "f:2: not valid YAML"},
    {"val_interval: {rating: [3,inf)}\n", "not valid YAML"},
    {"eval_args: 5\n", "f:1: eval_args: expected a mapping"},
    {"eval_args: {mode: uni100}\n", "f:1: eval_args: mode: expected full"},
    {"eval_args: {mode: {valid: full, test: pop100}}\n", "eval_args: mode: expected full"},
    {"eval_args: {order: XX}\n", "eval_args: order: expected RO or TO"},
    {"eval_args: {group_by: None}\n", "eval_args: group_by: expected user"},
    {"eval_args: {split: RS}\n", "eval_args: split: expected {RS"},
    {"eval_args: {split: {LS: valid_only}}\n", "eval_args: split: LS: expected valid_and_test"},
    {"eval_args: {split: {RS: [0.8, 2]}}\n", "split_ratios: \"2\" is not a number from 0 to 1"},
    {"eval_args: {split: {XS: 1}}\n", "\"XS\" is not one of RS, LS, TS"},
    {"split_times: [1, [2]]\n", "f:1: split_times: expected a text, found"},
    {"split_times: {1: 2}\n", "f:1: split_times: expected a list of texts, found"},
    {"eval_args: {split: {TS: [0.8, 0.1, 0.1]}}\n", "TS: expected two times, [t1, t2]"},
    {"repeatable: maybe\n", "f:1: repeatable: expected true or false"},
    {"mask_history: true\nrepeatable: True\n", "f:2: mask_history: given twice, first on line 1"},
    {"train_neg_sample_args: {distribution: gaussian}\n", "not one of uniform, popularity"},
    {"train_neg_sample_args: {alpha: 0.5, distribution: popularity}\n",
     "train_neg_sample_args: alpha: expected 1.0"},
    {"train_neg_sample_args: {dynamic: True}\n", "train_neg_sample_args: dynamic: expected False"},
    {"train_neg_sample_args: {sample_num: 0}\n", "neg_sample_num: \"0\" is not"},
    {"train_neg_sample_args: {num: 1}\n", "train_neg_sample_args: expected only distribution"},
    {"train_neg_sample_args: none\n", "train_neg_sample_args: expected a mapping"},
    {"neg_sampling: 1\n", "f:1: neg_sampling: expected {uniform: 1}"},
    {"llm_embedding_size: 0\n", "f:1: llm_embedding_size: expected a whole number"},
    {"clip_grad_norm: {max_norm: 5}\n", "f:1: clip_grad_norm: gradients are not clipped"},
    {"preload_weight: {iid: vector}\n", "f:1: preload_weight: vectors of items are given by"},
    {"model: NGCF\n", "f:1: model: \"NGCF\" is not one of BPR, LightGCN, SGL, SGCL"},
    {"eval_args: {splits: 1}\n", "expected only split, order, group_by and mode"},
};

static void bad_values_are_refused_and_change_nothing(void **state)
{
    cf_config *config = new_config();
    char *before = NULL, *after = NULL;

    (void)state;
    assert_int_equal(cf_config_to_yaml(config, &before), CF_OK);
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        char text[400];

        snprintf(text, sizeof text, "%s", bad[k].yaml);
        if (cf_config_load_text(config, text, "f") != CF_ERR_USAGE)
            fail_msg("accepted: %s", bad[k].yaml);
        assert_message_has(bad[k].message);
        assert_int_equal(cf_config_to_yaml(config, &after), CF_OK);
        assert_string_equal(before, after);
        cf_free(&after);
    }
    /* one good line before a bad one is not taken either */
    assert_int_equal(cf_config_load_text(config, "seed: 7\ntopk: x\n", "f"), CF_ERR_USAGE);
    assert_int_equal(cf_config_int(config, "seed"), 2020);
    assert_false(cf_config_given(config, "seed"));
    cf_free(&before);
    cf_config_destroy(&config);
}

/* Every beginning of a file, and every file with one byte changed, is taken or refused; none
 * crashes or leaks. */
static void cut_and_damaged_files_end_in_a_message(void **state)
{
    static const char whole[] =
        "# run\nembedding_size: 128\ntopk: [10, 20]\nval_interval: {rating: \"[3,inf)\"}\n"
        "eval_args: {split: {RS: [0.8, 0.1, 0.1]}, order: RO, mode: full}\n"
        "valid_metric: 'a'\nsplit: &x LS\n";
    static const char bytes[] = "\t\n:{}[]\"'\0\xFF&*-?!";

    (void)state;
    for (size_t length = 0; length + 1 < sizeof whole; length++)
        for (size_t k = 0; k < sizeof bytes; k++) {
            cf_config *config = new_config();
            char text[sizeof whole];
            cf_status status;

            memcpy(text, whole, sizeof whole);
            if (k < sizeof bytes - 1)
                text[length] = bytes[k];
            else
                text[length] = '\0';
            status = cf_config_load_text(config, text, "f");
            assert_true(status == CF_OK || status == CF_ERR_USAGE);
            cf_config_destroy(&config);
        }
}

/* One file can hold the settings of several commands: those of another are passed over. */
static void settings_of_another_command_are_passed_over(void **state)
{
    const cf_setting *const own[] = {model_table};
    cf_config *config = NULL;
    char *yaml = NULL;

    (void)state;
    assert_int_equal(cf_config_create(own, 1, &config), CF_OK);
    assert_int_equal(cf_config_load_text(config, "split: LS\nseed: 3\n", "f"), CF_ERR_USAGE);
    cf_config_ignore(config, data_table);
    assert_int_equal(
        cf_config_load_text(
            config, "split: LS\nseed: 3\neval_args: {split: x, order: y, mode: full}\n", "f"),
        CF_OK);
    assert_int_equal(cf_config_int(config, "seed"), 3);
    assert_int_equal(cf_config_load_text(config, "splits: LS\n", "f"), CF_ERR_USAGE);
    assert_message_has("did you mean \"split\"?");
    /* of the command line nothing is passed over, and a mode that is not there is for no command */
    assert_int_equal(cf_config_set(config, "split=LS"), CF_ERR_USAGE);
    assert_string_equal(cf_error_message(), "--set: split: a setting of another command");
    assert_int_equal(cf_config_load_text(config, "eval_args: {mode: uni100}\n", "f"), CF_ERR_USAGE);
    assert_int_equal(cf_config_to_yaml(config, &yaml), CF_OK);
    assert_null(strstr(yaml, "split"));
    cf_free(&yaml);
    cf_config_destroy(&config);
}

static void files_that_are_not_settings_are_named(void **state)
{
    static char large[(1 << 20) + 2];
    cf_config *config = new_config();

    (void)state;
    assert_int_equal(cf_config_load(config, "/nonexistent/s.yaml"), CF_ERR_IO);
    assert_message_has("/nonexistent/s.yaml: cannot open (No such file");
    assert_int_equal(cf_config_load(config, "/"), CF_ERR_IO);
    assert_message_has("/: cannot read");
    memset(large, '#', sizeof large);
    assert_int_equal(cf_config_load(config, write_file(large, sizeof large)), CF_ERR_USAGE);
    assert_message_has("over 1 MiB");
    assert_int_equal(cf_config_load(config, write_file("\x89HDF\r\n\x1a\n\0\0\0", 11)),
                     CF_ERR_USAGE);
    assert_message_has(":1: not valid YAML");
    assert_int_equal(cf_config_load(config, write_file("seed: 1\0topk: 5\n", 16)), CF_ERR_USAGE);
    cf_config_destroy(&config);
}

/* libyaml alone would take minutes. */
static void deep_and_long_texts_are_refused_at_once(void **state)
{
    static char text[500000];
    const double began = cf_clock_now();
    cf_config *config = new_config();
    size_t used;

    (void)state;
    memset(text, '[', 40000);
    memcpy(text, "\ntopk: ", 7);
    text[40000] = '\0';
    assert_int_equal(cf_config_load_text(config, text, "f"), CF_ERR_USAGE);
    assert_message_has("f:2: not a text of settings: lists within lists, deeper than 16");
    memcpy(text, "topk=[[", 7);
    assert_int_equal(cf_config_set(config, text), CF_ERR_USAGE);
    assert_message_has("--set: not a text of settings: lists within lists");
    used = (size_t)sprintf(text, "val_interval: {");
    for (int k = 0; k < 40000; k++)
        used += (size_t)sprintf(text + used, "n%d: ,", k);
    sprintf(text + used, "}\n");
    assert_int_equal(cf_config_load_text(config, text, "f"), CF_ERR_USAGE);
    assert_message_has("f:1: not a text of settings: more than 20000 names and values");
    assert_true(cf_clock_now() - began < 5);
    cf_config_destroy(&config);
}

/* Nobody writes to it. */
static void an_empty_pipe_does_not_hold_the_program(void **state)
{
    const char *path = scratch("pipe");
    cf_config *config = new_config();

    (void)state;
    remove(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(cf_config_load(config, path), CF_ERR_IO);
    assert_message_has("pipe");
    assert_message_has(": nothing to read within 5 seconds");
    remove(path);
    cf_config_destroy(&config);
}

static void no_memory_is_an_error_at_every_allocation(void **state)
{
    static const char yaml[] =
        "topk: [1, 2]\ngpu_id: 1\nval_interval: {a: b}\nvalid_metric: x\nseed: ~\n"
        "metrics: [AUC]\nrepeatable: True\nmodel: ContGCN\nemb_selection: False\n";
    int64_t n = 1;

    (void)state;
    cf_log_enable(false, true); /* the same warning again and again */
    for (;; n++) {
        cf_config *config = NULL;
        char *text = NULL;
        cf_status status;

        cf_alloc_fail_at(n);
        status = cf_config_create(tables, N_TABLES, &config);
        if (status == CF_OK) status = cf_config_load_text(config, yaml, "f");
        if (status == CF_OK) status = cf_config_set(config, "topk=7");
        if (status == CF_OK) status = cf_config_settle(config);
        if (status == CF_OK) status = cf_config_to_yaml(config, &text);
        cf_alloc_fail_at(0);
        cf_free(&text);
        cf_config_destroy(&config);
        if (status == CF_OK) break;
        assert_int_equal(status, CF_ERR_MEMORY);
    }
    cf_log_enable(world.rank == 0, false);
    assert_true(n > 20);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(values_of_all_kinds_are_taken),
    cmocka_unit_test(an_alias_stands_for_its_value),
    cmocka_unit_test(bad_values_are_refused_and_change_nothing),
    cmocka_unit_test(cut_and_damaged_files_end_in_a_message),
    cmocka_unit_test(settings_of_another_command_are_passed_over),
    cmocka_unit_test(files_that_are_not_settings_are_named),
    cmocka_unit_test(deep_and_long_texts_are_refused_at_once),
    cmocka_unit_test(an_empty_pipe_does_not_hold_the_program),
    cmocka_unit_test(no_memory_is_an_error_at_every_allocation),
};
CF_TEST_MAIN(tests)
