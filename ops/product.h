/* Matrix products for the front files of several ops. */
#ifndef REEL_PRODUCT_H
#define REEL_PRODUCT_H

#include "tape.h"

/* c = a b, or c += a b for accumulate. The last two axes of a and b are reel__readable; c lacks, or has of
 * size 1, the leading axes that it is the sum over. */
void reel__multiply(reel_context *ctx, reel_tensor a, reel_tensor b, reel_tensor *c, bool accumulate);

/* x with its last two axes exchanged; a header by value, as nothing in a rule needs a place on the tape. */
reel_tensor reel__transposed(reel_tensor x);

/* x, or a row-major copy of it where a BLAS cannot read its last two axes in place. */
reel_tensor *reel__readable(reel_context *ctx, reel_tensor *x);

#endif
