#include "cf_test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void the_log_names_mpi_and_blas(void **state)
{
    const cf_blas blas = cf_par_find_blas();
    char line[1024] = "", mpi[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length;
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
    MPI_Get_library_version(mpi, &length);
    mpi[strcspn(mpi, " ")] = '\0'; /* "Open" or "MPICH" */
    assert_ptr_equal(strstr(line, mpi), strchr(line, ' ') + 1);
    assert_non_null(strstr(line, blas.name));
    assert_int_equal(strstr(line, " with kernels for ") != NULL, blas.kernels[0] != '\0');
    assert_non_null(strstr(line, blas.kernels));
    assert_int_equal(strstr(line, "threads cannot be set") == NULL, blas.one_thread);
    fclose(file);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_log_names_mpi_and_blas),
};
CF_TEST_MAIN(tests)
