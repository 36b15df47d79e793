/* What continuing a run needs besides its weights file: state_N.safetensors.
 *
 * It stands for itself: the weights as they are trained, both moments and the moving average, each as the
 * optimizer's arena; the initial latents and puzzle embeddings; what the batch carries; the votes of the
 * evaluators. Its metadata hold what this layout is called ("format"), the configuration as JSON ("config"),
 * the record below and a checksum over all of it. Random draws and batches follow from seed and step, both of
 * which it names. Times of the clock are not in it: the same run gives the same bytes. */
#ifndef RUN_STATE_H
#define RUN_STATE_H

#include "trainer.h"

#include <reel/safetensors.h>

#include <limits.h>

/* Where a run stands beside the trainer's tensors. */
typedef struct run_record {
    int64_t step;           /* optimizer steps taken */
    int64_t evaluated_step; /* the same when the evaluation after that step is part of it */
    int64_t metrics_lines;  /* of metrics.jsonl that belong to it; their bytes tell times of the clock */
    int64_t best_step;      /* whose weights solved the most test puzzles, 0: none yet */
    double best_accuracy;   /* the share */
} run_record;

/* Writes the state to `path`, whole or not at all; one that is not finite is refused with NOT_FINITE. The
 * moving average must not be swapped in. */
reel_status run_state_save(trainer *t, const run_record *record, const char *path, reel_error *error);

/* An open state file. */
typedef struct run_state {
    char path[PATH_MAX];
    reel_safetensors *file; /* NULL: none */
    const char *config;     /* the configuration as JSON */
    run_record record;
} run_state;

/* Opens the file and checks all of it. FORMAT for one that is damaged, STATE for one of a newer version. */
reel_status run_state_open(run_state *state, const char *path, reel_error *error);
/* After an error of open, and twice, too. */
void run_state_close(run_state *state);

/* Puts a trainer built with the same configuration where the state was saved. After an error it is of no use
 * any more. */
reel_status run_state_load(const run_state *state, trainer *t, reel_error *error);

#endif
