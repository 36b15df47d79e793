#include "gemm_file.h"

#include <reel/atomic_file.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

reel_status gemm_file_read(reel_context *ctx, const char *path, reel_error *error) {
    enum { MOST_BYTES = 4 << 20 }; /* more than the longest table takes */
    FILE *const file = fopen(path, "rb");
    if (!file)
        return reel_fail(error, REEL_ERROR_IO, "%s: %s", path, strerror(errno));
    char *const text = malloc(MOST_BYTES);
    const size_t bytes = text ? fread(text, 1, MOST_BYTES, file) : 0;
    reel_status status = REEL_OK;
    if (!text)
        status = reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left to read it", path);
    else if (ferror(file))
        status = reel_fail(error, REEL_ERROR_IO, "%s: %s", path, strerror(errno));
    else
        status = reel_gemm_choices_read(ctx, path, text, bytes, error);
    free(text);
    fclose(file);
    return status;
}

reel_status gemm_file_write(reel_context *ctx, const char *path, reel_error *error) {
    char *const text = reel_gemm_choices_text(ctx);
    const reel_status status =
        text ? reel_atomic_save(path, text, strlen(text), error)
             : reel_fail(error, REEL_ERROR_MEMORY, "%s: no memory left to write it", path);
    free(text);
    return status;
}
