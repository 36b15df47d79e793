/* Elementwise arithmetic of several inputs, with broadcasting. */
#include "broadcast.h"
#include "kernels.h"
#include <reel/ops.h>

/* ---- checks -------------------------------------------------------------------------------------------- */

/* False, with the error kept, unless the n inputs can be read and have one dtype. */
static bool check_one_dtype(reel_context *ctx, const char *op, reel_tensor *const *x, int n) {
    if (!reel__check_inputs(ctx, op, x, n))
        return false;
    for (int i = 1; i < n; i++)
        if (x[i]->dtype != x[0]->dtype) {
            reel__error(ctx, REEL_ERROR_DTYPE, op, "inputs are %s and %s, must have one dtype",
                        reel_dtype_name(x[0]->dtype), reel_dtype_name(x[i]->dtype));
            return false;
        }
    return true;
}

/* As above, and the dtype must be float. */
static bool check_one_float(reel_context *ctx, const char *op, reel_tensor *const *x, int n) {
    return check_one_dtype(ctx, op, x, n) && reel__check_float(ctx, op, x[0]);
}

/* A result of the shape that the n inputs broadcast to; the void tensor, with the error kept, where they do
 * not. */
static reel_tensor *result_of(reel_context *ctx, const char *op, reel_dtype dtype, reel_tensor *const *x,
                              int n) {
    reel__shape shape = {0};
    for (int i = 0; i < n; i++)
        if (!reel__broadcast_with(ctx, op, &shape, x[i]))
            return ctx->void_tensor;
    return reel__result(ctx, dtype, shape.rank, shape.size);
}

/* ---- sums ---------------------------------------------------------------------------------------------- */

/* dx_i += dy: of add da += dy, db += dy */
static void add_backward(reel_context *ctx, const reel_node *node) {
    for (int i = 0; i < REEL__MAX_INPUTS && node->in[i]; i++)
        reel__broadcast_gradient(ctx, node, i, node->grad, 1);
}

/* y = x_0 + ... + x_n-1, under the name that the user called */
static reel_tensor *add(reel_context *ctx, const char *op, reel_tensor *const *x, int n) {
    if (!check_one_float(ctx, op, x, n))
        return ctx->void_tensor;
    reel_tensor *y = result_of(ctx, op, x[0]->dtype, x, n);
    REEL_DISPATCH(ctx, add_n, (ctx, (const reel_tensor *const *)x, n, y));
    reel_record record = {.op = op, .backward = add_backward};
    for (int i = 0; i < n; i++)
        record.inputs[i] = x[i];
    return reel__record(ctx, y, &record);
}

reel_tensor *reel_add(reel_context *ctx, reel_tensor *a, reel_tensor *b) {
    return add(ctx, "add", (reel_tensor *[]){a, b}, 2);
}

reel_tensor *reel_add_n(reel_context *ctx, reel_tensor *const *x, int n) {
    if (n < 1 || n > REEL__MAX_INPUTS || !x) {
        reel__error(ctx, REEL_ERROR_ARGUMENT, "add_n", "%d inputs, must be 1 to %d", x ? n : 0,
                    REEL__MAX_INPUTS);
        return ctx->void_tensor;
    }
    return add(ctx, "add_n", x, n);
}

/* da += dy, db -= dy */
static void sub_backward(reel_context *ctx, const reel_node *node) {
    reel__broadcast_gradient(ctx, node, 0, node->grad, 1);
    reel__broadcast_gradient(ctx, node, 1, node->grad, -1);
}

reel_tensor *reel_sub(reel_context *ctx, reel_tensor *a, reel_tensor *b) {
    reel_tensor *const x[] = {a, b};
    if (!check_one_float(ctx, "sub", x, 2))
        return ctx->void_tensor;
    reel_tensor *y = result_of(ctx, "sub", a->dtype, x, 2);
    REEL_DISPATCH(ctx, sub, (ctx, a, b, y));
    return REEL_RECORD(ctx, y, .op = "sub", .backward = sub_backward, .inputs = {a, b});
}

/* ---- products ------------------------------------------------------------------------------------------ */

/* Where a rule writes the gradient of an input: into it, or, where the input was broadcast, into a temporary
 * of the result's shape that end_gradient sums. */
static reel__gradient begin_gradient(reel_context *ctx, const reel_node *node, int input) {
    if (!reel__wants_gradient(node, input) || reel__same_shape(node->in[input], node->out))
        return reel__gradient_of(ctx, node, input);
    return (reel__gradient){reel__result_like(ctx, node->out), false};
}

static void end_gradient(reel_context *ctx, const reel_node *node, int input, reel__gradient gradient) {
    if (!reel__same_shape(node->in[input], node->out))
        reel__broadcast_gradient(ctx, node, input, gradient.to, 1);
}

/* da += dy b, db += dy a */
static void mul_backward(reel_context *ctx, const reel_node *node) {
    for (int i = 0; i < 2; i++) {
        const reel__gradient dx = begin_gradient(ctx, node, i);
        if (!dx.to)
            continue;
        REEL_DISPATCH(ctx, mul, (ctx, node->grad, node->saved[1 - i], dx.to, dx.accumulate));
        end_gradient(ctx, node, i, dx);
    }
}

reel_tensor *reel_mul(reel_context *ctx, reel_tensor *a, reel_tensor *b) {
    reel_tensor *const x[] = {a, b};
    if (!check_one_float(ctx, "mul", x, 2))
        return ctx->void_tensor;
    reel_tensor *y = result_of(ctx, "mul", a->dtype, x, 2);
    REEL_DISPATCH(ctx, mul, (ctx, a, b, y, 0));
    return REEL_RECORD(ctx, y, .op = "mul", .backward = mul_backward, .inputs = {a, b},
                       .saved = {reel_needs_grad(b) ? a : NULL, reel_needs_grad(a) ? b : NULL});
}

/* da += dy / b, db -= dy y / b */
static void div_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *b = node->saved[0], *y = node->saved[1];
    const reel__gradient da = begin_gradient(ctx, node, 0);
    if (da.to) {
        REEL_DISPATCH(ctx, div, (ctx, node->grad, b, da.to, da.accumulate));
        end_gradient(ctx, node, 0, da);
    }
    const reel__gradient db = begin_gradient(ctx, node, 1);
    if (db.to) {
        REEL_DISPATCH(ctx, div_backward, (ctx, node->grad, y, b, db.to, db.accumulate));
        end_gradient(ctx, node, 1, db);
    }
}

reel_tensor *reel_div(reel_context *ctx, reel_tensor *a, reel_tensor *b) {
    reel_tensor *const x[] = {a, b};
    if (!check_one_float(ctx, "div", x, 2))
        return ctx->void_tensor;
    reel_tensor *y = result_of(ctx, "div", a->dtype, x, 2);
    REEL_DISPATCH(ctx, div, (ctx, a, b, y, 0));
    return REEL_RECORD(ctx, y, .op = "div", .backward = div_backward, .inputs = {a, b},
                       .saved = {b, reel_needs_grad(b) ? y : NULL});
}

/* ---- comparisons and choice ---------------------------------------------------------------------------- */

#define DEFINE_COMPARISON(name)                                                                              \
    reel_tensor *reel_##name(reel_context *ctx, reel_tensor *a, reel_tensor *b) {                            \
        reel_tensor *const x[] = {a, b};                                                                     \
        if (!check_one_dtype(ctx, #name, x, 2))                                                              \
            return ctx->void_tensor;                                                                         \
        reel_tensor *y = result_of(ctx, #name, REEL_U8, x, 2);                                               \
        REEL_DISPATCH(ctx, name, (ctx, a, b, y));                                                            \
        return REEL_RECORD(ctx, y, .op = #name);                                                             \
    }
DEFINE_COMPARISON(eq)
DEFINE_COMPARISON(lt)
DEFINE_COMPARISON(le)

/* da += condition ? dy : 0, db += condition ? 0 : dy */
static void where_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *condition = node->saved[0];
    enum { A = 1, B = 2 }; /* places among the inputs */
    for (int i = A; i <= B; i++) {
        if (!reel__wants_gradient(node, i))
            continue;
        reel_tensor *g = reel__result_like(ctx, node->out);
        const reel_tensor *dy = node->grad;
        REEL_DISPATCH(ctx, where, (ctx, condition, i == A ? dy : NULL, i == B ? dy : NULL, g));
        reel__broadcast_gradient(ctx, node, i, g, 1);
    }
}

reel_tensor *reel_where(reel_context *ctx, reel_tensor *condition, reel_tensor *a, reel_tensor *b) {
    reel_tensor *const x[] = {condition, a, b};
    if (!reel__check_inputs(ctx, "where", x, 1) || !check_one_dtype(ctx, "where", x + 1, 2))
        return ctx->void_tensor;
    if (condition->dtype != REEL_U8 && condition->dtype != REEL_I32) {
        reel__error(ctx, REEL_ERROR_DTYPE, "where", "condition is %s, must be u8 or i32",
                    reel_dtype_name(condition->dtype));
        return ctx->void_tensor;
    }
    reel_tensor *y = result_of(ctx, "where", a->dtype, x, 3);
    REEL_DISPATCH(ctx, where, (ctx, condition, a, b, y));
    return REEL_RECORD(ctx, y, .op = "where", .backward = where_backward, .inputs = {condition, a, b},
                       .saved = {condition});
}
