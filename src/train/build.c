/* What a run runs on. Its bits are those of the program and the libraries: the same object is
 * printed by `llminit --version --json`, stands in the start event of log.jsonl, and, as text, in
 * checkpoints, so that a run that is resumed can tell that another build began it. Where its ranks
 * run changes no bit, and is logged. */
#include "run.h"

#include "cf/store.h"

#include <string.h>

json_t *cf_train_build_json(void)
{
    const cf_build build = cf_build_facts();
    const cf_blas blas = cf_par_find_blas();

    return CF_JSON_OBJECT(
        {"version", json_string(build.version)}, {"commit", json_string(build.commit)},
        {"compiler", json_string(build.compiler)}, {"flags", json_string(build.flags)},
        {"instruction_set", json_string(build.instruction_set)},
        {"march", json_string(build.march)}, {"libc", json_string(cf_build_libc())},
        {"mpi", json_string(cf_par_mpi_library())}, {"hdf5", json_string(cf_store_library())},
        {"blas", json_string(blas.name)}, {"blas_kernel", json_string(blas.kernels)});
}

/* Rank 0's: an attribute has one value, and kernels follow the processor. */
cf_status build_text(const cf_par *world, char **out)
{
    json_t *build = world->rank == 0 ? cf_train_build_json() : NULL;
    char *mine = build != NULL ? json_dumps(build, 0) : NULL, *text = NULL;
    int64_t size = mine != NULL ? (int64_t)strlen(mine) + 1 : 0;
    cf_status status = CF_OK;

    json_decref(build);
    if (world->rank == 0 && mine == NULL)
        status = CF_FAIL(CF_ERR_MEMORY, "out of memory for what the build is");
    CF_TRY(cf_par_agree(world, status));
    cf_par_broadcast(world, &size, sizeof size, 0);
    CF_TRY(cf_par_agree(world, CF_ALLOC(text, size)));
    if (world->rank == 0) memcpy(text, mine, (size_t)size);
    cf_par_broadcast(world, text, size, 0);
    *out = text;
    text = NULL;
done:
    cf_free(&mine); /* jansson's memory is the program's (json.c) */
    cf_free(&text);
    return status;
}

/* The names of what differs, ", " between them. A name that the old text lacks differs. */
static void list_differences(json_t *now, const json_t *old, char *out, size_t size)
{
    const char *name;
    json_t *value;
    size_t used = 0;

    out[0] = '\0';
    json_object_foreach(now, name, value)
    {
        if (json_equal(value, json_object_get(old, name)) || used >= size) continue;
        used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", name);
    }
}

/* On rank 0. */
static cf_status compare(const char *path, const char *old_text, const char *text)
{
    json_t *now = NULL, *old = NULL;
    char names[256];
    cf_status status;

    CF_TRY(cf_train_json_parse(text, strlen(text), &now));
    CF_TRY(cf_train_json_parse(old_text, strlen(old_text), &old));
    list_differences(now, old, names, sizeof names);
    if (names[0] != '\0')
        cf_warn("%s was written by another build, which differs in %s: the bits of the run may be "
                "those of neither",
                path, names);
done:
    json_decref(now);
    json_decref(old);
    return status;
}

cf_status build_warn(const cf_par *world, const cf_ckpt_file *file, const char *text)
{
    if (file->build == NULL) return CF_OK;
    return cf_par_agree(world, world->rank == 0 ? compare(file->path, file->build, text) : CF_OK);
}

cf_status run_find_machine(run *r)
{
    cf_binding_fault fault;
    cf_status status = cf_par_find_bindings(r->world, &r->bindings, &fault);

    if (status != CF_OK) return status;
    cf_par_log_libraries();
    if (r->world->rank == 0) cf_par_log_bindings(r->bindings, r->world->size, &fault);
    cf_par_warn_pages();
    return CF_OK;
}
