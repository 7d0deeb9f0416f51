/** Private to ckpt: the names in the file. */
#pragma once

#include "cf/ckpt.h"

/* Raw tables and the optimizer's moments, by side. */
static const char *const table_names[2] = {"/user_embedding", "/item_embedding"};
static const char *const table_dims[2] = {"users, embedding_size", "items, embedding_size"};
enum { MAX_MOMENTS = 2 };
static const char *const moment_names[2][MAX_MOMENTS] = {
    {"/optimizer/user_moment1", "/optimizer/user_moment2"},
    {"/optimizer/item_moment1", "/optimizer/item_moment2"},
};
