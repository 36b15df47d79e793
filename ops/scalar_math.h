/* Scalar functions and their derivatives, for C and CUDA kernels alike.
 *
 * f64 calls libm, which is what proves the gradients. f32 uses polynomials without branches, which the
 * compiler turns into vector code. */
#ifndef REEL_SCALAR_MATH_H
#define REEL_SCALAR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define REEL_SCALAR static __host__ __device__ __forceinline__
#else
#define REEL_SCALAR static inline __attribute__((unused))
#endif

REEL_SCALAR double reel__exp_f64(double x) {
    return exp(x);
}

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2, e^r by a polynomial of degree 6 (Cephes expf's
 * coefficients, S. Moshier). Error at most 2 ulp. Beyond the bounds it would be no normal float. */
#define REEL__EXP_SMALLEST   (-87.33654f)
#define REEL__EXP_LARGEST    88.72283f
#define REEL__EXP_LOG2_E     1.44269504f
#define REEL__EXP_LN2_HIGH   0.693359375f
#define REEL__EXP_LN2_LOW    (-2.12194440e-4f)
#define REEL__EXP_TO_INTEGER 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
#define REEL__EXP_POLYNOMIAL(r)                                                                              \
    ((((((1.9875691500e-4f * (r) + 1.3981999507e-3f) * (r) + 8.3334519073e-3f) * (r) + 4.1665795894e-2f) *   \
           (r) +                                                                                             \
       1.6666665459e-1f) *                                                                                   \
          (r) +                                                                                              \
      5.0000001201e-1f) *                                                                                    \
         (r) * (r) +                                                                                         \
     (r) + 1.0f)

/* p 2^n, n the low bits of `shifted`; those of REEL__EXP_TO_INTEGER above them fall off at the left. */
REEL_SCALAR float reel__times_power_f32(float p, float shifted) {
    int32_t bits, exponent;
    memcpy(&bits, &p, sizeof bits);
    memcpy(&exponent, &shifted, sizeof exponent);
    bits += (int32_t)((uint32_t)exponent << 23);
    memcpy(&p, &bits, sizeof p);
    return p;
}

/* For x inside the bounds. */
REEL_SCALAR float reel__exp_inside_f32(float x) {
    const float shifted = x * REEL__EXP_LOG2_E + REEL__EXP_TO_INTEGER, n = shifted - REEL__EXP_TO_INTEGER;
    const float r = (x - n * REEL__EXP_LN2_HIGH) - n * REEL__EXP_LN2_LOW;
    return reel__times_power_f32(REEL__EXP_POLYNOMIAL(r), shifted);
}

/* NaN becomes a bound. Written as the instructions for minimum and maximum are defined. */
REEL_SCALAR float reel__exp_bounded_f32(float x) {
    const float bounded = x > REEL__EXP_SMALLEST ? x : REEL__EXP_SMALLEST;
    return bounded < REEL__EXP_LARGEST ? bounded : REEL__EXP_LARGEST;
}

REEL_SCALAR float reel__exp_f32(float x) {
    float y = reel__exp_inside_f32(reel__exp_bounded_f32(x));
    y = x < REEL__EXP_SMALLEST ? 0.0f : y;
    y = x > REEL__EXP_LARGEST ? INFINITY : y;
    return x != x ? x : y;
}

/* 1 / (1 + e^-x) as a factor of x: any number where x is not one, less than 10^-38 where that is 0. */
REEL_SCALAR double reel__gate_f64(double x) {
    return 1 / (1 + reel__exp_f64(-x));
}
REEL_SCALAR float reel__gate_f32(float x) {
    return 1 / (1 + reel__exp_inside_f32(reel__exp_bounded_f32(-x)));
}

#define REEL__SCALAR_MATH(S, real, LOG, SQRT, TANH, ERF, POW)                                                \
    REEL_SCALAR real reel__log_##S(real x) {                                                                 \
        return LOG(x);                                                                                       \
    }                                                                                                        \
    REEL_SCALAR real reel__sqrt_##S(real x) {                                                                \
        return SQRT(x);                                                                                      \
    }                                                                                                        \
    REEL_SCALAR real reel__rsqrt_##S(real x) {                                                               \
        return 1 / SQRT(x);                                                                                  \
    }                                                                                                        \
    REEL_SCALAR real reel__pow_##S(real x, real e) {                                                         \
        return POW(x, e);                                                                                    \
    }                                                                                                        \
    REEL_SCALAR real reel__relu_##S(real x) {                                                                \
        return x > 0 ? x : (x == x ? 0 : x); /* NaN stays */                                                 \
    }                                                                                                        \
    /* 1 / (1 + e^-x); e^-x may become infinite, which gives the right 0 */                                  \
    REEL_SCALAR real reel__sigmoid_##S(real x) {                                                             \
        return 1 / (1 + reel__exp_##S(-x));                                                                  \
    }                                                                                                        \
    REEL_SCALAR real reel__silu_##S(real x) {                                                                \
        return x / (1 + reel__exp_##S(-x));                                                                  \
    }                                                                                                        \
    REEL_SCALAR real reel__gelu_##S(real x) {                                                                \
        return (real)0.5 * x * (1 + ERF(x * (real)0.70710678118654752440));                                  \
    }                                                                                                        \
    REEL_SCALAR real reel__tanh_##S(real x) {                                                                \
        return TANH(x);                                                                                      \
    }                                                                                                        \
    /* Derivatives: in the value that the rule saves, x or y as the names say. */                            \
    REEL_SCALAR real reel__exp_slope_##S(real y) {                                                           \
        return y;                                                                                            \
    }                                                                                                        \
    REEL_SCALAR real reel__log_slope_##S(real x) {                                                           \
        return 1 / x;                                                                                        \
    }                                                                                                        \
    REEL_SCALAR real reel__sqrt_slope_##S(real y) {                                                          \
        return (real)0.5 / y;                                                                                \
    }                                                                                                        \
    REEL_SCALAR real reel__rsqrt_slope_##S(real y) {                                                         \
        return (real)-0.5 * y * y * y;                                                                       \
    }                                                                                                        \
    REEL_SCALAR real reel__sigmoid_slope_##S(real y) {                                                       \
        return y * (1 - y);                                                                                  \
    }                                                                                                        \
    REEL_SCALAR real reel__tanh_slope_##S(real y) {                                                          \
        return 1 - y * y;                                                                                    \
    }                                                                                                        \
    REEL_SCALAR real reel__relu_slope_##S(real x) {                                                          \
        return x > 0 ? 1 : 0;                                                                                \
    }                                                                                                        \
    REEL_SCALAR real reel__silu_slope_##S(real x) {                                                          \
        const real s = reel__sigmoid_##S(x);                                                                 \
        return s * (1 + x * (1 - s));                                                                        \
    }                                                                                                        \
    REEL_SCALAR real reel__gelu_slope_##S(real x) {                                                          \
        const real phi = (real)0.39894228040143267794 * reel__exp_##S((real)-0.5 * x * x);                   \
        return (real)0.5 * (1 + ERF(x * (real)0.70710678118654752440)) + x * phi;                            \
    }
REEL__SCALAR_MATH(f64, double, log, sqrt, tanh, erf, pow)
REEL__SCALAR_MATH(f32, float, logf, sqrtf, tanhf, erff, powf)

#endif
