/** Settings that a test writes as a text. */
#pragma once

#include "cf/config.h"
#include "cf_test.h"

#include <stdio.h>
#include <string.h>

/** A config of one table with settings, '|'-separated "name=value" ("" for none), which must be
 * right. Free with cf_config_destroy(). */
static inline cf_config *cf_test_config(const cf_setting *table, const char *settings)
{
    char copy[1024], *at = copy;
    cf_config *config = NULL;

    snprintf(copy, sizeof copy, "%s", settings);
    assert_ok(cf_config_create(&table, 1, &config));
    for (char *one; (one = strsep(&at, "|")) && *one;)
        assert_ok(cf_config_set(config, one));
    return config;
}
