/* The spectra of vectors, starting tables and trained ones. */
#include "problem.h"

#include <math.h>

static void a_model_is_trained(void **state)
{
    (void)state;
    make_inputs();
    succeed("llminit prepare --inter %s --item %s --embedding %s --out %s --set split=RS --quiet",
            inter, item, npy, data);
    succeed("llminit train --data %s --out %s --quiet --set epochs=1 --set embedding_size=32 --set "
            "train_batch_size=64",
            data, run);
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", run, data, folder);
    succeed("llminit select %s --set embedding_size=4 --out %s.map.h5 --quiet", data, data);
}

static const json_t *spectrum_named(const json_t *spectra, const char *name)
{
    const json_t *tables = json_object_get(spectra, "tables");

    for (size_t k = 0; k < json_array_size(tables); k++) {
        const json_t *one = json_array_get(tables, k);
        if (strcmp(json_string_value(json_object_get(one, "table")), name) == 0) return one;
    }
    fail_msg("no table %s", name);
    return NULL;
}

static double real(const json_t *object, const char *name)
{
    assert_true(json_is_real(json_object_get(object, name)));
    return json_real_value(json_object_get(object, name));
}

/* The squared singular values s of X sum to that of all numbers of X, and their squares to that of
 * all numbers of X'X. `x`: n x 32. */
static void check_spectrum(const json_t *s, const double *x, int n)
{
    const json_t *singular = json_object_get(s, "singular_values");
    double squares = 0, fourth = 0, got = 0, most = 0;

    assert_int_equal(integer(s, "rows"), n);
    assert_int_equal(integer(s, "dims"), 32);
    assert_int_equal(json_array_size(singular), 32);
    for (int j = 0; j < 32; j++)
        for (int k = 0; k < 32; k++) {
            double sum = 0;
            for (int r = 0; r < n; r++)
                sum += x[r * 32 + j] * x[r * 32 + k];
            if (j == k) squares += sum;
            fourth += sum * sum;
        }
    for (size_t k = 0; k < 32; k++) {
        const double value = json_real_value(json_array_get(singular, k));
        assert_true(value >= 0 && (k == 0 || value <= most));
        most = value;
        got += value * value;
    }
    most = json_real_value(json_array_get(singular, 0));
    assert_close(got, squares, 1e-12 * squares);
    assert_close(real(s, "participation_ratio"), squares * squares / fourth, 1e-9);
    assert_close(real(json_object_get(s, "shares"), "1"), most * most / squares, 1e-12);
    assert_null(json_object_get(json_object_get(s, "shares"), "32")); /* all there are */
    assert_true(real(s, "effective_rank") >= 1 && real(s, "effective_rank") <= 32);
}

static void spectra_are_those_of_the_exported_tables(void **state)
{
    json_t *raw = succeed_json("llminit spectrum %s/best.h5 --json", run);
    json_t *all = succeed_json("llminit spectrum %s/best.h5 --data %s --json", run, data);

    (void)state;
    if (world.rank == 0) {
        static const char *const names[2] = {"user_embedding", "item_embedding"};
        static const char *const final[2][2] = {{"user_final", "users.npy"},
                                                {"item_final", "items.npy"}};

        assert_int_equal(json_array_size(json_object_get(raw, "tables")), 2);
        assert_int_equal(json_array_size(json_object_get(all, "tables")), 4);
        for (int side = 0; side < 2; side++) {
            char path[1200];
            int64_t dims[2];
            double *x;

            assert_true(
                json_equal(spectrum_named(raw, names[side]), spectrum_named(all, names[side])));
            snprintf(path, sizeof path, "%s/%s", folder, final[side][1]);
            x = cf_test_npy(path, dims);
            check_spectrum(spectrum_named(all, final[side][0]), x, (int)dims[0]);
            free(x);
        }
    }
    json_decref(raw);
    json_decref(all);
}

/* What the run's log says of an epoch; the last line that does. */
static json_t *logged_spectrum(int64_t epoch)
{
    json_t *found = NULL;
    char path[1200], line[1 << 14];
    FILE *file;

    snprintf(path, sizeof path, "%s/log.jsonl", run);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        json_t *event = json_loads(line, 0, NULL);

        assert_non_null(event);
        if (strcmp(json_string_value(json_object_get(event, "event")), "spectrum") == 0 &&
            integer(event, "epoch") == epoch) {
            json_decref(found);
            found = json_incref(event);
        }
        json_decref(event);
    }
    fclose(file);
    assert_non_null(found);
    return found;
}

/* `logged`: an event; `said`: by llminit spectrum. The log has 12 digits. */
static void check_logged(const json_t *logged, const json_t *said)
{
    static const char *const measures[] = {"effective_rank", "participation_ratio",
                                           "information_abundance"};
    const json_t *tables = json_object_get(said, "tables");

    assert_int_equal(json_array_size(tables), 4);
    assert_int_equal(json_object_size(json_object_get(logged, "tables")), 4);
    for (size_t t = 0; t < 4; t++) {
        const json_t *want = json_array_get(tables, t);
        json_t *shares = json_object_get(want, "shares");
        const json_t *got = json_object_get(json_object_get(logged, "tables"),
                                            json_string_value(json_object_get(want, "table")));
        const char *top;
        json_t *share;

        assert_non_null(got);
        for (int m = 0; m < 3; m++)
            assert_close(real(got, measures[m]), real(want, measures[m]),
                         1e-11 * real(want, measures[m]));
        assert_int_equal(json_object_size(shares), 3); /* of 1, 8, 16 */
        assert_int_equal(json_object_size(json_object_get(got, "shares")), 3);
        json_object_foreach(shares, top, share)
            assert_close(real(json_object_get(got, "shares"), top), json_real_value(share), 1e-11);
    }
}

/* Two epochs, their checkpoints each, against the log of one run of both. */
static void a_run_logs_what_its_checkpoints_have(void **state)
{
    (void)state;
    for (int epoch = 1; epoch <= 2; epoch++) {
        succeed("llminit train --data %s --out %s --quiet --set epochs=%d --set embedding_size=32 "
                "--set train_batch_size=64 --set collapse_every=1 --resume auto",
                data, run, epoch);
        json_t *said = succeed_json("llminit spectrum %s/latest.h5 --data %s --json", run, data);
        if (world.rank == 0) {
            json_t *logged = logged_spectrum(epoch);

            check_logged(logged, said);
            json_decref(logged);
        }
        json_decref(said);
    }
}

static void a_dataset_has_the_spectra_of_its_vectors(void **state)
{
    json_t *llm = succeed_json("llminit spectrum %s --json", data);
    json_t *both = succeed_json("llminit spectrum %s --json --set emb_selection=pca --set "
                                "embedding_size=32",
                                data);
    char *text = NULL;

    (void)state;
    assert_int_equal(
        run_format(&text, "llminit spectrum %s --table selected --set embedding_size=32", data),
        CF_OK);
    if (world.rank == 0) {
        assert_int_equal(json_array_size(json_object_get(llm, "tables")), 1);
        assert_true(json_equal(spectrum_named(llm, "llm"), spectrum_named(both, "llm")));
        assert_int_equal(integer(spectrum_named(both, "llm"), "dims"), WIDTH);
        assert_int_equal(integer(spectrum_named(both, "selected"), "dims"), 32);
        assert_non_null(strstr(text, "\nselected              40    32"));
    }
    free(text);
    json_decref(llm);
    json_decref(both);
}

static void spectra_that_are_not_there_are_refused(void **state)
{
    static const struct {
        const char *line, *message;
    } wrong[] = {
        {"%1$s --table user", "\"user\" is not one of llm, selected, user_embedding"},
        {"%1$s --table user_final", "is a dataset, which has no table user_final; it has llm and"},
        {"%2$s/best.h5 --table llm", "is a checkpoint, which has no table llm; it has user_emb"},
        {"%2$s/best.h5 --table item_final", "--table item_final needs --data"},
        {"%2$s/best.h5 --set emb_gain=2", "--set is for a dataset, or for a checkpoint with"},
        {"%2$s/best.h5 --data %1$s --set emb_gain=2", "the model is trained"},
        {"%2$s/best.h5 --settings %2$s/settings.yaml", "--settings is for a dataset"},
        {"%1$s --data %1$s", "is a dataset: --data is for a checkpoint"},
        {"%1$s --table selected --set emb_selection=False", "there is nothing to select"},
    };

    (void)state;
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        char rest[4096], line[4200];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(rest, sizeof rest, wrong[k].line, data, run);
#pragma GCC diagnostic pop
        snprintf(line, sizeof line, "llminit spectrum %s", rest);
        assert_int_equal(run_line(line, NULL), CF_ERR_USAGE);
        if (!strstr(cf_error_message(), wrong[k].message))
            fail_msg("\"%s\" is not in \"%s\"", wrong[k].message, cf_error_message());
    }
    assert_int_equal(run_format(NULL, "llminit spectrum %s.map.h5", data), CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "is a selection, not a dataset or a checkpoint"));
}

static void no_memory_for_a_spectrum_stops_every_rank(void **state)
{
    (void)state;
    for (int bad = 0; bad < world.size; bad++)
        for (int64_t n = 1 + bad;; n = 2 * n + 1) { /* elsewhere on each */
            cf_status status;

            if (world.rank == bad) cf_alloc_fail_at(n);
            status = run_format(NULL, "llminit spectrum %s/best.h5 --quiet", run);
            cf_alloc_fail_at(0);
            if (status == CF_OK) break;
            assert_int_equal(status, CF_ERR_MEMORY);
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_model_is_trained),
    cmocka_unit_test(spectra_are_those_of_the_exported_tables),
    cmocka_unit_test(a_run_logs_what_its_checkpoints_have),
    cmocka_unit_test(a_dataset_has_the_spectra_of_its_vectors),
    cmocka_unit_test(spectra_that_are_not_there_are_refused),
    cmocka_unit_test(no_memory_for_a_spectrum_stops_every_rank),
};
CF_TEST_MAIN(tests)
