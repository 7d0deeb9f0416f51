#include "graph/internal.h"
#include "sums.h"

#include <stdlib.h>

enum { MANY = 1300, MOST = 4, WIDTH = 32 };

/* User k has items k and k + 1, but for some, that have none or are where two paths meet: rows are
 * far apart. */
static cf_test_graph make_path(void)
{
    cf_test_graph graph = {.n_users = 90, .n_items = 75};

    graph.pairs = malloc(200 * sizeof *graph.pairs);
    assert_non_null(graph.pairs);
    for (int64_t u = 0; u < 90; u++) {
        const int64_t first = u < 70 ? u : (u * 7) % 60;

        if (u % 11 == 3 || u == 89) continue;
        for (int64_t i = first; i < first + 2; i++) {
            graph.pairs[graph.n_pairs][0] = u;
            graph.pairs[graph.n_pairs++][1] = i;
        }
    }
    return graph;
}

static cf_test_graph make_random(void)
{
    return cf_test_graph_random(213, 1300, 0.01, 5); /* a hub of more neighbours than are picked */
}

static cf_test_graph (*const graphs[])(void) = {make_path, make_random};
enum { N_GRAPHS = sizeof graphs / sizeof *graphs };

/* Where all rows begin, and what a serial search finds: steps of all rows of all ranks. */
typedef struct findings {
    bool begins[2][MANY];
    int steps[2][MANY];
} findings;

static void search_serially(const setup *s, findings *out)
{
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < s->n_rows[side]; row++)
            out->steps[side][row] = out->begins[side][row] ? 0 : CF_ALL_HOPS;
    for (int step = 1; step <= MOST; step++)
        for (int64_t e = 0; e < s->pairs.n_pairs; e++)
            for (int side = 0; side < 2; side++) {
                const int64_t from = s->pairs.pairs[e][side], to = s->pairs.pairs[e][1 - side];

                if (out->steps[side][from] == step - 1 && out->steps[1 - side][to] > step)
                    out->steps[1 - side][to] = step;
            }
}

/* Some rows, an isolated one (user 3 or 1) among them, the last user not. */
static void draw_begins(const setup *s, uint64_t seed, double density, findings *out)
{
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < s->n_rows[side]; row++)
            out->begins[side][row] =
                row < s->n_rows[side] - 1 && cf_test_noise(seed, side, row) < 2 * density - 1;
    out->begins[CF_USERS][1] = out->begins[CF_USERS][3] = density > 0;
}

static void find(const setup *s, const findings *found, double share, int32_t *const list[2],
                 cf_hops *hops)
{
    int64_t count[2] = {0, 0};

    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < cf_graph_rows(s->graph, (cf_side)side); row++)
            if (found->begins[side][s->first[side] + row]) list[side][count[side]++] = (int32_t)row;
    cf_graph_find_hops(s->graph, list, count, share, hops);
}

/* Edges of the rows within so many steps, over all edges. */
static double share_within(const setup *s, const findings *found, int steps)
{
    int64_t n = 0;

    for (int64_t e = 0; e < s->pairs.n_pairs; e++)
        for (int side = 0; side < 2; side++)
            n += found->steps[side][s->pairs.pairs[e][side]] <= steps;
    return (double)n / (2 * (double)s->pairs.n_pairs);
}

static void check_lists(const setup *s, const findings *found, const cf_hops *hops)
{
    for (int side = 0; side < 2; side++) {
        int64_t n = 0;

        for (int step = 0; step <= hops->n_hops; step++) {
            for (int64_t row = 0; row < cf_graph_rows(s->graph, (cf_side)side); row++)
                if (found->steps[side][s->first[side] + row] == step) {
                    assert_true(n < hops->count[side][step]);
                    assert_int_equal(hops->rows[side][n++], row);
                }
            assert_int_equal(hops->count[side][step], n);
        }
    }
}

static void rows_and_steps_are_those_of_a_serial_search(void **state)
{
    static const double densities[] = {0, 0.01, 0.1, 1}, shares[] = {0, 0.1, 0.3, 0.8, 1};
    int depths[MOST + 1] = {0};
    findings found;
    setup s = {0};

    (void)state;
    for (int g = 0; g < N_GRAPHS; g++)
        for (int k = 0; next_setup(&s, graphs[g], 2, &k);)
            for (uint64_t d = 0; d < 4; d++)
                for (int n = 0; n < 5; n++) {
                    int32_t users[MANY], items[MANY], *list[2] = {users, items};
                    cf_hops hops = {0};
                    int depth = 0;

                    assert_int_equal(cf_graph_create_hops(s.graph, MOST, &hops), CF_OK);
                    draw_begins(&s, d, densities[d], &found);
                    search_serially(&s, &found);
                    while (shares[n] > 0 && depth < MOST &&
                           share_within(&s, &found, depth) <= shares[n] / 2 &&
                           share_within(&s, &found, depth + 1) <= shares[n])
                        depth++;
                    find(&s, &found, shares[n], list, &hops);
                    assert_int_equal(hops.n_hops, depth);
                    depths[depth]++;
                    check_lists(&s, &found, &hops);
                    cf_graph_destroy_hops(&hops);
                }
    for (int depth = 0; depth <= MOST; depth++)
        assert_true(depths[depth] > 0);
}

/* Rows within so many steps are noise and the others zero, for the serial sums; the field that is
 * summed has NaN there, in its halo too, so that a sum that reads or sends one of them shows. */
static cf_field new_field_within(setup *s, const findings *found, int steps)
{
    bool of_users[MANY], of_items[MANY], *kept[2] = {of_users, of_items};
    cf_field field;

    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < s->n_rows[side]; row++)
            kept[side][row] = found->steps[side][row] <= steps;
    set_width(s, WIDTH, kept);
    field = new_field(s);
    for (int side = 0; side < 2; side++) {
        const int64_t n = cf_graph_rows(s->graph, (cf_side)side);

        for (int64_t row = 0; row < n; row++)
            if (!kept[side][s->first[side] + row])
                memset(field.rows[side] + row * WIDTH, 0xff, WIDTH * sizeof(float));
    }
    memset((float *)field.places.data + s->graph->halo.first_mine * WIDTH, 0xff,
           (size_t)(cf_graph_halo(s->graph) * WIDTH) * sizeof(float));
    return field;
}

static void check_sums(setup *s, const findings *found, const cf_hops *hops, cf_hop_limit within)
{
    bool of_users[MANY], of_items[MANY], *listed[2] = {of_users, of_items};
    const bool all = within.neighbours == CF_ALL_HOPS || within.neighbours > hops->n_hops;
    cf_field field = new_field_within(s, found, all ? CF_ALL_HOPS : within.neighbours);

    for (int side = 0; side < 2; side++) {
        for (int64_t row = 0; row < s->n_rows[side]; row++)
            listed[side][row] =
                within.rows > hops->n_hops || found->steps[side][row] <= within.rows;
        s->list[side] = within.rows > hops->n_hops ? NULL : hops->rows[side];
    }
    cf_graph_sum_hops(s->graph, hops, within, field, keep, s);
    check_rows(s, listed);
    s->list[CF_USERS] = s->list[CF_ITEMS] = NULL;
    cf_graph_destroy_field(&field);
    drop_width(s);
}

/* The same sums of the rows where the hops begins, as a sparse field. */
static void check_sparse(setup *s, const findings *found, const cf_hops *hops, int rows)
{
    int32_t users[MANY], items[MANY], *list[2] = {users, items};
    bool of_users[MANY], of_items[MANY], *listed[2] = {of_users, of_items};
    bool users_begin[MANY], items_begin[MANY], *begins[2] = {users_begin, items_begin};
    cf_sparse sparse = {0};

    assert_int_equal(
        cf_graph_create_sparse(s->graph, 2 * MANY, (cf_row_kind){WIDTH, CF_FLOAT32}, &sparse),
        CF_OK);
    for (int side = 0; side < 2; side++)
        for (int64_t row = 0; row < s->n_rows[side]; row++) {
            begins[side][row] = found->begins[side][row];
            listed[side][row] = rows > hops->n_hops || found->steps[side][row] <= rows;
        }
    set_width(s, WIDTH, begins);
    open_sparse(s, begins, list, &sparse);
    cf_graph_exchange_sparse(s->graph, &sparse);
    cf_graph_sum_sparse(s->graph, hops, rows, &sparse, keep, s);
    cf_graph_close_sparse(s->graph, &sparse);
    check_rows(s, listed);
    cf_graph_destroy_sparse(&sparse);
    drop_width(s);
}

static void sums_near_a_few_rows_are_those_of_a_serial_loop(void **state)
{
    static const int steps[] = {0, 1, 2, 3, CF_ALL_HOPS};
    findings found;
    setup s = {0};

    (void)state;
    for (int threads = 1; threads <= 2; threads++)
        for (int g = 0; g < N_GRAPHS; g++)
            for (int k = 0; next_setup(&s, graphs[g], threads, &k);) {
                int32_t users[MANY], items[MANY], *list[2] = {users, items};
                cf_hops hops = {0};

                assert_int_equal(cf_graph_create_hops(s.graph, 3, &hops), CF_OK);
                draw_begins(&s, 7, 0.03, &found);
                search_serially(&s, &found);
                find(&s, &found, 2, list, &hops);
                assert_true(hops.n_hops >= 2);
                for (int to = 0; to < 5; to++) {
                    for (int from = 0; from < 5; from++)
                        if (steps[from] <= steps[to] + 1 || steps[from] == CF_ALL_HOPS)
                            check_sums(&s, &found, &hops, (cf_hop_limit){steps[to], steps[from]});
                    check_sparse(&s, &found, &hops, steps[to]);
                }
                cf_graph_destroy_hops(&hops);
            }
}

/* Rows of other nodes that are neighbours of this node's rows where the hops begin; all nodes
 * together. */
static int64_t count_touched(const setup *s, const findings *found)
{
    const cf_blocks *blocks[2] = {&s->shard.users, &s->shard.items};
    const int from = s->grid->my_row - s->grid->node.rank, to = from + s->grid->node.size;
    bool touched[2][MANY] = {{false}};
    int64_t count = 0;

    for (int64_t e = 0; e < s->pairs.n_pairs; e++)
        for (int side = 0; side < 2; side++) {
            const int64_t row = s->pairs.pairs[e][side], other = s->pairs.pairs[e][1 - side];

            if (found->begins[side][row] && row >= blocks[side]->start[from] &&
                row < blocks[side]->start[to] &&
                (other < blocks[1 - side]->start[from] || other >= blocks[1 - side]->start[to]))
                touched[1 - side][other] = true;
        }
    for (int64_t row = 0; row < MANY && s->grid->node.rank == 0; row++)
        count += touched[CF_USERS][row] + touched[CF_ITEMS][row];
    MPI_Allreduce(MPI_IN_PLACE, &count, 1, MPI_INT64_T, MPI_SUM, s->grid->column.comm);
    return count;
}

/* Bytes that all ranks send while the rows where the hops begin are summed. */
static int64_t count_bytes(setup *s, const findings *found, const cf_hops *hops)
{
    const int64_t before = cf_par_read_profile().phase[CF_PHASE_HALO].bytes;
    int64_t bytes;

    check_sums(s, found, hops, (cf_hop_limit){0, 1});
    bytes = cf_par_read_profile().phase[CF_PHASE_HALO].bytes - before;
    MPI_Allreduce(MPI_IN_PLACE, &bytes, 1, MPI_INT64_T, MPI_SUM, s->grid->column.comm);
    return bytes;
}

/* Whether the first hop is kept, or was one too many: its neighbours are known. */
static void a_sum_of_the_few_rows_is_sent_their_neighbours_alone(void **state)
{
    int64_t all = 0;
    findings found;
    setup s = {0};

    (void)state;
    for (int g = 0; g < N_GRAPHS; g++)
        for (int k = 0; next_setup(&s, graphs[g], 2, &k);) {
            int32_t users[MANY], items[MANY], *list[2] = {users, items};
            cf_hops hops = {0};
            int64_t bytes;

            assert_int_equal(cf_graph_create_hops(s.graph, 3, &hops), CF_OK);
            draw_begins(&s, 7, 0.03, &found);
            search_serially(&s, &found);
            bytes = count_touched(&s, &found) * WIDTH * (int64_t)sizeof(float);
            all += bytes;
            for (int kept = 0; kept < 2; kept++) {
                find(&s, &found, kept ? 2 : 2.001 * share_within(&s, &found, 0), list, &hops);
                assert_int_equal(hops.n_hops > 0, kept);
                assert_int_equal(count_bytes(&s, &found, &hops), bytes);
            }
            cf_graph_destroy_hops(&hops);
        }
    assert_int_equal(all > 0, world.size > 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_and_steps_are_those_of_a_serial_search),
    cmocka_unit_test(sums_near_a_few_rows_are_those_of_a_serial_loop),
    cmocka_unit_test(a_sum_of_the_few_rows_is_sent_their_neighbours_alone),
};
CF_TEST_MAIN(tests)
