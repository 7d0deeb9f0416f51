/* The commands on a model that starts from another. */
#include "problem.h"

/* Without a step the tables are the other run's, and so are the metrics, whatever the seed is and
 * the selection. */
static void a_run_starts_from_another(void **state)
{
    json_t *warm, *old;

    (void)state;
    make_inputs();
    succeed("llminit prepare --inter %s --item %s --embedding %s --out %s --set split=RS --quiet",
            inter, item, npy, data);
    succeed("llminit train --data %s --out %s --quiet --set embedding_size=32 --set epochs=2 "
            "--set topk=5,10",
            data, run);
    old = succeed_json("llminit evaluate %s/best.h5 --data %s --json", run, data);
    warm = succeed_json("llminit train --data %s --out %s --json --quiet --set embedding_size=32 "
                        "--set epochs=0 --set topk=5,10 --set seed=7 --set emb_selection=pca "
                        "--from %s/best.h5 --from-data %s",
                        data, folder, run, data);
    if (world.rank == 0)
        assert_true(json_equal(json_object_get(warm, "test"), json_object_get(old, "test")));
    json_decref(warm);
    json_decref(old);
}

static void a_closed_form_has_no_start(void **state)
{
    (void)state;
    assert_int_equal(run_format(NULL,
                                "llminit train --data %s --out %s-ease --quiet --set model=EASE "
                                "--from %s/best.h5 --from-data %s",
                                data, folder, run, data),
                     CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "EASE is solved, not trained: it has no start"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_run_starts_from_another),
    cmocka_unit_test(a_closed_form_has_no_start),
};
CF_TEST_MAIN(tests)
