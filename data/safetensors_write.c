#include "safetensors_format.h"

#include <reel/atomic_file.h>
#include <reel/safetensors.h>

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const char *const file_names[REEL_DTYPE_COUNT] = {
    [REEL_F64] = "F64", [REEL_F32] = "F32", [REEL_BF16] = "BF16", [REEL_I32] = "I32", [REEL_U8] = "U8",
};

static int64_t bytes_of(const reel_tensor *t) {
    return reel_elements(t) * (int64_t)reel_dtype_bytes(t->dtype);
}

/* ---- what can be written ----------------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A text that two of `count` share, or NULL; sorts them. */
static const char *find_twin(const char **texts, int64_t count) {
    qsort(texts, (size_t)count, sizeof *texts, compare_texts);
    for (int64_t i = 1; i < count; i++)
        if (strcmp(texts[i - 1], texts[i]) == 0)
            return texts[i];
    return NULL;
}

static reel_status check_items(const char *path, const reel_safetensors_item *items, int64_t count,
                               const char **names, reel_error *error) {
    int64_t total = 0;
    for (int64_t i = 0; i < count; i++) {
        const reel_tensor *t = items[i].tensor;
        names[i] = items[i].name;
        if (!reel__is_utf8(names[i], strlen(names[i])) || !reel__is_tensor_name(names[i]))
            return reel_fail(error, REEL_ERROR_ARGUMENT,
                             "%s: name %lld is empty, reserved, not UTF-8 or has control characters", path,
                             (long long)i);
        if (t == NULL || reel_is_void(t) || t->data == NULL)
            return reel_fail(error, REEL_ERROR_STATE, "%s: '%.200s' has no tensor to write", path, names[i]);
        if (__builtin_add_overflow(total, bytes_of(t), &total) || total > REEL__MAX_OFFSET)
            return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: more data than a file can name", path);
    }
    const char *twin = find_twin(names, count);
    if (twin != NULL)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: two tensors are called '%.200s'", path, twin);
    return REEL_OK;
}

static reel_status check_metadata(const char *path, const reel_safetensors_pair *pairs, int64_t count,
                                  const char **keys, reel_error *error) {
    for (int64_t i = 0; i < count; i++) {
        keys[i] = pairs[i].key;
        if (!reel__is_utf8(pairs[i].key, strlen(pairs[i].key)) ||
            !reel__is_utf8(pairs[i].value, strlen(pairs[i].value)))
            return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: metadata %lld is not UTF-8", path,
                             (long long)i);
    }
    const char *twin = find_twin(keys, count);
    if (twin != NULL)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: metadata key '%.200s' is given twice", path, twin);
    return REEL_OK;
}

static reel_status check_all(const char *path, const reel_safetensors_item *items, int64_t item_count,
                             const reel_safetensors_pair *metadata, int64_t metadata_count,
                             reel_error *error) {
    const int64_t most = item_count > metadata_count ? item_count : metadata_count;
    const char **texts = malloc(((size_t)most + 1) * sizeof *texts);
    if (texts == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a file", path);
    reel_status status = check_items(path, items, item_count, texts, error);
    if (status == REEL_OK)
        status = check_metadata(path, metadata, metadata_count, texts, error);
    free(texts);
    return status;
}

/* ---- the header -------------------------------------------------------------------------------------- */

/* Orders the items by falling element size, otherwise as given: then each begins at a multiple of its own. */
static void order_items(const reel_safetensors_item *items, int64_t count,
                        const reel_safetensors_item **order) {
    static const size_t sizes[] = {8, 4, 2, 1};
    int64_t placed = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int64_t i = 0; i < count; i++)
            if (reel_dtype_bytes(items[i].tensor->dtype) == sizes[s])
                order[placed++] = &items[i];
}

static int add_number(cJSON *array, int64_t value) {
    return cJSON_AddItemToArray(array, cJSON_CreateNumber((double)value));
}

/* Adds the description of a tensor whose data begins at `begin`; 0 without memory. */
static int add_tensor(cJSON *header, const reel_safetensors_item *item, int64_t begin) {
    const reel_tensor *t = item->tensor;
    cJSON *entry = cJSON_AddObjectToObject(header, item->name);
    cJSON *dtype = cJSON_AddStringToObject(entry, "dtype", file_names[t->dtype]);
    cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
    cJSON *offsets = cJSON_AddArrayToObject(entry, "data_offsets");
    int worked = dtype != NULL && add_number(offsets, begin) && add_number(offsets, begin + bytes_of(t));
    for (int i = 0; i < t->rank; i++)
        worked = worked && add_number(shape, t->shape[i]);
    return worked;
}

/* The header's text, to be freed by cJSON_free; NULL without memory. */
static char *make_header(const reel_safetensors_item *const *order, int64_t item_count,
                         const reel_safetensors_pair *metadata, int64_t metadata_count) {
    cJSON *header = cJSON_CreateObject();
    int worked = header != NULL;
    if (metadata_count > 0) {
        cJSON *object = cJSON_AddObjectToObject(header, REEL__METADATA_NAME);
        for (int64_t i = 0; i < metadata_count; i++)
            worked = worked && cJSON_AddStringToObject(object, metadata[i].key, metadata[i].value) != NULL;
    }
    int64_t begin = 0;
    for (int64_t i = 0; i < item_count; i++) {
        worked = worked && add_tensor(header, order[i], begin);
        begin += bytes_of(order[i]->tensor);
    }
    char *text = worked ? cJSON_PrintUnformatted(header) : NULL;
    cJSON_Delete(header);
    return text;
}

/* Writes length and text, with spaces behind it up to the next multiple of the data's alignment. */
static void write_header(reel_atomic_file *file, const char *text, size_t length) {
    char spaces[REEL__DATA_ALIGNMENT];
    memset(spaces, ' ', sizeof spaces);
    const size_t padding =
        (REEL__DATA_ALIGNMENT - (REEL__LENGTH_BYTES + length) % REEL__DATA_ALIGNMENT) % REEL__DATA_ALIGNMENT;
    const uint64_t padded = length + padding;
    reel_atomic_write(file, &padded, sizeof padded);
    reel_atomic_write(file, text, length);
    reel_atomic_write(file, spaces, padding);
}

/* ---- the data ---------------------------------------------------------------------------------------- */

static reel_status write_data(reel_context *ctx, reel_atomic_file *file, const char *path,
                              const reel_safetensors_item *const *order, int64_t count, reel_error *error) {
    int64_t largest = 1;
    for (int64_t i = 0; i < count; i++)
        if (bytes_of(order[i]->tensor) > largest)
            largest = bytes_of(order[i]->tensor);
    void *buffer = malloc((size_t)largest);
    if (buffer == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for a tensor of %lld bytes", path,
                         (long long)largest);
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < count && status == REEL_OK; i++) {
        const size_t bytes = (size_t)bytes_of(order[i]->tensor);
        status = reel_read(ctx, order[i]->tensor, buffer, bytes);
        if (status == REEL_OK)
            reel_atomic_write(file, buffer, bytes);
        else
            reel_fail(error, status, "%s: tensor '%.200s': %s", path, order[i]->name,
                      reel_context_message(ctx));
    }
    free(buffer);
    return status;
}

static reel_status write_file(reel_context *ctx, const char *path, const char *header,
                              const reel_safetensors_item *const *order, int64_t count, reel_error *error) {
    const size_t length = strlen(header);
    if (length > REEL__MAX_HEADER_BYTES - REEL__DATA_ALIGNMENT)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: names and metadata need more than the %d bytes of a header", path,
                         REEL__MAX_HEADER_BYTES);
    reel_atomic_file *file;
    reel_status status = reel_atomic_open(&file, path, error);
    if (status != REEL_OK)
        return status;
    write_header(file, header, length);
    status = write_data(ctx, file, path, order, count, error);
    if (status == REEL_OK)
        return reel_atomic_commit(file, error);
    reel_atomic_discard(file);
    return status;
}

reel_status reel_safetensors_write(reel_context *ctx, const char *path, const reel_safetensors_item *items,
                                   int64_t item_count, const reel_safetensors_pair *metadata,
                                   int64_t metadata_count, reel_error *error) {
    reel_status status = check_all(path, items, item_count, metadata, metadata_count, error);
    if (status != REEL_OK)
        return status;
    const reel_safetensors_item **order = malloc(((size_t)item_count + 1) * sizeof *order);
    char *header = NULL;
    if (order != NULL) {
        order_items(items, item_count, order);
        header = make_header(order, item_count, metadata, metadata_count);
    }
    if (header != NULL)
        status = write_file(ctx, path, header, order, item_count, error);
    else
        status = reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a file", path);
    cJSON_free(header);
    free(order);
    return status;
}
