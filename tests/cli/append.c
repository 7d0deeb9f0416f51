/* append, through the whole program: a checkpoint of the dataset before is used with the one after.
 * New users get what users get who are in no dataset; what was added is history. */
#include "lists.h"

#include <math.h>

static char appended[1024], new_item[1024], new_inter[1024], new_npy[1024];

/* The items of new user n: in the dataset, ascending. */
static bool new_user_has(int n, int i)
{
    return (i * 7 + n * 5) % 11 < 2;
}

/* Interactions of three new users; old users have a new item too, and u7 one item more. */
static void write_new_inter(void)
{
    FILE *file = fopen(new_inter, "w");

    assert_non_null(file);
    fprintf(file, "user_id\titem_id\nu3\tj0\nu7\tj1\n");
    for (int n = 2; n >= 0; n--)
        for (int i = ITEMS - 1; i >= 0; i--)
            if (new_user_has(n, i)) fprintf(file, "n%d\ti%d\n", n, i);
    fclose(file);
}

/* Two new items with the vectors of i0 and i1, and the interactions. On rank 0. */
static void write_new_files(void)
{
    char command[4096];

    write_new_inter();
    snprintf(command, sizeof command,
             "{ head -c 128 '%s' | sed 's/(40, 48)/( 2, 48)/'; tail -c +129 '%s' | head -c %d; } "
             ">'%s'",
             npy, npy, 2 * WIDTH * 4, new_npy);
    assert_int_equal(system(command), 0);
}

/* Append to the dataset that a model was trained on. Collective. */
static void append_new(void)
{
    put_path(appended, "b.h5");
    put_path(new_item, "b.item");
    put_path(new_inter, "b.inter");
    put_path(new_npy, "b.npy");
    write_text(new_item, "item_id\ttitle\nj0\tNew of 0\nj1\tNew of 1\n");
    if (world.rank == 0) write_new_files();
    MPI_Barrier(world.comm);
    succeed("llminit append %s --item %s --embedding %s --inter %s --out %s --quiet", data,
            new_item, new_npy, new_inter, appended);
}

/* The same pairs for --new-users, "m" for "n". On rank 0. */
static void write_new_users(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (int n = 0; n < 3; n++)
        for (int i = 0; i < ITEMS; i++)
            if (new_user_has(n, i)) fprintf(file, "m%d\ti%d\n", n, i);
    fclose(file);
}

/* recommend() with the other dataset. */
static char *recommend_appended(const char *options)
{
    char before[sizeof data], *text;

    memcpy(before, data, sizeof data);
    memcpy(data, appended, sizeof data);
    text = recommend("%s", options);
    memcpy(data, before, sizeof data);
    return text;
}

static const char *const models[] = {
    "model=BPR --set embedding_size=32 --set epochs=2 --set learning_rate=0.01",
    "model=LightGCN --set embedding_size=32 --set epochs=2 --set learning_rate=0.01",
    "model=iALS --set embedding_size=32 --set epochs=2",
    "model=EASE",
    "model=Pop",
    ("model=ChebyCF --set ideal_dim=5 --set text_weight=2 --set emb_selection=pca --set "
     "embedding_size=8"),
    "model=GF-CF --set ideal_dim=5"};

/* Another model of the same dataset. Collective. */
static void train_again(const char *settings)
{
    clear_output();
    succeed("llminit train --data %s --out %s --quiet --set train_batch_size=64 --set %s", data,
            run, settings);
}

/* Lines of old items, in order: their ranks may differ where new items are between them. */
static int keep_old_items(text_line *lines, int n)
{
    int kept = 0;

    for (int k = 0; k < n; k++)
        if (lines[k].name[0] == 'i') lines[kept++] = lines[k];
    return kept;
}

static void check_new_users(const char *got, const char *want)
{
    static text_line lines[2][3 * (ITEMS + 2)];
    int n = read_lines_of(want, user_header, lines[0], 3 * ITEMS);

    assert_true(n > 3 * (ITEMS - 10));
    assert_int_equal(
        keep_old_items(lines[1], read_lines_of(got, user_header, lines[1], 3 * (ITEMS + 2))), n);
    for (int k = 0; k < n; k++) {
        assert_string_equal(lines[1][k].query + 1, lines[0][k].query + 1);
        assert_string_equal(lines[1][k].name, lines[0][k].name);
        assert_true(lines[1][k].score == lines[0][k].score);
    }
}

/* To the last printed digit, for every model. */
static void new_users_get_what_users_of_no_dataset_get(void **state)
{
    (void)state;
    train_model("--train", models[0]);
    append_new();
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        char users[1100], options[1200], *want, *got;

        if (m > 0) train_again(models[m]);
        snprintf(users, sizeof users, "%s.new", list);
        if (world.rank == 0) write_new_users(users);
        write_text(list, "n0\nn1\nn2\n");
        want = recommend("--topk %d --new-users %s", ITEMS, users);
        snprintf(options, sizeof options, "--topk %d --users %s", ITEMS + 2, list);
        got = recommend_appended(options);
        if (world.rank == 0) check_new_users(got, want);
        free(got);
        free(want);
    }
}

/* Of a user of the training the rows stay: scores of all old items are the same bits, but where a
 * matrix has more to add up. j0 is history of u3. */
static void old_users_keep_their_scores(void **state)
{
    (void)state;
    train_again(models[1]);
    write_text(list, "u3\nu0\n");
    char options[1200];
    char *want = recommend("--topk %d --users %s", ITEMS, list);
    snprintf(options, sizeof options, "--topk %d --users %s", ITEMS + 2, list);
    char *got = recommend_appended(options);
    if (world.rank == 0) {
        static text_line lines[2][2 * (ITEMS + 2)];
        const int n = read_lines_of(want, user_header, lines[0], 2 * ITEMS);
        int all = read_lines_of(got, user_header, lines[1], 2 * (ITEMS + 2)), n_new = 0;

        for (int k = 0; k < all; k++) {
            if (lines[1][k].name[0] != 'j') continue;
            n_new++;
            assert_true(strcmp(lines[1][k].query, "u3") != 0 ||
                        strcmp(lines[1][k].name, "j0") != 0);
        }
        assert_int_equal(n_new, 3);
        assert_int_equal(keep_old_items(lines[1], all), n);
        for (int k = 0; k < n; k++) {
            assert_string_equal(lines[1][k].name, lines[0][k].name);
            assert_true(lines[1][k].score == lines[0][k].score);
        }
    }
    free(got);
    free(want);
}

/* A new item tells a model nothing of a user: with another one it is history alone, without one the
 * user gets the most popular items. */
static void check_new_item(void)
{
    static text_line lines[2][ITEMS + 2];
    char *with = recommend_appended("--topk 42 --given j0 --given i3");
    char *without = recommend_appended("--topk 42 --given i3");
    char *alone = recommend_appended("--topk 1 --given j0");

    if (world.rank == 0) {
        const int n = read_lines_of(without, user_header, lines[0], ITEMS + 2);
        int k = 0;

        assert_int_equal(n, ITEMS + 1);
        assert_int_equal(read_lines_of(with, user_header, lines[1], ITEMS + 2), n - 1);
        for (int l = 0; l < n; l++) {
            if (strcmp(lines[0][l].name, "j0") == 0) continue;
            assert_string_equal(lines[1][k].name, lines[0][l].name);
            assert_true(lines[1][k++].score == lines[0][l].score);
        }
        assert_int_equal(read_lines_of(alone, user_header, lines[0], 1), 1);
        assert_true(lines[0][0].score == floor(lines[0][0].score) && lines[0][0].score > 10);
    }
    free(with);
    free(without);
    free(alone);
}

/* The run is that of the test before. */
static void a_new_item_is_history_of_a_new_user(void **state)
{
    (void)state;
    check_new_item();
}

/* Rows of new users and items are behind those of the checkpoint, which has fewer. */
static void export_has_all_rows(void **state)
{
    char path[1100], text[128] = "";

    (void)state;
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", run, appended, folder);
    snprintf(path, sizeof path, "%s/users.npy", folder);
    if (world.rank == 0) {
        FILE *file = fopen(path, "rb");

        assert_non_null(file);
        assert_int_equal(fread(text, 1, sizeof text, file), sizeof text);
        fclose(file);
        text[127] = '\0';
        assert_non_null(strstr(text + 10, "'shape': (63, 32)"));
    }
}

/* A JSON object of `info`, and what the other commands say of an appended dataset. */
static void the_base_is_told_and_training_refused(void **state)
{
    json_t *before, *after;

    (void)state;
    before = succeed_json("llminit info %s --json", data);
    after = succeed_json("llminit info %s --json", appended);
    if (world.rank == 0) {
        const json_t *attributes = json_object_get(after, "attributes");

        assert_string_equal(json_string_value(json_object_get(attributes, "base_digest")),
                            json_string_value(json_object_get(before, "digest")));
        assert_int_equal(integer(attributes, "base_users"), USERS);
        assert_int_equal(integer(attributes, "base_items"), ITEMS);
        assert_int_equal(integer(attributes, "n_items"), ITEMS + 2);
        assert_non_null(json_object_get(json_object_get(after, "arrays"), "/added/item"));
    }
    json_decref(before);
    json_decref(after);
    assert_refused(run_format(NULL, "llminit train --data %s --out %s.2 --quiet", appended, run),
                   CF_ERR_USAGE, "b.h5 was appended to: a training takes a dataset that was");
    assert_refused(run_format(NULL, "llminit spectrum %s/best.h5 --data %s --quiet", run, appended),
                   CF_ERR_USAGE, "b.h5 is appended to the dataset of the training");
    assert_refused(run_format(NULL, "llminit append %s --item %s --out %s", data, new_item, data),
                   CF_ERR_USAGE, "--out is one of the files to read");
    assert_refused(run_format(NULL, "llminit append %s --out %s.2", data, appended), CF_ERR_USAGE,
                   "expected --item, --inter or --test");
    assert_refused(run_format(NULL, "llminit append %s --inter %s --out %s.2 --set split=RS", data,
                              new_inter, appended),
                   CF_ERR_USAGE, "split");
}

/* A matrix has no column of a new item; a dataset that is appended to another one is another one.
 */
static void what_the_model_does_not_know_is_refused(void **state)
{
    (void)state;
    train_again("model=EASE");
    check_new_item();
    assert_refused(run_format(NULL, "llminit recommend %s/best.h5 --data %s --quiet --similar j0",
                              run, appended),
                   CF_ERR_USAGE, "\"j0\" was appended, and EASE knows only what items of the");
    succeed("llminit recommend %s/best.h5 --data %s --quiet --similar i0 --out %s", run, appended,
            tsv);
    succeed("llminit prepare --train %s --item %s --out %s --quiet", inter, item, data);
    succeed("llminit append %s --item %s --out %s --quiet", data, new_item, appended);
    assert_refused(run_format(NULL, "llminit evaluate %s/best.h5 --data %s --quiet", run, appended),
                   CF_ERR_FORMAT, "best.h5 was trained on another dataset than");
}

/* The map of the training gives a new item its row: j0 has the vector of i0, and with one neighbour
 * the row of i0, but for its length. */
static void a_new_item_is_found_by_its_vector(void **state)
{
    char *got;

    (void)state;
    train_model("--train", "embedding_size=32 --set epochs=2 --set cold_map=nearest --set "
                           "cold_neighbors=[1]");
    append_new();
    got = recommend_appended("--topk 1 --similar j0 --similar j1");
    if (world.rank == 0) {
        text_line lines[2];

        assert_int_equal(read_lines_of(got, item_header, lines, 2), 2);
        assert_string_equal(lines[0].name, "i0");
        assert_string_equal(lines[1].name, "i1");
        assert_close(lines[0].score, 1, 1e-6);
        assert_close(lines[1].score, 1, 1e-6);
    }
    free(got);
}

/* The rows of an exported matrix, whose columns are `width`; the first ITEMS of each. On rank 0. */
static void read_matrix(int width, float out[2][ITEMS])
{
    static float rows[ITEMS + 2][ITEMS + 2];
    char path[1100];
    FILE *file;

    snprintf(path, sizeof path, "%s/item_similarity.npy", folder);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 128, SEEK_SET), 0);
    for (int i = 0; i < ITEMS + 2; i++)
        assert_int_equal(fread(rows[i], sizeof(float), (size_t)width, file), width);
    fclose(file);
    for (int j = 0; j < 2; j++)
        memcpy(out[j], rows[ITEMS + j], ITEMS * sizeof(float));
}

/* A dataset that was prepared with the new items has them as cold ones, with the same numbers. */
static void a_new_item_has_the_row_of_a_cold_one(void **state)
{
    static const char solve[] = "model=EASE --set cold_map=ridge";
    static float got[2][ITEMS], want[2][ITEMS];
    char all_items[1100], all_npy[1100], command[8192];
    double largest = 0;

    (void)state;
    train_again(solve);
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", run, appended, folder);
    if (world.rank == 0) read_matrix(ITEMS, got);
    snprintf(all_items, sizeof all_items, "%s.all", item);
    snprintf(all_npy, sizeof all_npy, "%s.all", npy);
    snprintf(
        command, sizeof command,
        "{ cat '%s'; tail -n 2 '%s'; } >'%s'; { head -c 128 '%s' | sed 's/(40, 48)/(42, 48)/'; "
        "tail -c +129 '%s'; tail -c %d '%s'; } >'%s'",
        item, new_item, all_items, npy, npy, 2 * WIDTH * 4, new_npy, all_npy);
    if (world.rank == 0) assert_int_equal(system(command), 0);
    MPI_Barrier(world.comm);
    succeed("llminit prepare --train %s --item %s --embedding %s --out %s --quiet --set "
            "keep_items=all",
            inter, all_items, all_npy, data);
    train_again(solve);
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", run, data, folder);
    if (world.rank == 0) read_matrix(ITEMS + 2, want);
    for (int k = 0; k < 2 * ITEMS; k++) {
        const double difference = fabs((double)(&got[0][0])[k] - (double)(&want[0][0])[k]);

        assert_true(difference < 1e-6);
        largest = fmax(largest, fabs((double)(&want[0][0])[k]));
    }
    if (world.rank == 0) assert_true(largest > 1e-3);
}

/* One file of settings for all commands: append takes those of reading. */
static void a_file_of_settings_may_have_others_too(void **state)
{
    char settings[1024];

    (void)state;
    put_path(settings, "all.yaml");
    write_text(settings, "split: RS\nuser_field: user_id\nmodel: BPR\nlearner: adam\n");
    succeed("llminit append %s --inter %s --out %s --settings %s --quiet", data, new_inter,
            appended, settings);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(new_users_get_what_users_of_no_dataset_get),
    cmocka_unit_test(old_users_keep_their_scores),
    cmocka_unit_test(a_new_item_is_history_of_a_new_user),
    cmocka_unit_test(export_has_all_rows),
    cmocka_unit_test(the_base_is_told_and_training_refused),
    cmocka_unit_test(what_the_model_does_not_know_is_refused),
    cmocka_unit_test(a_file_of_settings_may_have_others_too),
    cmocka_unit_test(a_new_item_is_found_by_its_vector),
    cmocka_unit_test(a_new_item_has_the_row_of_a_cold_one),
};
CF_TEST_MAIN(tests)
