/* Tensors: headers, storage, moving values in and out. */
#include "context.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[REEL_DTYPE_COUNT] = {
    [REEL_F64] = {"f64", 8}, [REEL_F32] = {"f32", 4}, [REEL_BF16] = {"bf16", 2},
    [REEL_I32] = {"i32", 4}, [REEL_U8] = {"u8", 1},
};

size_t reel_dtype_bytes(reel_dtype dtype) {
    return (unsigned)dtype < REEL_DTYPE_COUNT ? dtypes[dtype].bytes : 0;
}

const char *reel_dtype_name(reel_dtype dtype) {
    return (unsigned)dtype < REEL_DTYPE_COUNT ? dtypes[dtype].name : "no dtype";
}

/* ---- shapes -------------------------------------------------------------------------------------------- */

int64_t reel_elements(const reel_tensor *t) {
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++)
        count *= t->shape[i];
    return count;
}

int reel_is_contiguous(const reel_tensor *t) {
    if (reel_elements(t) == 0)
        return 1;
    int64_t expected = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && t->stride[i] != expected)
            return 0;
        expected *= t->shape[i];
    }
    return 1;
}

int reel_is_void(const reel_tensor *t) {
    return t->id < 0;
}

bool reel__same_shape(const reel_tensor *a, const reel_tensor *b) {
    return a->rank == b->rank && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

int64_t reel__count(reel_dtype dtype, int rank, const int64_t *shape) {
    if (rank < 0 || rank > REEL_MAX_RANK || (unsigned)dtype >= REEL_DTYPE_COUNT)
        return -1;
    int64_t count = 1, bytes; /* an axis of size 0 counts as 1: strides must fit too */
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        empty |= shape[i] == 0;
        if (shape[i] < 0 || __builtin_mul_overflow(count, shape[i] ? shape[i] : 1, &count))
            return -1;
    }
    if (__builtin_mul_overflow(count, (int64_t)dtypes[dtype].bytes, &bytes))
        return -1;
    return empty ? 0 : count;
}

void reel__contiguous_strides(int rank, const int64_t *shape, int64_t *stride) {
    int64_t next = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = next;
        next *= shape[i];
    }
}

/* ---- headers and storage ------------------------------------------------------------------------------- */

static void set_shape(reel_context *ctx, reel__tensor *t, reel_dtype dtype, int rank, const int64_t *shape) {
    t->pub.dtype = dtype;
    t->pub.rank = rank;
    for (int i = 0; i < rank; i++) /* a scalar's shape may be NULL, which memcpy forbids */
        t->pub.shape[i] = shape[i];
    reel__contiguous_strides(rank, shape, t->pub.stride);
    t->pub.device = ctx->backend == REEL__CUDA ? REEL_CUDA : REEL_CPU;
    t->pub.id = ctx->next_id++;
}

reel_tensor *reel__header(reel_context *ctx, reel_dtype dtype, int rank, const int64_t *shape) {
    reel__tensor *t = reel__region_take(ctx, sizeof *t);
    if (!t)
        return NULL;
    set_shape(ctx, t, dtype, rank, shape);
    return &t->pub;
}

void reel__share(reel_context *ctx, reel_tensor *t, const reel_tensor *of, int64_t offset) {
    (void)ctx;
    reel__storage *storage = reel__inside(of)->storage;
    reel__storage_hold(storage);
    reel__inside(t)->storage = storage;
    t->data = (char *)of->data + offset * (int64_t)reel_dtype_bytes(of->dtype);
}

void reel__drop(reel_context *ctx, reel_tensor *t) {
    reel__tensor *inside = reel__inside(t);
    if (!inside->storage)
        return;
    reel__storage_release(ctx, inside->storage);
    inside->storage = NULL;
    t->data = NULL;
}

/* An owned header without storage, in the context's list; NULL with the error kept. */
static reel__tensor *owned_header(reel_context *ctx, reel_dtype dtype, int rank, const int64_t *shape) {
    if (reel__failed(ctx))
        return NULL;
    if (reel__count(dtype, rank, shape) < 0) {
        reel__error(ctx, REEL_ERROR_SHAPE, "tensor", "no tensor of %s has rank %d and shape %s",
                    reel_dtype_name(dtype), rank,
                    rank >= 0 && rank <= REEL_MAX_RANK ? reel__shape_text(rank, shape).text : "[...]");
        return NULL;
    }
    reel__tensor *t = calloc(1, sizeof *t);
    if (!t) {
        reel__error(ctx, REEL_ERROR_MEMORY, "tensor", "no memory for a header");
        return NULL;
    }
    set_shape(ctx, t, dtype, rank, shape);
    t->owned = true;
    ctx->address_changes++;
    t->next = ctx->owned;
    if (ctx->owned)
        ctx->owned->previous = t;
    ctx->owned = t;
    return t;
}

reel_tensor *reel_tensor_new(reel_context *ctx, reel_dtype dtype, int rank, const int64_t *shape) {
    reel__tensor *t = owned_header(ctx, dtype, rank, shape);
    if (!t)
        return ctx->void_tensor;
    const size_t bytes = (size_t)reel_elements(&t->pub) * reel_dtype_bytes(dtype);
    t->storage = reel__storage_new(ctx, bytes);
    if (!t->storage) {
        reel__no_memory(ctx, "tensor", bytes, "%s %s", reel_dtype_name(dtype),
                        reel__shape_text(rank, shape).text);
        reel_tensor_free(ctx, &t->pub);
        return ctx->void_tensor;
    }
    t->pub.data = t->storage->data;
    reel__storage_zero(ctx, t->storage, bytes);
    return &t->pub;
}

reel_tensor *reel_tensor_new_view(reel_context *ctx, reel_tensor *of, int64_t offset, int rank,
                                  const int64_t *shape) {
    if (reel__failed(ctx) || reel_is_void(of))
        return ctx->void_tensor;
    const int64_t room = reel_elements(of) - offset;
    const int64_t count = reel__count(of->dtype, rank, shape);
    if (!reel__inside(of)->owned || !reel_is_contiguous(of) || offset < 0 || count > room) {
        reel__error(ctx, REEL_ERROR_ARGUMENT, "tensor",
                    "%lld elements from %lld on are not inside an owned tensor of %lld", (long long)count,
                    (long long)offset, (long long)reel_elements(of));
        return ctx->void_tensor;
    }
    reel__tensor *t = owned_header(ctx, of->dtype, rank, shape);
    if (!t)
        return ctx->void_tensor;
    reel__share(ctx, &t->pub, of, offset);
    return &t->pub;
}

reel_tensor *reel__tensor_new_part(reel_context *ctx, reel_tensor *of, int64_t offset, int rank,
                                   const int64_t *shape) {
    reel_tensor *t = reel_tensor_new_view(ctx, of, offset, rank, shape);
    if (reel_is_void(t))
        return t;
    reel__storage *const part = reel__storage_part(ctx, reel__inside(of)->storage, t->data);
    if (!part) {
        reel__error(ctx, REEL_ERROR_MEMORY, "tensor", "no memory for a part");
        reel_tensor_free(ctx, t);
        return ctx->void_tensor;
    }
    reel__storage_release(ctx, reel__inside(t)->storage);
    reel__inside(t)->storage = part;
    return t;
}

void reel_tensor_free(reel_context *ctx, reel_tensor *t) {
    if (!t || reel_is_void(t))
        return;
    reel__tensor *inside = reel__inside(t);
    reel_tensor_free(ctx, inside->cast);
    if (inside->is_leaf)
        reel_tensor_free(ctx, inside->grad);
    reel__drop(ctx, t);
    ctx->address_changes++;
    if (inside->previous)
        inside->previous->next = inside->next;
    else
        ctx->owned = inside->next;
    if (inside->next)
        inside->next->previous = inside->previous;
    free(inside);
}

void reel_touch(reel_tensor *t) {
    t->version++;
}

double reel__bytes(const reel_tensor *t) {
    double count = 1;
    for (int i = 0; i < t->rank; i++)
        if (t->stride[i] != 0)
            count *= (double)t->shape[i];
    return count * (double)reel_dtype_bytes(t->dtype);
}

/* ---- values -------------------------------------------------------------------------------------------- */

/* What every function that moves values asks of its tensors. */
static reel_status check_usable(reel_context *ctx, const char *what, const reel_tensor *t) {
    if (reel__failed(ctx))
        return ctx->error.status;
    if (!t || reel_is_void(t))
        return reel__error(ctx, REEL_ERROR_STATE, what, "no tensor");
    if (!t->data)
        return reel__error(ctx, REEL_ERROR_STATE, what, "tensor %lld %s was freed at the end of its scope",
                           (long long)t->id, reel__shape_text(t->rank, t->shape).text);
    return REEL_OK;
}

reel_status reel_fill(reel_context *ctx, reel_tensor *dst, double value) {
    const reel_status status = check_usable(ctx, "fill", dst);
    if (status != REEL_OK)
        return status;
    reel__fill_values(ctx, dst, value);
    reel_touch(dst);
    return REEL_OK;
}

reel_status reel_copy(reel_context *ctx, reel_tensor *dst, const reel_tensor *src) {
    reel_status status = check_usable(ctx, "copy", dst);
    if (status == REEL_OK)
        status = check_usable(ctx, "copy", src);
    if (status != REEL_OK)
        return status;
    if (!reel__same_shape(dst, src))
        return reel__error(ctx, REEL_ERROR_SHAPE, "copy", "%s into %s: shapes must be equal",
                           reel__shape_text(src->rank, src->shape).text,
                           reel__shape_text(dst->rank, dst->shape).text);
    reel__copy_values(ctx, dst, src, false);
    reel_touch(dst);
    if (reel__profiling(ctx))
        reel__profile_add(ctx, "copy", false, reel__bytes(dst) + reel__bytes(src));
    return REEL_OK;
}

/* A header by value over host memory, so that the one copy loop serves every way in and out. */
static reel_tensor host_tensor(const reel_tensor *like, void *data) {
    reel_tensor host = *like;
    reel__contiguous_strides(like->rank, like->shape, host.stride);
    host.data = data;
    return host;
}

static reel_status check_bytes(reel_context *ctx, const char *what, const reel_tensor *t, size_t bytes) {
    const reel_status status = check_usable(ctx, what, t);
    if (status != REEL_OK)
        return status;
    const size_t expected = (size_t)reel_elements(t) * reel_dtype_bytes(t->dtype);
    if (bytes != expected)
        return reel__error(ctx, REEL_ERROR_ARGUMENT, what, "%zu bytes given, a tensor of %s %s has %zu",
                           bytes, reel_dtype_name(t->dtype), reel__shape_text(t->rank, t->shape).text,
                           expected);
    return REEL_OK;
}

reel_status reel_write(reel_context *ctx, reel_tensor *dst, const void *src, size_t bytes) {
    const reel_status status = check_bytes(ctx, "write", dst, bytes);
    if (status != REEL_OK || reel__needs_host(ctx, "reel_write takes values of the host"))
        return ctx->error.status;
    const reel_tensor host = host_tensor(dst, (void *)(uintptr_t)src);
    reel__write_values(ctx, dst, &host);
    reel_touch(dst);
    return REEL_OK;
}

reel_status reel_read(reel_context *ctx, const reel_tensor *src, void *dst, size_t bytes) {
    const reel_status status = check_bytes(ctx, "read", src, bytes);
    if (status != REEL_OK || reel__needs_host(ctx, "reel_read reads values"))
        return ctx->error.status;
    reel_tensor host = host_tensor(src, dst);
    reel__read_values(ctx, &host, src);
    return ctx->error.status;
}

double reel_item(reel_context *ctx, const reel_tensor *t) {
    if (check_usable(ctx, "item", t) != REEL_OK || reel__needs_host(ctx, "reel_item reads values"))
        return NAN;
    if (reel_elements(t) != 1) {
        reel__error(ctx, REEL_ERROR_SHAPE, "item", "%s has not one element",
                    reel__shape_text(t->rank, t->shape).text);
        return NAN;
    }
    double value = NAN;
    reel_tensor host = host_tensor(t, &value);
    host.dtype = REEL_F64;
    reel__read_values(ctx, &host, t);
    return reel__failed(ctx) ? NAN : value;
}
