#include "grid.h"

#include "terminal.h"

#include <stdbool.h>

/* Tokens as published. */
enum {
    SUDOKU_BLANK = 1, /* then come the digits */
    SUDOKU_FIRST_VOCABULARY = 2,
    MAZE_WALL = 1,
    MAZE_FREE = 2,
    MAZE_VOCABULARY = 6,
    ARC_END = 1,
    ARC_COLOUR = 2, /* then come the other nine */
    ARC_VOCABULARY = 12,
    ARC_FRAME = 30,
};
static const char maze_symbols[] = " # SGo", arc_symbols[] = " .0123456789";

enum { MARGIN = 2, GAP = 2 }; /* before the first grid and between two */

/* ---- shapes ------------------------------------------------------------------------------------------ */

static int square_root(int64_t cells) {
    enum { SIZE_MAX_DRAWN = 1000 };
    int size = 1;
    while (size < SIZE_MAX_DRAWN && (int64_t)size * size < cells)
        size++;
    return (int64_t)size * size == cells ? size : 0;
}

grid_shape grid_shape_of(int64_t seq_len, int64_t vocab_size) {
    const int size = square_root(seq_len);
    const bool is_sudoku = size == 4 || size == 6 || size == 9;
    grid_kind kind = GRID_UNKNOWN;
    if (is_sudoku && vocab_size == size + SUDOKU_FIRST_VOCABULARY)
        kind = GRID_SUDOKU;
    else if (size == ARC_FRAME && vocab_size == ARC_VOCABULARY)
        kind = GRID_ARC;
    else if (size > 0 && vocab_size == MAZE_VOCABULARY)
        kind = GRID_MAZE;
    return (grid_shape){.kind = kind, .size = size};
}

/* The part of a view that is drawn, and how. Lines stand around each box; a maze and an ARC grid are one. */
typedef struct layout {
    grid_kind kind;
    int size;
    int top, left, rows, columns; /* what is cut out */
    int box_rows, box_columns;
    int cell_width; /* in characters */
    grid_style style;
} layout;

/* Cuts out what an ARC grid and those that it is compared with occupy of their frame; one cell of nothing. */
static void cut_out(layout *l, const grid_view *view) {
    const int32_t *const grids[] = {view->tokens, view->before, view->right};
    int bottom = -1, right = -1;
    l->top = l->left = l->size - 1;
    for (int i = 0; i < 3 * l->size * l->size; i++) {
        const int32_t *const grid = grids[i / (l->size * l->size)];
        const int cell = i % (l->size * l->size), row = cell / l->size, column = cell % l->size;
        if (!grid || grid[cell] < ARC_COLOUR)
            continue;
        l->top = row < l->top ? row : l->top;
        l->left = column < l->left ? column : l->left;
        bottom = row > bottom ? row : bottom;
        right = column > right ? column : right;
    }
    l->rows = bottom < l->top ? 1 : bottom - l->top + 1;
    l->columns = right < l->left ? 1 : right - l->left + 1;
}

static layout layout_of(grid_shape shape, const grid_view *view, grid_style style) {
    layout l = {.kind = shape.kind,
                .size = shape.size,
                .rows = shape.size,
                .columns = shape.size,
                .cell_width = 2,
                .style = style};
    const bool has_marks = view->before || view->right;
    if (shape.kind == GRID_ARC)
        cut_out(&l, view);
    if (shape.kind == GRID_SUDOKU || (has_marks && style == GRID_CHARACTERS))
        l.cell_width = 3;
    l.box_rows = l.rows;
    l.box_columns = l.columns;
    if (shape.kind == GRID_SUDOKU) {
        l.box_rows = shape.size == 9 ? 3 : 2;
        l.box_columns = shape.size / l.box_rows;
    }
    return l;
}

/* Lines of text, and characters in each. */
static int height_of(const layout *l) {
    return l->rows + l->rows / l->box_rows + 1;
}

static int width_of(const layout *l) {
    return l->cell_width * l->columns + l->columns / l->box_columns + 1;
}

/* ---- cells ------------------------------------------------------------------------------------------- */

typedef struct cell {
    int32_t token;
    char symbol;
    bool given, changed, wrong;
} cell;

static char symbol_of(grid_kind kind, int size, int32_t token) {
    if (token <= 0)
        return ' ';
    switch (kind) {
    case GRID_SUDOKU:
        if (token <= size + SUDOKU_BLANK)
            return token == SUDOKU_BLANK ? '.' : (char)('0' + token - SUDOKU_BLANK);
        break;
    case GRID_MAZE:
        if (token < MAZE_VOCABULARY)
            return maze_symbols[token];
        break;
    case GRID_ARC:
        if (token < ARC_VOCABULARY)
            return arc_symbols[token];
        break;
    case GRID_UNKNOWN:
        break;
    }
    return '?';
}

static cell cell_at(const layout *l, const grid_view *view, int row, int column) {
    const int i = (l->top + row) * l->size + l->left + column;
    const int32_t token = view->tokens[i];
    return (cell){
        .token = token,
        .symbol = symbol_of(l->kind, l->size, token),
        .given = l->kind == GRID_SUDOKU && view->question && view->question[i] != SUDOKU_BLANK,
        .changed = view->before && token != view->before[i],
        .wrong = view->right && view->right[i] >= 0 && token != view->right[i],
    };
}

/* Terminal sequences (ECMA-48). A wrong cell is red and a changed one yellow, underlined; a cell that is both
 * is red and underlined. */
static const char given_colour[] = "\033[1m", changed_colour[] = "\033[1;33m", wrong_colour[] = "\033[1;31m",
                  underline[] = "\033[4m", no_colour[] = "\033[0m";

static const char *ink_of(const cell *c) {
    return c->wrong ? wrong_colour : c->changed ? changed_colour : c->given ? given_colour : "";
}

/* Walls are blocks, the path and its ends are coloured, marks stand beside them: a free cell has no ink. */
static void draw_maze_cell(FILE *out, const cell *c) {
    static const char *const inks[MAZE_VOCABULARY] = {"",           "\033[47m",   "",
                                                      "\033[1;32m", "\033[1;35m", "\033[1;36m"};
    const char mark = c->wrong ? '!' : c->changed ? '*' : ' ';
    const bool is_marked = c->wrong || c->changed;
    const bool is_known = c->token > 0 && c->token < MAZE_VOCABULARY;
    const char symbol = c->token == MAZE_WALL && !is_marked ? ' ' : c->symbol;
    fprintf(out, "%s%s%c%c%s",
            is_marked  ? ink_of(c)
            : is_known ? inks[c->token]
                       : "",
            c->changed ? underline : "", symbol, mark, no_colour);
}

/* A block in the colour that ARC's own site gives the number, with the marks in it. */
static void draw_arc_cell(FILE *out, const cell *c) {
    static const int palette[] = {16, 32, 160, 40, 220, 244, 199, 208, 117, 88}; /* of xterm's 256 colours */
    if (c->token >= ARC_COLOUR && c->token < ARC_VOCABULARY) {
        const bool is_bright =
            c->token == ARC_COLOUR + 3 || c->token == ARC_COLOUR + 4 || c->token == ARC_COLOUR + 8;
        fprintf(out, "\033[48;5;%d;%dm%c%c%s", palette[c->token - ARC_COLOUR], is_bright ? 30 : 97,
                c->changed ? '*' : ' ', c->wrong ? '!' : ' ', no_colour);
    } else {
        fprintf(out, "%s%c%c%s", ink_of(c), c->changed ? '*' : c->symbol, c->wrong ? '!' : ' ', no_colour);
    }
}

static void draw_cell(FILE *out, const layout *l, const cell *c) {
    if (l->style == GRID_CHARACTERS && l->cell_width == 3)
        fprintf(out, "%c%c%c", c->changed ? '*' : ' ', c->symbol, c->wrong ? '!' : ' ');
    else if (l->style == GRID_CHARACTERS)
        fprintf(out, "%c%c", c->symbol, l->kind == GRID_MAZE && c->token == MAZE_WALL ? c->symbol : ' ');
    else if (l->kind == GRID_MAZE)
        draw_maze_cell(out, c);
    else if (l->kind == GRID_ARC)
        draw_arc_cell(out, c);
    else
        fprintf(out, " %s%s%c%s ", ink_of(c), c->changed ? underline : "", c->symbol, no_colour);
}

/* ---- grids ------------------------------------------------------------------------------------------- */

static void draw_rule(FILE *out, const layout *l) {
    for (int column = 0; column < l->columns; column++) {
        if (column % l->box_columns == 0)
            fputc('+', out);
        for (int i = 0; i < l->cell_width; i++)
            fputc('-', out);
    }
    fputc('+', out);
}

/* Draws a line of a grid: a rule before every `box_rows` rows and at the end, else a row. */
static void draw_line(FILE *out, const layout *l, const grid_view *view, int line) {
    const int band = line / (l->box_rows + 1), within = line % (l->box_rows + 1);
    if (line >= height_of(l)) {
        fprintf(out, "%*s", width_of(l), "");
    } else if (within == 0) {
        draw_rule(out, l);
    } else {
        for (int column = 0; column < l->columns; column++) {
            const cell c = cell_at(l, view, band * l->box_rows + within - 1, column);
            if (column % l->box_columns == 0)
                fputc('|', out);
            draw_cell(out, l, &c);
        }
        fputc('|', out);
    }
}

/* Draws as many of the grids as fit on a line, at least one, and returns how many. */
static int draw_side_by_side(FILE *out, grid_shape shape, const grid_view *views, int count,
                             grid_style style) {
    const int room = terminal_columns(out);
    int drawn = 0, width = MARGIN, height = 0;
    while (drawn < count) {
        const layout l = layout_of(shape, &views[drawn], style);
        width += width_of(&l);
        if (drawn > 0 && width > room)
            break;
        width += GAP;
        height = height_of(&l) > height ? height_of(&l) : height;
        drawn++;
    }
    for (int line = 0; line < height; line++) {
        for (int i = 0; i < drawn; i++) {
            const layout l = layout_of(shape, &views[i], style);
            fprintf(out, "%*s", i == 0 ? MARGIN : GAP, "");
            draw_line(out, &l, &views[i], line);
        }
        fputc('\n', out);
    }
    return drawn;
}

grid_style grid_style_for(FILE *out) {
    return terminal_has_colours(out) ? GRID_COLOURS : GRID_CHARACTERS;
}

void grid_draw(FILE *out, grid_shape shape, const grid_view *views, int count, grid_style style) {
    int drawn = shape.kind == GRID_UNKNOWN ? count : 0;
    while (drawn < count)
        drawn += draw_side_by_side(out, shape, views + drawn, count - drawn, style);
}

void grid_legend(FILE *out, grid_shape shape, grid_style style) {
    const char symbol = shape.kind == GRID_MAZE ? 'o' : '5';
    if (style == GRID_CHARACTERS)
        fprintf(out, "(*%c: changed, %c!: wrong)", symbol, symbol);
    else if (shape.kind == GRID_SUDOKU)
        fprintf(out, "(%sgiven%s, %s%schanged%s, %swrong%s)", given_colour, no_colour, changed_colour,
                underline, no_colour, wrong_colour, no_colour);
    else
        fputs("(*: changed, !: wrong)", out);
}
