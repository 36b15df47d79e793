/* Matrix products of bf16 with f32 sums, by oneDNN, where build and CPU have what makes them fast.
 *
 * oneDNN writes code for a shape and its strides. That takes longer than a small product, so a context keeps
 * the code as plans: an op asks for the plans of its blocks before it starts, and its threads run them. */
#ifndef REEL_GEMM_BF16_H
#define REEL_GEMM_BF16_H

#include "context.h"

/* What the code of c = a b, or c += a b for accumulate, depends on. a (m x k) and b (k x n) are bf16, and one
 * of a matrix's two strides is 1; c (m x n, rows c_row apart) is f32 or bf16, its sums rounded once. All of
 * one type, so that shapes compare as bytes. */
typedef struct reel__bf16_shape {
    int64_t m, n, k, a_row, a_column, b_row, b_column, c_row;
    int64_t c_is_f32, accumulate; /* 0 or 1 */
} reel__bf16_shape;

typedef struct reel__bf16_plan reel__bf16_plan;

/* Whether a CPU context computes products of bf16 here. Where not, they go by way of f32. */
bool reel__bf16_ready(const reel_context *ctx);

/* The plans of n shapes; they live until the next call. False, with the error kept, when memory is short. */
bool reel__bf16_plans(reel_context *ctx, const char *op, int n, const reel__bf16_shape *shapes,
                      const reel__bf16_plan **plans);

/* Bytes of scratch memory, aligned to 64, that running a plan takes. */
size_t reel__bf16_scratch(const reel__bf16_plan *plan);

/* Runs a plan on one of the context's threads. */
void reel__gemm_bf16(const reel_context *ctx, const reel__bf16_plan *plan, const void *a, const void *b,
                     void *c, void *scratch);

#endif
