/* The build: what the compiler and CMake say of it. CMakeLists.txt gives this file CF_FLAGS and
 * CF_MARCH; the commit changes more often, so main.c alone is compiled with it, and hands it in.
 *
 * The instruction set is told by the compiler's own macros, whatever -march was: levels of x86-64
 * are those of its psABI. */
#include "cf/core.h"

#include <stdio.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#ifndef CF_FLAGS
#define CF_FLAGS "unknown"
#endif
#ifndef CF_MARCH
#define CF_MARCH "unknown"
#endif

#if defined __AVX512F__ && defined __AVX512BW__ && defined __AVX512CD__ && defined __AVX512DQ__ && \
    defined __AVX512VL__
#define LEVEL "x86-64-v4"
#elif defined __AVX2__ && defined __FMA__ && defined __F16C__ && defined __BMI2__
#define LEVEL "x86-64-v3"
#elif defined __SSE4_2__ && defined __POPCNT__
#define LEVEL "x86-64-v2"
#elif defined __x86_64__
#define LEVEL "x86-64"
#elif defined __aarch64__ && defined __ARM_FEATURE_SVE
#define LEVEL "aarch64 with SVE"
#elif defined __aarch64__
#define LEVEL "aarch64"
#else
#define LEVEL "unknown"
#endif

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const char *commit = "unknown";

void cf_build_set_commit(const char *text)
{
    commit = text;
}

cf_build cf_build_facts(void)
{
    return (cf_build){.version = CF_VERSION,
                      .commit = commit,
                      .compiler = COMPILER,
                      .flags = CF_FLAGS,
                      .instruction_set = LEVEL,
                      .march = CF_MARCH};
}

/* That which runs: it has log() and exp(), and kernels of them for the processor. */
const char *cf_build_libc(void)
{
#ifdef __GLIBC__
    static char name[32];

    snprintf(name, sizeof name, "glibc %s", gnu_get_libc_version());
    return name;
#else
    return "unknown";
#endif
}
