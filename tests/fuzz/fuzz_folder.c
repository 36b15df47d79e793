/* Data sets in the published layout: dataset.json, identifiers.json and the arrays of the set "all". */
#include "fuzz.h"

#include <reel/puzzle_folder.h>

#include <stdlib.h>
#include <string.h>

static const char *const files[] = {
    "data/train/dataset.json",
    "data/identifiers.json",
    "data/train/all__inputs.npy",
    "data/train/all__labels.npy",
    "data/train/all__puzzle_identifiers.npy",
    "data/train/all__puzzle_indices.npy",
    "data/train/all__group_indices.npy",
};

/* ---- identifiers ------------------------------------------------------------------------------------- */

static void read_identifiers(void) {
    reel_names *names, *again;
    reel_error error = {0};
    const reel_status status = reel_folder_read_identifiers(fuzz_path("data"), &names, &error);
    FUZZ_REQUIRE((status == REEL_OK) == (names != NULL));
    if (status != REEL_OK) {
        fuzz_check_refusal(status, &error);
        return;
    }
    const char *const copy = fuzz_path("copy");
    fuzz_write("copy/identifiers.json", "", 0);
    FUZZ_REQUIRE(reel_folder_write_identifiers(copy, (const char *const *)names->items, names->count, NULL) ==
                 REEL_OK);
    FUZZ_REQUIRE(reel_folder_read_identifiers(copy, &again, NULL) == REEL_OK);
    FUZZ_REQUIRE(again->count == names->count);
    for (int64_t i = 0; i < names->count; i++)
        FUZZ_REQUIRE(strcmp(names->items[i], again->items[i]) == 0);
    reel_names_free(names);
    reel_names_free(again);
}

/* ---- a split ----------------------------------------------------------------------------------------- */

static void check_indices(const int64_t *indices, int64_t count, int64_t total) {
    FUZZ_REQUIRE(indices[0] == 0 && indices[count] == total);
    for (int64_t i = 0; i < count; i++)
        FUZZ_REQUIRE(indices[i] <= indices[i + 1]);
}

static void check_set(const reel_folder_metadata *m, const reel_folder_set *set) {
    check_indices(set->puzzle_indices, set->puzzles, set->examples);
    check_indices(set->group_indices, set->groups, set->puzzles);
    for (int64_t i = 0; i < set->puzzles; i++)
        FUZZ_REQUIRE(set->puzzle_identifiers[i] >= 0 &&
                     set->puzzle_identifiers[i] < m->num_puzzle_identifiers);
    FUZZ_REQUIRE(set->inputs->count == set->examples * m->seq_len);
    FUZZ_REQUIRE(set->labels->count == set->inputs->count);
    for (int64_t i = 0; i < set->inputs->count; i++) {
        const int64_t input = reel_npy_integer(set->inputs, i), label = reel_npy_integer(set->labels, i);
        FUZZ_REQUIRE(input >= 0 && input < m->vocab_size);
        FUZZ_REQUIRE((label >= 0 && label < m->vocab_size) || label == m->ignore_label_id);
    }
}

/* Tokens as the bytes that the writer takes. */
static uint8_t *bytes_of(const reel_npy *tokens) {
    uint8_t *const bytes = malloc((size_t)tokens->count + 1);
    FUZZ_REQUIRE(bytes != NULL);
    for (int64_t i = 0; i < tokens->count; i++)
        bytes[i] = (uint8_t)reel_npy_integer(tokens, i);
    return bytes;
}

/* Writes a set whose tokens are bytes and reads it again. */
static void check_copy(const reel_folder_metadata *m, const reel_folder_set *set) {
    if (m->vocab_size > UINT8_MAX + 1 || (m->ignore_label_id < 0 || m->ignore_label_id > UINT8_MAX))
        return;
    const char *const path = fuzz_path("copy/train");
    reel_folder_writer *writer;
    uint8_t *const inputs = bytes_of(set->inputs), *const labels = bytes_of(set->labels);
    FUZZ_REQUIRE(reel_folder_create(&writer, path, set->name, m->seq_len, NULL) == REEL_OK);
    for (int64_t g = 0; g < set->groups; g++) {
        for (int64_t p = set->group_indices[g]; p < set->group_indices[g + 1]; p++) {
            const int64_t first = set->puzzle_indices[p], count = set->puzzle_indices[p + 1] - first;
            reel_folder_add_examples(writer, count, inputs + first * m->seq_len, labels + first * m->seq_len);
            reel_folder_end_puzzle(writer, set->puzzle_identifiers[p]);
        }
        reel_folder_end_group(writer);
    }
    free(inputs);
    free(labels);
    reel_folder *copy;
    if (set->examples == 0) { /* a mean of no examples per puzzle, which no reader takes */
        reel_folder_discard(writer);
        return;
    }
    FUZZ_REQUIRE(reel_folder_commit(writer, m, NULL) == REEL_OK);
    FUZZ_REQUIRE(reel_folder_open(&copy, path, NULL) == REEL_OK);
    FUZZ_REQUIRE(copy->set_count == 1 && copy->sets[0].examples == set->examples);
    FUZZ_REQUIRE(copy->sets[0].groups == set->groups && copy->sets[0].puzzles == set->puzzles);
    for (int64_t i = 0; i < set->inputs->count; i++) {
        FUZZ_REQUIRE(reel_npy_integer(copy->sets[0].inputs, i) == reel_npy_integer(set->inputs, i));
        FUZZ_REQUIRE(reel_npy_integer(copy->sets[0].labels, i) == reel_npy_integer(set->labels, i));
    }
    reel_folder_close(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_parts parts = fuzz_split(data, size);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        fuzz_write(files[i], parts.bytes[i], parts.size[i]);
    fuzz_parts_free(&parts);
    read_identifiers();
    reel_folder *folder;
    reel_error error = {0};
    const reel_status status = reel_folder_open(&folder, fuzz_path("data/train"), &error);
    FUZZ_REQUIRE((status == REEL_OK) == (folder != NULL));
    if (status != REEL_OK) {
        fuzz_check_refusal(status, &error);
        return 0;
    }
    for (int i = 0; i < folder->set_count; i++)
        check_set(&folder->metadata, &folder->sets[i]);
    if (folder->set_count == 1)
        check_copy(&folder->metadata, &folder->sets[0]);
    reel_folder_close(folder);
    return 0;
}
