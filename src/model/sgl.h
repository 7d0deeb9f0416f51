/** Private to model: SGL's views, for tests that bring their own. */
#pragma once

#include "internal.h"

/** Fill all layers of view 0 or 1 as `keep` says. Local. */
void sgl_fill_view(cf_model *model, int view, cf_keep *keep, const void *context);
