/* Kernels of the optimizers, declared as those of the ops are (kernels.h). */
#ifndef REEL_OPTIM_KERNELS_H
#define REEL_OPTIM_KERNELS_H

#include "kernels.h"
#include <reel/optim.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One step's scalars. */
typedef struct reel__adam {
    reel_optimizer_kind kind;
    double gradient_scale; /* below 1 when clipped */
    double decay;          /* 1 - lr weight_decay */
    double beta1, beta2;
    double rate;       /* lr / (1 - beta1^t) */
    double correction; /* 1 - beta2^t */
    double eps;
    double ema_rate;
} reel__adam;

/* The formulas of <reel/optim.h> over flat tensors (n) of one dtype, f32 or f64; ema may be NULL */
REEL_KERNEL(adam, (const reel_context *ctx, const reel__adam *step, reel_tensor *p, const reel_tensor *g,
                   reel_tensor *m, reel_tensor *v, reel_tensor *ema))

enum { REEL__SQUARES_CHUNK = 1 << 14 };
/* sums[i] = sum of the squares of x's i-th chunk of REEL__SQUARES_CHUNK elements; x (n) f32 or f64, sums f64.
 * Squares of finite f32 numbers cannot overflow an f64 sum, so a sum is finite when the chunk is. */
REEL_KERNEL(square_sums, (const reel_context *ctx, const reel_tensor *x, reel_tensor *sums))

/* a and b exchange their values; both (n) of one dtype, f32 or f64 */
REEL_KERNEL(exchange, (const reel_context *ctx, reel_tensor *a, reel_tensor *b))

/* A row of the table and the examples that name it: order[begin] .. order[end - 1]. */
typedef struct reel__row_group {
    int64_t row, begin, end;
} reel__row_group;

/* For each group: table[row] = decay table[row] - lr sign(sum of gradient[order[begin .. end - 1]]) */
REEL_KERNEL(sign_sgd_rows, (const reel_context *ctx, reel_tensor *table, const reel_tensor *gradient,
                            const reel__row_group *groups, int64_t group_count, const int64_t *order,
                            double lr, double decay))

#ifdef __cplusplus
}
#endif
#endif
