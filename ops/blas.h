/* The one place that calls a BLAS: a block of a matrix product on the calling thread alone.
 *
 * Kernels cut their work into blocks by shape and dtype and run one block per call, so that the library's own
 * threading never decides the order of a sum. */
#ifndef REEL_BLAS_H
#define REEL_BLAS_H

#include "context.h"

/* A matrix in memory: element (i, j) at data[i * row + j * column], one of the two strides being 1. */
typedef struct reel__matrix {
    const void *data;
    int64_t row, column;
} reel__matrix;

/* Sets the libraries up, once in a process. False, with the error kept, where their buffers find no memory.
 * To be called by an op before its kernel uses what follows. A GPU needs none of it. */
bool reel__blas_prepare(reel_context *ctx, const char *op);

/* Whether a BLAS can read rows x columns with these strides in place. */
bool reel__blas_readable(int64_t rows, int64_t columns, int64_t row, int64_t column);

/* The strides of such a matrix with those of single rows and columns made plain: of the two one is 1, and the
 * other is not less than the size of the axis it steps over. */
void reel__blas_strides(int64_t rows, int64_t columns, int64_t row, int64_t column, int64_t *plain_row,
                        int64_t *plain_column);

/* c (m x n, rows ldc apart) = scale a b, plus what c holds for accumulate. m, n, k >= 1. */
void reel__gemm_f32(int64_t m, int64_t n, int64_t k, float scale, reel__matrix a, reel__matrix b, float *c,
                    int64_t ldc, bool accumulate);
void reel__gemm_f64(int64_t m, int64_t n, int64_t k, double scale, reel__matrix a, reel__matrix b, double *c,
                    int64_t ldc, bool accumulate);

#endif
