/* Malformed files: all ranks together refuse them with the message that one rank gives. */
#include "ranks.h"

/* ---- Wrong lines ----------------------------------------------------------------------------- */

/* Insert one or two malformed lines; the first of them is to be named by its number. */
static const char *spoil(writer *w, const char *name)
{
    static const char *const wrong[] = {"\n", "\n\n\n", "too\tfew\n", "a\tb\tc\td\te\tf\tg\n",
                                        "\t\t\t\t\n"};
    char *text = malloc(2 * MOST);
    const char *path;
    int left = 1 + below(w, 2);
    size_t size = 0;

    for (size_t k = 0; k < w->size; k++) {
        text[size++] = w->bytes[k];
        if (left == 0 || w->bytes[k] != '\n' || below(w, 60) > 0) continue;
        strcpy(text + size, wrong[below(w, 5)]);
        size += strlen(text + size);
        left--;
    }
    if (below(w, 8) == 0) text[(size_t)below(w, (int)size)] = 0;
    path = put_bytes(name, text, size);
    free(text);
    return path;
}

static void wrong_lines(void **state)
{
    writer *w = malloc(sizeof *w);
    int refused = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 16; seed++) {
        cf_ingest_paths paths = {.out = file_path("r.h5")};

        *w = (writer){.seed = seed};
        paths.inter = write_inter(w, 100);
        if (seed % 2) paths.inter = spoil(w, "r.inter");
        if (seed % 2 == 0) {
            write_items(w);
            paths.item = spoil(w, "r.item");
        }
        refused += compare_with_one_rank(&paths, "missing_embedding=zero") == CF_ERR_FORMAT;
    }
    assert_in_range(refused, 8, 16);
    free(w);
}

/* An id file with ids on two lines, and perhaps a malformed line. */
static void ids_that_are_there_twice(void **state)
{
    static const float rows[100] = {0};
    writer *w = malloc(sizeof *w);

    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        const int64_t shape[2] = {52, 1};
        cf_ingest_paths paths = {.out = file_path("r.h5")};
        int twice[2], wrong;

        *w = (writer){.seed = seed};
        paths.inter = write_inter(w, 40);
        paths.embedding = put_npy("r.npy", 1, "<f4", shape, rows);
        twice[0] = below(w, 50);
        twice[1] = below(w, 50);
        wrong = below(w, 2) ? below(w, 50) : -1;
        w->size = 0;
        for (int k = 0; k < 50; k++) {
            if (k == wrong) put(w, "\n");
            put_id(w, 'i', k);
            put(w, "\n");
            if (k != twice[0] && k != twice[1]) continue;
            put_id(w, 'i', below(w, 50));
            put(w, "\n");
        }
        paths.embedding_ids = put_bytes("r.ids", w->bytes, w->size);
        assert_int_equal(compare_with_one_rank(&paths, "missing_embedding=zero"), CF_ERR_FORMAT);
    }
    free(w);
}

/* Files with fewer bytes than ranks, and lines longer than the ranges of several ranks. */
static void small_files_and_long_lines(void **state)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "0",
                                        "0\n",
                                        "0 1",
                                        "0 1\n",
                                        "0 1\n1",
                                        "\n0 1\n",
                                        "0 1\n\n",
                                        "0 1\n\n\n1 1\n",
                                        "0 1\r\n1 2\r\n\r\n",
                                        "1 1\n2 1\n3 1\n",
                                        ("\xef\xbb\xbf"
                                         "0 1\n"),
                                        "0 1\n1 x\n2 y\n"};
    char *text = malloc(MOST);

    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        const cf_ingest_paths paths = {.train = put_file("r.txt", texts[k]),
                                       .out = file_path("r.h5")};

        compare_with_one_rank(&paths, "");
    }
    for (int length = 1; length < 60000; length = 19 * length + 1) {
        const cf_ingest_paths paths = {.inter = file_path("r.inter"), .out = file_path("r.h5")};
        int n =
            sprintf(text, "user_id\titem_id\nu\ta\n%0*d\tb\nu\tb\nu\t%0*d\n", length, 1, length, 2);

        put_bytes("r.inter", text, (size_t)n);
        assert_int_equal(compare_with_one_rank(&paths, "split=RS|split_ratios=[1,0,0]"), CF_OK);
        n += sprintf(text + n, "u\t%0*d\tx\n", length, 3);
        put_bytes("r.inter", text, (size_t)n);
        assert_int_equal(compare_with_one_rank(&paths, ""), CF_ERR_FORMAT);
    }
    free(text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(wrong_lines),
    cmocka_unit_test(ids_that_are_there_twice),
    cmocka_unit_test(small_files_and_long_lines),
};
CF_TEST_MAIN(tests)
