/** Inside ingest: the paths of the command line. Everything is Local. */
#pragma once

#include "cf/ingest.h"

/** Refuse paths that contradict each other or the options. Errors: USAGE. */
cf_status ingest_check_paths(const cf_ingest_paths *paths, const cf_ingest_options *options);
