#include "json_file.h"

#include <reel/atomic_file.h>
#include <reel/folders.h>
#include <reel/puzzle_folder.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INPUTS, LABELS, PUZZLE_IDENTIFIERS, PUZZLE_INDICES, GROUP_INDICES, ARRAYS };

struct reel_folder_writer {
    char *path, *set;
    int64_t seq_len;
    int64_t groups, puzzles, examples;
    reel_error fault; /* the first one that the arrays themselves do not keep */
    reel_npy_writer *arrays[ARRAYS];
};

static void append_index(reel_folder_writer *w, int array, int64_t value) {
    const int32_t index = (int32_t)value;
    if (index != value)
        reel_fail(&w->fault, REEL_ERROR_ARGUMENT, "%s: %lld does not fit into 32 bits, as indices must",
                  w->path, (long long)value);
    reel_npy_append(w->arrays[array], &index, 1);
}

reel_status reel_folder_create(reel_folder_writer **out, const char *path, const char *set, int64_t seq_len,
                               reel_error *error) {
    static const struct {
        const char *part;
        reel_npy_type type;
        int rank;
    } parts[ARRAYS] = {
        [INPUTS] = {"inputs", REEL_NPY_U8, 2},
        [LABELS] = {"labels", REEL_NPY_U8, 2},
        [PUZZLE_IDENTIFIERS] = {"puzzle_identifiers", REEL_NPY_I32, 1},
        [PUZZLE_INDICES] = {"puzzle_indices", REEL_NPY_I32, 1},
        [GROUP_INDICES] = {"group_indices", REEL_NPY_I32, 1},
    };
    *out = NULL;
    reel_status status = reel_make_folders(path, NULL, error);
    if (status != REEL_OK)
        return status;
    reel_folder_writer *const w = calloc(1, sizeof *w);
    if (w == NULL || (w->path = strdup(path)) == NULL || (w->set = strdup(set)) == NULL) {
        reel_folder_discard(w);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a data set", path);
    }
    w->seq_len = seq_len;
    for (int i = 0; status == REEL_OK && i < ARRAYS; i++) {
        char file[4096];
        const int length = snprintf(file, sizeof file, "%s/%s__%s.npy", path, set, parts[i].part);
        status = (size_t)length < sizeof file
                     ? reel_npy_create(&w->arrays[i], file, parts[i].type, parts[i].rank,
                                       (const int64_t[]){-1, seq_len}, error)
                     : reel_fail(error, REEL_ERROR_ARGUMENT, "%s: the path is too long", path);
    }
    if (status != REEL_OK) {
        reel_folder_discard(w);
        return status;
    }
    append_index(w, PUZZLE_INDICES, 0);
    append_index(w, GROUP_INDICES, 0);
    *out = w;
    return REEL_OK;
}

void reel_folder_add_examples(reel_folder_writer *w, int64_t count, const uint8_t *inputs,
                              const uint8_t *labels) {
    reel_npy_append(w->arrays[INPUTS], inputs, count * w->seq_len);
    reel_npy_append(w->arrays[LABELS], labels, count * w->seq_len);
    w->examples += count;
}

void reel_folder_end_puzzle(reel_folder_writer *w, int64_t identifier) {
    append_index(w, PUZZLE_IDENTIFIERS, identifier);
    append_index(w, PUZZLE_INDICES, w->examples);
    w->puzzles++;
}

void reel_folder_end_group(reel_folder_writer *w) {
    append_index(w, GROUP_INDICES, w->puzzles);
    w->groups++;
}

int64_t reel_folder_groups(const reel_folder_writer *w) {
    return w->groups;
}

int64_t reel_folder_puzzles(const reel_folder_writer *w) {
    return w->puzzles;
}

int64_t reel_folder_examples(const reel_folder_writer *w) {
    return w->examples;
}

/* ---- text -------------------------------------------------------------------------------------------- */

enum { NUMBER_BYTES = 32 };

/* The shortest decimal that reads back as the same number, and is no integer to Python. */
static const char *decimal(double value, char text[static NUMBER_BYTES]) {
    enum { FEWEST_DIGITS = 15, ENOUGH_DIGITS = 17 };
    for (int digits = FEWEST_DIGITS; digits <= ENOUGH_DIGITS; digits++) {
        snprintf(text, NUMBER_BYTES, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    if (strpbrk(text, ".e") == NULL)
        strcat(text, ".0");
    return text;
}

/* Begins dataset.json, complete but for its name. */
static reel_status write_metadata(const reel_folder_writer *w, const reel_folder_metadata *m,
                                  reel_atomic_file **file, reel_error *error) {
    char *const path = reel_path_in(w->path, "dataset.json");
    if (path == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a data set", w->path);
    reel_status status = reel_atomic_open(file, path, error);
    free(path);
    if (status != REEL_OK)
        return status;
    char text[1024], ignored[NUMBER_BYTES] = "null", mean[NUMBER_BYTES];
    if (m->ignore_label_id != REEL_NO_IGNORE_LABEL)
        snprintf(ignored, sizeof ignored, "%lld", (long long)m->ignore_label_id);
    const int length =
        snprintf(text, sizeof text,
                 "{\"pad_id\": %lld, \"ignore_label_id\": %s, \"blank_identifier_id\": %lld, \"vocab_size\": "
                 "%lld, \"seq_len\": %lld, \"num_puzzle_identifiers\": %lld, \"total_groups\": %lld, "
                 "\"mean_puzzle_examples\": %s, \"total_puzzles\": %lld, \"sets\": [",
                 (long long)m->pad_id, ignored, (long long)m->blank_identifier_id, (long long)m->vocab_size,
                 (long long)w->seq_len, (long long)m->num_puzzle_identifiers, (long long)w->groups,
                 decimal(m->mean_puzzle_examples, mean), (long long)m->total_puzzles);
    reel_atomic_write(*file, text, (size_t)length);
    reel__json_write_string(*file, w->set);
    reel_atomic_write(*file, "]}", 2);
    return reel_atomic_flush(*file, error);
}

reel_status reel_folder_write_identifiers(const char *folder, const char *const *names, int64_t count,
                                          reel_error *error) {
    char *const path = reel_path_in(folder, "identifiers.json");
    reel_atomic_file *file;
    reel_status status = path == NULL ? reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory", folder)
                                      : reel_atomic_open(&file, path, error);
    free(path);
    if (status != REEL_OK)
        return status;
    reel_atomic_write(file, "[", 1);
    for (int64_t i = 0; i < count; i++) {
        if (i > 0)
            reel_atomic_write(file, ", ", 2);
        reel__json_write_string(file, names[i]);
    }
    reel_atomic_write(file, "]", 1);
    return reel_atomic_commit(file, error);
}

/* ---- ending ------------------------------------------------------------------------------------------ */

/* What is there of an older data set ends here: until all names are taken, the folder is not whole. */
static void remove_metadata(const reel_folder_writer *w) {
    char *const path = reel_path_in(w->path, "dataset.json");
    if (path != NULL)
        unlink(path);
    free(path);
}

reel_status reel_folder_flush(reel_folder_writer *w, reel_error *error) {
    if (w->fault.status != REEL_OK)
        return reel_fail(error, w->fault.status, "%s", w->fault.message);
    reel_status status = REEL_OK;
    for (int i = 0; status == REEL_OK && i < ARRAYS; i++)
        status = reel_npy_flush(w->arrays[i], error);
    return status;
}

reel_status reel_folder_commit(reel_folder_writer *w, const reel_folder_metadata *metadata,
                               reel_error *error) {
    reel_folder_metadata filled = *metadata;
    filled.mean_puzzle_examples = (double)w->examples / (double)(w->puzzles > 0 ? w->puzzles : 1);
    if (filled.total_puzzles == 0)
        filled.total_puzzles = w->puzzles;
    reel_atomic_file *json = NULL;
    reel_status status = reel_folder_flush(w, error);
    if (status == REEL_OK)
        status = write_metadata(w, &filled, &json, error);
    if (status == REEL_OK)
        remove_metadata(w);
    for (int i = 0; status == REEL_OK && i < ARRAYS; i++) {
        status = reel_npy_commit(w->arrays[i], error);
        w->arrays[i] = NULL;
    }
    if (status == REEL_OK)
        status = reel_atomic_commit(json, error);
    else
        reel_atomic_discard(json);
    reel_folder_discard(w);
    return status;
}

void reel_folder_discard(reel_folder_writer *w) {
    if (w == NULL)
        return;
    for (int i = 0; i < ARRAYS; i++)
        reel_npy_discard(w->arrays[i]);
    free(w->path);
    free(w->set);
    free(w);
}
