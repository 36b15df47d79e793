/* A matrix product on the device, for the kernels that need one.
 *
 * Written twice: gemm_cuda.c, the one place that calls cuBLASLt, and gemm_simulated.c over the host's BLAS.
 */
#ifndef REEL_GEMM_H
#define REEL_GEMM_H

#include "context.h"

/* c = a b, or c += a b for accumulate, for each entry e of a batch: element (i, j) of a lies at
 * a[e * a_batch + i * a_row + j * a_column], one of a_row and a_column being 1, as for a BLAS; so for b; the
 * columns of c (m x n) lie side by side. A factor of all entries has the batch stride 0.
 * All of one type, so that shapes compare as bytes. */
typedef struct reel__gemm_shape {
    int64_t m, n, k, batches;
    int64_t a_row, a_column, a_batch;
    int64_t b_row, b_column, b_batch;
    int64_t c_row, c_batch;
    int64_t dtype, c_dtype; /* f64, f32 or bf16; c likewise, or f32 where a and b are bf16 */
    int64_t accumulate;     /* 0 or 1 */
} reel__gemm_shape;

/* Queues the product. f64 and f32 are summed in their own type, f32 in all of its bits (no TF32, which would
 * keep ten of them and part from the CPU); bf16 is summed in f32 and rounded once. The order of a sum depends
 * on shape, alignment and GPU alone. An error is kept and begins with `op`. */
void reel__gemm(reel_context *ctx, const char *op, const reel__gemm_shape *shape, const void *a,
                const void *b, void *c);

#endif
