/* Kernels of the losses. Included by kernels.h alone.
 *
 * logits (..., C): any strides but 1 along C; labels, loss, dloss: row-major, one per row of logits; loss and
 * dloss f32 (f64 for f64). A row labelled REEL_IGNORE_LABEL has loss 0 and adds nothing to dlogits. */

/* *row = the first row whose label is neither in 0 .. classes - 1 nor ignored, *label = that label; *row = -1
 * when all are right. */
REEL_KERNEL(find_wrong_label, (const reel_context *ctx, const reel_tensor *labels, int64_t classes,
                               int64_t *row, int32_t *label))

/* loss = log_sum - x_label, log_sum = ln sum_j e^x_j (f32, f64 for f64) */
REEL_KERNEL(softmax_cross_entropy, (const reel_context *ctx, const reel_tensor *logits,
                                    const reel_tensor *labels, reel_tensor *loss, reel_tensor *log_sum))
/* dx_j = dloss (e^(x_j - log_sum) - [j = label]) */
REEL_KERNEL(softmax_cross_entropy_backward,
            (const reel_context *ctx, const reel_tensor *logits, const reel_tensor *labels,
             const reel_tensor *log_sum, const reel_tensor *dloss, reel_tensor *dlogits, int accumulate))

/* loss = -ln(s(x_label) / sum), sum = sum_j s(x_j) (f64), s as in <reel/ops.h>, all in f64 */
REEL_KERNEL(stablemax_cross_entropy, (const reel_context *ctx, const reel_tensor *logits,
                                      const reel_tensor *labels, reel_tensor *loss, reel_tensor *sum))
/* dx_j = dloss s'(x_j) (1 / sum - [j = label] / s(x_j)) */
REEL_KERNEL(stablemax_cross_entropy_backward,
            (const reel_context *ctx, const reel_tensor *logits, const reel_tensor *labels,
             const reel_tensor *sum, const reel_tensor *dloss, reel_tensor *dlogits, int accumulate))

/* loss = max(x, 0) - x t + ln(1 + e^-|x|), per element; logits, targets and dloss any */
REEL_KERNEL(binary_cross_entropy_with_logits, (const reel_context *ctx, const reel_tensor *logits,
                                               const reel_tensor *targets, reel_tensor *loss))
/* dx = dloss (sigmoid(x) - t) */
REEL_KERNEL(binary_cross_entropy_with_logits_backward,
            (const reel_context *ctx, const reel_tensor *logits, const reel_tensor *targets,
             const reel_tensor *dloss, reel_tensor *dlogits, int accumulate))
