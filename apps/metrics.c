#include "metrics.h"

#include <reel/ops.h>

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS_F32 = 9, DIGITS_F64 = 17, DIGITS_TIME = 6, SET_BYTES = REEL_DATASET_NAME_BYTES + 2 };

static int digits_of(reel_dtype dtype) {
    return dtype == REEL_F64 ? DIGITS_F64 : DIGITS_F32;
}

void metrics_add(reel_context *ctx, metrics *m, reel_tensor *of_step) {
    double values[REEL_METRIC_KINDS];
    if (reel_read(ctx, reel_cast(ctx, of_step, REEL_F64), values, sizeof values) != REEL_OK)
        return;
    m->digits = digits_of(of_step->dtype);
    for (int i = 0; i < REEL_METRIC_KINDS; i++)
        m->sums[i] += values[i];
}

void metrics_add_example(metrics *m, const evaluate_example *example, reel_dtype dtype) {
    m->digits = digits_of(dtype);
    if (!example->labelled)
        return;
    const evaluate_step *const last = &example->steps[example->steps_taken - 1];
    const double values[REEL_METRIC_KINDS] = {
        [REEL_METRIC_COUNT] = 1,
        [REEL_METRIC_ACCURACY] = last->accuracy,
        [REEL_METRIC_EXACT_ACCURACY] = last->exact,
        [REEL_METRIC_Q_HALT_ACCURACY] = (last->q_halt >= 0) == last->exact,
        [REEL_METRIC_STEPS] = (double)example->steps_taken,
        [REEL_METRIC_LM_LOSS] = example->lm_loss,
        [REEL_METRIC_Q_HALT_LOSS] = example->q_halt_loss,
    };
    for (int i = 0; i < REEL_METRIC_KINDS; i++)
        m->sums[i] += values[i];
}

double metrics_mean(const metrics *m, reel_metric metric) {
    return m->sums[metric] / fmax(m->sums[REEL_METRIC_COUNT], 1);
}

double metrics_loss(const metrics *m, int64_t rows) {
    const double q = m->sums[REEL_METRIC_Q_HALT_LOSS] + m->sums[REEL_METRIC_Q_CONTINUE_LOSS];
    return (m->sums[REEL_METRIC_LM_LOSS] + 0.5 * q) / (double)rows;
}

/* ---- lines ------------------------------------------------------------------------------------------- */

static void append(metrics_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(metrics_line *line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const size_t room = sizeof line->text - line->bytes;
    const int used = vsnprintf(line->text + line->bytes, room, format, arguments);
    va_end(arguments);
    if (used > 0) /* the lines below are far shorter than the room */
        line->bytes += (size_t)used < room ? (size_t)used : room - 1;
}

/* JSON has no infinity and no NaN. */
static void append_number(metrics_line *line, const char *set, const char *key, double value, int digits) {
    if (isfinite(value))
        append(line, ",\"%s%s\":%.*g", set, key, digits, value);
    else
        append(line, ",\"%s%s\":null", set, key);
}

static void begin(metrics_line *line, const metrics_event *event) {
    line->bytes = 0;
    append(line, "{\"step\":%" PRId64, event->step);
}

static bool is_loss(reel_metric metric) {
    return metric >= REEL_METRIC_LM_LOSS;
}

void metrics_write_training(metrics_line *line, const metrics *m, const metrics_event *event) {
    begin(line, event);
    const reel_metric kinds = event->q_continue ? REEL_METRIC_KINDS : REEL_METRIC_Q_CONTINUE_LOSS;
    for (reel_metric k = 0; k < kinds; k++) {
        double value = metrics_mean(m, k);
        if (k == REEL_METRIC_COUNT)
            value = m->sums[k];
        else if (is_loss(k))
            value = m->sums[k] / (double)event->batch_size;
        append_number(line, "train/", reel_metric_name(k), value, m->digits);
    }
    append_number(line, "train/", "lr", event->lr, m->digits);
    append_number(line, "", "seconds", event->seconds, DIGITS_TIME);
    append_number(line, "", "puzzles_per_second", (double)event->batch_size / event->duration_seconds,
                  DIGITS_TIME);
    append(line, "}\n");
}

void metrics_write_evaluation(metrics_line *line, const reel_dataset *data, const metrics *of_sets,
                              const metrics_event *event) {
    begin(line, event);
    for (int i = 0; i < data->set_count; i++) {
        const metrics *const m = &of_sets[i];
        char set[SET_BYTES];
        snprintf(set, sizeof set, "%s/", data->sets[i].name);
        for (reel_metric k = 0; k < REEL_METRIC_Q_CONTINUE_LOSS; k++) { /* the last is for training alone */
            if (k != REEL_METRIC_COUNT)
                append_number(line, set, reel_metric_name(k), metrics_mean(m, k), m->digits);
        }
    }
    append_number(line, "", "seconds", event->seconds, DIGITS_TIME);
    append_number(line, "", "evaluation_seconds", event->duration_seconds, DIGITS_TIME);
    append(line, "}\n");
}

void metrics_write_score(metrics_line *line, const named_value *score) {
    line->bytes -= strlen("}\n");
    append_number(line, "", score->name, score->value, DIGITS_F64);
    append(line, "}\n");
}
