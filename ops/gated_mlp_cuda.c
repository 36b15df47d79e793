/* A gated MLP on the GPU: over slices of the examples, or of the rows along the last axis,
 * that are small enough for what lies between the two products to stay in the L2 cache. */
#include "aligned_factor.h"
#include "kernels.h"
#include "loop.h"
#include "part.h"
#include "product.h"

#include <string.h>

/* x, y or what is between as (outer, n, inner), or (outer, n) along the last axis. */
static reel_tensor view_of(reel_dtype dtype, void *data, int rank, int64_t outer, int64_t n, int64_t inner) {
    reel_tensor view = {.dtype = dtype, .rank = rank, .shape = {outer, n, inner}, .data = data};
    reel__contiguous_strides(view.rank, view.shape, view.stride);
    return view;
}

/* y = w x for each of several matrices x, or y = x w^T for rows */
static void multiply(reel_context *ctx, const reel_tensor *x, const reel_tensor *w, reel_tensor *y) {
    if (x->rank == 2) {
        const reel_tensor turned = reel__transposed(*w);
        reel__cuda_matmul(ctx, x, &turned, y, 0);
        return;
    }
    const reel_tensor shared = reel__broadcast(w, 3, (int64_t[]){x->shape[0], w->shape[0], w->shape[1]});
    reel__cuda_matmul(ctx, &shared, x, y, 0);
}

/* Even slices, of whole tiles of rows where `unit` is their size. */
static int64_t slice_size(int64_t outer, int64_t bytes_each, int64_t unit) {
    enum { CACHED_BYTES = 16 << 20 }; /* a third of an H100's, whose halves may both hold what is read */
    const int64_t most = bytes_each < CACHED_BYTES ? CACHED_BYTES / bytes_each : 1;
    const int64_t slices = (outer + most - 1) / most;
    const int64_t size = reel__round_up((outer + slices - 1) / slices, unit);
    return size < outer ? size : outer;
}

/* One slice; `between` has room for up's product, whose first half swiglu's result takes. */
static void run_slice(reel_context *ctx, const reel_tensor *x, const reel_tensor *up, const reel_tensor *down,
                      void *between, reel_tensor *y) {
    const int64_t inner = x->rank == 3 ? x->shape[2] : 1;
    reel_tensor gate_up = view_of(x->dtype, between, x->rank, x->shape[0], up->shape[0], inner);
    reel_tensor h = reel__part(&gate_up, 1, 0, up->shape[0] / 2);
    multiply(ctx, x, up, &gate_up);
    REEL_DISPATCH(ctx, swiglu, (ctx, &gate_up, 1, &h));
    multiply(ctx, &h, down, y);
}

void reel__cuda_gated_mlp(reel_context *ctx, const reel_tensor *x, const reel_tensor *up,
                          const reel_tensor *down, int axis, reel_tensor *y, reel_tensor *kept) {
    enum { TILE = 128 };
    (void)kept;
    const reel__axis at = reel__axis_of(x, axis);
    const bool rows = axis == x->rank - 1;
    const int rank = rows ? 2 : 3;
    const int64_t each = up->shape[0] * at.inner * (int64_t)reel_dtype_bytes(x->dtype);
    const int64_t size = slice_size(at.outer, each, rows ? TILE : 1);
    const reel_tensor from = view_of(x->dtype, x->data, rank, at.outer, at.n, at.inner);
    const reel_tensor to = view_of(y->dtype, y->data, rank, at.outer, down->shape[0], at.inner);
    reel_tensor up_aligned; /* once for all slices; down's rows are hidden sizes, which are even */
    reel__storage *const up_copy = reel__aligned_factor(ctx, up, &from, &up_aligned);
    reel__storage *const between = reel__storage_new(ctx, (size_t)(size * each));
    if (!between)
        reel__no_memory(ctx, NULL, (size_t)(size * each), "a slice");
    for (int64_t first = 0, n; first < at.outer && !reel__failed(ctx); first += n) {
        n = at.outer - first < size ? at.outer - first : size;
        const reel_tensor x_slice = reel__part(&from, 0, first, n);
        reel_tensor y_slice = reel__part(&to, 0, first, n);
        run_slice(ctx, &x_slice, &up_aligned, down, between->data, &y_slice);
    }
    if (between)
        reel__storage_release(ctx, between);
    if (up_copy)
        reel__storage_release(ctx, up_copy);
}
