/* A folder in the published layout as a source. */
#include "dataset_source.h"

#include <reel/folders.h>
#include <reel/puzzle_folder.h>

#include <stdlib.h>
#include <string.h>

typedef struct folder_source {
    reel__source head;
    reel_folder *folder;
    int64_t most_puzzles; /* that a group shows: num_aug + 1 */
} folder_source;

static const folder_source *as_folder(const reel__source *source) {
    return (const folder_source *)source;
}

static const reel_folder_set *set_of(const reel__source *source, int set) {
    return &as_folder(source)->folder->sets[set];
}

static void free_folder(reel__source *source) {
    folder_source *const self = (folder_source *)source;
    reel_folder_close(self->folder);
    free((void *)(uintptr_t)self->head.sets);
    free(self);
}

static reel__span group_of_folder(const reel__source *source, int set, int64_t group) {
    const int64_t *const at = set_of(source, set)->group_indices + group;
    const int64_t count = at[1] - at[0], most = as_folder(source)->most_puzzles;
    return (reel__span){at[0], count < most ? count : most};
}

static reel__puzzle puzzle_of_folder(const reel__source *source, int set, int64_t puzzle) {
    const reel_folder_set *const s = set_of(source, set);
    const int64_t *const at = s->puzzle_indices + puzzle;
    return (reel__puzzle){{at[0], at[1] - at[0]}, s->puzzle_identifiers[puzzle]};
}

/* Copies one row of tokens; bytes, the usual ones, in a loop of their own. */
static void copy_row(const reel_npy *array, int64_t row, int64_t count, int32_t *out) {
    const int64_t first = row * count;
    if (array->type == REEL_NPY_U8) {
        const uint8_t *const bytes = (const uint8_t *)array->data + first;
        for (int64_t i = 0; i < count; i++)
            out[i] = bytes[i];
        return;
    }
    for (int64_t i = 0; i < count; i++)
        out[i] = (int32_t)reel_npy_integer(array, first + i);
}

static void write_folder(const reel__source *source, int set, int64_t puzzle, int64_t example,
                         reel_random *random, int32_t *inputs, int32_t *labels) {
    (void)random;
    const reel_folder_set *const s = set_of(source, set);
    const int64_t row = s->puzzle_indices[puzzle] + example;
    const int64_t ignored = as_folder(source)->folder->metadata.ignore_label_id;
    copy_row(s->inputs, row, source->seq_len, inputs);
    copy_row(s->labels, row, source->seq_len, labels);
    for (int64_t i = 0; i < source->seq_len; i++)
        labels[i] = labels[i] == ignored ? REEL_BATCH_LABEL_IGNORED : labels[i];
}

static const reel__source_kind folder_kind = {
    .free = free_folder,
    .group = group_of_folder,
    .puzzle = puzzle_of_folder,
    .write = write_folder,
};

/* DIR/train or DIR/test; or DIR itself where that is a split. */
static char *split_path(const reel__source_request *request) {
    if (reel_folder_is_split(request->spec))
        return strdup(request->spec);
    return reel_path_in(request->spec, request->split == REEL_SPLIT_TRAIN ? "train" : "test");
}

static reel_status wrap_folder(reel__source **out, reel_folder *folder, int64_t most_puzzles,
                               reel_error *error) {
    const reel_folder_metadata *const m = &folder->metadata;
    folder_source *const self = calloc(1, sizeof *self);
    reel__source_set *const sets = calloc((size_t)folder->set_count, sizeof *sets);
    if (self == NULL || sets == NULL) {
        free(self);
        free(sets);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for a data set", folder->path);
    }
    for (int i = 0; i < folder->set_count; i++) {
        const reel_folder_set *const s = &folder->sets[i];
        sets[i] = (reel__source_set){s->name, s->groups, s->puzzles, s->examples};
    }
    *self = (folder_source){
        .head = {.kind = &folder_kind,
                 .seq_len = m->seq_len,
                 .vocab_size = m->vocab_size,
                 .pad_id = m->pad_id,
                 .num_puzzle_identifiers = m->num_puzzle_identifiers,
                 .mean_puzzle_examples = m->mean_puzzle_examples,
                 .total_puzzles = m->total_puzzles,
                 .set_count = folder->set_count,
                 .sets = sets},
        .folder = folder,
        .most_puzzles = most_puzzles,
    };
    *out = &self->head;
    return REEL_OK;
}

reel_status reel__open_folder_source(reel__source **source, const reel__source_request *request,
                                     reel_error *error) {
    char *const path = split_path(request);
    if (path == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for a data set", request->spec);
    const int64_t num_aug = request->options->num_aug;
    const int shows_all = num_aug == REEL_AUG_DEFAULT || request->split == REEL_SPLIT_TEST;
    reel_folder *folder;
    reel_status status = reel_folder_open(&folder, path, error);
    free(path);
    if (status != REEL_OK)
        return status;
    if (folder->metadata.blank_identifier_id != 0)
        status = reel_fail(error, REEL_ERROR_FORMAT, "%s/dataset.json: blank_identifier_id is %lld, not 0",
                           folder->path, (long long)folder->metadata.blank_identifier_id);
    if (status == REEL_OK)
        status = wrap_folder(source, folder, shows_all ? INT64_MAX : num_aug + 1, error);
    if (status != REEL_OK)
        reel_folder_close(folder);
    return status;
}
