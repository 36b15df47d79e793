/* trm_data weights NAME: published checkpoints. */
#include "arguments.h"
#include "trm_data.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct checkpoint {
    const char *name, *what, *repository;
    const char *file;
    const char *configuration; /* in the repository beside the file; NULL: it has none, and that of
                                * apps/configs with the same model fits */
} checkpoint;

/* HRM: those that its README names. TRM: the ARC models that the ARC Prize Foundation trained to verify the
 * paper, and the Sudoku and maze models of an independent reproduction; the authors have published none. */
static const checkpoint checkpoints[] = {
    {"hrm-arc-2", "HRM, ARC-AGI-2", "sapientinc/HRM-checkpoint-ARC-2", "checkpoint", "all_config.yaml"},
    {"hrm-sudoku-extreme", "HRM, Sudoku-Extreme, 1,000 puzzles", "sapientinc/HRM-checkpoint-sudoku-extreme",
     "checkpoint", "all_config.yaml"},
    {"hrm-maze-30x30-hard", "HRM, Maze-Hard, 1,000 mazes", "sapientinc/HRM-checkpoint-maze-30x30-hard",
     "checkpoint", "all_config.yaml"},
    {"trm-arc-1", "TRM, ARC-AGI-1, by the ARC Prize Foundation (1.8 GB)",
     "arcprize/trm_arc_prize_verification", "arc_v1_public/step_518071", "arc_v1_public/all_config.yaml"},
    {"trm-arc-2", "TRM, ARC-AGI-2, by the ARC Prize Foundation (2.5 GB)",
     "arcprize/trm_arc_prize_verification", "arc_v2_public/step_723914", "arc_v2_public/all_config.yaml"},
    {"trm-sudoku-mlp", "TRM with MLP, Sudoku-Extreme, by a third party",
     "Sanjin2024/TinyRecursiveModels-Sudoku-Extreme-mlp", "step_16275", NULL},
    {"trm-sudoku-att", "TRM with attention, Sudoku-Extreme, by a third party",
     "Sanjin2024/TinyRecursiveModels-Sudoku-Extreme-att", "step_21700", NULL},
    {"trm-maze-30x30-hard", "TRM, Maze-Hard, by a third party", "Sanjin2024/TinyRecursiveModel-Maze-Hard",
     "step_9765", "all_config.yaml"},
};
enum { CHECKPOINTS = sizeof checkpoints / sizeof checkpoints[0] };

static void list_checkpoints(FILE *out) {
    for (int i = 0; i < CHECKPOINTS; i++)
        fprintf(out, "  %-20s %s\n", checkpoints[i].name, checkpoints[i].what);
}

static char *add_checkpoints(int key, const char *text, void *input) {
    (void)input;
    char *list = NULL;
    size_t bytes;
    FILE *const out = key == ARGP_KEY_HELP_POST_DOC ? open_memstream(&list, &bytes) : NULL;
    if (!out)
        return (char *)text;
    fputs("Checkpoints:\n", out);
    list_checkpoints(out);
    fclose(out);
    return list;
}

typedef struct weights_command {
    const char *name;
    fetch_options fetch;
} weights_command;

static error_t take_argument(int key, char *value, struct argp_state *state) {
    weights_command *const line = state->input;
    if (key == ARGP_KEY_INIT)
        state->child_inputs[0] = &line->fetch;
    else if (key == ARGP_KEY_ARG && !line->name)
        line->name = value;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static weights_command read_command_line(int argc, char **argv) {
    static const struct argp_child children[] = {{.argp = &data_fetch_argp}, {0}};
    static const struct argp parser = {
        .parser = take_argument,
        .args_doc = "[NAME]",
        .doc = "Fetches a published checkpoint, with its configuration beside it, into the cache and prints "
               "where it is. They are PyTorch's: trm_convert makes safetensors of them, which trm_eval and "
               "trm_solve read. Without NAME lists what there is.\v",
        .children = children,
        .help_filter = add_checkpoints,
    };
    weights_command line = {0};
    arguments_parse(&parser, argc, argv, 0, &line);
    return line;
}

static const checkpoint *find_checkpoint(const char *name) {
    for (int i = 0; i < CHECKPOINTS; i++)
        if (strcmp(checkpoints[i].name, name) == 0)
            return &checkpoints[i];
    return NULL;
}

/* Brings the configuration first: it is small, and what cannot be had is known at once. */
static reel_status fetch_checkpoint(const checkpoint *c, const fetch_options *options, reel_error *error) {
    const fetch_file configuration = {FETCH_MODEL, c->repository, c->configuration};
    const fetch_file weights = {FETCH_MODEL, c->repository, c->file};
    reel_status status = REEL_OK;
    char *path = NULL;
    if (c->configuration) {
        status = fetch(options, &configuration, &path, error);
        free(path);
    }
    if (status == REEL_OK)
        status = fetch(options, &weights, &path, error);
    if (status == REEL_OK) {
        puts(path);
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "To use it: trm_convert %s OUT.safetensors%s\n", path,
                    c->configuration ? "" : " --config apps/configs/FILE.yaml");
        free(path);
    }
    return status;
}

int data_weights(int argc, char **argv) {
    const weights_command line = read_command_line(argc, argv);
    reel_error error = {0};
    if (!line.name) {
        list_checkpoints(stdout);
        return data_end(argv[0], REEL_OK, &error);
    }
    const checkpoint *const c = find_checkpoint(line.name);
    const reel_status status =
        c ? fetch_checkpoint(c, &line.fetch, &error)
          : reel_fail(&error, REEL_ERROR_ARGUMENT,
                      "unknown checkpoint '%s'; without a name the command lists what there is", line.name);
    return data_end(argv[0], status, &error);
}
