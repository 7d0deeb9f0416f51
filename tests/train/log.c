/* The log of a run whose writes fail: no line is lost, and training goes on. */
#include "run.h"
#include "train/internal.h"

#include <errno.h>
#include <sys/syscall.h>

/* This write() comes before the C library's: the n-th call on a regular file fails, for once or
 * from then on, or writes a part alone. */
static struct {
    long countdown; /* 0: none */
    bool lasts, is_short;
} fault;

ssize_t write(int fd, const void *bytes, size_t size)
{
    if (fd > 2 && size > 30 && fault.countdown > 0 && --fault.countdown == 0) {
        if (fault.lasts) fault.countdown = 1;
        errno = ENOSPC;
        if (!fault.is_short) return -1;
        size /= 2;
    }
    return (ssize_t)syscall(SYS_write, fd, bytes, size);
}

static char *read_log(void)
{
    char path[1024];
    char *text = calloc(1, 1 << 16);
    FILE *file;

    scratch_path("run/log.jsonl", path);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

/* How many lines the log has; each must be whole. */
static int count_lines(void)
{
    char *text = read_log();
    int count = 0;

    for (char *line = text, *end; *line != '\0'; line = end + 1, count++) {
        end = strchr(line, '\n');
        assert_non_null(end);
        assert_true(line[0] == '{' && end[-1] == '}');
    }
    free(text);
    return count;
}

static cf_status train(void)
{
    const run_spec spec = {
        .data = "data.h5", .folder = "run", .sets = {"emb_selection=var", "epochs=4"}};
    cf_train_result result;
    cf_status status;

    clear_folder("run");
    status = run_train(&world, 1, &spec, &result);
    fault.countdown = 0;
    return status;
}

static void a_line_that_cannot_be_written_waits_for_the_next(void **state)
{
    int n_lines = 0;

    (void)state;
    write_dataset(cf_test_scratch("data.h5"), true);
    assert_ok(train());
    if (world.rank == 0) n_lines = count_lines();
    for (long n = 1; n <= 12; n++) {
        fault.is_short = n % 2;
        fault.countdown = world.rank == 0 ? n : 0;
        assert_ok(train());
        if (world.rank == 0) assert_int_equal(count_lines(), n_lines);
    }
    fault.is_short = false;
}

static void a_log_without_room_does_not_end_the_run(void **state)
{
    (void)state;
    fault.lasts = true;
    fault.countdown = world.rank == 0 ? 4 : 0;
    assert_ok(train());
    fault.lasts = false;
    if (world.rank == 0) assert_true(count_lines() >= 1);
}

/* ---- What a person who watches sees ---- */

/* Train with the log in a file, and read it. On rank 0; NULL on the others. */
static char *train_and_watch(const run_spec *spec)
{
    const int real_stderr = dup(STDERR_FILENO);
    char path[1024], *text = NULL;
    FILE *file = NULL;
    cf_train_result result;
    cf_status status;

    scratch_path("stderr", path);
    if (world.rank == 0) {
        file = fopen(path, "w+");
        assert_non_null(file);
        assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    }
    clear_folder("run");
    status = run_train(&world, 1, spec, &result);
    assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
    close(real_stderr);
    assert_ok(status);
    if (file == NULL) return NULL;
    text = calloc(1, 1 << 16);
    rewind(file);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

/* A learning rate of almost 0 changes no ranking: the first evaluation stays the best one. */
static void each_evaluation_is_a_line(void **state)
{
    const run_spec spec = {
        .data = "data.h5",
        .folder = "run",
        .logs = true,
        .sets = {"emb_selection=var", "epochs=4", "eval_step=2", "learning_rate=1e-30"}};
    char *text, *log, *line, *logged, metric[32], best[32];
    double loss, value, first, seconds;
    long long epoch, best_epoch;

    (void)state;
    text = train_and_watch(&spec);
    if (text == NULL) return;
    line = strstr(text, "llminit: epoch ");
    assert_non_null(line);
    assert_int_equal(sscanf(line,
                            "llminit: epoch %lld: loss %lf, valid %31s %lf (%31[a-z ]), %lf s\n",
                            &epoch, &loss, metric, &first, best, &seconds),
                     6);
    assert_int_equal(epoch, 2);
    log = read_log();
    logged = strstr(log, "\"epoch\":2,\"loss\":");
    assert_non_null(logged);
    assert_close(loss, strtod(logged + strlen("\"epoch\":2,\"loss\":"), NULL), 1e-5);
    free(log);
    assert_string_equal(metric, "NDCG@10");
    assert_string_equal(best, "the best so far");
    line = strstr(line + 1, "llminit: epoch ");
    assert_non_null(line);
    assert_int_equal(
        sscanf(line,
               "llminit: epoch %lld: loss %lf, valid %31s %lf (best so far %lf in epoch %lld), ",
               &epoch, &loss, metric, &value, &seconds, &best_epoch),
        6);
    assert_true(epoch == 4 && best_epoch == 2);
    assert_close(value, first, 1e-9);
    assert_close(seconds, first, 1e-9);
    assert_null(strstr(line + 1, "llminit: epoch "));
    free(text);
}

/* ---- A log that is cut at a resume ---- */

/* Each rank has a log of its own, which lies there anew for each attempt. */
static void write_old_log(void *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (int epoch = 1; epoch <= 3; epoch++)
        fprintf(file, "{\"event\":\"epoch\",\"epoch\":%d,\"loss\":0.5}\n", epoch);
    assert_int_equal(fclose(file), 0);
}

static cf_status cut_old_log(void *path)
{
    return cf_par_agree(&world, log_cut(path, 2));
}

static void check_old_log(void *path)
{
    char text[256] = "";
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(text, "\"epoch\":1,"));
    assert_non_null(strstr(text, "\"epoch\":2,"));
}

static void without_memory_no_line_is_taken_for_a_torn_one(void **state)
{
    const cf_test_trial trial = {
        .prepare = write_old_log, .attempt = cut_old_log, .clean_up = check_old_log};
    char path[1024], name[32];

    (void)state;
    snprintf(name, sizeof name, "old.%d.jsonl", world.rank);
    scratch_path(name, path);
    assert_true(cf_test_every_allocation(&trial, path) > 10);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_line_that_cannot_be_written_waits_for_the_next),
    cmocka_unit_test(a_log_without_room_does_not_end_the_run),
    cmocka_unit_test(each_evaluation_is_a_line),
    cmocka_unit_test(without_memory_no_line_is_taken_for_a_torn_one),
};

CF_TEST_MAIN(tests)
