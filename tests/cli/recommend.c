/* recommend: a part of the catalogue, items of the history, items like an item, and where it goes.
 */
#include "lists.h"

#include <math.h>

static char also[1100]; /* a second list of ids */

static void a_model_is_trained(void **state)
{
    (void)state;
    train_model("--set split=RS --inter", "embedding_size=32 --set epochs=3");
    snprintf(also, sizeof also, "%s.also", list);
}

/* ---- A part of the catalogue ---------------------------------------------------------------- */

static text_line all[ITEMS], part[ITEMS];
static int n_all; /* lines of u3 with all items, also those of its history */

static void read_all_of_u3(void)
{
    char *text;

    write_text(list, "u3\n");
    text = recommend("--users %s --topk %d --history keep", list, ITEMS);
    if (world.rank == 0) n_all = read_lines_of(text, user_header, all, ITEMS);
    free(text);
}

/* The lines of u3 are those of all items that `wanted` has, with ranks of their own. On rank 0. */
static void check_part(const char *text, bool (*wanted)(int i))
{
    const int n_part = read_lines_of(text, user_header, part, ITEMS);
    int n = 0;

    for (int k = 0; k < n_all; k++) {
        if (!wanted(atoi(all[k].name + 1))) continue;
        assert_true(n < n_part);
        assert_int_equal(part[n].rank, n + 1);
        assert_string_equal(part[n].name, all[k].name);
        assert_string_equal(part[n].title, all[k].title);
        assert_true(part[n++].score == all[k].score);
    }
    assert_int_equal(n, n_part);
    assert_true(n > 0);
}

static cf_lists known[2]; /* train and valid of u3, by the numbers in the ids */

static bool is_known(int i)
{
    return cf_contains_i64(known[0].index, known[0].count, i) ||
           cf_contains_i64(known[1].index, known[1].count, i);
}

static int compare_numbers(const void *a, const void *b)
{
    return *(const int64_t *)a < *(const int64_t *)b ? -1 : 1;
}

/* What u3 has in train and valid, from the dataset. On rank 0. */
static void read_known(void)
{
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;
    cf_strings names[2] = {{0}};
    int64_t user = 0;

    assert_ok(cf_dataset_open(&cf_test_self, data, &dataset));
    assert_ok(cf_par_create_grid(&cf_test_self, 1, 1, &grid));
    assert_ok(cf_dataset_load_shard(dataset, grid, &shard));
    assert_ok(cf_dataset_read_names(dataset, CF_USER_IDS, 0, USERS, &names[0]));
    assert_ok(cf_dataset_read_names(dataset, CF_ITEM_IDS, 0, ITEMS, &names[1]));
    while (strcmp(names[0].bytes + names[0].start[user], "u3") != 0)
        user++;
    for (int p = 0; p < 2; p++) {
        const cf_lists *from = p == 0 ? &shard->train : &shard->valid;

        known[p].count = from->start[user + 1] - from->start[user];
        assert_ok(CF_ALLOC(known[p].index, known[p].count));
        for (int64_t k = 0; k < known[p].count; k++)
            known[p].index[k] =
                atoi(names[1].bytes + names[1].start[from->index[from->start[user] + k]] + 1);
        qsort(known[p].index, (size_t)known[p].count, sizeof(int64_t), compare_numbers);
    }
    cf_dataset_destroy_strings(&names[0]);
    cf_dataset_destroy_strings(&names[1]);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
}

static bool is_any(int i)
{
    return i >= 0;
}

static bool is_new(int i)
{
    return !is_known(i);
}

static bool is_candidate(int i)
{
    return i == 7 || i == 11 || i == 38 || i == 5;
}

static bool is_new_candidate(int i)
{
    return is_candidate(i) && is_new(i);
}

static bool is_not_excluded(int i)
{
    return i != 7 && i != 12 && is_new(i);
}

static bool is_candidate_and_not_excluded(int i)
{
    return is_candidate(i) && i != 7;
}

/* The first without --history is today's: what the user has in train and valid is left out. */
static void lists_are_parts_of_the_list_of_all_items(void **state)
{
    static const struct {
        const char *items, *exclude, *history;
        bool (*wanted)(int i);
    } cases[] = {
        {NULL, NULL, "", is_new},
        {NULL, NULL, "--history drop", is_new},
        {NULL, NULL, "--history keep", is_any},
        {"i7\n\ni11\ni38\ni5\ni7\n", NULL, "--history keep", is_candidate},
        {"i7\ni11\ni38\ni5", NULL, "", is_new_candidate},
        {NULL, "i7\r\ni12\r\n", "", is_not_excluded},
        {"i7\ni11\ni38\ni5\n", "i7\ni12\n", "--history keep", is_candidate_and_not_excluded},
    };

    (void)state;
    read_all_of_u3();
    if (world.rank == 0) {
        read_known();
        assert_int_equal(n_all, ITEMS);
        assert_true(known[0].count > 0 && known[1].count > 0);
    }
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char files[4096] = "", *text;

        write_text(list, "u3\n");
        if (cases[c].items != NULL) {
            write_text(also, cases[c].items);
            snprintf(files, sizeof files, "--items %s ", also);
        }
        if (cases[c].exclude != NULL) {
            char path[1200];

            snprintf(path, sizeof path, "%s.not", list);
            write_text(path, cases[c].exclude);
            snprintf(files + strlen(files), sizeof files - strlen(files), "--exclude %s ", path);
        }
        text = recommend("--users %s --topk %d %s%s", list, ITEMS, files, cases[c].history);
        if (world.rank == 0) check_part(text, cases[c].wanted);
        free(text);
    }
    cf_free(&known[0].index);
    cf_free(&known[1].index);
}

/* ---- Similar items -------------------------------------------------------------------------- */

static double
    *rows; /* ITEMS x 32 final rows, or ITEMS x ITEMS weights, by the numbers in the ids */

/* The exported rows `name`, in the order of the file; `number` has what each id ends in. On rank
 * 0. */
static void read_export(const char *name, int64_t width, int number[ITEMS])
{
    char path[1100], line[64];
    int64_t dims[2];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    rows = cf_test_npy(path, dims);
    assert_true(dims[0] == ITEMS && dims[1] == width);
    snprintf(path, sizeof path, "%s/items.txt", folder);
    file = fopen(path, "r");
    assert_non_null(file);
    for (int k = 0; k < ITEMS; k++) {
        assert_non_null(fgets(line, sizeof line, file));
        number[atoi(line + 1)] = k;
    }
    fclose(file);
}

static double cosine(int64_t a, int64_t b)
{
    double product = 0, square[2] = {0, 0};

    for (int k = 0; k < 32; k++) {
        product += rows[a * 32 + k] * rows[b * 32 + k];
        square[0] += rows[a * 32 + k] * rows[a * 32 + k];
        square[1] += rows[b * 32 + k] * rows[b * 32 + k];
    }
    return product / sqrt(square[0] * square[1]);
}

/* What item a adds to the score of item b. */
static double weight(int64_t a, int64_t b)
{
    return rows[b * ITEMS + a];
}

/* Lists of i17 and i4: all others, the best first, with their titles. On rank 0. */
static void check_similar(const char *text, double (*likeness)(int64_t, int64_t),
                          const int number[ITEMS])
{
    static text_line lines[2 * ITEMS];
    const char *const queries[] = {"i17", "i4"};

    assert_int_equal(read_lines_of(text, item_header, lines, 2 * ITEMS), 2 * (ITEMS - 1));
    for (int k = 0; k < 2 * (ITEMS - 1); k++) {
        const char *query = queries[k / (ITEMS - 1)];
        const int of = atoi(query + 1), i = atoi(lines[k].name + 1);
        char title[32];

        assert_string_equal(lines[k].query, query);
        assert_int_equal(lines[k].rank, k % (ITEMS - 1) + 1);
        assert_int_not_equal(i, of);
        snprintf(title, sizeof title, "Title of %d", i);
        assert_string_equal(lines[k].title, title);
        assert_close(lines[k].score, likeness(number[of], number[i]), 1e-5);
        if (lines[k].rank > 1) assert_true(lines[k].score <= lines[k - 1].score);
    }
}

static void similar_items_have_the_largest_cosine(void **state)
{
    char *text = recommend("--similar i17 --similar i4 --topk %d", ITEMS), *few;
    int number[ITEMS];

    (void)state;
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", run, data, folder);
    if (world.rank == 0) {
        read_export("items.npy", 32, number);
        check_similar(text, cosine, number);
        free(rows);
    }
    free(text);
    write_text(also, "i1\ni2\ni17\n");
    few = recommend("--similar i17 --items %s", also);
    if (world.rank == 0) assert_int_equal(read_lines_of(few, item_header, part, ITEMS), 2);
    free(few);
}

static void similar_items_of_a_closed_form_have_the_largest_weight(void **state)
{
    char *text;
    int number[ITEMS];

    (void)state;
    clear_output();
    succeed("llminit train --data %s --out %s --quiet --set model=EASE --set reg_weight=3", data,
            run);
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", run, data, folder);
    text = recommend("--similar i17 --similar i4 --topk %d", ITEMS);
    if (world.rank == 0) {
        read_export("item_similarity.npy", ITEMS, number);
        check_similar(text, weight, number);
        free(rows);
    }
    free(text);
}

static void popularity_tells_no_items_apart(void **state)
{
    (void)state;
    clear_output();
    succeed("llminit train --data %s --out %s --quiet --set model=Pop", data, run);
    refuse(CF_ERR_USAGE, "recommend: --similar: Pop has no rows that tell items apart",
           "--similar i17");
}

/* ---- Errors --------------------------------------------------------------------------------- */

static void wrong_options_and_files_are_refused(void **state)
{
    static const struct {
        cf_status status;
        const char *words, *file, *options; /* the file's path follows the options */
    } cases[] = {
        {CF_ERR_FORMAT, "users.txt:3: \"j1\" is no item of ", "i1\n\nj1\n", "--items"},
        {CF_ERR_FORMAT, "users.txt:2: \"u1\" is no item of ", "i1\nu1\n", "--exclude"},
        {CF_ERR_FORMAT, "users.txt: is empty, expected one id a line", "\n", "--items"},
        {CF_ERR_FORMAT, "users.txt: is empty, expected one id a line", "", "--exclude"},
        {CF_ERR_FORMAT, "users.txt: excludes all items", "i3\n", "--items %s --exclude"},
        {CF_ERR_USAGE, "--similar: \"j1\" is no item of ", "i1\n", "--similar j1 --items"},
        {CF_ERR_USAGE, "--similar: \"i1\" is listed twice", "i1\n",
         "--similar i1 --similar i1 --items"},
        {CF_ERR_USAGE, "--history: \"no\" is not keep or drop", "i1\n", "--history no --items"},
        {CF_ERR_USAGE, "--history is for users, --similar for items", "i1\n",
         "--history keep --similar i1 --items"},
        {CF_ERR_USAGE, "--users and --similar are not for one command", "u1\n",
         "--similar i1 --users"},
        {CF_ERR_USAGE, "--given and --similar are not for one command", "i1\n",
         "--similar i1 --given i1 --items"},
        {CF_ERR_USAGE, "--topk is given twice", "i1\n", "--topk 1 --topk 2 --items"},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char options[4096];

        write_text(list, cases[c].file);
        if (strstr(cases[c].options, "%s") != NULL)
            snprintf(options, sizeof options, "--items %s --exclude %s", list, list);
        else
            snprintf(options, sizeof options, "%s %s", cases[c].options, list);
        refuse(cases[c].status, cases[c].words, "%s", options);
    }
    refuse(CF_ERR_IO, "cannot open", "--items %s.missing", list);
}

/* ---- Where the text goes, and on how many ranks --------------------------------------------- */

/* What is in the file of --out. On rank 0, else "". */
static char *text_of_out(const char *options)
{
    char *text = calloc(1, 1 << 16);

    assert_non_null(text);
    succeed("llminit recommend %s/best.h5 --data %s --quiet --out %s %s", run, data, tsv, options);
    if (world.rank == 0) {
        FILE *file = fopen(tsv, "r");

        assert_non_null(file);
        assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
        fclose(file);
    }
    return text;
}

/* Without --out the text is on standard output; grids and ranks do not change it. */
static void the_text_is_the_same_everywhere(void **state)
{
    static const char *const options[] = {"--topk 5", "--similar i17 --similar i4 --topk 9",
                                          "--given i3 --given i31 --topk 9"};

    (void)state;
    clear_output();
    succeed("llminit train --data %s --out %s --quiet --set embedding_size=32 --set epochs=1", data,
            run);
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        char *want = recommend("%s", options[k]), *text = text_of_out(options[k]), *rows_only;

        assert_string_equal(text, want);
        rows_only = recommend("%s --set grid=%dx1", options[k], world.size);
        assert_string_equal(rows_only, want);
        if (world.rank == 0) { /* alone */
            const cf_par all_ranks = world;

            world = cf_test_self;
            free(text);
            text = recommend("%s", options[k]);
            assert_string_equal(text, want);
            world = all_ranks;
        }
        MPI_Barrier(world.comm);
        free(rows_only);
        free(text);
        free(want);
    }
}

/* ---- Memory --------------------------------------------------------------------------------- */

/* Wherever memory runs out on whichever rank: all ranks say so, and there is no half file. */
static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    static const char *const options[] = {"--similar i17 --items", "--given i17 --exclude"};
    char path[1100];

    (void)state;
    snprintf(path, sizeof path, "%s.memory", tsv);
    write_text(list, "i1\ni2\ni3\ni4\n");
    for (int c = 0; c < 2; c++)
        for (int64_t n = 1 + c;; n = 2 * n + 1) {
            const int bad = (int)(n % world.size);
            cf_status status;

            if (world.rank == 0) unlink(path);
            MPI_Barrier(world.comm);
            if (world.rank == bad) cf_alloc_fail_at(n);
            status =
                run_format(NULL, "llminit recommend %s/best.h5 --data %s --out %s --quiet %s %s",
                           run, data, path, options[c], list);
            cf_alloc_fail_at(0);
            if (world.rank == 0) assert_int_equal(access(path, F_OK) == 0, status == CF_OK);
            if (status == CF_OK) break;
            assert_int_equal(status, CF_ERR_MEMORY);
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_model_is_trained),
    cmocka_unit_test(lists_are_parts_of_the_list_of_all_items),
    cmocka_unit_test(wrong_options_and_files_are_refused),
    cmocka_unit_test(similar_items_have_the_largest_cosine),
    cmocka_unit_test(similar_items_of_a_closed_form_have_the_largest_weight),
    cmocka_unit_test(popularity_tells_no_items_apart),
    cmocka_unit_test(the_text_is_the_same_everywhere),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
};
CF_TEST_MAIN(tests)
