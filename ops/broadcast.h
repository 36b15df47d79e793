/* Broadcasting, for the front files of ops with several inputs. The rules are NumPy's: shapes are aligned at
 * their last axes, and an axis that is lacking or of size 1 is repeated. */
#ifndef REEL_BROADCAST_H
#define REEL_BROADCAST_H

#include "tape.h"

typedef struct reel__shape {
    int rank;
    int64_t size[REEL_MAX_RANK];
} reel__shape;

/* Brings *shape to what it and x broadcast to; false, with the error kept, where they do not. Begin with the
 * first input's, or with rank 0. */
bool reel__broadcast_with(reel_context *ctx, const char *op, reel__shape *shape, const reel_tensor *x);

/* Gives factor g, of the result's shape, as the gradient of an input that was broadcast to that shape: passed
 * on where nothing was repeated, summed over the repeats otherwise. */
void reel__broadcast_gradient(reel_context *ctx, const reel_node *node, int input, reel_tensor *g,
                              double factor);

#endif
