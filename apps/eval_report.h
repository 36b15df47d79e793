/* What trm_eval found, for people and for programs. */
#ifndef EVAL_REPORT_H
#define EVAL_REPORT_H

#include "eval_tally.h"

#include <stdio.h>

typedef struct eval_report {
    const char *checkpoint, *dataset; /* NULL: not from one */
    int64_t step;                     /* of the checkpoint, -1: not known */
    tally *tally;                     /* NULL: nothing was computed, only voted on */
    double seconds;
    bool stops_early;                /* --halt */
    const named_value *task_metrics; /* such as "ARC/pass@1" */
    int task_metric_count;
} eval_report;

/* As text of a few lines. */
void eval_report_print(FILE *out, const eval_report *report);

/* As one JSON object on one line. Metrics have their published names ("all/exact_accuracy"); besides them,
 * "steps" has one object per supervision step and "difficulty" one per bin. */
reel_status eval_report_print_json(FILE *out, const eval_report *report, reel_error *error);

#endif
