/* CPU kernels over a whole arena: the Adam step, the squares of the gradient, the exchange with the EMA. */
#ifndef REAL

#include "bf16.h"
#include "context.h"
#include "optim_kernels.h"
#include "scalar_atan2.h"

#include <math.h>

/* Elements per piece: five arrays of them and the copy stay in a core's second cache while the loops of a
 * step pass. */
enum { GRAIN = 1 << 12 };

typedef struct adam_job {
    const reel__adam *step;
    const double *rates;
    double gradient_scale;
    void *p, *m, *v, *ema;
    reel_bf16 *copy;
    const void *g;
} adam_job;

typedef struct squares_job {
    const void *x;
    double *sums;
} squares_job;

typedef struct exchange_job {
    void *a, *b;
} exchange_job;

#define REAL    double
#define NAME(f) f##_f64
#define MATH(f) reel__##f##_f64
#include "adam_cpu.c"
#undef REAL
#undef NAME
#undef MATH

#define REAL    float
#define NAME(f) f##_f32
#define MATH(f) reel__##f##_f32
#include "adam_cpu.c"
#undef REAL
#undef NAME
#undef MATH

void REEL_CPU(adam)(const reel_context *ctx, const reel__adam *step, const reel_tensor *rates,
                    const reel_tensor *clip, reel_tensor *p, const reel_tensor *g, reel_tensor *m,
                    reel_tensor *v, reel_tensor *ema, reel_tensor *copy) {
    const double *const values = clip->data;
    if (!isfinite(values[REEL__CLIP_NORM]))
        return;
    adam_job job = {.step = step,
                    .rates = rates->data,
                    .gradient_scale = values[REEL__CLIP_SCALE],
                    .p = p->data,
                    .m = m->data,
                    .v = v->data,
                    .ema = ema ? ema->data : NULL,
                    .copy = copy ? copy->data : NULL,
                    .g = g->data};
    reel__parallel_for(ctx, p->shape[0], GRAIN, p->dtype == REEL_F64 ? adam_f64 : adam_f32, &job);
}

void REEL_CPU(square_sums)(const reel_context *ctx, const reel_tensor *x, reel_tensor *sums) {
    squares_job job = {x->data, sums->data};
    reel__parallel_for(ctx, x->shape[0], REEL__SQUARES_CHUNK,
                       x->dtype == REEL_F64 ? square_sums_f64 : square_sums_f32, &job);
}

void REEL_CPU(clip)(const reel_context *ctx, const reel_tensor *sums, double max_norm, reel_tensor *clip) {
    const double *const chunk = sums->data;
    double *const values = clip->data, sum = 0;
    (void)ctx;
    for (int64_t i = 0; i < sums->shape[0]; i++)
        sum += chunk[i];
    values[REEL__CLIP_NORM] = sqrt(sum);
    if (isfinite(sum))
        values[REEL__CLIP_TAKEN] = sqrt(sum);
    values[REEL__CLIP_SCALE] = max_norm > 0 ? fmin(1, max_norm / (sqrt(sum) + REEL__CLIP_EPS)) : 1;
}

void REEL_CPU(exchange)(const reel_context *ctx, reel_tensor *a, reel_tensor *b) {
    exchange_job job = {a->data, b->data};
    reel__parallel_for(ctx, a->shape[0], GRAIN, a->dtype == REEL_F64 ? exchange_f64 : exchange_f32, &job);
}

#else /* the template: elements begin .. end-1 */

/* One loop per line of the formulas: each vectorises by itself, and the piece stays in the cache. */
static void NAME(adam)(int64_t begin, int64_t end, void *arg) {
    const adam_job *job = arg;
    const reel__adam *step = job->step;
    const int64_t n = end - begin;
    REAL *REEL_RESTRICT p = (REAL *)job->p + begin;
    REAL *REEL_RESTRICT m = (REAL *)job->m + begin;
    REAL *REEL_RESTRICT v = (REAL *)job->v + begin;
    const REAL *REEL_RESTRICT g = (const REAL *)job->g + begin;
    const REAL scale = (REAL)job->gradient_scale, beta2 = (REAL)step->beta2, eps = (REAL)step->eps;
    const REAL decay = (REAL)job->rates[REEL__ADAM_DECAY], rate = (REAL)job->rates[REEL__ADAM_RATE];
    const REAL correction = (REAL)job->rates[REEL__ADAM_CORRECTION];
    const REAL take_m = (REAL)(1 - step->beta1), take_v = (REAL)(1 - step->beta2);

    for (int64_t i = 0; i < n; i++) {
        const REAL gradient = scale * g[i];
        m[i] += take_m * (gradient - m[i]);
        v[i] = beta2 * v[i] + take_v * gradient * gradient;
    }
    if (step->kind == REEL_ADAM_ATAN2)
        for (int64_t i = 0; i < n; i++)
            p[i] = decay * p[i] - rate * MATH(atan2)(m[i], MATH(sqrt)(v[i] / correction));
    else
        for (int64_t i = 0; i < n; i++)
            p[i] = decay * p[i] - rate * (m[i] / (MATH(sqrt)(v[i] / correction) + eps));
    if (job->ema) {
        REAL *REEL_RESTRICT ema = (REAL *)job->ema + begin;
        const REAL keep = (REAL)step->ema_rate, take = (REAL)(1 - step->ema_rate);
        for (int64_t i = 0; i < n; i++)
            ema[i] = keep * ema[i] + take * p[i];
    }
    if (job->copy) {
        reel_bf16 *REEL_RESTRICT copy = job->copy + begin;
        for (int64_t i = 0; i < n; i++)
            copy[i] = reel__to_bf16((float)p[i]);
    }
}

/* Several sums side by side fill a vector and hide the latency of the addition. */
static void NAME(square_sums)(int64_t begin, int64_t end, void *arg) {
    enum { LANES = 32 };
    const squares_job *job = arg;
    const REAL *REEL_RESTRICT x = (const REAL *)job->x + begin;
    const int64_t n = end - begin, whole = n - n % LANES;
    double lane[LANES] = {0}, sum = 0;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] += (double)x[i + k] * (double)x[i + k];
    for (int64_t i = whole; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (int k = 0; k < LANES; k++)
        sum += lane[k];
    job->sums[begin / REEL__SQUARES_CHUNK] = sum;
}

static void NAME(exchange)(int64_t begin, int64_t end, void *arg) {
    const exchange_job *job = arg;
    REAL *REEL_RESTRICT a = job->a;
    REAL *REEL_RESTRICT b = job->b;
    for (int64_t i = begin; i < end; i++) {
        const REAL value = a[i];
        a[i] = b[i];
        b[i] = value;
    }
}

#endif
