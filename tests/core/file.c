#include "cf_test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A path of this rank alone. */
static const char *scratch(void)
{
    static char path[1100];
    char name[64];

    snprintf(name, sizeof name, "file.%d", world.rank);
    snprintf(path, sizeof path, "%s", cf_test_scratch(name));
    return path;
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

static void outputs_are_complete_or_absent(void **state)
{
    const char *path = scratch();
    char temporary[1110];
    cf_output output;

    (void)state;
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    unlink(path);
    assert_int_equal(cf_output_open(&output, path), CF_OK);
    fputs("text\n", output.file);
    assert_int_equal(cf_output_check(&output), CF_OK);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(cf_output_commit(&output), CF_OK);
    assert_content(path, "text\n");
    assert_int_equal(access(temporary, F_OK), -1);
    cf_output_close(&output); /* of a committed one: nothing happens */
    assert_content(path, "text\n");

    assert_int_equal(cf_output_open(&output, path), CF_OK);
    fputs("other\n", output.file);
    cf_output_close(&output);
    assert_content(path, "text\n");
    assert_int_equal(access(temporary, F_OK), -1);
}

static void files_are_replaced_as_a_whole(void **state)
{
    const char *path = scratch();

    (void)state;
    unlink(path);
    assert_int_equal(cf_file_replace(path, "long text", 9), CF_OK);
    assert_content(path, "long text");
    assert_int_equal(cf_file_replace(path, "short", 5), CF_OK);
    assert_content(path, "short");
    assert_int_equal(cf_file_replace(path, "", 0), CF_OK);
    assert_content(path, "");
}

static void what_cannot_be_written_is_an_error(void **state)
{
    const char *path = scratch();
    cf_output output;

    (void)state;
    assert_int_equal(cf_output_open(&output, "/nonexistent/x"), CF_ERR_IO);
    assert_string_equal(cf_error_message(),
                        "/nonexistent/x: cannot write (No such file or directory)");
    cf_output_close(&output);
    unlink(path);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(cf_file_replace(path, "text", 4), CF_ERR_IO);
    assert_non_null(strstr(cf_error_message(), "cannot write (Is a directory)"));
    assert_int_equal(rmdir(path), 0);
    for (int n = 1; n <= 2; n++) {
        cf_alloc_fail_at(n);
        assert_int_equal(cf_file_replace(path, "text", 4), CF_ERR_MEMORY);
        assert_int_equal(access(path, F_OK), -1);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(outputs_are_complete_or_absent),
    cmocka_unit_test(files_are_replaced_as_a_whole),
    cmocka_unit_test(what_cannot_be_written_is_an_error),
};
CF_TEST_MAIN(tests)
