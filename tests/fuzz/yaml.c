/* Settings, from a file or from --set. An input is the command ('p' prepare, else train; 1 byte),
 * where they come from ('=': each line is a "name=value" of --set, else a file; 1 byte), and the
 * text. Required: an error changes nothing; what is accepted, written and read again, is the same,
 * and no difference is seen in it at resume. */
#include <stdlib.h>
#include <string.h>

#include "cf/ingest.h"
#include "cf/train.h"
#include "fuzz.h"

static cf_config *new_config(bool of_prepare)
{
    static const cf_setting *const prepare[] = {cf_ingest_settings};
    cf_config *config = NULL;

    FUZZ_REQUIRE(cf_config_create(of_prepare ? prepare : cf_train_tables,
                                  of_prepare ? 1 : cf_train_n_tables, &config) == CF_OK);
    if (!of_prepare) cf_config_ignore(config, cf_ingest_settings);
    return config;
}

static char *to_yaml(const cf_config *config)
{
    char *yaml = NULL;

    FUZZ_REQUIRE(cf_config_to_yaml(config, &yaml) == CF_OK);
    return yaml;
}

/* A text in other bytes than UTF-8 can come from the command line alone; it is refused when it is
 * read, by its line. */
static void check_copy(const cf_config *config, bool of_prepare)
{
    char *yaml = to_yaml(config), *again;
    cf_config *back = new_config(of_prepare);

    FUZZ_REQUIRE(cf_config_load_text(back, yaml, "settings.yaml") == CF_OK);
    again = to_yaml(back);
    FUZZ_REQUIRE(strcmp(again, yaml) == 0);
    FUZZ_REQUIRE(cf_config_differs(config, back) == NULL);
    cf_config_destroy(&back);
    cf_free(&again);
    cf_free(&yaml);
}

static void check_status(const cf_config *config, cf_status status, const char *before)
{
    char *after;

    if (status == CF_OK) return;
    fuzz_check_error(status);
    after = to_yaml(config);
    FUZZ_REQUIRE(strcmp(after, before) == 0);
    cf_free(&after);
}

/* Each line on its own. */
static void set_lines(cf_config *config, const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *at = text;

    FUZZ_REQUIRE(text != NULL);
    memcpy(text, data, size);
    text[size] = 0;
    for (char *line; (line = strsep(&at, "\n")) != NULL;) {
        char *before = to_yaml(config);

        check_status(config, cf_config_set(config, line), before);
        cf_free(&before);
    }
    free(text);
}

static void load_file(cf_config *config, const uint8_t *data, size_t size)
{
    char *before = to_yaml(config);

    check_status(config, cf_config_load(config, fuzz_file(0, data, size)), before);
    cf_free(&before);
}

/* What the command makes of the settings. */
static void read_options(cf_config *config, bool of_prepare)
{
    cf_ingest_options prepare;
    cf_eval_options evaluation;
    cf_status status;

    if (of_prepare)
        status = cf_ingest_read_options(config, &prepare);
    else
        status = cf_eval_read_options(config, &evaluation);
    if (status != CF_OK) fuzz_check_error(status);
}

void fuzz_input(const uint8_t *data, size_t size)
{
    const bool of_prepare = size > 0 && data[0] == 'p';
    cf_config *config;

    if (size < 2) return;
    config = new_config(of_prepare);
    if (data[1] == '=')
        set_lines(config, data + 2, size - 2);
    else
        load_file(config, data + 2, size - 2);
    check_copy(config, of_prepare);
    read_options(config, of_prepare);
    cf_config_destroy(&config);
}
