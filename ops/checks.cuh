/* Checks of what only the device has seen: the first element that is not right raises the context's fault. */
#ifndef REEL_CHECKS_CUH
#define REEL_CHECKS_CUH

#include "kernels.cuh"

enum { REEL__CHECK_THREADS = 1024 };

/* One block, so that the first offender is found without atomics: thread t looks at elements t, t + 1024, ...
 * `right(value)` says what is in order. */
template <class Right>
REEL_GLOBAL __launch_bounds__(REEL__CHECK_THREADS)
    reel__find_wrong(const int32_t *values, int64_t n, Right right, reel__fault fault, reel__fault *raised) {
    REEL_SHARED(int64_t, firsts);
    int64_t first = n;
    for (int64_t i = threadIdx.x; i < n; i += REEL__CHECK_THREADS)
        if (!right(values[i]) && i < first)
            first = i;
    for (int mask = REEL_WARP / 2; mask > 0; mask /= 2) {
        const int64_t other = reel__shuffle_xor(first, mask);
        first = other < first ? other : first;
    }
    if (threadIdx.x % REEL_WARP == 0)
        firsts[threadIdx.x / REEL_WARP] = first;
    reel__barrier();
    if (threadIdx.x != 0)
        return;
    for (int warp = 1; warp < REEL__CHECK_THREADS / REEL_WARP; warp++)
        first = firsts[warp] < first ? firsts[warp] : first;
    if (first == n || raised->raised)
        return;
    fault.value[0] = values[first];
    fault.value[1] = first;
    *raised = fault;
}

/* `format` is given the value, its position and `last`. */
template <class Right>
static void reel__check(const reel_context *ctx, const char *op, const char *format,
                        const reel_tensor *values, int64_t last, Right right) {
    const reel__fault fault = {1, REEL_ERROR_ARGUMENT, op, format, {0, 0, last}};
    const int64_t n = reel_elements(values);
    if (n > 0)
        REEL_LAUNCH(ctx, (reel__find_wrong<Right>), 1, REEL__CHECK_THREADS,
                    REEL__CHECK_THREADS / REEL_WARP * sizeof(int64_t), reel__at<int32_t>(values), n, right,
                    fault, reel__device_fault(ctx));
}

#endif
