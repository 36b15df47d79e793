/* What CUDA sources are written in: the CUDA of nvcc, or the same words over the simulator, where the file is
 * compiled as C++ (simulator.h). Nothing else of CUDA is included anywhere.
 *
 * Rules that keep both possible: kernels are REEL_GLOBAL, are launched by REEL_LAUNCH and share memory by
 * REEL_SHARED alone; no thread returns before the last barrier; barriers and exchanges name all of a block or
 * all of a warp. Instructions that C++ cannot say stand here, behind functions with a portable body. */
#ifndef REEL_DEVICE_CUH
#define REEL_DEVICE_CUH

#include "context.h"
#include "device.h"

#include <math.h>
#include <string.h>

enum { REEL_WARP = 32 };
#define REEL_FULL_WARP 0xffffffffu

#ifdef __CUDACC__
/* ---- on a GPU ---------------------------------------------------------------------------------------- */

#include <cuda_runtime.h>

#define REEL_GLOBAL static __global__ void
#define REEL_DEVICE static __device__ __forceinline__
#define REEL_MEMBER __device__ __forceinline__ /* of a functor */
/* Before a loop over what must stay in registers. */
#define REEL_UNROLL _Pragma("unroll")
/* The one array of dynamic shared memory of a block. */
#define REEL_SHARED(type, name)                                                                              \
    extern __shared__ __align__(16) unsigned char reel__shared_bytes[];                                      \
    type *const name = reinterpret_cast<type *>(reel__shared_bytes)

/* Queues a kernel: REEL_LAUNCH(ctx, (kernel<T>), blocks, threads, shared_bytes, arguments...). */
#define REEL_LAUNCH(ctx, kernel, blocks, threads, shared_bytes, ...)                                         \
    do {                                                                                                     \
        reel__allow_shared((const void *)(kernel), shared_bytes);                                            \
        (kernel)<<<blocks, threads, shared_bytes, (cudaStream_t)reel__device_stream(ctx)>>>(__VA_ARGS__);    \
        reel__device_launched(ctx, #kernel);                                                                 \
    } while (0)

/* More than 48 KiB has to be asked for; a refusal shows at the launch. */
static inline void reel__allow_shared(const void *kernel, size_t bytes) {
    const size_t granted_unasked = 48 << 10;
    if (bytes > granted_unasked)
        (void)cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
}

REEL_DEVICE void reel__barrier() {
    __syncthreads();
}
REEL_DEVICE void reel__warp_barrier() {
    __syncwarp();
}
template <class T> REEL_DEVICE T reel__shuffle_xor(T value, int lane_mask) {
    return __shfl_xor_sync(REEL_FULL_WARP, value, lane_mask);
}
template <class T> REEL_DEVICE T reel__shuffle(T value, int lane) {
    return __shfl_sync(REEL_FULL_WARP, value, lane);
}
REEL_DEVICE uint32_t reel__ballot(bool predicate) {
    return __ballot_sync(REEL_FULL_WARP, predicate);
}
/* How many of them are 1. */
REEL_DEVICE int reel__bits(uint32_t bits) {
    return __popc(bits);
}

#else
/* ---- in the simulator ---------------------------------------------------------------------------------- */

#include "simulator.h"

#include <type_traits>

#define REEL_GLOBAL static void
#define REEL_DEVICE static inline __attribute__((unused))
#define REEL_MEMBER inline
#define REEL_UNROLL
#define __launch_bounds__(...)
#define REEL_SHARED(type, name) type *const name = static_cast<type *>(reel__sim_shared())

#define threadIdx (reel__sim_self()->thread)
#define blockIdx  (reel__sim_self()->block)
#define blockDim  (reel__sim_self()->block_size)
#define gridDim   (reel__sim_self()->grid_size)

struct dim3 : reel__place {
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : reel__place{x, y, z} {}
};

/* A kernel with its arguments. */
template <class Body> struct reel__sim_job {
    const char *kernel;
    dim3 blocks, threads;
    size_t shared_bytes;
    Body body;

    static void as_thread(void *job) {
        static_cast<reel__sim_job *>(job)->body();
    }
    static void run(void *argument) {
        auto *const job = static_cast<reel__sim_job *>(argument);
        reel__sim_launch(job->kernel, job->blocks, job->threads, job->shared_bytes, as_thread, job);
    }
};

/* Takes the arguments by value, as a GPU does: in a graph they are those of the time when it was recorded. */
template <class Kernel, class... T>
static inline void reel__sim_run(const reel_context *ctx, const char *name, dim3 blocks, dim3 threads,
                                 size_t shared_bytes, Kernel kernel, T... arguments) {
    auto body = [=] { kernel(arguments...); };
    static_assert(std::is_trivially_copyable<decltype(body)>::value, "arguments of a kernel are bytes");
    reel__sim_job<decltype(body)> job{name, blocks, threads, shared_bytes, body};
    reel__sim_queue(ctx, job.run, &job, sizeof job);
}
#define REEL_LAUNCH(ctx, kernel, blocks, threads, shared_bytes, ...)                                         \
    do {                                                                                                     \
        reel__sim_run(                                                                                       \
            ctx, #kernel, blocks, threads, shared_bytes, [=](auto... each) { (kernel)(each...); },           \
            __VA_ARGS__);                                                                                    \
        reel__device_launched(ctx, #kernel);                                                                 \
    } while (0)

REEL_DEVICE void reel__barrier() {
    reel__sim_barrier();
}
template <class T> REEL_DEVICE T reel__shuffle(T value, int lane) {
    static_assert(sizeof(T) <= REEL__EXCHANGE_BYTES, "a value of an exchange");
    unsigned char all[REEL__WARP][REEL__EXCHANGE_BYTES];
    reel__sim_exchange(REEL_FULL_WARP, &value, sizeof value, all);
    memcpy(&value, all[lane & (REEL_WARP - 1)], sizeof value);
    return value;
}
template <class T> REEL_DEVICE T reel__shuffle_xor(T value, int lane_mask) {
    return reel__shuffle(value, (int)reel__sim_self()->lane ^ lane_mask);
}
REEL_DEVICE uint32_t reel__ballot(bool predicate) {
    unsigned char all[REEL__WARP][REEL__EXCHANGE_BYTES];
    reel__sim_exchange(REEL_FULL_WARP, &predicate, sizeof predicate, all);
    uint32_t votes = 0;
    for (int lane = 0; lane < REEL_WARP; lane++)
        votes |= (uint32_t)(all[lane][0] != 0) << lane;
    return votes;
}
REEL_DEVICE void reel__warp_barrier() {
    (void)reel__ballot(true);
}
REEL_DEVICE int reel__bits(uint32_t bits) {
    return __builtin_popcount(bits);
}
#endif

/* ---- on both ------------------------------------------------------------------------------------------- */

/* The type of the arithmetic on a stored type: float on bf16. */
template <class T> struct reel__real { using type = T; };
template <> struct reel__real<reel_bf16> { using type = float; };
template <class T> using reel__real_of = typename reel__real<T>::type;

REEL_DEVICE double reel__load(double x) {
    return x;
}
REEL_DEVICE float reel__load(float x) {
    return x;
}
REEL_DEVICE float reel__load(reel_bf16 x) {
    const uint32_t bits = (uint32_t)x.bits << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
REEL_DEVICE int32_t reel__load(int32_t x) {
    return x;
}
REEL_DEVICE uint8_t reel__load(uint8_t x) {
    return x;
}

REEL_DEVICE void reel__store(double *at, double x) {
    *at = x;
}
REEL_DEVICE void reel__store(float *at, float x) {
    *at = x;
}
/* Rounds to nearest even; NaN becomes the quiet one. As bf16.h, which is for C. */
REEL_DEVICE void reel__store(reel_bf16 *at, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    at->bits = (uint16_t)(x == x ? rounded : 0x7fc0u);
}
REEL_DEVICE void reel__store(int32_t *at, int32_t x) {
    *at = x;
}
REEL_DEVICE void reel__store(uint8_t *at, uint8_t x) {
    *at = x;
}

/* N elements that are read and written at once, by 16-byte accesses where they are as long. */
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) reel__pack { T at[N]; };

/* The sum over a warp, or another combination by `op`, in every lane: the same bits in each, since the order
 * is the same but for operands exchanged. */
template <class T> REEL_DEVICE T reel__warp_sum(T value) {
    for (int mask = REEL_WARP / 2; mask > 0; mask /= 2)
        value += reel__shuffle_xor(value, mask);
    return value;
}
/* NaN wins. */
template <class T> REEL_DEVICE T reel__larger(T a, T b) {
    return a > b || a != a ? a : b;
}
template <class T> REEL_DEVICE T reel__warp_max(T value) {
    for (int mask = REEL_WARP / 2; mask > 0; mask /= 2)
        value = reel__larger(value, reel__shuffle_xor(value, mask));
    return value;
}

/* The sum over a block of whole warps, in every thread; `scratch` has room for one T per warp. Every thread
 * of the block takes part. */
template <class T> REEL_DEVICE T reel__block_sum(T value, T *scratch) {
    const int warp = (int)threadIdx.x / REEL_WARP, warps = (int)blockDim.x / REEL_WARP;
    value = reel__warp_sum(value);
    if (threadIdx.x % REEL_WARP == 0)
        scratch[warp] = value;
    reel__barrier();
    value = 0;
    for (int i = 0; i < warps; i++)
        value += scratch[i];
    reel__barrier(); /* before the scratch is used again */
    return value;
}

/* ---- launches ------------------------------------------------------------------------------------------ */

enum { REEL_BLOCK = 256 }; /* threads of a block where nothing asks for another number */

/* Blocks for n pieces of work, `each` to a block: at least one, at most what a grid's x axis holds. */
static inline unsigned reel__blocks(int64_t n, int64_t each) {
    const int64_t most = 0x7fffffff, wanted = (n + each - 1) / each;
    return (unsigned)(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

/* Runs the statement with T as the type of a dtype: REEL_BY_FLOAT(x->dtype, T, launch<T>(ctx, x)); */
#define REEL_BY_FLOAT(dtype, T, ...)                                                                         \
    switch (dtype) {                                                                                         \
    case REEL_F64: {                                                                                         \
        using T = double;                                                                                    \
        __VA_ARGS__;                                                                                         \
    } break;                                                                                                 \
    case REEL_F32: {                                                                                         \
        using T = float;                                                                                     \
        __VA_ARGS__;                                                                                         \
    } break;                                                                                                 \
    default: {                                                                                               \
        using T = reel_bf16;                                                                                 \
        __VA_ARGS__;                                                                                         \
    } break;                                                                                                 \
    }
/* Of f64 and f32 alone: what sums, losses and parameters are kept in. */
#define REEL_BY_WIDE(dtype, T, ...)                                                                          \
    if ((dtype) == REEL_F64) {                                                                               \
        using T = double;                                                                                    \
        __VA_ARGS__;                                                                                         \
    } else {                                                                                                 \
        using T = float;                                                                                     \
        __VA_ARGS__;                                                                                         \
    }
#define REEL_BY_DTYPE(dtype, T, ...)                                                                         \
    switch (dtype) {                                                                                         \
    case REEL_I32: {                                                                                         \
        using T = int32_t;                                                                                   \
        __VA_ARGS__;                                                                                         \
    } break;                                                                                                 \
    case REEL_U8: {                                                                                          \
        using T = uint8_t;                                                                                   \
        __VA_ARGS__;                                                                                         \
    } break;                                                                                                 \
    default:                                                                                                 \
        REEL_BY_FLOAT(dtype, T, __VA_ARGS__)                                                                 \
    }

template <class T> static inline T *reel__at(const reel_tensor *t) {
    return t ? static_cast<T *>(t->data) : nullptr;
}

#endif
