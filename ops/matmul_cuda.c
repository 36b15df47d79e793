/* Batched matrix products on the GPU: as few calls of gemm.h as the memory's layout allows.
 *
 * A sum over many entries that form one small matrix, such as the gradient of a weight that is used along the
 * second to last axis, has too few tiles for a GPU. It is cut into slices by shape alone: each call
 * multiplies one entry of every slice as one batch and adds to a sum per slice, in f32 and small enough for
 * the L2 cache; at the end these sums are added up in order. */
#include "aligned_factor.h"
#include "gemm.h"
#include "kernels.h"
#include "product_plan.h"

/* ---- where the sums are formed ------------------------------------------------------------------------- */

/* c itself, or scratch memory: one row-major c per slice, in the type of the sums. */
typedef struct target {
    reel_dtype dtype;
    char *data;
    int64_t row, slice; /* elements from one to the next */
    int64_t batch[REEL_MAX_RANK];
    int64_t slices;
    bool accumulate;
    reel__storage *scratch; /* NULL: it is c */
} target;

/* As many as give every multiprocessor some tiles, as far as their sums stay in the L2 cache. */
static int64_t slices_of(const reel__product *p, int64_t slice_bytes) {
    enum { TILE = 128, WANTED_TILES = 512, CACHED_BYTES = 16 << 20 };
    if (p->sum_axes == 0 || p->batch_axes > 0)
        return 1;
    const int64_t tiles = (p->m + TILE - 1) / TILE * ((p->n + TILE - 1) / TILE);
    int64_t slices = WANTED_TILES / tiles;
    slices = slices < CACHED_BYTES / slice_bytes ? slices : CACHED_BYTES / slice_bytes;
    slices = slices < p->sum[0] ? slices : p->sum[0];
    if (slices <= 1)
        return 1;
    const int64_t calls = (p->sum[0] + slices - 1) / slices; /* the same number, evenly filled */
    return (p->sum[0] + calls - 1) / calls;
}

static target whole_result(const reel__product *p) {
    target t = {.dtype = p->c_dtype, .data = p->c, .row = p->c_row, .slices = 1, .accumulate = p->accumulate};
    for (int i = 0; i < p->batch_axes; i++)
        t.batch[i] = p->c_batch[i];
    return t;
}

/* c, unless there are slices or c is of bf16, which would round a sum after each term. False with the error
 * kept. */
static bool choose_target(reel_context *ctx, const reel__product *p, target *t) {
    *t = whole_result(p);
    const reel_dtype wide = reel__wide(p->dtype);
    const int64_t element = (int64_t)reel_dtype_bytes(wide),
                  row = reel__round_up(p->n, REEL__VECTOR_BYTES / element);
    const int64_t slices = slices_of(p, p->m * row * element);
    if (slices == 1 && (p->sum_axes == 0 || p->c_dtype == wide))
        return true;
    t->dtype = wide;
    t->row = row;
    t->slice = p->m * row;
    t->slices = slices;
    t->accumulate = false;
    int64_t elements = t->slice * slices;
    for (int i = 0; i < p->batch_axes; i++) { /* then there is one slice */
        t->batch[i] = elements;
        elements *= p->batch[i];
    }
    const size_t bytes = (size_t)(elements * element);
    t->scratch = reel__storage_new(ctx, bytes);
    if (!t->scratch) {
        reel__no_memory(ctx, NULL, bytes, "partial sums");
        return false;
    }
    t->data = t->scratch->data;
    return true;
}

/* c = or += the sum of the slices, in order */
static void add_up(reel_context *ctx, const reel__product *p, const target *t) {
    const bool sliced = t->slices > 1;
    const int axes = p->batch_axes;
    reel_tensor from = {.dtype = t->dtype, .rank = axes + 2, .data = t->data};
    for (int i = 0; i < axes; i++) {
        from.shape[axes - 1 - i] = p->batch[i];
        from.stride[axes - 1 - i] = t->batch[i];
    }
    from.shape[axes] = p->m;
    from.stride[axes] = t->row;
    from.shape[axes + 1] = p->n;
    from.stride[axes + 1] = 1;
    reel_tensor to = from;
    to.dtype = p->c_dtype;
    to.data = p->c;
    for (int i = 0; i < axes; i++)
        to.stride[axes - 1 - i] = p->c_batch[i];
    to.stride[axes] = p->c_row;
    if (!sliced) {
        reel__copy_values(ctx, &to, &from, p->accumulate);
        return;
    }
    const reel_tensor slices = {.dtype = t->dtype,
                                .rank = 3,
                                .shape = {t->slices, p->m, p->n},
                                .stride = {t->slice, t->row, 1},
                                .data = t->data};
    reel__cuda_sum(ctx, &slices, 1, &to, p->accumulate);
}

/* ---- the products -------------------------------------------------------------------------------------- */

/* The calls: one for each place along all batch axes but the innermost, and there for each term of the sum,
 * or, where there are slices, for the next term of every slice. */
static void multiply(reel_context *ctx, const reel__product *p, const target *t) {
    const int64_t element = (int64_t)reel_dtype_bytes(p->dtype);
    const int64_t c_element = (int64_t)reel_dtype_bytes(t->dtype);
    const bool sliced = t->slices > 1, batched = p->batch_axes > 0;
    const int64_t terms = reel__volume(p->sum_axes, p->sum);
    const int64_t entries = reel__volume(p->batch_axes, p->batch), together = batched ? p->batch[0] : 1;
    reel__gemm_shape s = {.m = p->m,
                          .n = p->n,
                          .k = p->k,
                          .batches = together,
                          .a_row = p->a_row,
                          .a_column = p->a_column,
                          .a_batch = sliced    ? p->a_sum[0]
                                     : batched ? p->a_batch[0]
                                               : 0,
                          .b_row = p->b_row,
                          .b_column = p->b_column,
                          .b_batch = sliced    ? p->b_sum[0]
                                     : batched ? p->b_batch[0]
                                               : 0,
                          .c_row = t->row,
                          .c_batch = sliced    ? t->slice
                                     : batched ? t->batch[0]
                                               : 0,
                          .dtype = p->dtype,
                          .c_dtype = t->dtype};
    for (int64_t entry = 0; entry < entries; entry += together) {
        const char *const a = p->a + element * reel__offset(entry, p->batch_axes, p->batch, p->a_batch);
        const char *const b = p->b + element * reel__offset(entry, p->batch_axes, p->batch, p->b_batch);
        char *const c = t->data + c_element * reel__offset(entry, p->batch_axes, p->batch, t->batch);
        for (int64_t term = 0, count; term < terms && !reel__failed(ctx); term += count) {
            const int64_t left = p->sum_axes > 0 ? p->sum[0] - term % p->sum[0] : 1;
            count = t->slices < left ? t->slices : left;
            if (sliced)
                s.batches = count;
            s.accumulate = t->accumulate || term > 0;
            reel__gemm(ctx, "matmul", &s, a + element * reel__offset(term, p->sum_axes, p->sum, p->a_sum),
                       b + element * reel__offset(term, p->sum_axes, p->sum, p->b_sum), c);
        }
    }
}

void reel__cuda_matmul(reel_context *ctx, const reel_tensor *a, const reel_tensor *b, reel_tensor *c,
                       int accumulate) {
    reel_tensor a_aligned, b_aligned;
    reel__storage *const a_copy = reel__aligned_factor(ctx, a, b, &a_aligned);
    reel__storage *const b_copy = reel__aligned_factor(ctx, b, a, &b_aligned);
    const reel__product p = reel__product_of(&a_aligned, &b_aligned, c, accumulate);
    target t;
    if (!reel__failed(ctx) && choose_target(ctx, &p, &t)) {
        multiply(ctx, &p, &t);
        if (t.scratch) {
            add_up(ctx, &p, &t);
            reel__storage_release(ctx, t.scratch);
        }
    }
    if (a_copy)
        reel__storage_release(ctx, a_copy);
    if (b_copy)
        reel__storage_release(ctx, b_copy);
}
