/* Building blocks of networks, made from public ops alone.
 *
 * A layer is a struct of parameters. REEL_..._declare lists them under a name (the arena is built once all
 * are listed, see reel_parameters_build), the function of the layer's own name applies it. Weights are kept
 * in f32 and cast to the dtype of what they meet.
 *
 * B batch, T tokens, D hidden, I inner, H heads, d head size */
#ifndef REEL_NN_H
#define REEL_NN_H

#include <stdbool.h>

#include <reel/optim.h>
#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ceil(value / multiple) * multiple */
REEL_API int64_t reel_round_up(int64_t value, int64_t multiple);

/* The inner width of a gated MLP over `width`: round(expansion * width * 2 / 3), halves to even as Python's
 * round does, then up to a multiple of round_width. */
REEL_API int64_t reel_swiglu_width(int64_t width, double expansion, int64_t round_width);

/* ---- linear: y = x weight^T (+ bias). Weights start as truncated normals of deviation in^(-1/2). ---- */

typedef struct reel_linear_layer {
    reel_tensor *weight; /* (out, in) */
    reel_tensor *bias;   /* (out) or NULL */
} reel_linear_layer;

REEL_API void reel_linear_declare(reel_parameters *p, reel_linear_layer *layer, const char *name, int64_t in,
                                  int64_t out);
REEL_API reel_tensor *reel_linear_apply(reel_context *ctx, const reel_linear_layer *layer, reel_tensor *x);

/* ---- gated MLP: y = (silu(g) * u) down^T, (g, u) = x gate_up^T ---- */

typedef struct reel_swiglu_layer {
    reel_linear_layer gate_up_proj; /* (2 I, D) */
    reel_linear_layer down_proj;    /* (D, I) */
} reel_swiglu_layer;

REEL_API void reel_swiglu_declare(reel_parameters *p, reel_swiglu_layer *layer, const char *name,
                                  int64_t width, double expansion, int64_t round_width);
/* Along the last axis: mixes features. x (B, T, D) -> (B, T, D). */
REEL_API reel_tensor *reel_swiglu_apply(reel_context *ctx, const reel_swiglu_layer *layer, reel_tensor *x);
/* Along axis 1: mixes tokens, and no transpose is ever made: the weight multiplies from the left. */
REEL_API reel_tensor *reel_swiglu_apply_tokens(reel_context *ctx, const reel_swiglu_layer *layer,
                                               reel_tensor *x);

/* ---- self-attention with rotary positions ---- */

typedef struct reel_rotary_table {
    reel_tensor *cosine, *sine; /* (T, d), owned */
} reel_rotary_table;

/* cos and sin of t * theta^(-2 i / d), each angle twice, as the halves convention has it. Computed in f32
 * like the published code, in f64 when dtype is f64. */
REEL_API void reel_rotary_table_new(reel_context *ctx, reel_rotary_table *table, int64_t tokens,
                                    int64_t head_size, double theta, reel_dtype dtype);
REEL_API void reel_rotary_table_free(reel_context *ctx, reel_rotary_table *table);

typedef struct reel_attention_layer {
    int64_t heads, head_size;
    reel_linear_layer qkv_proj; /* (3 H d, D) */
    reel_linear_layer o_proj;   /* (D, H d) */
} reel_attention_layer;

/* The head size is floor(width / heads), so heads need not divide the width. */
REEL_API void reel_attention_declare(reel_parameters *p, reel_attention_layer *layer, const char *name,
                                     int64_t width, int64_t heads);
/* x (B, T, D) -> (B, T, D); rotary NULL for none. */
REEL_API reel_tensor *reel_attention_apply(reel_context *ctx, const reel_attention_layer *layer,
                                           const reel_rotary_table *rotary, reel_tensor *x);

/* ---- a block: mix tokens, then features, each with a residual and a norm behind it ---- */

typedef struct reel_block {
    bool mlp_t; /* tokens are mixed by an MLP, else by attention */
    double norm_eps;
    reel_swiglu_layer mlp_tokens;
    reel_attention_layer self_attn;
    reel_swiglu_layer mlp;
} reel_block;

typedef struct reel_block_config {
    int64_t tokens, hidden_size, num_heads, round_width;
    double expansion, norm_eps;
    bool mlp_t;
} reel_block_config;

REEL_API void reel_block_declare(reel_parameters *p, reel_block *block, const char *name,
                                 const reel_block_config *config);
REEL_API reel_tensor *reel_block_apply(reel_context *ctx, const reel_block *block,
                                       const reel_rotary_table *rotary, reel_tensor *x);

/* ---- a network: the sum of its inputs through a row of blocks ---- */

typedef struct reel_network {
    int64_t count;
    reel_block *blocks;
    const reel_rotary_table *rotary; /* NULL for none; belongs to another */
} reel_network;

/* Takes memory for count blocks, with the context's error set when there is none, and lists them as
 * NAME.layers.0, NAME.layers.1, ... */
REEL_API void reel_network_declare(reel_context *ctx, reel_parameters *p, reel_network *network,
                                   const char *name, int64_t count, const reel_block_config *config);
REEL_API void reel_network_free(reel_network *network);
/* n inputs of (B, T, D) -> (B, T, D). Keeps no more in memory than backward will ask for. */
REEL_API reel_tensor *reel_network_apply(reel_context *ctx, const reel_network *network,
                                         reel_tensor *const *inputs, int n);

#ifdef __cplusplus
}
#endif
#endif
