/* CPU kernels of gated activation: elementwise over the two halves, which are views of x. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"
#include "part.h"
#include "rows.h"

#define REEL_EACH_FLOAT "gated_cpu.c"
#include "each_float.h"

void REEL_CPU(swiglu)(const reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *y) {
    const int64_t half = x->shape[axis] / 2;
    const reel_tensor gate = reel__part(x, axis, 0, half), up = reel__part(x, axis, half, half);
    reel__loop(ctx, 3, (const reel_tensor *[]){y, &gate, &up}, BY_DTYPE(x->dtype, swiglu_run), NULL);
}

void REEL_CPU(swiglu_backward)(const reel_context *ctx, const reel_tensor *x, int axis, const reel_tensor *dy,
                               reel_tensor *dx, int accumulate) {
    const int64_t half = x->shape[axis] / 2;
    const reel_tensor gate = reel__part(x, axis, 0, half), up = reel__part(x, axis, half, half);
    const reel_tensor dgate = reel__part(dx, axis, 0, half), dup = reel__part(dx, axis, half, half);
    reel__loop(ctx, 5, (const reel_tensor *[]){&dgate, &dup, &gate, &up, dy},
               accumulate ? BY_DTYPE(x->dtype, swiglu_slope_add) : BY_DTYPE(x->dtype, swiglu_slope_set),
               NULL);
}

void REEL_CPU(swiglu_again_backward)(const reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *dy,
                                     reel_tensor *dx, int accumulate) {
    const int64_t half = x->shape[axis] / 2;
    const reel_tensor gate = reel__part(x, axis, 0, half), up = reel__part(x, axis, half, half);
    const reel_tensor dgate = reel__part(dx, axis, 0, half), dup = reel__part(dx, axis, half, half);
    reel__loop(ctx, 5, (const reel_tensor *[]){&dgate, &dup, &gate, &up, dy},
               accumulate ? BY_DTYPE(x->dtype, swiglu_again_add) : BY_DTYPE(x->dtype, swiglu_again_set),
               NULL);
}

#else /* the template: one run of n elements per function */

/* silu(g) u */
REEL_ALWAYS_INLINE REAL NAME(gated)(REAL g, REAL u) {
    return g * MATH(gate)(g) * u;
}

static void NAME(swiglu_strided)(int64_t n, char *const *at, const int64_t *step) {
    STORED *REEL_RESTRICT y = (STORED *)(void *)at[0];
    const STORED *REEL_RESTRICT gate = (const STORED *)(const void *)at[1];
    const STORED *REEL_RESTRICT up = (const STORED *)(const void *)at[2];
    for (int64_t i = 0; i < n; i++)
        STORE(y + i * step[0], NAME(gated)(LOAD(gate + i * step[1]), LOAD(up + i * step[2])));
}

#ifdef LOAD_VECTOR
REEL_ALWAYS_INLINE void NAME(swiglu_vector)(STORED *y, const STORED *gate, const STORED *up, int64_t n) {
    const reel__vector g = LOAD_VECTOR(gate, n);
    STORE_VECTOR(y, g * reel__v_gate(g) * LOAD_VECTOR(up, n), n);
}

REEL_ALWAYS_INLINE void NAME(swiglu_slope_vector)(STORED *dgate, STORED *dup, const STORED *gate,
                                                  const STORED *up, STORED *dy, int64_t n, int accumulate,
                                                  int again) {
    const reel__vector g = LOAD_VECTOR(gate, n), u = LOAD_VECTOR(up, n), d = LOAD_VECTOR(dy, n);
    const reel__vector one = reel__v_set(1), s = reel__v_gate(g), silu = g * s;
    reel__vector to_gate = d * u * (s * (one + g * (one - s))), to_up = d * silu;
    if (accumulate) {
        to_gate += LOAD_VECTOR(dgate, n);
        to_up += LOAD_VECTOR(dup, n);
    }
    STORE_VECTOR(dgate, to_gate, n);
    STORE_VECTOR(dup, to_up, n);
    if (again)
        STORE_VECTOR(dy, silu * u, n);
}
#endif

static void NAME(swiglu_run)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    (void)arg;
#ifdef LOAD_VECTOR
    if (step[0] == 1 && step[1] == 1 && step[2] == 1) {
        STORED *y = (STORED *)(void *)at[0];
        const STORED *gate = (const STORED *)(const void *)at[1], *up = (const STORED *)(const void *)at[2];
        int64_t i = 0;
        for (; i + REEL__LANES <= n; i += REEL__LANES)
            NAME(swiglu_vector)(y + i, gate + i, up + i, REEL__LANES);
        if (i < n)
            NAME(swiglu_vector)(y + i, gate + i, up + i, n - i);
        return;
    }
#endif
    NAME(swiglu_strided)(n, at, step);
}

/* With `again`, dy becomes silu(g) u. */
REEL_ALWAYS_INLINE void NAME(swiglu_slope)(STORED *dgate, STORED *dup, const STORED *gate, const STORED *up,
                                           STORED *dy, int accumulate, int again) {
    const REAL g = LOAD(gate), u = LOAD(up), d = LOAD(dy), s = MATH(gate)(g);
    const REAL to_gate = d * u * (s * (1 + g * (1 - s))), to_up = d * (g * s);
    STORE(dgate, accumulate ? LOAD(dgate) + to_gate : to_gate);
    STORE(dup, accumulate ? LOAD(dup) + to_up : to_up);
    if (again)
        STORE(dy, NAME(gated)(g, u));
}

REEL_ALWAYS_INLINE void NAME(swiglu_slopes)(int64_t n, char *const *at, const int64_t *step, int accumulate,
                                            int again) {
    STORED *dgate = (STORED *)(void *)at[0], *dup = (STORED *)(void *)at[1];
    const STORED *gate = (const STORED *)(const void *)at[2], *up = (const STORED *)(const void *)at[3];
    STORED *dy = (STORED *)(void *)at[4];
#ifdef LOAD_VECTOR
    if (step[0] == 1 && step[1] == 1 && step[2] == 1 && step[3] == 1 && step[4] == 1) {
        int64_t i = 0;
        for (; i + REEL__LANES <= n; i += REEL__LANES)
            NAME(swiglu_slope_vector)
        (dgate + i, dup + i, gate + i, up + i, dy + i, REEL__LANES, accumulate, again);
        if (i < n)
            NAME(swiglu_slope_vector)
        (dgate + i, dup + i, gate + i, up + i, dy + i, n - i, accumulate, again);
        return;
    }
#endif
    for (int64_t i = 0; i < n;
         i++, dgate += step[0], dup += step[1], gate += step[2], up += step[3], dy += step[4])
        NAME(swiglu_slope)(dgate, dup, gate, up, dy, accumulate, again);
}

static void NAME(swiglu_slope_set)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    (void)arg;
    NAME(swiglu_slopes)(n, at, step, 0, 0);
}

static void NAME(swiglu_slope_add)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    (void)arg;
    NAME(swiglu_slopes)(n, at, step, 1, 0);
}

static void NAME(swiglu_again_set)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    (void)arg;
    NAME(swiglu_slopes)(n, at, step, 0, 1);
}

static void NAME(swiglu_again_add)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    (void)arg;
    NAME(swiglu_slopes)(n, at, step, 1, 1);
}

#endif
