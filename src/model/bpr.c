#include "internal.h"

/* Matrix factorization with the BPR loss: the raw tables are the final ones (Rendle et al. 2009).
 */
const model_kind model_bpr = {.name = "BPR", .negatives = true, .step = pairwise_step};
