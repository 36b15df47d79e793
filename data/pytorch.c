#include "file_values.h"
#include "pickle.h"
#include "pytorch_archive.h"

#include <reel/pytorch.h>

#include <stdlib.h>
#include <string.h>

/* A tensor and where its elements lie. */
typedef struct place {
    reel_file_tensor tensor;
    int64_t entry;          /* of the archive: the storage */
    int64_t offset;         /* in elements */
    const int64_t *strides; /* in elements */
} place;

struct reel_pytorch {
    char *path;
    reel__archive archive;
    void *pickle_bytes; /* what `pickle` points into */
    reel__pickle pickle;
    place *places; /* sorted by name */
    int64_t count;
    int64_t kept_entry; /* the storage in `kept`: several views often share one; -1: none */
    char *kept;
};

/* ---- what the pickle claims -------------------------------------------------------------------------- */

/* Fails with "PATH: tensor 'NAME': WHAT". */
static reel_status refuse(const reel_pytorch *file, const char *name, const char *what, reel_error *error) {
    return reel_fail(error, REEL_ERROR_FORMAT, "%s: tensor '%.200s': %s", file->path, name, what);
}

/* Finds the storage, and compares what the pickle says of it with what there is. */
static reel_status find_storage(const reel_pytorch *file, const reel__pickle_tensor *claimed, place *p,
                                reel_error *error) {
    enum { SHOWN = 40 };
    int64_t bytes;
    p->entry = reel__archive_find(&file->archive, "data/", claimed->storage, claimed->storage_length);
    if (p->entry < 0)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: tensor '%.200s': its storage data/%.*s is missing",
                         file->path, claimed->name,
                         (int)(claimed->storage_length < SHOWN ? claimed->storage_length : SHOWN),
                         claimed->storage);
    const uint64_t have = file->archive.entries[p->entry].bytes;
    if (__builtin_mul_overflow(claimed->storage_elements, (int64_t)reel_file_dtype_bytes(claimed->dtype),
                               &bytes) ||
        (uint64_t)bytes > have)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: tensor '%.200s': a storage of %lld elements of %s, in an entry of %llu bytes",
                         file->path, claimed->name, (long long)claimed->storage_elements,
                         reel_file_dtype_name(claimed->dtype), (unsigned long long)have);
    return REEL_OK;
}

/* Counts the bytes, and makes sure that the last element lies in the storage: all numbers are positive, so
 * every other one lies before it. */
static reel_status check_extent(const reel_pytorch *file, const reel__pickle_tensor *claimed,
                                int64_t *tensor_bytes, reel_error *error) {
    int64_t bytes = (int64_t)reel_file_dtype_bytes(claimed->dtype), last = claimed->offset, way;
    for (int i = 0; i < claimed->rank; i++)
        if (__builtin_mul_overflow(bytes, claimed->shape[i], &bytes))
            return refuse(file, claimed->name, "the shape has more elements than there are numbers", error);
    for (int i = 0; i < claimed->rank && bytes > 0; i++)
        if (__builtin_mul_overflow(claimed->shape[i] - 1, claimed->stride[i], &way) ||
            __builtin_add_overflow(last, way, &last))
            return refuse(file, claimed->name, "the strides lead beyond all numbers", error);
    if (bytes > 0 && last >= claimed->storage_elements)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: tensor '%.200s': its last element is number %lld of a storage of %lld",
                         file->path, claimed->name, (long long)last, (long long)claimed->storage_elements);
    *tensor_bytes = bytes;
    return REEL_OK;
}

/* Keeps a small file from filling the memory or the disk: one element can be expanded to any shape. */
static reel_status check_total(const reel_pytorch *file, const char *name, int64_t bytes, int64_t *total,
                               reel_error *error) {
    enum { ALWAYS = 64 << 20, TIMES = 16 };
    int64_t most;
    if (__builtin_mul_overflow((int64_t)file->archive.file_bytes, TIMES, &most) ||
        __builtin_add_overflow(most, ALWAYS, &most))
        most = INT64_MAX;
    if (__builtin_add_overflow(*total, bytes, total) || *total > most)
        return reel_fail(error, REEL_ERROR_FORMAT,
                         "%s: tensor '%.200s': with its %lld bytes the tensors need more than 64 MiB and %d "
                         "times the file's %llu bytes",
                         file->path, name, (long long)bytes, TIMES,
                         (unsigned long long)file->archive.file_bytes);
    return REEL_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const place *)a)->tensor.name, ((const place *)b)->tensor.name);
}

static reel_status place_tensors(reel_pytorch *file, reel_error *error) {
    int64_t total = 0;
    file->places = calloc((size_t)file->pickle.count + 1, sizeof *file->places);
    if (file->places == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read a file", file->path);
    for (int64_t i = 0; i < file->pickle.count; i++) {
        const reel__pickle_tensor *const claimed = &file->pickle.tensors[i];
        place *const p = &file->places[file->count++];
        int64_t bytes = 0;
        reel_status status = find_storage(file, claimed, p, error);
        if (status == REEL_OK)
            status = check_extent(file, claimed, &bytes, error);
        if (status == REEL_OK)
            status = check_total(file, claimed->name, bytes, &total, error);
        if (status != REEL_OK)
            return status;
        p->tensor = (reel_file_tensor){
            .name = claimed->name, .dtype = claimed->dtype, .rank = claimed->rank, .bytes = (size_t)bytes};
        memcpy(p->tensor.shape, claimed->shape, sizeof p->tensor.shape);
        p->offset = claimed->offset;
        p->strides = claimed->stride;
    }
    qsort(file->places, (size_t)file->count, sizeof *file->places, compare_names);
    for (int64_t i = 1; i < file->count; i++)
        if (compare_names(&file->places[i - 1], &file->places[i]) == 0)
            return refuse(file, file->places[i].tensor.name, "appears twice", error);
    return REEL_OK;
}

/* ---- opening ----------------------------------------------------------------------------------------- */

static reel_status check_byte_order(reel_pytorch *file, reel_error *error) {
    static const char little[] = "little";
    char order[sizeof little] = "";
    const int64_t entry = reel__archive_find(&file->archive, "byteorder", "", 0);
    if (entry < 0) /* older than the entry */
        return REEL_OK;
    const uint64_t bytes = file->archive.entries[entry].bytes;
    const reel_status status =
        bytes < sizeof order ? reel__archive_read(&file->archive, entry, order, error) : REEL_OK;
    if (status == REEL_OK && strcmp(order, little) != 0)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: its byte order is '%s'; expected 'little'",
                         file->path, *order != '\0' ? order : "?");
    return status;
}

static reel_status read_pickle(reel_pytorch *file, reel_error *error) {
    const int64_t entry = reel__archive_find(&file->archive, "data.pkl", "", 0);
    const uint64_t bytes = file->archive.entries[entry].bytes;
    if (bytes > REEL__PICKLE_MAX_BYTES)
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: data.pkl has %llu bytes (at most %d)", file->path,
                         (unsigned long long)bytes, REEL__PICKLE_MAX_BYTES);
    file->pickle_bytes = malloc((size_t)bytes + 1);
    if (file->pickle_bytes == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read a file", file->path);
    const reel_status status = reel__archive_read(&file->archive, entry, file->pickle_bytes, error);
    return status == REEL_OK
               ? reel__pickle_read(&file->pickle, file->path, file->pickle_bytes, (size_t)bytes, error)
               : status;
}

reel_status reel_pytorch_open(reel_pytorch **out, const char *path, reel_error *error) {
    *out = NULL;
    reel_pytorch *file = calloc(1, sizeof *file);
    if (file == NULL || (file->path = strdup(path)) == NULL) {
        free(file);
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory to read a file", path);
    }
    file->kept_entry = -1;
    reel_status status = reel__archive_open(&file->archive, file->path, error);
    if (status == REEL_OK)
        status = check_byte_order(file, error);
    if (status == REEL_OK)
        status = read_pickle(file, error);
    if (status == REEL_OK)
        status = place_tensors(file, error);
    if (status == REEL_OK)
        *out = file;
    else
        reel_pytorch_close(file);
    return status;
}

void reel_pytorch_close(reel_pytorch *file) {
    if (file == NULL)
        return;
    free(file->kept);
    free(file->places);
    reel__pickle_free(&file->pickle);
    free(file->pickle_bytes);
    reel__archive_close(&file->archive);
    free(file->path);
    free(file);
}

int64_t reel_pytorch_count(const reel_pytorch *file) {
    return file->count;
}

const reel_file_tensor *reel_pytorch_at(const reel_pytorch *file, int64_t i) {
    return &file->places[i].tensor;
}

int64_t reel_pytorch_find(const reel_pytorch *file, const char *name) {
    const place wanted = {.tensor.name = name};
    const place *const found =
        bsearch(&wanted, file->places, (size_t)file->count, sizeof wanted, compare_names);
    return found == NULL ? -1 : found - file->places;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

/* Whether the tensor is its whole storage, from first to last byte: it lies in it and is as large. */
static int is_whole(const reel_pytorch *file, const place *p) {
    int64_t next = 1;
    for (int i = p->tensor.rank - 1; i >= 0; i--) {
        if (p->tensor.shape[i] != 1 && p->strides[i] != next)
            return 0;
        next *= p->tensor.shape[i];
    }
    return p->tensor.bytes == file->archive.entries[p->entry].bytes;
}

/* Copies the elements in order, those along the last axis in one loop. */
static void gather(const place *p, const char *storage, char *out) {
    const reel_file_tensor *const t = &p->tensor;
    const size_t element = reel_file_dtype_bytes(t->dtype);
    const int last = t->rank - 1;
    const int64_t run = t->rank > 0 ? t->shape[last] : 1;
    const int64_t stride = t->rank > 0 ? p->strides[last] : 0;
    int64_t index[REEL_MAX_RANK] = {0}, at = p->offset;
    for (size_t done = 0; done < t->bytes;) {
        for (int64_t i = 0; i < run; i++, done += element)
            memcpy(out + done, storage + (size_t)(at + i * stride) * element, element);
        for (int axis = last - 1; axis >= 0; axis--) { /* to the next row */
            at += p->strides[axis];
            if (++index[axis] < t->shape[axis])
                break;
            at -= p->strides[axis] * t->shape[axis];
            index[axis] = 0;
        }
    }
}

/* Brings a storage into memory, unless it is there. */
static reel_status keep_storage(reel_pytorch *file, int64_t entry, reel_error *error) {
    if (file->kept_entry == entry)
        return REEL_OK;
    const uint64_t bytes = file->archive.entries[entry].bytes; /* at most the file's */
    free(file->kept);
    file->kept_entry = -1;
    file->kept = malloc((size_t)bytes + 1);
    if (file->kept == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory for a storage of %llu bytes", file->path,
                         (unsigned long long)bytes);
    const reel_status status = reel__archive_read(&file->archive, entry, file->kept, error);
    if (status == REEL_OK)
        file->kept_entry = entry;
    return status;
}

reel_status reel_pytorch_read(reel_pytorch *file, int64_t i, void *bytes, reel_error *error) {
    const place *const p = &file->places[i];
    if (p->tensor.bytes == 0)
        return REEL_OK;
    if (is_whole(file, p))
        return reel__archive_read(&file->archive, p->entry, bytes, error);
    const reel_status status = keep_storage(file, p->entry, error);
    if (status == REEL_OK)
        gather(p, file->kept, bytes);
    return status;
}

reel_status reel_pytorch_load(reel_context *ctx, reel_pytorch *file, const char *name, reel_tensor *dst,
                              reel_error *error) {
    const int64_t i = reel_pytorch_find(file, name);
    if (i < 0)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "%s: no tensor '%.200s'", file->path, name);
    const reel_file_tensor *const tensor = reel_pytorch_at(file, i);
    reel_status status = reel__check_shape(file->path, tensor, dst, error);
    if (status != REEL_OK)
        return status;
    void *const bytes = malloc(tensor->bytes + 1);
    if (bytes == NULL)
        return reel_fail(error, REEL_ERROR_MEMORY, "%s: tensor '%.200s': no memory for %zu bytes", file->path,
                         name, tensor->bytes);
    status = reel_pytorch_read(file, i, bytes, error);
    if (status == REEL_OK)
        status = reel__load_values(ctx, file->path, tensor, bytes, dst, error);
    free(bytes);
    return status;
}
