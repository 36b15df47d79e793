#include "puzzle_kind.h"

#include <reel/sudoku.h>

static int size_of_cells(size_t cells) {
    return cells == 16 ? 4 : cells == 36 ? 6 : cells == 81 ? 9 : 0;
}

/* '.' and '0' are blanks. */
static int read_cell(int size, char character) {
    return character == '.' ? 0 : character >= '0' && character <= '0' + size ? character - '0' : -1;
}

static char write_cell(uint8_t cell) {
    return cell == 0 ? '.' : (char)('0' + cell);
}

static const char *characters_expected(int size) {
    return size == 4 ? "digits are 1 to 4" : size == 6 ? "digits are 1 to 6" : "digits are 1 to 9";
}

static const reel__puzzle_language sudoku = {
    .size_of = size_of_cells,
    .cells_expected = "16, 36 or 81",
    .read = read_cell,
    .characters_expected = characters_expected,
    .write = write_cell,
    .check = reel_sudoku_check,
};

reel_status reel_sudoku_scan_csv(const char *path, reel_puzzle_visitor *visit, void *arg, reel_error *error) {
    return reel__scan_puzzles(path, &sudoku, visit, arg, error);
}

reel_status reel_sudoku_read_csv(const char *path, reel_sudoku_set **set, reel_error *error) {
    return reel__read_puzzles(path, &sudoku, set, error);
}

reel_status reel_sudoku_write_csv(const char *path, const reel_sudoku_set *set, reel_error *error) {
    return reel__write_puzzles(path, &sudoku, set, error);
}
