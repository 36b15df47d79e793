/* Cases of the reductions and softmax. */
#include "op_case.h"

#include <math.h>

#include <check.h>

/* ---- reductions: v->n = {number of axes, axes...}, v->flags -------------------------------------------- */

/* Folds the elements of one result: `count` values, in row-major order of the reduced axes. */
typedef double fold(const double *x, int64_t count);

static void axes_of(const op_variant *v, int *axes) {
    for (int i = 0; i < v->n[0]; i++)
        axes[i] = (int)v->n[1 + i];
}

static void reduce(const op_variant *v, const op_array *x, fold *f, op_array *y) {
    enum { MOST = 60000 };
    static double line[MOST];
    bool reduced[REEL_MAX_RANK] = {false};
    int64_t kept[REEL_MAX_RANK], lines[REEL_MAX_RANK], shape[REEL_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < v->n[0]; i++)
        reduced[v->n[1 + i] < 0 ? v->n[1 + i] + x->rank : v->n[1 + i]] = true;
    for (int i = 0; i < x->rank; i++) {
        reduced[i] |= v->n[0] == 0;
        kept[i] = reduced[i] ? 1 : x->shape[i];
        lines[i] = reduced[i] ? x->shape[i] : 1;
        if (!reduced[i] || (v->flags & REEL_KEEP_AXES))
            shape[rank++] = kept[i];
    }
    op_shape(y, rank, shape);
    int64_t outer[REEL_MAX_RANK] = {0};
    for (int64_t i = 0; i < op_count(y); i++, op_next(x->rank, kept, outer)) {
        const op_array extent = {.rank = x->rank, .shape = {lines[0], lines[1], lines[2], lines[3]}};
        const int64_t count = op_count(&extent);
        int64_t inner[REEL_MAX_RANK] = {0}, at[REEL_MAX_RANK];
        for (int64_t j = 0; j < count; j++, op_next(x->rank, lines, inner)) {
            for (int axis = 0; axis < x->rank; axis++)
                at[axis] = outer[axis] + inner[axis];
            line[j] = x->values[op_position(x, at)];
        }
        y->values[i] = f(line, count);
    }
}

static double fold_sum(const double *x, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i];
    return sum;
}

static double fold_mean(const double *x, int64_t count) {
    return fold_sum(x, count) / (double)count;
}

static double fold_argmax(const double *x, int64_t count) {
    int64_t best = 0;
    for (int64_t i = 1; i < count && !isnan(x[best]); i++)
        if (x[i] > x[best] || isnan(x[i]))
            best = i;
    return (double)best;
}

static double fold_max(const double *x, int64_t count) {
    return x[(int64_t)fold_argmax(x, count)];
}

#define USUAL .draw = OP_UNIFORM
#define REDUCTION_VARIANTS(...)                                                                              \
    {"last axis", {{OP_SHAPE(3, 4), __VA_ARGS__}}, .n = {1, -1}},                                            \
        {"first axis", {{OP_SHAPE(3, 4), __VA_ARGS__}}, .n = {1, 0}},                                        \
        {"middle axis kept", {{OP_SHAPE(2, 3, 4), __VA_ARGS__}}, .n = {1, 1}, .flags = REEL_KEEP_AXES},      \
        {"two axes apart", {{OP_SHAPE(2, 3, 4), __VA_ARGS__}}, .n = {2, 2, 0}},                              \
        {"two axes kept", {{OP_SHAPE(2, 3, 2, 2), __VA_ARGS__}}, .n = {2, 1, -1}, .flags = REEL_KEEP_AXES},  \
        {"all axes", {{OP_SHAPE(2, 5, 3), __VA_ARGS__}}, .n = {0}}, {"scalar", {{__VA_ARGS__}}, .n = {0}},   \
        {"rows of whole packs", {{OP_SHAPE(3, 16), __VA_ARGS__}}, .n = {1, 1}},                              \
        {"more than a warp", {{OP_SHAPE(9, 33), __VA_ARGS__}}, .n = {1, 1}, .large = true},                  \
        {"more than one warp each", {{OP_SHAPE(3, 129), __VA_ARGS__}}, .n = {1, 1}, .large = true},          \
        {"large rows", {{OP_SHAPE(300, 181), __VA_ARGS__}}, .n = {1, 1}, .large = true}, {                   \
        "large columns", {{OP_SHAPE(181, 300), __VA_ARGS__}}, .n = {1, 0}, .large = true                     \
    }

#define REDUCTION_REFUSALS                                                                                   \
    {"axis past the end", {{OP_SHAPE(3, 4)}}, .n = {1, 2}},                                                  \
        {"axis before the beginning", {{OP_SHAPE(3, 4)}}, .n = {1, -3}}, {                                   \
        "an axis twice", {{OP_SHAPE(3, 4)}}, .n = { 2, 1, -1 }                                               \
    }

#define REDUCTION_CALL(op)                                                                                   \
    static reel_tensor *call_##op(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {          \
        int axes[REEL_MAX_RANK];                                                                             \
        axes_of(v, axes);                                                                                    \
        return reel_##op(ctx, in[0], axes, (int)v->n[0], v->flags);                                          \
    }                                                                                                        \
    static void reference_##op(const op_variant *v, const op_array *in, op_array *y) {                       \
        reduce(v, in, fold_##op, y);                                                                         \
    }
REDUCTION_CALL(sum)
REDUCTION_CALL(mean)
REDUCTION_CALL(max)
REDUCTION_CALL(argmax)

void op_case_sum(op_case *c);
void op_case_sum(op_case *c) {
    /* 54,300 terms of size 2 in whatever order: the square root of their number, in partial sums of a few
     * hundred, for results of that size */
    *c = (op_case){
        .call = call_sum,
        .reference = reference_sum,
        .forward = {256, 256, 1},
        .variants =
            {
                REDUCTION_VARIANTS(USUAL),
                {"over nothing", {{OP_SHAPE(2, 0, 3)}}, .n = {1, 1}},
                {"large, few columns", {{OP_SHAPE(1200, 16)}}, .n = {1, 0}, .large = true},
                {"large, all axes", {{OP_SHAPE(181, 300)}}, .n = {0}, .large = true},
            },
        .refusals = {REDUCTION_REFUSALS},
    };
}

void op_case_mean(op_case *c);
void op_case_mean(op_case *c) {
    /* as sum, over the number of terms; the gradient dy / n is one rounding more, two in bf16 */
    *c = (op_case){
        .call = call_mean,
        .reference = reference_mean,
        .forward = {16, 16, 1},
        .backward = {2, 2, 1},
        .variants =
            {
                REDUCTION_VARIANTS(USUAL),
                {"large, all axes", {{OP_SHAPE(181, 300)}}, .n = {0}, .large = true},
            },
        .refusals = {REDUCTION_REFUSALS},
    };
}

/* Of equal maxima the first gets the gradient, and NaN is the largest number of all. */
static void max_breaks_ties(reel_context *ctx) {
    const double ties[] = {1, 3, 3, 2, 3}, no_number[] = {1, NAN, 7, NAN, 2};
    reel_tensor *x = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(5));
    reel_require_grad(ctx, x);
    reel_write(ctx, x, ties, sizeof ties);
    ck_assert_int_eq(reel_backward(ctx, reel_max(ctx, x, NULL, 0, 0)), REEL_OK);
    double dx[5];
    reel_read(ctx, reel_grad(ctx, x), dx, sizeof dx);
    for (int i = 0; i < 5; i++)
        ck_assert_double_eq(dx[i], i == 1 ? 1 : 0);
    reel_zero_grad(x);
    reel_write(ctx, x, no_number, sizeof no_number);
    reel_tensor *y = reel_max(ctx, x, NULL, 0, 0);
    ck_assert_double_nan(reel_item(ctx, y));
    ck_assert_int_eq(reel_backward(ctx, y), REEL_OK);
    reel_read(ctx, reel_grad(ctx, x), dx, sizeof dx);
    for (int i = 0; i < 5; i++)
        ck_assert_double_eq(dx[i], i == 1 ? 1 : 0);
    reel_tape_reset(ctx);
    reel_tensor_free(ctx, x);
}

#define DISTINCT .draw = OP_DISTINCT
void op_case_max(op_case *c);
void op_case_max(op_case *c) {
    /* values are only moved */
    *c = (op_case){
        .call = call_max,
        .reference = reference_max,
        .variants = {REDUCTION_VARIANTS(DISTINCT)},
        .refusals = {REDUCTION_REFUSALS, {"over nothing", {{OP_SHAPE(2, 0)}}, .n = {1, 1}}},
        .also = max_breaks_ties,
    };
}

static const double with_no_number[] = {1, 2, NAN, 3, NAN, INFINITY};

void op_case_argmax(op_case *c);
void op_case_argmax(op_case *c) {
#define FEW .draw = OP_INTEGERS, .low = 0, .high = 3
    *c = (op_case){
        .call = call_argmax,
        .reference = reference_argmax,
        .result = OP_I32,
        .variants =
            {
                REDUCTION_VARIANTS(FEW),
                {"NaN wins", {{OP_SHAPE(2, 6), OP_VALUES(with_no_number), .type = OP_F32}}, .n = {1, 1}},
                {"large, all axes", {{OP_SHAPE(181, 300)}}, .n = {0}, .large = true},
            },
        .refusals = {REDUCTION_REFUSALS, {"over nothing", {{OP_SHAPE(2, 0)}}, .n = {1, 1}}},
    };
}

/* ---- softmax: v->n = {axis} ---------------------------------------------------------------------------- */

/* y_i = x_i - ln sum_j e^x_j along the axis, the largest x taken out of the sum */
static void reference_log_softmax(const op_variant *v, const op_array *x, op_array *y) {
    const op_axis a = op_around(x, v->n[0]);
    op_shape(y, x->rank, x->shape);
    for (int64_t outer = 0; outer < a.outer; outer++)
        for (int64_t inner = 0; inner < a.inner; inner++) {
            const int64_t first = outer * a.n * a.inner + inner;
            double largest = -INFINITY, sum = 0;
            for (int64_t i = 0; i < a.n; i++)
                largest = fmax(largest, x->values[first + i * a.inner]);
            for (int64_t i = 0; i < a.n; i++)
                sum += exp(x->values[first + i * a.inner] - largest);
            for (int64_t i = 0; i < a.n; i++)
                y->values[first + i * a.inner] = x->values[first + i * a.inner] - largest - log(sum);
        }
}

static void reference_softmax(const op_variant *v, const op_array *x, op_array *y) {
    reference_log_softmax(v, x, y);
    for (int64_t i = 0; i < op_count(y); i++)
        y->values[i] = exp(y->values[i]);
}

static reel_tensor *call_softmax(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_softmax(ctx, in[0], (int)v->n[0]);
}

static reel_tensor *call_log_softmax(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_log_softmax(ctx, in[0], (int)v->n[0]);
}

#define SOFTMAX_VARIANTS                                                                                     \
    {                                                                                                        \
        {"last axis", {{OP_SHAPE(3, 5)}}, .n = {-1}}, {"first axis", {{OP_SHAPE(4, 3)}}, .n = {0}},          \
            {"middle axis", {{OP_SHAPE(2, 4, 3)}}, .n = {1}}, {"one element", {{OP_SHAPE(3, 1)}}, .n = {1}}, \
            {"no rows", {{OP_SHAPE(0, 3)}}, .n = {1}},                                                       \
            {"rows of whole packs", {{OP_SHAPE(3, 16)}}, .n = {1}},                                          \
            {"rows of a warp and one", {{OP_SHAPE(9, 33)}}, .n = {1}, .large = true},                        \
            {"rows of more than a warp", {{OP_SHAPE(3, 129)}}, .n = {1}, .large = true},                     \
            {"columns of a warp and one", {{OP_SHAPE(9, 33)}}, .n = {0}, .large = true},                     \
            {"far apart", {{OP_SHAPE(3, 4), .low = -500, .high = 500}}, .n = {1}, .forward_only = true},     \
            {"large rows", {{OP_SHAPE(300, 181)}}, .n = {1}, .large = true},                                 \
            {"large rows of whole packs", {{OP_SHAPE(9, 512)}}, .n = {1}, .large = true},                    \
            {"large columns", {{OP_SHAPE(181, 300)}}, .n = {0}, .large = true},                              \
    }
#define SOFTMAX_REFUSALS                                                                                     \
    { {"axis past the end", {{OP_SHAPE(3, 4)}}, .n = {2}}, {"scalar", {{0}}, .n = {0}}, }

void op_case_softmax(op_case *c);
void op_case_softmax(op_case *c) {
    /* exp, a sum of up to 181 of its values and a division; the results are below 1, and the floor keeps
     * those of 1 / 181 in view. dx = y (dy - sum dy y) is a difference of terms of some ten floors' size,
     * each with y's rounding. */
    *c = (op_case){
        .call = call_softmax,
        .reference = reference_softmax,
        .forward = {16, 16, 1},
        .backward = {64, 64, 8},
        .floor = 1.0 / 64,
        .variants = SOFTMAX_VARIANTS,
        .refusals = SOFTMAX_REFUSALS,
    };
}

void op_case_log_softmax(op_case *c);
void op_case_log_softmax(op_case *c) {
    /* as softmax; the gradient dy - e^y sum dy multiplies e^y's error by a sum of 181 of size up to 10 */
    *c = (op_case){
        .call = call_log_softmax,
        .reference = reference_log_softmax,
        .forward = {16, 16, 1},
        .backward = {64, 64, 4},
        .variants = SOFTMAX_VARIANTS,
        .refusals = SOFTMAX_REFUSALS,
    };
}
