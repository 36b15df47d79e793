/* The Abstraction and Reasoning Corpus: read tasks, augment them, write them as tokens, vote on answers.
 *
 * A task shows a few pairs of grids, its demonstrations, and asks for the output of further inputs, its
 * tests. Grids have 1 to 30 rows and columns of colours 0 to 9. An example is one pair, written as two frames
 * of 30 x 30 tokens: 0 pad, 1 the edge behind the last row and column, 2..11 the colours.
 *
 * What is augmented, named and scored follows the published code (TinyRecursiveModels,
 * dataset/build_arc_dataset.py and evaluators/arc.py). */
#ifndef REEL_ARC_H
#define REEL_ARC_H

#include <reel/batches.h>
#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    REEL_ARC_MAX_SIZE = 30,
    REEL_ARC_SEQ_LEN = REEL_ARC_MAX_SIZE * REEL_ARC_MAX_SIZE,
    REEL_ARC_COLOURS = 10,
};

/* Cells of a frame. */
typedef enum reel_arc_token {
    REEL_ARC_PAD,
    REEL_ARC_END,          /* the edge of the grid */
    REEL_ARC_FIRST_COLOUR, /* colour 0 */
    REEL_ARC_VOCAB_SIZE = REEL_ARC_FIRST_COLOUR + REEL_ARC_COLOURS,
} reel_arc_token;

/* ---- grids and tasks --------------------------------------------------------------------------------- */

/* What a task is made of. */
typedef struct reel_arc_grid {
    int rows, columns;
    uint8_t cells[REEL_ARC_SEQ_LEN]; /* colours, row by row, `columns` of them a row */
} reel_arc_grid;

/* A demonstration or a test. */
typedef struct reel_arc_pair {
    reel_arc_grid input, output;
} reel_arc_pair;

/* Plain and readable, made only by the library, like the list below. */
typedef struct reel_arc_task {
    char *id;
    int train_count, test_count;
    int tests_first;      /* whether the file names the tests before the demonstrations */
    int unsolved;         /* tests whose output is not known; it is then [[0]], as published */
    reel_arc_pair *pairs; /* train_count demonstrations, then test_count tests */
} reel_arc_task;

/* The tasks of a file. */
typedef struct reel_arc_tasks {
    int64_t count;
    reel_arc_task *tasks; /* in the order of the file */
} reel_arc_tasks;

/* Reads {"ID": {"train": [{"input": [[0, 1], [2, 3]], "output": ...}, ...], "test": [...]}, ...}. The outputs
 * of tests come from `solutions`, {"ID": [grid, grid, ...], ...}, which has one grid for each test of each
 * task; where it is NULL, from the tests themselves, and may be missing. Whatever is no such file is refused,
 * naming file, task and pair: wrong types, ragged or empty grids, more than 30 rows or columns, colours above
 * 9, a task without tests, a task given twice, an id that is empty, "<blank>" or has "|||" in it. Freed by
 * reel_arc_tasks_free; *tasks is NULL upon an error: IO, FORMAT, MEMORY. */
REEL_API reel_status reel_arc_tasks_read(reel_arc_tasks **tasks, const char *challenges,
                                         const char *solutions, reel_error *error);

/* The same from text, which may also be one bare task {"train": [...], "test": [...]}: its id is `name`. */
REEL_API reel_status reel_arc_tasks_parse(reel_arc_tasks **tasks, const char *text, size_t length,
                                          const char *name, reel_error *error);

/* Frees it with all that it holds. NULL is accepted. */
REEL_API void reel_arc_tasks_free(reel_arc_tasks *tasks);

/* ---- tokens ------------------------------------------------------------------------------------------ */

/* Writes a grid into a frame with its first cell at (row, column), where it must fit. */
REEL_API void reel_arc_encode(const reel_arc_grid *grid, int row, int column,
                              uint8_t tokens[REEL_ARC_SEQ_LEN]);

/* Reads a frame: the largest rectangle of colours that begins at its first token; 0 x 0 where that is none.
 */
REEL_API void reel_arc_crop(const int32_t tokens[REEL_ARC_SEQ_LEN], reel_arc_grid *grid);

/* ---- plan -------------------------------------------------------------------------------------------- */

/* Which puzzles a data set has: the tasks of one or more subsets, each with its augmentations.
 *
 * A *group* is a task, a *puzzle* one variant of it: the original and then up to num_aug augmentations, a
 * symmetry of the square and a permutation of the colours 1..9, of which no two give the same puzzle. Each
 * variant has an identifier of its own and is called ID, or ID|||tK|||0PERMUTATION. Demonstrations and tests
 * of a task are examples of the training split; only the tests of the tasks of the test sets make up the test
 * split instead, under the same identifiers. */
typedef struct reel_arc_plan reel_arc_plan;

/* The two parts of a data set. */
typedef enum reel_arc_split { REEL_ARC_TRAIN, REEL_ARC_TEST, REEL_ARC_SPLITS } reel_arc_split;

/* What a plan is made from. */
typedef struct reel_arc_options {
    const char *prefix;         /* files PREFIX_SUBSET_challenges.json and PREFIX_SUBSET_solutions.json */
    const char *const *subsets; /* names, such as "training" */
    int subset_count;
    const char *test_set_name, *test_set_name2; /* subsets whose tests are held out; NULL: none */
    int64_t num_aug;                            /* augmentations wanted of each task */
    int64_t identifiers_start;                  /* the first identifier; those before it are blank */
    uint64_t seed;                              /* the same plan follows from the same seed and files */
} reel_arc_options;

/* Reads the files and draws order and augmentations; for each wanted augmentation up to five times, since a
 * draw that gives an earlier puzzle again is dropped. Draws: order from (REEL_STREAM_PUZZLE, subset, 0),
 * augmentations from (REEL_STREAM_PUZZLE, group, 1). Freed by reel_arc_plan_free; *plan is NULL upon an
 * error: ARGUMENT for an option out of range or a subset named twice, IO, FORMAT, MEMORY. */
REEL_API reel_status reel_arc_plan_new(reel_arc_plan **plan, const reel_arc_options *options,
                                       reel_error *error);
/* Frees it with all that it holds. NULL is accepted. */
REEL_API void reel_arc_plan_free(reel_arc_plan *plan);

/* The plan behind source i of a data set, the i-th entry of data_paths, that is made of ARC tasks: it lives
 * as long as the data set. NULL for other sources. */
REEL_API const reel_arc_plan *reel_arc_plan_of_dataset(const reel_dataset *dataset, int source);

/* What a person should know of the files: solutions that are missing, tests that are trained on, tasks with
 * fewer augmentations than wanted. How many such notes there are. */
REEL_API int reel_arc_plan_note_count(const reel_arc_plan *plan);
/* Note i, 0 <= i < count: one line, which lives as long as the plan. */
REEL_API const char *reel_arc_plan_note(const reel_arc_plan *plan, int i);

/* Identifiers are 0 .. count-1, those below identifiers_start among them. */
REEL_API int64_t reel_arc_plan_identifier_count(const reel_arc_plan *plan);
/* Writes the name of one, "<blank>" below identifiers_start, as snprintf does: returns its length. ID is
 * the task's. */
REEL_API int reel_arc_plan_identifier_name(const reel_arc_plan *plan, int64_t identifier, char *name,
                                           size_t room);

/* One split. Group g has puzzles first_puzzle[g] .. first_puzzle[g + 1] - 1, all with the same number of
 * examples, of which the first of the group is first_example[g]. */
typedef struct reel_arc_layout {
    int64_t group_count, puzzle_count, example_count;
    const int64_t *first_puzzle;  /* (group_count + 1) */
    const int64_t *first_example; /* (group_count + 1) */
} reel_arc_layout;

/* Its arrays live as long as the plan. */
REEL_API reel_arc_layout reel_arc_plan_layout(const reel_arc_plan *plan, reel_arc_split split);

/* A puzzle of a split: its identifier and its examples. */
typedef struct reel_arc_puzzle {
    int32_t identifier;
    int32_t example_count;
    int64_t group, first_example;
} reel_arc_puzzle;

/* Puzzle 0 .. puzzle_count-1 of a split. */
REEL_API reel_arc_puzzle reel_arc_plan_puzzle(const reel_arc_plan *plan, reel_arc_split split,
                                              int64_t puzzle);

/* Writes example 0 .. example_count-1 of a puzzle. In the training split both grids are moved together within
 * their frames, by a draw from (REEL_STREAM_AUGMENT, variant, 1 + example); one example of each puzzle, drawn
 * from (REEL_STREAM_AUGMENT, variant, 0), stays at the first row and column. May be called from several
 * threads at once. */
REEL_API void reel_arc_write_example(const reel_arc_plan *plan, reel_arc_split split, int64_t puzzle,
                                     int32_t example, uint8_t inputs[REEL_ARC_SEQ_LEN],
                                     uint8_t labels[REEL_ARC_SEQ_LEN]);

/* ---- builder ----------------------------------------------------------------------------------------- */

/* Called now and then with the number of examples written; anything but 0 ends the build. */
typedef int reel_arc_build_watch(int64_t written, int64_t total, void *arg);

/* Writes a plan as a data set in the published layout: DIR/{train,test}/, DIR/identifiers.json and
 * DIR/test_puzzles.json. Files take their names when all are on the disk, those of the training split last: a
 * build that fails before leaves nothing, and a data set that was there before as it was. `threads` 0 takes
 * all that the machine has; the files are the same for any number. `watch` may be NULL; a build that it ended
 * fails with STATE. Other errors: IO, MEMORY. */
REEL_API reel_status reel_arc_build(const reel_arc_plan *plan, const char *dir, int threads,
                                    reel_arc_build_watch *watch, void *arg, reel_error *error);

/* ---- votes ------------------------------------------------------------------------------------------- */

/* The answers of a model to the tests of a data set, over all augmentations and, until cleared, over all
 * evaluations of a run. Each prediction is cropped, its augmentation undone, and counts as a vote for the
 * grid that comes out. Answers to a test are ranked by votes, then by their mean sigmoid(q_halt), then by
 * their first appearance. */
typedef struct reel_arc_vote reel_arc_vote;

/* For a data set in the published layout, DIR/identifiers.json and DIR/test_puzzles.json; DIR may also be one
 * of its splits, DIR/test. Freed by reel_arc_vote_free; *vote is NULL upon an error: IO, FORMAT, MEMORY. */
REEL_API reel_status reel_arc_vote_open(reel_arc_vote **vote, const char *dir, reel_error *error);
/* For a plan, which may be freed afterwards. ARGUMENT for one without test set. */
REEL_API reel_status reel_arc_vote_of_plan(reel_arc_vote **vote, const reel_arc_plan *plan,
                                           reel_error *error);
/* For an open test set of one source, else ARGUMENT: ARC tasks or a folder. Identifiers are then those of its
 * batches, also where it is one of several training sets. */
REEL_API reel_status reel_arc_vote_of_dataset(reel_arc_vote **vote, const reel_dataset *dataset,
                                              reel_error *error);
/* Frees it with all that it holds. NULL is accepted. */
REEL_API void reel_arc_vote_free(reel_arc_vote *vote);

/* Forgets all predictions (aggregated_voting=False does so before each evaluation). */
REEL_API void reel_arc_vote_clear(reel_arc_vote *vote);

enum { REEL_ARC_BLANK = 0 }; /* the identifier of padding */

/* Takes one prediction. Row padding, identifier REEL_ARC_BLANK, is skipped, and so are inputs that are no
 * test of their task. Errors: ARGUMENT for an identifier that there is not, NOT_FINITE for a q_halt that is
 * not a number, MEMORY. */
REEL_API reel_status reel_arc_vote_add(reel_arc_vote *vote, int64_t identifier,
                                       const int32_t inputs[REEL_ARC_SEQ_LEN],
                                       const int32_t predictions[REEL_ARC_SEQ_LEN], double q_halt,
                                       reel_error *error);

/* pass[i] = pass@K[i], 0 <= i < count: the mean over all tasks of the share of tests that one of the first
 * K[i] answers solves. Errors: MEMORY. */
REEL_API reel_status reel_arc_vote_pass(const reel_arc_vote *vote, const int64_t *K, int count, double *pass,
                                        reel_error *error);

/* Writes {"ID": [{"attempt_1": grid, ...}, ...], ...}, an entry for every test with its first `attempts`
 * answers, filled up with the first one; a test without predictions has attempts []. Written atomically.
 * Errors: ARGUMENT for no attempts, IO, MEMORY. */
REEL_API reel_status reel_arc_vote_write(const reel_arc_vote *vote, const char *path, int attempts,
                                         reel_error *error);

/* Tests of the data set. */
REEL_API int64_t reel_arc_vote_tests(const reel_arc_vote *vote);
/* How many of them have no prediction yet. */
REEL_API int64_t reel_arc_vote_unanswered(const reel_arc_vote *vote);

/* The votes as bytes, to be freed by free(). Errors: MEMORY. */
REEL_API reel_status reel_arc_vote_save(const reel_arc_vote *vote, uint8_t **bytes, size_t *size,
                                        reel_error *error);
/* The votes that save wrote for the same tests. FORMAT for other bytes, which leave the votes as they were,
 * like MEMORY. */
REEL_API reel_status reel_arc_vote_load(reel_arc_vote *vote, const uint8_t *bytes, size_t size,
                                        reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
