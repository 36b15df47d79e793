/* Data sets of puzzles, and the batches that training and evaluation take from them.
 *
 * A *group* is an original puzzle with its variants, a *puzzle* one variant, an *example* one input-output
 * pair. An epoch draws every group once, in a new random order, one random puzzle of it, and all examples of
 * that puzzle in random order. Every batch follows from (plan, step) alone, so a run that resumes needs no
 * state of the data set (TinyRecursiveModels, puzzle_dataset.py). */
#ifndef REEL_BATCHES_H
#define REEL_BATCHES_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A label that no loss and no accuracy counts. */
enum { REEL_BATCH_LABEL_IGNORED = -100 };

/* The part of the data that a data set is. */
typedef enum reel_data_split { REEL_SPLIT_TRAIN, REEL_SPLIT_TEST } reel_data_split;

enum { REEL_DATASET_MAX_SETS = 64, REEL_DATASET_NAME_BYTES = 80 };

/* A part of a data set that is measured by itself. */
typedef struct reel_dataset_set {
    const char *name; /* "all"; those of further sources "all1", "all2", ...; below REEL_DATASET_NAME_BYTES */
    int64_t examples;
} reel_dataset_set;

/* The library's own. */
typedef struct reel_dataset_inside reel_dataset_inside;

/* Plain and readable, made only by the library. */
typedef struct reel_dataset {
    int64_t seq_len;                /* S, tokens of an example */
    int64_t vocab_size;             /* tokens are 0..vocab_size-1 */
    int64_t num_puzzle_identifiers; /* rows of the puzzle embedding; of a puzzle without a name it is row 0 */
    int64_t total_groups;
    int64_t total_examples;      /* what a pass over a test set goes through */
    double mean_puzzle_examples; /* that the published learning-rate schedule goes by */
    int set_count;
    const reel_dataset_set *sets;
    reel_dataset_inside *inside;
} reel_dataset;

enum { REEL_AUG_DEFAULT = -1 }; /* num_aug: null */

/* How a data set is opened. */
typedef struct reel_dataset_options {
    uint64_t seed;        /* of puzzles made on the spot and of their variants */
    int64_t num_aug;      /* variants of a training puzzle besides itself, or REEL_AUG_DEFAULT */
    int64_t max_examples; /* of each set of a test set, the first so many; 0: all */
} reel_dataset_options;

/* Opens what the `count` specs name, mixed into one data set:
 *
 *   DIR                the published layout (<reel/puzzle_folder.h>), or the folder of one split of it.
 *                      num_aug K: only the first K + 1 puzzles of each group
 *   arc:PREFIX[:SUBSET+SUBSET...[:TEST_SET]]
 *                      ARC tasks, PREFIX_SUBSET_challenges.json; by default of the subsets training,
 *                      evaluation and concept, as far as they are there, with the test set evaluation: the
 *                      puzzles and identifiers of reel_arc_build for this seed and num_aug, by default 1000
 *   FILE.csv           Sudokus or mazes (reel_sudoku_read_csv, reel_maze_read_csv)
 *   sudoku:SIZE:COUNT  COUNT minimal puzzles of size 4, 6 or 9 made on the spot. num_aug K: the original and
 *                      the variants 1..K of reel_sudoku_variant; by default a new symmetry every time
 *   maze:SIZE:COUNT    COUNT mazes made on the spot. num_aug 7: each from all its sides; by default, and with
 *                      0, as it is
 *
 * The last three give the same puzzles for either split, in a test set as they are.
 * The sources must agree in sequence length and vocabulary. Their identifiers follow each other, the blank
 * one, 0, is shared; a test source that is also a training source has that one's identifiers. A test set
 * names its training set, which it must fit, or NULL; puzzles made on the spot for it are equivalent to none
 * of the training set.
 * Freed by reel_dataset_close; *dataset is NULL upon an error: ARGUMENT for a spec or option that is none,
 * SHAPE for sources that do not fit each other or the training set, FORMAT, IO, MEMORY. */
REEL_API reel_status reel_dataset_open(reel_dataset **dataset, const char *const *specs, int count,
                                       reel_data_split split, const reel_dataset_options *options,
                                       const reel_dataset *training, reel_error *error);

/* Frees it with all that it has given out. NULL is accepted. */
REEL_API void reel_dataset_close(reel_dataset *dataset);

/* Whether the spec of a training set brings a test set of its own: 1 for a folder with test/dataset.json and
 * for ARC tasks with a test set, 0 for a CSV file and puzzles made on the spot. */
REEL_API int reel_dataset_has_test(const char *spec);

/* Where a batch of B rows is written: row-major memory of the caller. */
typedef struct reel_batch {
    int32_t *inputs;             /* (B,S) tokens */
    int32_t *labels;             /* (B,S) tokens, or REEL_BATCH_LABEL_IGNORED */
    int32_t *puzzle_identifiers; /* (B), or NULL where nobody asks for them */
} reel_batch;

/* ---- training ---------------------------------------------------------------------------------------- */

/* How a run goes through its training set. */
typedef struct reel_batch_plan {
    int64_t batch_size;    /* B, of all devices together */
    int64_t epochs;        /* of the whole run */
    int64_t eval_interval; /* epochs between two evaluations; divides `epochs` */
    uint64_t seed;
} reel_batch_plan;

/* REEL_OK if a run can follow `plan`: positive numbers, eval_interval divides epochs, an interval fills at
 * least one batch, the steps fit into 32 bits; else ARGUMENT. The functions below want such a plan. */
REEL_API reel_status reel_batch_plan_check(const reel_dataset *dataset, const reel_batch_plan *plan,
                                           reel_error *error);

/* int(epochs * groups * mean examples / B): the length that the published learning-rate schedule assumes
 * (pretrain.py, create_model). An estimate: the run itself ends with its epochs. */
REEL_API int64_t reel_plan_total_steps(const reel_dataset *dataset, const reel_batch_plan *plan);

/* Batches of the whole run where every puzzle has one example. Otherwise no run has more: a puzzle that
 * overflows its batch is cut at random, the rest of it is lost, and how much that is only the epochs tell. */
REEL_API int64_t reel_plan_max_steps(const reel_dataset *dataset, const reel_batch_plan *plan);

/* The interval, counted from 0, that batch `step` belongs to, or the number of intervals where the run ends
 * before it. The partial batch at the end of each interval is dropped. From one step to the next this costs
 * little; going back, or far ahead, walks through the epochs, some nanoseconds for each group drawn. */
REEL_API int64_t reel_plan_interval(reel_dataset *dataset, const reel_batch_plan *plan, int64_t step);

/* Writes batch `step`, counted from 0 over the whole run. Draws: the order of an epoch from
 * (REEL_STREAM_SAMPLE, epoch, 0), the puzzle of a group and the order of its examples from
 * (REEL_STREAM_SAMPLE, number of the group's draw in the run, 1), a symmetry drawn on the fly from
 * (REEL_STREAM_AUGMENT, row, step). Where the run stands is kept inside, so one data set serves one thread at
 * a time. ARGUMENT for a step that the run has not. */
REEL_API reel_status reel_train_batch(reel_dataset *dataset, const reel_batch_plan *plan, int64_t step,
                                      const reel_batch *batch, reel_error *error);

/* ---- evaluation -------------------------------------------------------------------------------------- */

/* Batches in one pass over all examples, set by set, the last one of each set padded. */
REEL_API int64_t reel_test_batches(const reel_dataset *dataset, int64_t batch_size);

/* What a test batch holds. */
typedef struct reel_test_rows {
    int set;       /* of the data set's */
    int64_t first; /* number of the first row's example within the set */
    int64_t count; /* rows that are examples; the others are padding */
} reel_test_rows;

/* Writes batch `index` of such a pass: the examples in order, unchanged. Rows behind the last example of a
 * set hold padding and ignored labels. `rows` may be NULL. ARGUMENT for a batch that the pass has not. */
REEL_API reel_status reel_test_batch(const reel_dataset *dataset, int64_t batch_size, int64_t index,
                                     const reel_batch *batch, reel_test_rows *rows, reel_error *error);

/* How hard example `example` of the whole pass is, as its source says (Sudoku: guesses of a solver); -1 where
 * it says nothing, as a folder. */
REEL_API int32_t reel_dataset_rating(const reel_dataset *dataset, int64_t example);

#ifdef __cplusplus
}
#endif
#endif
