/* What the parts of a data set share: dataset.c opens sources and mixes them, epochs.c knows in which order
 * training goes through them, batches.c writes the rows. */
#ifndef REEL_DATA_DATASET_H
#define REEL_DATA_DATASET_H

#include "dataset_source.h"

/* One set of one source. The groups of all parts are numbered one part behind the other. */
typedef struct reel__part {
    const reel__source *source;
    int set; /* of the source */
    int64_t first_group, groups;
    int64_t examples;         /* as many as a test set shows */
    int64_t identifier_shift; /* added to identifiers other than 0 */
    char *name;
} reel__part;

/* Where a run stands: before batch `step`. */
typedef struct reel__cursor {
    reel_batch_plan plan; /* of the run; all zero: none yet */
    int64_t step;
    int64_t interval; /* that the batch belongs to; the number of intervals at the end of the run */
    int64_t position; /* groups drawn before the batch within the interval ... */
    int64_t behind;   /* ... and with it */
} reel__cursor;

struct reel_dataset_inside {
    int source_count;
    reel__source **sources;
    char **specs; /* (source_count) */
    int part_count;
    reel__part *parts;
    reel_dataset_set *sets; /* (part_count) */

    /* ---- of a training set: epochs.c */
    int32_t *group_examples; /* (total_groups) examples of every puzzle of a group, or VARIOUS */
    int64_t fewest_examples, most_examples; /* that an epoch draws */
    uint32_t *order;                        /* (total_groups) of the epoch drawn last */
    int64_t order_epoch;                    /* -1: none yet */
    uint64_t order_seed;
    uint32_t *shuffled; /* examples of the puzzle drawn last, in random order */
    reel__cursor cursor;
};

/* The part that a group belongs to. */
const reel__part *reel__part_of_group(const reel_dataset *dataset, int64_t group);

/* Sets up what training needs to know of a data set that is otherwise complete. */
reel_status reel__prepare_epochs(reel_dataset *dataset, reel_error *error);

/* One draw of a group: a puzzle of it, and how many of its examples the batch takes. */
typedef struct reel__pick {
    const reel__part *part;
    int64_t puzzle;
    int64_t count;
    const uint32_t *examples; /* (count), of the puzzle's; valid until the next pick */
} reel__pick;

/* Brings the cursor to `step`. */
void reel__seek(reel_dataset *dataset, const reel_batch_plan *plan, int64_t step);

/* The draw at `position` of the cursor's interval, for a batch with `room` rows left. */
reel__pick reel__pick_group(reel_dataset *dataset, int64_t position, int64_t room);

#endif
