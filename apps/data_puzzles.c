#include "data_puzzles.h"

#include <reel/maze.h>
#include <reel/sudoku.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static size_t cells_of(int size) {
    return (size_t)size * (size_t)size;
}

enum { SUDOKU_VARIANTS_MAX = 1000 * 1000 }; /* there are 1.2e12 */

/* ---- the kinds --------------------------------------------------------------------------------------- */

static int64_t sudoku_vocab_size(int size) {
    return REEL_SUDOKU_FIRST_TOKEN + size + 1;
}

static void write_sudoku(const reel_puzzle_row *puzzle, uint64_t seed, int64_t group, int64_t variant,
                         uint8_t *inputs, uint8_t *labels) {
    reel_sudoku_variant(puzzle->size, puzzle->question, puzzle->answer, seed, group, variant, inputs, labels);
    for (size_t i = 0; i < cells_of(puzzle->size); i++) {
        inputs[i] = (uint8_t)(inputs[i] + REEL_SUDOKU_FIRST_TOKEN);
        labels[i] = (uint8_t)(labels[i] + REEL_SUDOKU_FIRST_TOKEN);
    }
}

const puzzle_kind sudoku_kind = {.name = "sudoku",
                                 .usual_size = 9,
                                 .variants_max = SUDOKU_VARIANTS_MAX,
                                 .scan = reel_sudoku_scan_csv,
                                 .generate = reel_sudoku_generate,
                                 .save = reel_sudoku_write_csv,
                                 .vocab_size = sudoku_vocab_size,
                                 .write = write_sudoku};

static int64_t maze_vocab_size(int size) {
    (void)size;
    return REEL_MAZE_VOCAB_SIZE;
}

/* The variants of a maze are few, so that none is drawn. */
static void write_maze(const reel_puzzle_row *puzzle, uint64_t seed, int64_t group, int64_t variant,
                       uint8_t *inputs, uint8_t *labels) {
    (void)seed, (void)group;
    reel_maze_variant(puzzle->size, puzzle->question, (int)variant, inputs);
    reel_maze_variant(puzzle->size, puzzle->answer, (int)variant, labels);
}

const puzzle_kind maze_kind = {.name = "maze",
                               .usual_size = 30,
                               .variants_max = REEL_MAZE_VARIANTS - 1,
                               .scan = reel_maze_scan_csv,
                               .generate = reel_maze_generate,
                               .save = reel_maze_write_csv,
                               .vocab_size = maze_vocab_size,
                               .write = write_maze};

reel_status puzzle_add(build *b, data_split split, const puzzle_kind *kind, const reel_puzzle_row *puzzle,
                       const puzzle_variants *variants, int64_t total, reel_error *error) {
    const int size = puzzle->size;
    const int64_t count = split == DATA_TRAIN ? variants->count : 0;
    if (!b->writers[split]) {
        const reel_status status =
            build_begin_split(b, split, (int64_t)cells_of(size), kind->vocab_size(size), error);
        if (status != REEL_OK)
            return status;
    }
    const int64_t group = reel_folder_groups(b->writers[split]);
    for (int64_t variant = 0; variant <= count; variant++) {
        uint8_t inputs[REEL_MAZE_MAX_CELLS], labels[REEL_MAZE_MAX_CELLS];
        kind->write(puzzle, variants->seed, group, variant, inputs, labels);
        build_add(b, split, inputs, labels);
    }
    return build_end_group(b, split, total, error);
}

/* ---- tables ------------------------------------------------------------------------------------------ */

/* One pass over a table. */
typedef struct pass {
    const puzzle_tables *tables;
    build *build;
    data_split split;

    /* The puzzles drawn so far, where a sample is taken: rows of a question and an answer. */
    build_sample sample;
    int size;
    int64_t kept, room;
    uint8_t *rows;
} pass;

/* A reel_puzzle_visitor: adds the row to its split. */
static reel_status add_row(void *arg, const reel_puzzle_row *row, reel_error *error) {
    const pass *const p = arg;
    if (row->rating < p->tables->min_rating)
        return REEL_OK;
    return puzzle_add(p->build, p->split, p->tables->kind, row, &p->tables->variants, 0, error);
}

/* Makes room for more rows of the sample. */
static reel_status grow(pass *p, reel_error *error) {
    const int64_t wanted = p->room == 0 ? 1024 : 2 * p->room;
    const int64_t room = wanted < p->sample.size ? wanted : p->sample.size;
    uint8_t *const rows = realloc(p->rows, (size_t)room * 2 * cells_of(p->size));
    if (!rows)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for a sample of %" PRId64 " puzzles", room);
    p->rows = rows;
    p->room = room;
    return REEL_OK;
}

/* A reel_puzzle_visitor: keeps the row if it is drawn. */
static reel_status draw_row(void *arg, const reel_puzzle_row *row, reel_error *error) {
    pass *const p = arg;
    const size_t cells = cells_of(row->size);
    reel_status status = build_go_on(p->build, "choosing from", p->sample.seen, 0, error);
    if (row->rating < p->tables->min_rating)
        return status;
    const int64_t place = build_sample_place(&p->sample);
    p->size = row->size;
    if (status == REEL_OK && place == p->room)
        status = grow(p, error);
    if (status != REEL_OK || place < 0)
        return status;
    uint8_t *const kept = p->rows + 2 * cells * (size_t)place;
    memcpy(kept, row->question, cells);
    memcpy(kept + cells, row->answer, cells);
    p->kept = place < p->kept ? p->kept : place + 1;
    return REEL_OK;
}

static reel_status add_sample(const pass *p, reel_error *error) {
    const size_t cells = cells_of(p->size);
    reel_status status = REEL_OK;
    for (int64_t i = 0; status == REEL_OK && i < p->kept; i++) {
        const uint8_t *const question = p->rows + 2 * cells * (size_t)i;
        const reel_puzzle_row row = {.size = p->size, .question = question, .answer = question + cells};
        status = puzzle_add(p->build, p->split, p->tables->kind, &row, &p->tables->variants, p->kept, error);
    }
    return status;
}

reel_status puzzle_read_table(void *arg, build *b, data_split split, reel_error *error) {
    const puzzle_tables *const tables = arg;
    const char *const path = b->tables[split];
    const bool samples = split == DATA_TRAIN && tables->subsample_size > 0;
    pass p = {.tables = tables, .build = b, .split = split};
    if (!path)
        return REEL_OK;
    if (samples)
        p.sample = build_sample_begin(tables->subsample_size, tables->variants.seed);
    reel_status status = tables->kind->scan(path, samples ? draw_row : add_row, &p, error);
    if (status == REEL_OK && samples)
        status = add_sample(&p, error);
    free(p.rows);
    if (status == REEL_OK && !b->writers[split])
        status = reel_fail(error, REEL_ERROR_ARGUMENT, "%s: no puzzle has a rating of %" PRId64 " or more",
                           path, tables->min_rating);
    return status;
}
