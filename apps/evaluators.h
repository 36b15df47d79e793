/* The task evaluators of a run: what `evaluators` in its configuration asks of the test data. */
#ifndef EVALUATORS_H
#define EVALUATORS_H

#include "config.h"
#include "evaluate.h"
#include "metrics.h"

#include <reel/arc.h>

typedef struct evaluators {
    const config_evaluators *wanted;
    reel_arc_vote **votes;           /* one for each; they gather over all evaluations of the run */
    struct evaluators_votes *before; /* the present evaluation, one for each */
} evaluators;

/* Makes ready for the test data, NULL for none: what they cannot score is refused. Ends with evaluators_free,
 * after an error too. */
reel_status evaluators_open(evaluators *e, const config_evaluators *wanted, const reel_dataset *test,
                            reel_error *error);
void evaluators_free(evaluators *e);

/* Begins an evaluation: forgets the votes of earlier ones where aggregated_voting is off. */
reel_status evaluators_begin(evaluators *e, reel_error *error);
/* Brings back the votes that were before the evaluation begun last. */
reel_status evaluators_undo(evaluators *e, reel_error *error);
reel_status evaluators_add(evaluators *e, const evaluate_example *example, reel_error *error);

/* Ends an evaluation: adds "ARC/pass@1" and so on to the line and writes, as published,
 * FOLDER/evaluator_ARC_step_N/submission.json; of a second evaluator "ARC2/pass@1" and evaluator_ARC2_step_N.
 */
reel_status evaluators_end(evaluators *e, const char *folder, int64_t step, metrics_line *line,
                           reel_error *error);

#endif
