/* CUDA kernel of sign-SGD on rows. */
#include "kernels.cuh"
#include "optim_kernels.h"

/* Whether example i is the first of those with its id; in every thread of the block. */
REEL_DEVICE bool names_first(const int32_t *ids, int64_t i, int *scratch) {
    int before = 0;
    for (int64_t j = threadIdx.x; j < i; j += REEL_BLOCK)
        before += ids[j] == ids[i];
    return reel__block_sum(before, scratch) == 0;
}

/* One block per example. That of the first example with an id takes the row: thread t its columns t,
 * t + REEL_BLOCK, ..., adding up all examples with the id in order. */
template <class T>
REEL_GLOBAL sign_sgd_kernel(T *table, int64_t rows, const int32_t *ids, int64_t examples, const T *gradient,
                            int64_t width, const double *rates) {
    REEL_SHARED(int, scratch);
    const T lr = (T)rates[REEL__SIGN_LR], decay = (T)rates[REEL__SIGN_DECAY];
    const int64_t example = blockIdx.x, row = ids[example];
    if (!names_first(ids, example, scratch) || row < 0 || row >= rows) /* the same in every thread */
        return;
    for (int64_t k = threadIdx.x; k < width; k += REEL_BLOCK) {
        T sum = 0;
        for (int64_t i = example; i < examples; i++)
            if (ids[i] == row)
                sum += gradient[i * width + k];
        if (isfinite(sum))
            table[row * width + k] = decay * table[row * width + k] - lr * (T)((sum > 0) - (sum < 0));
    }
}

/* One block: the first example whose id names no row or whose gradient is not finite raises a fault. Thread t
 * looks at the examples t, t + REEL_BLOCK, ... */
template <class T>
REEL_GLOBAL sign_sgd_check_kernel(int64_t rows, const int32_t *ids, int64_t examples, const T *gradient,
                                  int64_t width, reel__fault no_row, reel__fault not_finite,
                                  reel__fault *fault) {
    REEL_SHARED(int64_t, first);
    int64_t wrong = examples;
    for (int64_t i = threadIdx.x; i < examples && wrong == examples; i += REEL_BLOCK) {
        bool right = ids[i] >= 0 && ids[i] < rows;
        for (int64_t k = 0; k < width && right; k++)
            right = isfinite(gradient[i * width + k]);
        wrong = right ? wrong : i;
    }
    first[threadIdx.x] = wrong;
    reel__barrier();
    if (threadIdx.x != 0)
        return;
    for (int t = 1; t < REEL_BLOCK; t++)
        wrong = first[t] < wrong ? first[t] : wrong;
    if (wrong == examples || fault->raised)
        return;
    *fault = ids[wrong] >= 0 && ids[wrong] < rows ? not_finite : no_row;
    fault->value[0] = wrong;
    fault->value[1] = ids[wrong];
    fault->value[2] = rows;
}

template <class T>
static void sign_sgd(const reel_context *ctx, reel_tensor *table, const reel_tensor *ids,
                     const reel_tensor *gradient, const reel_tensor *rates) {
    const reel__fault no_row = {
        1, REEL_ERROR_ARGUMENT, "sign_sgd", "ids[%lld] is %lld, the table has %lld rows", {}};
    const reel__fault not_finite = {1,
                                    REEL_ERROR_NOT_FINITE,
                                    "sign_sgd",
                                    "the gradient of example %lld (row %lld of %lld) is not finite",
                                    {}};
    const int64_t rows = table->shape[0], width = table->shape[1], examples = ids->shape[0];
    REEL_LAUNCH(ctx, (sign_sgd_check_kernel<T>), 1, REEL_BLOCK, REEL_BLOCK * sizeof(int64_t), rows,
                reel__at<int32_t>(ids), examples, reel__at<T>(gradient), width, no_row, not_finite,
                reel__device_fault(ctx));
    REEL_LAUNCH(ctx, (sign_sgd_kernel<T>), (unsigned)examples, REEL_BLOCK,
                REEL_BLOCK / REEL_WARP * sizeof(int), reel__at<T>(table), rows, reel__at<int32_t>(ids),
                examples, reel__at<T>(gradient), width, reel__at<double>(rates));
}

void reel__cuda_sign_sgd_rows(reel_context *ctx, reel_tensor *table, const reel_tensor *ids,
                              const reel_tensor *gradient, const reel_tensor *rates) {
    REEL_BY_WIDE(table->dtype, T, sign_sgd<T>(ctx, table, ids, gradient, rates))
}
