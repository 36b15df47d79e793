#include "config_data.h"

#include <stdlib.h>

reel_dataset_options config_dataset_options(const train_config *config) {
    return (reel_dataset_options){.seed = (uint64_t)config->seed,
                                  .num_aug = config->num_aug,
                                  .max_examples = config->eval_max_examples};
}

reel_status config_open_training(reel_dataset **data, const train_config *config, reel_error *error) {
    const reel_dataset_options options = config_dataset_options(config);
    return reel_dataset_open(data, (const char *const *)config->data_paths.items,
                             (int)config->data_paths.count, REEL_SPLIT_TRAIN, &options, NULL, error);
}

reel_status config_open_test(reel_dataset **data, const train_config *config, const reel_dataset *training,
                             reel_error *error) {
    const reel_dataset_options options = config_dataset_options(config);
    const bool is_named = config->data_paths_test.count > 0;
    const config_strings *const paths = is_named ? &config->data_paths_test : &config->data_paths;
    const char **const specs = calloc(paths->count, sizeof *specs);
    *data = NULL;
    if (!specs)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for a data set");
    int count = 0;
    for (size_t i = 0; i < paths->count; i++) {
        if (is_named || reel_dataset_has_test(paths->items[i]))
            specs[count++] = paths->items[i];
    }
    reel_status status = REEL_OK;
    if (count > 0)
        status = reel_dataset_open(data, specs, count, REEL_SPLIT_TEST, &options, training, error);
    free(specs);
    return status;
}
