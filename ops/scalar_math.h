/* Scalar functions and their derivatives, for C and CUDA kernels alike.
 *
 * f64 calls libm, which is what proves the gradients. f32 uses polynomials without branches, which the
 * compiler turns into vector code. */
#ifndef REEL_SCALAR_MATH_H
#define REEL_SCALAR_MATH_H

#include <math.h>
#include <stdbool.h>
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
#define REEL__EXP_TO_INTEGER 12582912.0f      /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
#define REEL__EXP_C7         1.9875691500e-4f /* of r^7 */
#define REEL__EXP_C6         1.3981999507e-3f
#define REEL__EXP_C5         8.3334519073e-3f
#define REEL__EXP_C4         4.1665795894e-2f
#define REEL__EXP_C3         1.6666665459e-1f
#define REEL__EXP_C2         5.0000001201e-1f
#define REEL__EXP_POLYNOMIAL(r)                                                                              \
    ((((((REEL__EXP_C7 * (r) + REEL__EXP_C6) * (r) + REEL__EXP_C5) * (r) + REEL__EXP_C4) * (r) +             \
       REEL__EXP_C3) *                                                                                       \
          (r) +                                                                                              \
      REEL__EXP_C2) *                                                                                        \
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

/* ln x with x = 2^n m, m in [sqrt 1/2, sqrt 2), ln m by a polynomial of degree 9 (Cephes logf's
 * coefficients). Error at most 2 ulp. */
REEL_SCALAR float reel__polynomial_log(float x) {
    const float smallest = 1.17549435e-38f,
                larger = 8388608.0f; /* 2^23 brings what is less into the normal */
    const uint32_t sqrt_half = 0x3f3504f3u;
    const float normal = x < smallest ? x * larger : x;
    uint32_t bits; /* differences may wrap around: those of a negative x mean nothing */
    memcpy(&bits, &normal, sizeof bits);
    const int32_t exponent = (int32_t)(bits - sqrt_half) >> 23;
    bits -= (uint32_t)exponent << 23;
    float m;
    memcpy(&m, &bits, sizeof m);
    const float n = (float)exponent - (x < smallest ? 23.0f : 0.0f), f = m - 1, z = f * f;
    float y =
        (((((((7.0376836292e-2f * f - 1.1514610310e-1f) * f + 1.1676998740e-1f) * f - 1.2420140846e-1f) * f +
            1.4249322787e-1f) *
               f -
           1.6668057665e-1f) *
              f +
          2.0000714765e-1f) *
             f -
         2.4999993993e-1f) *
            f +
        3.3333331174e-1f;
    y = y * f * z + n * REEL__EXP_LN2_LOW - 0.5f * z + f + n * REEL__EXP_LN2_HIGH;
    y = x > 0 ? y : x == 0 ? -INFINITY : NAN;
    return x == INFINITY ? x : y;
}

/* tanh x: near 0 by a polynomial (Cephes tanhf's), which keeps the digits of small results, elsewhere
 * 1 - 2 / (e^2|x| + 1). Error at most 2 ulp. */
REEL_SCALAR float reel__polynomial_tanh(float x) {
    const float z = x * x, size = fabsf(x);
    const float near =
        ((((-5.70498872745e-3f * z + 2.06390887954e-2f) * z - 5.37397155531e-2f) * z + 1.33314422036e-1f) *
             z -
         3.33332819422e-1f) *
            z * x +
        x;
    const float far = 1 - 2 / (reel__exp_inside_f32(reel__exp_bounded_f32(2 * size)) + 1);
    const float y = size < 0.625f ? near : copysignf(far, x);
    return x != x ? x : y;
}

/* The normal distribution, for gelu: the density at x times sqrt(2 pi), e^-x^2/2, and what lies beyond |x|,
 * Phi(-|x|), which is that times a polynomial in 1 / (1 + 0.35 |x|), fitted to 3e-8 of it wherever it is a
 * float. */
typedef struct reel__normal {
    float density, beyond;
} reel__normal;

REEL_SCALAR reel__normal reel__normal_of(float x) {
    const float q = 1 / (1 + 0.35f * fabsf(x));
    const float exponent = -0.5f * x * x;
    const float density = reel__exp_inside_f32(exponent > REEL__EXP_SMALLEST ? exponent : REEL__EXP_SMALLEST);
    float p =
        (((-0.0291261505f * q + 0.143873587f) * q - 0.255507261f) * q + 0.158932239f) * q - 0.0229390636f;
    p = (((p * q + 0.105433702f) * q + 0.11985226f) * q + 0.13985911f) * q + 0.139621571f;
    const reel__normal normal = {density, density * p * q};
    return normal;
}

REEL_SCALAR float reel__gelu_f32(float x) {
    const float beyond = reel__normal_of(x).beyond;
    return x * (x < 0 ? beyond : 1 - beyond);
}

REEL_SCALAR float reel__gelu_slope_f32(float x) {
    const reel__normal at = reel__normal_of(x);
    const float y = (x < 0 ? at.beyond : 1 - at.beyond) + x * at.density * 0.39894228f;
    return fabsf(x) > 20 ? (x < 0 ? 0.0f : 1.0f) : x != x ? x : y;
}

/* ln |x| in f64 by its series in (m - 1) / (m + 1), with an error that f32 does not notice; of 0 and infinity
 * a number that is beyond all others. */
REEL_SCALAR double reel__log_of_size(float x) {
    const float smallest = 1.17549435e-38f, larger = 8388608.0f;
    const uint32_t sqrt_half = 0x3f3504f3u;
    const float size = fabsf(x), normal = size < smallest ? size * larger : size;
    uint32_t bits;
    memcpy(&bits, &normal, sizeof bits);
    const int32_t exponent = (int32_t)(bits - sqrt_half) >> 23;
    bits -= (uint32_t)exponent << 23;
    float m;
    memcpy(&m, &bits, sizeof m);
    const double n = (double)((float)exponent - (size < smallest ? 23.0f : 0.0f));
    const double s = ((double)m - 1) / ((double)m + 1), w = s * s;
    const double series =
        1 + w * (1.0 / 3 + w * (1.0 / 5 + w * (1.0 / 7 + w * (1.0 / 9 + w * (1.0 / 11 + w / 13)))));
    const double wide = (double)size;
    double ln = n * 0.69314718055994530942 + 2 * s * series;
    ln = wide == 0 ? -1e300 : ln;
    ln = wide > 3.5e38 ? 1e300 : ln;
    return wide != wide ? wide : ln;
}

/* e^t in f64 by its series, likewise; NaN stays. */
REEL_SCALAR float reel__exp_of_wide(double t) {
    const double most = 200; /* f32 ends long before */
    t = t < -most ? -most : t;
    t = t > most ? most : t;
    const double to_integer = 6755399441055744.0; /* 1.5 * 2^52, as REEL__EXP_TO_INTEGER */
    const double shifted = t * 1.44269504088896340736 + to_integer;
    const double r = t - (shifted - to_integer) * 0.69314718055994530942;
    double p = 1.0 / 24 + r * (1.0 / 120 + r * (1.0 / 720 + r * (1.0 / 5040 + r / 40320)));
    p = 1 + r * (1 + r * (1.0 / 2 + r * (1.0 / 6 + r * p)));
    uint64_t bits, power;
    memcpy(&bits, &p, sizeof bits);
    memcpy(&power, &shifted, sizeof power);
    bits += power << 52;
    memcpy(&p, &bits, sizeof p);
    return (float)p;
}

/* x^e as libm has it, also at its ends. Error at most 1 ulp. What depends on e alone is a number, not a
 * branch, so that a loop over x vectorises. */
REEL_SCALAR float reel__polynomial_pow(float x, float e) {
    const double wide = (double)e, ln = reel__log_of_size(x);
    const float half = 0.5f * e, is_whole = (float)(floorf(e) == e), is_half = (float)(floorf(half) != half);
    const float whole = is_whole / is_whole, odd = 1 - 2 * is_whole * is_half; /* 1 or NaN; 1 or -1 */
    float y = reel__exp_of_wide(wide == 0 || ln == 0 ? 0 : wide * ln);
    y *= copysignf(1, x) < 0 ? odd : 1;
    return y * (x < 0 && x > -INFINITY ? whole : 1);
}

REEL_SCALAR double reel__gelu_f64(double x) {
    return 0.5 * x * (1 + erf(x * 0.70710678118654752440));
}

/* Phi(x) + x phi(x) */
REEL_SCALAR double reel__gelu_slope_f64(double x) {
    const double phi = 0.39894228040143267794 * exp(-0.5 * x * x);
    return 0.5 * (1 + erf(x * 0.70710678118654752440)) + x * phi;
}

#define REEL__SCALAR_MATH(S, real, LOG, SQRT, TANH, POW)                                                     \
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
    }
REEL__SCALAR_MATH(f64, double, log, sqrt, tanh, pow)
REEL__SCALAR_MATH(f32, float, reel__polynomial_log, sqrtf, reel__polynomial_tanh, reel__polynomial_pow)

#endif
