#include "eval_data.h"

#include "config_data.h"

#include <string.h>
#include <sys/stat.h>

/* Puzzles made on the spot, "sudoku:6:500", and tasks with the identifiers of the run. */
static bool needs_training_data(const char *dataset) {
    struct stat found;
    return strchr(dataset, ':') != NULL && stat(dataset, &found) != 0;
}

/* One of several data sets that the run trained on: its identifiers follow those of the sets before it. */
static bool is_mixed_in(const train_config *config, const char *dataset) {
    bool found = false;
    for (size_t i = 0; i < config->data_paths.count && config->data_paths.count > 1; i++)
        found |= strcmp(config->data_paths.items[i], dataset) == 0;
    return found;
}

static reel_status open_named(eval_data *data, const train_config *config, reel_error *error) {
    const reel_dataset_options options = config_dataset_options(config);
    const bool is_mixed = is_mixed_in(config, data->name);
    reel_status status = REEL_OK;
    if (is_mixed || needs_training_data(data->name))
        status = config_open_training(&data->training, config, error);
    if (status == REEL_OK)
        status =
            reel_dataset_open(&data->test, &data->name, 1, REEL_SPLIT_TEST, &options, data->training, error);
    if (status == REEL_OK)
        data->sizes = model_sizes_of(is_mixed ? data->training : data->test);
    return status;
}

static reel_status open_own(eval_data *data, const train_config *config, reel_error *error) {
    const bool is_named = config->data_paths_test.count > 0;
    data->name = is_named ? config->data_paths_test.items[0] : config->data_paths.items[0];
    reel_status status = config_open_training(&data->training, config, error);
    if (status == REEL_OK)
        status = config_open_test(&data->test, config, data->training, error);
    if (status == REEL_OK && !data->test)
        status = reel_fail(error, REEL_ERROR_ARGUMENT,
                           "the run that made this model had no test data; name some with --dataset");
    if (status == REEL_OK)
        data->sizes = model_sizes_of(data->training);
    return status;
}

reel_status eval_data_open(eval_data *data, const train_config *config, const char *dataset,
                           reel_error *error) {
    *data = (eval_data){.name = dataset};
    const reel_status status = dataset ? open_named(data, config, error) : open_own(data, config, error);
    if (status != REEL_OK)
        eval_data_close(data);
    return status;
}

void eval_data_close(eval_data *data) {
    reel_dataset_close(data->test);
    reel_dataset_close(data->training);
    *data = (eval_data){0};
}
