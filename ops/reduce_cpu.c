/* CPU kernels of the reductions.
 *
 * The kept axes of x number the outputs, the reduced ones the terms of each output, both row-major. Work is
 * cut into blocks of outputs and, where those are few, chunks of terms: by shape and dtype alone. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"
#include "reduce_plan.h"

#include <math.h>
#include <string.h>

enum {
    GRAIN = 1 << 16, /* elements that pay for waking a thread */
    BLOCK = 512,     /* outputs worked on together; their sums fit the nearest cache */
    MAX_PIECES = 64, /* a reduction is not cut finer: enough for the threads, little scratch memory */
    NARROW = 8,      /* fewer outputs than this side by side are summed one after the other */
};

/* How many indices from this one on lie in one row of the innermost axis, at most n. */
static int64_t run_from(const reel__axes *a, int64_t index, int64_t n) {
    const int64_t left = a->size[0] - index % a->size[0];
    return left < n ? left : n;
}

static int64_t min_of(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t max_of(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* A rectangle of x: outputs lie `column` elements from one another, their terms `row`. */
typedef struct tile {
    const void *at;
    int64_t outputs, column, terms, row;
} tile;

/* Whether the inner loop goes over outputs that lie side by side, and not over the terms of one output. */
static bool is_wide(int64_t outputs, int64_t column) {
    return column == 1 && outputs >= NARROW;
}

/* The best of the terms seen so far, per output. */
typedef struct maxima {
    double value[BLOCK];
    int32_t term[BLOCK];
} maxima;

static bool is_better(double candidate, double best) {
    return candidate > best || (isnan(candidate) && !isnan(best));
}

/* The operands of max_backward. */
typedef struct scatter {
    reel__reduction plan;
    const void *dy;
    const int32_t *index;
    void *dx;
} scatter;

#define REEL_EACH_FLOAT "reduce_cpu.c"
#include "each_float.h"

/* ---- sum ----------------------------------------------------------------------------------------------- */

typedef struct sum_work {
    reel__reduction plan;
    const reel_tensor *x, *y;
    double factor;
    bool accumulate;
    int64_t block, blocks; /* outputs per block, number of blocks */
    int64_t chunk, chunks; /* terms per chunk, number of chunks */
    double *partial;       /* (chunks, outputs) where there are several chunks */
} sum_work;

/* Cuts the work into blocks x chunks. Wide blocks read whole cache lines; the others are as small as pays. */
static void cut(sum_work *w) {
    const reel__reduction *p = &w->plan;
    const int64_t terms = max_of(p->terms, 1);
    const bool wide = is_wide(min_of(p->kept.size[0], p->outputs), p->kept.stride[0]);
    w->block = wide ? BLOCK : max_of(1, min_of(GRAIN / terms, BLOCK));
    w->block = min_of(w->block, p->outputs);
    w->blocks = divide_up(p->outputs, w->block);
    w->chunk = terms;
    if (w->blocks < MAX_PIECES)
        w->chunk = min_of(terms, max_of(GRAIN / w->block, divide_up(terms * w->blocks, MAX_PIECES)));
    w->chunks = divide_up(terms, w->chunk);
}

/* y[first ...] = or += factor sums */
static void finish(const sum_work *w, int64_t first, int64_t n, const double *sums) {
    BY_DTYPE(w->y->dtype, finish)(w->y->data, first, n, sums, w->factor, w->accumulate);
}

/* sums[j] = the sum of one chunk of terms of output first + j */
static void sum_chunk(const sum_work *w, int64_t first, int64_t n, int64_t begin, int64_t end, double *sums) {
    const reel__reduction *p = &w->plan;
    const size_t size = reel_dtype_bytes(w->x->dtype);
    memset(sums, 0, (size_t)n * sizeof *sums);
    for (int64_t j = 0, outputs; j < n; j += outputs) {
        outputs = run_from(&p->kept, first + j, n - j);
        const int64_t output_at = reel__axes_offset(&p->kept, first + j);
        for (int64_t term = begin, terms; term < end; term += terms) {
            terms = run_from(&p->reduced, term, end - term);
            const int64_t at = output_at + reel__axes_offset(&p->reduced, term);
            const tile t = {(const char *)w->x->data + at * (int64_t)size, outputs, p->kept.stride[0], terms,
                            p->reduced.stride[0]};
            BY_DTYPE(w->x->dtype, sum_tile)(&t, sums + j);
        }
    }
}

/* Pieces begin .. end-1: piece i is block i % blocks of chunk i / blocks. */
static void sum_pieces(int64_t begin, int64_t end, void *arg) {
    const sum_work *w = arg;
    for (int64_t piece = begin; piece < end; piece++) {
        double sums[BLOCK];
        const int64_t first = piece % w->blocks * w->block, chunk = piece / w->blocks;
        const int64_t n = min_of(w->block, w->plan.outputs - first);
        sum_chunk(w, first, n, chunk * w->chunk, min_of((chunk + 1) * w->chunk, w->plan.terms), sums);
        if (w->partial)
            memcpy(w->partial + chunk * w->plan.outputs + first, sums, (size_t)n * sizeof *sums);
        else
            finish(w, first, n, sums);
    }
}

/* Adds up the chunks of all outputs, in order. */
static void join_chunks(const sum_work *w) {
    for (int64_t first = 0; first < w->plan.outputs; first += BLOCK) {
        double sums[BLOCK] = {0};
        const int64_t n = min_of(BLOCK, w->plan.outputs - first);
        for (int64_t chunk = 0; chunk < w->chunks; chunk++)
            for (int64_t j = 0; j < n; j++)
                sums[j] += w->partial[chunk * w->plan.outputs + first + j];
        finish(w, first, n, sums);
    }
}

void REEL_CPU(sum)(reel_context *ctx, const reel_tensor *x, double factor, reel_tensor *y, int accumulate) {
    sum_work w = {
        .plan = reel__reduction_of(x, y), .x = x, .y = y, .factor = factor, .accumulate = accumulate};
    if (w.plan.outputs == 0)
        return;
    cut(&w);
    reel__storage *scratch = NULL;
    if (w.chunks > 1) {
        const size_t bytes = (size_t)(w.chunks * w.plan.outputs) * sizeof(double);
        scratch = reel__storage_new(ctx, bytes);
        if (!scratch) {
            reel__no_memory(ctx, NULL, bytes, "partial sums");
            return;
        }
        w.partial = scratch->data;
    }
    const int64_t grain = max_of(1, GRAIN / max_of(1, w.block * w.chunk));
    reel__parallel_for(ctx, w.blocks * w.chunks, grain, sum_pieces, &w);
    if (scratch) {
        join_chunks(&w);
        reel__storage_release(ctx, scratch);
    }
}

/* ---- maximum ------------------------------------------------------------------------------------------- */

typedef struct max_work {
    reel__reduction plan;
    const reel_tensor *x, *y, *index; /* y or index may be NULL */
} max_work;

/* Finds the maxima of outputs first .. first + n - 1. */
static void find_maxima(const max_work *w, int64_t first, int64_t n, maxima *best) {
    const reel__reduction *p = &w->plan;
    const size_t size = reel_dtype_bytes(w->x->dtype);
    for (int64_t j = 0; j < n; j++) {
        best->value[j] = -INFINITY;
        best->term[j] = 0;
    }
    for (int64_t j = 0, outputs; j < n; j += outputs) {
        outputs = run_from(&p->kept, first + j, n - j);
        const int64_t output_at = reel__axes_offset(&p->kept, first + j);
        for (int64_t term = 0, terms; term < p->terms; term += terms) {
            terms = run_from(&p->reduced, term, p->terms - term);
            const int64_t at = output_at + reel__axes_offset(&p->reduced, term);
            const tile t = {(const char *)w->x->data + at * (int64_t)size, outputs, p->kept.stride[0], terms,
                            p->reduced.stride[0]};
            BY_DTYPE(w->x->dtype, max_tile)(&t, term, best->value + j, best->term + j);
        }
    }
}

static void max_outputs(int64_t begin, int64_t end, void *arg) {
    const max_work *w = arg;
    for (int64_t first = begin; first < end; first += BLOCK) {
        maxima best;
        const int64_t n = min_of(BLOCK, end - first);
        find_maxima(w, first, n, &best);
        if (w->y)
            BY_DTYPE(w->y->dtype, finish)(w->y->data, first, n, best.value, 1, false);
        if (w->index)
            memcpy((int32_t *)w->index->data + first, best.term, (size_t)n * sizeof *best.term);
    }
}

void REEL_CPU(max)(const reel_context *ctx, const reel_tensor *x, reel_tensor *y, reel_tensor *index) {
    max_work w = {.plan = reel__reduction_of(x, y ? y : index), .x = x, .y = y, .index = index};
    const int64_t grain = max_of(1, min_of(GRAIN / max_of(1, w.plan.terms), BLOCK));
    reel__parallel_for(ctx, w.plan.outputs, grain, max_outputs, &w);
}

void REEL_CPU(max_backward)(const reel_context *ctx, const reel_tensor *dy, const reel_tensor *index,
                            reel_tensor *dx) {
    scatter s = {.plan = reel__reduction_of(dx, dy), .dy = dy->data, .index = index->data, .dx = dx->data};
    reel__parallel_for(ctx, s.plan.outputs, GRAIN, BY_DTYPE(dx->dtype, max_scatter), &s);
}

#else /* the template */

#include "row.h"

/* In four sums that do not wait for one another. */
static double NAME(sum_run)(const STORED *x, int64_t n, int64_t step) {
    enum { SUMS = 4, LANES = 8 };
    double sum = 0;
    int64_t i = 0;
    if (step == 1 && n >= SUMS * LANES) {
        double part[SUMS * LANES] = {0};
        for (; i + SUMS * LANES <= n; i += SUMS * LANES)
            for (int j = 0; j < SUMS * LANES; j++)
                part[j] += (double)LOAD(x + i + j);
        for (int width = SUMS * LANES / 2; width > 0; width /= 2)
            for (int j = 0; j < width; j++)
                part[j] += part[j + width];
        sum = part[0];
    }
    for (; i < n; i++)
        sum += (double)LOAD(x + i * step);
    return sum;
}

/* sums[j] += the terms of output j, four rows at a time so that each sum is touched less often */
static void NAME(sum_rows)(const STORED *REEL_RESTRICT x, const tile *t, double *REEL_RESTRICT sums) {
    int64_t i = 0;
    for (; i + 4 <= t->terms; i += 4) {
        const STORED *REEL_RESTRICT a = x + i * t->row;
        const STORED *REEL_RESTRICT b = a + t->row;
        const STORED *REEL_RESTRICT c = b + t->row;
        const STORED *REEL_RESTRICT d = c + t->row;
        for (int64_t j = 0; j < t->outputs; j++)
            sums[j] +=
                ((double)LOAD(a + j) + (double)LOAD(b + j)) + ((double)LOAD(c + j) + (double)LOAD(d + j));
    }
    for (; i < t->terms; i++)
        for (int64_t j = 0; j < t->outputs; j++)
            sums[j] += (double)LOAD(x + i * t->row + j);
}

static void NAME(sum_tile)(const tile *t, double *sums) {
    const STORED *x = (const STORED *)t->at;
    if (is_wide(t->outputs, t->column))
        NAME(sum_rows)(x, t, sums);
    else
        for (int64_t j = 0; j < t->outputs; j++)
            sums[j] += NAME(sum_run)(x + j * t->column, t->terms, t->row);
}

/* y[first + j] = or += factor sums[j] */
static void NAME(finish)(void *data, int64_t first, int64_t n, const double *sums, double factor,
                         bool accumulate) {
    STORED *y = (STORED *)data + first;
    if (accumulate)
        for (int64_t j = 0; j < n; j++)
            STORE(y + j, (REAL)((double)LOAD(y + j) + factor * sums[j]));
    else
        for (int64_t j = 0; j < n; j++)
            STORE(y + j, (REAL)(factor * sums[j]));
}

#ifdef LOAD_VECTOR
/* Of terms side by side. What is no number or not finite makes zeros no zeros; then each is looked at. */
static void NAME(max_row)(const STORED *x, int64_t n, int64_t first, double *best, int32_t *term) {
    reel__vector zero = reel__v_set(0);
    for (int64_t i = 0; i < n; i += REEL__LANES)
        zero += LOAD_VECTOR(x + i, n - i) * reel__v_set(0);
    if (reel__v_sum(zero) == 0) {
        const REAL largest = NAME(row_max)(x, n);
        int64_t i = 0;
        if (!is_better((double)largest, *best))
            return;
        while (LOAD(x + i) != largest)
            i++;
        *best = (double)largest;
        *term = (int32_t)(first + i);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        if (is_better((double)LOAD(x + i), *best)) {
            *best = (double)LOAD(x + i);
            *term = (int32_t)(first + i);
        }
}
#endif

/* Terms first, first + 1, ... of the tile's outputs against the best so far. */
static void NAME(max_tile)(const tile *t, int64_t first, double *REEL_RESTRICT best,
                           int32_t *REEL_RESTRICT term) {
    const STORED *x = (const STORED *)t->at;
#ifdef LOAD_VECTOR
    if (t->row == 1 && t->terms >= REEL__LANES) {
        for (int64_t j = 0; j < t->outputs; j++)
            NAME(max_row)(x + j * t->column, t->terms, first, best + j, term + j);
        return;
    }
#endif
    const bool wide = is_wide(t->outputs, t->column);
    const int64_t outer = wide ? t->terms : t->outputs, inner = wide ? t->outputs : t->terms;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t n = 0; n < inner; n++) {
            const int64_t i = wide ? o : n, j = wide ? n : o;
            const double value = (double)LOAD(x + i * t->row + j * t->column);
            if (is_better(value, best[j])) {
                best[j] = value;
                term[j] = (int32_t)(first + i);
            }
        }
}

static void NAME(max_scatter)(int64_t begin, int64_t end, void *arg) {
    const scatter *s = (const scatter *)arg;
    const STORED *dy = (const STORED *)s->dy;
    STORED *dx = (STORED *)s->dx;
    for (int64_t o = begin; o < end; o++) {
        STORED *to =
            dx + reel__axes_offset(&s->plan.kept, o) + reel__axes_offset(&s->plan.reduced, s->index[o]);
        STORE(to, LOAD(to) + LOAD(dy + o));
    }
}

#endif
