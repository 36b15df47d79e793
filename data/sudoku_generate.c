#include "sudoku_shape.h"

#include <stdlib.h>
#include <string.h>

/* ---- a set of canonical grids ------------------------------------------------------------------------ */

/* Open addressing; a slot whose first byte is FREE holds nothing. */
typedef struct grid_set {
    size_t cells, slots; /* slots is a power of two and at least twice the number of grids */
    uint8_t *grids;      /* (slots, cells) */
} grid_set;

enum { FREE = 0xff };

static int grid_set_begin(grid_set *set, size_t cells, size_t capacity) {
    set->cells = cells;
    set->slots = 1;
    while (set->slots < 2 * capacity)
        set->slots *= 2;
    set->grids = malloc(set->slots * cells);
    if (set->grids != NULL)
        memset(set->grids, FREE, set->slots * cells);
    return set->grids != NULL;
}

/* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv */
static uint64_t hash(const uint8_t *bytes, size_t count) {
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i++)
        value = (value ^ bytes[i]) * UINT64_C(0x100000001b3);
    return value;
}

/* Adds a grid; 0 if it was there already. */
static int grid_set_add(grid_set *set, const uint8_t *grid) {
    for (size_t slot = hash(grid, set->cells);; slot++) {
        uint8_t *at = set->grids + (slot & (set->slots - 1)) * set->cells;
        if (at[0] == FREE) {
            memcpy(at, grid, set->cells);
            return 1;
        }
        if (memcmp(at, grid, set->cells) == 0)
            return 0;
    }
}

/* ---- generating -------------------------------------------------------------------------------------- */

enum {
    MAX_PUZZLES = 10 * 1000 * 1000,
    /* So many puzzles one after the other that are all known mean that hardly any other exists. */
    MAX_TRIES_WITHOUT_NEW = 10 * 1000,
};

/* The draw's step tells the sequences apart, so that a test set need not search behind its training set. */
enum { STEP_FREE = 0, STEP_EXCLUDING = 1 };

static reel_status fill(reel_sudoku_set *set, grid_set *known, int64_t count, uint64_t seed, uint32_t step,
                        reel_error *error) {
    uint8_t question[REEL_SUDOKU_MAX_CELLS], answer[REEL_SUDOKU_MAX_CELLS], canonical[REEL_SUDOKU_MAX_CELLS];
    int tries_without_new = 0;
    for (uint64_t index = 0; set->count < count; index++) {
        reel_random random = reel_random_begin(seed, (reel_draw){REEL_STREAM_PUZZLE, index, step});
        reel_sudoku_make(set->size, &random, question, answer);
        reel_sudoku_canonical(set->size, question, canonical);
        if (!grid_set_add(known, canonical)) {
            if (++tries_without_new == MAX_TRIES_WITHOUT_NEW)
                return reel_fail(error, REEL_ERROR_ARGUMENT,
                                 "cannot make %lld sudokus of size %d: only %lld were found that are not "
                                 "equivalent to each other or to an excluded one",
                                 (long long)count, set->size, (long long)set->count);
            continue;
        }
        tries_without_new = 0;
        int64_t guesses;
        reel_sudoku_solve(set->size, question, 1, NULL, &guesses);
        const reel_status status = reel__sudoku_set_append(
            set, question, answer, guesses < INT32_MAX ? (int32_t)guesses : INT32_MAX, error);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

reel_status reel_sudoku_generate(int size, int64_t count, uint64_t seed, const reel_sudoku_set *exclude,
                                 reel_sudoku_set **out, reel_error *error) {
    *out = NULL;
    if (!reel_sudoku_is_size(size))
        return reel_fail(error, REEL_ERROR_ARGUMENT, "sudoku size %d: must be 4, 6 or 9", size);
    if (count < 1 || count > MAX_PUZZLES)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "sudoku count %lld: must be 1 to %d", (long long)count,
                         MAX_PUZZLES);
    if (exclude != NULL && exclude->size != size)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "sudokus of size %d cannot be equivalent to those of size %d", size, exclude->size);

    const size_t cells = (size_t)size * (size_t)size;
    const int64_t excluded = exclude == NULL ? 0 : exclude->count;
    reel_sudoku_set *set = reel__sudoku_set_new(size);
    grid_set known = {0};
    reel_status status;
    if (set == NULL || !grid_set_begin(&known, cells, (size_t)(count + excluded))) {
        status = reel_fail(error, REEL_ERROR_MEMORY, "no memory for %lld sudokus", (long long)count);
    } else {
        for (int64_t i = 0; i < excluded; i++) {
            uint8_t canonical[REEL_SUDOKU_MAX_CELLS];
            reel_sudoku_canonical(size, exclude->questions + (size_t)i * cells, canonical);
            grid_set_add(&known, canonical);
        }
        status = fill(set, &known, count, seed, exclude == NULL ? STEP_FREE : STEP_EXCLUDING, error);
    }
    free(known.grids);
    if (status == REEL_OK)
        *out = set;
    else
        reel_sudoku_set_free(set);
    return status;
}
