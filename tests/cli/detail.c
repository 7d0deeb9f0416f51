/* evaluate --groups and --per-user: what is printed and written adds up to the metrics. */
#include "problem.h"

enum { N_COLUMNS = CF_N_METRICS * 2, MAX_TEXT = 1 << 16 };

static char users[1024];

static void make_run(void)
{
    make_inputs();
    put_path(users, "users.tsv");
    succeed("llminit prepare --inter %s --item %s --embedding %s --out %s --set split=RS --quiet",
            inter, item, npy, data);
    succeed("llminit train --data %s --out %s --quiet --set model=BPR --set embedding_size=16 "
            "--set epochs=2",
            data, run);
}

static double number(const json_t *object, const char *name)
{
    assert_true(json_is_real(json_object_get(object, name)));
    return json_real_value(json_object_get(object, name));
}

/* The groups of one kind have all users or positives, and their means make the mean. */
static void check_users(const json_t *got, const char *metric)
{
    const json_t *groups = json_object_get(json_object_get(got, "groups"), "users");
    const char *name;
    json_t *group;
    double sum = 0;
    int64_t n = 0;

    json_object_foreach((json_t *)groups, name, group)
    {
        n += integer(group, "users");
        sum += (double)integer(group, "users") * number(group, metric);
    }
    assert_int_equal(n, integer(got, "users"));
    assert_close(sum / (double)n, number(json_object_get(got, "test"), metric), 1e-14);
}

static int64_t count_positives(const json_t *got, const char *kind)
{
    const json_t *groups = json_object_get(json_object_get(got, "groups"), kind);
    const char *name;
    json_t *group;
    int64_t n = 0;

    json_object_foreach((json_t *)groups, name, group) n += integer(group, "positives");
    assert_true(n > 0);
    return n;
}

static void groups_add_up(void **state)
{
    json_t *got;

    (void)state;
    make_run();
    got = succeed_json("llminit evaluate %s/best.h5 --data %s --groups --protocol both --topk 5,20 "
                       "--json --quiet",
                       run, data);
    if (world.rank == 0) {
        check_users(got, "recall@5");
        check_users(got, "map@20");
        assert_int_equal(count_positives(got, "users"), count_positives(got, "items"));
        assert_int_equal(count_positives(got, "users"), count_positives(got, "popularity"));
        const json_t *masked = json_object_get(got, "catalogue");
        const json_t *unmasked = json_object_get(got, "catalogue_unmasked");
        assert_true(number(masked, "itemcoverage@20") == 1);
        assert_true(number(masked, "giniindex@5") > number(masked, "giniindex@20"));
        assert_true(number(unmasked, "averagepopularity@5") !=
                    number(masked, "averagepopularity@5"));
        assert_non_null(json_object_get(json_object_get(got, "groups_unmasked"), "items"));
    }
    json_decref(got);
}

static void groups_are_printed_as_tables(void **state)
{
    char *text;

    (void)state;
    assert_ok(run_format(&text, "llminit evaluate %s/best.h5 --data %s --groups --topk 7 --quiet",
                         run, data));
    if (world.rank == 0) {
        assert_non_null(strstr(text, "users by train items, @7\n"));
        assert_non_null(strstr(text, "\n8-15 "));
        assert_non_null(strstr(text, "\nhead "));
        assert_non_null(strstr(text, "\ngini"));
        assert_null(strstr(text, "\n0 ")); /* nobody has no train item */
    }
    free(text);
}

/* Read the text of each user: columns are summed exactly, as the program does. Returns the rows. */
static int64_t sum_columns(const char *path, char *header, cf_exact sums[N_COLUMNS])
{
    FILE *file = fopen(path, "r");
    char line[4096];
    int64_t rows = 0;
    int last = -1, user, used;

    assert_non_null(file);
    assert_non_null(fgets(header, 4096, file));
    for (; fgets(line, sizeof line, file) != NULL; rows++) {
        const char *at = line;

        assert_int_equal(sscanf(at, "u%d%n", &user, &used), 1);
        for (int c = 0; c < N_COLUMNS; c++) {
            double value;

            at += used;
            assert_int_equal(sscanf(at, "\t%lf%n", &value, &used), 1);
            cf_exact_add(&sums[c], value);
        }
        assert_int_equal(at[used], '\n');
        assert_int_not_equal(user, last);
        last = user;
    }
    fclose(file);
    return rows;
}

static void the_text_of_each_user_has_the_metrics_as_means(void **state)
{
    json_t *got;

    (void)state;
    got = succeed_json("llminit evaluate %s/best.h5 --data %s --per-user %s --topk 5,20 --json "
                       "--quiet",
                       run, data, users);
    if (world.rank == 0) {
        cf_exact sums[N_COLUMNS] = {0};
        char header[4096], *rest = NULL;
        const int64_t rows = sum_columns(users, header, sums);

        assert_int_equal(rows, integer(got, "users"));
        assert_string_equal(strtok_r(header, "\t\n", &rest), "user_id");
        for (int c = 0; c < N_COLUMNS; c++)
            assert_true(cf_exact_value(&sums[c]) / (double)rows ==
                        number(json_object_get(got, "test"), strtok_r(NULL, "\t\n", &rest)));
        assert_null(strtok_r(NULL, "\t\n", &rest));
    }
    json_decref(got);
}

/* On standard output it is alone, and the same text. */
static void the_text_of_each_user_may_be_the_output(void **state)
{
    char *text, want[MAX_TEXT] = "";

    (void)state;
    assert_ok(run_format(&text,
                         "llminit evaluate %s/best.h5 --data %s --per-user - --topk 5,20 "
                         "--quiet",
                         run, data));
    if (world.rank == 0) {
        FILE *file = fopen(users, "r");

        assert_non_null(file);
        assert_true(fread(want, 1, MAX_TEXT - 1, file) > 0);
        fclose(file);
        assert_string_equal(text, want);
    }
    free(text);
}

static void what_cannot_be_at_once_is_refused(void **state)
{
    (void)state;
    assert_refused(
        run_format(NULL, "llminit evaluate %s/best.h5 --data %s --per-user - --json", run, data),
        CF_ERR_USAGE, "both standard output");
    assert_refused(run_format(NULL,
                              "llminit evaluate %s/best.h5 --data %s --per-user x --protocol both",
                              run, data),
                   CF_ERR_USAGE, "--protocol masked or unmasked");
    assert_refused(
        run_format(NULL, "llminit evaluate %s/best.h5 --data %s --per-user %s", run, data, data),
        CF_ERR_USAGE, "--per-user");
}

static cf_status try_evaluate(void *context)
{
    (void)context;
    return run_format(NULL,
                      "llminit evaluate %s/best.h5 --data %s --groups --per-user %s --json --quiet",
                      run, data, users);
}

static void no_memory_leaves_no_half_output(void **state)
{
    const cf_test_trial trial = {.attempt = try_evaluate, .rotate = true, .thinning = 8};

    (void)state;
    assert_true(cf_test_every_allocation(&trial, NULL) > 20);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(groups_add_up),
    cmocka_unit_test(groups_are_printed_as_tables),
    cmocka_unit_test(the_text_of_each_user_has_the_metrics_as_means),
    cmocka_unit_test(the_text_of_each_user_may_be_the_output),
    cmocka_unit_test(what_cannot_be_at_once_is_refused),
    cmocka_unit_test(no_memory_leaves_no_half_output),
};
CF_TEST_MAIN(tests)
