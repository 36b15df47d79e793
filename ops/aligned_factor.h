/* Factors of products as tensor cores like them. */
#ifndef REEL_ALIGNED_FACTOR_H
#define REEL_ALIGNED_FACTOR_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { REEL__VECTOR_BYTES = 16 }; /* what the copies of tensor cores take at once */

static inline int64_t reel__round_up(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* Shows in `aligned` the factor x of a product with `other`, on a GPU: x itself, or a copy in storage that
 * the caller releases, where x is of bf16, one matrix (its leading axes broadcast), small, and its rows do
 * not begin at multiples of 16 bytes, as of a weight with 97 columns: the fast paths of tensor cores take no
 * such rows. Returns NULL where there is no copy, or no memory, with the error kept. */
reel__storage *reel__aligned_factor(reel_context *ctx, const reel_tensor *x, const reel_tensor *other,
                                    reel_tensor *aligned);

#ifdef __cplusplus
}
#endif
#endif
