/* The halo that is foretold: of edges that go anywhere, and of leaves that were counted. */
#include "cf/graph.h"
#include "cf_test.h"

#include <math.h>

enum { USERS = 1000, ITEMS = 500, EDGES = 4000 };

/* A part of n_parts has EDGES / n_parts edges, each of which hits a row with the same chance. */
static double guess_plainly(double n_parts)
{
    const double edges = EDGES / n_parts, others = 1 - 1 / n_parts;

    return others * (USERS * (1 - exp(-edges / USERS)) + ITEMS * (1 - exp(-edges / ITEMS)));
}

static void without_leaves_edges_go_anywhere(void **state)
{
    const cf_leaves none = {0};
    const cf_graph_size size = {{USERS, ITEMS}, EDGES, &none};

    (void)state;
    assert_true(cf_graph_predict_halo(&size, 1) == 0);
    for (int n_parts = 2; n_parts < 20; n_parts++)
        assert_close(cf_graph_predict_halo(&size, n_parts), guess_plainly(n_parts), 1e-9);
}

/* Counted for 2 and 4 parts; for others the share of the next lower count is taken. */
static void what_was_counted_for_leaves_replaces_the_guess(void **state)
{
    int64_t crossing[] = {300, 900};
    const cf_leaves leaves = {.n_crossing = 2, .crossing = crossing};
    const cf_graph_size size = {{USERS, ITEMS}, EDGES, &leaves};

    (void)state;
    assert_true(cf_graph_predict_halo(&size, 1) == 0);
    assert_close(cf_graph_predict_halo(&size, 2), 300.0 / 2, 1e-9);
    assert_close(cf_graph_predict_halo(&size, 3), 150 * guess_plainly(3) / guess_plainly(2), 1e-9);
    assert_close(cf_graph_predict_halo(&size, 4), 900.0 / 4, 1e-9);
    assert_close(cf_graph_predict_halo(&size, 16), 225 * guess_plainly(16) / guess_plainly(4),
                 1e-9);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(without_leaves_edges_go_anywhere),
    cmocka_unit_test(what_was_counted_for_leaves_replaces_the_guess),
};
CF_TEST_MAIN(tests)
