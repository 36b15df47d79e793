/* A file of tensors, PyTorch's or safetensors: what trm_convert reads. */
#ifndef TENSOR_FILE_H
#define TENSOR_FILE_H

#include <reel/pytorch.h>
#include <reel/safetensors.h>

typedef enum tensor_format { TENSOR_SAFETENSORS, TENSOR_PYTORCH } tensor_format;

typedef struct tensor_file {
    const char *path;
    tensor_format format;
    reel_safetensors *safetensors; /* one of the two, by format */
    reel_pytorch *pytorch;
    int64_t count;
    reel_file_tensor *tensors; /* sorted by name */
} tensor_file;

/* Opens a file; what it is, its first bytes say. `path` must outlive it. It is closed after an error, too. */
reel_status tensor_file_open(tensor_file *file, const char *path, reel_error *error);
void tensor_file_close(tensor_file *file);

/* Brings the bytes of tensor i into memory. */
reel_status tensor_file_read(const tensor_file *file, int64_t i, void *bytes, reel_error *error);

/* A text that a safetensors file keeps under this key, or NULL. */
const char *tensor_file_metadata(const tensor_file *file, const char *key);

#endif
