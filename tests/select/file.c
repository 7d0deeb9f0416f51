#include "result.h"

/* ---- Kept with the model ---- */

static cf_status write_file(const char *path, const cf_selection *selection)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(cf_store_create(&world, path, "test", &store));
    CF_TRY(cf_select_write(&world, selection, store));
    CF_TRY(cf_store_commit(&store));
done:
    cf_store_close(&store);
    return status;
}

static cf_status read_file(const char *path, cf_selection **out)
{
    cf_store *store = NULL;
    cf_status status;

    CF_TRY(cf_store_open(&world, path, "test", &store));
    CF_TRY(cf_select_read(&world, store, out));
done:
    cf_store_close(&store);
    return status;
}

/* Maps and dimensions; and with no memory for one allocation, on one rank after the other. */
static void what_is_written_comes_back(void **state)
{
    char path[1024];

    (void)state;
    open_golden();
    snprintf(path, sizeof path, "%s", cf_test_scratch("selection.h5"));
    for (int n = 0; n < 2; n++) {
        cf_selection *back = NULL;
        cf_status status = CF_ERR_MEMORY;
        result r = start(&world,
                         n ? "embedding_size=16 emb_selection=qr"
                           : "embedding_size=16 emb_selection=whiten emb_gain=3",
                         world.size);

        assert_int_equal(write_file(path, r.selection), CF_OK);
        for (int64_t at = 1; status == CF_ERR_MEMORY; at++) {
            if (world.rank == at % world.size) cf_alloc_fail_at(at);
            status = read_file(path, &back);
            cf_alloc_fail_at(0);
            if (status != CF_OK) assert_null(back);
        }
        assert_int_equal(status, CF_OK);
        assert_same_selection(back, r.selection);
        assert_true(back->factor == 1 && back->unit == r.selection->unit);
        assert_int_equal(back->n_popular, r.selection->n_popular);
        cf_select_destroy(&back);
        if (n == 0) {
            const double value = r.selection->components[77];
            float half;
            memcpy(&half, (const char *)&value + 4, sizeof half); /* its leading bits */
            if (world.rank == 0) cf_test_damage(path, half);
            MPI_Barrier(world.comm);
            assert_int_equal(read_file(path, &back), CF_ERR_FORMAT);
            assert_non_null(strstr(cf_error_message(), "/selection/directions is damaged"));
        }
        drop(&r);
    }
    free_plain(&data);
}

/* ---- Failure ---- */

/* Allocations of each kind are dealt out to the ranks, each one fails once; with more than two
 * ranks every third of them, because each failure costs a file's collective calls. */
static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    static const char *const kinds[] = {
        "embedding_size=16 emb_selection=pca emb_norm=1",
        "embedding_size=16 emb_selection=whiten pca_one_rank=0",
        "embedding_size=16 emb_selection=projection",
        "embedding_size=16 emb_selection=qr",
    };

    (void)state;
    open_golden();
    for (int k = 0; k < 4; k++) {
        const cf_select_options options = options_of(kinds[k]);

        creation_fail(&options, world.size <= 2 ? 1 : 3, 20);
    }
    free_plain(&data);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_written_comes_back),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};

CF_TEST_MAIN(tests)
