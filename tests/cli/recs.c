/* evaluate --recs: what recommend writes has the model's metrics; texts of other programs; what is
 * in them that cannot be used. */
#include "problem.h"

static char recs[1024];

static void write_recs(const char *text)
{
    if (world.rank == 0) {
        FILE *file = fopen(recs, "w");

        assert_non_null(file);
        fputs(text, file);
        fclose(file);
    }
    MPI_Barrier(world.comm);
}

static void make_run(void)
{
    make_inputs();
    put_path(recs, "recs.tsv");
    succeed("llminit prepare --inter %s --item %s --out %s --set split=RS --quiet", inter, item,
            data);
    succeed("llminit train --data %s --out %s --quiet --set model=BPR --set emb_selection=False "
            "--set embedding_size=16 --set epochs=2",
            data, run);
}

/* Ranks that go by masked lists of 20 of 40 items: the same metrics, groups and catalogue. */
static void what_recommend_writes_has_the_models_metrics(void **state)
{
    json_t *want, *got;

    (void)state;
    make_run();
    succeed("llminit recommend %s/best.h5 --data %s --topk 20 --out %s --quiet", run, data, recs);
    want = succeed_json("llminit evaluate %s/best.h5 --data %s --groups --json --quiet", run, data);
    got = succeed_json("llminit evaluate --recs %s --data %s --groups --json --quiet", recs, data);
    if (world.rank == 0) assert_true(json_equal(got, want));
    json_decref(got);
    json_decref(want);
}

/* ---- A dataset whose numbers are known ------------------------------------------------------ */

/* Each user has one positive: "a" t1, "b" t2, "c" t3, "d" t4. "a" has h1 in train, "b" h2. */
static void make_small_dataset(void)
{
    if (world.rank == 0) {
        FILE *file = fopen(inter, "w");

        assert_non_null(file);
        fputs("user_id:token\titem_id:"
              "token\na\th1\nb\th2\nc\th3\nd\th4\na\tt4\nb\tt1\nc\tt2\nd\tt3\n",
              file);
        fclose(file);
        file = fopen(item, "w");
        assert_non_null(file);
        fputs("user_id:token\titem_id:token\na\tt1\nb\tt2\nc\tt3\nd\tt4\n", file);
        fclose(file);
    }
    MPI_Barrier(world.comm);
    succeed("llminit prepare --train %s --test %s --out %s --quiet", inter, item, data);
}

/* `want`: a part of each line; after a +, more of the line before. */
static void check_warnings(const char *got, const char *want)
{
    int lines = 0;

    for (const char *c = got; *c; c++)
        lines += *c == '\n';
    for (; *want; want = strchr(want, '\n') + 1) {
        char part[256];

        lines -= *want != '+';
        want += *want == '+';
        snprintf(part, sizeof part, "%.*s", (int)strcspn(want, "\n"), want);
        if (strstr(got, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", got, part);
    }
    if (lines != 0) fail_msg("\"%s\" has %d lines too many", got, lines);
}

/* Evaluates a text; rank 0 checks MRR@4 and what is said on stderr. */
static void expect(const char *text, const char *more, double mrr, const char *warnings)
{
    char path[1024], got[4096] = "";
    int saved = dup(STDERR_FILENO);

    put_path(path, "stderr");
    write_recs(text);
    fflush(stderr);
    if (world.rank == 0) assert_non_null(freopen(path, "w", stderr));
    json_t *json = succeed_json("llminit evaluate --recs %s --data %s --topk 4 --json --quiet%s",
                                recs, data, more);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    if (world.rank == 0) {
        FILE *file = fopen(path, "r");

        assert_non_null(file);
        got[fread(got, 1, sizeof got - 1, file)] = '\0';
        fclose(file);
        assert_close(json_real_value(json_object_get(json_object_get(json, "test"), "mrr@4")), mrr,
                     1e-15);
        check_warnings(got, warnings);
    }
    json_decref(json);
}

#define SHORT "the longest list has 2 items, fewer than the largest of topk (4)\n"

/* First, second, first and second: 3/4. The same lists in each form, users in any order. */
static void lists_come_in_several_forms(void **state)
{
    static const char *const forms[] = {
        "a\tt1\nb\tt1\nb\tt2\nc\tt3\nd\th1\nd\tt4\na\th3\n",
        "b t4\na t1\nc t3\nd h1\nb t2\nd t4\n",
        "b,t4\r\n\r\na,t1\r\nc,t3\r\nd,h1\r\nb,t2\r\nd,t4",
        "user_id\titem_id\na\tt1\nb\tt4\nb\tt2\nc\tt3\nd\th1\nd\tt4\n",
        "\xef\xbb\xbfitem_id:token,rank:float,user_id:token\n"
        "t2,7,b\nt1,1,a\nt4,2,b\nt3,5,c\nt4,10,d\nh1,9,d\n",
        "score\titem_id\tx\tuser_id\n-1.5\tt2\t\tb\n2\tt1\t\ta\n1e3\tt4\t\tb\n0\tt3\t?\tc\n"
        "0.5\tt4\t\td\n0.5\th1\t\td\n", /* equal scores: the lower item, h1 */
        "user_id rank item_id score\nb 2 t2 9\nb 1 t4 1\na 1 t1 0\nc 1 t3 0\nd 1 h1 0\nd 2 t4 5\n",
    };

    (void)state;
    make_small_dataset();
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++)
        expect(forms[k], k == 0 ? " --protocol unmasked" : "", 0.75, SHORT);
}

static void what_cannot_be_used_is_told(void **state)
{
    (void)state;
    /* a: h1 is its history; b has no list; c: an unknown item is a miss; d: a repeat */
    expect("a h1\na t1\nc x1\nc t3\nd h1\nd h1\nd t4\nz t1\ny t1\n", "", 0.5,
           "2 lines are left out: their users are not in\n"
           "+the first is \"z\" (line 8)\n"
           "1 items are not in\n"
           "+the first is \"x1\" (line 3): they keep their places, as misses\n"
           "1 repeats of an item in a user's list are left out\n"
           "1 of 4 users have no list: they count as zero\n"
           "1 items of the users' history are left out (--protocol unmasked keeps them)\n" SHORT);
}

static void what_cannot_be_read_is_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "has no recommendations"},
        {"user_id\titem_id\n", "has no recommendations"},
        {"user_id\titem\na\tt1\n", ":1: expected a header with user_id and item_id"},
        {"a t1 4\n", ":1: expected a header with user_id and item_id"},
        {"a t1\nb\n", ":2: has 1 fields, expected 2"},
        {"t1 a\nt2 b\n", "none of its users is in"},
        {"a a\nb b\n", "none of its items is in"},
        {"user_id\titem_id\tscore\na\tt1\tx\n", ":2: score: \"x\" is not a number"},
        {"user_id\titem_id\tscore\na\tt1\tnan\n", ":2: score: \"nan\" is not a number"},
        {"user_id\titem_id\trank\na\tt1\t\n", ":2: rank: \"\" is not a number"},
        {"user_id\titem_id\trank\nb\tt1\t2\na\tt1\t1\nb\tt2\t2\n",
         ":4: user \"b\" has two items at rank 2"},
    };

    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        write_recs(bad[k].text);
        assert_refused(run_format(NULL, "llminit evaluate --recs %s --data %s", recs, data),
                       CF_ERR_FORMAT, bad[k].words);
    }
    assert_refused(run_format(NULL, "llminit evaluate --recs %s --data %s", data, data),
                   CF_ERR_FORMAT, "has a zero byte");
    assert_refused(run_format(NULL, "llminit evaluate --recs %s.x --data %s", recs, data),
                   CF_ERR_IO, "cannot open");
}

static void a_model_or_a_text(void **state)
{
    static const struct {
        const char *more, *words;
    } bad[] = {
        {" run/best.h5", "expected one of them"},
        {" --profile x.json", "--profile is of a model"},
        {" --set eval_memory=7", "has no effect on --recs"},
    };

    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        assert_refused(
            run_format(NULL, "llminit evaluate --recs %s --data %s%s", recs, data, bad[k].more),
            CF_ERR_USAGE, bad[k].words);
    assert_refused(run_format(NULL, "llminit evaluate --data %s", data), CF_ERR_USAGE,
                   "CHECKPOINT.h5 is missing (or --recs FILE)");
}

static cf_status try_recs(void *context)
{
    (void)context;
    return run_format(NULL, "llminit evaluate --recs %s --data %s --json --quiet", recs, data);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = try_recs, .rotate = true, .step = 5, .thinning = 8};

    (void)state;
    write_recs("a t1\nb t1\nc t3\nd t4\n");
    assert_true(cf_test_every_allocation(&trial, NULL) > 4);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_recommend_writes_has_the_models_metrics),
    cmocka_unit_test(lists_come_in_several_forms),
    cmocka_unit_test(what_cannot_be_used_is_told),
    cmocka_unit_test(what_cannot_be_read_is_refused),
    cmocka_unit_test(a_model_or_a_text),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
