/* What a model answered to every example, in NumPy's files. */
#ifndef EVAL_OUTPUTS_H
#define EVAL_OUTPUTS_H

#include "evaluate.h"

#include <reel/npy.h>

typedef enum eval_output {
    EVAL_PREDICTIONS, /* (examples, S) tokens, u8 where the vocabulary allows it */
    EVAL_Q_HALT,      /* (examples) f32, or f64 where the model computes in it */
    EVAL_IDENTIFIERS, /* (examples) i32 */
    EVAL_STEPS,       /* (examples) i32: supervision steps taken */
    EVAL_OUTPUTS
} eval_output;

typedef struct eval_outputs {
    reel_npy_writer *files[EVAL_OUTPUTS]; /* NULL: not wanted */
    reel_npy_type token_type, number_type;
    int64_t cells;
    uint8_t *tokens; /* (S): an answer in bytes */
} eval_outputs;

/* Begins the files at the paths that are not NULL. Ends with one of the two functions below, after an error
 * with eval_outputs_discard. */
reel_status eval_outputs_open(eval_outputs *o, const char *const paths[EVAL_OUTPUTS], const reel_model *model,
                              int64_t examples, reel_error *error);
void eval_outputs_add(eval_outputs *o, const evaluate_example *example);
reel_status eval_outputs_commit(eval_outputs *o, reel_error *error);
void eval_outputs_discard(eval_outputs *o);

#endif
