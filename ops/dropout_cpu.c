/* CPU kernel of dropout. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"
#include "rows.h"

enum { WORDS = 4 }; /* in a block of random bits */

typedef struct dropout_job {
    const void *x;
    void *y;
    int64_t n;
    uint64_t seed;
    reel_draw draw;
    uint64_t threshold; /* a word below it drops its element */
    double scale;
    int accumulate;
} dropout_job;

#define REEL_EACH_FLOAT "dropout_cpu.c"
#include "each_float.h"

void REEL_CPU(dropout)(const reel_context *ctx, const reel_tensor *x, double p, reel_draw draw,
                       reel_tensor *y, int accumulate) {
    const double words = 4294967296.0; /* u = word / 2^32, so u >= p is word >= p 2^32 */
    dropout_job job = {.x = x->data, .y = y->data, .n = reel_elements(x), .seed = ctx->seed, .draw = draw};
    job.threshold = (uint64_t)ceil(p * words);
    job.scale = p < 1 ? 1 / (1 - p) : 0;
    job.accumulate = accumulate;
    reel__parallel_for(ctx, (job.n + WORDS - 1) / WORDS, reel__rows_per_piece(WORDS),
                       BY_DTYPE(x->dtype, dropout_blocks), &job);
}

#else /* the template */

/* Elements 4 begin .. 4 end - 1, one block of random bits for four of them. */
static void NAME(dropout_blocks)(int64_t begin, int64_t end, void *arg) {
    const dropout_job *job = arg;
    const STORED *REEL_RESTRICT x = job->x;
    STORED *REEL_RESTRICT y = job->y;
    const REAL scale = (REAL)job->scale;
    for (int64_t block = begin; block < end; block++) {
        uint32_t words[WORDS];
        reel_random_bits(job->seed, job->draw, (uint32_t)block, words);
        const int64_t first = block * WORDS, left = job->n - first;
        for (int64_t i = 0; i < (left < WORDS ? left : WORDS); i++) {
            const REAL kept = words[i] >= job->threshold ? LOAD(x + first + i) * scale : 0;
            STORE(y + first + i, job->accumulate ? LOAD(y + first + i) + kept : kept);
        }
    }
}

#endif
