/* What all recursive models share: embedding the puzzle, initial latents, the two heads, the table of
 * architectures. */
#include <reel/autograd.h>
#include <reel/model.h>
#include <reel/nn.h>
#include <reel/ops.h>
#include <reel/trm.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A new architecture is a file and a line here. */
static const reel_architecture *const architectures[] = {&reel_trm};

/* Parameters take the draws 0, 1, 2 ... of REEL_STREAM_INIT, the initial latents those from here on. */
enum { FIRST_LATENT_DRAW = 1 << 20 };

struct reel_model {
    reel_context *ctx;
    reel_model_config config;
    const reel_architecture *architecture;
    void *state; /* the architecture's */
    int64_t puzzle_tokens;
    reel_parameters *parameters;
    reel_tensor *embed_tokens; /* (V, D) */
    reel_tensor *embed_pos;    /* (T, D), for learned positions */
    reel_linear_layer lm_head; /* (V, D) */
    reel_linear_layer q_head;  /* (2, D) */
    reel_tensor *latent_init[REEL_MAX_LATENTS];
    reel_tensor *puzzle_emb;
};

reel_model_config reel_model_config_default(void) {
    return (reel_model_config){
        .arch = "trm",
        .num_puzzle_identifiers = 1,
        .hidden_size = 512,
        .num_heads = 8,
        .expansion = 4,
        .H_cycles = 3,
        .L_cycles = 6,
        .L_layers = 2,
        .puzzle_emb_ndim = 512,
        .puzzle_emb_len = 16,
        .pos_encodings = REEL_POS_ROPE,
        .rope_theta = 10000,
        .rms_norm_eps = 1e-5,
        .round_width = 256,
        .halt_max_steps = 16,
        .halt_exploration_prob = 0.1,
        .no_ACT_continue = true,
        .loss_type = REEL_LOSS_STABLEMAX,
        .forward_dtype = REEL_BF16,
    };
}

/* ---- making one
 * ---------------------------------------------------------------------------------------------- */

static const reel_architecture *architecture_named(const char *name) {
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++)
        if (name && strcmp(architectures[i]->name, name) == 0)
            return architectures[i];
    return NULL;
}

/* NULL when the configuration makes a model, else what it breaks. */
static const char *config_fault(const reel_model_config *c) {
    const int64_t limit = 1 << 24; /* keeps every product of two sizes far from overflow */
    const int64_t sizes[] = {c->seq_len,       c->vocab_size, c->num_puzzle_identifiers,
                             c->hidden_size,   c->num_heads,  c->H_cycles,
                             c->L_cycles,      c->L_layers,   c->round_width,
                             c->halt_max_steps};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i] < 1 || sizes[i] > limit)
            return "seq_len, vocab_size, num_puzzle_identifiers, hidden_size, num_heads, H_cycles, L_cycles, "
                   "L_layers, round_width and halt_max_steps must be at least 1 and at most 2^24";
    if (!(c->expansion > 0) || !(c->expansion <= 1024))
        return "expansion must be above 0 and at most 1024";
    if (c->puzzle_emb_ndim < 0 || c->puzzle_emb_ndim > limit || c->puzzle_emb_len < 0 ||
        c->puzzle_emb_len > limit)
        return "puzzle_emb_ndim and puzzle_emb_len must be at least 0 and at most 2^24";
    if (c->puzzle_emb_len > 0 && c->puzzle_emb_ndim > c->puzzle_emb_len * c->hidden_size)
        return "puzzle_emb_ndim must fit into puzzle_emb_len * hidden_size";
    if (c->num_heads > c->hidden_size)
        return "num_heads must not exceed hidden_size";
    if (c->pos_encodings == REEL_POS_ROPE && !c->mlp_t && c->hidden_size / c->num_heads % 2 != 0)
        return "rotary positions need an even head size, hidden_size / num_heads is odd";
    if (!(c->halt_exploration_prob >= 0 && c->halt_exploration_prob <= 1))
        return "halt_exploration_prob must be in 0 .. 1";
    if (c->forward_dtype != REEL_F64 && c->forward_dtype != REEL_F32 && c->forward_dtype != REEL_BF16)
        return "forward_dtype must be float64, float32 or bfloat16";
    return NULL;
}

static int64_t count_puzzle_tokens(const reel_model_config *c) {
    if (c->puzzle_emb_ndim == 0)
        return 0;
    return c->puzzle_emb_len ? c->puzzle_emb_len
                             : reel_round_up(c->puzzle_emb_ndim, c->hidden_size) / c->hidden_size;
}

/* In the order of the published model, so that a list of parameters reads the same. */
static void declare_parameters(reel_model *m) {
    const reel_model_config *c = &m->config;
    const double embed_std = 1 / sqrt((double)c->hidden_size);
    const int64_t V = c->vocab_size, D = c->hidden_size, T = reel_model_tokens(m);
    reel_parameters *p = m->parameters;
    reel_parameter(p, &m->embed_tokens, "inner.embed_tokens.embedding_weight", REEL_SHAPE(V, D),
                   reel_init_truncated_normal(embed_std));
    reel_linear_declare(p, &m->lm_head, "inner.lm_head", D, V);
    /* almost never halt at first: learning is faster so */
    reel_parameter(p, &m->q_head.weight, "inner.q_head.weight", REEL_SHAPE(2, D), reel_init_zeros());
    reel_parameter(p, &m->q_head.bias, "inner.q_head.bias", REEL_SHAPE(2), reel_init_constant(-5));
    if (c->pos_encodings == REEL_POS_LEARNED)
        reel_parameter(p, &m->embed_pos, "inner.embed_pos.embedding_weight", REEL_SHAPE(T, D),
                       reel_init_truncated_normal(embed_std));
    m->state = m->architecture->build(m->ctx, m, p);
}

static void make_buffers(reel_model *m) {
    const reel_model_config *c = &m->config;
    for (int i = 0; i < m->architecture->latents; i++) {
        m->latent_init[i] = reel_tensor_new(m->ctx, c->forward_dtype, REEL_SHAPE(c->hidden_size));
        reel_fill_truncated_normal(
            m->ctx, m->latent_init[i], 1,
            (reel_draw){.stream = REEL_STREAM_INIT, .index = FIRST_LATENT_DRAW + (uint64_t)i});
    }
    if (c->puzzle_emb_ndim > 0)
        m->puzzle_emb = reel_tensor_new(m->ctx, c->forward_dtype == REEL_F64 ? REEL_F64 : REEL_F32,
                                        REEL_SHAPE(c->num_puzzle_identifiers, c->puzzle_emb_ndim));
}

reel_model *reel_model_new(reel_context *ctx, const reel_model_config *config) {
    const reel_architecture *architecture = architecture_named(config->arch);
    const char *fault = architecture ? config_fault(config) : "arch is none that this build knows";
    if (fault) {
        reel_context_fail(ctx, REEL_ERROR_ARGUMENT, "model %s: %s", config->arch ? config->arch : "(none)",
                          fault);
        return NULL;
    }
    reel_model *m = calloc(1, sizeof *m);
    if (!m) {
        reel_context_fail(ctx, REEL_ERROR_MEMORY, "model: no memory");
        return NULL;
    }
    m->ctx = ctx;
    m->config = *config;
    m->config.arch = architecture->name;
    m->architecture = architecture;
    m->puzzle_tokens = count_puzzle_tokens(config);
    m->parameters = reel_parameters_new(ctx, config->forward_dtype == REEL_F64 ? REEL_F64 : REEL_F32);
    if (m->parameters) {
        declare_parameters(m);
        reel_parameters_build(m->parameters);
        make_buffers(m);
    }
    if (!m->state)
        reel_context_fail(ctx, REEL_ERROR_MEMORY, "model: no memory");
    if (reel_context_status(ctx) == REEL_OK)
        return m;
    reel_model_free(m);
    return NULL;
}

void reel_model_free(reel_model *m) {
    if (!m)
        return;
    if (m->state)
        m->architecture->free(m->ctx, m->state);
    reel_parameters_free(m->parameters);
    for (int i = 0; i < m->architecture->latents; i++)
        reel_tensor_free(m->ctx, m->latent_init[i]);
    reel_tensor_free(m->ctx, m->puzzle_emb);
    free(m);
}

/* ---- reading one
 * ---------------------------------------------------------------------------------------------- */

const reel_model_config *reel_model_config_of(const reel_model *m) {
    return &m->config;
}

reel_parameters *reel_model_parameters(reel_model *m) {
    return m->parameters;
}

int64_t reel_model_puzzle_tokens(const reel_model *m) {
    return m->puzzle_tokens;
}

int64_t reel_model_tokens(const reel_model *m) {
    return m->puzzle_tokens + m->config.seq_len;
}

int reel_model_latent_count(const reel_model *m) {
    return m->architecture->latents;
}

reel_tensor *reel_model_latent_init(const reel_model *m, int i) {
    return m->latent_init[i];
}

reel_tensor *reel_model_puzzle_embeddings(const reel_model *m) {
    return m->puzzle_emb;
}

int reel_model_buffers(const reel_model *m, reel_named_tensor *buffers) {
    int n = 0;
    for (int i = 0; i < m->architecture->latents; i++)
        buffers[n++] = (reel_named_tensor){m->architecture->latent_names[i], m->latent_init[i]};
    if (m->puzzle_emb)
        buffers[n++] = (reel_named_tensor){"inner.puzzle_emb.weights", m->puzzle_emb};
    return n;
}

/* ---- one supervision step
 * --------------------------------------------------------------------------------------- */

/* x = sqrt(D) (puzzle tokens then embedded tokens), with learned positions added where there are any */
static reel_tensor *embed(reel_context *ctx, const reel_model *m, reel_tensor *inputs,
                          reel_tensor *puzzle_rows) {
    const reel_model_config *c = &m->config;
    const int64_t B = inputs->shape[0], P = m->puzzle_tokens, D = c->hidden_size;
    const double keep_variance = 0.707106781; /* 1 / sqrt(2), in the digits of the published code */
    reel_tensor *table = reel_cast(ctx, m->embed_tokens, c->forward_dtype);
    reel_tensor *x = reel_embedding(ctx, table, inputs, 1); /* (B, S, D) */
    if (P > 0) {
        reel_tensor *rows = reel_cast(ctx, puzzle_rows, c->forward_dtype); /* (B, puzzle_emb_ndim) */
        rows = reel_pad(ctx, rows, 1, 0, P * D - c->puzzle_emb_ndim, 0);
        rows = reel_reshape(ctx, rows, REEL_SHAPE(B, P, D));
        x = reel_concat(ctx, (reel_tensor *[]){rows, x}, 2, 1); /* (B, T, D) */
    }
    if (m->embed_pos) {
        reel_tensor *positions = reel_cast(ctx, m->embed_pos, c->forward_dtype);
        x = reel_scale(ctx, reel_add(ctx, x, positions), keep_variance);
    }
    return reel_scale(ctx, x, sqrt((double)D));
}

/* logits from every puzzle token of the answer, the two Q values from its first token */
static reel_outputs decode(reel_context *ctx, const reel_model *m, reel_latents latents) {
    const int64_t S = m->config.seq_len, D = m->config.hidden_size;
    reel_tensor *answer = latents.z[0]; /* (B, T, D) */
    const int64_t B = answer->shape[0];
    reel_tensor *tokens = reel_narrow(ctx, answer, 1, m->puzzle_tokens, S);
    reel_tensor *first = reel_reshape(ctx, reel_narrow(ctx, answer, 1, 0, 1), REEL_SHAPE(B, D));
    reel_tensor *q = reel_linear_apply(ctx, &m->q_head, first); /* (B, 2) */
    q = reel_cast(ctx, q, m->config.forward_dtype == REEL_F64 ? REEL_F64 : REEL_F32);
    return (reel_outputs){
        .latents = latents,
        .logits = reel_linear_apply(ctx, &m->lm_head, tokens),
        .q_halt = reel_reshape(ctx, reel_narrow(ctx, q, 1, 0, 1), REEL_SHAPE(B)),
        .q_continue = reel_reshape(ctx, reel_narrow(ctx, q, 1, 1, 1), REEL_SHAPE(B)),
    };
}

reel_outputs reel_model_forward(reel_context *ctx, const reel_model *m, reel_tensor *inputs,
                                reel_tensor *puzzle_rows, reel_latents latents) {
    reel_tensor *x = embed(ctx, m, inputs, puzzle_rows);
    return decode(ctx, m, m->architecture->forward(ctx, m, m->state, x, latents));
}
