/* CPU kernels of normalisation over one axis.
 *
 * A row-major tensor is (outer, n, inner) around its axis. With inner 1 a row lies in one piece and is summed
 * by vector lanes. Otherwise `inner` rows lie interleaved, and a block of them is taken at a time: vector
 * lane i belongs to row i, and the block, n x BLOCK, stays in the cache between the passes over it. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"
#include "rows.h"

enum { BLOCK = 128 };

/* Which operands norm has besides a. */
enum { ADDEND = 1, WEIGHT = 2, BIAS = 4 };

typedef struct norm_job {
    const void *a, *b, *weight, *bias; /* forward */
    const void *value, *dy;            /* backward */
    void *y, *dx;
    void *mean, *r; /* written by forward, read by backward */
    unsigned has, flags;
    double eps;
    int accumulate;
    reel__axis at;
    int64_t blocks; /* per outer index */
} norm_job;

/* Parameter gradients: chunk c sums the outer indices from outer c / chunks to outer (c + 1) / chunks. */
typedef struct parameters_job {
    const void *x, *dy, *mean, *r;
    void *dweight, *dbias;
    reel__axis at;
    int64_t chunks;
} parameters_job;

#define REEL_EACH_FLOAT "norm_cpu.c"
#include "each_float.h"

static void *data_or_null(const reel_tensor *t) {
    return t ? t->data : NULL;
}

/* Rows or blocks of rows over the threads. */
static void run_norm(const reel_context *ctx, norm_job *job, reel__range_fn *rows, reel__range_fn *blocks) {
    const reel__axis at = job->at;
    job->blocks = (at.inner + BLOCK - 1) / BLOCK;
    if (at.inner == 1)
        reel__parallel_for(ctx, at.outer, reel__rows_per_piece(at.n), rows, job);
    else
        reel__parallel_for(ctx, at.outer * job->blocks, reel__rows_per_piece(at.n * BLOCK), blocks, job);
}

void REEL_CPU(norm)(const reel_context *ctx, const reel_tensor *a, const reel_tensor *b,
                    const reel_tensor *weight, const reel_tensor *bias, int axis, double eps, reel_tensor *y,
                    reel_tensor *mean, reel_tensor *r) {
    norm_job job = {.a = a->data, .y = y->data, .r = r->data, .eps = eps, .at = reel__axis_of(a, axis)};
    job.b = data_or_null(b);
    job.weight = data_or_null(weight);
    job.bias = data_or_null(bias);
    job.mean = data_or_null(mean);
    job.has = (b ? ADDEND : 0u) | (weight ? WEIGHT : 0u) | (bias ? BIAS : 0u);
    run_norm(ctx, &job, BY_DTYPE(a->dtype, norm_rows), BY_DTYPE(a->dtype, norm_blocks));
}

void REEL_CPU(norm_backward)(const reel_context *ctx, const reel_tensor *value, const reel_tensor *mean,
                             const reel_tensor *r, const reel_tensor *weight, const reel_tensor *dy, int axis,
                             unsigned flags, reel_tensor *dx, int accumulate) {
    norm_job job = {.value = value->data, .r = r->data, .dy = dy->data, .dx = dx->data, .flags = flags};
    job.weight = data_or_null(weight);
    job.mean = data_or_null(mean);
    job.accumulate = accumulate;
    job.at = reel__axis_of(value, axis);
    run_norm(ctx, &job, BY_DTYPE(dx->dtype, norm_rows_backward), BY_DTYPE(dx->dtype, norm_blocks_backward));
}

void REEL_CPU(norm_parameters_backward)(const reel_context *ctx, const reel_tensor *x,
                                        const reel_tensor *mean, const reel_tensor *r, const reel_tensor *dy,
                                        int axis, reel_tensor *dweight, reel_tensor *dbias) {
    parameters_job job = {.x = x->data, .dy = dy->data, .r = r->data, .at = reel__axis_of(x, axis)};
    job.mean = data_or_null(mean);
    job.dweight = data_or_null(dweight);
    job.dbias = data_or_null(dbias);
    job.chunks = (dweight ? dweight : dbias)->shape[0];
    reel__parallel_for(ctx, job.chunks, 1, BY_DTYPE(x->dtype, norm_parameters_chunks), &job);
}

#else /* the template */

/* ---- forward ---- */

REEL_ALWAYS_INLINE REAL NAME(sum_at)(const STORED *a, const STORED *b, int64_t i, unsigned has) {
    return has & ADDEND ? LOAD(a + i) + LOAD(b + i) : LOAD(a + i);
}

REEL_ALWAYS_INLINE void NAME(norm_row)(const norm_job *job, int64_t row, unsigned has) {
    const int64_t n = job->at.n;
    const STORED *a = (const STORED *)job->a + row * n;
    const STORED *b = has & ADDEND ? (const STORED *)job->b + row * n : NULL;
    const STORED *weight = job->weight, *bias = job->bias;
    STORED *y = (STORED *)job->y + row * n;
    REAL mean = 0, squares = 0;
    if (job->mean) {
        REAL sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < n; i++)
            sum += NAME(sum_at)(a, b, i, has);
        mean = sum / (REAL)n;
        ((REAL *)job->mean)[row] = mean;
    }
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < n; i++) {
        const REAL centred = NAME(sum_at)(a, b, i, has) - mean;
        squares += centred * centred;
    }
    const REAL r = MATH(rsqrt)(squares / (REAL)n + (REAL)job->eps);
    ((REAL *)job->r)[row] = r;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        REAL value = (NAME(sum_at)(a, b, i, has) - mean) * r;
        if (has & WEIGHT)
            value *= LOAD(weight + i);
        if (has & BIAS)
            value += LOAD(bias + i);
        STORE(y + i, value);
    }
}

static void NAME(norm_rows)(int64_t begin, int64_t end, void *arg) {
    const norm_job *job = arg;
    for (int64_t row = begin; row < end; row++)
        if (job->has == 0)
            NAME(norm_row)(job, row, 0);
        else if (job->has == ADDEND)
            NAME(norm_row)(job, row, ADDEND);
        else if (job->has == WEIGHT)
            NAME(norm_row)(job, row, WEIGHT);
        else if (job->has == BIAS)
            NAME(norm_row)(job, row, BIAS);
        else
            NAME(norm_row)(job, row, WEIGHT | BIAS);
}

/* Rows first .. first + width - 1 of outer index `outer`. */
REEL_ALWAYS_INLINE void NAME(norm_block)(const norm_job *job, int64_t outer, int64_t first, int64_t width,
                                         unsigned has) {
    const int64_t n = job->at.n, inner = job->at.inner, offset = outer * n * inner + first;
    const STORED *a = (const STORED *)job->a + offset;
    const STORED *b = has & ADDEND ? (const STORED *)job->b + offset : NULL;
    const STORED *weight = job->weight, *bias = job->bias;
    STORED *y = (STORED *)job->y + offset;
    REAL mean[BLOCK] = {0}, r[BLOCK] = {0};
    if (job->mean) {
        for (int64_t j = 0; j < n; j++)
            for (int64_t i = 0; i < width; i++)
                mean[i] += NAME(sum_at)(a, b, j * inner + i, has);
        for (int64_t i = 0; i < width; i++)
            mean[i] /= (REAL)n;
        memcpy((REAL *)job->mean + outer * inner + first, mean, (size_t)width * sizeof *mean);
    }
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < width; i++) {
            const REAL centred = NAME(sum_at)(a, b, j * inner + i, has) - mean[i];
            r[i] += centred * centred;
        }
    for (int64_t i = 0; i < width; i++)
        r[i] = MATH(rsqrt)(r[i] / (REAL)n + (REAL)job->eps);
    memcpy((REAL *)job->r + outer * inner + first, r, (size_t)width * sizeof *r);
    for (int64_t j = 0; j < n; j++) {
        const REAL factor = weight ? LOAD(weight + j) : 1, constant = bias ? LOAD(bias + j) : 0;
        STORED *to = y + j * inner;
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            STORE(to + i, (NAME(sum_at)(a, b, j * inner + i, has) - mean[i]) * r[i] * factor + constant);
    }
}

static void NAME(norm_blocks)(int64_t begin, int64_t end, void *arg) {
    const norm_job *job = arg;
    for (int64_t index = begin; index < end; index++) {
        const int64_t first = index % job->blocks * BLOCK, left = job->at.inner - first;
        const int64_t width = left < BLOCK ? left : BLOCK;
        if (job->has & ADDEND)
            NAME(norm_block)(job, index / job->blocks, first, width, ADDEND);
        else
            NAME(norm_block)(job, index / job->blocks, first, width, 0);
    }
}

/* ---- backward ---- */

REEL_ALWAYS_INLINE void NAME(norm_row_backward)(const norm_job *job, int64_t row, int weighted,
                                                int accumulate) {
    const int64_t n = job->at.n;
    const STORED *value = (const STORED *)job->value + row * n;
    const STORED *dy = (const STORED *)job->dy + row * n;
    const STORED *weight = job->weight;
    STORED *dx = (STORED *)job->dx + row * n;
    const REAL r = ((const REAL *)job->r)[row];
    const REAL mean = job->mean ? ((const REAL *)job->mean)[row] : 0;
    const REAL scale = job->flags & REEL__NORM_NORMALISED ? 1 : r; /* h = (value - mean) scale */
    REAL sum_g = 0, sum_gh = 0;
#pragma omp simd reduction(+ : sum_g, sum_gh)
    for (int64_t i = 0; i < n; i++) {
        const REAL g = weighted ? LOAD(dy + i) * LOAD(weight + i) : LOAD(dy + i);
        sum_g += g;
        sum_gh += g * ((LOAD(value + i) - mean) * scale);
    }
    const REAL mean_g = job->flags & REEL__NORM_CENTRED ? sum_g / (REAL)n : 0, mean_gh = sum_gh / (REAL)n;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const REAL g = weighted ? LOAD(dy + i) * LOAD(weight + i) : LOAD(dy + i);
        const REAL slope = r * (g - mean_g - (LOAD(value + i) - mean) * scale * mean_gh);
        STORE(dx + i, accumulate ? LOAD(dx + i) + slope : slope);
    }
}

static void NAME(norm_rows_backward)(int64_t begin, int64_t end, void *arg) {
    const norm_job *job = arg;
    for (int64_t row = begin; row < end; row++)
        if (job->weight && job->accumulate)
            NAME(norm_row_backward)(job, row, 1, 1);
        else if (job->weight)
            NAME(norm_row_backward)(job, row, 1, 0);
        else if (job->accumulate)
            NAME(norm_row_backward)(job, row, 0, 1);
        else
            NAME(norm_row_backward)(job, row, 0, 0);
}

REEL_ALWAYS_INLINE void NAME(norm_block_backward)(const norm_job *job, int64_t outer, int64_t first,
                                                  int64_t width, int accumulate) {
    const int64_t n = job->at.n, inner = job->at.inner, offset = outer * n * inner + first;
    const STORED *value = (const STORED *)job->value + offset, *dy = (const STORED *)job->dy + offset;
    const STORED *weight = job->weight;
    STORED *dx = (STORED *)job->dx + offset;
    const REAL *r = (const REAL *)job->r + outer * inner + first;
    REAL mean[BLOCK] = {0}, scale[BLOCK]; /* h = (value - mean) scale */
    REAL mean_g[BLOCK] = {0}, mean_gh[BLOCK] = {0};
    if (job->mean)
        memcpy(mean, (const REAL *)job->mean + outer * inner + first, (size_t)width * sizeof *mean);
    for (int64_t i = 0; i < width; i++)
        scale[i] = job->flags & REEL__NORM_NORMALISED ? 1 : r[i];
    for (int64_t j = 0; j < n; j++) {
        const REAL factor = weight ? LOAD(weight + j) : 1;
        for (int64_t i = 0; i < width; i++) {
            const REAL g = LOAD(dy + j * inner + i) * factor;
            mean_g[i] += g;
            mean_gh[i] += g * ((LOAD(value + j * inner + i) - mean[i]) * scale[i]);
        }
    }
    for (int64_t i = 0; i < width; i++) {
        mean_g[i] = job->flags & REEL__NORM_CENTRED ? mean_g[i] / (REAL)n : 0;
        mean_gh[i] /= (REAL)n;
    }
    for (int64_t j = 0; j < n; j++) {
        const REAL factor = weight ? LOAD(weight + j) : 1;
        STORED *to = dx + j * inner;
#pragma omp simd
        for (int64_t i = 0; i < width; i++) {
            const REAL g = LOAD(dy + j * inner + i) * factor;
            const REAL h = (LOAD(value + j * inner + i) - mean[i]) * scale[i];
            const REAL slope = r[i] * (g - mean_g[i] - h * mean_gh[i]);
            STORE(to + i, accumulate ? LOAD(to + i) + slope : slope);
        }
    }
}

static void NAME(norm_blocks_backward)(int64_t begin, int64_t end, void *arg) {
    const norm_job *job = arg;
    for (int64_t index = begin; index < end; index++) {
        const int64_t first = index % job->blocks * BLOCK, left = job->at.inner - first;
        const int64_t width = left < BLOCK ? left : BLOCK;
        if (job->accumulate)
            NAME(norm_block_backward)(job, index / job->blocks, first, width, 1);
        else
            NAME(norm_block_backward)(job, index / job->blocks, first, width, 0);
    }
}

/* Adds one outer index to the sums of its chunk. With inner 1 the lanes go along the axis, otherwise along
 * the interleaved rows. */
static void NAME(norm_parameters_outer)(const parameters_job *job, int64_t outer, REAL *REEL_RESTRICT dweight,
                                        REAL *REEL_RESTRICT dbias) {
    const int64_t n = job->at.n, inner = job->at.inner;
    const STORED *REEL_RESTRICT x = (const STORED *)job->x + outer * n * inner;
    const STORED *REEL_RESTRICT dy = (const STORED *)job->dy + outer * n * inner;
    const REAL *REEL_RESTRICT r = (const REAL *)job->r + outer * inner;
    const REAL *REEL_RESTRICT mean = job->mean ? (const REAL *)job->mean + outer * inner : NULL;
    if (inner == 1) {
        const REAL row_mean = mean ? *mean : 0, row_r = *r;
        for (int64_t j = 0; dweight && j < n; j++)
            dweight[j] += LOAD(dy + j) * ((LOAD(x + j) - row_mean) * row_r);
        for (int64_t j = 0; dbias && j < n; j++)
            dbias[j] += LOAD(dy + j);
        return;
    }
    for (int64_t j = 0; j < n; j++, x += inner, dy += inner) {
        REAL sum_gh = 0, sum_g = 0;
#pragma omp simd reduction(+ : sum_gh, sum_g)
        for (int64_t i = 0; i < inner; i++) {
            sum_gh += LOAD(dy + i) * ((LOAD(x + i) - (mean ? mean[i] : 0)) * r[i]);
            sum_g += LOAD(dy + i);
        }
        if (dweight)
            dweight[j] += sum_gh;
        if (dbias)
            dbias[j] += sum_g;
    }
}

static void NAME(norm_parameters_chunks)(int64_t begin, int64_t end, void *arg) {
    const parameters_job *job = arg;
    const int64_t n = job->at.n;
    for (int64_t chunk = begin; chunk < end; chunk++) {
        REAL *dweight = job->dweight ? (REAL *)job->dweight + chunk * n : NULL;
        REAL *dbias = job->dbias ? (REAL *)job->dbias + chunk * n : NULL;
        if (dweight)
            memset(dweight, 0, (size_t)n * sizeof *dweight);
        if (dbias)
            memset(dbias, 0, (size_t)n * sizeof *dbias);
        const int64_t last = job->at.outer * (chunk + 1) / job->chunks;
        for (int64_t outer = job->at.outer * chunk / job->chunks; outer < last; outer++)
            NAME(norm_parameters_outer)(job, outer, dweight, dbias);
    }
}

#endif
