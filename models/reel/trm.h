/* The recursion of the Tiny Recursion Model and its kin (Jolicoeur-Martineau 2025, arXiv 2510.04871). */
#ifndef REEL_TRM_H
#define REEL_TRM_H

#include <reel/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What TRM and its kin differ in. */
typedef struct reel_trm_updates {
    /* The i-th update of a latent in a recursion, 0 <= i < L_cycles. */
    reel_latents (*latent)(reel_context *ctx, const reel_model *model, int64_t i, reel_tensor *x,
                           reel_latents s);
    /* The update of the answer at its end. */
    reel_latents (*answer)(reel_context *ctx, const reel_model *model, reel_latents s);
} reel_trm_updates;

/* One supervision step on the embedded input x (B, T, D) from the latents s: H_cycles recursions of L_cycles
 * updates of a latent and one of the answer, of which the last recursion has a gradient, or with
 * one_step_gradient its last two updates; see trm.c. Returns the latents after it, tape tensors. Figure 3 of
 * the paper. */
REEL_API reel_latents reel_deep_recursion(reel_context *ctx, const reel_model *model,
                                          const reel_trm_updates *updates, reel_tensor *x, reel_latents s);

#ifdef __cplusplus
}
#endif
#endif
