/* Benchmarks of the building blocks of networks and of the losses. */
#include "op_bench.h"

#include <stddef.h>

static int axis_of(const bench_call *c) {
    return (int)c->attribute[0].value[0];
}

#define DECLARE(op) extern const op_bench op_bench_##op
#define AXIS                                                                                                 \
    {                                                                                                        \
        "axis", 1, {                                                                                         \
            -1                                                                                               \
        }                                                                                                    \
    }
#define EPSILON                                                                                              \
    {                                                                                                        \
        "eps", 1, {                                                                                          \
            1e-5                                                                                             \
        }                                                                                                    \
    }

/* ---- norms --------------------------------------------------------------------------------------------- */

static reel_tensor *call_rms_norm(reel_context *ctx, bench_call *c) {
    return reel_rms_norm(ctx, c->in[0], c->in[1], axis_of(c), c->attribute[1].value[0]);
}
DECLARE(rms_norm);
const op_bench op_bench_rms_norm = {
    .call = call_rms_norm, .optional = "weight", .attribute = {AXIS, EPSILON}};

static reel_tensor *call_add_rms_norm(reel_context *ctx, bench_call *c) {
    return reel_add_rms_norm(ctx, c->in[0], c->in[1], axis_of(c), c->attribute[1].value[0]);
}
DECLARE(add_rms_norm);
const op_bench op_bench_add_rms_norm = {.call = call_add_rms_norm, .attribute = {AXIS, EPSILON}};

static reel_tensor *call_layer_norm(reel_context *ctx, bench_call *c) {
    return reel_layer_norm(ctx, c->in[0], c->in[1], c->in[2], axis_of(c), c->attribute[1].value[0]);
}
DECLARE(layer_norm);
const op_bench op_bench_layer_norm = {
    .call = call_layer_norm, .optional = "weight bias", .attribute = {AXIS, EPSILON}};

/* ---- gated activation ---------------------------------------------------------------------------------- */

static reel_tensor *call_swiglu_linear(reel_context *ctx, bench_call *c) {
    return reel_swiglu_linear(ctx, c->in[0], c->in[1], axis_of(c));
}
DECLARE(swiglu_linear);
const op_bench op_bench_swiglu_linear = {.call = call_swiglu_linear, .attribute = {AXIS}};

static reel_tensor *call_gated_mlp(reel_context *ctx, bench_call *c) {
    return reel_gated_mlp(ctx, c->in[0], c->in[1], c->in[2], axis_of(c));
}
DECLARE(gated_mlp);
const op_bench op_bench_gated_mlp = {.call = call_gated_mlp, .attribute = {AXIS}};

/* ---- attention ----------------------------------------------------------------------------------------- */

static reel_tensor *call_rotary(reel_context *ctx, bench_call *c) {
    return reel_rotary(ctx, c->in[0], c->in[1], c->in[2]);
}
DECLARE(rotary);
const op_bench op_bench_rotary = {.call = call_rotary, .values = {BENCH_FLOAT, BENCH_WIDE, BENCH_WIDE}};

/* From (B, T, H, d), as the products that make q, k and v leave them. */
static reel_tensor *call_scaled_dot_product_attention(reel_context *ctx, bench_call *c) {
    reel_tensor *part[3];
    for (int i = 0; i < 3; i++)
        part[i] = reel_transpose(ctx, c->in[i], 1, 2);
    const unsigned flags = c->attribute[0].value[0] != 0 ? REEL_CAUSAL : 0;
    return reel_scaled_dot_product_attention(ctx, part[0], part[1], part[2], c->in[3], flags);
}
DECLARE(scaled_dot_product_attention);
const op_bench op_bench_scaled_dot_product_attention = {
    .call = call_scaled_dot_product_attention, .optional = "mask", .attribute = {{"causal", 1, {0}}}};

static reel_tensor *call_dropout(reel_context *ctx, bench_call *c) {
    return reel_dropout(ctx, c->in[0], c->attribute[0].value[0], (reel_draw){.stream = REEL_STREAM_DROPOUT});
}
DECLARE(dropout);
const op_bench op_bench_dropout = {.call = call_dropout, .attribute = {{"p", 1, {0.1}}}};

/* ---- losses -------------------------------------------------------------------------------------------- */

#define LOSS(op, kind)                                                                                       \
    static reel_tensor *call_##op(reel_context *ctx, bench_call *c) {                                        \
        return reel_##op(ctx, c->in[0], c->in[1]);                                                           \
    }                                                                                                        \
    DECLARE(op);                                                                                             \
    const op_bench op_bench_##op = {.call = call_##op, .values = {BENCH_FLOAT, kind}}

LOSS(softmax_cross_entropy, BENCH_CLASSES);
LOSS(stablemax_cross_entropy, BENCH_CLASSES);
LOSS(binary_cross_entropy_with_logits, BENCH_FLOAT);
