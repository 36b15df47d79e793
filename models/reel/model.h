/* A recursive reasoning model: what TRM and its relatives have in common.
 *
 * Such a model reads a puzzle as S tokens, keeps one or more latent states of (B, T, D) between supervision
 * steps, and at each step improves them, decodes an answer and says whether to halt. What differs from one
 * architecture to the next is its parameters and one function, reel_model_forward. An architecture is a file
 * (trm.c) and a line in the table in model.c.
 *
 * B batch, S puzzle tokens, P puzzle-embedding tokens, T = P + S, D hidden, V vocabulary */
#ifndef REEL_MODEL_H
#define REEL_MODEL_H

#include <stdbool.h>

#include <reel/optim.h>
#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum reel_pos_encodings { REEL_POS_NONE, REEL_POS_ROPE, REEL_POS_LEARNED } reel_pos_encodings;

typedef enum reel_loss_type { REEL_LOSS_STABLEMAX, REEL_LOSS_SOFTMAX } reel_loss_type;

/* Names and defaults are those of the published configuration (config/arch/trm.yaml). */
typedef struct reel_model_config {
    const char *arch; /* "trm" */
    int64_t seq_len, vocab_size, num_puzzle_identifiers;
    int64_t hidden_size, num_heads;
    double expansion;
    int64_t H_cycles, L_cycles;
    int64_t H_layers; /* TRM has one network and ignores it */
    int64_t L_layers;
    int64_t puzzle_emb_ndim; /* 0: no puzzle tokens */
    int64_t puzzle_emb_len;  /* 0: as many tokens as puzzle_emb_ndim fills */
    bool mlp_t;              /* tokens are mixed by an MLP, not by attention */
    reel_pos_encodings pos_encodings;
    double rope_theta, rms_norm_eps;
    int64_t round_width; /* inner widths are multiples of it; 256 as published */
    int64_t halt_max_steps;
    double halt_exploration_prob;
    bool no_ACT_continue; /* halting is a classification, without Q-learning's continue head */
    reel_loss_type loss_type;
    reel_dtype forward_dtype; /* f32, bf16, or f64 for proofs; parameters are f32, or f64 with f64 */
} reel_model_config;

REEL_API reel_model_config reel_model_config_default(void);

enum { REEL_MAX_LATENTS = 8 };

typedef struct reel_model reel_model;

/* The latent states, in the order of the model's initial ones; for TRM z_H, z_L. */
typedef struct reel_latents {
    reel_tensor *z[REEL_MAX_LATENTS]; /* (B, T, D) */
} reel_latents;

typedef struct reel_outputs {
    reel_latents latents;
    reel_tensor *logits;              /* (B, S, V) */
    reel_tensor *q_halt, *q_continue; /* (B), f32 or f64 */
} reel_outputs;

/* What an architecture brings. build lists its parameters after the common ones, forward runs one supervision
 * step's recursion on the embedded input x (B, T, D); state is what build returned. */
typedef struct reel_architecture {
    const char *name;
    int latents;
    const char *latent_names[REEL_MAX_LATENTS]; /* as in checkpoints: "inner.H_init" */
    void *(*build)(reel_context *ctx, const reel_model *model, reel_parameters *p);
    reel_latents (*forward)(reel_context *ctx, const reel_model *model, const void *state, reel_tensor *x,
                            reel_latents latents);
    void (*free)(reel_context *ctx, void *state);
} reel_architecture;

/* A named tensor of a checkpoint. */
typedef struct reel_named_tensor {
    const char *name;
    reel_tensor *tensor;
} reel_named_tensor;

/* Builds the model that config names: parameters drawn from the context's seed, puzzle embeddings zero. NULL
 * with the context's error set when the configuration makes no model or memory is short. Freed before its
 * context. */
REEL_API reel_model *reel_model_new(reel_context *ctx, const reel_model_config *config);
REEL_API void reel_model_free(reel_model *model);

REEL_API const reel_model_config *reel_model_config_of(const reel_model *model);
REEL_API reel_parameters *reel_model_parameters(reel_model *model);
REEL_API int64_t reel_model_puzzle_tokens(const reel_model *model); /* P */
REEL_API int64_t reel_model_tokens(const reel_model *model);        /* T */
REEL_API int reel_model_latent_count(const reel_model *model);
/* The initial latent state i, (D), in the forward dtype; trained by nobody. */
REEL_API reel_tensor *reel_model_latent_init(const reel_model *model, int i);
/* The puzzle embeddings (num_puzzle_identifiers, puzzle_emb_ndim), or NULL where the model has none. They are
 * no parameter: reel_sign_sgd_rows trains the rows that a batch touched. */
REEL_API reel_tensor *reel_model_puzzle_embeddings(const reel_model *model);

/* Everything a checkpoint holds of the model beside its parameters: the initial latents and the puzzle
 * embeddings, under the published names. Returns how many; at most REEL_MAX_LATENTS + 1. */
REEL_API int reel_model_buffers(const reel_model *model, reel_named_tensor *buffers);

/* One supervision step: embeds inputs (B, S) i32 and puzzle rows (B, puzzle_emb_ndim), NULL where the model
 * has none, recurses from the latents given and decodes. */
REEL_API reel_outputs reel_model_forward(reel_context *ctx, const reel_model *model, reel_tensor *inputs,
                                         reel_tensor *puzzle_rows, reel_latents latents);

#ifdef __cplusplus
}
#endif
#endif
