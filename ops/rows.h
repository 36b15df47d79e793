/* What kernels that go row by row share. */
#ifndef REEL_ROWS_H
#define REEL_ROWS_H

#include "scalar_math.h"
#include <reel/tensor.h>

/* A loop body written once and compiled for each constant argument, so that no branch stays in the loop. */
#define REEL_ALWAYS_INLINE static inline __attribute__((always_inline))

/* How many rows of n elements a thread takes at once: about as much work as pays for waking it. */
static inline int64_t reel__rows_per_piece(int64_t n) {
    const int64_t piece = 1 << 14;
    return n <= 1 ? piece : n < piece ? piece / n : 1;
}

/* Where row `row`, counted row-major over the first `axes` axes of x, begins: elements behind the first. */
REEL_SCALAR int64_t reel__row_offset(const reel_tensor *x, int axes, int64_t row) {
    int64_t offset = 0;
    for (int axis = axes - 1; axis >= 0; axis--) {
        offset += row % x->shape[axis] * x->stride[axis];
        row /= x->shape[axis];
    }
    return offset;
}

#endif
