/* trm_data sudoku: the published data set of Sudokus (dataset/build_sudoku_dataset.py), from a table. */
#include "arguments.h"
#include "data_build.h"
#include "data_puzzles.h"
#include "trm_data.h"

typedef struct sudoku_command {
    build_options build;
    int64_t num_aug, min_difficulty;
} sudoku_command;

enum { KEY_NUM_AUG = DATA_FIRST_KEY, KEY_MIN_DIFFICULTY };

static const struct argp_option options[] = {
    {"num-aug", KEY_NUM_AUG, "N", 0,
     "Add N variants to each training puzzle: other digits, rows and columns exchanged, transposed (default: "
     "0)",
     0},
    {"min-difficulty", KEY_MIN_DIFFICULTY, "N", 0,
     "Take puzzles whose rating is at least N, for training and test", 0},
    {0},
};

static error_t take_option(int key, char *value, struct argp_state *state) {
    sudoku_command *const line = state->input;
    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = &line->build;
    else if (key == KEY_NUM_AUG)
        line->num_aug = data_number(state, "--num-aug", value, 0, sudoku_kind.variants_max);
    else if (key == KEY_MIN_DIFFICULTY)
        line->min_difficulty = data_number(state, "--min-difficulty", value, 0, INT32_MAX);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static sudoku_command read_command_line(int argc, char **argv) {
    static const struct argp_child children[] = {{.argp = &build_argp, .header = "Input:", .group = 1}, {0}};
    static const struct argp parser = {
        .options = options,
        .parser = take_option,
        .doc = "Builds a data set of Sudokus in the published layout, DIR/train and DIR/test. Without "
               "--input it is "
               "Sudoku-Extreme, fetched from Hugging Face, in data/sudoku-extreme-full. The published small "
               "one is made by\n\n"
               "  trm_data sudoku --output-dir data/sudoku-extreme-1k-aug-1000 \\\n"
               "      --subsample-size 1000 --num-aug 1000",
        .children = children,
    };
    sudoku_command line = {.build = {.source_repo = "sapientinc/sudoku-extreme",
                                     .output = {.folder = "data/sudoku-extreme-full"}}};
    arguments_parse(&parser, argc, argv, 0, &line);
    return line;
}

int data_sudoku(int argc, char **argv) {
    sudoku_command line = read_command_line(argc, argv);
    puzzle_tables tables = {.kind = &sudoku_kind,
                            .variants = {.count = line.num_aug, .seed = line.build.seed},
                            .subsample_size = line.build.subsample_size,
                            .min_rating = line.min_difficulty};
    reel_error error = {0};
    const reel_status status = build_run(&line.build.output, &line.build, puzzle_read_table, &tables, &error);
    return data_end(argv[0], status, &error);
}
