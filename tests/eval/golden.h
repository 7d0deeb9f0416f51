/** The golden problem of the metrics, for the tests of eval: 50 users, 200 items. */
#pragma once

#include "problem.h"

#define GOLDEN CF_TEST_DATA "/golden/metrics/"

static double *golden_scores, *golden_train, *golden_test;
enum { GOLDEN_USERS = 50, GOLDEN_ITEMS = 200 };

/* Users are rows of scores, items unit vectors: the dot products are the scores, exactly. */
static float golden_value(bool is_item, int64_t row, int64_t k)
{
    return is_item ? (float)(row == k) : (float)golden_scores[row * GOLDEN_ITEMS + k];
}

static int golden_parts(int64_t user, int64_t item)
{
    int64_t at = user * GOLDEN_ITEMS + item;

    return (golden_train[at] != 0 ? IN_TRAIN : 0) | (golden_test[at] != 0 ? IN_TEST : 0);
}

/* Its shape, until free_golden(). */
static inline shape load_golden(void)
{
    int64_t dims[2];

    golden_scores = cf_test_npy(GOLDEN "scores.npy", dims);
    golden_train = cf_test_npy(GOLDEN "train_mask.npy", dims);
    golden_test = cf_test_npy(GOLDEN "test_positives.npy", dims);
    return (shape){GOLDEN_USERS, GOLDEN_ITEMS, GOLDEN_ITEMS, golden_value, golden_parts, false};
}

static inline void free_golden(void)
{
    free(golden_scores);
    free(golden_train);
    free(golden_test);
}
