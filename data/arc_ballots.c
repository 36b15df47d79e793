#include "arc_ballots.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PACKED = REEL_ARC_SEQ_LEN / 2, FIRST_ROOM = 1024 };

void reel__arc_ballots_free(reel__arc_ballots *b) {
    free(b->answers);
    free(b->cells);
    free(b->slots);
    *b = (reel__arc_ballots){0};
}

/* ---- grids ------------------------------------------------------------------------------------------- */

size_t reel__arc_packed_bytes(int rows, int columns) {
    return ((size_t)rows * (size_t)columns + 1) / 2;
}

/* Two colours to a byte, the first in the lower half. */
static void pack(const reel_arc_grid *grid, uint8_t packed[MAX_PACKED]) {
    const int cells = grid->rows * grid->columns;
    for (int i = 0; i + 1 < cells; i += 2)
        packed[i / 2] = (uint8_t)(grid->cells[i] | grid->cells[i + 1] << 4);
    if (cells % 2 == 1)
        packed[cells / 2] = grid->cells[cells - 1];
}

bool reel__arc_unpack(const uint8_t *packed, int rows, int columns, reel_arc_grid *grid) {
    const int cells = rows * columns;
    bool are_colours = cells % 2 == 0 || packed[cells / 2] >> 4 == 0;
    *grid = (reel_arc_grid){.rows = rows, .columns = columns};
    for (int i = 0; i < cells; i++) {
        grid->cells[i] = packed[i / 2] >> (i % 2 * 4) & 15;
        are_colours = are_colours && grid->cells[i] < REEL_ARC_COLOURS;
    }
    return are_colours;
}

void reel__arc_ballots_grid(const reel__arc_ballots *b, int64_t answer, reel_arc_grid *grid) {
    const reel__arc_answer *a = &b->answers[answer];
    reel__arc_unpack(b->cells + a->cells, a->rows, a->columns, grid);
}

static uint64_t hash_answer(int32_t question, const reel_arc_grid *grid, const uint8_t *packed) {
    uint64_t hash =
        reel__arc_mix((uint64_t)question << 16 | (uint64_t)grid->rows << 8 | (uint64_t)grid->columns);
    return reel__arc_hash(hash, packed, reel__arc_packed_bytes(grid->rows, grid->columns));
}

/* ---- the table --------------------------------------------------------------------------------------- */

static bool is_answer(const reel__arc_ballots *b, const reel__arc_answer *a, uint64_t hash, int32_t question,
                      const reel_arc_grid *grid, const uint8_t *packed) {
    return a->hash == hash && a->question == question && a->rows == grid->rows &&
           a->columns == grid->columns &&
           memcmp(b->cells + a->cells, packed, reel__arc_packed_bytes(grid->rows, grid->columns)) == 0;
}

/* The slot where an answer is or belongs; there is always a free one. */
static int64_t find_slot(const reel__arc_ballots *b, uint64_t hash, int32_t question,
                         const reel_arc_grid *grid, const uint8_t *packed) {
    const uint64_t mask = (uint64_t)b->slot_count - 1;
    uint64_t at = hash & mask;
    while (b->slots[at] != 0 && !is_answer(b, &b->answers[b->slots[at] - 1], hash, question, grid, packed))
        at = (at + 1) & mask;
    return (int64_t)at;
}

int64_t reel__arc_ballots_find(const reel__arc_ballots *b, int32_t question, const reel_arc_grid *grid) {
    if (b->count == 0)
        return -1;
    uint8_t packed[MAX_PACKED];
    pack(grid, packed);
    return b->slots[find_slot(b, hash_answer(question, grid, packed), question, grid, packed)] - 1;
}

/* Keeps the table at most half full. */
static int grow_slots(reel__arc_ballots *b) {
    if (2 * (b->count + 1) <= b->slot_count)
        return 1;
    const int64_t slot_count = b->slot_count == 0 ? 2 * FIRST_ROOM : 2 * b->slot_count;
    int64_t *slots = calloc((size_t)slot_count, sizeof *slots);
    if (slots == NULL)
        return 0;
    for (int64_t i = 0; i < b->count; i++) {
        uint64_t at = b->answers[i].hash & ((uint64_t)slot_count - 1);
        while (slots[at] != 0)
            at = (at + 1) & ((uint64_t)slot_count - 1);
        slots[at] = i + 1;
    }
    free(b->slots);
    b->slots = slots;
    b->slot_count = slot_count;
    return 1;
}

/* Makes room for one more answer. */
static int grow(reel__arc_ballots *b) {
    if (b->count == b->room) {
        const int64_t room = b->room == 0 ? FIRST_ROOM : 2 * b->room;
        reel__arc_answer *answers = realloc(b->answers, (size_t)room * sizeof *answers);
        if (answers == NULL)
            return 0;
        b->answers = answers;
        b->room = room;
    }
    if (b->cell_room - b->cell_bytes < MAX_PACKED) {
        const size_t room = b->cell_room == 0 ? (size_t)FIRST_ROOM * MAX_PACKED : 2 * b->cell_room;
        uint8_t *cells = realloc(b->cells, room);
        if (cells == NULL)
            return 0;
        b->cells = cells;
        b->cell_room = room;
    }
    return grow_slots(b);
}

reel_status reel__arc_ballots_add(reel__arc_ballots *b, int32_t question, const reel_arc_grid *grid,
                                  int64_t votes, double q_sum, reel_error *error) {
    uint8_t packed[MAX_PACKED];
    pack(grid, packed);
    const uint64_t hash = hash_answer(question, grid, packed);
    if (!grow(b))
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for more than %lld ARC answers",
                         (long long)b->count);
    const int64_t slot = find_slot(b, hash, question, grid, packed);
    if (b->slots[slot] == 0) {
        b->answers[b->count] = (reel__arc_answer){.question = question,
                                                  .rows = (uint8_t)grid->rows,
                                                  .columns = (uint8_t)grid->columns,
                                                  .cells = b->cell_bytes,
                                                  .hash = hash};
        memcpy(b->cells + b->cell_bytes, packed, reel__arc_packed_bytes(grid->rows, grid->columns));
        b->cell_bytes += reel__arc_packed_bytes(grid->rows, grid->columns);
        b->slots[slot] = ++b->count;
    }
    reel__arc_answer *answer = &b->answers[b->slots[slot] - 1];
    answer->votes += votes;
    answer->q_sum += q_sum;
    return REEL_OK;
}

/* ---- ranking ----------------------------------------------------------------------------------------- */

static int compare_answers(const void *x, const void *y, void *arg) {
    const reel__arc_answer *answers = arg;
    const int64_t i = *(const int64_t *)x, j = *(const int64_t *)y;
    const reel__arc_answer *a = &answers[i], *b = &answers[j];
    if (a->votes != b->votes)
        return a->votes > b->votes ? -1 : 1;
    const double mean_a = a->q_sum / (double)a->votes, mean_b = b->q_sum / (double)b->votes;
    if (mean_a != mean_b)
        return mean_a > mean_b ? -1 : 1;
    return i < j ? -1 : i > j;
}

reel_status reel__arc_rank(const reel__arc_ballots *b, int64_t questions, reel__arc_ranking *ranking,
                           reel_error *error) {
    /* Counts are kept two places up, so that filling leaves the beginnings where they belong. */
    int64_t *first = calloc((size_t)questions + 2, sizeof *first);
    int64_t *order = malloc(((size_t)b->count + 1) * sizeof *order);
    *ranking = (reel__arc_ranking){first, order};
    if (first == NULL || order == NULL) {
        reel__arc_ranking_free(ranking);
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory to rank %lld ARC answers", (long long)b->count);
    }
    for (int64_t i = 0; i < b->count; i++)
        first[b->answers[i].question + 2]++;
    for (int64_t q = 0; q < questions; q++)
        first[q + 2] += first[q + 1];
    for (int64_t i = 0; i < b->count; i++)
        order[first[b->answers[i].question + 1]++] = i;
    for (int64_t q = 0; q < questions; q++)
        qsort_r(order + first[q], (size_t)(first[q + 1] - first[q]), sizeof *order, compare_answers,
                b->answers);
    return REEL_OK;
}

void reel__arc_ranking_free(reel__arc_ranking *ranking) {
    free(ranking->first);
    free(ranking->order);
    *ranking = (reel__arc_ranking){0};
}
