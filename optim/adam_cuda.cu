/* CUDA kernels over a whole arena: the Adam step, the squares of the gradient, the exchange with the EMA. */
#include "kernels.cuh"
#include "optim_kernels.h"
#include "scalar_atan2.h"

REEL_DEVICE double reel__math_atan2(double y, double x) {
    return reel__atan2_f64(y, x);
}
REEL_DEVICE float reel__math_atan2(float y, float x) {
    return reel__atan2_f32(y, x);
}

/* ---- a step -------------------------------------------------------------------------------------------- */

/* p, m and v of one parameter. Rates and the clip's values are the device's: no step waits for them. */
struct adam_element {
    reel__adam step;
    const double *rates, *clip;
    template <class T> REEL_MEMBER bool operator()(T &p, T &m, T &v, const T &g) const {
        if (!isfinite(clip[REEL__CLIP_NORM]))
            return false;
        const T gradient = (T)clip[REEL__CLIP_SCALE] * g;
        m += (T)(1 - step.beta1) * (gradient - m);
        v = (T)step.beta2 * v + (T)(1 - step.beta2) * gradient * gradient;
        const T root = REEL_MATH(sqrt, v / (T)rates[REEL__ADAM_CORRECTION]);
        const T towards = step.kind == REEL_ADAM_ATAN2 ? REEL_MATH(atan2, m, root) : m / (root + (T)step.eps);
        p = (T)rates[REEL__ADAM_DECAY] * p - (T)rates[REEL__ADAM_RATE] * towards;
        return true;
    }
};

struct adam_ema_element {
    adam_element adam;
    template <class T> REEL_MEMBER void operator()(T &p, T &m, T &v, T &ema, const T &g) const {
        if (adam(p, m, v, g))
            ema = (T)adam.step.ema_rate * ema + (T)(1 - adam.step.ema_rate) * p;
    }
};

/* A step of f32 that also writes p in bf16, whether it was taken or not. */
template <class F> struct copying_element {
    F step;
    template <class... Rest> REEL_MEMBER void operator()(reel_bf16 &copy, float &p, Rest &...rest) const {
        step(p, rest...);
        reel__store(&copy, p);
    }
};

void reel__cuda_adam(const reel_context *ctx, const reel__adam *step, const reel_tensor *rates,
                     const reel_tensor *clip, reel_tensor *p, const reel_tensor *g, reel_tensor *m,
                     reel_tensor *v, reel_tensor *ema, reel_tensor *copy) {
    const adam_element f = {*step, reel__at<double>(rates), reel__at<double>(clip)};
    const adam_ema_element with_ema = {f};
    if (copy && ema) {
        reel__elements<5, reel_bf16, float, float, float, float, float>::map(
            ctx, copying_element<adam_ema_element>{with_ema}, {copy, p, m, v, ema, g});
    } else if (copy) {
        reel__elements<4, reel_bf16, float, float, float, float>::map(ctx, copying_element<adam_element>{f},
                                                                      {copy, p, m, v, g});
    } else {
        REEL_BY_WIDE(
            p->dtype, T,
            if (ema) {
                reel__elements<4, T, T, T, T, T>::map(ctx, with_ema, {p, m, v, ema, g});
            } else {
                reel__elements<3, T, T, T, T>::map(ctx, f, {p, m, v, g});
            })
    }
}

/* ---- the norm ------------------------------------------------------------------------------------------ */

/* One block per chunk; thread t adds the elements t, t + REEL_BLOCK, ... of it. */
template <class T> REEL_GLOBAL square_sums_kernel(const T *x, int64_t n, double *sums) {
    REEL_SHARED(double, scratch);
    const int64_t first = (int64_t)blockIdx.x * REEL__SQUARES_CHUNK;
    const int64_t end = first + REEL__SQUARES_CHUNK < n ? first + REEL__SQUARES_CHUNK : n;
    double sum = 0;
    for (int64_t i = first + threadIdx.x; i < end; i += REEL_BLOCK)
        sum += (double)x[i] * (double)x[i];
    sum = reel__block_sum(sum, scratch);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = sum;
}

enum { BLOCK_SUM_BYTES = REEL_BLOCK / REEL_WARP * (int)sizeof(double) };

void reel__cuda_square_sums(const reel_context *ctx, const reel_tensor *x, reel_tensor *sums) {
    const unsigned chunks = (unsigned)sums->shape[0];
    REEL_BY_WIDE(x->dtype, T,
                 REEL_LAUNCH(ctx, (square_sums_kernel<T>), chunks, REEL_BLOCK, BLOCK_SUM_BYTES,
                             reel__at<T>(x), x->shape[0], reel__at<double>(sums)))
}

/* One block: thread t adds the chunks t, t + REEL_BLOCK, ... */
REEL_GLOBAL clip_kernel(const double *sums, int64_t chunks, double max_norm, reel__fault raised, double *clip,
                        reel__fault *fault) {
    REEL_SHARED(double, scratch);
    double sum = 0;
    for (int64_t i = threadIdx.x; i < chunks; i += REEL_BLOCK)
        sum += sums[i];
    const double norm = sqrt(reel__block_sum(sum, scratch));
    if (threadIdx.x != 0)
        return;
    const double scale = max_norm / (norm + REEL__CLIP_EPS);
    clip[REEL__CLIP_NORM] = norm;
    clip[REEL__CLIP_SCALE] = max_norm > 0 && scale < 1 ? scale : 1;
    if (isfinite(norm))
        clip[REEL__CLIP_TAKEN] = norm;
    else if (!fault->raised)
        *fault = raised;
}

void reel__cuda_clip(const reel_context *ctx, const reel_tensor *sums, double max_norm, reel_tensor *clip) {
    const reel__fault raised = {1,
                                REEL_ERROR_NOT_FINITE,
                                "optimizer",
                                "the norm of the gradient is not finite; the step is left out",
                                {}};
    REEL_LAUNCH(ctx, clip_kernel, 1, REEL_BLOCK, BLOCK_SUM_BYTES, reel__at<double>(sums), sums->shape[0],
                max_norm, raised, reel__at<double>(clip), reel__device_fault(ctx));
}

/* ---- the average --------------------------------------------------------------------------------------- */

struct exchange_element {
    template <class T> REEL_MEMBER void operator()(T &a, T &b) const {
        const T value = a;
        a = b;
        b = value;
    }
};

void reel__cuda_exchange(const reel_context *ctx, reel_tensor *a, reel_tensor *b) {
    REEL_BY_WIDE(a->dtype, T, reel__elements<2, T, T>::map(ctx, exchange_element(), {a, b}))
}
