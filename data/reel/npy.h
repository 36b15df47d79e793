/* NumPy's files: one array each (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
 *
 * Layout: "\x93NUMPY", version, the length of the header, the header as a Python dictionary
 * {'descr': '<i4', 'fortran_order': False, 'shape': (10, 900), } padded with spaces and a line feed, then the
 * elements. */
#ifndef REEL_NPY_H
#define REEL_NPY_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of elements, as numpy calls them. */
typedef enum reel_npy_type {
    REEL_NPY_U8,
    REEL_NPY_BOOL,
    REEL_NPY_I8,
    REEL_NPY_I16,
    REEL_NPY_I32,
    REEL_NPY_I64,
    REEL_NPY_F16,
    REEL_NPY_F32,
    REEL_NPY_F64,
    REEL_NPY_TYPES
} reel_npy_type;

REEL_API const char *reel_npy_type_name(reel_npy_type type); /* "uint8", as numpy prints it */
REEL_API size_t reel_npy_type_bytes(reel_npy_type type);     /* of one element */
REEL_API int reel_npy_is_integer(reel_npy_type type);        /* bool counts as one: 0 and 1 */

/* ---- reading ----------------------------------------------------------------------------------------- */

/* An open file. Plain and readable, made only by the library. */
typedef struct reel_npy {
    reel_npy_type type;
    int rank;
    int64_t shape[REEL_MAX_RANK];
    int64_t count;    /* elements */
    const void *data; /* row-major; may lie on any address, so copy it before reading it as numbers */
    const char *path;
    void *inside; /* the library's own */
} reel_npy;

/* Maps a file of format 1.0, 2.0 or 3.0, read-only, and checks its header against its size. Refused by name:
 * other types (big-endian, complex, text, objects, records), Fortran order, more than REEL_MAX_RANK axes,
 * shapes that do not fill the file or do not fit into it. The file must not shrink while it is open. *file is
 * NULL upon an error: IO, DTYPE for another type, FORMAT, MEMORY. */
REEL_API reel_status reel_npy_open(reel_npy **file, const char *path, reel_error *error);

/* Frees it with all that it has given out. NULL is accepted. */
REEL_API void reel_npy_close(reel_npy *file);

/* Element i, row-major, 0 <= i < count, of an integer type. */
REEL_API int64_t reel_npy_integer(const reel_npy *file, int64_t i);
/* Element i of any type, rounded to a double where it is a large integer. */
REEL_API double reel_npy_number(const reel_npy *file, int64_t i);

/* ---- writing ----------------------------------------------------------------------------------------- */

/* A file that is being written. */
typedef struct reel_npy_writer reel_npy_writer;

/* Begins a file of format 1.0, byte for byte as numpy.save writes it, which appears when it is complete
 * (<reel/atomic_file.h>). A negative shape[0] is counted while writing. It ends with
 * exactly one of reel_npy_commit and reel_npy_discard. *writer is NULL upon an error: ARGUMENT for a shape
 * that is none, IO, MEMORY. */
REEL_API reel_status reel_npy_create(reel_npy_writer **writer, const char *path, reel_npy_type type, int rank,
                                     const int64_t *shape, reel_error *error);

/* Appends `count` elements of the file's type. The first failure is kept; commit reports it. */
REEL_API void reel_npy_append(reel_npy_writer *writer, const void *elements, int64_t count);

/* Completes the file and brings it onto the disk, so that of a commit only the rename is left. Errors: as
 * commit. */
REEL_API reel_status reel_npy_flush(reel_npy_writer *writer, reel_error *error);

/* Gives the file its name and frees `writer` whatever happens. Errors: STATE if the elements do not fill the
 * shape, IO. */
REEL_API reel_status reel_npy_commit(reel_npy_writer *writer, reel_error *error);
/* Leaves no file and frees `writer`. NULL is accepted. */
REEL_API void reel_npy_discard(reel_npy_writer *writer);

#ifdef __cplusplus
}
#endif
#endif
