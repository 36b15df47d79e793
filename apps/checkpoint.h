/* Weights in a file: step_N.safetensors.
 *
 * It holds the trained parameters (their moving average where one is kept, which is what evaluations measure)
 * and the initial latent states and puzzle embeddings, under the published names ("inner.lm_head.weight"),
 * and in its metadata the whole configuration as JSON ("config"), the number of steps ("step") and what this
 * layout is called ("format"). */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include "trainer.h"

#include <reel/safetensors.h>

/* Writes the weights to `path`, whole or not at all. Weights that are not finite are refused with
 * REEL_ERROR_NOT_FINITE, so that no file of such ever replaces or joins a good one. */
reel_status checkpoint_save(trainer *t, const char *path, reel_error *error);

/* REEL_ERROR_NOT_FINITE for a tensor that holds infinities or NaN, or why it cannot be looked at; only f32
 * and f64 are, of which all is that is trained. */
reel_status checkpoint_check(reel_context *ctx, const reel_named_tensor *items, int64_t count,
                             const char *path, reel_error *error);

/* Reads weights written by checkpoint_save, or any file with the same tensors. A tensor that is missing, that
 * the model does not have or that has another shape is refused by name. Puzzle embeddings of another number
 * of puzzles become the mean of their rows, as published (pretrain.py, load_checkpoint). */
reel_status checkpoint_load(reel_context *ctx, reel_model *model, const char *path, reel_error *error);

/* Opens a file of weights. One of PyTorch is refused with the advice to convert it. */
reel_status checkpoint_open(reel_safetensors **file, const char *path, reel_error *error);

#endif
