# The libraries that the program is built on, as targets: MPI::MPI_C, OpenMP::OpenMP_C, cf_blas, cf_scalapack, cf_hdf5, METIS::METIS
# and those of pkg-config. tools/README.md ("Building elsewhere") has the options that say where they are.
include(CheckCSourceCompiles)
include(CheckFunctionExists)
include(CheckSymbolExists)
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)

# ---- MPI -------------------------------------------------------------------------------------------------------------
# Debian has several side by side: mpicc.mpich starts its programs by mpiexec.mpich.
if(NOT MPI_EXECUTABLE_SUFFIX AND MPI_C_COMPILER MATCHES "mpicc(\\.[a-z]+)$")
  set(MPI_EXECUTABLE_SUFFIX ${CMAKE_MATCH_1})
endif()
find_package(MPI REQUIRED COMPONENTS C)
set(CMAKE_REQUIRED_LIBRARIES MPI::MPI_C)
check_symbol_exists(OPEN_MPI mpi.h CF_OPENMPI)
check_symbol_exists(MPICH_VERSION mpi.h CF_MPICH) # MPICH and what is made of it: MVAPICH, Intel MPI, Cray MPICH
unset(CMAKE_REQUIRED_LIBRARIES)
set(mpi_name mpi)
if(CF_OPENMPI)
  set(mpi_name openmpi)
elseif(CF_MPICH)
  set(mpi_name mpich)
endif()

# cf_check_mpi(WHAT OPTION LIBRARY...): shared libraries that need an MPI must need the one that is linked.
function(cf_check_mpi what option)
  set(ours "")
  foreach(library IN LISTS MPI_C_LIBRARIES)
    get_filename_component(file ${library} REALPATH)
    get_filename_component(file ${file} NAME)
    list(APPEND ours ${file})
  endforeach()
  foreach(library IN LISTS ARGN)
    set(needed "")
    if(CMAKE_OBJDUMP AND library MATCHES "\\.so")
      execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${library} OUTPUT_VARIABLE needed ERROR_QUIET)
    endif()
    if(needed MATCHES "NEEDED +(libmpi(ch)?\\.so[.0-9]*)")
      set(theirs ${CMAKE_MATCH_1})
      string(REPLACE "." "\\." pattern ${theirs})
      if(ours AND NOT ours MATCHES "(^|;)${pattern}")
        message(FATAL_ERROR "${what}: ${library} was built with another MPI (${theirs}) than ${MPI_C_COMPILER} (${ours}): "
          "install the one of this MPI (Debian: lib${what}-${mpi_name}-dev), or say where it is with ${option}")
      endif()
    endif()
  endforeach()
endfunction()

# cf_has_function(OUT FUNCTION TARGET...): in the libraries of the targets? Asked anew when these are others.
function(cf_has_function out function)
  set(CMAKE_REQUIRED_LIBRARIES ${ARGN})
  set(CMAKE_REQUIRED_QUIET ON)
  string(MD5 libraries "${BLAS_LIBRARIES};${LAPACK_LIBRARIES};${CBLAS_LIBRARY};${scalapack}")
  check_function_exists(${function} CF_HAS_${function}_${libraries})
  set(${out} ${CF_HAS_${function}_${libraries}} PARENT_SCOPE)
endfunction()

# ---- BLAS and LAPACK -------------------------------------------------------------------------------------------------
# OpenBLAS where it is there and nothing else is asked for. Integers of 32 bits.
set(BLA_SIZEOF_INTEGER 4)
if("${BLA_VENDOR}$ENV{BLA_VENDOR}${BLAS_LIBRARIES}" STREQUAL "")
  set(BLA_VENDOR OpenBLAS)
  find_package(BLAS QUIET)
  if(NOT BLAS_FOUND)
    unset(BLA_VENDOR)
  endif()
endif()
find_package(BLAS)
if(NOT BLAS_FOUND)
  message(FATAL_ERROR "BLAS not found: install libopenblas-dev, or name its make with -DBLA_VENDOR=... (cmake --help-module "
    "FindBLAS), its folder with -DCMAKE_PREFIX_PATH=..., or its files with -DBLAS_LIBRARIES=... -DLAPACK_LIBRARIES=...")
endif()
add_library(cf_blas INTERFACE IMPORTED)
target_link_libraries(cf_blas INTERFACE BLAS::BLAS)
cf_has_function(has_cblas cblas_sgemm cf_blas)
if(NOT has_cblas) # the reference BLAS has its C interface in a library of its own
  find_library(CBLAS_LIBRARY cblas)
  if(CBLAS_LIBRARY)
    target_link_libraries(cf_blas INTERFACE ${CBLAS_LIBRARY})
    set(CF_CBLAS ${CBLAS_LIBRARY})
    cf_has_function(has_cblas cblas_sgemm cf_blas)
  endif()
endif()
if(NOT has_cblas)
  message(FATAL_ERROR "${BLAS_LIBRARIES} has no C interface (cblas_sgemm): name the library that has it with -DCBLAS_LIBRARY=...")
endif()

# What src/par/blas.c may call.
set(CF_BLAS_DEFINITIONS "")
set(makes FLEXIBLAS OPENBLAS MKL BLIS) # in this order: FlexiBLAS has functions of the others, too
set(functions flexiblas_current_backend openblas_get_corename MKL_CBWR_Set bli_arch_query_id)
foreach(make function IN ZIP_LISTS makes functions)
  if(NOT CF_BLAS_DEFINITIONS)
    cf_has_function(is_it ${function} cf_blas)
    if(is_it)
      set(CF_BLAS_DEFINITIONS CF_BLAS_${make})
    endif()
  endif()
endforeach()

find_package(LAPACK QUIET)
if(LAPACK_FOUND)
  target_link_libraries(cf_blas INTERFACE LAPACK::LAPACK)
else() # of a BLAS without one, as BLIS
  find_library(LAPACK_LIBRARY lapack)
  if(LAPACK_LIBRARY)
    target_link_libraries(cf_blas INTERFACE ${LAPACK_LIBRARY})
  endif()
endif()
cf_has_function(has_lapack dsyevd_ cf_blas)
if(NOT has_lapack)
  message(FATAL_ERROR "LAPACK not found: name its files with -DLAPACK_LIBRARIES=...")
endif()
message(STATUS "BLAS: ${BLAS_LIBRARIES} (${CF_BLAS_DEFINITIONS})")

# ---- ScaLAPACK -------------------------------------------------------------------------------------------------------
# Its CMake package is broken in Debian, and its pkg-config module brings the system's own MPI and BLAS: the file alone is taken.
set(SCALAPACK_LIBRARIES "" CACHE STRING "ScaLAPACK and BLACS, where pkg-config does not know them: files or names")
set(scalapack ${SCALAPACK_LIBRARIES})
foreach(module IN ITEMS scalapack-${mpi_name} scalapack)
  if(NOT scalapack)
    pkg_check_modules(SCALAPACK_${module} QUIET ${module})
    set(scalapack ${SCALAPACK_${module}_LINK_LIBRARIES})
    list(FILTER scalapack INCLUDE REGEX "scalapack|blacs")
  endif()
endforeach()
cf_check_mpi(scalapack -DSCALAPACK_LIBRARIES=... ${scalapack})
add_library(cf_scalapack INTERFACE IMPORTED) # none of its own: that of a compiler wrapper or of the BLAS, as LibSci's
target_link_libraries(cf_scalapack INTERFACE ${scalapack} cf_blas MPI::MPI_C m)
cf_has_function(has_scalapack pdsyevd_ cf_scalapack)
if(NOT has_scalapack)
  message(FATAL_ERROR "ScaLAPACK not found, or it does not link: install libscalapack-${mpi_name}-dev, or name its files with "
    "-DSCALAPACK_LIBRARIES=... (MKL: \"mkl_scalapack_lp64;mkl_blacs_${mpi_name}_lp64\")")
endif()

# ---- HDF5 ------------------------------------------------------------------------------------------------------------
# A plain "hdf5" may be the serial one, or that of another MPI; so it is asked for by the name of the MPI first.
# cf_use_hdf5(NAME INCLUDES LIBRARIES): make cf_hdf5, if this one knows MPI
function(cf_use_hdf5 name includes libraries)
  set(CMAKE_REQUIRED_INCLUDES ${includes})
  set(CMAKE_REQUIRED_LIBRARIES ${libraries} MPI::MPI_C)
  string(MAKE_C_IDENTIFIER "CF_PARALLEL_HDF5_${name}" parallel)
  check_c_source_compiles("
#include <hdf5.h>
#ifndef H5_HAVE_PARALLEL
#error serial
#endif
int main(void) { return H5Pset_fapl_mpio(0, MPI_COMM_WORLD, MPI_INFO_NULL) < 0; }" ${parallel})
  if(${parallel})
    cf_check_mpi(hdf5 -DHDF5_ROOT=FOLDER ${libraries})
    add_library(cf_hdf5 INTERFACE IMPORTED)
    target_include_directories(cf_hdf5 INTERFACE ${includes})
    target_link_libraries(cf_hdf5 INTERFACE ${libraries})
  endif()
endfunction()

if("${HDF5_ROOT}$ENV{HDF5_ROOT}" STREQUAL "")
  foreach(module IN ITEMS hdf5-${mpi_name} hdf5-mpi hdf5)
    if(NOT TARGET cf_hdf5)
      pkg_check_modules(HDF5_${module} QUIET ${module})
      if(HDF5_${module}_FOUND)
        cf_use_hdf5(${module} "${HDF5_${module}_INCLUDE_DIRS}" "${HDF5_${module}_LINK_LIBRARIES}")
      endif()
    endif()
  endforeach()
endif()
if(NOT TARGET cf_hdf5) # by h5pcc, or by HDF5's own CMake package
  set(HDF5_PREFER_PARALLEL TRUE)
  find_package(HDF5 COMPONENTS C)
  if(HDF5_FOUND)
    cf_use_hdf5("${HDF5_C_LIBRARIES}" "${HDF5_C_INCLUDE_DIRS}" "${HDF5_C_LIBRARIES}")
  endif()
endif()
if(NOT TARGET cf_hdf5)
  message(FATAL_ERROR "no HDF5 that was built with MPI: install libhdf5-${mpi_name}-dev, or say with -DHDF5_ROOT=FOLDER where "
    "bin/h5pcc is")
endif()

# ---- The others ------------------------------------------------------------------------------------------------------
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
find_path(RANDOM123_INCLUDE_DIR Random123/philox.h) # headers alone
find_path(METIS_INCLUDE_DIR metis.h) # it has no pkg-config file
find_library(METIS_LIBRARY metis)
foreach(file IN ITEMS RANDOM123_INCLUDE_DIR METIS_INCLUDE_DIR METIS_LIBRARY)
  if(NOT ${file})
    message(FATAL_ERROR "${file} not found: install librandom123-dev and libmetis-dev, or name their folder with "
      "-DCMAKE_PREFIX_PATH=...")
  endif()
endforeach()
add_library(cf_random123 INTERFACE IMPORTED)
target_include_directories(cf_random123 INTERFACE ${RANDOM123_INCLUDE_DIR})
add_library(METIS::METIS UNKNOWN IMPORTED)
set_target_properties(METIS::METIS PROPERTIES
  IMPORTED_LOCATION ${METIS_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${METIS_INCLUDE_DIR})
