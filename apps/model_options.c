#include "model_options.h"

#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    OPTION_CHECKPOINT = 0x1000, /* no letter, and none of a program's own numbers */
    OPTION_CONFIG,
    OPTION_STEPS,
    OPTION_THREADS,
    OPTION_DTYPE,
    OPTION_DEVICE,
    OPTION_GEMM_CHOICES,
};

static const struct argp_option options[] = {
    {"checkpoint", OPTION_CHECKPOINT, "FILE", 0, "Weights, as trm_train saves them (step_N.safetensors)", 0},
    {"config", OPTION_CONFIG, "FILE", 0,
     "Configuration of the model, in place of that in the checkpoint or in all_config.yaml beside it", 0},
    {"steps", OPTION_STEPS, "N", 0, "Supervision steps, in place of arch.halt_max_steps", 0},
    {"threads", OPTION_THREADS, "N", 0, "CPU threads; 0: as many as there are", 0},
    {"dtype", OPTION_DTYPE, "TYPE", 0, "Type to compute in: float32, bfloat16 or float64", 0},
    {"device", OPTION_DEVICE, "DEVICE", 0, "Where to compute: cpu, cuda, or auto, which is the default", 0},
    {"gemm-choices", OPTION_GEMM_CHOICES, "FILE", 0,
     "On a GPU, algorithms of matrix products to take: gemm_choices.txt of a run, or of bench_step --tune",
     0},
    {0},
};

/* Options that are another way to write a key of the configuration. */
static const struct {
    int option;
    const char *key;
} keys[] = {
    {OPTION_STEPS, "arch.halt_max_steps"}, {OPTION_THREADS, "threads"},
    {OPTION_DTYPE, "arch.forward_dtype"},  {OPTION_DEVICE, "device"},
    {OPTION_GEMM_CHOICES, "gemm_choices"},
};

/* It may run on another machine than it was trained on, without the files that lay there. */
void model_options_begin(model_options *o, int argument_count, int more) {
    enum { OWN = 2 };
    *o = (model_options){0};
    o->overrides = calloc((size_t)argument_count + (size_t)more + OWN, sizeof *o->overrides);
    if (!o->overrides)
        arguments_no_memory();
    model_options_override(o, "device", "auto");
    model_options_override(o, "gemm_choices", "null");
}

void model_options_free(model_options *o) {
    for (int i = 0; i < o->override_count; i++)
        free(o->overrides[i]);
    free(o->overrides);
    *o = (model_options){0};
}

void model_options_override(model_options *o, const char *key, const char *value) {
    if (asprintf(&o->overrides[o->override_count], "%s%s%s", key ? key : "", key ? "=" : "", value) < 0)
        arguments_no_memory();
    o->override_count++;
}

static error_t take_option(int option, char *value, struct argp_state *state) {
    model_options *const o = state->input;
    if (option == OPTION_CHECKPOINT || option == OPTION_CONFIG) {
        *(option == OPTION_CHECKPOINT ? &o->checkpoint : &o->config) = value;
        return 0;
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (keys[i].option == option) {
            model_options_override(o, keys[i].key, value);
            return 0;
        }
    }
    return ARGP_ERR_UNKNOWN;
}

const struct argp model_options_parser = {.options = options, .parser = take_option};

reel_status model_options_open(const model_options *o, model_file *file, reel_error *error) {
    if (!o->checkpoint)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "no model; name one with --checkpoint, see --help");
    return model_file_open(file, o->checkpoint, o->config, o->override_count, o->overrides, error);
}
