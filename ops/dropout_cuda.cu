/* CUDA kernel of dropout. */
#include "kernels.cuh"
#include "random.cuh"

struct dropout_rule {
    uint64_t seed;
    reel_draw draw;
    uint64_t threshold; /* a word below it drops its element */
    double scale;
    int accumulate;

    /* y = x [u >= p] / (1 - p), set or added */
    template <class T> REEL_MEMBER void operator()(T &y, T x, uint32_t word) const {
        using real = reel__real_of<T>;
        const real kept = word >= threshold ? reel__load(x) * (real)scale : (real)0;
        reel__store(&y, accumulate ? reel__load(y) + kept : kept);
    }
};

/* One thread per pack of 8 elements, for which it draws two blocks of random bits; the last one takes what is
 * left singly, and so do all where packs cannot be read (PACKED 0). */
template <class T, int PACKED> REEL_GLOBAL dropout_kernel(dropout_rule f, int64_t n, const T *x, T *y) {
    using pack = reel__pack<T, REEL__PACK>;
    const int64_t index = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, first = index * REEL__PACK;
    if (first >= n)
        return;
    reel__random_block bits[REEL__PACK / REEL__RANDOM_WORDS];
    for (int i = 0; i < REEL__PACK / REEL__RANDOM_WORDS; i++)
        bits[i] =
            reel__random_bits(f.seed, f.draw, (uint32_t)(index * (REEL__PACK / REEL__RANDOM_WORDS) + i));
    if (PACKED && first + REEL__PACK <= n) {
        const pack from = reinterpret_cast<const pack *>(x)[index];
        pack to = f.accumulate ? reinterpret_cast<const pack *>(y)[index] : from;
        for (int i = 0; i < REEL__PACK; i++)
            f(to.at[i], from.at[i], bits[i / REEL__RANDOM_WORDS].word[i % REEL__RANDOM_WORDS]);
        reinterpret_cast<pack *>(y)[index] = to;
        return;
    }
    for (int i = 0; i < REEL__PACK && first + i < n; i++)
        f(y[first + i], x[first + i], bits[i / REEL__RANDOM_WORDS].word[i % REEL__RANDOM_WORDS]);
}

template <class T>
static void launch_dropout(const reel_context *ctx, dropout_rule f, const reel_tensor *x, reel_tensor *y) {
    const int64_t n = reel_elements(x);
    const unsigned blocks = reel__blocks(n, (int64_t)REEL__PACK * REEL_BLOCK);
    const T *from = reel__at<T>(x);
    T *to = reel__at<T>(y);
    if ((uintptr_t)from % 16 == 0 && (uintptr_t)to % 16 == 0)
        REEL_LAUNCH(ctx, (dropout_kernel<T, 1>), blocks, REEL_BLOCK, 0, f, n, from, to);
    else
        REEL_LAUNCH(ctx, (dropout_kernel<T, 0>), blocks, REEL_BLOCK, 0, f, n, from, to);
}

void reel__cuda_dropout(const reel_context *ctx, const reel_tensor *x, double p, reel_draw draw,
                        reel_tensor *y, int accumulate) {
    const double words = 4294967296.0; /* u = word / 2^32, so u >= p is word >= p 2^32 */
    if (reel_elements(x) == 0)
        return;
    const dropout_rule f = {ctx->seed, draw, (uint64_t)ceil(p * words), p < 1 ? 1 / (1 - p) : 0, accumulate};
    REEL_BY_FLOAT(x->dtype, T, launch_dropout<T>(ctx, f, x, y))
}
