/* What the reader and the writer of NumPy's files share. */
#ifndef REEL_DATA_NPY_FORMAT_H
#define REEL_DATA_NPY_FORMAT_H

#include <reel/npy.h>

enum {
    REEL__NPY_MAGIC_BYTES = 6,
    REEL__NPY_PREFIX_BYTES = 8, /* magic and version; then comes the header's length */
    REEL__NPY_ALIGNMENT = 64,   /* of the elements within the file */
};

#define REEL__NPY_MAGIC "\x93NUMPY"

/* The type's name within a header: "<i4". */
const char *reel__npy_descr(reel_npy_type type);

#endif
