#include "cf_test_dataset.h"

#include "cf_test.h"

#include <stdio.h>
#include <stdlib.h>

/* Not by cf_alloc(): some tests compare the peak of it with what a module should need. */
static void *take(int64_t count, size_t size)
{
    void *block = calloc((size_t)count, size);

    assert_non_null(block);
    return block;
}

/* `count` names: a letter and a number. */
static cf_strings create_names(char letter, int64_t count)
{
    cf_strings names = {.count = count,
                        .start = take(count + 1, sizeof *names.start),
                        .bytes = take(count + 1, 24)};

    for (int64_t k = 0; k < count; k++)
        names.start[k + 1] = names.start[k] + 1 +
                             sprintf(names.bytes + names.start[k], "%c%lld", letter, (long long)k);
    return names;
}

static void destroy_names(cf_strings *names)
{
    free(names->start);
    free(names->bytes);
}

void cf_test_dataset_write(const char *path, int64_t n_items, const cf_dataset_content *content)
{
    const int64_t n_users = content->train.count;
    int64_t *none = take(n_users + 1, sizeof *none);
    const cf_lists empty = {.count = n_users, .start = none, .index = none};
    cf_dataset_content whole = *content;

    whole.user_ids = create_names('u', n_users);
    whole.item_ids = create_names('i', n_items);
    if (whole.valid.count == 0) whole.valid = empty;
    if (whole.test.count == 0) whole.test = empty;
    whole.embedding_type = CF_F32;
    whole.source = "a formula";
    whole.filters = whole.split = whole.embedding_model = "";
    if (cf_dataset_write(&world, path, world.rank == 0 ? &whole : NULL) != CF_OK)
        fail_msg("%s", cf_error_message());
    destroy_names(&whole.user_ids);
    destroy_names(&whole.item_ids);
    free(none);
}
