/* Files from the puzzles' public home, Hugging Face, or from another server laid out like it. */
#ifndef FETCH_H
#define FETCH_H

#include <reel/tensor.h>

typedef struct fetch_options {
    const char *base_url;  /* NULL: the environment variable HF_ENDPOINT, or https://huggingface.co */
    const char *cache_dir; /* NULL: $XDG_CACHE_HOME/reel, or ~/.cache/reel */
} fetch_options;

typedef enum fetch_kind { FETCH_DATASET, FETCH_MODEL } fetch_kind;

typedef struct fetch_file {
    fetch_kind kind;
    const char *repository; /* "sapientinc/sudoku-extreme" */
    const char *file;       /* its name there, "train.csv" */
} fetch_file;

/* Brings a file into the cache and its name there to *path, which the caller frees. The file is at
 *
 *   BASE/datasets/REPOSITORY/resolve/main/FILE, without "datasets/" for a model, and then in
 *   CACHE/SERVER/datasets/REPOSITORY/FILE, with "models/"
 *
 * What the cache has is not asked for again. Else it is downloaded to FILE.part and takes its name only when
 * it is complete: its size is what the server said, and its SHA-256 too where the server names one
 * (X-Linked-Etag, or an ETag of 64 digits). A broken connection is taken up again where it broke, by the next
 * call too, provided that the file has not changed meanwhile. Shows its progress on a terminal. */
reel_status fetch(const fetch_options *options, const fetch_file *file, char **path, reel_error *error);

#endif
