/* A trained model in a file: what trm_eval and trm_solve begin with. */
#ifndef MODEL_FILE_H
#define MODEL_FILE_H

#include "config.h"

#include <reel/batches.h>
#include <reel/model.h>

typedef struct model_file {
    const char *path;
    train_config config; /* that it was trained with */
    int64_t step;        /* optimizer steps that it was trained for, -1: the file does not say */
    int64_t seq_len;     /* 0: the tensors are the same for any sequence */
    int64_t vocab_size;
    int64_t num_puzzle_identifiers; /* rows of the puzzle embeddings; 1 where there are none */
    int64_t hidden_size;
    int64_t elements; /* numbers in all tensors */
} model_file;

/* What puzzles a model is made for. */
typedef struct model_sizes {
    int64_t seq_len, vocab_size, num_puzzle_identifiers;
} model_sizes;

model_sizes model_sizes_of(const reel_dataset *data);

/* Opens the checkpoint at `path`, as trm_train writes it, and its configuration: the file config_path if that
 * is not NULL, else the one in the checkpoint's metadata, else all_config.yaml beside it. The `key=value`
 * arguments replace values of it. *file is freed by model_file_close, after an error too; `path` must outlive
 * it. Errors: those of the readers; FORMAT for a checkpoint of PyTorch or one that is no recursive model. */
reel_status model_file_open(model_file *file, const char *path, const char *config_path, int argument_count,
                            char *const *arguments, reel_error *error);
void model_file_close(model_file *file);

/* A context as the configuration asks for it. */
reel_status model_context_new(reel_context **ctx, const train_config *config, reel_error *error);

/* One for the model in the file, which on a GPU has the algorithms of gemm_choices. */
reel_status model_file_context(reel_context **ctx, const model_file *file, reel_error *error);

/* Builds the model for puzzles of these sizes and loads its weights. A configuration that wants more of them
 * than the file has is refused before memory is taken. Puzzle embeddings of another number of
 * puzzles become the mean of their rows, as published. The model is freed before the context. */
reel_status model_file_load(reel_model **model, reel_context *ctx, const model_file *file, model_sizes sizes,
                            reel_error *error);

/* What the engine needs to know of a configuration to build its model. */
reel_model_config model_config_of(const train_config *config, model_sizes sizes);

#endif
