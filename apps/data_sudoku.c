/* trm_data sudoku: the published data set of Sudokus (dataset/build_sudoku_dataset.py), from a table. */
#include "data_build.h"
#include "data_puzzles.h"
#include "trm_data.h"

#include <reel/sudoku.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct sudoku_command {
    build_options build;
    sudoku_variants variants;
    int64_t min_difficulty;

    /* The training puzzles drawn so far: rows of a question and an answer. */
    build_sample sample;
    int size;
    int64_t kept, room;
    uint8_t *rows;
} sudoku_command;

/* ---- options ----------------------------------------------------------------------------------------- */

enum { KEY_NUM_AUG = DATA_FIRST_KEY, KEY_MIN_DIFFICULTY };

static error_t take_option(int key, char *value, struct argp_state *state) {
    sudoku_command *const line = state->input;
    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = &line->build;
    else if (key == KEY_NUM_AUG)
        line->variants.num_aug = data_number(state, "--num-aug", value, 0, SUDOKU_VARIANTS_MAX);
    else if (key == KEY_MIN_DIFFICULTY)
        line->min_difficulty = data_number(state, "--min-difficulty", value, 0, INT32_MAX);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static sudoku_command read_command_line(int argc, char **argv) {
    static const struct argp_option options[] = {
        {"num-aug", KEY_NUM_AUG, "N", 0,
         "Add N variants to each training puzzle: other digits, rows and columns exchanged, transposed "
         "(default: 0)",
         0},
        {"min-difficulty", KEY_MIN_DIFFICULTY, "N", 0,
         "Take puzzles whose rating is at least N, for training and test", 0},
        {0},
    };
    static const struct argp_child children[] = {{.argp = &build_argp, .header = "Input:", .group = 1}, {0}};
    static const struct argp parser = {
        .options = options,
        .parser = take_option,
        .doc = "Builds a data set of Sudokus in the published layout, DIR/train and DIR/test. Without "
               "--input it is "
               "Sudoku-Extreme, fetched from Hugging Face. The published small one is made by\n\n"
               "  trm_data sudoku --output-dir data/sudoku-extreme-1k-aug-1000 --subsample-size 1000 "
               "--num-aug 1000",
        .children = children,
    };
    sudoku_command line = {.build = {.source_repo = "sapientinc/sudoku-extreme",
                                     .output = {.folder = "data/sudoku-extreme-full"}}};
    argp_parse(&parser, argc, argv, 0, NULL, &line);
    line.variants.seed = line.build.seed;
    return line;
}

/* ---- rows -------------------------------------------------------------------------------------------- */

/* One pass over a table. */
typedef struct pass {
    sudoku_command *line;
    build *build;
    data_split split;
} pass;

static bool is_hard_enough(const sudoku_command *line, const reel_sudoku_row *row) {
    return row->rating >= line->min_difficulty;
}

/* A reel_sudoku_visitor: adds the row to its split. */
static reel_status add_row(void *arg, const reel_sudoku_row *row, reel_error *error) {
    const pass *const p = arg;
    const sudoku_variants *const variants = p->split == DATA_TRAIN ? &p->line->variants : NULL;
    if (!is_hard_enough(p->line, row))
        return REEL_OK;
    return add_sudoku(p->build, p->split, row->size, row->question, row->answer, variants, 0, error);
}

/* Makes room for one more row of the sample. */
static reel_status grow(sudoku_command *line, size_t row_bytes, reel_error *error) {
    const int64_t wanted = line->room == 0 ? 1024 : 2 * line->room;
    const int64_t room = wanted < line->sample.size ? wanted : line->sample.size;
    uint8_t *const rows = realloc(line->rows, (size_t)room * row_bytes);
    if (!rows)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for a sample of %lld puzzles", (long long)room);
    line->rows = rows;
    line->room = room;
    return REEL_OK;
}

/* A reel_sudoku_visitor: keeps the row if it is drawn. */
static reel_status draw_row(void *arg, const reel_sudoku_row *row, reel_error *error) {
    const pass *const p = arg;
    sudoku_command *const line = p->line;
    const size_t cells = (size_t)row->size * (size_t)row->size;
    const int64_t place = is_hard_enough(line, row) ? build_sample_place(&line->sample) : -1;
    line->size = row->size;
    if (place < 0)
        return REEL_OK;
    if (place == line->room && grow(line, 2 * cells, error) != REEL_OK)
        return error->status;
    uint8_t *const kept = line->rows + 2 * cells * (size_t)place;
    memcpy(kept, row->question, cells);
    memcpy(kept + cells, row->answer, cells);
    line->kept = place < line->kept ? line->kept : place + 1;
    return build_go_on(p->build, "choosing from", line->sample.seen, 0, error);
}

static reel_status add_sample(sudoku_command *line, build *b, reel_error *error) {
    const size_t cells = (size_t)line->size * (size_t)line->size;
    reel_status status = REEL_OK;
    for (int64_t i = 0; status == REEL_OK && i < line->kept; i++) {
        const uint8_t *const row = line->rows + 2 * cells * (size_t)i;
        status = add_sudoku(b, DATA_TRAIN, line->size, row, row + cells, &line->variants, line->kept, error);
    }
    return status;
}

/* A build_reader. */
static reel_status read_table(void *arg, build *b, data_split split, reel_error *error) {
    sudoku_command *const line = arg;
    const char *const path = b->tables[split];
    pass p = {line, b, split};
    reel_status status;
    if (!path)
        return REEL_OK;
    if (split == DATA_TRAIN && line->build.subsample_size > 0) {
        line->sample = build_sample_begin(line->build.subsample_size, line->build.seed);
        status = reel_sudoku_scan_csv(path, draw_row, &p, error);
        if (status == REEL_OK)
            status = add_sample(line, b, error);
    } else {
        status = reel_sudoku_scan_csv(path, add_row, &p, error);
    }
    if (status == REEL_OK && !b->writers[split])
        status = reel_fail(error, REEL_ERROR_ARGUMENT, "%s: no puzzle has a rating of %lld or more", path,
                           (long long)line->min_difficulty);
    return status;
}

int data_sudoku(int argc, char **argv) {
    sudoku_command line = read_command_line(argc, argv);
    reel_error error = {0};
    const reel_status status = build_run(&line.build.output, &line.build, read_table, &line, &error);
    free(line.rows);
    return data_end(argv[0], status, &error);
}
