#include "progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>

enum { LINE_BYTES = 256, WARM_UP_STEPS = 3 };

static const double terminal_interval_seconds = 0.1, plain_interval_seconds = 10;

/* What one step weighs after the next: the shown values are means over about 20 steps, because at many steps
 * only a few rows halt. */
static const double memory_of_a_step = 0.95;

void progress_begin(progress *p, const trainer *t) {
    const reel_model_config *const model = reel_model_config_of(t->model);
    const int64_t puzzle_tokens = reel_model_puzzle_tokens(t->model);
    const int threads = reel_context_threads(t->ctx);
    *p = (progress){.line = status_line_on(stdout)};
    status_line_say(&p->line,
                    "model: %" PRId64 " parameters, %" PRId64 " cells + %" PRId64
                    " puzzle tokens, %s; %d %s, %s",
                    reel_parameters_elements(reel_model_parameters(t->model)), model->seq_len, puzzle_tokens,
                    reel_dtype_name(model->forward_dtype), threads, threads == 1 ? "thread" : "threads",
                    reel_context_device(t->ctx) == REEL_CUDA ? reel_context_device_name(t->ctx)
                                                             : reel_context_isa(t->ctx));
    status_line_say(&p->line,
                    "data: %" PRId64 " training puzzles, %" PRId64 " test puzzles; %" PRId64
                    " steps of %" PRId64 " rows (puzzles/s: rows times steps per second)",
                    t->data->total_groups, t->test_data ? t->test_data->total_examples : 0, t->last_step,
                    t->plan.batch_size);
}

static double peak_memory_mib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024; /* KiB */
}

static void remember(progress *p, const metrics *m, int64_t rows, const trainer_cost *cost) {
    for (int i = 0; i < REEL_METRIC_KINDS; i++)
        p->recent.sums[i] = p->recent.sums[i] * memory_of_a_step + m->sums[i];
    p->recent_rows = p->recent_rows * memory_of_a_step + (double)rows;
    p->recent_seconds = p->recent_seconds * memory_of_a_step + cost->seconds;
    p->recent_steps = p->recent_steps * memory_of_a_step + 1;
}

/* "exact 12.3%", or a dash while no row has halted. */
static void write_share(char *out, size_t bytes, const char *name, const metrics *m, reel_metric metric) {
    const double count = m->sums[REEL_METRIC_COUNT];
    if (count > 0)
        snprintf(out, bytes, "%s %.1f%%", name, 100 * m->sums[metric] / count);
    else
        snprintf(out, bytes, "%s -", name);
}

void progress_step(progress *p, const trainer *t, const metrics *m, const trainer_cost *cost) {
    remember(p, m, t->plan.batch_size, cost);
    if (t->step > WARM_UP_STEPS) {
        p->steady.page_faults += cost->page_faults;
        p->steady.system_allocations += cost->system_allocations;
        p->steady_steps++;
    }
    const double now = trainer_clock();
    const bool last = t->step == t->last_step;
    if (now < p->next && !last)
        return;
    p->next = now + (p->line.terminal ? terminal_interval_seconds : plain_interval_seconds);

    const double step_seconds = p->recent_seconds / p->recent_steps;
    char line[LINE_BYTES], exact[32], token[32], left[STATUS_TIME_BYTES];
    write_share(exact, sizeof exact, "exact", &p->recent, REEL_METRIC_EXACT_ACCURACY);
    write_share(token, sizeof token, "token", &p->recent, REEL_METRIC_ACCURACY);
    const double loss = metrics_loss(&p->recent, 1) / p->recent_rows;
    snprintf(line, sizeof line,
             "step %" PRId64 "/%" PRId64 " %s left  loss %.3f  %s %s  %.0f puzzles/s  %.0f MiB", t->step,
             t->last_step, status_time(left, step_seconds * (double)(t->last_step - t->step)), loss, exact,
             token, (double)t->plan.batch_size / step_seconds, peak_memory_mib());
    if (p->line.terminal)
        status_line_show(&p->line, "%s", line);
    else
        status_line_say(&p->line, "%s", line);
}

void progress_memory(progress *p, const trainer *t) {
    const double MiB = 1024 * 1024;
    if (p->steady_steps > 0)
        status_line_say(&p->line,
                        "memory: %.0f MiB resident at most, %.1f MiB on the tape; after step %d: %" PRId64
                        " system allocations, %.1f page faults a step",
                        peak_memory_mib(), (double)t->tape_bytes / MiB, WARM_UP_STEPS,
                        p->steady.system_allocations,
                        (double)p->steady.page_faults / (double)p->steady_steps);
}

void progress_evaluation(progress *p, int64_t done, int64_t examples) {
    const double now = trainer_clock();
    if (!p->line.terminal || now < p->next)
        return;
    p->next = now + terminal_interval_seconds;
    status_line_show(&p->line, "evaluating: %" PRId64 " of %" PRId64, done, examples);
}
