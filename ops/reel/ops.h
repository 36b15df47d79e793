/* The mathematics: every op takes tensors, returns a new tape tensor and knows its gradient.
 *
 * The names are PyTorch's. An axis may be negative: -1 is the last. "float" below means f64, f32 or bf16;
 * bf16 is computed in f32. What is true of every op unless it says otherwise:
 *
 *   dtypes    the inputs share one, and the result has it too
 *   strides   any are accepted
 *   gradient  every float input has one; op_list.h has the formulas, in the reference as the map of ops
 *   lifetime  the result lives until its scope ends or the tape is reset (<reel/autograd.h>)
 *   errors    ARGUMENT for no tensor or a number out of its range, STATE for a tensor that its scope freed,
 *             DTYPE, SHAPE for sizes and axes that do not fit or a result that is too large, MEMORY
 *
 * The message of an error begins with the op's name. After a failed op every further one returns the void
 * tensor and does nothing; the first error comes out of reel_backward, reel_tape_reset or
 * reel_context_status. */
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
REEL_API reel_tensor *reel_tanh(reel_context *ctx, reel_tensor *x);    /* (e^x - e^-x) / (e^x + e^-x) */
REEL_API reel_tensor *reel_relu(reel_context *ctx, reel_tensor *x);    /* max(x, 0); gradient 0 at 0 */
/* x Phi(x), Phi by erf. Hendrycks & Gimpel 2016, arXiv 1606.08415. */
REEL_API reel_tensor *reel_gelu(reel_context *ctx, reel_tensor *x);
/* x sigmoid(x). Elfwing et al. 2017, arXiv 1702.03118. */
REEL_API reel_tensor *reel_silu(reel_context *ctx, reel_tensor *x);
REEL_API reel_tensor *reel_scale(reel_context *ctx, reel_tensor *x, double factor);        /* factor x */
REEL_API reel_tensor *reel_add_scalar(reel_context *ctx, reel_tensor *x, double constant); /* x + constant */
REEL_API reel_tensor *reel_pow(reel_context *ctx, reel_tensor *x, double exponent);        /* x^exponent */

/* ---- elementwise, several inputs, broadcast as in NumPy, float ----------------------------------------- */

REEL_API reel_tensor *reel_add(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a + b */
/* x_0 + ... + x_n-1 in one pass, 1 <= n <= 16 */
REEL_API reel_tensor *reel_add_n(reel_context *ctx, reel_tensor *const *x, int n);
REEL_API reel_tensor *reel_sub(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a - b */
REEL_API reel_tensor *reel_mul(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a b */
REEL_API reel_tensor *reel_div(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a / b */

/* ---- comparisons and choice, broadcast likewise, any dtype --------------------------------------------- */

REEL_API reel_tensor *reel_eq(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a == b: u8, 0 or 1 */
REEL_API reel_tensor *reel_lt(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a < b: u8, 0 or 1 */
REEL_API reel_tensor *reel_le(reel_context *ctx, reel_tensor *a, reel_tensor *b); /* a <= b: u8, 0 or 1 */

/* condition ? a : b. condition is u8 or i32, non-zero is true, and has no gradient. */
REEL_API reel_tensor *reel_where(reel_context *ctx, reel_tensor *condition, reel_tensor *a, reel_tensor *b);

/* ---- matrix products, float ---------------------------------------------------------------------------- */

/* c[..., m, n] = sum_k a[..., m, k] b[..., k, n]. Leading axes broadcast; rank >= 2, m, k and n below 2^31.
 * Any transposed view is read in place, other strides are copied. */
REEL_API reel_tensor *reel_matmul(reel_context *ctx, reel_tensor *a, reel_tensor *b);

/* y = x weight^T + bias: x (..., in), weight (out, in), bias (out) or NULL -> (..., out). */
REEL_API reel_tensor *reel_linear(reel_context *ctx, reel_tensor *x, reel_tensor *weight, reel_tensor *bias);

/* ---- reductions over the axes named; none (n_axes 0) means all; flags REEL_KEEP_AXES or 0 -------------- */

enum { REEL_KEEP_AXES = 1 }; /* reduced axes stay, of size 1 */

/* The sum of x, float, over the axes; of nothing 0. */
REEL_API reel_tensor *reel_sum(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes,
                               unsigned flags);
/* The sum divided by the number of terms; of nothing NaN. */
REEL_API reel_tensor *reel_mean(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes,
                                unsigned flags);
/* The largest of x, float, over the axes; NaN wins. The gradient goes to the first of equal maxima. SHAPE for
 * nothing to choose from. */
REEL_API reel_tensor *reel_max(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes,
                               unsigned flags);
/* Where the maximum is: row-major index, i32, over the reduced axes of the first of equal ones; NaN wins. x
 * of any dtype; no gradient. SHAPE for nothing to choose from. */
REEL_API reel_tensor *reel_argmax(reel_context *ctx, reel_tensor *x, const int *axes, int n_axes,
                                  unsigned flags);

/* ---- softmax along an axis, float; of nothing but -infinity NaN ---------------------------------------- */

REEL_API reel_tensor *reel_softmax(reel_context *ctx, reel_tensor *x, int axis);     /* e^x / sum e^x */
REEL_API reel_tensor *reel_log_softmax(reel_context *ctx, reel_tensor *x, int axis); /* x - ln sum e^x */

/* ---- views: results that share x's memory, any dtype --------------------------------------------------- */

/* x's elements, in row-major order, in another shape of as many; one size may be -1 and is inferred. A copy
 * where no view of that shape exists. */
REEL_API reel_tensor *reel_reshape(reel_context *ctx, reel_tensor *x, int rank, const int64_t *shape);
/* x with two axes exchanged. */
REEL_API reel_tensor *reel_transpose(reel_context *ctx, reel_tensor *x, int axis_a, int axis_b);
/* x with its axes reordered: axis i of the result is axis axes[i] of x; every axis is named once. */
REEL_API reel_tensor *reel_permute(reel_context *ctx, reel_tensor *x, const int *axes);
/* x repeated along axes of size 1 and along new first axes; -1 keeps the size of an axis. */
REEL_API reel_tensor *reel_expand(reel_context *ctx, reel_tensor *x, int rank, const int64_t *shape);
/* x[.., start .. start + length - 1, ..] along an axis. */
REEL_API reel_tensor *reel_narrow(reel_context *ctx, reel_tensor *x, int axis, int64_t start, int64_t length);
/* n parts of the given lengths along an axis, which they cover exactly, into parts[0 .. n-1]; all are the
 * void tensor upon an error. */
REEL_API void reel_split(reel_context *ctx, reel_tensor *x, int axis, const int64_t *lengths, int n,
                         reel_tensor **parts);
REEL_API reel_tensor *reel_detach(reel_context *ctx, reel_tensor *x); /* x, without its gradient */

/* ---- copies, any dtype --------------------------------------------------------------------------------- */

REEL_API reel_tensor *reel_clone(reel_context *ctx, reel_tensor *x); /* a row-major copy of x */
/* x in another dtype, rounded as by reel_copy. Where x has the dtype already, the result is x itself, with
 * its lifetime. The copy of an owned tensor in another float dtype is made once for each of its versions, and
 * its gradient is the owned tensor's. Gradients pass between float dtypes alone. */
REEL_API reel_tensor *reel_cast(reel_context *ctx, reel_tensor *x, reel_dtype dtype);
/* x_0, then x_1, ... along an axis, in which alone their sizes may differ; 1 <= n <= 16. */
REEL_API reel_tensor *reel_concat(reel_context *ctx, reel_tensor *const *x, int n, int axis);
/* n tensors of one shape along a new axis of size n, which is the result's axis `axis`; 1 <= n <= 16. */
REEL_API reel_tensor *reel_stack(reel_context *ctx, reel_tensor *const *x, int n, int axis);
/* x with `before` and `after` cells of `value` around it along an axis. */
REEL_API reel_tensor *reel_pad(reel_context *ctx, reel_tensor *x, int axis, int64_t before, int64_t after,
                               double value);

/* ---- indexing: indices are i32 and have no gradient; ARGUMENT for one out of range --------------------- */

/* y[i..., d] = scale table[indices[i...], d]: table (N, D), float, indices (...) in 0 .. N-1 -> (..., D). The
 * gradient of a bf16 table is summed in f32. */
REEL_API reel_tensor *reel_embedding(reel_context *ctx, reel_tensor *table, reel_tensor *indices,
                                     double scale);
/* y = x with axis `axis` read at indices, which has y's shape (torch.gather): x's rank, and along the other
 * axes no more than x's sizes. x of any dtype. */
REEL_API reel_tensor *reel_gather(reel_context *ctx, reel_tensor *x, int axis, reel_tensor *indices);
/* y = x, then y[.., indices[..], ..] += source[..] along the axis, in row-major order of source, which has
 * the shape of indices. Float; bf16 is summed in f32. */
REEL_API reel_tensor *reel_scatter_add(reel_context *ctx, reel_tensor *x, int axis, reel_tensor *indices,
                                       reel_tensor *source);

/* ---- building blocks of networks, float ---------------------------------------------------------------- */

/* y = x / sqrt(mean(x^2) + eps) over one axis, times weight (axis size) unless NULL; eps >= 0. Zhang &
 * Sennrich 2019, arXiv 1910.07467, equation 4. */
REEL_API reel_tensor *reel_rms_norm(reel_context *ctx, reel_tensor *x, reel_tensor *weight, int axis,
                                    double eps);
/* y = rms_norm(a + b) in one pass, without weight. a and b have one shape. */
REEL_API reel_tensor *reel_add_rms_norm(reel_context *ctx, reel_tensor *a, reel_tensor *b, int axis,
                                        double eps);
/* y = (x - mean) / sqrt(var + eps) * weight + bias over one axis; weight, bias (axis size) or NULL;
 * eps >= 0. Ba et al. 2016, arXiv 1607.06450, equations 3 and 4. */
REEL_API reel_tensor *reel_layer_norm(reel_context *ctx, reel_tensor *x, reel_tensor *weight,
                                      reel_tensor *bias, int axis, double eps);
/* Gated activation: y = silu(g) u, where g is the first half of the axis, whose size is even, and u the
 * second. Shazeer 2020, arXiv 2002.05202, equation 5 without its matrices. */
REEL_API reel_tensor *reel_swiglu(reel_context *ctx, reel_tensor *x, int axis);

/* The second half of a gated MLP: a linear map of swiglu(x) along the axis, which is the last or the second
 * to last. weight is [out, in] with in half the axis' size.
 *
 *     last            x (..., 2 in)       y (..., out)       y = swiglu(x) weight^T
 *     second to last  x (..., 2 in, D)    y (..., out, D)    y = weight swiglu(x)
 *
 * swiglu(x) is not kept for the gradient but made again, which saves a third of such an MLP's memory. */
REEL_API reel_tensor *reel_swiglu_linear(reel_context *ctx, reel_tensor *x, reel_tensor *weight, int axis);

/* A whole gated MLP over the last or the second to last axis of x: y = down swiglu(up x), up [2 inner, in],
 * down [out, inner]; y has out in the place of in. Nothing of the size of inner is kept without gradient, nor
 * where `in` is at most 100, as along the tokens of a puzzle: the gradient then makes it again, some examples
 * at a time. Else up x is kept, and so for bf16 on a CPU without products of it. Shazeer 2020, equation 6;
 * Chen et al. 2016, arXiv 1604.06174. */
REEL_API reel_tensor *reel_gated_mlp(reel_context *ctx, reel_tensor *x, reel_tensor *up, reel_tensor *down,
                                     int axis);
/* Rotary embedding, halves convention: x (..., T, H, d), cosine and sine (T, d) in f32 or f64, without
 * gradient, y = x cos + rotate_half(x) sin, rotate_half((a, b)) = (-b, a). d is even. Su et al. 2021, arXiv
 * 2104.09864, equation 34. */
REEL_API reel_tensor *reel_rotary(reel_context *ctx, reel_tensor *x, reel_tensor *cosine, reel_tensor *sine);

enum { REEL_CAUSAL = 1 }; /* a query sees no later key */

/* y = softmax(q k^T / sqrt(d) + mask) v, without a Tq x Tk matrix in memory beyond one head's. q (B, H, Tq,
 * d), k and v (B, H, Tk, d), any strides -> (B, H, Tq, d), laid out as (B, Tq, H, d) so that heads join
 * without a copy. mask: additive, broadcast to (B, H, Tq, Tk), or NULL; it gets no gradient. REEL_CAUSAL lets
 * query i see keys 0 .. i + Tk - Tq. A row that sees nothing gives zeros. Vaswani et al. 2017, arXiv
 * 1706.03762, equation 1, in tiles after Rabe & Staats 2021, arXiv 2112.05682. */
REEL_API reel_tensor *reel_scaled_dot_product_attention(reel_context *ctx, reel_tensor *q, reel_tensor *k,
                                                        reel_tensor *v, reel_tensor *mask, unsigned flags);

/* y = x [u >= p] / (1 - p), u uniform in [0, 1): each element is kept with probability 1 - p, 0 <= p <= 1,
 * and scaled so that the mean stays. Element i (row-major) uses word i % 4 of block i / 4 of the draw. With p
 * 0 the result is x itself. Srivastava et al. 2014, JMLR 15. */
REEL_API reel_tensor *reel_dropout(reel_context *ctx, reel_tensor *x, double p, reel_draw draw);

/* ---- losses: one value per row, float logits; the caller sums or averages ------------------------------ */

enum { REEL_IGNORE_LABEL = -100 }; /* the label of a row that does not count */

/* -ln softmax(logits)[label] per row: logits (..., C), labels i32 (...) -> (...), computed and returned in
 * f32 (f64 for f64). REEL_IGNORE_LABEL gives 0 and no gradient; ARGUMENT for other labels outside 0 .. C-1.
 */
REEL_API reel_tensor *reel_softmax_cross_entropy(reel_context *ctx, reel_tensor *logits, reel_tensor *labels);
/* As above with s(x) = x + 1 for x >= 0, 1 / (1 - x + 1e-30) otherwise, in place of e^x (Prieto et al. 2025,
 * arXiv 2501.04697). Computed in f64 as published, returned in f32 (f64 for f64). */
REEL_API reel_tensor *reel_stablemax_cross_entropy(reel_context *ctx, reel_tensor *logits,
                                                   reel_tensor *labels);
/* max(x, 0) - x t + ln(1 + e^-|x|) per element, which is -t ln sigmoid(x) - (1 - t) ln(1 - sigmoid(x)):
 * logits x and targets t of one shape; t gets no gradient. Computed and returned in f32 (f64 for f64). */
REEL_API reel_tensor *reel_binary_cross_entropy_with_logits(reel_context *ctx, reel_tensor *logits,
                                                            reel_tensor *targets);

#ifdef __cplusplus
}
#endif
#endif
