/** par, private: what a node allows. Local. */
#pragma once

#include <stdbool.h>

/** Are transparent huge pages off, by what `root` ("/sys") says? */
bool machine_pages_are_off(const char *root);
