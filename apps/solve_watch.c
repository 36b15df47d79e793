#include "solve_watch.h"

#include <reel/autograd.h>
#include <reel/batches.h>
#include <reel/ops.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER /* the first latent state */ };

/* ---- thinking ---------------------------------------------------------------------------------------- */

static reel_status thoughts_new(thoughts *t, const reel_model *model, reel_error *error) {
    *t = (thoughts){.steps = reel_model_config_of(model)->halt_max_steps,
                    .latents = reel_model_latent_count(model),
                    .cells = reel_model_config_of(model)->seq_len};
    t->decoded = calloc((size_t)(t->steps * t->latents), (size_t)t->cells * sizeof *t->decoded);
    t->halting = calloc((size_t)t->steps, sizeof *t->halting);
    if (t->decoded && t->halting)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_MEMORY, "no memory left to watch %" PRId64 " steps", t->steps);
}

void thoughts_free(thoughts *t) {
    free(t->decoded);
    free(t->halting);
}

/* What latent `latent` decodes to after step `step`, counted from 0. */
static const int32_t *thoughts_at(const thoughts *t, int64_t step, int64_t latent) {
    return t->decoded + (step * t->latents + latent) * t->cells;
}

const int32_t *thoughts_answer(const thoughts *t) {
    return thoughts_at(t, t->steps - 1, ANSWER);
}

bool thoughts_is_right(const thoughts *t, const watch_puzzle *puzzle) {
    const int32_t *const answer = thoughts_answer(t);
    for (int64_t i = 0; i < t->cells; i++) {
        if (puzzle->right[i] != REEL_BATCH_LABEL_IGNORED && puzzle->right[i] != answer[i])
            return false;
    }
    return true;
}

/* Reads the logits' best tokens; what cannot be read is an error that the context keeps. */
static void read_tokens(reel_context *ctx, reel_tensor *logits, int32_t *tokens, int64_t cells) {
    reel_tensor *best = reel_argmax(ctx, logits, (const int[]){-1}, 1, 0);
    reel_read(ctx, best, tokens, (size_t)cells * sizeof *tokens);
}

/* One step of a carry of one row. */
static void record_step(thoughts *t, reel_context *ctx, const reel_model *model, reel_carry *carry,
                        int64_t step) {
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    const reel_act_result r = reel_act_step(ctx, model, carry, REEL_ACT_EVALUATE);
    for (int64_t i = 0; i < t->latents; i++) {
        reel_tensor *logits = reel_model_decode(ctx, model, r.outputs.latents.z[i]);
        read_tokens(ctx, logits, t->decoded + (step * t->latents + i) * t->cells, t->cells);
    }
    t->halting[step] = 1 / (1 + exp(-reel_item(ctx, r.outputs.q_halt)));
    reel_scope_end(ctx, scope, NULL, 0);
}

static reel_status think(thoughts *t, reel_context *ctx, const reel_model *model, const watch_puzzle *puzzle,
                         const int32_t *labels, reel_error *error) {
    reel_carry *const carry = reel_carry_new(ctx, model, 1);
    if (carry)
        reel_carry_offer(ctx, carry, puzzle->inputs, labels, &puzzle->puzzle_identifier);
    for (int64_t step = 0; reel_context_status(ctx) == REEL_OK && step < t->steps; step++)
        record_step(t, ctx, model, carry, step);
    reel_carry_free(ctx, carry);
    const reel_status status = reel_context_status(ctx);
    if (status != REEL_OK)
        reel_fail(error, status, "%s", reel_context_message(ctx));
    reel_tape_reset(ctx);
    return status;
}

reel_status thoughts_record(thoughts *t, reel_context *ctx, const reel_model *model,
                            const watch_puzzle *puzzle, reel_error *error) {
    reel_status status = thoughts_new(t, model, error);
    if (status != REEL_OK)
        return status;
    int32_t *const labels = malloc((size_t)t->cells * sizeof *labels);
    if (!labels)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory left for a puzzle of %" PRId64 " cells",
                         t->cells);
    for (int64_t i = 0; i < t->cells; i++) /* the model's answer does not depend on them */
        labels[i] = REEL_BATCH_LABEL_IGNORED;
    status = think(t, ctx, model, puzzle, labels, error);
    free(labels);
    return status;
}

/* ---- showing ----------------------------------------------------------------------------------------- */

/* The first step after which the answer never changes. */
static int64_t settled_step(const thoughts *t) {
    int64_t step = t->steps - 1;
    const size_t bytes = (size_t)t->cells * sizeof *t->decoded;
    while (step > 0 && memcmp(thoughts_at(t, step, ANSWER), thoughts_at(t, step - 1, ANSWER), bytes) == 0)
        step--;
    return step;
}

static void show_step(FILE *out, const thoughts *t, grid_shape shape, const watch_puzzle *puzzle,
                      watch_depth depth, int64_t step) {
    grid_view views[REEL_MAX_LATENTS] = {0};
    const int count = depth == WATCH_LATENTS ? (int)t->latents : 1;
    for (int i = 0; i < count; i++) {
        views[i].tokens = thoughts_at(t, step, i);
        views[i].question = puzzle->inputs;
        if (step > 0)
            views[i].before = thoughts_at(t, step - 1, i);
        else
            views[i].before = i == ANSWER ? puzzle->inputs : views[i].tokens; /* a first z changes nothing */
    }
    views[ANSWER].right = puzzle->right;
    fprintf(out, "\nstep %" PRId64 ", halting probability %.3f\n", step + 1, t->halting[step]);
    grid_draw(out, shape, views, count, grid_style_for(out));
}

void thoughts_show(FILE *out, const thoughts *t, grid_shape shape, const watch_puzzle *puzzle,
                   watch_depth depth) {
    const grid_style style = grid_style_for(out);
    const grid_view question = {.tokens = puzzle->inputs, .question = puzzle->inputs};
    const int64_t settled = settled_step(t);
    grid_draw(out, shape, &question, 1, style);
    if (depth == WATCH_LATENTS && t->latents > 1)
        fputs("\nThe model thinks. After each supervision step: its answer y and, beside it, z, read by the "
              "same "
              "output head ",
              out);
    else
        fputs("\nThe model thinks, one board per supervision step ", out);
    grid_legend(out, shape, style);
    fputc('\n', out);
    for (int64_t step = 0; step <= settled; step++)
        show_step(out, t, shape, puzzle, depth, step);
    if (settled + 1 < t->steps)
        fprintf(out,
                "\nsteps %" PRId64 " to %" PRId64 " do not change the answer, halting probability at the end "
                "%.3f\n",
                settled + 2, t->steps, t->halting[t->steps - 1]);
}
