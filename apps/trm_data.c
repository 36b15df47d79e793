/* trm_data COMMAND [OPTION...]: makes data sets, fetches what they are made of, shows them.
 *
 * Here: the table of commands and what they share. Each command is a file, data_COMMAND.c. */
#include "trm_data.h"

#include "arguments.h"
#include "interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Visible, since the C library reads it. */
REEL_API const char *argp_program_version = "trm_data (reel) " REEL_VERSION;

typedef struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} command;

static const command commands[] = {
    {"sudoku", "build a data set from Sudoku-Extreme or another table of Sudokus", data_sudoku},
    {"maze", "build a data set from Maze-Hard or another table of mazes", data_maze},
    {"arc", "build a data set from the tasks of ARC", data_arc},
    {"generate", "make Sudokus or mazes and build a data set from them", data_generate},
    {"show", "print examples of a data set as grids", data_show},
    {"weights", "fetch a published checkpoint", data_weights},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* ---- what the commands share ------------------------------------------------------------------------- */

int data_end(const char *name, reel_status status, const reel_error *error) {
    const bool is_told = fflush(stdout) == 0;
    if (status == REEL_OK && is_told)
        return EXIT_SUCCESS;
    if (status != REEL_OK)
        fprintf(stderr, "%s: %s\n", name, error->message);
    else
        fprintf(stderr, "%s: standard output: %s\n", name, strerror(errno));
    return interrupt_signal() ? interrupt_exit_status(interrupt_signal()) : EXIT_FAILURE;
}

int64_t data_number(const struct argp_state *state, const char *option, const char *value, int64_t min,
                    int64_t max) {
    char *end;
    errno = 0;
    const long long number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < min || number > max)
        argp_failure(state, EXIT_FAILURE, 0, "%s %s: expected a whole number from %" PRId64 " to %" PRId64,
                     option, value, min, max);
    return number;
}

enum { KEY_BASE_URL = DATA_FIRST_KEY, KEY_CACHE_DIR };

static error_t take_fetch_option(int key, char *value, struct argp_state *state) {
    fetch_options *const options = state->input;
    if (key == KEY_BASE_URL)
        options->base_url = value;
    else if (key == KEY_CACHE_DIR)
        options->cache_dir = value;
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static const struct argp_option fetch_argp_options[] = {
    {"base-url", KEY_BASE_URL, "URL", 0,
     "Fetch from a server other than https://huggingface.co and laid out like it; also HF_ENDPOINT in the "
     "environment",
     0},
    {"cache-dir", KEY_CACHE_DIR, "DIR", 0,
     "Keep downloads there instead of $XDG_CACHE_HOME/reel or ~/.cache/reel", 0},
    {0},
};
const struct argp data_fetch_argp = {.options = fetch_argp_options, .parser = take_fetch_option};

/* ---- the command line -------------------------------------------------------------------------------- */

static char *list_commands(void) {
    char *list = NULL;
    size_t bytes;
    FILE *const out = open_memstream(&list, &bytes);
    if (!out)
        return NULL;
    fputs("Commands:\n", out);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n'trm_data COMMAND --help' says more about one.", out);
    fclose(out);
    return list;
}

static char *add_commands(int key, const char *text, void *input) {
    (void)input;
    char *const list = key == ARGP_KEY_HELP_POST_DOC ? list_commands() : NULL;
    return list ? list : (char *)text;
}

typedef struct choice {
    const command *command;
    int first; /* its place in argv */
} choice;

static error_t take_argument(int key, char *value, struct argp_state *state) {
    choice *const chosen = state->input;
    if (key == ARGP_KEY_NO_ARGS)
        argp_usage(state);
    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, value) == 0)
            chosen->command = &commands[i];
    if (!chosen->command)
        argp_failure(state, EXIT_FAILURE, 0, "unknown command '%s'; see --help", value);
    chosen->first = state->next - 1;
    state->next = state->argc; /* the rest is the command's */
    return 0;
}

static choice read_command_line(int argc, char **argv) {
    static const struct argp parser = {
        .parser = take_argument,
        .args_doc = "COMMAND [OPTION...]",
        .doc = "Makes data sets for trm_train and trm_eval, fetches what they are made of, shows them.\v",
        .help_filter = add_commands,
    };
    choice chosen = {0};
    arguments_parse(&parser, argc, argv, ARGP_IN_ORDER, &chosen);
    return chosen;
}

int main(int argc, char **argv) {
    const choice chosen = read_command_line(argc, argv);
    char name[64];
    snprintf(name, sizeof name, "trm_data %s", chosen.command->name);
    argv[chosen.first] = name;
    interrupt_watch("stopping and cleaning up");
    return chosen.command->run(argc - chosen.first, argv + chosen.first);
}
