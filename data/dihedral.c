#include "dihedral.h"

#include <assert.h>

/* Which way a transform runs through the original. */
typedef enum direction { FORWARD, BACKWARD } direction;
typedef enum turn { UPRIGHT, SIDEWAYS } turn; /* sideways: rows become columns */

static const struct {
    turn turn;
    direction row, column; /* of the original */
} transforms[REEL__DIHEDRAL_COUNT] = {
    {UPRIGHT, FORWARD, FORWARD},   {SIDEWAYS, FORWARD, BACKWARD},  {UPRIGHT, BACKWARD, BACKWARD},
    {SIDEWAYS, BACKWARD, FORWARD}, {UPRIGHT, FORWARD, BACKWARD},   {UPRIGHT, BACKWARD, FORWARD},
    {SIDEWAYS, FORWARD, FORWARD},  {SIDEWAYS, BACKWARD, BACKWARD},
};

reel__dihedral_walk reel__dihedral_walk_of(int transform, int rows, int columns) {
    assert(transform >= 0 && transform < REEL__DIHEDRAL_COUNT);
    const int row_back = transforms[transform].row == BACKWARD;
    const int column_back = transforms[transform].column == BACKWARD;
    const int row_step = row_back ? -columns : columns, column_step = column_back ? -1 : 1;
    const int first = (row_back ? (rows - 1) * columns : 0) + (column_back ? columns - 1 : 0);
    return transforms[transform].turn == UPRIGHT
               ? (reel__dihedral_walk){rows, columns, first, row_step, column_step}
               : (reel__dihedral_walk){columns, rows, first, column_step, row_step};
}

void reel__dihedral(int transform, int rows, int columns, const uint8_t *grid, uint8_t *out) {
    const reel__dihedral_walk walk = reel__dihedral_walk_of(transform, rows, columns);
    for (int i = 0; i < walk.rows; i++)
        for (int j = 0; j < walk.columns; j++)
            *out++ = grid[walk.first + i * walk.down + j * walk.across];
}

int reel__dihedral_inverse(int transform) {
    assert(transform >= 0 && transform < REEL__DIHEDRAL_COUNT);
    return transform == 1 ? 3 : transform == 3 ? 1 : transform;
}
