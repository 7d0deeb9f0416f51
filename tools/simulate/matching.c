/* Hopcroft and Karp's algorithm. Each phase finds the levels of left vertices by a breadth-first
 * search along edges that are not matched to the right and matched ones back, from all vertices
 * without a mate; then as many paths as there are with no vertex in common, each level by level to
 * a right vertex without a mate, by depth-first searches. Along such a path matched and unmatched
 * edges change places. The matching is a largest one when no path is left.
 */
#include "matching.h"

typedef struct search {
    const matching_graph *graph;
    int32_t *mate, *mate_right;
    int32_t *level;  /* of a left vertex; -1: not reached, or done with in this phase */
    int32_t *cursor; /* the edge of a left vertex that is next */
    int32_t *stack;  /* left vertices: the queue of the first search, the path of the second */
} search;

/* Levels of this phase; false if no path is left. */
static bool find_levels(search *s)
{
    int32_t head = 0, tail = 0;
    bool found = false;

    for (int32_t l = 0; l < s->graph->n_left; l++) {
        s->cursor[l] = s->graph->first[l];
        s->level[l] = s->mate[l] < 0 ? 0 : -1;
        if (s->mate[l] < 0) s->stack[tail++] = l;
    }
    while (head < tail) {
        const int32_t l = s->stack[head++];

        for (int32_t e = s->graph->first[l]; e < s->graph->last[l]; e++) {
            const int32_t next = s->mate_right[s->graph->right[e]];

            if (next < 0) {
                found = true;
            } else if (s->level[next] < 0) {
                s->level[next] = s->level[l] + 1;
                s->stack[tail++] = next;
            }
        }
    }
    return found;
}

/* The path on the stack ends at a right vertex without a mate: every vertex takes the edge that its
 * cursor has just passed. */
static void exchange(search *s, int32_t depth)
{
    for (int32_t k = 0; k < depth; k++) {
        const int32_t l = s->stack[k], r = s->graph->right[s->cursor[l] - 1];

        s->mate[l] = r;
        s->mate_right[r] = l;
        s->level[l] = -1;
    }
}

/* A path from a vertex without a mate, if there is one. */
static void find_path(search *s, int32_t from)
{
    int32_t depth = 1;

    s->stack[0] = from;
    while (depth > 0) {
        const int32_t l = s->stack[depth - 1];
        int32_t next;

        if (s->cursor[l] == s->graph->last[l]) {
            s->level[l] = -1;
            depth--;
            continue;
        }
        next = s->mate_right[s->graph->right[s->cursor[l]++]];
        if (next < 0) {
            exchange(s, depth);
            return;
        }
        if (s->level[next] == s->level[l] + 1) s->stack[depth++] = next;
    }
}

cf_status matching_find(const matching_graph *graph, int32_t *mate)
{
    search s = {.graph = graph, .mate = mate};
    cf_status status;

    CF_TRY(CF_ALLOC(s.mate_right, graph->n_right));
    CF_TRY(CF_ALLOC(s.level, graph->n_left));
    CF_TRY(CF_ALLOC(s.cursor, graph->n_left));
    CF_TRY(CF_ALLOC(s.stack, graph->n_left));
    for (int32_t l = 0; l < graph->n_left; l++)
        mate[l] = -1;
    for (int32_t r = 0; r < graph->n_right; r++)
        s.mate_right[r] = -1;
    while (find_levels(&s))
        for (int32_t l = 0; l < graph->n_left; l++)
            if (s.level[l] == 0) find_path(&s, l);
done:
    cf_free(&s.mate_right);
    cf_free(&s.level);
    cf_free(&s.cursor);
    cf_free(&s.stack);
    return status;
}
