/* The machine: which MPI library and which BLAS the ranks run. */
#include "machine.h"

#include "cf/par.h"

#include <ctype.h>
#include <string.h>

/* "Open MPI v4.1.4" and "MPICH Version: 4.0.2" are enough: up to the first comma or end of a line,
 * with one blank for several. `text` is shortened in place. */
static void shorten(char *text)
{
    char *end = text;

    text[strcspn(text, ",\n")] = '\0';
    for (const char *c = text; *c != '\0'; c++)
        if (!isspace((unsigned char)*c))
            *end++ = *c;
        else if (end > text && end[-1] != ' ')
            *end++ = ' ';
    *end = '\0';
}

const char *cf_par_mpi_library(void)
{
    static char name[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;

    MPI_Get_library_version(name, &length);
    shorten(name);
    return name;
}

void cf_par_log_libraries(void)
{
    const cf_blas blas = cf_par_find_blas();

    cf_log("%s, %s%s%s%s", cf_par_mpi_library(), blas.name,
           blas.kernels[0] != '\0' ? " with kernels for " : "", blas.kernels,
           blas.one_thread ? "" : ", whose threads cannot be set from here");
}

bool machine_pages_are_off(const char *root)
{
    char path[512], text[128] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s/kernel/mm/transparent_hugepage/enabled", root);
    file = fopen(path, "r");
    if (file == NULL) return false; /* it cannot be told */
    (void)!fgets(text, sizeof text, file);
    fclose(file);
    return strstr(text, "[never]") != NULL;
}

void cf_par_warn_pages(void)
{
    if (cf_alloc_asks_huge() && machine_pages_are_off(cf_par_system()))
        cf_warn("transparent huge pages are off, so that large tables are read more slowly: "
                "\"madvise\" in /sys/kernel/mm/transparent_hugepage/enabled allows them");
}
