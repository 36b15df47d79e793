/* Data sets of puzzles, and the batches that training and evaluation take from them.
 *
 * A *group* is an original puzzle with its augmentations, an *example* one input-output pair. An epoch draws
 * every group once, in a new random order, and each drawn puzzle is augmented on the fly. Every batch follows
 * from (plan, step) alone, so a run that resumes needs no state of the data set.
 *
 * Tokens as published: 0 pad, 1 blank, 2..size+1 the digits; a label is the token of the answer. */
#ifndef REEL_BATCHES_H
#define REEL_BATCHES_H

#include <reel/sudoku.h>
#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A label that no loss and no accuracy counts. */
enum { REEL_BATCH_LABEL_IGNORED = -100 };

typedef struct reel_dataset_source reel_dataset_source;

/* Plain and readable, made only by the library. */
typedef struct reel_dataset {
    int64_t seq_len;                /* S, tokens of an example */
    int64_t vocab_size;             /* tokens are 0..vocab_size-1 */
    int64_t num_puzzle_identifiers; /* rows of the puzzle embedding; Sudoku has the one row 0 */
    int64_t total_groups;
    int64_t total_examples;      /* what a pass over a test set goes through */
    double mean_puzzle_examples; /* examples that a drawn group gives, on average */
    reel_dataset_source *source;
} reel_dataset;

/* Opens what `spec` names:
 *   FILE.csv           Sudoku puzzles, read as by reel_sudoku_read_csv
 *   sudoku:SIZE:COUNT  COUNT minimal puzzles of size 4, 6 or 9, generated with `seed`
 * `training` is NULL for the training set itself. A test set names its training set: both must have the same
 * sequence length and vocabulary, and generated test puzzles are equivalent to none of the training set. */
REEL_API reel_status reel_dataset_open(reel_dataset **dataset, const char *spec, uint64_t seed,
                                       const reel_dataset *training, reel_error *error);

/* NULL is accepted. */
REEL_API void reel_dataset_close(reel_dataset *dataset);

/* The puzzles behind a Sudoku data set (every data set is one today); they live as long as the data set. */
REEL_API const reel_sudoku_set *reel_dataset_sudoku(const reel_dataset *dataset);

/* Where a batch of B rows is written: row-major memory of the caller. */
typedef struct reel_batch {
    int32_t *inputs;             /* (B,S) tokens */
    int32_t *labels;             /* (B,S) tokens, or REEL_BATCH_LABEL_IGNORED */
    int32_t *puzzle_identifiers; /* (B) */
} reel_batch;

/* ---- training ---------------------------------------------------------------------------------------- */

typedef enum reel_augment { REEL_AUGMENT_OFF, REEL_AUGMENT_ON } reel_augment;

typedef struct reel_batch_plan {
    int64_t batch_size;    /* B, of all devices together */
    int64_t epochs;        /* of the whole run */
    int64_t eval_interval; /* epochs between two evaluations; divides `epochs` */
    uint64_t seed;
    reel_augment augment;
} reel_batch_plan;

/* Says whether a run can follow `plan`: positive numbers, eval_interval divides epochs, an interval fills at
 * least one batch. The functions below want such a plan. */
REEL_API reel_status reel_batch_plan_check(const reel_dataset *dataset, const reel_batch_plan *plan,
                                           reel_error *error);

/* int(epochs * groups * mean examples / B): the length that the published learning-rate schedule assumes
 * (pretrain.py, create_model). An estimate: the run itself has reel_plan_run_steps. */
REEL_API int64_t reel_plan_total_steps(const reel_dataset *dataset, const reel_batch_plan *plan);

/* Batches between two evaluations. The partial batch at the end of each interval is dropped. */
REEL_API int64_t reel_plan_interval_steps(const reel_dataset *dataset, const reel_batch_plan *plan);

/* Batches of the whole run. */
REEL_API int64_t reel_plan_run_steps(const reel_dataset *dataset, const reel_batch_plan *plan);

/* Writes batch `step`, counted from 0 over the whole run. Draws: the order of an epoch from
 * (REEL_STREAM_SAMPLE, epoch, 0), the transformation of a row from (REEL_STREAM_AUGMENT, row, step). The last
 * order is kept inside, so one data set serves one thread at a time. */
REEL_API reel_status reel_train_batch(reel_dataset *dataset, const reel_batch_plan *plan, int64_t step,
                                      const reel_batch *batch, reel_error *error);

/* ---- evaluation -------------------------------------------------------------------------------------- */

/* Batches in one pass over all examples, the last one padded. */
REEL_API int64_t reel_test_batches(const reel_dataset *dataset, int64_t batch_size);

/* Writes batch `index` of such a pass: examples index * B and following, in order, unchanged. Rows behind the
 * last example hold token 0 and ignored labels. */
REEL_API reel_status reel_test_batch(const reel_dataset *dataset, int64_t batch_size, int64_t index,
                                     const reel_batch *batch, reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
