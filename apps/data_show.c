/* trm_data show D [INDEX]: examples of a data set as grids. */
#include "arguments.h"
#include "grid.h"
#include "trm_data.h"

#include <reel/arc.h>
#include <reel/batches.h>
#include <reel/puzzle_folder.h>

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { USUAL_COUNT = 3 };

typedef struct show_command {
    const char *spec;
    int64_t index, count; /* count 0: the usual one */
    bool has_index;
    reel_data_split split;
} show_command;

/* ---- options ----------------------------------------------------------------------------------------- */

enum { KEY_SPLIT = DATA_FIRST_KEY, KEY_COUNT };

static const struct argp_option options[] = {
    {"split", KEY_SPLIT, "train|test", 0, "Of which part of the data set (default: train)", 0},
    {"count", KEY_COUNT, "N", 0, "How many examples (default: 1 where INDEX is given, else 3)", 0},
    {0},
};

static error_t take_option(int key, char *value, struct argp_state *state) {
    show_command *const line = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_usage(state);
        if (state->arg_num == 0)
            line->spec = value;
        else
            line->index = data_number(state, "index", value, 0, INT64_MAX);
        line->has_index = state->arg_num == 1;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_usage(state);
        return 0;
    case KEY_SPLIT:
        if (strcmp(value, "train") != 0 && strcmp(value, "test") != 0)
            argp_failure(state, EXIT_FAILURE, 0, "--split %s: expected train or test", value);
        line->split = strcmp(value, "test") == 0 ? REEL_SPLIT_TEST : REEL_SPLIT_TRAIN;
        return 0;
    case KEY_COUNT:
        line->count = data_number(state, "--count", value, 1, INT64_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static show_command read_command_line(int argc, char **argv) {
    static const struct argp parser = {
        .options = options,
        .parser = take_option,
        .args_doc = "D [INDEX]",
        .doc = "Prints examples of a data set, question and answer side by side, from the one numbered INDEX "
               "on; "
               "they are numbered from 0. D is whatever trm_train takes as one of its data_paths: the folder "
               "of a "
               "data set or of one of its splits, a table, sudoku:SIZE:COUNT, ...",
    };
    show_command line = {.split = REEL_SPLIT_TRAIN};
    arguments_parse(&parser, argc, argv, 0, &line);
    if (line.count == 0)
        line.count = line.has_index ? 1 : USUAL_COUNT;
    return line;
}

/* ---- showing ----------------------------------------------------------------------------------------- */

typedef struct show {
    reel_dataset *data;
    reel_names *names; /* of the puzzle identifiers; NULL: there are none */
    grid_shape shape;
    int32_t *inputs, *labels; /* (S) */
    int32_t identifier;
} show;

/* Says which puzzle the example belongs to, where puzzles have names. */
static void say_puzzle(const show *s) {
    enum { NAME_BYTES = 128 };
    char name[NAME_BYTES] = "";
    const reel_arc_plan *const plan = reel_arc_plan_of_dataset(s->data, 0);
    if (plan)
        reel_arc_plan_identifier_name(plan, s->identifier, name, sizeof name);
    else if (s->names && s->identifier < s->names->count)
        snprintf(name, sizeof name, "%s", s->names->items[s->identifier]);
    for (char *c = name; *c; c++) /* what a file says must not reach a terminal as a command */
        *c = iscntrl((unsigned char)*c) ? '?' : *c;
    if (s->identifier > 0 && *name)
        printf(", %s", name);
    else if (s->identifier > 0)
        printf(", puzzle %d", (int)s->identifier);
}

static reel_status show_example(show *s, int64_t index, reel_error *error) {
    const reel_batch row = {s->inputs, s->labels, &s->identifier};
    const reel_status status = reel_test_batch(s->data, 1, index, &row, NULL, error);
    if (status != REEL_OK)
        return status;
    const grid_view views[] = {{.tokens = s->inputs, .question = s->inputs},
                               {.tokens = s->labels, .question = s->inputs}};
    const int32_t rating = reel_dataset_rating(s->data, index);
    printf("\nexample %" PRId64, index);
    say_puzzle(s);
    if (rating >= 0)
        printf(", rating %d", (int)rating);
    puts("");
    grid_draw(stdout, s->shape, views, 2, grid_style_for(stdout));
    return REEL_OK;
}

/* Reads the names of the puzzles, if the data set is a folder that has them, or a split of one. */
static reel_status read_names(show *s, const char *spec, reel_error *error) {
    static const char *const places[] = {"", "/.."};
    reel_status status = REEL_OK;
    for (int i = 0; status == REEL_OK && !s->names && i < 2; i++) {
        char folder[PATH_MAX], file[PATH_MAX];
        if (snprintf(folder, sizeof folder, "%s%s", spec, places[i]) < PATH_MAX &&
            snprintf(file, sizeof file, "%s/identifiers.json", folder) < PATH_MAX && access(file, F_OK) == 0)
            status = reel_folder_read_identifiers(folder, &s->names, error);
    }
    return status;
}

static reel_status open_data(show *s, const show_command *line, reel_error *error) {
    const reel_dataset_options as_it_is = {.num_aug = REEL_AUG_DEFAULT};
    reel_status status = reel_dataset_open(&s->data, &line->spec, 1, line->split, &as_it_is, NULL, error);
    if (status != REEL_OK)
        return status;
    const reel_dataset *const d = s->data;
    s->shape = grid_shape_of(d->seq_len, d->vocab_size);
    s->inputs = calloc((size_t)d->seq_len, sizeof *s->inputs);
    s->labels = calloc((size_t)d->seq_len, sizeof *s->labels);
    if (!s->inputs || !s->labels)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for an example", line->spec);
    if (s->shape.kind == GRID_UNKNOWN)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: examples of %" PRId64 " cells and %" PRId64
                         " tokens are neither Sudokus nor mazes nor ARC grids",
                         line->spec, d->seq_len, d->vocab_size);
    if (line->index >= d->total_examples)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: there is no example %" PRId64 ": the last is %" PRId64, line->spec, line->index,
                         d->total_examples - 1);
    return read_names(s, line->spec, error);
}

static void say_what_it_is(const show *s, const show_command *line) {
    const reel_dataset *const d = s->data;
    printf("%s, %s: %" PRId64 " groups, %" PRId64 " examples of %d x %d cells, %" PRId64 " tokens, %" PRId64
           " puzzle identifiers\n",
           line->spec, line->split == REEL_SPLIT_TEST ? "test" : "train", d->total_groups, d->total_examples,
           s->shape.size, s->shape.size, d->vocab_size, d->num_puzzle_identifiers);
}

int data_show(int argc, char **argv) {
    const show_command line = read_command_line(argc, argv);
    reel_error error = {0};
    show s = {0};
    reel_status status = open_data(&s, &line, &error);
    if (status == REEL_OK)
        say_what_it_is(&s, &line);
    for (int64_t i = 0; status == REEL_OK && i < line.count && line.index + i < s.data->total_examples; i++)
        status = show_example(&s, line.index + i, &error);
    free(s.inputs);
    free(s.labels);
    reel_names_free(s.names);
    reel_dataset_close(s.data);
    return data_end(argv[0], status, &error);
}
