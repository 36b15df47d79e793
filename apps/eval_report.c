#include "eval_report.h"

#include <cJSON.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* The losses that an evaluation computes end before that of the continue head, which is for training alone.
 */
static const reel_metric evaluated_metrics = REEL_METRIC_Q_CONTINUE_LOSS;

static double share(double sum, int64_t count) {
    return count > 0 ? sum / (double)count : 0;
}

static double count_of(const tally *t) {
    return t->all.sums[REEL_METRIC_COUNT];
}

static double loss_of(const metrics *m) {
    const double count = m->sums[REEL_METRIC_COUNT];
    return count > 0 ? metrics_loss(m, (int64_t)count) : 0;
}

static double per_second(const eval_report *r) {
    return r->seconds > 0 ? count_of(r->tally) / r->seconds : 0;
}

/* ---- for people -------------------------------------------------------------------------------------- */

static void print_steps(FILE *out, const tally *t) {
    fputs("\n  after step    exact    token   halted\n", out);
    for (int64_t i = 0; i < t->max_steps; i++) {
        const tally_sums *const sums = &t->after[i];
        fprintf(out, "  %10" PRId64 "  %5.1f %%  %5.1f %%  %5.1f %%\n", i + 1,
                100 * share(sums->exact_accuracy, sums->count), 100 * share(sums->accuracy, sums->count),
                100 * share(sums->halting_step, sums->count));
    }
}

static void print_bins(FILE *out, tally *t) {
    tally_bin bins[TALLY_BINS_MAX];
    const int count = tally_bins(t, bins);
    if (count > 0)
        fputs("\n   difficulty   puzzles    exact    token   halting step\n", out);
    for (int i = 0; i < count; i++) {
        const tally_sums *const sums = &bins[i].sums;
        char range[48];
        if (bins[i].lowest == bins[i].highest)
            snprintf(range, sizeof range, "%" PRId64, bins[i].lowest);
        else
            snprintf(range, sizeof range, "%" PRId64 " - %" PRId64, bins[i].lowest, bins[i].highest);
        fprintf(out, "  %11s  %8" PRId64 "  %5.1f %%  %5.1f %%  %13.1f\n", range, sums->count,
                100 * share(sums->exact_accuracy, sums->count), 100 * share(sums->accuracy, sums->count),
                share(sums->halting_step, sums->count));
    }
}

static void print_tally(FILE *out, const eval_report *r) {
    const tally *const t = r->tally;
    fprintf(out, "exact %.2f %%, token %.2f %% on %.0f puzzles\n",
            100 * metrics_mean(&t->all, REEL_METRIC_EXACT_ACCURACY),
            100 * metrics_mean(&t->all, REEL_METRIC_ACCURACY), count_of(t));
    fprintf(out, "loss %.4f (lm_loss %.4f, q_halt_loss %.4f), the halting head is right in %.2f %%\n",
            loss_of(&t->all), metrics_mean(&t->all, REEL_METRIC_LM_LOSS),
            metrics_mean(&t->all, REEL_METRIC_Q_HALT_LOSS),
            100 * metrics_mean(&t->all, REEL_METRIC_Q_HALT_ACCURACY));
    fprintf(out, "%.2f supervision steps a puzzle, the halting head %s at step %.2f on average\n",
            metrics_mean(&t->all, REEL_METRIC_STEPS), r->stops_early ? "stops" : "would stop",
            tally_halting_step(t));
    fprintf(out, "%.1f s, %.1f puzzles/s\n", r->seconds, per_second(r));
    for (int i = 0; i < t->set_count && t->set_count > 1; i++)
        fprintf(out, "%s: exact %.2f %%, token %.2f %%\n", t->sets[i].name,
                100 * metrics_mean(&t->of_set[i], REEL_METRIC_EXACT_ACCURACY),
                100 * metrics_mean(&t->of_set[i], REEL_METRIC_ACCURACY));
    print_steps(out, t);
    print_bins(out, r->tally);
}

void eval_report_print(FILE *out, const eval_report *r) {
    if (r->tally)
        print_tally(out, r);
    for (int i = 0; i < r->task_metric_count; i++)
        fprintf(out, "%s %.2f %%\n", r->task_metrics[i].name, 100 * r->task_metrics[i].value);
}

/* ---- for programs ------------------------------------------------------------------------------------ */

/* cJSON's functions accept the NULL of one that found no memory; that shows in the end, when the text is
 * shorter than it should be, so every call is counted. */
typedef struct json_writer {
    cJSON *root;
    bool complete;
} json_writer;

/* With as many digits as tell the number from every other: cJSON's own 15 are not enough. */
static void add_number(json_writer *w, cJSON *object, const char *key, double value) {
    char text[32];
    int digits = 15;
    if (!isfinite(value)) { /* null */
        w->complete &= cJSON_AddNumberToObject(object, key, value) != NULL;
        return;
    }
    do
        snprintf(text, sizeof text, "%.*g", digits, value);
    while (strtod(text, NULL) != value && ++digits <= 17);
    w->complete &= cJSON_AddRawToObject(object, key, text) != NULL;
}

static void add_string(json_writer *w, cJSON *object, const char *key, const char *value) {
    if (value)
        w->complete &= cJSON_AddStringToObject(object, key, value) != NULL;
}

static cJSON *add_object(json_writer *w, cJSON *array) {
    cJSON *const object = cJSON_CreateObject();
    w->complete &= object && cJSON_AddItemToArray(array, object);
    return object;
}

static cJSON *add_array(json_writer *w, const char *key) {
    cJSON *const array = cJSON_AddArrayToObject(w->root, key);
    w->complete &= array != NULL;
    return array;
}

static void add_shares(json_writer *w, cJSON *object, const tally_sums *sums) {
    add_number(w, object, "accuracy", share(sums->accuracy, sums->count));
    add_number(w, object, "exact_accuracy", share(sums->exact_accuracy, sums->count));
}

static void add_steps(json_writer *w, const tally *t) {
    cJSON *const array = add_array(w, "steps");
    for (int64_t i = 0; i < t->max_steps; i++) {
        cJSON *const object = add_object(w, array);
        add_number(w, object, "step", (double)(i + 1));
        add_shares(w, object, &t->after[i]);
        add_number(w, object, "halted", share(t->after[i].halting_step, t->after[i].count));
    }
}

static void add_bins(json_writer *w, tally *t) {
    tally_bin bins[TALLY_BINS_MAX];
    const int count = tally_bins(t, bins);
    cJSON *const array = count > 0 ? add_array(w, "difficulty") : NULL;
    for (int i = 0; i < count; i++) {
        cJSON *const object = add_object(w, array);
        add_number(w, object, "lowest", (double)bins[i].lowest);
        add_number(w, object, "highest", (double)bins[i].highest);
        add_number(w, object, "examples", (double)bins[i].sums.count);
        add_shares(w, object, &bins[i].sums);
        add_number(w, object, "halting_step", share(bins[i].sums.halting_step, bins[i].sums.count));
    }
}

/* "all/accuracy" and so on. */
static void add_set(json_writer *w, const char *set, const metrics *m) {
    char key[128];
    for (reel_metric k = REEL_METRIC_COUNT + 1; k < evaluated_metrics; k++) {
        snprintf(key, sizeof key, "%s/%s", set, reel_metric_name(k));
        add_number(w, w->root, key, metrics_mean(m, k));
    }
    snprintf(key, sizeof key, "%s/loss", set);
    add_number(w, w->root, key, loss_of(m));
}

static void add_tally(json_writer *w, const eval_report *r) {
    const tally *const t = r->tally;
    add_number(w, w->root, "examples", count_of(t));
    for (int i = 0; i < t->set_count; i++)
        add_set(w, t->sets[i].name, &t->of_set[i]);
    add_number(w, w->root, "halting_step", tally_halting_step(t));
    add_number(w, w->root, "seconds", r->seconds);
    add_number(w, w->root, "puzzles_per_second", per_second(r));
    add_steps(w, t);
    add_bins(w, r->tally);
}

reel_status eval_report_print_json(FILE *out, const eval_report *r, reel_error *error) {
    json_writer w = {.root = cJSON_CreateObject(), .complete = true};
    add_string(&w, w.root, "checkpoint", r->checkpoint);
    if (r->step >= 0)
        add_number(&w, w.root, "step", (double)r->step);
    add_string(&w, w.root, "dataset", r->dataset);
    for (int i = 0; i < r->task_metric_count; i++)
        add_number(&w, w.root, r->task_metrics[i].name, r->task_metrics[i].value);
    if (r->tally)
        add_tally(&w, r);
    char *const text = w.root && w.complete ? cJSON_PrintUnformatted(w.root) : NULL;
    if (text)
        fprintf(out, "%s\n", text);
    free(text);
    cJSON_Delete(w.root);
    return text ? REEL_OK : reel_fail(error, REEL_ERROR_MEMORY, "no memory left for the report");
}
