/* Counted answers: how often each distinct grid was given for each question. */
#ifndef REEL_DATA_ARC_BALLOTS_H
#define REEL_DATA_ARC_BALLOTS_H

#include "arc_format.h"

#include <stdbool.h>

typedef struct reel__arc_answer {
    int32_t question;
    uint8_t rows, columns;
    int64_t votes;
    double q_sum; /* of sigmoid(q_halt) over the votes, in the order in which they came */
    size_t cells; /* where its packed cells begin */
    uint64_t hash;
} reel__arc_answer;

/* Answers in the order of their first appearance. Each distinct grid of a question is there once, two colours
 * to a byte, so that memory grows with the distinct answers and not with the votes. */
typedef struct reel__arc_ballots {
    int64_t count, room;
    reel__arc_answer *answers;
    size_t cell_bytes, cell_room;
    uint8_t *cells;
    int64_t slot_count; /* a power of two, or 0 */
    int64_t *slots;     /* open addressing: 1 + the answer's number, 0 for none */
} reel__arc_ballots;

void reel__arc_ballots_free(reel__arc_ballots *ballots); /* and leaves it empty */

/* The answer `grid` to a question; -1 if nobody has given it. */
int64_t reel__arc_ballots_find(const reel__arc_ballots *ballots, int32_t question, const reel_arc_grid *grid);

/* Adds votes for an answer, whether or not it is there. */
reel_status reel__arc_ballots_add(reel__arc_ballots *ballots, int32_t question, const reel_arc_grid *grid,
                                  int64_t votes, double q_sum, reel_error *error);

void reel__arc_ballots_grid(const reel__arc_ballots *ballots, int64_t answer, reel_arc_grid *grid);

/* Bytes of a grid's cells, and back from them; false if they are no colours. */
size_t reel__arc_packed_bytes(int rows, int columns);
bool reel__arc_unpack(const uint8_t *packed, int rows, int columns, reel_arc_grid *grid);

/* Answers by question, best first. */
typedef struct reel__arc_ranking {
    int64_t *first; /* (questions + 1): where a question's answers begin in `order` */
    int64_t *order; /* (ballots.count) */
} reel__arc_ranking;

/* Ranks by votes, then by the mean of q, then by first appearance (evaluators/arc.py, result). */
reel_status reel__arc_rank(const reel__arc_ballots *ballots, int64_t questions, reel__arc_ranking *ranking,
                           reel_error *error);
void reel__arc_ranking_free(reel__arc_ranking *ranking);

#endif
