#include "evaluate.h"

#include "interrupt.h"

#include <reel/autograd.h>

#include <string.h>

int64_t evaluate_batches(const trainer *t) {
    return reel_test_batches(t->test_data, t->test_carry->batch_size);
}

reel_status evaluate_batch(trainer *t, int64_t index, evaluate_watcher *watch, void *arg, reel_error *error) {
    reel_context *const ctx = t->ctx;
    reel_carry *const carry = t->test_carry;
    reel_status status = reel_test_batch(t->test_data, carry->batch_size, index, &t->batch, &t->rows, error);
    if (status != REEL_OK)
        return status;
    reel_carry_restart(ctx, carry);
    reel_carry_offer(ctx, carry, t->batch.inputs, t->batch.labels, t->batch.puzzle_identifiers);
    for (int64_t step = 1; step <= t->config->arch.halt_max_steps && status == REEL_OK; step++) {
        const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
        const reel_act_result result = reel_act_step(ctx, t->model, carry, (uint32_t)step, REEL_ACT_EVALUATE);
        if (reel_context_status(ctx) == REEL_OK)
            watch(arg, ctx, step, &result);
        reel_scope_end(ctx, scope, NULL, 0);
        status = trainer_end_tape(t, "evaluation after step", t->step, error);
    }
    return status;
}

/* ---- all batches ------------------------------------------------------------------------------------- */

typedef struct tally {
    const trainer *trainer;
    metrics *of_sets;
} tally;

static void count_last_step(void *arg, reel_context *ctx, int64_t step, const reel_act_result *result) {
    const tally *const count = arg;
    if (step == count->trainer->config->arch.halt_max_steps)
        metrics_add(ctx, &count->of_sets[count->trainer->rows.set], result->metrics);
}

reel_status evaluate(trainer *t, progress *p, metrics of_sets[static REEL_DATASET_MAX_SETS],
                     reel_error *error) {
    const int64_t batches = evaluate_batches(t);
    tally count = {.trainer = t, .of_sets = of_sets};
    reel_status status = REEL_OK;
    memset(of_sets, 0, REEL_DATASET_MAX_SETS * sizeof *of_sets);
    trainer_swap_ema(t);
    for (int64_t i = 0; i < batches && status == REEL_OK && !interrupt_signal(); i++) {
        progress_evaluation(p, i, batches);
        status = evaluate_batch(t, i, count_last_step, &count, error);
    }
    trainer_swap_ema(t);
    return status;
}
