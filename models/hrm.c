/* The Hierarchical Reasoning Model (Wang et al. 2025, arXiv 2506.21734).
 *
 * Two networks improve two states of shape (B, T, D) in cycles of T = L_cycles fast updates and one slow one,
 * N = H_cycles times:
 *
 *     with torch.no_grad():
 *         for i in range(1, N * T):
 *             z_L = L_level(z_L, z_H, x)
 *             if i % T == 0:
 *                 z_H = H_level(z_H, z_L)
 *     z_L = L_level(z_L, z_H, x)                    # 1-step gradient
 *     z_H = H_level(z_H, z_L)
 *
 * which is the recursion of trm.c with separate_networks and one_step_gradient. Halting is learned as
 * Q-learning with a continue head (no_ACT_continue is off): see act.c. */
#include <reel/trm.h>

enum { Z_H, Z_L, LATENTS };

static reel_latents forward(reel_context *ctx, const reel_model *model, reel_tensor *x, reel_latents s) {
    return reel_trm.forward(ctx, model, x, s);
}

static const char *fault(const reel_model_config *c) {
    return c->separate_networks ? NULL : "separate_networks cannot be off; trm has one network";
}

const reel_architecture reel_hrm = {
    .name = "hrm",
    .latents = LATENTS,
    .latent_names = {[Z_H] = "inner.H_init", [Z_L] = "inner.L_init"},
    .uses = REEL_USES_CYCLES | REEL_USES_H_LAYERS | REEL_USES_L_LAYERS,
    .fault = fault,
    .forward = forward,
};
