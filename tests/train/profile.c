/* What a run says of its costs: that it adds up, and that what was foretold came true. */
#include "run.h"

#include <jansson.h>
#include <math.h>
#include <sys/stat.h>
#include <time.h>

/* Expected rows differ from a few drawn batches', and a batch of a sixth of all interactions is not
 * drawn with replacement, as the forecast takes it. */
static const double draw_tolerance = 0.05;
/* Settings, descriptors, counts by rank and the like are not foretold: so many bytes at most. */
static const double unforetold = 24576;
static const double memory_tolerance = 0.01;
/* Halos are foretold as if all degrees were alike. */
static const double halo_tolerance = 0.15;

static double number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (value == NULL) fail_msg("the profile has no %s", name);
    return json_number_value(value);
}

static double phase_sum(const json_t *profile, const char *phase, const char *what)
{
    const json_t *ranks = json_object_get(profile, "per_rank");
    double sum = 0;

    for (size_t k = 0; k < json_array_size(ranks); k++)
        sum += number(json_object_get(json_object_get(json_array_get(ranks, k), "phases"), phase),
                      what);
    return sum;
}

static void check_close(double got, double want, double tolerance, const char *what)
{
    if (!(fabs(got - want) <= tolerance * fabs(want)))
        fail_msg("%s: %.6g, expected %.6g within %g", what, got, want, tolerance);
}

/* Bytes of a step, mean over the ranks: by phase, and together; `halo`: its tolerance. */
static void check_bytes(const json_t *profile, double halo, const char *what)
{
    const json_t *predicted = json_object_get(profile, "predicted_step_bytes");
    const double per = number(profile, "steps") * number(profile, "ranks");
    double all = 0;
    char text[256];

    for (int phase = CF_PHASE_BATCH; phase <= CF_PHASE_OPTIMIZER; phase++) {
        const char *name = cf_phase_names[phase];
        const double sent = phase_sum(profile, name, "bytes") / per;
        const json_t *value = json_object_get(predicted, name);

        snprintf(text, sizeof text, "%s: bytes of %s in a step", what, name);
        check_close(json_number_value(value), sent, phase == CF_PHASE_HALO ? halo : draw_tolerance,
                    text);
        all += sent;
    }
    snprintf(text, sizeof text, "%s: bytes of a step", what);
    check_close(number(predicted, "total"), all, draw_tolerance, text);
    assert_true(number(predicted, "most") >= number(predicted, "total") * (1 - 1e-12));
}

static void check_memory(const json_t *profile, int n_rows, const char *what)
{
    const json_t *ranks = json_object_get(profile, "per_rank");
    const double predicted = number(profile, "predicted_held");
    double held = 0;

    for (size_t k = 0; k < json_array_size(ranks); k++) {
        const json_t *rank = json_array_get(ranks, k);

        held += number(rank, "held") / (double)json_array_size(ranks);
        assert_true(number(rank, "held") <= number(rank, "allocated"));
        assert_true(number(rank, "allocated") < number(rank, "resident"));
    }
    check_close(held - unforetold / 2, predicted,
                unforetold / 2 / predicted + (n_rows > 1 ? halo_tolerance : memory_tolerance),
                what);
}

static void check_seconds(const json_t *profile)
{
    const json_t *ranks = json_object_get(profile, "per_rank");

    assert_int_equal(json_array_size(ranks), world.size);
    for (size_t k = 0; k < json_array_size(ranks); k++) {
        const json_t *rank = json_array_get(ranks, k);
        double sum = 0;

        assert_int_equal(number(rank, "rank"), k);
        for (int phase = 0; phase < CF_N_PHASES; phase++) {
            const json_t *one =
                json_object_get(json_object_get(rank, "phases"), cf_phase_names[phase]);

            sum += number(one, "seconds");
            assert_true(number(one, "file_seconds") <= number(one, "seconds") + 1e-6 ||
                        phase == CF_PHASE_PROPAGATION);
            assert_true(number(one, "mpi_seconds") <= number(one, "seconds") + 1e-6 ||
                        phase == CF_PHASE_PROPAGATION); /* the optimizer's are taken off it */
        }
        check_close(sum, number(rank, "seconds"), 1e-6, "seconds of all phases");
    }
}

static json_t *load(const char *name)
{
    json_error_t error;
    json_t *object = json_load_file(cf_test_scratch(name), 0, &error);

    if (object == NULL) fail_msg("%s: %s", name, error.text);
    return object;
}

/* One batch an epoch has everything: then nothing of the halo is left to chance. */
static const run_spec variants[] = {
    {.sets = {"model=LightGCN", "epochs=6"}},
    {.sets = {"model=LightGCN", "epochs=1", "n_layers=3", "train_batch_size=100000"}},
    {.sets = {"model=LightGCN", "epochs=6", "propagate=test"}},
    {.sets = {"model=BPR", "epochs=6", "learner=sgd"}},
    {.sets = {"model=SGL", "epochs=4"}},
    {.sets = {"model=SGL", "epochs=1", "type=RW", "n_layers=3", "train_batch_size=100000"}},
    {.sets = {"model=SGCL", "epochs=6"}},
    {.sets = {"model=LightGCN", "epochs=6", "start_decay=0.1"}},
    {.sets = {"model=BPR", "epochs=6", "start_decay=0.1", "freeze_items=true"}},
    {.sets = {"model=LightGCN", "epochs=6", "freeze_items=true"}},
    {.sets = {"model=LightGCN", "epochs=3", "train_batch_size=8", "reach_share=1"}},
    {.sets = {"model=LightGCN", "epochs=6", "field_precision=bfloat16"}},
    {.sets = {"model=LightGCN", "epochs=1", "n_layers=3", "train_batch_size=100000",
              "field_precision=bfloat16"}},
    {.sets = {"model=SGL", "epochs=4", "field_precision=bfloat16"}},
    {.sets = {"model=SGCL", "epochs=6", "field_precision=bfloat16"}},
    {.data = "cold.h5", .sets = {"model=LightGCN", "epochs=6"}},
    {.sets = {"model=iALS", "epochs=1", "reg_weight=0.05"}},
    {.data = "cold.h5", .sets = {"model=iALS", "epochs=1", "reg_weight=0.05", "item_prior=none"}},
    {.data = "weighted.h5", .sets = {"model=iALS", "epochs=1", "reg_weight=0.05"}},
    {.data = "path.h5",
     .sets = {"model=LightGCN", "epochs=6", "n_layers=3", "train_batch_size=1", "reach_share=1"}},
    {.data = "path.h5",
     .sets = {"model=LightGCN", "epochs=6", "n_layers=3", "train_batch_size=2", "reach_share=0"}},
};

static bool is_whole(const run_spec *spec)
{
    for (int k = 0; spec->sets[k] != NULL; k++)
        if (strcmp(spec->sets[k], "train_batch_size=100000") == 0) return true;
    return false;
}

static void foretell(int ranks_a_node, size_t first, int stride)
{
    cf_par_pretend_nodes(ranks_a_node);
    write_dataset(cf_test_scratch("data.h5"), false);
    write_pairs(cf_test_scratch("path.h5"), false, path_pairs());
    write_cold(cf_test_scratch("cold.h5"), false);
    write_weighted(cf_test_scratch("weighted.h5"), false);
    for (size_t v = first; v < sizeof variants / sizeof *variants; v += (size_t)stride)
        for (int k = 0, columns; (columns = grid_columns(&world, k)) > 0; k++) {
            run_spec spec = variants[v];
            cf_train_result result;
            char what[128];

            if (spec.data == NULL) spec.data = "data.h5";
            spec.folder = "run";
            spec.profile = "profile.json";
            clear_folder("run");
            assert_ok(run_train(&world, columns, &spec, &result));
            snprintf(what, sizeof what, "%s, variant %d, %dx%d", spec.sets[0], (int)v,
                     world.size / columns, columns);
            if (world.rank == 0) {
                json_t *profile = load("profile.json");

                check_bytes(profile, is_whole(&spec) ? 1e-9 : draw_tolerance, what);
                check_memory(profile, world.size / columns, what);
                check_seconds(profile);
                json_decref(profile);
            }
            MPI_Barrier(world.comm);
        }
    cf_par_pretend_nodes(0);
}

/* Each rank on a node of its own, so that all rows of the halo are sent. */
static void what_was_foretold_came_true(void **state)
{
    (void)state;
    foretell(1, 0, 1);
}

/* All ranks on one node, for half of the variants, and in pairs for the others. */
static void what_was_foretold_came_true_on_nodes(void **state)
{
    (void)state;
    foretell(0, 0, 2);
    foretell(2, 1, 2);
}

/* Seconds of all threads of this process, by another clock than the program's. */
static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* The process has done other runs before: what it took until now is in the count. */
static void check_cpu_seconds(const json_t *profile, const json_t *summary, double before)
{
    static const double resolution = 0.02;
    const json_t *ranks = json_object_get(profile, "per_rank");
    const double mine = number(json_array_get(ranks, 0), "cpu_seconds");
    double sum = 0;

    assert_true(mine >= before - resolution && mine <= cpu_seconds() + resolution);
    for (size_t k = 0; k < json_array_size(ranks); k++)
        sum += number(json_array_get(ranks, k), "cpu_seconds");
    assert_true(sum > 0);
    check_close(json_number_value(json_array_get(json_object_get(summary, "cpu_seconds"), 1)) *
                    world.size,
                sum, 1e-9, "CPU seconds");
}

/* All ranks together read the dataset, and write and read back each checkpoint. */
static void check_files(const json_t *profile)
{
    char path[1100];
    struct stat data, latest;

    assert_int_equal(stat(cf_test_scratch("data.h5"), &data), 0);
    snprintf(path, sizeof path, "%s/latest.h5", cf_test_scratch("run"));
    assert_int_equal(stat(path, &latest), 0);
    assert_true(phase_sum(profile, "input", "read_bytes") > (double)data.st_size / 2);
    assert_true(phase_sum(profile, "input", "written_bytes") == 0);
    assert_true(phase_sum(profile, "output", "written_bytes") > (double)latest.st_size / 2);
    assert_true(phase_sum(profile, "output", "read_bytes") > (double)latest.st_size / 2);
    assert_true(phase_sum(profile, "output", "file_seconds") > 0);
    assert_true(phase_sum(profile, "halo", "read_bytes") == 0);
}

/* Least, mean and largest of the profile's ranks. */
static void the_log_sums_the_profile_up(void **state)
{
    const run_spec spec = {.data = "data.h5",
                           .folder = "run",
                           .profile = "profile.json",
                           .sets = {"model=LightGCN", "epochs=2", "eval_step=0"}};
    const double before = cpu_seconds();
    cf_train_result result;

    (void)state;
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
    if (world.rank == 0) {
        json_t *profile = load("profile.json"), *summary = last_event("run", "profile"),
               *start = last_event("run", "start");
        const json_t *spread =
            json_object_get(json_object_get(json_object_get(summary, "phases"), "halo"), "bytes");

        assert_int_equal(number(summary, "steps"), number(profile, "steps"));
        assert_int_equal(json_array_size(spread), 3);
        check_close(json_number_value(json_array_get(spread, 1)) * world.size,
                    phase_sum(profile, "halo", "bytes"), 1e-9, "bytes of the halo");
        check_close(number(start, "predicted_held"), number(profile, "predicted_held"), 1e-9,
                    "memory");
        assert_true(json_equal(json_object_get(start, "predicted_step_bytes"),
                               json_object_get(profile, "predicted_step_bytes")) ||
                    world.size > 1); /* digits */
        assert_true(number(json_object_get(summary, "balance"), "edges") >= 1 - 1e-9);
        check_cpu_seconds(profile, summary, before);
        check_files(profile);
        json_decref(profile);
        json_decref(summary);
        json_decref(start);
    }
    MPI_Barrier(world.comm);
}

static void a_profile_that_cannot_be_written_fails_everywhere(void **state)
{
    const run_spec spec = {.data = "data.h5",
                           .folder = "run",
                           .profile = "data.h5/folder.json",
                           .sets = {"model=BPR", "epochs=1"}};
    cf_train_result result;

    (void)state;
    clear_folder("run");
    assert_int_equal(run_train(&world, 1, &spec, &result), CF_ERR_IO);
    assert_non_null(
        strstr(cf_error_message(), "data.h5/folder.json: cannot create (Not a directory)"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_was_foretold_came_true),
    cmocka_unit_test(what_was_foretold_came_true_on_nodes),
    cmocka_unit_test(the_log_sums_the_profile_up),
    cmocka_unit_test(a_profile_that_cannot_be_written_fails_everywhere),
};
CF_TEST_MAIN(tests)
