#include "cf_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
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

static int n_until_rename_fails; /* 0: never */
static bool has_links = true;

int rename(const char *from, const char *to)
{
    if (n_until_rename_fails == 0 || --n_until_rename_fails > 0)
        return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    errno = EIO;
    return -1;
}

int link(const char *from, const char *to)
{
    if (has_links) return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    errno = EPERM; /* as FAT */
    return -1;
}

/* ---- A folder of this rank alone ------------------------------------------------------------ */

static char folder[1024];

/* folder/name; `which` of 4 texts. */
static const char *in_folder(int which, const char *name)
{
    static char paths[4][2048];

    snprintf(paths[which], sizeof paths[which], "%s/%s", folder, name);
    return paths[which];
}

/* Remove all files of the folder. */
static void empty_folder(void)
{
    DIR *list = opendir(folder);

    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;)
        if (entry->d_name[0] != '.') (void)remove(in_folder(3, entry->d_name));
    closedir(list);
}

static int make_folder(void **state)
{
    char name[64];

    (void)state;
    snprintf(name, sizeof name, "file.%d", world.rank);
    snprintf(folder, sizeof folder, "%s", cf_test_scratch(name));
    (void)mkdir(folder, 0777);
    empty_folder();
    return 0;
}

static int n_files(void)
{
    DIR *list = opendir(folder);
    int n = 0;

    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(list);
    return n;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_content(const char *path, const char *content)
{
    char text[64] = "";
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof text - 1, file), strlen(content));
    fclose(file);
    assert_string_equal(text, content);
}

static bool is_link(const char *path)
{
    struct stat file;

    return lstat(path, &file) == 0 && S_ISLNK(file.st_mode);
}

/* ---- Complete or absent --------------------------------------------------------------------- */

static void outputs_are_complete_or_absent(void **state)
{
    const char *path = in_folder(0, "x");
    cf_output output;

    (void)state;
    assert_int_equal(cf_output_open(&output, path), CF_OK);
    fputs("text\n", output.file);
    assert_int_equal(cf_output_check(&output), CF_OK);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(n_files(), 1);
    assert_int_equal(cf_output_commit(&output), CF_OK);
    assert_content(path, "text\n");
    assert_int_equal(n_files(), 1);
    cf_output_close(&output); /* of a committed one: nothing happens */
    assert_content(path, "text\n");

    assert_int_equal(cf_output_open(&output, path), CF_OK);
    fputs("other\n", output.file);
    cf_output_close(&output);
    assert_content(path, "text\n");
    assert_int_equal(n_files(), 1);
}

static void files_are_replaced_as_a_whole(void **state)
{
    const char *path = in_folder(0, "x");
    const mode_t mask = umask(027);
    struct stat file;

    (void)state;
    assert_int_equal(cf_file_replace(path, "long text", 9), CF_OK);
    assert_content(path, "long text");
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0640);
    umask(mask);
    assert_int_equal(cf_file_replace(path, "short", 5), CF_OK);
    assert_content(path, "short");
    assert_int_equal(cf_file_replace(path, "", 0), CF_OK);
    assert_content(path, "");
    assert_int_equal(n_files(), 1);
}

static void what_cannot_be_written_is_an_error(void **state)
{
    const char *path = in_folder(0, "x");
    cf_output output;

    (void)state;
    assert_int_equal(cf_output_open(&output, "/proc/nowhere/x"), CF_ERR_IO);
    assert_string_equal(cf_error_message(),
                        "/proc/nowhere: cannot make the folder: No such file or directory");
    cf_output_close(&output);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(cf_file_replace(path, "text", 4), CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "cannot create (Is a directory)"));
    assert_int_equal(rmdir(path), 0);
    for (int n = 1; n <= 6; n++) {
        cf_alloc_fail_at(n);
        assert_int_equal(cf_file_replace(path, "text", 4), CF_ERR_MEMORY);
        assert_int_equal(n_files(), 0);
    }
}

/* The folder may go, or a folder be put in the way, while a file is being made. */
static void a_file_that_cannot_get_its_name_leaves_nothing(void **state)
{
    const char *path = in_folder(0, "x");
    cf_new_file file;

    (void)state;
    assert_int_equal(cf_file_create(path, &file), CF_OK);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(cf_file_publish(&file), CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "x: cannot write (Is a directory)"));
    assert_null(file.path);
    assert_int_equal(n_files(), 1);
    cf_file_discard(&file);
}

/* Three outputs, at the paths x, y and z, in the folder. */
static void open_three(cf_output outputs[3])
{
    static const char *const names[3] = {"x", "y", "z"};

    for (int k = 0; k < 3; k++) {
        assert_int_equal(cf_output_open(&outputs[k], in_folder(0, names[k])), CF_OK);
        fprintf(outputs[k].file, "new %d", k);
    }
}

/* x and z are there before. */
static void several_outputs_are_published_all_or_none(void **state)
{
    const char *x = in_folder(1, "x"), *z = in_folder(2, "z");
    cf_output outputs[3], *const all[3] = {&outputs[0], &outputs[1], &outputs[2]};

    (void)state;
    for (int with = 1; with >= 0; with--) {
        has_links = with == 1;
        write_text(x, "old x");
        write_text(z, "old z");
        /* each rename in turn: to x, y, z; without links first of the old x and z */
        for (int n = 1; n <= (has_links ? 3 : 5); n++) {
            open_three(outputs);
            n_until_rename_fails = n;
            assert_int_equal(cf_output_commit_all(all, 3), CF_ERR_IO);
            assert_non_null(strstr(cf_error_message(), ": cannot write (Input/output error)"));
            assert_int_equal(n_until_rename_fails, 0);
            assert_content(x, "old x");
            assert_content(z, "old z");
            assert_int_equal(n_files(), 2);
        }
        open_three(outputs); /* a folder in the way of the second */
        assert_int_equal(mkdir(in_folder(3, "y"), 0777), 0);
        assert_int_equal(cf_output_commit_all(all, 3), CF_ERR_IO);
        assert_non_null(strstr(cf_error_message(), "y: cannot write (File exists)"));
        assert_int_equal(rmdir(in_folder(3, "y")), 0);
        assert_content(x, "old x");
        assert_int_equal(n_files(), 2);

        open_three(outputs);
        assert_int_equal(cf_output_commit_all(all, 3), CF_OK);
        assert_content(x, "new 0");
        assert_content(in_folder(3, "y"), "new 1");
        assert_content(z, "new 2");
        assert_int_equal(n_files(), 3);
        empty_folder();
    }
    has_links = true;
}

/* ---- Temporary files ------------------------------------------------------------------------ */

static void two_outputs_of_one_name_are_both_complete(void **state)
{
    const char *path = in_folder(0, "x");
    cf_output one, other;

    (void)state;
    assert_int_equal(cf_output_open(&one, path), CF_OK);
    assert_int_equal(cf_output_open(&other, path), CF_OK);
    assert_int_equal(n_files(), 2);
    fputs("one", one.file);
    fputs("other", other.file);
    assert_int_equal(cf_output_commit(&other), CF_OK);
    assert_content(path, "other");
    assert_int_equal(cf_output_commit(&one), CF_OK);
    assert_content(path, "one");
    assert_int_equal(n_files(), 1);
}

/* Names as other processes have them: NAME.HOST.PID.N.tmp. */
static void left_over_files_are_removed_unless_they_are_in_use(void **state)
{
    char host[65] = "", name[128];
    const char *killed, *in_use, *of_another = in_folder(2, "x.another.1.2.tmp");
    int fd;

    (void)state;
    (void)gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "x.%s.1.1.tmp", host);
    killed = in_folder(0, name);
    snprintf(name, sizeof name, "x.%s.2.1.tmp", host);
    in_use = in_folder(1, name);
    write_text(killed, "part");
    write_text(in_use, "part");
    write_text(of_another, "part");
    fd = open(in_use, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);

    has_locks = false;
    assert_int_equal(cf_file_replace(in_folder(3, "x"), "text", 4), CF_OK);
    assert_int_equal(n_files(), 4); /* nobody can say which are in use */
    has_locks = true;
    assert_int_equal(cf_file_replace(in_folder(3, "x"), "text", 4), CF_OK);
    assert_int_equal(access(killed, F_OK), -1);
    assert_content(in_use, "part");
    assert_content(of_another, "part");
    assert_int_equal(n_files(), 3);
    close(fd);
}

/* PATH.tmp is no name of ours: whatever it is, it stays. */
static void a_link_at_a_temporary_name_is_not_followed(void **state)
{
    const char *path = in_folder(0, "x"), *victim = in_folder(1, "victim");
    const char *trap = in_folder(2, "x.tmp");
    char *dot, *name = NULL;
    cf_new_file file;
    long n;

    (void)state;
    write_text(victim, "precious");
    assert_int_equal(symlink("victim", trap), 0);
    /* the next name that this process takes, too */
    assert_int_equal(cf_file_create(path, &file), CF_OK);
    dot = strrchr(file.temporary, '.');
    while (*--dot != '.')
        continue;
    n = strtol(dot + 1, NULL, 10);
    assert_int_equal(cf_text_format(&name, "%.*s%ld.tmp", (int)(dot + 1 - file.temporary),
                                    file.temporary, n + 1),
                     CF_OK);
    assert_int_equal(symlink("victim", name), 0);

    assert_int_equal(cf_file_replace(path, "text", 4), CF_OK);
    assert_content(path, "text");
    assert_false(is_link(path));
    assert_content(victim, "precious");
    assert_true(is_link(trap) && is_link(name));
    cf_file_discard(&file);
    cf_free(&name);
}

static void names_may_be_as_long_as_the_file_system_takes(void **state)
{
    char name[NAME_MAX + 1], path[PATH_MAX] = "", *end;
    char here[PATH_MAX];

    (void)state;
    for (int length = 200; length <= NAME_MAX; length += length < 245 ? 15 : 1) {
        memset(name, 'n', (size_t)length);
        name[length] = '\0';
        assert_int_equal(cf_file_replace(in_folder(0, name), "text", 4), CF_OK);
        assert_content(in_folder(0, name), "text");
        assert_int_equal(n_files(), 1);
        assert_int_equal(unlink(in_folder(0, name)), 0);
    }
    /* a path of PATH_MAX - 1 bytes: folder/d/d/.../nnn */
    assert_non_null(getcwd(here, sizeof here));
    snprintf(path, sizeof path, "%s", folder);
    for (end = path + strlen(path); end - path + 200 < PATH_MAX - 1; end += 100) {
        memset(end, 'd', 100);
        end[0] = '/';
        end[100] = '\0';
        assert_true(mkdir(path, 0777) == 0 || errno == EEXIST);
    }
    *end++ = '/';
    memset(end, 'n', (size_t)(path + PATH_MAX - 1 - end));
    path[PATH_MAX - 1] = '\0';
    assert_int_equal(cf_file_replace(path, "text", 4), CF_OK);
    assert_content(path, "text");
    assert_int_equal(unlink(path), 0);
    for (end--; end - path > (long)strlen(folder); end -= 100) {
        *end = '\0';
        assert_int_equal(rmdir(path), 0);
    }
}

/* ---- What is there -------------------------------------------------------------------------- */

static void links_are_followed(void **state)
{
    const char *path = in_folder(0, "x"), *one = in_folder(1, "one"), *two = in_folder(2, "two");
    char *target = NULL;

    (void)state;
    write_text(path, "old");
    assert_int_equal(symlink("x", one), 0); /* one after the folder, one absolute */
    assert_int_equal(symlink(one, two), 0);
    for (int round = 0; round < 2; round++) { /* to a file, and to nothing */
        assert_int_equal(cf_file_target(two, &target), CF_OK);
        assert_string_equal(target, path);
        cf_free(&target);
        assert_int_equal(cf_file_replace(two, "new", 3), CF_OK);
        assert_content(path, "new");
        assert_true(is_link(one) && is_link(two) && !is_link(path));
        assert_int_equal(n_files(), 3);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(symlink("two", path), 0); /* a circle */
    assert_int_equal(cf_file_replace(two, "new", 3), CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "two: cannot create (Too many levels"));
}

static void text_goes_straight_into_what_is_no_file(void **state)
{
    const char *fifo = in_folder(0, "fifo"), *one = in_folder(1, "link");
    char text[64] = "";
    struct stat file;
    cf_new_file new = {0};
    int fd;

    (void)state;
    assert_int_equal(mkfifo(fifo, 0666), 0);
    assert_int_equal(symlink("fifo", one), 0);
    fd = open(fifo, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(cf_file_replace(one, "text", 4), CF_OK);
    assert_int_equal(cf_file_replace(fifo, " and more", 9), CF_OK);
    assert_int_equal(read(fd, text, sizeof text), 13);
    assert_string_equal(text, "text and more");
    close(fd);

    assert_int_equal(cf_file_create(one, &new), CF_ERR_IO);
    assert_non_null(
        strstr(cf_error_message(), "link: is no regular file; only text can be written to it"));
    assert_null(new.path);
    assert_int_equal(stat(fifo, &file), 0);
    assert_true(S_ISFIFO(file.st_mode) && is_link(one));
    assert_int_equal(n_files(), 2);
}

/* As /dev/stdout and /dev/fd/N are: a link in /proc, which leads to a file here. */
static void an_open_file_is_written_to(void **state)
{
    char name[64];
    const int fd = open(in_folder(0, "x"), O_WRONLY | O_CREAT, 0666), kept = dup(STDOUT_FILENO);

    (void)state;
    assert_true(fd >= 0 && kept >= 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    assert_int_equal(write(fd, "head ", 5), 5);
    assert_int_equal(cf_file_replace(name, "text", 4), CF_OK);
    assert_content(in_folder(0, "x"), "head text");
    assert_int_equal(ftruncate(fd, 0), 0);

    fflush(stdout);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_true(dup2(fd, STDOUT_FILENO) >= 0);
    assert_int_equal(cf_file_replace("-", "text", 4), CF_OK);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    assert_content(in_folder(0, "x"), "text");
    assert_int_equal(n_files(), 1);
    close(fd);
    close(kept);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(outputs_are_complete_or_absent, make_folder),
    cmocka_unit_test_setup(files_are_replaced_as_a_whole, make_folder),
    cmocka_unit_test_setup(what_cannot_be_written_is_an_error, make_folder),
    cmocka_unit_test_setup(a_file_that_cannot_get_its_name_leaves_nothing, make_folder),
    cmocka_unit_test_setup(several_outputs_are_published_all_or_none, make_folder),
    cmocka_unit_test_setup(two_outputs_of_one_name_are_both_complete, make_folder),
    cmocka_unit_test_setup(left_over_files_are_removed_unless_they_are_in_use, make_folder),
    cmocka_unit_test_setup(a_link_at_a_temporary_name_is_not_followed, make_folder),
    cmocka_unit_test_setup(names_may_be_as_long_as_the_file_system_takes, make_folder),
    cmocka_unit_test_setup(links_are_followed, make_folder),
    cmocka_unit_test_setup(text_goes_straight_into_what_is_no_file, make_folder),
    cmocka_unit_test_setup(an_open_file_is_written_to, make_folder),
};
CF_TEST_MAIN(tests)
