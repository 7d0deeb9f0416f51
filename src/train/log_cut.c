/* The log of a run that is resumed: what came after the state of latest.h5 comes again, so it is
 * cut, and no epoch is in the log twice.
 *
 * Kept are the lines of epochs up to the state's, and what each call of the program says of itself:
 * start, profile, end. The test and the spectrum at the end of a run are of a state after any
 * checkpoint. A line that a kill tore is no event, and is left out. The file is replaced as a
 * whole. tests/train/kill.c compares logs of killed runs with those of whole ones. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Is the event part of a run that has done `epochs` epochs? */
static bool is_kept(const json_t *event, int64_t epochs)
{
    const char *name = json_string_value(json_object_get(event, "event"));
    const json_t *epoch = json_object_get(event, "epoch");

    if (name == NULL || strcmp(name, "test") == 0) return false;
    if (strcmp(name, "start") == 0 || strcmp(name, "profile") == 0 || strcmp(name, "end") == 0)
        return true;
    if (strcmp(name, "solve") == 0) return epochs >= 1;
    if (strcmp(name, "spectrum") == 0 && json_is_true(json_object_get(event, "best"))) return false;
    return json_integer_value(epoch) <= epochs;
}

static cf_status copy_line(const char *line, size_t length, int64_t epochs, cf_output *to)
{
    json_t *event = NULL;
    cf_status status;

    if (line[length - 1] != '\n') return CF_OK;
    CF_TRY(cf_train_json_parse(line, length, &event));
    if (event != NULL && is_kept(event, epochs)) (void)fwrite(line, 1, length, to->file);
done:
    json_decref(event);
    return status;
}

static cf_status copy_lines(FILE *from, const char *path, int64_t epochs, cf_output *to)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    cf_status status = CF_OK;

    errno = 0;
    while ((length = getline(&line, &capacity, from)) > 0)
        CF_TRY(copy_line(line, (size_t)length, epochs, to));
    CF_REQUIRE(feof(from) && !ferror(from), errno == ENOMEM ? CF_ERR_MEMORY : CF_ERR_IO,
               "%s: cannot read (%s)", path, strerror(errno));
done:
    free(line);
    return status;
}

cf_status log_cut(const char *path, int64_t epochs)
{
    cf_output to = {0};
    char *target = NULL;
    FILE *from = NULL;
    cf_status status;

    CF_TRY(cf_file_target(path, &target));
    if (target == NULL) goto done; /* a device keeps nothing */
    from = fopen(target, "r");
    if (from == NULL && errno == ENOENT) goto done;
    CF_REQUIRE(from != NULL, CF_ERR_IO, "%s: cannot read (%s)", path, strerror(errno));
    CF_TRY(cf_output_open(&to, target));
    CF_TRY(copy_lines(from, path, epochs, &to));
    CF_TRY(cf_output_commit(&to));
done:
    if (from != NULL) fclose(from);
    cf_output_close(&to);
    cf_free(&target);
    return status;
}
