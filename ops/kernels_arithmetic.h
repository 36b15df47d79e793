/* Kernels of the arithmetic family. Included by kernels.h alone.
 *
 * Inputs are any, of y's shape or broadcasting to it as in NumPy; y is row-major and never an input. */

/* y = x_0 + ... + x_n-1 in one pass */
REEL_KERNEL(add_n, (const reel_context *ctx, const reel_tensor *const *x, int n, reel_tensor *y))
/* y = a - b */
REEL_KERNEL(sub, (const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y))
/* y = a b, y = a / b */
REEL_KERNEL(mul, (const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y,
                  int accumulate))
REEL_KERNEL(div, (const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y,
                  int accumulate))
/* db = -dy y / b, of y = a / b */
REEL_KERNEL(div_backward, (const reel_context *ctx, const reel_tensor *dy, const reel_tensor *y,
                           const reel_tensor *b, reel_tensor *db, int accumulate))

/* y = [a == b], [a < b], [a <= b]: y is u8, a and b of any one dtype */
REEL_KERNEL(eq, (const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y))
REEL_KERNEL(lt, (const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y))
REEL_KERNEL(le, (const reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *y))
/* y = condition ? a : b; condition is u8 or i32; a and b have y's dtype, any; NULL for one means zeros */
REEL_KERNEL(where, (const reel_context *ctx, const reel_tensor *condition, const reel_tensor *a,
                    const reel_tensor *b, reel_tensor *y))
