/* The folder of a run:
 *
 *     all_config.yaml      the whole configuration, readable by trm_train
 *     metrics.jsonl        one JSON object per step and per evaluation (metrics.h)
 *     step_N.safetensors   the weights after N steps (checkpoint.h) */
#ifndef RUN_H
#define RUN_H

#include "metrics.h"
#include "trainer.h"

#include <limits.h>

typedef struct run {
    const char *folder;
    int metrics;          /* file descriptor, -1: none */
    bool made_folder;     /* and did not find it there */
    int64_t saved_step;   /* of the newest weights, 0: none */
    char saved[PATH_MAX]; /* where they are */
} run;

/* A run that has not begun. */
#define RUN_NONE                                                                                             \
    (run) {                                                                                                  \
        .metrics = -1                                                                                        \
    }

/* Refuses a folder that holds weights already, and what cannot become a folder. Writes nothing. */
reel_status run_check_folder(const char *folder, reel_error *error);

/* Makes the folder and begins its files. Another process that trains there is refused. */
reel_status run_begin(run *r, const train_config *config, reel_error *error);

/* Adds a line to metrics.jsonl; where the disk is full, the file ends with the last whole line. */
reel_status run_log(run *r, const metrics_line *line, reel_error *error);

/* Saves the weights as step_N.safetensors, unless that has been done. */
reel_status run_save(run *r, trainer *t, reel_error *error);

/* Closes the files. A run that never took a step leaves nothing behind. */
void run_end(run *r, const trainer *t);

#endif
