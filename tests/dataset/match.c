/* Ids of one dataset that are looked up in another: each rank its own. */
#include "fixture.h"

static char path[1024];

static cf_dataset *open_file(void)
{
    cf_dataset *dataset = NULL;

    snprintf(path, sizeof path, "%s", cf_test_scratch("match.h5"));
    assert_int_equal(write_dataset(path, CF_F32), CF_OK);
    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    return dataset;
}

/* Every `step`-th id from `first` down to 0 as this rank's, and after each one that is not there.
 */
static cf_strings make_ids(char kind, int64_t first, int64_t step)
{
    cf_strings ids = {0};

    assert_int_equal(CF_ALLOC(ids.start, 2 * first + 3), CF_OK);
    assert_int_equal(CF_ALLOC(ids.bytes, (2 * first + 2) * 64), CF_OK);
    for (int64_t number = first; number >= 0; number -= step)
        for (int there = 1; there >= 0; there--) {
            char *to = ids.bytes + ids.start[ids.count];

            strcpy(to, make_name(kind, number));
            if (!there) strcat(to, "x");
            ids.start[ids.count + 1] = ids.start[ids.count] + (int64_t)strlen(to) + 1;
            ids.count++;
        }
    return ids;
}

static void each_rank_finds_its_own_ids(void **state)
{
    cf_dataset *dataset = open_file();
    const int64_t n[2] = {N_USERS, N_ITEMS};

    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        /* the last rank has none if there are several */
        const bool none = world.size > 1 && world.rank == world.size - 1;
        const int64_t first = none ? -1 : n[kind] - 1 - world.rank, step = 1 + world.rank;
        cf_strings ids = make_ids(kind == 0 ? 'u' : 'i', first, step);
        int64_t *found = NULL;

        assert_int_equal(CF_ALLOC(found, ids.count), CF_OK);
        assert_int_equal(
            cf_dataset_match(dataset, kind == 0 ? CF_USER_IDS : CF_ITEM_IDS, &ids, found), CF_OK);
        for (int64_t k = 0; k < ids.count; k++)
            assert_int_equal(found[k], k % 2 ? -1 : first - k / 2 * step);
        cf_free(&found);
        cf_dataset_destroy_strings(&ids);
    }
    cf_dataset_close(&dataset);
}

/* More names than a block has: the numbers of the second block go on from the first. */
static void ids_are_found_in_every_block(void **state)
{
    enum { MANY = 65536 + 100 };
    cf_dataset *dataset = NULL;
    cf_strings users = {.count = world.rank == 0 ? MANY : 0}, ids = {.count = 1};
    cf_strings item = {.count = world.rank == 0, .start = (int64_t[]){0, 2}, .bytes = "i"};
    cf_lists none = {.count = users.count}, train = none; /* each user has the only item */
    int64_t found = 0;

    (void)state;
    assert_int_equal(CF_ALLOC(users.start, users.count + 1), CF_OK);
    assert_int_equal(CF_ALLOC(users.bytes, users.count * 8 + 1), CF_OK);
    assert_int_equal(CF_ALLOC(none.start, users.count + 1), CF_OK);
    assert_int_equal(CF_ALLOC(train.start, users.count + 1), CF_OK);
    assert_int_equal(CF_ALLOC(train.index, users.count), CF_OK);
    for (int64_t k = 0; k < users.count; k++) {
        char id[32];

        snprintf(id, sizeof id, "%07lld", (long long)k);
        memcpy(users.bytes + 8 * k, id, 8);
        users.start[k + 1] = 8 * (k + 1);
        train.start[k + 1] = k + 1;
    }
    snprintf(path, sizeof path, "%s", cf_test_scratch("many.h5"));
    assert_int_equal(cf_dataset_write(&world, path,
                                      &(cf_dataset_content){.user_ids = users,
                                                            .item_ids = item,
                                                            .train = train,
                                                            .valid = none,
                                                            .test = none,
                                                            .source = "",
                                                            .filters = "",
                                                            .split = "",
                                                            .embedding_model = ""}),
                     CF_OK);
    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    for (int64_t number = 7; number < MANY; number += 65530) {
        char id[32];

        snprintf(id, sizeof id, "%07lld", (long long)number);
        ids.start = (int64_t[]){0, 8};
        ids.bytes = id;
        assert_int_equal(cf_dataset_match(dataset, CF_USER_IDS, &ids, &found), CF_OK);
        assert_int_equal(found, number);
    }
    cf_dataset_close(&dataset);
    cf_dataset_destroy_strings(&users);
    cf_free(&none.start);
    cf_free(&train.start);
    cf_free(&train.index);
}

typedef struct matching {
    const cf_dataset *dataset;
    cf_strings ids;
    int64_t found[2 * N_USERS];
} matching;

static cf_status match(void *context)
{
    matching *m = context;

    return cf_dataset_match(m->dataset, CF_USER_IDS, &m->ids, m->found);
}

static void clean_up(void *context)
{
    (void)context;
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = match, .clean_up = clean_up};
    cf_dataset *dataset = open_file();
    matching m = {.dataset = dataset, .ids = make_ids('u', N_USERS - 1, 1)};

    (void)state;
    assert_true(cf_test_every_allocation(&trial, &m) >= 3); /* the table, offsets and bytes */
    cf_dataset_destroy_strings(&m.ids);
    cf_dataset_close(&dataset);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_rank_finds_its_own_ids),
    cmocka_unit_test(ids_are_found_in_every_block),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
