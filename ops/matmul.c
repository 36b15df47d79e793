/* Matrix products. A product's two gradients are again products, with one factor transposed:
 *
 *     c = a b:   da += dc b^T,   db += a^T dc
 *
 * and where a factor was broadcast along a leading axis its gradient is the sum over that axis, which the
 * kernel forms when the destination's stride there is 0. */
#include "blas.h"
#include "broadcast.h"
#include "kernels.h"
#include "loop.h"
#include "product.h"
#include "tape.h"
#include <reel/ops.h>

#include <limits.h>
#include <string.h>

reel_tensor reel__transposed(reel_tensor x) {
    const int last = x.rank - 1;
    const int64_t shape = x.shape[last], stride = x.stride[last];
    x.shape[last] = x.shape[last - 1];
    x.stride[last] = x.stride[last - 1];
    x.shape[last - 1] = shape;
    x.stride[last - 1] = stride;
    return x;
}

/* x with the leading axes given, its last two axes its own. */
static reel_tensor with_batch(const reel_tensor *x, const reel__shape *batch) {
    int64_t full[REEL_MAX_RANK];
    memcpy(full, batch->size, (size_t)batch->rank * sizeof *full);
    memcpy(full + batch->rank, x->shape + x->rank - 2, 2 * sizeof *full);
    return reel__broadcast(x, batch->rank + 2, full);
}

reel_tensor *reel__readable(reel_context *ctx, reel_tensor *x) {
    const int last = x->rank - 1;
    if (reel__blas_readable(x->shape[last - 1], x->shape[last], x->stride[last - 1], x->stride[last]))
        return x;
    return reel__row_major(ctx, x);
}

/* The leading axes of a b: those of a and b broadcast. False, with the error kept, where they do not. */
static bool leading_axes(reel_context *ctx, reel_tensor a, reel_tensor b, reel__shape *shape) {
    a.rank -= 2;
    b.rank -= 2;
    *shape = (reel__shape){.rank = 0};
    return reel__broadcast_with(ctx, "matmul", shape, &a) && reel__broadcast_with(ctx, "matmul", shape, &b);
}

void reel__multiply(reel_context *ctx, reel_tensor a, reel_tensor b, reel_tensor *c, bool accumulate) {
    reel__shape batch;
    if (reel__failed(ctx) || reel_elements(c) == 0 || !leading_axes(ctx, a, b, &batch) ||
        !reel__blas_prepare(ctx, "matmul"))
        return;
    if (reel_elements(&a) == 0 || reel_elements(&b) == 0) { /* a sum of no terms */
        if (!accumulate)
            reel__fill_values(ctx, c, 0);
        return;
    }
    const reel_tensor a_full = with_batch(&a, &batch), b_full = with_batch(&b, &batch);
    reel_tensor c_full = with_batch(c, &batch);
    double products = (double)a.shape[a.rank - 2] * (double)a.shape[a.rank - 1] * (double)b.shape[b.rank - 1];
    for (int i = 0; i < batch.rank; i++)
        products *= (double)batch.size[i];
    reel__profile_flop(ctx, 2 * products);
    REEL_DISPATCH(ctx, matmul, (ctx, &a_full, &b_full, &c_full, accumulate));
}

/* da += dc b^T, db += a^T dc; summed over the axes along which a or b was broadcast */
static void matmul_backward(reel_context *ctx, const reel_node *node) {
    reel_tensor *dc = reel__readable(ctx, node->grad);
    const reel_tensor *a = node->saved[0], *b = node->saved[1];
    const reel__gradient da = reel__wide_gradient_of(ctx, node, 0);
    if (da.to)
        reel__multiply(ctx, *dc, reel__transposed(*b), da.to, da.accumulate);
    const reel__gradient db = reel__wide_gradient_of(ctx, node, 1);
    if (db.to)
        reel__multiply(ctx, reel__transposed(*a), *dc, db.to, db.accumulate);
}

/* The shape of a b, or false with the error kept. */
static bool product_shape(reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel__shape *shape) {
    const reel__text a_text = reel__shape_text(a->rank, a->shape),
                     b_text = reel__shape_text(b->rank, b->shape);
    if (a->dtype != b->dtype)
        reel__error(ctx, REEL_ERROR_DTYPE, "matmul", "a is %s, b is %s; cast one", reel_dtype_name(a->dtype),
                    reel_dtype_name(b->dtype));
    else if (a->rank < 2 || b->rank < 2)
        reel__error(ctx, REEL_ERROR_SHAPE, "matmul", "a %s x b %s: both need at least two axes", a_text.text,
                    b_text.text);
    else if (a->shape[a->rank - 1] != b->shape[b->rank - 2])
        reel__error(ctx, REEL_ERROR_SHAPE, "matmul", "a %s x b %s: inner sizes %lld and %lld must match",
                    a_text.text, b_text.text, (long long)a->shape[a->rank - 1],
                    (long long)b->shape[b->rank - 2]);
    if (reel__failed(ctx) || !leading_axes(ctx, *a, *b, shape))
        return false;
    const int64_t m = a->shape[a->rank - 2], k = a->shape[a->rank - 1], n = b->shape[b->rank - 1];
    if (m > INT_MAX || n > INT_MAX || k > INT_MAX)
        reel__error(ctx, REEL_ERROR_SHAPE, "matmul", "a %s x b %s: a size exceeds what a BLAS can count",
                    a_text.text, b_text.text);
    shape->size[shape->rank++] = m;
    shape->size[shape->rank++] = n;
    return !reel__failed(ctx);
}

reel_tensor *reel_matmul(reel_context *ctx, reel_tensor *a, reel_tensor *b) {
    reel__shape shape;
    if (!reel__check_float(ctx, "matmul", a) || !reel__check_float(ctx, "matmul", b) ||
        !product_shape(ctx, a, b, &shape))
        return ctx->void_tensor;
    reel_tensor *const a_read = reel__readable(ctx, a), *const b_read = reel__readable(ctx, b);
    reel_tensor *c = reel__result(ctx, a->dtype, shape.rank, shape.size);
    reel__multiply(ctx, *a_read, *b_read, c, false);
    return REEL_RECORD(ctx, c, .op = "matmul", .backward = matmul_backward, .inputs = {a, b},
                       .saved = {a_read, b_read});
}

/* ---- linear -------------------------------------------------------------------------------------------- */

/* dx += dy W, dW += dy^T x, db += sum dy; the last two summed over all leading axes */
static void linear_backward(reel_context *ctx, const reel_node *node) {
    reel_tensor *dy = reel__readable(ctx, node->grad);
    const reel_tensor *x = node->saved[0], *weight = node->saved[1];
    const reel__gradient dx = reel__wide_gradient_of(ctx, node, 0);
    if (dx.to)
        reel__multiply(ctx, *dy, *weight, dx.to, dx.accumulate);
    const reel__gradient dw = reel__wide_gradient_of(ctx, node, 1);
    if (dw.to)
        reel__multiply(ctx, reel__transposed(*dy), *x, dw.to, dw.accumulate);
    const reel__gradient db = reel__wide_gradient_of(ctx, node, 2);
    if (db.to)
        REEL_DISPATCH(ctx, sum, (ctx, dy, 1, db.to, db.accumulate));
}

static bool check_linear(reel_context *ctx, reel_tensor *x, reel_tensor *weight, reel_tensor *bias) {
    reel_tensor *const inputs[] = {x, weight, bias};
    if (!reel__check_inputs(ctx, "linear", inputs, bias ? 3 : 2) || !reel__check_float(ctx, "linear", x))
        return false;
    const reel__text x_text = reel__shape_text(x->rank, x->shape);
    if (weight->dtype != x->dtype || (bias && bias->dtype != x->dtype))
        reel__error(ctx, REEL_ERROR_DTYPE, "linear", "x is %s, weight %s, bias %s; cast",
                    reel_dtype_name(x->dtype), reel_dtype_name(weight->dtype),
                    bias ? reel_dtype_name(bias->dtype) : "absent");
    else if (weight->rank != 2 || x->rank < 1 || x->shape[x->rank - 1] != weight->shape[1])
        reel__error(ctx, REEL_ERROR_SHAPE, "linear",
                    "x %s, weight %s: weight must be [out,in] with x's last size in", x_text.text,
                    reel__shape_text(weight->rank, weight->shape).text);
    else if (bias && (bias->rank != 1 || bias->shape[0] != weight->shape[0]))
        reel__error(ctx, REEL_ERROR_SHAPE, "linear", "bias %s must be [%lld], as weight has outputs",
                    reel__shape_text(bias->rank, bias->shape).text, (long long)weight->shape[0]);
    return !reel__failed(ctx);
}

reel_tensor *reel_linear(reel_context *ctx, reel_tensor *x, reel_tensor *weight, reel_tensor *bias) {
    if (!check_linear(ctx, x, weight, bias))
        return ctx->void_tensor;
    if (x->rank == 1) { /* a vector is a matrix of one row */
        reel_tensor *row = reel_reshape(ctx, x, REEL_SHAPE(1, x->shape[0]));
        return reel_reshape(ctx, reel_linear(ctx, row, weight, bias), REEL_SHAPE(weight->shape[0]));
    }
    reel_tensor *const x_read = reel__readable(ctx, x), *const w_read = reel__readable(ctx, weight);
    int64_t shape[REEL_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->rank - 1] = weight->shape[0];
    reel_tensor *y = reel__result(ctx, x->dtype, x->rank, shape);
    if (bias && !reel__failed(ctx)) {
        const reel_tensor rows = reel__broadcast(bias, y->rank, y->shape);
        reel__copy_values(ctx, y, &rows, false);
    }
    reel__multiply(ctx, *x_read, reel__transposed(*w_read), y, bias != NULL);
    return REEL_RECORD(ctx, y, .op = "linear", .backward = linear_backward, .inputs = {x, weight, bias},
                       .saved = {x_read, w_read});
}
