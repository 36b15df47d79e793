#include "dihedral.h"
#include "maze_search.h"

#include <string.h>

const char reel_maze_characters[] = "# SGo";

/* ---- search ------------------------------------------------------------------------------------------ */

void reel__maze_search_from(reel__maze_search *search, int size, const uint8_t *maze, int first) {
    const int cells = size * size;
    for (int i = 0; i < cells; i++)
        search->steps[i] = REEL__MAZE_UNREACHED;
    search->steps[first] = 0;
    search->before[first] = (int16_t)first;
    search->order[0] = (int16_t)first;
    search->reached = 1;
    for (int next = 0; next < search->reached; next++) {
        const int cell = search->order[next], column = cell % size;
        const struct {
            int to, exists;
        } ways[] = {{cell + size, cell + size < cells},
                    {cell - 1, column > 0},
                    {cell + 1, column < size - 1},
                    {cell - size, cell >= size}};
        for (int i = 0; i < 4; i++) {
            const int to = ways[i].to;
            if (!ways[i].exists || maze[to] == REEL_MAZE_WALL || search->steps[to] != REEL__MAZE_UNREACHED)
                continue;
            search->steps[to] = (int16_t)(search->steps[cell] + 1);
            search->before[to] = (int16_t)cell;
            search->order[search->reached++] = (int16_t)to;
        }
    }
}

/* The only cell of a kind; -1 if there is none or another. */
static int find_only(int size, const uint8_t *maze, reel_maze_cell kind) {
    int found = -1;
    for (int i = 0; i < size * size; i++) {
        if (maze[i] == kind && found >= 0)
            return -1;
        if (maze[i] == kind)
            found = i;
    }
    return found;
}

int32_t reel_maze_solve(int size, const uint8_t *question, uint8_t *answer) {
    const int start = find_only(size, question, REEL_MAZE_START);
    const int goal = find_only(size, question, REEL_MAZE_GOAL);
    if (start < 0 || goal < 0)
        return -1;
    reel__maze_search search;
    reel__maze_search_from(&search, size, question, start);
    if (search.steps[goal] == REEL__MAZE_UNREACHED)
        return -1;
    if (answer != NULL) {
        memmove(answer, question, (size_t)(size * size));
        for (int cell = search.before[goal]; cell != start; cell = search.before[cell])
            answer[cell] = REEL_MAZE_PATH;
    }
    return search.steps[goal];
}

/* ---- check ------------------------------------------------------------------------------------------- */

static reel_status check_question(int size, const uint8_t *question, reel_error *error) {
    for (int i = 0; i < size * size; i++)
        if (question[i] < REEL_MAZE_WALL || question[i] > REEL_MAZE_GOAL)
            return reel_fail(error, REEL_ERROR_FORMAT,
                             "the question has a path or an unknown cell at row %d, column %d", i / size + 1,
                             i % size + 1);
    const reel_maze_cell ends[] = {REEL_MAZE_START, REEL_MAZE_GOAL};
    for (int i = 0; i < 2; i++)
        if (find_only(size, question, ends[i]) < 0)
            return reel_fail(error, REEL_ERROR_FORMAT, "the question has not exactly one %c",
                             reel_maze_characters[ends[i] - 1]);
    return REEL_OK;
}

reel_status reel_maze_check(int size, const uint8_t *question, const uint8_t *answer, reel_error *error) {
    if (size < REEL_MAZE_MIN_SIZE || size > REEL_MAZE_MAX_SIZE)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "maze size %d: must be %d to %d", size,
                         REEL_MAZE_MIN_SIZE, REEL_MAZE_MAX_SIZE);
    const reel_status status = check_question(size, question, error);
    if (status != REEL_OK)
        return status;
    int marked = 0;
    uint8_t only_path[REEL_MAZE_MAX_CELLS]; /* everything else is wall */
    for (int i = 0; i < size * size; i++) {
        const int is_marked = answer[i] == REEL_MAZE_PATH && question[i] == REEL_MAZE_FREE;
        if (!is_marked && answer[i] != question[i])
            return reel_fail(error, REEL_ERROR_FORMAT, "the answer changes row %d, column %d of the question",
                             i / size + 1, i % size + 1);
        only_path[i] = answer[i] == REEL_MAZE_FREE ? REEL_MAZE_WALL : answer[i];
        marked += is_marked;
    }
    const int32_t shortest = reel_maze_solve(size, question, NULL);
    if (shortest < 0)
        return reel_fail(error, REEL_ERROR_FORMAT, "there is no way from S to G");
    if (reel_maze_solve(size, only_path, NULL) != shortest || marked != shortest - 1)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "the answer marks %d cells, not those of a shortest path from S to G of %d steps",
                         marked, (int)shortest);
    return REEL_OK;
}

/* ---- variants ---------------------------------------------------------------------------------------- */

void reel_maze_variant(int size, const uint8_t *maze, int variant, uint8_t *out) {
    reel__dihedral(variant, size, size, maze, out);
}
