/* Training: arenas of parameters, optimizers with EMA, sign-SGD for sparse tables, the learning rate.
 *
 *     reel_parameters *params = reel_parameters_new(ctx, REEL_F32);
 *     reel_parameter(params, &net->weight, "weight", REEL_SHAPE(out, in), reel_init_truncated_normal(std));
 *     reel_parameter(params, &net->bias, "bias", REEL_SHAPE(out), reel_init_zeros());
 *     reel_parameters_build(params); // net->weight is a tensor from here on
 *     reel_optimizer *optimizer = reel_optimizer_new(params, &options);
 *     for (int64_t step = 1; step <= steps; step++) {
 *         reel_backward(ctx, loss_of(ctx, net, batch));
 *         reel_optimizer_step(optimizer, reel_cosine_lr(step, lr, warmup_steps, steps, min_ratio));
 *         status = reel_tape_reset(ctx); // the first error of the step
 *     }
 *
 * Errors are the context's: the first is kept, and after it every function here does nothing. What is NULL
 * because it could not be made is accepted everywhere: functions that return a status then return STATE. */
#ifndef REEL_OPTIM_H
#define REEL_OPTIM_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- parameters -------------------------------------------------------------------------------------- */

/* How reel_init means its value. */
typedef enum reel_init_kind { REEL_INIT_CONSTANT, REEL_INIT_TRUNCATED_NORMAL } reel_init_kind;

/* How a parameter begins: with `value` everywhere, or drawn with deviation `value`. */
typedef struct reel_init {
    reel_init_kind kind;
    double value;
} reel_init;

/* `value` everywhere. */
static inline reel_init reel_init_constant(double value) {
    const reel_init init = {REEL_INIT_CONSTANT, value};
    return init;
}

/* 0 everywhere. */
static inline reel_init reel_init_zeros(void) {
    return reel_init_constant(0);
}

/* A normal cut at two deviations whose own deviation is std (reel_fill_truncated_normal). */
static inline reel_init reel_init_truncated_normal(double std) {
    const reel_init init = {REEL_INIT_TRUNCATED_NORMAL, std};
    return init;
}

/* An ordered list of named parameters in one arena: all values lie in one flat tensor and all gradients in
 * another, in order of declaration, with zeros in between: each parameter aligned to 64 bytes, in f32 to 128,
 * so that its copy in bf16 is to 64. So one kernel steps them all and one write saves them all. */
typedef struct reel_parameters reel_parameters;

/* An empty list; dtype f32 or f64. NULL, with the error kept, for another dtype (DTYPE) or without memory
 * (MEMORY). Freed by reel_parameters_free, before the context. */
REEL_API reel_parameters *reel_parameters_new(reel_context *ctx, reel_dtype dtype);

/* Frees the list, its names and its tensors, to which the slots still point. NULL is accepted. */
REEL_API void reel_parameters_free(reel_parameters *params);

/* Declares the next parameter. *slot is the void tensor until reel_parameters_build makes it the parameter's
 * tensor, so the slot must stay where it is until then; the name is copied. Errors: ARGUMENT for an empty
 * name or one that is taken, SHAPE for a shape that is none or has no elements, STATE after the build,
 * MEMORY. */
REEL_API reel_status reel_parameter(reel_parameters *params, reel_tensor **slot, const char *name, int rank,
                                    const int64_t *shape, reel_init init);

/* Takes the memory, fills every slot, draws the initial values (parameter i from REEL_STREAM_INIT with index
 * i) and makes each parameter a leaf. On failure all slots hold the void tensor. Errors: whatever went wrong
 * at a declaration, MEMORY, STATE when called twice. */
REEL_API reel_status reel_parameters_build(reel_parameters *params);

REEL_API int reel_parameters_count(const reel_parameters *params); /* declared so far */
/* Scalars in all parameters, without the padding between them; INT64_MAX where they are more than that. */
REEL_API int64_t reel_parameters_elements(const reel_parameters *params);
/* The name of the i-th parameter, 0 <= i < count; it lives as long as the list. */
REEL_API const char *reel_parameters_name(const reel_parameters *params, int i);
/* The i-th parameter, 0 <= i < count; the void tensor before the build. */
REEL_API reel_tensor *reel_parameters_at(const reel_parameters *params, int i);
/* All of them, count entries, as reel_safetensors_write and _read take them; the list lives until a
 * parameter is declared. */
REEL_API const reel_named_tensor *reel_parameters_list(const reel_parameters *params);
/* The parameter of that name, NULL where there is none; the void tensor before the build. */
REEL_API reel_tensor *reel_parameters_find(const reel_parameters *params, const char *name);

/* The whole arena (n), with the values of all parameters; the void tensor before the build. */
REEL_API reel_tensor *reel_parameters_values(const reel_parameters *params);
/* The same with their gradients, zeros where nothing has flowed. */
REEL_API reel_tensor *reel_parameters_gradients(const reel_parameters *params);

/* reel_touch on every parameter: to be called after writing the flat values. */
REEL_API void reel_parameters_touch(const reel_parameters *params);
/* reel_zero_grad on every parameter. */
REEL_API void reel_parameters_zero_grad(const reel_parameters *params);

/* ---- optimizers -------------------------------------------------------------------------------------- */

/* With g the gradient, t the number of this step from 1 on, and for all elements at once:
 *
 *     p *= 1 - lr weight_decay
 *     m += (1 - beta1) (g - m)
 *     v  = beta2 v + (1 - beta2) g^2
 *     AdamW      p -= lr / (1 - beta1^t)  m / (sqrt(v / (1 - beta2^t)) + eps)
 *     AdamAtan2  p -= lr / (1 - beta1^t)  atan2(m, sqrt(v / (1 - beta2^t)))
 *     EMA        ema = ema_rate ema + (1 - ema_rate) p, from the value of p at reel_optimizer_new on
 *
 * AdamW: Loshchilov and Hutter, https://arxiv.org/abs/1711.05101. AdamAtan2: Everett et al.,
 * https://arxiv.org/abs/2407.05872, without its two constants, as the published TRM code uses it. */
typedef enum reel_optimizer_kind { REEL_ADAM_ATAN2, REEL_ADAM_W } reel_optimizer_kind;

/* What an optimizer is made from. */
typedef struct reel_optimizer_options {
    reel_optimizer_kind kind;
    double beta1, beta2;  /* in [0, 1) */
    double eps;           /* AdamW alone; above 0 */
    double weight_decay;  /* 0: none */
    double ema_rate;      /* in [0, 1); 0: no EMA */
    double max_grad_norm; /* 0: no clipping */
} reel_optimizer_options;

/* Moments, EMA and step count of one list of parameters. */
typedef struct reel_optimizer reel_optimizer;

/* An optimizer over a built list, which must outlive it. NULL, with the error kept, for an option outside
 * its range (ARGUMENT), a list that is not built (STATE) or no memory (MEMORY). */
REEL_API reel_optimizer *reel_optimizer_new(reel_parameters *params, const reel_optimizer_options *options);
/* Frees its moments and EMA, not the parameters. NULL is accepted. */
REEL_API void reel_optimizer_free(reel_optimizer *optimizer);

/* One step from the gradients that backward left; a parameter that got none has gradient 0. With
 * max_grad_norm, g is first multiplied by min(1, max_grad_norm / (|g| + 1e-6)), |g| the norm over all
 * parameters, as torch.nn.utils.clip_grad_norm_ does. Afterwards the gradients are forgotten.
 * Where a parameter in f32 has been cast to bf16, the same pass writes the bf16 copies of all, so that the
 * next casts cost nothing; they take 2 bytes a scalar. Casts that were made before and are still on the tape
 * may then hold the new values, unless a rule of a kept tape has saved one.
 * Errors, upon which nothing has changed: NOT_FINITE, naming the parameter, for a gradient that holds an
 * infinity or NaN; STATE while the EMA is swapped in; ARGUMENT for an lr that is negative or not finite;
 * MEMORY for the copies. */
REEL_API reel_status reel_optimizer_step(reel_optimizer *optimizer, double lr);

/* The first half of reel_optimizer_step, by the host, before a step that is replayed (reel_replay): counts
 * the step and says its learning rate. Errors: STATE while the EMA is swapped in and within a step that is
 * recorded; ARGUMENT as above. */
REEL_API reel_status reel_optimizer_schedule(reel_optimizer *optimizer, double lr);

/* The second half, within the step: moves the weights at the rate said last. A step that it could not take is
 * no longer counted. Errors: NOT_FINITE as above; STATE while the EMA is swapped in and where nothing was
 * scheduled. */
REEL_API reel_status reel_optimizer_apply(reel_optimizer *optimizer);

/* |g| of the last step, before clipping; 0 before the first. */
REEL_API double reel_optimizer_grad_norm(const reel_optimizer *optimizer);

/* Exchanges the parameters' values with their EMA, so that what follows computes with the averages; a second
 * call brings every bit back. Does nothing where no EMA is kept. */
REEL_API reel_status reel_optimizer_swap_ema(reel_optimizer *optimizer);

/* What a checkpoint holds besides the values, each laid out as the arena; all belong to the optimizer and may
 * be written. ema is NULL where none is kept, all three for a NULL optimizer. */
typedef struct reel_optimizer_state {
    reel_tensor *m, *v, *ema;
    int64_t steps; /* taken so far: t of the formulas */
} reel_optimizer_state;

REEL_API reel_optimizer_state reel_optimizer_state_of(const reel_optimizer *optimizer); /* as it is now */
/* Says how many steps have been taken, for an optimizer whose moments were loaded. ARGUMENT below 0. */
REEL_API reel_status reel_optimizer_set_steps(reel_optimizer *optimizer, int64_t steps);

/* ---- sparse tables ----------------------------------------------------------------------------------- */

/* Sign-SGD on the rows of table (N,D) that ids (B) i32 name, with gradient (B,D) for each example:
 *
 *     g = sum of the gradients of all examples with this id, in example order
 *     row = row (1 - lr weight_decay) - lr sign(g), sign(0) = 0
 *
 * The other rows keep their bits, and the cost depends on B and D alone. table and gradient are f32 or f64,
 * both the same; all are row-major. Errors, upon which nothing has changed: DTYPE, SHAPE, ARGUMENT for an id
 * outside 0 .. N-1, a tensor that is not row-major or a rate below 0, NOT_FINITE for a gradient that is not.
 * Source: models/sparse_embedding.py of the published TRM code. */
REEL_API reel_status reel_sign_sgd_rows(reel_context *ctx, reel_tensor *table, const reel_tensor *ids,
                                        const reel_tensor *gradient, double lr, double weight_decay);

/* The first half of it, by the host, before a step that is replayed (reel_replay): writes both rates into an
 * owned tensor `rates` (2) f64. Errors: ARGUMENT for a rate below 0 or not finite; SHAPE and DTYPE for
 * `rates`; STATE within a step that is recorded. */
REEL_API reel_status reel_sign_sgd_schedule(reel_context *ctx, reel_tensor *rates, double lr,
                                            double weight_decay);

/* The second half, within the step: moves the rows at these rates. Errors: as reel_sign_sgd_rows, SHAPE and
 * DTYPE also for `rates`. */
REEL_API reel_status reel_sign_sgd_apply(reel_context *ctx, reel_tensor *table, const reel_tensor *ids,
                                         const reel_tensor *gradient, const reel_tensor *rates);

/* ---- learning rate ----------------------------------------------------------------------------------- */

/* The learning rate of step `step`, which counts from 1:
 *
 *     step < warmup_steps   base_lr step / warmup_steps
 *     else                  base_lr (min_ratio + max(0, (1 - min_ratio) (1 + cos(pi progress)) / 2)),
 *                           progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
 *
 * Source: cosine_schedule_with_warmup_lr_lambda in pretrain.py of the published TRM code. */
REEL_API double reel_cosine_lr(int64_t step, double base_lr, int64_t warmup_steps, int64_t total_steps,
                               double min_ratio);

#ifdef __cplusplus
}
#endif
#endif
