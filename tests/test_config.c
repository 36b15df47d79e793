/* The configuration of trm_train: what is read, what is refused and in which words. */
#include "config_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef REEL_SOURCE_DIR /* set by the build; by hand, tests run in the root of the tree */
#define REEL_SOURCE_DIR "."
#endif

/* A text with an argument (or NULL), and the one line it is refused with. */
typedef struct refusal {
    const char *text, *argument, *message;
} refusal;

static void expect_all_refused(const refusal *cases, size_t count) {
    for (size_t i = 0; i < count; i++)
        expect_refused(PARSE(cases[i].text, cases[i].argument), cases[i].message);
}

#define EXPECT_ALL_REFUSED(cases) expect_all_refused(cases, sizeof(cases) / sizeof((cases)[0]))

/* ---- what is read ------------------------------------------------------------------------------------ */

START_TEST(test_config_has_published_defaults) {
    expect_ok(PARSE_FILE(""));
    ck_assert_uint_eq(config.data_paths.count, 1);
    ck_assert_str_eq(config.data_paths.items[0], "a.csv");
    ck_assert_uint_eq(config.data_paths_test.count, 0);
    ck_assert_uint_eq(config.evaluators.count, 0);
    ck_assert_int_eq(config.global_batch_size, 768);
    ck_assert_int_eq(config.epochs, 100000);
    ck_assert_int_eq(config.eval_interval, 10000);
    ck_assert_int_eq(config.min_eval_interval, 0);
    ck_assert(config.checkpoint_every_eval);
    ck_assert_double_eq(config.lr, 1e-4);
    ck_assert_double_eq(config.lr_min_ratio, 1.0);
    ck_assert_int_eq(config.lr_warmup_steps, 2000);
    ck_assert_double_eq(config.beta1, 0.9);
    ck_assert_double_eq(config.beta2, 0.95);
    ck_assert_double_eq(config.weight_decay, 0.1);
    ck_assert_double_eq(config.puzzle_emb_lr, 1e-2);
    ck_assert_double_eq(config.puzzle_emb_weight_decay, 0.1);
    ck_assert_int_eq(config.seed, 0);
    ck_assert(!config.ema);
    ck_assert_double_eq(config.ema_rate, 0.999);
    ck_assert(!config.freeze_weights);
    ck_assert_ptr_null(config.load_checkpoint);
    ck_assert_int_eq(config.arch.name, CONFIG_MODEL_TRM);
    ck_assert_int_eq(config.arch.loss.name, CONFIG_LOSS_HEAD_ACT);
    ck_assert_int_eq(config.arch.loss.loss_type, CONFIG_LOSS_STABLEMAX);
    ck_assert_double_eq(config.arch.halt_exploration_prob, 0.1);
    ck_assert_int_eq(config.arch.halt_max_steps, 16);
    ck_assert_int_eq(config.arch.H_cycles, 3);
    ck_assert_int_eq(config.arch.L_cycles, 6);
    ck_assert_int_eq(config.arch.H_layers, 0);
    ck_assert_int_eq(config.arch.L_layers, 2);
    ck_assert_int_eq(config.arch.hidden_size, 512);
    ck_assert_int_eq(config.arch.num_heads, 8);
    ck_assert_double_eq(config.arch.expansion, 4.0);
    ck_assert_int_eq(config.arch.puzzle_emb_ndim, 512);
    ck_assert_int_eq(config.arch.pos_encodings, CONFIG_POSITIONS_ROPE);
    ck_assert_int_eq(config.arch.forward_dtype, CONFIG_DTYPE_BFLOAT16);
    ck_assert(!config.arch.mlp_t);
    ck_assert_int_eq(config.arch.puzzle_emb_len, 16);
    ck_assert(config.arch.no_ACT_continue);
    ck_assert_double_eq(config.arch.rms_norm_eps, 1e-5);
    ck_assert_double_eq(config.arch.rope_theta, 10000.0);
    ck_assert_int_eq(config.arch.round_width, 256);
    ck_assert_int_eq(config.optimizer, CONFIG_OPTIMIZER_ADAM_ATAN2);
    ck_assert_double_eq(config.grad_clip, 0.0);
    ck_assert_int_eq(config.device, CONFIG_DEVICE_CPU);
    ck_assert_int_eq(config.threads, 0);
    ck_assert_int_eq(config.max_steps, CONFIG_ALL_STEPS);
    ck_assert_int_eq(config.eval_max_examples, 0);
    ck_assert_int_eq(config.num_aug, -1); /* null */
}
END_TEST

START_TEST(test_config_reads_nested_and_dotted_keys_alike) {
    const char *const forms[] = {
        "arch: {hidden_size: 96, loss: {loss_type: softmax_cross_entropy}}",
        "arch:\n  hidden_size: 96\n  loss:\n    loss_type: softmax_cross_entropy\n",
        "arch.hidden_size: 96\narch.loss.loss_type: softmax_cross_entropy\n",
        "arch:\n  hidden_size: 96\n  loss.loss_type: 'softmax_cross_entropy'\n",
        "arch: {hidden_size: 96}\narch.loss: {loss_type: softmax_cross_entropy}\n",
        "{\"arch\":{\"hidden_size\":96,\"loss\":{\"loss_type\":\"softmax_cross_entropy\"}}}",
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        expect_ok(PARSE_FILE(forms[i]));
        ck_assert_int_eq(config.arch.hidden_size, 96);
        ck_assert_int_eq(config.arch.loss.loss_type, CONFIG_LOSS_SOFTMAX);
    }
}
END_TEST

START_TEST(test_config_reads_the_published_file_and_commands) {
    const char *const published = "# ARC training config\n"
                                  "defaults:\n  - arch: trm\n  - _self_\n"
                                  "hydra:\n  output_subdir: null\n  run: {dir: x}\n"
                                  "data_paths: ['data/arc-aug-1000']\ndata_paths_test: []\n"
                                  "evaluators:\n  - name: arc@ARC\n"
                                  "global_batch_size: 768\nepochs: 100000\neval_interval: 10000\n"
                                  "checkpoint_every_eval: True\nlr: 1e-4\nlr_min_ratio: 1.0\n"
                                  "min_eval_interval: 0 # when to start the eval\nema: False # average\n";
    expect_ok(PARSE(published, "arch=trm", "data_paths=[data/sudoku-extreme-1k-aug-1000]", "evaluators=[]",
                    "epochs=50000", "lr=3e-4", "arch.mlp_t=True", "+run_name=pretrain_mlp_t_sudoku"));
    ck_assert_str_eq(config.data_paths.items[0], "data/sudoku-extreme-1k-aug-1000");
    ck_assert_int_eq(config.epochs, 50000);
    ck_assert_double_eq(config.lr, 3e-4);
    ck_assert(config.arch.mlp_t);
    ck_assert_str_eq(config.run_name, "pretrain_mlp_t_sudoku");
    ck_assert_str_eq(config.project_name, "Sudoku-extreme-1k-aug-1000-ACT-reel");

    expect_ok(PARSE_FILE(published));
    ck_assert_uint_eq(config.evaluators.count, 1);
    expect_ok(PARSE("", "arch.name=recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
                    "arch.loss.name=losses@ACTLossHead", "hydra.run.dir=x"));
}
END_TEST

START_TEST(test_config_reads_evaluators_and_outputs) {
    expect_ok(
        PARSE("data_paths: [d]\nevaluators:\n  - name: arc@ARC\n    submission_K: 3\n    pass_Ks: [1, 7]\n"
              "  - {name: arc@ARC, aggregated_voting: False}\n",
              "eval_save_outputs=[preds, q_halt_logits]"));
    ck_assert_uint_eq(config.evaluators.count, 2);
    const config_evaluator *const e = config.evaluators.items;
    ck_assert_int_eq(e[0].name, CONFIG_EVALUATOR_ARC);
    ck_assert_int_eq(e[0].submission_K, 3);
    ck_assert_uint_eq(e[0].pass_Ks.count, 2);
    ck_assert_int_eq(e[0].pass_Ks.items[1], 7);
    ck_assert(e[0].aggregated_voting);
    ck_assert_int_eq(e[1].submission_K, 2);
    ck_assert_uint_eq(e[1].pass_Ks.count, 6);
    ck_assert_int_eq(e[1].pass_Ks.items[5], 1000);
    ck_assert(!e[1].aggregated_voting);
    ck_assert_uint_eq(config.eval_save_outputs,
                      1u << CONFIG_OUTPUT_PREDS | 1u << CONFIG_OUTPUT_Q_HALT_LOGITS);

    char *const written = train_config_json(&config);
    ck_assert_ptr_nonnull(strstr(written,
                                 "\"evaluators\":[{\"name\":\"arc@ARC\",\"submission_K\":3,\"pass_Ks\":[1,7],"
                                 "\"aggregated_voting\":true},{\"name\":\"arc@ARC\",\"submission_K\":2,"));
    ck_assert_ptr_nonnull(strstr(written, "\"eval_save_outputs\":[\"preds\",\"q_halt_logits\"]"));
    expect_ok(PARSE_FILE(written));
    ck_assert_int_eq(config.evaluators.items[0].pass_Ks.items[1], 7);
    free(written);
}
END_TEST

static void write_text(const char *path, const char *text) {
    FILE *const file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(test_config_builds_on_another_file) {
    char folder[] = "/tmp/reel-config-XXXXXX", base[64], path[64], loop[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(base, sizeof base, "%s/base.yaml", folder);
    snprintf(path, sizeof path, "%s/more.yaml", folder);
    snprintf(loop, sizeof loop, "%s/loop.yaml", folder);
    write_text(base, "data_paths: [d]\nlr: 1\nseed: 1\narch: {hidden_size: 64, L_cycles: 5}\n");
    write_text(path, "lr: 2\narch: {L_cycles: 4}\ndefaults: [base, _self_]\n");
    write_text(loop, "defaults: [loop, _self_]\n");
    expect_ok(train_config_load(&config, path, 1, (char *[]){"arch.hidden_size=32"}, &error));
    ck_assert_str_eq(config.data_paths.items[0], "d");
    ck_assert_double_eq(config.lr, 2);
    ck_assert_int_eq(config.seed, 1);
    ck_assert_int_eq(config.arch.L_cycles, 4);
    ck_assert_int_eq(config.arch.hidden_size, 32);
    end();
    ck_assert_int_eq(train_config_load(&config, loop, 0, NULL, &error), REEL_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(
        strstr(error.message, "loop.yaml:1: defaults: more than 4 files build on each other"));
    unlink(base);
    unlink(path);
    unlink(loop);
    rmdir(folder);
}
END_TEST

START_TEST(test_config_takes_data_path_as_hrm_names_it) {
    char text[] = "data_path: data/arc-aug-1000";
    begin();
    expect_ok(train_config_parse(&config, "config.yaml", text, strlen(text), 0, NULL, &error));
    ck_assert_uint_eq(config.data_paths.count, 1);
    ck_assert_str_eq(config.data_paths.items[0], "data/arc-aug-1000");
    ck_assert_ptr_null(config.data_path);
    expect_ok(PARSE_FILE("data_path: data/arc-aug-1000")); /* data_paths is an argument there */
    ck_assert_str_eq(config.data_paths.items[0], "a.csv");
}
END_TEST

START_TEST(test_config_arguments_win_and_the_last_one_most) {
    expect_ok(PARSE("lr: 1\nseed: 1\nema: False\n", "lr=2", "+lr=3", "++seed=4", "ema=True",
                    "data_paths=[b.csv, 'c d.csv',sudoku:6:1000]", "arch={L_cycles: 2}"));
    ck_assert_double_eq(config.lr, 3);
    ck_assert_int_eq(config.seed, 4);
    ck_assert(config.ema);
    ck_assert_int_eq(config.arch.L_cycles, 2);
    ck_assert_uint_eq(config.data_paths.count, 3);
    ck_assert_str_eq(config.data_paths.items[0], "b.csv");
    ck_assert_str_eq(config.data_paths.items[1], "c d.csv");
    ck_assert_str_eq(config.data_paths.items[2], "sudoku:6:1000");
}
END_TEST

START_TEST(test_config_reads_all_spellings_of_a_bool) {
    const char *const words[] = {"true",  "True",  "TRUE",  "yes", "Yes", "on",  "On",  "'true'",
                                 "false", "False", "FALSE", "no",  "No",  "off", "OFF", "\"no\""};
    const size_t count = sizeof words / sizeof words[0];
    for (size_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "ema: %s", words[i]);
        expect_ok(PARSE_FILE(text));
        ck_assert_int_eq(config.ema, i < count / 2);
    }
}
END_TEST

START_TEST(test_config_reads_all_spellings_of_a_number) {
    const struct {
        const char *text;
        double value;
    } cases[] = {{"1e-4", 1e-4}, {"0.0001", 1e-4}, {".5", 0.5},    {"5.", 5},        {"+2", 2},
                 {"1E+2", 100},  {"0", 0},         {"-0.0", -0.0}, {"'1e-3'", 1e-3}, {"0.1", 0.1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        snprintf(text, sizeof text, "lr: %s", cases[i].text);
        expect_ok(PARSE_FILE(text));
        ck_assert_double_eq(config.lr, cases[i].value);
    }
    expect_ok(PARSE("epochs: 5e4", "eval_interval=1.0e3", "seed=9007199254740991"));
    ck_assert_int_eq(config.epochs, 50000);
    ck_assert_int_eq(config.eval_interval, 1000);
    ck_assert_int_eq(config.seed, 9007199254740991);
}
END_TEST

START_TEST(test_config_reads_all_spellings_of_null) {
    const char *const words[] = {"null", "Null", "NULL", "None", "~", ""};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char text[96];
        snprintf(text, sizeof text, "load_checkpoint: %s\neval_interval: %s\nepochs: 70\n", words[i],
                 words[i]);
        expect_ok(PARSE_FILE(text));
        ck_assert_ptr_null(config.load_checkpoint);
        ck_assert_int_eq(config.eval_interval, 70); /* once, at the end */
    }
    expect_ok(PARSE_FILE("load_checkpoint: 'null'")); /* in quotes it is a word */
    ck_assert_str_eq(config.load_checkpoint, "null");
}
END_TEST

START_TEST(test_config_resolves_references_after_all_arguments) {
    const char *const text = "arch: {hidden_size: 64, puzzle_emb_ndim: '${.hidden_size}'}";
    expect_ok(PARSE(text, "arch.hidden_size=128"));
    ck_assert_int_eq(config.arch.puzzle_emb_ndim, 128);
    expect_ok(PARSE("", "arch.puzzle_emb_ndim=${arch.hidden_size}", "arch.hidden_size=32"));
    ck_assert_int_eq(config.arch.puzzle_emb_ndim, 32);
    expect_ok(PARSE("", "arch.hidden_size=32")); /* by default */
    ck_assert_int_eq(config.arch.puzzle_emb_ndim, 32);
    expect_ok(PARSE("seed: 7\nthreads: ${.seed}\narch:\n  halt_max_steps: ${..seed}\n",
                    "data_paths_test=${data_paths}"));
    ck_assert_int_eq(config.threads, 7);
    ck_assert_int_eq(config.arch.halt_max_steps, 7);
    ck_assert_str_eq(config.data_paths_test.items[0], "a.csv");
    expect_ok(PARSE("arch: {num_heads: '${.L_layers}', L_layers: '${.H_cycles}', H_cycles: 4}", NULL));
    ck_assert_int_eq(config.arch.num_heads, 4);
}
END_TEST

START_TEST(test_config_shipped_files_load) {
    end();
    expect_ok(train_config_load(&config, REEL_SOURCE_DIR "/apps/configs/quickstart.yaml", 0, NULL, &error));
    ck_assert_str_eq(config.data_paths.items[0], "sudoku:6:1000");
    ck_assert_int_eq(config.arch.hidden_size, 64);
    ck_assert_int_eq(config.arch.puzzle_emb_ndim, 64);
    ck_assert_int_eq(config.arch.round_width, 32);
    ck_assert_int_eq(config.max_steps, 1000);
    ck_assert_str_eq(config.project_name, "Sudoku-6-1000-ACT-reel");
    end();
    expect_ok(train_config_load(&config, REEL_SOURCE_DIR "/apps/configs/sudoku_mlp.yaml", 0, NULL, &error));
    ck_assert(config.arch.mlp_t);
    ck_assert_int_eq(config.arch.pos_encodings, CONFIG_POSITIONS_NONE);
    ck_assert_int_eq(config.epochs, 50000);
    ck_assert_double_eq(config.weight_decay, 1.0);
    ck_assert_str_eq(config.project_name, "Sudoku-extreme-1k-aug-1000-ACT-reel");
    end();
    expect_ok(train_config_load(&config, REEL_SOURCE_DIR "/apps/configs/sudoku_att.yaml", 0, NULL, &error));
    ck_assert(!config.arch.mlp_t);
    ck_assert_int_eq(config.arch.pos_encodings, CONFIG_POSITIONS_ROPE);
}
END_TEST

/* ---- names ------------------------------------------------------------------------------------------- */

START_TEST(test_config_names_the_project_after_its_data) {
    const struct {
        const char *argument, *project;
    } cases[] = {
        {"data_paths=[data/sudoku-Extreme-1k]", "Sudoku-extreme-1k-ACT-reel"},
        {"data_paths=[data/sudoku-extreme-1k/]", "Sudoku-extreme-1k-ACT-reel"},
        {"data_paths=[data/sudoku-extreme-1k/train.csv]", "Sudoku-extreme-1k-ACT-reel"},
        {"data_paths=[train.csv]", "Train-ACT-reel"},
        {"data_paths=[/train.csv]", "Train-ACT-reel"},
        {"data_paths=[sudoku:9:50]", "Sudoku-9-50-ACT-reel"},
        {"data_paths=[/]", "Data-ACT-reel"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_ok(PARSE("", cases[i].argument));
        ck_assert_str_eq(config.project_name, cases[i].project);
    }
}
END_TEST

START_TEST(test_config_names_the_run_after_what_it_computes) {
    expect_ok(PARSE("", "arch.mlp_t=True", "seed=3"));
    const char *const start = "trm-mlp_t-h512-seed3-";
    ck_assert_int_eq(strncmp(config.run_name, start, strlen(start)), 0);
    ck_assert_uint_eq(strlen(config.run_name), strlen(start) + 8);
    ck_assert_uint_eq(strspn(config.run_name + strlen(start), "0123456789abcdef"), 8);
    char *const name = strdup(config.run_name);

    expect_ok(PARSE("arch.mlp_t: yes\nseed: 3\n", "threads=2", "max_steps=10", "run_dir=/tmp/x"));
    ck_assert_str_eq(config.run_name, name);
    expect_ok(PARSE("", "arch.mlp_t=True", "seed=3", "lr=2e-4"));
    ck_assert_str_ne(config.run_name, name);
    expect_ok(PARSE("", "arch.mlp_t=True", "seed=3", "data_paths=[b.csv]"));
    ck_assert_str_ne(config.run_name, name);
    expect_ok(PARSE("", "seed=3"));
    ck_assert_int_eq(strncmp(config.run_name, "trm-att-h512-seed3-", 19), 0);
    free(name);
}
END_TEST

START_TEST(test_config_finds_the_folder_of_a_run) {
    expect_ok(PARSE("", "project_name=p", "run_name=r"));
    ck_assert_str_eq(config.run_dir, "checkpoints/p/r");
    ck_assert_str_eq(config.checkpoint_path, "checkpoints/p/r");
    expect_ok(PARSE("", "run_dir=/tmp/here"));
    ck_assert_str_eq(config.checkpoint_path, "/tmp/here");
    expect_ok(PARSE("", "checkpoint_path=/tmp/there"));
    ck_assert_str_eq(config.run_dir, "/tmp/there");
    expect_ok(PARSE("", "checkpoint_path=/tmp/there", "run_dir=/tmp/there"));
    expect_refused(
        PARSE("", "checkpoint_path=/tmp/there", "run_dir=/tmp/here"),
        "config.yaml: run_dir '/tmp/here' and checkpoint_path '/tmp/there' are two names of one thing "
        "and differ");
}
END_TEST

/* ---- dump -------------------------------------------------------------------------------------------- */

static char *dumped(char *(*dump)(const train_config *)) {
    char *const text = dump(&config);
    ck_assert_ptr_nonnull(text);
    return text;
}

START_TEST(test_config_dumps_read_back_the_same) {
    const char *const text = "data_paths_test: [\"a b\", 'c\"d', 'e\\f', 'é: #x', 'true', '1']\n"
                             "lr: 0.1234567890123456789\nbeta1: 0.30000000000000004\nema: on\n"
                             "seed: 9007199254740991\neval_interval: null\nload_checkpoint: '~'\n"
                             "arch: {name: recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1,\n"
                             "  rms_norm_eps: 1e-300, hidden_size: 66, num_heads: 3}\n";
    for (int i = 0; i < 2; i++) {
        expect_ok(PARSE_FILE(text));
        char *const yaml = dumped(train_config_yaml), *const json = dumped(train_config_json);
        const double lr = config.lr, beta1 = config.beta1;
        const char *const dump = i == 0 ? yaml : json;
        end();
        begin();
        expect_ok(train_config_parse(&config, "dump", dump, strlen(dump), 0, NULL, &error));
        char *const yaml_again = dumped(train_config_yaml), *const json_again = dumped(train_config_json);
        ck_assert_str_eq(yaml, yaml_again);
        ck_assert_str_eq(json, json_again);
        ck_assert_double_eq(config.lr, lr);
        ck_assert_double_eq(config.beta1, beta1);
        ck_assert_int_eq(config.seed, 9007199254740991);
        ck_assert_uint_eq(config.data_paths_test.count, 6);
        ck_assert_str_eq(config.data_paths_test.items[1], "c\"d");
        ck_assert_str_eq(config.data_paths_test.items[2], "e\\f");
        ck_assert_str_eq(config.data_paths_test.items[3], "é: #x");
        ck_assert_str_eq(config.load_checkpoint, "~");
        free(yaml), free(json), free(yaml_again), free(json_again);
    }
}
END_TEST

START_TEST(test_config_dump_is_whole_and_resolved) {
    expect_ok(PARSE("", "arch.hidden_size=64", "device=auto", "run_name=r", "project_name=p"));
    char *const yaml = dumped(train_config_yaml), *const json = dumped(train_config_json);
    ck_assert_ptr_nonnull(strstr(yaml, "data_paths: [\"a.csv\"]\n"));
    ck_assert_ptr_nonnull(strstr(yaml, "device: \"cpu\"\n"));
    ck_assert_ptr_nonnull(strstr(yaml, "checkpoint_path: \"checkpoints/p/r\"\n"));
    ck_assert_ptr_nonnull(strstr(yaml, "load_checkpoint: null\n"));
    ck_assert_ptr_nonnull(strstr(yaml, "\narch:\n  name: \"recursive_reasoning.trm@"));
    ck_assert_ptr_nonnull(strstr(yaml, "\n  puzzle_emb_ndim: 64\n"));
    ck_assert_ptr_nonnull(strstr(yaml, "\n  loss:\n    name: \"losses@ACTLossHead\"\n"));
    ck_assert_ptr_nonnull(strstr(json, "\"puzzle_emb_ndim\":64"));
    ck_assert_ptr_nonnull(strstr(json, "\"lr\":0.0001,"));
    ck_assert_ptr_null(strchr(json, '\n'));
    free(yaml), free(json);
}
END_TEST

START_TEST(test_config_help_names_every_key_with_default_and_limits) {
    char *const help = train_config_help();
    ck_assert_ptr_nonnull(help);
#define EXPECT_KEY(prefix, key, value)                                                                       \
    ck_assert_ptr_nonnull(strstr(help, "  " prefix #key "=" value "\n      "));
#define RUN_KEY(name, type, value, text)  EXPECT_KEY("", name, value)
#define ARCH_KEY(name, type, value, text) EXPECT_KEY("arch.", name, value)
#define LOSS_KEY(name, type, value, text) EXPECT_KEY("arch.loss.", name, value)
    CONFIG_RUN_KEYS(RUN_KEY)
    CONFIG_ARCH_KEYS(ARCH_KEY)
    CONFIG_LOSS_KEYS(LOSS_KEY)
    ck_assert_ptr_nonnull(strstr(help, "position encoding [rope|learned|none]\n"));
    ck_assert_ptr_nonnull(strstr(help, "width of the network [1 to 65536]\n"));
    free(help);
}
END_TEST

/* ---- what is refused --------------------------------------------------------------------------------- */

START_TEST(test_config_refuses_unknown_keys_and_names_the_nearest) {
    const refusal cases[] = {
        {"lr: 1\narch:\n  hiden_size: 1\n", NULL,
         "config.yaml:3: unknown key 'arch.hiden_size'; did you mean 'arch.hidden_size'?"},
        {"arch.hiden_size: 1\n", NULL,
         "config.yaml:1: unknown key 'arch.hiden_size'; did you mean 'arch.hidden_size'?"},
        {"", "hidden_size=1",
         "argument 'hidden_size=1': unknown key 'hidden_size'; did you mean 'arch.hidden_size'?"},
        {"", "arch.lr=1", "argument 'arch.lr=1': unknown key 'arch.lr'; did you mean 'lr'?"},
        {"", "+wieght_decay=1",
         "argument '+wieght_decay=1': unknown key 'wieght_decay'; did you mean 'weight_decay'?"},
        {"batch_size: 3", NULL, "config.yaml:1: unknown key 'batch_size'; did you mean 'global_batch_size'?"},
        {"epoch: 3", NULL, "config.yaml:1: unknown key 'epoch'; did you mean 'epochs'?"},
        {"arc: {L_cycles: 3}", NULL,
         "config.yaml:1: unknown key 'arc.L_cycles'; did you mean 'arch.L_cycles'?"},
        {"warp_factor: 9", NULL, "config.yaml:1: unknown key 'warp_factor'; --help lists all keys"},
        {"x: {}", NULL, "config.yaml:1: unknown key 'x'; --help lists all keys"},
        {"arch: {loss: 3}", NULL, "config.yaml:1: arch.loss: expected a map of keys, got a single value"},
        {"arch:\n", NULL, "config.yaml:1: arch: expected a map of keys, got a single value"},
        {"arch: [1]\n", NULL, "config.yaml:1: arch: expected a map of keys, got a list"},
        {"", "~lr", "argument '~lr': a key cannot be deleted; give it the value it shall have"},
        {"", "lr", "argument 'lr': expected key=value"},
        {"", "=1", "argument '=1': expected key=value"},
        {"", "++=1", "argument '++=1': expected key=value"},
        {"", "+++lr=1", "argument '+++lr=1': unknown key '+lr'; did you mean 'lr'?"},
    };
    EXPECT_ALL_REFUSED(cases);
}
END_TEST

START_TEST(test_config_refuses_values_of_the_wrong_type) {
    const refusal cases[] = {
        {"seed: 1\nema: True\nlr: abc\n", NULL, "config.yaml:3: lr: expected a number, got 'abc'"},
        {"", "lr=abc", "argument 'lr=abc': lr: expected a number, got 'abc'"},
        {"", "lr=", "argument 'lr=': lr: expected a number, got nothing"},
        {"", "lr=[1]", "argument 'lr=[1]': lr: expected a number, got a list"},
        {"lr: {a: 1}", NULL, "config.yaml:1: lr: expected a number, got a map of keys"},
        {"lr: null", NULL, "config.yaml:1: lr: expected a number, got 'null'"},
        {"lr: 1e-4x", NULL, "config.yaml:1: lr: expected a number, got '1e-4x'"},
        {"lr: 1e", NULL, "config.yaml:1: lr: expected a number, got '1e'"},
        {"lr: .", NULL, "config.yaml:1: lr: expected a number, got '.'"},
        {"lr: 0x10", NULL, "config.yaml:1: lr: expected a number, got '0x10'"},
        {"lr: .inf", NULL, "config.yaml:1: lr: expected a number, got '.inf'"},
        {"lr: inf", NULL, "config.yaml:1: lr: expected a number, got 'inf'"},
        {"lr: nan", NULL, "config.yaml:1: lr: expected a number, got 'nan'"},
        {"lr: .NaN", NULL, "config.yaml:1: lr: expected a number, got '.NaN'"},
        {"seed: 1.5", NULL, "config.yaml:1: seed: expected a whole number, got '1.5'"},
        {"seed: 010", NULL, "config.yaml:1: seed: expected a whole number, got '010'"},
        {"seed: 1 2", NULL, "config.yaml:1: seed: expected a whole number, got '1 2'"},
        {"seed: True", NULL, "config.yaml:1: seed: expected a whole number, got 'True'"},
        {"ema: 1", NULL, "config.yaml:1: ema: expected True or False, got '1'"},
        {"ema: yess", NULL, "config.yaml:1: ema: expected True or False, got 'yess'"},
        {"ema: []", NULL, "config.yaml:1: ema: expected True or False, got a list"},
        {"data_paths_test: a.csv", NULL,
         "config.yaml:1: data_paths_test: expected a list such as [a, b], got 'a.csv'"},
        {"data_paths_test: [a, [b]]", NULL, "config.yaml:1: data_paths_test: expected text, got a list"},
        {"data_paths_test: [a, b: c]", NULL,
         "config.yaml:1: data_paths_test: expected text, got a map of keys"},
        {"data_paths_test: [a, '']", NULL, "config.yaml:1: data_paths_test: expected text, got nothing"},
        {"data_paths_test: [a, ~]", NULL, "config.yaml:1: data_paths_test: expected text, got '~'"},
        {"run_name: ''", NULL, "config.yaml:1: run_name: expected text, got nothing"},
        {"run_name: [a]", NULL, "config.yaml:1: run_name: expected text, got a list"},
        {"arch.pos_encodings: ropes", NULL,
         "config.yaml:1: arch.pos_encodings: expected rope, learned or none, got 'ropes'"},
        {"optimizer: Adam", NULL, "config.yaml:1: optimizer: expected adam_atan2 or adamw, got 'Adam'"},
        {"optimizer:\n", NULL, "config.yaml:1: optimizer: expected adam_atan2 or adamw, got nothing"},
    };
    EXPECT_ALL_REFUSED(cases);
}
END_TEST

START_TEST(test_config_refuses_values_out_of_range) {
    const refusal cases[] = {
        {"lr: -1e-4", NULL, "config.yaml:1: lr: -1e-4 is outside 0 to 1000"},
        {"lr: 1e999", NULL, "config.yaml:1: lr: 1e999 is outside 0 to 1000"},
        {"beta1: 1", NULL, "config.yaml:1: beta1: 1 is outside 0 to 0.9999999"},
        {"global_batch_size: 0", NULL, "config.yaml:1: global_batch_size: 0 is outside 1 to 1048576"},
        {"", "epochs=99999999999999999999",
         "argument 'epochs=99999999999999999999': epochs: 99999999999999999999 is outside 1 to 1000000000"},
        {"seed: 9007199254740992", NULL,
         "config.yaml:1: seed: 9007199254740992 is outside 0 to 9007199254740991"},
        {"seed: 18446744073709551616", NULL,
         "config.yaml:1: seed: 18446744073709551616 is outside 0 to 9007199254740991"},
        {"seed: -1", NULL, "config.yaml:1: seed: -1 is outside 0 to 9007199254740991"},
        {"eval_interval: 0", NULL, "config.yaml:1: eval_interval: 0 is outside 1 to 1000000000"},
        {"arch.halt_exploration_prob: 1.01", NULL,
         "config.yaml:1: arch.halt_exploration_prob: 1.01 is outside 0 to 1"},
    };
    EXPECT_ALL_REFUSED(cases);
}
END_TEST

START_TEST(test_config_refuses_what_this_version_lacks_and_says_why) {
    const refusal cases[] = {
        {"", "arch=tr",
         "argument 'arch=tr': arch.name: expected trm, trm_singlez, trm_hier6, hrm or transformers_baseline, "
         "got 'tr'"},
        {"defaults:\n  - arch: trm_hier7\n  - _self_\n", NULL,
         "config.yaml:2: arch.name: expected trm, trm_singlez, trm_hier6, hrm or transformers_baseline, got "
         "'trm_hier7'"},
        {"defaults: [_self_, arch: trm]", NULL, "config.yaml:1: defaults: _self_ must come last"},
        {"defaults:\n - optimizer: x\n", NULL,
         "config.yaml:2: defaults: only 'arch: NAME', a file's name and _self_ are known here"},
        {"defaults: [{}]", NULL,
         "config.yaml:1: defaults: only 'arch: NAME', a file's name and _self_ are known here"},
        {"defaults: [base]", NULL, "base.yaml: No such file or directory"},
        {"defaults: [../base]", NULL,
         "config.yaml:1: defaults: '../base' is not the name of a file in the same folder"},
        {"defaults: [/etc/base]", NULL,
         "config.yaml:1: defaults: '/etc/base' is not the name of a file in the same folder"},
        {"", "data_path=x",
         "config.yaml: data_path and data_paths are two names of one thing; give one of them"},
        {"defaults: trm", NULL, "config.yaml:1: defaults: expected a list such as [arch: trm, _self_]"},
        {"arch.name: x", NULL,
         "config.yaml:1: arch.name: expected trm, trm_singlez, trm_hier6, hrm or transformers_baseline, got "
         "'x'"},
        {"arch.loss.name: losses@Other", NULL,
         "config.yaml:1: arch.loss.name: expected losses@ACTLossHead, got 'losses@Other'"},
        {"arch.forward_dtype: float16", NULL,
         "config.yaml:1: arch.forward_dtype: 'float16' refused: its range needs loss scaling; use bfloat16 "
         "or "
         "float32"},
        {"evaluators: [{}]", NULL,
         "config.yaml:1: evaluators: expected a list of evaluators such as [{name: arc@ARC}], got a map of "
         "keys"},
        {"evaluators: arc@ARC", NULL,
         "config.yaml:1: evaluators: expected a list such as [a, b], got 'arc@ARC'"},
        {"evaluators: [{name: maze@Maze}]", NULL,
         "config.yaml:1: evaluators.name: expected arc@ARC, got 'maze@Maze'"},
        {"evaluators: [{name: arc@ARC, submissions: 2}]", NULL,
         "config.yaml:1: evaluators: an evaluator has no key 'submissions'"},
        {"evaluators: [{name: arc@ARC, pass_Ks: [1, 0]}]", NULL,
         "config.yaml:1: evaluators.pass_Ks: 0 is outside 1 to 1000000"},
        {"", "eval_save_outputs=[predictions]",
         "argument 'eval_save_outputs=[predictions]': eval_save_outputs: expected inputs, labels, "
         "puzzle_identifiers, logits, preds, q_halt_logits, q_continue_logits or steps, got 'predictions'"},
#ifndef REEL_CUDA_BACKEND
        {"device: cuda", NULL,
         "config.yaml:1: device: 'cuda' refused: this build has no CUDA; use device: cpu"},
#endif
    };
    EXPECT_ALL_REFUSED(cases);
}
END_TEST

START_TEST(test_config_refuses_values_that_do_not_fit_each_other) {
    const refusal cases[] = {
        {"", "data_paths=[]",
         "config.yaml: data_paths: no training data; give folders, CSV files, or puzzles made on the spot: "
         "data_paths=[sudoku:6:1000]"},
        {"epochs: 100\neval_interval: 30", NULL, "config.yaml: eval_interval 30 does not divide epochs 100"},
        {"epochs: 100\neval_interval: 300", NULL,
         "config.yaml: eval_interval 300 does not divide epochs 100"},
        {"arch: {hidden_size: 100, num_heads: 4}", NULL,
         "config.yaml: arch.pos_encodings rope needs an even head size, but arch.hidden_size 100 and "
         "arch.num_heads 4 make it 25"},
        {"arch: {hidden_size: 4, num_heads: 8}", NULL,
         "config.yaml: arch.num_heads 8 is more than arch.hidden_size 4"},
        {"arch: {hidden_size: 64, puzzle_emb_len: 2, puzzle_emb_ndim: 129}", NULL,
         "config.yaml: arch.puzzle_emb_ndim 129 does not fit into arch.puzzle_emb_len 2 tokens of "
         "arch.hidden_size 64, which hold 128"},
        {"freeze_weights: True\narch.puzzle_emb_ndim: 0", NULL,
         "config.yaml: freeze_weights with arch.puzzle_emb_ndim 0 leaves nothing to train"},
        {"run_name: a/b", NULL,
         "config.yaml: run_name 'a/b' is not the name of a folder; run_dir says where a run goes"},
        {"project_name: ..", NULL,
         "config.yaml: project_name '..' is not the name of a folder; run_dir says where a run goes"},
    };
    EXPECT_ALL_REFUSED(cases);
    expect_ok(
        PARSE("arch: {hidden_size: 512, num_heads: 12}", NULL)); /* floor(512 / 12) = 42, as published */
    expect_ok(PARSE("arch: {hidden_size: 100, num_heads: 4, mlp_t: True}", NULL));
    expect_ok(PARSE("arch: {hidden_size: 100, num_heads: 4, pos_encodings: learned}", NULL));
    expect_ok(PARSE("arch: {hidden_size: 64, puzzle_emb_len: 2, puzzle_emb_ndim: 128}", NULL));
    expect_ok(PARSE("arch: {hidden_size: 64, puzzle_emb_len: 0, puzzle_emb_ndim: 129}", NULL));
}
END_TEST

START_TEST(test_config_refuses_references_that_lead_nowhere) {
    const refusal cases[] = {
        {"arch.puzzle_emb_ndim: ${.hiden_size}", NULL,
         "config.yaml:1: unknown key 'arch.hiden_size'; did you mean 'arch.hidden_size'?"},
        {"arch.hidden_size: ${.puzzle_emb_ndim}", NULL,
         "config.yaml:1: arch.hidden_size: its reference leads back to itself"},
        {"lr: ${lr}", NULL, "config.yaml:1: lr: its reference leads back to itself"},
        {"lr: ${}", NULL, "config.yaml:1: lr: '${}' is not a reference such as ${arch.hidden_size}"},
        {"lr: ${seed", NULL, "config.yaml:1: lr: '${seed' is not a reference such as ${arch.hidden_size}"},
        {"lr: ${", NULL, "config.yaml:1: lr: '${' is not a reference such as ${arch.hidden_size}"},
        {"lr: ${..seed}", NULL,
         "config.yaml:1: lr: '${..seed}' is not a reference such as ${arch.hidden_size}"},
        {"lr: ${......}", NULL,
         "config.yaml:1: lr: '${......}' is not a reference such as ${arch.hidden_size}"},
        {"lr: ${seed}x", NULL,
         "config.yaml:1: lr: '${seed}x' is not a reference such as ${arch.hidden_size}"},
        {"arch.L_cycles: ${optimizer}", NULL,
         "config.yaml:1: arch.L_cycles: expected a whole number, got 'adam_atan2'"},
        {"run_name: x${seed}", NULL,
         "config.yaml:1: run_name: expected text without ${ (only a whole value may refer to another key), "
         "got "
         "'x${seed}'"},
    };
    EXPECT_ALL_REFUSED(cases);
}
END_TEST

/* ---- hostile text ------------------------------------------------------------------------------------ */

START_TEST(test_config_refuses_yaml_beyond_its_needs) {
    const refusal cases[] = {
        {"lr: 1\nseed: 2\nlr: 3\n", NULL, "config.yaml:3: duplicate key 'lr'"},
        {"arch: {L_cycles: 1}\nseed: 2\narch: {H_cycles: 3}\n", NULL, "config.yaml:3: duplicate key 'arch'"},
        {"arch: {L_cycles: 1}\narch.L_cycles: 1\n", NULL,
         "config.yaml:2: duplicate key 'arch.L_cycles', first given in line 1"},
        {"lr: &x 1\n", NULL, "config.yaml:1: anchors (&name) are not supported"},
        {"arch: &x {}\n", NULL, "config.yaml:1: anchors (&name) are not supported"},
        {"evaluators: &x []\n", NULL, "config.yaml:1: anchors (&name) are not supported"},
        {"lr: *x\n", NULL,
         "config.yaml:1: aliases (*name) are not supported; write the value out, or as ${key}"},
        {"lr: !!float 1\n", NULL, "config.yaml:1: tags (!name) are not supported"},
        {"arch: !x {}\n", NULL, "config.yaml:1: tags (!name) are not supported"},
        {"evaluators: !!python/object []\n", NULL, "config.yaml:1: tags (!name) are not supported"},
        {"lr: 1\n---\nlr: 2\n", NULL, "config.yaml:3: a second document begins here; one is expected"},
        {"- lr\n", NULL, "config.yaml:1: expected lines of the form `key: value`"},
        {"lr\n", NULL, "config.yaml:1: expected lines of the form `key: value`"},
        {"? [a]\n: 1\n", NULL, "config.yaml:1: a key must be a word"},
        {"'': 1\n", NULL, "config.yaml:1: a key must be a word"},
        {"hydra: [[[[[[[[[]]]]]]]]]\n", NULL, "config.yaml:1: lists and maps are nested too deeply"},
        {"run_name: \"a\\0b\"\n", NULL, "config.yaml:1: a NUL byte in a value"},
        {"\"a\\0b\": 1\n", NULL, "config.yaml:1: a NUL byte in a value"},
        {"run_name: \"a\\e[31mb\"\n", NULL,
         "config.yaml:1: run_name: expected text without control characters, got 'a?[31mb'"},
        {"\"\\e]0;x\\a\": 1\n", NULL, "config.yaml:1: unknown key '?]0;x?'; --help lists all keys"},
        {"run_name: 'a\n\n  b'\n", NULL,
         "config.yaml:1: run_name: expected text without control characters, got 'a?b'"},
        {"", "lr=1\nseed: 2",
         "argument 'lr=1?seed: 2': not valid YAML: mapping values are not allowed in this context"},
        {"", "lr=&x 1", "argument 'lr=&x 1': anchors (&name) are not supported"},
        {"", "data_paths=[a",
         "argument 'data_paths=[a': not valid YAML: while parsing a flow sequence: did not find "
         "expected ',' or ']'"},
    };
    EXPECT_ALL_REFUSED(cases);
}
END_TEST

static void expect_broken(const char *text, size_t bytes, const char *start) {
    end();
    begin();
    const reel_status status = train_config_parse(&config, "config.yaml", text, bytes, 0, NULL, &error);
    ck_assert_int_eq(status, REEL_ERROR_FORMAT);
    ck_assert_msg(strncmp(error.message, start, strlen(start)) == 0, "message: %s", error.message);
    ck_assert_ptr_null(strchr(error.message, '\n'));
}

START_TEST(test_config_refuses_text_that_is_not_yaml) {
    const char *const broken[] = {
        "lr: 1\n  seed: 2\n",
        "arch: {L_cycles: 1\n",
        "lr: 'x\n",
        "lr: \"\\q\"\n",
        "a: b: c\n",
        "\tlr: 1\n",
        "%BAD\n",
        "lr: @x\n",
        "[",
        "{",
        "]",
        "lr: [a, b\nseed: 1\n",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        expect_broken(broken[i], strlen(broken[i]), "config.yaml:");
    expect_broken("lr: 1\n  seed: 2\n", 16, "config.yaml:2: not valid YAML: ");
    expect_broken("lr: \xff\xfe\n", 7, "config.yaml: not UTF-8 text: ");
    expect_broken("lr: \xc0\x80\n", 7, "config.yaml: not UTF-8 text: ");
    expect_broken("lr: 1\0\n", 7, "config.yaml: it holds NUL bytes");
    expect_broken("\xff\xfel\0r\0", 6, "config.yaml: it holds NUL bytes");
}
END_TEST

START_TEST(test_config_reads_text_with_byte_order_mark_and_crlf) {
    expect_ok(PARSE_FILE("\xef\xbb\xbflr: 0.5\r\nseed: 3\r\n"));
    ck_assert_double_eq(config.lr, 0.5);
    ck_assert_int_eq(config.seed, 3);
}
END_TEST

START_TEST(test_config_refuses_deep_and_wide_text_quickly) {
    const size_t bytes = 1000000;
    char *const text = malloc(bytes);
    ck_assert_ptr_nonnull(text);
    memset(text, '[', bytes);
    expect_broken(text, bytes, "config.yaml:1: lists and maps are nested too deeply");
    for (size_t i = 0; i < bytes; i++)
        text[i] = "[,"[i % 2];
    expect_broken(text, bytes, "config.yaml:1: ");
    memcpy(text, "x: [", 4);
    for (size_t i = 4; i < bytes; i++)
        text[i] = "a,"[i % 2];
    expect_broken(text, bytes, "config.yaml:1: more values than any configuration has");
    for (size_t i = 0; i < bytes; i += 8) { /* distinct keys */
        char line[16];
        snprintf(line, sizeof line, "%06zu:\n", i / 8);
        memcpy(text + i, line, 8);
    }
    expect_broken(text, bytes, "config.yaml:");
    memset(text, 'a', bytes);
    begin();
    ck_assert_int_eq(train_config_parse(&config, "config.yaml", text, bytes, 0, NULL, &error),
                     REEL_ERROR_ARGUMENT);
    free(text);
}
END_TEST

START_TEST(test_config_messages_stay_one_short_line) {
    char text[3000], argument[2000];
    memset(text, 'k', sizeof text);
    memcpy(text + 900, ": 1\n", 5);
    ck_assert_int_eq(PARSE_FILE(text), REEL_ERROR_ARGUMENT);
    ck_assert_int_lt(strlen(error.message), 200);
    ck_assert_ptr_nonnull(strstr(error.message, "config.yaml:1: unknown key 'kkk"));

    memset(argument, 'v', sizeof argument - 1);
    argument[sizeof argument - 1] = '\0';
    memcpy(argument, "seed=\xc3\xa9\xc3\xa9", 9);
    ck_assert_int_eq(PARSE("", argument), REEL_ERROR_ARGUMENT);
    ck_assert_int_lt(strlen(error.message), 300);
    ck_assert_ptr_nonnull(strstr(error.message, "seed: expected a whole number, got '\xc3\xa9\xc3\xa9vvv"));

    char name[1000];
    memset(name, 'd', sizeof name);
    memcpy(name + sizeof name - 14, "/config.yaml", 13);
    end();
    begin();
    ck_assert_int_eq(train_config_parse(&config, name, "lr: x", 5, 0, NULL, &error), REEL_ERROR_ARGUMENT);
    const char *const tail = "/config.yaml:1: lr: expected a number, got 'x'";
    ck_assert_str_eq(error.message + strlen(error.message) - strlen(tail), tail);
}
END_TEST

/* ---- files ------------------------------------------------------------------------------------------- */

START_TEST(test_config_load_names_the_file_it_cannot_read) {
    end();
    ck_assert_int_eq(train_config_load(&config, "/nowhere/config.yaml", 0, NULL, &error), REEL_ERROR_IO);
    ck_assert_str_eq(error.message, "/nowhere/config.yaml: No such file or directory");
    begin();
    ck_assert_int_eq(train_config_load(&config, "/", 0, NULL, &error), REEL_ERROR_IO);
    ck_assert_str_eq(error.message, "/: Is a directory");
    begin();
    ck_assert_int_eq(train_config_load(&config, "/dev/zero", 0, NULL, &error), REEL_ERROR_FORMAT);
    ck_assert_str_eq(error.message, "/dev/zero: larger than 1 MiB, which no configuration is");
}
END_TEST

START_TEST(test_config_load_reads_up_to_one_mebibyte) {
    char path[] = "/tmp/reel_test_config_XXXXXX";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    const size_t limit = (size_t)1 << 20;
    char *const text = malloc(limit + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, '#', limit + 1);
    memcpy(text, "data_paths: [a]\n", 16);
    ck_assert_int_eq(write(fd, text, limit), (ssize_t)limit);
    expect_ok(train_config_load(&config, path, 0, NULL, &error));
    ck_assert_int_eq(write(fd, "#", 1), 1);
    end();
    ck_assert_int_eq(train_config_load(&config, path, 0, NULL, &error), REEL_ERROR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, ": larger than 1 MiB"));
    close(fd);
    unlink(path);
    free(text);
}
END_TEST

int main(void) {
    TCase *const tests = tcase_create("config");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_config_has_published_defaults);
    tcase_add_test(tests, test_config_reads_nested_and_dotted_keys_alike);
    tcase_add_test(tests, test_config_reads_the_published_file_and_commands);
    tcase_add_test(tests, test_config_reads_evaluators_and_outputs);
    tcase_add_test(tests, test_config_builds_on_another_file);
    tcase_add_test(tests, test_config_takes_data_path_as_hrm_names_it);
    tcase_add_test(tests, test_config_arguments_win_and_the_last_one_most);
    tcase_add_test(tests, test_config_reads_all_spellings_of_a_bool);
    tcase_add_test(tests, test_config_reads_all_spellings_of_a_number);
    tcase_add_test(tests, test_config_reads_all_spellings_of_null);
    tcase_add_test(tests, test_config_resolves_references_after_all_arguments);
    tcase_add_test(tests, test_config_shipped_files_load);
    tcase_add_test(tests, test_config_names_the_project_after_its_data);
    tcase_add_test(tests, test_config_names_the_run_after_what_it_computes);
    tcase_add_test(tests, test_config_finds_the_folder_of_a_run);
    tcase_add_test(tests, test_config_dumps_read_back_the_same);
    tcase_add_test(tests, test_config_dump_is_whole_and_resolved);
    tcase_add_test(tests, test_config_help_names_every_key_with_default_and_limits);
    tcase_add_test(tests, test_config_refuses_unknown_keys_and_names_the_nearest);
    tcase_add_test(tests, test_config_refuses_values_of_the_wrong_type);
    tcase_add_test(tests, test_config_refuses_values_out_of_range);
    tcase_add_test(tests, test_config_refuses_what_this_version_lacks_and_says_why);
    tcase_add_test(tests, test_config_refuses_values_that_do_not_fit_each_other);
    tcase_add_test(tests, test_config_refuses_references_that_lead_nowhere);
    tcase_add_test(tests, test_config_refuses_yaml_beyond_its_needs);
    tcase_add_test(tests, test_config_refuses_text_that_is_not_yaml);
    tcase_add_test(tests, test_config_reads_text_with_byte_order_mark_and_crlf);
    tcase_add_test(tests, test_config_refuses_deep_and_wide_text_quickly);
    tcase_add_test(tests, test_config_messages_stay_one_short_line);
    tcase_add_test(tests, test_config_load_names_the_file_it_cannot_read);
    tcase_add_test(tests, test_config_load_reads_up_to_one_mebibyte);
    return run_config_tests("config", tests);
}
