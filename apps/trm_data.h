/* What the subcommands of trm_data share. */
#ifndef TRM_DATA_H
#define TRM_DATA_H

#include "fetch.h"

#include <reel/tensor.h>

#include <argp.h>

/* Each parses its own options, does its work, prints what there is to say and returns the exit status.
 * argv[0] is "trm_data NAME". */
int data_sudoku(int argc, char **argv);
int data_maze(int argc, char **argv);
int data_arc(int argc, char **argv);
int data_generate(int argc, char **argv);
int data_show(int argc, char **argv);
int data_weights(int argc, char **argv);

/* Says how a subcommand ended, "trm_data NAME: what went wrong", and returns the exit status. */
int data_end(const char *name, reel_status status, const reel_error *error);

/* The whole number that an option was given, within min..max; else says so and exits. */
int64_t data_number(const struct argp_state *state, const char *option, const char *value, int64_t min,
                    int64_t max);

/* Keys of options from here on have no letter: all are written out, as in the published code. */
enum { DATA_FIRST_KEY = 256 };

/* --base-url and --cache-dir, as a child of a subcommand's parser; its input is a fetch_options. */
extern const struct argp data_fetch_argp;

#endif
