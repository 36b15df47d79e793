/* The data sets that a configuration names. */
#ifndef CONFIG_DATA_H
#define CONFIG_DATA_H

#include "config.h"

#include <reel/batches.h>

/* Opens data_paths for training. */
reel_status config_open_training(reel_dataset **data, const train_config *config, reel_error *error);

/* Opens the test data that belong to `training`: what data_paths_test names or, where that is empty, what
 * comes with data_paths. *data is NULL where there are none. */
reel_status config_open_test(reel_dataset **data, const train_config *config, const reel_dataset *training,
                             reel_error *error);

/* The options that both are opened with. */
reel_dataset_options config_dataset_options(const train_config *config);

#endif
