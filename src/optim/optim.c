/* Adam and SGD, row by row: the gradient consumer of the models.
 *
 * A step updates every row of both tables once, each as soon as its gradient is finished, so that
 * the gradient of a whole table is never stored. Adam (Kingma and Ba 2015, algorithm 1) keeps two
 * moments a number, in tables of the same blocks and slices:
 *   m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  x -= rate m' / (sqrt(v') + eps),
 * with m' and v' corrected for their start at zero; SGD does x -= rate g. With start_decay a table
 * of each side keeps the x at the start, s, and g has start_decay (x - s) added: an L2 penalty of
 * the way from there, as weight_decay is one of the way from zero. Numbers do not depend on each
 * other, so ranks, threads and grid change no bit. tests/optim/optim.c steps in double. */
#include "cf/optim.h"

#include <math.h>
#include <omp.h>
#include <string.h>

const cf_setting cf_optim_settings[] = {
    {.name = "learner",
     .kind = CF_SETTING_CHOICE,
     .initial = "adam",
     .choices = "adam|sgd",
     .help = "optimizer"},
    {.name = "learning_rate",
     .kind = CF_SETTING_REAL,
     .initial = "0.001",
     .min = 0,
     .max = 1e30,
     .help = "step size"},
    {.name = "weight_decay",
     .kind = CF_SETTING_REAL,
     .initial = "0.0",
     .min = 0,
     .max = 1e6,
     .help = "L2 penalty: adds weight_decay * x to the gradient of every number x"},
    {.name = "start_decay",
     .kind = CF_SETTING_REAL,
     .initial = "0.0",
     .min = 0,
     .max = 1e6,
     .help =
         "adds start_decay * (x - start) to the gradient of every number x that began at start"},
    {.name = "freeze_items",
     .kind = CF_SETTING_BOOL,
     .initial = "false",
     .help = "the item table is not trained: its rows stay as they start"},
    {0},
};

void cf_optim_read_options(const cf_config *config, cf_optim_options *out)
{
    *out = (cf_optim_options){.learner = cf_config_is(config, "learner", "adam") ? CF_ADAM : CF_SGD,
                              .learning_rate = cf_config_real(config, "learning_rate"),
                              .weight_decay = cf_config_real(config, "weight_decay"),
                              .start_decay = cf_config_real(config, "start_decay"),
                              .freeze_items = cf_config_bool(config, "freeze_items")};
}

static bool is_frozen(const cf_optim_options *options, cf_side side)
{
    return side == CF_ITEMS && options->freeze_items;
}

bool cf_optim_keeps(const cf_optim_options *options, cf_side side, cf_kept which)
{
    const bool used =
        which == CF_KEPT_START ? options->start_decay > 0 : options->learner == CF_ADAM;

    return used && !is_frozen(options, side);
}

/* The values that Kingma and Ba recommend, which are PyTorch's defaults too. */
static const double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

/* The time of a thread's calls of cf_optim_update(), extrapolated from every TIMED_CALLS-th call. A
 * call that takes INTERRUPTED times as long for a row as the quickest was interrupted by the
 * system; extrapolated, it would count many times, so it is left out. */
enum { TIMED_CALLS = 16, INTERRUPTED = 8 };
typedef struct tally {
    _Alignas(64) int64_t calls; /* a cache line of its own for each thread */
    int64_t rows, timed_rows;   /* of all calls; of those timed and not interrupted */
    double seconds, quickest;   /* of timed_rows; of one row */
} tally;

struct cf_optim {
    cf_optim_options options;
    cf_table *table[2];           /* borrowed */
    cf_table *kept[2][CF_N_KEPT]; /* NULL: not kept */
    int64_t steps;                /* begun so far: t */
    float step_size;              /* learning_rate / (1 - beta1^t); SGD: learning_rate */
    float second_scale;           /* 1 / sqrt(1 - beta2^t) */
    tally *tally;                 /* n_threads */
    int n_threads;
};

/* They have the trained table's blocks and slices, so that a row and what is kept of it are on one
 * rank. Collective. */
static cf_status create_kept(cf_optim *optim, cf_side side)
{
    const cf_table *like = optim->table[side];
    cf_status status = CF_OK;

    for (int k = 0; k < CF_N_KEPT; k++)
        if (cf_optim_keeps(&optim->options, side, (cf_kept)k))
            CF_TRY(cf_table_create(like->grid, &like->blocks, like->dim, &optim->kept[side][k]));
done:
    return status;
}

cf_status cf_optim_create(const cf_optim_options *options, cf_table *const table[2], cf_optim **out)
{
    cf_optim *optim = NULL;
    cf_status status = cf_par_agree(&table[0]->grid->world, CF_ALLOC(optim, 1));

    CF_TRY(status);
    optim->options = *options;
    optim->n_threads = omp_get_max_threads();
    CF_TRY(cf_par_agree(&table[0]->grid->world, CF_ALLOC(optim->tally, optim->n_threads)));
    for (int side = 0; side < 2; side++) {
        optim->table[side] = table[side];
        CF_TRY(create_kept(optim, (cf_side)side));
    }
    *out = optim;
    optim = NULL;
done:
    cf_optim_destroy(&optim);
    return status;
}

void cf_optim_destroy(cf_optim **optim)
{
    if (*optim == NULL) return;
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < CF_N_KEPT; k++)
            cf_table_destroy(&(*optim)->kept[side][k]);
    cf_free(&(*optim)->tally);
    cf_free(optim);
}

void cf_optim_keep_start(cf_optim *optim)
{
    for (int side = 0; side < 2; side++) {
        const cf_table *table = optim->table[side], *start = optim->kept[side][CF_KEPT_START];

        if (start != NULL && table->local_rows > 0)
            memcpy(start->data, table->data,
                   (size_t)(table->local_rows * table->width) * sizeof *table->data);
    }
}

/* The bias corrections depend on t alone: once a step, in double. */
void cf_optim_begin(cf_optim *optim)
{
    const double t = (double)++optim->steps;

    for (int k = 0; k < optim->n_threads; k++)
        optim->tally[k] = (tally){0};
    optim->step_size = (float)optim->options.learning_rate;
    if (optim->options.learner == CF_ADAM) {
        optim->step_size = (float)(optim->options.learning_rate / (1.0 - pow(beta1, t)));
        optim->second_scale = (float)(1.0 / sqrt(1.0 - pow(beta2, t)));
    }
}

/* One row: its numbers, each `width` of them. */
typedef struct one_row {
    float *x, *m, *v;   /* the table's; its moments, of Adam */
    const float *start; /* NULL: none */
    const float *g;     /* the gradient of the loss */
    int64_t width;
} one_row;

/* What is added to a gradient: the settings, in all lanes. */
typedef struct decays {
    cf_vector zero, start; /* towards zero, towards the start */
} decays;

static decays decays_of(const cf_optim *optim)
{
    return (decays){cf_vector_all((float)optim->options.weight_decay),
                    cf_vector_all((float)optim->options.start_decay)};
}

/* The gradient of lanes k of a row, which are x, with the decays. */
static cf_vector gradient_of(const one_row *r, int64_t k, cf_vector x, const decays *d)
{
    const cf_vector g = cf_vector_fma(d->zero, x, cf_vector_load(r->g + k));

    return r->start == NULL ? g : cf_vector_fma(d->start, x - cf_vector_load(r->start + k), g);
}

/* The order of operations is PyTorch's, whose results the golden files hold: m + (1 - b1) (g - m)
 * in place of b1 m + (1 - b1) g. */
static void adam_row(const cf_optim *optim, const one_row *r)
{
    const decays d = decays_of(optim);
    const cf_vector first = cf_vector_all((float)(1.0 - beta1));
    const cf_vector second = cf_vector_all((float)(1.0 - beta2)),
                    keep = cf_vector_all((float)beta2);
    const cf_vector size = cf_vector_all(-optim->step_size);
    const cf_vector scale = cf_vector_all(optim->second_scale), eps = cf_vector_all((float)epsilon);

    /* the padding of a row to whole lanes is updated as well: it is zero and stays zero */
    for (int64_t k = 0; k < r->width; k += CF_VECTOR) {
        const cf_vector x0 = cf_vector_load(r->x + k), m0 = cf_vector_load(r->m + k);
        const cf_vector gradient = gradient_of(r, k, x0, &d);
        const cf_vector m1 = cf_vector_fma(first, gradient - m0, m0);
        const cf_vector v1 =
            cf_vector_fma(second, gradient * gradient, keep * cf_vector_load(r->v + k));

        cf_vector_store(r->m + k, m1);
        cf_vector_store(r->v + k, v1);
        cf_vector_store(
            r->x + k, cf_vector_fma(size, m1 / cf_vector_fma(cf_vector_sqrt(v1), scale, eps), x0));
    }
}

/* x -= rate g, for one row. */
static void sgd_row(const cf_optim *optim, const one_row *r)
{
    const decays d = decays_of(optim);
    const cf_vector size = cf_vector_all(-optim->step_size);

    for (int64_t k = 0; k < r->width; k += CF_VECTOR) {
        const cf_vector x0 = cf_vector_load(r->x + k);

        cf_vector_store(r->x + k, cf_vector_fma(size, gradient_of(r, k, x0, &d), x0));
    }
}

/* What of a table begins at float `at`; NULL of no table. */
static float *data_at(const cf_table *table, int64_t at)
{
    return table != NULL ? table->data + at : NULL;
}

/* Rows come in ascending order but few at a time, so those that the next calls update are
 * prefetched here: the table's and those that are kept of it. */
static void update_rows(const cf_optim *optim, cf_side side, const int32_t *rows, int count,
                        const float *gradient)
{
    cf_table *const *kept = optim->kept[side];
    const int64_t width = optim->table[side]->width;

    for (int k = 0; k < count; k++) {
        const int64_t at = rows[k] * width, ahead = at + CF_ROWS_AHEAD * width;
        const one_row r = {.x = optim->table[side]->data + at,
                           .m = data_at(kept[CF_KEPT_MOMENT1], at),
                           .v = data_at(kept[CF_KEPT_MOMENT2], at),
                           .start = data_at(kept[CF_KEPT_START], at),
                           .g = gradient + k * width,
                           .width = width};

        cf_lanes_prefetch(optim->table[side]->data + ahead, width);
        for (int n = 0; n < CF_N_KEPT; n++)
            if (kept[n] != NULL) cf_lanes_prefetch(kept[n]->data + ahead, width);
        if (r.m != NULL)
            adam_row(optim, &r);
        else
            sgd_row(optim, &r);
    }
}

/* Count a timed call of `count` rows, unless it was interrupted. */
static void add_time(tally *mine, int count, double seconds)
{
    const double a_row = seconds / count;

    if (mine->timed_rows == 0 || a_row < mine->quickest) mine->quickest = a_row;
    if (a_row > INTERRUPTED * mine->quickest) return;
    mine->seconds += seconds;
    mine->timed_rows += count;
}

/* Called by several threads at once, each with rows of its own: no two calls of a step share a row,
 * so the tables need no lock, and each thread adds to its own tally. */
void cf_optim_update(void *context, cf_side side, const int32_t *rows, int count,
                     const float *gradient)
{
    const cf_optim *optim = context;
    tally *mine = &optim->tally[omp_get_thread_num()];
    bool is_timed;
    double began;

    if (is_frozen(&optim->options, side))
        return; /* not counted either: such a call takes no time */
    is_timed = mine->calls++ % TIMED_CALLS == 0;
    began = is_timed ? cf_clock_now() : 0;
    update_rows(optim, side, rows, count, gradient);
    mine->rows += count;
    if (is_timed) add_time(mine, count, cf_clock_now() - began);
}

/* Each thread's seconds a timed row, times its rows; the mean over the threads, which work at the
 * same time. */
double cf_optim_seconds(const cf_optim *optim)
{
    double seconds = 0;

    for (int k = 0; k < optim->n_threads; k++) {
        const tally *one = &optim->tally[k];

        if (one->rows > 0) seconds += one->seconds * (double)one->rows / (double)one->timed_rows;
    }
    return seconds / optim->n_threads;
}

int64_t cf_optim_steps(const cf_optim *optim)
{
    return optim->steps;
}

void cf_optim_set_steps(cf_optim *optim, int64_t steps)
{
    optim->steps = steps;
}

cf_table *cf_optim_table(const cf_optim *optim, cf_side side, cf_kept which)
{
    return optim->kept[side][which];
}
