/* CPU kernels of the losses. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"
#include "rows.h"
#include <reel/ops.h>

/* Rows of C logits. */
typedef struct entropy_job {
    const reel_tensor *logits;
    const int32_t *labels;
    void *loss, *sum;  /* per row; written by forward */
    const void *dloss; /* per row */
    void *dlogits;     /* row-major */
    int accumulate;
} entropy_job;

/* s(x) of stablemax and its derivative. */
static inline double stable(double x) {
    const double published_guard = 1e-30;
    return x >= 0 ? x + 1 : 1 / (1 - x + published_guard);
}
static inline double stable_slope(double x) {
    const double s = stable(x);
    return x >= 0 ? 1 : s * s;
}

#define REEL_EACH_FLOAT "loss_cpu.c"
#include "each_float.h"

_Static_assert(REEL_IGNORE_LABEL == -100, "REEL__WRONG_LABEL says so");

void REEL_CPU(check_labels)(reel_context *ctx, const char *op, const reel_tensor *labels, int64_t classes) {
    const int32_t *label = labels->data;
    for (int64_t i = 0, n = reel_elements(labels); i < n; i++)
        if ((label[i] < 0 || label[i] >= classes) && label[i] != REEL_IGNORE_LABEL) {
            reel__error(ctx, REEL_ERROR_ARGUMENT, op, REEL__WRONG_LABEL, (long long)label[i], (long long)i,
                        (long long)classes - 1);
            return;
        }
}

static void run_rows(const reel_context *ctx, entropy_job *job, const reel_tensor *labels,
                     reel__range_fn *rows) {
    job->labels = labels->data;
    const int64_t classes = job->logits->shape[job->logits->rank - 1];
    reel__parallel_for(ctx, reel_elements(labels), reel__rows_per_piece(classes), rows, job);
}

#define DEFINE_CROSS_ENTROPY(name)                                                                           \
    void REEL_CPU(name##_cross_entropy)(const reel_context *ctx, const reel_tensor *logits,                  \
                                        const reel_tensor *labels, reel_tensor *loss, reel_tensor *sum) {    \
        entropy_job job = {.logits = logits, .loss = loss->data, .sum = sum->data};                          \
        run_rows(ctx, &job, labels, BY_DTYPE(logits->dtype, name##_rows));                                   \
    }                                                                                                        \
    void REEL_CPU(name##_cross_entropy_backward)(                                                            \
        const reel_context *ctx, const reel_tensor *logits, const reel_tensor *labels,                       \
        const reel_tensor *sum, const reel_tensor *dloss, reel_tensor *dlogits, int accumulate) {            \
        entropy_job job = {.logits = logits,                                                                 \
                           .sum = sum->data,                                                                 \
                           .dloss = dloss->data,                                                             \
                           .dlogits = dlogits->data,                                                         \
                           .accumulate = accumulate};                                                        \
        run_rows(ctx, &job, labels, BY_DTYPE(logits->dtype, name##_rows_backward));                          \
    }
DEFINE_CROSS_ENTROPY(softmax)
DEFINE_CROSS_ENTROPY(stablemax)

void REEL_CPU(binary_cross_entropy_with_logits)(const reel_context *ctx, const reel_tensor *logits,
                                                const reel_tensor *targets, reel_tensor *loss) {
    reel__loop(ctx, 3, (const reel_tensor *[]){loss, logits, targets}, BY_DTYPE(logits->dtype, binary_run),
               NULL);
}

void REEL_CPU(binary_cross_entropy_with_logits_backward)(const reel_context *ctx, const reel_tensor *logits,
                                                         const reel_tensor *targets, const reel_tensor *dloss,
                                                         reel_tensor *dlogits, int accumulate) {
    reel__loop(ctx, 4, (const reel_tensor *[]){dlogits, logits, targets, dloss},
               BY_DTYPE(logits->dtype, binary_slope_run), &accumulate);
}

#else /* the template */

#include "row.h"

/* The logits of a row. */
static inline const STORED *NAME(row_at)(const entropy_job *job, int64_t row) {
    const reel_tensor *x = job->logits;
    return (const STORED *)x->data + reel__row_offset(x, x->rank - 1, row);
}

/* The gradient of an ignored row is 0, or what is there already. */
static void NAME(skip_row)(const entropy_job *job, STORED *dx, int64_t classes) {
    for (int64_t j = 0; j < classes && !job->accumulate; j++)
        STORE(dx + j, 0);
}

static inline void NAME(put)(STORED *to, REAL value, int accumulate) {
    STORE(to, accumulate ? LOAD(to) + value : value);
}

/* ---- softmax ---- */

/* The greatest logit is taken off before exponentials and put back behind the logarithm. */
static void NAME(softmax_rows)(int64_t begin, int64_t end, void *arg) {
    const entropy_job *job = arg;
    const int64_t classes = job->logits->shape[job->logits->rank - 1];
    for (int64_t row = begin; row < end; row++) {
        const STORED *x = NAME(row_at)(job, row);
        REAL *loss = (REAL *)job->loss + row, *log_sum = (REAL *)job->sum + row;
        *loss = *log_sum = 0;
        if (job->labels[row] == REEL_IGNORE_LABEL)
            continue;
        const REAL most = NAME(row_max)(x, classes);
        const REAL log_of_sum = MATH(log)((REAL)NAME(row_exp_sum)(x, classes, most, NULL));
        *log_sum = log_of_sum + most;
        *loss = log_of_sum + (most - LOAD(x + job->labels[row]));
    }
}

static void NAME(softmax_rows_backward)(int64_t begin, int64_t end, void *arg) {
    const entropy_job *job = arg;
    const int64_t classes = job->logits->shape[job->logits->rank - 1];
    for (int64_t row = begin; row < end; row++) {
        const STORED *REEL_RESTRICT x = NAME(row_at)(job, row);
        STORED *REEL_RESTRICT dx = (STORED *)job->dlogits + row * classes;
        const int32_t label = job->labels[row];
        if (label == REEL_IGNORE_LABEL) {
            NAME(skip_row)(job, dx, classes);
            continue;
        }
        const REAL log_sum = ((const REAL *)job->sum)[row], dloss = ((const REAL *)job->dloss)[row];
        const int accumulate = job->accumulate;
        for (int64_t j = 0; j < classes; j++) {
            const REAL slope = MATH(exp)(LOAD(x + j) - log_sum) - (j == label ? 1 : 0);
            NAME(put)(dx + j, dloss * slope, accumulate);
        }
    }
}

/* ---- stablemax ---- */

static void NAME(stablemax_rows)(int64_t begin, int64_t end, void *arg) {
    const entropy_job *job = arg;
    const int64_t classes = job->logits->shape[job->logits->rank - 1];
    for (int64_t row = begin; row < end; row++) {
        const STORED *x = NAME(row_at)(job, row);
        REAL *loss = (REAL *)job->loss + row;
        double *row_sum = (double *)job->sum + row, sum = 0;
        *loss = 0;
        *row_sum = 0;
        if (job->labels[row] == REEL_IGNORE_LABEL)
            continue;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < classes; j++)
            sum += stable((double)LOAD(x + j));
        *row_sum = sum;
        *loss = (REAL)-log(stable((double)LOAD(x + job->labels[row])) / sum);
    }
}

static void NAME(stablemax_rows_backward)(int64_t begin, int64_t end, void *arg) {
    const entropy_job *job = arg;
    const int64_t classes = job->logits->shape[job->logits->rank - 1];
    for (int64_t row = begin; row < end; row++) {
        const STORED *REEL_RESTRICT x = NAME(row_at)(job, row);
        STORED *REEL_RESTRICT dx = (STORED *)job->dlogits + row * classes;
        const int32_t label = job->labels[row];
        if (label == REEL_IGNORE_LABEL) {
            NAME(skip_row)(job, dx, classes);
            continue;
        }
        const double dloss = (double)((const REAL *)job->dloss)[row];
        const double inverse_sum = 1 / ((const double *)job->sum)[row];
        const double inverse_own = 1 / stable((double)LOAD(x + label));
        const int accumulate = job->accumulate;
        for (int64_t j = 0; j < classes; j++) {
            const double slope =
                stable_slope((double)LOAD(x + j)) * (inverse_sum - (j == label ? inverse_own : 0));
            NAME(put)(dx + j, (REAL)(dloss * slope), accumulate);
        }
    }
}

/* ---- binary: one run of n elements per function ---- */

static void NAME(binary_run)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    REAL *REEL_RESTRICT loss = (REAL *)(void *)at[0];
    const STORED *REEL_RESTRICT x = (const STORED *)(const void *)at[1];
    const STORED *REEL_RESTRICT t = (const STORED *)(const void *)at[2];
    (void)arg;
    for (int64_t i = 0; i < n; i++) {
        const REAL v = LOAD(x + i * step[1]), size = v < 0 ? -v : v;
        const REAL tail = (REAL)log1p((double)MATH(exp)(-size)); /* exact also where e^-|x| is tiny */
        loss[i * step[0]] = MATH(relu)(v) - v * LOAD(t + i * step[2]) + tail;
    }
}

static void NAME(binary_slope_run)(int64_t n, char *const *at, const int64_t *step, const void *arg) {
    STORED *REEL_RESTRICT dx = (STORED *)(void *)at[0];
    const STORED *REEL_RESTRICT x = (const STORED *)(const void *)at[1];
    const STORED *REEL_RESTRICT t = (const STORED *)(const void *)at[2];
    const REAL *REEL_RESTRICT dloss = (const REAL *)(const void *)at[3];
    const int accumulate = *(const int *)arg;
    for (int64_t i = 0; i < n; i++) {
        const REAL slope = MATH(sigmoid)(LOAD(x + i * step[1])) - LOAD(t + i * step[2]);
        NAME(put)(dx + i * step[0], dloss[i * step[3]] * slope, accumulate);
    }
}

#endif
