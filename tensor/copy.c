/* Values between tensors, and between host and device: on whatever device a context has. */
#include "context.h"

/* copy_values, fill_values, write_values and read_values, each by what the context computes on. */
#ifdef REEL_CUDA_BACKEND
#define BY_BACKEND(ctx, name, args)                                                                          \
    ((ctx)->backend == REEL__CUDA ? reel__cuda_##name args : reel__cpu_##name args)
#else
#define BY_BACKEND(ctx, name, args) reel__cpu_##name args
#endif

void reel__copy_values(reel_context *ctx, reel_tensor *dst, const reel_tensor *src, bool accumulate) {
    BY_BACKEND(ctx, copy_values, (ctx, dst, src, accumulate));
}

void reel__fill_values(reel_context *ctx, reel_tensor *dst, double value) {
    BY_BACKEND(ctx, fill_values, (ctx, dst, value));
}

void reel__write_values(reel_context *ctx, reel_tensor *dst, const reel_tensor *host) {
    BY_BACKEND(ctx, write_values, (ctx, dst, host));
}

void reel__read_values(reel_context *ctx, reel_tensor *host, const reel_tensor *src) {
    BY_BACKEND(ctx, read_values, (ctx, host, src));
}

void reel__cpu_write_values(reel_context *ctx, reel_tensor *dst, const reel_tensor *host) {
    reel__cpu_copy_values(ctx, dst, host, false);
}

void reel__cpu_read_values(reel_context *ctx, reel_tensor *host, const reel_tensor *src) {
    reel__cpu_copy_values(ctx, host, src, false);
}
