/** par, private: the energy meters of a node. All Local; by one thread at a time unless it says so.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { ENERGY_DOMAINS = 32 };

/** Open meters. Zeroed, there are none. */
typedef struct energy_meters {
    int count;
    int fd[ENERGY_DOMAINS];
    uint64_t last[ENERGY_DOMAINS];  /* microjoules at the last reading */
    uint64_t range[ENERGY_DOMAINS]; /* the counter begins anew behind this */
} energy_meters;

/** Open the meters of packages and their memory below `root` ("/sys"); false if none can be read.
 */
bool energy_open(const char *root, energy_meters *out);
/** Joules since the last reading. A counter may have begun anew once since. */
double energy_advance(energy_meters *meters);
void energy_close(energy_meters *meters);

/** Joules of this node since cf_par_start_energy(); 0 if this rank has no meters. Any thread. */
double energy_read(void);
