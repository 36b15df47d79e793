/* A model of some thousand weights, trained for some steps in a context of its own. */
#ifndef TINY_TRAINING_H
#define TINY_TRAINING_H

#include <reel/act.h>
#include <reel/autograd.h>
#include <reel/model.h>
#include <reel/ops.h>
#include <reel/optim.h>
#include <reel/tensor.h>

#include <stdbool.h>
#include <stdlib.h>

enum {
    TINY_ROWS = 6,
    TINY_CELLS = 8,
    TINY_VOCABULARY = 5,
    TINY_PUZZLES = 9,
    TINY_STEPS = 6,
    TINY_MOST_STEPS = 200
};

typedef struct tiny_training {
    const char *arch;
    bool mlp_t;
    reel_dtype dtype;
    reel_device device;
    int threads;
    int steps; /* 0: TINY_STEPS */
    uint64_t seed;
    /* What comes of it: the weights and the EMA, on the C heap, and the sums of the last step. */
    double *weights, *ema;
    int64_t count;
    double metrics[REEL_METRIC_KINDS];
    double loss[TINY_MOST_STEPS]; /* of each step, the mean over the answers */
    reel_error error;
} tiny_training;

static inline reel_model *tiny_model(reel_context *ctx, const tiny_training *t) {
    reel_model_config config = reel_model_config_default(t->arch);
    config.seq_len = TINY_CELLS;
    config.vocab_size = TINY_VOCABULARY;
    config.num_puzzle_identifiers = TINY_PUZZLES;
    config.hidden_size = config.puzzle_emb_ndim = 16;
    config.num_heads = 2;
    config.puzzle_emb_len = 1;
    config.round_width = 16;
    config.H_cycles = config.L_cycles = 2;
    config.halt_max_steps = 3;
    config.mlp_t = t->mlp_t;
    config.forward_dtype = t->dtype;
    return reel_model_new(ctx, &config);
}

/* The puzzles of a step, which differ from seed to seed. */
static inline void tiny_offer(reel_context *ctx, reel_carry *carry, const tiny_training *t, int step) {
    int32_t inputs[TINY_ROWS * TINY_CELLS], labels[TINY_ROWS * TINY_CELLS], identifiers[TINY_ROWS];
    for (int i = 0; i < TINY_ROWS * TINY_CELLS; i++) {
        inputs[i] = (int32_t)(i * 3 + i * i * step + (int)t->seed) % TINY_VOCABULARY;
        labels[i] = (int32_t)(i + step) % TINY_VOCABULARY;
    }
    for (int i = 0; i < TINY_ROWS; i++)
        identifiers[i] = (i + step) % TINY_PUZZLES;
    reel_carry_offer(ctx, carry, inputs, labels, identifiers);
}

static inline void tiny_step(reel_context *ctx, reel_model *model, reel_optimizer *optimizer,
                             reel_carry *carry, tiny_training *t, int step) {
    tiny_offer(ctx, carry, t, step);
    const reel_act_result result = reel_act_step(ctx, model, carry, (uint32_t)step, REEL_ACT_TRAIN);
    reel_backward(ctx, result.loss);
    reel_optimizer_step(optimizer, 1e-3);
    reel_sign_sgd_rows(ctx, reel_model_puzzle_embeddings(model), carry->puzzle_identifiers,
                       reel_grad(ctx, carry->puzzle_rows), 1e-2, 0.1);
    reel_read(ctx, reel_cast(ctx, result.metrics, REEL_F64), t->metrics, sizeof t->metrics);
    t->loss[step - 1] = t->metrics[REEL_METRIC_LM_LOSS] / TINY_ROWS;
}

/* A copy as double, which holds every bit. */
static inline double *tiny_copy(reel_context *ctx, reel_tensor *from) {
    const size_t bytes = (size_t)reel_elements(from) * sizeof(double);
    double *const to = malloc(bytes);
    if (to)
        reel_read(ctx, reel_cast(ctx, from, REEL_F64), to, bytes);
    else
        reel_context_fail(ctx, REEL_ERROR_MEMORY, "no memory for a copy");
    return to;
}

/* Builds, trains and frees everything but *t's results. An error stands in t->error. */
static inline reel_status tiny_train(tiny_training *t) {
    const reel_context_options options = {.device = t->device, .threads = t->threads, .seed = t->seed};
    const reel_optimizer_options how = {.beta1 = 0.9, .beta2 = 0.95, .weight_decay = 0.1, .ema_rate = 0.9};
    reel_context *ctx;
    reel_status status = reel_context_new(&ctx, &options, &t->error);
    if (status != REEL_OK)
        return status;
    reel_model *const model = tiny_model(ctx, t);
    if (model) {
        reel_optimizer *const optimizer = reel_optimizer_new(reel_model_parameters(model), &how);
        reel_carry *const carry = reel_carry_new(ctx, model, TINY_ROWS);
        const int steps = t->steps ? t->steps : TINY_STEPS;
        for (int step = 1; carry && step <= steps && status == REEL_OK; step++) {
            tiny_step(ctx, model, optimizer, carry, t, step);
            status = reel_context_status(ctx);
            if (status == REEL_OK)
                reel_tape_reset(ctx);
        }
        reel_tensor *const values = reel_parameters_values(reel_model_parameters(model));
        t->count = reel_elements(values);
        t->weights = tiny_copy(ctx, values);
        if (optimizer)
            t->ema = tiny_copy(ctx, reel_optimizer_state_of(optimizer).ema);
        reel_carry_free(ctx, carry);
        reel_optimizer_free(optimizer);
    }
    status = reel_context_status(ctx);
    if (status != REEL_OK)
        reel_fail(&t->error, status, "%s", reel_context_message(ctx));
    reel_model_free(model);
    reel_context_free(ctx);
    return status;
}

static inline void tiny_free(tiny_training *t) {
    free(t->weights);
    free(t->ema);
    t->weights = t->ema = NULL;
}

#endif
