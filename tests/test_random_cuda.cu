/* The random bits of kernels are those of the CPU. Runs on the host, with cuRAND's rounds where nvcc
 * compiles. */
#include "random.cuh"

#include <stdio.h>

int main(void) {
    const uint64_t seeds[] = {0, 1, 0x0123456789abcdefull, UINT64_MAX};
    const reel_draw draws[] = {{0, 0, 0}, {REEL_STREAM_DROPOUT, 5, 9}, {UINT32_MAX, UINT64_MAX, UINT32_MAX}};
    int failed = 0;
    for (const uint64_t seed : seeds)
        for (const reel_draw &draw : draws)
            for (uint32_t block = UINT32_MAX - 500; block != 500; block++) {
                uint32_t words[REEL__RANDOM_WORDS];
                reel_random_bits(seed, draw, block, words);
                const reel__random_block bits = reel__random_bits(seed, draw, block);
                failed += memcmp(words, bits.word, sizeof words) != 0;
            }
    if (failed > 0)
        fprintf(stderr, "test_random_cuda: %d blocks differ from reel_random_bits\n", failed);
    return failed > 0;
}
