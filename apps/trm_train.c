/* trm_train CONFIG.yaml [key=value ...]: trains a Tiny Recursion Model on puzzles.
 *
 * Here: the command line, the training loop, how a run ends. What is trained on what follows from the
 * configuration (trainer.c); the algorithm itself is models/trm.c (one recursion) and models/act.c (deep
 * supervision). */
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

#include <argp.h>
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

/* Moves every weight that is trained against its gradient. Does nothing after an error of the step. */
static void update_weights(trainer *t, int64_t step) {
    const train_config *const c = t->config;
    reel_context *const ctx = t->ctx;
    reel_optimizer_step(t->optimizer, learning_rate(t, step, c->lr));
    reel_parameters_zero_grad(reel_model_parameters(t->model)); /* where the weights are frozen */
    if (t->carry->puzzle_rows)
        reel_sign_sgd_rows(ctx, reel_model_puzzle_embeddings(t->model), t->carry->puzzle_identifiers,
                           reel_grad(ctx, t->carry->puzzle_rows), learning_rate(t, step, c->puzzle_emb_lr),
                           c->puzzle_emb_weight_decay);
}

/* One optimizer step, in which every row of the batch does one supervision step. After an error the weights
 * are those before it. */
static reel_status train_step(trainer *t, metrics *m, reel_error *error) {
    reel_context *const ctx = t->ctx;
    const int64_t step = t->step + 1; /* counted from 1, as published */
    if (t->config->profile)
        reel_profile_start(ctx);
    reel_status status = reel_train_batch(t->data, &t->plan, t->step, &t->batch, error);
    if (status != REEL_OK)
        return status;

    reel_profile_mark(ctx, "batch");
    reel_carry_offer(ctx, t->carry, t->batch.inputs, t->batch.labels, t->batch.puzzle_identifiers);
    const reel_act_result result = reel_act_step(ctx, t->model, t->carry, (uint32_t)step, REEL_ACT_TRAIN);
    *m = (metrics){0};
    metrics_add(ctx, m, result.metrics);
    const double loss = metrics_loss(m, t->plan.batch_size);
    if (!isfinite(loss))
        reel_context_fail(ctx, REEL_ERROR_NOT_FINITE, "the loss is %g", isnan(loss) ? NAN : loss);

    t->tape_bytes = reel_tape_of(ctx).live_bytes;
    reel_backward(ctx, result.loss);
    update_weights(t, step);
    reel_profile_stop(ctx);
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

/* Whether weights are saved and measured after this step: after every interval from min_eval_interval on, and
 * always at the end. */
static bool evaluation_is_due(const trainer *t) {
    const bool is_wanted = t->interval_ended && t->interval > t->config->min_eval_interval;
    return is_wanted || t->step == t->last_step;
}

/* Weights first: measuring takes long. */
static reel_status save_and_evaluate(trainer *t, run *r, progress *p, reel_error *error) {
    reel_status status = REEL_OK;
    if (t->config->checkpoint_every_eval || t->step == t->last_step) {
        status = run_save(r, t, error);
        if (status == REEL_OK)
            status_line_say(&p->line, "step %" PRId64 ": saved %s", t->step, r->saved);
    }
    return status == REEL_OK ? measure(t, r, p, error) : status;
}

/* Trains until the last step, an error or a signal. */
static reel_status train(trainer *t, run *r, progress *p, reel_error *error) {
    reel_status status = REEL_OK;
    while (status == REEL_OK && t->step < t->last_step && !interrupt_signal()) {
        metrics m;
        const trainer_cost before = trainer_spent(t);
        status = train_step(t, &m, error);
        const trainer_cost cost = trainer_spent_since(t, &before);
        t->seconds += cost.seconds;
        if (status == REEL_OK)
            status = log_step(t, r, &m, cost.seconds, error);
        if (status == REEL_OK)
            progress_step(p, t, &m, &cost);
        if (status == REEL_OK && evaluation_is_due(t))
            status = save_and_evaluate(t, r, p, error);
    }
    return status;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

/* Ends the line on standard error that says what stopped the run: where the weights are of the last step that
 * went well. False when they could not be saved. */
static bool rescue_weights(trainer *t, run *r, const reel_error *stopped_by) {
    reel_error error = {0};
    if (run_save(r, t, &error) == REEL_OK) {
        fprintf(stderr, "; the weights of step %" PRId64 " are in %s\n", t->step, r->saved);
        return true;
    }
    if (strcmp(error.message, stopped_by->message) != 0)
        fprintf(stderr, "; %s", error.message);
    fprintf(stderr, "; the weights of step %" PRId64 " are lost, %s%s\n", t->step,
            r->saved_step ? "the newest are in " : "and none were saved before", r->saved);
    return false;
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
        safe = rescue_weights(t, r, error);
    else
        fputc('\n', stderr);
    return status == REEL_OK && safe ? interrupt_exit_status(signal) : EXIT_FAILURE;
}

/* ---- the command line -------------------------------------------------------------------------------- */

/* Visible, since the C library reads it. */
REEL_API const char *argp_program_version = "trm_train (reel) " REEL_VERSION;

typedef struct command {
    const char *config_path;
    int override_count;
    char **overrides;
} command;

static error_t take_argument(int key, char *value, struct argp_state *state) {
    (void)value;
    command *const line = state->input;
    if (key != ARGP_KEY_ARGS)
        return ARGP_ERR_UNKNOWN;
    line->config_path = state->argv[state->next];
    line->overrides = state->argv + state->next + 1;
    line->override_count = state->argc - state->next - 1;
    return 0;
}

static char *add_keys(int key, const char *text, void *input) {
    (void)input;
    char *const keys = key == ARGP_KEY_HELP_POST_DOC ? train_config_help() : NULL;
    return keys ? keys : (char *)text;
}

static command read_command_line(int argc, char **argv) {
    static const struct argp parser = {
        .parser = take_argument,
        .args_doc = "CONFIG.yaml [KEY=VALUE...]",
        .doc = "Trains a Tiny Recursion Model on puzzles as the configuration says; every KEY=VALUE replaces "
               "one "
               "of its values. Weights and metrics go to the folder run_dir. The first Ctrl-C finishes the "
               "step, saves the weights and exits, the second exits at once.\v",
        .help_filter = add_keys,
    };
    command line = {0};
    argp_parse(&parser, argc, argv, 0, NULL, &line);
    return line;
}

static reel_status load_config(train_config *config, const command *line, reel_error *error) {
    if (!line->config_path)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "no configuration; usage: trm_train CONFIG.yaml [KEY=VALUE...], see --help");
    return train_config_load(config, line->config_path, line->override_count, line->overrides, error);
}

/* ---- main -------------------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    const command line = read_command_line(argc, argv);
    train_config config = {0};
    trainer t = {0};
    run r = RUN_NONE;
    progress p = {0};
    reel_error error = {0};

    interrupt_watch("finishing this step, then saving");
    reel_status status = load_config(&config, &line, &error);
    if (status == REEL_OK)
        status = run_check_folder(config.run_dir, &error); /* before the work, not after it */
    if (status == REEL_OK)
        status = trainer_build(&t, &config, &error);
    if (status == REEL_OK)
        progress_begin(&p, &t);
    if (status == REEL_OK && t.last_step > 0) /* nothing is written before all of the above is right */
        status = run_begin(&r, &config, &error);
    const int64_t first_step = t.step;
    if (status == REEL_OK)
        status = train(&t, &r, &p, &error);
    if (status == REEL_OK)
        progress_memory(&p, &t);
    if (status == REEL_OK && config.profile)
        show_profile(&t, t.step - first_step);
    if (status == REEL_OK && t.step > 0 && config.demo && !interrupt_signal())
        status = demo_show(&t, line.config_path, &error);
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
