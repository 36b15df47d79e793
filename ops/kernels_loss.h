/* Kernels of the losses. Included by kernels.h alone.
 *
 * logits (..., C): any strides but 1 along C; labels, loss, dloss: row-major, one per row of logits; loss and
 * dloss f32 (f64 for f64). A row labelled REEL_IGNORE_LABEL has loss 0 and adds nothing to dlogits; on a GPU,
 * where an error of check_labels arrives later, a label that is no class is treated so too. */

#define REEL__WRONG_LABEL "label %lld at row %lld is neither in 0 .. %lld nor -100 (ignored)"

/* An error in the name of `op`, a string that stays, for the first label that is neither in 0 .. classes - 1
 * nor ignored: at once or, from a GPU, when values are next read. */
REEL_KERNEL(check_labels, (reel_context * ctx, const char *op, const reel_tensor *labels, int64_t classes))

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
