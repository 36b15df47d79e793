/* CPU kernels of softmax and its logarithm.
 *
 * A tensor is (outer, n, inner) around the axis. Where inner is 1 the loops go along the axis; elsewhere they
 * go over COLUMNS neighbours of inner at once, whose maxima and sums lie in small arrays. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"
#include "rows.h"

#include <math.h>

enum {
    GRAIN = 1 << 14, /* elements that pay for waking a thread: each costs two exponentials */
    COLUMNS = 128,   /* neighbours worked on together; a row of them is a few cache lines */
};

/* The operands of all four kernels. Pieces are numbered (outer, blocks of columns). */
typedef struct work {
    reel__axis axis;
    int64_t column_blocks;
    const void *x, *dy; /* forward x; backward y and dy */
    void *to;           /* forward y; backward dx */
    bool accumulate;
} work;

/* One piece: where it begins and how many columns it has. */
typedef struct piece {
    int64_t at, columns;
} piece;

static piece piece_of(const work *w, int64_t index) {
    const int64_t outer = index / w->column_blocks, column = index % w->column_blocks * COLUMNS;
    const int64_t left = w->axis.inner - column;
    return (piece){outer * w->axis.n * w->axis.inner + column, left < COLUMNS ? left : COLUMNS};
}

#define REEL_EACH_FLOAT "softmax_cpu.c"
#include "each_float.h"

static void run(const reel_context *ctx, work *w, reel__range_fn *fn) {
    const reel__axis *a = &w->axis;
    if (a->outer * a->n * a->inner == 0)
        return;
    w->column_blocks = (a->inner + COLUMNS - 1) / COLUMNS;
    const int64_t columns = a->inner < COLUMNS ? a->inner : COLUMNS;
    const int64_t grain = GRAIN / (a->n * columns);
    reel__parallel_for(ctx, a->outer * w->column_blocks, grain > 0 ? grain : 1, fn, w);
}

/* x of other strides is copied to y first, and y then worked on in place: no scratch memory is needed. */
static void forward(reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *y, reel__range_fn *fn) {
    const bool in_place = !reel_is_contiguous(x);
    if (in_place)
        reel__copy_values(ctx, y, x, false);
    work w = {.axis = reel__axis_of(y, axis), .x = in_place ? y->data : x->data, .to = y->data};
    run(ctx, &w, fn);
}

static void backward(const reel_context *ctx, const reel_tensor *y, const reel_tensor *dy, int axis,
                     reel_tensor *dx, int accumulate, reel__range_fn *fn) {
    work w = {.axis = reel__axis_of(y, axis),
              .x = y->data,
              .dy = dy->data,
              .to = dx->data,
              .accumulate = accumulate};
    run(ctx, &w, fn);
}

void REEL_CPU(softmax)(reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *y) {
    forward(ctx, x, axis, y, BY_DTYPE(x->dtype, softmax));
}

void REEL_CPU(log_softmax)(reel_context *ctx, const reel_tensor *x, int axis, reel_tensor *y) {
    forward(ctx, x, axis, y, BY_DTYPE(x->dtype, log_softmax));
}

void REEL_CPU(softmax_backward)(const reel_context *ctx, const reel_tensor *y, const reel_tensor *dy,
                                int axis, reel_tensor *dx, int accumulate) {
    backward(ctx, y, dy, axis, dx, accumulate, BY_DTYPE(y->dtype, softmax_slope));
}

void REEL_CPU(log_softmax_backward)(const reel_context *ctx, const reel_tensor *y, const reel_tensor *dy,
                                    int axis, reel_tensor *dx, int accumulate) {
    backward(ctx, y, dy, axis, dx, accumulate, BY_DTYPE(y->dtype, log_softmax_slope));
}

#else /* the template; forward, x and y may be one and the same */

#include "row.h"

/* ---- along the axis ------------------------------------------------------------------------------------ */

/* What turns x - largest into the result: 1 / sum e^(x - largest), or the logarithm of the sum. */
REEL_ALWAYS_INLINE REAL NAME(norm_of)(double sum, bool logarithm) {
    return (REAL)(logarithm ? log(sum) : 1 / sum);
}

REEL_ALWAYS_INLINE REAL NAME(result_of)(REAL x, REAL largest, REAL norm, bool logarithm) {
    return logarithm ? x - largest - norm : MATH(exp)(x - largest) * norm;
}

/* The exponentials are made once where y holds them without rounding. */
REEL_ALWAYS_INLINE void NAME(row)(const STORED *x, STORED *y, int64_t n, bool logarithm) {
    const bool keep = !logarithm && sizeof *y == sizeof(REAL);
    const REAL largest = NAME(row_max)(x, n);
    const REAL norm = NAME(norm_of)(NAME(row_exp_sum)(x, n, largest, keep ? y : NULL), logarithm);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        STORE(y + i, keep ? LOAD(y + i) * norm : NAME(result_of)(LOAD(x + i), largest, norm, logarithm));
}

/* ---- over columns -------------------------------------------------------------------------------------- */

/* largest[j] and sum[j], the sum of e^(x - largest[j]), of each column */
static void NAME(read_columns)(const STORED *x, reel__axis a, int64_t columns, REAL *REEL_RESTRICT largest,
                               double *REEL_RESTRICT sum) {
    for (int64_t j = 0; j < columns; j++) {
        largest[j] = -(REAL)INFINITY;
        sum[j] = 0;
    }
    for (int64_t i = 0; i < a.n; i++)
        for (int64_t j = 0; j < columns; j++) {
            const REAL value = LOAD(x + i * a.inner + j);
            largest[j] = value > largest[j] ? value : largest[j];
        }
    for (int64_t i = 0; i < a.n; i++)
        for (int64_t j = 0; j < columns; j++)
            sum[j] += (double)MATH(exp)(LOAD(x + i * a.inner + j) - largest[j]);
}

REEL_ALWAYS_INLINE void NAME(columns)(const STORED *x, STORED *y, reel__axis a, int64_t columns,
                                      bool logarithm) {
    REAL largest[COLUMNS], norm[COLUMNS];
    double sum[COLUMNS];
    NAME(read_columns)(x, a, columns, largest, sum);
    for (int64_t j = 0; j < columns; j++)
        norm[j] = NAME(norm_of)(sum[j], logarithm);
    for (int64_t i = 0; i < a.n; i++) {
#pragma omp simd
        for (int64_t j = 0; j < columns; j++) {
            const int64_t at = i * a.inner + j;
            STORE(y + at, NAME(result_of)(LOAD(x + at), largest[j], norm[j], logarithm));
        }
    }
}

REEL_ALWAYS_INLINE void NAME(forward_pieces)(int64_t begin, int64_t end, const work *w, bool logarithm) {
    for (int64_t index = begin; index < end; index++) {
        const piece p = piece_of(w, index);
        const STORED *x = (const STORED *)w->x + p.at;
        STORED *y = (STORED *)w->to + p.at;
        if (w->axis.inner == 1)
            NAME(row)(x, y, w->axis.n, logarithm);
        else
            NAME(columns)(x, y, w->axis, p.columns, logarithm);
    }
}

static void NAME(softmax)(int64_t begin, int64_t end, void *arg) {
    NAME(forward_pieces)(begin, end, (const work *)arg, false);
}

static void NAME(log_softmax)(int64_t begin, int64_t end, void *arg) {
    NAME(forward_pieces)(begin, end, (const work *)arg, true);
}

/* ---- backward ------------------------------------------------------------------------------------------ */

/* What is summed along the axis. */
REEL_ALWAYS_INLINE REAL NAME(term_of)(REAL y, REAL dy, bool logarithm) {
    return logarithm ? dy : y * dy;
}

/* The gradient from that sum. */
REEL_ALWAYS_INLINE REAL NAME(slope_of)(REAL y, REAL dy, REAL sum, bool logarithm) {
    return logarithm ? dy - MATH(exp)(y) * sum : y * (dy - sum);
}

#ifdef LOAD_VECTOR
/* Zeros beyond the end of the row add nothing to the sum. */
REEL_ALWAYS_INLINE void NAME(slope_row)(const STORED *REEL_RESTRICT y, const STORED *REEL_RESTRICT dy,
                                        STORED *REEL_RESTRICT dx, int64_t n, bool accumulate,
                                        bool logarithm) {
    double sum = 0;
    for (int64_t begin = 0; begin < n; begin += VECTORS_IN_F32 * REEL__LANES) {
        const int64_t end =
            begin + VECTORS_IN_F32 * REEL__LANES < n ? begin + VECTORS_IN_F32 * REEL__LANES : n;
        reel__vector part = reel__v_set(0);
        for (int64_t i = begin; i < end; i += REEL__LANES) {
            reel__vector term = LOAD_VECTOR(dy + i, n - i);
            if (!logarithm)
                term *= LOAD_VECTOR(y + i, n - i);
            part += term;
        }
        sum += (double)reel__v_sum(part);
    }
    const reel__vector all = reel__v_set((float)sum);
    for (int64_t i = 0; i < n; i += REEL__LANES) {
        const reel__vector from_y = LOAD_VECTOR(y + i, n - i), from_dy = LOAD_VECTOR(dy + i, n - i);
        reel__vector slope = from_y * (from_dy - all);
        if (logarithm)
            slope = from_dy - reel__v_zero_below(reel__v_exp(from_y), from_y, REEL__EXP_SMALLEST) * all;
        if (accumulate)
            slope += LOAD_VECTOR(dx + i, n - i);
        STORE_VECTOR(dx + i, slope, n - i);
    }
}
#else
REEL_ALWAYS_INLINE void NAME(slope_row)(const STORED *REEL_RESTRICT y, const STORED *REEL_RESTRICT dy,
                                        STORED *REEL_RESTRICT dx, int64_t n, bool accumulate,
                                        bool logarithm) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)NAME(term_of)(LOAD(y + i), LOAD(dy + i), logarithm);
    for (int64_t i = 0; i < n; i++) {
        const REAL slope = NAME(slope_of)(LOAD(y + i), LOAD(dy + i), (REAL)sum, logarithm);
        STORE(dx + i, accumulate ? LOAD(dx + i) + slope : slope);
    }
}
#endif

REEL_ALWAYS_INLINE void NAME(slope_columns)(const STORED *REEL_RESTRICT y, const STORED *REEL_RESTRICT dy,
                                            STORED *REEL_RESTRICT dx, reel__axis a, int64_t columns,
                                            bool accumulate, bool logarithm) {
    double sum[COLUMNS] = {0};
    for (int64_t i = 0; i < a.n; i++)
        for (int64_t j = 0; j < columns; j++) {
            const int64_t at = i * a.inner + j;
            sum[j] += (double)NAME(term_of)(LOAD(y + at), LOAD(dy + at), logarithm);
        }
    for (int64_t i = 0; i < a.n; i++)
        for (int64_t j = 0; j < columns; j++) {
            const int64_t at = i * a.inner + j;
            const REAL slope = NAME(slope_of)(LOAD(y + at), LOAD(dy + at), (REAL)sum[j], logarithm);
            STORE(dx + at, accumulate ? LOAD(dx + at) + slope : slope);
        }
}

REEL_ALWAYS_INLINE void NAME(backward_pieces)(int64_t begin, int64_t end, const work *w, bool logarithm) {
    for (int64_t index = begin; index < end; index++) {
        const piece p = piece_of(w, index);
        const STORED *y = (const STORED *)w->x + p.at, *dy = (const STORED *)w->dy + p.at;
        STORED *dx = (STORED *)w->to + p.at;
        if (w->axis.inner == 1)
            NAME(slope_row)(y, dy, dx, w->axis.n, w->accumulate, logarithm);
        else
            NAME(slope_columns)(y, dy, dx, w->axis, p.columns, w->accumulate, logarithm);
    }
}

static void NAME(softmax_slope)(int64_t begin, int64_t end, void *arg) {
    NAME(backward_pieces)(begin, end, (const work *)arg, false);
}

static void NAME(log_softmax_slope)(int64_t begin, int64_t end, void *arg) {
    NAME(backward_pieces)(begin, end, (const work *)arg, true);
}

#endif
