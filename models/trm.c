/* The Tiny Recursion Model (Jolicoeur-Martineau 2025, arXiv 2510.04871).
 *
 * One tiny network improves two states of shape (B, T, D): z_H, the current answer (the paper's y), and z_L,
 * a latent that reasons about it (the paper's z). The question x never changes. In the paper's words (figure
 * 3):
 *
 *     def latent_recursion(x, y, z, n=6):
 *         for i in range(n):                        # latent reasoning
 *             z = net(x, y, z)
 *         y = net(y, z)                             # refine output answer
 *         return y, z
 *
 *     def deep_recursion(x, y, z, n=6, T=3):
 *         with torch.no_grad():                     # T-1 times to improve y and z, no gradients needed
 *             for j in range(T-1):
 *                 y, z = latent_recursion(x, y, z, n)
 *         y, z = latent_recursion(x, y, z, n)       # once to improve y and z, with gradients
 *         return (y.detach(), z.detach()), output_head(y), Q_head(y)
 *
 * T is H_cycles here and n is L_cycles, as in the published configuration. The heads, the embedding of x and
 * deep supervision over the carried y and z are common to all recursive models: model.c and act.c.
 *
 * Two ablations of the paper (table 1) are switches. one_step_gradient moves all but the last update of z
 * into the part without gradients, as HRM does. separate_networks gives the answer a network of its own.
 *
 * The two functions of the recursion serve the kin of TRM too, which differ in how a state is updated: with
 * one latent in trm_singlez.c, with six in trm_hier6.c; and HRM, by two networks, in hrm.c. */
#include <reel/autograd.h>
#include <reel/trm.h>

/* ---- the algorithm ------------------------------------------------------------------------------------- */

/* The updates first .. n-1 of a latent, then that of the answer. */
static reel_latents latent_recursion(reel_context *ctx, const reel_model *model,
                                     const reel_trm_updates *update, int64_t first, reel_tensor *x,
                                     reel_latents s) {
    const int64_t n = reel_model_config_of(model)->L_cycles;
    const int latents = reel_model_latent_count(model);
    const reel_scope scope = reel_scope_begin(ctx, 0);
    for (int64_t i = first; i < n; i++) {
        s = update->latent(ctx, model, i, x, s);
        reel_scope_roll(ctx, scope, s.z, latents);
    }
    s = update->answer(ctx, model, s);
    reel_scope_end(ctx, scope, s.z, latents);
    return s;
}

reel_latents reel_deep_recursion(reel_context *ctx, const reel_model *model, const reel_trm_updates *update,
                                 reel_tensor *x, reel_latents s) {
    const reel_model_config *c = reel_model_config_of(model);
    const int64_t first = c->one_step_gradient ? c->L_cycles - 1 : 0; /* update that has a gradient */
    const int latents = reel_model_latent_count(model);
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    for (int64_t j = 0; j < c->H_cycles - 1; j++) {
        s = latent_recursion(ctx, model, update, 0, x, s);
        reel_scope_roll(ctx, scope, s.z, latents);
    }
    for (int64_t i = 0; i < first; i++) {
        s = update->latent(ctx, model, i, x, s);
        reel_scope_roll(ctx, scope, s.z, latents);
    }
    reel_scope_end(ctx, scope, s.z, latents);
    return latent_recursion(ctx, model, update, first, x, s);
}

/* ---- TRM itself ---------------------------------------------------------------------------------------- */

enum { Z_H, Z_L, LATENTS };

/* z = net(x, y, z) */
static reel_latents update_latent(reel_context *ctx, const reel_model *model, int64_t i, reel_tensor *x,
                                  reel_latents s) {
    (void)i;
    const reel_network *net = reel_model_network(model, REEL_L_LEVEL);
    s.z[Z_L] = reel_network_apply(ctx, net, (reel_tensor *[]){s.z[Z_L], s.z[Z_H], x}, 3);
    return s;
}

/* y = net(y, z) */
static reel_latents update_answer(reel_context *ctx, const reel_model *model, reel_latents s) {
    const reel_network *net = reel_model_network(model, REEL_H_LEVEL);
    s.z[Z_H] = reel_network_apply(ctx, net, (reel_tensor *[]){s.z[Z_H], s.z[Z_L]}, 2);
    return s;
}

static reel_latents forward(reel_context *ctx, const reel_model *model, reel_tensor *x, reel_latents s) {
    const reel_trm_updates updates = {update_latent, update_answer};
    return reel_deep_recursion(ctx, model, &updates, x, s);
}

const reel_architecture reel_trm = {
    .name = "trm",
    .latents = LATENTS,
    .latent_names = {[Z_H] = "inner.H_init", [Z_L] = "inner.L_init"},
    .uses = REEL_USES_CYCLES | REEL_USES_L_LAYERS,
    .forward = forward,
};
