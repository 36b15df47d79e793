/* The inside of a list of parameters, for this folder. */
#ifndef REEL_PARAMETERS_H
#define REEL_PARAMETERS_H

#include "context.h"
#include <reel/optim.h>

typedef struct reel__parameter {
    uint32_t hash; /* of the name */
    reel_tensor **slot;
    int rank;
    int64_t shape[REEL_MAX_RANK];
    reel_init init;
} reel__parameter;

struct reel_parameters {
    reel_context *ctx;
    reel_dtype dtype;
    bool built;
    int count, room;
    reel__parameter *list;
    reel_named_tensor *named; /* the same in the same order; the void tensor before the build */
    int *slots; /* (2 * room) list by name, open addressing: 1 + the parameter's number, 0 for none */
    reel_tensor *values, *gradients; /* (n); the void tensor before the build */
    reel_tensor *copies;             /* (n) bf16, likewise; the void tensor until a step meets a cast */
};

/* Where a step writes the bf16 copies of all values: one arena, laid out as they are, whose parts are the
 * parameters' casts (cached_cast in ops/copies.c). NULL for none: parameters that are not f32 or that nobody
 * has cast to bf16, and while the tape holds rules, which may have saved a copy; and, with the error kept,
 * without memory. Reference counts would not tell that: the views that a model made of its casts are on the
 * tape until it is reset, and see the new values. Casts that came to lie elsewhere move in, but not while a
 * step is recorded. */
reel_tensor *reel__parameters_copies(reel_parameters *params);
/* Says that the copies have been written from the values as they are now. */
void reel__parameters_copied(const reel_parameters *params);

#endif
