/* Values of a file on their way into the engine: what all readers of tensors share. */
#ifndef REEL_DATA_FILE_VALUES_H
#define REEL_DATA_FILE_VALUES_H

#include <reel/file_tensor.h>

/* dst = the tensor's `bytes`, which may lie on any address, under the rules of reel_safetensors_load. Errors
 * name `path` and the tensor. */
reel_status reel__load_values(reel_context *ctx, const char *path, const reel_file_tensor *tensor,
                              const void *bytes, reel_tensor *dst, reel_error *error);

/* SHAPE unless dst has the tensor's shape. */
reel_status reel__check_shape(const char *path, const reel_file_tensor *tensor, const reel_tensor *dst,
                              reel_error *error);

#endif
