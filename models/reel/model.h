/* A recursive reasoning model: what TRM and its relatives have in common.
 *
 * Such a model reads a puzzle as S tokens, keeps one or more latent states of (B, T, D) between supervision
 * steps, and at each step improves them by one or two networks, decodes an answer and says whether to halt.
 * What differs from one architecture to the next is which states and networks there are and how they act on
 * each other. An architecture is a file (trm.c) and a line in the table below.
 *
 * B batch, S puzzle tokens, P puzzle-embedding tokens, T = P + S, D hidden, V vocabulary */
#ifndef REEL_MODEL_H
#define REEL_MODEL_H

#include <stdbool.h>

#include <reel/nn.h>
#include <reel/optim.h>
#include <reel/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How tokens know their places. */
typedef enum reel_pos_encodings { REEL_POS_NONE, REEL_POS_ROPE, REEL_POS_LEARNED } reel_pos_encodings;

/* The cross-entropy of the answer's tokens. */
typedef enum reel_loss_type { REEL_LOSS_STABLEMAX, REEL_LOSS_SOFTMAX } reel_loss_type;

/* clang-format off */

/* Every architecture: its name, the class that has it in the published code, and the defaults that depend on
 * it, which are those of the published config/arch/NAME.yaml where that file has the key. transformers_baseline
 * has no use for cycles and L_layers, nor trm and its kin for H_layers.
 *
 *     X(ID, name, "class",
 *       H_cycles, L_cycles, H_layers, L_layers, num_heads, puzzle_emb_len,
 *       no_ACT_continue, one_step_gradient, separate_networks) */
#define REEL_ARCHITECTURES(X)                                                                                \
    X(TRM,      trm,                   "TinyRecursiveReasoningModel_ACTV1",                                  \
                                 3,   6,   0,   2,       8,      16,     true,     false,     false)         \
    X(SINGLEZ,  trm_singlez,           "TinyRecursiveReasoningModel_ACTV1",                                  \
                                 3,   6,   0,   2,       8,      16,     true,     false,     false)         \
    X(HIER6,    trm_hier6,             "TinyRecursiveReasoningModel_ACTV1",                                  \
                                 3,   6,   0,   2,       8,      16,     true,     false,     false)         \
    X(HRM,      hrm,                   "HierarchicalReasoningModel_ACTV1",                                   \
                                 2,   2,   4,   4,       8,       0,     false,    true,      true)          \
    X(BASELINE, transformers_baseline, "Model_ACTV2",                                                        \
                                 1,   1,   8,   1,      12,       0,     true,     false,     false)

/* clang-format on */

/* What a model is made from. Names are those of the published configuration. */
typedef struct reel_model_config {
    const char *arch; /* a name of REEL_ARCHITECTURES */
    int64_t seq_len, vocab_size, num_puzzle_identifiers;
    int64_t hidden_size, num_heads;
    double expansion;           /* of MLPs: see reel_swiglu_width */
    int64_t H_cycles, L_cycles; /* recursions of a supervision step, updates of a latent in one */
    int64_t H_layers, L_layers; /* blocks of the networks H_level and L_level */
    int64_t puzzle_emb_ndim;    /* 0: no puzzle tokens */
    int64_t puzzle_emb_len;     /* 0: as many tokens as puzzle_emb_ndim fills */
    bool mlp_t;                 /* tokens are mixed by an MLP, not by attention */
    reel_pos_encodings pos_encodings;
    double rope_theta, rms_norm_eps;
    int64_t round_width;          /* inner widths are multiples of it; 256 as published */
    int64_t halt_max_steps;       /* supervision steps that a row gets at most */
    double halt_exploration_prob; /* share of rows that may not halt before a step drawn at random */
    bool act_enabled;             /* in training a row may halt before halt_max_steps */
    bool no_ACT_continue;   /* no loss for the continue head: halting is a classification, not Q-learning */
    bool one_step_gradient; /* only the last update of a latent and that of the answer have a gradient */
    bool separate_networks; /* latents are updated by L_level, the answer by an H_level of its own */
    reel_loss_type loss_type;
    reel_dtype forward_dtype; /* f32, bf16, or f64 for proofs; parameters are f32, or f64 with f64 */
} reel_model_config;

/* The published defaults of an architecture, for one puzzle identifier; seq_len and vocab_size, which data
 * decide, and those alone, are left 0. Of a name that is none in the table, those of trm under that name,
 * which reel_model_new will refuse. `arch` is not copied. */
REEL_API reel_model_config reel_model_config_default(const char *arch);

/* NULL when the configuration makes a model, else what it breaks, as text that names the keys; never freed.
 */
REEL_API const char *reel_model_config_fault(const reel_model_config *config);

/* Tokens that a puzzle's embedding takes in front of the puzzle's own. */
REEL_API int64_t reel_model_config_puzzle_tokens(const reel_model_config *config);

/* Numbers in all parameters of the model that config makes, without the memory for them; -1 with the
 * context's error set where it makes none. */
REEL_API int64_t reel_model_config_elements(reel_context *ctx, const reel_model_config *config);

enum { REEL_MAX_LATENTS = 8 };

/* Parameters, networks and buffers of one configuration. */
typedef struct reel_model reel_model;

/* The latent states, in the order of the model's initial ones. The answer is decoded from z[0]. */
typedef struct reel_latents {
    reel_tensor *z[REEL_MAX_LATENTS]; /* (B, T, D) */
} reel_latents;

/* What a supervision step ends with: tape tensors. */
typedef struct reel_outputs {
    reel_latents latents;
    reel_tensor *logits;              /* (B, S, V) */
    reel_tensor *q_halt, *q_continue; /* (B), f32 or f64 */
} reel_outputs;

/* The networks of a model, in the order of their parameters: "inner.H_level" updates answers and has H_layers
 * blocks, "inner.L_level" updates latents and has L_layers. One that ignores H_layers has an H_level only
 * with separate_networks, with L_layers blocks. */
typedef enum reel_level { REEL_H_LEVEL, REEL_L_LEVEL, REEL_LEVELS } reel_level;

/* Sizes that mean something to an architecture; the others it ignores, as published. */
enum {
    REEL_USES_CYCLES = 1, /* H_cycles and L_cycles */
    REEL_USES_H_LAYERS = 2,
    REEL_USES_L_LAYERS = 4,
};

/* When a row may halt by itself in training. */
typedef enum reel_halting {
    REEL_HALTS_BY_CONFIG,        /* no_ACT_continue: 0 < q_halt, else q_continue < q_halt */
    REEL_HALTS_AGAINST_CONTINUE, /* q_continue < q_halt, whether or not q_continue is trained */
} reel_halting;

/* What an architecture brings. */
typedef struct reel_architecture {
    const char *name;
    int latents;
    const char *latent_names[REEL_MAX_LATENTS]; /* as in checkpoints: "inner.H_init" */
    unsigned uses;
    reel_halting halting;
    /* What else of a configuration it cannot take, as text that names the keys, or NULL. The hook is NULL
     * where it takes all. */
    const char *(*fault)(const reel_model_config *config);
    /* The recursion of one supervision step on the embedded input x (B, T, D). */
    reel_latents (*forward)(reel_context *ctx, const reel_model *model, reel_tensor *x, reel_latents latents);
} reel_architecture;

/* Declares what each architecture of the table brings, under its name behind reel_. */
#define REEL_DECLARE_ARCHITECTURE(ID, name, ...) REEL_API extern const reel_architecture reel_##name;
REEL_ARCHITECTURES(REEL_DECLARE_ARCHITECTURE)
#undef REEL_DECLARE_ARCHITECTURE

/* Builds the model that config names: parameters drawn from the context's seed, puzzle embeddings zero. NULL
 * with the context's error set when the configuration makes no model (ARGUMENT) or memory is short (MEMORY).
 * Freed by reel_model_free, before its context. */
REEL_API reel_model *reel_model_new(reel_context *ctx, const reel_model_config *config);
/* Frees a model with its parameters. NULL is accepted. */
REEL_API void reel_model_free(reel_model *model);

/* What the model was made from; lives as long as the model, like all that the functions below return. */
REEL_API const reel_model_config *reel_model_config_of(const reel_model *model);
/* The parameters, in the order and under the names of the published code, for an optimizer and checkpoints.
 */
REEL_API reel_parameters *reel_model_parameters(reel_model *model);
REEL_API int64_t reel_model_puzzle_tokens(const reel_model *model); /* P */
REEL_API int64_t reel_model_tokens(const reel_model *model);        /* T */
/* A network of the model; of a model that has but one, that one. */
REEL_API const reel_network *reel_model_network(const reel_model *model, reel_level level);
/* Whether a row halts in training by q_halt against q_continue and not against 0. */
REEL_API bool reel_model_halts_against_continue(const reel_model *model);
REEL_API int reel_model_latent_count(const reel_model *model); /* of the z of reel_latents, those in use */
/* The initial latent state i, 0 <= i < count, (D), in the forward dtype; trained by nobody. */
REEL_API reel_tensor *reel_model_latent_init(const reel_model *model, int i);
/* The puzzle embeddings (num_puzzle_identifiers, puzzle_emb_ndim), or NULL where the model has none. They are
 * no parameter: reel_sign_sgd_rows trains the rows that a batch touched. */
REEL_API reel_tensor *reel_model_puzzle_embeddings(const reel_model *model);

/* Everything a checkpoint holds of the model beside its parameters: the initial latents and the puzzle
 * embeddings, under the published names. Returns how many; at most REEL_MAX_LATENTS + 1. */
REEL_API int reel_model_buffers(const reel_model *model, reel_named_tensor *buffers);

/* One supervision step: embeds inputs (B, S) i32 and puzzle rows (B, puzzle_emb_ndim), NULL where the model
 * has none, recurses from the latents given and decodes. Gradients reach the parameters, the puzzle rows and,
 * where the architecture lets them pass, the latents. Errors are those of its ops: ARGUMENT for a token out
 * of range. */
REEL_API reel_outputs reel_model_forward(reel_context *ctx, const reel_model *model, reel_tensor *inputs,
                                         reel_tensor *puzzle_rows, reel_latents latents);

/* What the output head reads in a latent state (B, T, D): logits (B, S, V), a tape tensor. The model's answer
 * is that of the first; of the others it shows what they think about. */
REEL_API reel_tensor *reel_model_decode(reel_context *ctx, const reel_model *model, reel_tensor *latent);

#ifdef __cplusplus
}
#endif
#endif
