/* Kernels of the elementwise functions of one input. Included by kernels.h alone. */

/* y = f(x); x any, y row-major */
#define REEL_UNARY_KERNEL(name)                                                                              \
    REEL_KERNEL(name, (const reel_context *ctx, const reel_tensor *x, reel_tensor *y))                       \
    /* dx = dy f'(x), where `value` is x or y, whichever f' is written in */                                 \
    REEL_KERNEL(name##_backward, (const reel_context *ctx, const reel_tensor *value, const reel_tensor *dy,  \
                                  reel_tensor *dx, int accumulate))
REEL_UNARY_KERNEL(exp)
REEL_UNARY_KERNEL(log)
REEL_UNARY_KERNEL(sqrt)
REEL_UNARY_KERNEL(rsqrt)
REEL_UNARY_KERNEL(sigmoid)
REEL_UNARY_KERNEL(tanh)
REEL_UNARY_KERNEL(relu)
REEL_UNARY_KERNEL(gelu)
REEL_UNARY_KERNEL(silu)
/* y = factor x + constant, added to y for accumulate */
REEL_KERNEL(affine, (const reel_context *ctx, const reel_tensor *x, double factor, double constant,
                     reel_tensor *y, int accumulate))
/* y = x^exponent; dx = dy exponent x^(exponent - 1) */
REEL_KERNEL(pow, (const reel_context *ctx, const reel_tensor *x, double exponent, reel_tensor *y))
REEL_KERNEL(pow_backward, (const reel_context *ctx, const reel_tensor *x, double exponent,
                           const reel_tensor *dy, reel_tensor *dx, int accumulate))
