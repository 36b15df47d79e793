/* The options that trm_eval and trm_solve share: which model, and what of its configuration is replaced. */
#ifndef MODEL_OPTIONS_H
#define MODEL_OPTIONS_H

#include "model_file.h"

#include <argp.h>

typedef struct model_options {
    const char *checkpoint, *config;
    int override_count;
    char **overrides; /* "key=value", owned */
} model_options;

/* A child parser (struct argp_child) of a program's own. The program makes room for one override per argument
 * and `more` of its own by model_options_begin, hands its options to the child in ARGP_KEY_INIT as
 * state->child_inputs[0], and frees them at the end. */
extern const struct argp model_options_parser;

void model_options_begin(model_options *options, int argument_count, int more);
void model_options_free(model_options *options);

/* Replaces the value of a key; with key NULL, value is all of "key=value". */
void model_options_override(model_options *options, const char *key, const char *value);

/* Opens the model that the options name. */
reel_status model_options_open(const model_options *options, model_file *file, reel_error *error);

#endif
