/* Deep supervision with adaptive computation time.
 *
 * A batch has B rows, each with a puzzle and its latent states. A supervision step improves every row once
 * and trains on the result. A row that halts makes room for a new puzzle; the others carry their states into
 * the next step. (Jolicoeur-Martineau 2025, section 2.3 and figure 3; Wang et al. 2025, arXiv 2506.21734.)
 *
 *     carry = reel_carry_new(ctx, model, B);
 *     for (step = 1; ...; step++) {
 *         reel_carry_offer(ctx, carry, inputs, labels, identifiers);   // halted rows take their puzzle
 *         reel_carry_explore(ctx, model, carry, step);                 // some may halt later than others
 *         reel_tensor *metrics = reel_act_train(ctx, model, carry, 0); // and there are gradients
 *         ... optimizer ...
 *         reel_tape_reset(ctx);
 *     }
 *
 * From reel_act_train on everything is made of ops, so that a GPU can replay it (reel_replay). */
#ifndef REEL_ACT_H
#define REEL_ACT_H

#include <reel/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What passes from one supervision step to the next; all owned. */
typedef struct reel_carry {
    int64_t batch_size;
    reel_tensor *inputs, *labels;                 /* (B, S) i32: the puzzles being solved */
    reel_tensor *puzzle_identifiers;              /* (B) i32 */
    reel_tensor *offered_inputs, *offered_labels; /* (B, S) i32: for the rows that halted */
    reel_tensor *offered_identifiers;             /* (B) i32 */
    reel_latents latents;                         /* (B, T, D) each */
    reel_tensor *steps;                           /* (B) f32 or f64: supervision steps taken */
    reel_tensor *halted;                          /* (B) u8 */
    reel_tensor *least_steps;                     /* (B) f64: exploration; 0: none */
    reel_tensor *puzzle_rows; /* (B, puzzle_emb_ndim), the batch's rows of the puzzle embeddings: a leaf */
    reel_tensor *zero, *one, *halt_max_steps; /* scalars in steps' dtype */
    reel_tensor *ignored;                     /* scalar i32 */
    double *drawn;                            /* (B) on the host: where least_steps are drawn */
} reel_carry;

/* A carry whose rows have all halted, so that the first step takes the whole offer. Freed by reel_carry_free,
 * before the context. NULL, with the context's error set, for a batch of no rows (ARGUMENT) or without memory
 * (MEMORY). */
REEL_API reel_carry *reel_carry_new(reel_context *ctx, const reel_model *model, int64_t batch_size);
/* Frees a carry and its tensors. NULL is accepted. */
REEL_API void reel_carry_free(reel_context *ctx, reel_carry *carry);

/* Offers one puzzle per row: inputs and labels (B, S), identifiers (B), on the host. Rows that have not
 * halted when the next step begins pass it by. Token and identifier ranges are checked by the step's
 * embeddings. Copied: the caller's memory is free afterwards. Returns the context's status. */
REEL_API reel_status reel_carry_offer(reel_context *ctx, reel_carry *carry, const int32_t *inputs,
                                      const int32_t *labels, const int32_t *identifiers);

/* Draws which rows explore in the next training step, where the model halts adaptively: with probability
 * halt_exploration_prob a row may not halt before a supervision step drawn from 2 .. halt_max_steps. `step`
 * names the draw, row r's is (REEL_STREAM_HALT, r, step). Until the next call the draw stays; a new carry
 * explores nothing. Returns the context's status. */
REEL_API reel_status reel_carry_explore(reel_context *ctx, const reel_model *model, reel_carry *carry,
                                        uint32_t step);

/* Makes every row halt, so that the next step takes the whole offer: for evaluation. */
REEL_API reel_status reel_carry_restart(reel_context *ctx, reel_carry *carry);

enum { REEL_CARRY_TENSORS_MAX = 5 + REEL_MAX_LATENTS }; /* room that reel_carry_tensors may need */

/* Everything of a carry that a checkpoint must hold for the next step to go on from it; what is offered and
 * drawn is made anew for each step. The tensors are the carry's own and may be written. Returns how
 * many, at most REEL_CARRY_TENSORS_MAX. */
REEL_API int reel_carry_tensors(const reel_carry *carry, reel_named_tensor *tensors);

/* Sums over the batch; the first five over the rows that halted in this step and have a label. */
typedef enum reel_metric {
    REEL_METRIC_COUNT,
    REEL_METRIC_ACCURACY,        /* share of right cells; givens count too */
    REEL_METRIC_EXACT_ACCURACY,  /* all cells right */
    REEL_METRIC_Q_HALT_ACCURACY, /* the halting head knew whether they are */
    REEL_METRIC_STEPS,           /* supervision steps taken */
    REEL_METRIC_LM_LOSS,
    REEL_METRIC_Q_HALT_LOSS,
    REEL_METRIC_Q_CONTINUE_LOSS,
    REEL_METRIC_KINDS,
} reel_metric;

/* The published name: "exact_accuracy"; "" for what is no metric. Never freed. */
REEL_API const char *reel_metric_name(reel_metric metric);

/* Tape tensors of one step. */
typedef struct reel_act_result {
    reel_outputs outputs;
    reel_tensor *predictions;                             /* (B, S) i32 */
    reel_tensor *correct;                                 /* (B) u8: every labelled cell right */
    reel_tensor *says_halt;                               /* (B) u8: the halting head's word */
    reel_tensor *lm_losses, *q_halt_losses;               /* (B): each row's part of the next two */
    reel_tensor *lm_loss, *q_halt_loss, *q_continue_loss; /* scalars, sums over the batch */
    reel_tensor *loss;                                    /* (lm + 0.5 (q_halt + q_continue)) / B */
    reel_tensor *metrics;                                 /* (REEL_METRIC_KINDS) f32 or f64 */
} reel_act_result;

/* When rows halt. */
typedef enum reel_act_mode {
    REEL_ACT_EVALUATE,         /* every row runs to halt_max_steps, so that rows stay together */
    REEL_ACT_EVALUATE_HALTING, /* rows halt when the halting head says so */
    REEL_ACT_TRAIN,            /* the same, later for those that explore */
} reel_act_mode;

/* One supervision step; moves the carry on. An evaluation goes through a large batch in parts, after which
 * the latents of the result are the carry's. In training, gradients of the parameters and of
 * carry->puzzle_rows follow from reel_backward(ctx, result.loss). Made of ops and with their contract: upon
 * an error, such as a token or an identifier out of range (ARGUMENT), the results are void tensors. */
REEL_API reel_act_result reel_act_step(reel_context *ctx, const reel_model *model, reel_carry *carry,
                                       reel_act_mode mode);

/* A step of training with its gradients, as of reel_act_step and reel_backward, some rows after the others:
 * at most micro_batch_size at a time, or as many as suit the device where that is 0. The tape never holds
 * more than one part needs. Gradients add up to those of the whole batch but for their rounding. Returns the
 * metrics of the batch, a tape tensor. Errors are those of the ops: the context keeps the first, and
 * gradients may then be incomplete. Huang et al. 2019, arXiv 1811.06965, section 2.2 (micro-batches). */
REEL_API reel_tensor *reel_act_train(reel_context *ctx, const reel_model *model, reel_carry *carry,
                                     int64_t micro_batch_size);

/* Keeps the `count` rows of the carry that `rows` names, in that order, and gives the memory of the others
 * back: the batch becomes smaller. For evaluation, whose halted rows would be computed for nothing once there
 * are no more puzzles to offer. What has been offered is forgotten. Errors: ARGUMENT for no rows, more than
 * there are, or one that is not in the batch; upon an error of memory the carry can only be freed. */
REEL_API reel_status reel_carry_compact(reel_context *ctx, reel_carry *carry, const int32_t *rows,
                                        int64_t count);

#ifdef __cplusplus
}
#endif
#endif
