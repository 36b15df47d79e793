/* Kernels of the optimizers, declared as those of the ops are (kernels.h). */
#ifndef REEL_OPTIM_KERNELS_H
#define REEL_OPTIM_KERNELS_H

#include "kernels.h"
#include <reel/optim.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is the same in every step. */
typedef struct reel__adam {
    reel_optimizer_kind kind;
    double beta1, beta2;
    double eps;
    double ema_rate;
} reel__adam;

/* What a step is told by the host, an f64 tensor of these: on a GPU they lie in its memory, so that a
 * recorded step takes those of the day. */
enum {
    REEL__ADAM_DECAY,      /* 1 - lr weight_decay */
    REEL__ADAM_RATE,       /* lr / (1 - beta1^t) */
    REEL__ADAM_CORRECTION, /* 1 - beta2^t */
    REEL__ADAM_RATES,
};

/* What the gradient's norm makes of a step, an f64 tensor of these. */
enum {
    REEL__CLIP_NORM,  /* over all parameters */
    REEL__CLIP_SCALE, /* a factor of the gradient, below 1 when clipped */
    REEL__CLIP_TAKEN, /* the norm of the last step that was not left out */
    REEL__CLIP_VALUES,
};

/* The formulas of <reel/optim.h> over flat tensors (n) of one dtype, f32 or f64, with the gradient scaled as
 * `clip` says; ema may be NULL. copy (n) bf16 gets the new p rounded, of f32 alone; NULL for none. Where the
 * norm is not finite nothing changes; a GPU, whose host does not know of it, then writes copy all the same.
 */
REEL_KERNEL(adam, (const reel_context *ctx, const reel__adam *step, const reel_tensor *rates,
                   const reel_tensor *clip, reel_tensor *p, const reel_tensor *g, reel_tensor *m,
                   reel_tensor *v, reel_tensor *ema, reel_tensor *copy))

enum { REEL__SQUARES_CHUNK = 1 << 14 };
/* sums[i] = sum of the squares of x's i-th chunk of REEL__SQUARES_CHUNK elements; x (n) f32 or f64, sums f64.
 * Squares of finite f32 numbers cannot overflow an f64 sum, so a sum is finite when the chunk is. */
REEL_KERNEL(square_sums, (const reel_context *ctx, const reel_tensor *x, reel_tensor *sums))

/* The norm from the sums, which add up in order, and the scale that brings it to at most max_norm; 0: any
 * norm is small enough. Where the norm is not finite a GPU raises a fault. */
REEL_KERNEL(clip, (const reel_context *ctx, const reel_tensor *sums, double max_norm, reel_tensor *clip))
#define REEL__CLIP_EPS 1e-6 /* clip_grad_norm_'s guard against a division by zero */

/* a and b exchange their values; both (n) of one dtype, f32 or f64 */
REEL_KERNEL(exchange, (const reel_context *ctx, reel_tensor *a, reel_tensor *b))

/* For each row that ids (B) name: table[row] = decay table[row] - lr sign(sum of gradient[i] over ids[i] =
 * row), in order of i; all row-major, rates f64 of the two below. An id that names no row and a gradient that
 * is not finite are errors: the CPU then changes nothing, the GPU leaves the rows that they concern and
 * raises a fault. */
REEL_KERNEL(sign_sgd_rows, (reel_context * ctx, reel_tensor *table, const reel_tensor *ids,
                            const reel_tensor *gradient, const reel_tensor *rates))
enum { REEL__SIGN_LR, REEL__SIGN_DECAY /* 1 - lr weight_decay */, REEL__SIGN_RATES };

#ifdef __cplusplus
}
#endif
#endif
