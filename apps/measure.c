#include "measure.h"

#include "eval_outputs.h"
#include "interrupt.h"

#include <reel/folders.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the evaluation ---------------------------------------------------------------------------------- */

typedef struct tally {
    trainer *trainer;
    progress *progress;
    metrics *of_sets;
    eval_outputs outputs;
} tally;

static reel_status count(void *arg, const evaluate_example *example, reel_error *error) {
    tally *const to = arg;
    metrics_add_example(&to->of_sets[example->set], example,
                        reel_model_config_of(to->trainer->model)->forward_dtype);
    eval_outputs_add(&to->outputs, example);
    progress_evaluation(to->progress, example->index + 1, to->trainer->test_data->total_examples);
    return evaluators_add(&to->trainer->evaluators, example, error);
}

static bool wants(const trainer *t, config_output output) {
    return t->config->eval_save_outputs >> output & 1;
}

static reel_status evaluate_all(tally *to, reel_error *error) {
    trainer *const t = to->trainer;
    const evaluation e = {.ctx = t->ctx,
                          .model = t->model,
                          .data = t->test_data,
                          .batch_size = t->plan.batch_size,
                          .examples = t->test_data->total_examples,
                          .mode = REEL_ACT_EVALUATE,
                          .wants_logits = wants(t, CONFIG_OUTPUT_LOGITS)};
    reel_status status = evaluators_begin(&t->evaluators, error);
    if (status != REEL_OK)
        return status;
    trainer_swap_ema(t);
    status = evaluate(&e, count, to, error);
    trainer_swap_ema(t);
    return status;
}

/* ---- saved outputs ----------------------------------------------------------------------------------- */

/* Begins RUN/step_N_all_preds/NAME.npy for what eval_save_outputs names. */
static reel_status open_outputs(eval_outputs *outputs, const trainer *t, const run *r, reel_error *error) {
    static const char *const names[CONFIG_OUTPUT_COUNT] = {
#define FILE_NAME(output, word, refusal) [output] = word ".npy",
        CONFIG_OUTPUTS(FILE_NAME)
#undef FILE_NAME
    };
    if (t->config->eval_save_outputs == 0)
        return REEL_OK;
    char own[64], *paths[CONFIG_OUTPUT_COUNT] = {0};
    snprintf(own, sizeof own, "step_%" PRId64 "_all_preds", t->step);
    char *const folder = reel_path_in(r->folder, own);
    reel_status status = folder ? reel_make_folders(folder, NULL, error)
                                : reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory", r->folder);
    for (config_output i = 0; i < CONFIG_OUTPUT_COUNT && status == REEL_OK; i++) {
        if (wants(t, i) && !(paths[i] = reel_path_in(folder, names[i])))
            status = reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory", folder);
    }
    if (status == REEL_OK)
        status = eval_outputs_open(outputs, (const char *const *)paths, t->model,
                                   t->test_data->total_examples, error);
    for (int i = 0; i < CONFIG_OUTPUT_COUNT; i++)
        free(paths[i]);
    free(folder);
    return status;
}

/* ---- telling ----------------------------------------------------------------------------------------- */

static void say_results(progress *p, const trainer *t, const metrics *of_sets, double seconds) {
    const bool several = t->test_data->set_count > 1;
    for (int i = 0; i < t->test_data->set_count; i++) {
        const reel_dataset_set *const set = &t->test_data->sets[i];
        status_line_say(&p->line,
                        "step %" PRId64 ": exact %.1f %%, token %.1f %% on %" PRId64
                        " test puzzles%s%s (%.1f s)",
                        t->step, 100 * metrics_mean(&of_sets[i], REEL_METRIC_EXACT_ACCURACY),
                        100 * metrics_mean(&of_sets[i], REEL_METRIC_ACCURACY), set->examples,
                        several ? " of " : "", several ? set->name : "", seconds);
    }
}

static double exact_accuracy(const metrics *of_sets, int count) {
    metrics all = {0};
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < REEL_METRIC_KINDS; k++)
            all.sums[k] += of_sets[i].sums[k];
    }
    return metrics_mean(&all, REEL_METRIC_EXACT_ACCURACY);
}

reel_status measure(trainer *t, run *r, progress *p, measurement *result, reel_error *error) {
    metrics of_sets[REEL_DATASET_MAX_SETS] = {0};
    *result = (measurement){0};
    const double begin = trainer_clock();
    tally to = {.trainer = t, .progress = p, .of_sets = of_sets};
    reel_status status = open_outputs(&to.outputs, t, r, error);
    if (status == REEL_OK)
        status = evaluate_all(&to, error);
    const bool is_whole = status == REEL_OK && !interrupt_signal(); /* asked once: one may come any moment */
    if (is_whole)
        status = eval_outputs_commit(&to.outputs, error);
    eval_outputs_discard(&to.outputs);
    if (!is_whole && status == REEL_OK)
        return evaluators_undo(&t->evaluators, error);
    if (status != REEL_OK)
        return status;
    const metrics_event event = {
        .step = t->step, .seconds = t->seconds, .duration_seconds = trainer_clock() - begin};
    metrics_line line;
    metrics_write_evaluation(&line, t->test_data, of_sets, &event);
    status = evaluators_end(&t->evaluators, r->folder, t->step, &line, error);
    if (status != REEL_OK)
        return status;
    say_results(p, t, of_sets, event.duration_seconds);
    *result = (measurement){.is_complete = true,
                            .exact_accuracy = exact_accuracy(of_sets, t->test_data->set_count)};
    return run_log(r, &line, error);
}
