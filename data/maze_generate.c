#include "maze_search.h"
#include "puzzle_kind.h"

#include <string.h>

enum {
    CANDIDATES = 64, /* mazes of random walls of which the one with the longest path is taken */
    WALL_SHARE = 36, /* percent; a little more comes of walling off other shortest paths */
};

/* Random walls, everything else free. */
static void draw_walls(int size, reel_random *random, uint8_t *maze) {
    for (int i = 0; i < size * size; i++)
        maze[i] = reel_random_below(random, 100) < WALL_SHARE ? REEL_MAZE_WALL : REEL_MAZE_FREE;
}

/* A pair of cells far from each other: the last cell that a search from a random cell finds, and the last one
 * that a search from there finds. Leaves that second search in *search and returns its steps. */
static int find_far_pair(reel__maze_search *search, int size, const uint8_t *maze, reel_random *random) {
    const int first = (int)reel_random_below(random, (uint32_t)(size * size));
    if (maze[first] == REEL_MAZE_WALL)
        return 0;
    reel__maze_search_from(search, size, maze, first);
    reel__maze_search_from(search, size, maze, search->order[search->reached - 1]);
    return search->steps[search->order[search->reached - 1]];
}

/* Walls off every cell that lies on a shortest path and not on the one that is marked. */
static void keep_only_path(int size, uint8_t *question, const uint8_t *answer, int start, int goal,
                           int steps) {
    reel__maze_search from_start, from_goal;
    reel__maze_search_from(&from_start, size, question, start);
    reel__maze_search_from(&from_goal, size, question, goal);
    for (int i = 0; i < size * size; i++) {
        const int is_reached = from_start.steps[i] != REEL__MAZE_UNREACHED;
        if (is_reached && from_start.steps[i] + from_goal.steps[i] == steps && answer[i] == REEL_MAZE_FREE)
            question[i] = REEL_MAZE_WALL;
    }
}

int32_t reel_maze_make(int size, reel_random *random, uint8_t *question, uint8_t *answer) {
    reel__maze_search search;
    uint8_t candidate[REEL_MAZE_MAX_CELLS];
    int longest = 0, start = 0, goal = 0;
    for (int i = 0; i < CANDIDATES; i++) {
        draw_walls(size, random, candidate);
        const int steps = find_far_pair(&search, size, candidate, random);
        if (steps <= longest)
            continue;
        longest = steps;
        start = search.order[0];
        goal = search.order[search.reached - 1];
        memcpy(question, candidate, (size_t)(size * size));
    }
    if (longest < size) /* no longer than a walk along a side */
        return -1;
    question[start] = REEL_MAZE_START;
    question[goal] = REEL_MAZE_GOAL;
    reel_maze_solve(size, question, answer);
    keep_only_path(size, question, answer, start, goal, longest);
    return reel_maze_solve(size, question, answer);
}

/* The smallest, as a string, of a maze's variants. */
static void canonical(int size, const uint8_t *question, uint8_t *out) {
    const size_t cells = (size_t)size * (size_t)size;
    uint8_t variant[REEL_MAZE_MAX_CELLS];
    memcpy(out, question, cells);
    for (int i = 1; i < REEL_MAZE_VARIANTS; i++) {
        reel_maze_variant(size, question, i, variant);
        if (memcmp(variant, out, cells) < 0)
            memcpy(out, variant, cells);
    }
}

reel_status reel_maze_generate(int size, int64_t count, uint64_t seed, const reel_maze_set *exclude,
                               reel_maze_set **set, reel_error *error) {
    static const reel__puzzle_maker mazes = {
        .kind = "mazes", .make = reel_maze_make, .canonical = canonical, .max_tries_without_new = 1000};
    *set = NULL;
    if (size < REEL_MAZE_MIN_SIZE || size > REEL_MAZE_MAX_SIZE)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "maze size %d: must be %d to %d", size,
                         REEL_MAZE_MIN_SIZE, REEL_MAZE_MAX_SIZE);
    return reel__make_puzzles(&mazes, size, count, seed, exclude, set, error);
}
