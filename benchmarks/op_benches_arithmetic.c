/* Benchmarks of the elementwise ops, the matrix products and the reductions. */
#include "op_bench.h"

#include <stddef.h>

/* ---- elementwise, one input ---------------------------------------------------------------------------- */

#define UNARY(op, kind)                                                                                      \
    static reel_tensor *call_##op(reel_context *ctx, bench_call *c) {                                        \
        return reel_##op(ctx, c->in[0]);                                                                     \
    }                                                                                                        \
    extern const op_bench op_bench_##op;                                                                     \
    const op_bench op_bench_##op = {.call = call_##op, .values = {kind}}

UNARY(neg, BENCH_FLOAT);
UNARY(exp, BENCH_FLOAT);
UNARY(log, BENCH_POSITIVE);
UNARY(sqrt, BENCH_POSITIVE);
UNARY(rsqrt, BENCH_POSITIVE);
UNARY(sigmoid, BENCH_FLOAT);
UNARY(tanh, BENCH_FLOAT);
UNARY(relu, BENCH_FLOAT);
UNARY(gelu, BENCH_FLOAT);
UNARY(silu, BENCH_FLOAT);

#define UNARY_WITH(op, kind, attribute_name, given)                                                          \
    static reel_tensor *call_##op(reel_context *ctx, bench_call *c) {                                        \
        return reel_##op(ctx, c->in[0], c->attribute[0].value[0]);                                           \
    }                                                                                                        \
    extern const op_bench op_bench_##op;                                                                     \
    const op_bench op_bench_##op = {                                                                         \
        .call = call_##op, .values = {kind}, .attribute = {{attribute_name, 1, {given}}}}

UNARY_WITH(scale, BENCH_FLOAT, "factor", 0.5);
UNARY_WITH(add_scalar, BENCH_FLOAT, "constant", 0.5);
UNARY_WITH(pow, BENCH_POSITIVE, "exponent", 1.5);

/* ---- elementwise, several inputs ----------------------------------------------------------------------- */

#define BINARY(op, kind)                                                                                     \
    static reel_tensor *call_##op(reel_context *ctx, bench_call *c) {                                        \
        return reel_##op(ctx, c->in[0], c->in[1]);                                                           \
    }                                                                                                        \
    extern const op_bench op_bench_##op;                                                                     \
    const op_bench op_bench_##op = {.call = call_##op, .values = {BENCH_FLOAT, kind}}

BINARY(add, BENCH_FLOAT);
BINARY(sub, BENCH_FLOAT);
BINARY(mul, BENCH_FLOAT);
BINARY(div, BENCH_POSITIVE);
BINARY(eq, BENCH_FLOAT);
BINARY(lt, BENCH_FLOAT);
BINARY(le, BENCH_FLOAT);
BINARY(matmul, BENCH_FLOAT);

static reel_tensor *call_add_n(reel_context *ctx, bench_call *c) {
    return reel_add_n(ctx, c->in, c->inputs);
}
extern const op_bench op_bench_add_n;
const op_bench op_bench_add_n = {.call = call_add_n};

static reel_tensor *call_where(reel_context *ctx, bench_call *c) {
    return reel_where(ctx, c->in[0], c->in[1], c->in[2]);
}
extern const op_bench op_bench_where;
const op_bench op_bench_where = {.call = call_where, .values = {BENCH_CONDITION}};

static reel_tensor *call_linear(reel_context *ctx, bench_call *c) {
    return reel_linear(ctx, c->in[0], c->in[1], c->in[2]);
}
extern const op_bench op_bench_linear;
const op_bench op_bench_linear = {.call = call_linear, .optional = "bias"};

/* ---- reductions ---------------------------------------------------------------------------------------- */

#define REDUCTION(op)                                                                                        \
    static reel_tensor *call_##op(reel_context *ctx, bench_call *c) {                                        \
        const bench_attribute *const given = &c->attribute[0];                                               \
        int axes[REEL_MAX_RANK];                                                                             \
        for (int i = 0; i < given->count; i++)                                                               \
            axes[i] = (int)given->value[i];                                                                  \
        return reel_##op(ctx, c->in[0], axes, given->count, 0);                                              \
    }                                                                                                        \
    extern const op_bench op_bench_##op;                                                                     \
    const op_bench op_bench_##op = {.call = call_##op, .attribute = {{"axes", 0, {0}}}}

REDUCTION(sum);
REDUCTION(mean);
REDUCTION(max);
REDUCTION(argmax);

#define ALONG_AXIS(op)                                                                                       \
    static reel_tensor *call_##op(reel_context *ctx, bench_call *c) {                                        \
        return reel_##op(ctx, c->in[0], (int)c->attribute[0].value[0]);                                      \
    }                                                                                                        \
    extern const op_bench op_bench_##op;                                                                     \
    const op_bench op_bench_##op = {.call = call_##op, .attribute = {{"axis", 1, {-1}}}}

ALONG_AXIS(softmax);
ALONG_AXIS(log_softmax);
ALONG_AXIS(swiglu);
