/* The digests that are known, and what each is known for.
 *
 * What is determined. The compiler fuses nothing that the source does not (-ffp-contract=off), and
 * each sum has a fixed order: so vectors of any length give the same bits, and of the instruction
 * set it only matters whether it has a fused multiply-add, which cf_lanes_fma() then uses. The
 * dataset, ItemKNN (sums of whole numbers) and Pop do not use it. BPR and LightGCN call nothing but
 * sqrt(), which IEEE 754 determines, and exp(), whose last bit the C library does not promise, but
 * which is rounded to float next. All others call BLAS, which sums in an order of its own, and
 * LAPACK: theirs are known for one version with the kernels of some processors.
 *
 * A build prints its digests by
 *
 *     llminit selftest --json | jq -r '.checks[] | [.check, .digest] | @tsv'
 *
 * To renew the table, build with -DCF_ARCH=x86-64-v3 (fused) and x86-64-v2 (separate), and set
 * OPENBLAS_CORETYPE to the first of each list of kernels. */
#include "selftest.h"

#include <string.h>

#define DEBIAN_12 "OpenBLAS 0.3.21"
#define AVX2 "Haswell Zen"
#define AVX512 "SkylakeX Cooperlake"

static const selftest_known rows[] = {
    {"dataset", NULL, NULL, NULL, 0x53da254d4a2dcc94},
    {"ItemKNN", NULL, NULL, NULL, 0x3c8cc423172bb332},
    {"Pop", NULL, NULL, NULL, 0xf2f29666d58bef7d},
    {"BPR", "fused", NULL, NULL, 0xad12e4a4ca6e46ae},
    {"LightGCN", "fused", NULL, NULL, 0x01394fa415569a09},
    {"BPR", "separate", NULL, NULL, 0x6c17d2d5927dd6e5},
    {"LightGCN", "separate", NULL, NULL, 0xfc4a23c657af5ab2},
    {"SGL", "fused", DEBIAN_12, AVX2, 0xac7d9745df05307e},
    {"SGCL", "fused", DEBIAN_12, AVX2, 0x21fff2b838e0f32e},
    {"iALS", "fused", DEBIAN_12, AVX2, 0x5cf95844120d9ce8},
    {"EASE", "fused", DEBIAN_12, AVX2, 0x2d28984b9d91c78f},
    {"L3AE", "fused", DEBIAN_12, AVX2, 0x4f1d510c8066fb19},
    {"ChebyCF", "fused", DEBIAN_12, AVX2, 0x5d1eadc42ae76cf0},
    {"GF-CF", "fused", DEBIAN_12, AVX2, 0x5ca5715aad791b1a},
    {"SGL", "fused", DEBIAN_12, AVX512, 0x6814c5b12c92f571},
    {"SGCL", "fused", DEBIAN_12, AVX512, 0x6018fa34cf2c7ae2},
    {"iALS", "fused", DEBIAN_12, AVX512, 0xfad0d48664e8c073},
    {"EASE", "fused", DEBIAN_12, AVX512, 0x2d28984b9d91c78f},
    {"L3AE", "fused", DEBIAN_12, AVX512, 0x4f1d510c8066fb19},
    {"ChebyCF", "fused", DEBIAN_12, AVX512, 0xb0533ced81b2fe96},
    {"GF-CF", "fused", DEBIAN_12, AVX512, 0x7a7722de302e1191},
};

const selftest_table selftest_all_known = {rows, sizeof rows / sizeof *rows};

const char *selftest_arithmetic(void)
{
#ifdef __FMA__ /* as cf_lanes_fma() asks */
    return "fused";
#else
    return "separate";
#endif
}

/* NULL holds always; else `here` must be one of the `words`. */
static bool is_one_of(const char *words, const char *here, const char *between)
{
    const size_t length = strlen(here);

    for (const char *at = words; at != NULL && *at != '\0'; at += strspn(at, between)) {
        const size_t word = strcspn(at, between);

        if (word == length && strncmp(at, here, length) == 0) return true;
        at += word;
    }
    return words == NULL;
}

const selftest_known *selftest_find(const selftest_table *known, const char *check, cf_blas blas)
{
    for (int k = 0; k < known->count; k++) {
        const selftest_known *row = &known->rows[k];

        if (strcmp(row->check, check) == 0 &&
            is_one_of(row->arithmetic, selftest_arithmetic(), "") &&
            is_one_of(row->blas, blas.name, "") && is_one_of(row->kernels, blas.kernels, " "))
            return row;
    }
    return NULL;
}
