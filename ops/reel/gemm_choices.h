/* Which algorithms the matrix products of a GPU take: chosen once, kept as text.
 *
 * cuBLASLt has many algorithms for a product, and the last bits of a result depend on which one it is. For
 * each question - sizes, strides, types and alignments of a product - a context takes the choice that it was
 * given, or else the first that its library proposes, and stays with it. Nothing is timed, unless
 * reel_gemm_choices_measure asks for it. On the CPU there is nothing to choose. */
#ifndef REEL_GEMM_CHOICES_H
#define REEL_GEMM_CHOICES_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the context the choices in a text of reel_gemm_choices_text, before its first product; `name` stands
 * in errors, before the line. After an error it has none of them. An algorithm that the library refuses when
 * its product comes is an error of that product (DEVICE): another one would give other bits.
 * Errors: ARGUMENT on the CPU; FORMAT for any other text; STATE where they were made on another GPU or with
 * another version of the library, and for a context that has choices already; DEVICE, MEMORY. */
REEL_API reel_status reel_gemm_choices_read(reel_context *ctx, const char *name, const char *text,
                                            size_t bytes, reel_error *error);

/* All choices, those given and then those made, each a line, as text to be freed by free(); NULL on the CPU
 * and without memory. */
REEL_API char *reel_gemm_choices_text(reel_context *ctx);

/* How many there are, 0 on the CPU. It never falls. */
REEL_API int64_t reel_gemm_choices_count(reel_context *ctx);

/* From here on the choices that have to be made are made by measurement: a product that comes for the first
 * time runs with each of the library's first proposals, into other memory, and takes the fastest. They all
 * are deterministic, but a second measurement may choose otherwise: keep the text. Errors: ARGUMENT on the
 * CPU; DEVICE, MEMORY. */
REEL_API reel_status reel_gemm_choices_measure(reel_context *ctx, reel_error *error);

#ifdef __cplusplus
}
#endif
#endif
