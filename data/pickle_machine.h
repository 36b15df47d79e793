/* What a pickle leaves behind: values, for pickle.c to find the tensors in. */
#ifndef REEL_DATA_PICKLE_MACHINE_H
#define REEL_DATA_PICKLE_MACHINE_H

#include "pickle.h"

#include <stddef.h>
#include <stdint.h>

typedef enum pickle_kind {
    PICKLE_MARK, /* on the stack alone */
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_NUMBER, /* a float, or an integer beyond 64 bits: never looked at */
    PICKLE_TEXT,
    PICKLE_GLOBAL,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT, /* items: key, value, key, value ... */
    PICKLE_STORAGE,
    PICKLE_TENSOR,
} pickle_kind;

typedef struct pickle_value {
    pickle_kind kind;
    uint32_t length; /* of a text */
    union {
        int64_t integer;  /* INT, BOOL */
        const char *text; /* within the pickle, ends without a zero */
        size_t index;     /* of a GLOBAL in the list of known ones; else into the machine's arrays */
    };
} pickle_value;

/* The values of a tuple, list or dictionary, and every other row of values. */
typedef struct pickle_items {
    pickle_value *at;
    size_t count, room;
} pickle_items;

typedef struct pickle_storage {
    reel_file_dtype dtype;
    pickle_value name; /* TEXT */
    int64_t elements;
} pickle_storage;

typedef struct pickle_machine {
    const char *path; /* in errors */
    const unsigned char *begin, *at, *end;
    const unsigned char *opcode; /* the one that runs */
    int is_done;
    reel_error *error;
    pickle_items stack, memo;
    pickle_items *containers;
    size_t container_count, container_room;
    pickle_storage *storages;
    size_t storage_count, storage_room;
    reel__pickle_tensor *tensors; /* without names */
    size_t tensor_count, tensor_room;
} pickle_machine;

/* Runs a pickle to its end; the value that it makes is then stack.at[0]. */
reel_status reel__pickle_run(pickle_machine *m);

/* Frees what the machine holds, after an error too. */
void reel__pickle_machine_free(pickle_machine *m);

/* Room for one more in an array that doubles; 0 without memory. */
int reel__pickle_reserve(void **array, size_t count, size_t *room, size_t element_bytes);

/* Fails with "PATH: data.pkl, byte N: opcode NAME: WHAT". */
reel_status reel__pickle_refuse(const pickle_machine *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* REDUCE: `function` applied to the items of a tuple (pickle_torch.c). */
reel_status reel__pickle_apply(pickle_machine *m, pickle_value function, const pickle_items *arguments,
                               pickle_value *result);

/* BINPERSID: the storage that the items of a tuple describe. */
reel_status reel__pickle_storage(pickle_machine *m, const pickle_items *id, pickle_value *result);

/* GLOBAL: the name if it is one of those that tensors need. */
reel_status reel__pickle_global(const pickle_machine *m, const char *module, size_t module_length,
                                const char *name, size_t name_length, pickle_value *result);

/* A new dictionary, tuple or list without items. */
reel_status reel__pickle_container(pickle_machine *m, pickle_kind kind, pickle_value *result);

#endif
