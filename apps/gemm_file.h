/* The algorithms of a GPU's matrix products (<reel/gemm_choices.h>) in a file. */
#ifndef GEMM_FILE_H
#define GEMM_FILE_H

#include <reel/gemm_choices.h>

/* Gives the context the choices in the file at `path`. Errors: IO, and those of reel_gemm_choices_read. */
reel_status gemm_file_read(reel_context *ctx, const char *path, reel_error *error);

/* Writes all choices of the context, whole or not at all. */
reel_status gemm_file_write(reel_context *ctx, const char *path, reel_error *error);

#endif
