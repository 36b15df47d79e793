/* Reductions over any set of axes. */
#include "kernels.h"
#include "tape.h"
#include <reel/ops.h>

/* ---- axes ---------------------------------------------------------------------------------------------- */

/* Which axes go, one bit each, and how many terms each result has. */
typedef struct reduction {
    unsigned axes;
    int64_t terms;
} reduction;

/* Reads the axes that the caller named, none meaning all; false with the error kept where they are none. */
static bool read_axes(reel_context *ctx, const char *op, const reel_tensor *x, const int *axes, int n_axes,
                      unsigned flags, reduction *r) {
    *r = (reduction){n_axes == 0 ? (1u << x->rank) - 1 : 0, 1};
    if (n_axes < 0 || n_axes > x->rank || (n_axes > 0 && !axes)) {
        reel__error(ctx, REEL_ERROR_ARGUMENT, op, "%d axes%s of a tensor of rank %d %s", n_axes,
                    n_axes > 0 && !axes ? ", given as NULL," : "", x->rank,
                    reel__shape_text(x->rank, x->shape).text);
        return false;
    }
    if (flags & ~(unsigned)REEL_KEEP_AXES) {
        reel__error(ctx, REEL_ERROR_ARGUMENT, op, "unknown flags %#x, REEL_KEEP_AXES is the only one",
                    flags & ~(unsigned)REEL_KEEP_AXES);
        return false;
    }
    for (int i = 0; i < n_axes; i++) {
        const int axis = reel__check_axis(ctx, op, x, axes[i]);
        if (axis < 0)
            return false;
        if (r->axes & 1u << axis) {
            reel__error(ctx, REEL_ERROR_ARGUMENT, op, "axis %d is named twice", axes[i]);
            return false;
        }
        r->axes |= 1u << axis;
    }
    for (int i = 0; i < x->rank; i++)
        r->terms *= r->axes & 1u << i ? x->shape[i] : 1;
    return true;
}

/* A row-major result of x's shape less the reduced axes, or with them of size 1. */
static reel_tensor *result_of(reel_context *ctx, reel_dtype dtype, const reel_tensor *x, reduction r,
                              unsigned flags) {
    int64_t shape[REEL_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (!(r.axes & 1u << i))
            shape[rank++] = x->shape[i];
        else if (flags & REEL_KEEP_AXES)
            shape[rank++] = 1;
    return reel__result(ctx, dtype, rank, shape);
}

/* y, which has x's shape without the reduced axes or with them of size 1, seen with them: of size 1 and
 * stride 0. */
static reel_tensor with_axes(const reel_tensor *y, const reel_tensor *x, unsigned axes) {
    reel_tensor view = *y;
    const bool kept = y->rank == x->rank;
    view.rank = x->rank;
    for (int i = 0, from = 0; i < x->rank; i++) {
        const bool reduced = axes & 1u << i;
        view.shape[i] = reduced ? 1 : x->shape[i];
        view.stride[i] = reduced ? 0 : y->stride[from];
        from += kept || !reduced;
    }
    return view;
}

/* ---- sum and mean -------------------------------------------------------------------------------------- */

/* dx_i += factor dy, repeated along the reduced axes: a view of stride 0. Of sum dx_i += dy, of mean
 * dx_i += dy / n. */
static void sum_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *x = node->in[0];
    const double factor = node->number[0];
    reel_tensor *dy = node->grad;
    if (factor != 1) {
        dy = reel__result_like(ctx, node->grad);
        REEL_DISPATCH(ctx, affine, (ctx, node->grad, factor, 0, dy, 0));
    }
    if (reel__failed(ctx))
        return;
    const reel_tensor view = with_axes(dy, x, (unsigned)node->integer[0]);
    reel__pass_gradient(ctx, node, 0, reel__view(ctx, dy, x->rank, x->shape, view.stride, 0));
}

/* y = factor sum x */
static reel_tensor *sum(reel_context *ctx, const char *op, reel_tensor *x, reduction r, unsigned flags,
                        double factor) {
    reel_tensor *y = result_of(ctx, x->dtype, x, r, flags);
    if (reel_is_void(y))
        return y;
    reel_tensor view = with_axes(y, x, r.axes);
    REEL_DISPATCH(ctx, sum, (ctx, x, factor, &view, 0));
    return REEL_RECORD(ctx, y, .op = op, .backward = sum_backward, .inputs = {x}, .number = {factor},
                       .integer = {r.axes});
}

reel_tensor *reel_sum(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes, unsigned flags) {
    reduction r;
    if (!reel__check_float(ctx, "sum", x) || !read_axes(ctx, "sum", x, axes, n_axes, flags, &r))
        return ctx->void_tensor;
    return sum(ctx, "sum", x, r, flags, 1);
}

/* The mean of no terms is NaN, as 0 / 0 is. */
reel_tensor *reel_mean(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes, unsigned flags) {
    reduction r;
    if (!reel__check_float(ctx, "mean", x) || !read_axes(ctx, "mean", x, axes, n_axes, flags, &r))
        return ctx->void_tensor;
    return sum(ctx, "mean", x, r, flags, 1 / (double)r.terms);
}

/* ---- maximum ------------------------------------------------------------------------------------------- */

/* False, with the error kept, unless there is a maximum and an i32 can tell where it is. */
static bool check_terms(reel_context *ctx, const char *op, const reel_tensor *x, reduction r) {
    if (r.terms > 0 && r.terms <= INT32_MAX)
        return true;
    reel__error(ctx, REEL_ERROR_SHAPE, op, "%lld elements of %s to choose from, must be 1 to %d",
                (long long)r.terms, reel__shape_text(x->rank, x->shape).text, INT32_MAX);
    return false;
}

/* dx[argmax x] += dy */
static void max_backward(reel_context *ctx, const reel_node *node) {
    reel_tensor *dx = reel__partial_gradient_of(ctx, node, 0);
    if (!dx)
        return;
    const unsigned axes = (unsigned)node->integer[0];
    const reel_tensor dy = with_axes(reel__row_major(ctx, node->grad), dx, axes);
    const reel_tensor index = with_axes(node->saved[0], dx, axes);
    REEL_DISPATCH(ctx, max_backward, (ctx, &dy, &index, dx));
}

reel_tensor *reel_max(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes, unsigned flags) {
    reduction r;
    if (!reel__check_float(ctx, "max", x) || !read_axes(ctx, "max", x, axes, n_axes, flags, &r) ||
        !check_terms(ctx, "max", x, r))
        return ctx->void_tensor;
    reel_tensor *y = result_of(ctx, x->dtype, x, r, flags);
    reel_tensor *index = reel_needs_grad(x) ? result_of(ctx, REEL_I32, x, r, flags) : NULL;
    if (reel__failed(ctx))
        return ctx->void_tensor;
    reel_tensor y_view = with_axes(y, x, r.axes);
    reel_tensor index_view = index ? with_axes(index, x, r.axes) : y_view;
    REEL_DISPATCH(ctx, max, (ctx, x, &y_view, index ? &index_view : NULL));
    return REEL_RECORD(ctx, y, .op = "max", .backward = max_backward, .inputs = {x}, .saved = {index},
                       .integer = {r.axes});
}

reel_tensor *reel_argmax(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes, unsigned flags) {
    reduction r;
    if (!reel__check_inputs(ctx, "argmax", &x, 1) || !read_axes(ctx, "argmax", x, axes, n_axes, flags, &r) ||
        !check_terms(ctx, "argmax", x, r))
        return ctx->void_tensor;
    const reel_tensor *values = x;
    if (!reel__is_float(x->dtype)) { /* every integer is a double: one kernel is enough */
        reel_tensor *wide = reel__result(ctx, REEL_F64, x->rank, x->shape);
        if (!reel_is_void(wide))
            reel__copy_values(ctx, wide, x, false);
        values = wide;
    }
    reel_tensor *y = result_of(ctx, REEL_I32, x, r, flags);
    if (reel__failed(ctx))
        return ctx->void_tensor;
    reel_tensor view = with_axes(y, x, r.axes);
    REEL_DISPATCH(ctx, max, (ctx, values, NULL, &view));
    return REEL_RECORD(ctx, y, .op = "argmax");
}
