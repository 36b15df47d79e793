/* A Sudoku board as text. */
#ifndef BOARD_H
#define BOARD_H

#include <reel/sudoku.h>

#include <stdbool.h>
#include <stdio.h>

typedef enum board_mark {
    BOARD_GIVEN, /* a clue of the puzzle */
    BOARD_PLAIN,
    BOARD_CHANGED, /* not what it was on the board before */
    BOARD_MARKS,
} board_mark;

typedef struct board_cell {
    char text; /* a digit, '.' for none */
    board_mark mark;
    bool wrong;
} board_cell;

/* With colours or without; then marks are characters: *5 changed, 5! wrong. */
typedef enum board_style { BOARD_CHARACTERS, BOARD_COLOURS } board_style;

/* Draws size * size cells, row by row, with lines between the boxes. */
void board_draw(FILE *out, int size, const board_cell *cells, board_style style);

/* One line that explains the marks. */
void board_legend(FILE *out, board_style style);

#endif
