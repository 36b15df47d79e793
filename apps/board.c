#include "board.h"

/* Terminal sequences (ECMA-48): bold, yellow; and red for wrong digits, whatever their mark. */
static const char *const colours[BOARD_MARKS] = {
    [BOARD_GIVEN] = "\033[1m", [BOARD_PLAIN] = "", [BOARD_CHANGED] = "\033[1;33m"};
static const char wrong_colour[] = "\033[1;31m", no_colour[] = "\033[0m";

static void draw_cell(FILE *out, const board_cell *cell, board_style style) {
    if (style == BOARD_COLOURS) {
        const char *const underline = cell->mark == BOARD_CHANGED ? "\033[4m" : "";
        fprintf(out, " %s%s%c%s ", cell->wrong ? wrong_colour : colours[cell->mark], underline, cell->text,
                no_colour);
    } else {
        fprintf(out, "%c%c%c", cell->mark == BOARD_CHANGED ? '*' : ' ', cell->text, cell->wrong ? '!' : ' ');
    }
}

static void draw_rule(FILE *out, int boxes, int box_columns) {
    fputs("  ", out);
    for (int box = 0; box < boxes; box++) {
        fputc('+', out);
        for (int i = 0; i < 3 * box_columns; i++) /* a cell is three characters wide */
            fputc('-', out);
    }
    fputs("+\n", out);
}

void board_draw(FILE *out, int size, const board_cell *cells, board_style style) {
    const int box_rows = size == REEL_SUDOKU_MAX_SIZE ? 3 : 2, box_columns = size / box_rows;
    for (int row = 0; row < size; row++) {
        if (row % box_rows == 0)
            draw_rule(out, size / box_columns, box_columns);
        fputs("  ", out);
        for (int column = 0; column < size; column++) {
            if (column % box_columns == 0)
                fputc('|', out);
            draw_cell(out, &cells[row * size + column], style);
        }
        fputs("|\n", out);
    }
    draw_rule(out, size / box_columns, box_columns);
}

void board_legend(FILE *out, board_style style) {
    if (style == BOARD_COLOURS)
        fprintf(out, "(%sgiven%s, %s\033[4mchanged%s, %swrong%s)\n", colours[BOARD_GIVEN], no_colour,
                colours[BOARD_CHANGED], no_colour, wrong_colour, no_colour);
    else
        fputs("(*5: changed, 5!: wrong)\n", out);
}
