/* Attention on the CPU. One piece of work is one head of one example: its q, k and v are packed into scratch
 * memory, then a tile of query rows at a time goes through scores, softmax and the product with v. */
#ifndef REAL

#include "blas.h"
#include "kernels.h"

#include <math.h>

enum { TILE = 64 /* query rows whose scores are in memory at once */ };

/* B examples, H heads, Tq queries, Tk keys, d the head size */
typedef struct attention {
    int64_t H, Tq, Tk, d;
    const reel_tensor *q, *k, *v, *mask;
    const reel_tensor *y, *log_sum, *dy; /* y is written by the forward pass */
    reel_tensor *dq, *dk, *dv;
    int causal;
    double scale;
    char *scratch;
    int64_t scratch_bytes; /* per thread */
} attention;

/* First element of head h of example b. */
static char *head_of(const reel_tensor *x, int64_t b, int64_t h) {
    return (char *)x->data + (b * x->stride[0] + h * x->stride[1]) * (int64_t)reel_dtype_bytes(x->dtype);
}

/* Keys that query i sees. */
static int64_t keys_of(const attention *a, int64_t i) {
    if (!a->causal)
        return a->Tk;
    const int64_t keys = i + 1 + a->Tk - a->Tq;
    return keys < 0 ? 0 : keys < a->Tk ? keys : a->Tk;
}

/* Runs `piece` for every head with scratch memory of `reals` numbers per thread. */
static void for_each_head(reel_context *ctx, attention *a, int64_t reals, reel__range_fn *piece) {
    const int64_t line = 64;
    a->scratch_bytes = (reals * (int64_t)reel_dtype_bytes(reel__wide(a->q->dtype)) + line - 1) / line * line;
    reel__storage *scratch = reel__storage_new(ctx, (size_t)(a->scratch_bytes * ctx->threads));
    if (!scratch) {
        reel__error(ctx, REEL_ERROR_MEMORY, "scaled_dot_product_attention", "no memory for a tile of scores");
        return;
    }
    a->scratch = scratch->data;
    reel__parallel_for(ctx, a->q->shape[0] * a->H, 1, piece, a);
    reel__storage_release(ctx, scratch);
}

#define REEL_EACH_FLOAT "attention_cpu.c"
#include "each_float.h"

static attention attention_of(const reel_tensor *q, const reel_tensor *k, const reel_tensor *v,
                              const reel_tensor *mask, int causal, double scale) {
    return (attention){.H = q->shape[1],
                       .Tq = q->shape[2],
                       .Tk = k->shape[2],
                       .d = q->shape[3],
                       .q = q,
                       .k = k,
                       .v = v,
                       .mask = mask,
                       .causal = causal,
                       .scale = scale};
}

void REEL_CPU(attention)(reel_context *ctx, const reel_tensor *q, const reel_tensor *k, const reel_tensor *v,
                         const reel_tensor *mask, int causal, double scale, reel_tensor *y,
                         reel_tensor *log_sum) {
    attention a = attention_of(q, k, v, mask, causal, scale);
    a.y = y;
    a.log_sum = log_sum;
    const int64_t reals = 2 * a.Tq * a.d + 2 * a.Tk * a.d + TILE * a.Tk;
    for_each_head(ctx, &a, reals, BY_DTYPE(q->dtype, forward_heads));
}

void REEL_CPU(attention_backward)(reel_context *ctx, const reel_tensor *q, const reel_tensor *k,
                                  const reel_tensor *v, const reel_tensor *mask, int causal, double scale,
                                  const reel_tensor *y, const reel_tensor *log_sum, const reel_tensor *dy,
                                  reel_tensor *dq, reel_tensor *dk, reel_tensor *dv) {
    attention a = attention_of(q, k, v, mask, causal, scale);
    a.y = y;
    a.log_sum = log_sum;
    a.dy = dy;
    a.dq = dq;
    a.dk = dk;
    a.dv = dv;
    const int64_t reals = 4 * a.Tq * a.d + 4 * a.Tk * a.d + 2 * TILE * a.Tk;
    for_each_head(ctx, &a, reals, BY_DTYPE(q->dtype, backward_heads));
}

#else /* the template */

/* c (m x n) = scale a b with a and b packed row-major, either of them transposed by its strides */
static void NAME(product)(int64_t m, int64_t n, int64_t k, double scale, reel__matrix a, reel__matrix b,
                          REAL *c, bool accumulate) {
    _Generic((REAL)0, double
             : reel__gemm_f64, float
             : reel__gemm_f32)(m, n, k, (REAL)scale, a, b, c, n, accumulate);
}

/* One head of x (rows x d) into row-major scratch, and back. */
static void NAME(pack)(const reel_tensor *x, int64_t b, int64_t h, REAL *REEL_RESTRICT to) {
    const int64_t rows = x->shape[2], d = x->shape[3], row = x->stride[2], column = x->stride[3];
    const STORED *from = (const STORED *)(const void *)head_of(x, b, h);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < d; j++)
            to[i * d + j] = LOAD(from + i * row + j * column);
}

static void NAME(unpack)(const REAL *REEL_RESTRICT from, const reel_tensor *x, int64_t b, int64_t h) {
    const int64_t rows = x->shape[2], d = x->shape[3], row = x->stride[2], column = x->stride[3];
    STORED *to = (STORED *)(void *)head_of(x, b, h);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < d; j++)
            STORE(to + i * row + j * column, from[i * d + j]);
}

/* scores (rows x Tk) = scale q k^T + mask for query rows first .. first + rows - 1; -inf where not seen */
static void NAME(scores)(const attention *a, int64_t b, int64_t h, int64_t first, int64_t rows, const REAL *q,
                         const REAL *k, REAL *s) {
    NAME(product)
    (rows, a->Tk, a->d, a->scale, (reel__matrix){q + first * a->d, a->d, 1}, (reel__matrix){k, 1, a->d}, s,
     false);
    for (int64_t i = 0; i < rows; i++) {
        REAL *row = s + i * a->Tk;
        if (a->mask) {
            const STORED *mask = (const STORED *)(const void *)head_of(a->mask, b, h);
            mask += (first + i) * a->mask->stride[2];
            for (int64_t j = 0; j < a->Tk; j++)
                row[j] += LOAD(mask + j * a->mask->stride[3]);
        }
        for (int64_t j = keys_of(a, first + i); j < a->Tk; j++)
            row[j] = -INFINITY;
    }
}

/* A row becomes e^(s - max) / sum; returns ln sum + max. A row of -inf becomes zeros, of +inf as its sum. */
static REAL NAME(softmax_row)(REAL *row, int64_t n) {
    REAL largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++)
        largest = row[j] > largest ? row[j] : largest;
    if (largest == -INFINITY) {
        bool nan = false;
        for (int64_t j = 0; j < n; j++) {
            nan |= row[j] != row[j];
            row[j] = row[j] == row[j] ? 0 : row[j];
        }
        return nan ? (REAL)NAN : (REAL)INFINITY; /* e^(s - inf) = 0: the backward pass sees zeros again */
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        row[j] = MATH(exp)(row[j] - largest);
        sum += row[j];
    }
    const REAL inverse = 1 / sum;
    for (int64_t j = 0; j < n; j++)
        row[j] *= inverse;
    return largest + MATH(log)(sum);
}

static void NAME(forward_head)(const attention *a, int64_t b, int64_t h, REAL *scratch) {
    const int64_t query = a->Tq * a->d, key = a->Tk * a->d;
    REAL *q = scratch, *y = q + query, *k = y + query, *v = k + key, *s = v + key;
    REAL *log_sum = (REAL *)a->log_sum->data + (b * a->H + h) * a->Tq;
    NAME(pack)(a->q, b, h, q);
    NAME(pack)(a->k, b, h, k);
    NAME(pack)(a->v, b, h, v);
    for (int64_t first = 0; first < a->Tq; first += TILE) {
        const int64_t rows = a->Tq - first < TILE ? a->Tq - first : TILE;
        if (a->Tk > 0)
            NAME(scores)(a, b, h, first, rows, q, k, s);
        for (int64_t i = 0; i < rows; i++)
            log_sum[first + i] = NAME(softmax_row)(s + i * a->Tk, a->Tk);
        if (a->Tk > 0)
            NAME(product)
        (rows, a->d, a->Tk, 1, (reel__matrix){s, a->Tk, 1}, (reel__matrix){v, a->d, 1}, y + first * a->d,
         false);
    }
    for (int64_t i = 0; a->Tk == 0 && i < query; i++)
        y[i] = 0;
    NAME(unpack)(y, a->y, b, h);
}

static void NAME(forward_heads)(int64_t begin, int64_t end, void *arg) {
    const attention *a = arg;
    void *scratch = a->scratch + reel__thread_index() * a->scratch_bytes;
    for (int64_t i = begin; i < end; i++)
        NAME(forward_head)(a, i / a->H, i % a->H, scratch);
}

/* p becomes ds = p * (dp - rowsum(dy * y)), rows of Tk */
static void NAME(scores_backward)(const attention *a, int64_t rows, const REAL *dy, const REAL *y, REAL *p,
                                  const REAL *dp) {
    for (int64_t i = 0; i < rows; i++) {
        REAL dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < a->d; j++)
            dot += dy[i * a->d + j] * y[i * a->d + j];
        for (int64_t j = 0; j < a->Tk; j++)
            p[i * a->Tk + j] *= dp[i * a->Tk + j] - dot;
    }
}

static void NAME(backward_head)(const attention *a, int64_t b, int64_t h, REAL *scratch) {
    const int64_t query = a->Tq * a->d, key = a->Tk * a->d, d = a->d, Tk = a->Tk;
    REAL *q = scratch, *y = q + query, *dy = y + query, *dq = dy + query;
    REAL *k = dq + query, *v = k + key, *dk = v + key, *dv = dk + key, *p = dv + key, *dp = p + TILE * Tk;
    const REAL *log_sum = (const REAL *)a->log_sum->data + (b * a->H + h) * a->Tq;
    NAME(pack)(a->q, b, h, q);
    NAME(pack)(a->y, b, h, y);
    NAME(pack)(a->dy, b, h, dy);
    NAME(pack)(a->k, b, h, k);
    NAME(pack)(a->v, b, h, v);
    for (int64_t i = 0; Tk == 0 && i < query; i++)
        dq[i] = 0;
    for (int64_t i = 0; a->Tq == 0 && i < key; i++)
        dk[i] = dv[i] = 0;
    for (int64_t first = 0; first < a->Tq && Tk > 0; first += TILE) {
        const int64_t rows = a->Tq - first < TILE ? a->Tq - first : TILE;
        const bool more = first > 0;
        const reel__matrix tile = {p, Tk, 1}, tile_t = {p, 1, Tk};
        NAME(scores)(a, b, h, first, rows, q, k, p);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < Tk; j++)
                p[i * Tk + j] = MATH(exp)(p[i * Tk + j] - log_sum[first + i]);
        NAME(product)(Tk, d, rows, 1, tile_t, (reel__matrix){dy + first * d, d, 1}, dv, more);
        NAME(product)
        (rows, Tk, d, 1, (reel__matrix){dy + first * d, d, 1}, (reel__matrix){v, 1, d}, dp, false);
        NAME(scores_backward)(a, rows, dy + first * d, y + first * d, p, dp);
        NAME(product)(rows, d, Tk, a->scale, tile, (reel__matrix){k, d, 1}, dq + first * d, false);
        NAME(product)(Tk, d, rows, a->scale, tile_t, (reel__matrix){q + first * d, d, 1}, dk, more);
    }
    if (a->dq)
        NAME(unpack)(dq, a->dq, b, h);
    if (a->dk)
        NAME(unpack)(dk, a->dk, b, h);
    if (a->dv)
        NAME(unpack)(dv, a->dv, b, h);
}

static void NAME(backward_heads)(int64_t begin, int64_t end, void *arg) {
    const attention *a = arg;
    void *scratch = a->scratch + reel__thread_index() * a->scratch_bytes;
    for (int64_t i = begin; i < end; i++)
        NAME(backward_head)(a, i / a->H, i % a->H, scratch);
}

#endif
