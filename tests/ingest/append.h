/** A small dataset, and files to append to it: for the tests of append. */
#pragma once

#include "fixture.h"

enum { DIM = 3 };

static char base[PATH_SIZE], out[PATH_SIZE], other[PATH_SIZE];

#define TRAIN "user_id\titem_id\nu1\ta\nu1\tb\nu2\tb\nu2\tc\nu3\td\nu3\ta\nu4\te\nu5\tf\n"
#define VALID "user_id\titem_id\nu1\tc\nu2\ta\n"
#define TEST "user_id\titem_id\nu1\td\nu3\tb\nu4\ta\n"
#define OLD_ITEMS "item_id\ttitle\na\tA\nb\tB\nc\tC\nd\tD\ne\tE\nf\tF\n"
/* d is known; y comes before x. */
#define NEW_ITEMS "item_id\ttitle\ny\tYps\nd\tother\nx\tXen\nz\t\n"
/* Repeats of train, valid and of a line; u1 d leaves test; q is unknown; n2's only item is q. */
#define NEW_INTER                                                                                  \
    "user_id\titem_id\nu1\tx\nn1\tx\nn1\ta\nu1\ta\nu1\tc\nn1\ta\nu1\td\nu4\tq\nn2\tq\nn3\tb\n"
#define NEW_TEST "user_id\titem_id\nn1\tz\nu1\tx\nu3\tb\nu2\td\nn4\ty\n"

static const float old_rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
static const float new_rows[] = {0.5, 1, 2, 3, 4, 5, -1, -2, -3, 9, 9, 9};

/* ---- Calls ----------------------------------------------------------------------------------- */

static inline void name_paths(void)
{
    snprintf(base, sizeof base, "%s", cf_test_scratch("base.h5"));
    snprintf(out, sizeof out, "%s", cf_test_scratch("out.h5"));
    snprintf(other, sizeof other, "%s", cf_test_scratch("other.h5"));
}

/* The dataset to append to; `type` of its vectors, NULL: it has none. */
static inline void make_base(const char *type)
{
    const bool halves = type != NULL && strcmp(type, "<f2") == 0;
    uint16_t half[18];
    cf_ingest_paths paths = {.train = put_file("train.inter", TRAIN),
                             .valid = put_file("valid.inter", VALID),
                             .test = put_file("test.inter", TEST),
                             .item = put_file("old.item", OLD_ITEMS)};
    float odd[18];

    name_paths();
    cf_store_f32_to_f16(old_rows, half, 18);
    for (int k = 0; k < 18; k++)
        odd[k] = old_rows[k] + (k == 0 ? 0x1p-20F : 0); /* no float16 */
    if (type != NULL)
        paths.embedding =
            put_npy("old.npy", 1, type, (int64_t[]){6, DIM}, halves ? (const void *)half : odd);
    paths.out = base;
    if (prepare(&paths, "", NULL) != CF_OK) fail_msg("%s", cf_error_message());
}

static inline cf_status append_with(const cf_par *ranks, const cf_ingest_append_paths *paths,
                                    const char *settings, cf_ingest_append_report *report)
{
    cf_config *config = cf_test_config(cf_ingest_append_settings, settings);
    cf_ingest_append_report unused;
    cf_ingest_options options;
    cf_status status = cf_ingest_read_append_options(config, &options);

    if (status == CF_OK)
        status = cf_ingest_append(ranks, &options, paths, report != NULL ? report : &unused);
    cf_config_destroy(&config);
    return status;
}

/* All that there is, in float32. */
static inline cf_ingest_append_paths all_files(void)
{
    return (cf_ingest_append_paths){.data = base,
                                    .item = put_file("new.item", NEW_ITEMS),
                                    .embedding =
                                        put_npy("new.npy", 1, "<f4", (int64_t[]){4, DIM}, new_rows),
                                    .inter = put_file("new.inter", NEW_INTER),
                                    .test = put_file("new_test.inter", NEW_TEST),
                                    .out = out};
}
