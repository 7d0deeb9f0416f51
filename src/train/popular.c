/* Negatives by popularity: an item is drawn as often as it has train interactions.
 *
 * A draw is a uniform train interaction, whose item is the one that is drawn: no table of all items
 * is needed. Interactions lie with the users, so a rank asks the owners within its grid column. All
 * samples of the batch that have no negative yet draw TRIES interactions at a time, which are sent
 * as numbers (n_asked, sorted by owner) and come back as items; of each sample's the first that is
 * not excluded counts, so that TRIES, ranks and grid change no bit. Draws are a function of (seed,
 * epoch, sample, trial). After LIMIT draws, which only a user of nearly all interactions needs, the
 * negative is drawn uniformly (sampler.c). */
#include "internal.h"

#include <string.h>

enum { TRIES = 4, LIMIT = 1000 };

enum { SAMPLES, RANKS, N_SIZES };

static const cf_array arrays[] = {
    CF_ARRAY(popular, start, RANKS, 1),       CF_ARRAY(popular, next, RANKS, 1),
    CF_ARRAY(popular, waiting, SAMPLES, 1),   CF_ARRAY(popular, place, SAMPLES, TRIES),
    CF_ARRAY(popular, asked, SAMPLES, TRIES), CF_ARRAY(popular, got, SAMPLES, TRIES),
};
enum { N_ARRAYS = sizeof arrays / sizeof *arrays };

/* A rank may be asked for all draws of a batch. */
cf_status popular_create(const cf_par *column, int64_t max_samples, popular *out)
{
    cf_status status;

    CF_TRY(
        cf_arrays_create(out, arrays, N_ARRAYS, (int64_t[N_SIZES]){max_samples, column->size + 1}));
    CF_TRY(cf_par_create_plan(column, &out->plan));
done:
    return status;
}

void popular_destroy(popular *p)
{
    cf_arrays_destroy(p, arrays, N_ARRAYS);
    cf_par_destroy_plan(&p->plan);
}

double popular_bytes(double max_samples, double ranks)
{
    return cf_arrays_bytes(arrays, N_ARRAYS, (double[N_SIZES]){max_samples, ranks + 1});
}

/* Where the interactions of each rank of the column begin. */
static void find_starts(popular *p, const sampler *s)
{
    const cf_par *column = p->plan.par;

    MPI_Allgather(&s->shard->first_interaction, 1, MPI_INT64_T, p->start, 1, MPI_INT64_T,
                  column->comm);
    p->start[column->size] = s->n_train;
    p->knows_starts = true;
}

/* Draw number `trial` of sample n: an interaction. */
static int64_t draw(const sampler *s, int64_t n, int64_t trial)
{
    return cf_random_below((cf_random){s->options.seed, CF_STREAM_NEGATIVE}, (uint64_t)s->epoch,
                           (uint64_t)sampler_number(s, n), (uint64_t)trial, s->n_train);
}

/* The rank of the column that owns the interaction: the last that begins at or before it, as ranks
 * without interactions begin where the next one does. */
static int owner_of(const popular *p, int64_t interaction)
{
    return (int)(cf_search_i64(p->start, p->plan.par->size + 1, interaction + 1) - 1);
}

/* Send the draws from `trial` on of all that wait, sorted by owner, and look up what the others
 * ask. */
static void ask(popular *p, const sampler *s, int64_t trial)
{
    const int n_ranks = p->plan.par->size;

    memset(p->plan.send_count, 0, (size_t)n_ranks * sizeof(int));
    for (int64_t k = 0; k < p->n_waiting * TRIES; k++)
        p->plan.send_count[owner_of(p, draw(s, p->waiting[k / TRIES], trial + k % TRIES))]++;
    cf_par_complete_plan(&p->plan);
    for (int r = 0; r < n_ranks; r++)
        p->next[r] = p->plan.send_start[r];
    for (int64_t k = 0; k < p->n_waiting * TRIES; k++) {
        const int64_t interaction = draw(s, p->waiting[k / TRIES], trial + k % TRIES);

        p->place[k] = p->next[owner_of(p, interaction)]++;
        p->asked[p->place[k]] = interaction;
    }
    cf_par_send(&p->plan, p->asked, p->got, MPI_INT64_T);
    for (int64_t k = 0; k < p->plan.n_recv; k++)
        p->got[k] = s->shard->train.index[p->got[k] - s->shard->first_interaction];
    cf_par_reply(&p->plan, p->got, p->asked, MPI_INT64_T);
}

/* Give each sample that waits the first of its draws that it may have; the others wait on. */
static void take(popular *p, sampler *s)
{
    int64_t n_waiting = 0;

    for (int64_t k = 0; k < p->n_waiting; k++) {
        const int64_t n = p->waiting[k];
        int tried = 0;

        while (tried < TRIES && sampler_excludes(s, n, p->asked[p->place[k * TRIES + tried]]))
            tried++;
        if (tried < TRIES)
            s->batch.negative[n] = p->asked[p->place[k * TRIES + tried]];
        else
            p->waiting[n_waiting++] = (int32_t)n;
    }
    p->n_waiting = n_waiting;
}

void popular_draw(popular *p, sampler *s)
{
    int64_t left = 1;

    if (!p->knows_starts) find_starts(p, s);
    p->n_waiting = s->batch.count;
    for (int64_t n = 0; n < s->batch.count; n++)
        p->waiting[n] = (int32_t)n;
    for (int64_t trial = 0; trial < LIMIT && left > 0; trial += TRIES) {
        ask(p, s, trial);
        take(p, s);
        left = p->n_waiting;
        MPI_Allreduce(MPI_IN_PLACE, &left, 1, MPI_INT64_T, MPI_SUM, p->plan.par->comm);
    }
    for (int64_t k = 0; k < p->n_waiting; k++)
        s->batch.negative[p->waiting[k]] = sampler_draw_uniform(s, p->waiting[k], LIMIT);
}
