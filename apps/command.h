/* The command line of trm_train, and the run that it means. */
#ifndef COMMAND_H
#define COMMAND_H

#include "config.h"
#include "run.h"

typedef struct command {
    const char *config_path; /* NULL: none */
    int override_count;
    char **overrides;
} command;

/* Reads it; does not return for --help and the like. */
command command_read(int argc, char **argv);

/* Finds out what is trained and where, before any work. *state is the one to continue, its file NULL where a
 * run begins; it is closed by the caller, *config freed. What cannot become a run, or cannot continue the one
 * that is there, is refused. Writes nothing. */
reel_status command_find_run(const command *line, train_config *config, run *r, run_state *state,
                             reel_error *error);

#endif
