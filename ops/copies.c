/* Ops that copy values: into new memory, another dtype, or beside one another. */
#include "part.h"
#include "tape.h"
#include <reel/ops.h>

#include <string.h>

/* ---- clone and cast ------------------------------------------------------------------------------------ */

/* dx += dy in x's dtype */
static void copy_backward(reel_context *ctx, const reel_node *node) {
    reel__pass_gradient(ctx, node, 0, node->grad);
}

/* x's values in new memory, recorded under the name that the user called. */
static reel_tensor *copy(reel_context *ctx, const char *op, reel_tensor *x, reel_dtype dtype) {
    reel_tensor *y = reel__result(ctx, dtype, x->rank, x->shape);
    if (!reel__failed(ctx))
        reel__copy_values(ctx, y, x, false);
    return REEL_RECORD(ctx, y, .op = op, .backward = copy_backward, .inputs = {x});
}

reel_tensor *reel_clone(reel_context *ctx, reel_tensor *x) {
    if (!reel__check_inputs(ctx, "clone", &x, 1))
        return ctx->void_tensor;
    return copy(ctx, "clone", x, x->dtype);
}

/* The owned copy of an owned tensor in another dtype, made anew when x has changed since. Its old memory is
 * used again only where nobody looks at it: a rule may have saved the old values. */
static reel_tensor *cached_cast(reel_context *ctx, reel_tensor *x, reel_dtype dtype) {
    reel__tensor *owner = reel__inside(x);
    const bool same_dtype = owner->cast && owner->cast->dtype == dtype;
    if (same_dtype && owner->cast_version == x->version)
        return owner->cast;
    if (!same_dtype || reel__inside(owner->cast)->storage->references > 1) {
        reel_tensor_free(ctx, owner->cast);
        owner->cast = NULL;
        reel_tensor *made = reel_tensor_new(ctx, dtype, x->rank, x->shape);
        if (reel_is_void(made))
            return made;
        owner->cast = made;
    }
    reel__copy_values(ctx, owner->cast, x, false);
    owner->cast_version = x->version;
    return owner->cast;
}

/* Three cases: the dtype that x has gives x itself, with x's lifetime. An owned float tensor to a float dtype
 * gives a view of its cached copy; no node, for the view's gradient is x's own. All else is a copy with a
 * node, which passes gradients between float dtypes alone. */
reel_tensor *reel_cast(reel_context *ctx, reel_tensor *x, reel_dtype dtype) {
    if (!reel__check_inputs(ctx, "cast", &x, 1))
        return ctx->void_tensor;
    if ((unsigned)dtype >= REEL_DTYPE_COUNT) {
        reel__error(ctx, REEL_ERROR_DTYPE, "cast", "%d is no dtype", (int)dtype);
        return ctx->void_tensor;
    }
    if (dtype == x->dtype)
        return x;
    if (reel__inside(x)->owned && reel__is_float(x->dtype) && reel__is_float(dtype))
        return reel__cast_view(ctx, cached_cast(ctx, x, dtype), x);
    return copy(ctx, "cast", x, dtype);
}

/* ---- concat and stack ---------------------------------------------------------------------------------- */

/* False, with the error kept, unless the n tensors have one dtype and, but for the axis free_axis, one shape.
 */
static bool check_alike(reel_context *ctx, const char *op, reel_tensor *const *x, int n, int free_axis) {
    for (int i = 1; i < n; i++) {
        bool fits = x[i]->dtype == x[0]->dtype && x[i]->rank == x[0]->rank;
        for (int d = 0; fits && d < x[0]->rank; d++)
            fits = d == free_axis || x[i]->shape[d] == x[0]->shape[d];
        if (fits)
            continue;
        reel__error(ctx, REEL_ERROR_SHAPE, op,
                    "input %d is %s %s, input 0 is %s %s: only the joined axis differs", i,
                    reel_dtype_name(x[i]->dtype), reel__shape_text(x[i]->rank, x[i]->shape).text,
                    reel_dtype_name(x[0]->dtype), reel__shape_text(x[0]->rank, x[0]->shape).text);
        return false;
    }
    return true;
}

/* False, with the error kept, unless there are 1 .. 16 tensors that can be read. */
static bool check_list(reel_context *ctx, const char *op, reel_tensor *const *x, int n) {
    if (reel__failed(ctx))
        return false;
    if (n < 1 || n > REEL__MAX_INPUTS) {
        reel__error(ctx, REEL_ERROR_ARGUMENT, op, "%d inputs, must be 1 .. %d", n, REEL__MAX_INPUTS);
        return false;
    }
    return reel__check_inputs(ctx, op, x, n);
}

/* Records y with all n inputs. */
static reel_tensor *record_list(reel_context *ctx, reel_tensor *y, reel_record record, reel_tensor *const *x,
                                int n) {
    memcpy(record.inputs, x, (size_t)n * sizeof *x);
    return reel__record(ctx, y, &record);
}

/* dx_i += the part of dy that x_i became */
static void concat_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *dy = node->grad;
    const int axis = (int)node->integer[0];
    int64_t start = 0;
    for (int i = 0; i < REEL__MAX_INPUTS && node->in[i]; i++) {
        const reel_tensor *x = node->in[i];
        if (reel__wants_gradient(node, i))
            reel__pass_gradient(ctx, node, i,
                                reel__view(ctx, dy, x->rank, x->shape, dy->stride, start * dy->stride[axis]));
        start += x->shape[axis];
    }
}

reel_tensor *reel_concat(reel_context *ctx, reel_tensor *const *x, int n, int axis) {
    if (!check_list(ctx, "concat", x, n))
        return ctx->void_tensor;
    axis = reel__check_axis(ctx, "concat", x[0], axis);
    if (axis < 0 || !check_alike(ctx, "concat", x, n, axis))
        return ctx->void_tensor;
    int64_t shape[REEL_MAX_RANK];
    memcpy(shape, x[0]->shape, sizeof shape);
    for (int i = 1; i < n; i++)
        if (__builtin_add_overflow(shape[axis], x[i]->shape[axis], &shape[axis]))
            shape[axis] = INT64_MAX; /* refused by reel__result */
    reel_tensor *y = reel__result(ctx, x[0]->dtype, x[0]->rank, shape);
    int64_t start = 0;
    for (int i = 0; i < n && !reel__failed(ctx); i++) {
        reel_tensor part = reel__part(y, axis, start, x[i]->shape[axis]);
        reel__copy_values(ctx, &part, x[i], false);
        start += x[i]->shape[axis];
    }
    return record_list(ctx, y, (reel_record){.op = "concat", .backward = concat_backward, .integer = {axis}},
                       x, n);
}

/* A header by value of y's entry `index` along the axis, which it no longer has: one input of a stack. */
static reel_tensor entry(const reel_tensor *y, int axis, int64_t index) {
    reel_tensor x = reel__part(y, axis, index, 1);
    x.rank--;
    for (int i = axis; i < x.rank; i++) {
        x.shape[i] = y->shape[i + 1];
        x.stride[i] = y->stride[i + 1];
    }
    return x;
}

/* dx_i += dy_i */
static void stack_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *dy = node->grad;
    const int axis = (int)node->integer[0];
    const reel_tensor first = entry(dy, axis, 0);
    for (int i = 0; i < REEL__MAX_INPUTS && node->in[i]; i++)
        if (reel__wants_gradient(node, i))
            reel__pass_gradient(
                ctx, node, i,
                reel__view(ctx, dy, first.rank, first.shape, first.stride, i * dy->stride[axis]));
}

reel_tensor *reel_stack(reel_context *ctx, reel_tensor *const *x, int n, int axis) {
    enum { NO_AXIS = -1 };
    if (!check_list(ctx, "stack", x, n) || !check_alike(ctx, "stack", x, n, NO_AXIS))
        return ctx->void_tensor;
    const int rank = x[0]->rank + 1;
    const int at = axis < 0 ? axis + rank : axis;
    if (at < 0 || at >= rank || rank > REEL_MAX_RANK) {
        reel__error(ctx, REEL_ERROR_SHAPE, "stack", "new axis %d for inputs %s; a result has at most %d axes",
                    axis, reel__shape_text(x[0]->rank, x[0]->shape).text, REEL_MAX_RANK);
        return ctx->void_tensor;
    }
    int64_t shape[REEL_MAX_RANK];
    for (int i = 0; i < rank; i++)
        shape[i] = i == at ? n : x[0]->shape[i < at ? i : i - 1];
    reel_tensor *y = reel__result(ctx, x[0]->dtype, rank, shape);
    for (int i = 0; i < n && !reel__failed(ctx); i++) {
        reel_tensor part = entry(y, at, i);
        reel__copy_values(ctx, &part, x[i], false);
    }
    return record_list(ctx, y, (reel_record){.op = "stack", .backward = stack_backward, .integer = {at}}, x,
                       n);
}

/* ---- pad ----------------------------------------------------------------------------------------------- */

/* dx += the part of dy that x became */
static void pad_backward(reel_context *ctx, const reel_node *node) {
    const reel_tensor *x = node->in[0], *dy = node->grad;
    const int64_t axis = node->integer[0], before = node->integer[1];
    reel__pass_gradient(ctx, node, 0,
                        reel__view(ctx, dy, x->rank, x->shape, dy->stride, before * dy->stride[axis]));
}

reel_tensor *reel_pad(reel_context *ctx, reel_tensor *x, int axis, int64_t before, int64_t after,
                      double value) {
    if (!reel__check_inputs(ctx, "pad", &x, 1))
        return ctx->void_tensor;
    axis = reel__check_axis(ctx, "pad", x, axis);
    if (axis < 0)
        return ctx->void_tensor;
    const int64_t length = x->shape[axis];
    int64_t shape[REEL_MAX_RANK];
    memcpy(shape, x->shape, sizeof shape);
    if (before < 0 || after < 0 || __builtin_add_overflow(length, before, &shape[axis]) ||
        __builtin_add_overflow(shape[axis], after, &shape[axis])) {
        reel__error(ctx, REEL_ERROR_SHAPE, "pad", "%lld cells before and %lld after axis %d of %s",
                    (long long)before, (long long)after, axis, reel__shape_text(x->rank, x->shape).text);
        return ctx->void_tensor;
    }
    reel_tensor *y = reel__result(ctx, x->dtype, x->rank, shape);
    if (!reel__failed(ctx)) {
        reel_tensor left = reel__part(y, axis, 0, before), middle = reel__part(y, axis, before, length);
        reel_tensor right = reel__part(y, axis, before + length, after);
        reel__fill_values(ctx, &left, value);
        reel__copy_values(ctx, &middle, x, false);
        reel__fill_values(ctx, &right, value);
    }
    return REEL_RECORD(ctx, y, .op = "pad", .backward = pad_backward, .inputs = {x},
                       .integer = {axis, before});
}
