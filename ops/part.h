/* Part of a tensor along one axis, as a header by value: what concat, pad and the rules of narrow write to.
 */
#ifndef REEL_PART_H
#define REEL_PART_H

#include "context.h"

/* x[.., start .. start + length - 1, ..] along the axis; it shows x's memory and holds nothing. */
static inline reel_tensor reel__part(const reel_tensor *x, int axis, int64_t start, int64_t length) {
    reel_tensor part = *x;
    part.shape[axis] = length;
    part.data = (char *)x->data + start * x->stride[axis] * (int64_t)reel_dtype_bytes(x->dtype);
    return part;
}

#endif
