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
 * deep supervision over the carried y and z are common to all recursive models: model.c and act.c. */
#include <reel/autograd.h>
#include <reel/nn.h>
#include <reel/ops.h>
#include <reel/trm.h>

#include <stdio.h>
#include <stdlib.h>

enum { Z_H, Z_L, LATENTS };

typedef struct trm {
    int64_t layer_count;
    reel_rotary_table rotary; /* empty unless positions are rotary and tokens are mixed by attention */
    reel_block layers[];
} trm;

/* ---- the algorithm
 * ------------------------------------------------------------------------------------------ */

/* net(a, b, ...): the sum of its n inputs through every layer. A scope drops what no gradient needs. */
static reel_tensor *net(reel_context *ctx, const trm *m, reel_tensor *const *inputs, int n) {
    const reel_rotary_table *rotary = m->rotary.cosine ? &m->rotary : NULL;
    const reel_scope scope = reel_scope_begin(ctx, 0);
    reel_tensor *h = reel_add_n(ctx, inputs, n); /* (B, T, D) */
    for (int64_t i = 0; i < m->layer_count; i++) {
        h = reel_block_apply(ctx, &m->layers[i], rotary, h);
        reel_scope_roll(ctx, scope, &h, 1);
    }
    reel_scope_end(ctx, scope, &h, 1);
    return h;
}

static reel_latents latent_recursion(reel_context *ctx, const trm *m, int64_t n, reel_tensor *x,
                                     reel_latents s) {
    const reel_scope scope = reel_scope_begin(ctx, 0);
    for (int64_t i = 0; i < n; i++) {
        s.z[Z_L] = net(ctx, m, (reel_tensor *[]){s.z[Z_L], s.z[Z_H], x}, 3);
        reel_scope_roll(ctx, scope, s.z, LATENTS);
    }
    s.z[Z_H] = net(ctx, m, (reel_tensor *[]){s.z[Z_H], s.z[Z_L]}, 2);
    reel_scope_end(ctx, scope, s.z, LATENTS);
    return s;
}

static reel_latents deep_recursion(reel_context *ctx, const reel_model *model, const void *state,
                                   reel_tensor *x, reel_latents s) {
    const reel_model_config *c = reel_model_config_of(model);
    const reel_scope scope = reel_scope_begin(ctx, REEL_NO_GRAD);
    for (int64_t i = 0; i < c->H_cycles - 1; i++) {
        s = latent_recursion(ctx, state, c->L_cycles, x, s);
        reel_scope_roll(ctx, scope, s.z, LATENTS);
    }
    reel_scope_end(ctx, scope, s.z, LATENTS);
    return latent_recursion(ctx, state, c->L_cycles, x, s);
}

/* ---- its parameters
 * ------------------------------------------------------------------------------------------ */

static void *build(reel_context *ctx, const reel_model *model, reel_parameters *p) {
    const reel_model_config *c = reel_model_config_of(model);
    const reel_block_config block = {
        .tokens = reel_model_tokens(model),
        .hidden_size = c->hidden_size,
        .num_heads = c->num_heads,
        .round_width = c->round_width,
        .expansion = c->expansion,
        .norm_eps = c->rms_norm_eps,
        .mlp_t = c->mlp_t,
    };
    trm *m = calloc(1, sizeof *m + (size_t)c->L_layers * sizeof m->layers[0]);
    if (!m)
        return NULL;
    m->layer_count = c->L_layers;
    for (int64_t i = 0; i < m->layer_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "inner.L_level.layers.%lld", (long long)i);
        reel_block_declare(p, &m->layers[i], name, &block);
    }
    if (c->pos_encodings == REEL_POS_ROPE && !c->mlp_t)
        reel_rotary_table_new(ctx, &m->rotary, block.tokens, c->hidden_size / c->num_heads, c->rope_theta,
                              c->forward_dtype);
    return m;
}

static void trm_free(reel_context *ctx, void *state) {
    trm *m = state;
    reel_rotary_table_free(ctx, &m->rotary);
    free(m);
}

const reel_architecture reel_trm = {
    .name = "trm",
    .latents = LATENTS,
    .latent_names = {[Z_H] = "inner.H_init", [Z_L] = "inner.L_init"},
    .build = build,
    .forward = deep_recursion,
    .free = trm_free,
};
