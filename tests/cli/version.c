/* What the program says of its build. */
#include "problem.h"

static const char *const names[] = {"version",    "commit", "compiler", "flags", "instruction_set",
                                    "march",      "libc",   "mpi",      "hdf5",  "blas",
                                    "blas_kernel"};
enum { N_NAMES = sizeof names / sizeof *names };

static void version_names_the_build_and_its_libraries(void **state)
{
    json_t *build = succeed_json("llminit --version --json");
    char *text = NULL;

    (void)state;
    assert_ok(run_line("llminit --version", &text));
    if (world.rank == 0) {
        assert_string_equal(text, "llminit " CF_VERSION "\n");
        assert_int_equal(json_object_size(build), N_NAMES);
        for (int k = 0; k < N_NAMES; k++) {
            const char *value = json_string_value(json_object_get(build, names[k]));

            if (value == NULL || (*value == '\0' && strcmp(names[k], "blas_kernel") != 0))
                fail_msg("no %s", names[k]);
        }
        assert_string_equal(json_string_value(json_object_get(build, "version")), CF_VERSION);
        assert_non_null(
            strstr(json_string_value(json_object_get(build, "flags")), "-ffp-contract=off"));
        assert_null(strstr(json_string_value(json_object_get(build, "flags")), "-Wall"));
        assert_string_not_equal(json_string_value(json_object_get(build, "instruction_set")),
                                "unknown");
        assert_string_not_equal(json_string_value(json_object_get(build, "march")), "unknown");
        assert_string_equal(json_string_value(json_object_get(build, "blas_kernel")),
                            cf_par_find_blas().kernels);
    }
    free(text);
    json_decref(build);
}

static void version_takes_json_alone(void **state)
{
    (void)state;
    assert_refused(run_line("llminit --version --jsn", NULL), CF_ERR_USAGE, "unexpected \"--jsn\"");
    assert_refused(run_line("llminit --version --json x", NULL), CF_ERR_USAGE, "unexpected \"x\"");
}

static void info_shows_the_build_of_a_checkpoint(void **state)
{
    json_t *build = succeed_json("llminit --version --json"), *info;
    char *text = NULL;

    (void)state;
    make_inputs();
    succeed("llminit prepare --inter %s --item %s --out %s --quiet", inter, item, data);
    succeed("llminit train --data %s --out %s --quiet --set model=Pop", data, run);
    info = succeed_json("llminit info %s/best.h5 --json", run);
    assert_ok(run_format(&text, "llminit info %s/best.h5", run));
    if (world.rank == 0) {
        char line[256];

        assert_true(
            json_equal(json_object_get(json_object_get(info, "attributes"), "build"), build));
        snprintf(line, sizeof line, "\n  build.blas_kernel        %s\n",
                 cf_par_find_blas().kernels);
        assert_non_null(strstr(text, line));
    }
    free(text);
    json_decref(info);
    json_decref(build);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(version_names_the_build_and_its_libraries),
    cmocka_unit_test(version_takes_json_alone),
    cmocka_unit_test(info_shows_the_build_of_a_checkpoint),
};
CF_TEST_MAIN(tests)
