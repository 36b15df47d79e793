/* CUDA kernel of rotary position embedding. */
#include "kernels.cuh"

/* T tokens, H heads, d = 2 half the head size. A row is one head of one token. */
struct rotary_job {
    reel__walk<1> rows; /* x (..., T, H, d) without its last axis */
    int64_t T, H;
    int half, inverse, accumulate;
};

/* One pair of elements, or the transpose of that. */
template <class T, class real>
REEL_DEVICE void rotate(const rotary_job &job, T a, T b, real cos_a, real cos_b, real sin_a, real sin_b,
                        T &y_a, T &y_b) {
    const real p = reel__load(a), q = reel__load(b);
    const real to_a = job.inverse ? p * cos_a + q * sin_b : p * cos_a - q * sin_a;
    const real to_b = job.inverse ? q * cos_b - p * sin_a : q * cos_b + p * sin_b;
    reel__store(&y_a, job.accumulate ? reel__load(y_a) + to_a : to_a);
    reel__store(&y_b, job.accumulate ? reel__load(y_b) + to_b : to_b);
}

/* One thread per N pairs: N neighbours in the first half of a row and those that they are paired with in the
 * second. The threads of a row are neighbours. */
template <class T, int N>
REEL_GLOBAL rotary_kernel(rotary_job job, const reel__real_of<T> *cosine, const reel__real_of<T> *sine,
                          T *y) {
    using pack = reel__pack<T, N>;
    using reals = reel__pack<reel__real_of<T>, N>;
    const int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    const int packs = job.half / N, at = (int)(index % packs) * N;
    const int64_t row = index / packs, position = row / job.H % job.T;
    if (row >= job.rows.count)
        return;
    int64_t offset;
    reel__offsets(job.rows, row, &offset);
    const T *x = static_cast<const T *>(job.rows.data[0]) + offset + at;
    const int64_t entry = position * 2 * job.half + at;
    const pack a = *reinterpret_cast<const pack *>(x), b = *reinterpret_cast<const pack *>(x + job.half);
    const reals cos_a = *reinterpret_cast<const reals *>(cosine + entry);
    const reals cos_b = *reinterpret_cast<const reals *>(cosine + entry + job.half);
    const reals sin_a = *reinterpret_cast<const reals *>(sine + entry);
    const reals sin_b = *reinterpret_cast<const reals *>(sine + entry + job.half);
    pack *const to_a = reinterpret_cast<pack *>(y + row * 2 * job.half + at);
    pack *const to_b = reinterpret_cast<pack *>(y + row * 2 * job.half + at + job.half);
    pack y_a = job.accumulate ? *to_a : a, y_b = job.accumulate ? *to_b : b;
    for (int i = 0; i < N; i++)
        rotate(job, a.at[i], b.at[i], cos_a.at[i], cos_b.at[i], sin_a.at[i], sin_b.at[i], y_a.at[i],
               y_b.at[i]);
    *to_a = y_a;
    *to_b = y_b;
}

/* Whether packs can be read and written in both halves of every row of x and y and in the tables. */
static bool is_packed(const reel_tensor *x, int64_t half, const void *cosine, const void *sine,
                      const reel_tensor *y) {
    const void *const data[] = {x->data, y->data, cosine, sine};
    for (const void *each : data)
        if ((uintptr_t)each % 16 != 0)
            return false;
    for (int axis = 0; axis < x->rank - 1; axis++)
        if (x->shape[axis] > 1 && x->stride[axis] % REEL__PACK != 0)
            return false;
    return half % REEL__PACK == 0;
}

template <class T>
static void launch_rotary(const reel_context *ctx, const rotary_job &job, int packed,
                          const reel_tensor *cosine, const reel_tensor *sine, reel_tensor *y) {
    using real = reel__real_of<T>;
    const real *cosines = reel__at<real>(cosine), *sines = reel__at<real>(sine);
    const int64_t pairs = job.rows.count * job.half;
    if (packed)
        REEL_LAUNCH(ctx, (rotary_kernel<T, REEL__PACK>), reel__blocks(pairs / REEL__PACK, REEL_BLOCK),
                    REEL_BLOCK, 0, job, cosines, sines, reel__at<T>(y));
    else
        REEL_LAUNCH(ctx, (rotary_kernel<T, 1>), reel__blocks(pairs, REEL_BLOCK), REEL_BLOCK, 0, job, cosines,
                    sines, reel__at<T>(y));
}

void reel__cuda_rotary(const reel_context *ctx, const reel_tensor *x, const reel_tensor *cosine,
                       const reel_tensor *sine, int inverse, reel_tensor *y, int accumulate) {
    if (reel_elements(x) == 0)
        return;
    reel_tensor rows = *x;
    rows.rank--;
    const reel_tensor *const walked[] = {&rows};
    const int64_t *const last = x->shape + x->rank;
    const rotary_job job = {reel__walk_of<1>(walked), last[-3], last[-2],
                            (int)(last[-1] / 2),      inverse,  accumulate};
    const int packed = is_packed(x, job.half, cosine->data, sine->data, y);
    REEL_BY_FLOAT(x->dtype, T, launch_rotary<T>(ctx, job, packed, cosine, sine, y))
}
