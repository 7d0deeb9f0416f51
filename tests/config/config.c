#include "cf_test.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set(cf_config *config, const char *assignment)
{
    if (cf_config_set(config, assignment) != CF_OK)
        fail_msg("%s: %s", assignment, cf_error_message());
}

static void defaults_are_those_of_the_tables(void **state)
{
    cf_config *config = new_config();
    const char *key = NULL, *value = NULL;
    int count = 0;

    (void)state;
    assert_int_equal(cf_config_int(config, "embedding_size"), 64);
    assert_true(cf_config_real(config, "learning_rate") == 0.001);
    assert_false(cf_config_bool(config, "require_pow"));
    assert_string_equal(cf_config_text(config, "emb_selection"), "var");
    assert_true(cf_config_is(config, "emb_selection", "var"));
    assert_false(cf_config_is(config, "emb_selection", "uni"));
    assert_int_equal(cf_config_ints(config, "topk", &count)[1], 20);
    assert_int_equal(count, 2);
    assert_true(cf_config_reals(config, "split_ratios", &count)[0] == 0.8);
    assert_int_equal(count, 3);
    assert_string_equal(cf_config_text(config, "field_separator"), "\t");
    assert_false(cf_config_entry(config, "val_interval", 0, &key, &value));
    assert_false(cf_config_given(config, "topk"));
    cf_config_destroy(&config);
    assert_null(config);
}

static void the_command_line_sets_values(void **state)
{
    cf_config *config = new_config();
    const char *key = NULL, *value = NULL;
    int count = 0;

    (void)state;
    set(config, "embedding_size=128");
    set(config, "model.learning_rate=1e-2");
    set(config, "topk=5,10,50");
    assert_int_equal(cf_config_ints(config, "topk", &count)[2], 50);
    assert_int_equal(count, 3);
    set(config, "topk=[7]");
    assert_int_equal(cf_config_ints(config, "topk", &count)[0], 7);
    set(config, "valid_metric=a: b # c");
    assert_string_equal(cf_config_text(config, "valid_metric"), "a: b # c");
    set(config, "valid_metric=C:\\temp \"x\" y");
    assert_string_equal(cf_config_text(config, "valid_metric"), "C:\\temp \"x\" y");
    set(config, "valid_metric=");
    assert_string_equal(cf_config_text(config, "valid_metric"), "");
    set(config, "valid_metric=null");
    assert_string_equal(cf_config_text(config, "valid_metric"), "null");
    set(config, "field_separator=\"\\t\"");
    assert_string_equal(cf_config_text(config, "field_separator"), "\t");
    set(config, "emb_selection=false");
    assert_string_equal(cf_config_text(config, "emb_selection"), "False");
    set(config, "require_pow=on");
    set(config, "val_interval={rating: \"[3,inf)\"}");
    assert_true(cf_config_entry(config, "val_interval", 0, &key, &value));
    assert_string_equal(key, "rating");
    assert_string_equal(value, "[3,inf)");
    assert_false(cf_config_entry(config, "val_interval", 1, &key, &value));
    set(config, "eval_args={order: TO}");
    assert_true(cf_config_is(config, "order", "time"));
    set(config, "gpu_id=0");
    assert_int_equal(cf_config_int(config, "embedding_size"), 128);
    assert_true(cf_config_given(config, "embedding_size"));
    assert_false(cf_config_given(config, "seed"));
    cf_config_destroy(&config);
}

static void bad_assignments_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"embedding_size", "--set embedding_size: expected name=value"},
        {"=5", "expected name=value"},
        {"a b=5", "expected name=value"},
        {"embedding_size=x", "--set: embedding_size: \"x\" is not a whole number from 1 to 4096"},
        {"embedding_size=", "\"\" is not a whole number"},
        {"embeddingsize=5", "did you mean \"embedding_size\"?"},
        {"wrong.nothing=5", "nothing: unknown setting"},
        {"topk=[1", "--set: not valid YAML"},
        {"topk=x", "\"x\" is not"},
        {"valid_metric=\xFF", "--set: not valid YAML"},
        {"val_interval=abc", "expected a mapping"},
    };
    cf_config *config = new_config();

    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        assert_int_equal(cf_config_set(config, bad[k][0]), CF_ERR_USAGE);
        if (!strstr(cf_error_message(), bad[k][1]))
            fail_msg("\"%s\" is not in \"%s\"", bad[k][1], cf_error_message());
    }
    cf_config_destroy(&config);
}

/* Settings of every kind, with what is hard to write. */
static const char *const hard[] = {
    "embedding_size=4096",
    "learning_rate=0.1",
    "learning_rate=5e-324",
    "learning_rate=1.7976931348623157",
    "limit=-1e300",
    "limit=.inf",
    "require_pow=true",
    "emb_selection=False",
    "topk=[]",
    "topk=1,2,3",
    "valid_metric=",
    "valid_metric=~",
    "valid_metric=null",
    "valid_metric=  blanks  ",
    "valid_metric=a\nb\tc",
    "valid_metric=\"q\" and \\ ' # : {[",
    "valid_metric=\xE2\x80\xA8\xC3\xA9",
    "valid_metric=\x01\x7F",
    "seed=9000000000000000000",
    "split_ratios=[0.1, 0.7, 0.2]",
    "split_ratios=0.30000000000000004",
    "split_times=[]",
    "split_times=2022-03-01T12:34:56Z, 1e9",
    "split_times=['', ~, \"a, b\\n\"]",
    "val_interval={a: 'x: y', \"b c\": \"\", 5: \"[3,inf)\"}",
    "order=time",
};

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof hard / sizeof *hard; k++) {
        cf_config *config = new_config(), *copy = new_config();
        char *yaml = NULL, *again = NULL;

        set(config, hard[k]);
        assert_int_equal(cf_config_to_yaml(config, &yaml), CF_OK);
        if (cf_config_load_text(copy, yaml, "copy") != CF_OK)
            fail_msg("%s: %s", hard[k], cf_error_message());
        assert_int_equal(cf_config_to_yaml(copy, &again), CF_OK);
        assert_string_equal(yaml, again);
        assert_null(cf_config_differs(config, copy));
        cf_free(&yaml);
        cf_free(&again);
        cf_config_destroy(&copy);
        cf_config_destroy(&config);
    }
}

static void another_run_is_compared(void **state)
{
    static const char *const changes[][2] = {
        /* setting changed, what differs */
        {"embedding_size=128", "embedding_size"},
        {"learning_rate=0.1", "learning_rate"},
        {"topk=10", "topk"},
        {"topk=10,21", "topk"},
        {"val_interval={a: b}", "val_interval"},
        {"valid_metric=Recall@10", "valid_metric"},
        {"grid=2x2", NULL}, /* machine */
        {"epochs=7", NULL}, /* changeable */
    };
    cf_config *config = new_config(), *other = new_config();
    char *yaml = NULL;

    (void)state;
    assert_int_equal(cf_config_to_yaml(config, &yaml), CF_OK);
    assert_int_equal(cf_config_load_text(other, yaml, "settings of the other run"), CF_OK);
    for (size_t k = 0; k < sizeof changes / sizeof *changes; k++) {
        cf_config *changed = new_config();
        const char *name;

        set(changed, changes[k][0]);
        name = cf_config_differs(changed, other);
        if (changes[k][1])
            assert_string_equal(name, changes[k][1]);
        else
            assert_null(name);
        cf_config_destroy(&changed);
    }
    assert_int_equal(cf_config_load_text(other, "nonsense: 1\n", "settings"), CF_ERR_USAGE);
    cf_free(&yaml);
    cf_config_destroy(&other);
    cf_config_destroy(&config);
}

static void settings_that_are_not_at_their_default_are_listed(void **state)
{
    static const char *const sets[] = {"embedding_size=128", "seed=2020", "grid=2x2", "order=time"};
    cf_config *config = new_config();
    char *names = NULL;

    (void)state;
    assert_int_equal(cf_config_changed(config, NULL, &names), CF_OK);
    assert_string_equal(names, "");
    cf_free(&names);
    for (size_t k = 0; k < sizeof sets / sizeof *sets; k++)
        set(config, sets[k]);
    assert_int_equal(cf_config_changed(config, NULL, &names), CF_OK);
    assert_string_equal(names, "embedding_size, order"); /* a default; the machine's: not listed */
    cf_free(&names);
    assert_int_equal(cf_config_changed(config, "order,seed", &names), CF_OK);
    assert_string_equal(names, "embedding_size");
    cf_free(&names);
    cf_config_destroy(&config);
}

static void settings_that_may_change_at_resume_are_listed(void **state)
{
    static const struct {
        int flags;
        const char *names;
    } cases[] = {{0, ""},
                 {CF_SETTING_MACHINE, "grid"},
                 {CF_SETTING_CHANGEABLE, "epochs"},
                 {CF_SETTING_MACHINE | CF_SETTING_CHANGEABLE, "epochs, grid"}};
    cf_config *config = new_config();

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char *names = NULL;

        assert_int_equal(cf_config_list(config, cases[k].flags, &names), CF_OK);
        assert_string_equal(names, cases[k].names);
        cf_free(&names);
    }
    assert_true(cf_config_sets(config, "grid=2x2", CF_SETTING_MACHINE));
    assert_true(cf_config_sets(config, "train.grid=", CF_SETTING_MACHINE));
    assert_false(cf_config_sets(config, "grid", CF_SETTING_MACHINE));
    assert_false(cf_config_sets(config, "gird=2x2", CF_SETTING_MACHINE));
    assert_false(cf_config_sets(config, "seed=1", CF_SETTING_MACHINE | CF_SETTING_CHANGEABLE));
    assert_false(cf_config_sets(config, "epochs=1", CF_SETTING_MACHINE));
    assert_true(cf_config_sets(config, "epochs=1", CF_SETTING_CHANGEABLE));
    cf_config_destroy(&config);
}

static void the_nearest_name_is_suggested(void **state)
{
    static const char *const names[] = {"train", "evaluate", "export", "info", "a"};
    static const struct {
        const char *name;
        int nearest;
    } cases[] = {{"tarin", 0},      {"TRAIN", 0}, {"evalute", 1}, {"exprt", 2}, {"inf", 3},
                 {"recommend", -1}, {"", -1},     {"x", -1},      {"zzzzz", -1}};
    char longest[300];

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        assert_int_equal(cf_config_nearest(cases[k].name, names, 5), cases[k].nearest);
    memset(longest, 'e', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(cf_config_nearest(longest, names, 5), -1);
}

static void every_setting_is_in_the_printed_table(void **state)
{
    cf_config *config = new_config();

    (void)state;
    for (int markdown = 0; markdown < 2; markdown++) {
        char *text = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&text, &size);

        cf_config_print(config, stream, markdown);
        fclose(stream);
        for (int t = 0; t < N_TABLES; t++)
            for (const cf_setting *row = tables[t]; row->name; row++) {
                assert_non_null(strstr(text, row->name));
                assert_non_null(strstr(text, row->help));
            }
        assert_non_null(strstr(text, "a whole number from 1 to 4096"));
        assert_non_null(strstr(text, "one of uni, rand, var, full, False"));
        free(text);
    }
    cf_config_destroy(&config);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(defaults_are_those_of_the_tables),
    cmocka_unit_test(the_command_line_sets_values),
    cmocka_unit_test(bad_assignments_are_refused),
    cmocka_unit_test(what_is_written_is_read_back),
    cmocka_unit_test(another_run_is_compared),
    cmocka_unit_test(settings_that_are_not_at_their_default_are_listed),
    cmocka_unit_test(settings_that_may_change_at_resume_are_listed),
    cmocka_unit_test(the_nearest_name_is_suggested),
    cmocka_unit_test(every_setting_is_in_the_printed_table),
};
CF_TEST_MAIN(tests)
