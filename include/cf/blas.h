/**
 * The routines of BLAS that modules call, by its C interface (BLAS Technical Forum Standard 2001,
 * appendix B). The header of each BLAS has another name, or lies elsewhere; so none is included,
 * and what is called is declared here. Integers are 32 bits.
 *
 * Which BLAS this is: cf_par_find_blas().
 */
#pragma once

typedef enum CBLAS_ORDER { CblasRowMajor = 101, CblasColMajor = 102 } CBLAS_ORDER;
typedef enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112 } CBLAS_TRANSPOSE;
typedef enum CBLAS_UPLO { CblasUpper = 121, CblasLower = 122 } CBLAS_UPLO;
typedef enum CBLAS_DIAG { CblasNonUnit = 131, CblasUnit = 132 } CBLAS_DIAG;
typedef enum CBLAS_SIDE { CblasLeft = 141, CblasRight = 142 } CBLAS_SIDE;

/** gemm: C := alpha op(A) op(B) + beta C, where op(A) is m x k, op(B) k x n.
 *  trsm, with CblasLeft: B := alpha op(A)^-1 B, where A is a triangle of m x m, B m x n. */
#define CF_BLAS_DECLARE(letter, real)                                                              \
    void cblas_##letter##gemm(CBLAS_ORDER order, CBLAS_TRANSPOSE op_a, CBLAS_TRANSPOSE op_b,       \
                              int m, int n, int k, real alpha, const real *a, int lda,             \
                              const real *b, int ldb, real beta, real *c, int ldc);                \
    void cblas_##letter##trsm(CBLAS_ORDER order, CBLAS_SIDE side, CBLAS_UPLO uplo,                 \
                              CBLAS_TRANSPOSE op_a, CBLAS_DIAG diag, int m, int n, real alpha,     \
                              const real *a, int lda, real *b, int ldb)

CF_BLAS_DECLARE(s, float);
CF_BLAS_DECLARE(d, double);
