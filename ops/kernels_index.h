/* Kernels of indexing. Included by kernels.h alone. Indices are i32; but for index_outside they are known to
 * lie inside. */

/* The row-major position of the first index that is not in 0 .. limit-1, and its value; position -1 when all
 * are. indices row-major */
REEL_KERNEL(index_outside, (const reel_context *ctx, const reel_tensor *indices, int64_t limit,
                            int64_t *position, int64_t *value))
/* y[i, d] = scale table[indices[i], d]; table any, indices and y row-major */
REEL_KERNEL(embedding, (const reel_context *ctx, const reel_tensor *table, const reel_tensor *indices,
                        double scale, reel_tensor *y))
/* dtable[indices[i], d] += scale dy[i, d], in order of i; all row-major; dtable is f32, f64 for an f64 dy */
REEL_KERNEL(embedding_backward, (const reel_context *ctx, const reel_tensor *indices, double scale,
                                 const reel_tensor *dy, reel_tensor *dtable))
/* y = x with the axis read at indices, which have y's shape; any dtype; all any */
REEL_KERNEL(gather, (const reel_context *ctx, const reel_tensor *x, int axis, const reel_tensor *indices,
                     reel_tensor *y))
/* y[.., indices[..], ..] += source[..] along the axis, in order of source; indices and source any, y
 * row-major and f32, f64 for an f64 source */
REEL_KERNEL(scatter_add, (const reel_context *ctx, int axis, const reel_tensor *indices,
                          const reel_tensor *source, reel_tensor *y))
