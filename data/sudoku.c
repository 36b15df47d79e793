#include "sudoku_shape.h"

#include <assert.h>
#include <string.h>

/* ---- shapes ------------------------------------------------------------------------------------------ */

int reel_sudoku_is_size(int size) {
    return size == 4 || size == 6 || size == 9;
}

reel__sudoku_shape reel__sudoku_shape_of(int size) {
    assert(reel_sudoku_is_size(size));
    const int box_rows = size == 9 ? 3 : 2;
    return (reel__sudoku_shape){size, size * size, box_rows, size / box_rows};
}

/* ---- the rules --------------------------------------------------------------------------------------- */

reel_status reel_sudoku_check(int size, const uint8_t *question, const uint8_t *answer, reel_error *error) {
    if (!reel_sudoku_is_size(size))
        return reel_fail(error, REEL_ERROR_ARGUMENT, "sudoku size %d: must be 4, 6 or 9", size);
    const reel__sudoku_shape shape = reel__sudoku_shape_of(size);
    uint32_t in_row[REEL_SUDOKU_MAX_SIZE] = {0}, in_column[REEL_SUDOKU_MAX_SIZE] = {0},
             in_box[REEL_SUDOKU_MAX_SIZE] = {0}; /* bit d: digit d has been seen */
    for (int i = 0; i < shape.cells; i++) {
        const int row = i / size, column = i % size, box = reel__sudoku_box(&shape, row, column);
        const int digit = answer[i], clue = question[i];
        if (digit == 0)
            return reel_fail(error, REEL_ERROR_FORMAT, "the answer is blank at row %d, column %d", row + 1,
                             column + 1);
        if (digit > size)
            return reel_fail(error, REEL_ERROR_FORMAT,
                             "the answer has %d at row %d, column %d: digits are 1 to %d", digit, row + 1,
                             column + 1, size);
        if (clue != 0 && clue != digit)
            return reel_fail(error, REEL_ERROR_FORMAT,
                             "the answer has %d at row %d, column %d, where the question has %d", digit,
                             row + 1, column + 1, clue);
        const uint32_t bit = UINT32_C(1) << digit;
        const char *unit = in_row[row] & bit         ? "row"
                           : in_column[column] & bit ? "column"
                           : in_box[box] & bit       ? "box"
                                                     : NULL;
        if (unit != NULL)
            return reel_fail(error, REEL_ERROR_FORMAT, "the answer has %d twice in %s %d", digit, unit,
                             1 + (in_row[row] & bit         ? row
                                  : in_column[column] & bit ? column
                                                            : box));
        in_row[row] |= bit;
        in_column[column] |= bit;
        in_box[box] |= bit;
    }
    return REEL_OK;
}

/* ---- random symmetries ------------------------------------------------------------------------------- */

void reel__sudoku_shuffled(reel_random *random, int count, uint8_t *order) {
    for (int i = 0; i < count; i++) {
        const uint32_t j = reel_random_below(random, (uint32_t)i + 1);
        order[i] = order[j];
        order[j] = (uint8_t)i;
    }
}

/* Permutes the `size / width` groups of `width` lines, and the lines within each. */
static void shuffle_lines(reel_random *random, int size, int width, uint8_t *order) {
    uint8_t groups[REEL_SUDOKU_MAX_SIZE], within[REEL_SUDOKU_MAX_SIZE];
    reel__sudoku_shuffled(random, size / width, groups);
    for (int g = 0; g < size / width; g++) {
        reel__sudoku_shuffled(random, width, within);
        for (int i = 0; i < width; i++)
            order[g * width + i] = (uint8_t)(groups[g] * width + within[i]);
    }
}

void reel_sudoku_augment(int size, const uint8_t *question, const uint8_t *answer, reel_random *random,
                         uint8_t *out_question, uint8_t *out_answer) {
    const reel__sudoku_shape shape = reel__sudoku_shape_of(size);
    uint8_t digits[REEL_SUDOKU_MAX_SIZE], rows[REEL_SUDOKU_MAX_SIZE], columns[REEL_SUDOKU_MAX_SIZE];
    reel__sudoku_shuffled(random, size, digits);
    shuffle_lines(random, size, shape.box_rows, rows);
    shuffle_lines(random, size, shape.box_columns, columns);
    const int is_square = shape.box_rows == shape.box_columns;
    const int transposed = is_square && reel_random_below(random, 2) == 1;
    for (int r = 0; r < size; r++) {
        for (int c = 0; c < size; c++) {
            const int from = transposed ? columns[c] * size + rows[r] : rows[r] * size + columns[c];
            const int clue = question[from];
            out_question[r * size + c] = clue == 0 ? 0 : (uint8_t)(digits[clue - 1] + 1);
            out_answer[r * size + c] = (uint8_t)(digits[answer[from] - 1] + 1);
        }
    }
}

void reel_sudoku_variant(int size, const uint8_t *question, const uint8_t *answer, uint64_t seed,
                         int64_t group, int64_t variant, uint8_t *out_question, uint8_t *out_answer) {
    if (variant == 0) {
        const size_t cells = (size_t)size * (size_t)size;
        memcpy(out_question, question, cells);
        memcpy(out_answer, answer, cells);
        return;
    }
    reel_random random =
        reel_random_begin(seed, (reel_draw){REEL_STREAM_AUGMENT, (uint64_t)group, (uint32_t)variant});
    reel_sudoku_augment(size, question, answer, &random, out_question, out_answer);
}
