#include "file_values.h"

#include "bf16.h"
#include "half.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- dtypes of files --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t bytes;
    reel_dtype staged; /* the engine's dtype that holds its values */
    int is_integer;
} dtypes[REEL_FILE_DTYPES] = {
    [REEL_FILE_F64] = {"F64", 8, REEL_F64, 0}, [REEL_FILE_F32] = {"F32", 4, REEL_F32, 0},
    [REEL_FILE_F16] = {"F16", 2, REEL_F32, 0}, [REEL_FILE_BF16] = {"BF16", 2, REEL_BF16, 0},
    [REEL_FILE_I64] = {"I64", 8, REEL_I32, 1}, [REEL_FILE_I32] = {"I32", 4, REEL_I32, 1},
    [REEL_FILE_I16] = {"I16", 2, REEL_I32, 1}, [REEL_FILE_I8] = {"I8", 1, REEL_I32, 1},
    [REEL_FILE_U8] = {"U8", 1, REEL_U8, 1},    [REEL_FILE_BOOL] = {"BOOL", 1, REEL_U8, 1},
};

size_t reel_file_dtype_bytes(reel_file_dtype dtype) {
    return dtypes[dtype].bytes;
}

const char *reel_file_dtype_name(reel_file_dtype dtype) {
    return dtypes[dtype].name;
}

reel_file_dtype reel_file_dtype_named(const char *name) {
    int i = 0;
    while (i < REEL_FILE_DTYPES && strcmp(dtypes[i].name, name) != 0)
        i++;
    return (reel_file_dtype)i;
}

/* ---- one value --------------------------------------------------------------------------------------- */

/* Reads element i as a C type: the address may be odd. */
#define ELEMENT(ctype, bytes, i)                                                                             \
    __extension__({                                                                                          \
        ctype element;                                                                                       \
        memcpy(&element, (const char *)(bytes) + (size_t)(i) * sizeof element, sizeof element);              \
        element;                                                                                             \
    })

static int64_t integer_at(reel_file_dtype dtype, const void *bytes, int64_t i) {
    switch (dtype) {
    case REEL_FILE_I64:
        return ELEMENT(int64_t, bytes, i);
    case REEL_FILE_I32:
        return ELEMENT(int32_t, bytes, i);
    case REEL_FILE_I16:
        return ELEMENT(int16_t, bytes, i);
    case REEL_FILE_I8:
        return ELEMENT(int8_t, bytes, i);
    default:
        return ELEMENT(uint8_t, bytes, i);
    }
}

double reel_file_number(reel_file_dtype dtype, const void *bytes, int64_t i) {
    switch (dtype) {
    case REEL_FILE_F64:
        return ELEMENT(double, bytes, i);
    case REEL_FILE_F32:
        return (double)ELEMENT(float, bytes, i);
    case REEL_FILE_F16:
        return (double)reel__half_to_float(ELEMENT(uint16_t, bytes, i));
    case REEL_FILE_BF16:
        return (double)reel__from_bf16(ELEMENT(reel_bf16, bytes, i));
    default:
        return (double)integer_at(dtype, bytes, i);
    }
}

/* ---- into the engine --------------------------------------------------------------------------------- */

/* The integers that a dtype holds exactly, all of them; f64 those of i32, through which they pass. */
static const struct {
    int64_t low, high;
} exact_integers[REEL_DTYPE_COUNT] = {
    [REEL_F64] = {INT32_MIN, INT32_MAX}, [REEL_F32] = {-(1 << 24), 1 << 24},
    [REEL_BF16] = {-(1 << 8), 1 << 8},   [REEL_I32] = {INT32_MIN, INT32_MAX},
    [REEL_U8] = {0, UINT8_MAX},
};

/* Copies the values to aligned memory, as the dtype `staged` of the table. */
static reel_status stage(const char *path, const reel_file_tensor *tensor, const void *bytes, reel_dtype into,
                         int64_t count, void *staged, reel_error *error) {
    const reel_file_dtype dtype = tensor->dtype;
    const int64_t low = exact_integers[into].low;
    const int64_t high = dtype == REEL_FILE_BOOL ? 1 : exact_integers[into].high;
    for (int64_t i = 0; dtypes[dtype].is_integer && i < count; i++) {
        const int64_t value = integer_at(dtype, bytes, i);
        if (value < low || value > high)
            return reel_fail(error, REEL_ERROR_FORMAT,
                             "%s: tensor '%.200s': element %lld is %lld, out of range for %s into %s", path,
                             tensor->name, (long long)i, (long long)value, dtypes[dtype].name,
                             reel_dtype_name(into));
        if (dtypes[dtype].staged == REEL_I32)
            ((int32_t *)staged)[i] = (int32_t)value;
        else
            ((uint8_t *)staged)[i] = (uint8_t)value;
    }
    for (int64_t i = 0; dtype == REEL_FILE_F16 && i < count; i++)
        ((float *)staged)[i] = reel__half_to_float(ELEMENT(uint16_t, bytes, i));
    if (!dtypes[dtype].is_integer && dtype != REEL_FILE_F16)
        memcpy(staged, bytes, tensor->bytes);
    return REEL_OK;
}

/* dst = staged values, converted by the engine where the dtypes differ. */
static reel_status write_staged(reel_context *ctx, reel_dtype dtype, const void *staged, size_t bytes,
                                reel_tensor *dst) {
    if (dtype == dst->dtype)
        return reel_write(ctx, dst, staged, bytes);
    reel_tensor *between = reel_tensor_new(ctx, dtype, dst->rank, dst->shape);
    reel_status status = reel_write(ctx, between, staged, bytes);
    if (status == REEL_OK)
        status = reel_copy(ctx, dst, between);
    reel_tensor_free(ctx, between);
    return status;
}

typedef struct text {
    char text[REEL_MAX_RANK * 24];
} text;

/* "[2,3]" */
static text shape_text(int rank, const int64_t *shape) {
    text out = {"["};
    size_t used = 1;
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(out.text + used, sizeof out.text - used, i == 0 ? "%lld" : ",%lld",
                                 (long long)shape[i]);
    snprintf(out.text + used, sizeof out.text - used, "]");
    return out;
}

reel_status reel__check_shape(const char *path, const reel_file_tensor *tensor, const reel_tensor *dst,
                              reel_error *error) {
    if (tensor->rank == dst->rank &&
        memcmp(tensor->shape, dst->shape, (size_t)dst->rank * sizeof *dst->shape) == 0)
        return REEL_OK;
    return reel_fail(error, REEL_ERROR_SHAPE, "%s: tensor '%.200s' has shape %s, expected %s", path,
                     tensor->name, shape_text(tensor->rank, tensor->shape).text,
                     shape_text(dst->rank, dst->shape).text);
}

reel_status reel__load_values(reel_context *ctx, const char *path, const reel_file_tensor *tensor,
                              const void *bytes, reel_tensor *dst, reel_error *error) {
    reel_status status = reel__check_shape(path, tensor, dst, error);
    if (status != REEL_OK)
        return status;
    const int into_integer = dst->dtype == REEL_I32 || dst->dtype == REEL_U8;
    if (into_integer && !dtypes[tensor->dtype].is_integer)
        return reel_fail(error, REEL_ERROR_DTYPE, "%s: tensor '%.200s' is %s, which does not convert to %s",
                         path, tensor->name, dtypes[tensor->dtype].name, reel_dtype_name(dst->dtype));
    const reel_dtype staged_dtype = dtypes[tensor->dtype].staged;
    const int64_t count = reel_elements(dst);
    const size_t staged_bytes = (size_t)count * reel_dtype_bytes(staged_dtype);
    void *staged = malloc(staged_bytes + 1);
    if (staged == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: tensor '%.200s': no memory for %zu bytes", path,
                         tensor->name, staged_bytes);
    status = stage(path, tensor, bytes, dst->dtype, count, staged, error);
    if (status == REEL_OK) {
        status = write_staged(ctx, staged_dtype, staged, staged_bytes, dst);
        if (status != REEL_OK)
            reel_fail(error, status, "%s: tensor '%.200s': %s", path, tensor->name,
                      reel_context_message(ctx));
    }
    free(staged);
    return status;
}
