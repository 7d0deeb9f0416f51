/* Writes man pages and shell completion; CMakeLists.txt runs it when the program is built.
 *
 *     cf_interface llminit.bash llminit.zsh
 *
 * Into the current folder, which has man1/, go man1/llminit.1, a man1/llminit-COMMAND.1 for each
 * command, and llminit (bash) and _llminit (zsh), by the names under which the shells find them:
 * the files given, with the data added. */
#include "interface.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *path)
{
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(CF_ERR_IO);
}

/* Or it ends. */
static FILE *open_file(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);

    if (file == NULL) die(path);
    return file;
}

static void close_written(FILE *file, const char *path)
{
    const bool failed = ferror(file) != 0;

    if (fclose(file) != 0 || failed) die(path);
}

static void write_pages(void)
{
    FILE *page = open_file("man1/llminit.1", "w");

    interface_man(page);
    close_written(page, "man1/llminit.1");
    for (int k = 0; cli_commands[k] != NULL; k++) {
        char path[64];

        snprintf(path, sizeof path, "man1/llminit-%s.1", cli_commands[k]->name);
        page = open_file(path, "w");
        interface_man_command(cli_commands[k], page);
        close_written(page, path);
    }
}

/* The file `from` and, behind it, what `print` prints. */
static void write_completion(const char *from, const char *to, void (*print)(FILE *))
{
    FILE *in = open_file(from, "r"), *out = open_file(to, "w");

    for (int c = getc(in); c != EOF; c = getc(in))
        putc(c, out);
    if (ferror(in)) die(from);
    fclose(in);
    print(out);
    close_written(out, to);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: cf_interface llminit.bash llminit.zsh\n");
        return CF_ERR_USAGE;
    }
    write_pages();
    write_completion(argv[1], "llminit", interface_bash);
    write_completion(argv[2], "_llminit", interface_zsh);
    return 0;
}
