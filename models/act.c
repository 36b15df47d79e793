/* Deep supervision: what a batch carries from step to step, the losses, when a row halts; a batch in parts.
 *
 * Everything that depends on values is an op, so that a step needs no look at the device's memory. */
#include <reel/act.h>
#include <reel/autograd.h>
#include <reel/ops.h>

#include <stdlib.h>
#include <string.h>

/* ---- carry --------------------------------------------------------------------------------------------- */

static reel_tensor *scalar(reel_context *ctx, reel_dtype dtype, double value) {
    reel_tensor *t = reel_tensor_new(ctx, dtype, 0, NULL);
    reel_fill(ctx, t, value);
    return t;
}

reel_carry *reel_carry_new(reel_context *ctx, const reel_model *model, int64_t batch_size) {
    const reel_model_config *c = reel_model_config_of(model);
    const int64_t B = batch_size, S = c->seq_len, T = reel_model_tokens(model), D = c->hidden_size;
    const reel_dtype wide = c->forward_dtype == REEL_F64 ? REEL_F64 : REEL_F32;
    reel_carry *carry = calloc(1, sizeof *carry);
    if (!carry || B < 1) {
        reel_context_fail(ctx, carry ? REEL_ERROR_ARGUMENT : REEL_ERROR_MEMORY, "carry: batch size %lld: %s",
                          (long long)B, carry ? "must be at least 1" : "no memory");
        free(carry);
        return NULL;
    }
    carry->batch_size = B;
    reel_tensor **const grids[] = {&carry->inputs, &carry->labels, &carry->offered_inputs,
                                   &carry->offered_labels};
    for (size_t i = 0; i < sizeof grids / sizeof grids[0]; i++)
        *grids[i] = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(B, S));
    carry->puzzle_identifiers = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(B));
    carry->offered_identifiers = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(B));
    for (int i = 0; i < reel_model_latent_count(model); i++)
        carry->latents.z[i] = reel_tensor_new(ctx, c->forward_dtype, REEL_SHAPE(B, T, D));
    carry->steps = reel_tensor_new(ctx, wide, REEL_SHAPE(B));
    carry->halted = reel_tensor_new(ctx, REEL_U8, REEL_SHAPE(B));
    carry->least_steps = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(B));
    const reel_tensor *table = reel_model_puzzle_embeddings(model);
    if (table) {
        carry->puzzle_rows = reel_tensor_new(ctx, table->dtype, REEL_SHAPE(B, table->shape[1]));
        reel_require_grad(ctx, carry->puzzle_rows);
    }
    carry->zero = scalar(ctx, wide, 0);
    carry->one = scalar(ctx, wide, 1);
    carry->halt_max_steps = scalar(ctx, wide, (double)c->halt_max_steps);
    carry->ignored = scalar(ctx, REEL_I32, REEL_IGNORE_LABEL);
    carry->drawn = calloc((size_t)B, sizeof *carry->drawn);
    if (!carry->drawn)
        reel_context_fail(ctx, REEL_ERROR_MEMORY, "carry: no memory for %lld rows", (long long)B);
    if (reel_carry_restart(ctx, carry) == REEL_OK)
        return carry;
    reel_carry_free(ctx, carry);
    return NULL;
}

void reel_carry_free(reel_context *ctx, reel_carry *carry) {
    if (!carry)
        return;
    reel_tensor *const tensors[] = {
        carry->inputs,         carry->labels,         carry->puzzle_identifiers,
        carry->offered_inputs, carry->offered_labels, carry->offered_identifiers,
        carry->steps,          carry->halted,         carry->least_steps,
        carry->puzzle_rows,    carry->zero,           carry->one,
        carry->halt_max_steps, carry->ignored,
    };
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++)
        reel_tensor_free(ctx, tensors[i]);
    for (int i = 0; i < REEL_MAX_LATENTS; i++)
        reel_tensor_free(ctx, carry->latents.z[i]);
    free(carry->drawn);
    free(carry);
}

reel_status reel_carry_offer(reel_context *ctx, reel_carry *carry, const int32_t *inputs,
                             const int32_t *labels, const int32_t *identifiers) {
    const size_t rows = (size_t)carry->batch_size * sizeof(int32_t);
    const size_t cells = rows * (size_t)carry->inputs->shape[1];
    reel_write(ctx, carry->offered_inputs, inputs, cells);
    reel_write(ctx, carry->offered_labels, labels, cells);
    return reel_write(ctx, carry->offered_identifiers, identifiers, rows);
}

reel_status reel_carry_restart(reel_context *ctx, reel_carry *carry) {
    return reel_fill(ctx, carry->halted, 1);
}

int reel_carry_tensors(const reel_carry *carry, reel_named_tensor *tensors) {
    static const char *const latent_names[REEL_MAX_LATENTS] = {
        "carry.z.0", "carry.z.1", "carry.z.2", "carry.z.3",
        "carry.z.4", "carry.z.5", "carry.z.6", "carry.z.7",
    };
    const reel_named_tensor rows[] = {
        {"carry.inputs", carry->inputs},
        {"carry.labels", carry->labels},
        {"carry.puzzle_identifiers", carry->puzzle_identifiers},
        {"carry.steps", carry->steps},
        {"carry.halted", carry->halted},
    };
    int n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        tensors[n++] = rows[i];
    for (int i = 0; i < REEL_MAX_LATENTS && carry->latents.z[i]; i++)
        tensors[n++] = (reel_named_tensor){latent_names[i], carry->latents.z[i]};
    return n;
}

/* ---- a step's beginning -------------------------------------------------------------------------------- */

/* What a step works on: the rows of a batch, or some that follow one another. */
typedef struct examples {
    reel_tensor *inputs, *labels; /* (B, S) i32 */
    reel_tensor *puzzle_rows;     /* (B, puzzle_emb_ndim), NULL where the model has none */
    reel_tensor *steps;           /* (B): with this one */
    reel_tensor *least_steps;     /* (B) f64 */
    reel_latents latents;         /* (B, T, D) each */
} examples;

/* A row that halted takes what is offered; the result also goes back into the carry. */
static reel_tensor *take(reel_context *ctx, const reel_carry *carry, reel_tensor *offered,
                         reel_tensor *kept) {
    const int64_t B = carry->batch_size;
    reel_tensor *halted =
        kept->rank == 1 ? carry->halted : reel_reshape(ctx, carry->halted, REEL_SHAPE(B, 1));
    reel_tensor *now = reel_where(ctx, halted, offered, kept);
    reel_copy(ctx, kept, now);
    return now;
}

/* Latents of halted rows begin anew: without gradient in the carry, which the step overwrites anyway. */
static reel_latents begin_latents(reel_context *ctx, const reel_model *model, const reel_carry *carry,
                                  reel_act_mode mode) {
    reel_latents begun = carry->latents;
    reel_tensor *halted = reel_reshape(ctx, carry->halted, REEL_SHAPE(carry->batch_size, 1, 1));
    for (int i = 0; i < reel_model_latent_count(model); i++) {
        const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
        reel_tensor *z = reel_where(ctx, halted, reel_model_latent_init(model, i), begun.z[i]);
        if (mode == REEL_ACT_TRAIN)
            begun.z[i] = z;
        else
            reel_copy(ctx, begun.z[i], z);
        reel_scope_end(ctx, scope, &begun.z[i], 1);
    }
    return begun;
}

/* The batch's rows of the puzzle embeddings, into the leaf whose gradient trains them. */
static void take_puzzle_rows(reel_context *ctx, const reel_model *model, reel_carry *carry) {
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    reel_copy(ctx, carry->puzzle_rows,
              reel_embedding(ctx, reel_model_puzzle_embeddings(model), carry->puzzle_identifiers, 1));
    reel_zero_grad(carry->puzzle_rows);
    reel_scope_end(ctx, scope, NULL, 0);
}

/* Halted rows take new puzzles. */
static examples begin(reel_context *ctx, const reel_model *model, reel_carry *carry, reel_act_mode mode) {
    examples b = {.puzzle_rows = carry->puzzle_rows, .least_steps = carry->least_steps};
    b.inputs = take(ctx, carry, carry->offered_inputs, carry->inputs);
    b.labels = take(ctx, carry, carry->offered_labels, carry->labels);
    take(ctx, carry, carry->offered_identifiers, carry->puzzle_identifiers);
    b.steps = reel_add_scalar(ctx, reel_where(ctx, carry->halted, carry->zero, carry->steps), 1);
    b.latents = begin_latents(ctx, model, carry, mode);
    if (carry->puzzle_rows)
        take_puzzle_rows(ctx, model, carry);
    return b;
}

/* n rows of b. */
static examples some_of(reel_context *ctx, const examples *b, int64_t first, int64_t n) {
    examples some = {
        .inputs = reel_narrow(ctx, b->inputs, 0, first, n),
        .labels = reel_narrow(ctx, b->labels, 0, first, n),
        .puzzle_rows = b->puzzle_rows ? reel_narrow(ctx, b->puzzle_rows, 0, first, n) : NULL,
        .steps = reel_narrow(ctx, b->steps, 0, first, n),
        .least_steps = reel_narrow(ctx, b->least_steps, 0, first, n),
    };
    for (int i = 0; i < REEL_MAX_LATENTS && b->latents.z[i]; i++)
        some.latents.z[i] = reel_narrow(ctx, b->latents.z[i], 0, first, n);
    return some;
}

/* ---- halting ------------------------------------------------------------------------------------------- */

/* Whether rows may halt before the last step. */
static bool is_adaptive(const reel_model_config *c, reel_act_mode mode) {
    return mode == REEL_ACT_TRAIN && c->act_enabled && c->halt_max_steps > 1;
}

reel_status reel_carry_explore(reel_context *ctx, const reel_model *model, reel_carry *carry, uint32_t step) {
    const reel_model_config *c = reel_model_config_of(model);
    if (!is_adaptive(c, REEL_ACT_TRAIN))
        return reel_context_status(ctx);
    for (int64_t row = 0; row < carry->batch_size; row++) {
        const reel_draw draw = {.stream = REEL_STREAM_HALT, .index = (uint64_t)row, .step = step};
        reel_random r = reel_random_begin(reel_context_seed(ctx), draw);
        const bool explores = reel_random_uniform(&r) < c->halt_exploration_prob;
        carry->drawn[row] = explores ? 2 + reel_random_below(&r, (uint32_t)c->halt_max_steps - 1) : 0;
    }
    return reel_write(ctx, carry->least_steps, carry->drawn,
                      (size_t)carry->batch_size * sizeof *carry->drawn);
}

/* Which rows halt now, (B) u8: those at their last step and, where they need not all run to it, those whose
 * halting head says so (signal) and that do not explore. */
static reel_tensor *halt(reel_context *ctx, const reel_model_config *c, const examples *b,
                         reel_tensor *signal, reel_tensor *is_last, reel_act_mode mode) {
    if (!is_adaptive(c, mode) && mode != REEL_ACT_EVALUATE_HALTING)
        return is_last;
    reel_tensor *either = reel_where(ctx, is_last, is_last, signal);
    if (mode == REEL_ACT_EVALUATE_HALTING)
        return either;
    reel_tensor *least = reel_cast(ctx, b->least_steps, b->steps->dtype);
    reel_tensor *allowed = reel_le(ctx, least, b->steps);
    return reel_where(ctx, allowed, either, allowed);
}

/* ---- losses and metrics -------------------------------------------------------------------------------- */

/* What the answers are worth, row by row: (B) in the dtype of the losses unless said otherwise. */
typedef struct grading {
    reel_tensor *predictions; /* (B, S) i32 */
    reel_tensor *labelled;    /* cells that have a label */
    reel_tensor *divisor;     /* the same, at least 1 */
    reel_tensor *hits;        /* of them, right */
    reel_tensor *is_correct;  /* u8 */
    reel_tensor *is_labelled; /* u8: rows that are no padding */
} grading;

static reel_tensor *count_true(reel_context *ctx, reel_tensor *flags, reel_dtype dtype) {
    return reel_sum(ctx, reel_cast(ctx, flags, dtype), (const int[]){-1}, 1, 0);
}

static grading grade(reel_context *ctx, const reel_carry *carry, reel_tensor *logits, reel_tensor *labels) {
    const reel_dtype dtype = carry->steps->dtype;
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    grading g = {.predictions = reel_argmax(ctx, logits, (const int[]){-1}, 1, 0)};
    g.labelled = count_true(ctx, reel_lt(ctx, carry->ignored, labels), dtype);
    g.hits = count_true(ctx, reel_eq(ctx, g.predictions, labels), dtype); /* an ignored label equals none */
    g.divisor = reel_where(ctx, reel_lt(ctx, g.labelled, carry->one), carry->one, g.labelled);
    g.is_correct = reel_eq(ctx, g.hits, g.labelled);
    g.is_labelled = reel_lt(ctx, carry->zero, g.labelled);
    reel_tensor *const keep[] = {g.predictions, g.labelled, g.divisor, g.hits, g.is_correct, g.is_labelled};
    reel_scope_end(ctx, scope, keep, sizeof keep / sizeof keep[0]);
    return g;
}

static reel_tensor *total(reel_context *ctx, reel_tensor *x) {
    return reel_sum(ctx, x, NULL, 0, 0);
}

/* (B): the mean cross-entropy over the row's labelled cells */
static reel_tensor *lm_losses(reel_context *ctx, const reel_model_config *c, reel_tensor *logits,
                              reel_tensor *labels, const grading *g) {
    reel_tensor *cells = c->loss_type == REEL_LOSS_STABLEMAX
                             ? reel_stablemax_cross_entropy(ctx, logits, labels)
                             : reel_softmax_cross_entropy(ctx, logits, labels);
    reel_tensor *rows = reel_sum(ctx, cells, (const int[]){-1}, 1, 0);
    return reel_div(ctx, rows, g->divisor);
}

/* (B): the binary cross-entropy against target (B), 0 for padding */
static reel_tensor *q_losses(reel_context *ctx, reel_tensor *q, reel_tensor *target, const grading *g) {
    reel_tensor *rows = reel_binary_cross_entropy_with_logits(ctx, q, target);
    return reel_mul(ctx, rows, reel_cast(ctx, g->is_labelled, rows->dtype));
}

/* Q-learning's target for going on: what the next step would be worth, sigmoid(max(q_halt', q_continue')), or
 * its q_halt' alone where there is no step after it. Costs a whole forward pass. */
static reel_tensor *continue_target(reel_context *ctx, const reel_model *model, const examples *b,
                                    const reel_outputs *out, reel_tensor *is_last) {
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    const reel_outputs next = reel_model_forward(ctx, model, b->inputs, b->puzzle_rows, out->latents);
    reel_tensor *go_on = reel_lt(ctx, next.q_halt, next.q_continue);
    reel_tensor *best = reel_where(ctx, go_on, next.q_continue, next.q_halt);
    reel_tensor *target = reel_sigmoid(ctx, reel_where(ctx, is_last, next.q_halt, best));
    reel_scope_end(ctx, scope, &target, 1);
    return target;
}

static reel_tensor *metrics(reel_context *ctx, const reel_carry *carry, const reel_act_result *r,
                            const grading *g, reel_tensor *halted, reel_tensor *steps) {
    const reel_dtype dtype = carry->steps->dtype;
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    reel_tensor *valid =
        reel_cast(ctx, reel_where(ctx, halted, g->is_labelled, halted), dtype); /* (B) 0 or 1 */
    reel_tensor *correct = reel_cast(ctx, g->is_correct, dtype);
    reel_tensor *says_correct = reel_cast(ctx, reel_le(ctx, carry->zero, r->outputs.q_halt), dtype);
    reel_tensor *knew = reel_cast(ctx, reel_eq(ctx, says_correct, correct), dtype);
    reel_tensor *sums[REEL_METRIC_KINDS] = {
        [REEL_METRIC_COUNT] = total(ctx, valid),
        [REEL_METRIC_ACCURACY] = total(ctx, reel_mul(ctx, valid, reel_div(ctx, g->hits, g->divisor))),
        [REEL_METRIC_EXACT_ACCURACY] = total(ctx, reel_mul(ctx, valid, correct)),
        [REEL_METRIC_Q_HALT_ACCURACY] = total(ctx, reel_mul(ctx, valid, knew)),
        [REEL_METRIC_STEPS] = total(ctx, reel_mul(ctx, valid, steps)),
        [REEL_METRIC_LM_LOSS] = r->lm_loss,
        [REEL_METRIC_Q_HALT_LOSS] = r->q_halt_loss,
        [REEL_METRIC_Q_CONTINUE_LOSS] = r->q_continue_loss,
    };
    reel_tensor *all = reel_stack(ctx, sums, REEL_METRIC_KINDS, 0);
    reel_scope_end(ctx, scope, &all, 1);
    return all;
}

const char *reel_metric_name(reel_metric metric) {
    static const char *const names[REEL_METRIC_KINDS] = {
        [REEL_METRIC_COUNT] = "count",
        [REEL_METRIC_ACCURACY] = "accuracy",
        [REEL_METRIC_EXACT_ACCURACY] = "exact_accuracy",
        [REEL_METRIC_Q_HALT_ACCURACY] = "q_halt_accuracy",
        [REEL_METRIC_STEPS] = "steps",
        [REEL_METRIC_LM_LOSS] = "lm_loss",
        [REEL_METRIC_Q_HALT_LOSS] = "q_halt_loss",
        [REEL_METRIC_Q_CONTINUE_LOSS] = "q_continue_loss",
    };
    return metric < REEL_METRIC_KINDS ? names[metric] : "";
}

/* ---- one step ------------------------------------------------------------------------------------------ */

/* What rows of the batch come to; *halted: which of them halt. Changes nothing. */
static reel_act_result think(reel_context *ctx, const reel_model *model, const reel_carry *carry,
                             const examples *b, reel_act_mode mode, reel_tensor **halted) {
    const reel_model_config *c = reel_model_config_of(model);
    reel_act_result r = {.outputs = reel_model_forward(ctx, model, b->inputs, b->puzzle_rows, b->latents)};
    const grading g = grade(ctx, carry, r.outputs.logits, b->labels);
    reel_tensor *is_last = reel_le(ctx, carry->halt_max_steps, b->steps);
    reel_tensor *threshold = reel_model_halts_against_continue(model) ? r.outputs.q_continue : carry->zero;
    r.says_halt = reel_lt(ctx, threshold, r.outputs.q_halt);
    *halted = halt(ctx, c, b, r.says_halt, is_last, mode);
    r.predictions = g.predictions;
    r.correct = g.is_correct;

    /* what it is told */
    reel_tensor *correct = reel_cast(ctx, g.is_correct, r.outputs.q_halt->dtype);
    r.lm_losses = lm_losses(ctx, c, r.outputs.logits, b->labels, &g);
    r.q_halt_losses = q_losses(ctx, r.outputs.q_halt, correct, &g);
    r.lm_loss = total(ctx, r.lm_losses);
    r.q_halt_loss = total(ctx, r.q_halt_losses);
    r.q_continue_loss = carry->zero;
    if (is_adaptive(c, mode) && !c->no_ACT_continue) {
        reel_tensor *target = continue_target(ctx, model, b, &r.outputs, is_last);
        r.q_continue_loss = total(ctx, q_losses(ctx, r.outputs.q_continue, target, &g));
    }
    reel_tensor *q = reel_scale(ctx, reel_add(ctx, r.q_halt_loss, r.q_continue_loss), 0.5);
    r.loss = reel_scale(ctx, reel_add(ctx, r.lm_loss, q), 1.0 / (double)carry->batch_size);
    r.metrics = metrics(ctx, carry, &r, &g, *halted, b->steps);
    return r;
}

/* Replaces rows of one of a carry's tensors, from `first` on. */
static void put(reel_context *ctx, reel_tensor *kept, int64_t first, reel_tensor *rows) {
    reel_copy(ctx, reel_narrow(ctx, kept, 0, first, rows->shape[0]), rows);
    reel_touch(kept); /* its view was written */
}

/* Puts into the carry what became of its rows from `first` on, which b are. */
static void move_on(reel_context *ctx, const reel_carry *carry, int64_t first, const examples *b,
                    const reel_latents *latents, reel_tensor *halted) {
    for (int i = 0; i < REEL_MAX_LATENTS && carry->latents.z[i]; i++)
        put(ctx, carry->latents.z[i], first, latents->z[i]);
    put(ctx, carry->steps, first, b->steps);
    put(ctx, carry->halted, first, halted);
}

/* ---- a step in parts ----------------------------------------------------------------------------------- */

/* How many rows to go through at once: those whose states have a quarter of a million numbers, but no fewer
 * than keep what every part does anew, such as reading all weights and adding to their gradients, at some per
 * cent. Products of bf16 take half as long or less beside that. Without gradient, which keeps nothing, four
 * times as many. */
static int64_t rows_that_suit(const reel_context *ctx, const reel_model *model, reel_act_mode mode,
                              int64_t batch_size) {
    enum { NUMBERS = 1 << 18, TOKENS = 768 };
    if (reel_context_device(ctx) != REEL_CPU)
        return batch_size;
    const reel_model_config *c = reel_model_config_of(model);
    const int64_t T = reel_model_tokens(model), tokens = c->forward_dtype == REEL_BF16 ? 2 * TOKENS : TOKENS;
    const int64_t fit = NUMBERS / (T * c->hidden_size), least = (tokens + T - 1) / T;
    const int64_t most = (fit > least ? fit : least) * (mode == REEL_ACT_TRAIN ? 1 : 4),
                  parts = (batch_size + most - 1) / most;
    return (batch_size + parts - 1) / parts; /* even ones */
}

enum { ROW_RESULTS = 8, RESULTS = 13 };

/* Where a result holds its tensors, but the latents: first those with a row for each example, then sums. */
static void list_results(reel_act_result *r, reel_tensor **at[static RESULTS]) {
    reel_tensor **const all[RESULTS] = {
        &r->outputs.logits, &r->outputs.q_halt, &r->outputs.q_continue, &r->predictions,
        &r->correct,        &r->says_halt,      &r->lm_losses,          &r->q_halt_losses,
        &r->lm_loss,        &r->q_halt_loss,    &r->q_continue_loss,    &r->loss,
        &r->metrics,
    };
    memcpy(at, all, sizeof all);
}

/* As `think` of all rows, `most` at a time, and moves the carry on. */
static reel_act_result think_in_parts(reel_context *ctx, const reel_model *model, const reel_carry *carry,
                                      const examples *b, reel_act_mode mode, int64_t most) {
    const int64_t B = carry->batch_size;
    reel_act_result all = {.outputs.latents = carry->latents}, r;
    reel_tensor **of_all[RESULTS], **of_part[RESULTS], *kept[RESULTS];
    list_results(&all, of_all);
    list_results(&r, of_part);
    const reel_scope scope = reel_scope_begin(ctx, 0);
    for (int64_t first = 0, n; first < B; first += n) {
        n = B - first < most ? B - first : most;
        reel_tensor *halted;
        const examples part = some_of(ctx, b, first, n);
        r = think(ctx, model, carry, &part, mode, &halted);
        move_on(ctx, carry, first, &part, &r.outputs.latents, halted);
        for (int i = 0; i < RESULTS; i++) {
            reel_tensor *const two[2] = {*of_all[i], *of_part[i]};
            kept[i] = *of_all[i] = first == 0        ? two[1]
                                   : i < ROW_RESULTS ? reel_concat(ctx, two, 2, 0)
                                                     : reel_add(ctx, two[0], two[1]);
        }
        reel_scope_roll(ctx, scope, kept, RESULTS);
    }
    reel_scope_end(ctx, scope, kept, RESULTS);
    return all;
}

reel_act_result reel_act_step(reel_context *ctx, const reel_model *model, reel_carry *carry,
                              reel_act_mode mode) {
    const int64_t B = carry->batch_size;
    const int64_t most = mode == REEL_ACT_TRAIN ? B : rows_that_suit(ctx, model, mode, B);
    const examples b = begin(ctx, model, carry, mode);
    if (most < B)
        return think_in_parts(ctx, model, carry, &b, mode, most);
    reel_tensor *halted;
    const reel_act_result r = think(ctx, model, carry, &b, mode, &halted);
    move_on(ctx, carry, 0, &b, &r.outputs.latents, halted);
    return r;
}

reel_tensor *reel_act_train(reel_context *ctx, const reel_model *model, reel_carry *carry,
                            int64_t micro_batch_size) {
    const int64_t B = carry->batch_size;
    const int64_t most =
        micro_batch_size > 0 ? micro_batch_size : rows_that_suit(ctx, model, REEL_ACT_TRAIN, B);
    const examples all = begin(ctx, model, carry, REEL_ACT_TRAIN);
    const reel_scope scope = reel_scope_begin(ctx, 0);
    reel_tensor *sums = reel_constant(ctx, carry->steps->dtype, REEL_SHAPE(REEL_METRIC_KINDS), 0);
    for (int64_t first = 0, n; first < B && reel_context_status(ctx) == REEL_OK; first += n) {
        n = B - first < most ? B - first : most;
        reel_tensor *halted;
        const examples part = some_of(ctx, &all, first, n);
        const reel_act_result r = think(ctx, model, carry, &part, REEL_ACT_TRAIN, &halted);
        move_on(ctx, carry, first, &part, &r.outputs.latents, halted);
        sums = reel_add(ctx, sums, r.metrics);
        reel_backward(ctx, r.loss);
        reel_scope_roll(ctx, scope, &sums, 1);
    }
    reel_scope_end(ctx, scope, &sums, 1);
    return sums;
}
