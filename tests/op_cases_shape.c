/* Cases of views, copies and casts: values only move, so that everything is exact but for sums of gradients
 * and for rounding to a narrower dtype. */
#include "op_case.h"

#include <check.h>
#include <float.h>
#include <math.h>

/* ---- reshape: v->n = {rank, sizes...} ------------------------------------------------------------------ */

static reel_tensor *call_reshape(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_reshape(ctx, in[0], (int)v->n[0], v->n + 1);
}

/* The same values in row-major order; -1 stands for what is left. */
static void reference_reshape(const op_variant *v, const op_array *x, op_array *y) {
    int64_t shape[REEL_MAX_RANK], known = 1;
    for (int i = 0; i < v->n[0]; i++)
        known *= v->n[1 + i] < 0 ? 1 : v->n[1 + i];
    for (int i = 0; i < v->n[0]; i++)
        shape[i] = v->n[1 + i] < 0 ? op_count(x) / known : v->n[1 + i];
    op_shape(y, (int)v->n[0], shape);
    for (int64_t i = 0; i < op_count(x); i++)
        y->values[i] = x->values[i];
}

void op_case_reshape(op_case *c);
void op_case_reshape(op_case *c) {
    *c = (op_case){
        .call = call_reshape,
        .reference = reference_reshape,
        .is_view = true,
        .variants =
            {
                {"join", {{OP_SHAPE(2, 3, 4)}}, .n = {2, 6, 4}},
                {"part", {{OP_SHAPE(6, 4)}}, .n = {3, 2, 3, 4}},
                {"across", {{OP_SHAPE(4, 6)}}, .n = {2, 8, 3}},
                {"inferred", {{OP_SHAPE(2, 3, 4)}}, .n = {2, 4, -1}},
                {"to a scalar", {{OP_SHAPE(1, 1)}}, .n = {0}},
                {"from a scalar", {{0}}, .n = {2, 1, 1}},
                {"empty", {{OP_SHAPE(0, 3)}}, .n = {2, 3, 0}},
                {"large", {{OP_SHAPE(90, 601)}}, .n = {1, -1}, .large = true},
            },
        .refusals =
            {
                {"other count", {{OP_SHAPE(2, 3)}}, .n = {2, 2, 4}},
                {"two inferred", {{OP_SHAPE(2, 3)}}, .n = {2, -1, -1}},
                {"inferred does not divide", {{OP_SHAPE(2, 3)}}, .n = {2, 4, -1}},
                {"negative", {{OP_SHAPE(2, 3)}}, .n = {2, -2, -3}},
                {"rank 7", {{OP_SHAPE(1)}}, .n = {7, 1, 1, 1, 1, 1, 1, 1}},
            },
    };
}

/* ---- transpose: v->n = {axis, axis}; permute: v->n = axes ---------------------------------------------- */

/* Result axis i is x's axis axes[i]. */
static void reordered(const op_array *x, const int64_t *axes, op_array *y) {
    int64_t shape[REEL_MAX_RANK], index[REEL_MAX_RANK] = {0}, from[REEL_MAX_RANK] = {0};
    for (int i = 0; i < x->rank; i++)
        shape[i] = x->shape[axes[i] < 0 ? axes[i] + x->rank : axes[i]];
    op_shape(y, x->rank, shape);
    for (int64_t i = 0; i < op_count(y); i++, op_next(y->rank, shape, index)) {
        for (int axis = 0; axis < x->rank; axis++)
            from[axes[axis] < 0 ? axes[axis] + x->rank : axes[axis]] = index[axis];
        y->values[i] = x->values[op_position(x, from)];
    }
}

static reel_tensor *call_transpose(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_transpose(ctx, in[0], (int)v->n[0], (int)v->n[1]);
}

static void reference_transpose(const op_variant *v, const op_array *x, op_array *y) {
    const int64_t a = v->n[0] < 0 ? v->n[0] + x->rank : v->n[0];
    const int64_t b = v->n[1] < 0 ? v->n[1] + x->rank : v->n[1];
    int64_t axes[REEL_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        axes[i] = i == a ? b : i == b ? a : i;
    reordered(x, axes, y);
}

void op_case_transpose(op_case *c);
void op_case_transpose(op_case *c) {
    *c = (op_case){
        .call = call_transpose,
        .reference = reference_transpose,
        .is_view = true,
        .variants =
            {
                {"matrix", {{OP_SHAPE(3, 4)}}, .n = {0, 1}},
                {"outer axes", {{OP_SHAPE(2, 3, 4)}}, .n = {2, 0}},
                {"last two", {{OP_SHAPE(2, 3, 4)}}, .n = {-1, -2}},
                {"an axis with itself", {{OP_SHAPE(2, 3)}}, .n = {1, 1}},
                {"large", {{OP_SHAPE(90, 601)}}, .n = {0, 1}, .large = true},
            },
        .refusals =
            {
                {"axis past the end", {{OP_SHAPE(2, 3)}}, .n = {0, 2}},
                {"axis before the beginning", {{OP_SHAPE(2, 3)}}, .n = {-3, 0}},
            },
    };
}

static reel_tensor *call_permute(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    int axes[OP_MAX_INTEGERS];
    for (int i = 0; i < OP_MAX_INTEGERS; i++)
        axes[i] = (int)v->n[i];
    return reel_permute(ctx, in[0], axes);
}

static void reference_permute(const op_variant *v, const op_array *x, op_array *y) {
    reordered(x, v->n, y);
}

void op_case_permute(op_case *c);
void op_case_permute(op_case *c) {
    *c = (op_case){
        .call = call_permute,
        .reference = reference_permute,
        .is_view = true,
        .variants =
            {
                {"turn", {{OP_SHAPE(2, 3, 4)}}, .n = {1, 2, 0}},
                {"turn back", {{OP_SHAPE(2, 3, 4)}}, .n = {2, 0, 1}},
                {"from the end", {{OP_SHAPE(2, 3, 2, 2)}}, .n = {0, -2, 1, -1}},
                {"large", {{OP_SHAPE(30, 3, 601)}}, .n = {1, 2, 0}, .large = true},
            },
        .refusals =
            {
                {"an axis twice", {{OP_SHAPE(2, 3, 4)}}, .n = {0, 1, 1}},
                {"axis past the end", {{OP_SHAPE(2, 3)}}, .n = {0, 2}},
            },
    };
}

/* ---- expand: v->n = {rank, sizes...} ------------------------------------------------------------------- */

static reel_tensor *call_expand(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_expand(ctx, in[0], (int)v->n[0], v->n + 1);
}

static void reference_expand(const op_variant *v, const op_array *x, op_array *y) {
    const int rank = (int)v->n[0];
    int64_t shape[REEL_MAX_RANK], index[REEL_MAX_RANK] = {0};
    for (int i = 0; i < rank; i++)
        shape[i] = v->n[1 + i] < 0 ? x->shape[i - (rank - x->rank)] : v->n[1 + i];
    op_shape(y, rank, shape);
    for (int64_t i = 0; i < op_count(y); i++, op_next(rank, shape, index))
        y->values[i] = op_broadcast(x, rank, index);
}

void op_case_expand(op_case *c);
void op_case_expand(op_case *c) {
    /* the gradient is a sum of up to 601 of size 1 */
    *c = (op_case){
        .call = call_expand,
        .reference = reference_expand,
        .backward = {64, 64, 1},
        .is_view = true,
        .variants =
            {
                {"a row", {{OP_SHAPE(1, 4)}}, .n = {2, 3, 4}},
                {"a new axis", {{OP_SHAPE(3)}}, .n = {2, 2, 3}},
                {"a scalar", {{0}}, .n = {2, 2, 3}},
                {"kept sizes", {{OP_SHAPE(2, 1, 3)}}, .n = {3, -1, 4, -1}},
                {"to its own shape", {{OP_SHAPE(2, 3)}}, .n = {2, 2, 3}},
                {"large", {{OP_SHAPE(90, 1)}}, .n = {2, 90, 601}, .large = true},
            },
        .refusals =
            {
                {"another size", {{OP_SHAPE(2, 3)}}, .n = {2, 4, 3}},
                {"fewer axes", {{OP_SHAPE(2, 3)}}, .n = {1, 3}},
                {"a new axis kept", {{OP_SHAPE(3)}}, .n = {2, -1, 3}},
            },
    };
}

/* ---- narrow: v->n = {axis, start, length} -------------------------------------------------------------- */

static reel_tensor *call_narrow(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_narrow(ctx, in[0], (int)v->n[0], v->n[1], v->n[2]);
}

static void part_of(const op_array *x, int64_t axis, int64_t start, int64_t length, op_array *y) {
    const op_axis a = op_around(x, axis);
    int64_t shape[REEL_MAX_RANK], index[REEL_MAX_RANK] = {0};
    for (int i = 0; i < x->rank; i++)
        shape[i] = i == a.axis ? length : x->shape[i];
    op_shape(y, x->rank, shape);
    for (int64_t i = 0; i < op_count(y); i++, op_next(y->rank, shape, index)) {
        index[a.axis] += start;
        y->values[i] = x->values[op_position(x, index)];
        index[a.axis] -= start;
    }
}

static void reference_narrow(const op_variant *v, const op_array *x, op_array *y) {
    part_of(x, v->n[0], v->n[1], v->n[2], y);
}

void op_case_narrow(op_case *c);
void op_case_narrow(op_case *c) {
    *c = (op_case){
        .call = call_narrow,
        .reference = reference_narrow,
        .is_view = true,
        .variants =
            {
                {"inside", {{OP_SHAPE(3, 5)}}, .n = {1, 1, 3}},
                {"first axis", {{OP_SHAPE(4, 3)}}, .n = {0, 2, 2}},
                {"from the end", {{OP_SHAPE(2, 3, 4)}}, .n = {-2, 0, 1}},
                {"all of it", {{OP_SHAPE(2, 3)}}, .n = {0, 0, 2}},
                {"nothing", {{OP_SHAPE(2, 3)}}, .n = {1, 3, 0}},
                {"large", {{OP_SHAPE(91, 601)}}, .n = {1, 300, 300}, .large = true},
            },
        .refusals =
            {
                {"past the end", {{OP_SHAPE(2, 3)}}, .n = {1, 1, 3}},
                {"before the beginning", {{OP_SHAPE(2, 3)}}, .n = {1, -1, 2}},
                {"negative length", {{OP_SHAPE(2, 3)}}, .n = {1, 1, -1}},
                {"overflow", {{OP_SHAPE(2, 3)}}, .n = {1, INT64_MAX, 1}},
                {"axis", {{OP_SHAPE(2, 3)}}, .n = {2, 0, 1}},
            },
    };
}

/* ---- split: v->n = {axis, which part or -1 for all, lengths...} ---------------------------------------- */

/* One part, or all of them concatenated again. */
static reel_tensor *call_split(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    reel_tensor *parts[OP_MAX_INTEGERS] = {0};
    int n = 0;
    while (n < OP_MAX_INTEGERS - 2 && v->n[2 + n])
        n++;
    reel_split(ctx, in[0], (int)v->n[0], v->n + 2, n, parts);
    if (v->n[1] >= 0)
        return parts[v->n[1]];
    return reel_concat(ctx, parts, n, (int)v->n[0]);
}

static void reference_split(const op_variant *v, const op_array *x, op_array *y) {
    int64_t start = 0, length = x->shape[op_around(x, v->n[0]).axis];
    for (int k = 0; k < v->n[1]; k++)
        start += v->n[2 + k];
    if (v->n[1] >= 0)
        length = v->n[2 + v->n[1]];
    part_of(x, v->n[0], start, length, y);
}

void op_case_split(op_case *c);
void op_case_split(op_case *c) {
    *c = (op_case){
        .call = call_split,
        .reference = reference_split,
        .variants =
            {
                {"first part", {{OP_SHAPE(3, 5)}}, .n = {1, 0, 2, 3}},
                {"last part", {{OP_SHAPE(3, 5)}}, .n = {-1, 1, 2, 3}},
                {"middle of three", {{OP_SHAPE(6, 2)}}, .n = {0, 1, 1, 3, 2}},
                {"all together", {{OP_SHAPE(2, 6)}}, .n = {1, -1, 1, 3, 2}},
                {"large", {{OP_SHAPE(90, 601)}}, .n = {1, -1, 200, 1, 400}, .large = true},
            },
        .refusals =
            {
                {"too short", {{OP_SHAPE(2, 5)}}, .n = {1, 0, 2, 2}},
                {"too long", {{OP_SHAPE(2, 5)}}, .n = {1, 0, 2, 4}},
                {"negative", {{OP_SHAPE(2, 5)}}, .n = {1, 0, 6, -1}},
                {"axis", {{OP_SHAPE(2, 5)}}, .n = {2, 0, 2, 3}},
            },
    };
}

/* ---- detach, clone ------------------------------------------------------------------------------------- */

static reel_tensor *call_detach(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    (void)v;
    return reel_detach(ctx, in[0]);
}

static reel_tensor *call_clone(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    (void)v;
    return reel_clone(ctx, in[0]);
}

static void reference_same(const op_variant *v, const op_array *x, op_array *y) {
    (void)v;
    op_shape(y, x->rank, x->shape);
    for (int64_t i = 0; i < op_count(x); i++)
        y->values[i] = x->values[i];
}

#define COPY_VARIANTS                                                                                        \
    {                                                                                                        \
        {"matrix", {{OP_SHAPE(3, 4)}}}, {"scalar", {{0}}}, {"three axes", {{OP_SHAPE(2, 3, 4)}}},            \
            {"empty", {{OP_SHAPE(2, 0)}}}, {"large", {{OP_SHAPE(90, 601)}}, .large = true},                  \
    }

void op_case_detach(op_case *c);
void op_case_detach(op_case *c) {
    *c = (op_case){
        .call = call_detach, .reference = reference_same, .is_view = true, .variants = COPY_VARIANTS};
}

/* A clone lies row-major in memory of its own. */
static void clone_copies(reel_context *ctx) {
    reel_tensor *x = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(2, 3));
    reel_tensor *y = reel_clone(ctx, reel_transpose(ctx, x, 0, 1));
    ck_assert(reel_is_contiguous(y));
    reel_fill(ctx, x, 1);
    float values[6];
    reel_read(ctx, y, values, sizeof values);
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq(values[i], 0);
    reel_tape_reset(ctx);
    reel_tensor_free(ctx, x);
}

void op_case_clone(op_case *c);
void op_case_clone(op_case *c) {
    *c = (op_case){
        .call = call_clone, .reference = reference_same, .variants = COPY_VARIANTS, .also = clone_copies};
}

/* ---- cast: to v->result -------------------------------------------------------------------------------- */

static reel_tensor *call_cast(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    const reel_dtype to[] = {[OP_FLOAT] = in[0] ? in[0]->dtype : REEL_F64,
                             [OP_F64] = REEL_F64,
                             [OP_F32] = REEL_F32,
                             [OP_BF16] = REEL_BF16,
                             [OP_I32] = REEL_I32,
                             [OP_U8] = REEL_U8};
    return reel_cast(ctx, in[0], v->n[0] ? (reel_dtype)v->n[0] : to[v->result]);
}

/* Floats keep their value; integers are cut towards zero and saturate, NaN becomes 0. */
static void reference_cast(const op_variant *v, const op_array *x, op_array *y) {
    const double low = v->result == OP_U8 ? 0 : INT32_MIN, high = v->result == OP_U8 ? 255 : INT32_MAX;
    reference_same(v, x, y);
    for (int64_t i = 0; i < op_count(y) && (v->result == OP_I32 || v->result == OP_U8); i++)
        y->values[i] = isnan(x->values[i]) ? 0 : fmin(fmax(trunc(x->values[i]), low), high);
}

static const double hard_to_cast[] = {0.5, -0.5, 1.75,  -1.75, 255.5,    256,
                                      -1,  1e10, -1e10, NAN,   INFINITY, 127};

void op_case_cast(op_case *c);
void op_case_cast(op_case *c) {
    /* the values are numbers that bf16 holds; sums of two gradients in bf16 round */
    *c = (op_case){
        .call = call_cast,
        .reference = reference_cast,
        .backward = {0, 0, 1},
        .variants =
            {
                {"to itself", {{OP_SHAPE(3, 4)}}},
                {"to f64", {{OP_SHAPE(3, 4)}}, .result = OP_F64},
                {"to f32", {{OP_SHAPE(3, 4)}}, .result = OP_F32, .result_rounds = true},
                {"to bf16", {{OP_SHAPE(2, 3, 4)}}, .result = OP_BF16, .result_rounds = true},
                {"scalar to f32", {{0}}, .result = OP_F32, .result_rounds = true},
                {"to i32", {{OP_SHAPE(3, 4), OP_VALUES(hard_to_cast)}}, .result = OP_I32},
                {"to u8", {{OP_SHAPE(3, 4), OP_VALUES(hard_to_cast)}}, .result = OP_U8},
                {"empty", {{OP_SHAPE(0, 2)}}, .result = OP_F32, .result_rounds = true},
                {"large to f32",
                 {{OP_SHAPE(90, 601)}},
                 .result = OP_F32,
                 .large = true,
                 .result_rounds = true},
                {"large to bf16",
                 {{OP_SHAPE(90, 601)}},
                 .result = OP_BF16,
                 .large = true,
                 .result_rounds = true},
            },
        .refusals = {{"no dtype", {{OP_SHAPE(2)}}, .n = {REEL_DTYPE_COUNT}}},
    };
}

/* ---- concat, stack: v->n = {axis} ---------------------------------------------------------------------- */

static reel_tensor *call_concat(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_concat(ctx, in, v->n[1] ? 0 : v->inputs, (int)v->n[0]);
}

static void reference_concat(const op_variant *v, const op_array *in, op_array *y) {
    const op_axis a = op_around(&in[0], v->n[0]);
    int64_t shape[REEL_MAX_RANK], index[REEL_MAX_RANK], start = 0;
    for (int i = 0; i < in[0].rank; i++)
        shape[i] = in[0].shape[i];
    for (int k = 1; k < v->inputs; k++)
        shape[a.axis] += in[k].shape[a.axis];
    op_shape(y, in[0].rank, shape);
    for (int k = 0; k < v->inputs; k++) {
        for (int i = 0; i < REEL_MAX_RANK; i++)
            index[i] = 0;
        for (int64_t i = 0; i < op_count(&in[k]); i++, op_next(in[k].rank, in[k].shape, index)) {
            index[a.axis] += start;
            y->values[op_position(y, index)] = in[k].values[i];
            index[a.axis] -= start;
        }
        start += in[k].shape[a.axis];
    }
}

void op_case_concat(op_case *c);
void op_case_concat(op_case *c) {
    *c = (op_case){
        .call = call_concat,
        .reference = reference_concat,
        .backward = {0, 0, 1},
        .variants =
            {
                {"last axis", {{OP_SHAPE(2, 3)}, {OP_SHAPE(2, 1)}, {OP_SHAPE(2, 2)}}, .inputs = 3, .n = {-1}},
                {"first axis", {{OP_SHAPE(2, 3)}, {OP_SHAPE(1, 3)}}, .inputs = 2, .n = {0}},
                {"middle axis", {{OP_SHAPE(2, 1, 3)}, {OP_SHAPE(2, 2, 3)}}, .inputs = 2, .n = {1}},
                {"one", {{OP_SHAPE(2, 3)}}, .inputs = 1, .n = {0}},
                {"an empty one", {{OP_SHAPE(2, 0)}, {OP_SHAPE(2, 3)}}, .inputs = 2, .n = {1}},
                {"large", {{OP_SHAPE(90, 301)}, {OP_SHAPE(90, 300)}}, .inputs = 2, .n = {1}, .large = true},
            },
        .refusals =
            {
                {"other sizes", {{OP_SHAPE(2, 3)}, {OP_SHAPE(3, 3)}}, .inputs = 2, .n = {1}},
                {"other ranks", {{OP_SHAPE(2, 3)}, {OP_SHAPE(2)}}, .inputs = 2, .n = {0}},
                {"axis", {{OP_SHAPE(2, 3)}, {OP_SHAPE(2, 3)}}, .inputs = 2, .n = {2}},
                {"none", {{OP_SHAPE(2, 3)}}, .inputs = 1, .n = {0, 1}},
                {"scalars", {{0}, {0}}, .inputs = 2, .n = {0}},
            },
    };
}

static reel_tensor *call_stack(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_stack(ctx, in, v->n[1] ? 0 : v->inputs, (int)v->n[0]);
}

/* y[.., k, ..] = in[k], the new axis counted among the result's */
static void reference_stack(const op_variant *v, const op_array *in, op_array *y) {
    const int rank = in[0].rank + 1;
    const int axis = (int)(v->n[0] < 0 ? v->n[0] + rank : v->n[0]);
    int64_t shape[REEL_MAX_RANK], index[REEL_MAX_RANK] = {0}, from[REEL_MAX_RANK];
    for (int i = 0; i < rank; i++)
        shape[i] = i == axis ? v->inputs : in[0].shape[i - (i > axis)];
    op_shape(y, rank, shape);
    for (int64_t i = 0; i < op_count(y); i++, op_next(rank, shape, index)) {
        for (int j = 0; j < rank - 1; j++)
            from[j] = index[j + (j >= axis)];
        const op_array *x = &in[index[axis]];
        y->values[i] = x->values[op_position(x, from)];
    }
}

void op_case_stack(op_case *c);
void op_case_stack(op_case *c) {
    *c = (op_case){
        .call = call_stack,
        .reference = reference_stack,
        .backward = {0, 0, 1},
        .variants =
            {
                {"in front", {{OP_SHAPE(2, 3)}, {OP_SHAPE(2, 3)}, {OP_SHAPE(2, 3)}}, .inputs = 3, .n = {0}},
                {"behind", {{OP_SHAPE(2, 3)}, {OP_SHAPE(2, 3)}}, .inputs = 2, .n = {-1}},
                {"between", {{OP_SHAPE(2, 3)}, {OP_SHAPE(2, 3)}}, .inputs = 2, .n = {1}},
                {"scalars", {{0}, {0}, {0}}, .inputs = 3, .n = {0}},
                {"large", {{OP_SHAPE(90, 301)}, {OP_SHAPE(90, 301)}}, .inputs = 2, .n = {1}, .large = true},
            },
        .refusals =
            {
                {"other sizes", {{OP_SHAPE(2, 3)}, {OP_SHAPE(3, 3)}}, .inputs = 2, .n = {0}},
                {"axis", {{OP_SHAPE(2, 3)}, {OP_SHAPE(2, 3)}}, .inputs = 2, .n = {3}},
                {"none", {{OP_SHAPE(2, 3)}}, .inputs = 1, .n = {0, 1}},
                {"seven axes", {{OP_SHAPE(1, 1, 1, 1, 1, 1)}}, .inputs = 1, .n = {0}},
            },
    };
}

/* ---- pad: v->n = {axis, before, after}, v->a = {value} ------------------------------------------------- */

static reel_tensor *call_pad(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_pad(ctx, in[0], (int)v->n[0], v->n[1], v->n[2], v->a[0]);
}

static void reference_pad(const op_variant *v, const op_array *x, op_array *y) {
    const op_axis a = op_around(x, v->n[0]);
    int64_t shape[REEL_MAX_RANK], index[REEL_MAX_RANK] = {0};
    for (int i = 0; i < x->rank; i++)
        shape[i] = x->shape[i] + (i == a.axis ? v->n[1] + v->n[2] : 0);
    op_shape(y, x->rank, shape);
    for (int64_t i = 0; i < op_count(y); i++)
        y->values[i] = v->a[0];
    for (int64_t i = 0; i < op_count(x); i++, op_next(x->rank, x->shape, index)) {
        index[a.axis] += v->n[1];
        y->values[op_position(y, index)] = x->values[i];
        index[a.axis] -= v->n[1];
    }
}

void op_case_pad(op_case *c);
void op_case_pad(op_case *c) {
    *c = (op_case){
        .call = call_pad,
        .reference = reference_pad,
        .backward = {0, 0, 1},
        .variants =
            {
                {"both sides", {{OP_SHAPE(2, 3)}}, .n = {1, 1, 2}, .a = {4}},
                {"first axis", {{OP_SHAPE(2, 3)}}, .n = {0, 2, 0}},
                {"from the end", {{OP_SHAPE(2, 2, 3)}}, .n = {-2, 0, 1}, .a = {3}},
                {"by nothing", {{OP_SHAPE(2, 3)}}, .n = {1, 0, 0}},
                {"large", {{OP_SHAPE(90, 597)}}, .n = {1, 2, 3}, .a = {1}, .large = true},
            },
        .refusals =
            {
                {"negative before", {{OP_SHAPE(2, 3)}}, .n = {1, -1, 2}},
                {"negative after", {{OP_SHAPE(2, 3)}}, .n = {1, 2, -1}},
                {"axis", {{OP_SHAPE(2, 3)}}, .n = {2, 1, 1}},
                {"overflow", {{OP_SHAPE(2, 3)}}, .n = {1, INT64_MAX, INT64_MAX}},
            },
    };
}
