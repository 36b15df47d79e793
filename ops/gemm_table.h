/* The table behind <reel/gemm_choices.h>: from what the choice of an algorithm depends on to what was chosen,
 * and the table as text. It knows nothing of cuBLASLt: an algorithm is 64 bytes. */
#ifndef REEL_GEMM_TABLE_H
#define REEL_GEMM_TABLE_H

#include "gemm.h"

#include <reel/gemm_choices.h>

/* Like the shape, all of one type, so that questions compare as bytes. */
typedef struct reel__gemm_question {
    reel__gemm_shape shape;
    int64_t a_alignment, b_alignment, c_alignment; /* of the addresses, in bytes */
} reel__gemm_question;

enum {
    REEL__GEMM_WORDS = 8, /* of an algorithm, 64 bits each */
    REEL__GEMM_WORKSPACE_BYTES =
        32 << 20,                   /* the most that an algorithm may use: NVIDIA's advice for Hopper */
    REEL__GEMM_MOST_CHOICES = 4096, /* a model has some dozens; what comes after them is not kept */
};

typedef struct reel__gemm_choice {
    reel__gemm_question of;
    int64_t workspace_bytes;
    uint64_t algorithm[REEL__GEMM_WORDS];
} reel__gemm_choice;

typedef struct reel__gemm_choices {
    char chosen_by[64]; /* the library with its version, and ... */
    const char *gpu;    /* ... for which GPU: other choices are of no use here */
    bool measures;      /* reel_gemm_choices_measure */
    int64_t count;
    reel__gemm_choice *items;
} reel__gemm_choices;

reel__gemm_question reel__gemm_question_of(const reel__gemm_shape *shape, const void *a, const void *b,
                                           const void *c);

/* NULL: none. */
const reel__gemm_choice *reel__gemm_choices_find(const reel__gemm_choices *table,
                                                 const reel__gemm_question *of);

/* Adds a choice for a new question; a full table stays as it is. False without memory. */
bool reel__gemm_choices_add(reel__gemm_choices *table, const reel__gemm_choice *choice);

/* The text of the table, and a table from a text: into an empty one, which stays empty after an error. */
char *reel__gemm_choices_write(const reel__gemm_choices *table);
reel_status reel__gemm_choices_parse(reel__gemm_choices *table, const char *name, const char *text,
                                     size_t bytes, reel_error *error);

/* The context's table, made at the first call; of the CPU none (ARGUMENT). Errors: DEVICE, MEMORY. Written
 * by whoever chooses: gemm_cuda.c, gemm_simulated.c, or gemm_none.c in a build without CUDA. */
reel_status reel__gemm_choices_of(reel__gemm_choices **table, reel_context *ctx, reel_error *error);

#endif
