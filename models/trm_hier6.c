/* TRM with six latents beside the answer (Jolicoeur-Martineau 2025, table 2: "multi-scale z").
 *
 * Each update of a recursion has a latent of its own, and the network sees the sum of all:
 *
 *     for i in range(n):                            # n <= 6
 *         z[i] = net(x, y, z[0] + ... + z[5])
 *     y = net(y, z[0] + ... + z[5])
 *
 * The recursion around it is that of trm.c. */
#include <reel/trm.h>

enum { Z_H, Z_L, SIX = 6, LATENTS = Z_L + SIX };

static reel_latents update_latent(reel_context *ctx, const reel_model *model, int64_t i, reel_tensor *x,
                                  reel_latents s) {
    reel_tensor *inputs[LATENTS + 1];
    for (int j = 0; j < LATENTS; j++)
        inputs[j] = s.z[j];
    inputs[LATENTS] = x;
    s.z[Z_L + i] = reel_network_apply(ctx, reel_model_network(model, REEL_L_LEVEL), inputs, LATENTS + 1);
    return s;
}

static reel_latents update_answer(reel_context *ctx, const reel_model *model, reel_latents s) {
    s.z[Z_H] = reel_network_apply(ctx, reel_model_network(model, REEL_H_LEVEL), s.z, LATENTS);
    return s;
}

static reel_latents forward(reel_context *ctx, const reel_model *model, reel_tensor *x, reel_latents s) {
    const reel_trm_updates updates = {update_latent, update_answer};
    return reel_deep_recursion(ctx, model, &updates, x, s);
}

static const char *fault(const reel_model_config *c) {
    return c->L_cycles > SIX ? "L_cycles must be at most 6, the number of latents" : NULL;
}

const reel_architecture reel_trm_hier6 = {
    .name = "trm_hier6",
    .latents = LATENTS,
    .latent_names = {"inner.H_init", "inner.L1_init", "inner.L2_init", "inner.L3_init", "inner.L4_init",
                     "inner.L5_init", "inner.L6_init"},
    .uses = REEL_USES_CYCLES | REEL_USES_L_LAYERS,
    .fault = fault,
    .forward = forward,
};
