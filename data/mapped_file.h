/* A file mapped into memory, read-only. */
#ifndef REEL_DATA_MAPPED_FILE_H
#define REEL_DATA_MAPPED_FILE_H

#include <reel/tensor.h>

#include <stddef.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the files that Reel maps hold little-endian numbers, and are used as they are"
#endif

typedef struct reel__mapped_file {
    const char *bytes; /* NULL: not mapped */
    size_t size;
} reel__mapped_file;

/* Maps the whole of a regular file that is not empty; others are refused. It must not shrink while mapped. */
reel_status reel__map_file(reel__mapped_file *file, const char *path, reel_error *error);

/* A file that is not mapped is accepted. */
void reel__unmap_file(reel__mapped_file *file);

#endif
