/* Broadcasting: the common shape forward, the sum over repeats backward. */
#include "broadcast.h"

#include "kernels.h"

#include <string.h>

bool reel__broadcast_with(reel_context *ctx, const char *op, reel__shape *shape, const reel_tensor *x) {
    const reel__shape before = *shape;
    shape->rank = before.rank > x->rank ? before.rank : x->rank;
    for (int back = 1; back <= shape->rank; back++) { /* axes counted from the last */
        const int64_t a = back <= before.rank ? before.size[before.rank - back] : 1;
        const int64_t b = back <= x->rank ? x->shape[x->rank - back] : 1;
        if (a != b && a != 1 && b != 1) {
            reel__error(ctx, REEL_ERROR_SHAPE, op,
                        "%s and %s do not broadcast: sizes %lld and %lld must be equal or one of them 1",
                        reel__shape_text(before.rank, before.size).text,
                        reel__shape_text(x->rank, x->shape).text, (long long)a, (long long)b);
            return false;
        }
        shape->size[shape->rank - back] = a == 1 ? b : a;
    }
    return true;
}

void reel__broadcast_gradient(reel_context *ctx, const reel_node *node, int input, reel_tensor *g,
                              double factor) {
    if (!reel__wants_gradient(node, input) || reel__failed(ctx))
        return;
    if (!reel__same_shape(node->in[input], g)) {
        const reel__gradient dx = reel__wide_gradient_of(ctx, node, input);
        REEL_DISPATCH(ctx, sum, (ctx, g, factor, dx.to, dx.accumulate));
    } else if (factor == 1) {
        reel__pass_gradient(ctx, node, input, g);
    } else {
        const reel__gradient dx = reel__gradient_of(ctx, node, input);
        REEL_DISPATCH(ctx, affine, (ctx, g, factor, 0, dx.to, dx.accumulate));
    }
}
