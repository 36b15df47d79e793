/* Kernels that are right, and the same with one fault each: what the simulator must catch. */
#ifndef REEL_PLANTED_H
#define REEL_PLANTED_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum planted_fault {
    PLANTED_NONE,
    PLANTED_NO_BARRIER,      /* shared memory is read before all of it is written */
    PLANTED_NO_GUARD,        /* the last block writes past the end */
    PLANTED_SHORT_TAIL,      /* what is left behind the last whole block is forgotten */
    PLANTED_SMALL_SHARED,    /* less shared memory is asked for than is used */
    PLANTED_EARLY_RETURN,    /* threads past the end leave before a barrier */
    PLANTED_ABSENT_LANE,     /* an exchange that only half of a warp reaches */
    PLANTED_NO_LAST_BARRIER, /* shared memory is written again before all have read it; an exchange lies
                                between */
    PLANTED_NO_WAIT,         /* what is copied asynchronously is read without waiting for it */
    PLANTED_FAULTS,
} planted_fault;

/* y = each piece of PLANTED_PIECE elements of x, the last perhaps shorter, in reverse order; f32, row-major.
 */
enum { PLANTED_PIECE = 64 };
void planted_reverse(const reel_context *ctx, const reel_tensor *x, reel_tensor *y, planted_fault fault);

/* The same by one block that goes from piece to piece. */
void planted_roll(const reel_context *ctx, const reel_tensor *x, reel_tensor *y, planted_fault fault);

/* y[0] = the sum of the first 32 elements of x. */
void planted_warp_sum(const reel_context *ctx, const reel_tensor *x, reel_tensor *y, planted_fault fault);

#ifdef __cplusplus
}
#endif
#endif
