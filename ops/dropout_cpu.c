/* CPU kernel of dropout. */
#ifndef REAL

#include "kernels.h"
#include "loop.h"
#include "philox.h"
#include "rows.h"

enum {
    WORDS = 4,   /* in a block of random bits */
    BLOCKS = 16, /* made at once, side by side in vectors */
};

typedef struct dropout_job {
    const void *x;
    void *y;
    int64_t n;
    reel__philox_key key;
    reel_draw draw;
    uint32_t last_dropped; /* a word up to it drops its element */
    double scale;
    int accumulate;
} dropout_job;

/* The words of the blocks from `first` on, one block behind the other. */
static void draw_blocks(const dropout_job *job, uint32_t first, uint32_t words[BLOCKS * WORDS]) {
    uint32_t word[WORDS][BLOCKS];
#pragma omp simd
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint32_t c0 = first + i, c1 = job->draw.step;
        uint32_t c2 = (uint32_t)job->draw.index, c3 = (uint32_t)(job->draw.index >> 32);
        reel__philox(job->key, &c0, &c1, &c2, &c3);
        word[0][i] = c0;
        word[1][i] = c1;
        word[2][i] = c2;
        word[3][i] = c3;
    }
    for (int i = 0; i < BLOCKS; i++)
        for (int k = 0; k < WORDS; k++)
            words[i * WORDS + k] = word[k][i];
}

#define REEL_EACH_FLOAT "dropout_cpu.c"
#include "each_float.h"

void REEL_CPU(dropout)(const reel_context *ctx, const reel_tensor *x, double p, reel_draw draw,
                       reel_tensor *y, int accumulate) {
    const double words = 4294967296.0; /* u = word / 2^32, so u >= p is word >= p 2^32 */
    dropout_job job = {.x = x->data, .y = y->data, .n = reel_elements(x), .draw = draw};
    job.key = reel__philox_key_of(ctx->seed, draw);
    job.last_dropped = (uint32_t)((uint64_t)ceil(p * words) - 1); /* p is more than 0 */
    job.scale = p < 1 ? 1 / (1 - p) : 0;
    job.accumulate = accumulate;
    reel__parallel_for(ctx, (job.n + WORDS - 1) / WORDS, reel__rows_per_piece(WORDS),
                       BY_DTYPE(x->dtype, dropout_blocks), &job);
}

#else /* the template */

/* Elements 4 begin .. 4 end - 1, one block of random bits for four of them. */
static void NAME(dropout_blocks)(int64_t begin, int64_t end, void *arg) {
    const dropout_job *job = (const dropout_job *)arg;
    const STORED *REEL_RESTRICT x = (const STORED *)job->x;
    STORED *REEL_RESTRICT y = (STORED *)job->y;
    const REAL scale = (REAL)job->scale;
    const int64_t last = end * WORDS < job->n ? end * WORDS : job->n;
    for (int64_t first = begin * WORDS; first < last; first += BLOCKS * WORDS) {
        uint32_t words[BLOCKS * WORDS];
        draw_blocks(job, (uint32_t)(first / WORDS), words);
        const int64_t n = last - first < BLOCKS * WORDS ? last - first : BLOCKS * WORDS;
        for (int64_t i = 0; i < n; i++) {
            const REAL kept = words[i] > job->last_dropped ? LOAD(x + first + i) * scale : 0;
            STORE(y + first + i, job->accumulate ? LOAD(y + first + i) + kept : kept);
        }
    }
}

#endif
