/* How the values of a configuration fit together, and what follows from them. */
#include "config_parts.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- checks ------------------------------------------------------------------------------------------ */

static reel_status check_data(const train_config *c, const char *name, reel_error *error) {
    if (c->data_paths.count > 0 && c->data_path)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: data_path and data_paths are two names of one thing; give one of them", name);
    if (c->data_paths.count == 0 && !c->data_path)
        return reel_fail(
            error, REEL_ERROR_ARGUMENT,
            "%s: data_paths: no training data; give folders, CSV files, or puzzles made on the spot: "
            "data_paths=[sudoku:6:1000]",
            name);
    return REEL_OK;
}

static reel_status check_schedule(const train_config *c, const char *name, reel_error *error) {
    if (c->eval_interval == 0 || c->epochs % c->eval_interval == 0)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_ARGUMENT,
                     "%s: eval_interval %" PRId64 " does not divide epochs %" PRId64, name, c->eval_interval,
                     c->epochs);
}

static reel_status check_attention(const train_config *c, const char *name, reel_error *error) {
    if (c->arch.mlp_t)
        return REEL_OK;
    const int64_t head_size = c->arch.hidden_size / c->arch.num_heads;
    if (head_size == 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: arch.num_heads %" PRId64 " is more than arch.hidden_size %" PRId64, name,
                         c->arch.num_heads, c->arch.hidden_size);
    if (c->arch.pos_encodings == CONFIG_POSITIONS_ROPE && head_size % 2 != 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: arch.pos_encodings rope needs an even head size, but arch.hidden_size %" PRId64
                         " and arch.num_heads %" PRId64 " make it %" PRId64,
                         name, c->arch.hidden_size, c->arch.num_heads, head_size);
    return REEL_OK;
}

static reel_status check_puzzle_embedding(const train_config *c, const char *name, reel_error *error) {
    const int64_t room = c->arch.puzzle_emb_len * c->arch.hidden_size; /* below 2^32 by their ranges */
    if (c->arch.puzzle_emb_len > 0 && c->arch.puzzle_emb_ndim > room)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: arch.puzzle_emb_ndim %" PRId64 " does not fit into arch.puzzle_emb_len %" PRId64
                         " tokens of arch.hidden_size %" PRId64 ", which hold %" PRId64,
                         name, c->arch.puzzle_emb_ndim, c->arch.puzzle_emb_len, c->arch.hidden_size, room);
    if (c->freeze_weights && c->arch.puzzle_emb_ndim == 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: freeze_weights with arch.puzzle_emb_ndim 0 leaves nothing to train", name);
    return REEL_OK;
}

/* What the architecture cannot take, in the words of the model itself. */
static reel_status check_architecture(const train_config *c, const char *name, reel_error *error) {
    reel_model_config model = train_config_model(c);
    model.seq_len = model.vocab_size = model.num_puzzle_identifiers = 1; /* whatever the data will say */
    const char *const fault = c->arch.act_inference
                                  ? "act_inference cannot be on, evaluation takes halt_max_steps"
                                  : reel_model_config_fault(&model);
    return fault ? reel_fail(error, REEL_ERROR_ARGUMENT, "%s: arch %s: %s", name, model.arch, fault)
                 : REEL_OK;
}

static reel_status check_names(const train_config *c, const char *name, reel_error *error) {
    char run_dir[CONFIG_QUOTE_BYTES], checkpoint_path[CONFIG_QUOTE_BYTES];
    if (c->run_dir && c->checkpoint_path && strcmp(c->run_dir, c->checkpoint_path) != 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: run_dir '%s' and checkpoint_path '%s' are two names of one thing and differ",
                         name, config_quote(run_dir, c->run_dir),
                         config_quote(checkpoint_path, c->checkpoint_path));
    const struct {
        const char *key, *value;
    } folders[] = {{"project_name", c->project_name}, {"run_name", c->run_name}};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        const char *const value = folders[i].value;
        if (value && (strchr(value, '/') || strcmp(value, ".") == 0 || strcmp(value, "..") == 0))
            return reel_fail(error, REEL_ERROR_ARGUMENT,
                             "%s: %s '%s' is not the name of a folder; run_dir says where a run goes", name,
                             folders[i].key, config_quote(run_dir, value));
    }
    return REEL_OK;
}

reel_status config_check(const train_config *config, const char *name, reel_error *error) {
    static reel_status (*const checks[])(const train_config *, const char *, reel_error *) = {
        check_data, check_schedule, check_attention, check_puzzle_embedding, check_architecture, check_names,
    };
    char place[CONFIG_PLACE_BYTES];
    config_place(place, name, 0);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        const reel_status status = checks[i](config, place, error);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

/* ---- names ------------------------------------------------------------------------------------------- */

/* FNV-1a, 32 bits (draft-eastlake-fnv). */
static uint32_t hash_of(const char *text) {
    uint32_t hash = 2166136261u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

static char *joined(const char *a, const char *b, const char *c) {
    const size_t bytes = strlen(a) + strlen(b) + strlen(c) + 1;
    char *const text = malloc(bytes);
    if (text)
        snprintf(text, bytes, "%s%s%s", a, b, c);
    return text;
}

/* The published project name, with ours in the place of torch: "Sudoku-extreme-1k-ACT-reel" for
 * data/sudoku-extreme-1k. There data is a folder; of a CSV file the folder is taken, where it has one, since
 * every set's file is called train.csv. A colon (sudoku:6:1000) is nothing for a file name. */
static char *project_name_of(const char *data) {
    const char *const suffix = ".csv";
    char *const path = strdup(data);
    if (!path)
        return NULL;
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        path[--length] = '\0';
    if (length > strlen(suffix) && strcmp(path + length - strlen(suffix), suffix) == 0) {
        char *const slash = strrchr(path, '/');
        path[slash && slash > path ? slash - path : (ptrdiff_t)(length - strlen(suffix))] = '\0';
    }
    char *const slash = strrchr(path, '/');
    char *const base = slash ? slash + 1 : path;
    for (char *s = base; *s; s++) /* Python's capitalize() */
        *s = *s == ':' ? '-' : (char)(s == base ? toupper((unsigned char)*s) : tolower((unsigned char)*s));
    char *const name = joined(base[0] ? base : "Data", "-ACT-reel", "");
    free(path);
    return name;
}

/* "trm-mlp_t-h512-seed0-1a2b3c4d". The published code draws a name by chance; one made from the configuration
 * finds its run again. What changes neither weights nor results does not change the name. */
static char *run_name_of(const train_config *config) {
    char *const dump = config_essence_json(config);
    if (!dump)
        return NULL;
    char name[96];
    snprintf(name, sizeof name, "%s-%s-h%" PRId64 "-seed%" PRId64 "-%08" PRIx32,
             train_config_model(config).arch, config->arch.mlp_t ? "mlp_t" : "att", config->arch.hidden_size,
             config->seed, hash_of(dump));
    free(dump);
    return strdup(name);
}

static char *default_run_dir(const train_config *config) {
    char *const project = joined("checkpoints/", config->project_name, "/");
    char *const run_dir = project ? joined(project, config->run_name, "") : NULL;
    free(project);
    return run_dir;
}

/* data_path becomes the one entry of data_paths. */
static bool complete_data(train_config *config) {
    if (!config->data_path)
        return true;
    config->data_paths.items = calloc(1, sizeof *config->data_paths.items);
    if (!config->data_paths.items)
        return false;
    config->data_paths.items[0] = config->data_path;
    config->data_paths.count = 1;
    config->data_path = NULL;
    return true;
}

reel_status config_complete(train_config *config, const char *name, reel_error *error) {
    if (config->eval_interval == 0)
        config->eval_interval = config->epochs;
    if (config->device == CONFIG_DEVICE_AUTO)
        config->device = reel_device_count(REEL_CUDA) > 0 ? CONFIG_DEVICE_CUDA : CONFIG_DEVICE_CPU;
    bool complete = complete_data(config);
    if (complete && !config->project_name)
        complete &= (config->project_name = project_name_of(config->data_paths.items[0])) != NULL;
    if (complete && !config->run_name)
        complete &= (config->run_name = run_name_of(config)) != NULL;
    if (complete && !config->run_dir) {
        config->run_dir = config->checkpoint_path ? strdup(config->checkpoint_path) : default_run_dir(config);
        complete &= config->run_dir != NULL;
    }
    if (complete && !config->checkpoint_path)
        complete &= (config->checkpoint_path = strdup(config->run_dir)) != NULL;
    return complete ? REEL_OK
                    : reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left to name the run", name);
}

/* ---- continuing -------------------------------------------------------------------------------------- */

static reel_status compare_values(const train_config *config, const train_config *begun,
                                  const config_key *key, const char *name, reel_error *error) {
    char *const now = config_value_json(config, key), *const then = config_value_json(begun, key);
    reel_status status = REEL_OK;
    if (!now || !then) {
        status = reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left to compare it", name);
    } else if (strcmp(now, then) != 0) {
        char new_value[CONFIG_QUOTE_BYTES], old_value[CONFIG_QUOTE_BYTES];
        status = reel_fail(error, REEL_ERROR_ARGUMENT,
                           "%s: begun with %s %s, which cannot become %s when it continues", name, key->name,
                           config_quote(old_value, then), config_quote(new_value, now));
    }
    free(now);
    free(then);
    return status;
}

reel_status train_config_continues(const train_config *config, const train_config *begun, const char *name,
                                   reel_error *error) {
    reel_status status = REEL_OK;
    for (size_t i = 0; i < config_key_count && status == REEL_OK; i++) {
        if (!config_is_changeable(&config_keys[i]))
            status = compare_values(config, begun, &config_keys[i], name, error);
    }
    return status;
}

bool train_config_settle(train_config *config, const char *run_dir) {
    char *const names[] = {strdup(run_dir), strdup(run_dir)};
    if (!names[0] || !names[1]) {
        free(names[0]);
        free(names[1]);
        return false;
    }
    free(config->run_dir);
    free(config->checkpoint_path);
    free(config->resume);
    config->run_dir = names[0];
    config->checkpoint_path = names[1];
    config->resume = NULL;
    return true;
}
