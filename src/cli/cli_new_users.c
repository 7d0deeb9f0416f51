/* Users who are not in the dataset, with items that they have: of a file of pairs, or one user of
 * the command line.
 *
 * Every rank has all pairs. They are sorted twice: by user, so that each pair learns the first
 * place of its user in the file; then by that place and item. So users stay in the order of the
 * file, the items of each ascend, and a pair that comes twice counts once. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* A user and an item of theirs. */
typedef struct pair {
    const char *user;
    int64_t place; /* of the pair in the file; then of the first pair of its user */
    int64_t item;
} pair;

static const char given_user[] = "given"; /* who has the items of the command line */

/* ---- Grouping ------------------------------------------------------------------------------- */

static int by_user_then_place(const void *left, const void *right)
{
    const pair *a = left, *b = right;
    const int order = strcmp(a->user, b->user);

    if (order != 0) return order;
    return a->place < b->place ? -1 : a->place > b->place;
}

static int by_place_then_item(const void *left, const void *right)
{
    const pair *a = left, *b = right;

    if (a->place != b->place) return a->place < b->place ? -1 : 1;
    return a->item < b->item ? -1 : a->item > b->item;
}

/* In the order of the users' first pairs, each user's items ascending. */
static void sort_pairs(pair *pairs, int64_t count)
{
    qsort(pairs, (size_t)count, sizeof *pairs, by_user_then_place);
    for (int64_t k = 1; k < count; k++)
        if (strcmp(pairs[k].user, pairs[k - 1].user) == 0) pairs[k].place = pairs[k - 1].place;
    qsort(pairs, (size_t)count, sizeof *pairs, by_place_then_item);
}

static bool is_new_user(const pair *pairs, int64_t k)
{
    return k == 0 || pairs[k].place != pairs[k - 1].place;
}

/* Lists of the sorted pairs, and the names of their users. Local. */
static cf_status fill_lists(const pair *pairs, int64_t count, cf_strings *names, cf_lists *lists)
{
    int64_t n_users = 0, n_bytes = 0, n = 0;
    cf_status status;

    for (int64_t k = 0; k < count; k++) {
        if (!is_new_user(pairs, k)) continue;
        n_users++;
        n_bytes += (int64_t)strlen(pairs[k].user) + 1;
    }
    CF_TRY(CF_ALLOC(names->start, n_users + 1));
    CF_TRY(CF_ALLOC(names->bytes, n_bytes));
    CF_TRY(CF_ALLOC(lists->start, n_users + 1));
    CF_TRY(CF_ALLOC(lists->index, count));
    for (int64_t k = 0; k < count; k++) {
        const int64_t size = (int64_t)strlen(pairs[k].user) + 1;
        const bool is_new = is_new_user(pairs, k);

        if (is_new) {
            memcpy(names->bytes + names->start[names->count], pairs[k].user, (size_t)size);
            names->start[names->count + 1] = names->start[names->count] + size;
            names->count++;
        }
        if (is_new || pairs[k].item != pairs[k - 1].item) lists->index[n++] = pairs[k].item;
        lists->start[names->count] = n;
    }
    lists->count = n_users;
done:
    return status;
}

/* `users`: of each item; NULL: all items are one user's. Local. */
static cf_status group_pairs(const cf_strings *users, int64_t count, const int64_t *items,
                             cf_strings *names, cf_lists *lists)
{
    pair *pairs = NULL;
    cf_status status;

    CF_TRY(CF_ALLOC(pairs, count));
    for (int64_t k = 0; k < count; k++)
        pairs[k] = (pair){users != NULL ? users->bytes + users->start[k] : given_user, k, items[k]};
    sort_pairs(pairs, count);
    CF_TRY(fill_lists(pairs, count, names, lists));
done:
    cf_free(&pairs);
    return status;
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* A new user may have the id of a user of the dataset, who has other items there: that is said.
 * Collective. */
static cf_status warn_of_known(const cf_dataset *dataset, const cf_strings *names)
{
    int64_t *numbers = NULL, n_known = 0, first = 0;
    cf_status status = CF_ALLOC(numbers, names->count);

    CF_TRY(cf_par_agree(dataset->world, status));
    CF_TRY(cf_dataset_find(dataset, CF_USER_IDS, names, numbers));
    for (int64_t k = names->count - 1; k >= 0; k--)
        if (numbers[k] >= 0) {
            n_known++;
            first = k;
        }
    if (n_known > 0)
        cf_warn("%lld of %lld new users have the id of a user of %s, the first is \"%.100s\": only "
                "the items that were given count",
                (long long)n_known, (long long)names->count, cf_dataset_path(dataset),
                names->bytes + names->start[first]);
done:
    cf_free(&numbers);
    return status;
}

/* The pairs as they were given; users has count 0 for those of the command line. Local. */
static cf_status read_pairs(const cli_arguments *arguments, cli_ids ids[2])
{
    const char *path = cli_value(arguments, "new-users");

    return path != NULL ? cli_read_pairs(path, ids) : cli_take_words(arguments, "given", &ids[1]);
}

cf_status cli_read_new_users(const cf_dataset *dataset, const cli_arguments *arguments,
                             cf_strings *names, cf_lists *items)
{
    cli_ids ids[2] = {{0}};
    cf_strings users = {0};
    cf_lists lists = {0};
    int64_t *numbers = NULL;
    bool has_users;
    cf_status status;

    CF_TRY(cf_par_agree(dataset->world, read_pairs(arguments, ids)));
    CF_TRY(cli_find_ids(dataset, CF_ITEM_IDS, &ids[1], &numbers));
    has_users = ids[0].text.count > 0;
    status =
        group_pairs(has_users ? &ids[0].text : NULL, ids[1].text.count, numbers, &users, &lists);
    CF_TRY(cf_par_agree(dataset->world, status));
    if (has_users) CF_TRY(warn_of_known(dataset, &users));
    *names = users;
    *items = lists;
    users = (cf_strings){0};
    lists = (cf_lists){0};
done:
    cf_dataset_destroy_strings(&users);
    cf_free(&lists.start);
    cf_free(&lists.index);
    cf_free(&numbers);
    cli_free_ids(&ids[0]);
    cli_free_ids(&ids[1]);
    return status;
}
