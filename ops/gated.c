/* Gated activation. */
#include "kernels.h"
#include "tape.h"
#include <reel/ops.h>

#include <string.h>

/* y = silu(g) u, s = sigmoid(g):   dg += dy u s (1 + g (1 - s)),   du += dy g s */
static void swiglu_backward(reel_context *ctx, const reel_node *node) {
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    REEL_DISPATCH(ctx, swiglu_backward,
                  (ctx, node->saved[0], (int)node->integer[0], node->grad, dx.to, dx.accumulate));
}

reel_tensor *reel_swiglu(reel_context *ctx, reel_tensor *x, int axis) {
    if (!reel__check_float(ctx, "swiglu", x))
        return ctx->void_tensor;
    axis = reel__check_axis(ctx, "swiglu", x, axis);
    if (axis < 0)
        return ctx->void_tensor;
    if (x->shape[axis] % 2 != 0) {
        reel__error(ctx, REEL_ERROR_SHAPE, "swiglu",
                    "axis %d of x %s has odd size %lld; gate and up are its halves", axis,
                    reel__shape_text(x->rank, x->shape).text, (long long)x->shape[axis]);
        return ctx->void_tensor;
    }
    int64_t shape[REEL_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    shape[axis] /= 2;
    reel_tensor *y = reel__result(ctx, x->dtype, x->rank, shape);
    REEL_DISPATCH(ctx, swiglu, (ctx, x, axis, y));
    return REEL_RECORD(ctx, y, .op = "swiglu", .backward = swiglu_backward, .inputs = {x}, .saved = {x},
                       .integer = {axis});
}
