#include "line.h"

static const char *const bad[][2] = {
    {"llminit", "expected a command; llminit --help"},
    {"llminit trian", "unknown command \"trian\" (did you mean \"train\"?)"},
    {"llminit xyzzy", "unknown command \"xyzzy\"; llminit --help"},
    {"llminit --hepl", "unknown option \"--hepl\""},
    {"llminit train", "train: --data DATA.h5 is missing"},
    {"llminit train --out x s.yaml --data", "train: --data needs a value"},
    {"llminit train --data x --data y --out z", "train: --data is given twice"},
    {"llminit train --data x --dta y", "train: unknown option --dta (did you mean --data?)"},
    {"llminit train --data=x --jsn=y", "train: unknown option --jsn=y (did you mean --json?)"},
    {"llminit train -x", "train: unknown option -x"},
    {"llminit prepare a.yaml --inter x --out y", "prepare: unexpected \"a.yaml\""},
    {"llminit train --data x --out y --from z",
     "train: --from-data is missing: --from OLD.h5 needs"},
    {"llminit train --data x --out y --from-data z",
     "train: --from is missing: --from OLD.h5 needs"},
    {"llminit train --data x --out y --resume maybe", "--resume: \"maybe\" is not auto or no"},
    {"llminit train --data x --out y --time-limit soon",
     "--time-limit: \"soon\" is not a duration"},
    {"llminit train --data x --out y --set epochs", "--set epochs: expected name=value"},
    {"llminit train --data x --out y --set epochs=-1",
     "--set: epochs: \"-1\" is not a whole number"},
    {"llminit train --data x --out y --set epoch=1", "unknown setting (did you mean \"epochs\"?)"},
    {"llminit evaluate --data x", "evaluate: CHECKPOINT.h5 is missing"},
    {"llminit evaluate c.h5 --data x --split train", "--split: \"train\" is not test or valid"},
    {"llminit evaluate c.h5 --data x --protocol m",
     "--protocol: \"m\" is not masked, unmasked or both"},
    {"llminit recommend c.h5 --data x --out y --topk 0",
     "--topk: \"0\" is not a whole number from 1"},
    {"llminit recommend c.h5 --data x --out y --topk 5x", "--topk: \"5x\" is not"},
    {"llminit prepare --out x", "expected either --inter FILE or --train FILE"},
    {"llminit prepare --out x --inter a --train b", "expected either --inter FILE or --train FILE"},
    {"llminit prepare --out x --inter a --test b", "--valid and --test go with --train"},
    {"llminit select x --set emb_selection=False", "emb_selection is False"},
    {"llminit info", "info: FILE.h5 is missing"},
    {"llminit info a b", "info: unexpected \"b\""},
    {"llminit settings --json --yaml",
     "settings: --markdown, --yaml and --json exclude each other"},
    {"llminit settings --json --set epochs=3", "settings: a file and --set go with --yaml"},
    {"llminit settings --set epochs=3", "settings: a file and --set go with --yaml"},
    {"llminit settings a.yaml", "settings: a file and --set go with --yaml"},
    {"llminit settings --yaml --set epochs=x", "epochs"},
};

static void wrong_command_lines_are_usage_errors_on_every_rank(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        cf_status status = run_line(bad[k][0], NULL);

        if (status != CF_ERR_USAGE) fail_msg("%s: status %d", bad[k][0], (int)status);
        if (!strstr(cf_error_message(), bad[k][1]))
            fail_msg("%s: \"%s\" is not in \"%s\"", bad[k][0], bad[k][1], cf_error_message());
    }
}

static void durations_are_read_in_all_their_forms(void **state)
{
    static const struct {
        const char *text;
        double seconds; /* 0: not a duration */
    } cases[] = {{"90", 90},
                 {"90s", 90},
                 {"30m", 1800},
                 {"1h30m", 5400},
                 {"2d", 172800},
                 {"1d1s", 86401},
                 {"1d2h3m4s", 93784},
                 {"01:30:00", 5400},
                 {"12:34", 754},
                 {"100:00", 6000},
                 {"1-02:03:04", 93784},
                 {"000000001", 1},
                 {"", 0},
                 {"0", 0},
                 {"0s", 0},
                 {"-5", 0},
                 {" 5", 0},
                 {"5 ", 0},
                 {"1.5h", 0},
                 {"5x", 0},
                 {"h", 0},
                 {"5m1h", 0},
                 {"5m5m", 0},
                 {"1h30", 0},
                 {"1:60", 0},
                 {"1:2:3:4", 0},
                 {"1-2", 0},
                 {"1-02:03", 0},
                 {":30", 0},
                 {"1:", 0},
                 {"1234567890", 0},
                 {"1s1", 0}};

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        cli_arguments arguments = {.command = &cli_train};
        double seconds = -1;
        int option = 0;

        while (strcmp(cli_train.options[option].name, "time-limit") != 0)
            option++;
        arguments.value[option] = cases[k].text;
        if (cli_duration(&arguments, "time-limit", &seconds) == CF_ERR_USAGE)
            seconds = cases[k].seconds == 0 && seconds == -1 ? 0 : -2;
        if (seconds != cases[k].seconds) fail_msg("\"%s\": %g", cases[k].text, seconds);
    }
}

static void files_that_are_not_there_are_named(void **state)
{
    (void)state;
    assert_int_equal(run_line("llminit info /nonexistent/a.h5", NULL), CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "/nonexistent/a.h5"));
    assert_int_equal(run_line("llminit train /nonexistent/s.yaml --data x --out y", NULL),
                     CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "/nonexistent/s.yaml"));
    assert_int_equal(run_line("llminit evaluate /nonexistent/c.h5 --data x", NULL), CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "/nonexistent/c.h5"));
}

static void help_lists_commands_options_and_settings(void **state)
{
    char *text = NULL;

    (void)state;
    assert_int_equal(run_line("llminit --help", &text), CF_OK);
    for (int k = 0; cli_commands[k] && world.rank == 0; k++) {
        assert_non_null(strstr(text, cli_commands[k]->name));
        assert_non_null(strstr(text, cli_commands[k]->summary));
    }
    free(text);
    for (int k = 0; cli_commands[k]; k++) {
        char line[64];

        snprintf(line, sizeof line, "llminit %s --help", cli_commands[k]->name);
        assert_int_equal(run_line(line, &text), CF_OK);
        for (const cli_option *o = cli_commands[k]->options; o->name && world.rank == 0; o++)
            assert_non_null(strstr(text, o->help));
        if (cli_commands[k]->settings == CLI_SETTINGS_TRAIN && world.rank == 0)
            assert_non_null(strstr(text, "embedding_size"));
        free(text);
    }
    assert_int_equal(run_line("llminit --version", &text), CF_OK);
    if (world.rank == 0) assert_string_equal(text, "llminit " CF_VERSION "\n");
    free(text);
}

static void all_settings_are_listed(void **state)
{
    char *text = NULL;

    (void)state;
    assert_int_equal(run_line("llminit settings --markdown", &text), CF_OK);
    for (int which = 0; which < 2 && world.rank == 0; which++) {
        int n = 0;
        const cf_setting *const *tables =
            cli_tables(which ? CLI_SETTINGS_TRAIN : CLI_SETTINGS_PREPARE, &n);

        for (int t = 0; t < n; t++)
            for (const cf_setting *row = tables[t]; row->name; row++) {
                char start[80];

                snprintf(start, sizeof start, "| `%s` | ", row->name);
                if (!strstr(text, start)) fail_msg("%s is not listed", row->name);
            }
    }
    free(text);
}

static const json_t *find_setting(const json_t *settings, const char *command, const char *name)
{
    const json_t *list = json_object_get(settings, command);

    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *setting = json_array_get(list, k);

        if (strcmp(json_string_value(json_object_get(setting, "name")), name) == 0) return setting;
    }
    fail_msg("%s: %s is not listed", command, name);
    return NULL;
}

static void assert_setting(const json_t *settings, const char *command, const char *expected)
{
    json_t *object = json_loads(expected, 0, NULL), *value;
    const json_t *found;
    const char *key;

    assert_non_null(object);
    found = find_setting(settings, command, json_string_value(json_object_get(object, "name")));
    assert_true(strlen(json_string_value(json_object_get(found, "help"))) > 0);
    assert_int_equal(json_object_size(found), 11);
    json_object_foreach(object, key, value)
    {
        if (!json_equal(value, json_object_get(found, key))) fail_msg("%s of %s", key, expected);
    }
    json_decref(object);
}

static void settings_are_printed_as_json(void **state)
{
    json_t *settings;
    char *text = NULL;

    (void)state;
    assert_int_equal(run_line("llminit settings --json", &text), CF_OK);
    if (world.rank == 0) {
        settings = json_loads(text, 0, NULL);
        assert_non_null(settings);
        assert_setting(settings, "train",
                       "{\"name\": \"embedding_size\", \"module\": \"select\", \"kind\": \"int\", "
                       "\"default\": 64, \"min\": 1, \"max\": 65536, \"choices\": null, "
                       "\"machine\": false, \"changeable\": false}");
        assert_setting(settings, "train",
                       "{\"name\": \"learner\", \"module\": \"optim\", \"kind\": \"choice\", "
                       "\"default\": \"adam\", \"min\": null, \"choices\": [\"adam\", \"sgd\"]}");
        assert_setting(settings, "train", "{\"name\": \"grid\", \"machine\": true}");
        assert_setting(settings, "train", "{\"name\": \"epochs\", \"changeable\": true}");
        assert_setting(settings, "train",
                       "{\"name\": \"topk\", \"kind\": \"int_list\", \"default\": [10, 20]}");
        assert_setting(settings, "prepare",
                       "{\"name\": \"val_interval\", \"kind\": \"map\", \"default\": {}}");
        assert_setting(settings, "synthesize",
                       "{\"name\": \"titles\", \"kind\": \"bool\", \"default\": false}");
        json_decref(settings);
    }
    free(text);
}

/* The files of settings that come with the program load, on the command that they are for. */
static void shipped_settings_are_accepted(void **state)
{
    static const char *const files[] = {"lightgcn.yaml",   "bpr.yaml",     "debian-noise.yaml",
                                        "debian-var.yaml", "gowalla.yaml", "amazon-beauty.yaml",
                                        "ease.yaml",       "l3ae.yaml",    "itemknn.yaml",
                                        "pop.yaml",        "ials.yaml",    "chebycf.yaml"};

    (void)state;
    for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
        char path[1024];
        const char *given[] = {path};
        const cli_arguments train = {.command = &cli_train, .files = given, .n_files = 1};
        cf_config *config = NULL;

        snprintf(path, sizeof path, CF_TEST_DATA "/../../configs/%s", files[k]);
        if (cli_create_config(&world, &train, &config) != CF_OK) fail_msg("%s", cf_error_message());
        cf_config_destroy(&config);
    }
}

/* With memory, the line is read and ends at the dataset that is not there. */
static cf_status run_a_line(void *context)
{
    const cf_status status = run_line(context, NULL);

    if (status != CF_ERR_IO) return status;
    assert_non_null(strstr(cf_error_message(), "/nonexistent/x"));
    return CF_OK;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    char line[] = "llminit train --data /nonexistent/x --out y --set epochs=1";
    const cf_test_trial trial = {.attempt = run_a_line};

    (void)state;
    assert_true(cf_test_every_allocation(&trial, line) > 100);
}

static void ids_are_read_one_a_line(void **state)
{
    static const struct {
        const char *text;
        int64_t count;
        cf_status status;
    } cases[] = {{"a\nb\r\n\nc c", 3, CF_OK},
                 {"\xef\xbb\xbf"
                  "a\nb\nc c\n",
                  3, CF_OK},
                 {"\xef\xbb\xbf\r\na\nb\nc c", 3, CF_OK},
                 {"\xef\xbb\xbf", 0, CF_ERR_FORMAT},
                 {"\n\n", 0, CF_ERR_FORMAT},
                 {"", 0, CF_ERR_FORMAT}};
    char name[32];
    const char *path;

    (void)state;
    snprintf(name, sizeof name, "ids.%d", world.rank);
    path = cf_test_scratch(name);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        FILE *file = fopen(path, "w");
        cli_ids ids = {0};

        assert_non_null(file);
        fputs(cases[k].text, file);
        fclose(file);
        assert_int_equal(cli_read_ids(path, &ids), cases[k].status);
        assert_int_equal(ids.text.count, cases[k].count);
        if (cases[k].status == CF_OK) {
            assert_string_equal(ids.text.bytes, "a");
            assert_string_equal(ids.text.bytes + ids.text.start[1], "b");
            assert_string_equal(ids.text.bytes + ids.text.start[2], "c c");
            ids.origin = "f";
            ids.line[2] = 17;
            assert_int_equal(cli_check_distinct(&ids, (int64_t[]){4, 0, 9}), CF_OK);
            assert_int_equal(cli_check_distinct(&ids, (int64_t[]){4, 0, 4}), CF_ERR_FORMAT);
            assert_string_equal(cf_error_message(), "f:17: \"c c\" is listed twice");
        }
        cli_free_ids(&ids);
    }
    assert_int_equal(cli_read_ids("/nonexistent", &(cli_ids){0}), CF_ERR_IO);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(wrong_command_lines_are_usage_errors_on_every_rank),
    cmocka_unit_test(durations_are_read_in_all_their_forms),
    cmocka_unit_test(files_that_are_not_there_are_named),
    cmocka_unit_test(help_lists_commands_options_and_settings),
    cmocka_unit_test(all_settings_are_listed),
    cmocka_unit_test(settings_are_printed_as_json),
    cmocka_unit_test(shipped_settings_are_accepted),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(ids_are_read_one_a_line),
};
CF_TEST_MAIN(tests)
