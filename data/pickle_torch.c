/* The names that a pickle of tensors may mention, and what they mean. */
#include "pickle_machine.h"

#include <stdlib.h>
#include <string.h>

typedef enum meaning { ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, SIZE, STORAGE } meaning;

static const struct {
    const char *module, *name;
    meaning meaning;
    reel_file_dtype dtype; /* of a storage */
} globals[] = {
    {"collections", "OrderedDict", ORDERED_DICT, 0},
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR, 0},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, 0},
    {"torch", "Size", SIZE, 0},
    {"torch", "DoubleStorage", STORAGE, REEL_FILE_F64},
    {"torch", "FloatStorage", STORAGE, REEL_FILE_F32},
    {"torch", "HalfStorage", STORAGE, REEL_FILE_F16},
    {"torch", "BFloat16Storage", STORAGE, REEL_FILE_BF16},
    {"torch", "LongStorage", STORAGE, REEL_FILE_I64},
    {"torch", "IntStorage", STORAGE, REEL_FILE_I32},
    {"torch", "ShortStorage", STORAGE, REEL_FILE_I16},
    {"torch", "CharStorage", STORAGE, REEL_FILE_I8},
    {"torch", "ByteStorage", STORAGE, REEL_FILE_U8},
    {"torch", "BoolStorage", STORAGE, REEL_FILE_BOOL},
};
enum { GLOBALS = sizeof globals / sizeof globals[0] };

static int is_text(const char *text, size_t length, const char *wanted) {
    return strlen(wanted) == length && memcmp(text, wanted, length) == 0;
}

reel_status reel__pickle_global(const pickle_machine *m, const char *module, size_t module_length,
                                const char *name, size_t name_length, pickle_value *result) {
    enum { SHOWN = 100 };
    for (size_t i = 0; i < GLOBALS; i++) {
        if (is_text(module, module_length, globals[i].module) &&
            is_text(name, name_length, globals[i].name)) {
            *result = (pickle_value){.kind = PICKLE_GLOBAL, .index = i};
            return REEL_OK;
        }
    }
    return reel__pickle_refuse(m, "%.*s.%.*s, which tensors do not need",
                               (int)(module_length < SHOWN ? module_length : SHOWN), module,
                               (int)(name_length < SHOWN ? name_length : SHOWN), name);
}

/* ---- storages ---------------------------------------------------------------------------------------- */

/* ("storage", type, name of its file, device, elements) */
reel_status reel__pickle_storage(pickle_machine *m, const pickle_items *id, pickle_value *result) {
    enum { TAG, TYPE, NAME, DEVICE, ELEMENTS, PARTS };
    const pickle_value *const part = id->at;
    if (id->count != PARTS || part[TAG].kind != PICKLE_TEXT ||
        !is_text(part[TAG].text, part[TAG].length, "storage") || part[TYPE].kind != PICKLE_GLOBAL ||
        globals[part[TYPE].index].meaning != STORAGE || part[NAME].kind != PICKLE_TEXT ||
        part[DEVICE].kind != PICKLE_TEXT || part[ELEMENTS].kind != PICKLE_INT)
        return reel__pickle_refuse(m, "expected ('storage', type, name, device, elements)");
    if (part[ELEMENTS].integer < 0)
        return reel__pickle_refuse(m, "a storage of %lld elements", (long long)part[ELEMENTS].integer);
    void *array = m->storages;
    const int fits = reel__pickle_reserve(&array, m->storage_count, &m->storage_room, sizeof *m->storages);
    m->storages = array;
    if (!fits)
        return reel_fail(m->error, REEL_ERROR_MEMORY, "%s: no memory to read data.pkl", m->path);
    m->storages[m->storage_count] = (pickle_storage){
        .dtype = globals[part[TYPE].index].dtype, .name = part[NAME], .elements = part[ELEMENTS].integer};
    *result = (pickle_value){.kind = PICKLE_STORAGE, .index = m->storage_count++};
    return REEL_OK;
}

/* ---- tensors ----------------------------------------------------------------------------------------- */

/* Reads a tuple of at most REEL_MAX_RANK whole numbers from 0 on. */
static reel_status read_numbers(const pickle_machine *m, pickle_value tuple, const char *what, int *count,
                                int64_t *numbers) {
    if (tuple.kind != PICKLE_TUPLE)
        return reel__pickle_refuse(m, "a tensor whose %s is no tuple", what);
    const pickle_items *const items = &m->containers[tuple.index];
    if (items->count > REEL_MAX_RANK)
        return reel__pickle_refuse(m, "a tensor of %zu axes; at most %d are supported", items->count,
                                   REEL_MAX_RANK);
    *count = (int)items->count;
    for (size_t i = 0; i < items->count; i++) {
        if (items->at[i].kind != PICKLE_INT)
            return reel__pickle_refuse(m, "a tensor whose %s holds something other than numbers", what);
        if (items->at[i].integer < 0)
            return reel__pickle_refuse(m, "a tensor with %lld in its %s", (long long)items->at[i].integer,
                                       what);
        numbers[i] = items->at[i].integer;
    }
    return REEL_OK;
}

/* _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks, metadata=None) */
static reel_status rebuild_tensor(pickle_machine *m, const pickle_items *arguments, pickle_value *result) {
    enum { STORAGE_ARGUMENT, OFFSET, SHAPE, STRIDE, NEEDED = 6, MOST };
    const pickle_value *const argument = arguments->at;
    if (arguments->count < NEEDED || arguments->count > MOST ||
        argument[STORAGE_ARGUMENT].kind != PICKLE_STORAGE || argument[OFFSET].kind != PICKLE_INT)
        return reel__pickle_refuse(m, "_rebuild_tensor_v2 expects a storage, an offset, shape and strides");
    if (argument[OFFSET].integer < 0)
        return reel__pickle_refuse(m, "a tensor at offset %lld", (long long)argument[OFFSET].integer);
    if (m->tensor_count == REEL__PICKLE_MAX_TENSORS)
        return reel__pickle_refuse(m, "more than %d tensors", REEL__PICKLE_MAX_TENSORS);
    const pickle_storage *const storage = &m->storages[argument[STORAGE_ARGUMENT].index];
    reel__pickle_tensor tensor = {.storage = storage->name.text,
                                  .storage_length = storage->name.length,
                                  .storage_elements = storage->elements,
                                  .dtype = storage->dtype,
                                  .offset = argument[OFFSET].integer};
    int strides = 0;
    reel_status status = read_numbers(m, argument[SHAPE], "shape", &tensor.rank, tensor.shape);
    if (status == REEL_OK)
        status = read_numbers(m, argument[STRIDE], "strides", &strides, tensor.stride);
    if (status == REEL_OK && strides != tensor.rank)
        status = reel__pickle_refuse(m, "a tensor of %d axes with %d strides", tensor.rank, strides);
    if (status != REEL_OK)
        return status;
    void *array = m->tensors;
    const int fits = reel__pickle_reserve(&array, m->tensor_count, &m->tensor_room, sizeof *m->tensors);
    m->tensors = array;
    if (!fits)
        return reel_fail(m->error, REEL_ERROR_MEMORY, "%s: no memory to read data.pkl", m->path);
    m->tensors[m->tensor_count] = tensor;
    *result = (pickle_value){.kind = PICKLE_TENSOR, .index = m->tensor_count++};
    return REEL_OK;
}

/* ---- REDUCE ------------------------------------------------------------------------------------------ */

reel_status reel__pickle_apply(pickle_machine *m, pickle_value function, const pickle_items *arguments,
                               pickle_value *result) {
    switch (globals[function.index].meaning) {
    case ORDERED_DICT: /* entries follow by SETITEMS */
        if (arguments->count != 0)
            return reel__pickle_refuse(m, "OrderedDict with arguments");
        return reel__pickle_container(m, PICKLE_DICT, result);
    case REBUILD_TENSOR:
        return rebuild_tensor(m, arguments, result);
    case REBUILD_PARAMETER: /* (tensor, requires_grad, hooks) */
        if (arguments->count == 0 || arguments->at[0].kind != PICKLE_TENSOR)
            return reel__pickle_refuse(m, "_rebuild_parameter expects a tensor");
        *result = arguments->at[0];
        return REEL_OK;
    case SIZE: /* a tuple with another name */
        if (arguments->count != 1 || arguments->at[0].kind != PICKLE_TUPLE)
            return reel__pickle_refuse(m, "torch.Size expects a tuple");
        *result = arguments->at[0];
        return REEL_OK;
    default:
        return reel__pickle_refuse(m, "%s.%s applied to arguments", globals[function.index].module,
                                   globals[function.index].name);
    }
}
