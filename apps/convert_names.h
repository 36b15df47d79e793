/* Which tensors of a checkpoint are converted, and under which names. */
#ifndef CONVERT_NAMES_H
#define CONVERT_NAMES_H

#include "tensor_file.h"

typedef struct convert_names {
    const char *select; /* only tensors whose names begin so; NULL: those of the model, or all */
    const char *prefix; /* put in front of the names; NULL: nothing */

    int64_t count;
    reel_file_tensor *tensors; /* with their new names, in the order of the file */
    int64_t *sources;          /* their numbers in the file */
    char **names;
    int64_t outside;   /* tensors that do not belong to the model */
    char *model_place; /* "model_state_dict.": what the names of those that do begin with, or "" */
    int64_t helpers;   /* tensors that the published classes fill by themselves */
} convert_names;

/* Chooses and names the tensors.
 *
 * "_orig_mod." and "model." in front of a name go away, as often as they stand there: the one comes from
 * torch.compile, the other from the loss head. Where a checkpoint holds more than a model, as
 * {"model_state_dict": ..., "optimizer_state_dict": ...} does, the model is what stands beside
 * inner.embed_tokens.embedding_weight, the rest is left out; two of it are refused, and `select` says which.
 * Buffers that are computed anew (rotary tables, the copied rows of puzzle embeddings) are left out.
 * *n is freed by convert_names_free, after an error too. */
reel_status convert_names_choose(convert_names *n, const tensor_file *file, reel_error *error);
void convert_names_free(convert_names *n);

#endif
