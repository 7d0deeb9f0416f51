/* The dataset of selftest: USERS x ITEMS, about 16 interactions a user, vectors of WIDTH floats.
 *
 * An interaction is there if a random number says so; users like one of TASTES kinds of items four
 * times as much as the others, and have item 7 u in train, so that each has one. Vectors are
 * multiples of 2^-24: nothing here is rounded, so that the dataset has the same bytes on all
 * machines. Rank 0 makes all of it. */
#include "selftest.h"

#include "cf/dataset.h"

#include <stdio.h>

enum { USERS = 640, ITEMS = 512, WIDTH = 96, TASTES = 8, NAME_BYTES = 8 };

static const cf_random key = {2020, CF_STREAM_SELFTEST};

/* Bits of the pair; `what` tells draws of a pair apart. */
static uint64_t draw(int64_t a, int64_t b, uint64_t what)
{
    return cf_random_bits(key, (uint64_t)a, (uint64_t)b, what) >> 32;
}

/* Which part the pair is in: 0 train, 1 valid, 2 test; -1: none. */
static int part_of(int64_t user, int64_t item)
{
    const uint64_t odds = user % TASTES == item % TASTES ? 4 : 1;
    const uint64_t part = draw(user, item, 1) % 8;

    if (item == user * 7 % ITEMS) return 0;
    if (draw(user, item, 0) % 44 >= odds) return -1;
    return part < 2 ? 1 + (int)part : 0;
}

static cf_status make_lists(int part, cf_lists *out)
{
    int64_t n = 0;
    cf_status status;

    out->count = USERS;
    CF_TRY(CF_ALLOC(out->start, USERS + 1));
    CF_TRY(CF_ALLOC(out->index, (int64_t)USERS * ITEMS));
    for (int64_t user = 0; user < USERS; user++) {
        for (int64_t item = 0; item < ITEMS; item++)
            if (part_of(user, item) == part) out->index[n++] = item;
        out->start[user + 1] = n;
    }
done:
    return status;
}

/* "u0", "u1", ... */
static cf_status make_names(char letter, int64_t count, cf_strings *out)
{
    cf_status status;

    out->count = count;
    CF_TRY(CF_ALLOC(out->start, count + 1));
    CF_TRY(CF_ALLOC(out->bytes, count * NAME_BYTES));
    for (int64_t k = 0; k < count; k++)
        out->start[k + 1] =
            out->start[k] + 1 +
            snprintf(out->bytes + out->start[k], NAME_BYTES, "%c%lld", letter, (long long)k);
done:
    return status;
}

/* The taste of an item, and noise; later dimensions vary more. */
static cf_status read_vectors(void *context, int64_t first, int64_t count, void *rows,
                              uint8_t *present)
{
    float *row = rows;

    (void)context;
    for (int64_t item = first; item < first + count; item++) {
        present[item - first] = 1;
        for (int64_t k = 0; k < WIDTH; k++) {
            const int64_t taste = (int64_t)(draw(item % TASTES, k, 2) >> 8),
                          noise = (int64_t)(draw(item, k, 3) >> 8);

            *row++ = (float)(taste + noise / 2 - (12 << 20)) * 0x1p-24f * (float)(1 + k % 5);
        }
    }
    return CF_OK;
}

/* Rank 0 alone. What was made is in `out` also after an error. */
static cf_status make_content(cf_dataset_content *out)
{
    cf_status status;

    *out = (cf_dataset_content){.embedding_dim = WIDTH,
                                .embedding_type = CF_F32,
                                .read_vectors = read_vectors,
                                .source = "selftest",
                                .filters = "",
                                .split = "",
                                .embedding_model = ""};
    CF_TRY(make_names('u', USERS, &out->user_ids));
    CF_TRY(make_names('i', ITEMS, &out->item_ids));
    CF_TRY(make_lists(0, &out->train));
    CF_TRY(make_lists(1, &out->valid));
    CF_TRY(make_lists(2, &out->test));
done:
    return status;
}

static void destroy_content(cf_dataset_content *content)
{
    cf_lists *const lists[] = {&content->train, &content->valid, &content->test};

    for (int k = 0; k < 3; k++) {
        cf_free(&lists[k]->start);
        cf_free(&lists[k]->index);
    }
    cf_dataset_destroy_strings(&content->user_ids);
    cf_dataset_destroy_strings(&content->item_ids);
}

cf_status selftest_write_data(const cf_par *world, const char *path)
{
    cf_dataset_content content = {0};
    cf_status status = world->rank == 0 ? make_content(&content) : CF_OK;

    CF_TRY(cf_par_agree(world, status));
    CF_TRY(cf_dataset_write(world, path, world->rank == 0 ? &content : NULL));
done:
    destroy_content(&content);
    return status;
}
