/* A batched matrix product as few long ones: what the kernel `matmul` is asked for, with its leading axes
 * merged where memory allows it. */
#ifndef REEL_PRODUCT_PLAN_H
#define REEL_PRODUCT_PLAN_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* c = sum over the sum axes of a b, for every place along the batch axes; all strides in elements. Axis 0 is
 * the innermost. */
typedef struct reel__product {
    reel_dtype dtype, c_dtype; /* f64 or f32; or bf16, with c in f32 or bf16 */
    int64_t m, n, k;
    int64_t a_row, a_column, b_row, b_column, c_row;
    int batch_axes; /* that c has */
    int64_t batch[REEL_MAX_RANK], a_batch[REEL_MAX_RANK], b_batch[REEL_MAX_RANK], c_batch[REEL_MAX_RANK];
    int sum_axes; /* that c does not have */
    int64_t sum[REEL_MAX_RANK], a_sum[REEL_MAX_RANK], b_sum[REEL_MAX_RANK];
    const char *a, *b;
    char *c;
    bool accumulate;
} reel__product;

/* The product that the kernel `matmul` is given. */
reel__product reel__product_of(const reel_tensor *a, const reel_tensor *b, const reel_tensor *c,
                               bool accumulate);

/* How many places some axes have, and where, in elements, the one of an index lies. */
int64_t reel__volume(int axes, const int64_t *size);
int64_t reel__offset(int64_t index, int axes, const int64_t *size, const int64_t *stride);

#ifdef __cplusplus
}
#endif
#endif
