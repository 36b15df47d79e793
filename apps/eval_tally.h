/* What trm_eval counts while a model works through a data set. */
#ifndef EVAL_TALLY_H
#define EVAL_TALLY_H

#include "metrics.h"

/* Sums over the examples that have labels. */
typedef struct tally_sums {
    int64_t count;
    double accuracy, exact_accuracy;
    double halting_step; /* at which the halting head stops, or would */
} tally_sums;

/* One example, to be put into a bin of difficulty when all ratings are known. */
typedef struct rated_example {
    int64_t rating, halting_step;
    double accuracy;
    bool exact;
} rated_example;

/* Examples of about the same difficulty. */
typedef struct tally_bin {
    int64_t lowest, highest; /* ratings within */
    tally_sums sums;
} tally_bin;

enum { TALLY_BINS_MAX = 8 };

typedef struct tally {
    reel_dtype dtype; /* that the model computes in */
    int set_count;
    const reel_dataset_set *sets; /* the data's */
    metrics *of_set;              /* (set_count) */
    metrics all;                  /* of all sets together */
    double halting_steps;
    int64_t max_steps;
    tally_sums *after;    /* (max_steps): answers after each supervision step; a puzzle that has halted counts
                           * with its last. halting_step is the number of those that have */
    rated_example *rated; /* (rated_count) */
    int64_t rated_count, rated_room;
} tally;

/* `data` must outlive the tally. */
reel_status tally_new(tally *t, const reel_model *model, const reel_dataset *data, reel_error *error);
void tally_free(tally *t);

enum { TALLY_UNRATED = -1 };

/* Counts an example; rating TALLY_UNRATED where nothing is known about its difficulty. */
void tally_add(tally *t, const evaluate_example *example, int64_t rating);

/* Puts the rated examples into bins, easier ones first, of about the same number of examples each, or one for
 * each rating where these are few. Returns the number of bins, 0 where nothing is rated. */
int tally_bins(tally *t, tally_bin bins[static TALLY_BINS_MAX]);

/* The mean step at which the halting head stops, or would if it were asked. */
double tally_halting_step(const tally *t);

#endif
