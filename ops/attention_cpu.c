/* Attention on the CPU. One piece of work is one head of one example: its q, k and v are packed into scratch
 * memory, then a tile of query rows at a time goes through scores, softmax and the product with v.
 *
 * Packed rows are padded with zeros to whole vectors, so that no loop over a row has a rest. f64 multiplies
 * by the BLAS, f32 and bf16 by tiles in registers: the matrices are too small to pay for a call. bf16 takes
 * the units for it where a CPU has them. */
#ifndef REAL

#include "blas.h"
#include "gemm_bf16.h"
#include "kernels.h"
#include "rows.h"

#include <math.h>
#include <string.h>

enum {
    TILE = 48, /* query rows whose scores are in memory at once: with 100 keys, less than the nearest cache */
    BF16_TILE = 64, /* the same where products of bf16 are computed as they are */
    PADDING = 16    /* numbers of which a packed row is a multiple */
};

/* B examples, H heads, Tq queries, Tk keys, d the head size */
typedef struct attention {
    int64_t H, Tq, Tk, d;
    int64_t d_row, k_row; /* a packed row of d, of Tk numbers */
    const reel_context *ctx;
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

/* Runs `piece` for every head with so much scratch memory per thread. */
static void for_each_head(reel_context *ctx, attention *a, int64_t bytes_each, reel__range_fn *piece) {
    const int64_t line = 64;
    a->scratch_bytes = (bytes_each + line - 1) / line * line;
    const size_t bytes = (size_t)(a->scratch_bytes * ctx->threads);
    reel__storage *scratch = reel__storage_new(ctx, bytes);
    if (!scratch) {
        reel__no_memory(ctx, NULL, bytes, "the scores of %d threads", ctx->threads);
        return;
    }
    a->scratch = scratch->data;
    a->ctx = ctx;
    reel__parallel_for(ctx, a->q->shape[0] * a->H, 1, piece, a);
    reel__storage_release(ctx, scratch);
}

static int64_t padded(int64_t n) {
    return (n + PADDING - 1) / PADDING * PADDING;
}

#define REEL_EACH_FLOAT "attention_cpu.c"
#include "each_float.h"

/* ---- bf16 by the units for it -------------------------------------------------------------------------- */

static bool by_units(const reel_context *ctx, const attention *a) {
    const reel_tensor *const in_rows[] = {a->q, a->k, a->v, a->y, a->dy, a->dq};
    for (size_t i = 0; i < sizeof in_rows / sizeof in_rows[0]; i++)
        if (in_rows[i] && in_rows[i]->stride[3] != 1)
            return false;
    return a->q->dtype == REEL_BF16 && reel__bf16_ready(ctx) && a->Tk > 0 && a->d > 0;
}

/* Rows first .. of a head of x. */
static reel_bf16 *rows_of(const reel_tensor *x, int64_t b, int64_t h, int64_t first) {
    return (reel_bf16 *)(void *)head_of(x, b, h) + first * x->stride[2];
}

static reel__matrix as_rows(const reel_bf16 *from, int64_t row) {
    return (reel__matrix){from, row, 1};
}

static reel__matrix as_columns(const reel_bf16 *from, int64_t row) {
    return (reel__matrix){from, 1, row};
}

static int64_t packed_bytes(int64_t lines, int64_t k) {
    return reel__bf16_packed_bytes(REEL_BF16, lines, k);
}

/* A factor on the left (m x k), and one on the right (k x n). */
static void pack_left(int64_t m, int64_t k, reel__matrix left, char *to) {
    reel__bf16_pack_a(REEL_BF16, m, k, left, to, reel__bf16_group_bytes(REEL_BF16, k));
}

static void pack_right(int64_t k, int64_t n, reel__matrix right, char *to) {
    reel__bf16_pack_b(REEL_BF16, k, n, right, to, reel__bf16_group_bytes(REEL_BF16, k));
}

typedef enum output { SET_BF16, SET_F32, ADD_F32 } output;

static void multiply(const attention *a, int64_t m, int64_t n, int64_t k, reel__bf16_tiles left,
                     const char *right, void *c, int64_t c_row, output to) {
    const reel__bf16_product product = {.dtype = REEL_BF16,
                                        .m = m,
                                        .n = n,
                                        .k = k,
                                        .a = left,
                                        .b = right,
                                        .c = c,
                                        .c_row = c_row,
                                        .c_is_f32 = to != SET_BF16,
                                        .accumulate = to == ADD_F32};
    reel__gemm_bf16(a->ctx, &product);
}

/* s = scale q k^T + mask */
static void scores_by_units(const attention *a, int64_t b, int64_t h, int64_t first, int64_t rows,
                            const char *q, const char *k_t, float *s) {
    multiply(a, rows, a->Tk, a->d, reel__bf16_packed(REEL_BF16, q, a->d), k_t, s, a->k_row, SET_F32);
    for (int64_t i = 0; i < rows * a->k_row; i++) /* the padding too, which is hidden */
        s[i] *= (float)a->scale;
    hide_bf16(a, b, h, first, rows, s);
}

/* Of a thread: q, a tile's probabilities, k and v packed, its scores. */
static int64_t forward_bytes(const attention *a) {
    return packed_bytes(BF16_TILE, a->d) + packed_bytes(BF16_TILE, a->Tk) + packed_bytes(a->Tk, a->d) +
           packed_bytes(a->d, a->Tk) + BF16_TILE * a->k_row * (int64_t)sizeof(float);
}

static void forward_head_by_units(const attention *a, int64_t b, int64_t h, char *scratch) {
    char *const q = scratch, *const p = q + packed_bytes(BF16_TILE, a->d);
    char *const k_t = p + packed_bytes(BF16_TILE, a->Tk), *const v = k_t + packed_bytes(a->Tk, a->d);
    float *const s = (float *)(void *)(v + packed_bytes(a->d, a->Tk));
    float *const log_sum = (float *)a->log_sum->data + (b * a->H + h) * a->Tq;
    pack_right(a->d, a->Tk, as_columns(rows_of(a->k, b, h, 0), a->k->stride[2]), k_t);
    pack_right(a->Tk, a->d, as_rows(rows_of(a->v, b, h, 0), a->v->stride[2]), v);
    for (int64_t first = 0; first < a->Tq; first += BF16_TILE) {
        const int64_t rows = a->Tq - first < BF16_TILE ? a->Tq - first : BF16_TILE;
        pack_left(rows, a->d, as_rows(rows_of(a->q, b, h, first), a->q->stride[2]), q);
        scores_by_units(a, b, h, first, rows, q, k_t, s);
        softmax_rows_bf16(rows, a->k_row, s, log_sum + first);
        reel__bf16_pack_a_f32(rows, a->Tk, s, a->k_row, p);
        multiply(a, rows, a->d, a->Tk, reel__bf16_packed(REEL_BF16, p, a->Tk), v, rows_of(a->y, b, h, first),
                 a->y->stride[2], SET_BF16);
    }
}

static void forward_heads_by_units(int64_t begin, int64_t end, void *arg) {
    const attention *a = arg;
    char *const scratch = a->scratch + reel__thread_index() * a->scratch_bytes;
    for (int64_t i = begin; i < end; i++)
        forward_head_by_units(a, i / a->H, i % a->H, scratch);
}

/* Numbers of a row of whole tiles, which holds Tk. */
static int64_t tiles_row(const attention *a) {
    return (a->Tk + REEL__BF16_TERMS - 1) / REEL__BF16_TERMS * REEL__BF16_TERMS;
}

/* s, whose padding is zeros, rounded to rows of whole tiles. */
static void round_rows(const attention *a, int64_t rows, const float *s, reel_bf16 *to) {
    const int64_t row = tiles_row(a);
    for (int64_t i = 0; i < rows; i++, s += a->k_row, to += row)
        for (int64_t j = 0; j < row; j += REEL__LANES)
            reel__v_store_bf16(to + j, j < a->k_row ? reel__v_load_f32(s + j, REEL__LANES) : reel__v_set(0),
                               REEL__LANES);
}

static float dot_of(int64_t n, const reel_bf16 *x, const reel_bf16 *y) {
    reel__vector sum = reel__v_set(0);
    for (int64_t i = 0; i < n; i += REEL__LANES)
        sum += reel__v_load_bf16(x + i, n - i) * reel__v_load_bf16(y + i, n - i);
    return reel__v_sum(sum);
}

/* ds = scale p (dp - rowsum(dy y)), rounded to rows of whole tiles, whose padding is zeros. */
static void scores_backward_by_units(const attention *a, int64_t b, int64_t h, int64_t first, int64_t rows,
                                     const float *p, const float *dp, reel_bf16 *ds) {
    const int64_t row = tiles_row(a);
    const reel__vector scale = reel__v_set((float)a->scale);
    for (int64_t i = 0; i < rows; i++, p += a->k_row, dp += a->k_row, ds += row) {
        const float dot = dot_of(a->d, rows_of(a->dy, b, h, first + i), rows_of(a->y, b, h, first + i));
        for (int64_t j = 0; j < a->Tk; j += REEL__LANES) {
            const reel__vector of_p = reel__v_load_f32(p + j, a->Tk - j);
            const reel__vector of_dp = reel__v_load_f32(dp + j, a->Tk - j);
            reel__v_store_bf16(ds + j, scale * of_p * (of_dp - reel__v_set(dot)), REEL__LANES);
        }
    }
}

enum { GRADIENT_TILE = 128 }; /* query rows */

/* Of a thread: q and dy on both sides, p or ds as rows and transposed, k on both sides, v transposed; p or ds
 * and dp in f32, sums for dk and dv. */
static int64_t backward_bytes(const attention *a) {
    const int64_t query = packed_bytes(GRADIENT_TILE, a->d), query_t = packed_bytes(a->d, GRADIENT_TILE);
    const int64_t key = packed_bytes(a->Tk, a->d), key_t = packed_bytes(a->d, a->Tk);
    const int64_t p = packed_bytes(GRADIENT_TILE, a->Tk), p_t = packed_bytes(a->Tk, GRADIENT_TILE);
    return 2 * (query + query_t) + p + p_t + 2 * key + key_t +
           2 * (GRADIENT_TILE * a->k_row + a->Tk * a->d_row) * (int64_t)sizeof(float);
}

static void backward_head_by_units(const attention *a, int64_t b, int64_t h, char *scratch) {
    const int64_t Tk = a->Tk, d = a->d, d_row = a->d_row, k_row = a->k_row, p_row = tiles_row(a);
    const int64_t query = packed_bytes(GRADIENT_TILE, d), query_t = packed_bytes(d, GRADIENT_TILE);
    char *const q = scratch, *const q_right = q + query, *const dy = q_right + query_t;
    char *const dy_right = dy + query, *const p_t = dy_right + query_t;
    char *const k_t = p_t + packed_bytes(Tk, GRADIENT_TILE), *const v_t = k_t + packed_bytes(Tk, d);
    char *const k = v_t + packed_bytes(Tk, d), *const rounded = k + packed_bytes(d, Tk);
    float *const p = (float *)(void *)(rounded + packed_bytes(GRADIENT_TILE, Tk));
    float *const dp = p + GRADIENT_TILE * k_row, *const dk = dp + GRADIENT_TILE * k_row,
                 *const dv = dk + Tk * d_row;
    const float *const log_sum = (const float *)a->log_sum->data + (b * a->H + h) * a->Tq;
    reel_bf16 *const p_bf16 = (reel_bf16 *)(void *)rounded;
    pack_right(d, Tk, as_columns(rows_of(a->k, b, h, 0), a->k->stride[2]), k_t);
    pack_right(d, Tk, as_columns(rows_of(a->v, b, h, 0), a->v->stride[2]), v_t);
    pack_right(Tk, d, as_rows(rows_of(a->k, b, h, 0), a->k->stride[2]), k);
    memset(dk, 0, (size_t)(2 * Tk * d_row) * sizeof *dk); /* dv too */
    for (int64_t first = 0; first < a->Tq; first += GRADIENT_TILE) {
        const int64_t rows = a->Tq - first < GRADIENT_TILE ? a->Tq - first : GRADIENT_TILE;
        const reel__matrix of_q = as_rows(rows_of(a->q, b, h, first), a->q->stride[2]);
        const reel__matrix of_dy = as_rows(rows_of(a->dy, b, h, first), a->dy->stride[2]);
        const reel__bf16_tiles transposed = reel__bf16_packed(REEL_BF16, p_t, rows);
        pack_left(rows, d, of_q, q);
        pack_right(rows, d, of_q, q_right);
        pack_left(rows, d, of_dy, dy);
        pack_right(rows, d, of_dy, dy_right);
        scores_by_units(a, b, h, first, rows, q, k_t, p);
        for (int64_t i = 0; i < rows; i++)
            exponentials_bf16(p + i * k_row, k_row, log_sum[first + i]);
        round_rows(a, rows, p, p_bf16);
        pack_left(Tk, rows, as_columns(p_bf16, p_row), p_t);
        multiply(a, Tk, d, rows, transposed, dy_right, dv, d_row, ADD_F32);
        multiply(a, rows, Tk, d, reel__bf16_packed(REEL_BF16, dy, d), v_t, dp, k_row, SET_F32);
        scores_backward_by_units(a, b, h, first, rows, p, dp, p_bf16);
        if (a->dq)
            multiply(a, rows, d, Tk, reel__bf16_in_place(as_rows(p_bf16, p_row)), k,
                     rows_of(a->dq, b, h, first), a->dq->stride[2], SET_BF16);
        pack_left(Tk, rows, as_columns(p_bf16, p_row), p_t);
        multiply(a, Tk, d, rows, transposed, q_right, dk, d_row, ADD_F32);
    }
    if (a->dk)
        unpack_bf16(a, dk, a->dk, b, h, 0, Tk);
    if (a->dv)
        unpack_bf16(a, dv, a->dv, b, h, 0, Tk);
}

static void backward_heads_by_units(int64_t begin, int64_t end, void *arg) {
    const attention *a = arg;
    char *const scratch = a->scratch + reel__thread_index() * a->scratch_bytes;
    for (int64_t i = begin; i < end; i++)
        backward_head_by_units(a, i / a->H, i % a->H, scratch);
}

/* ---- both passes --------------------------------------------------------------------------------------- */

static attention attention_of(const reel_tensor *q, const reel_tensor *k, const reel_tensor *v,
                              const reel_tensor *mask, int causal, double scale) {
    return (attention){.H = q->shape[1],
                       .Tq = q->shape[2],
                       .Tk = k->shape[2],
                       .d = q->shape[3],
                       .d_row = padded(q->shape[3]),
                       .k_row = padded(k->shape[2]),
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
    const int64_t query = (a.Tq + TILE) * a.d_row, key = a.Tk * a.d_row, key_t = a.d * a.k_row;
    const int64_t reals = query + key + key_t + TILE * a.k_row;
    const int64_t element = (int64_t)reel_dtype_bytes(reel__wide(q->dtype));
    if (by_units(ctx, &a))
        for_each_head(ctx, &a, forward_bytes(&a), forward_heads_by_units);
    else
        for_each_head(ctx, &a, reals * element, BY_DTYPE(q->dtype, forward_heads));
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
    const int64_t query = (3 * a.Tq + TILE) * a.d_row, key = 3 * a.Tk * a.d_row, key_t = 2 * a.d * a.k_row;
    const int64_t reals = query + key + key_t + 2 * TILE * a.k_row;
    const int64_t element = (int64_t)reel_dtype_bytes(reel__wide(q->dtype));
    if (by_units(ctx, &a))
        for_each_head(ctx, &a, backward_bytes(&a), backward_heads_by_units);
    else
        for_each_head(ctx, &a, reals * element, BY_DTYPE(q->dtype, backward_heads));
}

#else /* the template */

/* ---- products ------------------------------------------------------------------------------------------ */

#ifdef LOAD_VECTOR
#ifndef REEL_ATTENTION_TILE
#define REEL_ATTENTION_TILE
enum { ROWS = REEL__LANES == 8 ? 4 : 6, VECTORS = REEL__LANES == 16 ? 4 : 2 /* of a tile in registers */ };

/* rows x vectors of c = scale a b, or c += scale a b */
REEL_ALWAYS_INLINE void register_tile(int rows, int vectors, int64_t k, float scale, const float *a,
                                      int64_t a_row, int64_t a_column, const float *b, int64_t b_row,
                                      float *c, int64_t c_row, bool accumulate) {
    reel__vector sum[ROWS][VECTORS];
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++)
            sum[i][v] = reel__v_set(0);
    for (int64_t l = 0; l < k; l++) {
        reel__vector from_b[VECTORS];
        for (int v = 0; v < vectors; v++)
            from_b[v] = reel__v_load_f32(b + l * b_row + v * REEL__LANES, REEL__LANES);
        for (int i = 0; i < rows; i++) {
            const reel__vector from_a = reel__v_set(a[i * a_row + l * a_column]);
            for (int v = 0; v < vectors; v++)
                sum[i][v] += from_a * from_b[v];
        }
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) {
            float *to = c + i * c_row + v * REEL__LANES;
            reel__vector value = reel__v_set(scale) * sum[i][v];
            if (accumulate)
                value += reel__v_load_f32(to, REEL__LANES);
            reel__v_store_f32(to, value, REEL__LANES);
        }
}

/* All rows of some columns. */
REEL_ALWAYS_INLINE void register_columns(int vectors, int64_t m, int64_t k, float scale, const float *a,
                                         int64_t a_row, int64_t a_column, const float *b, int64_t b_row,
                                         float *c, int64_t c_row, bool accumulate) {
    int64_t i = 0;
    for (; i + ROWS <= m; i += ROWS)
        register_tile(ROWS, vectors, k, scale, a + i * a_row, a_row, a_column, b, b_row, c + i * c_row, c_row,
                      accumulate);
    for (; i < m; i++)
        register_tile(1, vectors, k, scale, a + i * a_row, a_row, a_column, b, b_row, c + i * c_row, c_row,
                      accumulate);
}
#endif
#endif

/* c (m x n, rows c_row apart) = scale a b, or c += scale a b: a of any strides, b packed */
static void NAME(product)(int64_t m, int64_t n, int64_t k, double scale, reel__matrix a, const REAL *b,
                          int64_t b_row, REAL *c, int64_t c_row, bool accumulate) {
#ifdef LOAD_VECTOR
    for (int64_t at = 0; at < n; at += VECTORS * REEL__LANES) {
        const float *b_at = b + at;
        float *c_at = c + at;
        switch ((n - at + REEL__LANES - 1) / REEL__LANES) {
        case 1:
            register_columns(1, m, k, (float)scale, a.data, a.row, a.column, b_at, b_row, c_at, c_row,
                             accumulate);
            break;
#ifdef __AVX512F__ /* VECTORS is 4 */
        case 2:
            register_columns(2, m, k, (float)scale, a.data, a.row, a.column, b_at, b_row, c_at, c_row,
                             accumulate);
            break;
        case 3:
            register_columns(3, m, k, (float)scale, a.data, a.row, a.column, b_at, b_row, c_at, c_row,
                             accumulate);
            break;
#endif
        default:
            register_columns(VECTORS, m, k, (float)scale, a.data, a.row, a.column, b_at, b_row, c_at, c_row,
                             accumulate);
        }
    }
#else
    reel__gemm_f64(m, n, k, scale, a, (reel__matrix){b, b_row, 1}, c, c_row, accumulate);
#endif
}

/* ---- packing ------------------------------------------------------------------------------------------- */

/* One head of x (rows x d) into row-major scratch. */
static void NAME(pack)(const attention *a, const reel_tensor *x, int64_t b, int64_t h,
                       REAL *REEL_RESTRICT to) {
    const int64_t rows = x->shape[2], d = x->shape[3], row = x->stride[2], column = x->stride[3];
    const STORED *from = (const STORED *)(const void *)head_of(x, b, h);
    for (int64_t i = 0; i < rows; i++, from += row, to += a->d_row) {
#ifdef LOAD_VECTOR
        if (column == 1) {
            for (int64_t j = 0; j < a->d_row; j += REEL__LANES)
                reel__v_store_f32(to + j, j < d ? LOAD_VECTOR(from + j, d - j) : reel__v_set(0), REEL__LANES);
            continue;
        }
#endif
        for (int64_t j = 0; j < d; j++)
            to[j] = LOAD(from + j * column);
        for (int64_t j = d; j < a->d_row; j++)
            to[j] = 0;
    }
}

/* One head of x (Tk x d) transposed. */
static void NAME(pack_transposed)(const attention *a, const reel_tensor *x, int64_t b, int64_t h,
                                  REAL *REEL_RESTRICT to) {
    const int64_t rows = x->shape[2], d = x->shape[3], row = x->stride[2], column = x->stride[3];
    const STORED *from = (const STORED *)(const void *)head_of(x, b, h);
    for (int64_t j = 0; j < d; j++, from += column, to += a->k_row) {
        for (int64_t i = 0; i < rows; i++)
            to[i] = LOAD(from + i * row);
        for (int64_t i = rows; i < a->k_row; i++)
            to[i] = 0;
    }
}

/* Packed rows of d numbers to rows first .. of a head of x. */
static void NAME(unpack)(const attention *a, const REAL *REEL_RESTRICT from, const reel_tensor *x, int64_t b,
                         int64_t h, int64_t first, int64_t rows) {
    const int64_t row = x->stride[2], column = x->stride[3];
    STORED *to = (STORED *)(void *)head_of(x, b, h) + first * row;
    for (int64_t i = 0; i < rows; i++, from += a->d_row, to += row) {
#ifdef LOAD_VECTOR
        if (column == 1) {
            for (int64_t j = 0; j < a->d; j += REEL__LANES)
                STORE_VECTOR(to + j, reel__v_load_f32(from + j, REEL__LANES), a->d - j);
            continue;
        }
#endif
        for (int64_t j = 0; j < a->d; j++)
            STORE(to + j * column, from[j]);
    }
}

/* ---- scores -------------------------------------------------------------------------------------------- */

/* Adds the mask to scores s (rows x k_row) of query rows first .. first + rows - 1; -inf where not seen,
 * which the padding is not either */
static void NAME(hide)(const attention *a, int64_t b, int64_t h, int64_t first, int64_t rows, REAL *s) {
    for (int64_t i = 0; i < rows; i++) {
        REAL *row = s + i * a->k_row;
        if (a->mask) {
            const STORED *mask = (const STORED *)(const void *)head_of(a->mask, b, h);
            mask += (first + i) * a->mask->stride[2];
            for (int64_t j = 0; j < a->Tk; j++)
                row[j] += LOAD(mask + j * a->mask->stride[3]);
        }
        for (int64_t j = keys_of(a, first + i); j < a->k_row; j++)
            row[j] = -INFINITY;
    }
}

/* s = scale q k^T + mask */
static void NAME(scores)(const attention *a, int64_t b, int64_t h, int64_t first, int64_t rows, const REAL *q,
                         const REAL *k_t, REAL *s) {
    NAME(product)
    (rows, a->Tk, a->d, a->scale, (reel__matrix){q + first * a->d_row, a->d_row, 1}, k_t, a->k_row, s,
     a->k_row, false);
    NAME(hide)(a, b, h, first, rows, s);
}

#ifdef LOAD_VECTOR
/* so many vectors of a row become e^(row - shift); returns their sum */
REEL_ALWAYS_INLINE reel__vector NAME(exponential_vectors)(int vectors, REAL *row, REAL shift) {
    reel__vector x[REEL__AT_ONCE], y[REEL__AT_ONCE], sum = reel__v_set(0);
    REEL__EACH(vectors) x[i] = reel__v_load_f32(row + i * REEL__LANES, REEL__LANES) - reel__v_set(shift);
    REEL__EACH(vectors) y[i] = x[i];
    EXP_EACH(vectors, y);
    REEL__EACH(vectors) y[i] = reel__v_zero_below(y[i], x[i], REEL__EXP_SMALLEST);
    REEL__EACH(vectors) reel__v_store_f32(row + i * REEL__LANES, y[i], REEL__LANES);
    REEL__EACH(vectors) sum += y[i];
    return sum;
}
#endif

/* row = e^(row - shift), n a multiple of PADDING; returns the sum */
static REAL NAME(exponentials)(REAL *row, int64_t n, REAL shift) {
#ifdef LOAD_VECTOR
    reel__vector sum = reel__v_set(0);
    int64_t j = 0;
    for (; j + REEL__AT_ONCE * REEL__LANES <= n; j += REEL__AT_ONCE * REEL__LANES)
        sum += NAME(exponential_vectors)(REEL__AT_ONCE, row + j, shift);
    for (; j + (REEL__AT_ONCE - 1) * REEL__LANES <= n; j += (REEL__AT_ONCE - 1) * REEL__LANES)
        sum += NAME(exponential_vectors)(REEL__AT_ONCE - 1, row + j, shift);
    for (; j < n; j += REEL__LANES)
        sum += NAME(exponential_vectors)(1, row + j, shift);
    return reel__v_sum(sum);
#else
    REAL sum = 0;
    for (int64_t j = 0; j < n; j++) {
        row[j] = MATH(exp)(row[j] - shift);
        sum += row[j];
    }
    return sum;
#endif
}

/* NaN is passed over. */
static REAL NAME(largest_of)(const REAL *row, int64_t n) {
#ifdef LOAD_VECTOR
    reel__vector largest = reel__v_set(-INFINITY);
    for (int64_t j = 0; j < n; j += REEL__LANES)
        largest = reel__v_max(reel__v_load_f32(row + j, REEL__LANES), largest);
    return reel__v_largest(largest);
#else
    REAL largest = -INFINITY;
    for (int64_t j = 0; j < n; j++)
        largest = row[j] > largest ? row[j] : largest;
    return largest;
#endif
}

/* Rows of n numbers, padding included, become e^(s - max) / sum, and log_sum = ln sum + max. A row of -inf
 * becomes zeros and has +inf there, so that the backward pass sees zeros again. Each step is done for all
 * rows before the next, for which those of one row would wait. */
static void NAME(softmax_rows)(int64_t rows, int64_t n, REAL *s, REAL *log_sum) {
    REAL largest[BF16_TILE], sum[BF16_TILE];
    for (int64_t i = 0; i < rows; i++) {
        const REAL of_row = NAME(largest_of)(s + i * n, n);
        largest[i] = of_row == -INFINITY ? 0 : of_row;
    }
    for (int64_t i = 0; i < rows; i++) {
        const REAL of_row = NAME(exponentials)(s + i * n, n, largest[i]);
        sum[i] = of_row == 0 ? (REAL)INFINITY : of_row;
    }
    for (int64_t i = 0; i < rows; i++) {
        const REAL inverse = 1 / sum[i];
        for (int64_t j = 0; j < n; j++)
            s[i * n + j] *= inverse;
    }
    for (int64_t i = 0; i < rows; i++)
        log_sum[i] = largest[i] + MATH(log)(sum[i]);
}

/* ---- forward ------------------------------------------------------------------------------------------- */

static void NAME(forward_head)(const attention *a, int64_t b, int64_t h, REAL *scratch) {
    REAL *q = scratch, *y = q + a->Tq * a->d_row, *v = y + TILE * a->d_row, *k_t = v + a->Tk * a->d_row;
    REAL *s = k_t + a->d * a->k_row, *log_sum = (REAL *)a->log_sum->data + (b * a->H + h) * a->Tq;
    NAME(pack)(a, a->q, b, h, q);
    NAME(pack)(a, a->v, b, h, v);
    NAME(pack_transposed)(a, a->k, b, h, k_t);
    for (int64_t first = 0; first < a->Tq; first += TILE) {
        const int64_t rows = a->Tq - first < TILE ? a->Tq - first : TILE;
        if (a->Tk > 0) {
            NAME(scores)(a, b, h, first, rows, q, k_t, s);
            NAME(softmax_rows)(rows, a->k_row, s, log_sum + first);
            NAME(product)
            (rows, a->d, a->Tk, 1, (reel__matrix){s, a->k_row, 1}, v, a->d_row, y, a->d_row, false);
        } else { /* a softmax of nothing */
            memset(y, 0, (size_t)(rows * a->d_row) * sizeof *y);
            for (int64_t i = 0; i < rows; i++)
                log_sum[first + i] = (REAL)INFINITY;
        }
        NAME(unpack)(a, y, a->y, b, h, first, rows);
    }
}

static void NAME(forward_heads)(int64_t begin, int64_t end, void *arg) {
    const attention *a = arg;
    void *scratch = a->scratch + reel__thread_index() * a->scratch_bytes;
    for (int64_t i = begin; i < end; i++)
        NAME(forward_head)(a, i / a->H, i % a->H, scratch);
}

/* ---- backward ------------------------------------------------------------------------------------------ */

/* p becomes ds = p * (dp - rowsum(dy * y)) */
static void NAME(scores_backward)(const attention *a, int64_t rows, const REAL *dy, const REAL *y,
                                  REAL *REEL_RESTRICT p, const REAL *REEL_RESTRICT dp) {
    for (int64_t i = 0; i < rows; i++, dy += a->d_row, y += a->d_row, p += a->k_row, dp += a->k_row) {
        REAL dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < a->d_row; j++)
            dot += dy[j] * y[j];
        for (int64_t j = 0; j < a->k_row; j++)
            p[j] *= dp[j] - dot;
    }
}

static void NAME(backward_head)(const attention *a, int64_t b, int64_t h, REAL *scratch) {
    const int64_t d = a->d, d_row = a->d_row, k_row = a->k_row, Tk = a->Tk;
    const int64_t query = a->Tq * d_row, key = Tk * d_row, key_t = d * k_row;
    REAL *q = scratch, *y = q + query, *dy = y + query, *dq = dy + query, *k = dq + TILE * d_row;
    REAL *dk = k + key, *dv = dk + key, *k_t = dv + key, *v_t = k_t + key_t;
    REAL *p = v_t + key_t, *dp = p + TILE * k_row;
    const REAL *log_sum = (const REAL *)a->log_sum->data + (b * a->H + h) * a->Tq;
    NAME(pack)(a, a->q, b, h, q);
    NAME(pack)(a, a->y, b, h, y);
    NAME(pack)(a, a->dy, b, h, dy);
    NAME(pack)(a, a->k, b, h, k);
    NAME(pack_transposed)(a, a->k, b, h, k_t);
    NAME(pack_transposed)(a, a->v, b, h, v_t);
    memset(dk, 0, (size_t)(2 * key) * sizeof *dk); /* dv too */
    for (int64_t first = 0; first < a->Tq; first += TILE) {
        const int64_t rows = a->Tq - first < TILE ? a->Tq - first : TILE, at = first * d_row;
        const reel__matrix tile = {p, k_row, 1}, tile_t = {p, 1, k_row};
        if (Tk > 0) {
            NAME(scores)(a, b, h, first, rows, q, k_t, p);
            for (int64_t i = 0; i < rows; i++)
                NAME(exponentials)(p + i * k_row, k_row, log_sum[first + i]);
            NAME(product)(Tk, d, rows, 1, tile_t, dy + at, d_row, dv, d_row, true);
            NAME(product)(rows, Tk, d, 1, (reel__matrix){dy + at, d_row, 1}, v_t, k_row, dp, k_row, false);
            NAME(scores_backward)(a, rows, dy + at, y + at, p, dp);
            NAME(product)(rows, d, Tk, a->scale, tile, k, d_row, dq, d_row, false);
            NAME(product)(Tk, d, rows, a->scale, tile_t, q + at, d_row, dk, d_row, true);
        } else {
            memset(dq, 0, (size_t)(rows * d_row) * sizeof *dq);
        }
        if (a->dq)
            NAME(unpack)(a, dq, a->dq, b, h, first, rows);
    }
    if (a->dk)
        NAME(unpack)(a, dk, a->dk, b, h, 0, Tk);
    if (a->dv)
        NAME(unpack)(a, dv, a->dv, b, h, 0, Tk);
}

static void NAME(backward_heads)(int64_t begin, int64_t end, void *arg) {
    const attention *a = arg;
    void *scratch = a->scratch + reel__thread_index() * a->scratch_bytes;
    for (int64_t i = begin; i < end; i++)
        NAME(backward_head)(a, i / a->H, i % a->H, scratch);
}

#endif
