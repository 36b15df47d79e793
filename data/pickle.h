/* The pickle of a PyTorch checkpoint, which describes its tensors: read without running any of it, and
 * written.
 *
 * A pickle is a program for a small stack machine, and in Python it can call anything. The machine here knows
 * the opcodes that torch.save needs for tensors in dictionaries, lists and tuples, and a fixed list of names
 * that such a program may mention; every other opcode and every other name ends the reading with an error
 * that says which. Nothing is looked up or called: a known name applied to its arguments is a tensor's
 * description. */
#ifndef REEL_DATA_PICKLE_H
#define REEL_DATA_PICKLE_H

#include <reel/file_tensor.h>

enum {
    REEL__PICKLE_MAX_BYTES = 16 << 20, /* read, it takes up to some thirty times as much memory */
    REEL__PICKLE_MAX_TENSORS = 1 << 18,
    REEL__PICKLE_MAX_DEPTH = 32, /* dictionaries within dictionaries */
    REEL__PICKLE_MAX_NAME = 1000,
};

typedef struct reel__pickle_tensor {
    char *name;          /* of the entries that lead to it, joined by dots; UTF-8 */
    const char *storage; /* name of the storage: `storage_length` characters within the pickle */
    size_t storage_length;
    int64_t storage_elements; /* so many as the pickle says */
    reel_file_dtype dtype;
    int64_t offset; /* in elements, as are the strides */
    int rank;
    int64_t shape[REEL_MAX_RANK], stride[REEL_MAX_RANK];
} reel__pickle_tensor;

typedef struct reel__pickle {
    int64_t count;
    reel__pickle_tensor *tensors; /* in the order of the pickle; a tensor under two names is there twice */
} reel__pickle;

/* Reads a pickle of at most REEL__PICKLE_MAX_BYTES, which must outlive what it gives. A dictionary's entry is
 * called by its key, a list's by its number; a tensor that is all there is, "tensor". Numbers, texts and
 * None are passed over. Offset, shape and strides are whole numbers from 0 on, and no more is checked of
 * them. Errors are one line that begins with `path`. After an error nothing is left to free. */
reel_status reel__pickle_read(reel__pickle *pickle, const char *path, const void *bytes, size_t size,
                              reel_error *error);

/* Zeros are accepted. */
void reel__pickle_free(reel__pickle *pickle);

/* Writes the pickle of an OrderedDict of tensors (protocol 2), of which tensor i fills storage "i": text to
 * be freed by free(), or NULL without memory. */
char *reel__pickle_write(const reel_file_tensor *tensors, int64_t count, size_t *size);

#endif
