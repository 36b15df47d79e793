/* The files of a run that are numbered by step: which there are, and which may go. */
#ifndef RUN_FILES_H
#define RUN_FILES_H

#include <reel/tensor.h>

#include <limits.h>

typedef enum run_file { RUN_WEIGHTS, RUN_STATE } run_file;

/* FOLDER/NAME, or an error where that is longer than a path may be. */
reel_status run_path(char out[static PATH_MAX], const char *folder, const char *name, reel_error *error);

/* FOLDER/step_N.safetensors or FOLDER/state_N.safetensors. */
reel_status run_file_path(char out[static PATH_MAX], const char *folder, run_file kind, int64_t step,
                          reel_error *error);

/* The steps that have such a file, the last one first, to be freed by free(); none of a folder that does not
 * exist. */
typedef struct run_steps {
    int64_t *items;
    size_t count;
} run_steps;

reel_status run_list(run_steps *steps, const char *folder, run_file kind, reel_error *error);

/* Removes the files of steps up to `step`, but for the last `keep` and that of step `best`. What cannot be
 * removed stays for the next time. */
void run_prune(const char *folder, run_file kind, int64_t step, int64_t keep, int64_t best);

/* Removes what a killed process left half-written, here and in the folders of evaluations. Nobody may write
 * there. */
void run_sweep(const char *folder);

#endif
