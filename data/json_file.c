#include "json_file.h"

#include "mapped_file.h"
#include "safetensors_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *reel__json_hazard(const char *text, size_t length, int max_depth) {
    static const char zero[] = "u0000";
    int depth = 0, in_string = 0;
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        if (c == '\0')
            return "holds a NUL byte";
        if (in_string && c == '\\') {
            i++;
            if (length - i >= strlen(zero) && memcmp(text + i, zero, strlen(zero)) == 0)
                return "holds a zero character";
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == '{' || c == '[')) {
            if (++depth > max_depth)
                return "is nested too deeply";
        } else if (!in_string && (c == '}' || c == ']')) {
            depth--;
        }
    }
    return reel__is_utf8(text, length) ? NULL : "is not UTF-8";
}

int reel__json_lacks_memory(size_t parsed) {
    enum { TREE_BYTES_PER_BYTE = 40, LEAST_BYTES = 1 << 12 };
    void *volatile room = malloc(parsed * TREE_BYTES_PER_BYTE + LEAST_BYTES); /* or a compiler omits it */
    free(room);
    return room == NULL;
}

reel_status reel__json_parse(cJSON **tree, const char *name, const char *text, size_t length, int max_depth,
                             reel_error *error) {
    *tree = NULL;
    const char *hazard = reel__json_hazard(text, length, max_depth);
    if (hazard != NULL)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: the text %s", name, hazard);
    const char *stop = text, *const end = text + length;
    *tree = cJSON_ParseWithLengthOpts(text, length, &stop, 0);
    while (*tree != NULL && stop < end && strchr(" \t\r\n", *stop) != NULL)
        stop++;
    if (*tree != NULL && stop == end)
        return REEL_OK;
    if (*tree == NULL && reel__json_lacks_memory((size_t)(stop - text)))
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to parse it", name);
    long long line = 1;
    for (const char *at = text; at < stop; at++)
        line += *at == '\n';
    cJSON_Delete(*tree);
    *tree = NULL;
    return reel_fail(error, REEL_ERROR_FORMAT, "%s:%lld: not JSON at byte %lld", name, line,
                     (long long)(stop - text) + 1);
}

reel_status reel__json_load(cJSON **tree, const char *path, size_t max_bytes, int max_depth,
                            reel_error *error) {
    *tree = NULL;
    reel__mapped_file file;
    reel_status status = reel__map_file(&file, path, error);
    if (status != REEL_OK)
        return status;
    status = file.size <= max_bytes
                 ? reel__json_parse(tree, path, file.bytes, file.size, max_depth, error)
                 : reel_fail(error, REEL_ERROR_FORMAT, "%s: %zu bytes, more than the %zu that are read", path,
                             file.size, max_bytes);
    reel__unmap_file(&file);
    return status;
}

const char *reel__json_kind(const cJSON *item) {
    return item == NULL           ? "missing"
           : cJSON_IsObject(item) ? "an object"
           : cJSON_IsArray(item)  ? "an array"
           : cJSON_IsString(item) ? "a string"
           : cJSON_IsNumber(item) ? "a number"
           : cJSON_IsBool(item)   ? "true or false"
                                  : "null";
}

void reel__json_write_string(reel_atomic_file *file, const char *text) {
    reel_atomic_write(file, "\"", 1);
    for (const char *c = text; *c != '\0'; c++) {
        char escaped[8];
        if (*c == '"' || *c == '\\')
            reel_atomic_write(file, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\%c", *c));
        else if ((unsigned char)*c < ' ')
            reel_atomic_write(file, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", *c));
        else
            reel_atomic_write(file, c, 1);
    }
    reel_atomic_write(file, "\"", 1);
}
