/* Building blocks: linear, gated MLP, attention, block, network. */
#include <reel/autograd.h>
#include <reel/nn.h>
#include <reel/ops.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = 256, TOKENS = 1, FEATURES = -1 /* axes of (B, T, D) */ };

int64_t reel_round_up(int64_t value, int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

int64_t reel_swiglu_width(int64_t width, double expansion, int64_t round_width) {
    return reel_round_up(llrint(expansion * (double)width * 2 / 3), round_width);
}

/* ---- linear ---- */

void reel_linear_declare(reel_parameters *p, reel_linear_layer *layer, const char *name, int64_t in,
                         int64_t out) {
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%s.weight", name);
    layer->bias = NULL;
    reel_parameter(p, &layer->weight, full, REEL_SHAPE(out, in),
                   reel_init_truncated_normal(1 / sqrt((double)in)));
}

void reel_linear_declare_bias(reel_parameters *p, reel_linear_layer *layer, const char *name, int64_t out,
                              double value) {
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%s.bias", name);
    reel_parameter(p, &layer->bias, full, REEL_SHAPE(out), reel_init_constant(value));
}

reel_tensor *reel_linear_apply(reel_context *ctx, const reel_linear_layer *layer, reel_tensor *x) {
    reel_tensor *bias = layer->bias ? reel_cast(ctx, layer->bias, x->dtype) : NULL;
    return reel_linear(ctx, x, reel_cast(ctx, layer->weight, x->dtype), bias);
}

/* ---- gated MLP ---- */

void reel_swiglu_declare(reel_parameters *p, reel_swiglu_layer *layer, const char *name, int64_t width,
                         double expansion, int64_t round_width) {
    const int64_t inner = reel_swiglu_width(width, expansion, round_width);
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%s.gate_up_proj", name);
    reel_linear_declare(p, &layer->gate_up_proj, full, width, 2 * inner);
    snprintf(full, sizeof full, "%s.down_proj", name);
    reel_linear_declare(p, &layer->down_proj, full, inner, width);
}

/* Over one axis of x (B, T, D), T or D. */
static reel_tensor *apply_over(reel_context *ctx, const reel_swiglu_layer *layer, reel_tensor *x, int axis) {
    reel_tensor *up = reel_cast(ctx, layer->gate_up_proj.weight, x->dtype); /* (2 I, T) or (2 I, D) */
    reel_tensor *down = reel_cast(ctx, layer->down_proj.weight, x->dtype);  /* (T, I) or (D, I) */
    return reel_gated_mlp(ctx, x, up, down, axis);                          /* (B, T, D) */
}

reel_tensor *reel_swiglu_apply(reel_context *ctx, const reel_swiglu_layer *layer, reel_tensor *x) {
    return apply_over(ctx, layer, x, FEATURES);
}

reel_tensor *reel_swiglu_apply_tokens(reel_context *ctx, const reel_swiglu_layer *layer, reel_tensor *x) {
    return apply_over(ctx, layer, x, TOKENS);
}

/* ---- attention ---- */

void reel_rotary_table_new(reel_context *ctx, reel_rotary_table *table, int64_t tokens, int64_t head_size,
                           double theta, reel_dtype dtype) {
    const bool wide = dtype == REEL_F64;
    const size_t count = (size_t)(tokens * head_size);
    table->cosine = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(tokens, head_size));
    table->sine = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(tokens, head_size));
    double *const cosine = malloc(2 * count * sizeof *cosine), *const sine = cosine + count;
    if (!cosine)
        reel_context_fail(ctx, REEL_ERROR_MEMORY, "rotary: no memory for %zu angles", count);
    if (reel_context_status(ctx) != REEL_OK) {
        free(cosine);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const int64_t t = (int64_t)i / head_size, pair = (int64_t)i % head_size % (head_size / 2);
        const double exponent = 2.0 * (double)pair / (double)head_size;
        double angle = (double)t / pow(theta, exponent);
        if (!wide) /* the published tables are single precision from the start */
            angle = (float)t * (1.0f / powf((float)theta, (float)exponent));
        cosine[i] = wide ? cos(angle) : cosf((float)angle);
        sine[i] = wide ? sin(angle) : sinf((float)angle);
    }
    reel_write(ctx, table->cosine, cosine, count * sizeof *cosine);
    reel_write(ctx, table->sine, sine, count * sizeof *sine);
    free(cosine);
    if (wide)
        return;
    reel_tensor *const narrow[2] = {reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(tokens, head_size)),
                                    reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(tokens, head_size))};
    reel_copy(ctx, narrow[0], table->cosine);
    reel_copy(ctx, narrow[1], table->sine);
    reel_rotary_table_free(ctx, table);
    table->cosine = narrow[0];
    table->sine = narrow[1];
}

void reel_rotary_table_free(reel_context *ctx, reel_rotary_table *table) {
    reel_tensor_free(ctx, table->cosine);
    reel_tensor_free(ctx, table->sine);
    *table = (reel_rotary_table){NULL, NULL};
}

void reel_attention_declare(reel_parameters *p, reel_attention_layer *layer, const char *name, int64_t width,
                            int64_t heads) {
    char full[NAME_BYTES];
    layer->heads = heads;
    layer->head_size = width / heads;
    snprintf(full, sizeof full, "%s.qkv_proj", name);
    reel_linear_declare(p, &layer->qkv_proj, full, width, 3 * heads * layer->head_size);
    snprintf(full, sizeof full, "%s.o_proj", name);
    reel_linear_declare(p, &layer->o_proj, full, heads * layer->head_size, width);
}

reel_tensor *reel_attention_apply(reel_context *ctx, const reel_attention_layer *layer,
                                  const reel_rotary_table *rotary, reel_tensor *x) {
    enum { HEADS = 2 /* axis of (B, T, H, d) */ };
    const int64_t B = x->shape[0], T = x->shape[1], H = layer->heads, d = layer->head_size;
    const reel_scope scope = reel_scope_begin(ctx, 0);
    reel_tensor *qkv = reel_linear_apply(ctx, &layer->qkv_proj, x); /* (B, T, 3 H d) */
    reel_tensor *part[3] = {0};                                     /* q, k, v: (B, T, H, d) */
    qkv = reel_reshape(ctx, qkv, REEL_SHAPE(B, T, 3 * H, d));
    reel_split(ctx, qkv, HEADS, (const int64_t[]){H, H, H}, 3, part);
    for (int i = 0; i < 2 && rotary; i++)
        part[i] = reel_rotary(ctx, part[i], rotary->cosine, rotary->sine);
    for (int i = 0; i < 3; i++)
        part[i] = reel_transpose(ctx, part[i], TOKENS, HEADS); /* (B, H, T, d) */
    reel_tensor *y = reel_scaled_dot_product_attention(ctx, part[0], part[1], part[2], NULL, 0);
    y = reel_reshape(ctx, reel_transpose(ctx, y, TOKENS, HEADS), REEL_SHAPE(B, T, H * d));
    reel_scope_end(ctx, scope, &y, 1);
    return reel_linear_apply(ctx, &layer->o_proj, y);
}

/* ---- block ---- */

void reel_block_declare(reel_parameters *p, reel_block *block, const char *name,
                        const reel_block_config *config) {
    char full[NAME_BYTES];
    block->mlp_t = config->mlp_t;
    block->norm_eps = config->norm_eps;
    if (config->mlp_t) {
        snprintf(full, sizeof full, "%s.mlp_t", name);
        reel_swiglu_declare(p, &block->mlp_tokens, full, config->tokens, config->expansion,
                            config->round_width);
    } else {
        snprintf(full, sizeof full, "%s.self_attn", name);
        reel_attention_declare(p, &block->self_attn, full, config->hidden_size, config->num_heads);
    }
    snprintf(full, sizeof full, "%s.mlp", name);
    reel_swiglu_declare(p, &block->mlp, full, config->hidden_size, config->expansion, config->round_width);
}

reel_tensor *reel_block_apply(reel_context *ctx, const reel_block *block, const reel_rotary_table *rotary,
                              reel_tensor *x) {
    const reel_scope scope = reel_scope_begin(ctx, 0);
    if (block->mlp_t)
        x = reel_add_rms_norm(ctx, x, reel_swiglu_apply_tokens(ctx, &block->mlp_tokens, x), TOKENS,
                              block->norm_eps);
    else
        x = reel_add_rms_norm(ctx, x, reel_attention_apply(ctx, &block->self_attn, rotary, x), FEATURES,
                              block->norm_eps);
    reel_scope_roll(ctx, scope, &x, 1);
    x = reel_add_rms_norm(ctx, x, reel_swiglu_apply(ctx, &block->mlp, x), FEATURES, block->norm_eps);
    reel_scope_end(ctx, scope, &x, 1);
    return x;
}

/* ---- network ---- */

void reel_network_declare(reel_context *ctx, reel_parameters *p, reel_network *network, const char *name,
                          int64_t count, const reel_block_config *config) {
    char full[NAME_BYTES];
    *network = (reel_network){.blocks = calloc((size_t)count, sizeof *network->blocks)};
    if (!network->blocks) {
        reel_context_fail(ctx, REEL_ERROR_MEMORY, "%s: no memory for %lld blocks", name, (long long)count);
        return;
    }
    network->count = count;
    for (int64_t i = 0; i < count; i++) {
        snprintf(full, sizeof full, "%s.layers.%lld", name, (long long)i);
        reel_block_declare(p, &network->blocks[i], full, config);
    }
}

void reel_network_free(reel_network *network) {
    free(network->blocks);
    *network = (reel_network){0};
}

reel_tensor *reel_network_apply(reel_context *ctx, const reel_network *network, reel_tensor *const *inputs,
                                int n) {
    const reel_scope scope = reel_scope_begin(ctx, 0);
    reel_tensor *h = reel_add_n(ctx, inputs, n); /* (B, T, D) */
    for (int64_t i = 0; i < network->count; i++) {
        h = reel_block_apply(ctx, &network->blocks[i], network->rotary, h);
        reel_scope_roll(ctx, scope, &h, 1);
    }
    reel_scope_end(ctx, scope, &h, 1);
    return h;
}
