#include "cf_test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_locks = true;

/* In place of the C library's. */
int flock(int fd, int operation)
{
    if (has_locks) return (int)syscall(SYS_flock, fd, operation);
    errno = ENOLCK; /* as NFS without its lock daemon */
    return -1;
}

/* A path of this rank alone, without a file. */
static const char *fresh(void)
{
    static char path[1100];
    char name[64];

    snprintf(name, sizeof name, "lock.%d", world.rank);
    snprintf(path, sizeof path, "%s", cf_test_scratch(name));
    (void)unlink(path);
    return path;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_held(const char *path, const char *words)
{
    cf_lock other = {0};

    assert_int_equal(cf_lock_take(path, "folder: another is at work in it", &other), CF_ERR_USAGE);
    assert_non_null(strstr(cf_error_message(), "folder: another is at work in it"));
    if (strstr(cf_error_message(), words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, cf_error_message());
    assert_null(other.path);
    assert_int_equal(access(path, F_OK), 0);
}

static void one_holds_it_at_a_time(void **state)
{
    (void)state;
    for (int with = 1; with >= 0; with--) {
        const char *path = fresh();
        char words[128], host[65] = "";
        cf_lock lock = {0};

        has_locks = with == 1;
        (void)gethostname(host, sizeof host - 1);
        snprintf(words, sizeof words, ": process %d on %s (if not, remove ", (int)getpid(), host);
        for (int round = 0; round < 2; round++) {
            assert_int_equal(cf_lock_take(path, "", &lock), CF_OK);
            assert_held(path, words);
            assert_held(path, words);
            cf_lock_release(&lock);
            assert_int_equal(access(path, F_OK), -1);
            cf_lock_release(&lock); /* nothing happens */
        }
    }
    has_locks = true;
}

/* No process has such a number. */
static void what_a_killed_process_left_is_taken_over(void **state)
{
    const char *path = fresh();
    char host[65] = "", text[128];
    cf_lock lock = {0};

    (void)state;
    (void)gethostname(host, sizeof host - 1);
    snprintf(text, sizeof text, "%s 2147483646\n", host);
    for (int with = 0; with <= 1; with++) {
        has_locks = with == 1;
        write_text(path, text);
        assert_int_equal(cf_lock_take(path, "", &lock), CF_OK);
        cf_lock_release(&lock);
    }
    has_locks = false; /* of another host, or unknown: nobody can say */
    write_text(path, "another.host 2147483646\n");
    assert_held(path, ": process 2147483646 on another.host (if not, remove ");
    write_text(path, "");
    assert_held(path, "another is at work in it (if not, remove ");
    has_locks = true; /* flock() can say */
    write_text(path, "another.host 2147483646\n");
    assert_int_equal(cf_lock_take(path, "", &lock), CF_OK);
    cf_lock_release(&lock);
}

static void what_cannot_be_made_is_an_error(void **state)
{
    cf_lock lock = {0};

    (void)state;
    assert_int_equal(cf_lock_take("/nonexistent/lock", "", &lock), CF_ERR_IO);
    assert_string_equal(cf_error_message(),
                        "/nonexistent/lock: cannot write (No such file or directory)");
    cf_alloc_fail_at(1);
    assert_int_equal(cf_lock_take(fresh(), "", &lock), CF_ERR_MEMORY);
    assert_null(lock.path);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_holds_it_at_a_time),
    cmocka_unit_test(what_a_killed_process_left_is_taken_over),
    cmocka_unit_test(what_cannot_be_made_is_an_error),
};
CF_TEST_MAIN(tests)
