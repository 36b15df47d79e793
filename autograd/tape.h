/* The tape: what an op's front file needs to make results, record nodes and write gradients.
 *
 * A front file reads: check the inputs, make the result, launch the kernel, record the rule.
 *
 *     reel_tensor *reel_silu(reel_context *ctx, reel_tensor *x) {
 *         if (!reel__check_float(ctx, "silu", x))
 *             return ctx->void_tensor;
 *         reel_tensor *y = reel__result_like(ctx, x);
 *         REEL_DISPATCH(ctx, silu, (ctx, x, y));
 *         return REEL_RECORD(ctx, y, .op = "silu", .backward = silu_backward, .inputs = {x}, .saved = {x});
 *     } */
#ifndef REEL_TAPE_H
#define REEL_TAPE_H

#include "context.h"
#include <reel/autograd.h>

enum { REEL__MAX_INPUTS = 16, REEL__MAX_SAVED = 6, REEL__MAX_NUMBERS = 4, REEL__MAX_INTEGERS = 8 };

typedef struct reel_node reel_node;
typedef void reel_backward_fn(reel_context *ctx, const reel_node *node);

/* What a rule needs to know. inputs may hold NULL (an absent bias). saved are the values the rule reads; the
 * result itself may be among them. */
typedef struct reel_record {
    const char *op;
    reel_backward_fn *backward;
    reel_tensor *inputs[REEL__MAX_INPUTS];
    reel_tensor *saved[REEL__MAX_SAVED];
    double number[REEL__MAX_NUMBERS];
    int64_t integer[REEL__MAX_INTEGERS];
} reel_record;

struct reel_node {
    const char *op;
    reel_backward_fn *backward;
    reel_tensor *out;  /* its header; the values only where they were saved */
    reel_tensor *grad; /* d loss / d out, while the rule runs; any strides */
    reel_tensor *in[REEL__MAX_INPUTS];
    reel_tensor *saved[REEL__MAX_SAVED];
    double number[REEL__MAX_NUMBERS];
    int64_t integer[REEL__MAX_INTEGERS];
};

/* ---- results ------------------------------------------------------------------------------------------- */

/* False, with the error kept, unless each of the n tensors can be read: no error before, not NULL, not freed
 * by its scope. An op checks its inputs with this before anything else. */
bool reel__check_inputs(reel_context *ctx, const char *op, reel_tensor *const *inputs, int n);
/* As above for one input that must be float. */
bool reel__check_float(reel_context *ctx, const char *op, reel_tensor *x);
/* Brings a possibly negative axis into 0 .. rank-1; -1 with the error kept when it is none. */
int reel__check_axis(reel_context *ctx, const char *op, const reel_tensor *x, int axis);

/* A new row-major tape tensor; the void tensor when there is no memory. */
reel_tensor *reel__result(reel_context *ctx, reel_dtype dtype, int rank, const int64_t *shape);
reel_tensor *reel__result_like(reel_context *ctx, const reel_tensor *x);
/* A tape tensor over x's storage, starting `offset` elements behind x's first. */
reel_tensor *reel__view(reel_context *ctx, const reel_tensor *x, int rank, const int64_t *shape,
                        const int64_t *stride, int64_t offset);
/* A tape view of `copy`, which holds the owned tensor x's values in another dtype. It needs no node: what
 * flows into its gradient is x's own. */
reel_tensor *reel__cast_view(reel_context *ctx, reel_tensor *copy, reel_tensor *x);
/* x itself where it is row-major, a row-major copy on the tape otherwise. Records nothing. */
reel_tensor *reel__row_major(reel_context *ctx, reel_tensor *x);

/* Whether an op of these n inputs would be recorded: what it keeps for its rule is wanted. */
bool reel__records(reel_context *ctx, reel_tensor *const *inputs, int n);
/* Ends an op: records the node if an input needs a gradient and gradients are on; returns y. */
reel_tensor *reel__record(reel_context *ctx, reel_tensor *y, const reel_record *record);
#define REEL_RECORD(ctx, y, ...) reel__record(ctx, y, &(const reel_record){__VA_ARGS__})

/* ---- gradients, inside a backward rule ----------------------------------------------------------------- */

/* Where a rule writes: every element of `to`, added to what is there when accumulate is set. `to` is NULL
 * when that input needs no gradient. */
typedef struct reel__gradient {
    reel_tensor *to;
    bool accumulate;
} reel__gradient;

bool reel__wants_gradient(const reel_node *node, int input);

/* Of input's dtype, row-major. */
reel__gradient reel__gradient_of(reel_context *ctx, const reel_node *node, int input);
/* As above, but for the cast copy of a leaf it is the leaf's own f32 gradient: for kernels that can write f32
 * from bf16 inputs, as matmul and embedding do. */
reel__gradient reel__wide_gradient_of(reel_context *ctx, const reel_node *node, int input);
/* Zero-filled where nothing was written yet, for rules that add to some elements only. */
reel_tensor *reel__partial_gradient_of(reel_context *ctx, const reel_node *node, int input);
/* Gives g, of the input's shape, as its whole gradient: without a copy where it is the first to arrive. */
void reel__pass_gradient(reel_context *ctx, const reel_node *node, int input, reel_tensor *g);

#endif
