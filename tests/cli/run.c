/* The whole program on a small problem: prepare, select, train, evaluate, export, recommend. */
#include "problem.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>

/* ---- Commands ------------------------------------------------------------------------------- */

static void prepare_makes_a_dataset(void **state)
{
    json_t *report, *info;

    (void)state;
    make_inputs();
    report = succeed_json("llminit prepare --inter %s --item %s --embedding %s --out %s --set "
                          "split=RS --json",
                          inter, item, npy, data);
    info = succeed_json("llminit info %s --json", data);
    if (world.rank == 0) {
        const json_t *arrays = json_object_get(info, "arrays");
        const json_t *shape = json_object_get(json_object_get(arrays, "/items/embedding"), "shape");

        assert_int_equal(integer(report, "users"), USERS);
        assert_int_equal(integer(report, "items"), ITEMS);
        assert_int_equal(integer(report, "embedding_dim"), WIDTH);
        assert_true(integer(report, "valid") > 0 && integer(report, "test") > 0);
        assert_string_equal(
            json_string_value(json_object_get(json_object_get(info, "attributes"), "kind")),
            "dataset");
        assert_int_equal(integer(json_object_get(info, "attributes"), "n_train"),
                         integer(report, "train"));
        assert_int_equal(json_integer_value(json_array_get(shape, 0)), ITEMS);
        assert_int_equal(json_integer_value(json_array_get(shape, 1)), WIDTH);
    }
    json_decref(report);
    json_decref(info);
}

static void select_prints_dimensions(void **state)
{
    json_t *selection =
        succeed_json("llminit select %s --set emb_selection=var --set embedding_size=32", data);

    (void)state;
    if (world.rank == 0) {
        const json_t *dims = json_object_get(selection, "dims");

        assert_int_equal(json_array_size(dims), 32);
        assert_int_equal(json_array_size(json_object_get(selection, "variances")), 32);
        for (size_t k = 1; k < 32; k++)
            assert_true(json_integer_value(json_array_get(dims, k - 1)) <
                        json_integer_value(json_array_get(dims, k)));
    }
    json_decref(selection);
}

static void select_prints_shares_and_keeps_the_map(void **state)
{
    json_t *map = succeed_json("llminit select %s --set emb_selection=pca --set embedding_size=4 "
                               "--out %s.map.h5",
                               data, data);
    json_t *info = succeed_json("llminit info %s.map.h5 --json", data);

    (void)state;
    if (world.rank == 0) {
        const json_t *shares = json_object_get(map, "shares");
        const double first = json_real_value(json_array_get(shares, 0));

        assert_true(first > 0 && first <= 1);
        assert_int_equal(json_array_size(json_object_get(map, "variances")), 4);
        assert_non_null(json_object_get(json_object_get(info, "arrays"), "/selection/directions"));
    }
    json_decref(map);
    json_decref(info);
}

static void train_and_evaluate_agree(void **state)
{
    json_t *trained = succeed_json("llminit train --data %s --out %s --json --quiet --set epochs=3 "
                                   "--set embedding_size=32 --set train_batch_size=64 --set "
                                   "topk=5,10 --set valid_metric=MRR@10",
                                   data, run);
    json_t *both =
        succeed_json("llminit evaluate %s/best.h5 --data %s --protocol both --json", run, data);
    json_t *wide =
        succeed_json("llminit evaluate %s/best.h5 --data %s --topk 5,40 --json", run, data);
    json_t *valid =
        succeed_json("llminit evaluate %s/best.h5 --data %s --split valid --json", run, data);

    (void)state;
    if (world.rank == 0) {
        const json_t *test = json_object_get(trained, "test");

        assert_int_equal(integer(trained, "epochs"), 3);
        assert_true(json_real_value(json_object_get(test, "recall@10")) > 0);
        assert_true(json_equal(test, json_object_get(both, "test")));
        assert_non_null(json_object_get(both, "test_unmasked"));
        assert_false(
            json_equal(json_object_get(both, "test"), json_object_get(both, "test_unmasked")));
        assert_true(json_equal(json_object_get(test, "ndcg@5"),
                               json_object_get(json_object_get(wide, "test"), "ndcg@5")));
        assert_true(json_real_value(json_object_get(json_object_get(wide, "test"), "recall@40")) ==
                    1.0);
        assert_true(json_real_value(json_object_get(json_object_get(valid, "valid"), "mrr@10")) ==
                    json_real_value(json_object_get(trained, "best_value")));
    }
    json_decref(trained);
    json_decref(both);
    json_decref(wide);
    json_decref(valid);
}

/* A script can ask beforehand for what a run's folder will say of settings and dataset. */
static void a_run_is_known_by_its_settings_and_dataset(void **state)
{
    json_t *info = succeed_json("llminit info %s --json", data);
    char path[1100], *asked = NULL, saved[1 << 14] = "";
    json_t *start;
    FILE *f;

    (void)state;
    assert_int_equal(
        run_format(&asked, "llminit settings %s/settings.yaml --yaml --set epochs=3", run), CF_OK);
    if (world.rank == 0) {
        snprintf(path, sizeof path, "%s/settings.yaml", run);
        f = fopen(path, "r");
        assert_non_null(f);
        assert_true(fread(saved, 1, sizeof saved - 1, f) > 0);
        fclose(f);
        assert_string_equal(asked, saved);
        snprintf(path, sizeof path, "%s/log.jsonl", run);
        f = fopen(path, "r");
        assert_non_null(f);
        start = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
        fclose(f);
        assert_string_equal(json_string_value(json_object_get(start, "dataset")),
                            json_string_value(json_object_get(info, "digest")));
        json_decref(start);
    }
    free(asked);
    json_decref(info);
}

static void a_run_is_not_overwritten(void **state)
{
    (void)state;
    assert_int_equal(run_format(NULL, "llminit train --data %s --out %s --set epochs=3", data, run),
                     CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "resume"));
    succeed("llminit train %s/settings.yaml --data %s --out %s --resume auto --quiet", run, data,
            run);
}

/* ---- Recommendations against the exported tables ------------------------------------------- */

static double *users, *items;

static double score(int64_t user, int64_t i)
{
    double sum = 0;

    for (int k = 0; k < 32; k++)
        sum += users[user * 32 + k] * items[i * 32 + k];
    return sum;
}

static bool has(const cf_lists *lists, int64_t user, int64_t i)
{
    return cf_contains_i64(lists->index + lists->start[user],
                           lists->start[user + 1] - lists->start[user], i);
}

/* How many items that the user does not have score higher than `than`, with room for rounding. */
static int higher(const cf_shard *shard, int64_t user, double than)
{
    int count = 0;

    for (int64_t i = 0; i < ITEMS; i++)
        count += !has(&shard->train, user, i) && !has(&shard->valid, user, i) &&
                 score(user, i) > than + 1e-6;
    return count;
}

/* Every line of the text: known user and item, not one the user has, the right score, none better
 * left out. */
static int check_lines(const char *path, const cf_shard *shard, const cf_strings names[3])
{
    FILE *file = fopen(path, "r");
    char line[256], user[64], name[64], title[64];
    int rank = 0, lines = 0;
    double value = 0;

    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "user_id\trank\titem_id\tscore\ttitle\n");
    while (fgets(line, sizeof line, file)) {
        int64_t u = 0, i = 0;

        assert_int_equal(
            sscanf(line, "%63[^\t]\t%d\t%63[^\t]\t%lf\t%63[^\n]", user, &rank, name, &value, title),
            5);
        while (u < USERS && strcmp(names[0].bytes + names[0].start[u], user) != 0)
            u++;
        while (i < ITEMS && strcmp(names[1].bytes + names[1].start[i], name) != 0)
            i++;
        assert_true(u < USERS && i < ITEMS);
        assert_string_equal(names[2].bytes + names[2].start[i], title);
        assert_false(has(&shard->train, u, i) || has(&shard->valid, u, i));
        assert_close(value, score(u, i), 1e-5);
        assert_true(higher(shard, u, value) < rank);
        lines++;
    }
    fclose(file);
    return lines;
}

static void check_recommendations(void)
{
    const cf_par self = {MPI_COMM_SELF, 0, 1};
    int64_t dims[2];
    cf_dataset *dataset = NULL;
    cf_grid *grid = NULL;
    cf_shard *shard = NULL;
    cf_strings names[3] = {0};
    char path[1200];

    snprintf(path, sizeof path, "%s/users.npy", folder);
    users = cf_test_npy(path, dims);
    assert_true(dims[0] == USERS && dims[1] == 32);
    snprintf(path, sizeof path, "%s/items.npy", folder);
    items = cf_test_npy(path, dims);
    assert_true(dims[0] == ITEMS && dims[1] == 32);
    assert_int_equal(cf_dataset_open(&self, data, &dataset), CF_OK);
    assert_int_equal(cf_par_create_grid(&self, 1, 1, &grid), CF_OK);
    assert_int_equal(cf_dataset_load_shard(dataset, grid, &shard), CF_OK);
    assert_int_equal(cf_dataset_read_names(dataset, CF_USER_IDS, 0, USERS, &names[0]), CF_OK);
    assert_int_equal(cf_dataset_read_names(dataset, CF_ITEM_IDS, 0, ITEMS, &names[1]), CF_OK);
    assert_int_equal(cf_dataset_read_names(dataset, CF_ITEM_TITLES, 0, ITEMS, &names[2]), CF_OK);
    assert_int_equal(check_lines(tsv, shard, names), USERS * TOPK);
    for (int k = 0; k < 3; k++)
        cf_dataset_destroy_strings(&names[k]);
    cf_dataset_destroy_shard(&shard);
    cf_par_destroy_grid(&grid);
    cf_dataset_close(&dataset);
    free(users);
    free(items);
}

static void recommendations_are_the_best_new_items(void **state)
{
    (void)state;
    succeed("llminit export %s/best.h5 --data %s --out %s --quiet", run, data, folder);
    succeed("llminit recommend %s/best.h5 --data %s --out %s --topk %d --quiet", run, data, tsv,
            TOPK);
    if (world.rank == 0) check_recommendations();
    MPI_Barrier(world.comm);
}

static void write_list(const char *text)
{
    if (world.rank == 0) {
        FILE *file = fopen(list, "w");

        assert_non_null(file);
        fputs(text, file);
        fclose(file);
    }
    MPI_Barrier(world.comm);
}

/* The lines of `user` in the text at `path`, one after the other; free it. */
static char *lines_of(const char *path, const char *user)
{
    FILE *file = fopen(path, "r");
    char line[256], *out = calloc(1, 1 << 14);

    assert_non_null(file);
    assert_non_null(out);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, user, strlen(user)) == 0 && line[strlen(user)] == '\t') strcat(out, line);
    fclose(file);
    return out;
}

static void a_list_of_users_is_answered_in_its_order(void **state)
{
    char few[1100];

    (void)state;
    snprintf(few, sizeof few, "%s.few", tsv);
    write_list("u58\nu3\n");
    succeed("llminit recommend %s/best.h5 --data %s --out %s --users %s --topk %d --quiet", run,
            data, few, list, TOPK);
    if (world.rank == 0) {
        char *all = lines_of(tsv, "u58"), *more = lines_of(tsv, "u3"), line[256];
        char *got = lines_of(few, "u58"), *got_more = lines_of(few, "u3");
        FILE *file = fopen(few, "r");

        assert_non_null(file);
        assert_string_equal(all, got);
        assert_string_equal(more, got_more);
        assert_true(fgets(line, sizeof line, file) && fgets(line, sizeof line, file));
        assert_memory_equal(line, "u58\t", 4);
        fclose(file);
        free(all);
        free(more);
        free(got);
        free(got_more);
    }
}

static void lists_of_users_that_are_wrong_are_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"u3\n\nnobody\n", "users.txt:3: \"nobody\" is no user of "},
        {"u3\nu4\nu3\n", "users.txt:3: \"u3\" is listed twice"},
        {"", "is empty"}};

    (void)state;
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        write_list(wrong[k][0]);
        assert_int_equal(run_format(NULL,
                                    "llminit recommend %s/best.h5 --data %s --out %s.x --users %s",
                                    run, data, tsv, list),
                         CF_ERR_FORMAT);
        if (!strstr(cf_error_message(), wrong[k][1]))
            fail_msg("\"%s\" is not in \"%s\"", wrong[k][1], cf_error_message());
    }
    assert_int_equal(
        run_format(NULL, "llminit recommend %s/best.h5 --data %s --out %s/x", run, data, data),
        CF_ERR_IO);
}

/* More items than there are: as many as are new to the user. */
static void short_lists_end_early(void **state)
{
    (void)state;
    write_list("u3\n");
    succeed("llminit recommend %s/best.h5 --data %s --out %s.x --users %s --topk 100 --quiet", run,
            data, tsv, list);
    if (world.rank == 0) {
        char path[1100], *got;
        int lines = 0;

        snprintf(path, sizeof path, "%s.x", tsv);
        got = lines_of(path, "u3");
        for (const char *c = got; *c; c++)
            lines += *c == '\n';
        assert_true(lines > 0 && lines < ITEMS);
        free(got);
    }
}

/* ---- Where outputs go ----------------------------------------------------------------------- */

/* What a small file holds; free with free(). */
static char *content_of(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 16);

    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

/* The same text in a file, on stdout, in a FIFO and behind a link, which stay what they are. */
static void text_goes_where_it_is_sent(void **state)
{
    static char fifo[1100], link[1100];
    char *want = NULL, *text = NULL;
    struct stat about;
    int fd = -1;

    (void)state;
    snprintf(fifo, sizeof fifo, "%s.fifo", tsv);
    snprintf(link, sizeof link, "%s.link", tsv);
    succeed("llminit recommend %s/best.h5 --data %s --out %s --topk 3", run, data, tsv);
    assert_int_equal(
        run_format(&text, "llminit recommend %s/best.h5 --data %s --out - --topk 3", run, data),
        CF_OK);
    if (world.rank == 0) {
        want = content_of(tsv);
        assert_string_equal(text, want);
        unlink(fifo);
        unlink(link);
        assert_int_equal(mkfifo(fifo, 0666), 0);
        assert_int_equal(symlink("a.tsv", link), 0);
        fd = open(fifo, O_RDONLY | O_NONBLOCK); /* a pipe holds 64 KiB */
        assert_true(fd >= 0);
        unlink(tsv);
    }
    free(text);
    MPI_Barrier(world.comm);
    succeed("llminit recommend %s/best.h5 --data %s --out %s --topk 3", run, data, fifo);
    succeed("llminit recommend %s/best.h5 --data %s --out %s --topk 3", run, data, link);
    assert_int_equal(
        run_format(NULL,
                   "llminit select %s --set emb_selection=var --set embedding_size=32 --out %s",
                   data, fifo),
        CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), ".fifo: is no regular file"));
    assert_int_equal(
        run_format(NULL,
                   "llminit select %s --set emb_selection=var --set embedding_size=32 --out -",
                   data),
        CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "-: is no regular file"));
    if (world.rank == 0) {
        text = calloc(1, 1 << 16);
        assert_int_equal(read(fd, text, 1 << 16), strlen(want));
        assert_string_equal(text, want);
        free(text);
        text = content_of(tsv);
        assert_string_equal(text, want);
        free(text);
        assert_int_equal(lstat(fifo, &about), 0);
        assert_true(S_ISFIFO(about.st_mode));
        assert_int_equal(lstat(link, &about), 0);
        assert_true(S_ISLNK(about.st_mode));
        close(fd);
        free(want);
    }
}

/* Where the last of the files cannot be written, the first ones stay as they were. */
static void an_export_is_whole_or_absent(void **state)
{
    static char first[1100], last[1100];
    char *text;

    (void)state;
    if (world.rank == 0) {
        char command[2048];

        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        assert_int_equal(system(command), 0);
    }
    snprintf(first, sizeof first, "%s/users.txt", folder);
    snprintf(last, sizeof last, "%s/items.txt", folder);
    if (world.rank == 0) {
        FILE *file;

        assert_int_equal(mkdir(folder, 0777), 0);
        assert_int_equal(mkdir(last, 0777), 0);
        file = fopen(first, "w");
        assert_non_null(file);
        fputs("old", file);
        fclose(file);
    }
    MPI_Barrier(world.comm);
    assert_int_equal(
        run_format(NULL, "llminit export %s/best.h5 --data %s --out %s", run, data, folder),
        CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "items.txt: cannot create (Is a directory)"));
    if (world.rank == 0) {
        text = content_of(first);
        assert_string_equal(text, "old");
        free(text);
        assert_int_equal(unlink(first), 0);
        assert_int_equal(rmdir(last), 0);
        assert_int_equal(rmdir(folder), 0); /* nothing else is in it */
    }
}

/* Wherever memory runs out on whichever rank: all ranks say so, and there is no half file. */
static void no_memory_leaves_no_half_output(void **state)
{
    char path[1100];

    (void)state;
    snprintf(path, sizeof path, "%s.memory", tsv);
    for (int bad = 0; bad < world.size; bad++)
        for (int64_t n = 1 + bad;; n = 4 * n + 1) { /* elsewhere on each */
            cf_status status;

            if (world.rank == 0) unlink(path);
            MPI_Barrier(world.comm);
            if (world.rank == bad) cf_alloc_fail_at(n);
            status = run_format(NULL, "llminit recommend %s/best.h5 --data %s --out %s --quiet",
                                run, data, path);
            cf_alloc_fail_at(0);
            if (world.rank == 0) assert_int_equal(access(path, F_OK) == 0, status == CF_OK);
            if (status == CF_OK) break;
            assert_int_equal(status, CF_ERR_MEMORY);
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(prepare_makes_a_dataset),
    cmocka_unit_test(select_prints_dimensions),
    cmocka_unit_test(select_prints_shares_and_keeps_the_map),
    cmocka_unit_test(train_and_evaluate_agree),
    cmocka_unit_test(a_run_is_known_by_its_settings_and_dataset),
    cmocka_unit_test(a_run_is_not_overwritten),
    cmocka_unit_test(recommendations_are_the_best_new_items),
    cmocka_unit_test(a_list_of_users_is_answered_in_its_order),
    cmocka_unit_test(lists_of_users_that_are_wrong_are_refused),
    cmocka_unit_test(short_lists_end_early),
    cmocka_unit_test(text_goes_where_it_is_sent),
    cmocka_unit_test(an_export_is_whole_or_absent),
    cmocka_unit_test(no_memory_leaves_no_half_output),
};
CF_TEST_MAIN(tests)
