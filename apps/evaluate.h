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
 * behind the last test example are padding. The batch stays in t->batch. */
reel_status evaluate_batch(trainer *t, int64_t index, evaluate_watcher *watch, void *arg, reel_error *error);

/* Batches in one evaluation. */
int64_t evaluate_batches(const trainer *t);

/* The metrics of the last supervision step over all test examples, with the moving average of the weights and
 * the puzzle embeddings as they are. A signal ends it early: then *m is incomplete. */
reel_status evaluate(trainer *t, progress *p, metrics *m, reel_error *error);

#endif
