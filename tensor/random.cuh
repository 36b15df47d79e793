/* Random bits in kernels: those of random.c. The rounds of Philox are cuRAND's where nvcc compiles, for GPU
 * and host, and written out in the simulator. */
#ifndef REEL_RANDOM_CUH
#define REEL_RANDOM_CUH

#include "device.cuh"

enum { REEL__RANDOM_WORDS = 4 /* in a block */ };
constexpr uint32_t reel__weyl[2] = {0x9E3779B9u, 0xBB67AE85u};

struct reel__random_block {
    uint32_t word[REEL__RANDOM_WORDS];
};

#ifdef __CUDACC__
#define REEL_HOST_DEVICE static __host__ __device__ __forceinline__
#define QUALIFIERS       REEL_HOST_DEVICE
#include <curand_philox4x32_x.h>

REEL_HOST_DEVICE reel__random_block reel__philox(reel__random_block c, uint32_t key0, uint32_t key1) {
    const uint4 words =
        curand_Philox4x32_10(make_uint4(c.word[0], c.word[1], c.word[2], c.word[3]), make_uint2(key0, key1));
    return {{words.x, words.y, words.z, words.w}};
}

#else
#define REEL_HOST_DEVICE REEL_DEVICE

REEL_HOST_DEVICE reel__random_block reel__philox(reel__random_block c, uint32_t key0, uint32_t key1) {
    const int rounds = 10;
    const uint64_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
    for (int round = 0; round < rounds; round++) {
        const uint64_t p0 = multiplier[0] * c.word[0], p1 = multiplier[1] * c.word[2];
        c = {{(uint32_t)(p1 >> 32) ^ c.word[1] ^ key0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c.word[3] ^ key1,
              (uint32_t)p0}};
        key0 += reel__weyl[0];
        key1 += reel__weyl[1];
    }
    return c;
}
#endif

/* As reel_random_bits. */
REEL_HOST_DEVICE reel__random_block reel__random_bits(uint64_t seed, reel_draw draw, uint32_t block) {
    const uint32_t key1 = (uint32_t)(seed >> 32) ^ draw.stream * reel__weyl[0];
    return reel__philox({{block, draw.step, (uint32_t)draw.index, (uint32_t)(draw.index >> 32)}},
                        (uint32_t)seed, key1);
}

#endif
