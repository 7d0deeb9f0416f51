/* evaluate on a dataset that marks cold items: its tables, printed and as JSON, of a model and of
 * lists. */
#include "problem.h"

static void make_run(void)
{
    make_inputs();
    succeed("llminit prepare --inter %s --item %s --embedding %s --out %s --set split=RS "
            "--set cold_share=0.3 --quiet",
            inter, item, npy, data);
    succeed("llminit train --data %s --out %s --quiet --set model=BPR --set embedding_size=16 "
            "--set epochs=1",
            data, run);
}

/* Lists have the table of all candidates alone; targets and shares are those of the model. */
static void evaluate_shows_the_tables_of_cold_items(void **state)
{
    (void)state;
    make_run();
    succeed("llminit recommend %s/best.h5 --data %s --topk %d --out %s --quiet", run, data, ITEMS,
            tsv);
    json_t *model = succeed_json("llminit evaluate %s/best.h5 --data %s --protocol both --topk 5 "
                                 "--json --quiet",
                                 run, data);
    json_t *lists =
        succeed_json("llminit evaluate --recs %s --data %s --topk 5 --json --quiet", tsv, data);
    if (world.rank == 0) {
        const json_t *of_model = json_object_get(model, "cold");
        const json_t *of_lists = json_object_get(lists, "cold");

        assert_non_null(json_object_get(json_object_get(model, "cold_unmasked"), "cold"));
        assert_true(integer(json_object_get(of_model, "cold"), "users") > 0);
        assert_true(integer(json_object_get(of_model, "warm"), "positives") ==
                    integer(of_model, "warm_targets"));
        assert_null(json_object_get(of_lists, "warm"));
        assert_null(json_object_get(of_lists, "cold"));
        for (int k = 0; k < 5; k++) {
            static const char *const same[] = {"all", "warm_targets", "cold_targets", "warm_hit@5",
                                               "cold_hit@5"};

            assert_non_null(json_object_get(of_model, same[k]));
            assert_true(
                json_equal(json_object_get(of_model, same[k]), json_object_get(of_lists, same[k])));
        }
        assert_true(json_equal(json_object_get(model, "test"), json_object_get(lists, "test")));
    }
    json_decref(model);
    json_decref(lists);
}

static void the_tables_stand_side_by_side(void **state)
{
    char *text = NULL;

    (void)state;
    assert_ok(
        run_format(&text, "llminit evaluate %s/best.h5 --data %s --topk 5 --quiet", run, data));
    if (world.rank == 0) {
        assert_non_null(
            strstr(text, "test, history masked        warm      cold       all\nusers"));
        assert_non_null(strstr(text, "\nndcg@5 "));
        assert_non_null(strstr(text, "\nin the lists of all\n  targets "));
        assert_non_null(strstr(text, "\n  share hit@5 "));
    }
    free(text);
    text = NULL;
    assert_ok(
        run_format(&text, "llminit evaluate --recs %s --data %s --topk 5 --quiet", tsv, data));
    if (world.rank == 0)
        assert_non_null(strstr(text, "all\nusers                          -         -"));
    free(text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(evaluate_shows_the_tables_of_cold_items),
    cmocka_unit_test(the_tables_stand_side_by_side),
};
CF_TEST_MAIN(tests)
