/* Every kernel, declared once for all backends, and the dispatch to them.
 *
 * A CPU kernel is compiled once per instruction set from the same source; REEL_CPU(name) names it in the
 * build at hand. A CUDA kernel of the same name and arguments stands in NAME_cuda.cu. This header is in the
 * intersection of C and C++, so that both compilers check every definition against it.
 *
 * Kernels trust their arguments: front files have checked them. "row-major" inputs are so; "any" inputs have
 * any strides. `accumulate` means add to what the destination holds. All work on ctx's threads. */
#ifndef REEL_KERNELS_H
#define REEL_KERNELS_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#define REEL_RESTRICT __restrict__
#else
#define REEL_RESTRICT restrict
#endif

#ifdef REEL_X86_ISAS
#define REEL__DECLARE_X86(name, args)                                                                        \
    void reel__avx2_##name args;                                                                             \
    void reel__avx512_##name args;
#define REEL__CALL_X86(name, args)                                                                           \
    case REEL__CPU_AVX2:                                                                                     \
        reel__avx2_##name args;                                                                              \
        break;                                                                                               \
    case REEL__CPU_AVX512:                                                                                   \
        reel__avx512_##name args;                                                                            \
        break;
#else
#define REEL__DECLARE_X86(name, args)
#define REEL__CALL_X86(name, args)
#endif

#ifdef REEL_CUDA_BACKEND
#define REEL__DECLARE_CUDA(name, args) void reel__cuda_##name args;
#define REEL__CALL_CUDA(name, args)                                                                          \
    case REEL__CUDA:                                                                                         \
        reel__cuda_##name args;                                                                              \
        break;
#else
#define REEL__DECLARE_CUDA(name, args)
#define REEL__CALL_CUDA(name, args)
#endif

#define REEL_KERNEL(name, args)                                                                              \
    void reel__cpu_##name args;                                                                              \
    REEL__DECLARE_X86(name, args)                                                                            \
    REEL__DECLARE_CUDA(name, args)

/* Launches a kernel on the context's backend: REEL_DISPATCH(ctx, silu, (ctx, x, y)). Does nothing after an
 * error, so that a rule may launch into gradients that could not be made. */
#define REEL_DISPATCH(ctx, name, args)                                                                       \
    do {                                                                                                     \
        if (reel__failed(ctx))                                                                               \
            break;                                                                                           \
        switch ((ctx)->backend) {                                                                            \
            REEL__CALL_X86(name, args)                                                                       \
            REEL__CALL_CUDA(name, args)                                                                      \
        default:                                                                                             \
            reel__cpu_##name args;                                                                           \
            break;                                                                                           \
        }                                                                                                    \
    } while (0)

/* The name of a kernel in the instruction set being compiled. */
#if defined(REEL_ISA_AVX512)
#define REEL_CPU(name) reel__avx512_##name
#elif defined(REEL_ISA_AVX2)
#define REEL_CPU(name) reel__avx2_##name
#else
#define REEL_CPU(name) reel__cpu_##name
#endif

#include "kernels_arithmetic.h"
#include "kernels_block.h"
#include "kernels_index.h"
#include "kernels_loss.h"
#include "kernels_matmul.h"
#include "kernels_reduce.h"
#include "kernels_unary.h"

#ifdef __cplusplus
}
#endif
#endif
