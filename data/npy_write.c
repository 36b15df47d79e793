#include "npy_format.h"

#include <reel/atomic_file.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 4 * REEL__NPY_ALIGNMENT, /* at most: six axes of 19 digits, a type and the words around */
    GROWTH_DIGITS = 21, /* room that numpy leaves for the first axis; any 64-bit number fits */
};

struct reel_npy_writer {
    reel_atomic_file *file;
    char *path;
    reel_npy_type type;
    int rank;
    int64_t shape[REEL_MAX_RANK]; /* shape[0] < 0: counted */
    int64_t row;                  /* elements per index of the first axis */
    int64_t count;                /* elements appended */
};

/* Writes the header for `first` as the first axis; its length is the same for every number. */
static size_t make_header(const reel_npy_writer *w, int64_t first, char header[static HEADER_BYTES]) {
    const size_t begin = REEL__NPY_PREFIX_BYTES + sizeof(uint16_t);
    memcpy(header, REEL__NPY_MAGIC "\x01", REEL__NPY_PREFIX_BYTES); /* version 1, and the final zero is .0 */
    size_t used = begin;
    used += (size_t)snprintf(header + used, HEADER_BYTES - used,
                             "{'descr': '%s', 'fortran_order': False, 'shape': (", reel__npy_descr(w->type));
    for (int i = 0; i < w->rank; i++)
        used += (size_t)snprintf(header + used, HEADER_BYTES - used, i == 0 ? "%lld" : ", %lld",
                                 (long long)(i == 0 ? first : w->shape[i]));
    used += (size_t)snprintf(header + used, HEADER_BYTES - used, w->rank == 1 ? ",), }" : "), }");
    size_t room = used;
    if (w->rank > 0) {
        char digits[GROWTH_DIGITS + 1];
        room += GROWTH_DIGITS - (size_t)snprintf(digits, sizeof digits, "%lld", (long long)first);
    }
    const size_t line_feed = 1;
    const size_t total =
        (room + line_feed + REEL__NPY_ALIGNMENT - 1) / REEL__NPY_ALIGNMENT * REEL__NPY_ALIGNMENT;
    assert(total <= HEADER_BYTES);
    memset(header + used, ' ', total - used);
    header[total - line_feed] = '\n';
    const uint16_t length = (uint16_t)(total - begin);
    memcpy(header + REEL__NPY_PREFIX_BYTES, &length, sizeof length);
    return total;
}

reel_status reel_npy_create(reel_npy_writer **out, const char *path, reel_npy_type type, int rank,
                            const int64_t *shape, reel_error *error) {
    *out = NULL;
    if (rank < 0 || rank > REEL_MAX_RANK)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: an array of %d axes: at most %d", path, rank,
                         REEL_MAX_RANK);
    int64_t row = 1;
    for (int i = 1; i < rank; i++)
        if (shape[i] < 0 || __builtin_mul_overflow(row, shape[i], &row))
            return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: axis %d cannot have size %lld", path, i,
                             (long long)shape[i]);
    reel_npy_writer *w = calloc(1, sizeof *w);
    char *copy = strdup(path);
    if (w == NULL || copy == NULL) {
        free(w);
        free(copy);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to write a file", path);
    }
    *w = (reel_npy_writer){.path = copy, .type = type, .rank = rank, .row = row};
    for (int i = 0; i < rank; i++)
        w->shape[i] = shape[i];
    const reel_status status = reel_atomic_open(&w->file, path, error);
    if (status != REEL_OK) {
        free(w->path);
        free(w);
        return status;
    }
    char header[HEADER_BYTES];
    reel_atomic_write(w->file, header, make_header(w, 0, header));
    *out = w;
    return REEL_OK;
}

void reel_npy_append(reel_npy_writer *w, const void *elements, int64_t count) {
    reel_atomic_write(w->file, elements, (size_t)count * reel_npy_type_bytes(w->type));
    w->count += count;
}

/* The first axis, from what was written; or -1 where that does not fill the shape. */
static int64_t first_axis(const reel_npy_writer *w) {
    if (w->rank == 0)
        return w->count == 1 ? 1 : -1;
    const int is_counted = w->shape[0] < 0;
    const int64_t first = !is_counted ? w->shape[0] : w->row == 0 ? 0 : w->count / w->row;
    int64_t need;
    return !__builtin_mul_overflow(first, w->row, &need) && need == w->count ? first : -1;
}

reel_status reel_npy_flush(reel_npy_writer *w, reel_error *error) {
    const int64_t first = first_axis(w);
    if (first < 0)
        return reel_fail(error, REEL_ERROR_STATE, "%s: %lld elements do not fill the array's shape", w->path,
                         (long long)w->count);
    char header[HEADER_BYTES];
    const size_t bytes = make_header(w, first, header);
    reel_atomic_rewrite(w->file, 0, header, bytes);
    return reel_atomic_flush(w->file, error);
}

reel_status reel_npy_commit(reel_npy_writer *w, reel_error *error) {
    reel_status status = reel_npy_flush(w, error);
    if (status != REEL_OK) {
        reel_npy_discard(w);
        return status;
    }
    status = reel_atomic_commit(w->file, error);
    free(w->path);
    free(w);
    return status;
}

void reel_npy_discard(reel_npy_writer *w) {
    if (w == NULL)
        return;
    reel_atomic_discard(w->file);
    free(w->path);
    free(w);
}
