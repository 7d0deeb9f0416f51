#include "cf_test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void the_log_names_mpi_and_the_kernels_of_openblas(void **state)
{
    char line[1024] = "";
    const int error = dup(STDERR_FILENO);
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    cf_log_enable(true, false);
    cf_par_log_libraries();
    cf_log_enable(world.rank == 0, false);
    dup2(error, STDERR_FILENO);
    close(error);
    rewind(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_non_null(strstr(line, "Open MPI v"));
    assert_non_null(strstr(line, "OpenBLAS 0."));
    assert_non_null(strstr(line, " with kernels for "));
    fclose(file);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_log_names_mpi_and_the_kernels_of_openblas),
};
CF_TEST_MAIN(tests)
