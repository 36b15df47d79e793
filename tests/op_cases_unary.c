/* Cases of the elementwise functions of one input. */
#include "op_case.h"

#include <math.h>

/* Where the formulas are tried besides their domain: edges, infinities, what is no number. */
static const double special[] = {0.0,   -0.0, 1.0,  -1.0,     0.5,       -3.0, 1e-3, 88.0,
                                 -88.0, 10.0, 16.0, INFINITY, -INFINITY, NAN,  -20.0};

#define UNARY_VARIANTS(lowest, highest)                                                                      \
    {                                                                                                        \
        {"matrix", {{OP_SHAPE(3, 5), .low = lowest, .high = highest}}},                                      \
            {"scalar", {{.low = lowest, .high = highest}}},                                                  \
            {"one axis", {{OP_SHAPE(19), .low = lowest, .high = highest}}},                                  \
            {"rows of a pack", {{OP_SHAPE(3, 8), .low = lowest, .high = highest}}},                          \
            {"four axes", {{OP_SHAPE(2, 1, 3, 4), .low = lowest, .high = highest}}},                         \
            {"empty", {{OP_SHAPE(0, 3), .low = lowest, .high = highest}}},                                   \
            {"special values", {{OP_SHAPE(30), OP_VALUES(special)}}, .forward_only = true},                  \
            {"large", {{OP_SHAPE(3, 17001), .low = lowest, .high = highest}}, .large = true},                \
    }

/* op_case_NAME: reel_NAME(x, ...) computes `formula` of the double x; v->a are its attributes. */
#define UNARY_CASE(op, call_arguments, formula, ...)                                                         \
    static reel_tensor *call_##op(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {          \
        (void)v;                                                                                             \
        return reel_##op call_arguments;                                                                     \
    }                                                                                                        \
    static void reference_##op(const op_variant *v, const op_array *in, op_array *y) {                       \
        (void)v;                                                                                             \
        op_shape(y, in->rank, in->shape);                                                                    \
        for (int64_t i = 0; i < op_count(y); i++) {                                                          \
            const double x = in->values[i];                                                                  \
            y->values[i] = formula;                                                                          \
        }                                                                                                    \
    }                                                                                                        \
    void op_case_##op(op_case *c);                                                                           \
    void op_case_##op(op_case *c) {                                                                          \
        *c = (op_case){.call = call_##op, .reference = reference_##op, __VA_ARGS__};                         \
    }

/* One rounding is half an epsilon. f32 functions of <math.h> and the exp polynomial err by up to two, and
 * each step of arithmetic around them by a half more. In bf16 the arithmetic is f32, so that one rounding of
 * the result remains; a gradient has a second where it is written in the rounded result y. */
#define FORWARD  .forward = {4, 4, 1}
#define BACKWARD .backward = {8, 8, 1}

/* exact but for the sign */
UNARY_CASE(neg, (ctx, in[0]), -x, .forward = {0, 0, 0}, .backward = {0, 0, 0},
           .variants = UNARY_VARIANTS(-2, 2))
/* dx = dy y with y up to e^2: twice y's rounding */
UNARY_CASE(exp, (ctx, in[0]), exp(x), FORWARD, .backward = {8, 8, 2}, .variants = UNARY_VARIANTS(-2, 2))
UNARY_CASE(log, (ctx, in[0]), log(x), FORWARD, BACKWARD, .variants = UNARY_VARIANTS(0.25, 4))
UNARY_CASE(sqrt, (ctx, in[0]), sqrt(x), FORWARD, .backward = {8, 8, 2}, .variants = UNARY_VARIANTS(0.25, 4))
/* dx = -dy y^3 / 2: three times y's rounding */
UNARY_CASE(rsqrt, (ctx, in[0]), 1 / sqrt(x), FORWARD, .backward = {8, 8, 3},
           .variants = UNARY_VARIANTS(0.25, 4))
UNARY_CASE(sigmoid, (ctx, in[0]), 1 / (1 + exp(-x)), FORWARD, BACKWARD, .variants = UNARY_VARIANTS(-6, 6))
UNARY_CASE(tanh, (ctx, in[0]), tanh(x), FORWARD, .backward = {8, 8, 2}, .variants = UNARY_VARIANTS(-3, 3))
UNARY_CASE(relu, (ctx, in[0]), x > 0 || isnan(x) ? x : 0, .forward = {0, 0, 0}, .backward = {0, 0, 0},
           .variants = UNARY_VARIANTS(-2, 2))
UNARY_CASE(gelu, (ctx, in[0]), x * 0.5 * erfc(-x / sqrt(2)), FORWARD, BACKWARD,
           .variants = UNARY_VARIANTS(-3, 3))
UNARY_CASE(silu, (ctx, in[0]), x / (1 + exp(-x)), FORWARD, BACKWARD, .variants = UNARY_VARIANTS(-6, 6))

#define WITH_ATTRIBUTE(value, lowest, highest)                                                               \
    {                                                                                                        \
        {"matrix", {{OP_SHAPE(3, 5), .low = lowest, .high = highest}}, .a = {value}},                        \
            {"scalar", {{.low = lowest, .high = highest}}, .a = {value}},                                    \
            {"empty", {{OP_SHAPE(2, 0), .low = lowest, .high = highest}}, .a = {value}},                     \
            {"zero attribute", {{OP_SHAPE(4, 2), .low = lowest, .high = highest}}, .a = {0}},                \
            {"large", {{OP_SHAPE(3, 17001), .low = lowest, .high = highest}}, .a = {value}, .large = true},  \
    }
UNARY_CASE(scale, (ctx, in[0], v->a[0]), v->a[0] * x, .forward = {1, 2, 1}, .backward = {1, 2, 1},
           .variants = WITH_ATTRIBUTE(-1.7, -2, 2))
UNARY_CASE(add_scalar, (ctx, in[0], v->a[0]), x + v->a[0], .forward = {1, 2, 1}, .backward = {0, 0, 0},
           .variants = WITH_ATTRIBUTE(0.3, -2, 2))
UNARY_CASE(pow, (ctx, in[0], v->a[0]), pow(x, v->a[0]), FORWARD, BACKWARD,
           .variants = {
               {"matrix", {{OP_SHAPE(3, 5), .low = 0.25, .high = 3}}, .a = {2.5}},
               {"scalar", {{.low = 0.25, .high = 3}}, .a = {-0.5}},
               {"square", {{OP_SHAPE(2, 7)}}, .a = {2}},
               {"cube of negative numbers", {{OP_SHAPE(11), .low = -2, .high = -0.5}}, .a = {3}},
               {"power 1", {{OP_SHAPE(4)}}, .a = {1}},
               {"power 0", {{OP_SHAPE(4), .low = 1, .high = 2}}, .a = {0}},
               {"special values", {{OP_SHAPE(30), OP_VALUES(special)}}, .a = {-1.5}, .forward_only = true},
               {"large", {{OP_SHAPE(3, 17001), .low = 0.25, .high = 3}}, .a = {1.5}, .large = true},
           })
