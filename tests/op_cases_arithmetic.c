/* Cases of the elementwise ops of several inputs. */
#include "op_case.h"

/* y_i = f(x_0, x_1, ...) with broadcasting; x are the inputs' elements. */
typedef double function(const double *x, int n);

static void reference(const op_variant *v, const op_array *in, int n, function *f, op_array *y) {
    int rank;
    int64_t shape[REEL_MAX_RANK], index[REEL_MAX_RANK] = {0};
    (void)v;
    op_broadcast_shape(in, n, &rank, shape);
    op_shape(y, rank, shape);
    for (int64_t i = 0; i < op_count(y); i++, op_next(rank, shape, index)) {
        double x[OP_MAX_INPUTS];
        for (int k = 0; k < n; k++)
            x[k] = op_broadcast(&in[k], rank, index);
        y->values[i] = f(x, n);
    }
}

#define USUAL .draw = OP_UNIFORM
#define BINARY_VARIANTS(...)                                                                                 \
    {                                                                                                        \
        {"same shape", {{OP_SHAPE(3, 4), __VA_ARGS__}, {OP_SHAPE(3, 4), __VA_ARGS__}}},                      \
            {"scalars", {{__VA_ARGS__}, {__VA_ARGS__}}},                                                     \
            {"a row to all", {{OP_SHAPE(2, 3, 4), __VA_ARGS__}, {OP_SHAPE(4), __VA_ARGS__}}, .terms = 6},    \
            {"all with a scalar", {{__VA_ARGS__}, {OP_SHAPE(3, 4), __VA_ARGS__}}, .terms = 12},              \
            {"column and row", {{OP_SHAPE(3, 1), __VA_ARGS__}, {OP_SHAPE(1, 5), __VA_ARGS__}}, .terms = 5},  \
            {"middle axis",                                                                                  \
             {{OP_SHAPE(2, 1, 3), __VA_ARGS__}, {OP_SHAPE(2, 4, 3), __VA_ARGS__}},                           \
             .terms = 4},                                                                                    \
            {"empty", {{OP_SHAPE(0, 3), __VA_ARGS__}, {OP_SHAPE(1, 3), __VA_ARGS__}}},                       \
            {"large",                                                                                        \
             {{OP_SHAPE(5, 12001), __VA_ARGS__}, {OP_SHAPE(5, 12001), __VA_ARGS__}},                         \
             .large = true},                                                                                 \
            {"large row to all",                                                                             \
             {{OP_SHAPE(90, 601), __VA_ARGS__}, {OP_SHAPE(601), __VA_ARGS__}},                               \
             .terms = 90,                                                                                    \
             .large = true},                                                                                 \
            {"large column to all",                                                                          \
             {{OP_SHAPE(90, 1), __VA_ARGS__}, {OP_SHAPE(90, 601), __VA_ARGS__}},                             \
             .terms = 601,                                                                                   \
             .large = true},                                                                                 \
            {"large with a scalar",                                                                          \
             {{OP_SHAPE(3, 17001), __VA_ARGS__}, {__VA_ARGS__}},                                             \
             .terms = 51003,                                                                                 \
             .large = true},                                                                                 \
    }
#define BINARY_REFUSALS                                                                                      \
    {                                                                                                        \
        {"shapes that do not broadcast", {{OP_SHAPE(2, 3)}, {OP_SHAPE(2, 4)}}},                              \
            {"shapes that fit only from the left", {{OP_SHAPE(2, 3)}, {OP_SHAPE(2)}}},                       \
    }

#define BINARY_CASE(op, formula, ...)                                                                        \
    static reel_tensor *call_##op(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {          \
        (void)v;                                                                                             \
        return reel_##op(ctx, in[0], in[1]);                                                                 \
    }                                                                                                        \
    static double scalar_##op(const double *x, int n) {                                                      \
        (void)n;                                                                                             \
        return formula;                                                                                      \
    }                                                                                                        \
    static void reference_##op(const op_variant *v, const op_array *in, op_array *y) {                       \
        reference(v, in, 2, scalar_##op, y);                                                                 \
    }                                                                                                        \
    void op_case_##op(op_case *c);                                                                           \
    void op_case_##op(op_case *c) {                                                                          \
        *c = (op_case){                                                                                      \
            .call = call_##op, .reference = reference_##op, .refusals = BINARY_REFUSALS, __VA_ARGS__};       \
    }

/* One rounding forward, and one or two in each term of a gradient. The gradient of an input that was
 * broadcast is a sum of such terms, which in bf16 are rounded before they are summed. */
BINARY_CASE(add, x[0] + x[1], .forward = {1, 1, 1}, .backward = {4, 4, 2}, .variants = BINARY_VARIANTS(USUAL))
BINARY_CASE(sub, x[0] - x[1], .forward = {1, 1, 1}, .backward = {4, 4, 2}, .variants = BINARY_VARIANTS(USUAL))
BINARY_CASE(mul, x[0] * x[1], .forward = {1, 1, 1}, .backward = {4, 4, 2}, .variants = BINARY_VARIANTS(USUAL))
/* the divisor stays away from 0; terms are of size up to 8, and a GPU sums those of f64 in another order */
BINARY_CASE(div, x[0] / x[1], .forward = {1, 2, 1}, .backward = {8, 4, 2},
            .variants = BINARY_VARIANTS(.low = 0.5, .high = 2))

/* Few integers, so that equals are among them. */
#define FEW .draw = OP_INTEGERS, .low = -1, .high = 2
BINARY_CASE(eq, x[0] == x[1], .result = OP_U8, .variants = BINARY_VARIANTS(FEW))
BINARY_CASE(lt, x[0] < x[1], .result = OP_U8, .variants = BINARY_VARIANTS(FEW))
BINARY_CASE(le, x[0] <= x[1], .result = OP_U8, .variants = BINARY_VARIANTS(FEW))

/* ---- where --------------------------------------------------------------------------------------------- */

static reel_tensor *call_where(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    (void)v;
    return reel_where(ctx, in[0], in[1], in[2]);
}

static double scalar_where(const double *x, int n) {
    (void)n;
    return x[0] != 0 ? x[1] : x[2];
}

static void reference_where(const op_variant *v, const op_array *in, op_array *y) {
    reference(v, in, 3, scalar_where, y);
}

void op_case_where(op_case *c);
void op_case_where(op_case *c) {
#define CONDITION .type = OP_U8, .draw = OP_INTEGERS, .low = 0, .high = 1
    /* values are only moved; gradients are sums where they were broadcast */
    *c = (op_case){
        .call = call_where,
        .reference = reference_where,
        .backward = {1, 1, 1},
        .variants =
            {
                {"same shape", {{OP_SHAPE(3, 4), CONDITION}, {OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4)}}},
                {"scalars", {{CONDITION}, {0}, {0}}},
                {"mask of rows", {{OP_SHAPE(3, 1), CONDITION}, {OP_SHAPE(3, 4)}, {0}}, .terms = 12},
                {"condition i32",
                 {{OP_SHAPE(4), .type = OP_I32, .draw = OP_INTEGERS, .low = -1, .high = 1},
                  {OP_SHAPE(2, 4)},
                  {OP_SHAPE(2, 1)}},
                 .terms = 4},
                {"empty", {{OP_SHAPE(0), CONDITION}, {OP_SHAPE(0)}, {0}}},
                {"large",
                 {{OP_SHAPE(90, 1), CONDITION}, {OP_SHAPE(90, 601)}, {OP_SHAPE(601)}},
                 .terms = 90,
                 .large = true},
            },
        .refusals =
            {
                {"float condition", {{OP_SHAPE(3), .type = OP_F64}, {OP_SHAPE(3)}, {OP_SHAPE(3)}}},
                {"shapes", {{OP_SHAPE(3), CONDITION}, {OP_SHAPE(4)}, {OP_SHAPE(4)}}},
                {"two dtypes", {{OP_SHAPE(3), CONDITION}, {OP_SHAPE(3)}, {OP_SHAPE(3), .type = OP_F32}}},
            },
    };
}

/* ---- add_n --------------------------------------------------------------------------------------------- */

/* v->n[0]: how many to add, when not all inputs once each. */
static reel_tensor *call_add_n(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    enum { TOO_MANY = OP_MAX_INPUTS + 1 };
    if (v->n[0] == 0)
        return reel_add_n(ctx, in, v->inputs);
    reel_tensor *many[TOO_MANY];
    for (int k = 0; k < TOO_MANY; k++)
        many[k] = in[0];
    return reel_add_n(ctx, many, (int)v->n[0]);
}

static double scalar_sum(const double *x, int n) {
    double sum = 0;
    for (int k = 0; k < n; k++)
        sum += x[k];
    return sum;
}

static void reference_add_n(const op_variant *v, const op_array *in, op_array *y) {
    const op_array *once = in;
    op_array many[OP_MAX_INPUTS];
    for (int k = 0; k < v->n[0]; k++)
        many[k] = in[0];
    reference(v, v->n[0] ? many : once, v->n[0] ? (int)v->n[0] : v->inputs, scalar_sum, y);
}

void op_case_add_n(op_case *c);
void op_case_add_n(op_case *c) {
#define FOUR {OP_SHAPE(2, 3)}, {OP_SHAPE(2, 3)}, {OP_SHAPE(2, 3)}, {OP_SHAPE(2, 3)}
    /* up to 16 terms of size 2; five equal gradients, each added in bf16, are five errors of size 5 */
    *c = (op_case){
        .call = call_add_n,
        .reference = reference_add_n,
        .forward = {16, 16, 1},
        .backward = {2, 2, 1},
        .variants =
            {
                {"three", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4)}}, .inputs = 3},
                {"one", {{OP_SHAPE(3, 4)}}, .inputs = 1},
                {"two broadcast", {{OP_SHAPE(3, 1)}, {OP_SHAPE(4)}}, .inputs = 2, .terms = 4},
                {"sixteen", {FOUR, FOUR, FOUR, FOUR}, .inputs = 16},
                {"the same five times", {{OP_SHAPE(2, 3)}}, .inputs = 1, .n = {5}, .terms = 25},
                {"large",
                 {{OP_SHAPE(90, 601)}, {OP_SHAPE(601)}, {OP_SHAPE(90, 1)}},
                 .inputs = 3,
                 .terms = 601,
                 .large = true},
            },
        .refusals =
            {
                {"shapes", {{OP_SHAPE(3)}, {OP_SHAPE(3)}, {OP_SHAPE(4)}}, .inputs = 3},
                {"seventeen", {{OP_SHAPE(3)}}, .inputs = 1, .n = {17}},
                {"less than one", {{OP_SHAPE(3)}}, .inputs = 1, .n = {-1}},
            },
    };
}
