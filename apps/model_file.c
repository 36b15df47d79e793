#include "model_file.h"

#include "checkpoint.h"
#include "file_paths.h"
#include "gemm_file.h"

#include <reel/nn.h>
#include <reel/safetensors.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- configuration ----------------------------------------------------------------------------------- */

model_sizes model_sizes_of(const reel_dataset *data) {
    return (model_sizes){.seq_len = data->seq_len,
                         .vocab_size = data->vocab_size,
                         .num_puzzle_identifiers = data->num_puzzle_identifiers};
}

reel_model_config model_config_of(const train_config *config, model_sizes sizes) {
    reel_model_config model = train_config_model(config);
    model.seq_len = sizes.seq_len;
    model.vocab_size = sizes.vocab_size;
    model.num_puzzle_identifiers = sizes.num_puzzle_identifiers;
    return model;
}

/* all_config.yaml beside the file, which must exist. */
static reel_status config_beside(char out[static PATH_MAX], const char *path, reel_error *error) {
    const reel_status status = path_of_config_beside(out, path, error);
    if (status == REEL_OK && access(out, F_OK) != 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: no configuration in its metadata and no all_config.yaml beside it; "
                         "name one with --config",
                         path);
    return status;
}

static reel_status load_config(model_file *f, const reel_safetensors *file, const char *config_path,
                               int argument_count, char *const *arguments, reel_error *error) {
    char beside[PATH_MAX];
    const char *const text = config_path ? NULL : reel_safetensors_metadata(file, "config");
    if (text)
        return train_config_parse(&f->config, f->path, text, strlen(text), argument_count, arguments, error);
    if (!config_path) {
        const reel_status status = config_beside(beside, f->path, error);
        if (status != REEL_OK)
            return status;
        config_path = beside;
    }
    return train_config_load(&f->config, config_path, argument_count, arguments, error);
}

/* ---- the file ---------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* Tokens of the sequence, the puzzle's own among them: the width of a layer that mixes tokens, or the number
 * of learned positions. 0 where attention over rotary positions takes any sequence. */
static int64_t count_tokens(const reel_safetensors *file) {
    for (int64_t i = 0; i < reel_safetensors_count(file); i++) {
        const reel_safetensors_entry *const entry = reel_safetensors_at(file, i);
        if (entry->rank == 2 && ends_with(entry->name, ".mlp_t.gate_up_proj.weight"))
            return entry->shape[1];
        if (entry->rank == 2 && ends_with(entry->name, ".embed_pos.embedding_weight"))
            return entry->shape[0];
    }
    return 0;
}

/* At most the bytes of the file. */
static int64_t count_elements(const reel_safetensors *file) {
    int64_t elements = 0;
    for (int64_t i = 0; i < reel_safetensors_count(file); i++) {
        const reel_safetensors_entry *const entry = reel_safetensors_at(file, i);
        int64_t of_entry = 1;
        for (int axis = 0; axis < entry->rank; axis++)
            of_entry *= entry->shape[axis];
        elements += of_entry;
    }
    return elements;
}

static const char token_embeddings[] = "inner.embed_tokens.embedding_weight";

static reel_status read_sizes(model_file *f, const reel_safetensors *file, reel_error *error) {
    const reel_safetensors_entry *const tokens = reel_safetensors_find(file, token_embeddings);
    const reel_safetensors_entry *const puzzles = reel_safetensors_find(file, "inner.puzzle_emb.weights");
    if (!tokens || tokens->rank != 2)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: no weights of a recursive model: the matrix %s is missing", f->path,
                         token_embeddings);
    f->vocab_size = tokens->shape[0];
    f->hidden_size = tokens->shape[1];
    f->num_puzzle_identifiers = puzzles && puzzles->rank == 2 ? puzzles->shape[0] : 1;

    const reel_model_config config = train_config_model(&f->config);
    const int64_t sequence = count_tokens(file), of_puzzle = reel_model_config_puzzle_tokens(&config);
    if (sequence > 0 && sequence <= of_puzzle)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: made for sequences of %" PRId64
                         " tokens, of which arch.puzzle_emb_len takes %" PRId64,
                         f->path, sequence, of_puzzle);
    f->seq_len = sequence > 0 ? sequence - of_puzzle : 0;
    f->elements = count_elements(file);
    return REEL_OK;
}

static int64_t read_step(const reel_safetensors *file) {
    const char *const text = reel_safetensors_metadata(file, "step");
    int64_t step;
    return text && sscanf(text, "%" SCNd64, &step) == 1 && step >= 0 ? step : -1;
}

reel_status model_file_open(model_file *f, const char *path, const char *config_path, int argument_count,
                            char *const *arguments, reel_error *error) {
    *f = (model_file){.path = path};
    reel_safetensors *file = NULL;
    reel_status status = checkpoint_open(&file, path, error);
    if (status == REEL_OK)
        status = load_config(f, file, config_path, argument_count, arguments, error);
    if (status == REEL_OK)
        status = read_sizes(f, file, error);
    if (status == REEL_OK)
        f->step = read_step(file);
    reel_safetensors_close(file);
    return status;
}

void model_file_close(model_file *file) {
    train_config_free(&file->config);
}

/* ---- the model --------------------------------------------------------------------------------------- */

reel_status model_context_new(reel_context **ctx, const train_config *config, reel_error *error) {
    const reel_context_options options = {
        .device = config->device == CONFIG_DEVICE_CUDA ? REEL_CUDA : REEL_CPU,
        .threads = (int)config->threads,
        .seed = (uint64_t)config->seed,
    };
    return reel_context_new(ctx, &options, error);
}

reel_status model_file_context(reel_context **ctx, const model_file *file, reel_error *error) {
    const char *const choices = file->config.gemm_choices;
    const reel_status status = model_context_new(ctx, &file->config, error);
    return status == REEL_OK && choices && reel_context_device(*ctx) != REEL_CPU
               ? gemm_file_read(*ctx, choices, error)
               : status;
}

/* Whether the file can hold what the model needs, a puzzle's embedding among it: its configuration may claim
 * any size, and memory is taken before the first tensor is loaded. */
static reel_status check_claims(reel_context *ctx, const model_file *file, const reel_model_config *config,
                                reel_error *error) {
    if (config->hidden_size != file->hidden_size)
        return reel_fail(error, REEL_ERROR_SHAPE,
                         "%s: tensor %s has shape [%" PRId64 ", %" PRId64 "], arch.hidden_size is %" PRId64,
                         file->path, token_embeddings, file->vocab_size, file->hidden_size,
                         config->hidden_size);
    const int64_t needed = reel_model_config_elements(ctx, config);
    if (needed < 0)
        return reel_fail(error, reel_context_status(ctx), "%s: %s", file->path, reel_context_message(ctx));
    if (needed <= file->elements && config->puzzle_emb_ndim <= file->elements)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_SHAPE,
                     "%s: its configuration makes a model of %" PRId64
                     " weights and puzzle embeddings of %" PRId64 " numbers, the file has %" PRId64 " in all",
                     file->path, needed, config->puzzle_emb_ndim, file->elements);
}

reel_status model_file_load(reel_model **model, reel_context *ctx, const model_file *file, model_sizes sizes,
                            reel_error *error) {
    const reel_model_config config = model_config_of(&file->config, sizes);
    *model = NULL;
    const reel_status status = check_claims(ctx, file, &config, error);
    if (status != REEL_OK)
        return status;
    *model = reel_model_new(ctx, &config);
    if (!*model)
        return reel_fail(error, reel_context_status(ctx), "%s: %s", file->path, reel_context_message(ctx));
    return checkpoint_load(ctx, *model, file->path, error);
}
