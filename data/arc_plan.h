/* The inside of a plan, for those who build, train on and score what it says. */
#ifndef REEL_DATA_ARC_PLAN_H
#define REEL_DATA_ARC_PLAN_H

#include "arc_format.h"

#include <stdbool.h>

/* The variants of a plan's tasks, one task after another. */
typedef struct reel__arc_variants {
    int64_t count, room;
    reel__arc_variant *items;
} reel__arc_variants;

/* Appends the original and up to num_aug augmentations of a task, no two of which give the same set of pairs.
 * 5 * num_aug draws are made at most. */
reel_status reel__arc_draw_variants(const reel_arc_task *task, int64_t num_aug, reel_random *random,
                                    reel__arc_variants *variants, reel_error *error);

typedef struct reel__arc_subset {
    char *name;
    reel_arc_tasks *tasks;
    bool is_test; /* its tests are held out */
} reel__arc_subset;

typedef struct reel__arc_split {
    reel_arc_layout layout;
    int64_t *tasks; /* (group_count): which task of the plan a group is */
    int64_t *first_puzzle, *first_example;
} reel__arc_split;

struct reel_arc_plan {
    uint64_t seed;
    int64_t identifiers_start, identifier_count;
    int subset_count;
    reel__arc_subset *subsets;

    int64_t task_count;
    const reel_arc_task **tasks;        /* in the order of the training split */
    const reel__arc_subset **subset_of; /* (task_count) */
    int64_t *first_variant;             /* (task_count + 1) */
    reel__arc_variants variants;
    int32_t *identifiers; /* (variants.count) */
    int64_t *variant_of;  /* (identifier_count - identifiers_start): the first variant of that name */

    reel__arc_split splits[REEL_ARC_SPLITS];
    int note_count;
    char **notes;
};

/* The task that variant `variant` belongs to. */
int64_t reel__arc_task_of(const reel_arc_plan *plan, int64_t variant);

/* The tasks of the test sets, a task that is in two of them once, with the tests of the later one, as the
 * published dictionary has it. NULL without memory; freed by free(). */
const reel_arc_task **reel__arc_test_tasks(const reel_arc_plan *plan, int64_t *count);

#endif
