/* safetensors files: named tensors and a few strings about them.
 *
 * Layout (https://github.com/huggingface/safetensors#format): the length N of the header, 8 bytes
 * little-endian; N bytes of JSON, name -> {dtype, shape, data_offsets [begin, end)} and "__metadata__" ->
 * {string: string}; then the data, without holes. */
#ifndef REEL_SAFETENSORS_H
#define REEL_SAFETENSORS_H

#include <reel/file_tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open file. */
typedef struct reel_safetensors reel_safetensors;

/* A tensor of a file. */
typedef struct reel_safetensors_entry {
    const char *name;
    const char *dtype; /* as in the file: "F64" "F32" "F16" "BF16" "I64" "I32" "I16" "I8" "U8" "BOOL" */
    int rank;
    int64_t shape[REEL_MAX_RANK];
    const void *data; /* row-major; may lie on any address, so copy it before reading it as numbers */
    size_t bytes;
} reel_safetensors_entry;

/* A line of metadata. */
typedef struct reel_safetensors_pair {
    const char *key, *value;
} reel_safetensors_pair;

/* ---- reading ----------------------------------------------------------------------------------------- */

/* Maps a file, read-only, and checks all of its header before any of it is used: lengths against the file,
 * depth of the JSON, UTF-8, names given twice, rank at most REEL_MAX_RANK, dtypes as above, offsets that fit
 * dtype and shape and cover the data exactly once. The header may have 16 MiB. The file must not shrink while
 * it is open. Everything that the functions below return lives until close. *file is NULL upon an error:
 * IO, FORMAT, MEMORY. */
REEL_API reel_status reel_safetensors_open(reel_safetensors **file, const char *path, reel_error *error);
/* Frees it with all that it has given out. NULL is accepted. */
REEL_API void reel_safetensors_close(reel_safetensors *file);

/* How many tensors there are. */
REEL_API int64_t reel_safetensors_count(const reel_safetensors *file);
/* Tensor i, 0 <= i < count, sorted by name. */
REEL_API const reel_safetensors_entry *reel_safetensors_at(const reel_safetensors *file, int64_t i);
/* The tensor of that name, NULL if there is none. */
REEL_API const reel_safetensors_entry *reel_safetensors_find(const reel_safetensors *file, const char *name);

/* How many lines of metadata there are. */
REEL_API int64_t reel_safetensors_metadata_count(const reel_safetensors *file);
/* Line i, 0 <= i < count, sorted by key. */
REEL_API const reel_safetensors_pair *reel_safetensors_metadata_at(const reel_safetensors *file, int64_t i);
/* The value of a key, or NULL. */
REEL_API const char *reel_safetensors_metadata(const reel_safetensors *file, const char *key);

/* Copies the tensor `name` into `dst`, which has its shape, converted to dst's dtype:
 *   F64 F32 BF16 F16   into f64, f32, bf16, rounded to nearest even (f64 to bf16 by way of f32)
 *   I64 I32 I16 I8 U8  into any dtype, if each value is held exactly: a range of 2^24 in f32, 2^8 in bf16 and
 *                      that of i32 in f64; others are refused
 *   BOOL               likewise, as 0 and 1; other bytes are refused
 * Floats into integers are refused. A failure of the engine also stays in ctx. Errors: ARGUMENT for a name
 * that the file has not, SHAPE, DTYPE for a conversion and FORMAT for a value that is refused, MEMORY. */
REEL_API reel_status reel_safetensors_load(reel_context *ctx, const reel_safetensors *file, const char *name,
                                           reel_tensor *dst, reel_error *error);

/* Opens a file, loads every tensor of a list from the entry of its name, as above, and closes it. The file
 * may hold other tensors. */
REEL_API reel_status reel_safetensors_read(reel_context *ctx, const char *path,
                                           const reel_named_tensor *tensors, int64_t count,
                                           reel_error *error);

/* The entry without its data, for a writer. */
REEL_API reel_file_tensor reel_safetensors_tensor(const reel_safetensors_entry *entry);

/* ---- writing ----------------------------------------------------------------------------------------- */

/* Writes a file atomically (<reel/atomic_file.h>). Tensors may lie on any device and have any strides. The
 * same arguments give the same bytes: tensors stand in the given order, those of wider dtypes first, so that
 * every one is aligned; the data begins at a multiple of 64 bytes. Names must be different UTF-8
 * strings without control characters, metadata UTF-8 strings with different keys, else ARGUMENT. Other
 * errors: STATE for a tensor that is none, IO, MEMORY. */
REEL_API reel_status reel_safetensors_write(reel_context *ctx, const char *path,
                                            const reel_named_tensor *tensors, int64_t tensor_count,
                                            const reel_safetensors_pair *metadata, int64_t metadata_count,
                                            reel_error *error);

/* The same for tensors of a file, whose bytes are written as `read` brings them, one tensor at a time; what
 * it fails with, too, is an error. */
REEL_API reel_status reel_safetensors_write_raw(const char *path, const reel_file_tensor *tensors,
                                                int64_t count, reel_file_read read, void *source,
                                                const reel_safetensors_pair *metadata, int64_t metadata_count,
                                                reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
