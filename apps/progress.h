/* What a person sees of a run: on a terminal one line that is written over and over, else a plain line now
 * and then. All of it goes to standard output. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "metrics.h"
#include "status_line.h"
#include "trainer.h"

typedef struct progress {
    status_line line;
    double next;           /* when to show the next step */
    metrics recent;        /* sums over the last steps, older ones counting less and less */
    double recent_rows;    /* the rows in them, of the losses, */
    double recent_seconds; /* their time */
    double recent_steps;   /* and their number */
    trainer_cost steady;   /* of all steps but the first, which find their memory */
    int64_t steady_steps;
} progress;

/* Says what will be trained on what. */
void progress_begin(progress *p, const trainer *t);

/* Takes in one step and, when it is time, shows: step, loss, exact and token accuracy,
 * puzzles per second, memory, time left. Accuracies are those of the rows that halted. */
void progress_step(progress *p, const trainer *t, const metrics *m, const trainer_cost *cost);

/* Says how much memory training took, and whether steps still ask the system for more. */
void progress_memory(progress *p, const trainer *t);

/* Shows, on a terminal, how far an evaluation has come, when it is time. */
void progress_evaluation(progress *p, int64_t done, int64_t examples);

#endif
