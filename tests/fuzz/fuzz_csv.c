/* CSV files of Sudokus and mazes, and the splitter below them. */
#include "csv.h"
#include "fuzz.h"

#include <reel/maze.h>
#include <reel/sudoku.h>

#include <string.h>

/* A kind of puzzle and what can be done with its files. */
typedef struct kind {
    const char *name;
    reel_status (*read)(const char *path, reel_puzzle_set **set, reel_error *error);
    reel_status (*write)(const char *path, const reel_puzzle_set *set, reel_error *error);
    reel_status (*check)(int size, const uint8_t *question, const uint8_t *answer, reel_error *error);
} kind;

static const kind kinds[] = {
    {"sudoku.csv", reel_sudoku_read_csv, reel_sudoku_write_csv, reel_sudoku_check},
    {"maze.csv", reel_maze_read_csv, reel_maze_write_csv, reel_maze_check},
};

/* Splits the whole file; the number of rows, or -1 where it is refused. */
static int64_t split(const char *path) {
    reel_error error = {0};
    reel__csv *csv;
    int64_t rows = 0;
    reel_status status = reel__csv_open(&csv, path, &error);
    FUZZ_REQUIRE((status == REEL_OK) == (csv != NULL));
    for (int has_row = 1; status == REEL_OK && has_row; rows += has_row) {
        status = reel__csv_next(csv, &has_row, &error);
        if (status != REEL_OK || !has_row)
            break;
        const int column = reel__csv_column(csv, "question");
        if (column >= 0) {
            const reel__csv_field field = reel__csv_field_at(csv, column);
            FUZZ_REQUIRE(strlen(field.text) == field.length);
        }
    }
    reel__csv_close(csv);
    if (status != REEL_OK)
        fuzz_check_refusal(status, &error);
    return status == REEL_OK ? rows : -1;
}

static void check_set(const kind *k, const reel_puzzle_set *set) {
    const size_t cells = (size_t)set->size * (size_t)set->size;
    for (int64_t i = 0; i < set->count; i++) {
        const size_t at = (size_t)i * cells;
        FUZZ_REQUIRE(k->check(set->size, set->questions + at, set->answers + at, NULL) == REEL_OK);
        FUZZ_REQUIRE(set->ratings[i] >= 0);
    }
}

static void check_same(const reel_puzzle_set *a, const reel_puzzle_set *b) {
    FUZZ_REQUIRE(a->size == b->size && a->count == b->count);
    const size_t bytes = (size_t)a->count * (size_t)a->size * (size_t)a->size;
    FUZZ_REQUIRE(memcmp(a->questions, b->questions, bytes) == 0);
    FUZZ_REQUIRE(memcmp(a->answers, b->answers, bytes) == 0);
    FUZZ_REQUIRE(memcmp(a->ratings, b->ratings, (size_t)a->count * sizeof *a->ratings) == 0);
}

static void read_kind(const kind *k, const char *path, int64_t rows) {
    reel_error error = {0};
    reel_puzzle_set *set, *again;
    const reel_status status = k->read(path, &set, &error);
    if (status != REEL_OK) {
        FUZZ_REQUIRE(set == NULL);
        fuzz_check_refusal(status, &error);
        return;
    }
    FUZZ_REQUIRE(set->count == rows && rows > 0);
    check_set(k, set);
    const char *const copy = fuzz_path(k->name);
    FUZZ_REQUIRE(k->write(copy, set, &error) == REEL_OK);
    FUZZ_REQUIRE(k->read(copy, &again, &error) == REEL_OK);
    check_same(set, again);
    reel_puzzle_set_free(set);
    reel_puzzle_set_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *const path = fuzz_file(data, size);
    const int64_t rows = split(path);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        read_kind(&kinds[i], path, rows);
    return 0;
}
