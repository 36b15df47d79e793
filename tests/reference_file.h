/* Tensors that PyTorch computed, in a safetensors file, and how far ours are from them. */
#ifndef REFERENCE_FILE_H
#define REFERENCE_FILE_H

#include <reel/safetensors.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* NaN is the worst. */
static inline void worsen(double *worst, double error) {
    if (!(error <= *worst))
        *worst = error;
}

/* A tensor of the file as doubles, to be freed; NULL where there is none. */
static inline double *reference_values(reel_context *ctx, const reel_safetensors *file, const char *key,
                                       int64_t *count) {
    const reel_safetensors_entry *entry = reel_safetensors_find(file, key);
    if (!entry)
        return NULL;
    reel_tensor *values = reel_tensor_new(ctx, REEL_F64, entry->rank, entry->shape);
    reel_error error = {0};
    *count = reel_elements(values);
    double *out = malloc((size_t)(*count + 1) * sizeof *out);
    if (!out || reel_safetensors_load(ctx, file, key, values, &error) != REEL_OK ||
        reel_read(ctx, values, out, (size_t)*count * sizeof *out) != REEL_OK) {
        fprintf(stderr, "%s: %s%s\n", key, error.message, reel_context_message(ctx));
        exit(EXIT_FAILURE);
    }
    reel_tensor_free(ctx, values);
    return out;
}

/* max|ours - theirs| / max|theirs|; an infinite error where the file has no such tensor of that size.
 * *agreeing, if not NULL, grows by the number of elements that err by no more than `limit`. */
static inline double reference_error(reel_context *ctx, const reel_safetensors *file, const char *key,
                                     const reel_tensor *ours, double limit, int64_t *agreeing) {
    int64_t count;
    double *theirs = reference_values(ctx, file, key, &count);
    if (!theirs || count != reel_elements(ours)) {
        fprintf(stderr, "%s: %s\n", key, theirs ? "another shape" : "missing");
        free(theirs);
        return INFINITY;
    }
    reel_tensor *wide = reel_tensor_new(ctx, REEL_F64, ours->rank, ours->shape);
    double *values = malloc((size_t)(count + 1) * sizeof *values);
    reel_copy(ctx, wide, ours);
    if (!values || reel_read(ctx, wide, values, (size_t)count * sizeof *values) != REEL_OK) {
        fprintf(stderr, "%s: %s\n", key, reel_context_message(ctx));
        exit(EXIT_FAILURE);
    }
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(theirs[i]));
    for (int64_t i = 0; i < count; i++) {
        const double error = fabs(values[i] - theirs[i]) / (largest > 0 ? largest : 1);
        worsen(&worst, error);
        if (agreeing)
            *agreeing += error <= limit;
    }
    reel_tensor_free(ctx, wide);
    free(values);
    free(theirs);
    return worst;
}

#endif
