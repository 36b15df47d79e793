/* Solving by backtracking, always at a blank with the fewest digits left, and making minimal puzzles by it.
 */
#include "sudoku_shape.h"

#include <string.h>

typedef struct solver {
    reel__sudoku_shape shape;
    uint8_t grid[REEL_SUDOKU_MAX_CELLS];
    uint8_t row[REEL_SUDOKU_MAX_CELLS], column[REEL_SUDOKU_MAX_CELLS],
        box[REEL_SUDOKU_MAX_CELLS]; /* of a cell */
    uint32_t left_in_row[REEL_SUDOKU_MAX_SIZE], left_in_column[REEL_SUDOKU_MAX_SIZE],
        left_in_box[REEL_SUDOKU_MAX_SIZE]; /* bit d: digit d is still to be placed */
    uint8_t blank[REEL_SUDOKU_MAX_CELLS];  /* cells without a digit, in no order */
    int blanks;
    int64_t solutions, limit, guesses;
    uint8_t *answer;     /* the first solution, or NULL */
    reel_random *random; /* tries digits in random order; NULL: ascending */
} solver;

static uint32_t candidates(const solver *s, int cell) {
    return s->left_in_row[s->row[cell]] & s->left_in_column[s->column[cell]] & s->left_in_box[s->box[cell]];
}

static void toggle(solver *s, int cell, uint32_t bit) {
    s->left_in_row[s->row[cell]] ^= bit;
    s->left_in_column[s->column[cell]] ^= bit;
    s->left_in_box[s->box[cell]] ^= bit;
}

/* Sets up the grid; 0 if the clues contradict each other. */
static int begin(solver *s, int size, const uint8_t *question) {
    memset(s, 0, sizeof *s);
    s->shape = reel__sudoku_shape_of(size);
    const uint32_t all = ((UINT32_C(1) << size) - 1) << 1;
    for (int i = 0; i < size; i++)
        s->left_in_row[i] = s->left_in_column[i] = s->left_in_box[i] = all;
    for (int cell = 0; cell < s->shape.cells; cell++) {
        const int row = cell / size, column = cell % size;
        s->row[cell] = (uint8_t)row;
        s->column[cell] = (uint8_t)column;
        s->box[cell] = (uint8_t)reel__sudoku_box(&s->shape, row, column);
        if (question[cell] == 0) {
            s->blank[s->blanks++] = (uint8_t)cell;
            continue;
        }
        const uint32_t bit = question[cell] > size ? 0 : UINT32_C(1) << question[cell];
        if ((candidates(s, cell) & bit) == 0)
            return 0;
        s->grid[cell] = question[cell];
        toggle(s, cell, bit);
    }
    return 1;
}

/* The position in `blank` of a cell with the fewest candidates. */
static int most_constrained(const solver *s) {
    int best = 0, fewest = REEL_SUDOKU_MAX_SIZE + 1;
    for (int i = 0; i < s->blanks && fewest > 1; i++) {
        const int count = __builtin_popcount(candidates(s, s->blank[i]));
        if (count < fewest) {
            best = i;
            fewest = count;
        }
    }
    return best;
}

/* Chooses one bit of `digits`. */
static uint32_t choose_digit(solver *s, uint32_t digits) {
    if (s->random != NULL)
        for (uint32_t skip = reel_random_below(s->random, (uint32_t)__builtin_popcount(digits)); skip > 0;
             skip--)
            digits &= digits - 1;
    return digits & -digits;
}

/* Counts the solutions of what is left, up to the limit. */
static void search(solver *s) {
    if (s->blanks == 0) {
        if (s->solutions++ == 0 && s->answer != NULL)
            memcpy(s->answer, s->grid, (size_t)s->shape.cells);
        return;
    }
    const int position = most_constrained(s);
    const uint8_t cell = s->blank[position];
    uint32_t digits = candidates(s, cell);
    const int is_guess = (digits & (digits - 1)) != 0;
    s->blank[position] = s->blank[--s->blanks];
    while (digits != 0 && s->solutions < s->limit) {
        const uint32_t bit = choose_digit(s, digits);
        digits ^= bit;
        s->guesses += is_guess;
        s->grid[cell] = (uint8_t)__builtin_ctz(bit);
        toggle(s, cell, bit);
        search(s);
        toggle(s, cell, bit);
    }
    s->blank[s->blanks++] = s->blank[position];
    s->blank[position] = cell;
}

int64_t reel_sudoku_solve(int size, const uint8_t *question, int64_t limit, uint8_t *answer,
                          int64_t *guesses) {
    solver s;
    const int is_consistent = begin(&s, size, question);
    s.limit = limit;
    s.answer = answer;
    if (is_consistent && limit > 0)
        search(&s);
    if (guesses != NULL)
        *guesses = s.guesses;
    return s.solutions;
}

void reel_sudoku_make(int size, reel_random *random, uint8_t *question, uint8_t *answer) {
    static const uint8_t empty[REEL_SUDOKU_MAX_CELLS] = {0};
    solver s;
    begin(&s, size, empty);
    s.limit = 1;
    s.answer = answer;
    s.random = random;
    search(&s);

    /* One round over the clues is enough: a clue that was needed is still needed when others have gone. */
    const int cells = s.shape.cells;
    uint8_t order[REEL_SUDOKU_MAX_CELLS];
    reel__sudoku_shuffled(random, cells, order);
    memcpy(question, answer, (size_t)cells);
    for (int i = 0; i < cells; i++) {
        question[order[i]] = 0;
        if (reel_sudoku_solve(size, question, 2, NULL, NULL) > 1)
            question[order[i]] = answer[order[i]];
    }
}
