/* What all recursive models share: embedding the puzzle, initial latents, the two heads, the table of
 * architectures. */
#include <reel/autograd.h>
#include <reel/model.h>
#include <reel/nn.h>
#include <reel/ops.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The columns of REEL_ARCHITECTURES from the first default on. */
typedef struct own_defaults {
    int64_t H_cycles, L_cycles, H_layers, L_layers, num_heads, puzzle_emb_len;
    bool no_ACT_continue, one_step_gradient, separate_networks;
} own_defaults;

#define ARCHITECTURE(ID, name, ...)        &reel_##name,
#define DEFAULTS(ID, name, published, ...) {__VA_ARGS__},
static const reel_architecture *const architectures[] = {REEL_ARCHITECTURES(ARCHITECTURE)};
static const own_defaults defaults[] = {REEL_ARCHITECTURES(DEFAULTS)};
enum { ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

/* Parameters take the draws 0, 1, 2 ... of REEL_STREAM_INIT, the initial latents those from here on. */
enum { FIRST_LATENT_DRAW = 1 << 20 };

struct reel_model {
    reel_context *ctx;
    reel_model_config config;
    const reel_architecture *architecture;
    int64_t puzzle_tokens;
    reel_parameters *parameters;
    reel_tensor *embed_tokens; /* (V, D) */
    reel_tensor *embed_pos;    /* (T, D), for learned positions */
    reel_linear_layer lm_head; /* (V, D) */
    reel_linear_layer q_head;  /* (2, D) */
    reel_network networks[REEL_LEVELS];
    reel_rotary_table rotary; /* empty unless positions are rotary and tokens are mixed by attention */
    reel_tensor *latent_init[REEL_MAX_LATENTS];
    reel_tensor *puzzle_emb;
};

/* ---- configuration ------------------------------------------------------------------------------------- */

/* Its place in the table, ARCHITECTURES when it has none. */
static int index_of(const char *name) {
    int i = 0;
    while (i < ARCHITECTURES && !(name && strcmp(architectures[i]->name, name) == 0))
        i++;
    return i;
}

reel_model_config reel_model_config_default(const char *arch) {
    const int index = index_of(arch);
    const own_defaults *own = &defaults[index < ARCHITECTURES ? index : 0];
    return (reel_model_config){
        .arch = arch,
        .num_puzzle_identifiers = 1,
        .hidden_size = 512,
        .num_heads = own->num_heads,
        .expansion = 4,
        .H_cycles = own->H_cycles,
        .L_cycles = own->L_cycles,
        .H_layers = own->H_layers,
        .L_layers = own->L_layers,
        .puzzle_emb_ndim = 512,
        .puzzle_emb_len = own->puzzle_emb_len,
        .pos_encodings = REEL_POS_ROPE,
        .rope_theta = 10000,
        .rms_norm_eps = 1e-5,
        .round_width = 256,
        .halt_max_steps = 16,
        .halt_exploration_prob = 0.1,
        .act_enabled = true,
        .no_ACT_continue = own->no_ACT_continue,
        .one_step_gradient = own->one_step_gradient,
        .separate_networks = own->separate_networks,
        .loss_type = REEL_LOSS_STABLEMAX,
        .forward_dtype = REEL_BF16,
    };
}

/* What the sizes that an architecture uses break. */
static const char *own_fault(const reel_model_config *c, const reel_architecture *architecture) {
    const int64_t most_cycles = 1 << 24, most_layers = 1024;
    const unsigned uses = architecture->uses;
    if (uses & REEL_USES_CYCLES &&
        (c->H_cycles < 1 || c->H_cycles > most_cycles || c->L_cycles < 1 || c->L_cycles > most_cycles))
        return "H_cycles and L_cycles must be at least 1 and at most 2^24";
    if (uses & REEL_USES_H_LAYERS && (c->H_layers < 1 || c->H_layers > most_layers))
        return "H_layers must be at least 1 and at most 1024";
    if (uses & REEL_USES_L_LAYERS && (c->L_layers < 1 || c->L_layers > most_layers))
        return "L_layers must be at least 1 and at most 1024";
    return architecture->fault ? architecture->fault(c) : NULL;
}

const char *reel_model_config_fault(const reel_model_config *c) {
    const int64_t limit = 1 << 24; /* keeps every product of two sizes far from overflow */
    const int64_t sizes[] = {c->seq_len,   c->vocab_size,  c->num_puzzle_identifiers, c->hidden_size,
                             c->num_heads, c->round_width, c->halt_max_steps};
    const int index = index_of(c->arch);
    if (index == ARCHITECTURES)
        return "arch is none that this build knows";
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i] < 1 || sizes[i] > limit)
            return "seq_len, vocab_size, num_puzzle_identifiers, hidden_size, num_heads, round_width and "
                   "halt_max_steps must be at least 1 and at most 2^24";
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
    return own_fault(c, architectures[index]);
}

int64_t reel_model_config_puzzle_tokens(const reel_model_config *c) {
    if (c->puzzle_emb_ndim == 0)
        return 0;
    return c->puzzle_emb_len ? c->puzzle_emb_len
                             : reel_round_up(c->puzzle_emb_ndim, c->hidden_size) / c->hidden_size;
}

/* ---- making one ---------------------------------------------------------------------------------------- */

static int64_t blocks_of(const reel_model *m, reel_level level) {
    const reel_model_config *c = &m->config;
    const unsigned uses = m->architecture->uses;
    if (level == REEL_L_LEVEL)
        return uses & REEL_USES_L_LAYERS ? c->L_layers : 0;
    if (uses & REEL_USES_H_LAYERS)
        return c->H_layers;
    return c->separate_networks ? c->L_layers : 0;
}

static bool is_rotary(const reel_model_config *c) {
    return c->pos_encodings == REEL_POS_ROPE && !c->mlp_t;
}

static void declare_networks(reel_model *m) {
    static const char *const names[REEL_LEVELS] = {"inner.H_level", "inner.L_level"};
    const reel_model_config *c = &m->config;
    const reel_block_config block = {
        .tokens = reel_model_tokens(m),
        .hidden_size = c->hidden_size,
        .num_heads = c->num_heads,
        .round_width = c->round_width,
        .expansion = c->expansion,
        .norm_eps = c->rms_norm_eps,
        .mlp_t = c->mlp_t,
    };
    for (int level = 0; level < REEL_LEVELS; level++) {
        const int64_t blocks = blocks_of(m, level);
        if (blocks == 0)
            continue;
        reel_network_declare(m->ctx, m->parameters, &m->networks[level], names[level], blocks, &block);
        m->networks[level].rotary = is_rotary(c) ? &m->rotary : NULL;
    }
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
    reel_linear_declare_bias(p, &m->q_head, "inner.q_head", 2, -5);
    if (c->pos_encodings == REEL_POS_LEARNED)
        reel_parameter(p, &m->embed_pos, "inner.embed_pos.embedding_weight", REEL_SHAPE(T, D),
                       reel_init_truncated_normal(embed_std));
    declare_networks(m);
}

static void make_buffers(reel_model *m) {
    const reel_model_config *c = &m->config;
    if (is_rotary(c))
        reel_rotary_table_new(m->ctx, &m->rotary, reel_model_tokens(m), c->hidden_size / c->num_heads,
                              c->rope_theta, c->forward_dtype);
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

/* The model with its parameters declared and no memory taken for them; NULL with the context's error set. */
static reel_model *declare(reel_context *ctx, const reel_model_config *config) {
    const char *const fault = reel_model_config_fault(config);
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
    m->architecture = architectures[index_of(config->arch)];
    m->config.arch = m->architecture->name;
    m->puzzle_tokens = reel_model_config_puzzle_tokens(config);
    m->parameters = reel_parameters_new(ctx, config->forward_dtype == REEL_F64 ? REEL_F64 : REEL_F32);
    if (m->parameters)
        declare_parameters(m);
    if (reel_context_status(ctx) == REEL_OK)
        return m;
    reel_model_free(m);
    return NULL;
}

int64_t reel_model_config_elements(reel_context *ctx, const reel_model_config *config) {
    reel_model *const m = declare(ctx, config);
    const int64_t elements = m ? reel_parameters_elements(m->parameters) : -1;
    reel_model_free(m);
    return elements;
}

reel_model *reel_model_new(reel_context *ctx, const reel_model_config *config) {
    reel_model *const m = declare(ctx, config);
    if (!m)
        return NULL;
    reel_parameters_build(m->parameters);
    make_buffers(m);
    if (reel_context_status(ctx) == REEL_OK)
        return m;
    reel_model_free(m);
    return NULL;
}

void reel_model_free(reel_model *m) {
    if (!m)
        return;
    reel_parameters_free(m->parameters);
    for (int level = 0; level < REEL_LEVELS; level++)
        reel_network_free(&m->networks[level]);
    reel_rotary_table_free(m->ctx, &m->rotary);
    for (int i = 0; i < m->architecture->latents; i++)
        reel_tensor_free(m->ctx, m->latent_init[i]);
    reel_tensor_free(m->ctx, m->puzzle_emb);
    free(m);
}

/* ---- reading one --------------------------------------------------------------------------------------- */

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

const reel_network *reel_model_network(const reel_model *m, reel_level level) {
    const reel_network *own = &m->networks[level];
    return own->count ? own : &m->networks[level == REEL_H_LEVEL ? REEL_L_LEVEL : REEL_H_LEVEL];
}

bool reel_model_halts_against_continue(const reel_model *m) {
    return !m->config.no_ACT_continue || m->architecture->halting == REEL_HALTS_AGAINST_CONTINUE;
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

/* ---- one supervision step ------------------------------------------------------------------------------ */

/* x = sqrt(D) (puzzle tokens then embedded tokens), with learned positions added where there are any */
static reel_tensor *embed(reel_context *ctx, const reel_model *m, reel_tensor *inputs,
                          reel_tensor *puzzle_rows) {
    const reel_model_config *c = &m->config;
    const int64_t B = inputs->shape[0], P = m->puzzle_tokens, D = c->hidden_size;
    const double keep_variance = 0.707106781; /* 1 / sqrt(2), in the digits of the published code */
    const reel_scope scope = reel_scope_begin(ctx, 0);
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
    x = reel_scale(ctx, x, sqrt((double)D));
    reel_scope_end(ctx, scope, &x, 1);
    return x;
}

reel_tensor *reel_model_decode(reel_context *ctx, const reel_model *m, reel_tensor *latent) {
    reel_tensor *tokens = reel_narrow(ctx, latent, 1, m->puzzle_tokens, m->config.seq_len);
    return reel_linear_apply(ctx, &m->lm_head, tokens);
}

/* logits from every puzzle token of the answer, the two Q values from its first token */
static reel_outputs decode(reel_context *ctx, const reel_model *m, reel_latents latents) {
    const int64_t D = m->config.hidden_size;
    reel_tensor *answer = latents.z[0]; /* (B, T, D) */
    const int64_t B = answer->shape[0];
    reel_tensor *first = reel_reshape(ctx, reel_narrow(ctx, answer, 1, 0, 1), REEL_SHAPE(B, D));
    reel_tensor *q = reel_linear_apply(ctx, &m->q_head, first); /* (B, 2) */
    q = reel_cast(ctx, q, m->config.forward_dtype == REEL_F64 ? REEL_F64 : REEL_F32);
    return (reel_outputs){
        .latents = latents,
        .logits = reel_model_decode(ctx, m, answer),
        .q_halt = reel_reshape(ctx, reel_narrow(ctx, q, 1, 0, 1), REEL_SHAPE(B)),
        .q_continue = reel_reshape(ctx, reel_narrow(ctx, q, 1, 1, 1), REEL_SHAPE(B)),
    };
}

reel_outputs reel_model_forward(reel_context *ctx, const reel_model *m, reel_tensor *inputs,
                                reel_tensor *puzzle_rows, reel_latents latents) {
    reel_tensor *x = embed(ctx, m, inputs, puzzle_rows);
    return decode(ctx, m, m->architecture->forward(ctx, m, x, latents));
}
