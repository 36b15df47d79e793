/* trm_train CONFIG.yaml [key=value ...]: trains a Tiny Recursion Model on puzzles.
 *
 * Here: the training loop, how a run begins, continues and ends. Which run it is says the command line
 * (command.c), what is trained on what follows from the configuration (trainer.c); the algorithm itself is
 * models/trm.c (one recursion) and models/act.c (deep supervision). */
#include "command.h"
#include "config.h"
#include "demo.h"
#include "interrupt.h"
#include "measure.h"
#include "metrics.h"
#include "profile.h"
#include "progress.h"
#include "run.h"
#include "trainer.h"

#include <reel/autograd.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- one step ---------------------------------------------------------------------------------------- */

/* The length of the schedule is an estimate, and behind its end the cosine would rise again: a longer run
 * keeps the last rate. */
static double learning_rate(const trainer *t, int64_t step, double base) {
    const int64_t scheduled = step < t->schedule_steps ? step : t->schedule_steps;
    return reel_cosine_lr(scheduled, base, t->config->lr_warmup_steps, t->schedule_steps,
                          t->config->lr_min_ratio);
}

/* What the batch measured, read from where the step left it. A loss that is no number is an error. */
static void read_metrics(const trainer *t, metrics *m) {
    *m = (metrics){0};
    metrics_add(t->ctx, m, t->metrics);
    const double loss = metrics_loss(m, t->plan.batch_size);
    if (!isfinite(loss))
        reel_context_fail(t->ctx, REEL_ERROR_NOT_FINITE, "the loss is %g", isnan(loss) ? NAN : loss);
}

/* What the step below takes from the host. */
static void prepare_step(trainer *t, int64_t step) {
    const train_config *const c = t->config;
    reel_carry_offer(t->ctx, t->carry, t->batch.inputs, t->batch.labels, t->batch.puzzle_identifiers);
    reel_carry_explore(t->ctx, t->model, t->carry, (uint32_t)step);
    reel_optimizer_schedule(t->optimizer, learning_rate(t, step, c->lr));
    reel_sign_sgd_schedule(t->ctx, t->puzzle_rates, learning_rate(t, step, c->puzzle_emb_lr),
                           c->puzzle_emb_weight_decay);
}

/* Forward, backward, and every weight that is trained moves against its gradient: all of it ops, so that a
 * GPU can replay it. After an error the weights are those before. */
static void compute_step(reel_context *ctx, void *arg) {
    trainer *const t = arg;
    reel_copy(ctx, t->metrics, reel_act_train(ctx, t->model, t->carry, t->config->micro_batch_size));
    t->tape_bytes = reel_tape_of(ctx).peak_bytes;
    if (reel_context_device(ctx) == REEL_CPU) { /* a GPU leaves out a step without a finite gradient itself */
        metrics m;
        read_metrics(t, &m);
    }
    reel_optimizer_apply(t->optimizer);
    reel_parameters_zero_grad(reel_model_parameters(t->model)); /* where the weights are frozen */
    if (t->carry->puzzle_rows)
        reel_sign_sgd_apply(ctx, reel_model_puzzle_embeddings(t->model), t->carry->puzzle_identifiers,
                            reel_grad(ctx, t->carry->puzzle_rows), t->puzzle_rates);
}

/* One optimizer step, in which every row of the batch does one supervision step. */
static reel_status train_step(trainer *t, metrics *m, reel_error *error) {
    reel_context *const ctx = t->ctx;
    const int64_t step = t->step + 1; /* counted from 1, as published */
    if (t->config->profile)
        reel_profile_start(ctx);
    reel_status status = trainer_next_batch(t, error);
    if (status != REEL_OK)
        return status;

    reel_profile_mark(ctx, "batch");
    prepare_step(t, step);
    reel_replay(ctx, compute_step, t);
    reel_profile_stop(ctx);
    read_metrics(t, m);
    status = trainer_end_tape(t, "step", step, error);
    if (status == REEL_OK)
        trainer_count_step(t);
    return status;
}

/* After training: what its `steps` steps were spent on. */
static void show_profile(const trainer *t, int64_t steps) {
    enum { ROOF_SIZE = 2048 };
    const reel_dtype dtype = reel_model_config_of(t->model)->forward_dtype;
    putchar('\n');
    profile_print(stdout, t->ctx, steps, profile_roof(t->ctx, dtype, ROOF_SIZE));
    reel_tape_reset(t->ctx); /* whether or not there was memory for the roof */
}

/* ---- the loop ---------------------------------------------------------------------------------------- */

static reel_status log_step(const trainer *t, run *r, const metrics *m, double seconds, reel_error *error) {
    const train_config *const c = t->config;
    const metrics_event event = {
        .step = t->step,
        .lr = learning_rate(t, t->step, c->freeze_weights ? c->puzzle_emb_lr : c->lr),
        .q_continue = !c->arch.no_ACT_continue,
        .batch_size = t->plan.batch_size,
        .seconds = t->seconds,
        .duration_seconds = seconds,
    };
    metrics_line line;
    metrics_write_training(&line, m, &event);
    return run_log(r, &line, error);
}

/* Whether the configuration's intervals ask for an evaluation after this step. */
static bool evaluation_is_planned(const trainer *t) {
    return t->interval_ended && t->interval > t->config->min_eval_interval;
}

/* Whether it is time for one: also always at the end. */
static bool evaluation_is_due(const trainer *t) {
    return evaluation_is_planned(t) || t->step == t->last_step;
}

static bool evaluation_is_missing(const trainer *t, const run *r) {
    return t->test_data && t->step > 0 && t->step <= t->last_step && evaluation_is_due(t) &&
           r->record.evaluated_step != t->step;
}

/* Whether every run of this configuration saves its weights after this step. */
static bool checkpoint_is_planned(const trainer *t) {
    const config_period every = t->config->checkpoint_every;
    return (evaluation_is_planned(t) && t->config->checkpoint_every_eval) ||
           (every.steps > 0 && t->step % every.steps == 0);
}

/* Whether it is time for that: also at the end, and when minutes have passed. */
static bool checkpoint_is_due(const trainer *t, const run *r) {
    const int64_t minutes = t->config->checkpoint_every.minutes;
    return checkpoint_is_planned(t) || t->step == t->last_step ||
           (minutes > 0 && trainer_clock() - r->saved_at >= 60.0 * (double)minutes);
}

/* What was measured belongs to the run, and a run that continues does not measure it again. But where it was
 * measured only because max_steps ends the run here, a longer one must know nothing of it. */
static reel_status measure_weights(trainer *t, run *r, progress *p, reel_error *error) {
    const int64_t metrics_lines = r->record.metrics_lines;
    measurement result;
    reel_status status = measure(t, r, p, &result, error);
    if (status != REEL_OK || !result.is_complete)
        return status;
    if (!evaluation_is_planned(t)) {
        r->record.metrics_lines = metrics_lines;
        status = evaluators_undo(&t->evaluators, error);
    } else if (checkpoint_is_planned(t)) {
        run_rate(r, t->step, result.exact_accuracy);
    }
    return status == REEL_OK ? run_count_evaluation(r, t, error) : status;
}

/* Saves first: measuring takes long. */
static reel_status save_and_measure(trainer *t, run *r, progress *p, reel_error *error) {
    const bool saves = checkpoint_is_due(t, r) && r->state_step != t->step;
    reel_status status = REEL_OK;
    if (saves) {
        status = run_save(r, t, error);
        if (status == REEL_OK)
            status_line_say(&p->line, "step %" PRId64 ": saved %s", t->step, r->saved);
    }
    const bool measures = evaluation_is_missing(t, r);
    if (status == REEL_OK && measures)
        status = measure_weights(t, r, p, error);
    if (status == REEL_OK && r->state_step == t->step)
        run_remove_old(r, t);
    return status;
}

static reel_status take_step(trainer *t, run *r, progress *p, reel_error *error) {
    metrics m;
    const trainer_cost before = trainer_spent(t);
    reel_status status = train_step(t, &m, error);
    const trainer_cost cost = trainer_spent_since(t, &before);
    t->seconds += cost.seconds;
    if (status == REEL_OK)
        status = log_step(t, r, &m, cost.seconds, error);
    if (status == REEL_OK)
        progress_step(p, t, &m, &cost);
    return status;
}

/* Trains until the last step, an error or a signal. A run that continues may owe an evaluation first. */
static reel_status train(trainer *t, run *r, progress *p, reel_error *error) {
    reel_status status = REEL_OK;
    if (evaluation_is_missing(t, r) && !interrupt_signal())
        status = save_and_measure(t, r, p, error);
    while (status == REEL_OK && t->step < t->last_step && !interrupt_signal()) {
        status = take_step(t, r, p, error);
        if (status == REEL_OK)
            status = save_and_measure(t, r, p, error);
    }
    return status;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

/* Ends the line on standard error that says what stopped the run: where the weights are of the last step that
 * went well. An error may have come in the middle of a step, and then what the batch carries is ahead of the
 * weights: only a signal leaves a state. False when something could not be saved. */
static bool rescue(trainer *t, run *r, reel_status stopped_by, const reel_error *reason) {
    reel_error error = {0};
    reel_status state = REEL_OK;
    if (stopped_by == REEL_OK && (state = run_save_state(r, t, &error)) != REEL_OK)
        fprintf(stderr, "; %s", error.message);
    const reel_status weights = run_save_weights(r, t, &error);
    const bool device_is_lost = stopped_by == REEL_ERROR_DEVICE && weights == REEL_ERROR_DEVICE;
    if (weights != REEL_OK && !device_is_lost && strcmp(error.message, reason->message) != 0)
        fprintf(stderr, "; %s", error.message);
    if (r->saved_step == t->step)
        fprintf(stderr, "; the weights of step %" PRId64 " are in %s\n", t->step, r->saved);
    else
        fprintf(stderr, "; the weights of step %" PRId64 " are lost, %s%s\n", t->step,
                r->saved_step ? "the newest are in " : "and none were saved before", r->saved);
    return state == REEL_OK && r->saved_step == t->step;
}

/* Whatever stopped the run, one line says so, and what was learned is kept. Returns the exit status. */
static int end_of_run(trainer *t, run *r, progress *p, reel_status status, const reel_error *error) {
    const int signal = interrupt_signal();
    bool safe = true;
    status_line_end(&p->line);
    if (status == REEL_OK && !signal)
        return EXIT_SUCCESS;
    if (status != REEL_OK)
        fprintf(stderr, "trm_train: %s", error->message);
    else
        fprintf(stderr, "trm_train: %s after step %" PRId64, strsignal(signal), t->step);
    if (t->step > 0)
        safe = rescue(t, r, status, error);
    else
        fputc('\n', stderr);
    return status == REEL_OK && safe ? interrupt_exit_status(signal) : EXIT_FAILURE;
}

/* ---- main -------------------------------------------------------------------------------------------- */

static bool is_finished(const trainer *t, const run *r) {
    return t->step >= t->last_step && !evaluation_is_missing(t, r);
}

/* Builds what is trained, and begins or continues its run. */
static reel_status begin(trainer *t, run *r, progress *p, const train_config *config, const run_state *state,
                         reel_error *error) {
    const bool continues = state->file;
    const trainer_start start = continues ? TRAINER_CONTINUES : TRAINER_BEGINS;
    reel_status status = trainer_build(t, config, start, error);
    if (status == REEL_OK)
        status = run_take_choices(r, t, start, error);
    if (status != REEL_OK)
        return status;
    progress_begin(p, t);
    if (!continues) /* nothing is written before all of the above is right */
        return t->last_step > 0 ? run_begin(r, config, error) : REEL_OK;
    status = run_load(r, t, state, error);
    if (status == REEL_OK)
        status = run_save_weights(r, t, error); /* where it was killed between the two */
    if (status != REEL_OK)
        return status;
    if (is_finished(t, r)) {
        run_remove_old(r, t); /* it may have been killed just before */
        status_line_say(&p->line, "%s: finished after step %" PRId64 ", nothing to do", r->folder, t->step);
        return REEL_OK;
    }
    status_line_say(&p->line, "%s: continues after step %" PRId64, r->folder, t->step);
    return run_continue(r, t, error);
}

int main(int argc, char **argv) {
    const command line = command_read(argc, argv);
    train_config config = {0};
    trainer t = {0};
    run r = RUN_NONE;
    run_state state = {0};
    progress p = {0};
    reel_error error = {0};

    interrupt_watch("finishing this step, then saving");
    reel_status status = command_find_run(&line, &config, &r, &state, &error);
    if (status == REEL_OK)
        status = begin(&t, &r, &p, &config, &state, &error);
    run_state_close(&state);
    const int64_t first_step = t.step;
    if (status == REEL_OK)
        status = train(&t, &r, &p, &error);
    if (status == REEL_OK)
        progress_memory(&p, &t);
    if (status == REEL_OK && config.profile && t.step > first_step)
        show_profile(&t, t.step - first_step);
    if (status == REEL_OK && t.step > first_step && config.demo && !interrupt_signal())
        status = demo_show(&t, line.config_path ? line.config_path : "CONFIG.yaml", &error);
    const int exit_status = end_of_run(&t, &r, &p, status, &error);

    run_end(&r, &t);
    trainer_free(&t);
    train_config_free(&config);
    fflush(NULL);
    /* exit() would join the threads of OpenBLAS, which try forever to get the memory that there is not. */
    if (status == REEL_ERROR_MEMORY)
        _exit(exit_status);
    return exit_status;
}
