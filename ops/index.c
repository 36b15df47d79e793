/* Reading and adding at indices. Every index is checked before it is used, also by the rules: the caller may
 * have written other values into an owned tensor since. */
#include "kernels.h"
#include "tape.h"
#include <reel/ops.h>

#include <string.h>

/* ---- checks -------------------------------------------------------------------------------------------- */

/* False, with the error kept, unless all indices (row-major) are in 0 .. limit-1, as far as is known yet. */
static bool check_range(reel_context *ctx, const char *op, const reel_tensor *indices, int64_t limit) {
    REEL_DISPATCH(ctx, check_indices, (ctx, op, indices, limit));
    return !reel__failed(ctx);
}

/* False, with the error kept, unless both can be read and the indices are i32. */
static bool check_pair(reel_context *ctx, const char *op, reel_tensor *x, reel_tensor *indices) {
    if (!reel__check_inputs(ctx, op, (reel_tensor *[]){x, indices}, 2))
        return false;
    if (indices->dtype != REEL_I32)
        reel__error(ctx, REEL_ERROR_DTYPE, op, "indices are %s, must be i32",
                    reel_dtype_name(indices->dtype));
    return !reel__failed(ctx);
}

/* False, with the error kept, unless the indices have x's rank and, but for the axis, no more than its sizes.
 */
static bool check_inside(reel_context *ctx, const char *op, const reel_tensor *x, int axis,
                         const reel_tensor *indices) {
    bool fits = indices->rank == x->rank;
    for (int i = 0; fits && i < x->rank; i++)
        fits = i == axis || indices->shape[i] <= x->shape[i];
    if (!fits)
        reel__error(ctx, REEL_ERROR_SHAPE, op, "indices %s reach beyond x %s outside axis %d",
                    reel__shape_text(indices->rank, indices->shape).text,
                    reel__shape_text(x->rank, x->shape).text, axis);
    return fits;
}

/* ---- sums ---------------------------------------------------------------------------------------------- */

/* Kernels add many terms to one element, which bf16 would lose: they add to f32 (f64 for f64). This is the
 * tensor to add the terms of a gradient to: the destination itself, or zeros for end_sum to bring there. */
static reel_tensor *begin_sum(reel_context *ctx, const reel__gradient *gradient, reel_dtype dtype) {
    reel_tensor *to = gradient->to;
    const bool direct = to->dtype == dtype;
    reel_tensor *sum = direct ? to : reel__result(ctx, dtype, to->rank, to->shape);
    if (!reel__failed(ctx) && !(direct && gradient->accumulate))
        reel__fill_values(ctx, sum, 0);
    return sum;
}

static void end_sum(reel_context *ctx, const reel__gradient *gradient, const reel_tensor *sum) {
    if (!reel__failed(ctx) && sum != gradient->to)
        reel__copy_values(ctx, gradient->to, sum, gradient->accumulate);
}

/* ---- embedding ----------------------------------------------------------------------------------------- */

/* dtable[indices_i] += scale dy_i */
static void embedding_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *indices = node->saved[0];
    const reel__gradient dtable = reel__wide_gradient_of(ctx, node, 0);
    if (!dtable.to || !check_range(ctx, "embedding", indices, dtable.to->shape[0]))
        return;
    const reel_tensor *dy = reel__row_major(ctx, node->grad);
    reel_tensor *sum = begin_sum(ctx, &dtable, reel__wide(dy->dtype));
    REEL_DISPATCH(ctx, embedding_backward, (ctx, indices, node->number[0], dy, sum));
    end_sum(ctx, &dtable, sum);
}

reel_tensor *reel_embedding(reel_context *ctx, reel_tensor *table, reel_tensor *indices, double scale) {
    if (!reel__check_float(ctx, "embedding", table) || !check_pair(ctx, "embedding", table, indices))
        return ctx->void_tensor;
    if (table->rank != 2 || indices->rank == REEL_MAX_RANK) {
        reel__error(ctx, REEL_ERROR_SHAPE, "embedding", "table %s must have 2 axes, indices %s at most %d",
                    reel__shape_text(table->rank, table->shape).text,
                    reel__shape_text(indices->rank, indices->shape).text, REEL_MAX_RANK - 1);
        return ctx->void_tensor;
    }
    indices = reel__row_major(ctx, indices);
    if (!check_range(ctx, "embedding", indices, table->shape[0]))
        return ctx->void_tensor;
    int64_t shape[REEL_MAX_RANK];
    memcpy(shape, indices->shape, sizeof shape);
    shape[indices->rank] = table->shape[1];
    reel_tensor *y = reel__result(ctx, table->dtype, indices->rank + 1, shape);
    REEL_DISPATCH(ctx, embedding, (ctx, table, indices, scale, y));
    return REEL_RECORD(ctx, y, .op = "embedding", .backward = embedding_backward, .inputs = {table},
                       .saved = {indices}, .number = {scale});
}

/* ---- gather -------------------------------------------------------------------------------------------- */

/* dx[indices_i] += dy_i along the axis */
static void gather_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *indices = node->saved[0];
    const int axis = (int)node->integer[0];
    const reel__gradient dx = reel__wide_gradient_of(ctx, node, 0);
    if (!dx.to || !check_range(ctx, "gather", indices, dx.to->shape[axis]))
        return;
    reel_tensor *sum = begin_sum(ctx, &dx, reel__wide(node->grad->dtype));
    REEL_DISPATCH(ctx, scatter_add, (ctx, axis, indices, node->grad, sum));
    end_sum(ctx, &dx, sum);
}

reel_tensor *reel_gather(reel_context *ctx, reel_tensor *x, int axis, reel_tensor *indices) {
    if (!check_pair(ctx, "gather", x, indices))
        return ctx->void_tensor;
    axis = reel__check_axis(ctx, "gather", x, axis);
    if (axis < 0 || !check_inside(ctx, "gather", x, axis, indices))
        return ctx->void_tensor;
    indices = reel__row_major(ctx, indices);
    if (!check_range(ctx, "gather", indices, x->shape[axis]))
        return ctx->void_tensor;
    reel_tensor *y = reel__result(ctx, x->dtype, indices->rank, indices->shape);
    REEL_DISPATCH(ctx, gather, (ctx, x, axis, indices, y));
    return REEL_RECORD(ctx, y, .op = "gather", .backward = gather_backward, .inputs = {x}, .saved = {indices},
                       .integer = {axis});
}

/* ---- scatter_add --------------------------------------------------------------------------------------- */

/* dx += dy, dsource_i += dy[indices_i] along the axis */
static void scatter_add_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *indices = node->saved[0];
    const int axis = (int)node->integer[0];
    reel__pass_gradient(ctx, node, 0, node->grad);
    if (!reel__wants_gradient(node, 1) || !check_range(ctx, "scatter_add", indices, node->grad->shape[axis]))
        return;
    reel_tensor *dsource = reel__result(ctx, node->grad->dtype, indices->rank, indices->shape);
    REEL_DISPATCH(ctx, gather, (ctx, node->grad, axis, indices, dsource));
    reel__pass_gradient(ctx, node, 1, dsource);
}

reel_tensor *reel_scatter_add(reel_context *ctx, reel_tensor *x, int axis, reel_tensor *indices,
                              reel_tensor *source) {
    if (!reel__check_float(ctx, "scatter_add", x) || !check_pair(ctx, "scatter_add", source, indices))
        return ctx->void_tensor;
    axis = reel__check_axis(ctx, "scatter_add", x, axis);
    if (axis < 0 || !check_inside(ctx, "scatter_add", x, axis, indices))
        return ctx->void_tensor;
    if (source->dtype != x->dtype || !reel__same_shape(source, indices)) {
        reel__error(ctx, REEL_ERROR_SHAPE, "scatter_add",
                    "source %s %s must be %s and have indices' shape %s", reel_dtype_name(source->dtype),
                    reel__shape_text(source->rank, source->shape).text, reel_dtype_name(x->dtype),
                    reel__shape_text(indices->rank, indices->shape).text);
        return ctx->void_tensor;
    }
    indices = reel__row_major(ctx, indices);
    if (!check_range(ctx, "scatter_add", indices, x->shape[axis]))
        return ctx->void_tensor;
    reel_tensor *y = reel__result_like(ctx, x);
    const reel_dtype wide = reel__wide(x->dtype);
    reel_tensor *sum = y->dtype == wide ? y : reel__result(ctx, wide, x->rank, x->shape);
    if (!reel__failed(ctx))
        reel__copy_values(ctx, sum, x, false);
    REEL_DISPATCH(ctx, scatter_add, (ctx, axis, indices, source, sum));
    if (!reel__failed(ctx) && sum != y) {
        reel__copy_values(ctx, y, sum, false);
        reel__drop(ctx, sum);
    }
    return REEL_RECORD(ctx, y, .op = "scatter_add", .backward = scatter_add_backward, .inputs = {x, source},
                       .saved = {indices}, .integer = {axis});
}
