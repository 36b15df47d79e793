/* A transformer without recursion, trained by the same deep supervision: what recursion is measured against.
 *
 *     z_H = H_level(z_H, x)
 *
 * Its rows halt when q_halt exceeds q_continue although published training never teaches q_continue: the
 * numbers are those of the published code, which leaves that head at its initial value. With no_ACT_continue
 * off the head is trained as in HRM. */
#include <reel/model.h>

enum { Z_H, LATENTS };

static reel_latents forward(reel_context *ctx, const reel_model *model, reel_tensor *x, reel_latents s) {
    const reel_network *net = reel_model_network(model, REEL_H_LEVEL);
    s.z[Z_H] = reel_network_apply(ctx, net, (reel_tensor *[]){s.z[Z_H], x}, 2);
    return s;
}

static const char *fault(const reel_model_config *c) {
    if (c->mlp_t)
        return "mlp_t cannot be on, it mixes tokens by attention";
    if (c->one_step_gradient || c->separate_networks)
        return "one_step_gradient and separate_networks are about a recursion, and it has none";
    return c->pos_encodings == REEL_POS_NONE ? "pos_encodings must be rope or learned" : NULL;
}

const reel_architecture reel_transformers_baseline = {
    .name = "transformers_baseline",
    .latents = LATENTS,
    .latent_names = {[Z_H] = "inner.H_init"},
    .uses = REEL_USES_H_LAYERS,
    .halting = REEL_HALTS_AGAINST_CONTINUE,
    .fault = fault,
    .forward = forward,
};
