/* A run and its checkpoints say which build they are of. */
#include "run.h"
#include "train/internal.h"

static const run_spec spec = {
    .data = "data.h5", .folder = "run", .sets = {"emb_selection=var", "epochs=2"}};

/* The text in latest.h5 as an object. Collective. */
static json_t *build_in_file(void)
{
    cf_ckpt_file *file = NULL;
    char path[1024];
    json_t *build;

    scratch_path("run/latest.h5", path);
    assert_ok(cf_ckpt_open(&world, path, &file));
    assert_non_null(file->build);
    build = json_loads(file->build, 0, NULL);
    assert_non_null(build);
    cf_ckpt_close(&file);
    return build;
}

static void start(void)
{
    cf_train_result result;

    write_dataset(cf_test_scratch("data.h5"), true);
    clear_folder("run");
    assert_ok(run_train(&world, 1, &spec, &result));
}

static void log_and_checkpoint_have_the_build(void **state)
{
    json_t *build = cf_train_build_json(), *found;

    (void)state;
    assert_non_null(build);
    start();
    found = build_in_file();
    assert_true(json_equal(found, build));
    json_decref(found);
    if (world.rank == 0) {
        found = last_event("run", "start");
        assert_true(json_equal(json_object_get(found, "build"), build));
        json_decref(found);
    }
    json_decref(build);
}

/* What a resume writes to stderr: static, "" on ranks other than 0. Collective. */
static const char *resume(void)
{
    run_spec again = spec;
    cf_train_result result;
    cf_status status;
    const char *text;

    again.resume = true;
    cf_test_begin_stderr();
    status = run_train(&world, 1, &again, &result);
    text = cf_test_end_stderr();
    assert_ok(status);
    return text;
}

static void a_resume_by_another_build_says_so_in_one_line(void **state)
{
    const char *text;

    (void)state;
    start();
    assert_string_equal(resume(), "");
    cf_build_set_commit("0123456789abcdef");
    text = resume();
    cf_build_set_commit("unknown");
    if (world.rank == 0) {
        assert_non_null(
            strstr(text, "latest.h5 was written by another build, which differs in commit: "));
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    } else {
        assert_string_equal(text, "");
    }
}

/* An older program tells nothing; what is no JSON object tells of another program. */
static void what_a_file_does_not_tell_is_no_difference(void **state)
{
    char *text = NULL, unreadable[] = "{";
    cf_ckpt_file file = {.path = "old.h5"};
    const char *said;

    (void)state;
    assert_ok(build_text(&world, &text));
    cf_test_begin_stderr();
    assert_ok(build_warn(&world, &file, text));
    assert_string_equal(cf_test_end_stderr(), "");
    file.build = unreadable;
    cf_test_begin_stderr();
    assert_ok(build_warn(&world, &file, text));
    said = cf_test_end_stderr();
    if (world.rank == 0)
        assert_non_null(
            strstr(said, "old.h5 was written by another build, which differs in version, "));
    cf_free(&text);
}

static cf_status make_text(void *context)
{
    return build_text(&world, context);
}

static void drop_text(void *context)
{
    cf_free(context);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = make_text, .clean_up = drop_text, .least = {10, 1}};
    char *text = NULL;

    (void)state;
    assert_true(cf_test_every_allocation(&trial, &text) > 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(log_and_checkpoint_have_the_build),
    cmocka_unit_test(a_resume_by_another_build_says_so_in_one_line),
    cmocka_unit_test(what_a_file_does_not_tell_is_no_difference),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
