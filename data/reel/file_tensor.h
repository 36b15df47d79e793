/* Tensors as they lie in files: any of the dtypes that checkpoints use, bytes row-major and little-endian.
 * What the engine computes with is <reel/tensor.h>; here nothing is converted, so nothing is lost. */
#ifndef REEL_FILE_TENSOR_H
#define REEL_FILE_TENSOR_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of elements in files. */
typedef enum reel_file_dtype {
    REEL_FILE_F64,
    REEL_FILE_F32,
    REEL_FILE_F16,
    REEL_FILE_BF16,
    REEL_FILE_I64,
    REEL_FILE_I32,
    REEL_FILE_I16,
    REEL_FILE_I8,
    REEL_FILE_U8,
    REEL_FILE_BOOL,
    REEL_FILE_DTYPES
} reel_file_dtype;

REEL_API size_t reel_file_dtype_bytes(reel_file_dtype dtype);     /* of one element */
REEL_API const char *reel_file_dtype_name(reel_file_dtype dtype); /* "F32", as safetensors writes it */
/* The dtype of such a name, REEL_FILE_DTYPES where there is none. */
REEL_API reel_file_dtype reel_file_dtype_named(const char *name);

/* A tensor of a file, without its elements. */
typedef struct reel_file_tensor {
    const char *name;
    reel_file_dtype dtype;
    int rank;
    int64_t shape[REEL_MAX_RANK];
    size_t bytes; /* of all elements */
} reel_file_tensor;

/* Element i of a tensor's bytes, rounded where a double does not hold it: a large I64. */
REEL_API double reel_file_number(reel_file_dtype dtype, const void *bytes, int64_t i);

/* Brings the bytes of tensor i, all of them, into memory: where a writer gets what it writes. `source` is
 * what the writer was given; an error ends the writing and becomes its result. */
typedef reel_status (*reel_file_read)(void *source, int64_t i, void *bytes, reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
