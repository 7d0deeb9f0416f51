/* Shards of any grid hold what the whole file holds, in blocks of about equal work. */
#include "fixture.h"

#include <string.h>

static void check_lists(const cf_lists *got, int part, bool by_item, int64_t first, int64_t count)
{
    cf_lists want = make_lists(part, by_item, first, count);

    assert_int_equal(got->count, count);
    assert_memory_equal(got->start, want.start, (size_t)(count + 1) * sizeof *want.start);
    assert_memory_equal(got->index, want.index, (size_t)want.start[count] * sizeof *want.index);
    free_lists(&want);
}

static void check_shard(const cf_grid *grid, const cf_shard *shard)
{
    cf_lists before = make_lists(1, false, 0, shard->first_user);

    assert_int_equal(shard->users.count, grid->n_rows);
    assert_int_equal(shard->users.start[0], 0);
    assert_int_equal(shard->users.start[grid->n_rows], N_USERS);
    assert_int_equal(shard->items.start[grid->n_rows], N_ITEMS);
    assert_int_equal(shard->first_user, shard->users.start[grid->my_row]);
    assert_int_equal(shard->n_users, shard->users.start[grid->my_row + 1] - shard->first_user);
    assert_int_equal(shard->first_item, shard->items.start[grid->my_row]);
    assert_int_equal(shard->first_interaction, before.start[shard->first_user]);
    check_lists(&shard->train, 1, false, shard->first_user, shard->n_users);
    check_lists(&shard->train_by_item, 1, true, shard->first_item, shard->n_items);
    check_lists(&shard->valid, 2, false, shard->first_user, shard->n_users);
    check_lists(&shard->test, 3, false, shard->first_user, shard->n_users);
    free_lists(&before);
}

/* A boundary is the first row with at least its block's share of the work before it. */
static void check_balance(const cf_shard *shard)
{
    cf_lists all = make_lists(1, false, 0, N_USERS);
    const int64_t total = all.start[N_USERS] + CF_ROW_WORK * N_USERS;

    for (int b = 1; b < shard->users.count; b++) {
        int64_t k = shard->users.start[b], target = cf_par_even_start(total, shard->users.count, b);

        assert_true(all.start[k] + CF_ROW_WORK * k >= target);
        assert_true(all.start[k - 1] + CF_ROW_WORK * (k - 1) < target);
    }
    free_lists(&all);
}

static void every_grid_gives_the_same_content(void **state)
{
    const char *path = cf_test_scratch("data.h5");
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;

    (void)state;
    assert_int_equal(write_dataset(path, CF_F32), CF_OK);
    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    assert_int_equal(dataset->n_users, N_USERS);
    assert_int_equal(dataset->n_items, N_ITEMS);
    for (int rows = 0; cf_test_next_grid(&world, world.size, &rows, &grid);) {
        cf_shard *shard = NULL;

        assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard), CF_OK);
        check_shard(grid, shard);
        check_balance(shard);
        cf_dataset_destroy_shard(&shard);
    }
    cf_dataset_close(&dataset);
}

/* Two users, so that more than two blocks are refused; one with nearly all interactions leaves a
 * block empty. */
static void few_users_are_refused_or_leave_a_block_empty(void **state)
{
    const char *path = cf_test_scratch("few.h5");
    int64_t train_start[] = {0, 5, 5, 5, 5}, none[] = {0, 0, 0, 0, 0}, items[] = {0, 1, 2, 3, 4};
    int64_t id_start[] = {0, 2, 4, 6, 8, 10};
    char ids[] = "a\0b\0c\0d\0e";
    cf_dataset_content content = {.user_ids = {4, id_start, ids},
                                  .item_ids = {5, id_start, ids},
                                  .train = {.count = 4, .start = train_start, .index = items},
                                  .valid = {.count = 4, .start = none, .index = items},
                                  .test = {.count = 4, .start = none, .index = items},
                                  .source = "",
                                  .filters = "",
                                  .split = "",
                                  .embedding_model = ""};
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;

    (void)state;
    assert_int_equal(cf_dataset_write(&world, path, world.rank == 0 ? &content : NULL), CF_OK);
    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
    assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard), CF_OK);
    for (int64_t k = 0; k < shard->n_users; k++)
        assert_int_equal(shard->train.start[k + 1] - shard->train.start[k],
                         shard->first_user + k == 0 ? 5 : 0);
    assert_int_equal(shard->test.start[shard->n_users], 0);
    cf_dataset_destroy_shard(&shard);
    dataset->n_users = world.size - 1;
    assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard), CF_ERR_USAGE);
    assert_null(shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
}

/* Marks are on every rank as they were written, and a file without them has none. One of an item
 * with train interactions, or of a part that there is not, is refused. */
static void marks_of_cold_items_come_back(void **state)
{
    const uint8_t marks[][5] = {{0, 0, 0, 0, 0}, {0, 0, 0, 3, 1}, {0, 0, 2, 0, 0}, {0, 0, 0, 4, 0}};
    int64_t train_start[] = {0, 3, 3, 3, 3}, none[] = {0, 0, 0, 0, 0}, items[] = {0, 1, 2};
    int64_t id_start[] = {0, 2, 4, 6, 8, 10};
    char ids[] = "a\0b\0c\0d\0e";

    (void)state;
    for (int k = 0; k < 4; k++) {
        const char *path = cf_test_scratch("marks.h5");
        const cf_dataset_content content = {
            .user_ids = {4, id_start, ids},
            .item_ids = {5, id_start, ids},
            .train = {.count = 4, .start = train_start, .index = items},
            .valid = {.count = 4, .start = none, .index = items},
            .test = {.count = 4, .start = none, .index = items},
            .cold = marks[k],
            .source = "",
            .filters = "",
            .split = "",
            .embedding_model = ""};
        cf_dataset *dataset = NULL;
        cf_grid *grid = NULL;
        cf_shard *shard = NULL;

        assert_int_equal(cf_dataset_write(&world, path, world.rank == 0 ? &content : NULL), CF_OK);
        assert_int_equal(cf_dataset_open(&world, path, &dataset), k < 3 ? CF_OK : CF_ERR_FORMAT);
        if (k == 3) break;
        assert_int_equal(dataset->n_cold, 2 * (k == 1) + (k == 2));
        assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
        assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard),
                         k < 2 ? CF_OK : CF_ERR_FORMAT);
        if (k == 0) assert_null(shard->cold);
        if (k == 1) assert_memory_equal(shard->cold, marks[k], sizeof marks[k]);
        cf_dataset_destroy_shard(&shard);
        cf_par_destroy_grid(&grid);
        cf_dataset_close(&dataset);
    }
    assert_non_null(strstr(cf_error_message(), "/items/cold is damaged: 4, expected 0 to 3"));
}

/* Make the first list of two or more wrong. */
static void spoil(cf_lists *lists, int what)
{
    int64_t user = 0, n, *index;

    do
        n = lists->start[user + 1] - lists->start[user];
    while (n < 2 && ++user < lists->count);
    index = lists->index + lists->start[user];
    if (what == 0) index[0] = index[1];
    if (what == 1) index[0] = -1;
    if (what == 2) index[n - 1] = N_ITEMS;
}

/* Lists that are written wrongly have right checksums; they are refused all the same. */
static void wrong_lists_are_refused(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        const char *path = cf_test_scratch("wrong.h5");
        formula from;
        cf_dataset_content content = make_content(CF_F32, &from);
        cf_dataset *dataset = NULL;
        cf_grid *grid = NULL;
        cf_shard *shard = NULL;

        if (world.rank == 0) spoil(&content.valid, what);
        assert_int_equal(cf_dataset_write(&world, path, &content), CF_OK);
        assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
        assert_int_equal(cf_par_create_grid(&world, world.size, 1, &grid), CF_OK);
        assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard), CF_ERR_FORMAT);
        assert_non_null(strstr(cf_error_message(), "/valid/item is damaged"));
        assert_null(shard);
        cf_par_destroy_grid(&grid);
        cf_dataset_close(&dataset);
        free_content(&content);
    }
}

/* Change one byte of the file, somewhere in the numbers of `pattern`. */
static void flip_byte(const char *path, const void *pattern, size_t size)
{
    if (world.rank == 0) {
        FILE *file = fopen(path, "r+b");
        char *bytes = malloc(1 << 20), *at;
        size_t length;

        assert_non_null(file);
        length = fread(bytes, 1, 1 << 20, file);
        at = memmem(bytes, length, pattern, size);
        assert_non_null(at);
        fseek(file, at - bytes + (long)(size / 2 & ~(size_t)7), SEEK_SET);
        fputc(at[size / 2 & ~(size_t)7] ^ 1, file);
        fclose(file);
        free(bytes);
    }
    MPI_Barrier(world.comm);
}

static void a_flipped_byte_is_noticed(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        const char *path = cf_test_scratch("flipped.h5");
        cf_lists lists = make_lists(what < 2 ? 1 : 3, what == 1, 0, what == 1 ? N_ITEMS : N_USERS);
        bool pointers = what == 3;
        cf_dataset *dataset = NULL;
        cf_grid *grid = NULL;
        cf_shard *shard = NULL;

        assert_int_equal(write_dataset(path, CF_F32), CF_OK);
        flip_byte(path, pointers ? lists.start : lists.index,
                  (size_t)(pointers ? lists.count + 1 : lists.start[lists.count]) * 8);
        assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
        assert_int_equal(cf_par_create_grid(&world, 1, world.size, &grid), CF_OK);
        assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard), CF_ERR_FORMAT);
        assert_non_null(strstr(cf_error_message(), "damaged"));
        cf_par_destroy_grid(&grid);
        cf_dataset_close(&dataset);
        free_lists(&lists);
    }
}

/* One byte of a name, or of the offsets of names: whoever asks for any name near it is told. */
static void a_flipped_byte_of_a_name_is_noticed(void **state)
{
    static const struct {
        cf_name_kind which;
        char kind;
        int64_t count;
        bool offsets;
        const char *words;
    } names[] = {
        {CF_USER_IDS, 'u', N_USERS, false, "/users/id is damaged (rows 0 to "},
        {CF_ITEM_IDS, 'i', N_ITEMS, false, "/items/id is damaged (rows 0 to "},
        {CF_ITEM_TITLES, 't', N_ITEMS, false, "/items/title is damaged (rows 0 to "},
        {CF_USER_IDS, 'u', N_USERS, true, "/users/id_start is damaged (rows 0 to "},
        {CF_ITEM_TITLES, 't', N_ITEMS, true, "/items/title_start is damaged (rows 0 to "},
    };

    (void)state;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const char *path = cf_test_scratch("flipped.h5");
        cf_strings all = make_strings(names[k].kind, 0, names[k].count), some = {0};
        cf_dataset *dataset = NULL;

        assert_int_equal(write_dataset(path, CF_F32), CF_OK);
        flip_byte(path, names[k].offsets ? (const void *)all.start : all.bytes,
                  names[k].offsets ? (size_t)(all.count + 1) * 8 : (size_t)all.start[all.count]);
        assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
        assert_int_equal(cf_dataset_read_names(dataset, names[k].which, 1, world.rank == 0, &some),
                         CF_ERR_FORMAT);
        assert_non_null(strstr(cf_error_message(), names[k].words));
        cf_dataset_close(&dataset);
        cf_dataset_destroy_strings(&all);
    }
}

/* Offsets give the interactions of an item, which decide about popular_ratio. */
static void a_flipped_byte_of_item_counts_is_noticed(void **state)
{
    const char *path = cf_test_scratch("flipped.h5");
    cf_lists lists = make_lists(1, true, 0, N_ITEMS);
    cf_dataset *dataset = NULL;
    int64_t counts[N_ITEMS];

    (void)state;
    assert_int_equal(write_dataset(path, CF_F32), CF_OK);
    flip_byte(path, lists.start, (size_t)(lists.count + 1) * 8);
    assert_int_equal(cf_dataset_open(&world, path, &dataset), CF_OK);
    assert_int_equal(cf_dataset_read_item_counts(dataset, 0, world.rank == 0 ? 2 : 0, counts),
                     CF_ERR_FORMAT);
    assert_non_null(strstr(cf_error_message(), "/train/item_ptr is damaged (rows 0 to "));
    cf_dataset_close(&dataset);
    free_lists(&lists);
}

/* Allocations of the call fail, the later ones not all of them, on each rank in turn; no rank
 * hangs, nothing leaks. */
typedef struct load {
    cf_dataset *dataset;
    cf_grid *grid;
    cf_shard *shard;
} load;

static cf_status load_shard(void *context)
{
    load *l = context;

    return cf_dataset_load_shard(l->dataset, l->grid, &l->shard);
}

static void drop_shard(void *context)
{
    cf_dataset_destroy_shard(&((load *)context)->shard);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = load_shard, .clean_up = drop_shard, .thinning = 12};
    const char *path = cf_test_scratch("memory.h5");
    load l = {0};

    (void)state;
    assert_int_equal(write_dataset(path, CF_F32), CF_OK);
    assert_int_equal(cf_dataset_open(&world, path, &l.dataset), CF_OK);
    assert_int_equal(cf_par_create_grid(&world, world.size, 1, &l.grid), CF_OK);
    assert_true(cf_test_every_allocation(&trial, &l) > 10);
    cf_par_destroy_grid(&l.grid);
    cf_dataset_close(&l.dataset);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_grid_gives_the_same_content),
    cmocka_unit_test(few_users_are_refused_or_leave_a_block_empty),
    cmocka_unit_test(marks_of_cold_items_come_back),
    cmocka_unit_test(wrong_lists_are_refused),
    cmocka_unit_test(a_flipped_byte_is_noticed),
    cmocka_unit_test(a_flipped_byte_of_a_name_is_noticed),
    cmocka_unit_test(a_flipped_byte_of_item_counts_is_noticed),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
