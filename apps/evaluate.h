/* How well the model solves the test data. */
#ifndef EVALUATE_H
#define EVALUATE_H

#include "metrics.h"
#include "progress.h"
#include "trainer.h"

/* Shown each supervision step of a test batch, from 1 to halt_max_steps. */
typedef void evaluate_watcher(void *arg, reel_context *ctx, int64_t supervision_step,
                              const reel_act_result *result);

/* Lets the model think about test batch `index`, of t->test_carry's size, with the weights as they are. Rows
 * behind the last example of a set are padding. The batch stays in t->batch, and t->rows says what it holds.
 */
reel_status evaluate_batch(trainer *t, int64_t index, evaluate_watcher *watch, void *arg, reel_error *error);

/* Batches in one evaluation. */
int64_t evaluate_batches(const trainer *t);

/* The metrics of the last supervision step over the test examples of each set, with the moving average of the
 * weights and the puzzle embeddings as they are. A signal ends it early: then they are incomplete. */
reel_status evaluate(trainer *t, progress *p, metrics of_sets[static REEL_DATASET_MAX_SETS],
                     reel_error *error);

#endif
