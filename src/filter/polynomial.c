/* Scores of users: a polynomial of the items' graph, applied to their histories.
 *
 *     scores = D^power p(L~) D^-power s,    p = sum_k c_k T_k,    T_k(L~) x = (-1)^k t_2k
 *
 * (recurrence: internal.h). Users are columns of a field, `per_rank` of each rank in a pass. The
 * ranks of a grid row have different users, and so have the ranks of a grid column; a grid column
 * filters those of its own ranks, whose columns lie rank after rank. In a pass each rank
 *
 *     sends the items of its users to their owners, which write them into the field;
 *     takes 2 x degree steps, each a sum over the neighbours of one side;
 *     sends the scores of its own items to the ranks of the users, and gets all those of its users.
 *
 * Each column is a sum of its own, so no bit depends on what else is in the field.
 * tests/filter/apply.c multiplies by whole matrices. */
#include "internal.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* Columns of a field: of all ranks of a grid column, but at least one segment of each. */
enum { COLUMNS = 128 };
/* Items whose scores are moved from columns to rows at once: they stay in a near cache. */
enum { ITEMS_AT_ONCE = 32 };

struct cf_filter {
    cf_filter_options options;
    const cf_grid *grid;     /* borrowed */
    cf_blocks items;         /* of the shard; a copy */
    int64_t n_mine;          /* my items */
    int64_t per_rank, width; /* columns of a rank, and of the field */
    recurrence recurrence;
    float *before, *after; /* n_mine: from a history to t_0 as it is stored, and to a score */
    float *sum;            /* n_mine x width */
    float *scores;         /* what comes of all items: items x (users of the pass), rank by rank */
    int *n_users;          /* ranks of the column: their users in this pass */
    cf_plan histories;     /* in entries */
    cf_plan replies;       /* in scores; from the owners of items to the ranks of users */
};

/* ---- Coefficients ---- */

/* At the j-th extremum of T_degree, ascending. */
static double plateau(int degree, int j, double flatness)
{
    const double x = cos((double)(degree - j) / degree * M_PI), half = pow(fabs(x), flatness) / 2;

    return x < 0 ? 0.5 + half : 0.5 - half;
}

/* c_k = 2 / (degree + 1) sum_j h_j T_k(x_j), c_0 half of that; x_j the zeros, ascending. */
void cf_filter_set_plateau(int degree, double flatness, cf_filter_options *out)
{
    const int n = degree + 1;

    CF_ASSERT(degree >= 1 && degree <= CF_FILTER_MAX_DEGREE);
    out->degree = degree;
    for (int k = 0; k < n; k++) {
        double sum = 0;

        for (int j = 0; j < n; j++)
            sum += plateau(degree, j, flatness) * cos(k * (n - 0.5 - j) / n * M_PI);
        out->coefficient[k] = (k == 0 ? 1.0 : 2.0) / n * sum;
    }
}

/* ---- Creation ---- */

/* A stored row is times degree^-1/2. */
static void set_factors(cf_filter *f)
{
    for (int64_t i = 0; i < f->n_mine; i++) {
        const double degree = (double)cf_graph_degree(f->recurrence.graph, CF_ITEMS, i);

        f->before[i] = degree > 0 ? (float)pow(degree, -0.5 - f->options.power) : 0;
        f->after[i] = degree > 0 ? (float)pow(degree, 0.5 + f->options.power) : 0;
    }
}

int64_t filter_columns_of_rank(int n_rows)
{
    return cf_max(COLUMNS / n_rows / CF_LANES, 1) * CF_LANES;
}

/* Local. */
static cf_status allocate(cf_filter *f, const cf_shard *shard)
{
    const int64_t n_items = shard->items.start[shard->items.count];
    const int n_ranks = f->grid->column.size;
    cf_status status;

    f->n_mine = shard->n_items;
    f->per_rank = filter_columns_of_rank(n_ranks);
    f->width = f->per_rank * n_ranks;
    CF_REQUIRE(n_items * f->per_rank <= INT_MAX && f->n_mine * f->width <= INT_MAX, CF_ERR_USAGE,
               "%lld items: scores of %lld users at once are more than MPI counts: use a grid of "
               "more rows",
               (long long)n_items, (long long)f->per_rank);
    CF_TRY(cf_par_create_blocks(n_items, n_ranks, &f->items));
    memcpy(f->items.start, shard->items.start, ((size_t)n_ranks + 1) * sizeof *f->items.start);
    CF_TRY(CF_ALLOC(f->before, f->n_mine));
    CF_TRY(CF_ALLOC(f->after, f->n_mine));
    CF_TRY(CF_ALLOC(f->sum, f->n_mine * f->width));
    CF_TRY(CF_ALLOC(f->scores, n_items * f->per_rank));
    CF_TRY(CF_ALLOC(f->n_users, n_ranks));
    CF_TRY(cf_par_create_plan(&f->grid->column, &f->histories));
    CF_TRY(cf_par_create_plan(&f->grid->column, &f->replies));
done:
    return status;
}

cf_status cf_filter_create(const cf_filter_options *options, const cf_grid *grid,
                           const cf_shard *shard, cf_graph *graph, cf_filter **out)
{
    cf_filter *f = NULL;
    cf_status status = CF_ALLOC(f, 1);

    if (status == CF_OK) {
        f->options = *options;
        f->grid = grid;
        status = allocate(f, shard);
    }
    CF_TRY(cf_par_agree(&grid->world, status));
    CF_TRY(recurrence_create(graph, f->width, &f->recurrence));
    set_factors(f);
    *out = f;
    f = NULL;
done:
    cf_filter_destroy(&f);
    return status;
}

void cf_filter_destroy(cf_filter **filter)
{
    cf_filter *f = *filter;

    if (f == NULL) return;
    recurrence_destroy(&f->recurrence);
    cf_par_destroy_blocks(&f->items);
    cf_free(&f->before);
    cf_free(&f->after);
    cf_free(&f->sum);
    cf_free(&f->scores);
    cf_free(&f->n_users);
    cf_par_destroy_plan(&f->histories);
    cf_par_destroy_plan(&f->replies);
    cf_free(filter);
}

/* ---- Histories to columns ---- */

/* Users of one pass. */
typedef struct users {
    const uint64_t *number; /* count: local */
    int64_t count;
} users;

/* An item of a user, for its owner: where it is in the owner's rows of the field. */
static int64_t entry_of(const cf_filter *f, int block, int64_t item, int64_t column)
{
    return (item - f->items.start[block]) * f->width + column;
}

/* Count the entries of a list for each owner, or, with `entries`, write them at the plan's starts,
 * which move on. */
static void list_items(cf_filter *f, const cf_lists *lists, int64_t user, int64_t column,
                       int64_t *entries)
{
    for (int64_t k = lists->start[user]; k < lists->start[user + 1]; k++) {
        const int64_t item = lists->index[k];
        const int block = cf_par_block_of(&f->items, item);

        if (entries == NULL)
            f->histories.send_count[block]++;
        else
            entries[f->histories.send_start[block]++] = entry_of(f, block, item, column);
    }
}

static void list_histories(cf_filter *f, const cf_shard *shard, users who, int64_t *entries)
{
    const int64_t first = f->grid->column.rank * f->per_rank;

    for (int64_t k = 0; k < who.count; k++) {
        list_items(f, &shard->train, (int64_t)who.number[k], first + k, entries);
        list_items(f, &shard->added, (int64_t)who.number[k], first + k, entries);
    }
}

/* t_0, as it is stored: my items of the users of all ranks of the column. */
static void write_columns(cf_filter *f, const int64_t *entries)
{
    float *rows = f->recurrence.field.rows[CF_ITEMS];

    memset(rows, 0, (size_t)(f->n_mine * f->width) * sizeof *rows);
    for (int64_t k = 0; k < f->histories.n_recv; k++)
        rows[entries[k]] = f->before[entries[k] / f->width];
}

/* Collective over the grid. */
static cf_status set_columns(cf_filter *f, const cf_shard *shard, users who)
{
    int64_t *mine = NULL, *others = NULL;
    cf_status status;

    memset(f->histories.send_count, 0, (size_t)f->grid->column.size * sizeof(int));
    list_histories(f, shard, who, NULL);
    cf_par_complete_plan(&f->histories);
    status = CF_ALLOC(mine, f->histories.n_send);
    if (status == CF_OK) status = CF_ALLOC(others, f->histories.n_recv);
    CF_TRY(cf_par_agree(&f->grid->world, status));
    list_histories(f, shard, who, mine);
    cf_par_order_plan(&f->histories);
    cf_par_send(&f->histories, mine, others, MPI_INT64_T);
    write_columns(f, others);
done:
    cf_free(&mine);
    cf_free(&others);
    return status;
}

/* ---- The polynomial ---- */

/* sum = c_0 t_0. */
static void start_sum(cf_filter *f)
{
    const float *t = f->recurrence.field.rows[CF_ITEMS];
    const cf_vector first = cf_vector_all((float)f->options.coefficient[0]);

#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < f->n_mine; i++)
        for (int64_t d = i * f->width; d < (i + 1) * f->width; d += CF_VECTOR)
            cf_vector_store(f->sum + d, first * cf_vector_load(t + d));
}

/* Collective over the grid column. */
static void filter_columns(cf_filter *f)
{
    recurrence *r = &f->recurrence;

    start_sum(f);
    r->sum = f->sum;
    r->step = 0;
    for (int k = 1; k <= f->options.degree; k++) {
        r->weight = (float)(k % 2 == 0 ? f->options.coefficient[k] : -f->options.coefficient[k]);
        recurrence_step(r);
        recurrence_step(r);
    }
}

/* ---- Columns to scores ---- */

/* What goes to each rank of the column: the scores of my items, in its users' columns. The field's
 * rows of my items have done their work, and take it. */
static float *pack_scores(cf_filter *f)
{
    float *packed = f->recurrence.field.rows[CF_ITEMS];

    for (int rank = 0; rank < f->grid->column.size; rank++) {
        const int n = f->n_users[rank];
        const float *from = f->sum + rank * f->per_rank;
        float *to = packed + f->replies.send_start[rank];

#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < f->n_mine; i++)
            for (int64_t c = 0; c < n; c++)
                to[i * n + c] = f->after[i] * from[i * f->width + c];
    }
    return packed;
}

/* Scores of all items for my users of the pass: for each rank, its items x my users. Collective
 * over the grid column. */
static void exchange_scores(cf_filter *f, int64_t count)
{
    const int mine = (int)count;

    MPI_Allgather(&mine, 1, MPI_INT, f->n_users, 1, MPI_INT, f->grid->column.comm);
    for (int rank = 0; rank < f->grid->column.size; rank++) {
        f->replies.send_count[rank] = (int)f->n_mine * f->n_users[rank];
        f->replies.recv_count[rank] = (int)(f->items.start[rank + 1] - f->items.start[rank]) * mine;
    }
    cf_par_order_plan(&f->replies);
    cf_par_send(&f->replies, pack_scores(f), f->scores, MPI_FLOAT);
}

/* What is to be filled: the user of each row, as an index in the pass; outside of 0 .. count - 1
 * where another pass has it. */
typedef struct wanted {
    const int64_t *place; /* count_rows */
    int64_t count_rows, first, count;
    const cf_filter_rows *out;
} wanted;

/* Scores of items first .. end - 1, to the rows of users. All items lie in order, as blocks do. */
static void unpack_items(const cf_filter *f, const wanted *w, int64_t first, int64_t end)
{
    for (int64_t k = 0; k < w->count_rows; k++) {
        const int64_t column = w->place[k] - w->first;
        float *row = w->out->rows + k * w->out->stride;

        if (column < 0 || column >= w->count) continue;
        for (int64_t i = first; i < end; i++)
            row[i] = f->scores[i * w->count + column];
    }
}

static void unpack_scores(const cf_filter *f, const wanted *w)
{
    const int64_t n_items = f->items.start[f->items.count];

#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < n_items; first += ITEMS_AT_ONCE)
        unpack_items(f, w, first, cf_min(first + ITEMS_AT_ONCE, n_items));
}

/* ---- Passes ---- */

/* `keys` (2 x count) gets the distinct users, ascending; `place` the index of each among them.
 * Returns how many there are. */
static int64_t find_distinct(const int64_t *listed, int64_t count, uint64_t *keys, int64_t *place)
{
    int64_t n = 0;

    for (int64_t k = 0; k < count; k++)
        keys[k] = (uint64_t)listed[k];
    cf_sort_u64(keys, keys + count, count);
    for (int64_t k = 0; k < count; k++)
        if (k == 0 || keys[k] != keys[k - 1]) keys[n++] = keys[k];
    for (int64_t k = 0; k < count; k++)
        place[k] = cf_search_i64((const int64_t *)keys, n, listed[k]);
    return n;
}

/* All ranks make as many passes as the one with most users. Collective. */
static int64_t count_passes(const cf_filter *f, int64_t n)
{
    int64_t passes = cf_ceil_div(n, f->per_rank);

    MPI_Allreduce(MPI_IN_PLACE, &passes, 1, MPI_INT64_T, MPI_MAX, f->grid->world.comm);
    return passes;
}

cf_status cf_filter_apply(cf_filter *f, const cf_shard *histories, const int64_t *listed,
                          int64_t count, const cf_filter_rows *out)
{
    uint64_t *keys = NULL;
    int64_t *place = NULL, n, n_passes;
    cf_status status = CF_ALLOC(keys, 2 * count);

    if (status == CF_OK) status = CF_ALLOC(place, count);
    CF_TRY(cf_par_agree(&f->grid->world, status));
    n = find_distinct(listed, count, keys, place);
    n_passes = count_passes(f, n);
    for (int64_t pass = 0; pass < n_passes; pass++) {
        const int64_t first = cf_min(pass * f->per_rank, n);
        const users who = {keys + first, cf_min(n - first, f->per_rank)};
        const wanted rows = {place, count, first, who.count, out};

        CF_TRY(set_columns(f, histories, who));
        filter_columns(f);
        exchange_scores(f, who.count);
        unpack_scores(f, &rows);
    }
done:
    cf_free(&keys);
    cf_free(&place);
    return status;
}
