/* Philox 4x32-10 (Salmon et al. 2011), as one function that vectorises: reel_random_bits (random.c) and
 * kernels that draw many blocks at once share it. */
#ifndef REEL_PHILOX_H
#define REEL_PHILOX_H

#include <reel/tensor.h>

enum { REEL__PHILOX_ROUNDS = 10 };
#define REEL__PHILOX_WEYL_0 0x9E3779B9u
#define REEL__PHILOX_WEYL_1 0xBB67AE85u

typedef struct reel__philox_key {
    uint32_t word[2];
} reel__philox_key;

/* The seed, its upper half mixed with the stream. The counter is (block, step, index). */
static inline reel__philox_key reel__philox_key_of(uint64_t seed, reel_draw draw) {
    return (reel__philox_key){{(uint32_t)seed, (uint32_t)(seed >> 32) ^ draw.stream * REEL__PHILOX_WEYL_0}};
}

/* The four words of a block, in the places of the counter. */
static inline void reel__philox(reel__philox_key key, uint32_t *c0, uint32_t *c1, uint32_t *c2,
                                uint32_t *c3) {
#pragma GCC unroll 10
    for (int round = 0; round < REEL__PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * *c0, p1 = (uint64_t)0xCD9E8D57u * *c2;
        *c0 = (uint32_t)(p1 >> 32) ^ *c1 ^ key.word[0];
        *c1 = (uint32_t)p1;
        *c2 = (uint32_t)(p0 >> 32) ^ *c3 ^ key.word[1];
        *c3 = (uint32_t)p0;
        key.word[0] += REEL__PHILOX_WEYL_0;
        key.word[1] += REEL__PHILOX_WEYL_1;
    }
}

#endif
