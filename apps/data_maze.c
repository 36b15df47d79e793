/* trm_data maze: the published data set of mazes (dataset/build_maze_dataset.py), from a table. */
#include "arguments.h"
#include "data_build.h"
#include "data_puzzles.h"
#include "trm_data.h"

#include <stdbool.h>

typedef struct maze_command {
    build_options build;
    bool aug;
} maze_command;

enum { KEY_AUG = DATA_FIRST_KEY };

static const struct argp_option options[] = {
    {"aug", KEY_AUG, NULL, 0, "Add the seven other sides of each training maze, turned and mirrored", 0},
    {0},
};

static error_t take_option(int key, char *value, struct argp_state *state) {
    (void)value;
    maze_command *const line = state->input;
    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = &line->build;
    else if (key == KEY_AUG)
        line->aug = true;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static maze_command read_command_line(int argc, char **argv) {
    static const struct argp_child children[] = {{.argp = &build_argp, .header = "Input:", .group = 1}, {0}};
    static const struct argp parser = {
        .options = options,
        .parser = take_option,
        .doc = "Builds a data set of mazes in the published layout, DIR/train and DIR/test. Without --input "
               "it is Maze-Hard, fetched from Hugging Face, in data/maze-30x30-hard-1k.",
        .children = children,
    };
    maze_command line = {.build = {.source_repo = "sapientinc/maze-30x30-hard-1k",
                                   .output = {.folder = "data/maze-30x30-hard-1k"}}};
    arguments_parse(&parser, argc, argv, 0, &line);
    return line;
}

int data_maze(int argc, char **argv) {
    maze_command line = read_command_line(argc, argv);
    puzzle_tables tables = {
        .kind = &maze_kind,
        .variants = {.count = line.aug ? maze_kind.variants_max : 0, .seed = line.build.seed},
        .subsample_size = line.build.subsample_size};
    reel_error error = {0};
    const reel_status status = build_run(&line.build.output, &line.build, puzzle_read_table, &tables, &error);
    return data_end(argv[0], status, &error);
}
