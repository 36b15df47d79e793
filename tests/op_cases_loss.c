/* Cases of the losses. */
#include "op_case.h"

#include <math.h>

static const double labels[] = {1, 0, REEL_IGNORE_LABEL, 3, 2, 3};
static const double too_large[] = {0, 4, 1}, negative[] = {0, -1, 1};

/* ---- cross-entropy: -ln(f(x)_label / sum_j f(x)_j) ----------------------------------------------------- */

typedef double positive(double x);

static void cross_entropy(const op_array *in, positive *f, bool shift, op_array *y) {
    const op_array *logits = &in[0], *label = &in[1];
    const int64_t C = logits->shape[logits->rank - 1];
    op_shape(y, label->rank, label->shape);
    for (int64_t row = 0; row < op_count(y); row++) {
        const double *x = logits->values + row * C;
        double largest = -INFINITY, sum = 0;
        if (label->values[row] == REEL_IGNORE_LABEL)
            continue;
        for (int64_t j = 0; j < C; j++)
            largest = fmax(largest, x[j]);
        largest = shift ? largest : 0;
        for (int64_t j = 0; j < C; j++)
            sum += f(x[j] - largest);
        y->values[row] = log(sum) - log(f(x[(int64_t)label->values[row]] - largest));
    }
}

/* Prieto et al. 2025, equation 5, with the published code's 1e-30 */
static double stable(double x) {
    return x >= 0 ? x + 1 : 1 / (1 - x + 1e-30);
}

static void reference_softmax_cross_entropy(const op_variant *v, const op_array *in, op_array *y) {
    (void)v;
    cross_entropy(in, exp, true, y);
}

static void reference_stablemax_cross_entropy(const op_variant *v, const op_array *in, op_array *y) {
    (void)v;
    cross_entropy(in, stable, false, y);
}

static reel_tensor *call_softmax_cross_entropy(reel_context *ctx, reel_tensor *const *in,
                                               const op_variant *v) {
    (void)v;
    return reel_softmax_cross_entropy(ctx, in[0], in[1]);
}

static reel_tensor *call_stablemax_cross_entropy(reel_context *ctx, reel_tensor *const *in,
                                                 const op_variant *v) {
    (void)v;
    return reel_stablemax_cross_entropy(ctx, in[0], in[1]);
}

#define LABELS(count) .type = OP_I32, .draw = OP_INTEGERS, .low = 0, .high = (count)-1
#define GIVEN(array)  .type = OP_I32, OP_VALUES(array)
#define CROSS_ENTROPY_VARIANTS                                                                               \
    {                                                                                                        \
        {"rows", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3), LABELS(4)}}}, {"one row", {{OP_SHAPE(5)}, {LABELS(5)}}},   \
            {"some ignored", {{OP_SHAPE(6, 4)}, {OP_SHAPE(6), GIVEN(labels)}}},                              \
            {"three axes", {{OP_SHAPE(2, 3, 4)}, {OP_SHAPE(2, 3), GIVEN(labels)}}},                          \
            {"one class", {{OP_SHAPE(3, 1)}, {OP_SHAPE(3), LABELS(1)}}},                                     \
            {"far apart",                                                                                    \
             {{OP_SHAPE(6, 4), .low = -80, .high = 80}, {OP_SHAPE(6), GIVEN(labels)}},                       \
             .forward_only = true},                                                                          \
            {"no rows", {{OP_SHAPE(0, 4)}, {OP_SHAPE(0), LABELS(4)}}},                                       \
            {"classes of a warp and one", {{OP_SHAPE(9, 33)}, {OP_SHAPE(9), LABELS(33)}}, .large = true},    \
            {"classes of more than a warp",                                                                  \
             {{OP_SHAPE(3, 129)}, {OP_SHAPE(3), LABELS(129)}},                                               \
             .large = true},                                                                                 \
            {"large", {{OP_SHAPE(40, 121, 11)}, {OP_SHAPE(40, 121), LABELS(11)}}, .large = true},            \
    }
#define CROSS_ENTROPY_REFUSALS                                                                               \
    {                                                                                                        \
        {"label too large", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3), GIVEN(too_large)}}},                            \
            {"negative label", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3), GIVEN(negative)}}},                          \
            {"labels of another shape", {{OP_SHAPE(3, 4)}, {OP_SHAPE(4), LABELS(4)}}},                       \
            {"labels of logits' rank", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4), LABELS(4)}}},                     \
            {"float labels", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3), .type = OP_F32}}},                             \
            {"scalar logits", {{0}, {LABELS(1)}}},                                                           \
    }

void op_case_softmax_cross_entropy(op_case *c);
void op_case_softmax_cross_entropy(op_case *c) {
    /* exp, a sum of 11 and a logarithm; a loss of size 160 carries its largest logit's rounding. The loss of
     * bf16 logits is f32 and as exact; its gradient is rounded once. */
    *c = (op_case){
        .call = call_softmax_cross_entropy,
        .reference = reference_softmax_cross_entropy,
        .result = OP_WIDE,
        .forward = {16, 16, 1},
        .backward = {16, 16, 1},
        .variants = CROSS_ENTROPY_VARIANTS,
        .refusals = CROSS_ENTROPY_REFUSALS,
    };
}

void op_case_stablemax_cross_entropy(op_case *c);
void op_case_stablemax_cross_entropy(op_case *c) {
    /* computed in f64 and rounded once, in the loss and in the gradient */
    *c = (op_case){
        .call = call_stablemax_cross_entropy,
        .reference = reference_stablemax_cross_entropy,
        .result = OP_WIDE,
        .forward = {16, 1, 1},
        .backward = {16, 2, 1},
        .variants = CROSS_ENTROPY_VARIANTS,
        .refusals = CROSS_ENTROPY_REFUSALS,
    };
}

/* ---- binary cross-entropy ------------------------------------------------------------------------------ */

static reel_tensor *call_binary_cross_entropy_with_logits(reel_context *ctx, reel_tensor *const *in,
                                                          const op_variant *v) {
    (void)v;
    return reel_binary_cross_entropy_with_logits(ctx, in[0], in[1]);
}

static void reference_binary_cross_entropy_with_logits(const op_variant *v, const op_array *in, op_array *y) {
    (void)v;
    op_shape(y, in[0].rank, in[0].shape);
    for (int64_t i = 0; i < op_count(y); i++) {
        const double x = in[0].values[i], t = in[1].values[i];
        y->values[i] = fmax(x, 0) - x * t + log1p(exp(-fabs(x)));
    }
}

void op_case_binary_cross_entropy_with_logits(op_case *c);
void op_case_binary_cross_entropy_with_logits(op_case *c) {
#define TARGET .low = 0, .high = 1
    /* exp, a logarithm and three steps of arithmetic, on logits up to 4 */
    *c = (op_case){
        .call = call_binary_cross_entropy_with_logits,
        .reference = reference_binary_cross_entropy_with_logits,
        .result = OP_WIDE,
        .forward = {16, 16, 1},
        .backward = {16, 16, 1},
        .variants =
            {
                {"matrix", {{OP_SHAPE(3, 4), .low = -4, .high = 4}, {OP_SHAPE(3, 4), TARGET}}},
                {"scalar", {{0}, {TARGET}}},
                {"far apart",
                 {{OP_SHAPE(9), .low = -200, .high = 200}, {OP_SHAPE(9), TARGET}},
                 .forward_only = true},
                {"empty", {{OP_SHAPE(0)}, {OP_SHAPE(0), TARGET}}},
                {"large",
                 {{OP_SHAPE(90, 601), .low = -4, .high = 4}, {OP_SHAPE(90, 601), TARGET}},
                 .large = true},
            },
        .refusals =
            {
                {"shapes", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 1)}}},
                {"integer targets", {{OP_SHAPE(3)}, {OP_SHAPE(3), .type = OP_I32}}},
            },
    };
}
