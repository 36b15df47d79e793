/* Kernels of matrix products and attention. Included by kernels.h alone. */

/* c = a b, or c += a b for accumulate. a (..., M, K), b (..., K, N) and c (..., M, N) have one rank and the
 * same leading axes, along which a and b may have stride 0 (broadcast), and so may c: then it receives the
 * sum over that axis. The last two axes of a and b suit a BLAS, c's are row-major. c may be f32 where a and b
 * are bf16. */
REEL_KERNEL(matmul,
            (reel_context * ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *c, int accumulate))

/* y = softmax(scale q k^T + mask) v, and log_sum (B, H, Tq), the logarithm of each row's sum of exponentials,
 * f32 or f64. q and y (B, H, Tq, d), k and v (B, H, Tk, d), any strides; mask NULL or broadcast to
 * (B, H, Tq, Tk), of q's dtype. */
REEL_KERNEL(attention,
            (reel_context * ctx, const reel_tensor *q, const reel_tensor *k, const reel_tensor *v,
             const reel_tensor *mask, int causal, double scale, reel_tensor *y, reel_tensor *log_sum))
/* dq, dk, dv, each written whole unless NULL, from dy and what the forward pass left */
REEL_KERNEL(attention_backward, (reel_context * ctx, const reel_tensor *q, const reel_tensor *k,
                                 const reel_tensor *v, const reel_tensor *mask, int causal, double scale,
                                 const reel_tensor *y, const reel_tensor *log_sum, const reel_tensor *dy,
                                 reel_tensor *dq, reel_tensor *dk, reel_tensor *dv))
