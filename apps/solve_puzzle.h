/* A puzzle that someone typed: from text to tokens, and whether an answer to it can be right. */
#ifndef SOLVE_PUZZLE_H
#define SOLVE_PUZZLE_H

#include "grid.h"

#include <reel/tensor.h>

#include <stdbool.h>
#include <stddef.h>

/* The questions in one text: one Sudoku or maze, or every test of an ARC task. */
typedef struct puzzle_text {
    grid_shape shape;
    int64_t vocab_size, cells; /* of each; cells is S */
    int64_t count;
    int32_t *inputs; /* (count, S) tokens */
} puzzle_text;

/* Reads `bytes` bytes, which errors call `name`. What they are is seen from what they look like:
 *   Sudoku  16, 36 or 81 digits, '.' or '0' for a blank; white space and | + - between them mean nothing
 *   maze    lines, or all in one, of '#' wall, ' ' free, 'S' start, 'G' goal; as many lines as columns
 *   ARC     JSON: {"train": [...], "test": [{"input": grid}, ...]}
 * *puzzle is freed by puzzle_text_free, after an error too. */
reel_status puzzle_text_read(puzzle_text *puzzle, const char *name, const char *text, size_t bytes,
                             reel_error *error);
void puzzle_text_free(puzzle_text *puzzle);

const int32_t *puzzle_text_at(const puzzle_text *puzzle, int64_t i);

enum { PUZZLE_WHY_BYTES = REEL_MESSAGE_BYTES };

/* Whether the tokens `answer` answer question `i` by its rules; *why says what is good or wrong about it in
 * one line without its end. Sudoku: a full valid grid that keeps every clue; maze: a shortest path; ARC: a
 * rectangle of colours. */
bool puzzle_answer_is_consistent(const puzzle_text *puzzle, int64_t i, const int32_t *answer,
                                 char why[PUZZLE_WHY_BYTES]);

/* Writes an answer in the form that a question has. */
void puzzle_answer_write(FILE *out, const puzzle_text *puzzle, const int32_t *answer);

#endif
