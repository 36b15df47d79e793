/* Puzzles as the tokens of a data set (<reel/batches.h>), with their variants. */
#ifndef DATA_PUZZLES_H
#define DATA_PUZZLES_H

#include "data_build.h"

enum { SUDOKU_VARIANTS_MAX = 1000000 };

typedef struct sudoku_variants {
    int64_t num_aug; /* beside the puzzle itself */
    uint64_t seed;
} sudoku_variants;

/* Adds a group to a split, which the first one begins: the puzzle and its variants, as reel_sudoku_variant
 * makes them for the group's number. `variants` NULL: none; `total` groups are expected, 0 if that is
 * unknown. */
reel_status add_sudoku(build *b, data_split split, int size, const uint8_t *question, const uint8_t *answer,
                       const sudoku_variants *variants, int64_t total, reel_error *error);

#endif
