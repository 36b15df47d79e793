#include "half.h"
#include "mapped_file.h"
#include "npy_format.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- types ------------------------------------------------------------------------------------------- */

static const struct {
    const char *descr, *name;
    size_t bytes;
    int is_integer;
} types[REEL_NPY_TYPES] = {
    [REEL_NPY_U8] = {"|u1", "uint8", 1, 1},    [REEL_NPY_BOOL] = {"|b1", "bool", 1, 1},
    [REEL_NPY_I8] = {"|i1", "int8", 1, 1},     [REEL_NPY_I16] = {"<i2", "int16", 2, 1},
    [REEL_NPY_I32] = {"<i4", "int32", 4, 1},   [REEL_NPY_I64] = {"<i8", "int64", 8, 1},
    [REEL_NPY_F16] = {"<f2", "float16", 2, 0}, [REEL_NPY_F32] = {"<f4", "float32", 4, 0},
    [REEL_NPY_F64] = {"<f8", "float64", 8, 0},
};

const char *reel__npy_descr(reel_npy_type type) {
    return types[type].descr;
}

const char *reel_npy_type_name(reel_npy_type type) {
    return types[type].name;
}

size_t reel_npy_type_bytes(reel_npy_type type) {
    return types[type].bytes;
}

int reel_npy_is_integer(reel_npy_type type) {
    return types[type].is_integer;
}

/* ---- the header -------------------------------------------------------------------------------------- */

/* The header's text, read from left to right. */
typedef struct scanner {
    const char *at, *end;
} scanner;

static void skip_spaces(scanner *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

/* Takes `word` if it comes next, behind spaces. */
static int take(scanner *s, const char *word) {
    skip_spaces(s);
    const size_t length = strlen(word);
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0)
        return 0;
    s->at += length;
    return 1;
}

enum { WORD_BYTES = 32 };

/* Takes a string in single or double quotes that has no quotes, escapes or more than WORD_BYTES - 1 inside.
 */
static int take_string(scanner *s, char *word) {
    const char quote = take(s, "'") ? '\'' : take(s, "\"") ? '"' : '\0';
    size_t length = 0;
    while (quote != '\0' && s->at < s->end && *s->at != quote && *s->at >= ' ' && length < WORD_BYTES - 1)
        word[length++] = *s->at++;
    word[length] = '\0';
    return quote != '\0' && s->at < s->end && *s->at++ == quote;
}

/* Takes a whole number; those that no memory can hold become INT64_MAX. */
static int take_number(scanner *s, int64_t *value) {
    skip_spaces(s);
    const char *const begin = s->at;
    for (*value = 0; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
        if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, *s->at - '0', value))
            *value = INT64_MAX;
    return s->at > begin;
}

static reel_status refuse(const reel_npy *file, const char *what, reel_error *error) {
    return reel_fail(error, REEL_ERROR_FORMAT, "%s: %s", file->path, what);
}

static reel_status read_type(reel_npy *file, scanner *s, reel_error *error) {
    char descr[WORD_BYTES];
    skip_spaces(s);
    if (s->at < s->end && *s->at == '[')
        return refuse(file, "an array of records; expected one of numbers", error);
    if (!take_string(s, descr))
        return refuse(file, "the header's 'descr' is not a type", error);
    for (int i = 0; i < REEL_NPY_TYPES; i++) {
        if (strcmp(types[i].descr, descr) == 0) {
            file->type = (reel_npy_type)i;
            return REEL_OK;
        }
    }
    return reel_fail(error, REEL_ERROR_DTYPE,
                     "%s: elements of type '%s'; expected little-endian integers, floats or bool", file->path,
                     descr);
}

static reel_status read_order(const reel_npy *file, scanner *s, reel_error *error) {
    if (take(s, "False"))
        return REEL_OK;
    if (take(s, "True"))
        return refuse(file, "the array is in Fortran order; save it with numpy.ascontiguousarray", error);
    return refuse(file, "the header's 'fortran_order' is neither True nor False", error);
}

static reel_status read_shape(reel_npy *file, scanner *s, reel_error *error) {
    int is_shape = take(s, "(");
    for (file->rank = 0; is_shape && !take(s, ")"); file->rank++) {
        if (file->rank == REEL_MAX_RANK)
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: an array of more than %d axes", file->path,
                             REEL_MAX_RANK);
        is_shape = take_number(s, &file->shape[file->rank]);
        if (is_shape && !take(s, ",")) {
            file->rank++;
            is_shape = take(s, ")");
            break;
        }
    }
    return is_shape ? REEL_OK : refuse(file, "the header's 'shape' is not a tuple of whole numbers", error);
}

/* Reads the dictionary: each of three keys once, in any order. */
static reel_status read_dictionary(reel_npy *file, scanner s, reel_error *error) {
    enum { DESCR = 1, ORDER = 2, SHAPE = 4, ALL = DESCR | ORDER | SHAPE };
    int seen = 0;
    if (!take(&s, "{"))
        return refuse(file, "the header is not a dictionary", error);
    while (!take(&s, "}")) {
        char key[WORD_BYTES];
        if (!take_string(&s, key) || !take(&s, ":"))
            return refuse(file, "the header is not a dictionary", error);
        const int which = strcmp(key, "descr") == 0           ? DESCR
                          : strcmp(key, "fortran_order") == 0 ? ORDER
                          : strcmp(key, "shape") == 0         ? SHAPE
                                                              : 0;
        if (which == 0 || (seen & which) != 0)
            return reel_fail(error, REEL_ERROR_FORMAT, "%s: the header has %s key '%s'", file->path,
                             which == 0 ? "an unknown" : "twice the", key);
        seen |= which;
        const reel_status status = which == DESCR   ? read_type(file, &s, error)
                                   : which == ORDER ? read_order(file, &s, error)
                                                    : read_shape(file, &s, error);
        if (status != REEL_OK)
            return status;
        if (!take(&s, ",")) {
            if (!take(&s, "}"))
                return refuse(file, "the header is not a dictionary", error);
            break;
        }
    }
    skip_spaces(&s);
    if (seen != ALL || s.at != s.end)
        return refuse(file, "the header does not say 'descr', 'fortran_order' and 'shape', and no more",
                      error);
    return REEL_OK;
}

/* Finds the header's text; what follows it are the elements. */
static reel_status find_header(const reel_npy *file, const reel__mapped_file *mapped, scanner *header,
                               reel_error *error) {
    const char *const bytes = mapped->bytes;
    if (mapped->size < REEL__NPY_PREFIX_BYTES || memcmp(bytes, REEL__NPY_MAGIC, REEL__NPY_MAGIC_BYTES) != 0)
        return refuse(file, "no NumPy file: it does not begin with \\x93NUMPY", error);
    const int version = bytes[REEL__NPY_MAGIC_BYTES];
    if (version < 1 || version > 3)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: NumPy format %d; expected 1, 2 or 3", file->path,
                         version);
    const size_t length_bytes = version == 1 ? sizeof(uint16_t) : sizeof(uint32_t);
    const size_t begin = REEL__NPY_PREFIX_BYTES + length_bytes;
    uint32_t length = 0;
    if (mapped->size >= begin)
        memcpy(&length, bytes + REEL__NPY_PREFIX_BYTES, length_bytes);
    if (mapped->size < begin || length > mapped->size - begin)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: cut short: %zu bytes end within the header",
                         file->path, mapped->size);
    *header = (scanner){bytes + begin, bytes + begin + length};
    return REEL_OK;
}

typedef struct text {
    char text[REEL_MAX_RANK * 24];
} text;

/* "(10, 900)" */
static text shape_text(const reel_npy *file) {
    text out = {"("};
    size_t used = 1;
    for (int i = 0; i < file->rank; i++)
        used += (size_t)snprintf(out.text + used, sizeof out.text - used, i == 0 ? "%lld" : ", %lld",
                                 (long long)file->shape[i]);
    snprintf(out.text + used, sizeof out.text - used, ")");
    return out;
}

/* Compares what the shape says with what there is. */
static reel_status check_size(reel_npy *file, size_t bytes, reel_error *error) {
    int64_t need = (int64_t)types[file->type].bytes;
    int overflows = 0, is_empty = 0;
    for (int i = 0; i < file->rank; i++) {
        overflows |= __builtin_mul_overflow(need, file->shape[i], &need);
        is_empty |= file->shape[i] == 0;
    }
    if (is_empty) /* however large the other axes */
        need = overflows = 0;
    if (overflows)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: shape %s is larger than any memory", file->path,
                         shape_text(file).text);
    if ((uint64_t)need != bytes)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: shape %s of %s needs %lld bytes, the file has %zu",
                         file->path, shape_text(file).text, types[file->type].name, (long long)need, bytes);
    file->count = need / (int64_t)types[file->type].bytes;
    return REEL_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

typedef struct inside {
    reel__mapped_file mapped;
    char path[];
} inside;

reel_status reel_npy_open(reel_npy **out, const char *path, reel_error *error) {
    *out = NULL;
    reel_npy *file = calloc(1, sizeof *file);
    inside *in = calloc(1, sizeof *in + strlen(path) + 1);
    if (file == NULL || in == NULL) {
        free(file);
        free(in);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read a file", path);
    }
    strcpy(in->path, path);
    file->path = in->path;
    file->inside = in;
    scanner header = {0};
    reel_status status = reel__map_file(&in->mapped, path, error);
    if (status == REEL_OK)
        status = find_header(file, &in->mapped, &header, error);
    if (status == REEL_OK)
        status = read_dictionary(file, header, error);
    if (status == REEL_OK)
        status = check_size(file, (size_t)(in->mapped.bytes + in->mapped.size - header.end), error);
    file->data = header.end;
    if (status == REEL_OK)
        *out = file;
    else
        reel_npy_close(file);
    return status;
}

void reel_npy_close(reel_npy *file) {
    if (file == NULL)
        return;
    inside *in = file->inside;
    reel__unmap_file(&in->mapped);
    free(in);
    free(file);
}

/* Reads element i as a C type: the address may be odd. */
#define ELEMENT(ctype, file, i)                                                                              \
    __extension__({                                                                                          \
        ctype element;                                                                                       \
        memcpy(&element, (const char *)(file)->data + (size_t)(i) * sizeof element, sizeof element);         \
        element;                                                                                             \
    })

int64_t reel_npy_integer(const reel_npy *file, int64_t i) {
    assert(types[file->type].is_integer && i >= 0 && i < file->count);
    switch (file->type) {
    case REEL_NPY_I8:
        return ELEMENT(int8_t, file, i);
    case REEL_NPY_I16:
        return ELEMENT(int16_t, file, i);
    case REEL_NPY_I32:
        return ELEMENT(int32_t, file, i);
    case REEL_NPY_I64:
        return ELEMENT(int64_t, file, i);
    default:
        return ELEMENT(uint8_t, file, i);
    }
}

double reel_npy_number(const reel_npy *file, int64_t i) {
    assert(i >= 0 && i < file->count);
    switch (file->type) {
    case REEL_NPY_F16:
        return reel__half_to_float(ELEMENT(uint16_t, file, i));
    case REEL_NPY_F32:
        return ELEMENT(float, file, i);
    case REEL_NPY_F64:
        return ELEMENT(double, file, i);
    default:
        return (double)reel_npy_integer(file, i);
    }
}
