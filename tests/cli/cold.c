/* Users without train items, through the whole program: each command says once how many there are,
 * and gives them the most popular items. */
#include "problem.h"

static char test[1024], valid[1024];
/* A model of each kind of scorer. */
static const char *const models[] = {
    "model=LightGCN --set emb_selection=False --set embedding_size=16 --set epochs=3",
    "model=EASE",
};

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Item i3 has 4 users in train, i1 and i2 have 3, the others 2: "new" and "other" have none. */
static void write_parts(void)
{
    write_text(inter, "user_id:token\titem_id:token\n"
                      "u0\ti3\nu0\ti1\nu0\ti0\nu1\ti3\nu1\ti2\nu1\ti4\nu2\ti3\nu2\ti1\nu2\ti5\n"
                      "u3\ti3\nu3\ti2\nu3\ti0\nu4\ti1\nu4\ti2\nu4\ti4\nu5\ti5\n");
    write_text(valid, "user_id:token\titem_id:token\nnew\ti1\nu5\ti0\n");
    write_text(test, "user_id:token\titem_id:token\nnew\ti2\nother\ti3\nu5\ti1\n");
}

static void make_dataset(void)
{
    make_inputs();
    put_path(valid, "valid.inter");
    put_path(test, "test.inter");
    if (world.rank == 0) write_parts();
    MPI_Barrier(world.comm);
    succeed("llminit prepare --train %s --valid %s --test %s --out %s --quiet", inter, valid, test,
            data);
}

/* Succeeds, and rank 0 warns of the cold users in one line, even though the command is quiet. */
__attribute__((format(printf, 2, 3))) static void warns(const char *warning, const char *format,
                                                        ...)
{
    char line[8192], path[1024], got[4096] = "";
    int saved = dup(STDERR_FILENO);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    snprintf(path, sizeof path, "%s", cf_test_scratch("stderr"));
    fflush(stderr);
    if (world.rank == 0) assert_non_null(freopen(path, "w", stderr));
    const cf_status status = run_line(line, NULL);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    if (status != CF_OK) fail_msg("%s: %s", line, cf_error_message());
    if (world.rank != 0) return;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    got[fread(got, 1, sizeof got - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(got, warning);
}

/* i1 is masked for "new", which has it in valid. Scores are numbers of train interactions. */
static void check_recommended(void)
{
    char got[4096] = "";

    if (world.rank != 0) return;
    FILE *file = fopen(tsv, "r");
    assert_non_null(file);
    got[fread(got, 1, sizeof got - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(got, "user_id\trank\titem_id\tscore\ttitle\n"
                             "new\t1\ti3\t4\t\nnew\t2\ti2\t3\t\nnew\t3\ti0\t2\t\n"
                             "other\t1\ti3\t4\t\nother\t2\ti1\t3\t\nother\t3\ti2\t3\t\n");
}

static void they_get_the_most_popular_items_and_a_command_says_so_once(void **state)
{
    (void)state;
    make_dataset();
    if (world.rank == 0) write_text(list, "new\nother\n");
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        clear_output();
        warns("llminit: warning: 1 of 2 users have no train items: they get the most popular "
              "items\n",
              "llminit train --data %s --out %s --quiet --set %s", data, run, models[m]);
        warns("llminit: warning: 2 of 3 users have no train items: they get the most popular "
              "items\n",
              "llminit evaluate %s/best.h5 --data %s --protocol both --quiet", run, data);
        warns("llminit: warning: 2 of 2 users have no train items: they get the most popular "
              "items\n",
              "llminit recommend %s/best.h5 --data %s --out %s --users %s --topk 3 --quiet", run,
              data, tsv, list);
        check_recommended();
    }
}

/* "new" finds i2 at rank 2, "other" i3 at rank 1. */
static void they_count_in_the_metrics(void **state)
{
    (void)state;
    json_t *got =
        succeed_json("llminit evaluate %s/best.h5 --data %s --topk 1,2,5 --json", run, data);

    if (world.rank == 0) {
        const json_t *metrics = json_object_get(got, "test");
        const double third = json_real_value(json_object_get(metrics, "hit@1"));
        const double all = json_real_value(json_object_get(metrics, "hit@2"));

        assert_true(third >= 1.0 / 3 && all >= 2.0 / 3);
        assert_true(json_real_value(json_object_get(metrics, "map@5")) >= 1.5 / 3);
        assert_int_equal(integer(got, "users"), 3);
    }
    json_decref(got);
}

static void nothing_is_said_where_all_users_have_train_items(void **state)
{
    (void)state;
    if (world.rank == 0) write_text(list, "u0\nu5\n");
    MPI_Barrier(world.comm);
    warns("", "llminit recommend %s/best.h5 --data %s --out %s --users %s --topk 3 --quiet", run,
          data, tsv, list);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(they_get_the_most_popular_items_and_a_command_says_so_once),
    cmocka_unit_test(they_count_in_the_metrics),
    cmocka_unit_test(nothing_is_said_where_all_users_have_train_items),
};
CF_TEST_MAIN(tests)
