/* The model that a configuration describes. */
#include "config.h"

#define ARCHITECTURE(ID, name, ...) [CONFIG_MODEL_##ID] = #name,

reel_model_config train_config_model(const train_config *config) {
    static const char *const architectures[] = {REEL_ARCHITECTURES(ARCHITECTURE)};
    static const reel_pos_encodings positions[] = {
        [CONFIG_POSITIONS_NONE] = REEL_POS_NONE,
        [CONFIG_POSITIONS_ROPE] = REEL_POS_ROPE,
        [CONFIG_POSITIONS_LEARNED] = REEL_POS_LEARNED,
    };
    static const reel_loss_type losses[] = {
        [CONFIG_LOSS_STABLEMAX] = REEL_LOSS_STABLEMAX,
        [CONFIG_LOSS_SOFTMAX] = REEL_LOSS_SOFTMAX,
    };
    static const reel_dtype dtypes[] = {
        [CONFIG_DTYPE_BFLOAT16] = REEL_BF16,
        [CONFIG_DTYPE_FLOAT32] = REEL_F32,
        [CONFIG_DTYPE_FLOAT64] = REEL_F64,
    };
    return (reel_model_config){
        .arch = architectures[config->arch.name],
        .hidden_size = config->arch.hidden_size,
        .num_heads = config->arch.num_heads,
        .expansion = config->arch.expansion,
        .H_cycles = config->arch.H_cycles,
        .L_cycles = config->arch.L_cycles,
        .H_layers = config->arch.H_layers,
        .L_layers = config->arch.L_layers,
        .puzzle_emb_ndim = config->arch.puzzle_emb_ndim,
        .puzzle_emb_len = config->arch.puzzle_emb_len,
        .mlp_t = config->arch.mlp_t,
        .pos_encodings = positions[config->arch.pos_encodings],
        .rope_theta = config->arch.rope_theta,
        .rms_norm_eps = config->arch.rms_norm_eps,
        .round_width = config->arch.round_width,
        .halt_max_steps = config->arch.halt_max_steps,
        .halt_exploration_prob = config->arch.halt_exploration_prob,
        .act_enabled = config->arch.act_enabled,
        .no_ACT_continue = config->arch.no_ACT_continue,
        .one_step_gradient = config->arch.one_step_gradient,
        .separate_networks = config->arch.separate_networks,
        .loss_type = losses[config->arch.loss.loss_type],
        .forward_dtype = dtypes[config->arch.forward_dtype],
    };
}
