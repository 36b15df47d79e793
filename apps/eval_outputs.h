/* What a model answered to every example, in NumPy's files: the published `eval_save_outputs`. */
#ifndef EVAL_OUTPUTS_H
#define EVAL_OUTPUTS_H

#include "config.h"
#include "evaluate.h"

#include <reel/npy.h>

/* Files by config_output: inputs, labels, preds (examples, S), tokens in u8 where they fit and labels in i32;
 * puzzle_identifiers (examples) i32; logits (examples, S, V), q_halt_logits and q_continue_logits (examples)
 * in f32, or f64 where the model computes in it; steps (examples) i32. */
typedef struct eval_outputs {
    reel_npy_writer *files[CONFIG_OUTPUT_COUNT]; /* NULL: not wanted */
    reel_npy_type token_type, number_type;
    int64_t cells, logits; /* of an example */
    void *row;             /* one example in the type of its file */
} eval_outputs;

/* Begins the files at the paths that are not NULL. Ends with one of the two functions below, after an error
 * with eval_outputs_discard. */
reel_status eval_outputs_open(eval_outputs *o, const char *const paths[CONFIG_OUTPUT_COUNT],
                              const reel_model *model, int64_t examples, reel_error *error);
/* The evaluation must have `wants_logits` where logits are saved. */
void eval_outputs_add(eval_outputs *o, const evaluate_example *example);
reel_status eval_outputs_commit(eval_outputs *o, reel_error *error);
void eval_outputs_discard(eval_outputs *o);

#endif
