/* A source of puzzles: what one entry of data_paths names. Every kind of data implements this interface, and
 * a data set (dataset.h) is made of one or more sources.
 *
 * A source has sets, a set has groups, a group puzzles (an original and its variants), a puzzle examples. All
 * are numbered from 0 within their set; the puzzles of a group are neighbours, and so are the examples of a
 * puzzle. A source does not change once it is open, and serves several threads at once. */
#ifndef REEL_DATA_DATASET_SOURCE_H
#define REEL_DATA_DATASET_SOURCE_H

#include <reel/batches.h>
#include <reel/puzzle_set.h>

typedef struct reel__source reel__source;

typedef struct reel__span {
    int64_t first, count;
} reel__span;

typedef struct reel__puzzle {
    reel__span examples;
    int64_t identifier;
} reel__puzzle;

typedef struct reel__source_kind {
    void (*free)(reel__source *source);

    /* The puzzles of a group, at least one. */
    reel__span (*group)(const reel__source *source, int set, int64_t group);

    reel__puzzle (*puzzle)(const reel__source *source, int set, int64_t puzzle);

    /* Writes example 0 .. examples.count-1 of a puzzle: seq_len tokens each, labels that are not counted as
     * REEL_BATCH_LABEL_IGNORED. `random` is a draw of this row's own for sources that augment without end;
     * NULL in a test set. */
    void (*write)(const reel__source *source, int set, int64_t puzzle, int64_t example, reel_random *random,
                  int32_t *inputs, int32_t *labels);

    /* How hard a puzzle is, as its source says; NULL where none says it. */
    int32_t (*rating)(const reel__source *source, int set, int64_t puzzle);
} reel__source_kind;

typedef struct reel__source_set {
    const char *name; /* "all", usually; of the source, as is everything else */
    int64_t groups, puzzles, examples;
} reel__source_set;

/* The head of every source; a kind has its own data behind it. */
struct reel__source {
    const reel__source_kind *kind;
    int64_t seq_len, vocab_size, pad_id;
    int64_t num_puzzle_identifiers; /* identifier 0 is blank */
    int64_t puzzle_examples;        /* of every puzzle; 0: the puzzles differ */
    double mean_puzzle_examples;    /* per puzzle, as dataset.json would say ... */
    int64_t total_puzzles;          /* ... and its weight where sources are mixed */
    int set_count;
    const reel__source_set *sets;
};

/* What a kind is asked to open. */
typedef struct reel__source_request {
    const char *spec; /* as the user wrote it */
    reel_data_split split;
    const reel_dataset_options *options;
    const reel_dataset *training; /* of a test set: its training set, or NULL */
} reel__source_request;

typedef reel_status reel__source_opener(reel__source **source, const reel__source_request *request,
                                        reel_error *error);

reel__source_opener reel__open_arc_source;    /* arc:PREFIX[:SUBSETS[:TEST_SET]] */
reel__source_opener reel__open_folder_source; /* DIR */
reel__source_opener reel__open_sudoku_source; /* FILE.csv, sudoku:SIZE:COUNT */
reel__source_opener reel__open_maze_source;   /* FILE.csv, maze:SIZE:COUNT */

int reel__is_arc_spec(const char *spec);
int reel__arc_spec_has_test(const char *spec); /* whether its test set is one of its subsets */

/* Splits "KIND:SIZE:COUNT"; the kind is known. */
reel_status reel__read_generator_spec(const char *spec, int *size, int64_t *count, reel_error *error);

/* The puzzles of this size in the training set (NULL: no set) that puzzles made for its test set must not
 * repeat, to be freed by reel_puzzle_set_free; *set is NULL where there are none. `puzzles_of` gives those of
 * a source of the right kind, and NULL for any other. */
reel_status reel__training_puzzles(const reel_dataset *training,
                                   const reel_puzzle_set *(*puzzles_of)(const reel__source *source), int size,
                                   reel_puzzle_set **set, reel_error *error);

#endif
