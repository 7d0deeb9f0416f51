#include "cf_test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of this rank alone. */
static char base[1024];

/* base/name; `which` of 4 texts. */
static const char *in_base(int which, const char *name)
{
    static char paths[4][2048];

    snprintf(paths[which], sizeof paths[which], "%s/%s", base, name);
    return paths[which];
}

static int make_base(void **state)
{
    char name[64];

    (void)state;
    snprintf(name, sizeof name, "folder.%d", world.rank);
    snprintf(base, sizeof base, "%s", cf_test_scratch(name));
    return mkdir(base, 0777) == 0 || errno == EEXIST ? 0 : -1;
}

/* Everything that a test made is gone: rmdir() refuses a folder that something is in. */
static int remove_base(void **state)
{
    (void)state;
    return rmdir(base);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void folders_above_a_file_are_made_and_stay_with_it(void **state)
{
    static const char *const names[] = {"a/b/c/x", "a//b/./c/x", "a/b/../b/c/x"};

    (void)state;
    for (int k = 0; k < 3; k++) {
        const char *path = in_base(0, names[k]);

        assert_ok(cf_file_replace(path, "text", 4));
        assert_true(is_there(in_base(1, "a/b/c/x")));
        assert_ok(cf_file_replace(path, "more", 4)); /* they are there now */
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(in_base(1, "a/b/c")), 0);
        assert_int_equal(rmdir(in_base(1, "a/b")), 0);
        assert_int_equal(rmdir(in_base(1, "a")), 0);
    }
}

static void a_file_that_is_given_up_leaves_no_folder(void **state)
{
    const char *path = in_base(0, "mine/a/b/x"), *mine = in_base(1, "mine");
    cf_output output;

    (void)state;
    assert_int_equal(mkdir(mine, 0777), 0);
    assert_ok(cf_output_open(&output, path));
    assert_true(is_there(in_base(2, "mine/a/b")));
    cf_output_close(&output);
    assert_false(is_there(in_base(2, "mine/a")));
    assert_true(is_there(mine)); /* it was there before */

    assert_ok(cf_output_open(&output, path)); /* something else came into one of them */
    assert_ok(cf_file_replace(in_base(2, "mine/a/y"), "text", 4));
    cf_output_close(&output);
    assert_false(is_there(in_base(3, "mine/a/b")));
    assert_int_equal(unlink(in_base(2, "mine/a/y")), 0);
    assert_int_equal(rmdir(in_base(3, "mine/a")), 0);
    assert_int_equal(rmdir(mine), 0);
}

static void only_what_was_made_is_removed(void **state)
{
    cf_folders folders = {0}, none = {0};
    const char *there = in_base(0, "there");

    (void)state;
    assert_int_equal(mkdir(there, 0777), 0);
    assert_ok(cf_folder_make(in_base(1, "new/../there/in/"), &folders));
    assert_true(is_there(in_base(2, "there/in")) && is_there(in_base(3, "new")));
    assert_ok(cf_folder_make(in_base(1, "there/in"), &none));
    cf_folders_leave(&none);
    assert_true(is_there(in_base(2, "there/in")));
    cf_folders_leave(&folders);
    assert_false(is_there(in_base(2, "there/in")) || is_there(in_base(3, "new")));
    assert_true(is_there(there));
    cf_folders_leave(&folders); /* of none: nothing happens */
    assert_int_equal(rmdir(there), 0);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    const char *file = in_base(0, "file"), *link = in_base(1, "link");
    cf_folders folders = {0};

    (void)state;
    assert_ok(cf_file_replace(file, "text", 4));
    assert_int_equal(symlink("nowhere", link), 0);
    assert_refused(cf_folder_make(file, &folders), CF_ERR_IO, "file: is not a folder");
    assert_refused(cf_folder_make(in_base(2, "file/a/b"), &folders), CF_ERR_IO,
                   "file/a: cannot make the folder: Not a directory");
    assert_refused(cf_folder_make(link, &folders), CF_ERR_IO,
                   "link: cannot make the folder: No such file");
    assert_refused(cf_folder_make("/proc/nowhere/a", &folders), CF_ERR_IO,
                   "/proc/nowhere: cannot make the folder: No such file or directory");
    assert_refused(cf_folder_make("", &folders), CF_ERR_IO, "cannot make the folder");
    assert_refused(cf_file_replace("/proc/nowhere/a/x", "text", 4), CF_ERR_IO,
                   "/proc/nowhere: cannot make the folder: No such file or directory");
    assert_null(folders.path);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(unlink(file), 0);
}

static void no_memory_leaves_no_folder(void **state)
{
    const char *path = in_base(0, "a/b/x");
    cf_status status;
    int n = 0;

    (void)state;
    do {
        assert_false(is_there(in_base(1, "a")));
        cf_alloc_fail_at(++n);
        status = cf_file_replace(path, "text", 4);
    } while (status == CF_ERR_MEMORY);
    cf_alloc_fail_at(0);
    assert_int_equal(status, CF_OK);
    assert_true(n > 6);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(in_base(1, "a/b")), 0);
    assert_int_equal(rmdir(in_base(1, "a")), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_base, remove_base)

static const struct CMUnitTest tests[] = {
    TEST(folders_above_a_file_are_made_and_stay_with_it),
    TEST(a_file_that_is_given_up_leaves_no_folder),
    TEST(only_what_was_made_is_removed),
    TEST(a_folder_that_cannot_be_made_is_named),
    TEST(no_memory_leaves_no_folder),
};
CF_TEST_MAIN(tests)
