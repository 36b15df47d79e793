/* What the Sudoku files share: the shapes of boxes, and permutations. */
#ifndef REEL_DATA_SUDOKU_SHAPE_H
#define REEL_DATA_SUDOKU_SHAPE_H

#include <reel/sudoku.h>

/* A box has as many cells as a row: box_rows * box_columns == size. Hence a band of boxes is box_rows high
 * and holds box_rows boxes side by side. */
typedef struct reel__sudoku_shape {
    int size, cells, box_rows, box_columns;
} reel__sudoku_shape;

/* The shape of a supported size. */
reel__sudoku_shape reel__sudoku_shape_of(int size);

/* The box of a cell, counted row by row. */
static inline int reel__sudoku_box(const reel__sudoku_shape *shape, int row, int column) {
    return row / shape->box_rows * shape->box_rows + column / shape->box_columns;
}

/* A permutation of 0..count-1, drawn uniformly (Fisher and Yates). */
void reel__sudoku_shuffled(reel_random *random, int count, uint8_t *order);

#endif
