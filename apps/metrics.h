/* What a step or an evaluation measured, and its line in metrics.jsonl. */
#ifndef METRICS_H
#define METRICS_H

#include "evaluate.h"

#include <reel/act.h>
#include <reel/batches.h>
#include <reel/tensor.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sums over the examples of a batch, or of several. */
typedef struct metrics {
    double sums[REEL_METRIC_KINDS];
    int digits; /* after which nothing is left of the type they were computed in */
} metrics;

/* Adds one step's metrics, the (REEL_METRIC_KINDS) tensor of a reel_act_result. After an error, which the
 * context keeps, *m has not changed. */
void metrics_add(reel_context *ctx, metrics *m, reel_tensor *of_step);

/* Adds one example of an evaluation that computes in `dtype`. Without labels it does not count. */
void metrics_add_example(metrics *m, const evaluate_example *example, reel_dtype dtype);

/* A metric's sum over the number of examples counted, 0 where none was. */
double metrics_mean(const metrics *m, reel_metric metric);

/* (lm_loss + 0.5 (q_halt_loss + q_continue_loss)) / rows: what is trained when rows is the batch size. */
double metrics_loss(const metrics *m, int64_t rows);

/* ---- lines ------------------------------------------------------------------------------------------- */

enum { METRICS_LINE_BYTES = 1 << 16 }; /* enough for the metrics of as many sets as there may be */

/* One JSON object on one line. */
typedef struct metrics_line {
    char text[METRICS_LINE_BYTES];
    size_t bytes;
} metrics_line;

/* What happened besides the metrics. Only the last two depend on the machine: a run with the same seed
 * repeats all but the values of the keys "seconds", "evaluation_seconds" and "puzzles_per_second". */
typedef struct metrics_event {
    int64_t step;    /* from 1 */
    double lr;       /* of this step */
    bool q_continue; /* whether a continue head is trained */
    int64_t batch_size;
    double seconds;          /* of training so far, without evaluations */
    double duration_seconds; /* of this step, or evaluation */
} metrics_event;

/* As published: train/accuracy, train/exact_accuracy, train/q_halt_accuracy and train/steps are means over
 * the rows that halted in this step, train/count is how many did (where it is 0, the means are 0 and say
 * nothing), losses are means over the batch. */
void metrics_write_training(metrics_line *line, const metrics *m, const metrics_event *event);

/* As published: SET/accuracy and so on are means over the test examples of a set, all/accuracy where there is
 * but the one. `of_sets` holds one sum for each of the data's sets. */
void metrics_write_evaluation(metrics_line *line, const reel_dataset *data, const metrics *of_sets,
                              const metrics_event *event);

/* A score of a task, such as "ARC/pass@1". */
typedef struct named_value {
    char name[32];
    double value;
} named_value;

/* Adds a score to a written line. */
void metrics_write_score(metrics_line *line, const named_value *score);

#endif
