#include "convert_list.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- sums -------------------------------------------------------------------------------------------- */

/* A sum with what rounding took from it (Neumaier's), so that it does not depend on the order. */
typedef struct sum {
    double total, lost;
} sum;

static void add(sum *s, double x) {
    const double total = s->total + x;
    s->lost += fabs(s->total) >= fabs(x) ? s->total - total + x : x - total + s->total;
    s->total = total;
}

/* Where a term is infinite or no number, what is lost says nothing. */
static double value_of(const sum *s) {
    return isfinite(s->total) ? s->total + s->lost : s->total;
}

/* ---- lines ------------------------------------------------------------------------------------------- */

enum { SHAPE_BYTES = 24 * REEL_MAX_RANK, DTYPE_BYTES = 8 };

/* "[512, 128]" */
static void write_shape(char out[static SHAPE_BYTES], const reel_file_tensor *t) {
    size_t used = (size_t)snprintf(out, SHAPE_BYTES, "[");
    for (int i = 0; i < t->rank; i++)
        used += (size_t)snprintf(out + used, SHAPE_BYTES - used, "%s%" PRId64, i ? ", " : "", t->shape[i]);
    snprintf(out + used, SHAPE_BYTES - used, "]");
}

/* "f32" */
static void write_dtype(char out[static DTYPE_BYTES], const reel_file_tensor *t) {
    const char *const name = reel_file_dtype_name(t->dtype);
    size_t i = 0;
    for (; name[i] && i < DTYPE_BYTES - 1; i++)
        out[i] = (char)tolower((unsigned char)name[i]);
    out[i] = '\0';
}

static reel_status list_one(FILE *out, const tensor_file *file, int64_t i, int name_columns,
                            int shape_columns, reel_error *error) {
    const reel_file_tensor *const t = &file->tensors[i];
    void *const bytes = malloc(t->bytes + 1);
    if (!bytes)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: tensor '%.200s': no memory for %zu bytes", file->path,
                         t->name, t->bytes);
    const reel_status status = tensor_file_read(file, i, bytes, error);
    sum total = {0}, amount = {0};
    const int64_t count = status == REEL_OK ? (int64_t)(t->bytes / reel_file_dtype_bytes(t->dtype)) : 0;
    for (int64_t k = 0; k < count; k++) {
        const double x = reel_file_number(t->dtype, bytes, k);
        add(&total, x);
        add(&amount, fabs(x));
    }
    free(bytes);
    char shape[SHAPE_BYTES], dtype[DTYPE_BYTES];
    write_shape(shape, t);
    write_dtype(dtype, t);
    if (status == REEL_OK)
        fprintf(out, "%-*s  %-*s  %-5s  %22.15g  %22.15g\n", name_columns, t->name, shape_columns, shape,
                dtype, value_of(&total), value_of(&amount));
    return status;
}

reel_status convert_list(FILE *out, const tensor_file *file, reel_error *error) {
    int name_columns = (int)strlen("name"), shape_columns = (int)strlen("shape");
    for (int64_t i = 0; i < file->count; i++) {
        char shape[SHAPE_BYTES];
        write_shape(shape, &file->tensors[i]);
        const int name = (int)strlen(file->tensors[i].name), wide = (int)strlen(shape);
        name_columns = name > name_columns ? name : name_columns;
        shape_columns = wide > shape_columns ? wide : shape_columns;
    }
    fprintf(out, "%-*s  %-*s  %-5s  %22s  %22s\n", name_columns, "name", shape_columns, "shape", "dtype",
            "sum", "abs_sum");
    reel_status status = REEL_OK;
    for (int64_t i = 0; status == REEL_OK && i < file->count; i++)
        status = list_one(out, file, i, name_columns, shape_columns, error);
    return status;
}
