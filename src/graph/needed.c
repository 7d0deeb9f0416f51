/* Which rows of other nodes the sums of this node need: its halo.
 *
 * The rows of both sides are numbered together, block after block, each block's users before its
 * items: then what one peer owns is contiguous. A bit for each row, shared by the ranks of the
 * node, is set by whoever has an edge to it; a count of the bits before each word makes a place of
 * a row's number. It costs two bits a row, on each node, while the graph is built.
 * tests/graph/create.c counts the halo in the plain list of interactions. */
#include "internal.h"

enum { WORD = 64 };

typedef struct word {
    uint64_t bits;
    int64_t before; /* bits of the words before */
} word;

static word *words_of(const needed *n)
{
    return n->words.data;
}

/* The words that this rank counts. */
static int64_t first_word(const needed *n, int rank)
{
    return cf_par_even_start(n->n_words, n->node->size, rank);
}

/* The number of a row of a side: before it are the rows of its side, the other side's rows of the
 * blocks before and, if it is an item, the users of its own block. */
static int64_t number_of(const needed *n, cf_side side, int64_t row)
{
    const int block = cf_par_block_of(n->side[side], row);

    return row + n->side[graph_other(side)]->start[side == CF_USERS ? block : block + 1];
}

static bool is_here(const needed *n, int64_t number)
{
    return number >= n->first && number < n->end;
}

/* Memory of the node comes first, so that all its ranks take part in it. */
cf_status graph_create_needed(const cf_graph *graph, const cf_shard *shard, needed *out)
{
    const cf_par *node = &graph->node;
    const int first = graph->column.rank - node->rank; /* grid row of the node's first rank */
    const cf_blocks *users = &shard->users, *items = &shard->items;
    const int64_t n_rows = users->start[users->count] + items->start[items->count];
    cf_status status;

    *out = (needed){.node = node, .side = {users, items}, .n_words = cf_ceil_div(n_rows, WORD)};
    CF_TRY(cf_par_create_shared(node, out->n_words * (int64_t)sizeof(word), &out->words));
    CF_TRY(cf_par_create_blocks(n_rows, users->count, &out->blocks));
    for (int b = 1; b < users->count; b++)
        out->blocks.start[b] = users->start[b] + items->start[b];
    out->first = out->blocks.start[first];
    out->end = out->blocks.start[first + node->size];
done:
    return status;
}

void graph_destroy_needed(needed *n)
{
    cf_par_destroy_shared(&n->words);
    cf_par_destroy_blocks(&n->blocks);
}

/* Set the bits of the rows that `lists` has of a side, those of other nodes. Other ranks set bits
 * of the same words. */
static void set_bits(needed *n, cf_side side, const cf_lists *lists)
{
    word *words = words_of(n);

    for (int64_t e = 0; e < lists->start[lists->count]; e++) {
        const int64_t number = number_of(n, side, lists->index[e]);
        uint64_t *bits = &words[number / WORD].bits;
        const uint64_t bit = (uint64_t)1 << number % WORD;

        if (!is_here(n, number) && !(__atomic_load_n(bits, __ATOMIC_RELAXED) & bit))
            (void)__atomic_fetch_or(bits, bit, __ATOMIC_RELAXED);
    }
}

void graph_find_needed(needed *n, const cf_shard *shard)
{
    word *words = words_of(n);
    const int64_t begin = first_word(n, n->node->rank), end = first_word(n, n->node->rank + 1);
    int64_t here = 0, before;

    set_bits(n, CF_ITEMS, &shard->train);
    set_bits(n, CF_USERS, &shard->train_by_item);
    cf_par_meet(n->node);
    for (int64_t w = begin; w < end; w++)
        here += __builtin_popcountll(words[w].bits);
    cf_par_exscan(n->node, here, &before, &n->count);
    for (int64_t w = begin; w < end; w++) {
        words[w].before = before;
        before += __builtin_popcountll(words[w].bits);
    }
    cf_par_meet(n->node);
}

void graph_list_needed(const needed *n, int64_t first, int64_t end, int64_t *out)
{
    const word *words = words_of(n);

    for (int64_t w = 0; w < n->n_words; w++) {
        int64_t k = words[w].before;

        if (k >= end) break;
        for (uint64_t bits = words[w].bits; bits != 0; bits &= bits - 1, k++)
            if (k >= first && k < end) out[k - first] = w * WORD + __builtin_ctzll(bits);
    }
}

int64_t graph_place_of(const needed *n, cf_side side, int64_t row)
{
    const int64_t number = number_of(n, side, row);
    const word *w = &words_of(n)[number / WORD];
    const uint64_t below = ((uint64_t)1 << number % WORD) - 1;

    if (is_here(n, number)) return number - n->first;
    return n->end - n->first + w->before + __builtin_popcountll(w->bits & below);
}
