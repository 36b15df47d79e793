/* The configuration of `trm_train CONFIG.yaml [key=value ...]`.
 *
 * What a user writes, in the file or behind it, has the published names and forms (a Hydra configuration):
 *
 *     arch: {hidden_size: 128}      # nested, or dotted: arch.hidden_size: 128
 *     defaults: [arch: hrm, _self_] # the architecture, with its defaults; `hydra:` is skipped
 *     arch.puzzle_emb_ndim: ${.hidden_size}
 *
 *     trm_train sudoku.yaml arch.L_cycles=6 lr=1e-4 ema=True data_paths=[train.csv] +run_name=x
 *
 * All keys stand in one table, config_keys.h. Every error is one line that names the place and the key:
 *
 *     config.yaml:12: unknown key 'arch.hiden_size'; did you mean 'arch.hidden_size'?
 *     argument 'lr=abc': lr: expected a number, got 'abc' */
#ifndef CONFIG_H
#define CONFIG_H

#include "config_keys.h"

#include <reel/model.h>
#include <reel/tensor.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_ENUMERATOR(enumerator, word, refusal) enumerator,
#define CONFIG_MODEL_ENUMERATOR(ID, ...)             CONFIG_MODEL_##ID,
typedef enum config_model { REEL_ARCHITECTURES(CONFIG_MODEL_ENUMERATOR) } config_model;
typedef enum config_loss_head { CONFIG_LOSS_HEADS(CONFIG_ENUMERATOR) } config_loss_head;
typedef enum config_loss { CONFIG_LOSSES(CONFIG_ENUMERATOR) } config_loss;
typedef enum config_positions { CONFIG_POSITIONS(CONFIG_ENUMERATOR) } config_positions;
typedef enum config_dtype { CONFIG_DTYPES(CONFIG_ENUMERATOR) } config_dtype;
typedef enum config_optimizer { CONFIG_OPTIMIZERS(CONFIG_ENUMERATOR) } config_optimizer;
typedef enum config_device { CONFIG_DEVICES(CONFIG_ENUMERATOR) } config_device;
typedef enum config_evaluator_kind { CONFIG_EVALUATOR_KINDS(CONFIG_ENUMERATOR) } config_evaluator_kind;
typedef enum config_output { CONFIG_OUTPUTS(CONFIG_ENUMERATOR) CONFIG_OUTPUT_COUNT } config_output;
#undef CONFIG_ENUMERATOR
#undef CONFIG_MODEL_ENUMERATOR

enum { CONFIG_ALL_STEPS = -1 }; /* max_steps: null */

typedef struct config_strings {
    size_t count;
    char **items;
} config_strings;

typedef struct config_ints {
    size_t count;
    int64_t *items;
} config_ints;

/* One of the two, or neither: never. */
typedef struct config_period {
    int64_t steps, minutes;
} config_period;

typedef struct config_evaluators {
    size_t count;
    struct config_evaluator *items;
} config_evaluators;

/* The C type behind each TYPE of the table. */
#define CONFIG_C_BOOL                   bool
#define CONFIG_C_INT(low, high)         int64_t
#define CONFIG_C_INT_OR_NULL(low, high) int64_t
#define CONFIG_C_FLOAT(low, high)       double
#define CONFIG_C_STRING                 char *
#define CONFIG_C_LIST                   config_strings
#define CONFIG_C_INTS(low, high)        config_ints
#define CONFIG_C_PERIOD(low, high)      config_period
#define CONFIG_C_WORD(type)             type
#define CONFIG_C_WORDS(type)            uint32_t
#define CONFIG_C_EVALUATORS             config_evaluators

/* One field per key, found under the key's own name: key arch.loss.loss_type is config.arch.loss.loss_type.
 * A loaded configuration is complete: max_steps is CONFIG_ALL_STEPS when it is null, eval_interval is never
 * 0, device never CONFIG_DEVICE_AUTO, project_name, run_name and run_dir are set, and checkpoint_path equals
 * run_dir. */
#define CONFIG_FIELD(name, type, value, help) CONFIG_C_##type name;
typedef struct train_config {
    CONFIG_RUN_KEYS(CONFIG_FIELD)
    struct {
        CONFIG_ARCH_KEYS(CONFIG_FIELD)
        struct {
            CONFIG_LOSS_KEYS(CONFIG_FIELD)
        } loss;
    } arch;
} train_config;

/* One item of `evaluators`. */
typedef struct config_evaluator {
    CONFIG_EVALUATOR_KEYS(CONFIG_FIELD)
} config_evaluator;
#undef CONFIG_FIELD

/* Reads the file at `path` (at most 1 MiB), then the arguments `key=value` from left to right over it, fills
 * in defaults and names, and checks every value and how they fit together. Data sets are not opened here.
 * On success *config belongs to the caller until train_config_free. On failure *config is all zero.
 * Errors: IO (the file), FORMAT (not YAML, or YAML beyond what a configuration needs: anchors, tags, deep
 * nesting), ARGUMENT (a key or a value), MEMORY. */
reel_status train_config_load(train_config *config, const char *path, int argument_count,
                              char *const *arguments, reel_error *error);

/* The same for text in memory, called `name` in errors. It reads what train_config_yaml and
 * train_config_json write: JSON is YAML. */
reel_status train_config_parse(train_config *config, const char *name, const char *text, size_t bytes,
                               int argument_count, char *const *arguments, reel_error *error);

/* Refuses with ARGUMENT, naming key and values, a configuration that does not continue a run begun with
 * another: they may differ in CONFIG_CHANGEABLE_KEYS alone. `name` stands in the error. */
reel_status train_config_continues(const train_config *config, const train_config *begun, const char *name,
                                   reel_error *error);

/* Gives the run its folder, which both of its names name, and forgets `resume`: whether a run was continued
 * must not show in what it writes. False without memory. */
bool train_config_settle(train_config *config, const char *run_dir);

/* The model that it configures, but for the sizes that the data decide, which are left 0. */
reel_model_config train_config_model(const train_config *config);

/* Frees what *config holds and zeroes it. */
void train_config_free(train_config *config);

/* The whole configuration as text to be freed by free(), or NULL without memory. Reading it back gives the
 * same configuration, bit for bit. */
char *train_config_yaml(const train_config *config); /* block style, for all_config.yaml */
char *train_config_json(const train_config *config); /* one line, for the metadata of weights */

/* Every key with its default, what it may be and what it is for: text to be freed by free(), or NULL. */
char *train_config_help(void);

#endif
