/* Kernels of the reduce and softmax families. Included by kernels.h alone.
 *
 * A reduction goes from x to y over the axes that y lacks in front or has of size 1: it is the reverse of
 * broadcasting y to x. y is row-major and broadcasts to x; x is any; both are float. */

/* y = factor sum x, added up in f64 and rounded once; x and y may differ in dtype. Takes scratch memory. */
REEL_KERNEL(sum, (reel_context * ctx, const reel_tensor *x, double factor, reel_tensor *y, int accumulate))
/* y = max x and, i32 and of y's shape, the row-major index over the reduced axes of the first maximum; NaN
 * wins. y or index may be NULL; there is at least one term. */
REEL_KERNEL(max, (const reel_context *ctx, const reel_tensor *x, reel_tensor *y, reel_tensor *index))
/* dx[index] += dy; dy and dx row-major */
REEL_KERNEL(max_backward,
            (const reel_context *ctx, const reel_tensor *dy, const reel_tensor *index, reel_tensor *dx))

/* y = softmax(x), y = ln softmax(x) along an axis; x any, y row-major */
REEL_KERNEL(softmax, (reel_context * ctx, const reel_tensor *x, int axis, reel_tensor *y))
REEL_KERNEL(log_softmax, (reel_context * ctx, const reel_tensor *x, int axis, reel_tensor *y))
/* dx = y (dy - sum y dy); dx = dy - e^y sum dy; all row-major */
REEL_KERNEL(softmax_backward, (const reel_context *ctx, const reel_tensor *y, const reel_tensor *dy, int axis,
                               reel_tensor *dx, int accumulate))
REEL_KERNEL(log_softmax_backward, (const reel_context *ctx, const reel_tensor *y, const reel_tensor *dy,
                                   int axis, reel_tensor *dx, int accumulate))
