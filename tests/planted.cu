#include "planted.h"

#include "device.cuh"
#include "mma.cuh"

/* One thread per element; a block reverses its piece through shared memory. */
REEL_GLOBAL reverse_kernel(const float *x, int64_t n, planted_fault fault, float *y) {
    REEL_SHARED(float, piece);
    const int64_t first = (int64_t)blockIdx.x * PLANTED_PIECE, left = n - first;
    const int length = left < PLANTED_PIECE ? (int)left : PLANTED_PIECE, i = (int)threadIdx.x;
    if (fault == PLANTED_EARLY_RETURN && i >= length)
        return;
    if (i < length)
        piece[i] = x[first + i];
    if (fault != PLANTED_NO_BARRIER)
        reel__barrier();
    if (i < length)
        y[first + i] = piece[length - 1 - i];
    else if (fault == PLANTED_NO_GUARD)
        y[first + i] = 0;
}

void planted_reverse(const reel_context *ctx, const reel_tensor *x, reel_tensor *y, planted_fault fault) {
    const int64_t n = reel_elements(x);
    const unsigned pieces =
        reel__blocks(fault == PLANTED_SHORT_TAIL ? n - PLANTED_PIECE + 1 : n, PLANTED_PIECE);
    const size_t shared = (fault == PLANTED_SMALL_SHARED ? PLANTED_PIECE / 2 : PLANTED_PIECE) * sizeof(float);
    REEL_LAUNCH(ctx, reverse_kernel, pieces, PLANTED_PIECE, shared, reel__at<float>(x), n, fault,
                reel__at<float>(y));
}

/* One block of two warps; thread i copies element i of every piece and reads that opposite to it. */
REEL_GLOBAL roll_kernel(const float *x, int64_t n, planted_fault fault, float *y) {
    REEL_SHARED(float, piece);
    const int i = (int)threadIdx.x;
    for (int64_t first = 0; first < n; first += PLANTED_PIECE) {
        const int length = n - first < PLANTED_PIECE ? (int)(n - first) : PLANTED_PIECE;
        reel__copy_async<4>(piece + i, x + (i < length ? first + i : 0), i < length);
        reel__copies_begun();
        if (fault != PLANTED_NO_WAIT)
            reel__wait_for_copies<0>();
        reel__barrier();
        const float opposite = i < length ? piece[length - 1 - i] : 0, sum = reel__warp_sum(opposite);
        if (i < length)
            y[first + i] = sum > 0 ? opposite : 0; /* all are positive */
        if (fault != PLANTED_NO_LAST_BARRIER)
            reel__barrier();
    }
}

void planted_roll(const reel_context *ctx, const reel_tensor *x, reel_tensor *y, planted_fault fault) {
    REEL_LAUNCH(ctx, roll_kernel, 1, PLANTED_PIECE, PLANTED_PIECE * sizeof(float), reel__at<float>(x),
                reel_elements(x), fault, reel__at<float>(y));
}

/* One warp; lane l reads element l. */
REEL_GLOBAL warp_sum_kernel(const float *x, planted_fault fault, float *y) {
    float sum = x[threadIdx.x];
    if (fault != PLANTED_ABSENT_LANE || threadIdx.x < REEL_WARP / 2)
        sum = reel__warp_sum(sum);
    if (threadIdx.x == 0)
        y[0] = sum;
}

void planted_warp_sum(const reel_context *ctx, const reel_tensor *x, reel_tensor *y, planted_fault fault) {
    REEL_LAUNCH(ctx, warp_sum_kernel, 1, REEL_WARP, 0, reel__at<float>(x), fault, reel__at<float>(y));
}
