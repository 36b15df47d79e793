#include "safetensors_format.h"

#include <reel/atomic_file.h>
#include <reel/safetensors.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The bytes that dtype and shape need, -1 where there is no such number. */
static int64_t needed_bytes(const reel_file_tensor *t) {
    int64_t bytes = (int64_t)reel_file_dtype_bytes(t->dtype);
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(bytes, t->shape[i], &bytes))
            return -1;
    return bytes;
}

reel_status reel__check_file_tensors(const char *path, const reel_file_tensor *tensors, int64_t count,
                                     reel_error *error) {
    int64_t total = 0;
    const char **names = malloc(((size_t)count + 1) * sizeof *names);
    if (names == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a file", path);
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < count && status == REEL_OK; i++) {
        names[i] = tensors[i].name;
        const int64_t bytes = needed_bytes(&tensors[i]);
        if (!reel__is_utf8(names[i], strlen(names[i])) || !reel__is_tensor_name(names[i]))
            status = reel_fail(error, REEL_ERROR_ARGUMENT,
                               "%s: name %lld is empty, reserved, not UTF-8 or has control characters", path,
                               (long long)i);
        else if (bytes < 0 || (uint64_t)bytes != tensors[i].bytes)
            status = reel_fail(error, REEL_ERROR_ARGUMENT,
                               "%s: '%.200s' has %zu bytes, which its dtype and shape do not need", path,
                               names[i], tensors[i].bytes);
        else if (__builtin_add_overflow(total, bytes, &total) || total > REEL__MAX_OFFSET)
            status = reel_fail(error, REEL_ERROR_ARGUMENT, "%s: more data than a file can name", path);
    }
    const char *const twin = status == REEL_OK ? find_twin(names, count) : NULL;
    if (twin != NULL)
        status = reel_fail(error, REEL_ERROR_ARGUMENT, "%s: two tensors are called '%.200s'", path, twin);
    free(names);
    return status;
}

static reel_status check_metadata(const char *path, const reel_safetensors_pair *pairs, int64_t count,
                                  reel_error *error) {
    const char **keys = malloc(((size_t)count + 1) * sizeof *keys);
    if (keys == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a file", path);
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < count && status == REEL_OK; i++) {
        keys[i] = pairs[i].key;
        if (!reel__is_utf8(pairs[i].key, strlen(pairs[i].key)) ||
            !reel__is_utf8(pairs[i].value, strlen(pairs[i].value)))
            status =
                reel_fail(error, REEL_ERROR_ARGUMENT, "%s: metadata %lld is not UTF-8", path, (long long)i);
    }
    const char *const twin = status == REEL_OK ? find_twin(keys, count) : NULL;
    if (twin != NULL)
        status =
            reel_fail(error, REEL_ERROR_ARGUMENT, "%s: metadata key '%.200s' is given twice", path, twin);
    free(keys);
    return status;
}

/* ---- the header -------------------------------------------------------------------------------------- */

/* Orders the tensors by falling element size, otherwise as given: then each begins at a multiple of its own.
 */
static void order_tensors(const reel_file_tensor *tensors, int64_t count, const reel_file_tensor **order) {
    static const size_t sizes[] = {8, 4, 2, 1};
    int64_t placed = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int64_t i = 0; i < count; i++)
            if (reel_file_dtype_bytes(tensors[i].dtype) == sizes[s])
                order[placed++] = &tensors[i];
}

/* As text: cJSON prints a number beyond 10^15 with digits missing. */
static int add_number(cJSON *array, int64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return cJSON_AddItemToArray(array, cJSON_CreateRaw(text));
}

/* Adds the description of a tensor whose data begins at `begin`; 0 without memory. */
static int add_tensor(cJSON *header, const reel_file_tensor *t, int64_t begin) {
    cJSON *entry = cJSON_AddObjectToObject(header, t->name);
    cJSON *dtype = cJSON_AddStringToObject(entry, "dtype", reel_file_dtype_name(t->dtype));
    cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
    cJSON *offsets = cJSON_AddArrayToObject(entry, "data_offsets");
    int worked =
        dtype != NULL && add_number(offsets, begin) && add_number(offsets, begin + (int64_t)t->bytes);
    for (int i = 0; i < t->rank; i++)
        worked = worked && add_number(shape, t->shape[i]);
    return worked;
}

/* The header's text, to be freed by cJSON_free; NULL without memory. */
static char *make_header(const reel_file_tensor *const *order, int64_t count,
                         const reel_safetensors_pair *metadata, int64_t metadata_count) {
    cJSON *header = cJSON_CreateObject();
    int worked = header != NULL;
    if (metadata_count > 0) {
        cJSON *object = cJSON_AddObjectToObject(header, REEL__METADATA_NAME);
        for (int64_t i = 0; i < metadata_count; i++)
            worked = worked && cJSON_AddStringToObject(object, metadata[i].key, metadata[i].value) != NULL;
    }
    int64_t begin = 0;
    for (int64_t i = 0; i < count; i++) {
        worked = worked && add_tensor(header, order[i], begin);
        begin += (int64_t)order[i]->bytes;
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

/* What is written, and where it comes from. */
typedef struct content {
    const char *path;
    const reel_file_tensor *tensors; /* as given, ... */
    const reel_file_tensor **order;  /* ... and as written */
    int64_t count;
    reel_file_read read;
    void *source;
} content;

static reel_status write_data(const content *c, reel_atomic_file *file, reel_error *error) {
    size_t largest = 1;
    for (int64_t i = 0; i < c->count; i++)
        if (c->tensors[i].bytes > largest)
            largest = c->tensors[i].bytes;
    void *buffer = malloc(largest);
    if (buffer == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for a tensor of %zu bytes", c->path,
                         largest);
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < c->count && status == REEL_OK; i++) {
        status = c->read(c->source, c->order[i] - c->tensors, buffer, error);
        if (status == REEL_OK)
            reel_atomic_write(file, buffer, c->order[i]->bytes);
    }
    free(buffer);
    return status;
}

static reel_status write_file(const content *c, const char *header, reel_error *error) {
    const size_t length = strlen(header);
    if (length > REEL__MAX_HEADER_BYTES - REEL__DATA_ALIGNMENT)
        return reel_fail(error, REEL_ERROR_ARGUMENT,
                         "%s: names and metadata need more than the %d bytes of a header", c->path,
                         REEL__MAX_HEADER_BYTES);
    reel_atomic_file *file;
    reel_status status = reel_atomic_open(&file, c->path, error);
    if (status != REEL_OK)
        return status;
    write_header(file, header, length);
    status = write_data(c, file, error);
    if (status == REEL_OK)
        return reel_atomic_commit(file, error);
    reel_atomic_discard(file);
    return status;
}

reel_status reel_safetensors_write_raw(const char *path, const reel_file_tensor *tensors, int64_t count,
                                       reel_file_read read, void *source,
                                       const reel_safetensors_pair *metadata, int64_t metadata_count,
                                       reel_error *error) {
    reel_status status = reel__check_file_tensors(path, tensors, count, error);
    if (status == REEL_OK)
        status = check_metadata(path, metadata, metadata_count, error);
    if (status != REEL_OK)
        return status;
    content c = {.path = path, .tensors = tensors, .count = count, .read = read, .source = source};
    c.order = malloc(((size_t)count + 1) * sizeof *c.order);
    char *header = NULL;
    if (c.order != NULL) {
        order_tensors(tensors, count, c.order);
        header = make_header(c.order, count, metadata, metadata_count);
    }
    if (header != NULL)
        status = write_file(&c, header, error);
    else
        status = reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a file", path);
    cJSON_free(header);
    free(c.order);
    return status;
}

/* ---- tensors of the engine --------------------------------------------------------------------------- */

typedef struct engine_tensors {
    reel_context *ctx;
    const char *path;
    const reel_named_tensor *tensors;
} engine_tensors;

static reel_status read_item(void *source, int64_t i, void *bytes, reel_error *error) {
    const engine_tensors *const from = source;
    const reel_tensor *const t = from->tensors[i].tensor;
    const size_t size = (size_t)reel_elements(t) * reel_dtype_bytes(t->dtype);
    const reel_status status = reel_read(from->ctx, t, bytes, size);
    if (status != REEL_OK)
        reel_fail(error, status, "%s: tensor '%.200s': %s", from->path, from->tensors[i].name,
                  reel_context_message(from->ctx));
    return status;
}

static reel_status describe(const char *path, const reel_named_tensor *named, reel_file_tensor *out,
                            reel_error *error) {
    static const reel_file_dtype dtypes[REEL_DTYPE_COUNT] = {
        [REEL_F64] = REEL_FILE_F64, [REEL_F32] = REEL_FILE_F32, [REEL_BF16] = REEL_FILE_BF16,
        [REEL_I32] = REEL_FILE_I32, [REEL_U8] = REEL_FILE_U8,
    };
    const reel_tensor *const t = named->tensor;
    if (t == NULL || reel_is_void(t) || t->data == NULL)
        return reel_fail(error, REEL_ERROR_STATE, "%s: '%.200s' has no tensor to write", path, named->name);
    *out = (reel_file_tensor){.name = named->name,
                              .dtype = dtypes[t->dtype],
                              .rank = t->rank,
                              .bytes = (size_t)reel_elements(t) * reel_dtype_bytes(t->dtype)};
    memcpy(out->shape, t->shape, sizeof out->shape);
    return REEL_OK;
}

reel_status reel_safetensors_write(reel_context *ctx, const char *path, const reel_named_tensor *tensors,
                                   int64_t tensor_count, const reel_safetensors_pair *metadata,
                                   int64_t metadata_count, reel_error *error) {
    reel_file_tensor *const described = malloc(((size_t)tensor_count + 1) * sizeof *described);
    if (described == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a file", path);
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < tensor_count && status == REEL_OK; i++)
        status = describe(path, &tensors[i], &described[i], error);
    engine_tensors source = {ctx, path, tensors};
    if (status == REEL_OK)
        status = reel_safetensors_write_raw(path, described, tensor_count, read_item, &source, metadata,
                                            metadata_count, error);
    free(described);
    return status;
}
