/* Losses: one value per row, in f32 (f64 for f64). */
#include "kernels.h"
#include "tape.h"
#include <reel/ops.h>

/* ---- cross-entropy over classes ------------------------------------------------------------------------ */

/* Places in a node; the sum is that over the classes, one per row. */
enum { SAVED_LOGITS, SAVED_LABELS, SAVED_SUM };

/* x itself where its last axis lies in one piece, a row-major copy otherwise. */
static reel_tensor *with_whole_rows(reel_context *ctx, reel_tensor *x) {
    return x->stride[x->rank - 1] == 1 ? x : reel__row_major(ctx, x);
}

/* False, with the error kept, unless logits are (..., C) and labels (...) i32. */
static bool check_classes(reel_context *ctx, const char *op, reel_tensor *logits, reel_tensor *labels) {
    if (!reel__check_inputs(ctx, op, (reel_tensor *[]){logits, labels}, 2) ||
        !reel__check_float(ctx, op, logits))
        return false;
    reel_tensor rows = *logits;
    rows.rank--;
    if (labels->dtype != REEL_I32)
        reel__error(ctx, REEL_ERROR_DTYPE, op, "labels are %s, must be i32", reel_dtype_name(labels->dtype));
    else if (logits->rank < 1 || !reel__same_shape(&rows, labels))
        reel__error(ctx, REEL_ERROR_SHAPE, op,
                    "logits %s and labels %s: labels must have all axes but the last",
                    reel__shape_text(logits->rank, logits->shape).text,
                    reel__shape_text(labels->rank, labels->shape).text);
    return !reel__failed(ctx);
}

#define DEFINE_CROSS_ENTROPY(name, sum_dtype)                                                                \
    static void name##_backward(reel_context *ctx, const reel_node *node) {                                  \
        const reel__gradient dx = reel__gradient_of(ctx, node, 0);                                           \
        const reel_tensor *dloss = reel__row_major(ctx, node->grad);                                         \
        REEL_DISPATCH(ctx, name##_backward,                                                                  \
                      (ctx, node->saved[SAVED_LOGITS], node->saved[SAVED_LABELS], node->saved[SAVED_SUM],    \
                       dloss, dx.to, dx.accumulate));                                                        \
    }                                                                                                        \
    reel_tensor *reel_##name(reel_context *ctx, reel_tensor *logits, reel_tensor *labels) {                  \
        if (!check_classes(ctx, #name, logits, labels))                                                      \
            return ctx->void_tensor;                                                                         \
        reel_tensor *x = with_whole_rows(ctx, logits), *rows = reel__row_major(ctx, labels);                 \
        REEL_DISPATCH(ctx, check_labels, (ctx, #name, rows, logits->shape[logits->rank - 1]));               \
        if (reel__failed(ctx))                                                                               \
            return ctx->void_tensor;                                                                         \
        reel_tensor *loss = reel__result(ctx, reel__wide(x->dtype), rows->rank, rows->shape);                \
        reel_tensor *sum = reel__result(ctx, sum_dtype, rows->rank, rows->shape);                            \
        REEL_DISPATCH(ctx, name, (ctx, x, rows, loss, sum));                                                 \
        return REEL_RECORD(ctx, loss, .op = #name, .backward = name##_backward, .inputs = {logits},          \
                           .saved = {x, rows, sum});                                                         \
    }

/* l = ln sum_j e^x_j - x_label:   dx_j += dl (softmax(x)_j - [j = label]) */
DEFINE_CROSS_ENTROPY(softmax_cross_entropy, reel__wide(x->dtype))

/* l = ln sum_j s(x_j) - ln s(x_label), in f64:
 * dx_j += dl s'(x_j) (1 / sum_j s(x_j) - [j = label] / s(x_j)) */
DEFINE_CROSS_ENTROPY(stablemax_cross_entropy, REEL_F64)

/* ---- binary cross-entropy ------------------------------------------------------------------------------ */

/* dx += dl (sigmoid(x) - t) */
static void binary_cross_entropy_with_logits_backward(reel_context *ctx, const reel_node *node) {
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    REEL_DISPATCH(ctx, binary_cross_entropy_with_logits_backward,
                  (ctx, node->saved[0], node->saved[1], node->grad, dx.to, dx.accumulate));
}

reel_tensor *reel_binary_cross_entropy_with_logits(reel_context *ctx, reel_tensor *logits,
                                                   reel_tensor *targets) {
    const char *op = "binary_cross_entropy_with_logits";
    if (!reel__check_inputs(ctx, op, (reel_tensor *[]){logits, targets}, 2) ||
        !reel__check_float(ctx, op, logits))
        return ctx->void_tensor;
    if (targets->dtype != logits->dtype || !reel__same_shape(logits, targets)) {
        reel__error(ctx, REEL_ERROR_SHAPE, op, "logits are %s %s and targets %s %s; they must be alike",
                    reel_dtype_name(logits->dtype), reel__shape_text(logits->rank, logits->shape).text,
                    reel_dtype_name(targets->dtype), reel__shape_text(targets->rank, targets->shape).text);
        return ctx->void_tensor;
    }
    reel_tensor *loss = reel__result(ctx, reel__wide(logits->dtype), logits->rank, logits->shape);
    REEL_DISPATCH(ctx, binary_cross_entropy_with_logits, (ctx, logits, targets, loss));
    return REEL_RECORD(ctx, loss, .op = op, .backward = binary_cross_entropy_with_logits_backward,
                       .inputs = {logits}, .saved = {logits, targets});
}
