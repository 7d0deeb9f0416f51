/** Private to core: the folders that paths lie in. Everything is Local. */
#pragma once

#include "cf/core.h"

/** Bytes of a path before its last part, with the slash; 0 if it has none. */
size_t folder_length(const char *path);
/** The folder that holds a path, open; -1 and errno on failure. */
int folder_open(const char *path);
/** Write the names in the folder that holds a path to disk. Some file systems cannot, or the folder
 * may not be read: that is no error. Errors: IO. */
cf_status folder_sync(const char *path);
