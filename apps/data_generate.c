/* trm_data generate sudoku|maze: data sets of puzzles made on the spot. */
#include "arguments.h"
#include "data_build.h"
#include "data_puzzles.h"
#include "trm_data.h"

#include <reel/folders.h>

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT_MAX = 10 * 1000 * 1000, USUAL_COUNT = 1000, TEST_SHARE = 10, UNSET = -1 };

typedef struct generate_command {
    const puzzle_kind *kind;
    int size;
    int64_t counts[DATA_SPLITS];
    puzzle_variants variants; /* with the seed of everything */
    bool csv;
    data_output output;
    reel_puzzle_set *sets[DATA_SPLITS]; /* as far as they are made */
} generate_command;

/* ---- options ----------------------------------------------------------------------------------------- */

enum { KEY_SIZE = DATA_FIRST_KEY, KEY_COUNT, KEY_TEST_COUNT, KEY_SEED, KEY_NUM_AUG, KEY_CSV };

static const struct argp_option options[] = {
    {"size", KEY_SIZE, "N", 0, "Cells in a row: 4, 6 or 9 of a Sudoku (default: 9), 4 to 64 of a maze (30)",
     0},
    {"count", KEY_COUNT, "N", 0, "Training puzzles (default: 1000)", 0},
    {"test-count", KEY_TEST_COUNT, "N", 0,
     "Test puzzles, none of them a training puzzle seen from another side (default: a tenth as many)", 0},
    {"seed", KEY_SEED, "N", 0, "Of every random choice (default: 0)", 0},
    {"num-aug", KEY_NUM_AUG, "N", 0, "Add N variants to each training puzzle (default: 0; a maze has 7)", 0},
    {"csv", KEY_CSV, NULL, 0, "Write tables, DIR/train.csv and DIR/test.csv, instead", 0},
    {0},
};

static void take_kind(generate_command *line, const char *name, const struct argp_state *state) {
    static const puzzle_kind *const kinds[] = {&sudoku_kind, &maze_kind};
    for (int i = 0; i < 2; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            line->kind = kinds[i];
    if (!line->kind)
        argp_failure(state, EXIT_FAILURE, 0, "cannot generate '%s': expected sudoku or maze", name);
}

/* Fills in what was not said, and refuses what does not fit together. */
static void complete(generate_command *line, const struct argp_state *state) {
    if (!line->kind)
        argp_usage(state);
    if (line->size == UNSET)
        line->size = line->kind->usual_size;
    if (line->counts[DATA_TEST] == UNSET)
        line->counts[DATA_TEST] = (line->counts[DATA_TRAIN] + TEST_SHARE - 1) / TEST_SHARE;
    if (line->variants.count > line->kind->variants_max)
        argp_failure(state, EXIT_FAILURE, 0, "--num-aug: a %s has at most %" PRId64 " variants",
                     line->kind->name, line->kind->variants_max);
    if (line->csv && line->variants.count > 0)
        argp_failure(state, EXIT_FAILURE, 0, "--num-aug: a table holds no variants; leave out --csv");
}

static error_t take_option(int key, char *value, struct argp_state *state) {
    generate_command *const line = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &line->output;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_usage(state);
        take_kind(line, value, state);
        return 0;
    case ARGP_KEY_END:
        complete(line, state);
        return 0;
    case KEY_SIZE:
        line->size = (int)data_number(state, "--size", value, 1, INT16_MAX);
        return 0;
    case KEY_COUNT:
        line->counts[DATA_TRAIN] = data_number(state, "--count", value, 1, COUNT_MAX);
        return 0;
    case KEY_TEST_COUNT:
        line->counts[DATA_TEST] = data_number(state, "--test-count", value, 0, COUNT_MAX);
        return 0;
    case KEY_SEED:
        line->variants.seed = (uint64_t)data_number(state, "--seed", value, 0, INT64_MAX);
        return 0;
    case KEY_NUM_AUG:
        line->variants.count = data_number(state, "--num-aug", value, 0, INT32_MAX);
        return 0;
    case KEY_CSV:
        line->csv = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static generate_command read_command_line(int argc, char **argv) {
    static const struct argp_child children[] = {{.argp = &data_output_argp, .header = "Output:", .group = 1},
                                                 {0}};
    static const struct argp parser = {
        .options = options,
        .parser = take_option,
        .args_doc = "sudoku|maze",
        .doc = "Makes puzzles with one solution each, no two of them the same seen from different sides, and "
               "builds "
               "a data set from them in the published layout, by default data/KIND-SIZExSIZE. The same "
               "numbers give "
               "the same puzzles; the training puzzles are those of data_paths=[sudoku:SIZE:COUNT].",
        .children = children,
    };
    generate_command line = {.size = UNSET, .counts = {[DATA_TRAIN] = USUAL_COUNT, [DATA_TEST] = UNSET}};
    arguments_parse(&parser, argc, argv, 0, &line);
    return line;
}

/* ---- making ------------------------------------------------------------------------------------------ */

/* The training puzzles come first, and the test puzzles differ from them. */
static reel_status make_set(generate_command *line, data_split split, reel_error *error) {
    if (line->counts[split] == 0)
        return REEL_OK;
    return line->kind->generate(line->size, line->counts[split], line->variants.seed,
                                split == DATA_TEST ? line->sets[DATA_TRAIN] : NULL, &line->sets[split],
                                error);
}

/* A build_reader. */
static reel_status add_set(void *arg, build *b, data_split split, reel_error *error) {
    generate_command *const line = arg;
    status_line_show(&b->bar.line, "making %" PRId64 " puzzles to %s", line->counts[split],
                     split == DATA_TRAIN ? "train on" : "test with");
    reel_status status = make_set(line, split, error);
    const reel_puzzle_set *const set = line->sets[split];
    const size_t cells = (size_t)line->size * (size_t)line->size;
    for (int64_t i = 0; status == REEL_OK && set && i < set->count; i++) {
        const reel_puzzle_row row = {.size = set->size,
                                     .question = set->questions + (size_t)i * cells,
                                     .answer = set->answers + (size_t)i * cells};
        status = puzzle_add(b, split, line->kind, &row, &line->variants, set->count, error);
    }
    return status;
}

/* Writes the table of a split. */
static reel_status save_table(const generate_command *line, data_split split, const char *path,
                              reel_error *error) {
    const reel_status status = line->kind->save(path, line->sets[split], error);
    if (status == REEL_OK)
        printf("%s: %" PRId64 " puzzles\n", path, line->sets[split]->count);
    return status;
}

static reel_status make_tables(generate_command *line, reel_error *error) {
    char *paths[DATA_SPLITS] = {0};
    reel_status status = reel_make_folders(line->output.folder, NULL, error);
    for (int split = 0; status == REEL_OK && split < DATA_SPLITS; split++) {
        paths[split] = reel_path_in(line->output.folder, data_table_name(split));
        if (!paths[split])
            status = reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory", line->output.folder);
        else if (!line->output.overwrite && access(paths[split], F_OK) == 0)
            status = reel_fail(error, REEL_ERROR_STATE, "%s: is there already; --overwrite replaces it",
                               paths[split]);
    }
    for (int split = 0; status == REEL_OK && split < DATA_SPLITS; split++)
        status = make_set(line, split, error);
    for (int split = 0; status == REEL_OK && split < DATA_SPLITS; split++)
        if (line->sets[split])
            status = save_table(line, split, paths[split], error);
    for (int split = 0; split < DATA_SPLITS; split++)
        free(paths[split]);
    return status;
}

int data_generate(int argc, char **argv) {
    generate_command line = read_command_line(argc, argv);
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "data/%s-%dx%d", line.kind->name, line.size, line.size);
    if (!line.output.folder)
        line.output.folder = folder;
    reel_error error = {0};
    const reel_status status =
        line.csv ? make_tables(&line, &error) : build_run(&line.output, NULL, add_set, &line, &error);
    for (int split = 0; split < DATA_SPLITS; split++)
        reel_puzzle_set_free(line.sets[split]);
    return data_end(argv[0], status, &error);
}
