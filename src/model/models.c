/* The table of models, and those of them that are nothing but a pairwise loss on final rows:
 *
 *   BPR       matrix factorization: the raw tables are the final ones (Rendle et al. 2009, "BPR:
 *             Bayesian personalized ranking from implicit feedback")
 *   LightGCN  final tables are the mean of all powers of the normalised graph on the raw ones (He
 *             et al. 2020, "LightGCN: Simplifying and powering graph convolution network for
 *             recommendation")
 *
 * A model with a loss of its own has a file of its own: sgl.c, sgcl.c, ials.c. */
#include "pairwise.h"

#include <string.h>

static const model_ops model_bpr = {.name = "BPR", .negatives = true, .step = pairwise_step};

static const model_ops model_lightgcn = {.name = "LightGCN",
                                         .propagates = true,
                                         .regularizes = true,
                                         .negatives = true,
                                         .step = pairwise_step};

static const model_ops *const models[] = {&model_bpr, &model_lightgcn, &model_sgl, &model_sgcl,
                                          &model_ials};

static const model_ops *look_up(const char *name)
{
    for (size_t k = 0; k < sizeof models / sizeof *models; k++)
        if (strcmp(name, models[k]->name) == 0) return models[k];
    return NULL;
}

bool cf_model_is_trained(const char *name)
{
    return look_up(name) != NULL;
}

bool cf_model_uses_weights(const char *name)
{
    const model_ops *ops = look_up(name);

    return ops != NULL && ops->weighs;
}

bool cf_model_sweeps(const char *name)
{
    const model_ops *ops = look_up(name);

    return ops != NULL && ops->sweep != NULL;
}

bool cf_model_reads_vectors(const cf_model_options *options)
{
    return model_find_ops(options->name)->read_vectors != NULL && options->prior != CF_PRIOR_NONE;
}

const model_ops *model_find_ops(const char *name)
{
    const model_ops *ops = look_up(name);

    CF_ASSERT(ops != NULL);
    return ops;
}
