/* The inside of a vote. */
#ifndef REEL_DATA_ARC_VOTE_H
#define REEL_DATA_ARC_VOTE_H

#include "arc_ballots.h"

typedef struct reel__arc_known {
    int32_t task; /* of the vote; -1: none of its tasks */
    reel__arc_variant variant;
} reel__arc_known;

typedef struct reel__arc_test {
    reel_arc_pair pair;
    int32_t question; /* the first test of the task with the same input, which answers for both */
    bool is_answered; /* of a test that is its own question */
} reel__arc_test;

typedef struct reel__arc_voted {
    char *id;
    int64_t first_test;
} reel__arc_voted;

struct reel_arc_vote {
    int64_t identifier_shift; /* of the data set's identifiers other than 0, where it is one of several */
    int64_t identifier_count;
    reel__arc_known *identifiers;
    int64_t task_count;
    reel__arc_voted *tasks; /* (task_count + 1): the last one ends the tests */
    int64_t test_count;
    reel__arc_test *tests;
    reel__arc_ballots ballots; /* questions are numbers of tests */
};

/* Takes over other ballots in place of its own. */
void reel__arc_vote_replace(reel_arc_vote *vote, const reel__arc_ballots *ballots);

#endif
