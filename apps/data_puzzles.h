/* Sudokus and mazes on their way into a data set. */
#ifndef DATA_PUZZLES_H
#define DATA_PUZZLES_H

#include "data_build.h"

#include <reel/puzzle_set.h>

/* What trm_data must know of a kind of puzzle. */
typedef struct puzzle_kind {
    const char *name;
    int usual_size;
    int64_t variants_max; /* besides the puzzle itself */
    reel_status (*scan)(const char *path, reel_puzzle_visitor *visit, void *arg, reel_error *error);
    reel_status (*generate)(int size, int64_t count, uint64_t seed, const reel_puzzle_set *exclude,
                            reel_puzzle_set **set, reel_error *error);
    reel_status (*save)(const char *path, const reel_puzzle_set *set, reel_error *error);
    int64_t (*vocab_size)(int size);
    /* Writes the tokens of a variant of a puzzle; 0 is the puzzle itself. */
    void (*write)(const reel_puzzle_row *puzzle, uint64_t seed, int64_t group, int64_t variant,
                  uint8_t *inputs, uint8_t *labels);
} puzzle_kind;

extern const puzzle_kind sudoku_kind, maze_kind;

/* What becomes of a puzzle in a training set. */
typedef struct puzzle_variants {
    int64_t count; /* besides the puzzle itself */
    uint64_t seed;
} puzzle_variants;

/* Adds a group to a split, which the first one begins: the puzzle and, for training, its variants, drawn by
 * the group's number. `total` groups are expected, 0: not known. */
reel_status puzzle_add(build *b, data_split split, const puzzle_kind *kind, const reel_puzzle_row *puzzle,
                       const puzzle_variants *variants, int64_t total, reel_error *error);

/* How the tables of a build are read. */
typedef struct puzzle_tables {
    const puzzle_kind *kind;
    puzzle_variants variants;
    int64_t subsample_size; /* of the training table; 0: all */
    int64_t min_rating;     /* of both tables */
} puzzle_tables;

/* A build_reader whose argument is a puzzle_tables. Needs memory for a sample, and else for one puzzle. */
reel_status puzzle_read_table(void *arg, build *b, data_split split, reel_error *error);

#endif
