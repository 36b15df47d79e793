#include "puzzle_kind.h"

#include <reel/sudoku.h>

static int32_t make_and_rate(int size, reel_random *random, uint8_t *question, uint8_t *answer) {
    int64_t guesses;
    reel_sudoku_make(size, random, question, answer);
    reel_sudoku_solve(size, question, 1, NULL, &guesses);
    return guesses < INT32_MAX ? (int32_t)guesses : INT32_MAX;
}

reel_status reel_sudoku_generate(int size, int64_t count, uint64_t seed, const reel_sudoku_set *exclude,
                                 reel_sudoku_set **set, reel_error *error) {
    static const reel__puzzle_maker sudokus = {.kind = "sudokus",
                                               .make = make_and_rate,
                                               .canonical = reel_sudoku_canonical,
                                               .max_tries_without_new = 10 * 1000};
    *set = NULL;
    if (!reel_sudoku_is_size(size))
        return reel_fail(error, REEL_ERROR_ARGUMENT, "sudoku size %d: must be 4, 6 or 9", size);
    return reel__make_puzzles(&sudokus, size, count, seed, exclude, set, error);
}
