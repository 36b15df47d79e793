/* Elementwise functions of one input. Each is its kernel, its rule and the value the rule is written in. */
#include "kernels.h"
#include "tape.h"
#include <reel/ops.h>

/* dx += dy * slope(value): `value` is the saved input or result, see scalar_math.h */
#define DEFINE_UNARY(name, value)                                                                            \
    static void name##_backward(reel_context *ctx, const reel_node *node) {                                  \
        const reel__gradient dx = reel__gradient_of(ctx, node, 0);                                           \
        REEL_DISPATCH(ctx, name##_backward, (ctx, node->saved[0], node->grad, dx.to, dx.accumulate));        \
    }                                                                                                        \
    reel_tensor *reel_##name(reel_context *ctx, reel_tensor *x) {                                            \
        if (!reel__check_float(ctx, #name, x))                                                               \
            return ctx->void_tensor;                                                                         \
        reel_tensor *y = reel__result_like(ctx, x);                                                          \
        REEL_DISPATCH(ctx, name, (ctx, x, y));                                                               \
        return REEL_RECORD(ctx, y, .op = #name, .backward = name##_backward, .inputs = {x},                  \
                           .saved = {value});                                                                \
    }

DEFINE_UNARY(exp, y)     /* dx += dy y */
DEFINE_UNARY(log, x)     /* dx += dy / x */
DEFINE_UNARY(sqrt, y)    /* dx += dy / (2 y) */
DEFINE_UNARY(rsqrt, y)   /* dx -= dy y^3 / 2 */
DEFINE_UNARY(sigmoid, y) /* dx += dy y (1 - y) */
DEFINE_UNARY(tanh, y)    /* dx += dy (1 - y^2) */
DEFINE_UNARY(relu, x)    /* dx += dy [x > 0] */
DEFINE_UNARY(gelu, x)    /* dx += dy (Phi(x) + x phi(x)) */
DEFINE_UNARY(silu, x)    /* dx += dy s (1 + x (1 - s)), s = sigmoid(x) */

/* dx += factor dy: of neg dx -= dy, of add_scalar dx += dy, for which nothing is copied */
static void affine_backward(reel_context *ctx, const reel_node *node) {
    if (node->number[0] == 1) {
        reel__pass_gradient(ctx, node, 0, node->grad);
        return;
    }
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    REEL_DISPATCH(ctx, affine, (ctx, node->grad, node->number[0], 0, dx.to, dx.accumulate));
}

/* y = factor x + constant, under the name that the user called */
static reel_tensor *affine(reel_context *ctx, const char *op, reel_tensor *x, double factor,
                           double constant) {
    if (!reel__check_float(ctx, op, x))
        return ctx->void_tensor;
    reel_tensor *y = reel__result_like(ctx, x);
    REEL_DISPATCH(ctx, affine, (ctx, x, factor, constant, y, 0));
    return REEL_RECORD(ctx, y, .op = op, .backward = affine_backward, .inputs = {x}, .number = {factor});
}

reel_tensor *reel_neg(reel_context *ctx, reel_tensor *x) {
    return affine(ctx, "neg", x, -1, 0);
}

reel_tensor *reel_scale(reel_context *ctx, reel_tensor *x, double factor) {
    return affine(ctx, "scale", x, factor, 0);
}

reel_tensor *reel_add_scalar(reel_context *ctx, reel_tensor *x, double constant) {
    return affine(ctx, "add_scalar", x, 1, constant);
}

/* dx += dy exponent x^(exponent - 1) */
static void pow_backward(reel_context *ctx, const reel_node *node) {
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    REEL_DISPATCH(ctx, pow_backward,
                  (ctx, node->saved[0], node->number[0], node->grad, dx.to, dx.accumulate));
}

reel_tensor *reel_pow(reel_context *ctx, reel_tensor *x, double exponent) {
    if (!reel__check_float(ctx, "pow", x))
        return ctx->void_tensor;
    reel_tensor *y = reel__result_like(ctx, x);
    REEL_DISPATCH(ctx, pow, (ctx, x, exponent, y));
    return REEL_RECORD(ctx, y, .op = "pow", .backward = pow_backward, .inputs = {x}, .saved = {x},
                       .number = {exponent});
}
