/* Which variables are set: machines that this one is not, as facts. */
#include "par/environment.h"

#include "cf_test.h"

#include <stdlib.h>
#include <string.h>

static const environment_features none = {false, false}, avx2 = {true, false}, all = {true, true};

static void a_core_type_is_chosen_only_where_openblas_chose_less(void **state)
{
    static const struct {
        const char *kernels;
        environment_features usable;
        const char *chosen;
    } cases[] = {
        {"Haswell", {true, true}, "SkylakeX"},
        {"Zen", {true, true}, "SkylakeX"},
        {"Prescott", {true, true}, "SkylakeX"},
        {"Nehalem", {true, true}, "SkylakeX"},
        {"Prescott", {true, false}, "Haswell"},
        {"Barcelona", {true, false}, "Haswell"},
        {"Sandybridge", {true, false}, "Haswell"},
        {"Haswell", {true, false}, NULL},
        {"Zen", {true, false}, NULL},
        {"Prescott", {false, false}, NULL},
        {"Haswell", {false, false}, NULL},
        {"SkylakeX", {true, true}, NULL},
        {"Cooperlake", {true, true}, NULL},
        {"SapphireRapids", {true, true}, NULL},
        {"SkylakeX", {false, false}, NULL},
        {"Excavator", {true, false}, NULL},
        {"of a later version", {true, true}, NULL},
        {"ARMV8", {false, false}, NULL},
        {"", {true, true}, NULL},
    };

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const char *got = environment_core_type(cases[k].kernels, cases[k].usable);

        if (cases[k].chosen == NULL)
            assert_null(got);
        else
            assert_string_equal(got, cases[k].chosen);
    }
}

/* What users have set: "NAME=VALUE", up to NULL. */
static const char *users[8];

static char *get(const char *name)
{
    const size_t length = strlen(name);

    for (int k = 0; users[k] != NULL; k++)
        if (strncmp(users[k], name, length) == 0 && users[k][length] == '=')
            return (char *)users[k] + length + 1;
    return NULL;
}

/* What is set, as the log says it. */
static const char *chosen(const environment_facts *facts, const char *const *set)
{
    static char text[256];
    environment_variable variables[ENVIRONMENT_VARIABLES];
    int n;

    memset(users, 0, sizeof users);
    for (int k = 0; set[k] != NULL; k++)
        users[k] = set[k];
    n = environment_choose(facts, get, variables);
    assert_in_range(n, 0, ENVIRONMENT_VARIABLES);
    text[0] = '\0';
    for (int k = 0; k < n; k++) {
        if (k > 0) strcat(text, " ");
        strcat(text, variables[k].name);
        strcat(text, "=");
        strcat(text, variables[k].value);
    }
    return text;
}

#define CHOSEN(facts, ...) chosen((facts), (const char *const[]){__VA_ARGS__, NULL})
#define BLAS "OPENBLAS_NUM_THREADS=1"

static const environment_facts usual = {.processor = {true, true},
                                        .openblas = true,
                                        .built = {true, true},
                                        .kernels = "Cooperlake",
                                        .threads = 1,
                                        .ranks = 1,
                                        .cores = 8};

static void openblas_has_one_thread_and_kernels_that_it_was_built_with(void **state)
{
    environment_facts facts = usual;

    (void)state;
    assert_string_equal(CHOSEN(&facts, NULL), BLAS);
    assert_string_equal(CHOSEN(&facts, "OPENBLAS_NUM_THREADS=4"), BLAS);
    assert_string_equal(CHOSEN(&facts, BLAS), "");
    facts.kernels = "Haswell";
    assert_string_equal(CHOSEN(&facts, BLAS), "OPENBLAS_CORETYPE=SkylakeX");
    assert_string_equal(CHOSEN(&facts, BLAS, "OPENBLAS_CORETYPE=Zen"), "");
    facts.built = avx2;
    assert_string_equal(CHOSEN(&facts, BLAS), "");
    facts.kernels = "Prescott";
    assert_string_equal(CHOSEN(&facts, BLAS), "OPENBLAS_CORETYPE=Haswell");
    facts.built = all;
    facts.processor = avx2;
    assert_string_equal(CHOSEN(&facts, BLAS), "OPENBLAS_CORETYPE=Haswell");
    facts.processor = none;
    assert_string_equal(CHOSEN(&facts, BLAS), "");
}

static void another_blas_needs_no_variables(void **state)
{
    environment_facts facts = usual;

    (void)state;
    facts.openblas = false;
    facts.built = none;
    facts.kernels = "zen3";
    assert_string_equal(CHOSEN(&facts, NULL), "");
}

static void threads_that_wait_sleep_soon(void **state)
{
    environment_facts facts = usual;

    (void)state;
    facts.threads = 2;
    assert_string_equal(CHOSEN(&facts, BLAS), "GOMP_SPINCOUNT=1000");
    assert_string_equal(CHOSEN(&facts, BLAS, "GOMP_SPINCOUNT=300000"), "");
    assert_string_equal(CHOSEN(&facts, BLAS, "OMP_WAIT_POLICY=active"), "");
    assert_string_equal(CHOSEN(&facts, BLAS, "KMP_BLOCKTIME=1"), "GOMP_SPINCOUNT=1000");
    facts.libomp = true;
    assert_string_equal(CHOSEN(&facts, BLAS), "KMP_BLOCKTIME=1");
    assert_string_equal(CHOSEN(&facts, BLAS, "KMP_BLOCKTIME=200"), "");
}

static void ranks_that_wait_yield_where_threads_are_more_than_cores(void **state)
{
    static const char yield[] = "OMPI_MCA_mpi_yield_when_idle=1";
    environment_facts facts = usual;

    (void)state;
    facts.ranks = 8;
    assert_string_equal(CHOSEN(&facts, BLAS), "");
    facts.ranks = 9;
    assert_string_equal(CHOSEN(&facts, BLAS), yield);
    assert_string_equal(CHOSEN(&facts, BLAS, "OMPI_MCA_mpi_oversubscribe=0"), yield);
    assert_string_equal(CHOSEN(&facts, BLAS, "OMPI_MCA_mpi_oversubscribe=1"), "");
    assert_string_equal(CHOSEN(&facts, BLAS, "OMPI_MCA_mpi_yield_when_idle=0"), "");
    facts.ranks = 2;
    facts.threads = 5;
    assert_string_equal(CHOSEN(&facts, BLAS, "OMP_WAIT_POLICY=passive"), yield);
    facts.ranks = 1;
    facts.threads = 9;
    assert_string_equal(CHOSEN(&facts, BLAS, "OMP_WAIT_POLICY=passive"), "");
}

static void everything_at_once_has_room(void **state)
{
    const environment_facts facts = {.processor = {true, true},
                                     .openblas = true,
                                     .built = {true, true},
                                     .kernels = "Haswell",
                                     .threads = 2,
                                     .ranks = 2,
                                     .cores = 2};

    (void)state;
    assert_string_equal(CHOSEN(&facts, NULL),
                        BLAS " OPENBLAS_CORETYPE=SkylakeX GOMP_SPINCOUNT=1000 "
                             "OMPI_MCA_mpi_yield_when_idle=1");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_core_type_is_chosen_only_where_openblas_chose_less),
    cmocka_unit_test(openblas_has_one_thread_and_kernels_that_it_was_built_with),
    cmocka_unit_test(another_blas_needs_no_variables),
    cmocka_unit_test(threads_that_wait_sleep_soon),
    cmocka_unit_test(ranks_that_wait_yield_where_threads_are_more_than_cores),
    cmocka_unit_test(everything_at_once_has_room),
};
CF_TEST_MAIN(tests)
