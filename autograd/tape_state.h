/* The tape's own state, shared by tape.c, scope.c and backward.c alone.
 *
 * live: every tape tensor that holds storage, in order of creation. A scope is a position in that list, and
 * its end drops what lies behind the position, save what is kept.
 * nodes: the recorded rules, in order of creation, which is an order in which no node comes before one that
 * it depends on; backward walks it from the end. */
#ifndef REEL_TAPE_STATE_H
#define REEL_TAPE_STATE_H

#include "tape.h"

typedef struct reel__scope_state {
    int64_t first; /* position in live where the scope begins */
    bool no_grad;  /* of the scope or one around it */
} reel__scope_state;

/* A gradient written in the op's dtype that belongs to a leaf of another one. */
typedef struct reel__pending {
    reel_tensor *written, *leaf;
} reel__pending;

typedef struct reel__tape {
    reel_tensor **live;
    int64_t live_count, live_room;
    reel_node **nodes;
    int64_t node_count, node_room;
    reel__scope_state *scopes;
    int depth, scope_room;
    reel__pending pending[REEL__MAX_INPUTS]; /* of the rule that runs */
    int pending_count;
    bool in_replay; /* a step of reel_replay is under way */
} reel__tape;

/* The context's tape, made at first use; NULL with the error kept when memory is short. */
reel__tape *reel__tape_of(reel_context *ctx);
bool reel__grad_enabled(const reel__tape *tape);
/* Drops all live tensors from position `first` on that are not in keep; the kept stay on the list. */
void reel__drop_from(reel_context *ctx, int64_t first, reel_tensor *const *keep, int n);
/* Room for one more element of `size` bytes; false when memory is short. */
bool reel__grow(reel_context *ctx, void *array, int64_t *room, int64_t count, size_t size);
void reel__release_node(reel_context *ctx, reel_node *node);

#endif
