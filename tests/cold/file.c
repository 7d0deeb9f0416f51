/* A map in a file; what is refused; and no memory on one rank. */
#include "problem.h"

#include <stdio.h>

enum { N_USERS = 20, N_ITEMS = 40, SOURCE_DIM = 12, DIM = 20 };

/* Every fifth item is marked, item 7 has no vector. */
static problem small_problem(double *vectors, bool marked)
{
    problem p = new_problem(N_USERS, N_ITEMS, SOURCE_DIM, vectors);

    for (int64_t k = 0; k < N_ITEMS * SOURCE_DIM; k++)
        vectors[k] = (float)cf_test_noise(1, k / SOURCE_DIM, k % SOURCE_DIM);
    for (int64_t i = 0; i < N_ITEMS; i++)
        p.cold[i] = i % 5 == 2 ? CF_COLD_TEST : 0;
    p.present[7] = 0;
    for (int64_t k = 0; k < N_USERS * N_ITEMS; k++) {
        const double x = cf_test_noise(9, k / N_ITEMS, k % N_ITEMS);

        p.parts[k] = p.cold[k % N_ITEMS] ? 0 : x > 0.4 ? 1 : x > 0.2 ? 2 : 0;
    }
    if (!marked) memset(p.cold, 0, N_ITEMS);
    open_problem(&p, "data.h5");
    return p;
}

static double numbers[N_USERS * DIM + N_ITEMS * DIM];

/* A setting of the small problem, on all ranks in one column. */
static setting small_setting(const problem *p, cf_grid *grid, cf_cold_kind kind)
{
    setting s;

    for (int64_t k = 0; k < (N_USERS + N_ITEMS) * DIM; k++)
        numbers[k] = cf_test_noise(2, k / DIM, k % DIM);
    s = new_setting(p, grid, numbers, numbers + N_USERS * DIM, DIM);
    s.options.kind = kind;
    s.options.calibrate_share = 0.3;
    return s;
}

/* ---- Files ---------------------------------------------------------------------------------- */

static cf_status write_file(const char *path, const cf_cold_map *map)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(cf_store_create(&world, path, "test", &store));
    if (map != NULL) CF_TRY(cf_cold_write(&world, map, store));
    CF_TRY(cf_store_commit(&store));
done:
    cf_store_close(&store);
    return status;
}

static cf_status read_file(const cf_grid *grid, const char *path, int64_t dim, cf_cold_map **out)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(cf_store_open(&world, path, "test", &store));
    CF_TRY(cf_cold_read(grid, store, dim, out));
done:
    cf_store_close(&store);
    return status;
}

static void assert_same_map(const cf_cold_map *got, const cf_cold_map *want)
{
    assert_true(got->kind == want->kind && got->gain == want->gain &&
                got->parameter == want->parameter && got->dim == want->dim);
    assert_int_equal(got->source_dim, want->source_dim);
    assert_memory_equal(got->center, want->center, (size_t)want->source_dim * sizeof *want->center);
    assert_int_equal(got->n_points, want->n_points);
    for (int64_t k = 0; k < want->n_points; k++)
        assert_memory_equal(&got->points[k], &want->points[k], sizeof *want->points);
    assert_int_equal(got->weights != NULL, want->weights != NULL);
    if (want->weights != NULL) {
        float *a = cf_test_table_get(got->weights), *b = cf_test_table_get(want->weights);

        cf_test_same_bits(a, b, SOURCE_DIM * DIM, "weights");
        cf_test_table_check_padding(got->weights);
        free(a);
        free(b);
    }
}

/* Each allocation of the reading fails once, on one rank after the other. */
static void what_is_written_comes_back(void **state)
{
    static const cf_cold_kind kinds[] = {CF_COLD_ZERO, CF_COLD_NEAREST, CF_COLD_RIDGE};
    double vectors[N_ITEMS * SOURCE_DIM];
    problem p = small_problem(vectors, true);
    cf_grid *grid = NULL;
    char path[1024];

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    snprintf(path, sizeof path, "%s", cf_test_scratch("map.h5"));
    for (int k = 0; k < 3; k++) {
        setting s = small_setting(&p, grid, kinds[k]);
        cf_cold_map *back = NULL;
        cf_status status = CF_ERR_MEMORY;

        assert_ok(fit_and_apply(&s));
        assert_int_equal(s.map->n_points, k == 0 ? 0 : k == 1 ? 8 : 32); /* and the one by norm */
        assert_ok(write_file(path, s.map));
        for (int64_t at = 1; status == CF_ERR_MEMORY; at++) {
            if (world.rank == at % world.size) cf_alloc_fail_at(at);
            status = read_file(grid, path, DIM, &back);
            cf_alloc_fail_at(0);
            if (status != CF_OK) assert_null(back);
        }
        assert_ok(status);
        assert_same_map(back, s.map);
        cf_cold_destroy(&back);
        if (kinds[k] == CF_COLD_RIDGE) {
            const float first = s.map->weights->local_rows > 0 ? s.map->weights->data[0] : 0;

            assert_int_equal(read_file(grid, path, DIM + 1, &back), CF_ERR_FORMAT);
            if (world.rank == 0) cf_test_damage(path, first);
            MPI_Barrier(world.comm);
            assert_refused(read_file(grid, path, DIM, &back), CF_ERR_FORMAT,
                           "/cold/weights is damaged");
            assert_null(back);
        }
        destroy_setting(&s);
    }
    close_problem(&p);
    cf_par_destroy_grid(&grid);
}

static void a_file_without_a_map_has_none(void **state)
{
    cf_cold_map none = {0}, *back = &none;
    cf_grid *grid = NULL;
    char path[1024];

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    snprintf(path, sizeof path, "%s", cf_test_scratch("none.h5"));
    assert_ok(write_file(path, NULL));
    assert_ok(read_file(grid, path, DIM, &back));
    assert_null(back);
    cf_par_destroy_grid(&grid);
}

/* Numbers that no map has, each in a file of its own. */
static void a_map_with_bad_numbers_is_refused(void **state)
{
    double center[2] = {0, 1}, bad[2] = {0, NAN};
    cf_cold_map maps[] = {
        {.kind = CF_COLD_NEAREST, .center = center, .source_dim = 2, .parameter = 0.5, .gain = 1},
        {.kind = CF_COLD_NEAREST, .center = center, .source_dim = 2, .parameter = 1e300, .gain = 1},
        {.kind = CF_COLD_NEAREST, .center = center, .source_dim = 2, .parameter = 5, .gain = NAN},
        {.kind = CF_COLD_NEAREST, .center = bad, .source_dim = 2, .parameter = 5, .gain = 1},
        {.kind = CF_COLD_NEAREST, .center = center, .source_dim = 0, .parameter = 5, .gain = 1},
    };
    cf_cold_map *back = NULL;
    cf_grid *grid = NULL;
    char path[1024];

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    snprintf(path, sizeof path, "%s", cf_test_scratch("bad.h5"));
    for (size_t k = 0; k < sizeof maps / sizeof *maps; k++) {
        assert_ok(write_file(path, &maps[k]));
        assert_refused(read_file(grid, path, DIM, &back), CF_ERR_FORMAT, "the map of cold items");
        assert_null(back);
    }
    cf_par_destroy_grid(&grid);
}

/* ---- Settings ------------------------------------------------------------------------------- */

static cf_status read_options(const char *set, cf_cold_options *out)
{
    static const cf_setting seed[] = {
        {.name = "seed", .kind = CF_SETTING_INT, .initial = "2020", .max = 1e9}, {0}};
    cf_config *config = NULL;
    cf_status status;

    CF_TRY(cf_config_create((const cf_setting *const[]){cf_cold_settings, seed}, 2, &config));
    CF_TRY(cf_config_set(config, set));
    CF_TRY(cf_cold_read_options(config, out));
done:
    cf_config_destroy(&config);
    return status;
}

static void options_are_the_settings(void **state)
{
    static const char *const kinds[] = {"cold_map=none", "cold_map=zero", "cold_map=nearest",
                                        "cold_map=ridge", "cold_map=auto"};
    cf_cold_options options;

    (void)state;
    for (int k = 0; k < 5; k++) {
        assert_ok(read_options(kinds[k], &options));
        assert_int_equal(options.kind, k);
    }
    assert_true(options.n_neighbors == 1 && options.neighbors[0] == 5);
    assert_true(options.n_reg == 4 && options.reg[3] == 10);
    assert_true(options.n_gains == 7 && options.gains[6] == 4);
    assert_true(options.calibrate_share == 0.1 && options.calibrate_users == 4096);
    assert_int_equal(options.seed, 2020);
    assert_ok(read_options("cold_gains=[3, 0.25]", &options));
    assert_true(options.n_gains == 2 && options.gains[0] == 3 && options.gains[1] == 0.25);
    assert_refused(read_options("cold_gains=[1, 0]", &options), CF_ERR_USAGE, "cold_gains");
    assert_refused(read_options("cold_gains=[]", &options), CF_ERR_USAGE, "cold_gains: 0 numbers");
    assert_refused(
        read_options("cold_neighbors=[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", &options),
        CF_ERR_USAGE, "cold_neighbors: 17 numbers, expected 1 to 16");
    assert_refused(read_options("cold_reg=[-1]", &options), CF_ERR_USAGE, "cold_reg");
}

/* ---- Without a map -------------------------------------------------------------------------- */

static void none_leaves_rows_as_they_are(void **state)
{
    double vectors[N_ITEMS * SOURCE_DIM];
    problem p = small_problem(vectors, true);
    cf_grid *grid = NULL;
    setting s;
    float *before, *after;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    s = small_setting(&p, grid, CF_COLD_NONE);
    before = cf_test_table_get(s.items);
    memset(s.hidden, 7, N_ITEMS);
    assert_ok(fit_and_apply(&s));
    assert_null(s.map);
    after = cf_test_table_get(s.items);
    cf_test_same_bits(after, before, N_ITEMS * DIM, "items");
    for (int64_t i = 0; i < N_ITEMS; i++)
        assert_int_equal(s.hidden[i], 0);
    free(before);
    free(after);
    destroy_setting(&s);
    close_problem(&p);
    cf_par_destroy_grid(&grid);
}

/* With vectors or without: without, nothing is hidden, for then every cold item would be. */
static void zero_gives_zeros(void **state)
{
    double vectors[N_ITEMS * SOURCE_DIM];
    cf_grid *grid = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    for (int has = 0; has < 2; has++) {
        problem p = small_problem(vectors, true);
        setting s;
        float *rows;

        p.dim = has ? SOURCE_DIM : 0;
        p.present[7] = 1;
        p.present[12] = 0;
        open_problem(&p, "data.h5");
        s = small_setting(&p, grid, CF_COLD_ZERO);
        assert_ok(fit_and_apply(&s));
        assert_int_equal(s.map->kind, CF_COLD_ZERO);
        rows = cf_test_table_get(s.items);
        for (int64_t i = 0; i < N_ITEMS; i++) {
            assert_int_equal(s.hidden[i], has && i == 12);
            assert_int_equal(rows[i * DIM] == 0, i % 5 == 2);
        }
        free(rows);
        destroy_setting(&s);
        close_problem(&p);
    }
    cf_par_destroy_grid(&grid);
}

/* No item has a vector, or no warm one. */
static void without_vectors_there_is_no_map(void **state)
{
    double vectors[N_ITEMS * SOURCE_DIM];
    cf_grid *grid = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    for (int some = 0; some < 2; some++) {
        problem p = small_problem(vectors, true);
        setting s;

        p.dim = some ? SOURCE_DIM : 0;
        memset(p.present, 0, N_ITEMS);
        if (some) p.present[2] = 1;
        open_problem(&p, "data.h5");
        s = small_setting(&p, grid, CF_COLD_AUTO);
        cf_test_begin_stderr();
        assert_ok(fit_and_apply(&s));
        assert_int_equal(strstr(cf_test_end_stderr(), "no warm item has a vector") != NULL,
                         world.rank == 0);
        assert_null(s.map);
        s.options.kind = CF_COLD_NEAREST;
        assert_refused(fit_and_apply(&s), CF_ERR_USAGE,
                       "no warm item has a language-model vector, which cold_map: nearest");
        destroy_setting(&s);
        close_problem(&p);
    }
    cf_par_destroy_grid(&grid);
}

/* A share of nothing: no user can be asked. */
static void too_few_items_leave_the_first_of_each_list(void **state)
{
    double vectors[N_ITEMS * SOURCE_DIM];
    problem p = small_problem(vectors, true);
    cf_grid *grid = NULL;
    setting s;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    s = small_setting(&p, grid, CF_COLD_RIDGE);
    s.options.calibrate_share = 0.01;
    cf_test_begin_stderr();
    assert_ok(fit_and_apply(&s));
    assert_int_equal(strstr(cf_test_end_stderr(), "not calibrated") != NULL, world.rank == 0);
    assert_true(s.map->gain == 1 && s.map->parameter == 0.3 && s.map->n_points == 0);
    destroy_setting(&s);
    close_problem(&p);
    cf_par_destroy_grid(&grid);
}

/* ---- Refused -------------------------------------------------------------------------------- */

static void what_is_not_finite_is_refused(void **state)
{
    double vectors[N_ITEMS * SOURCE_DIM];
    problem p = small_problem(vectors, true);
    cf_grid *grid = NULL;
    setting s;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    s = small_setting(&p, grid, CF_COLD_RIDGE);
    s.options.calibrate_share = 0;
    s.options.reg[0] = 0; /* fewer numbers in a vector than items: F'F is definite */
    assert_ok(fit_and_apply(&s));
    s.map->gain = 1e300;
    assert_refused(cf_cold_apply(s.map, &s.place, s.items, s.hidden), CF_ERR_NUMERIC,
                   "item table with the rows of cold items");
    s.map->source_dim++;
    assert_refused(cf_cold_apply(s.map, &s.place, s.items, s.hidden), CF_ERR_FORMAT,
                   "has vectors of 12 numbers, the map of cold items is of 13");
    destroy_setting(&s);

    for (int64_t k = 0; k < N_ITEMS * SOURCE_DIM; k++)
        vectors[k] = k % SOURCE_DIM < 2 ? 0 : vectors[k];
    open_problem(&p, "data.h5");
    s = small_setting(&p, grid, CF_COLD_RIDGE);
    s.options.n_reg = 1;
    s.options.reg[0] = 0; /* two columns of zeros */
    assert_refused(fit_and_apply(&s), CF_ERR_NUMERIC, "cold_reg 0");
    assert_null(s.map);
    destroy_setting(&s);
    close_problem(&p);
    cf_par_destroy_grid(&grid);
}

/* The file is opened anew: a pass over its vectors that was cut short cannot be verified. */
static void reopen(void *context)
{
    setting *s = context;
    problem *p = (problem *)(uintptr_t)s->p;

    cf_dataset_close(&p->file);
    assert_ok(cf_dataset_open(&world, cf_test_scratch("data.h5"), &p->file));
    s->place.dataset = p->file;
}

static void drop_map(void *context)
{
    cf_cold_destroy(&((setting *)context)->map);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = fit_and_apply,
                                 .prepare = reopen,
                                 .clean_up = drop_map,
                                 .thinning = 8,
                                 .rotate = true};
    double vectors[N_ITEMS * SOURCE_DIM];
    problem p = small_problem(vectors, true);
    cf_grid *grid = NULL;

    (void)state;
    assert_ok(cf_par_create_grid(&world, world.size, 1, &grid));
    for (int k = 0; k < 2; k++) {
        setting s = small_setting(&p, grid, k == 0 ? CF_COLD_NEAREST : CF_COLD_RIDGE);

        s.options.n_gains = s.options.n_reg = 1;
        assert_true(cf_test_every_allocation(&trial, &s) > 15);
        destroy_setting(&s);
    }
    close_problem(&p);
    cf_par_destroy_grid(&grid);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_written_comes_back),
    cmocka_unit_test(a_file_without_a_map_has_none),
    cmocka_unit_test(a_map_with_bad_numbers_is_refused),
    cmocka_unit_test(options_are_the_settings),
    cmocka_unit_test(none_leaves_rows_as_they_are),
    cmocka_unit_test(zero_gives_zeros),
    cmocka_unit_test(without_vectors_there_is_no_map),
    cmocka_unit_test(too_few_items_leave_the_first_of_each_list),
    cmocka_unit_test(what_is_not_finite_is_refused),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
