#include "csv.h"
#include "puzzle_kind.h"

#include <reel/atomic_file.h>

#include <stdio.h>
#include <string.h>

/* ---- reading ----------------------------------------------------------------------------------------- */

/* The columns of a file of puzzles, by their place in its header. */
typedef struct columns {
    int question, answer, rating; /* rating -1: the file has none */
} columns;

static reel_status find_columns(const reel__csv *csv, columns *at, reel_error *error) {
    at->question = reel__csv_column(csv, "question");
    at->answer = reel__csv_column(csv, "answer");
    at->rating = reel__csv_column(csv, "rating");
    const char *missing = at->question < 0 ? "question" : at->answer < 0 ? "answer" : NULL;
    if (missing != NULL)
        return reel__csv_refuse(csv, error, "the header has no column '%s'", missing);
    return REEL_OK;
}

/* Turns characters into the cells of a grid. */
static reel_status read_grid(const reel__csv *csv, const reel__puzzle_language *language, int column,
                             const char *name, int size, uint8_t *grid, reel_error *error) {
    const reel__csv_field field = reel__csv_field_at(csv, column);
    const size_t cells = (size_t)size * (size_t)size;
    if (field.length != cells)
        return reel__csv_refuse(csv, error, "the %s has %zu characters, expected %zu", name, field.length,
                                cells);
    for (size_t i = 0; i < cells; i++) {
        const int cell = language->read(size, field.text[i]);
        const unsigned char c = (unsigned char)field.text[i];
        if (cell < 0)
            return reel__csv_refuse(csv, error,
                                    c > ' ' && c <= '~' ? "the %s has '%c' at character %zu: %s"
                                                        : "the %s has byte %d at character %zu: %s",
                                    name, c, i + 1, language->characters_expected(size));
        grid[i] = (uint8_t)cell;
    }
    return REEL_OK;
}

static reel_status read_rating(const reel__csv *csv, int column, int32_t *rating, reel_error *error) {
    *rating = 0;
    if (column < 0)
        return REEL_OK;
    const reel__csv_field field = reel__csv_field_at(csv, column);
    int64_t value = 0;
    for (size_t i = 0; i < field.length && value <= INT32_MAX; i++)
        value = field.text[i] >= '0' && field.text[i] <= '9' ? 10 * value + (field.text[i] - '0') : INT64_MAX;
    if (field.length == 0 || value > INT32_MAX)
        return reel__csv_refuse(csv, error, "the rating is not a whole number from 0 to %d", INT32_MAX);
    *rating = (int32_t)value;
    return REEL_OK;
}

/* Reads and checks the row that is at hand; `size` 0 takes what the row has. */
static reel_status read_row(const reel__csv *csv, const reel__puzzle_language *language, const columns *at,
                            int size, reel_puzzle_row *row, uint8_t *question, uint8_t *answer,
                            reel_error *error) {
    const size_t cells = reel__csv_field_at(csv, at->question).length;
    *row = (reel_puzzle_row){
        .size = size ? size : language->size_of(cells), .question = question, .answer = answer};
    if (row->size == 0)
        return reel__csv_refuse(csv, error, "the question has %zu characters, expected %s", cells,
                                language->cells_expected);
    reel_status status = read_grid(csv, language, at->question, "question", row->size, question, error);
    if (status == REEL_OK)
        status = read_grid(csv, language, at->answer, "answer", row->size, answer, error);
    if (status == REEL_OK)
        status = read_rating(csv, at->rating, &row->rating, error);
    if (status != REEL_OK)
        return status;
    reel_error fault = {0};
    if (language->check(row->size, question, answer, &fault) != REEL_OK)
        return reel__csv_refuse(csv, error, "%s", fault.message);
    return REEL_OK;
}

reel_status reel__scan_puzzles(const char *path, const reel__puzzle_language *language,
                               reel_puzzle_visitor *visit, void *arg, reel_error *error) {
    reel__csv *csv;
    reel_status status = reel__csv_open(&csv, path, error);
    if (status != REEL_OK)
        return status;
    columns at;
    uint8_t question[REEL__PUZZLE_MAX_CELLS], answer[REEL__PUZZLE_MAX_CELLS];
    reel_puzzle_row row = {0};
    int has_row = 1;
    status = find_columns(csv, &at, error);
    while (status == REEL_OK && has_row) {
        status = reel__csv_next(csv, &has_row, error);
        if (status == REEL_OK && has_row)
            status = read_row(csv, language, &at, row.size, &row, question, answer, error);
        if (status == REEL_OK && has_row)
            status = visit(arg, &row, error);
    }
    reel__csv_close(csv);
    if (status == REEL_OK && row.size == 0)
        status = reel_fail(error, REEL_ERROR_FORMAT, "%s: no puzzle behind the header", path);
    return status;
}

/* A reel_puzzle_visitor: adds the row to the set, which the first one makes. */
static reel_status keep_row(void *arg, const reel_puzzle_row *row, reel_error *error) {
    reel_puzzle_set **const set = arg;
    if (*set == NULL && (*set = reel__puzzle_set_new(row->size)) == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for a set of puzzles");
    return reel__puzzle_set_append(*set, row->question, row->answer, row->rating, error);
}

reel_status reel__read_puzzles(const char *path, const reel__puzzle_language *language, reel_puzzle_set **out,
                               reel_error *error) {
    reel_puzzle_set *set = NULL;
    const reel_status status = reel__scan_puzzles(path, language, keep_row, &set, error);
    if (status != REEL_OK) {
        reel_puzzle_set_free(set);
        set = NULL;
    }
    *out = set;
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static void write_grid(reel_atomic_file *file, const reel__puzzle_language *language, const uint8_t *grid,
                       int cells) {
    char text[REEL__PUZZLE_MAX_CELLS + 1];
    for (int i = 0; i < cells; i++)
        text[i] = language->write(grid[i]);
    text[cells] = ',';
    reel_atomic_write(file, text, (size_t)cells + 1);
}

reel_status reel__write_puzzles(const char *path, const reel__puzzle_language *language,
                                const reel_puzzle_set *set, reel_error *error) {
    static const char header[] = "source,question,answer,rating\n", source[] = "reel,";
    reel_atomic_file *file;
    const reel_status status = reel_atomic_open(&file, path, error);
    if (status != REEL_OK)
        return status;
    const int cells = set->size * set->size;
    reel_atomic_write(file, header, strlen(header));
    for (int64_t i = 0; i < set->count; i++) {
        char rating[16];
        const int length = snprintf(rating, sizeof rating, "%d\n", (int)set->ratings[i]);
        reel_atomic_write(file, source, strlen(source));
        write_grid(file, language, set->questions + i * cells, cells);
        write_grid(file, language, set->answers + i * cells, cells);
        reel_atomic_write(file, rating, (size_t)length);
    }
    return reel_atomic_commit(file, error);
}
