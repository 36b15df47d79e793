/* Gated activation, alone and with the products around it. */
#include "blas.h"
#include "gemm_bf16.h"
#include "kernels.h"
#include "loop.h"
#include "part.h"
#include "product.h"
#include "spread.h"
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

/* ---- linear maps along the last axis (rows) or the second to last -------------------------------------- */

/* y = w x for each matrix x, or y = x w^T for rows; set or added */
static void map(reel_context *ctx, bool rows, reel_tensor w, const reel_tensor *x, reel_tensor *y,
                bool accumulate) {
    if (rows)
        reel__multiply(ctx, *x, reel__transposed(w), y, accumulate);
    else
        reel__multiply(ctx, w, *x, y, accumulate);
}

/* dw = dy x^T, or dy^T x for rows, summed over all leading axes; set or added */
static void map_slope(reel_context *ctx, bool rows, const reel_tensor *dy, const reel_tensor *x,
                      reel_tensor *dw, bool accumulate) {
    if (rows)
        reel__multiply(ctx, reel__transposed(*dy), *x, dw, accumulate);
    else
        reel__multiply(ctx, *dy, reel__transposed(*x), dw, accumulate);
}

/* ---- swiglu, then a linear map ------------------------------------------------------------------------- */

/* dx as of swiglu from dh = dy W or W^T dy, dW += dy^T h or dy h^T, summed over all leading axes: the former
 * along the last axis, where y = h W^T, else y = W h. h = swiglu(x) is made again while dx is, in the memory
 * of dh. */
static void swiglu_linear_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *x = node->saved[0], *weight = node->saved[1];
    const reel_tensor *dy = reel__readable(ctx, node->grad);
    const int axis = (int)node->integer[0];
    const bool rows = axis == x->rank - 1;
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    reel_tensor *h = NULL;
    if (dx.to) {
        int64_t shape[REEL_MAX_RANK];
        memcpy(shape, x->shape, sizeof shape);
        shape[axis] /= 2;
        h = reel__result(ctx, x->dtype, x->rank, shape);
        map(ctx, rows, reel__transposed(*weight), dy, h, false);
        REEL_DISPATCH(ctx, swiglu_again_backward, (ctx, x, axis, h, dx.to, dx.accumulate));
    }
    const reel__gradient dw = reel__wide_gradient_of(ctx, node, 1);
    if (!dw.to)
        return;
    h = h ? h : gated(ctx, x, axis);
    map_slope(ctx, rows, dy, h, dw.to, dw.accumulate);
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
    map(ctx, axis == x->rank - 1, *w, h, y, false);
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

/* Row-major x as (outer, n, inner) with n along the axis, or as rows (outer, n) where that is the last. */
static reel_tensor around_axis(const reel_tensor *x, int axis) {
    const reel__axis at = reel__axis_of(x, axis);
    reel_tensor view = {.dtype = x->dtype,
                        .rank = axis == x->rank - 1 ? 2 : 3,
                        .shape = {at.outer, at.n, at.inner},
                        .data = x->data};
    reel__contiguous_strides(view.rank, view.shape, view.stride);
    return view;
}

/* As much of x as is gone through at once: even parts, whose up products fit where they are found again. On a
 * CPU they take no less than the weights and their gradients do, all of which each part reads. */
static int64_t part_of(const reel_context *ctx, const reel_tensor *x, const reel_tensor *up,
                       const reel_tensor *down) {
    enum { CPU_BYTES = 4 << 20, GPU_BYTES = 64 << 20, UNIT = 128 /* rows */ };
    const int64_t element = (int64_t)reel_dtype_bytes(x->dtype);
    const int64_t inner = x->rank == 3 ? x->shape[2] : 1, outer = x->shape[0];
    const int64_t each = up->shape[0] * inner * element, unit = x->rank == 2 ? UNIT : 1;
    const int64_t weights = 2 * (reel_elements(up) + reel_elements(down)) * element;
    const int64_t most = (ctx->device ? GPU_BYTES : weights > CPU_BYTES ? weights : CPU_BYTES) / each;
    const int64_t parts = most > 0 ? (outer + most - 1) / most : outer;
    const int64_t size = ((outer + parts - 1) / parts + unit - 1) / unit * unit;
    return size < outer ? size : outer;
}

/* Memory for a matrix or matrices between the products of a gradient, its rows free to lie where they do not
 * collide. */
static reel_tensor between(reel_context *ctx, reel_dtype dtype, int rank, const int64_t *shape) {
    int64_t spread[REEL_MAX_RANK];
    memcpy(spread, shape, (size_t)rank * sizeof *shape);
    if (!ctx->device)
        spread[rank - 1] = reel__spread_row(dtype, shape[rank - 1]);
    reel_tensor x = *reel__result(ctx, dtype, rank, spread);
    x.shape[rank - 1] = shape[rank - 1];
    return x;
}

enum { SAVED_X, SAVED_UP, SAVED_DOWN, SAVED_GATE_UP /* NULL where it is made again */ };

/* Gradients as of linear or matmul, then swiglu_linear, part by part: with g = up x and h = swiglu(g)
 * dh = down^T dy, dg as of swiglu, dx += up^T dg, dup += dg x^T, ddown += dy h^T. h is made again in the
 * place of dh, and g, where it was not kept, in that of dg. */
static void gated_mlp_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *up = node->saved[SAVED_UP], *down = node->saved[SAVED_DOWN];
    const reel_tensor *gate_up = node->saved[SAVED_GATE_UP];
    const int axis = (int)node->integer[0];
    const bool rows = axis == node->saved[SAVED_X]->rank - 1;
    const reel_tensor x = around_axis(node->saved[SAVED_X], axis);
    const reel_tensor dy = around_axis(reel__row_major(ctx, node->grad), axis);
    const reel__gradient to_x = reel__wide_gradient_of(ctx, node, 0);
    const reel__gradient to_up = reel__wide_gradient_of(ctx, node, 1);
    const reel__gradient to_down = reel__wide_gradient_of(ctx, node, 2);
    const reel_tensor kept = gate_up ? around_axis(gate_up, axis) : (reel_tensor){0};
    const int64_t size = gate_up && ctx->device ? x.shape[0] : part_of(ctx, &x, up, down);
    const reel_tensor all_dg = between(ctx, x.dtype, x.rank, (int64_t[]){size, up->shape[0], x.shape[2]});
    const reel_tensor all_h = between(ctx, x.dtype, x.rank, (int64_t[]){size, down->shape[1], x.shape[2]});
    for (int64_t first = 0, n; first < x.shape[0] && !reel__failed(ctx); first += n) {
        n = x.shape[0] - first < size ? x.shape[0] - first : size;
        const reel_tensor x_part = reel__part(&x, 0, first, n), dy_part = reel__part(&dy, 0, first, n);
        reel_tensor dg = reel__part(&all_dg, 0, 0, n), h = reel__part(&all_h, 0, 0, n);
        const reel_tensor g = gate_up ? reel__part(&kept, 0, first, n) : dg;
        if (!gate_up)
            map(ctx, rows, *up, &x_part, &dg, false);
        map(ctx, rows, reel__transposed(*down), &dy_part, &h, false);
        REEL_DISPATCH(ctx, swiglu_again_backward, (ctx, &g, 1, &h, &dg, 0));
        if (to_x.to) {
            const reel_tensor dx = around_axis(to_x.to, axis);
            reel_tensor dx_part = reel__part(&dx, 0, first, n);
            map(ctx, rows, reel__transposed(*up), &dg, &dx_part, to_x.accumulate);
        }
        if (to_up.to)
            map_slope(ctx, rows, &dg, &x_part, to_up.to, to_up.accumulate || first > 0);
        if (to_down.to)
            map_slope(ctx, rows, &dy_part, &h, to_down.to, to_down.accumulate || first > 0);
    }
}

/* Whether a CPU would have too few blocks for its threads, or such small ones that copying the weights for
 * each costs more than what lies between whole products, which are cut both ways. */
static bool has_few_rows(const reel_context *ctx, const reel_tensor *x, const reel_tensor *up,
                         const reel_tensor *down, int axis) {
    enum { FEW = REEL__MLP_BLOCKS * REEL__MLP_BLOCK_ROWS };
    const int64_t rows = reel_elements(x) / x->shape[axis], inner = down->shape[1];
    const int64_t weights = (reel_elements(up) + reel_elements(down)) * (int64_t)reel_dtype_bytes(x->dtype);
    return !ctx->device && axis == x->rank - 1 && rows < FEW && weights > REEL__MLP_CACHED_BYTES &&
           x->dtype != REEL_BF16 && !reel__bf16_pays(ctx, x->dtype, rows, 2 * inner, x->shape[axis]);
}

/* Sets y and gate_up = up x, each product as a whole. */
static void gated_mlp_in_steps(reel_context *ctx, const reel_tensor *x, const reel_tensor *up,
                               const reel_tensor *down, int axis, reel_tensor *y, reel_tensor *gate_up) {
    const bool rows = axis == x->rank - 1;
    map(ctx, rows, *up, x, gate_up, false);
    reel_tensor *h = gated(ctx, gate_up, axis);
    if (!reel__failed(ctx))
        map(ctx, rows, *down, h, y, false);
    reel__drop(ctx, h);
}

/* Sets y and, unless that is NULL, gate_up = up x, a block at a time. */
static void gated_mlp_in_blocks(reel_context *ctx, const reel_tensor *x, const reel_tensor *up,
                                const reel_tensor *down, int axis, reel_tensor *y, reel_tensor *gate_up) {
    const double inner = (double)reel_elements(x) / (double)x->shape[axis] * (double)down->shape[1];
    reel__profile_flop(ctx, 2 * inner * (double)(2 * x->shape[axis] + down->shape[0]));
    REEL_DISPATCH(ctx, gated_mlp, (ctx, x, up, down, axis, y, gate_up));
}

/* What lies between the products is kept for the gradient where up's would take more than this many
 * multiplications for each of its elements: then it is read sooner than made again. */
enum { MOST_MADE_AGAIN = 100 };

reel_tensor *reel_gated_mlp(reel_context *ctx, reel_tensor *x, reel_tensor *up, reel_tensor *down, int axis) {
    const char *const op = "gated_mlp";
    if (!reel__check_float(ctx, op, x))
        return ctx->void_tensor;
    axis = reel__check_axis(ctx, op, x, axis);
    if (axis < 0 || !check_gated_mlp(ctx, op, x, up, down, axis))
        return ctx->void_tensor;
    if (reel_elements(x) == 0 || reel_elements(up) == 0 || reel_elements(down) == 0) {
        reel_tensor *gate_up = axis == x->rank - 1 ? reel_linear(ctx, x, up, NULL) : reel_matmul(ctx, up, x);
        return reel_swiglu_linear(ctx, gate_up, down, axis);
    }
    if (!reel__blas_prepare(ctx, op))
        return ctx->void_tensor;
    const bool keeps =
        x->shape[axis] > MOST_MADE_AGAIN && reel__records(ctx, (reel_tensor *[]){x, up, down}, 3);
    reel_tensor *const rows = reel__row_major(ctx, x), *const up_rows = reel__row_major(ctx, up);
    reel_tensor *const down_rows = reel__row_major(ctx, down);
    int64_t shape[REEL_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    shape[axis] = down->shape[0];
    reel_tensor *y = reel__result(ctx, x->dtype, x->rank, shape);
    shape[axis] = up->shape[0];
    const bool in_steps = ctx->device ? keeps : has_few_rows(ctx, x, up, down, axis);
    reel_tensor *gate_up = keeps || in_steps ? reel__result(ctx, x->dtype, x->rank, shape) : NULL;
    if (reel__failed(ctx))
        return ctx->void_tensor;
    if (in_steps)
        gated_mlp_in_steps(ctx, rows, up_rows, down_rows, axis, y, gate_up);
    else
        gated_mlp_in_blocks(ctx, rows, up_rows, down_rows, axis, y, gate_up);
    if (in_steps && !keeps)
        reel__drop(ctx, gate_up);
    return REEL_RECORD(ctx, y, .op = op, .backward = gated_mlp_backward, .inputs = {x, up, down},
                       .saved = {rows, up_rows, down_rows, keeps ? gate_up : NULL}, .integer = {axis});
}
