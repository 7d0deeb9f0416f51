/** Inside par: what the watchdog is told of the main thread. All Local; each a few stores. */
#pragma once

#include "cf/par.h"

/** The main thread is in another phase. */
void watch_phase(cf_phase phase);
/** Start to watch, with the default timeout; stop it. */
void watch_start(int rank);
void watch_stop(void);
