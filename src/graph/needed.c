/* Which rows of other nodes the sums of this node need: its halo.
 *
 * A bit for each row of a side, shared by the ranks of the node, is set by whoever has an edge to
 * it; a count of the bits before each word makes a place of a row's number. It costs two bits a row
 * of the whole side, on each node, while the graph is built. tests/graph/create.c counts the halo
 * in the plain list of interactions. */
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

cf_status graph_create_needed(const cf_graph *graph, const cf_blocks *blocks, needed *out)
{
    const cf_par *node = &graph->node;
    const int first = graph->column.rank - node->rank; /* grid row of the node's first rank */

    *out = (needed){.node = node,
                    .first = blocks->start[first],
                    .end = blocks->start[first + node->size],
                    .n_words = cf_ceil_div(blocks->start[blocks->count], WORD)};
    return cf_par_create_shared(node, out->n_words * (int64_t)sizeof(word), &out->words);
}

void graph_destroy_needed(needed *n)
{
    cf_par_destroy_shared(&n->words);
}

/* Other ranks set bits of the same words. */
void graph_find_needed(needed *n, const int64_t *numbers, int64_t count)
{
    word *words = words_of(n);
    const int64_t begin = first_word(n, n->node->rank), end = first_word(n, n->node->rank + 1);
    int64_t here = 0, before;

    for (int64_t e = 0; e < count; e++) {
        uint64_t *bits = &words[numbers[e] / WORD].bits;
        const uint64_t bit = (uint64_t)1 << numbers[e] % WORD;

        if (numbers[e] >= n->first && numbers[e] < n->end) continue;
        if (!(__atomic_load_n(bits, __ATOMIC_RELAXED) & bit))
            (void)__atomic_fetch_or(bits, bit, __ATOMIC_RELAXED);
    }
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

int64_t graph_place_of(const needed *n, int64_t number)
{
    const word *w = &words_of(n)[number / WORD];
    const uint64_t below = ((uint64_t)1 << number % WORD) - 1;

    if (number >= n->first && number < n->end) return number - n->first;
    return n->end - n->first + w->before + __builtin_popcountll(w->bits & below);
}
