#include "tensor_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A zip archive or a bare pickle is PyTorch's; everything else has to be safetensors. */
static reel_status find_format(tensor_file *f, reel_error *error) {
    static const char zip[] = {'P', 'K'}, pickle[] = {'\x80', '\2'};
    char begin[sizeof zip];
    FILE *const file = fopen(f->path, "rb");
    if (!file)
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot open: %s", f->path, strerror(errno));
    const bool is_read = fread(begin, 1, sizeof begin, file) == sizeof begin;
    fclose(file);
    f->format = is_read && (memcmp(begin, zip, sizeof zip) == 0 || memcmp(begin, pickle, sizeof pickle) == 0)
                    ? TENSOR_PYTORCH
                    : TENSOR_SAFETENSORS;
    return REEL_OK;
}

static reel_status open_format(tensor_file *f, reel_error *error) {
    if (f->format == TENSOR_PYTORCH) {
        const reel_status status = reel_pytorch_open(&f->pytorch, f->path, error);
        if (status == REEL_OK)
            f->count = reel_pytorch_count(f->pytorch);
        return status;
    }
    const reel_status status = reel_safetensors_open(&f->safetensors, f->path, error);
    if (status == REEL_OK)
        f->count = reel_safetensors_count(f->safetensors);
    return status;
}

reel_status tensor_file_open(tensor_file *f, const char *path, reel_error *error) {
    *f = (tensor_file){.path = path};
    reel_status status = find_format(f, error);
    if (status == REEL_OK)
        status = open_format(f, error);
    if (status != REEL_OK)
        return status;
    f->tensors = calloc((size_t)f->count + 1, sizeof *f->tensors);
    if (!f->tensors)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read a file", path);
    for (int64_t i = 0; i < f->count; i++)
        f->tensors[i] = f->pytorch ? *reel_pytorch_at(f->pytorch, i)
                                   : reel_safetensors_tensor(reel_safetensors_at(f->safetensors, i));
    return REEL_OK;
}

void tensor_file_close(tensor_file *f) {
    reel_safetensors_close(f->safetensors);
    reel_pytorch_close(f->pytorch);
    free(f->tensors);
    *f = (tensor_file){0};
}

reel_status tensor_file_read(const tensor_file *f, int64_t i, void *bytes, reel_error *error) {
    if (f->pytorch)
        return reel_pytorch_read(f->pytorch, i, bytes, error);
    const reel_safetensors_entry *const entry = reel_safetensors_at(f->safetensors, i);
    memcpy(bytes, entry->data, entry->bytes);
    return REEL_OK;
}

const char *tensor_file_metadata(const tensor_file *f, const char *key) {
    return f->safetensors ? reel_safetensors_metadata(f->safetensors, key) : NULL;
}
