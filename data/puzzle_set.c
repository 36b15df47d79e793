#include "puzzle_kind.h"

#include <stdlib.h>
#include <string.h>

/* ---- growing ----------------------------------------------------------------------------------------- */

reel_puzzle_set *reel__puzzle_set_new(int size) {
    reel_puzzle_set *set = calloc(1, sizeof *set);
    if (set != NULL)
        set->size = size;
    return set;
}

void reel_puzzle_set_free(reel_puzzle_set *set) {
    if (set == NULL)
        return;
    free(set->questions);
    free(set->answers);
    free(set->ratings);
    free(set);
}

/* Makes room for twice as many puzzles. */
static int grow(reel_puzzle_set *set) {
    const size_t room = set->count == 0 ? 1 : 2 * (size_t)set->count;
    const size_t cells = (size_t)set->size * (size_t)set->size;
    uint8_t *questions = realloc(set->questions, room * cells);
    if (questions != NULL)
        set->questions = questions;
    uint8_t *answers = realloc(set->answers, room * cells);
    if (answers != NULL)
        set->answers = answers;
    int32_t *ratings = realloc(set->ratings, room * sizeof *ratings);
    if (ratings != NULL)
        set->ratings = ratings;
    return questions != NULL && answers != NULL && ratings != NULL;
}

reel_status reel__puzzle_set_append(reel_puzzle_set *set, const uint8_t *question, const uint8_t *answer,
                                    int32_t rating, reel_error *error) {
    /* The room is always the next power of two, so that it need not be kept. */
    if (set->count == INT32_MAX)
        return reel_fail(error, REEL_ERROR_FORMAT, "a set holds at most %d puzzles", INT32_MAX);
    const int is_full = (set->count & (set->count - 1)) == 0;
    if (is_full && !grow(set))
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for more than %lld puzzles",
                         (long long)set->count);
    const size_t cells = (size_t)set->size * (size_t)set->size;
    memcpy(set->questions + (size_t)set->count * cells, question, cells);
    memcpy(set->answers + (size_t)set->count * cells, answer, cells);
    set->ratings[set->count] = rating;
    set->count++;
    return REEL_OK;
}

/* ---- telling apart ----------------------------------------------------------------------------------- */

/* Hashes of grids, by open addressing. Two grids with one hash would be taken for equal, and a puzzle that
 * could have been made would not be: of ten million, with a chance of one in a hundred thousand. */
typedef struct grid_set {
    size_t slots; /* a power of two and at least twice the number of grids */
    uint64_t *hashes;
} grid_set;

enum { FREE = 0 };

static int grid_set_begin(grid_set *set, size_t capacity) {
    set->slots = 1;
    while (set->slots < 2 * capacity)
        set->slots *= 2;
    set->hashes = calloc(set->slots, sizeof *set->hashes);
    return set->hashes != NULL;
}

/* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv */
static uint64_t hash(const uint8_t *bytes, size_t count) {
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < count; i++)
        value = (value ^ bytes[i]) * UINT64_C(0x100000001b3);
    return value == FREE ? 1 : value;
}

/* Adds a grid; 0 if it was there already. */
static int grid_set_add(grid_set *set, const uint8_t *grid, size_t cells) {
    const uint64_t value = hash(grid, cells);
    size_t slot = value & (set->slots - 1);
    while (set->hashes[slot] != FREE && set->hashes[slot] != value)
        slot = (slot + 1) & (set->slots - 1);
    const int is_new = set->hashes[slot] == FREE;
    set->hashes[slot] = value;
    return is_new;
}

/* ---- making ------------------------------------------------------------------------------------------ */

enum {
    MAX_PUZZLES = 10 * 1000 * 1000,
    MAX_CELLS = 1 << 30, /* of all questions together */
};

/* The draw's step tells the sequences apart, so that a test set need not search behind its training set. */
enum { STEP_FREE = 0, STEP_EXCLUDING = 1 };

static reel_status fill(const reel__puzzle_maker *maker, reel_puzzle_set *set, grid_set *known, int64_t count,
                        uint64_t seed, uint32_t step, reel_error *error) {
    uint8_t question[REEL__PUZZLE_MAX_CELLS], answer[REEL__PUZZLE_MAX_CELLS],
        canonical[REEL__PUZZLE_MAX_CELLS];
    const size_t cells = (size_t)set->size * (size_t)set->size;
    int tries_without_new = 0;
    for (uint64_t index = 0; set->count < count; index++) {
        reel_random random = reel_random_begin(seed, (reel_draw){REEL_STREAM_PUZZLE, index, step});
        const int32_t rating = maker->make(set->size, &random, question, answer);
        if (rating >= 0)
            maker->canonical(set->size, question, canonical);
        if (rating < 0 || !grid_set_add(known, canonical, cells)) {
            if (++tries_without_new == maker->max_tries_without_new)
                return reel_fail(error, REEL_ERROR_ARGUMENT,
                                 "cannot make %lld %s of size %d: only %lld were found that are not "
                                 "equivalent to each other or to an excluded one",
                                 (long long)count, maker->kind, set->size, (long long)set->count);
            continue;
        }
        tries_without_new = 0;
        const reel_status status = reel__puzzle_set_append(set, question, answer, rating, error);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

reel_status reel__make_puzzles(const reel__puzzle_maker *maker, int size, int64_t count, uint64_t seed,
                               const reel_puzzle_set *exclude, reel_puzzle_set **out, reel_error *error) {
    *out = NULL;
    const size_t cells = (size_t)size * (size_t)size;
    const int64_t most = MAX_CELLS / (int64_t)cells < MAX_PUZZLES ? MAX_CELLS / (int64_t)cells : MAX_PUZZLES;
    if (count < 1 || count > most)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%lld %s of size %d: must be 1 to %lld",
                         (long long)count, maker->kind, size, (long long)most);
    if (exclude != NULL && exclude->size != size)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%s of size %d cannot be equivalent to those of size %d",
                         maker->kind, size, exclude->size);

    const int64_t excluded = exclude == NULL ? 0 : exclude->count;
    reel_puzzle_set *set = reel__puzzle_set_new(size);
    grid_set known = {0};
    reel_status status;
    if (set == NULL || !grid_set_begin(&known, (size_t)(count + excluded))) {
        status = reel_fail(error, REEL_ERROR_MEMORY, "no memory for %lld %s", (long long)count, maker->kind);
    } else {
        for (int64_t i = 0; i < excluded; i++) {
            uint8_t canonical[REEL__PUZZLE_MAX_CELLS];
            maker->canonical(size, exclude->questions + (size_t)i * cells, canonical);
            grid_set_add(&known, canonical, cells);
        }
        status = fill(maker, set, &known, count, seed, exclude == NULL ? STEP_FREE : STEP_EXCLUDING, error);
    }
    free(known.hashes);
    if (status == REEL_OK)
        *out = set;
    else
        reel_puzzle_set_free(set);
    return status;
}
