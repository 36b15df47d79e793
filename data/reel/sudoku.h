/* Sudoku of sizes 4 (boxes 2x2), 6 (boxes of 2 rows and 3 columns) and 9 (boxes 3x3): check, solve, generate,
 * transform, read and write.
 *
 * A grid is `size * size` bytes, row by row; 0 is a blank, 1..size are digits. */
#ifndef REEL_SUDOKU_H
#define REEL_SUDOKU_H

#include <reel/puzzle_set.h>
#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { REEL_SUDOKU_MAX_SIZE = 9, REEL_SUDOKU_MAX_CELLS = REEL_SUDOKU_MAX_SIZE * REEL_SUDOKU_MAX_SIZE };

/* Tokens as published: 0 pad, 1 blank, 2..size+1 the digits; the vocabulary has size + 2. */
enum { REEL_SUDOKU_FIRST_TOKEN = 1 }; /* a cell's token is its byte plus this */

/* Of size 4, 6 or 9. The rating of a generated puzzle is the number of guesses reel_sudoku_solve needs. */
typedef reel_puzzle_set reel_sudoku_set;
/* One puzzle of such a set or of a file. */
typedef reel_puzzle_row reel_sudoku_row;

/* 1 for 4, 6 and 9, else 0. All functions below that return no status want one of these. */
REEL_API int reel_sudoku_is_size(int size);

/* ---- one puzzle -------------------------------------------------------------------------------------- */

/* REEL_OK if `answer` is a full valid grid that keeps every clue of `question`; otherwise the error says
 * which cell, row, column or box is wrong, counted from 1: FORMAT, or ARGUMENT for a size that is none. */
REEL_API reel_status reel_sudoku_check(int size, const uint8_t *question, const uint8_t *answer,
                                       reel_error *error);

/* Counts solutions, stopping at `limit`: limit 1 solves, limit 2 decides whether the solution is unique. The
 * first solution goes to `answer` and the number of digits tried where more than one was possible to
 * `guesses`; both may be NULL. Clues that contradict each other have no solution. */
REEL_API int64_t reel_sudoku_solve(int size, const uint8_t *question, int64_t limit, uint8_t *answer,
                                   int64_t *guesses);

/* A puzzle with one solution that no clue can be taken from: a random full grid, from which clues are removed
 * in random order as long as the solution stays unique. */
REEL_API void reel_sudoku_make(int size, reel_random *random, uint8_t *question, uint8_t *answer);

/* ---- symmetries -------------------------------------------------------------------------------------- */

/* Draws one symmetry uniformly and applies it to both grids; `answer` is full. Symmetries map puzzles to
 * equally hard ones: relabelling the digits, permuting the bands of boxes and the rows within each, the
 * stacks and the columns within each, and transposing where boxes are square. Inputs and outputs must not
 * overlap. The published training does the same (dataset/build_sudoku_dataset.py, shuffle_sudoku). */
REEL_API void reel_sudoku_augment(int size, const uint8_t *question, const uint8_t *answer,
                                  reel_random *random, uint8_t *out_question, uint8_t *out_answer);

/* Variant `variant` of the puzzle of a group: 0 is the puzzle itself, and each further number names one
 * symmetry, drawn by (seed, REEL_STREAM_AUGMENT, group, variant). A data set that is written with its
 * variants and one that makes them while it is read hold the same puzzles. */
REEL_API void reel_sudoku_variant(int size, const uint8_t *question, const uint8_t *answer, uint64_t seed,
                                  int64_t group, int64_t variant, uint8_t *out_question, uint8_t *out_answer);

/* The smallest grid, as a string, among all that the symmetries make of `question`: two puzzles are
 * equivalent exactly if their canonical grids are equal. */
REEL_API void reel_sudoku_canonical(int size, const uint8_t *question, uint8_t *out);

/* ---- sets -------------------------------------------------------------------------------------------- */

/* Makes `count` minimal puzzles of which no two are equivalent, nor any to one of `exclude` (which may be
 * NULL). The same arguments give the same set; a set with `exclude` is drawn from another sequence than one
 * without. Freed by reel_puzzle_set_free. Errors: ARGUMENT for a size or count out of range, or where so many
 * do not exist (there are 36 of size 4), MEMORY. */
REEL_API reel_status reel_sudoku_generate(int size, int64_t count, uint64_t seed,
                                          const reel_sudoku_set *exclude, reel_sudoku_set **set,
                                          reel_error *error);

/* Reads a CSV file with a header row and at least the columns `question` and `answer` (Sudoku-Extreme also
 * has `source`, which is ignored, and `rating`, a whole number, 0 where the column is missing). Grids are 16,
 * 36 or 81 characters, all of one size; '.' or '0' is a blank. Every answer is checked against the rules and
 * its question. Freed by reel_puzzle_set_free; *set is NULL upon an error, which names file and line: IO,
 * FORMAT, MEMORY. */
REEL_API reel_status reel_sudoku_read_csv(const char *path, reel_sudoku_set **set, reel_error *error);

/* The same, row by row, for files that need not fit into memory. `arg` is passed on to visit. */
REEL_API reel_status reel_sudoku_scan_csv(const char *path, reel_puzzle_visitor *visit, void *arg,
                                          reel_error *error);

/* Writes the same form, atomically. Errors: IO, MEMORY. */
REEL_API reel_status reel_sudoku_write_csv(const char *path, const reel_sudoku_set *set, reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
