/* Files that are refused: cut, damaged, of another kind, with arrays of another shape. */
#include "run.h"

#include <math.h>

static char good[1024], bad[1024];

/* ---- Files ---- */

/* `bad` becomes the first `size` bytes of `good`, with one bit of byte `at` changed (none, if
 * negative). */
static void damage(int64_t size, int64_t at)
{
    MPI_Barrier(world.comm);
    if (world.rank == 0) {
        int64_t whole = 0;
        char *bytes = test_read_file(good, &whole);
        FILE *out = fopen(bad, "wb");

        assert_non_null(out);
        if (at >= 0) bytes[at] = (char)(bytes[at] ^ 0x10);
        assert_int_equal(fwrite(bytes, 1, (size_t)size, out), size);
        assert_int_equal(fclose(out), 0);
        free(bytes);
    }
    MPI_Barrier(world.comm);
}

static void make_good(test_run *run)
{
    cf_ckpt state;

    snprintf(good, sizeof good, "%s", cf_test_scratch("good.h5"));
    snprintf(bad, sizeof bad, "%s", cf_test_scratch("bad.h5"));
    test_create(1, "adam", run);
    test_fill(run);
    state = test_state(run);
    assert_ok(cf_ckpt_save(&world, good, &state));
}

/* ---- Damage ---- */

static void a_cut_file_is_refused_at_every_length(void **state)
{
    test_run run;
    int64_t size = 0;

    (void)state;
    make_good(&run);
    free(test_read_file(good, &size));
    for (int64_t k = 0; k < 64; k++) {
        damage(size * k / 64, -1);
        assert_refused(test_load(bad, &run, true), CF_ERR_FORMAT, "bad.h5: is ");
    }
    damage(size - 1, -1);
    assert_refused(test_load(bad, &run, true), CF_ERR_FORMAT, "bad.h5: is ");
    damage(size, -1);
    assert_ok(test_load(bad, &run, true));
    test_destroy(&run);
}

/* The bytes at the start of each array, as they lie in the file. */
typedef struct content {
    const char *name;
    char bytes[32];
    size_t size;
} content;

static content of_table(const char *name, int side, int which)
{
    content found = {.name = name, .size = sizeof found.bytes};

    for (int k = 0; k < 8; k++) {
        float value = test_value(side, which, 1, k); /* a row inside */

        memcpy(found.bytes + 4 * k, &value, sizeof value);
    }
    return found;
}

static content of_bytes(const char *name, const void *bytes, size_t size)
{
    content found = {.name = name, .size = size};

    memcpy(found.bytes, bytes, size);
    return found;
}

static void one_changed_bit_is_found_in_each_array(void **state)
{
    const content contents[] = {
        of_table("/user_embedding", CF_USERS, 0),
        of_table("/item_embedding", CF_ITEMS, 0),
        of_table("/optimizer/user_moment1", CF_USERS, 1),
        of_table("/optimizer/user_moment2", CF_USERS, 2),
        of_table("/optimizer/item_moment1", CF_ITEMS, 1),
        of_table("/optimizer/item_moment2", CF_ITEMS, 2),
        of_bytes("/selection/dims", selection_dims, sizeof selection_dims),
        of_bytes("/selection/variances", selection_variances, sizeof selection_variances),
        of_bytes("/selection/shift", selection_shift, sizeof selection_shift),
        of_bytes("/settings", settings, sizeof settings - 1),
    };
    char *bytes, words[128];
    int64_t size = 0;
    test_run run;

    (void)state;
    make_good(&run);
    bytes = test_read_file(good, &size);
    for (size_t k = 0; k < sizeof contents / sizeof contents[0]; k++) {
        const char *at = memmem(bytes, (size_t)size, contents[k].bytes, contents[k].size);

        assert_non_null(at);
        damage(size, at - bytes + 5);
        snprintf(words, sizeof words, "bad.h5: %s is damaged", contents[k].name);
        assert_refused(test_load(bad, &run, true), CF_ERR_FORMAT, words);
    }
    free(bytes);
    test_destroy(&run);
}

static void nan_in_any_table_is_refused(void **state)
{
    test_run run;
    cf_ckpt saved;

    (void)state;
    make_good(&run);
    saved = test_state(&run);
    for (int side = 0; side < 2; side++)
        for (int which = 0; which < 3; which++) {
            cf_table *table = test_table(&run, side, which);
            float *element = &table->data[3 * table->width], before = *element;

            if (world.rank == world.size - 1) *element = NAN; /* in the last slice of row 3 */
            assert_ok(cf_ckpt_save(&world, bad, &saved));
            *element = before;
            assert_refused(test_load(bad, &run, true), CF_ERR_NUMERIC, ": row 3 has a NaN");
            test_fill(&run);
        }
    test_destroy(&run);
}

/* ---- Other files ---- */

/* A whole file that says what a checkpoint says of 3 users x 2 items x 1 dimension, but has no
 * tables. */
static cf_status put_facts(cf_store *store)
{
    static const char *const integers[] = {"epoch", "batch", "best_epoch", "stale"};
    static const char *const reals[] = {"loss_sum", "best_value", "seconds"};
    cf_status status;

    CF_TRY(cf_store_write_text(store, "program_version", "0"));
    CF_TRY(cf_store_write_text(store, "dataset_digest", "0123456789abcdef"));
    CF_TRY(cf_store_write_int(store, "n_users", 3));
    CF_TRY(cf_store_write_int(store, "n_items", 2));
    CF_TRY(cf_store_write_int(store, "dim", 1));
    CF_TRY(cf_store_write_whole(store, "/settings", CF_U8, 1, "\n"));
    for (int k = 0; k < 4; k++)
        CF_TRY(cf_store_write_int(store, integers[k], 0));
    for (int k = 0; k < 3; k++)
        CF_TRY(cf_store_write_real(store, reals[k], 0));
done:
    return status;
}

static cf_status put_nothing(cf_store *store)
{
    (void)store;
    return CF_OK;
}

static cf_status put_bad_digest(cf_store *store)
{
    cf_status status;

    CF_TRY(put_facts(store));
    CF_TRY(cf_store_write_text(store, "dataset_digest", "0x23456789abcdef"));
done:
    return status;
}

static cf_status put_short_items(cf_store *store)
{
    const float numbers[3] = {1, 2, 3};
    cf_status status;

    CF_TRY(put_facts(store));
    CF_TRY(cf_store_write_whole(store, "/user_embedding", CF_F32, 3, numbers));
    CF_TRY(cf_store_write_whole(store, "/item_embedding", CF_F32, 1, numbers));
done:
    return status;
}

static cf_status put_double_users(cf_store *store)
{
    const double numbers[3] = {1, 2, 3};
    cf_status status;

    CF_TRY(put_facts(store));
    CF_TRY(cf_store_write_whole(store, "/user_embedding", CF_F64, 3, numbers));
done:
    return status;
}

static cf_status put_short_shift(cf_store *store)
{
    cf_status status;

    CF_TRY(put_facts(store));
    CF_TRY(cf_store_write_whole(store, "/selection/dims", CF_I64, 3, selection_dims));
    CF_TRY(cf_store_write_whole(store, "/selection/variances", CF_F64, 3, selection_variances));
    CF_TRY(cf_store_write_whole(store, "/selection/shift", CF_F64, 2, selection_shift));
done:
    return status;
}

static cf_status put_negative_batch(cf_store *store)
{
    cf_status status;

    CF_TRY(put_facts(store));
    CF_TRY(cf_store_write_int(store, "batch", -1));
done:
    return status;
}

static cf_status put_endless_loss(cf_store *store)
{
    cf_status status;

    CF_TRY(put_facts(store));
    CF_TRY(cf_store_write_real(store, "loss_sum", INFINITY));
done:
    return status;
}

static cf_status put_best_ahead(cf_store *store)
{
    cf_status status;

    CF_TRY(put_facts(store));
    CF_TRY(cf_store_write_int(store, "epoch", 3));
    CF_TRY(cf_store_write_int(store, "best_epoch", 4));
done:
    return status;
}

static cf_status put_no_users(cf_store *store)
{
    cf_status status;

    CF_TRY(put_facts(store));
    CF_TRY(cf_store_write_int(store, "n_users", 0));
done:
    return status;
}

static cf_status put_odd_selection(cf_store *store)
{
    cf_status status;

    CF_TRY(put_facts(store));
    CF_TRY(cf_store_write_whole(store, "/selection/dims", CF_I64, 3, selection_dims));
    CF_TRY(cf_store_write_whole(store, "/selection/variances", CF_F64, 3, selection_variances));
    CF_TRY(cf_store_write_whole(store, "/selection/shift", CF_F64, 3, selection_shift));
    CF_TRY(cf_store_write_real(store, "selection_factor", 1));
    CF_TRY(cf_store_write_real(store, "selection_gain", NAN));
    CF_TRY(cf_store_write_int(store, "selection_unit", 0));
    CF_TRY(cf_store_write_int(store, "selection_n_popular", 0));
done:
    return status;
}

static const struct {
    cf_status (*put)(cf_store *);
    const char *kind, *words;
} others[] = {
    {put_facts, "dataset", "bad.h5: "},
    {put_nothing, "checkpoint", "bad.h5: has no attribute program_version"},
    {put_bad_digest, "checkpoint", "bad.h5: attribute dataset_digest is not 16 hexadecimal digits"},
    {put_facts, "checkpoint", "bad.h5: has no array /user_embedding"},
    {put_short_items, "checkpoint", "bad.h5: /item_embedding is 1 x 1, expected 2 x 1 of float32"},
    {put_double_users, "checkpoint", "bad.h5: /user_embedding is 3 x 1, expected 3 x 1 of float32"},
    {put_short_shift, "checkpoint", "bad.h5: /selection has 3 dims, 3 variances and 2 shifts"},
    {put_negative_batch, "checkpoint", "bad.h5: attribute batch is -1, expected 0 or more"},
    {put_endless_loss, "checkpoint", "bad.h5: attribute loss_sum is not a finite number"},
    {put_best_ahead, "checkpoint", "bad.h5: best epoch 4 and 0 evaluations since, of 3 epochs"},
    {put_no_users, "checkpoint", "bad.h5: n_users, n_items and dim are 0, 2 and 1"},
    {put_odd_selection, "checkpoint", "bad.h5: the selection has factor 1, gain nan"},
};

static void other_files_are_refused(void **state)
{
    cf_ckpt_file *file = NULL;

    (void)state;
    snprintf(bad, sizeof bad, "%s", cf_test_scratch("absent.h5"));
    assert_refused(cf_ckpt_open(&world, bad, &file), CF_ERR_IO, "absent.h5: cannot open");
    snprintf(bad, sizeof bad, "%s", cf_test_scratch("bad.h5"));
    for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
        cf_store *store = NULL;

        assert_ok(cf_store_create(&world, bad, others[k].kind, &store));
        assert_ok(others[k].put(store));
        assert_ok(cf_store_commit(&store));
        assert_refused(cf_ckpt_open(&world, bad, &file), CF_ERR_FORMAT, others[k].words);
        assert_null(file);
    }
}

/* A NUL would end the text in memory, and hide the settings after it. */
static void settings_with_a_nul_are_refused(void **state)
{
    cf_ckpt_file *file = NULL;
    cf_store *store = NULL;

    (void)state;
    snprintf(bad, sizeof bad, "%s", cf_test_scratch("bad.h5"));
    assert_ok(cf_store_create(&world, bad, "checkpoint", &store));
    assert_ok(cf_store_write_text(store, "program_version", "0"));
    assert_ok(cf_store_write_text(store, "dataset_digest", "0123456789abcdef"));
    assert_ok(cf_store_write_int(store, "n_users", 3));
    assert_ok(cf_store_write_int(store, "n_items", 2));
    assert_ok(cf_store_write_int(store, "dim", 1));
    assert_ok(cf_store_write_whole(store, "/settings", CF_U8, 16, "model: BPR\n\0x: 1"));
    assert_ok(cf_store_commit(&store));
    assert_refused(cf_ckpt_open(&world, bad, &file), CF_ERR_FORMAT,
                   "bad.h5: /settings has a NUL byte");
    assert_null(file);
}

static void tables_of_another_size_than_the_readers_are_refused(void **state)
{
    test_run run;
    cf_ckpt saved;

    (void)state;
    make_good(&run);
    saved = test_state(&run);
    saved.table[CF_ITEMS] = run.table[CF_USERS];
    saved.n_items = N_USERS;
    assert_ok(cf_ckpt_save(&world, bad, &saved));
    assert_refused(test_load(bad, &run, false), CF_ERR_FORMAT,
                   "bad.h5: /item_embedding is 23 x 70, expected 17 x 70");
    test_destroy(&run);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_cut_file_is_refused_at_every_length),
    cmocka_unit_test(one_changed_bit_is_found_in_each_array),
    cmocka_unit_test(nan_in_any_table_is_refused),
    cmocka_unit_test(other_files_are_refused),
    cmocka_unit_test(settings_with_a_nul_are_refused),
    cmocka_unit_test(tables_of_another_size_than_the_readers_are_refused),
};

CF_TEST_MAIN(tests)
