/* CPU kernel of rotary position embedding. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"
#include "rows.h"

/* T tokens, H heads, d head size. */
typedef struct rotary_job {
    const reel_tensor *x; /* (..., T, H, d) */
    const void *cosine, *sine;
    void *y; /* row-major */
    int64_t T, H, d;
    int inverse, accumulate;
} rotary_job;

#define REEL_EACH_FLOAT "rotary_cpu.c"
#include "each_float.h"

void REEL_CPU(rotary)(const reel_context *ctx, const reel_tensor *x, const reel_tensor *cosine,
                      const reel_tensor *sine, int inverse, reel_tensor *y, int accumulate) {
    if (reel_elements(x) == 0)
        return;
    const int64_t *const last = x->shape + x->rank;
    rotary_job job = {x,        cosine->data, sine->data, y->data,   last[-3],
                      last[-2], last[-1],     inverse,    accumulate};
    const int64_t position = job.H * job.d; /* elements */
    reel__parallel_for(ctx, reel_elements(x) / position, reel__rows_per_piece(position),
                       BY_DTYPE(x->dtype, rotary_positions), &job);
}

#else /* the template */

/* One head of d = 2 half elements, or the transpose of that. */
REEL_ALWAYS_INLINE void NAME(rotate)(int64_t half, const STORED *x, const REAL *cosine, const REAL *sine,
                                     STORED *y, int inverse, int accumulate) {
    const STORED *a = x, *b = x + half;
    const REAL *cos_a = cosine, *cos_b = cosine + half, *sin_a = sine, *sin_b = sine + half;
    STORED *y_a = y, *y_b = y + half;
#pragma omp simd
    for (int64_t i = 0; i < half; i++) {
        const REAL p = LOAD(a + i), q = LOAD(b + i);
        const REAL to_a = inverse ? p * cos_a[i] + q * sin_b[i] : p * cos_a[i] - q * sin_a[i];
        const REAL to_b = inverse ? q * cos_b[i] - p * sin_a[i] : q * cos_b[i] + p * sin_b[i];
        STORE(y_a + i, accumulate ? LOAD(y_a + i) + to_a : to_a);
        STORE(y_b + i, accumulate ? LOAD(y_b + i) + to_b : to_b);
    }
}

/* The heads of tokens begin .. end - 1, tokens counted over all leading axes. */
static void NAME(rotary_positions)(int64_t begin, int64_t end, void *arg) {
    const rotary_job *job = arg;
    const reel_tensor *x = job->x;
    const int64_t next_head = x->stride[x->rank - 2];
    for (int64_t position = begin; position < end; position++) {
        const STORED *head = (const STORED *)x->data + reel__row_offset(x, x->rank - 2, position);
        const REAL *cosine = (const REAL *)job->cosine + position % job->T * job->d;
        const REAL *sine = (const REAL *)job->sine + position % job->T * job->d;
        STORED *y = (STORED *)job->y + position * job->H * job->d;
        for (int64_t h = 0; h < job->H; h++, head += next_head, y += job->d)
            if (!job->inverse && !job->accumulate)
                NAME(rotate)(job->d / 2, head, cosine, sine, y, 0, 0);
            else if (!job->inverse)
                NAME(rotate)(job->d / 2, head, cosine, sine, y, 0, 1);
            else if (job->accumulate)
                NAME(rotate)(job->d / 2, head, cosine, sine, y, 1, 1);
            else
                NAME(rotate)(job->d / 2, head, cosine, sine, y, 1, 0);
    }
}

#endif
