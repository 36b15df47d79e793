#include "file_values.h"
#include "json_file.h"
#include "mapped_file.h"
#include "safetensors_format.h"

#include <reel/safetensors.h>

#include <stdlib.h>
#include <string.h>

struct reel_safetensors {
    char *path;
    reel__mapped_file mapped;
    const char *data; /* what follows the header */
    size_t data_size;
    cJSON *header;                   /* owns all names and strings */
    reel_safetensors_entry *entries; /* sorted by name */
    int64_t count;
    reel_safetensors_pair *metadata; /* sorted by key */
    int64_t metadata_count;
};

/* ---- text -------------------------------------------------------------------------------------------- */

/* Well-formed byte sequences of the Unicode standard, table 3-7: no overlong forms, no surrogates. */
int reel__is_utf8(const char *text, size_t length) {
    const unsigned char *at = (const unsigned char *)text, *const end = at + length;
    while (at < end) {
        const unsigned char first = *at++;
        const int more = first < 0x80   ? 0
                         : first < 0xc2 ? -1
                         : first < 0xe0 ? 1
                         : first < 0xf0 ? 2
                         : first < 0xf5 ? 3
                                        : -1;
        if (more < 0 || end - at < more)
            return 0;
        const unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        const unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        for (int i = 0; i < more; i++, at++)
            if (*at < (i == 0 ? low : 0x80) || *at > (i == 0 ? high : 0xbf))
                return 0;
    }
    return 1;
}

int reel__is_tensor_name(const char *name) {
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return 0;
    return *name != '\0' && strcmp(name, REEL__METADATA_NAME) != 0;
}

/* ---- the header -------------------------------------------------------------------------------------- */

/* Fails with "PATH: tensor 'NAME': WHAT". */
static reel_status refuse(const reel_safetensors *file, const char *name, const char *what,
                          reel_error *error) {
    return reel_fail(error, REEL_ERROR_FORMAT, "%s: tensor '%.200s': %s", file->path, name, what);
}

/* A JSON number that is a whole number from 0 to REEL__MAX_OFFSET. */
static int read_integer(const cJSON *item, int64_t *value) {
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= (double)REEL__MAX_OFFSET))
        return 0;
    *value = (int64_t)item->valuedouble;
    return (double)*value == item->valuedouble;
}

static reel_status read_shape(const reel_safetensors *file, const cJSON *shape, reel_safetensors_entry *entry,
                              reel_error *error) {
    entry->rank = 0;
    for (const cJSON *size = shape->child; size != NULL; size = size->next) {
        if (entry->rank == REEL_MAX_RANK)
            return refuse(file, entry->name, "more than 6 axes", error);
        if (!read_integer(size, &entry->shape[entry->rank++]))
            return refuse(file, entry->name, "'shape' holds something other than whole numbers from 0 on",
                          error);
    }
    return REEL_OK;
}

/* Checks that [begin, end) lies inside the data and has the size that dtype and shape ask for. */
static reel_status read_offsets(const reel_safetensors *file, const cJSON *offsets, size_t element_bytes,
                                reel_safetensors_entry *entry, reel_error *error) {
    int64_t begin, end;
    const cJSON *first = offsets->child, *second = first == NULL ? NULL : first->next;
    if (second == NULL || second->next != NULL || !read_integer(first, &begin) || !read_integer(second, &end))
        return refuse(file, entry->name, "'data_offsets' is not a pair of whole numbers", error);
    if (begin > end || (uint64_t)end > file->data_size)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: tensor '%.200s': offsets %lld to %lld, in %zu bytes of data", file->path,
                         entry->name, (long long)begin, (long long)end, file->data_size);
    int64_t bytes = (int64_t)element_bytes;
    for (int i = 0; i < entry->rank; i++)
        if (__builtin_mul_overflow(bytes, entry->shape[i], &bytes))
            return refuse(file, entry->name, "the shape has more elements than there are numbers", error);
    if (bytes != end - begin)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: tensor '%.200s': dtype and shape need %lld bytes, the offsets give %lld",
                         file->path, entry->name, (long long)bytes, (long long)(end - begin));
    entry->data = file->data + begin;
    entry->bytes = (size_t)bytes;
    return REEL_OK;
}

/* Reads {"dtype": ..., "shape": [...], "data_offsets": [...]}: each exactly once and nothing else. */
static reel_status read_entry(const reel_safetensors *file, const cJSON *item, reel_safetensors_entry *entry,
                              reel_error *error) {
    entry->name = item->string;
    if (!reel__is_tensor_name(item->string))
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: a tensor's name is empty or has control characters",
                         file->path);
    if (!cJSON_IsObject(item))
        return refuse(file, entry->name, "its description is not a JSON object", error);
    enum { DTYPE, SHAPE, OFFSETS, PARTS };
    static const char *const keys[PARTS] = {"dtype", "shape", "data_offsets"};
    const cJSON *parts[PARTS] = {NULL};
    for (const cJSON *part = item->child; part != NULL; part = part->next) {
        int i = 0;
        while (i < PARTS && strcmp(keys[i], part->string) != 0)
            i++;
        if (i == PARTS || parts[i] != NULL)
            return refuse(file, entry->name, "a key other than dtype, shape and data_offsets, or one twice",
                          error);
        parts[i] = part;
    }
    if (!cJSON_IsString(parts[DTYPE]) || !cJSON_IsArray(parts[SHAPE]) || !cJSON_IsArray(parts[OFFSETS]))
        return refuse(file, entry->name, "dtype (string), shape (array) or data_offsets (array) is missing",
                      error);
    const reel_file_dtype dtype = reel_file_dtype_named(parts[DTYPE]->valuestring);
    if (dtype == REEL_FILE_DTYPES)
        return reel_fail(error, REEL_ERROR_DTYPE,
                         "%s: tensor '%.200s': dtype '%.20s' is not supported (F64 F32 F16 BF16 I64 I32 I16 "
                         "I8 U8 BOOL are)",
                         file->path, entry->name, parts[DTYPE]->valuestring);
    entry->dtype = reel_file_dtype_name(dtype);
    const reel_status status = read_shape(file, parts[SHAPE], entry, error);
    return status != REEL_OK ? status
                             : read_offsets(file, parts[OFFSETS], reel_file_dtype_bytes(dtype), entry, error);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const reel_safetensors_entry *)a)->name, ((const reel_safetensors_entry *)b)->name);
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(((const reel_safetensors_pair *)a)->key, ((const reel_safetensors_pair *)b)->key);
}

/* By place in the file; empty tensors before one that begins at the same place. */
static int compare_places(const void *a, const void *b) {
    const reel_safetensors_entry *x = *(const reel_safetensors_entry *const *)a;
    const reel_safetensors_entry *y = *(const reel_safetensors_entry *const *)b;
    const char *const x_data = x->data, *const y_data = y->data;
    if (x_data != y_data)
        return x_data < y_data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Each byte of the data must belong to exactly one tensor, as the format says. */
static reel_status check_coverage(const reel_safetensors *file, reel_error *error) {
    const size_t count = (size_t)file->count;
    const reel_safetensors_entry **places = malloc((count + 1) * sizeof *places);
    if (places == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read the header", file->path);
    for (size_t i = 0; i < count; i++)
        places[i] = &file->entries[i];
    qsort(places, count, sizeof *places, compare_places);
    const char *next = file->data;
    reel_status status = REEL_OK;
    for (size_t i = 0; i < count && status == REEL_OK; i++) {
        const char *const begin = places[i]->data;
        if (begin != next)
            status =
                refuse(file, places[i]->name,
                       begin < next ? "its data overlaps another tensor's" : "a hole before its data", error);
        next = begin + places[i]->bytes;
    }
    free(places);
    if (status == REEL_OK && next != file->data + file->data_size)
        status = reel_fail(error, REEL_ERROR_FORMAT, "%s: %lld bytes behind the last tensor", file->path,
                           (long long)(file->data + file->data_size - next));
    return status;
}

static reel_status read_entries(reel_safetensors *file, reel_error *error) {
    const size_t room = (size_t)cJSON_GetArraySize(file->header);
    file->entries = calloc(room + 1, sizeof *file->entries);
    if (file->entries == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read the header", file->path);
    for (const cJSON *item = file->header->child; item != NULL; item = item->next) {
        if (strcmp(item->string, REEL__METADATA_NAME) == 0)
            continue;
        const reel_status status = read_entry(file, item, &file->entries[file->count++], error);
        if (status != REEL_OK)
            return status;
    }
    qsort(file->entries, (size_t)file->count, sizeof *file->entries, compare_names);
    for (int64_t i = 1; i < file->count; i++)
        if (compare_names(&file->entries[i - 1], &file->entries[i]) == 0)
            return refuse(file, file->entries[i].name, "appears twice", error);
    return check_coverage(file, error);
}

static reel_status read_metadata(reel_safetensors *file, reel_error *error) {
    const cJSON *object = NULL;
    for (const cJSON *item = file->header->child; item != NULL; item = item->next) {
        if (strcmp(item->string, REEL__METADATA_NAME) != 0)
            continue;
        if (object != NULL || !cJSON_IsObject(item))
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: %s is not one JSON object", file->path,
                             REEL__METADATA_NAME);
        object = item;
    }
    if (object == NULL)
        return REEL_OK;
    file->metadata = calloc((size_t)cJSON_GetArraySize(object) + 1, sizeof *file->metadata);
    if (file->metadata == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read the header", file->path);
    for (const cJSON *pair = object->child; pair != NULL; pair = pair->next) {
        if (!cJSON_IsString(pair))
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: %s holds something other than strings",
                             file->path, REEL__METADATA_NAME);
        file->metadata[file->metadata_count++] = (reel_safetensors_pair){pair->string, pair->valuestring};
    }
    qsort(file->metadata, (size_t)file->metadata_count, sizeof *file->metadata, compare_keys);
    for (int64_t i = 1; i < file->metadata_count; i++)
        if (compare_keys(&file->metadata[i - 1], &file->metadata[i]) == 0)
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: %s has a key twice", file->path,
                             REEL__METADATA_NAME);
    return REEL_OK;
}

/* Finds and parses the JSON; it must be one object, followed by nothing but white space. */
static reel_status parse_header(reel_safetensors *file, reel_error *error) {
    enum { MAX_DEPTH = 3 }; /* header, tensor, shape */
    uint64_t length;
    if (file->mapped.size < REEL__LENGTH_BYTES)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: %zu bytes are no safetensors file", file->path,
                         file->mapped.size);
    memcpy(&length, file->mapped.bytes, sizeof length);
    if (length > REEL__MAX_HEADER_BYTES || length > file->mapped.size - REEL__LENGTH_BYTES)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: no safetensors file: a header of %llu bytes in a file of %zu (at most %d)",
                         file->path, (unsigned long long)length, file->mapped.size, REEL__MAX_HEADER_BYTES);
    const char *text = file->mapped.bytes + REEL__LENGTH_BYTES, *end = text + length;
    file->data = end;
    file->data_size = file->mapped.size - REEL__LENGTH_BYTES - length;
    const char *hazard =
        length == 0 || text[0] != '{' ? "is not a JSON object" : reel__json_hazard(text, length, MAX_DEPTH);
    if (hazard != NULL)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: the header %s", file->path, hazard);
    const char *stop = text;
    file->header = cJSON_ParseWithLengthOpts(text, length, &stop, 0);
    while (file->header != NULL && stop < end && strchr(" \t\r\n", *stop) != NULL)
        stop++;
    if (file->header == NULL && reel__json_lacks_memory((size_t)(stop - text)))
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to parse the header", file->path);
    if (file->header == NULL || stop != end)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: the header is not valid JSON at byte %lld",
                         file->path, (long long)(stop - text));
    return REEL_OK;
}

/* ---- opening ----------------------------------------------------------------------------------------- */

reel_status reel_safetensors_open(reel_safetensors **out, const char *path, reel_error *error) {
    *out = NULL;
    reel_safetensors *file = calloc(1, sizeof *file);
    if (file == NULL || (file->path = strdup(path)) == NULL) {
        free(file);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read a file", path);
    }
    reel_status status = reel__map_file(&file->mapped, file->path, error);
    if (status == REEL_OK)
        status = parse_header(file, error);
    if (status == REEL_OK)
        status = read_metadata(file, error);
    if (status == REEL_OK)
        status = read_entries(file, error);
    if (status == REEL_OK)
        *out = file;
    else
        reel_safetensors_close(file);
    return status;
}

void reel_safetensors_close(reel_safetensors *file) {
    if (file == NULL)
        return;
    reel__unmap_file(&file->mapped);
    cJSON_Delete(file->header);
    free(file->entries);
    free(file->metadata);
    free(file->path);
    free(file);
}

int64_t reel_safetensors_count(const reel_safetensors *file) {
    return file->count;
}

const reel_safetensors_entry *reel_safetensors_at(const reel_safetensors *file, int64_t i) {
    return &file->entries[i];
}

const reel_safetensors_entry *reel_safetensors_find(const reel_safetensors *file, const char *name) {
    const reel_safetensors_entry wanted = {.name = name};
    return bsearch(&wanted, file->entries, (size_t)file->count, sizeof wanted, compare_names);
}

int64_t reel_safetensors_metadata_count(const reel_safetensors *file) {
    return file->metadata_count;
}

const reel_safetensors_pair *reel_safetensors_metadata_at(const reel_safetensors *file, int64_t i) {
    return &file->metadata[i];
}

const char *reel_safetensors_metadata(const reel_safetensors *file, const char *key) {
    if (file->metadata_count == 0)
        return NULL;
    const reel_safetensors_pair wanted = {key, NULL};
    const reel_safetensors_pair *pair =
        bsearch(&wanted, file->metadata, (size_t)file->metadata_count, sizeof wanted, compare_keys);
    return pair == NULL ? NULL : pair->value;
}

/* ---- loading ----------------------------------------------------------------------------------------- */

reel_status reel_safetensors_load(reel_context *ctx, const reel_safetensors *file, const char *name,
                                  reel_tensor *dst, reel_error *error) {
    const reel_safetensors_entry *entry = reel_safetensors_find(file, name);
    if (entry == NULL)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: no tensor '%.200s'", file->path, name);
    const reel_file_tensor tensor = reel_safetensors_tensor(entry);
    return reel__load_values(ctx, file->path, &tensor, entry->data, dst, error);
}

reel_status reel_safetensors_read(reel_context *ctx, const char *path, const reel_named_tensor *tensors,
                                  int64_t count, reel_error *error) {
    reel_safetensors *file = NULL;
    reel_status status = reel_safetensors_open(&file, path, error);
    for (int64_t i = 0; i < count && status == REEL_OK; i++)
        status = reel_safetensors_load(ctx, file, tensors[i].name, tensors[i].tensor, error);
    reel_safetensors_close(file);
    return status;
}

reel_file_tensor reel_safetensors_tensor(const reel_safetensors_entry *entry) {
    reel_file_tensor tensor = {.name = entry->name,
                               .dtype = reel_file_dtype_named(entry->dtype),
                               .rank = entry->rank,
                               .bytes = entry->bytes};
    memcpy(tensor.shape, entry->shape, sizeof tensor.shape);
    return tensor;
}
