/* Gated activation, alone and with the products around it. */
#include "blas.h"
#include "gemm_bf16.h"
#include "kernels.h"
#include "product.h"
#include "tape.h"
#include <reel/ops.h>

#include <string.h>

/* y = silu(g) u:   dg += dy u s (1 + g (1 - s)), du += dy g s, s = sigmoid(g) */
static void swiglu_backward(reel_context *ctx, const reel_node *node) {
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    REEL_DISPATCH(ctx, swiglu_backward,
                  (ctx, node->saved[0], (int)node->integer[0], node->grad, dx.to, dx.accumulate));
}

/* Checks x and makes the axis positive; -1 with the error kept. */
static int check_swiglu(reel_context *ctx, const char *op, reel_tensor *x, int axis) {
    if (!reel__check_float(ctx, op, x))
        return -1;
    axis = reel__check_axis(ctx, op, x, axis);
    if (axis < 0 || x->shape[axis] % 2 == 0)
        return axis;
    reel__error(ctx, REEL_ERROR_SHAPE, op, "axis %d of x %s has odd size %lld; gate and up are its halves",
                axis, reel__shape_text(x->rank, x->shape).text, (long long)x->shape[axis]);
    return -1;
}

/* swiglu(x), recorded nowhere. */
static reel_tensor *gated(reel_context *ctx, const reel_tensor *x, int axis) {
    int64_t shape[REEL_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    shape[axis] /= 2;
    reel_tensor *y = reel__result(ctx, x->dtype, x->rank, shape);
    REEL_DISPATCH(ctx, swiglu, (ctx, x, axis, y));
    return y;
}

reel_tensor *reel_swiglu(reel_context *ctx, reel_tensor *x, int axis) {
    axis = check_swiglu(ctx, "swiglu", x, axis);
    if (axis < 0)
        return ctx->void_tensor;
    reel_tensor *y = gated(ctx, x, axis);
    return REEL_RECORD(ctx, y, .op = "swiglu", .backward = swiglu_backward, .inputs = {x}, .saved = {x},
                       .integer = {axis});
}

/* ---- swiglu, then a linear map ------------------------------------------------------------------------- */

/* dx as of swiglu from dh = dy W or W^T dy, dW += dy^T h or dy h^T, summed over all leading axes: the former
 * along the last axis, where y = h W^T, else y = W h. h = swiglu(x) is made again while dx is, in the memory
 * of dh. */
static void swiglu_linear_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *x = node->saved[0], *weight = node->saved[1];
    const reel_tensor *dy = reel__readable(ctx, node->grad);
    const int axis = (int)node->integer[0];
    const bool last = axis == x->rank - 1;
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    reel_tensor *h = NULL;
    if (dx.to) {
        int64_t shape[REEL_MAX_RANK];
        memcpy(shape, x->shape, sizeof shape);
        shape[axis] /= 2;
        h = reel__result(ctx, x->dtype, x->rank, shape);
        if (last)
            reel__multiply(ctx, *dy, *weight, h, false);
        else
            reel__multiply(ctx, reel__transposed(*weight), *dy, h, false);
        REEL_DISPATCH(ctx, swiglu_again_backward, (ctx, x, axis, h, dx.to, dx.accumulate));
    }
    const reel__gradient dw = reel__wide_gradient_of(ctx, node, 1);
    if (!dw.to)
        return;
    h = h ? h : gated(ctx, x, axis);
    if (last)
        reel__multiply(ctx, reel__transposed(*dy), *h, dw.to, dw.accumulate);
    else
        reel__multiply(ctx, *dy, reel__transposed(*h), dw.to, dw.accumulate);
}

/* False, with the error kept, unless weight maps half of x's axis. */
static bool check_weight(reel_context *ctx, const char *op, const reel_tensor *x, reel_tensor *weight,
                         int axis) {
    if (!reel__check_inputs(ctx, op, &weight, 1))
        return false;
    const reel__text x_text = reel__shape_text(x->rank, x->shape);
    if (weight->dtype != x->dtype)
        reel__error(ctx, REEL_ERROR_DTYPE, op, "x is %s, weight %s; cast", reel_dtype_name(x->dtype),
                    reel_dtype_name(weight->dtype));
    else if (x->rank < 2 || axis < x->rank - 2)
        reel__error(ctx, REEL_ERROR_SHAPE, op, "axis %d of x %s must be one of the last two of at least two",
                    axis, x_text.text);
    else if (weight->rank != 2 || weight->shape[1] != x->shape[axis] / 2)
        reel__error(ctx, REEL_ERROR_SHAPE, op, "x %s, weight %s: weight must be [out,%lld], half of axis %d",
                    x_text.text, reel__shape_text(weight->rank, weight->shape).text,
                    (long long)(x->shape[axis] / 2), axis);
    return !reel__failed(ctx);
}

reel_tensor *reel_swiglu_linear(reel_context *ctx, reel_tensor *x, reel_tensor *weight, int axis) {
    const char *const op = "swiglu_linear";
    axis = check_swiglu(ctx, op, x, axis);
    if (axis < 0 || !check_weight(ctx, op, x, weight, axis))
        return ctx->void_tensor;
    int64_t shape[REEL_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    shape[axis] = weight->shape[0];
    reel_tensor *w = reel__readable(ctx, weight);
    reel_tensor *h = gated(ctx, x, axis);
    reel_tensor *y = reel__result(ctx, x->dtype, x->rank, shape);
    if (reel__failed(ctx))
        return ctx->void_tensor;
    if (axis == x->rank - 1)
        reel__multiply(ctx, *h, reel__transposed(*w), y, false);
    else
        reel__multiply(ctx, *w, *h, y, false);
    reel__drop(ctx, h);
    return REEL_RECORD(ctx, y, .op = op, .backward = swiglu_linear_backward, .inputs = {x, weight},
                       .saved = {x, w}, .integer = {axis});
}

/* ---- a whole gated MLP --------------------------------------------------------------------------------- */

static bool check_gated_mlp(reel_context *ctx, const char *op, reel_tensor *x, reel_tensor *up,
                            reel_tensor *down, int axis) {
    if (!reel__check_inputs(ctx, op, (reel_tensor *[]){up, down}, 2))
        return false;
    const reel__text x_text = reel__shape_text(x->rank, x->shape),
                     up_text = reel__shape_text(up->rank, up->shape),
                     down_text = reel__shape_text(down->rank, down->shape);
    if (up->dtype != x->dtype || down->dtype != x->dtype)
        reel__error(ctx, REEL_ERROR_DTYPE, op, "x is %s, up %s, down %s; cast", reel_dtype_name(x->dtype),
                    reel_dtype_name(up->dtype), reel_dtype_name(down->dtype));
    else if (x->rank < 2 || axis < x->rank - 2)
        reel__error(ctx, REEL_ERROR_SHAPE, op, "axis %d of x %s must be one of the last two of at least two",
                    axis, x_text.text);
    else if (up->rank != 2 || up->shape[1] != x->shape[axis] || up->shape[0] % 2 != 0)
        reel__error(ctx, REEL_ERROR_SHAPE, op, "x %s, up %s: up must be [2 inner,%lld], as axis %d has size",
                    x_text.text, up_text.text, (long long)x->shape[axis], axis);
    else if (down->rank != 2 || down->shape[1] != up->shape[0] / 2)
        reel__error(ctx, REEL_ERROR_SHAPE, op, "up %s, down %s: down must be [out,%lld], half of up's rows",
                    up_text.text, down_text.text, (long long)(up->shape[0] / 2));
    return !reel__failed(ctx);
}

/* Gradients as of linear or matmul, then swiglu_linear. */
static reel_tensor *gated_mlp_in_two(reel_context *ctx, reel_tensor *x, reel_tensor *up, reel_tensor *down,
                                     int axis) {
    reel_tensor *gate_up = axis == x->rank - 1 ? reel_linear(ctx, x, up, NULL) : reel_matmul(ctx, up, x);
    return reel_swiglu_linear(ctx, gate_up, down, axis);
}

reel_tensor *reel_gated_mlp(reel_context *ctx, reel_tensor *x, reel_tensor *up, reel_tensor *down, int axis) {
    const char *const op = "gated_mlp";
    if (!reel__check_float(ctx, op, x))
        return ctx->void_tensor;
    axis = reel__check_axis(ctx, op, x, axis);
    if (axis < 0 || !check_gated_mlp(ctx, op, x, up, down, axis))
        return ctx->void_tensor;
    const bool empty = reel_elements(x) == 0 || reel_elements(up) == 0 || reel_elements(down) == 0;
    const bool fused = ctx->device || x->dtype != REEL_BF16 || reel__bf16_ready(ctx);
    if (!fused || empty || reel__records(ctx, (reel_tensor *[]){x, up, down}, 3))
        return gated_mlp_in_two(ctx, x, up, down, axis);
    if (!reel__blas_prepare(ctx, op))
        return ctx->void_tensor;
    int64_t shape[REEL_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    shape[axis] = down->shape[0];
    const reel_tensor *rows = reel__row_major(ctx, x), *up_rows = reel__row_major(ctx, up);
    const reel_tensor *down_rows = reel__row_major(ctx, down);
    reel_tensor *y = reel__result(ctx, x->dtype, x->rank, shape);
    const double inner = (double)reel_elements(x) / (double)x->shape[axis] * (double)down->shape[1];
    reel__profile_flop(ctx, 2 * inner * (double)(2 * x->shape[axis] + down->shape[0]));
    REEL_DISPATCH(ctx, gated_mlp, (ctx, rows, up_rows, down_rows, axis, y));
    return REEL_RECORD(ctx, y, .op = op, .inputs = {x, up, down});
}
