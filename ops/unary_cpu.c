/* CPU kernels of the elementwise functions of one input. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"

/* The attributes of affine and pow. */
typedef struct numbers {
    double factor, constant;
} numbers;

#define REEL_EACH_FLOAT "unary_cpu.c"
#include "each_float.h"

#define DEFINE_UNARY(name)                                                                                   \
    void REEL_CPU(name)(const reel_context *ctx, const reel_tensor *x, reel_tensor *y) {                     \
        reel__loop(ctx, 2, (const reel_tensor *[]){y, x}, BY_DTYPE(x->dtype, name##_run), NULL);             \
    }                                                                                                        \
    void REEL_CPU(name##_backward)(const reel_context *ctx, const reel_tensor *value, const reel_tensor *dy, \
                                   reel_tensor *dx, int accumulate) {                                        \
        reel__loop(ctx, 3, (const reel_tensor *[]){dx, value, dy},                                           \
                   accumulate ? BY_DTYPE(dx->dtype, name##_slope_add)                                        \
                              : BY_DTYPE(dx->dtype, name##_slope_set),                                       \
                   NULL);                                                                                    \
    }
DEFINE_UNARY(exp)
DEFINE_UNARY(log)
DEFINE_UNARY(sqrt)
DEFINE_UNARY(rsqrt)
DEFINE_UNARY(sigmoid)
DEFINE_UNARY(tanh)
DEFINE_UNARY(relu)
DEFINE_UNARY(gelu)
DEFINE_UNARY(silu)

void REEL_CPU(affine)(const reel_context *ctx, const reel_tensor *x, double factor, double constant,
                      reel_tensor *y, int accumulate) {
    const numbers a = {factor, constant};
    reel__loop(ctx, 2, (const reel_tensor *[]){y, x},
               accumulate ? BY_DTYPE(x->dtype, affine_add) : BY_DTYPE(x->dtype, affine_set), &a);
}

void REEL_CPU(pow)(const reel_context *ctx, const reel_tensor *x, double exponent, reel_tensor *y) {
    const numbers a = {exponent, 0};
    reel__loop(ctx, 2, (const reel_tensor *[]){y, x}, BY_DTYPE(x->dtype, pow_run), &a);
}

void REEL_CPU(pow_backward)(const reel_context *ctx, const reel_tensor *x, double exponent,
                            const reel_tensor *dy, reel_tensor *dx, int accumulate) {
    const numbers a = {exponent, accumulate};
    reel__loop(ctx, 3, (const reel_tensor *[]){dx, x, dy}, BY_DTYPE(x->dtype, pow_slope_run), &a);
}

#else /* the template: one run of n elements per function */

/* `write` over a run with the strides at hand; the first loop is the one that vectorises. */
#define RUN_OVER_ONE(write)                                                                                  \
    STORED *REEL_RESTRICT y = (STORED *)(void *)at[0];                                                       \
    const STORED *REEL_RESTRICT x = (const STORED *)(const void *)at[1];                                     \
    if (step[0] == 1 && step[1] == 1)                                                                        \
        for (int64_t i = 0; i < n; i++)                                                                      \
            write(y + i, LOAD(x + i));                                                                       \
    else                                                                                                     \
        for (int64_t i = 0; i < n; i++)                                                                      \
            write(y + i * step[0], LOAD(x + i * step[1]));

#define RUN_OVER_TWO(write)                                                                                  \
    STORED *REEL_RESTRICT dx = (STORED *)(void *)at[0];                                                      \
    const STORED *REEL_RESTRICT value = (const STORED *)(const void *)at[1];                                 \
    const STORED *REEL_RESTRICT dy = (const STORED *)(const void *)at[2];                                    \
    if (step[0] == 1 && step[1] == 1 && step[2] == 1)                                                        \
        for (int64_t i = 0; i < n; i++)                                                                      \
            write(dx + i, LOAD(value + i), LOAD(dy + i));                                                    \
    else                                                                                                     \
        for (int64_t i = 0; i < n; i++)                                                                      \
            write(dx + i * step[0], LOAD(value + i * step[1]), LOAD(dy + i * step[2]));

#define UNARY_RUNS(name)                                                                                     \
    static inline void NAME(name##_write)(STORED * y, REAL x) {                                              \
        STORE(y, MATH(name)(x));                                                                             \
    }                                                                                                        \
    static inline void NAME(name##_slope_write)(STORED * dx, REAL value, REAL dy) {                          \
        STORE(dx, dy *MATH(name##_slope)(value));                                                            \
    }                                                                                                        \
    static inline void NAME(name##_slope_more)(STORED * dx, REAL value, REAL dy) {                           \
        STORE(dx, LOAD(dx) + dy * MATH(name##_slope)(value));                                                \
    }                                                                                                        \
    static void NAME(name##_run)(int64_t n, char *const *at, const int64_t *step, const void *arg) {         \
        (void)arg;                                                                                           \
        RUN_OVER_ONE(NAME(name##_write))                                                                     \
    }                                                                                                        \
    static void NAME(name##_slope_set)(int64_t n, char *const *at, const int64_t *step, const void *arg) {   \
        (void)arg;                                                                                           \
        RUN_OVER_TWO(NAME(name##_slope_write))                                                               \
    }                                                                                                        \
    static void NAME(name##_slope_add)(int64_t n, char *const *at, const int64_t *step, const void *arg) {   \
        (void)arg;                                                                                           \
        RUN_OVER_TWO(NAME(name##_slope_more))                                                                \
    }
UNARY_RUNS(exp)
UNARY_RUNS(log)
UNARY_RUNS(sqrt)
UNARY_RUNS(rsqrt)
UNARY_RUNS(sigmoid)
UNARY_RUNS(tanh)
UNARY_RUNS(relu)
UNARY_RUNS(gelu)
UNARY_RUNS(silu)

static void NAME(affine_set)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    const REAL factor = (REAL)((const numbers *)arg)->factor,
               constant = (REAL)((const numbers *)arg)->constant;
#define WRITE(to, v) STORE(to, factor *(v) + constant)
    RUN_OVER_ONE(WRITE)
#undef WRITE
}

static void NAME(affine_add)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    const REAL factor = (REAL)((const numbers *)arg)->factor,
               constant = (REAL)((const numbers *)arg)->constant;
#define WRITE(to, v) STORE(to, LOAD(to) + (factor * (v) + constant))
    RUN_OVER_ONE(WRITE)
#undef WRITE
}

/* Exponents that need no logarithm are told before the loop. */
static void NAME(pow_run)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    const REAL exponent = (REAL)((const numbers *)arg)->factor;
#define SQUARE(to, v) STORE(to, (v) * (v))
#define POWER(to, v)  STORE(to, MATH(pow)(v, exponent))
    if (exponent == 2) {
        RUN_OVER_ONE(SQUARE)
    } else {
        RUN_OVER_ONE(POWER)
    }
#undef SQUARE
#undef POWER
}

static void NAME(pow_slope_run)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    const REAL exponent = (REAL)((const numbers *)arg)->factor;
    const bool accumulate = ((const numbers *)arg)->constant != 0;
#define SQUARE(to, v, g) STORE(to, (accumulate ? LOAD(to) : 0) + (g)*exponent * (v))
#define POWER(to, v, g)  STORE(to, (accumulate ? LOAD(to) : 0) + (g)*exponent * MATH(pow)(v, exponent - 1))
    if (exponent == 2) {
        RUN_OVER_TWO(SQUARE)
    } else {
        RUN_OVER_TWO(POWER)
    }
#undef SQUARE
#undef POWER
}

#undef RUN_OVER_ONE
#undef RUN_OVER_TWO
#undef UNARY_RUNS

#endif
