/* How well a model solves test data: the one loop behind trm_train's evaluations and trm_eval. */
#ifndef EVALUATE_H
#define EVALUATE_H

#include <reel/act.h>
#include <reel/batches.h>

#include <stdbool.h>

typedef struct evaluation {
    reel_context *ctx;
    const reel_model *model;
    const reel_dataset *data;
    int64_t batch_size; /* puzzles that are thought about at once, at most */
    int64_t examples;   /* the first so many, at most all */
    /* REEL_ACT_EVALUATE, the published evaluation, gives every puzzle halt_max_steps supervision steps;
     * REEL_ACT_EVALUATE_HALTING stops thinking about a puzzle when the halting head says that it is solved.
     */
    reel_act_mode mode;
    bool wants_logits; /* of the last step; takes 8 bytes for each cell and token of the batch */
} evaluation;

/* An answer after one supervision step. */
typedef struct evaluate_step {
    double accuracy; /* share of right cells among those with a label */
    bool exact;      /* all of them right */
    bool says_halt;  /* the halting head would stop here */
    double q_halt, q_continue;
} evaluate_step;

/* What became of one example. The arrays live while the watcher runs. */
typedef struct evaluate_example {
    int64_t index;                           /* within the data, set after set */
    int set;                                 /* of the data's */
    const int32_t *inputs, *labels, *answer; /* (S) */
    int32_t puzzle_identifier;
    bool labelled; /* at least one cell has a label */
    int64_t steps_taken;
    const evaluate_step *steps;  /* (steps_taken) */
    double lm_loss, q_halt_loss; /* at the last step */
    const double *logits;        /* (S, V) there, or NULL */
} evaluate_example;

/* Receives the examples one by one, in the order of the data whatever the batch size and whenever they
 * halted. A status other than REEL_OK ends the evaluation. */
typedef reel_status evaluate_watcher(void *arg, const evaluate_example *example, reel_error *error);

/* Thinks about the examples, with the weights as they are. A row of the batch whose puzzle is done takes the
 * next one, so that the batch stays full; when there are no more, the batch shrinks. A signal ends the
 * evaluation early with REEL_OK. */
reel_status evaluate(const evaluation *e, evaluate_watcher *watch, void *arg, reel_error *error);

#endif
