/* How far apart the rows of a large matrix should lie.
 *
 * Rows a multiple of 2 KiB apart meet in few places of a CPU's cache, which then holds no more than some 512
 * of them (an L2 of 1 MiB in 16 ways). A BLAS copies a factor a few columns at a time, and of a tall one with
 * such rows it finds gone what lay beside those. */
#ifndef REEL_SPREAD_H
#define REEL_SPREAD_H

#include "context.h"

enum { REEL__ROWS_HELD = 512 };

/* Elements from one row of n to the next, for memory that is yet to be laid out: n, or a cache line more. */
static inline int64_t reel__spread_row(reel_dtype dtype, int64_t n) {
    enum { COLLIDING_BYTES = 2048, LINE_BYTES = 64 };
    const int64_t element = (int64_t)reel_dtype_bytes(dtype);
    return n * element % COLLIDING_BYTES == 0 ? n + LINE_BYTES / element : n;
}

#endif
