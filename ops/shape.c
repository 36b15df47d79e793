/* Views: results that share their input's memory under another shape. Their gradients are, where the view
 * leaves nothing out, views of the result's gradient, and so cost nothing either. */
#include "broadcast.h"
#include "loop.h"
#include "part.h"
#include "tape.h"
#include <reel/ops.h>

/* ---- reshape ------------------------------------------------------------------------------------------- */

/* Strides under which x's memory shows another shape of as many elements; false where there are none.
 *
 * x's axes, from the last, form runs that lie evenly in memory. A new axis must lie within one run: if it
 * takes the run's next `size` elements, its stride is the run's step times the elements taken before it. */
static bool view_strides(const reel_tensor *x, int rank, const int64_t *shape, int64_t *stride) {
    reel__contiguous_strides(rank, shape, stride);
    if (reel_is_contiguous(x))
        return true;
    int64_t size[REEL_MAX_RANK], step[REEL_MAX_RANK];
    int runs = 0;
    for (int i = x->rank - 1; i >= 0; i--) {
        if (x->shape[i] == 1)
            continue;
        if (runs > 0 && x->stride[i] == step[runs - 1] * size[runs - 1]) {
            size[runs - 1] *= x->shape[i];
        } else {
            size[runs] = x->shape[i];
            step[runs++] = x->stride[i];
        }
    }
    int run = 0;
    int64_t taken = 1;
    for (int i = rank - 1; i >= 0; i--) {
        if (shape[i] == 1)
            continue;
        if (taken == size[run]) {
            run++;
            taken = 1;
        }
        stride[i] = step[run] * taken;
        taken *= shape[i];
        if (size[run] % taken != 0)
            return false;
    }
    return true;
}

/* x in another shape of as many elements: a view where one exists, a copy otherwise. Records nothing. */
static reel_tensor *reshaped(reel_context *ctx, reel_tensor *x, int rank, const int64_t *shape) {
    int64_t stride[REEL_MAX_RANK];
    if (!view_strides(x, rank, shape, stride)) {
        x = reel__row_major(ctx, x);
        reel__contiguous_strides(rank, shape, stride);
    }
    return reel__view(ctx, x, rank, shape, stride, 0);
}

/* dx += dy in x's shape */
static void reshape_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *x = node->in[0];
    reel__pass_gradient(ctx, node, 0, reshaped(ctx, node->grad, x->rank, x->shape));
}

/* Copies the shape into `full` with its -1 replaced; false, with the error kept, when x does not fit it. */
static bool fit_shape(reel_context *ctx, const reel_tensor *x, int rank, const int64_t *shape,
                      int64_t *full) {
    if (rank < 0 || rank > REEL_MAX_RANK) {
        reel__error(ctx, REEL_ERROR_SHAPE, "reshape", "rank %d is not in 0 .. %d", rank, REEL_MAX_RANK);
        return false;
    }
    int inferred = -1;
    for (int i = 0; i < rank; i++) {
        full[i] = shape[i];
        if (shape[i] == -1 && inferred < 0) {
            inferred = i;
            full[i] = 1;
        }
    }
    const int64_t count = reel_elements(x), known = reel__count(x->dtype, rank, full);
    if (inferred < 0 && known == count)
        return true;
    if (inferred >= 0 && known > 0 && count % known == 0) {
        full[inferred] = count / known;
        return true;
    }
    reel__error(ctx, REEL_ERROR_SHAPE, "reshape", "%s has %lld elements, %s does not",
                reel__shape_text(x->rank, x->shape).text, (long long)count,
                reel__shape_text(rank, shape).text);
    return false;
}

reel_tensor *reel_reshape(reel_context *ctx, reel_tensor *x, int rank, const int64_t *shape) {
    int64_t full[REEL_MAX_RANK];
    if (!reel__check_inputs(ctx, "reshape", &x, 1) || !fit_shape(ctx, x, rank, shape, full))
        return ctx->void_tensor;
    reel_tensor *y = reshaped(ctx, x, rank, full);
    return REEL_RECORD(ctx, y, .op = "reshape", .backward = reshape_backward, .inputs = {x});
}

/* ---- transpose and permute ----------------------------------------------------------------------------- */

/* The view whose axis i is x's axis axes[i]. Records nothing. */
static reel_tensor *permuted(reel_context *ctx, const reel_tensor *x, const int *axes) {
    int64_t shape[REEL_MAX_RANK], stride[REEL_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        shape[i] = x->shape[axes[i]];
        stride[i] = x->stride[axes[i]];
    }
    return reel__view(ctx, x, x->rank, shape, stride, 0);
}

/* dx += dy with its axes put back: axis axes[i] of dx is axis i of dy */
static void permute_backward(reel_context *ctx, const reel_node *node) {
    int inverse[REEL_MAX_RANK];
    for (int i = 0; i < node->grad->rank; i++)
        inverse[node->integer[i]] = i;
    reel__pass_gradient(ctx, node, 0, permuted(ctx, node->grad, inverse));
}

static reel_tensor *permute(reel_context *ctx, const char *op, reel_tensor *x, const int *axes) {
    reel_tensor *y = permuted(ctx, x, axes);
    reel_record record = {.op = op, .backward = permute_backward, .inputs = {x}};
    for (int i = 0; i < x->rank; i++)
        record.integer[i] = axes[i];
    return reel__record(ctx, y, &record);
}

reel_tensor *reel_transpose(reel_context *ctx, reel_tensor *x, int axis_a, int axis_b) {
    if (!reel__check_inputs(ctx, "transpose", &x, 1))
        return ctx->void_tensor;
    const int a = reel__check_axis(ctx, "transpose", x, axis_a);
    const int b = reel__check_axis(ctx, "transpose", x, axis_b);
    if (reel__failed(ctx))
        return ctx->void_tensor;
    int axes[REEL_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        axes[i] = i == a ? b : i == b ? a : i;
    return permute(ctx, "transpose", x, axes);
}

reel_tensor *reel_permute(reel_context *ctx, reel_tensor *x, const int *axes) {
    if (!reel__check_inputs(ctx, "permute", &x, 1))
        return ctx->void_tensor;
    int positive[REEL_MAX_RANK];
    unsigned seen = 0;
    for (int i = 0; i < x->rank; i++) {
        positive[i] = reel__check_axis(ctx, "permute", x, axes[i]);
        if (positive[i] < 0)
            return ctx->void_tensor;
        if (seen & 1u << positive[i]) {
            reel__error(ctx, REEL_ERROR_SHAPE, "permute", "axis %d of %s is named twice", positive[i],
                        reel__shape_text(x->rank, x->shape).text);
            return ctx->void_tensor;
        }
        seen |= 1u << positive[i];
    }
    return permute(ctx, "permute", x, positive);
}

/* ---- expand -------------------------------------------------------------------------------------------- */

/* dx += dy summed over the repeats */
static void expand_backward(reel_context *ctx, const reel_node *node) {
    reel__broadcast_gradient(ctx, node, 0, node->grad, 1);
}

/* Copies the shape into `full` with each -1 replaced; false, with the error kept, when x cannot be repeated
 * to it. */
static bool expand_shape(reel_context *ctx, const reel_tensor *x, int rank, const int64_t *shape,
                         int64_t *full) {
    if (rank < x->rank || rank > REEL_MAX_RANK) {
        reel__error(ctx, REEL_ERROR_SHAPE, "expand", "rank %d is not in %d .. %d", rank, x->rank,
                    REEL_MAX_RANK);
        return false;
    }
    const int lead = rank - x->rank;
    bool fits = true;
    for (int i = 0; i < rank; i++) {
        const int64_t size = i < lead ? 1 : x->shape[i - lead];
        full[i] = shape[i] == -1 && i >= lead ? size : shape[i];
        fits = fits && full[i] >= 0 && (full[i] == size || size == 1);
    }
    if (!fits || reel__count(x->dtype, rank, full) < 0)
        reel__error(ctx, REEL_ERROR_SHAPE, "expand",
                    "%s to %s: only axes of size 1 and new first axes repeat",
                    reel__shape_text(x->rank, x->shape).text, reel__shape_text(rank, shape).text);
    return !reel__failed(ctx);
}

reel_tensor *reel_expand(reel_context *ctx, reel_tensor *x, int rank, const int64_t *shape) {
    int64_t full[REEL_MAX_RANK];
    if (!reel__check_inputs(ctx, "expand", &x, 1) || !expand_shape(ctx, x, rank, shape, full))
        return ctx->void_tensor;
    const reel_tensor repeated = reel__broadcast(x, rank, full);
    reel_tensor *y = reel__view(ctx, x, rank, full, repeated.stride, 0);
    return REEL_RECORD(ctx, y, .op = "expand", .backward = expand_backward, .inputs = {x});
}

/* ---- narrow and split ---------------------------------------------------------------------------------- */

/* dx[start .. start + length - 1] += dy; of split dx[part i] += dy_i. The first gradient to reach x is
 * copied, not added, and only the rest of dx is filled with zeros: no element is passed over twice. */
static void narrow_backward(reel_context *ctx, const reel_node *node) {
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    if (!dx.to)
        return;
    const int axis = (int)node->integer[0];
    const int64_t start = node->integer[1], length = node->grad->shape[axis], end = start + length;
    reel_tensor part = reel__part(dx.to, axis, start, length);
    reel__copy_values(ctx, &part, node->grad, dx.accumulate);
    if (dx.accumulate)
        return;
    reel_tensor before = reel__part(dx.to, axis, 0, start);
    reel_tensor after = reel__part(dx.to, axis, end, dx.to->shape[axis] - end);
    reel__fill_values(ctx, &before, 0);
    reel__fill_values(ctx, &after, 0);
}

/* The part as a recorded view, under the name that the user called. */
static reel_tensor *narrow(reel_context *ctx, const char *op, reel_tensor *x, int axis, int64_t start,
                           int64_t length) {
    const reel_tensor part = reel__part(x, axis, start, length);
    reel_tensor *y = reel__view(ctx, x, x->rank, part.shape, x->stride, start * x->stride[axis]);
    return REEL_RECORD(ctx, y, .op = op, .backward = narrow_backward, .inputs = {x},
                       .integer = {axis, start});
}

reel_tensor *reel_narrow(reel_context *ctx, reel_tensor *x, int axis, int64_t start, int64_t length) {
    if (!reel__check_inputs(ctx, "narrow", &x, 1))
        return ctx->void_tensor;
    axis = reel__check_axis(ctx, "narrow", x, axis);
    if (axis < 0)
        return ctx->void_tensor;
    if (start < 0 || length < 0 || start > x->shape[axis] || length > x->shape[axis] - start) {
        reel__error(ctx, REEL_ERROR_SHAPE, "narrow", "%lld elements from %lld on are not in axis %d of %s",
                    (long long)length, (long long)start, axis, reel__shape_text(x->rank, x->shape).text);
        return ctx->void_tensor;
    }
    return narrow(ctx, "narrow", x, axis, start, length);
}

/* False, with the error kept, unless the lengths cover the axis exactly. */
static bool check_lengths(reel_context *ctx, const reel_tensor *x, int axis, const int64_t *lengths, int n) {
    int64_t left = x->shape[axis];
    for (int i = 0; i < n; i++) {
        if (lengths[i] < 0 || lengths[i] > left) {
            reel__error(ctx, REEL_ERROR_SHAPE, "split",
                        "part %d of %lld does not fit: axis %d of %s has %lld left", i, (long long)lengths[i],
                        axis, reel__shape_text(x->rank, x->shape).text, (long long)left);
            return false;
        }
        left -= lengths[i];
    }
    if (left > 0)
        reel__error(ctx, REEL_ERROR_SHAPE, "split", "the %d parts leave %lld of axis %d of %s", n,
                    (long long)left, axis, reel__shape_text(x->rank, x->shape).text);
    return left == 0;
}

void reel_split(reel_context *ctx, reel_tensor *x, int axis, const int64_t *lengths, int n,
                reel_tensor **parts) {
    for (int i = 0; i < n; i++)
        parts[i] = ctx->void_tensor;
    if (!reel__check_inputs(ctx, "split", &x, 1))
        return;
    axis = reel__check_axis(ctx, "split", x, axis);
    if (axis < 0 || !check_lengths(ctx, x, axis, lengths, n))
        return;
    int64_t start = 0;
    for (int i = 0; i < n; i++) {
        parts[i] = narrow(ctx, "split", x, axis, start, lengths[i]);
        start += lengths[i];
    }
}

/* ---- detach -------------------------------------------------------------------------------------------- */

reel_tensor *reel_detach(reel_context *ctx, reel_tensor *x) {
    if (!reel__check_inputs(ctx, "detach", &x, 1))
        return ctx->void_tensor;
    return reel__view(ctx, x, x->rank, x->shape, x->stride, 0);
}
