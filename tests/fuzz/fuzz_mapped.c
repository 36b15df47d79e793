/* In the place of data/mapped_file.c: the file is copied into memory of exactly its size. A mapping ends with
 * its last page, and up to there a reader that goes too far would meet zeros and no sanitizer. */
#include "mapped_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

reel_status reel__map_file(reel__mapped_file *file, const char *path, reel_error *error) {
    *file = (reel__mapped_file){0};
    FILE *const stream = fopen(path, "rb");
    if (stream == NULL)
        return reel_fail(error, REEL_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat facts = {0};
    const size_t size = fstat(fileno(stream), &facts) == 0 ? (size_t)facts.st_size : 0;
    char *const bytes = size > 0 ? malloc(size) : NULL;
    const size_t read = bytes != NULL ? fread(bytes, 1, size, stream) : 0;
    fclose(stream);
    if (size == 0 || read != size) {
        free(bytes);
        return reel_fail(error, REEL_ERROR_FORMAT, "%s: empty, or not a regular file", path);
    }
    *file = (reel__mapped_file){bytes, size};
    return REEL_OK;
}

void reel__unmap_file(reel__mapped_file *file) {
    free((void *)(uintptr_t)file->bytes);
    *file = (reel__mapped_file){0};
}
