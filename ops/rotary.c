/* Rotary position embedding. */
#include "kernels.h"
#include "tape.h"
#include <reel/ops.h>

/* x itself where its last axis lies in one piece, a row-major copy otherwise. */
static reel_tensor *with_whole_heads(reel_context *ctx, reel_tensor *x) {
    return reel__failed(ctx) || x->stride[x->rank - 1] == 1 ? x : reel__row_major(ctx, x);
}

/* y = R x with R linear, so dx += dy cos - rotate_half(dy sin), which is R^T dy. Of the halves (a, b) of a
 * head and (c, c'), (s, s') of the tables:
 *
 *     y_a = a c - b s,     da += dy_a c + dy_b s'
 *     y_b = b c' + a s',   db += dy_b c' - dy_a s */
static void rotary_backward(reel_context *ctx, const reel_node *node) {
    const reel__gradient dx = reel__gradient_of(ctx, node, 0);
    const reel_tensor *dy = with_whole_heads(ctx, node->grad);
    REEL_DISPATCH(ctx, rotary, (ctx, dy, node->saved[0], node->saved[1], 1, dx.to, dx.accumulate));
}

/* False, with the error kept, unless the table is (T, d) in f32 or f64. */
static bool check_table(reel_context *ctx, const char *name, const reel_tensor *table, const reel_tensor *x) {
    const int64_t T = x->shape[x->rank - 3], d = x->shape[x->rank - 1];
    if (table->dtype != REEL_F32 && table->dtype != REEL_F64)
        reel__error(ctx, REEL_ERROR_DTYPE, "rotary", "%s is %s, must be f32 or f64", name,
                    reel_dtype_name(table->dtype));
    else if (table->rank != 2 || table->shape[0] != T || table->shape[1] != d)
        reel__error(ctx, REEL_ERROR_SHAPE, "rotary", "%s is %s, must be [%lld,%lld] for x %s", name,
                    reel__shape_text(table->rank, table->shape).text, (long long)T, (long long)d,
                    reel__shape_text(x->rank, x->shape).text);
    return !reel__failed(ctx);
}

static bool check(reel_context *ctx, reel_tensor *x, reel_tensor *cosine, reel_tensor *sine) {
    if (!reel__check_inputs(ctx, "rotary", (reel_tensor *[]){x, cosine, sine}, 3) ||
        !reel__check_float(ctx, "rotary", x))
        return false;
    if (x->rank < 3)
        reel__error(ctx, REEL_ERROR_SHAPE, "rotary", "x is %s, must be (..., tokens, heads, head size)",
                    reel__shape_text(x->rank, x->shape).text);
    else if (x->shape[x->rank - 1] % 2 != 0)
        reel__error(ctx, REEL_ERROR_SHAPE, "rotary",
                    "head size %lld is odd; rotary positions pair its halves",
                    (long long)x->shape[x->rank - 1]);
    return !reel__failed(ctx) && check_table(ctx, "cosine", cosine, x) && check_table(ctx, "sine", sine, x);
}

/* The table row-major in the dtype of the arithmetic: itself, where it is that already. */
static reel_tensor *table_in(reel_context *ctx, reel_tensor *table, reel_dtype dtype) {
    if (table->dtype == dtype)
        return reel__row_major(ctx, table);
    reel_tensor *converted = reel__result(ctx, dtype, table->rank, table->shape);
    if (!reel__failed(ctx))
        reel__copy_values(ctx, converted, table, false);
    return converted;
}

reel_tensor *reel_rotary(reel_context *ctx, reel_tensor *x, reel_tensor *cosine, reel_tensor *sine) {
    if (!check(ctx, x, cosine, sine))
        return ctx->void_tensor;
    const reel_tensor *rows = with_whole_heads(ctx, x);
    reel_tensor *cosine_table = table_in(ctx, cosine, reel__wide(x->dtype));
    reel_tensor *sine_table = table_in(ctx, sine, reel__wide(x->dtype));
    reel_tensor *y = reel__result_like(ctx, x);
    REEL_DISPATCH(ctx, rotary, (ctx, rows, cosine_table, sine_table, 0, y, 0));
    return REEL_RECORD(ctx, y, .op = "rotary", .backward = rotary_backward, .inputs = {x},
                       .saved = {cosine_table, sine_table});
}
