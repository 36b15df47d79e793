/* Distances in a maze. */
#ifndef REEL_DATA_MAZE_SEARCH_H
#define REEL_DATA_MAZE_SEARCH_H

#include <reel/maze.h>

enum { REEL__MAZE_UNREACHED = -1 };

/* Where a breadth-first search has been. */
typedef struct reel__maze_search {
    int16_t steps[REEL_MAZE_MAX_CELLS];  /* from the cell it began at, or REEL__MAZE_UNREACHED */
    int16_t before[REEL_MAZE_MAX_CELLS]; /* the cell from which it first came here */
    int16_t order[REEL_MAZE_MAX_CELLS];  /* cells in the order of their discovery ... */
    int reached;                         /* ... so many */
} reel__maze_search;

/* Searches all that can be reached from `first` without walls, looking down, left, right, up. */
void reel__maze_search_from(reel__maze_search *search, int size, const uint8_t *maze, int first);

#endif
