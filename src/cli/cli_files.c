/* Outputs that would replace an input, or each other.
 *
 * The options say which values are files to read and to write. Each is taken to its place: what
 * exists is known by device and inode, whatever its name; what does not exist yet, by the device
 * and inode of the nearest folder that does, and the rest of the path. Two files are one if their
 * places are. Devices and pipes have no place: nothing is replaced there. */
#include "cli.h"

#include "cf/ingest.h"

#include <string.h>
#include <sys/stat.h>

/* A file of the command line. */
typedef struct place {
    const char *option; /* its name; NULL: the operand */
    cli_kind kind;
    char *path; /* as given; of a CLI_FOLDER a file in it */
    bool known; /* has a place: */
    dev_t device;
    ino_t inode;
    char *rest; /* "" if the file exists */
} place;

typedef struct places {
    place *place;
    int64_t count, capacity;
} places;

/* ---- Places --------------------------------------------------------------------------------- */

/* Find the place of a path by cutting off what does not exist. */
static cf_status find_place(const char *path, place *out)
{
    char *target = NULL;
    struct stat file = {0};
    size_t n;
    cf_status status = cf_file_target(path, &target);

    if (status != CF_ERR_MEMORY) status = CF_OK; /* other errors are for the command to tell */
    if (target == NULL) return status;
    CF_TRY(cf_text_format(&out->rest, "%s", target));
    for (n = strlen(target); n > 0 && stat(target, &file) != 0; target[n] = '\0')
        for (n--; n > 0 && target[n] != '/';)
            n--;
    if (n == 0 && stat(out->rest[0] == '/' ? "/" : ".", &file) != 0) goto done;
    memmove(out->rest, out->rest + n, strlen(out->rest + n) + 1);
    out->known = true;
    out->device = file.st_dev;
    out->inode = file.st_ino;
done:
    cf_free(&target);
    return status;
}

/* Past slashes, and parts that are ".". */
static const char *next_part(const char *path)
{
    while (*path == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == '\0')))
        path++;
    return path;
}

static bool is_same(const place *a, const place *b)
{
    const char *x = a->rest, *y = b->rest;
    size_t length = 1;

    if (!a->known || !b->known || a->device != b->device || a->inode != b->inode) return false;
    while (length > 0) {
        x = next_part(x);
        y = next_part(y);
        length = strcspn(x, "/");
        if (length != strcspn(y, "/") || memcmp(x, y, length) != 0) return false;
        x += length;
        y += length;
    }
    return true;
}

/* ---- The files of a command line ------------------------------------------------------------ */

/* Add a file. `path` becomes the list's. */
static cf_status add(places *all, const char *option, cli_kind kind, char *path)
{
    cf_status status = CF_GROW(all->place, all->capacity, all->count + 1);

    if (status != CF_OK) {
        cf_free(&path);
        return status;
    }
    all->place[all->count] = (place){.option = option, .kind = kind, .path = path};
    return find_place(path, &all->place[all->count++]);
}

/* Add the value of an option, or the operand. An input may be an array in a file. */
static cf_status add_value(places *all, const char *option, cli_kind kind, const char *value,
                           const char *const *files)
{
    const char *array;
    char *path = NULL;
    cf_status status = CF_OK;

    if (kind == CLI_INPUT || kind == CLI_SETTINGS_FILE) {
        CF_TRY(cf_ingest_split_source(value, &path, &array));
        CF_TRY(add(all, option, kind, path));
    } else if (kind == CLI_OUTPUT) {
        CF_TRY(cf_text_format(&path, "%s", value));
        CF_TRY(add(all, option, kind, path));
    }
    for (; kind == CLI_FOLDER && *files != NULL; files++) {
        CF_TRY(cf_text_format(&path, "%s/%s", value, *files));
        CF_TRY(add(all, option, kind, path));
    }
done:
    return status;
}

static void destroy_places(places *all)
{
    for (int64_t k = 0; k < all->count; k++) {
        cf_free(&all->place[k].path);
        cf_free(&all->place[k].rest);
    }
    cf_free(&all->place);
}

/* ---- Comparison ----------------------------------------------------------------------------- */

/* Refuse an output that is another file of the command line. A run may be given its own
 * settings.yaml: it is read as a whole, and replaced by the same settings. */
static cf_status compare(const cli_command *command, const place *output, const place *other)
{
    const char *what = output->kind == CLI_FOLDER ? "a file of " : "";
    const char *name = strrchr(output->path, '/');

    if (!is_same(output, other)) return CF_OK;
    if (other->kind == CLI_OUTPUT || other->kind == CLI_FOLDER)
        return CF_FAIL(CF_ERR_USAGE, "%s: --%s and --%s are one file: %s", command->name,
                       output->option, other->option, output->path);
    if (other->kind == CLI_SETTINGS_FILE && output->kind == CLI_FOLDER &&
        strcmp(name, "/settings.yaml") == 0)
        return CF_OK;
    return CF_FAIL(CF_ERR_USAGE, "%s: %s--%s is one of the files to read: %s", command->name, what,
                   output->option, output->path);
}

/* Local. */
static cf_status check_files(const cli_arguments *arguments)
{
    const cli_command *command = arguments->command;
    const cli_option *options = command->options;
    places all = {0};
    cf_status status = CF_OK;

    if (arguments->n_positional > 0)
        CF_TRY(add_value(&all, NULL, command->operand_kind, arguments->positional[0], NULL));
    for (int k = 0; k < arguments->n_files; k++)
        CF_TRY(add_value(&all, NULL, CLI_SETTINGS_FILE, arguments->files[k], NULL));
    for (int k = 0; options[k].name != NULL; k++)
        if (arguments->value[k] != NULL)
            CF_TRY(add_value(&all, options[k].name, options[k].kind, arguments->value[k],
                             command->files));
    for (int64_t o = 0; o < all.count; o++)
        for (int64_t k = 0; k < all.count; k++)
            if (k != o && (all.place[o].kind == CLI_OUTPUT || all.place[o].kind == CLI_FOLDER))
                CF_TRY(compare(command, &all.place[o], &all.place[k]));
done:
    destroy_places(&all);
    return status;
}

/* Rank 0 looks for all: it is the one that writes. */
cf_status cli_check_files(const cf_par *world, const cli_arguments *arguments)
{
    return cf_par_agree_on_input(world, world->rank == 0 ? check_files(arguments) : CF_OK);
}
