/* Scores ARC answers that lie in files. */
#ifndef EVAL_ARC_H
#define EVAL_ARC_H

#include "metrics.h"

#include <reel/arc.h>

typedef struct eval_arc_files {
    const char *dataset;     /* in the published layout: the data set, or its test split */
    const char *predictions; /* (rows, 900) tokens: an answer for every example of the test split, in order */
    const char *q_halt;      /* (rows) logits of the halting head */
    const char
        *identifiers; /* (rows) puzzle identifiers, 0 in rows that only fill a batch; NULL: no such rows */
} eval_arc_files;

/* Reads the files, checks them against each other and votes. Ends with reel_arc_vote_free. */
reel_status eval_arc_from_files(const eval_arc_files *files, reel_arc_vote **vote, reel_error *error);

/* The scores "NAME/pass@K" of the votes for each of `count` K, to be freed by free(). */
reel_status eval_arc_scores(const reel_arc_vote *vote, const char *name, const int64_t *pass_Ks, int count,
                            named_value **scores, reel_error *error);

#endif
