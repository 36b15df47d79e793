/* The folder of a run:
 *
 *     all_config.yaml      the whole configuration, readable by trm_train
 *     metrics.jsonl        one JSON object per step and per evaluation (metrics.h); locked by who trains here
 *     step_N.safetensors   the weights after N steps (checkpoint.h)
 *     state_N.safetensors  what else continuing after N steps needs (run_state.h); the last two stay
 *     gemm_choices.txt     on a GPU, the algorithms of its matrix products (<reel/gemm_choices.h>)
 *
 * The state is written first, and continuing begins at the newest, so that a run that was killed at any
 * moment writes the same files once more. */
#ifndef RUN_H
#define RUN_H

#include "metrics.h"
#include "run_state.h"
#include "trainer.h"

#include <limits.h>

typedef struct run {
    const char *folder;
    int metrics;          /* file descriptor, -1: none */
    bool is_new;          /* begun here and not continued */
    bool made_folder;     /* and did not find it there */
    run_record record;    /* what the next state will say */
    int64_t saved_step;   /* of the newest weights, 0: none */
    char saved[PATH_MAX]; /* where they are */
    int64_t state_step;   /* of the newest state, 0: none */
    double saved_at;      /* when it was written, by trainer_clock */
    int64_t choices;      /* in gemm_choices.txt */
} run;

/* A run that has not begun. */
#define RUN_NONE                                                                                             \
    (run) {                                                                                                  \
        .metrics = -1                                                                                        \
    }

/* On a GPU, gives the trainer, which has not begun, the algorithms of matrix products: those that the run in
 * the folder has taken, if it continues, or else those of the configuration. Writes nothing. */
reel_status run_take_choices(run *r, const trainer *t, trainer_start start, reel_error *error);

/* ---- a new run --------------------------------------------------------------------------------------- */

/* Refuses a folder that holds weights or states already, and what cannot become a folder. Writes nothing. */
reel_status run_check_folder(const char *folder, reel_error *error);

/* Makes the folder and begins its files. Another process that trains there is refused. */
reel_status run_begin(run *r, const train_config *config, reel_error *error);

/* ---- a run to continue ------------------------------------------------------------------------------- */

/* Locks the run in the folder and opens its newest state; standard error is told of newer ones that are
 * damaged. state->file is NULL where there is no state, and then nothing is locked. *state is closed by the
 * caller, `folder` must outlive *r. Writes nothing. */
reel_status run_find(run *r, const char *folder, run_state *state, reel_error *error);

/* Puts the trainer, built with the run's configuration, where the state was saved. Writes nothing. */
reel_status run_load(run *r, trainer *t, const run_state *state, reel_error *error);

/* Takes back what was logged after the state and puts the files in order. */
reel_status run_continue(run *r, trainer *t, reel_error *error);

/* ---- while it runs ----------------------------------------------------------------------------------- */

/* Adds a line to metrics.jsonl; where the disk is full, the file ends with the last whole line. A file that
 * has been removed is an error. */
reel_status run_log(run *r, const metrics_line *line, reel_error *error);

/* Saves the weights as step_N.safetensors, unless that has been done. */
reel_status run_save_weights(run *r, trainer *t, reel_error *error);

/* Saves the state as state_N.safetensors, unless that has been done. */
reel_status run_save_state(run *r, trainer *t, reel_error *error);

/* Both, the state first: where the weights alone are missing, they can be made from it. */
reel_status run_save(run *r, trainer *t, reel_error *error);

/* The weights of this step, which stay as long as no others are better, solved this share of the test data.
 */
void run_rate(run *r, int64_t step, double exact_accuracy);

/* The evaluation after this step belongs to the run: where the step has a state, that is written again. */
reel_status run_count_evaluation(run *r, trainer *t, reel_error *error);

/* Removes the files that keep_checkpoints and newer states make superfluous. */
void run_remove_old(const run *r, const trainer *t);

/* Closes the files. A new run that never took a step leaves nothing behind. */
void run_end(run *r, const trainer *t);

#endif
