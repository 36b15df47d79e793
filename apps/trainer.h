/* Everything that a training run works with, built from its configuration. */
#ifndef TRAINER_H
#define TRAINER_H

#include "batch_worker.h"
#include "config.h"
#include "evaluators.h"

#include <reel/act.h>
#include <reel/batches.h>
#include <reel/model.h>
#include <reel/optim.h>

typedef struct trainer {
    const train_config *config;
    reel_context *ctx;

    reel_dataset *data, *test_data; /* test_data NULL: no evaluation */
    evaluators evaluators;
    reel_batch_plan plan;
    reel_batch batch;     /* on the host, written anew for every step */
    batch_worker *worker; /* makes the next one meanwhile; NULL: nobody does */

    reel_model *model;
    reel_optimizer *optimizer; /* NULL: the weights are frozen */
    reel_carry *carry;
    reel_tensor *metrics;      /* (REEL_METRIC_KINDS) of the last step */
    reel_tensor *puzzle_rates; /* (2) of the puzzle embeddings' next step */

    int64_t step;           /* optimizer steps taken */
    int64_t last_step;      /* at which training ends at the latest */
    int64_t interval;       /* evaluation intervals that have ended ... */
    bool interval_ended;    /* ... one of them with the last step */
    int64_t next_interval;  /* that will have ended when the step of the batch is counted */
    int64_t schedule_steps; /* the learning rate's idea of the end */
    double seconds;         /* that the steps took, evaluations excluded */
    int64_t tape_bytes;     /* that the tape held at most in the last step */
} trainer;

typedef enum trainer_start {
    TRAINER_BEGINS,
    TRAINER_CONTINUES, /* another state will replace the weights, so that none are loaded */
} trainer_start;

/* Opens the data, builds the model, loads the weights to start from and takes all memory that is known
 * beforehand. Writes nothing. *config must outlive *t. After an error *t is all zero. */
reel_status trainer_build(trainer *t, const train_config *config, trainer_start start, reel_error *error);
void trainer_free(trainer *t);

/* Goes to where `step` steps, 1 or more, have been counted. */
void trainer_go_to_step(trainer *t, int64_t step);

/* Writes the batch of the step after those counted. */
reel_status trainer_next_batch(trainer *t, reel_error *error);

/* Counts a step that went well, whose batch came last, and learns whether an interval or the run ends with
 * it. */
void trainer_count_step(trainer *t);

/* Exchanges the weights with their moving average, if one is kept; a second call brings them back. */
void trainer_swap_ema(trainer *t);

/* Ends what was done on the tape: everything on it dies. The context's first error, if there was one, becomes
 * *error, behind "WHAT N: ". */
reel_status trainer_end_tape(trainer *t, const char *what, int64_t n, reel_error *error);

/* Seconds on a clock that never jumps. */
double trainer_clock(void);

/* What a piece of work took. */
typedef struct trainer_cost {
    double seconds;
    int64_t page_faults;        /* minor ones, of the whole process */
    int64_t system_allocations; /* of the engine's pool */
} trainer_cost;

/* What has been spent so far; what was spent since. */
trainer_cost trainer_spent(const trainer *t);
trainer_cost trainer_spent_since(const trainer *t, const trainer_cost *before);

#endif
