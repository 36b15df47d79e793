/* The canonical form of a puzzle: the smallest grid that the symmetries make of it.
 *
 * Column orders are tried one by one (1,296 for size 9), transposed and not. Under each, the rows are chosen
 * one after another: a row that comes out larger than the best grid's ends the branch at once, so only the
 * few branches survive that tie with the best so far. Digits are labelled in order of first appearance, which
 * is the smallest labelling there is once the cells are in place. */
#include "sudoku_shape.h"

#include <string.h>

typedef struct labels {
    uint8_t of[REEL_SUDOKU_MAX_SIZE + 1]; /* new label of a digit; 0: not seen yet */
    uint8_t used;
} labels;

typedef struct search {
    int size, box_rows, box_columns;
    uint8_t grid[REEL_SUDOKU_MAX_CELLS];
    uint8_t columns[REEL_SUDOKU_MAX_SIZE]; /* the column order being tried */
    uint8_t *best;
} search;

enum { LARGER_THAN_ANY_DIGIT = 0xff };

/* True if line `candidate` may come next in an order that has used the lines of the mask `used`: a group of
 * `width` lines is finished before another begins. */
static int may_follow(int position, int candidate, int previous, uint32_t used, int width) {
    const int is_free = (used >> candidate & 1) == 0;
    const int begins_group = position % width == 0;
    return is_free && (begins_group || candidate / width == previous / width);
}

/* Writes grid row `row` under the column order, with new labels, as row `position` of the best grid, if it is
 * not larger than what stands there. Whatever was best behind a row that got smaller is forgotten. */
static int place_row(search *s, int position, int row, labels *names) {
    const uint8_t *from = s->grid + row * s->size;
    uint8_t *best = s->best + position * s->size;
    int is_smaller = 0;
    for (int c = 0; c < s->size; c++) {
        const uint8_t digit = from[s->columns[c]];
        if (digit != 0 && names->of[digit] == 0)
            names->of[digit] = ++names->used;
        const uint8_t label = names->of[digit];
        if (!is_smaller && label > best[c])
            return 0;
        is_smaller |= label < best[c];
        best[c] = label;
    }
    if (is_smaller)
        memset(best + s->size, LARGER_THAN_ANY_DIGIT, (size_t)(s->size * (s->size - 1 - position)));
    return 1;
}

static void choose_rows(search *s, int position, int previous, uint32_t used, const labels *names) {
    for (int row = 0; row < s->size && position < s->size; row++) {
        labels next = *names;
        if (may_follow(position, row, previous, used, s->box_rows) && place_row(s, position, row, &next))
            choose_rows(s, position + 1, row, used | UINT32_C(1) << row, &next);
    }
}

static void choose_columns(search *s, int position, int previous, uint32_t used) {
    static const labels none = {{0}, 0};
    if (position == s->size) {
        choose_rows(s, 0, 0, 0, &none);
        return;
    }
    for (int column = 0; column < s->size; column++) {
        if (may_follow(position, column, previous, used, s->box_columns)) {
            s->columns[position] = (uint8_t)column;
            choose_columns(s, position + 1, column, used | UINT32_C(1) << column);
        }
    }
}

void reel_sudoku_canonical(int size, const uint8_t *question, uint8_t *out) {
    const reel__sudoku_shape shape = reel__sudoku_shape_of(size);
    search s = {size, shape.box_rows, shape.box_columns, {0}, {0}, out};
    memset(out, LARGER_THAN_ANY_DIGIT, (size_t)shape.cells);
    memcpy(s.grid, question, (size_t)shape.cells);
    choose_columns(&s, 0, 0, 0);
    if (shape.box_rows != shape.box_columns)
        return;
    for (int r = 0; r < size; r++)
        for (int c = 0; c < size; c++)
            s.grid[c * size + r] = question[r * size + c];
    choose_columns(&s, 0, 0, 0);
}
