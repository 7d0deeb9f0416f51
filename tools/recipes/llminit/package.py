"""llminit for Spack: tools/recipes/README.md says how to use it."""
from spack_repo.builtin.build_systems.cmake import CMakePackage, generator

from spack.package import *


class Llminit(CMakePackage):
    """Train collaborative-filtering embeddings on any number of MPI ranks, starting from a language model's vectors."""

    # There is no archive to fetch: a clone of the repository on this machine, which "spack develop" or this line names.
    git = "file:///path/to/llminit"

    license("Apache-2.0")

    version("main", branch="main")

    depends_on("c", type="build")
    depends_on("cmake@3.18:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("random123", type="build")
    depends_on("cmocka", type="test")

    depends_on("mpi")
    depends_on("hdf5+mpi~cxx")
    depends_on("blas")
    depends_on("lapack")
    depends_on("scalapack")
    depends_on("metis")
    depends_on("libyaml")
    depends_on("jansson")
    depends_on("xxhash")
    depends_on("zlib-api")
    depends_on("python@3.8:", type="run")
    depends_on("py-pyyaml", type="run")

    generator("ninja")
    conflicts("target=aarch64:", msg="tested on x86-64 alone")

    def cmake_args(self):
        # The processor that Spack builds for, by the name that the compiler has for its level: x86_64_v3 is x86-64-v3.
        return [self.define("CF_ARCH", self.spec.target.generic.name.replace("x86_64", "x86-64").replace("_v", "-v"))]
