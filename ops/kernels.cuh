/* What the CUDA files of the ops are written in: device.cuh and loop.cuh, the kernels' declarations, and the
 * scalar mathematics that they share with the CPU. */
#ifndef REEL_KERNELS_CUH
#define REEL_KERNELS_CUH

#include "kernels.h"
#include "loop.cuh"
#include "scalar_math.h"

/* REEL_MATH(silu, x) is reel__silu_f64 or reel__silu_f32, by the type of x. */
#define REEL_MATH(name, ...) (reel__math_##name(__VA_ARGS__))
#define REEL__MATH_ONE(name)                                                                                 \
    REEL_DEVICE double reel__math_##name(double x) {                                                         \
        return reel__##name##_f64(x);                                                                        \
    }                                                                                                        \
    REEL_DEVICE float reel__math_##name(float x) {                                                           \
        return reel__##name##_f32(x);                                                                        \
    }
REEL__MATH_ONE(exp)
REEL__MATH_ONE(log)
REEL__MATH_ONE(sqrt)
REEL__MATH_ONE(rsqrt)
REEL__MATH_ONE(sigmoid)
REEL__MATH_ONE(tanh)
REEL__MATH_ONE(relu)
REEL__MATH_ONE(gelu)
REEL__MATH_ONE(silu)
REEL__MATH_ONE(gate)
REEL__MATH_ONE(exp_slope)
REEL__MATH_ONE(log_slope)
REEL__MATH_ONE(sqrt_slope)
REEL__MATH_ONE(rsqrt_slope)
REEL__MATH_ONE(sigmoid_slope)
REEL__MATH_ONE(tanh_slope)
REEL__MATH_ONE(relu_slope)
REEL__MATH_ONE(gelu_slope)
REEL__MATH_ONE(silu_slope)
REEL_DEVICE double reel__math_pow(double x, double e) {
    return reel__pow_f64(x, e);
}
REEL_DEVICE float reel__math_pow(float x, float e) {
    return reel__pow_f32(x, e);
}

#endif
