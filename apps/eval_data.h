/* The data that a model is evaluated on. */
#ifndef EVAL_DATA_H
#define EVAL_DATA_H

#include "model_file.h"

typedef struct eval_data {
    reel_dataset *training; /* NULL: not needed */
    reel_dataset *test;
    const char *name;  /* what the user called it */
    model_sizes sizes; /* of the model that the identifiers of these data belong to */
} eval_data;

/* Opens `dataset`, one of the forms that data_paths takes, or where it is NULL the test data of the run that
 * the configuration describes. Puzzles made on the spot are equivalent to none that the run trained on. */
reel_status eval_data_open(eval_data *data, const train_config *config, const char *dataset,
                           reel_error *error);
void eval_data_close(eval_data *data);

#endif
