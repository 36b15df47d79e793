/* Paths of files that belong together. */
#ifndef FILE_PATHS_H
#define FILE_PATHS_H

#include <reel/tensor.h>

#include <limits.h>
#include <stdbool.h>

/* DIR/all_config.yaml for DIR/step_N.safetensors: where a run keeps its configuration. Whether there is such
 * a file is not looked at. */
reel_status path_of_config_beside(char out[static PATH_MAX], const char *path, reel_error *error);

/* Whether two paths lead to one file, or are the same where there is no file. */
bool is_same_file(const char *a, const char *b);

#endif
