/* What a run says of the node that it runs on: a folder in place of /sys. */
#include "run.h"

#include <jansson.h>
#include <sys/stat.h>

static const run_spec spec = {.data = "data.h5",
                              .folder = "run",
                              .profile = "profile.json",
                              .sets = {"emb_selection=var", "epochs=1"}};
static char sys_folder[1024];

/* Rank 0 writes for all. */
static void put(const char *folder, const char *name, const char *text)
{
    char path[1400];
    FILE *file;

    if (world.rank != 0) return;
    snprintf(path, sizeof path, "mkdir -p '%s/%s'", sys_folder, folder);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/%s/%s", sys_folder, folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s\n", text);
    fclose(file);
}

/* Collective. */
static void make_system(const char *pages)
{
    snprintf(sys_folder, sizeof sys_folder, "%s", cf_test_scratch("sys"));
    put("kernel/mm/transparent_hugepage", "enabled", pages);
    put("class/powercap/intel-rapl:0", "name", "package-0");
    put("class/powercap/intel-rapl:0", "max_energy_range_uj", "1000000000");
    put("class/powercap/intel-rapl:0", "energy_uj", "5000000");
    MPI_Barrier(world.comm);
}

/* What a run writes to stderr: static. Collective. */
static const char *train(void)
{
    cf_train_result result;
    cf_status status;
    const char *text;

    clear_folder("run");
    cf_par_pretend_system(sys_folder);
    cf_test_begin_stderr();
    status = run_train(&world, 1, &spec, &result);
    text = cf_test_end_stderr();
    cf_par_pretend_system(NULL);
    assert_ok(status);
    return text;
}

static void the_log_has_the_binding_of_each_rank(void **state)
{
    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    make_system("always [madvise] never");
    assert_string_equal(train(), "");
    if (world.rank == 0) {
        json_t *start = last_event("run", "start");
        const json_t *ranks = json_object_get(start, "binding");

        assert_non_null(start);
        assert_int_equal(json_array_size(ranks), world.size);
        for (int k = 0; k < world.size; k++) {
            const json_t *rank = json_array_get(ranks, (size_t)k);

            assert_int_equal(json_integer_value(json_object_get(rank, "rank")), k);
            assert_int_equal(json_integer_value(json_object_get(rank, "threads")), 1);
            assert_true(json_string_value(json_object_get(rank, "cpus"))[0] != '\0');
            assert_true(json_string_value(json_object_get(rank, "node"))[0] != '\0');
            assert_true(json_is_false(json_object_get(rank, "bound"))); /* no other CPU is known */
        }
        json_decref(start);
    }
}

/* A warning only if the program has asked for them. */
static void huge_pages_that_are_off_are_a_warning(void **state)
{
    float *large = NULL;
    const char *text;

    (void)state;
    make_system("always madvise [never]");
    assert_string_equal(train(), "");
    assert_ok(CF_ALLOC(large, CF_HUGE_FROM));
    text = train();
    if (world.rank == 0) {
        assert_non_null(strstr(text, "warning: transparent huge pages are off"));
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    } else {
        assert_string_equal(text, "");
    }
    cf_free(&large);
}

/* The meter of this node stands still. */
static void energy_is_in_the_profile_where_it_is_measured(void **state)
{
    (void)state;
    make_system("always [madvise] never");
    (void)train();
    if (world.rank == 0) {
        json_t *file = json_load_file(cf_test_scratch("profile.json"), 0, NULL);
        json_t *event = last_event("run", "profile");
        const json_t *energy = json_object_get(event, "energy");

        assert_non_null(file);
        assert_non_null(event);
        assert_true(json_equal(json_object_get(file, "energy"), energy));
        assert_int_equal(json_object_size(energy), 6);
        assert_true(json_real_value(json_object_get(energy, "all")) == 0);
        assert_true(json_is_real(json_object_get(energy, "steps")));
        assert_true(json_is_real(json_object_get(energy, "output")));
        json_decref(file);
        json_decref(event);
        snprintf(sys_folder, sizeof sys_folder, "/nonexistent");
    }
    cf_par_broadcast(&world, sys_folder, sizeof sys_folder, 0);
    (void)train();
    if (world.rank == 0) {
        json_t *event = last_event("run", "profile");

        assert_non_null(event);
        assert_true(json_is_null(json_object_get(event, "energy")));
        json_decref(event);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_log_has_the_binding_of_each_rank),
    cmocka_unit_test(huge_pages_that_are_off_are_a_warning),
    cmocka_unit_test(energy_is_in_the_profile_where_it_is_measured),
};
CF_TEST_MAIN(tests)
