/* Batches prepared ahead: while the GPU takes a step, a thread of its own makes the batch of the next. On the
 * CPU it would take a core from the step. */
#ifndef BATCH_WORKER_H
#define BATCH_WORKER_H

#include <reel/batches.h>

#include <stdbool.h>

/* A thread, and one batch that is made or waits to be taken. */
typedef struct batch_worker batch_worker;

/* Begins a thread that goes through `dataset`, which from then on is its own, as is the cursor within; *plan
 * must outlive it. NULL when the system grants no memory or no thread: then batches are made when needed, and
 * are the same. */
batch_worker *batch_worker_new(reel_dataset *dataset, const reel_batch_plan *plan);
/* Ends the thread. NULL is accepted. */
void batch_worker_free(batch_worker *worker);

/* Brings batch `step` as reel_train_batch makes it, and in *interval what reel_plan_interval says of the step
 * behind it. *batch, memory of the same sizes, is exchanged for the one that was filled: what it held before
 * is lost. Where the run has a next step, counted from 0 and less than `last_step`, that one is begun. Any
 * step may follow any other. Errors: those of reel_train_batch, with the step that they belong to. */
reel_status batch_worker_take(batch_worker *worker, int64_t step, int64_t last_step, reel_batch *batch,
                              int64_t *interval, reel_error *error);

/* Waits until the thread sleeps, so that the caller may use the data set until the next call of the above. */
void batch_worker_rest(batch_worker *worker);

/* Memory for batches of `rows` rows of `seq_len` cells; false, with nothing taken, where there is none. */
bool batch_new(reel_batch *batch, int64_t rows, int64_t seq_len);
void batch_free(reel_batch *batch);

#endif
