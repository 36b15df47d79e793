/* softmax and its logarithm along one axis. */
#include "kernels.h"
#include "tape.h"
#include <reel/ops.h>

/* dx += y (dy - sum y dy) */
static void softmax_backward(reel_context *ctx, const reel_node *node) {
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    const reel_tensor *dy = reel__row_major(ctx, node->grad);
    REEL_DISPATCH(ctx, softmax_backward,
                  (ctx, node->saved[0], dy, (int)node->integer[0], dx.to, dx.accumulate));
}

/* dx += dy - e^y sum dy */
static void log_softmax_backward(reel_context *ctx, const reel_node *node) {
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    const reel_tensor *dy = reel__row_major(ctx, node->grad);
    REEL_DISPATCH(ctx, log_softmax_backward,
                  (ctx, node->saved[0], dy, (int)node->integer[0], dx.to, dx.accumulate));
}

/* Along an axis that holds nothing but -infinity the result is NaN: no distribution has these logits. */
#define DEFINE_SOFTMAX(name)                                                                                 \
    reel_tensor *reel_##name(reel_context *ctx, reel_tensor *x, int axis) {                                  \
        if (!reel__check_float(ctx, #name, x))                                                               \
            return ctx->void_tensor;                                                                         \
        axis = reel__check_axis(ctx, #name, x, axis);                                                        \
        if (axis < 0)                                                                                        \
            return ctx->void_tensor;                                                                         \
        reel_tensor *y = reel__result_like(ctx, x);                                                          \
        REEL_DISPATCH(ctx, name, (ctx, x, axis, y));                                                         \
        return REEL_RECORD(ctx, y, .op = #name, .backward = name##_backward, .inputs = {x}, .saved = {y},    \
                           .integer = {axis});                                                               \
    }
DEFINE_SOFTMAX(softmax)
DEFINE_SOFTMAX(log_softmax)
