/* Times the forward pass and the gradient rule of an op.
 *
 * The gradient rule is timed alone. A node before the op on the tape and one behind it hold the clock: the
 * one behind gives the op's results a gradient made beforehand and starts the clock, the first of those
 * before, one for each input that has a gradient, stops it. */
#ifndef OP_SAMPLER_H
#define OP_SAMPLER_H

#include "shape_file.h"
#include "timing.h"

typedef enum sampler_cache {
    SAMPLER_WARM, /* as the calls before left the caches */
    SAMPLER_COLD, /* other data went through the caches before each pass */
} sampler_cache;

typedef enum sampler_pass { SAMPLER_FORWARD, SAMPLER_BACKWARD, SAMPLER_PASSES } sampler_pass;

typedef struct op_sampler op_sampler;

/* Caches are made cold by reading evictor_bytes; 0 is as much as that takes. Errors are the context's. NULL
 * where there is no memory. */
op_sampler *op_sampler_new(reel_context *ctx, reel_dtype dtype, int64_t evictor_bytes);
void op_sampler_free(op_sampler *s);

/* Makes the inputs of a case and calls the op once; op_sampler_end frees them. */
reel_status op_sampler_begin(op_sampler *s, const bench_case *c);
void op_sampler_end(op_sampler *s);

/* Whether there is a gradient rule to time. */
bool op_sampler_has_backward(const op_sampler *s);
/* Floating-point operations of products and bytes read and written, by one call. */
double op_sampler_flop(const op_sampler *s, sampler_pass pass);
double op_sampler_bytes(const op_sampler *s, sampler_pass pass);

/* What the values of an index are below; 0 where input i is no index. */
int64_t op_sampler_limit(const bench_case *c, int i);

/* One round: calls for about so many seconds, not less than `least` times; into to[SAMPLER_FORWARD] and
 * to[SAMPLER_BACKWARD]. */
reel_status op_sampler_run(op_sampler *s, sampler_cache cache, double seconds, int least, timing_samples *to);

#endif
