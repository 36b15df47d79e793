/* Normalisation over one axis: rms_norm, residual add + rms_norm, layer_norm. One kernel computes all three,
 * one rule sends their gradients back. */
#include "kernels.h"
#include "loop.h"
#include "tape.h"
#include <reel/ops.h>

#include <math.h>

/* What the three ops share: y = (h - mean) r weight + bias, h = x + addend. */
typedef struct norm_arguments {
    const char *op;
    reel_tensor *x, *addend, *weight, *bias; /* all but x may be NULL */
    int axis;
    double eps;
    bool centred; /* the mean is subtracted */
} norm_arguments;

/* Places in a node. */
enum { IN_X, IN_ADDEND, IN_WEIGHT, IN_BIAS };
enum { SAVED_VALUE, SAVED_MEAN, SAVED_R, SAVED_WEIGHT };
enum { INTEGER_AXIS, INTEGER_FLAGS };

/* dweight = sum over rows of dy h, dbias = sum over rows of dy: in chunks, then the chunks in order, so that
 * threads do not change the bits. */
static void parameters_backward(reel_context *ctx, const reel_node *node, const reel_tensor *dy) {
    enum { MOST_CHUNKS = 64 };
    const bool wants_weight = reel__wants_gradient(node, IN_WEIGHT);
    const bool wants_bias = reel__wants_gradient(node, IN_BIAS);
    if ((!wants_weight && !wants_bias) || reel__failed(ctx))
        return;
    const reel_tensor *x = node->saved[SAVED_VALUE];
    const int axis = (int)node->integer[INTEGER_AXIS];
    const reel__axis at = reel__axis_of(x, axis);
    const int64_t chunks = at.outer < 1 ? 1 : at.outer < MOST_CHUNKS ? at.outer : MOST_CHUNKS;
    const reel_dtype wide = reel__wide(x->dtype);
    reel_tensor *dweight = wants_weight ? reel__result(ctx, wide, REEL_SHAPE(chunks, at.n)) : NULL;
    reel_tensor *dbias = wants_bias ? reel__result(ctx, wide, REEL_SHAPE(chunks, at.n)) : NULL;
    REEL_DISPATCH(ctx, norm_parameters_backward,
                  (ctx, x, node->saved[SAVED_MEAN], node->saved[SAVED_R], dy, axis, dweight, dbias));
    if (wants_weight)
        reel__pass_gradient(ctx, node, IN_WEIGHT, reel_sum(ctx, dweight, (const int[]){0}, 1, 0));
    if (wants_bias)
        reel__pass_gradient(ctx, node, IN_BIAS, reel_sum(ctx, dbias, (const int[]){0}, 1, 0));
}

/* With h the normalised row:
 *
 *     rms_norm      dx += r (g - h mean(g h)), g = dy w, dw += sum dy h
 *     add_rms_norm  da += r (dy - y mean(dy y)), db likewise
 *     layer_norm    dx += r (g - h mean(g h) - mean g), g = dy w, dw += sum dy h, db += sum dy
 *
 * Without weight and bias h is the result itself, so that x need not be kept. */
static void norm_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *value = node->saved[SAVED_VALUE], *mean = node->saved[SAVED_MEAN];
    const reel_tensor *r = node->saved[SAVED_R], *weight = node->saved[SAVED_WEIGHT];
    const reel_tensor *dy = reel__row_major(ctx, node->grad);
    const int axis = (int)node->integer[INTEGER_AXIS];
    const unsigned flags = (unsigned)node->integer[INTEGER_FLAGS];
    if (node->in[IN_ADDEND]) {
        reel_tensor *dx = reel__result_like(ctx, value);
        REEL_DISPATCH(ctx, norm_backward, (ctx, value, mean, r, weight, dy, axis, flags, dx, 0));
        reel__pass_gradient(ctx, node, IN_X, dx);
        reel__pass_gradient(ctx, node, IN_ADDEND, dx);
    } else if (reel__wants_gradient(node, IN_X)) {
        const reel__gradient dx = reel__gradient_of(ctx, node, IN_X);
        REEL_DISPATCH(ctx, norm_backward,
                      (ctx, value, mean, r, weight, dy, axis, flags, dx.to, dx.accumulate));
    }
    parameters_backward(ctx, node, dy);
}

/* ---- checks ------------------------------------------------------------------------------------------- */

/* A weight or bias must be one number per place along the axis. */
static bool check_parameter(reel_context *ctx, const norm_arguments *a, const char *name,
                            reel_tensor *parameter) {
    if (!parameter)
        return true;
    if (!reel__check_float(ctx, a->op, parameter))
        return false;
    const int64_t n = a->x->shape[a->axis];
    if (parameter->dtype == a->x->dtype && parameter->rank == 1 && parameter->shape[0] == n)
        return true;
    reel__error(ctx, REEL_ERROR_SHAPE, a->op, "%s is %s %s, must be %s [%lld] for x %s and axis %d", name,
                reel_dtype_name(parameter->dtype), reel__shape_text(parameter->rank, parameter->shape).text,
                reel_dtype_name(a->x->dtype), (long long)n, reel__shape_text(a->x->rank, a->x->shape).text,
                a->axis);
    return false;
}

static bool check_addend(reel_context *ctx, const norm_arguments *a) {
    if (!a->addend)
        return true;
    if (!reel__check_float(ctx, a->op, a->addend))
        return false;
    if (a->addend->dtype == a->x->dtype && reel__same_shape(a->addend, a->x))
        return true;
    reel__error(ctx, REEL_ERROR_SHAPE, a->op, "a is %s %s and b %s %s; they must be alike",
                reel_dtype_name(a->x->dtype), reel__shape_text(a->x->rank, a->x->shape).text,
                reel_dtype_name(a->addend->dtype), reel__shape_text(a->addend->rank, a->addend->shape).text);
    return false;
}

/* Also makes the axis positive. */
static bool check(reel_context *ctx, norm_arguments *a) {
    if (!reel__check_float(ctx, a->op, a->x))
        return false;
    a->axis = reel__check_axis(ctx, a->op, a->x, a->axis);
    if (a->axis < 0)
        return false;
    if (!(a->eps >= 0) || isinf(a->eps)) {
        reel__error(ctx, REEL_ERROR_ARGUMENT, a->op, "eps is %g, must be 0 or a positive number", a->eps);
        return false;
    }
    return check_addend(ctx, a) && check_parameter(ctx, a, "weight", a->weight) &&
           check_parameter(ctx, a, "bias", a->bias);
}

/* ---- the op ------------------------------------------------------------------------------------------- */

/* True when x is not row-major but would be with its axes in another order, which is then in `order`:
 * outermost in memory first. */
static bool memory_order(const reel_tensor *x, int *order) {
    if (reel_is_contiguous(x))
        return false;
    reel_tensor sorted = *x;
    for (int i = 0; i < x->rank; i++) {
        int at = i;
        for (; at > 0 && x->stride[order[at - 1]] < x->stride[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (int i = 0; i < x->rank; i++) {
        sorted.shape[i] = x->shape[order[i]];
        sorted.stride[i] = x->stride[order[i]];
    }
    return reel_is_contiguous(&sorted);
}

static reel_tensor *norm_row_major(reel_context *ctx, const norm_arguments *a) {
    reel_tensor *x = reel__row_major(ctx, a->x);
    reel_tensor *addend = a->addend ? reel__row_major(ctx, a->addend) : NULL;
    reel_tensor *weight = a->weight ? reel__row_major(ctx, a->weight) : NULL;
    reel_tensor *bias = a->bias ? reel__row_major(ctx, a->bias) : NULL;
    reel_tensor *y = reel__result_like(ctx, x);
    const reel__axis at = reel__axis_of(x, a->axis);
    const reel_dtype wide = reel__wide(x->dtype);
    reel_tensor *r = reel__result(ctx, wide, REEL_SHAPE(at.outer, at.inner));
    reel_tensor *mean = a->centred ? reel__result(ctx, wide, REEL_SHAPE(at.outer, at.inner)) : NULL;
    REEL_DISPATCH(ctx, norm, (ctx, x, addend, weight, bias, a->axis, a->eps, y, mean, r));
    const bool plain = !weight && !bias; /* y is h */
    const unsigned flags =
        (a->centred ? REEL__NORM_CENTRED : 0u) | (plain ? (unsigned)REEL__NORM_NORMALISED : 0u);
    return REEL_RECORD(ctx, y, .op = a->op, .backward = norm_backward,
                       .inputs = {a->x, a->addend, a->weight, a->bias},
                       .saved = {plain ? y : x, plain ? NULL : mean, r, weight}, .integer = {a->axis, flags});
}

/* A transposed view of a row-major tensor is normalised where it lies, over the axis where it lies there. */
static reel_tensor *norm(reel_context *ctx, norm_arguments a) {
    if (!check(ctx, &a))
        return ctx->void_tensor;
    int order[REEL_MAX_RANK], back[REEL_MAX_RANK];
    if (!memory_order(a.x, order))
        return norm_row_major(ctx, &a);
    for (int i = 0; i < a.x->rank; i++)
        back[order[i]] = i;
    a.x = reel_permute(ctx, a.x, order);
    a.addend = a.addend ? reel_permute(ctx, a.addend, order) : NULL;
    a.axis = back[a.axis];
    if (reel__failed(ctx))
        return ctx->void_tensor;
    return reel_permute(ctx, norm_row_major(ctx, &a), back);
}

reel_tensor *reel_rms_norm(reel_context *ctx, reel_tensor *x, reel_tensor *weight, int axis, double eps) {
    return norm(ctx, (norm_arguments){.op = "rms_norm", .x = x, .weight = weight, .axis = axis, .eps = eps});
}

reel_tensor *reel_add_rms_norm(reel_context *ctx, reel_tensor *a, reel_tensor *b, int axis, double eps) {
    if (!reel__check_inputs(ctx, "add_rms_norm", (reel_tensor *[]){a, b}, 2))
        return ctx->void_tensor;
    return norm(ctx, (norm_arguments){.op = "add_rms_norm", .x = a, .addend = b, .axis = axis, .eps = eps});
}

reel_tensor *reel_layer_norm(reel_context *ctx, reel_tensor *x, reel_tensor *weight, reel_tensor *bias,
                             int axis, double eps) {
    return norm(ctx, (norm_arguments){.op = "layer_norm",
                                      .x = x,
                                      .weight = weight,
                                      .bias = bias,
                                      .axis = axis,
                                      .eps = eps,
                                      .centred = true});
}
