/* A made-up dataset is trained on like any other, and its vectors help. */
#include "problem.h"

static double start_from(const char *selection)
{
    json_t *evaluated;
    double recall = 0;

    if (world.rank == 0) {
        char command[1100];

        snprintf(command, sizeof command, "rm -rf '%s'", run);
        assert_int_equal(system(command), 0);
    }
    MPI_Barrier(world.comm);
    succeed("llminit train --data %s --out %s --quiet --set epochs=2 --set embedding_size=16 "
            "--set emb_selection=%s",
            data, run, selection);
    evaluated = succeed_json("llminit evaluate %s/best.h5 --data %s --json", run, data);
    if (world.rank == 0)
        recall = json_real_value(json_object_get(json_object_get(evaluated, "test"), "recall@20"));
    json_decref(evaluated);
    return recall;
}

/* 0.06 from noise, above 0.5 from the vectors: what two epochs make of 20 tastes. */
static void vectors_beat_noise(void **state)
{
    json_t *report, *info;
    double noise, var, pca;

    (void)state;
    put_path(data, "made.h5");
    put_path(run, "run");
    report = succeed_json("llminit synthesize --out %s --set n_users=1000 --set n_items=600 --set "
                          "n_interactions=12000 --set n_clusters=20 --json",
                          data);
    info = succeed_json("llminit info %s --json", data);
    if (world.rank == 0) {
        assert_int_equal(integer(report, "train"), 10000);
        assert_int_equal(integer(json_object_get(info, "attributes"), "n_train"), 10000);
    }
    json_decref(report);
    json_decref(info);
    noise = start_from("False");
    var = start_from("var");
    pca = start_from("pca");
    if (world.rank == 0 && (var < 3 * noise || pca < 3 * noise || var < 0.4))
        fail_msg("recall@20 %g from noise, %g from var, %g from pca", noise, var, pca);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(vectors_beat_noise),
};
CF_TEST_MAIN(tests)
