/* Reverse-mode automatic differentiation over a tape.
 *
 * Every op appends its result to the context's tape, and, where an input needs a gradient, a node that says
 * how to send the result's gradient back to the inputs. reel_backward walks the nodes from the loss to the
 * beginning. reel_tape_reset ends the step: every tape tensor dies.
 *
 * A scope frees memory earlier. At its end the storage of all tape tensors made inside is given back, save
 * those the caller keeps and those a backward rule asked for:
 *
 *     reel_scope s = reel_scope_begin(ctx, REEL_NO_GRAD);
 *     for (int i = 0; i < n; i++) {
 *         z = net(ctx, z);
 *         reel_scope_roll(ctx, s, &z, 1);      // all of this pass but z dies, and so does the last z
 *     }
 *     reel_scope_end(ctx, s, &z, 1);
 *
 * A GPU can record a whole step and run it again without the host: reel_replay. */
#ifndef REEL_AUTOGRAD_H
#define REEL_AUTOGRAD_H

#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what gets a gradient ---------------------------------------------------------------------------- */

/* Makes an owned float tensor a leaf: it gets an owned gradient of its shape, f32 (f64 for f64), that
 * reel_backward adds to and that survives reel_tape_reset; it is freed with t. Errors: ARGUMENT for a tensor
 * that is not owned, not float or a leaf already, MEMORY. */
REEL_API reel_status reel_require_grad(reel_context *ctx, reel_tensor *t);

/* As above with the gradient given: owned, row-major, of t's shape and the right dtype. From then on it
 * belongs to t, which frees it. For arenas, where all gradients lie in one block. Errors: as above, SHAPE for
 * a gradient that does not fit; upon an error the caller keeps it. */
REEL_API reel_status reel_require_grad_in(reel_context *ctx, reel_tensor *t, reel_tensor *grad);

/* The gradient of a leaf, which belongs to it: zeros where nothing has flowed since reel_zero_grad. NULL for
 * a tensor that is no leaf. */
REEL_API reel_tensor *reel_grad(reel_context *ctx, reel_tensor *t);

/* Forgets a leaf's gradient, at no cost: the next backward overwrites it. */
REEL_API void reel_zero_grad(reel_tensor *t);

/* 1 when t is a leaf or the result of an op on something that needs a gradient. */
REEL_API int reel_needs_grad(const reel_tensor *t);

/* ---- backward ---------------------------------------------------------------------------------------- */

enum { REEL_KEEP_TAPE = 1 }; /* backward may run again on the same tape */

/* d loss / d leaf, added to the gradient of every leaf that the one-element tensor `loss` depends on.
 * Consumes the tape: activations are freed as soon as the last rule that needs them has run. Returns the
 * first error of the step, whichever op made it. Errors of its own: ARGUMENT for a loss that has not one
 * element, depends on no leaf, was made without gradient or was consumed before; MEMORY. */
REEL_API reel_status reel_backward(reel_context *ctx, reel_tensor *loss);

/* As above; REEL_KEEP_TAPE in flags leaves the tape whole, so that backward can run again. */
REEL_API reel_status reel_backward_flags(reel_context *ctx, reel_tensor *loss, unsigned flags);

/* Ends the step: every tape tensor and scope dies, the first error is returned and cleared. Owned tensors and
 * their gradients stay. */
REEL_API reel_status reel_tape_reset(reel_context *ctx);

/* As above, with the error put into *error: for a program that has but one way to report errors. */
REEL_API reel_status reel_end_step(reel_context *ctx, reel_error *error);

/* What the tape holds. */
typedef struct reel_tape_info {
    int64_t tensors;    /* on the tape now */
    int64_t nodes;      /* backward rules recorded */
    int64_t live_bytes; /* storage that tape tensors and saved values hold, each counted once */
    int64_t peak_bytes; /* highest live_bytes since the last reset */
} reel_tape_info;

REEL_API reel_tape_info reel_tape_of(const reel_context *ctx); /* zeros before the first op */

/* A tape tensor with `value` everywhere and without gradient: where a sum begins, what is compared with. */
REEL_API reel_tensor *reel_constant(reel_context *ctx, reel_dtype dtype, int rank, const int64_t *shape,
                                    double value);

/* ---- scopes ------------------------------------------------------------------------------------------ */

enum { REEL_NO_GRAD = 1 }; /* ops inside record no node */

/* Names an open scope. */
typedef struct reel_scope {
    int depth; /* how many are open, itself among them */
} reel_scope;

/* Opens a scope. flags: REEL_NO_GRAD or 0; within a scope without gradient every scope is. Without memory the
 * context keeps the error, and the result is no scope. */
REEL_API reel_scope reel_scope_begin(reel_context *ctx, unsigned flags);

/* Ends one iteration and begins the next: everything made in the scope so far dies, also what the last roll
 * kept, except the n tensors in keep: their storage is given back, and an op that reads one is an error
 * (STATE). What a backward rule saved lives on for it. Tensors from outside the scope may be named and are
 * left alone. Error, kept by the context: STATE when the scope is not the innermost. */
REEL_API void reel_scope_roll(reel_context *ctx, reel_scope scope, reel_tensor *const *keep, int n);

/* Ends the scope; the n tensors in keep pass to the enclosing one, everything else dies as in a roll. Scopes
 * end in reverse order of begin. Error: as above. */
REEL_API void reel_scope_end(reel_context *ctx, reel_scope scope, reel_tensor *const *keep, int n);

/* ---- replay ------------------------------------------------------------------------------------------ */

/* One step of a loop: ops from the first to the last, perhaps with backward and an optimizer's. It leaves
 * what is wanted of it in owned tensors, by reel_copy, and resets no tape. */
typedef void reel_step_fn(reel_context *ctx, void *arg);

/* Takes the step step(ctx, arg), and empties the tape behind it. On a GPU its kernels are recorded in the
 * third call with the same two arguments, and later calls run the recording as one: the host does not call
 * the function then. So what changes from step to step must come from owned tensors, which the host writes
 * before the call; numbers that the function hands to ops are those of the recording.
 *
 *     reel_carry_offer(ctx, carry, inputs, labels, identifiers);
 *     reel_optimizer_schedule(optimizer, lr);
 *     reel_replay(ctx, step, &arg);
 *
 * The recording is thrown away, and two calls run as they are written before the next one, when an owned
 * tensor was made or freed since (so that new shapes are right) or a gradient is there that was forgotten or
 * the other way round. On the CPU, with `REEL_CHECK=1` and while a profile runs every call is as written; so
 * are all of a step that itself makes or frees owned tensors. Errors, which the context keeps until
 * reel_tape_reset: those of the step, upon which nothing is recorded; STATE where the tape is not empty or
 * another step is under way, and while recording for what needs the host: reading or writing values, draws,
 * waiting; DEVICE, MEMORY. */
REEL_API reel_status reel_replay(reel_context *ctx, reel_step_fn *step, void *arg);

/* ---- gradient check ---------------------------------------------------------------------------------- */

/* A function under test: builds its result, f64 of any shape, on the tape from the inputs. */
typedef reel_tensor *(*reel_check_fn)(reel_context *ctx, reel_tensor *const *inputs, void *arg);

/* How to check, and what was found. */
typedef struct reel_check {
    double step;              /* of the central difference, times max(1, |x|); 0: 1e-5 */
    double tolerance;         /* on the error below; 0: 1e-6 */
    double worst;             /* out: the worst error, |analytic - numeric| / max(1, |analytic|, |numeric|) */
    int input;                /* out: where it was: which input */
    int64_t element;          /* ... and which of its elements */
    double analytic, numeric; /* out: the two derivatives there */
} reel_check;

/* Compares reel_backward with central differences for loss = sum(w * fn(inputs)), w random, over every
 * element of every input that needs a gradient: owned f64 leaves, whose values are as before afterwards and
 * whose gradients are overwritten. The tape is consumed, not reset. Errors: ARGUMENT ("gradient check: ...")
 * at the first element whose error exceeds the tolerance, NOT_FINITE where it is NaN, DTYPE for what is not
 * f64, and whatever fn fails with. */
REEL_API reel_status reel_gradient_check(reel_context *ctx, reel_check_fn fn, void *arg,
                                         reel_tensor *const *inputs, int n, reel_check *check);

#ifdef __cplusplus
}
#endif
#endif
