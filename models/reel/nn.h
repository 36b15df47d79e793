/* Building blocks of networks, made from public ops alone.
 *
 * A layer is a struct of parameters. Its declare function lists them under a name (the arena is built once
 * all are listed, see reel_parameters_build), its apply function computes. The struct stays where it is from
 * the one to the other: the list points into it. Weights are kept in f32 (f64 in a list of f64) and cast to
 * the dtype of what they meet. Names beyond 255 characters are cut.
 *
 * apply is made of ops and shares their contract (<reel/ops.h>): a tape tensor in the dtype of x, gradients
 * for x and the parameters, the void tensor upon an error. An error of declare is kept by the list's context.
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

/* ceil(value / multiple) multiple, for value >= 0 and multiple > 0. */
REEL_API int64_t reel_round_up(int64_t value, int64_t multiple);

/* The inner width of a gated MLP over `width`: round(expansion * width * 2 / 3), halves to even as Python's
 * round does, then up to a multiple of round_width. */
REEL_API int64_t reel_swiglu_width(int64_t width, double expansion, int64_t round_width);

/* ---- linear: y = x weight^T (+ bias). Weights start as truncated normals of deviation in^(-1/2). ---- */

/* A linear map. */
typedef struct reel_linear_layer {
    reel_tensor *weight; /* (out, in) */
    reel_tensor *bias;   /* (out) or NULL */
} reel_linear_layer;

/* Lists NAME.weight; no bias. */
REEL_API void reel_linear_declare(reel_parameters *p, reel_linear_layer *layer, const char *name, int64_t in,
                                  int64_t out);
/* Gives a layer that has been declared a bias, NAME.bias (out), that starts as `value`. */
REEL_API void reel_linear_declare_bias(reel_parameters *p, reel_linear_layer *layer, const char *name,
                                       int64_t out, double value);
/* x (..., in) -> (..., out). */
REEL_API reel_tensor *reel_linear_apply(reel_context *ctx, const reel_linear_layer *layer, reel_tensor *x);

/* ---- gated MLP: y = (silu(g) * u) down^T, (g, u) = x gate_up^T ---- */

/* A gated MLP. */
typedef struct reel_swiglu_layer {
    reel_linear_layer gate_up_proj; /* (2 I, D) */
    reel_linear_layer down_proj;    /* (D, I) */
} reel_swiglu_layer;

/* Lists NAME.gate_up_proj.weight and NAME.down_proj.weight, of inner width reel_swiglu_width. */
REEL_API void reel_swiglu_declare(reel_parameters *p, reel_swiglu_layer *layer, const char *name,
                                  int64_t width, double expansion, int64_t round_width);
/* Along the last axis: mixes features. x (B, T, D) -> (B, T, D). */
REEL_API reel_tensor *reel_swiglu_apply(reel_context *ctx, const reel_swiglu_layer *layer, reel_tensor *x);
/* Along axis 1, for a layer of width T: mixes tokens, and no transpose is ever made: the weight multiplies
 * from the left. x (B, T, D) -> (B, T, D). */
REEL_API reel_tensor *reel_swiglu_apply_tokens(reel_context *ctx, const reel_swiglu_layer *layer,
                                               reel_tensor *x);

/* ---- self-attention with rotary positions ---- */

/* Angles of all positions, for reel_rotary. */
typedef struct reel_rotary_table {
    reel_tensor *cosine, *sine; /* (T, d), owned */
} reel_rotary_table;

/* cos and sin of t * theta^(-2 i / d), each angle twice, as the halves convention has it. Computed in f32
 * like the published code, in f64 when dtype is f64; head_size is even. Freed by reel_rotary_table_free.
 * Without memory the context keeps the error. */
REEL_API void reel_rotary_table_new(reel_context *ctx, reel_rotary_table *table, int64_t tokens,
                                    int64_t head_size, double theta, reel_dtype dtype);
/* Frees both tensors and sets them to NULL; a table of NULLs is accepted. */
REEL_API void reel_rotary_table_free(reel_context *ctx, reel_rotary_table *table);

/* Self-attention. */
typedef struct reel_attention_layer {
    int64_t heads, head_size;
    reel_linear_layer qkv_proj; /* (3 H d, D) */
    reel_linear_layer o_proj;   /* (D, H d) */
} reel_attention_layer;

/* Lists NAME.qkv_proj.weight and NAME.o_proj.weight. The head size is floor(width / heads), so heads need not
 * divide the width. */
REEL_API void reel_attention_declare(reel_parameters *p, reel_attention_layer *layer, const char *name,
                                     int64_t width, int64_t heads);
/* x (B, T, D) -> (B, T, D): every token sees every token. rotary NULL for no positions; its table has T rows.
 */
REEL_API reel_tensor *reel_attention_apply(reel_context *ctx, const reel_attention_layer *layer,
                                           const reel_rotary_table *rotary, reel_tensor *x);

/* ---- a block: mix tokens, then features, each with a residual and a norm behind it ---- */

/* mlp_t decides which of the two mixers of tokens it has. */
typedef struct reel_block {
    bool mlp_t; /* tokens are mixed by an MLP, else by attention */
    double norm_eps;
    reel_swiglu_layer mlp_tokens;
    reel_attention_layer self_attn;
    reel_swiglu_layer mlp;
} reel_block;

/* What a block is made from; names are those of reel_model_config. */
typedef struct reel_block_config {
    int64_t tokens, hidden_size, num_heads, round_width; /* tokens matter to an MLP over them alone */
    double expansion, norm_eps;
    bool mlp_t;
} reel_block_config;

/* Lists NAME.mlp_t or NAME.self_attn, then NAME.mlp. */
REEL_API void reel_block_declare(reel_parameters *p, reel_block *block, const char *name,
                                 const reel_block_config *config);
/* x (B, T, D) -> (B, T, D): x = rms_norm(x + mix(x)), y = rms_norm(x + mlp(x)); the norm over tokens where an
 * MLP mixes them, else over features. */
REEL_API reel_tensor *reel_block_apply(reel_context *ctx, const reel_block *block,
                                       const reel_rotary_table *rotary, reel_tensor *x);

/* ---- a network: the sum of its inputs through a row of blocks ---- */

/* Blocks in a row. */
typedef struct reel_network {
    int64_t count;
    reel_block *blocks;
    const reel_rotary_table *rotary; /* NULL for none; belongs to another */
} reel_network;

/* Takes memory for count blocks, with the context's error set when there is none, and lists them as
 * NAME.layers.0, NAME.layers.1, ... Freed by reel_network_free. */
REEL_API void reel_network_declare(reel_context *ctx, reel_parameters *p, reel_network *network,
                                   const char *name, int64_t count, const reel_block_config *config);
/* Frees the blocks; their parameters belong to the list. One of zeros is accepted. */
REEL_API void reel_network_free(reel_network *network);
/* n inputs of (B, T, D), 1 <= n <= 16 -> (B, T, D). Keeps no more in memory than backward will ask for. */
REEL_API reel_tensor *reel_network_apply(reel_context *ctx, const reel_network *network,
                                         reel_tensor *const *inputs, int n);

#ifdef __cplusplus
}
#endif
#endif
