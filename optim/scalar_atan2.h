/* The angle of (x, y) for x >= 0, for C and CUDA kernels alike; like scalar_math.h, libm for f64 and a
 * polynomial without branches for f32. */
#ifndef REEL_SCALAR_ATAN2_H
#define REEL_SCALAR_ATAN2_H

#include "scalar_math.h"

REEL_SCALAR double reel__atan2_f64(double y, double x) {
    return atan2(y, x);
}

/* atan2(y, x) for x >= 0. With low and high the smaller and larger of |y| and x, and t = low / high:
 *
 *     t > tan(pi/8)   atan t = pi/4 + atan((low - high) / (low + high)): the polynomial sees |t| < 0.42
 *     |y| > x         atan2 = pi/2 - atan t
 *
 * The polynomial is of degree 9 with the coefficients of Cephes atanf (S. Moshier). Error at most 2.4 ulp;
 * atan2(0, 0) = 0, atan2(y, 0) = +-pi/2, NaN stays. */
REEL_SCALAR float reel__atan2_f32(float y, float x) {
    const float tan_pi_8 = 0.414213562f;
    const float pi_4 = 0.785398185f, pi_4_rest = -2.18556942e-8f; /* to twice the digits */
    const float pi_2 = 1.57079637f, pi_2_rest = -4.37113883e-8f;
    const float size = fabsf(y);
    const float low = size < x ? size : x, high = size < x ? x : size;
    const int steep = low > tan_pi_8 * high;
    const float numerator = steep ? low - high : low;
    const float denominator = steep ? low + high : high;
    const float t = numerator / (denominator == 0 ? 1 : denominator);
    const float z = t * t;
    float p = 8.05374449538e-2f;
    p = p * z - 1.38776856032e-1f;
    p = p * z + 1.99777106478e-1f;
    p = p * z - 3.33329491539e-1f;
    const float small = p * z * t + t;
    const float angle = steep ? pi_4 + (small + pi_4_rest) : small;
    const float upright = (pi_2 - angle) + pi_2_rest;
    return copysignf(size > x ? upright : angle, y);
}

#endif
