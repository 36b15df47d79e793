/* The eight symmetries of a square on rectangular grids, numbered as published (TinyRecursiveModels,
 * dataset/common.py): t0 leaves the grid, t1..t3 turn it left by 90, 180, 270 degrees, t4 mirrors left and
 * right, t5 top and bottom, t6 transposes, t7 transposes along the other diagonal. */
#ifndef REEL_DATA_DIHEDRAL_H
#define REEL_DATA_DIHEDRAL_H

#include <stdint.h>

enum { REEL__DIHEDRAL_COUNT = 8 };

/* The transformed grid as a walk over the original: its cell (i, j) is the original's cell
 * first + i * down + j * across. */
typedef struct reel__dihedral_walk {
    int rows, columns; /* of the transformed grid */
    int first, down, across;
} reel__dihedral_walk;

/* Transform 0..7 of a grid of rows x columns cells, row by row. */
reel__dihedral_walk reel__dihedral_walk_of(int transform, int rows, int columns);

/* Writes the transformed grid, rows * columns bytes, which must not overlap `grid`. */
void reel__dihedral(int transform, int rows, int columns, const uint8_t *grid, uint8_t *out);

/* The transform that undoes one: t1 and t3 undo each other, the others themselves. */
int reel__dihedral_inverse(int transform);

#endif
