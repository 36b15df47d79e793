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
};

#endif
