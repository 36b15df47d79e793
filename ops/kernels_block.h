/* Kernels of the building blocks of networks. Included by kernels.h alone. */

/* Normalisation over one axis of row-major tensors; `mean` and `r` hold one number per row (f32, f64 for
 * f64), weight and bias one per place along the axis.
 *
 * y = (a + b - mean) r weight + bias, r = 1 / sqrt(mean of (a + b - mean)^2 + eps). NULL for b, weight, bias:
 * absent; with b weight and bias are. mean NULL: nothing is subtracted. */
REEL_KERNEL(norm, (const reel_context *ctx, const reel_tensor *a, const reel_tensor *b,
                   const reel_tensor *weight, const reel_tensor *bias, int axis, double eps, reel_tensor *y,
                   reel_tensor *mean, reel_tensor *r))

enum {
    REEL__NORM_CENTRED = 1,    /* the mean was subtracted */
    REEL__NORM_NORMALISED = 2, /* the value at hand is not x but h = (x - mean) r already */
};
/* dx = r (g - h mean(g h) - [centred] mean(g)), g = dy weight */
REEL_KERNEL(norm_backward, (const reel_context *ctx, const reel_tensor *value, const reel_tensor *mean,
                            const reel_tensor *r, const reel_tensor *weight, const reel_tensor *dy, int axis,
                            unsigned flags, reel_tensor *dx, int accumulate))
/* Partial sums (chunks, n) over the rows of chunk c: dweight = sum dy (x - mean) r, dbias = sum dy; either
 * may be NULL. */
REEL_KERNEL(norm_parameters_backward,
            (const reel_context *ctx, const reel_tensor *x, const reel_tensor *mean, const reel_tensor *r,
             const reel_tensor *dy, int axis, reel_tensor *dweight, reel_tensor *dbias))

/* y = silu(g) u, g and u the halves of x along the axis; x and dy any; on a GPU y any, also over g */
REEL_KERNEL(swiglu, (const reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *y))
REEL_KERNEL(swiglu_backward, (const reel_context *ctx, const reel_tensor *x, int axis, const reel_tensor *dy,
                              reel_tensor *dx, int accumulate))
/* the same with dy row-major, and y is written over dy; dx may be x */
REEL_KERNEL(swiglu_again_backward, (const reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *dy,
                                    reel_tensor *dx, int accumulate))

/* Of a gated MLP by a BLAS on a CPU. */
enum {
    REEL__MLP_CACHED_BYTES = 1280 << 10, /* weights that a core's own cache holds */
    REEL__MLP_BLOCKS = 8,                /* enough for the threads of a laptop */
    REEL__MLP_BLOCK_ROWS = 192,          /* enough to be worth copying larger weights for them */
};
/* y = down swiglu(up x) along an axis, the last or the second to last, block by block, so that what is
 * between the two products stays in a core's cache, or a GPU's. x row-major, up [2 in, x's size] and down
 * [out, in] row-major. up x is left in `kept`, unless that is NULL, which it is on a GPU. Takes scratch
 * memory. */
REEL_KERNEL(gated_mlp, (reel_context * ctx, const reel_tensor *x, const reel_tensor *up,
                        const reel_tensor *down, int axis, reel_tensor *y, reel_tensor *kept))

/* y = x cos + rotate_half(x) sin, or its transpose when inverse is set; x (..., T, H, d) any strides but 1
 * along d; cosine and sine row-major, f32 (f64 for f64) */
REEL_KERNEL(rotary, (const reel_context *ctx, const reel_tensor *x, const reel_tensor *cosine,
                     const reel_tensor *sine, int inverse, reel_tensor *y, int accumulate))

/* y = x [u >= p] / (1 - p), u from the draw; x row-major */
REEL_KERNEL(dropout, (const reel_context *ctx, const reel_tensor *x, double p, reel_draw draw, reel_tensor *y,
                      int accumulate))
