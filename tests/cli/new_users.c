/* recommend for users who are not in the dataset: with the items of a user of the dataset they get
 * that user's list, where training has not moved the user; and the forms of their file. */
#include "lists.h"

static char new_users[1100]; /* a file of pairs */

/* Pairs of all users with their train items, the users in the order of the dataset, so that each
 * has the place of its own score: "newN" for "uN". On rank 0. */
static void write_all_users(void)
{
    FILE *file = fopen(new_users, "w");
    cf_strings names = {0};
    cf_dataset *dataset = NULL;

    assert_non_null(file);
    assert_ok(cf_dataset_open(&cf_test_self, data, &dataset));
    assert_ok(cf_dataset_read_names(dataset, CF_USER_IDS, 0, USERS, &names));
    for (int64_t k = 0; k < USERS; k++) {
        const int user = atoi(names.bytes + names.start[k] + 1);

        for (int i = ITEMS - 1; i >= 0; i--)
            if (has_item(user, i)) fprintf(file, "new%d\ti%d\n", user, i);
    }
    cf_dataset_destroy_strings(&names);
    cf_dataset_close(&dataset);
    fclose(file);
}

/* Equal but for "new" in place of "u". On rank 0. */
static void check_same_lists(const char *got, const char *want)
{
    static text_line lines[2][USERS * 10];
    const int n = read_lines_of(want, user_header, lines[0], USERS * 10);

    assert_int_equal(n, USERS * 10);
    assert_int_equal(read_lines_of(got, user_header, lines[1], USERS * 10), n);
    for (int k = 0; k < n; k++) {
        assert_int_equal(strncmp(lines[1][k].query, "new", 3), 0);
        assert_string_equal(lines[1][k].query + 3, lines[0][k].query + 1);
        assert_string_equal(lines[1][k].name, lines[0][k].name);
        assert_true(lines[1][k].score == lines[0][k].score);
    }
}

/* A learning rate of 0 leaves users at the mean of their items' rows. The closed forms know nothing
 * of a user but the items. */
static void the_items_of_a_user_give_the_list_of_that_user(void **state)
{
    static const char *const models[] = {
        "model=BPR --set embedding_size=32 --set epochs=1 --set learning_rate=0",
        "model=LightGCN --set embedding_size=32 --set epochs=1 --set learning_rate=0",
        "model=SGCL --set n_layers=3 --set embedding_size=32 --set epochs=1 --set learning_rate=0",
        "model=iALS --set embedding_size=32 --set epochs=2", /* trained, and the same all the same
                                                              */
        "model=EASE",
        "model=ItemKNN --set k=10",
        "model=Pop",
        ("model=ChebyCF --set ideal_dim=5 --set text_weight=2 --set emb_selection=pca --set "
         "embedding_size=8"),
        "model=GF-CF --set ideal_dim=5"};

    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        char *want, *got;

        train_model("--train", models[m]);
        snprintf(new_users, sizeof new_users, "%s.new", list);
        if (world.rank == 0) write_all_users();
        MPI_Barrier(world.comm);
        want = recommend("--topk 10");
        got = recommend("--topk 10 --new-users %s", new_users);
        if (world.rank == 0) check_same_lists(got, want);
        free(got);
        free(want);
    }
}

/* Training moves a user away from its items; a new user stays with them, and is another one. */
static void a_trained_user_is_another_than_a_new_one(void **state)
{
    char *want, *got;

    (void)state;
    train_model("--train", "embedding_size=32 --set epochs=5 --set learning_rate=0.02");
    if (world.rank == 0) write_all_users();
    MPI_Barrier(world.comm);
    want = recommend("--topk 10");
    got = recommend("--topk 10 --new-users %s", new_users);
    if (world.rank == 0) {
        static text_line lines[2][USERS * 10];
        int equal = 0;

        read_lines_of(want, user_header, lines[0], USERS * 10);
        read_lines_of(got, user_header, lines[1], USERS * 10);
        for (int k = 0; k < USERS * 10; k++)
            equal += lines[0][k].score == lines[1][k].score;
        assert_true(equal < USERS);
    }
    free(got);
    free(want);
}

/* ---- Files ---------------------------------------------------------------------------------- */

/* b has i3 and i9, a has i3. */
static void files_of_all_forms_are_read(void **state)
{
    static const char *const texts[] = {"b\ti9\na\ti3\nb\ti3\n",
                                        "b i3\na i3\nb i9",
                                        "b i9\r\n\r\n  a   i3  \r\nb i9\r\nb i3\r\n",
                                        ("\xef\xbb\xbf"
                                         "user_id:token\titem_id:token\nb\ti9\nb\ti3\na\ti3\n"),
                                        "rating\titem_id\tuser_id\n5\ti9\tb\n\ti3\tb\n1\ti3\ta\n",
                                        "item_id user_id\ni9 b\ni3 a\ni3 b\n"};
    char *want = NULL;

    (void)state;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        char *got;

        write_text(new_users, texts[k]);
        got = recommend("--topk 4 --new-users %s", new_users);
        if (want != NULL) assert_string_equal(got, want);
        free(want);
        want = got;
    }
    if (world.rank == 0) {
        text_line lines[8];

        assert_int_equal(read_lines_of(want, user_header, lines, 8), 8);
        for (int k = 0; k < 8; k++) {
            assert_string_equal(lines[k].query, k < 4 ? "b" : "a");
            assert_string_not_equal(lines[k].name, "i3");
            if (k < 4) assert_string_not_equal(lines[k].name, "i9");
        }
    }
    free(want);
}

/* The items of a new user, with ranks, scores and titles; the user has no id. */
static void a_user_of_the_command_line_is_one_of_a_file(void **state)
{
    static text_line lines[2][ITEMS];
    char *got[2];
    int n[2] = {0, 0};

    (void)state;
    write_text(new_users, "x\ti9\nx\ti3\n");
    got[0] = recommend("--topk 40 --history keep --new-users %s", new_users);
    got[1] = recommend("--topk 40 --history keep --given i3 --given i9 --given i3");
    for (int c = 0; c < 2 && world.rank == 0; c++)
        n[c] = read_lines_of(got[c], user_header, lines[c], ITEMS);
    if (world.rank == 0) assert_true(n[0] == ITEMS && n[1] == ITEMS);
    for (int k = 0; k < n[0]; k++) {
        assert_string_equal(lines[0][k].query, "x");
        assert_string_equal(lines[1][k].query, "given");
        assert_string_equal(lines[1][k].name, lines[0][k].name);
        assert_true(lines[1][k].score == lines[0][k].score);
    }
    free(got[0]);
    free(got[1]);
}

static void wrong_files_are_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"a\ti1\nb\n", "users.txt.new:2: 1 fields, expected 2: user and item"},
        {"a\ti1\t5\n", "users.txt.new:1: 3 fields, expected 2: user and item"},
        {"a i1 i2\n", "users.txt.new:1: 3 fields, expected 2"},
        {"user_id\titem_id\trating\na\ti1\n", "users.txt.new:2: 2 fields, expected 3"},
        {"a\t\n", "users.txt.new:1: item_id is empty"},
        {"\ti1\n", "users.txt.new:1: user_id is empty"},
        {"a\ti1\n\na\tj1\n", "users.txt.new:3: \"j1\" is no item of "},
        {"user_id\titem_id\n", "users.txt.new: has a header alone"},
        {"", "users.txt.new: is empty, expected lines of user and item"},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        write_text(new_users, cases[c].text);
        refuse(CF_ERR_FORMAT, cases[c].words, "--new-users %s", new_users);
    }
    refuse(CF_ERR_USAGE, "--given: \"j1\" is no item of ", "--given i1 --given j1");
    refuse(CF_ERR_USAGE, "--new-users and --given are not for one command",
           "--given i1 --new-users %s", new_users);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_items_of_a_user_give_the_list_of_that_user),
    cmocka_unit_test(a_trained_user_is_another_than_a_new_one),
    cmocka_unit_test(files_of_all_forms_are_read),
    cmocka_unit_test(a_user_of_the_command_line_is_one_of_a_file),
    cmocka_unit_test(wrong_files_are_refused),
};
CF_TEST_MAIN(tests)
