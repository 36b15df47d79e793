/* Cases of the building blocks of networks. B batch, H heads, T tokens, d size of a head. */
#include "op_case.h"

#include <math.h>
#include <stdlib.h>

/* Calls f on each line of x along an axis; `first` is its first position, `step` the distance to the next. */
#define FOR_EACH_LINE(a, first)                                                                              \
    for (int64_t outer_ = 0; outer_ < (a).outer; outer_++)                                                   \
        for (int64_t inner_ = 0, first = outer_ * (a).n * (a).inner; inner_ < (a).inner; inner_++, first++)

/* ---- norms: v->n = {axis}, v->a = {eps} ---------------------------------------------------------------- */

static reel_tensor *call_rms_norm(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_rms_norm(ctx, in[0], in[1], (int)v->n[0], v->a[0]);
}

static reel_tensor *call_add_rms_norm(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_add_rms_norm(ctx, in[0], in[1], (int)v->n[0], v->a[0]);
}

static reel_tensor *call_layer_norm(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_layer_norm(ctx, in[0], in[1], in[2], (int)v->n[0], v->a[0]);
}

/* y = (x - mean) / sqrt(mean((x - mean)^2) + eps) weight + bias along the axis; mean 0 unless centered */
static void normalize(const op_variant *v, const op_array *x, bool centered, const op_array *weight,
                      const op_array *bias, op_array *y) {
    const op_axis a = op_around(x, v->n[0]);
    op_shape(y, x->rank, x->shape);
    FOR_EACH_LINE(a, first) {
        double mean = 0, squares = 0;
        for (int64_t i = 0; i < a.n && centered; i++)
            mean += x->values[first + i * a.inner] / (double)a.n;
        for (int64_t i = 0; i < a.n; i++) {
            const double centre = x->values[first + i * a.inner] - mean;
            squares += centre * centre;
        }
        const double scale = 1 / sqrt(squares / (double)a.n + v->a[0]);
        for (int64_t i = 0; i < a.n; i++)
            y->values[first + i * a.inner] = (x->values[first + i * a.inner] - mean) * scale *
                                                 (weight && weight->values ? weight->values[i] : 1) +
                                             (bias && bias->values ? bias->values[i] : 0);
    }
}

static void reference_rms_norm(const op_variant *v, const op_array *in, op_array *y) {
    normalize(v, &in[0], false, &in[1], NULL, y);
}

static void reference_layer_norm(const op_variant *v, const op_array *in, op_array *y) {
    normalize(v, &in[0], true, &in[1], &in[2], y);
}

static void reference_add_rms_norm(const op_variant *v, const op_array *in, op_array *y) {
    op_array sum = {0};
    op_shape(&sum, in[0].rank, in[0].shape);
    for (int64_t i = 0; i < op_count(&sum); i++)
        sum.values[i] = in[0].values[i] + in[1].values[i];
    normalize(v, &sum, false, NULL, NULL, y);
    free(sum.values);
}

/* A mean of up to 181 squares and a handful of roundings. The gradient subtracts a mean of as many products;
 * that of a weight sums 300 of size up to 8. bf16 rounds the result; add_rms_norm may round a + b or work
 * from the rounded y, whose error the gradient then carries to size 2. */
#define NORM_TOLERANCES .forward = {32, 32, 1}, .backward = {128, 128, 2}
#define EPS             .a = {1e-5}

void op_case_rms_norm(op_case *c);
void op_case_rms_norm(op_case *c) {
    *c = (op_case){
        .call = call_rms_norm,
        .reference = reference_rms_norm,
        NORM_TOLERANCES,
        .variants =
            {
                {"last axis", {{OP_SHAPE(3, 5)}, {OP_SHAPE(5)}}, .n = {-1}, EPS},
                {"without weight", {{OP_SHAPE(3, 5)}, {.absent = true}}, .n = {-1}, EPS},
                {"first axis", {{OP_SHAPE(4, 3)}, {OP_SHAPE(4)}}, .n = {0}, .a = {0.5}},
                {"middle axis", {{OP_SHAPE(2, 4, 3)}, {OP_SHAPE(4)}}, .n = {1}, EPS},
                {"middle axis without weight", {{OP_SHAPE(2, 4, 3)}, {.absent = true}}, .n = {-2}, EPS},
                {"large eps", {{OP_SHAPE(2, 4)}, {OP_SHAPE(4)}}, .n = {1}, .a = {0.5}},
                {"no rows", {{OP_SHAPE(0, 3)}, {OP_SHAPE(3)}}, .n = {1}, EPS},
                {"rows of whole packs", {{OP_SHAPE(3, 16)}, {OP_SHAPE(16)}}, .n = {1}, EPS},
                {"large rows", {{OP_SHAPE(300, 181)}, {OP_SHAPE(181)}}, .n = {1}, EPS, .large = true},
                {"many rows",
                 {{OP_SHAPE(1301, 5)}, {OP_SHAPE(5)}},
                 .n = {1},
                 EPS,
                 .terms = 1301,
                 .large = true},
                {"large rows of whole packs",
                 {{OP_SHAPE(9, 512)}, {OP_SHAPE(512)}},
                 .n = {1},
                 EPS,
                 .large = true},
                {"large columns", {{OP_SHAPE(5, 97, 111)}, {OP_SHAPE(97)}}, .n = {1}, EPS, .large = true},
            },
        .refusals =
            {
                {"weight size", {{OP_SHAPE(3, 5)}, {OP_SHAPE(3)}}, .n = {1}, EPS},
                {"weight of two axes", {{OP_SHAPE(3, 5)}, {OP_SHAPE(1, 5)}}, .n = {1}, EPS},
                {"axis", {{OP_SHAPE(3, 5)}, {OP_SHAPE(5)}}, .n = {2}, EPS},
            },
    };
}

void op_case_add_rms_norm(op_case *c);
void op_case_add_rms_norm(op_case *c) {
    *c = (op_case){
        .call = call_add_rms_norm,
        .reference = reference_add_rms_norm,
        .forward = {32, 32, 1},
        .backward = {128, 128, 4},
        .variants =
            {
                {"last axis", {{OP_SHAPE(3, 5)}, {OP_SHAPE(3, 5)}}, .n = {-1}, EPS},
                {"first axis", {{OP_SHAPE(4, 3)}, {OP_SHAPE(4, 3)}}, .n = {0}, .a = {0.5}},
                {"middle axis", {{OP_SHAPE(2, 4, 3)}, {OP_SHAPE(2, 4, 3)}}, .n = {1}, EPS},
                {"large eps", {{OP_SHAPE(2, 4)}, {OP_SHAPE(2, 4)}}, .n = {1}, .a = {0.5}},
                {"rows of whole packs", {{OP_SHAPE(3, 16)}, {OP_SHAPE(3, 16)}}, .n = {1}, EPS},
                {"large rows", {{OP_SHAPE(300, 181)}, {OP_SHAPE(300, 181)}}, .n = {1}, EPS, .large = true},
                {"large columns",
                 {{OP_SHAPE(5, 97, 111)}, {OP_SHAPE(5, 97, 111)}},
                 .n = {1},
                 EPS,
                 .large = true},
            },
        .refusals =
            {
                {"shapes", {{OP_SHAPE(3, 5)}, {OP_SHAPE(1, 5)}}, .n = {1}, EPS},
                {"axis", {{OP_SHAPE(3, 5)}, {OP_SHAPE(3, 5)}}, .n = {-3}, EPS},
            },
    };
}

void op_case_layer_norm(op_case *c);
void op_case_layer_norm(op_case *c) {
    *c = (op_case){
        .call = call_layer_norm,
        .reference = reference_layer_norm,
        NORM_TOLERANCES,
        .variants =
            {
                {"last axis", {{OP_SHAPE(3, 5)}, {OP_SHAPE(5)}, {OP_SHAPE(5)}}, .n = {-1}, EPS},
                {"bare", {{OP_SHAPE(3, 5)}, {.absent = true}, {.absent = true}}, .n = {1}, EPS},
                {"without bias", {{OP_SHAPE(3, 5)}, {OP_SHAPE(5)}, {.absent = true}}, .n = {1}, EPS},
                {"without weight", {{OP_SHAPE(3, 5)}, {.absent = true}, {OP_SHAPE(5)}}, .n = {1}, EPS},
                {"first axis", {{OP_SHAPE(4, 3)}, {OP_SHAPE(4)}, {OP_SHAPE(4)}}, .n = {0}, .a = {0.5}},
                {"middle axis", {{OP_SHAPE(2, 4, 3)}, {OP_SHAPE(4)}, {OP_SHAPE(4)}}, .n = {-2}, EPS},
                {"rows of whole packs", {{OP_SHAPE(3, 16)}, {OP_SHAPE(16)}, {OP_SHAPE(16)}}, .n = {1}, EPS},
                {"many rows",
                 {{OP_SHAPE(1301, 5)}, {OP_SHAPE(5)}, {OP_SHAPE(5)}},
                 .n = {1},
                 EPS,
                 .terms = 1301,
                 .large = true},
                {"far from 0",
                 {{OP_SHAPE(2, 6), .low = 14, .high = 16}, {OP_SHAPE(6)}, {OP_SHAPE(6)}},
                 .n = {1},
                 .a = {0.5}},
                {"large rows",
                 {{OP_SHAPE(300, 181)}, {OP_SHAPE(181)}, {OP_SHAPE(181)}},
                 .n = {1},
                 EPS,
                 .large = true},
                {"large columns",
                 {{OP_SHAPE(5, 97, 111)}, {OP_SHAPE(97)}, {OP_SHAPE(97)}},
                 .n = {1},
                 EPS,
                 .large = true},
            },
        .refusals =
            {
                {"weight size", {{OP_SHAPE(3, 5)}, {OP_SHAPE(3)}, {.absent = true}}, .n = {1}, EPS},
                {"bias size", {{OP_SHAPE(3, 5)}, {OP_SHAPE(5)}, {OP_SHAPE(3)}}, .n = {1}, EPS},
                {"axis", {{OP_SHAPE(3, 5)}, {OP_SHAPE(5)}, {OP_SHAPE(5)}}, .n = {2}, EPS},
            },
    };
}

/* ---- swiglu: v->n = {axis} ----------------------------------------------------------------------------- */

static reel_tensor *call_swiglu(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_swiglu(ctx, in[0], (int)v->n[0]);
}

/* y = g / (1 + e^-g) u, where g is the first half of the axis and u the second */
static void reference_swiglu(const op_variant *v, const op_array *x, op_array *y) {
    const op_axis a = op_around(x, v->n[0]);
    const int64_t half = a.n / 2 * a.inner;
    int64_t shape[REEL_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        shape[i] = i == a.axis ? a.n / 2 : x->shape[i];
    op_shape(y, x->rank, shape);
    for (int64_t outer = 0; outer < a.outer; outer++)
        for (int64_t i = 0; i < half; i++) {
            const double g = x->values[outer * 2 * half + i], u = x->values[outer * 2 * half + half + i];
            y->values[outer * half + i] = g / (1 + exp(-g)) * u;
        }
}

void op_case_swiglu(op_case *c);
void op_case_swiglu(op_case *c) {
    /* exp and four steps of arithmetic */
    *c = (op_case){
        .call = call_swiglu,
        .reference = reference_swiglu,
        .forward = {8, 8, 1},
        .backward = {8, 8, 1},
        .variants =
            {
                {"last axis", {{OP_SHAPE(3, 6), .low = -4, .high = 4}}, .n = {-1}},
                {"first axis", {{OP_SHAPE(4, 3)}}, .n = {0}},
                {"middle axis", {{OP_SHAPE(2, 6, 3)}}, .n = {1}},
                {"one pair", {{OP_SHAPE(2)}}, .n = {0}},
                {"halves of a pack", {{OP_SHAPE(3, 16)}}, .n = {1}},
                {"no rows", {{OP_SHAPE(0, 4)}}, .n = {1}},
                {"large rows", {{OP_SHAPE(150, 602)}}, .n = {1}, .large = true},
                {"large columns", {{OP_SHAPE(3, 194, 151)}}, .n = {1}, .large = true},
            },
        .refusals =
            {
                {"odd axis", {{OP_SHAPE(3, 5)}}, .n = {1}},
                {"axis", {{OP_SHAPE(3, 4)}}, .n = {2}},
                {"scalar", {{0}}, .n = {0}},
            },
    };
}

/* ---- swiglu_linear: v->n = {axis} ---------------------------------------------------------------------- */

static reel_tensor *call_swiglu_linear(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_swiglu_linear(ctx, in[0], in[1], (int)v->n[0]);
}

/* y[o] = sum_i weight[o, i] swiglu(x)[i] along the axis */
static void reference_swiglu_linear(const op_variant *v, const op_array *in, op_array *y) {
    const op_array *x = &in[0], *weight = &in[1];
    const op_axis a = op_around(x, v->n[0]);
    const int64_t I = a.n / 2, O = weight->shape[0];
    int64_t shape[REEL_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        shape[i] = i == a.axis ? O : x->shape[i];
    op_shape(y, x->rank, shape);
    for (int64_t outer = 0; outer < a.outer; outer++)
        for (int64_t inner = 0; inner < a.inner; inner++)
            for (int64_t o = 0; o < O; o++) {
                double sum = 0;
                for (int64_t i = 0; i < I; i++) {
                    const double g = x->values[(outer * a.n + i) * a.inner + inner];
                    const double u = x->values[(outer * a.n + I + i) * a.inner + inner];
                    sum += weight->values[o * I + i] * (g / (1 + exp(-g)) * u);
                }
                y->values[(outer * O + o) * a.inner + inner] = sum;
            }
}

void op_case_swiglu_linear(op_case *c);
void op_case_swiglu_linear(op_case *c) {
    /* swiglu, whose rounding the product sums; a gradient of the weight sums up to 1057 terms of size up to 8
     */
    *c = (op_case){
        .call = call_swiglu_linear,
        .reference = reference_swiglu_linear,
        .forward = {128, 128, 16},
        .backward = {128, 128, 16},
        .variants =
            {
                {"last axis", {{OP_SHAPE(3, 6), .low = -4, .high = 4}, {OP_SHAPE(5, 3)}}, .n = {-1}},
                {"second to last axis", {{OP_SHAPE(2, 6, 3)}, {OP_SHAPE(4, 3)}}, .n = {-2}},
                {"first of two axes", {{OP_SHAPE(4, 3)}, {OP_SHAPE(3, 2)}}, .n = {0}},
                {"one pair", {{OP_SHAPE(1, 2)}, {OP_SHAPE(1, 1)}}, .n = {1}},
                {"halves of a pack", {{OP_SHAPE(3, 16)}, {OP_SHAPE(5, 8)}}, .n = {1}},
                {"no rows", {{OP_SHAPE(0, 4)}, {OP_SHAPE(3, 2)}}, .n = {1}},
                {"large rows", {{OP_SHAPE(150, 302)}, {OP_SHAPE(97, 151)}}, .n = {1}, .large = true},
                {"large columns", {{OP_SHAPE(7, 74, 151)}, {OP_SHAPE(33, 37)}}, .n = {1}, .large = true},
            },
        .refusals =
            {
                {"odd axis", {{OP_SHAPE(3, 5)}, {OP_SHAPE(3, 2)}}, .n = {1}},
                {"axis", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 2)}}, .n = {2}},
                {"third to last axis", {{OP_SHAPE(4, 3, 2)}, {OP_SHAPE(3, 2)}}, .n = {0}},
                {"rank 1", {{OP_SHAPE(4)}, {OP_SHAPE(3, 2)}}, .n = {0}},
                {"inner sizes", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4)}}, .n = {1}},
                {"weight of rank 1", {{OP_SHAPE(3, 4)}, {OP_SHAPE(2)}}, .n = {1}},
            },
    };
}

/* ---- gated_mlp: v->n = {axis}, v->flags: without gradient, where it goes block by block ---------------- */

enum { NO_GRADIENT = 1 };

static reel_tensor *call_gated_mlp(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    const reel_scope scope = reel_scope_begin(ctx, v->flags & NO_GRADIENT ? REEL_NO_GRAD : 0);
    reel_tensor *y = reel_gated_mlp(ctx, in[0], in[1], in[2], (int)v->n[0]);
    reel_scope_end(ctx, scope, &y, 1);
    return y;
}

/* up x along the axis, then as swiglu_linear */
static void reference_gated_mlp(const op_variant *v, const op_array *in, op_array *y) {
    const op_array *x = &in[0], *up = &in[1];
    const op_axis a = op_around(x, v->n[0]);
    op_array parts[2] = {{0}, in[2]};
    int64_t shape[REEL_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        shape[i] = i == a.axis ? up->shape[0] : x->shape[i];
    op_shape(&parts[0], x->rank, shape);
    for (int64_t outer = 0; outer < a.outer; outer++)
        for (int64_t inner = 0; inner < a.inner; inner++)
            for (int64_t o = 0; o < up->shape[0]; o++)
                for (int64_t i = 0; i < a.n; i++)
                    parts[0].values[(outer * up->shape[0] + o) * a.inner + inner] +=
                        up->values[o * a.n + i] * x->values[(outer * a.n + i) * a.inner + inner];
    reference_swiglu_linear(v, parts, y);
    free(parts[0].values);
}

void op_case_gated_mlp(op_case *c);
void op_case_gated_mlp(op_case *c) {
    /* as swiglu_linear, of values that up's products have rounded: in bf16 those are up to 16 with 8 bits */
    *c = (op_case){
        .call = call_gated_mlp,
        .reference = reference_gated_mlp,
        .forward = {256, 256, 32},
        .backward = {256, 256, 32},
        .variants =
            {
                {"last axis",
                 {{OP_SHAPE(2, 3, 5), .low = -1, .high = 1}, {OP_SHAPE(6, 5)}, {OP_SHAPE(4, 3)}},
                 .n = {-1}},
                {"second to last axis",
                 {{OP_SHAPE(2, 5, 3), .low = -1, .high = 1}, {OP_SHAPE(6, 5)}, {OP_SHAPE(4, 3)}},
                 .n = {-2}},
                {"no rows", {{OP_SHAPE(0, 5)}, {OP_SHAPE(6, 5)}, {OP_SHAPE(4, 3)}}, .n = {1}},
                /* a long axis: what is between the products is kept */
                {"last axis, long",
                 {{OP_SHAPE(2, 3, 101), .low = -0.25, .high = 0.25}, {OP_SHAPE(6, 101)}, {OP_SHAPE(4, 3)}},
                 .n = {-1}},
                {"second to last axis, long",
                 {{OP_SHAPE(2, 101, 3), .low = -0.25, .high = 0.25}, {OP_SHAPE(6, 101)}, {OP_SHAPE(4, 3)}},
                 .n = {-2}},
                {"blocks of rows, the last smaller",
                 {{OP_SHAPE(5, 259, 7), .low = -1, .high = 1}, {OP_SHAPE(38, 7)}, {OP_SHAPE(9, 19)}},
                 .n = {2},
                 .flags = NO_GRADIENT,
                 .large = true,
                 .forward_only = true},
                {"blocks of columns, the last smaller",
                 {{OP_SHAPE(3, 7, 1301), .low = -1, .high = 1}, {OP_SHAPE(38, 7)}, {OP_SHAPE(9, 19)}},
                 .n = {1},
                 .flags = NO_GRADIENT,
                 .large = true,
                 .forward_only = true},
                {"one of each",
                 {{OP_SHAPE(1, 1)}, {OP_SHAPE(2, 1)}, {OP_SHAPE(1, 1)}},
                 .n = {1},
                 .flags = NO_GRADIENT,
                 .forward_only = true},
                {"one column",
                 {{OP_SHAPE(2, 3, 1)}, {OP_SHAPE(4, 3)}, {OP_SHAPE(1, 2)}},
                 .n = {1},
                 .flags = NO_GRADIENT,
                 .forward_only = true},
                {"one row",
                 {{OP_SHAPE(1, 5)}, {OP_SHAPE(6, 5)}, {OP_SHAPE(4, 3)}},
                 .n = {1},
                 .flags = NO_GRADIENT,
                 .forward_only = true},
            },
        .refusals =
            {
                {"axis", {{OP_SHAPE(3, 5)}, {OP_SHAPE(6, 5)}, {OP_SHAPE(4, 3)}}, .n = {2}},
                {"third to last axis", {{OP_SHAPE(5, 3, 2)}, {OP_SHAPE(6, 5)}, {OP_SHAPE(4, 3)}}, .n = {0}},
                {"odd rows of up", {{OP_SHAPE(3, 5)}, {OP_SHAPE(7, 5)}, {OP_SHAPE(4, 3)}}, .n = {1}},
                {"up's inner size", {{OP_SHAPE(3, 5)}, {OP_SHAPE(6, 4)}, {OP_SHAPE(4, 3)}}, .n = {1}},
                {"down's inner size", {{OP_SHAPE(3, 5)}, {OP_SHAPE(6, 5)}, {OP_SHAPE(4, 6)}}, .n = {1}},
                {"rank 1", {{OP_SHAPE(5)}, {OP_SHAPE(6, 5)}, {OP_SHAPE(4, 3)}}, .n = {0}},
            },
    };
}

/* ---- rotary -------------------------------------------------------------------------------------------- */

static reel_tensor *call_rotary(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    (void)v;
    return reel_rotary(ctx, in[0], in[1], in[2]);
}

/* y_j = x_j cos_j + r_j sin_j, r = (-second half of x, first half of x); x (..., T, H, d), tables (T, d) */
static void reference_rotary(const op_variant *v, const op_array *in, op_array *y) {
    const op_array *x = &in[0], *cosine = &in[1], *sine = &in[2];
    const int64_t T = x->shape[x->rank - 3], H = x->shape[x->rank - 2], d = x->shape[x->rank - 1];
    (void)v;
    op_shape(y, x->rank, x->shape);
    for (int64_t i = 0; i < op_count(x); i++) {
        const int64_t j = i % d, t = i / (d * H) % T;
        const double rotated = j < d / 2 ? -x->values[i + d / 2] : x->values[i - d / 2];
        y->values[i] = x->values[i] * cosine->values[t * d + j] + rotated * sine->values[t * d + j];
    }
}

void op_case_rotary(op_case *c);
void op_case_rotary(op_case *c) {
#define TABLE(T, d, dtype) OP_SHAPE(T, d), .type = dtype, .low = -1, .high = 1
    /* two products and a sum */
    *c = (op_case){
        .call = call_rotary,
        .reference = reference_rotary,
        .forward = {2, 2, 1},
        .backward = {2, 2, 1},
        .variants =
            {
                {"batch", {{OP_SHAPE(2, 3, 2, 4)}, {TABLE(3, 4, OP_WIDE)}, {TABLE(3, 4, OP_WIDE)}}},
                {"no batch", {{OP_SHAPE(3, 2, 6)}, {TABLE(3, 6, OP_WIDE)}, {TABLE(3, 6, OP_WIDE)}}},
                {"halves of packs",
                 {{OP_SHAPE(2, 3, 2, 32)}, {TABLE(3, 32, OP_WIDE)}, {TABLE(3, 32, OP_WIDE)}}},
                {"f32 tables", {{OP_SHAPE(2, 3, 1, 2)}, {TABLE(3, 2, OP_F32)}, {TABLE(3, 2, OP_F32)}}},
                {"f64 tables", {{OP_SHAPE(2, 3, 1, 2)}, {TABLE(3, 2, OP_F64)}, {TABLE(3, 2, OP_F64)}}},
                {"large",
                 {{OP_SHAPE(5, 81, 4, 36)}, {TABLE(81, 36, OP_WIDE)}, {TABLE(81, 36, OP_WIDE)}},
                 .large = true},
            },
        .refusals =
            {
                {"odd head", {{OP_SHAPE(2, 3, 1, 3)}, {TABLE(3, 3, OP_F64)}, {TABLE(3, 3, OP_F64)}}},
                {"table for other tokens",
                 {{OP_SHAPE(2, 3, 1, 4)}, {TABLE(4, 4, OP_F64)}, {TABLE(4, 4, OP_F64)}}},
                {"sine of another head size",
                 {{OP_SHAPE(2, 3, 1, 4)}, {TABLE(3, 4, OP_F64)}, {TABLE(3, 2, OP_F64)}}},
                {"bf16 table", {{OP_SHAPE(2, 3, 1, 4)}, {TABLE(3, 4, OP_BF16)}, {TABLE(3, 4, OP_BF16)}}},
                {"rank 2", {{OP_SHAPE(3, 4)}, {TABLE(3, 4, OP_F64)}, {TABLE(3, 4, OP_F64)}}},
            },
    };
}

/* ---- attention ----------------------------------------------------------------------------------------- */

static reel_tensor *call_scaled_dot_product_attention(reel_context *ctx, reel_tensor *const *in,
                                                      const op_variant *v) {
    return reel_scaled_dot_product_attention(ctx, in[0], in[1], in[2], in[3], v->flags);
}

/* One query's row: y = sum_j p_j v_j, p = softmax of its scores; zeros when it sees no key. */
static void attend(const double *scores, int64_t keys, int64_t d, const double *values, double *y) {
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < keys; j++)
        largest = fmax(largest, scores[j]);
    for (int64_t j = 0; j < keys && largest > -INFINITY; j++)
        sum += exp(scores[j] - largest);
    for (int64_t j = 0; j < keys && largest > -INFINITY; j++)
        for (int64_t x = 0; x < d; x++)
            y[x] += exp(scores[j] - largest) / sum * values[j * d + x];
}

static void reference_scaled_dot_product_attention(const op_variant *v, const op_array *in, op_array *y) {
    enum { MOST_KEYS = 512 };
    double scores[MOST_KEYS];
    const op_array *q = &in[0], *k = &in[1], *value = &in[2], *mask = &in[3];
    const int64_t H = q->shape[1], Tq = q->shape[2], Tk = k->shape[2], d = q->shape[3];
    op_shape(y, 4, q->shape);
    for (int64_t row = 0; row < op_count(q) / d; row++) {
        const int64_t head = row / Tq, i = row % Tq;
        const int64_t keys = v->flags & REEL_CAUSAL ? i + Tk - Tq + 1 : Tk;
        for (int64_t j = 0; j < keys; j++) {
            scores[j] = 0;
            for (int64_t x = 0; x < d; x++)
                scores[j] += q->values[row * d + x] * k->values[(head * Tk + j) * d + x];
            scores[j] /= sqrt((double)d);
            if (mask->values)
                scores[j] += op_broadcast(mask, 4, (const int64_t[]){head / H, head % H, i, j});
        }
        attend(scores, keys, d, value->values + head * Tk * d, y->values + row * d);
    }
}

/* Hides keys: all of the second query's, one of the third's. */
static const double hidden[] = {0, 0, 0, -INFINITY, -INFINITY, -INFINITY, 0, -INFINITY, 0};

void op_case_scaled_dot_product_attention(op_case *c);
void op_case_scaled_dot_product_attention(op_case *c) {
#define HEADS(B, H, T, d) {OP_SHAPE(B, H, T, d)}
    /* scores are sums of up to 36 products, exp multiplies their error by their size, and p v and ds k are
     * sums over up to 97 keys. bf16 has P and dS in f32 or rounded before the second product, as its hardware
     * wants it, and results of size 1. */
    *c = (op_case){
        .call = call_scaled_dot_product_attention,
        .reference = reference_scaled_dot_product_attention,
        .forward = {64, 64, 2},
        .backward = {256, 256, 4},
        .variants =
            {
                {"all four",
                 {HEADS(2, 2, 3, 4), HEADS(2, 2, 3, 4), HEADS(2, 2, 3, 4), {OP_SHAPE(2, 2, 3, 3)}}},
                {"plain", {HEADS(1, 2, 3, 4), HEADS(1, 2, 3, 4), HEADS(1, 2, 3, 4), {.absent = true}}},
                {"more keys", {HEADS(2, 1, 2, 3), HEADS(2, 1, 5, 3), HEADS(2, 1, 5, 3), {OP_SHAPE(5)}}},
                {"two vectors of keys",
                 {HEADS(1, 1, 2, 3), HEADS(1, 1, 20, 3), HEADS(1, 1, 20, 3), {.absent = true}}},
                {"causal",
                 {HEADS(1, 2, 4, 2), HEADS(1, 2, 4, 2), HEADS(1, 2, 4, 2), {.absent = true}},
                 .flags = REEL_CAUSAL},
                {"causal, more keys",
                 {HEADS(1, 1, 2, 2), HEADS(1, 1, 4, 2), HEADS(1, 1, 4, 2), {OP_SHAPE(2, 1)}},
                 .flags = REEL_CAUSAL},
                {"causal, more queries",
                 {HEADS(1, 1, 4, 2), HEADS(1, 1, 2, 2), HEADS(1, 1, 2, 2), {.absent = true}},
                 .flags = REEL_CAUSAL},
                {"hidden keys",
                 {HEADS(2, 1, 3, 2),
                  HEADS(2, 1, 3, 2),
                  HEADS(2, 1, 3, 2),
                  {OP_SHAPE(1, 1, 3, 3), OP_VALUES(hidden)}}},
                {"one of each", {HEADS(1, 1, 1, 1), HEADS(1, 1, 1, 1), HEADS(1, 1, 1, 1), {0}}},
                {"large",
                 {HEADS(2, 3, 81, 36), HEADS(2, 3, 97, 36), HEADS(2, 3, 97, 36), {OP_SHAPE(2, 1, 81, 97)}},
                 .large = true},
                {"large, causal",
                 {HEADS(2, 3, 97, 32), HEADS(2, 3, 97, 32), HEADS(2, 3, 97, 32), {.absent = true}},
                 .flags = REEL_CAUSAL,
                 .large = true},
            },
        .refusals =
            {
                {"head sizes", {HEADS(1, 1, 3, 4), HEADS(1, 1, 3, 2), HEADS(1, 1, 3, 2), {.absent = true}}},
                {"keys and values",
                 {HEADS(1, 1, 3, 4), HEADS(1, 1, 3, 4), HEADS(1, 1, 2, 4), {.absent = true}}},
                {"heads", {HEADS(1, 2, 3, 4), HEADS(1, 1, 3, 4), HEADS(1, 1, 3, 4), {.absent = true}}},
                {"mask", {HEADS(1, 1, 3, 4), HEADS(1, 1, 3, 4), HEADS(1, 1, 3, 4), {OP_SHAPE(2)}}},
                {"rank", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4)}, {.absent = true}}},
            },
    };
}

/* ---- dropout: v->a = {probability}, v->n = {stream, index, step} --------------------------------------- */

static reel_draw draw_of(const op_variant *v) {
    return (reel_draw){.stream = (uint32_t)v->n[0], .index = (uint64_t)v->n[1], .step = (uint32_t)v->n[2]};
}

static reel_tensor *call_dropout(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    return reel_dropout(ctx, in[0], v->a[0], draw_of(v));
}

/* Element i is kept where word i % 4 of block i / 4 is at least p of 2^32. The contexts' seed is 0. */
static void reference_dropout(const op_variant *v, const op_array *x, op_array *y) {
    op_shape(y, x->rank, x->shape);
    for (int64_t i = 0; i < op_count(y); i++) {
        uint32_t words[4];
        reel_random_bits(0, draw_of(v), (uint32_t)(i / 4), words);
        const bool kept = words[i % 4] * 0x1p-32 >= v->a[0];
        y->values[i] = kept ? x->values[i] / (1 - v->a[0]) : 0;
    }
}

void op_case_dropout(op_case *c);
void op_case_dropout(op_case *c) {
    /* the factor and the product */
    *c = (op_case){
        .call = call_dropout,
        .reference = reference_dropout,
        .forward = {2, 2, 1},
        .backward = {2, 2, 1},
        .variants =
            {
                {"a third", {{OP_SHAPE(5, 7)}}, .a = {0.3}, .n = {REEL_STREAM_DROPOUT, 5, 9}},
                {"one less than packs", {{OP_SHAPE(3, 5)}}, .a = {0.3}},
                {"whole packs", {{OP_SHAPE(2, 8)}}, .a = {0.3}},
                {"nothing", {{OP_SHAPE(3, 4)}}, .a = {0}},
                {"everything", {{OP_SHAPE(3, 4)}}, .a = {1}},
                {"other draw", {{OP_SHAPE(2, 3, 5)}}, .a = {0.5}, .n = {REEL_STREAM_USER, INT64_MAX, 1}},
                {"scalar", {{0}}, .a = {0.5}},
                {"large", {{OP_SHAPE(90, 601)}}, .a = {0.25}, .large = true},
            },
        .refusals =
            {
                {"negative", {{OP_SHAPE(3)}}, .a = {-0.1}},
                {"above 1", {{OP_SHAPE(3)}}, .a = {1.5}},
                {"no number", {{OP_SHAPE(3)}}, .a = {NAN}},
            },
    };
}
