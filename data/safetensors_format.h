/* What the reader and the writer of safetensors files share. */
#ifndef REEL_DATA_SAFETENSORS_FORMAT_H
#define REEL_DATA_SAFETENSORS_FORMAT_H

#include <reel/file_tensor.h>

#include <stddef.h>

#define REEL__METADATA_NAME "__metadata__"

enum {
    REEL__LENGTH_BYTES = 8,            /* of the header's length, at the start of the file */
    REEL__MAX_HEADER_BYTES = 16 << 20, /* parsed, it takes up to thirty times as much memory */
    REEL__DATA_ALIGNMENT = 64,
};

/* Offsets are read as JSON numbers, doubles: up to here all integers are exact. */
#define REEL__MAX_OFFSET (INT64_C(1) << 53)

/* True if the text is UTF-8 and ends exactly at `length`. */
int reel__is_utf8(const char *text, size_t length);

/* True if `name` can be a tensor's: not empty, no control characters, not the metadata's. */
int reel__is_tensor_name(const char *name);

/* Fails unless names are different and can be a tensor's, and sizes are what dtypes and shapes need. */
reel_status reel__check_file_tensors(const char *path, const reel_file_tensor *tensors, int64_t count,
                                     reel_error *error);

#endif
