/* An evaluation within a run: how well the weights solve the test data, into metrics.jsonl. */
#ifndef MEASURE_H
#define MEASURE_H

#include "progress.h"
#include "run.h"
#include "trainer.h"

typedef struct measurement {
    bool is_complete;
    double exact_accuracy; /* of all test sets together */
} measurement;

/* Measures the weights, their moving average where one is kept, with the puzzle embeddings as they are, on
 * every test set, and runs the evaluators. Logs and shows what it found, and writes what eval_save_outputs
 * names. A signal ends it early: what an interruption leaves is no result and counts no votes. */
reel_status measure(trainer *t, run *r, progress *p, measurement *result, reel_error *error);

#endif
