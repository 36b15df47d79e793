/* The rows of a table that a batch names, each with its examples: what sign-SGD on the CPU goes over. */
#ifndef REEL_ROW_GROUPS_H
#define REEL_ROW_GROUPS_H

#include "context.h"

/* A row of the table and the examples that name it: order[begin] .. order[end - 1]. */
typedef struct reel__row_group {
    int64_t row, begin, end;
} reel__row_group;

typedef struct reel__row_groups {
    int64_t *order; /* (B) examples, sorted by id, those of one id in their own order */
    reel__row_group *groups;
    int64_t count;
} reel__row_groups;

/* No groups, with the error kept, where an id names no row, a gradient is not finite or memory is short. The
 * memory is the tape's. */
reel__row_groups reel__group_rows(reel_context *ctx, const reel_tensor *table, const reel_tensor *ids,
                                  const reel_tensor *gradient);

#endif
