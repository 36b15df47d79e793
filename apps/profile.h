/* Where the time of a run went, as a table. */
#ifndef PROFILE_H
#define PROFILE_H

#include <reel/tensor.h>

#include <stdio.h>

/* GFLOP/s that a product of two size x size matrices reaches on this machine; NaN with the context's error
 * set when memory is short. Empties the tape. Takes about eight products' time. */
double profile_roof(reel_context *ctx, reel_dtype dtype, int64_t size);

/* One line per kind of op, the costliest first: what a step spent on it on average, and how near to the roof,
 * in GFLOP/s, its products came. Small ones are summed up in the line `other`. */
void profile_print(FILE *out, const reel_context *ctx, int64_t steps, double roof);

#endif
