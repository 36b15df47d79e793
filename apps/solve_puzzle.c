#include "solve_puzzle.h"

#include <reel/arc.h>
#include <reel/maze.h>
#include <reel/sudoku.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUDOKU_BLANK = 1, /* the token; then come the digits */
    SUDOKU_FIRST_VOCABULARY = 2,
};

static reel_status no_memory(const char *name, reel_error *error) {
    return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left to read it", name);
}

/* Room for `count` questions of size * size tokens. */
static reel_status make_room(puzzle_text *p, const char *name, grid_kind kind, int size, int64_t vocab_size,
                             int64_t count, reel_error *error) {
    p->shape = (grid_shape){.kind = kind, .size = size};
    p->vocab_size = vocab_size;
    p->cells = (int64_t)size * size;
    p->count = count;
    p->inputs = calloc((size_t)(count * p->cells), sizeof *p->inputs);
    return p->inputs ? REEL_OK : no_memory(name, error);
}

void puzzle_text_free(puzzle_text *puzzle) {
    free(puzzle->inputs);
}

const int32_t *puzzle_text_at(const puzzle_text *puzzle, int64_t i) {
    return puzzle->inputs + i * puzzle->cells;
}

/* As errors show a byte: itself, or its number. */
enum { BYTE_TEXT = 16 };
static const char *byte_text(char out[static BYTE_TEXT], char c) {
    if (c > ' ' && c <= '~')
        snprintf(out, BYTE_TEXT, "'%c'", c);
    else
        snprintf(out, BYTE_TEXT, "byte 0x%02x", (unsigned char)c);
    return out;
}

/* ---- Sudoku ------------------------------------------------------------------------------------------ */

static reel_status read_sudoku(puzzle_text *p, const char *name, const char *text, size_t bytes,
                               reel_error *error) {
    char cells[REEL_SUDOKU_MAX_CELLS], shown[BYTE_TEXT];
    int64_t count = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (strchr(" \t\r\n|+-", text[i]) && text[i] != '\0')
            continue;
        if (text[i] != '.' && (text[i] < '0' || text[i] > '9'))
            return reel_fail(
                error, REEL_ERROR_FORMAT,
                "%s: %s is neither a digit nor '.'; a Sudoku has nothing else, a maze is made of "
                "'#', ' ', 'S', 'G', an ARC task is JSON",
                name, byte_text(shown, text[i]));
        if (count < REEL_SUDOKU_MAX_CELLS)
            cells[count] = text[i] == '.' ? '0' : text[i];
        count++;
    }
    int size = 1;
    while ((int64_t)size * size < count && size < REEL_SUDOKU_MAX_SIZE)
        size++;
    if ((int64_t)size * size != count || !reel_sudoku_is_size(size))
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: a Sudoku has 16, 36 or 81 cells, this has %" PRId64,
                         name, count);
    for (int64_t i = 0; i < count; i++) {
        if (cells[i] - '0' > size)
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: cell %" PRId64 ": a Sudoku of size %d has no %c",
                             name, i + 1, size, cells[i]);
    }
    const reel_status status =
        make_room(p, name, GRID_SUDOKU, size, size + SUDOKU_FIRST_VOCABULARY, 1, error);
    for (int64_t i = 0; status == REEL_OK && i < count; i++)
        p->inputs[i] = cells[i] - '0' + SUDOKU_BLANK;
    return status;
}

/* Digits from tokens, 0 for what is none. */
static void sudoku_digits(int cells, const int32_t *tokens, uint8_t *digits) {
    for (int i = 0; i < cells; i++)
        digits[i] = tokens[i] > SUDOKU_BLANK ? (uint8_t)(tokens[i] - SUDOKU_BLANK) : 0;
}

static bool sudoku_is_consistent(const puzzle_text *p, int64_t i, const int32_t *answer,
                                 char why[static PUZZLE_WHY_BYTES]) {
    uint8_t question[REEL_SUDOKU_MAX_CELLS], grid[REEL_SUDOKU_MAX_CELLS];
    sudoku_digits((int)p->cells, puzzle_text_at(p, i), question);
    sudoku_digits((int)p->cells, answer, grid);
    reel_error error = {0};
    const bool valid = reel_sudoku_check(p->shape.size, question, grid, &error) == REEL_OK;
    snprintf(why, PUZZLE_WHY_BYTES, "%s", valid ? "a valid grid that keeps every clue" : error.message);
    return valid;
}

/* ---- maze -------------------------------------------------------------------------------------------- */

/* What is left of a text. */
typedef struct lines {
    const char *rest;
    size_t bytes;
} lines;

/* Takes the next line off, without its end; false when there is none. */
static bool next_line(lines *l, const char **begin, size_t *length) {
    if (l->bytes == 0)
        return false;
    const char *const feed = memchr(l->rest, '\n', l->bytes);
    const size_t taken = feed ? (size_t)(feed + 1 - l->rest) : l->bytes;
    *begin = l->rest;
    *length = feed ? taken - 1 : taken;
    if (*length > 0 && l->rest[*length - 1] == '\r')
        --*length;
    l->rest += taken;
    l->bytes -= taken;
    return true;
}

/* The number of lines, and of cells in the longest. */
static void measure_maze(lines l, int64_t *count, size_t *columns) {
    const char *begin;
    size_t length;
    for (*count = 0, *columns = 0; next_line(&l, &begin, &length); ++*count)
        *columns = length > *columns ? length : *columns;
}

static reel_status read_maze_cells(int32_t *tokens, const char *name, int64_t line, const char *cells,
                                   size_t length, reel_error *error) {
    char shown[BYTE_TEXT];
    for (size_t i = 0; i < length; i++) {
        const char *const symbol = cells[i] ? strchr(reel_maze_characters, cells[i]) : NULL;
        if (!symbol || symbol - reel_maze_characters + 1 == REEL_MAZE_PATH)
            return reel_fail(error, REEL_ERROR_FORMAT,
                             "%s: line %" PRId64 ", column %zu: %s is neither '#', ' ', 'S' nor 'G'", name,
                             line + 1, i + 1, byte_text(shown, cells[i]));
        tokens[i] = (int32_t)(symbol - reel_maze_characters + 1);
    }
    return REEL_OK;
}

static reel_status check_ends(const puzzle_text *p, const char *name, reel_error *error) {
    static const reel_maze_cell ends[] = {REEL_MAZE_START, REEL_MAZE_GOAL};
    for (size_t e = 0; e < sizeof ends / sizeof ends[0]; e++) {
        int64_t found = 0;
        for (int64_t i = 0; i < p->cells; i++)
            found += p->inputs[i] == (int32_t)ends[e];
        if (found != 1)
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: a maze has one %c, this has %" PRId64, name,
                             reel_maze_characters[ends[e] - 1], found);
    }
    return REEL_OK;
}

static reel_status read_maze(puzzle_text *p, const char *name, const char *text, size_t bytes,
                             reel_error *error) {
    while (bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == '\r'))
        bytes--;
    lines l = {text, bytes};
    int64_t count;
    size_t columns, size = 1;
    measure_maze(l, &count, &columns);
    const size_t cells = count == 1 ? columns : (size_t)count * columns;
    while (size < REEL_MAZE_MAX_SIZE && size * size < cells)
        size++;
    if (size < REEL_MAZE_MIN_SIZE || size * size != cells || (count > 1 && columns != size))
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: %" PRId64
                         " lines of up to %zu cells; a maze has as many lines as columns, %d to "
                         "%d, or all its cells in one line",
                         name, count, columns, REEL_MAZE_MIN_SIZE, REEL_MAZE_MAX_SIZE);
    reel_status status = make_room(p, name, GRID_MAZE, (int)size, REEL_MAZE_VOCAB_SIZE, 1, error);
    for (int64_t i = 0; status == REEL_OK && i < p->cells; i++)
        p->inputs[i] = REEL_MAZE_FREE; /* editors take spaces off the end of a line */
    const char *begin;
    size_t length;
    for (int64_t i = 0; status == REEL_OK && next_line(&l, &begin, &length); i++)
        status = read_maze_cells(p->inputs + i * (int64_t)size, name, i, begin, length, error);
    return status == REEL_OK ? check_ends(p, name, error) : status;
}

static bool maze_is_consistent(const puzzle_text *p, int64_t i, const int32_t *answer,
                               char why[static PUZZLE_WHY_BYTES]) {
    uint8_t question[REEL_MAZE_MAX_CELLS], path[REEL_MAZE_MAX_CELLS];
    const int32_t *const tokens = puzzle_text_at(p, i);
    reel_error error = {0};
    for (int64_t cell = 0; cell < p->cells; cell++) {
        question[cell] = (uint8_t)tokens[cell];
        path[cell] = (uint8_t)answer[cell];
    }
    const bool valid = reel_maze_check(p->shape.size, question, path, &error) == REEL_OK;
    if (valid)
        snprintf(why, PUZZLE_WHY_BYTES, "a shortest path of %" PRId32 " steps",
                 reel_maze_solve(p->shape.size, question, NULL));
    else
        snprintf(why, PUZZLE_WHY_BYTES, "%s", error.message);
    return valid;
}

/* ---- ARC --------------------------------------------------------------------------------------------- */

static reel_status read_arc(puzzle_text *p, const char *name, const char *text, size_t bytes,
                            reel_error *error) {
    reel_arc_tasks *tasks = NULL;
    reel_status status = reel_arc_tasks_parse(&tasks, text, bytes, name, error);
    if (status == REEL_OK && tasks->count != 1)
        status =
            reel_fail(error, REEL_ERROR_ARGUMENT, "%s: give one task, this has %" PRId64, name, tasks->count);
    if (status == REEL_OK)
        status = make_room(p, name, GRID_ARC, REEL_ARC_MAX_SIZE, REEL_ARC_VOCAB_SIZE,
                           tasks->tasks[0].test_count, error);
    for (int64_t i = 0; status == REEL_OK && i < p->count; i++) {
        const reel_arc_task *const task = &tasks->tasks[0];
        uint8_t tokens[REEL_ARC_SEQ_LEN];
        reel_arc_encode(&task->pairs[task->train_count + i].input, 0, 0, tokens);
        for (int64_t cell = 0; cell < p->cells; cell++)
            p->inputs[i * p->cells + cell] = tokens[cell];
    }
    reel_arc_tasks_free(tasks);
    return status;
}

/* The grid is the largest rectangle of colours at the first row and column. It is one when nothing else
 * stands around it. */
static bool arc_is_consistent(const puzzle_text *p, int64_t i, const int32_t *answer,
                              char why[static PUZZLE_WHY_BYTES]) {
    (void)i;
    reel_arc_grid grid;
    reel_arc_crop(answer, &grid);
    int64_t colours = 0;
    for (int64_t cell = 0; cell < p->cells; cell++)
        colours += answer[cell] >= REEL_ARC_FIRST_COLOUR;
    const int64_t inside = (int64_t)grid.rows * grid.columns;
    const bool is_rectangle = inside > 0 && colours == inside;
    if (is_rectangle)
        snprintf(why, PUZZLE_WHY_BYTES, "a rectangle of %d x %d", grid.rows, grid.columns);
    else
        snprintf(why, PUZZLE_WHY_BYTES,
                 "%" PRId64 " of %" PRId64 " coloured cells lie outside the rectangle of %d x %d",
                 colours - inside, colours, grid.rows, grid.columns);
    return is_rectangle;
}

static void write_arc(FILE *out, const int32_t *answer) {
    reel_arc_grid grid;
    reel_arc_crop(answer, &grid);
    fputc('[', out);
    for (int row = 0; row < grid.rows; row++) {
        for (int column = 0; column < grid.columns; column++)
            fprintf(out, "%s%d",
                    column > 0 ? ","
                    : row > 0  ? ",["
                               : "[",
                    grid.cells[row * grid.columns + column]);
        fputc(']', out);
    }
    fputs("]\n", out);
}

/* ---- all --------------------------------------------------------------------------------------------- */

reel_status puzzle_text_read(puzzle_text *puzzle, const char *name, const char *text, size_t bytes,
                             reel_error *error) {
    *puzzle = (puzzle_text){0};
    size_t first = 0;
    while (first < bytes && strchr(" \t\r\n", text[first]) && text[first])
        first++;
    if (first == bytes)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: empty", name);
    if (text[first] == '{' || text[first] == '[')
        return read_arc(puzzle, name, text, bytes, error);
    if (memchr(text, '#', bytes) || memchr(text, 'S', bytes) || memchr(text, 'G', bytes))
        return read_maze(puzzle, name, text, bytes, error);
    return read_sudoku(puzzle, name, text, bytes, error);
}

bool puzzle_answer_is_consistent(const puzzle_text *puzzle, int64_t i, const int32_t *answer,
                                 char why[PUZZLE_WHY_BYTES]) {
    why[0] = '\0';
    switch (puzzle->shape.kind) {
    case GRID_SUDOKU:
        return sudoku_is_consistent(puzzle, i, answer, why);
    case GRID_MAZE:
        return maze_is_consistent(puzzle, i, answer, why);
    case GRID_ARC:
        return arc_is_consistent(puzzle, i, answer, why);
    case GRID_UNKNOWN:
        break;
    }
    return false;
}

static char symbol_of(const puzzle_text *p, int32_t token) {
    if (p->shape.kind == GRID_MAZE)
        return token > 0 && token < REEL_MAZE_VOCAB_SIZE ? reel_maze_characters[token - 1] : ' ';
    return token > SUDOKU_BLANK ? (char)('0' + token - SUDOKU_BLANK) : '.';
}

void puzzle_answer_write(FILE *out, const puzzle_text *p, const int32_t *answer) {
    if (p->shape.kind == GRID_ARC) {
        write_arc(out, answer);
        return;
    }
    for (int64_t i = 0; i < p->cells; i++) {
        fputc(symbol_of(p, answer[i]), out);
        if (p->shape.kind == GRID_MAZE && (i + 1) % p->shape.size == 0)
            fputc('\n', out);
    }
    if (p->shape.kind != GRID_MAZE)
        fputc('\n', out);
}
