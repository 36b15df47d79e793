/* A model thinks about one puzzle, and people watch. */
#ifndef SOLVE_WATCH_H
#define SOLVE_WATCH_H

#include "grid.h"

#include <reel/act.h>

#include <stdbool.h>

typedef struct watch_puzzle {
    const int32_t *inputs; /* (S) tokens */
    const int32_t *right;  /* (S) the solution, NULL: not known */
    int32_t puzzle_identifier;
} watch_puzzle;

/* What a model thought: what the output head reads in every latent state after every supervision step. */
typedef struct thoughts {
    int64_t steps, latents, cells; /* cells is S */
    int32_t *decoded;              /* (steps, latents, S) tokens; of latent 0, the answer */
    double *halting;               /* (steps): the halting probability, sigmoid(q_halt) */
} thoughts;

/* Lets the model take all its supervision steps. *t is freed by thoughts_free, after an error too. */
reel_status thoughts_record(thoughts *t, reel_context *ctx, const reel_model *model,
                            const watch_puzzle *puzzle, reel_error *error);
void thoughts_free(thoughts *t);

/* The answer in the end. */
const int32_t *thoughts_answer(const thoughts *t);

/* Whether the answer in the end has every labelled cell of puzzle->right, which is not NULL. */
bool thoughts_is_right(const thoughts *t, const watch_puzzle *puzzle);

/* How much is shown: the answer, or every latent state beside it (figure 6 of arXiv 2510.04871). */
typedef enum watch_depth { WATCH_ANSWER, WATCH_LATENTS } watch_depth;

/* Draws the puzzle, then what the model thought at each step up to the last that changed the answer, with the
 * halting probability and the changed cells marked, and the wrong ones where the solution is known. */
void thoughts_show(FILE *out, const thoughts *t, grid_shape shape, const watch_puzzle *puzzle,
                   watch_depth depth);

#endif
