#include "command.h"

#include "arguments.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the command line -------------------------------------------------------------------------------- */

/* Visible, since the C library reads it. */
REEL_API const char *argp_program_version = "trm_train (reel) " REEL_VERSION;

/* The first argument names the configuration, unless it is a KEY=VALUE and no file. */
static error_t take_argument(int key, char *value, struct argp_state *state) {
    (void)value;
    command *const line = state->input;
    if (key != ARGP_KEY_ARGS)
        return ARGP_ERR_UNKNOWN;
    char **const first = state->argv + state->next;
    const bool has_config = !strchr(*first, '=') || access(*first, F_OK) == 0;
    line->config_path = has_config ? *first : NULL;
    line->overrides = first + has_config;
    line->override_count = state->argc - state->next - has_config;
    return 0;
}

static char *add_keys(int key, const char *text, void *input) {
    (void)input;
    char *const keys = key == ARGP_KEY_HELP_POST_DOC ? train_config_help() : NULL;
    return keys ? keys : (char *)text;
}

command command_read(int argc, char **argv) {
    static const struct argp parser = {
        .parser = take_argument,
        .args_doc = "CONFIG.yaml [KEY=VALUE...]\nresume=DIR [KEY=VALUE...]",
        .doc =
            "Trains a Tiny Recursion Model on puzzles as the configuration says; every KEY=VALUE replaces "
            "one of its values. Weights, metrics and what a run needs to continue go to the folder run_dir. "
            "The first Ctrl-C finishes the step, saves and exits, the second exits at once. resume=auto "
            "continues the run in run_dir where there is one, resume=DIR the run in DIR with its own "
            "configuration: with the same bits as if it had never stopped.\v",
        .help_filter = add_keys,
    };
    command line = {0};
    arguments_parse(&parser, argc, argv, 0, &line);
    return line;
}

/* ---- which run --------------------------------------------------------------------------------------- */

static const char resume_auto[] = "auto";

/* The value that the command line gives a key, NULL where it gives none. */
static const char *argument_of(const command *line, const char *key) {
    const char *value = NULL;
    for (int i = 0; i < line->override_count; i++) {
        const char *const argument = line->overrides[i] + strspn(line->overrides[i], "+");
        const size_t length = strlen(key);
        if (strncmp(argument, key, length) == 0 && argument[length] == '=')
            value = argument + length + 1;
    }
    return value;
}

/* The folder of resume=DIR is that of the run. */
static reel_status check_folder_names(const command *line, const char *folder, reel_error *error) {
    static const char *const keys[] = {"run_dir", "checkpoint_path"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *const value = argument_of(line, keys[i]);
        if (value && strcmp(value, folder) != 0)
            return reel_fail(error, REEL_ERROR_ARGUMENT,
                             "resume=%s continues the run in that folder: %s=%s cannot be given with it",
                             folder, keys[i], value);
    }
    return REEL_OK;
}

static reel_status no_run(const char *folder, reel_error *error) {
    return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: no run to continue: it has no state_N.safetensors",
                     folder);
}

static reel_status parse_own_config(train_config *config, const run_state *state, const command *line,
                                    reel_error *error) {
    return train_config_parse(config, state->path, state->config, strlen(state->config),
                              line ? line->override_count : 0, line ? line->overrides : NULL, error);
}

/* The configuration of a run that is continued without a file of it. */
static reel_status find_by_folder(train_config *config, run *r, run_state *state, const command *line,
                                  reel_error *error) {
    const char *const folder = argument_of(line, "resume");
    if (!folder || strcmp(folder, resume_auto) == 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "no configuration; usage: trm_train CONFIG.yaml [KEY=VALUE...], see --help");
    reel_status status = check_folder_names(line, folder, error);
    if (status == REEL_OK)
        status = run_find(r, folder, state, error);
    if (status != REEL_OK)
        return status;
    return state->file ? parse_own_config(config, state, line, error) : no_run(folder, error);
}

/* The configuration in a file, and the run that it asks to continue, if there is one. */
static reel_status find_by_config(train_config *config, run *r, run_state *state, const command *line,
                                  reel_error *error) {
    reel_status status =
        train_config_load(config, line->config_path, line->override_count, line->overrides, error);
    if (status != REEL_OK || !config->resume)
        return status;
    const bool is_auto = strcmp(config->resume, resume_auto) == 0;
    if (!is_auto)
        status = check_folder_names(line, config->resume, error);
    if (status != REEL_OK)
        return status;
    status = run_find(r, is_auto ? config->run_dir : config->resume, state, error);
    return status == REEL_OK && !state->file && !is_auto ? no_run(config->resume, error) : status;
}

/* Whether the run goes on as it began. */
static reel_status check_continuation(const train_config *config, const run *r, const run_state *state,
                                      reel_error *error) {
    train_config begun;
    reel_status status = parse_own_config(&begun, state, NULL, error);
    if (status == REEL_OK)
        status = train_config_continues(config, &begun, r->folder, error);
    train_config_free(&begun);
    return status;
}

reel_status command_find_run(const command *line, train_config *config, run *r, run_state *state,
                             reel_error *error) {
    reel_status status = line->config_path ? find_by_config(config, r, state, line, error)
                                           : find_by_folder(config, r, state, line, error);
    if (status == REEL_OK)
        status = state->file ? check_continuation(config, r, state, error)
                             : run_check_folder(config->run_dir, error);
    if (status == REEL_OK && !train_config_settle(config, state->file ? r->folder : config->run_dir))
        status = reel_fail(error, REEL_ERROR_MEMORY, "no memory left for the configuration");
    if (status == REEL_OK)
        r->folder = config->run_dir;
    return status;
}
