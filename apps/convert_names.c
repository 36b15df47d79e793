#include "convert_names.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char model_mark[] = "inner.embed_tokens.embedding_weight";

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The name behind "_orig_mod." and "model.", as often as they stand there. */
static const char *skip_wrappers(const char *name) {
    static const char *const wrappers[] = {"_orig_mod.", "model."};
    const char *before;
    do {
        before = name;
        for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++)
            if (starts_with(name, wrappers[i]))
                name += strlen(wrappers[i]);
    } while (name != before);
    return name;
}

/* Whether the published classes compute it when they are built, and older versions save it all the same. */
static bool is_helper(const char *name) {
    static const char *const helpers[] = {"rotary_emb.cos_cached", "rotary_emb.sin_cached",
                                          "rotary_emb.inv_freq", "puzzle_emb.local_weights",
                                          "puzzle_emb.local_ids"};
    for (size_t i = 0; i < sizeof helpers / sizeof helpers[0]; i++)
        if (ends_with(name, helpers[i]))
            return true;
    return false;
}

/* Whether this is the tensor that every model has. */
static bool is_mark(const char *name) {
    const size_t length = strlen(name), tail = strlen(model_mark);
    return ends_with(name, model_mark) && (length == tail || name[length - tail - 1] == '.');
}

/* Finds what the names of the model's tensors begin with: "" where there is no model, or nothing else. */
static reel_status find_model(convert_names *n, const tensor_file *file, reel_error *error) {
    const char *found = NULL;
    for (int64_t i = 0; i < file->count; i++) {
        const char *const name = file->tensors[i].name;
        if (!is_mark(name))
            continue;
        if (found)
            return reel_fail(error, REEL_ERROR_ARGUMENT,
                             "%s: holds two models, %.100s and %.100s; --select PREFIX says which",
                             file->path, found, name);
        found = name;
    }
    const char *const begin = found ? skip_wrappers(found) : "";
    const size_t length = found ? strlen(begin) - strlen(model_mark) : 0;
    n->model_place = found ? strndup(found, (size_t)(begin - found) + length) : strdup("");
    if (n->model_place && length == 0) /* wrappers alone: what has none stays, too */
        n->model_place[0] = '\0';
    return n->model_place ? REEL_OK : reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left", file->path);
}

static reel_status add(convert_names *n, const tensor_file *file, int64_t i, const char *name,
                       reel_error *error) {
    char *renamed;
    if (asprintf(&renamed, "%s%s", n->prefix ? n->prefix : "", name) < 0)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left", file->path);
    n->names[n->count] = renamed;
    n->sources[n->count] = i;
    n->tensors[n->count] = file->tensors[i];
    n->tensors[n->count].name = renamed;
    n->count++;
    return REEL_OK;
}

reel_status convert_names_choose(convert_names *n, const tensor_file *file, reel_error *error) {
    const size_t room = (size_t)file->count + 1;
    n->tensors = calloc(room, sizeof *n->tensors);
    n->sources = calloc(room, sizeof *n->sources);
    n->names = calloc(room, sizeof *n->names);
    if (!n->tensors || !n->sources || !n->names)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left", file->path);
    reel_status status = REEL_OK;
    if (!n->select)
        status = find_model(n, file, error);
    const char *const place = n->select ? n->select : n->model_place;
    for (int64_t i = 0; status == REEL_OK && i < file->count; i++) {
        const char *const name = file->tensors[i].name;
        if (!starts_with(name, place)) {
            n->outside++;
        } else if (is_helper(name)) {
            n->helpers++;
        } else {
            status = add(n, file, i, skip_wrappers(name + strlen(place)), error);
        }
    }
    if (status == REEL_OK && n->select && n->count == 0)
        status = reel_fail(error, REEL_ERROR_ARGUMENT, "%s: --select %.100s: no tensor's name begins so",
                           file->path, n->select);
    return status;
}

void convert_names_free(convert_names *n) {
    for (int64_t i = 0; i < n->count; i++)
        free(n->names[i]);
    free(n->names);
    free(n->sources);
    free(n->tensors);
    free(n->model_place);
}
