/* The choices of a build without CUDA. */
#include "gemm_table.h"

reel_status reel__gemm_choices_of(reel__gemm_choices **table, reel_context *ctx, reel_error *error) {
    (void)ctx;
    *table = NULL;
    return reel_fail(error, REEL_ERROR_ARGUMENT, "the CPU has no choices of algorithms");
}
