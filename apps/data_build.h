/* What building a data set of Sudokus or mazes has in common: where the tables come from, which rows are
 * taken, what is written and said. */
#ifndef DATA_BUILD_H
#define DATA_BUILD_H

#include "data_output.h"
#include "fetch.h"
#include "status_line.h"

#include <reel/puzzle_folder.h>

/* ---- tables ------------------------------------------------------------------------------------------ */

typedef struct build_options {
    data_output output;
    fetch_options fetch;
    const char *source_repo;
    const char *input;      /* training table, or a folder with train.csv and test.csv; NULL: fetched */
    const char *test_input; /* test table */
    int64_t subsample_size; /* of the training puzzles, 0: all */
    uint64_t seed;
} build_options;

/* The options, as a child of a command's parser; its input is a build_options whose members are the defaults.
 */
extern const struct argp build_argp;

/* Chooses which rows are kept of however many come, every choice as likely as any other. */
typedef struct build_sample {
    int64_t size, seen;
    reel_random random;
} build_sample;

build_sample build_sample_begin(int64_t size, uint64_t seed);

/* Takes in one more row and returns its place 0..size-1, whose row of before is dropped, or -1. */
int64_t build_sample_place(build_sample *sample);

/* ---- writing ----------------------------------------------------------------------------------------- */

typedef struct build {
    data_output *output;
    char *tables[DATA_SPLITS];                /* to read; NULL: none for this split */
    reel_folder_writer *writers[DATA_SPLITS]; /* NULL: there is no such split */
    reel_folder_metadata metadata;            /* of both splits */
    progress_bar bar;
} build;

/* Adds a split to the build: by build_begin_split once, then by build_add. */
typedef reel_status build_reader(void *arg, build *b, data_split split, reel_error *error);

/* Begins a split of examples of `seq_len` tokens out of `vocab_size`; both are the same in all splits. */
reel_status build_begin_split(build *b, data_split split, int64_t seq_len, int64_t vocab_size,
                              reel_error *error);

/* Adds a puzzle of one example to the group that build_end_group ends. */
void build_add(build *b, data_split split, const uint8_t *inputs, const uint8_t *labels);

/* Ends a group; `total` are expected, 0: not known. */
reel_status build_end_group(build *b, data_split split, int64_t total, reel_error *error);

/* Shows how far the build has come, and fails after a signal. */
reel_status build_go_on(build *b, const char *what, int64_t done, int64_t total, reel_error *error);

/* Begins the output, finds the tables that the options name (NULL: there are none), has `read` add both
 * splits, commits and says what was written. After an error nothing has changed. */
reel_status build_run(data_output *output, const build_options *options, build_reader *read, void *arg,
                      reel_error *error);

#endif
