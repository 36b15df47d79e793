/* Puzzles of one kind and size with their answers, in memory or row by row. */
#ifndef REEL_PUZZLE_SET_H
#define REEL_PUZZLE_SET_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Plain and readable, made only by the library. */
typedef struct reel_puzzle_set {
    int size;           /* cells in a row and in a column */
    int64_t count;      /* puzzles */
    uint8_t *questions; /* (count, size * size) */
    uint8_t *answers;   /* (count, size * size) */
    int32_t *ratings;   /* (count): how hard, in a measure of the kind */
} reel_puzzle_set;

/* Frees it with all that it holds. NULL is accepted. */
REEL_API void reel_puzzle_set_free(reel_puzzle_set *set);

/* One puzzle of a file that need not fit into memory. */
typedef struct reel_puzzle_row {
    int size;
    const uint8_t *question, *answer; /* (size * size) */
    int32_t rating;
} reel_puzzle_row;

/* Shown row after row; the row is gone when it returns. A failure ends the reading and becomes its result. */
typedef reel_status reel_puzzle_visitor(void *arg, const reel_puzzle_row *row, reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
