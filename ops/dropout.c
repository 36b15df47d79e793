/* Dropout. The mask is drawn again in the backward pass instead of being kept. */
#include "kernels.h"
#include "tape.h"
#include <reel/ops.h>

/* Places in a node. */
enum { INTEGER_STREAM, INTEGER_INDEX, INTEGER_STEP };

/* dx += dy [u >= p] / (1 - p): the op itself, on dy, with the same draw */
static void dropout_backward(reel_context *ctx, const reel_node *node) {
    const reel_draw draw = {.stream = (uint32_t)node->integer[INTEGER_STREAM],
                            .index = (uint64_t)node->integer[INTEGER_INDEX],
                            .step = (uint32_t)node->integer[INTEGER_STEP]};
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    const reel_tensor *dy = reel__row_major(ctx, node->grad);
    REEL_DISPATCH(ctx, dropout, (ctx, dy, node->number[0], draw, dx.to, dx.accumulate));
}

reel_tensor *reel_dropout(reel_context *ctx, reel_tensor *x, double p, reel_draw draw) {
    if (!reel__check_float(ctx, "dropout", x))
        return ctx->void_tensor;
    if (!(p >= 0 && p <= 1)) {
        reel__error(ctx, REEL_ERROR_ARGUMENT, "dropout", "probability %g is not in [0, 1]", p);
        return ctx->void_tensor;
    }
    if (p == 0)
        return x;
    if (reel__needs_host(ctx, "reel_dropout is told its draw, the same in every replay"))
        return ctx->void_tensor;
    const reel_tensor *rows = reel__row_major(ctx, x);
    reel_tensor *y = reel__result_like(ctx, x);
    REEL_DISPATCH(ctx, dropout, (ctx, rows, p, draw, y, 0));
    return REEL_RECORD(ctx, y, .op = "dropout", .backward = dropout_backward, .inputs = {x}, .number = {p},
                       .integer = {draw.stream, (int64_t)draw.index, draw.step});
}
