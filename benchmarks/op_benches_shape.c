/* Benchmarks of the ops that move values: views, copies, indexing. */
#include "op_bench.h"

#include <stddef.h>

static int64_t whole(const bench_call *c, int attribute, int i) {
    return (int64_t)c->attribute[attribute].value[i];
}

/* An attribute that is a list of sizes or axes. */
typedef struct sizes {
    int count;
    int64_t of[REEL_MAX_RANK];
} sizes;

static sizes sizes_of(const bench_call *c, int attribute) {
    sizes s = {.count = c->attribute[attribute].count};
    for (int i = 0; i < s.count; i++)
        s.of[i] = whole(c, attribute, i);
    return s;
}

#define DECLARE(op) extern const op_bench op_bench_##op

/* ---- views --------------------------------------------------------------------------------------------- */

static reel_tensor *call_reshape(reel_context *ctx, bench_call *c) {
    const sizes shape = sizes_of(c, 0);
    return reel_reshape(ctx, c->in[0], shape.count, shape.of);
}
DECLARE(reshape);
const op_bench op_bench_reshape = {.call = call_reshape, .attribute = {{"shape", 1, {-1}}}};

static reel_tensor *call_transpose(reel_context *ctx, bench_call *c) {
    return reel_transpose(ctx, c->in[0], (int)whole(c, 0, 0), (int)whole(c, 0, 1));
}
DECLARE(transpose);
const op_bench op_bench_transpose = {.call = call_transpose, .attribute = {{"axes", 2, {-1, -2}}}};

/* Axes that are not given stay where they are. */
static reel_tensor *call_permute(reel_context *ctx, bench_call *c) {
    int axes[REEL_MAX_RANK];
    for (int i = 0; i < REEL_MAX_RANK; i++)
        axes[i] = i < c->attribute[0].count ? (int)whole(c, 0, i) : i;
    return reel_permute(ctx, c->in[0], axes);
}
DECLARE(permute);
const op_bench op_bench_permute = {.call = call_permute, .attribute = {{"axes", 0, {0}}}};

static reel_tensor *call_expand(reel_context *ctx, bench_call *c) {
    const sizes shape = sizes_of(c, 0);
    return reel_expand(ctx, c->in[0], shape.count, shape.of);
}
DECLARE(expand);
const op_bench op_bench_expand = {.call = call_expand, .attribute = {{"shape", 1, {-1}}}};

static reel_tensor *call_narrow(reel_context *ctx, bench_call *c) {
    return reel_narrow(ctx, c->in[0], (int)whole(c, 0, 0), whole(c, 1, 0), whole(c, 2, 0));
}
DECLARE(narrow);
const op_bench op_bench_narrow = {.call = call_narrow,
                                  .attribute = {{"axis", 1, {0}}, {"start", 1, {0}}, {"length", 1, {1}}}};

static reel_tensor *call_split(reel_context *ctx, bench_call *c) {
    const sizes lengths = sizes_of(c, 1);
    c->parts = lengths.count;
    reel_split(ctx, c->in[0], (int)whole(c, 0, 0), lengths.of, lengths.count, c->part);
    return c->part[0];
}
DECLARE(split);
const op_bench op_bench_split = {.call = call_split, .attribute = {{"axis", 1, {-1}}, {"lengths", 1, {1}}}};

static reel_tensor *call_detach(reel_context *ctx, bench_call *c) {
    return reel_detach(ctx, c->in[0]);
}
DECLARE(detach);
const op_bench op_bench_detach = {.call = call_detach};

/* ---- copies -------------------------------------------------------------------------------------------- */

static reel_tensor *call_clone(reel_context *ctx, bench_call *c) {
    return reel_clone(ctx, c->in[0]);
}
DECLARE(clone);
const op_bench op_bench_clone = {.call = call_clone};

/* From f32 to bf16, from anything else to f32. The copy of an owned tensor is kept until that changes. */
static reel_tensor *call_cast(reel_context *ctx, bench_call *c) {
    reel_touch(c->in[0]);
    return reel_cast(ctx, c->in[0], c->in[0]->dtype == REEL_F32 ? REEL_BF16 : REEL_F32);
}
DECLARE(cast);
const op_bench op_bench_cast = {.call = call_cast};

static reel_tensor *call_concat(reel_context *ctx, bench_call *c) {
    return reel_concat(ctx, c->in, c->inputs, (int)whole(c, 0, 0));
}
DECLARE(concat);
const op_bench op_bench_concat = {.call = call_concat, .attribute = {{"axis", 1, {0}}}};

static reel_tensor *call_stack(reel_context *ctx, bench_call *c) {
    return reel_stack(ctx, c->in, c->inputs, (int)whole(c, 0, 0));
}
DECLARE(stack);
const op_bench op_bench_stack = {.call = call_stack, .attribute = {{"axis", 1, {0}}}};

static reel_tensor *call_pad(reel_context *ctx, bench_call *c) {
    return reel_pad(ctx, c->in[0], (int)whole(c, 0, 0), whole(c, 1, 0), whole(c, 2, 0), 0);
}
DECLARE(pad);
const op_bench op_bench_pad = {.call = call_pad,
                               .attribute = {{"axis", 1, {0}}, {"before", 1, {0}}, {"after", 1, {0}}}};

/* ---- indexing ------------------------------------------------------------------------------------------ */

static reel_tensor *call_embedding(reel_context *ctx, bench_call *c) {
    return reel_embedding(ctx, c->in[0], c->in[1], c->attribute[0].value[0]);
}
DECLARE(embedding);
const op_bench op_bench_embedding = {
    .call = call_embedding, .values = {BENCH_FLOAT, BENCH_ROWS}, .attribute = {{"scale", 1, {1}}}};

static reel_tensor *call_gather(reel_context *ctx, bench_call *c) {
    return reel_gather(ctx, c->in[0], (int)whole(c, 0, 0), c->in[1]);
}
DECLARE(gather);
const op_bench op_bench_gather = {
    .call = call_gather, .values = {BENCH_FLOAT, BENCH_PLACES}, .attribute = {{"axis", 1, {-1}}}};

static reel_tensor *call_scatter_add(reel_context *ctx, bench_call *c) {
    return reel_scatter_add(ctx, c->in[0], (int)whole(c, 0, 0), c->in[1], c->in[2]);
}
DECLARE(scatter_add);
const op_bench op_bench_scatter_add = {
    .call = call_scatter_add, .values = {BENCH_FLOAT, BENCH_PLACES}, .attribute = {{"axis", 1, {-1}}}};
