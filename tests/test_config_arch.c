/* The architecture's side of the configuration: how one is chosen, which defaults it brings, what it refuses.
 */
#include "config_case.h"

#include <stdlib.h>
#include <string.h>

/* ---- defaults ---------------------------------------------------------------------------------------- */

#define MODEL_NAME(ID, name, ...) #name,
static const char *const names[] = {REEL_ARCHITECTURES(MODEL_NAME)};
enum { MODELS = sizeof names / sizeof names[0] };

/* What config/arch/NAME.yaml says, where it has the key. */
START_TEST(test_config_arch_brings_the_published_defaults) {
    expect_ok(PARSE("", "arch=hrm", NULL));
    ck_assert_int_eq(config.arch.name, CONFIG_MODEL_HRM);
    ck_assert_int_eq(config.arch.H_cycles, 2);
    ck_assert_int_eq(config.arch.L_cycles, 2);
    ck_assert_int_eq(config.arch.H_layers, 4);
    ck_assert_int_eq(config.arch.L_layers, 4);
    ck_assert_int_eq(config.arch.num_heads, 8);
    ck_assert_int_eq(config.arch.puzzle_emb_ndim, 512);
    ck_assert_int_eq(config.arch.puzzle_emb_len, 0);
    ck_assert(!config.arch.no_ACT_continue);
    ck_assert(config.arch.one_step_gradient && config.arch.separate_networks);

    expect_ok(PARSE("", "arch=transformers_baseline", NULL));
    ck_assert_int_eq(config.arch.name, CONFIG_MODEL_BASELINE);
    ck_assert_int_eq(config.arch.H_cycles, 1);
    ck_assert_int_eq(config.arch.H_layers, 8);
    ck_assert_int_eq(config.arch.num_heads, 12);
    ck_assert_int_eq(config.arch.puzzle_emb_len, 0);

    static const char *const kin[] = {"arch=trm", "arch=trm_singlez", "arch=trm_hier6"};
    for (int i = 0; i < 3; i++) {
        expect_ok(PARSE("", kin[i], NULL));
        ck_assert_int_eq(config.arch.name, i);
        ck_assert_int_eq(config.arch.H_cycles, 3);
        ck_assert_int_eq(config.arch.L_cycles, 6);
        ck_assert_int_eq(config.arch.H_layers, 0);
        ck_assert_int_eq(config.arch.L_layers, 2);
        ck_assert_int_eq(config.arch.num_heads, 8);
        ck_assert_int_eq(config.arch.puzzle_emb_len, 16);
        ck_assert(config.arch.no_ACT_continue);
        ck_assert(!config.arch.one_step_gradient && !config.arch.separate_networks);
    }
}
END_TEST

/* A program that links the library gets what a configuration gets. */
START_TEST(test_config_arch_agrees_with_the_library) {
    for (int i = 0; i < MODELS; i++) {
        char argument[64] = "arch=";
        expect_ok(PARSE("", strcat(argument, names[i]), NULL));
        const reel_model_config a = train_config_model(&config), b = reel_model_config_default(names[i]);
        ck_assert_str_eq(a.arch, b.arch);
        ck_assert_int_eq(a.hidden_size, b.hidden_size);
        ck_assert_int_eq(a.num_heads, b.num_heads);
        ck_assert_double_eq(a.expansion, b.expansion);
        ck_assert_int_eq(a.H_cycles, b.H_cycles);
        ck_assert_int_eq(a.L_cycles, b.L_cycles);
        ck_assert_int_eq(a.H_layers, b.H_layers);
        ck_assert_int_eq(a.L_layers, b.L_layers);
        ck_assert_int_eq(a.puzzle_emb_ndim, b.puzzle_emb_ndim);
        ck_assert_int_eq(a.puzzle_emb_len, b.puzzle_emb_len);
        ck_assert_int_eq(a.mlp_t, b.mlp_t);
        ck_assert_int_eq(a.pos_encodings, b.pos_encodings);
        ck_assert_double_eq(a.rope_theta, b.rope_theta);
        ck_assert_double_eq(a.rms_norm_eps, b.rms_norm_eps);
        ck_assert_int_eq(a.round_width, b.round_width);
        ck_assert_int_eq(a.halt_max_steps, b.halt_max_steps);
        ck_assert_double_eq(a.halt_exploration_prob, b.halt_exploration_prob);
        ck_assert_int_eq(a.act_enabled, b.act_enabled);
        ck_assert_int_eq(a.no_ACT_continue, b.no_ACT_continue);
        ck_assert_int_eq(a.one_step_gradient, b.one_step_gradient);
        ck_assert_int_eq(a.separate_networks, b.separate_networks);
        ck_assert_int_eq(a.loss_type, b.loss_type);
        ck_assert_int_eq(a.forward_dtype, b.forward_dtype);
    }
}
END_TEST

/* ---- choosing ---------------------------------------------------------------------------------------- */

START_TEST(test_config_arch_is_chosen_by_every_published_spelling) {
    const struct {
        const char *text, *argument;
    } spellings[] = {
        {"", "arch=hrm"},
        {"", "arch=hrm_v1"},
        {"", "arch.name=hrm"},
        {"", "arch.name=recursive_reasoning.hrm@HierarchicalReasoningModel_ACTV1"},
        {"", "arch.name=hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1"},
        {"arch: hrm\n", NULL},
        {"arch:\n  name: hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1\n", NULL},
        {"defaults:\n  - arch: hrm_v1\n  - _self_\n", NULL},
        {"defaults:\n  - arch: trm\n  - _self_\n", "arch=hrm"},
        {"defaults: [arch: trm, _self_]\narch: {name: hrm}\n", NULL}, /* the file over its defaults */
        {"arch: {name: hrm}\ndefaults: [arch: trm, _self_]\n", NULL}, /* in any order */
        {"arch: {name: trm}\n", "arch=hrm"},
    };
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        expect_ok(PARSE(spellings[i].text, spellings[i].argument, NULL));
        ck_assert_int_eq(config.arch.name, CONFIG_MODEL_HRM);
        ck_assert_int_eq(config.arch.H_layers, 4);
        ck_assert(!config.arch.no_ACT_continue);
    }
}
END_TEST

START_TEST(test_config_arch_defaults_give_way_to_every_value_given) {
    expect_ok(PARSE("defaults: [arch: hrm, _self_]\narch: {L_cycles: 3}\n", "arch.H_cycles=1",
                    "arch.no_ACT_continue=True"));
    ck_assert_int_eq(config.arch.H_cycles, 1);
    ck_assert_int_eq(config.arch.L_cycles, 3);
    ck_assert_int_eq(config.arch.H_layers, 4);
    ck_assert(config.arch.no_ACT_continue);
    expect_ok(PARSE("arch: {L_cycles: 3}\n", "arch.L_layers=${.H_layers}", "arch=transformers_baseline"));
    ck_assert_int_eq(config.arch.L_cycles, 3);
    ck_assert_int_eq(config.arch.L_layers, 8);
}
END_TEST

START_TEST(test_config_arch_is_dumped_whole_and_names_the_run) {
    expect_ok(PARSE("", "arch=hrm_v1", NULL));
    ck_assert_int_eq(strncmp(config.run_name, "hrm-att-h512-seed0-", 19), 0);
    char *const yaml = train_config_yaml(&config);
    ck_assert_ptr_nonnull(yaml);
    ck_assert_ptr_nonnull(
        strstr(yaml, "\n  name: \"recursive_reasoning.hrm@HierarchicalReasoningModel_ACTV1\"\n"));
    ck_assert_ptr_nonnull(strstr(yaml, "\n  H_layers: 4\n"));
    char *const run_name = strdup(config.run_name);
    expect_ok(PARSE("", "arch=hrm", NULL));
    ck_assert_str_eq(config.run_name, run_name);
    end();
    begin();
    expect_ok(train_config_parse(&config, "dump", yaml, strlen(yaml), 0, NULL, &error));
    ck_assert_str_eq(config.run_name, run_name);
    free(run_name);
    free(yaml);
}
END_TEST

START_TEST(test_config_help_tells_where_architectures_differ) {
    char *const help = train_config_help();
    ck_assert_ptr_nonnull(help);
    ck_assert_ptr_nonnull(strstr(help, "[trm|trm_singlez|trm_hier6|hrm|transformers_baseline]\n"));
    ck_assert_ptr_nonnull(strstr(help, "(transformers_baseline: 12)\n"));
    free(help);
}
END_TEST

/* ---- what is refused --------------------------------------------------------------------------------- */

START_TEST(test_config_arch_refuses_by_name_what_it_cannot_take) {
    const struct {
        const char *arch, *argument, *message;
    } cases[] = {
        {"arch=trm_hier6", "arch.L_cycles=7",
         "config.yaml: arch trm_hier6: L_cycles must be at most 6, the number of latents"},
        {"arch=trm_singlez", "arch.separate_networks=True",
         "config.yaml: arch trm_singlez: separate_networks needs an answer apart from the latent"},
        {"arch=hrm", "arch.separate_networks=False",
         "config.yaml: arch hrm: separate_networks cannot be off; trm has one network"},
        {"arch=hrm", "arch.H_layers=0",
         "config.yaml: arch hrm: H_layers must be at least 1 and at most 1024"},
        {"arch=transformers_baseline", "arch.mlp_t=True",
         "config.yaml: arch transformers_baseline: mlp_t cannot be on, it mixes tokens by attention"},
        {"arch=transformers_baseline", "arch.one_step_gradient=True",
         "config.yaml: arch transformers_baseline: one_step_gradient and separate_networks are about a "
         "recursion, and it has none"},
        {"arch=transformers_baseline", "arch.pos_encodings=none",
         "config.yaml: arch transformers_baseline: pos_encodings must be rope or learned"},
        {"arch=transformers_baseline", "+arch.act_inference=True",
         "config.yaml: arch transformers_baseline: act_inference cannot be on, evaluation takes "
         "halt_max_steps"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_refused(PARSE("", cases[i].arch, cases[i].argument), cases[i].message);
    expect_ok(PARSE("", "arch=trm_hier6", "arch.L_cycles=5"));
    expect_ok(PARSE("", "arch=trm", "arch.H_layers=7")); /* ignored, as published */
}
END_TEST

int main(void) {
    TCase *const tests = tcase_create("config_arch");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, test_config_arch_brings_the_published_defaults);
    tcase_add_test(tests, test_config_arch_agrees_with_the_library);
    tcase_add_test(tests, test_config_arch_is_chosen_by_every_published_spelling);
    tcase_add_test(tests, test_config_arch_defaults_give_way_to_every_value_given);
    tcase_add_test(tests, test_config_arch_is_dumped_whole_and_names_the_run);
    tcase_add_test(tests, test_config_help_tells_where_architectures_differ);
    tcase_add_test(tests, test_config_arch_refuses_by_name_what_it_cannot_take);
    return run_config_tests("config_arch", tests);
}
