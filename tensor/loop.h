/* Walks several tensors of one shape together: merges axes that lie behind one another in all of them, cuts
 * the rest into pieces for the threads and hands runs along the innermost axis to a function.
 * Elementwise CPU kernels are one such function; what a run's strides are (1, 0, or other) is theirs to use.
 */
#ifndef REEL_LOOP_H
#define REEL_LOOP_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { REEL__LOOP_MAX = 18 };

/* One run: n elements; at[k] is operand k's first, step[k] its stride in elements. */
typedef void reel__run_fn(int64_t n, char *const *at, const int64_t *step, const void *arg);

/* Operands have the shape of operand 0, or strides of 0 where they broadcast: reel__broadcast makes those. */
void reel__loop(const reel_context *ctx, int operands, const reel_tensor *const *tensors, reel__run_fn *run,
                const void *arg);

/* A header by value that shows x with the shape given, stride 0 along axes that x lacks or has of size 1. */
reel_tensor reel__broadcast(const reel_tensor *x, int rank, const int64_t *shape);

/* A layout as (outer, n, inner) around one axis of a row-major tensor. */
typedef struct reel__axis {
    int64_t outer, n, inner;
} reel__axis;
reel__axis reel__axis_of(const reel_tensor *x, int axis);

#ifdef __cplusplus
}
#endif
#endif
