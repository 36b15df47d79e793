/* Finds the tensors in what a pickle made, and their names. */
#include "pickle.h"

#include "pickle_machine.h"
#include "safetensors_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_VISITS = 1 << 22,      /* of containers that hold one another over and over */
    MAX_NAME_BYTES = 16 << 20, /* all names together, as a safetensors header could still hold */
};

/* A container whose items are being looked at. */
typedef struct level {
    pickle_value container;
    size_t next;        /* item, or key of a dictionary */
    size_t name_length; /* of the container itself */
} level;

typedef struct walk {
    const pickle_machine *machine;
    reel__pickle *found;
    size_t room;
    level levels[REEL__PICKLE_MAX_DEPTH];
    int depth;
    int64_t visits;
    size_t name_bytes;
    size_t name_length;
    char name[REEL__PICKLE_MAX_NAME + 1];
} walk;

static reel_status refuse(const walk *w, const char *what) {
    return reel_fail(w->machine->error, REEL_ERROR_FORMAT, "%s: data.pkl: %s", w->machine->path, what);
}

static reel_status no_memory(const walk *w) {
    return reel_fail(w->machine->error, REEL_ERROR_MEMORY, "%s: no memory to read data.pkl",
                     w->machine->path);
}

/* Makes the name that of an entry of the container whose name has `outer` bytes. */
static reel_status extend_name(walk *w, size_t outer, const char *key, size_t length) {
    const size_t dot = outer > 0;
    if (length > REEL__PICKLE_MAX_NAME || outer + dot + length > REEL__PICKLE_MAX_NAME)
        return refuse(w, "a tensor's name is longer than 1000 bytes");
    if (memchr(key, '\0', length) != NULL)
        return refuse(w, "a tensor's name has a zero character");
    w->name[outer] = '.';
    memcpy(w->name + outer + dot, key, length);
    w->name_length = outer + dot + length;
    w->name[w->name_length] = '\0';
    return REEL_OK;
}

static reel_status name_by_key(walk *w, size_t outer, pickle_value key) {
    char digits[24];
    if (key.kind == PICKLE_TEXT)
        return extend_name(w, outer, key.text, key.length);
    if (key.kind != PICKLE_INT)
        return refuse(w, "a tensor below a key that is neither text nor a whole number");
    return extend_name(w, outer, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, key.integer));
}

static reel_status add_tensor(walk *w, pickle_value value) {
    if (w->name_length == 0) { /* all there is, or under an empty key */
        const reel_status status = w->depth == 0 ? extend_name(w, 0, "tensor", strlen("tensor")) : REEL_OK;
        if (status != REEL_OK)
            return status;
    }
    if (!reel__is_utf8(w->name, w->name_length) || !reel__is_tensor_name(w->name))
        return refuse(w, "a tensor's name is empty, reserved, not UTF-8 or has control characters");
    w->name_bytes += w->name_length;
    if (w->found->count == REEL__PICKLE_MAX_TENSORS || w->name_bytes > MAX_NAME_BYTES)
        return refuse(w, "more tensors, or longer names, than any checkpoint has");
    void *array = w->found->tensors;
    const int fits =
        reel__pickle_reserve(&array, (size_t)w->found->count, &w->room, sizeof *w->found->tensors);
    w->found->tensors = array;
    char *const name = strdup(w->name);
    if (!fits || name == NULL) {
        free(name);
        return no_memory(w);
    }
    reel__pickle_tensor *const tensor = &w->found->tensors[w->found->count++];
    *tensor = w->machine->tensors[value.index];
    tensor->name = name;
    return REEL_OK;
}

static int is_container(pickle_value value) {
    return value.kind == PICKLE_DICT || value.kind == PICKLE_LIST || value.kind == PICKLE_TUPLE;
}

/* A value whose name stands in w->name: a tensor is added, a container entered. */
static reel_status visit(walk *w, pickle_value value) {
    if (value.kind == PICKLE_TENSOR)
        return add_tensor(w, value);
    if (value.kind == PICKLE_STORAGE)
        return refuse(w, "a storage that is no tensor's");
    if (!is_container(value) || w->machine->containers[value.index].count == 0)
        return REEL_OK;
    if (w->depth == REEL__PICKLE_MAX_DEPTH)
        return refuse(w, "dictionaries and lists are nested too deeply");
    w->levels[w->depth++] = (level){.container = value, .name_length = w->name_length};
    return REEL_OK;
}

/* The next item of the innermost container, or the way out of it. */
static reel_status advance(walk *w) {
    level *const here = &w->levels[w->depth - 1];
    const pickle_items *const items = &w->machine->containers[here->container.index];
    if (here->next == items->count) {
        w->depth--;
        return REEL_OK;
    }
    if (w->visits++ == MAX_VISITS)
        return refuse(w, "the same lists and dictionaries stand in too many places");
    const int is_dict = here->container.kind == PICKLE_DICT;
    const pickle_value key =
        is_dict ? items->at[here->next] : (pickle_value){.kind = PICKLE_INT, .integer = (int64_t)here->next};
    const pickle_value value = items->at[here->next + (is_dict ? 1 : 0)];
    here->next += is_dict ? 2 : 1;
    if (!is_container(value) && value.kind != PICKLE_TENSOR)
        return visit(w, value);
    const reel_status status = name_by_key(w, here->name_length, key);
    return status == REEL_OK ? visit(w, value) : status;
}

static reel_status find_tensors(const pickle_machine *m, reel__pickle *found) {
    walk *const w = calloc(1, sizeof *w);
    if (w == NULL)
        return reel_fail(m->error, REEL_ERROR_MEMORY, "%s: no memory to read data.pkl", m->path);
    w->machine = m;
    w->found = found;
    reel_status status = visit(w, m->stack.at[0]);
    while (status == REEL_OK && w->depth > 0)
        status = advance(w);
    free(w);
    return status;
}

reel_status reel__pickle_read(reel__pickle *pickle, const char *path, const void *bytes, size_t size,
                              reel_error *error) {
    *pickle = (reel__pickle){0};
    if (size > REEL__PICKLE_MAX_BYTES)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: data.pkl has %zu bytes (at most %d)", path, size,
                         REEL__PICKLE_MAX_BYTES);
    const unsigned char *const begin = bytes;
    pickle_machine machine = {.path = path, .begin = begin, .at = begin, .end = begin + size, .error = error};
    reel_status status = reel__pickle_run(&machine);
    if (status == REEL_OK)
        status = find_tensors(&machine, pickle);
    reel__pickle_machine_free(&machine);
    if (status != REEL_OK)
        reel__pickle_free(pickle);
    return status;
}

void reel__pickle_free(reel__pickle *pickle) {
    for (int64_t i = 0; i < pickle->count; i++)
        free(pickle->tensors[i].name);
    free(pickle->tensors);
    *pickle = (reel__pickle){0};
}
