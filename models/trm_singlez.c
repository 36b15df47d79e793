/* TRM with a single latent (Jolicoeur-Martineau 2025, table 2: "single z").
 *
 * Answer and latent are one state z:
 *
 *     for i in range(n):
 *         z = net(x, z)
 *     z = net(z)
 *
 * The recursion around it is that of trm.c. */
#include <reel/trm.h>

enum { Z, LATENTS };

static reel_latents update_latent(reel_context *ctx, const reel_model *model, int64_t i, reel_tensor *x,
                                  reel_latents s) {
    (void)i;
    const reel_network *net = reel_model_network(model, REEL_L_LEVEL);
    s.z[Z] = reel_network_apply(ctx, net, (reel_tensor *[]){s.z[Z], x}, 2);
    return s;
}

static reel_latents update_answer(reel_context *ctx, const reel_model *model, reel_latents s) {
    s.z[Z] = reel_network_apply(ctx, reel_model_network(model, REEL_L_LEVEL), s.z, 1);
    return s;
}

static reel_latents forward(reel_context *ctx, const reel_model *model, reel_tensor *x, reel_latents s) {
    const reel_trm_updates updates = {update_latent, update_answer};
    return reel_deep_recursion(ctx, model, &updates, x, s);
}

static const char *fault(const reel_model_config *c) {
    return c->separate_networks ? "separate_networks needs an answer apart from the latent" : NULL;
}

const reel_architecture reel_trm_singlez = {
    .name = "trm_singlez",
    .latents = LATENTS,
    .latent_names = {[Z] = "inner.L_init"},
    .uses = REEL_USES_CYCLES | REEL_USES_L_LAYERS,
    .fault = fault,
    .forward = forward,
};
