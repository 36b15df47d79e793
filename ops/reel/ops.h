/* The mathematics: every op takes tensors, returns a new tape tensor and knows its gradient.
 *
 * The names are PyTorch's. An axis may be negative: -1 is the last. After a failed op every further one
 * returns the void tensor and does nothing; the first error comes out of reel_backward, reel_tape_reset or
 * reel_context_status. "float" below means f64, f32 or bf16; bf16 is computed in f32. Unless an op says
 * otherwise, its inputs share one dtype, the result has it too, and any strides are accepted. */
#ifndef REEL_OPS_H
#define REEL_OPS_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- elementwise, one input: y_i = f(x_i), float ------------------------------------------------------ */

REEL_API reel_tensor *reel_neg(reel_context *ctx, reel_tensor *x);     /* -x */
REEL_API reel_tensor *reel_exp(reel_context *ctx, reel_tensor *x);     /* e^x */
REEL_API reel_tensor *reel_log(reel_context *ctx, reel_tensor *x);     /* ln x */
REEL_API reel_tensor *reel_sqrt(reel_context *ctx, reel_tensor *x);    /* x^(1/2) */
REEL_API reel_tensor *reel_rsqrt(reel_context *ctx, reel_tensor *x);   /* x^(-1/2) */
REEL_API reel_tensor *reel_sigmoid(reel_context *ctx, reel_tensor *x); /* 1 / (1 + e^-x) */
REEL_API reel_tensor *reel_tanh(reel_context *ctx, reel_tensor *x);
REEL_API reel_tensor *reel_relu(reel_context *ctx, reel_tensor *x); /* max(x, 0); gradient 0 at 0 */
REEL_API reel_tensor *reel_gelu(reel_context *ctx, reel_tensor *x); /* x Phi(x), exact (Hendrycks 2016) */
REEL_API reel_tensor *reel_silu(reel_context *ctx, reel_tensor *x); /* x sigmoid(x) */
REEL_API reel_tensor *reel_scale(reel_context *ctx, reel_tensor *x, double factor);        /* factor x */
REEL_API reel_tensor *reel_add_scalar(reel_context *ctx, reel_tensor *x, double constant); /* x + constant */
REEL_API reel_tensor *reel_pow(reel_context *ctx, reel_tensor *x, double exponent);        /* x^exponent */

/* ---- elementwise, several inputs, broadcast as in NumPy ------------------------------------------------ */

REEL_API reel_tensor *reel_add(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a + b */
REEL_API reel_tensor *reel_add_n(reel_context *ctx, reel_tensor *const *x,
                                 int n); /* x_0 + ... + x_n-1, n <= 16 */
REEL_API reel_tensor *reel_sub(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a - b */
REEL_API reel_tensor *reel_mul(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a b */
REEL_API reel_tensor *reel_div(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a / b */

/* Comparisons: u8, 1 where true; any dtype; no gradient. */
REEL_API reel_tensor *reel_eq(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a == b */
REEL_API reel_tensor *reel_lt(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a < b */
REEL_API reel_tensor *reel_le(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a <= b */

/* condition ? a : b. condition is u8 or i32, non-zero is true; a and b any one dtype. */
REEL_API reel_tensor *reel_where(reel_context *ctx, reel_tensor *condition, reel_tensor *a, reel_tensor *b);

/* ---- matrix products, float ---------------------------------------------------------------------------- */

/* c[..., m, n] = sum_k a[..., m, k] b[..., k, n]. Leading axes broadcast; rank >= 2. Any transposed view is
 * read in place. */
REEL_API reel_tensor *reel_matmul(reel_context *ctx, reel_tensor *a, reel_tensor *b);

/* y[..., o] = sum_i x[..., i] weight[o, i] (+ bias[o]); bias may be NULL. */
REEL_API reel_tensor *reel_linear(reel_context *ctx, reel_tensor *x, reel_tensor *weight, reel_tensor *bias);

/* ---- reductions over the axes named; none (n_axes 0) means all ------------------------------------------
 */

enum { REEL_KEEP_AXES = 1 }; /* reduced axes stay, of size 1 */

REEL_API reel_tensor *reel_sum(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes,
                               unsigned flags);
REEL_API reel_tensor *reel_mean(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes,
                                unsigned flags);
/* Gradient to the first of equal maxima; NaN wins. */
REEL_API reel_tensor *reel_max(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes,
                               unsigned flags);
/* Row-major index, over the reduced axes, of the first maximum; i32; NaN wins; no gradient. */
REEL_API reel_tensor *reel_argmax(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes,
                                  unsigned flags);

/* ---- softmax ------------------------------------------------------------------------------------------- */

REEL_API reel_tensor *reel_softmax(reel_context *ctx, reel_tensor *x, int axis);     /* e^x / sum e^x */
REEL_API reel_tensor *reel_log_softmax(reel_context *ctx, reel_tensor *x, int axis); /* x - ln sum e^x */

/* ---- shape --------------------------------------------------------------------------------------------- */

/* Views, which copy nothing (reshape copies where no view of that shape exists). */
REEL_API reel_tensor *reel_reshape(reel_context *ctx, reel_tensor *x, int rank,
                                   const int64_t *shape); /* one -1 is inferred */
REEL_API reel_tensor *reel_transpose(reel_context *ctx, reel_tensor *x, int axis_a, int axis_b);
REEL_API reel_tensor *reel_permute(reel_context *ctx, reel_tensor *x,
                                   const int *axes); /* result axis i is axes[i] */
REEL_API reel_tensor *reel_expand(reel_context *ctx, reel_tensor *x, int rank,
                                  const int64_t *shape); /* -1 keeps */
REEL_API reel_tensor *reel_narrow(reel_context *ctx, reel_tensor *x, int axis, int64_t start, int64_t length);
/* n parts of the given lengths along an axis, into parts[0 .. n-1]. */
REEL_API void reel_split(reel_context *ctx, reel_tensor *x, int axis, const int64_t *lengths, int n,
                         reel_tensor **parts);
REEL_API reel_tensor *reel_detach(reel_context *ctx, reel_tensor *x); /* the same values, no gradient */

/* Copies. Any dtype; gradient for float. */
REEL_API reel_tensor *reel_clone(reel_context *ctx, reel_tensor *x); /* row-major copy */
/* Other dtype, rounding as reel_copy. The bf16 copy of a leaf is made once per version of the leaf, and its
 * gradient is the leaf's own. Where x has the dtype already, the result is x itself. */
REEL_API reel_tensor *reel_cast(reel_context *ctx, reel_tensor *x, reel_dtype dtype);
REEL_API reel_tensor *reel_concat(reel_context *ctx, reel_tensor *const *x, int n, int axis); /* n <= 16 */
REEL_API reel_tensor *reel_stack(reel_context *ctx, reel_tensor *const *x, int n,
                                 int axis); /* new axis; n <= 16 */
/* `before` and `after` cells of `value` along an axis. */
REEL_API reel_tensor *reel_pad(reel_context *ctx, reel_tensor *x, int axis, int64_t before, int64_t after,
                               double value);

/* ---- indexing: indices are i32 and checked ------------------------------------------------------------- */

/* y[i..., d] = scale table[indices[i...], d]; table (N, D) float. */
REEL_API reel_tensor *reel_embedding(reel_context *ctx, reel_tensor *table, reel_tensor *indices,
                                     double scale);
/* y = x with axis `axis` read at indices, which has y's shape (torch.gather). */
REEL_API reel_tensor *reel_gather(reel_context *ctx, reel_tensor *x, int axis, reel_tensor *indices);
/* y = x, then y[.., indices[..], ..] += source[..] along the axis, in row-major order of source. */
REEL_API reel_tensor *reel_scatter_add(reel_context *ctx, reel_tensor *x, int axis, reel_tensor *indices,
                                       reel_tensor *source);

/* ---- building blocks of networks, float ---------------------------------------------------------------- */

/* y = x / sqrt(mean(x^2) + eps) over one axis, times weight (axis size) unless NULL. Zhang & Sennrich 2019.
 */
REEL_API reel_tensor *reel_rms_norm(reel_context *ctx, reel_tensor *x, reel_tensor *weight, int axis,
                                    double eps);
/* y = rms_norm(a + b) in one pass, without weight. a and b have one shape. */
REEL_API reel_tensor *reel_add_rms_norm(reel_context *ctx, reel_tensor *a, reel_tensor *b, int axis,
                                        double eps);
/* y = (x - mean) / sqrt(var + eps) * weight + bias over one axis; weight, bias (axis size) or NULL. Ba et al.
 * 2016. */
REEL_API reel_tensor *reel_layer_norm(reel_context *ctx, reel_tensor *x, reel_tensor *weight,
                                      reel_tensor *bias, int axis, double eps);
/* Gated activation (Shazeer 2020): the first half of the axis is the gate g, the second u; y = silu(g) u. */
REEL_API reel_tensor *reel_swiglu(reel_context *ctx, reel_tensor *x, int axis);

/* The second half of a gated MLP: a linear map of swiglu(x) along the axis, which is the last or the second
 * to last. weight is [out, in] with in half the axis' size.
 *
 *     last            x (..., 2 in)       y (..., out)       y = swiglu(x) weight^T
 *     second to last  x (..., 2 in, D)    y (..., out, D)    y = weight swiglu(x)
 *
 * swiglu(x) is not kept for the gradient but made again, which saves a third of such an MLP's memory. */
REEL_API reel_tensor *reel_swiglu_linear(reel_context *ctx, reel_tensor *x, reel_tensor *weight, int axis);

/* A whole gated MLP over the last or the second to last axis of x (Shazeer 2020): y = down swiglu(up x), up
 * [2 inner, in], down [out, inner]; y has out in the place of in. Without gradient nothing of the size of
 * inner is written to memory. */
REEL_API reel_tensor *reel_gated_mlp(reel_context *ctx, reel_tensor *x, reel_tensor *up, reel_tensor *down,
                                     int axis);
/* Rotary embedding (Su et al. 2021), halves convention: x (..., T, H, d), cosine and sine (T, d) in f32 or
 * f64, y = x cos + rotate_half(x) sin, rotate_half((a, b)) = (-b, a). d is even. */
REEL_API reel_tensor *reel_rotary(reel_context *ctx, reel_tensor *x, reel_tensor *cosine, reel_tensor *sine);

enum { REEL_CAUSAL = 1 };

/* y = softmax(q k^T / sqrt(d) + mask) v, without a Tq x Tk matrix in memory beyond one head's. q (B, H, Tq,
 * d), k and v (B, H, Tk, d), any strides -> (B, H, Tq, d), laid out as (B, Tq, H, d) so that heads join
 * without a copy. mask: additive, broadcast to (B, H, Tq, Tk), or NULL; it gets no gradient. REEL_CAUSAL lets
 * query i see keys 0 .. i + Tk - Tq. A row that sees nothing gives zeros. */
REEL_API reel_tensor *reel_scaled_dot_product_attention(reel_context *ctx, reel_tensor *q, reel_tensor *k,
                                                        reel_tensor *v, reel_tensor *mask, unsigned flags);

/* Dropout (Srivastava et al. 2014): each element is kept with probability 1 - p and scaled by 1 / (1 - p).
 * Element i (row-major) uses word i % 4 of block i / 4 of the draw. */
REEL_API reel_tensor *reel_dropout(reel_context *ctx, reel_tensor *x, double p, reel_draw draw);

/* ---- losses: one value per row, float logits; the caller sums or averages ------------------------------ */

enum { REEL_IGNORE_LABEL = -100 };

/* -ln softmax(logits)[label] per row: logits (..., C), labels i32 (...) -> (...). REEL_IGNORE_LABEL gives 0
 * and no gradient. Computed and returned in f32 (f64 for f64). */
REEL_API reel_tensor *reel_softmax_cross_entropy(reel_context *ctx, reel_tensor *logits, reel_tensor *labels);
/* As above with s(x) = x + 1 for x >= 0, 1 / (1 - x + 1e-30) otherwise, in place of e^x (Prieto et al. 2025,
 * arXiv 2501.04697). Computed in f64 as published, returned in f32 (f64 for f64). */
REEL_API reel_tensor *reel_stablemax_cross_entropy(reel_context *ctx, reel_tensor *logits,
                                                   reel_tensor *labels);
/* max(x, 0) - x t + ln(1 + e^-|x|) per element: logits x and targets t of one shape; t gets no gradient. */
REEL_API reel_tensor *reel_binary_cross_entropy_with_logits(reel_context *ctx, reel_tensor *logits,
                                                            reel_tensor *targets);

#ifdef __cplusplus
}
#endif
#endif
