/* Kernels of indexing. Included by kernels.h alone. Indices are i32. On the CPU they are known to lie inside;
 * on a GPU, where an error of check_indices arrives later, what lies outside is passed over. */

#define REEL__WRONG_INDEX "index %lld at element %lld is not in 0 .. %lld"

/* An error in the name of `op`, a string that stays, for the first index that is not in 0 .. limit-1: at once
 * or, from a GPU, when values are next read. indices row-major */
REEL_KERNEL(check_indices, (reel_context * ctx, const char *op, const reel_tensor *indices, int64_t limit))
/* y[i, d] = scale table[indices[i], d]; table any, indices and y row-major */
REEL_KERNEL(embedding, (const reel_context *ctx, const reel_tensor *table, const reel_tensor *indices,
                        double scale, reel_tensor *y))
/* dtable[indices[i], d] += scale dy[i, d], in an order that shapes and indices alone decide; all row-major;
 * dtable is f32, f64 for an f64 dy. May take scratch memory. */
REEL_KERNEL(embedding_backward, (reel_context * ctx, const reel_tensor *indices, double scale,
                                 const reel_tensor *dy, reel_tensor *dtable))
/* y = x with the axis read at indices, which have y's shape; any dtype; all any */
REEL_KERNEL(gather, (const reel_context *ctx, const reel_tensor *x, int axis, const reel_tensor *indices,
                     reel_tensor *y))
/* y[.., indices[..], ..] += source[..] along the axis, in order of source; indices and source any, y
 * row-major and f32, f64 for an f64 source */
REEL_KERNEL(scatter_add, (const reel_context *ctx, int axis, const reel_tensor *indices,
                          const reel_tensor *source, reel_tensor *y))
