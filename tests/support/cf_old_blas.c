/* Preloaded by tests/end_to_end/environment: an OpenBLAS that took the processor for a Haswell, as
 * old versions take new ones. Each time the program is loaded it prints its number and the
 * variables that its libraries see. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char *openblas_get_corename(void);

char *openblas_get_corename(void)
{
    static char haswell[] = "Haswell";

    return haswell;
}

__attribute__((constructor)) static void print_variables(void)
{
    static const char *const names[] = {"OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE",
                                        "GOMP_SPINCOUNT", "OMPI_MCA_mpi_yield_when_idle"};
    char line[256];
    size_t used = (size_t)snprintf(line, sizeof line, "seen %d", (int)getpid());

    for (size_t k = 0; k < sizeof names / sizeof names[0] && used < sizeof line; k++)
        used += (size_t)snprintf(line + used, sizeof line - used, " %s",
                                 getenv(names[k]) == NULL ? "-" : getenv(names[k]));
    fprintf(stderr, "%s\n", line); /* one write, between those of other ranks */
}
