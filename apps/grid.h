/* Puzzles as text: a Sudoku, a maze or an ARC grid, given as the tokens that a model reads and writes
 * (<reel/batches.h>). */
#ifndef GRID_H
#define GRID_H

#include <stdint.h>
#include <stdio.h>

typedef enum grid_kind { GRID_UNKNOWN, GRID_SUDOKU, GRID_MAZE, GRID_ARC } grid_kind;

typedef struct grid_shape {
    grid_kind kind;
    int size; /* cells of a row, and rows; of the 30 x 30 frame for ARC */
} grid_shape;

/* What examples of `seq_len` tokens out of `vocab_size` show. 16 cells and 6 tokens are a Sudoku of size 4,
 * as mazes so small are not worth solving. */
grid_shape grid_shape_of(int64_t seq_len, int64_t vocab_size);

/* One grid of size * size tokens, row by row. An ARC grid is cut out of its frame. A token below 0, as an
 * ignored label, is shown like padding. */
typedef struct grid_view {
    const int32_t *tokens;
    const int32_t *question; /* a Sudoku's clues are told from what was filled in; NULL: no matter */
    const int32_t *before;   /* cells that differ from it are marked as changed; NULL: none */
    const int32_t
        *right; /* cells that differ from it are marked as wrong, unless it is below 0; NULL: none */
} grid_view;

/* With colours, or with characters alone; the marks are seen in both. */
typedef enum grid_style { GRID_CHARACTERS, GRID_COLOURS } grid_style;

/* Colours on a terminal that wants them (terminal_has_colours). */
grid_style grid_style_for(FILE *out);

/* Draws `count` grids side by side as far as the line of `out` reaches, the others below. Draws nothing of an
 * unknown kind. */
void grid_draw(FILE *out, grid_shape shape, const grid_view *views, int count, grid_style style);

/* Explains the marks, without ending the line. */
void grid_legend(FILE *out, grid_shape shape, grid_style style);

#endif
