/* src/core/log.c, where the program's clock is, with the simulation's. */
#include "clock.h"
#undef clock_gettime
#define clock_gettime clock_read
#include "core/log.c"
