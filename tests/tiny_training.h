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

typedef struct tiny_run tiny_run;

typedef struct tiny_training {
    const char *arch;
    bool mlp_t;
    reel_dtype dtype;
    reel_device device;
    int threads;
    uint64_t seed;
    int steps;                                /* 0: TINY_STEPS */
    bool warms_up;                            /* the learning rates grow with every step */
    bool replay;                              /* by reel_replay */
    void (*between)(tiny_run *run, int step); /* NULL: nothing happens after a step */
    void *arg;                                /* between's */
    /* What comes of it: how often the step's function was called, the weights and the EMA, on the C heap, and
     * the sums of the last step. */
    int calls;
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

/* What a step works on. */
struct tiny_run {
    reel_context *ctx;
    tiny_training *training;
    reel_model *model;
    reel_optimizer *optimizer;
    reel_carry *carry;
    reel_tensor *rates, *metrics;
};

static inline void tiny_step(reel_context *ctx, void *arg) {
    tiny_run *const r = arg;
    r->training->calls++;
    const reel_act_result result = reel_act_step(ctx, r->model, r->carry, REEL_ACT_TRAIN);
    reel_backward(ctx, result.loss);
    reel_optimizer_apply(r->optimizer);
    reel_sign_sgd_apply(ctx, reel_model_puzzle_embeddings(r->model), r->carry->puzzle_identifiers,
                        reel_grad(ctx, r->carry->puzzle_rows), r->rates);
    reel_copy(ctx, r->metrics, result.metrics);
}

static inline reel_status tiny_train_step(tiny_run *r, int step) {
    reel_context *const ctx = r->ctx;
    tiny_training *const t = r->training;
    tiny_offer(ctx, r->carry, t, step);
    reel_carry_explore(ctx, r->model, r->carry, (uint32_t)step);
    const double rate = t->warms_up ? step : 1;
    reel_optimizer_schedule(r->optimizer, 1e-3 * rate);
    reel_sign_sgd_schedule(ctx, r->rates, 1e-2 * rate, 0.1);
    if (t->replay)
        reel_replay(ctx, tiny_step, r);
    else
        tiny_step(ctx, r);
    reel_read(ctx, r->metrics, t->metrics, sizeof t->metrics);
    t->loss[step - 1] = t->metrics[REEL_METRIC_LM_LOSS] / TINY_ROWS;
    if (reel_context_status(ctx) == REEL_OK)
        reel_tape_reset(ctx);
    if (t->between)
        t->between(r, step);
    return reel_context_status(ctx);
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
        tiny_run run = {.ctx = ctx, .training = t, .model = model};
        run.optimizer = reel_optimizer_new(reel_model_parameters(model), &how);
        run.carry = reel_carry_new(ctx, model, TINY_ROWS);
        run.rates = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(2));
        run.metrics = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(REEL_METRIC_KINDS));
        const int steps = t->steps ? t->steps : TINY_STEPS;
        for (int step = 1; run.carry && step <= steps && status == REEL_OK; step++)
            status = tiny_train_step(&run, step);
        reel_tensor *const values = reel_parameters_values(reel_model_parameters(model));
        t->count = reel_elements(values);
        t->weights = tiny_copy(ctx, values);
        if (run.optimizer)
            t->ema = tiny_copy(ctx, reel_optimizer_state_of(run.optimizer).ema);
        reel_carry_free(ctx, run.carry);
        reel_optimizer_free(run.optimizer);
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
