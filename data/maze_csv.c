#include "maze_csv.h"

#include "csv.h"
#include "puzzle_kind.h"

#include <reel/maze.h>

#include <string.h>

static int size_of_cells(size_t cells) {
    int size = REEL_MAZE_MIN_SIZE;
    while (size <= REEL_MAZE_MAX_SIZE && (size_t)size * (size_t)size != cells)
        size++;
    return size <= REEL_MAZE_MAX_SIZE ? size : 0;
}

static int read_cell(int size, char character) {
    (void)size;
    const char *const at = character == '\0' ? NULL : strchr(reel_maze_characters, character);
    return at == NULL ? -1 : (int)(at - reel_maze_characters) + REEL_MAZE_WALL;
}

static char write_cell(uint8_t cell) {
    return reel_maze_characters[cell - REEL_MAZE_WALL];
}

static const char *characters_expected(int size) {
    (void)size;
    return "# is a wall, a space is free, S and G are the ends and o is the path";
}

static const reel__puzzle_language maze = {
    .size_of = size_of_cells,
    .cells_expected = "a square of 4 to 64 rows",
    .read = read_cell,
    .characters_expected = characters_expected,
    .write = write_cell,
    .check = reel_maze_check,
};

reel_status reel_maze_scan_csv(const char *path, reel_puzzle_visitor *visit, void *arg, reel_error *error) {
    return reel__scan_puzzles(path, &maze, visit, arg, error);
}

reel_status reel_maze_read_csv(const char *path, reel_maze_set **set, reel_error *error) {
    return reel__read_puzzles(path, &maze, set, error);
}

reel_status reel_maze_write_csv(const char *path, const reel_maze_set *set, reel_error *error) {
    return reel__write_puzzles(path, &maze, set, error);
}

int reel__is_maze_csv(const char *path) {
    reel__csv *csv;
    int has_row = 0, is_maze = 0;
    if (reel__csv_open(&csv, path, NULL) != REEL_OK)
        return 0;
    const int column = reel__csv_column(csv, "question");
    if (column >= 0 && reel__csv_next(csv, &has_row, NULL) == REEL_OK && has_row)
        is_maze = strpbrk(reel__csv_field_at(csv, column).text, "#SG") != NULL;
    reel__csv_close(csv);
    return is_maze;
}
