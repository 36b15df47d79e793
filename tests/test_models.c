/* The architectures: what each is built of, what its gradients are, when its rows halt, what it refuses. */
#include <check.h>
#include <math.h>
#include <reel/act.h>
#include <reel/autograd.h>
#include <reel/ops.h>
#include <reel/trm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static reel_context *ctx;

static void setup(void) {
    const reel_context_options options = {.seed = 7};
    reel_error error = {0};
    ck_assert_msg(reel_context_new(&ctx, &options, &error) == REEL_OK, "%s", error.message);
}

static void teardown(void) {
    reel_context_free(ctx);
}

#define ARCHITECTURE_NAME(ID, name, ...) #name,
static const char *const architectures[] = {REEL_ARCHITECTURES(ARCHITECTURE_NAME)};
enum { ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

enum { B = 3, S = 4, V = 5, D = 8 }; /* batch, puzzle tokens, vocabulary, hidden */

/* A small model of an architecture with otherwise published values, in f64. */
static reel_model_config small(const char *arch) {
    reel_model_config c = reel_model_config_default(arch);
    c.seq_len = S;
    c.vocab_size = V;
    c.num_puzzle_identifiers = 2;
    c.hidden_size = c.puzzle_emb_ndim = D;
    c.num_heads = 2;
    c.expansion = 1;
    c.round_width = 4;
    c.puzzle_emb_len = 1;
    c.L_layers = c.H_layers = 1;
    c.H_cycles = 2;
    c.L_cycles = 2;
    c.halt_max_steps = 4;
    c.halt_exploration_prob = 0;
    c.forward_dtype = REEL_F64;
    return c;
}

static reel_model *built(const reel_model_config *config) {
    reel_model *const model = reel_model_new(ctx, config);
    ck_assert_msg(model != NULL, "%s", reel_context_message(ctx));
    return model;
}

static void end_tape(void) {
    char message[REEL_MESSAGE_BYTES];
    strcpy(message, reel_context_message(ctx));
    ck_assert_msg(reel_tape_reset(ctx) == REEL_OK, "%s", message);
}

/* ---- what each is built of --------------------------------------------------------------------------- */

/* Counted on the published classes. */
START_TEST(test_models_have_the_published_number_of_parameters) {
    const struct {
        const char *arch;
        int64_t seq_len, vocab_size;
        bool mlp_t;
        int64_t parameters;
    } published[] = {
        {"trm", 81, 11, true, 5028866},                      /* Sudoku */
        {"trm", 900, 12, false, 6829058},                    /* ARC */
        {"hrm", 900, 12, false, 27276290},                   /* ARC */
        {"transformers_baseline", 900, 12, false, 27145218}, /* ARC */
    };
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        reel_model_config c = reel_model_config_default(published[i].arch);
        c.seq_len = published[i].seq_len;
        c.vocab_size = published[i].vocab_size;
        c.mlp_t = published[i].mlp_t;
        reel_model *const model = built(&c);
        ck_assert_int_eq(reel_parameters_elements(reel_model_parameters(model)), published[i].parameters);
        ck_assert_int_eq(reel_model_config_elements(ctx, &c), published[i].parameters);
        reel_model_free(model);
    }
}
END_TEST

START_TEST(test_models_name_networks_and_latents_as_published) {
    const struct {
        const char *arch;
        int latents;
        const char *first_latent, *last_latent;
        bool has_H_level, has_L_level;
    } published[] = {
        {"trm", 2, "inner.H_init", "inner.L_init", false, true},
        {"trm_singlez", 1, "inner.L_init", "inner.L_init", false, true},
        {"trm_hier6", 7, "inner.H_init", "inner.L6_init", false, true},
        {"hrm", 2, "inner.H_init", "inner.L_init", true, true},
        {"transformers_baseline", 1, "inner.H_init", "inner.H_init", true, false},
    };
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const reel_model_config c = small(published[i].arch);
        reel_model *const model = built(&c);
        const reel_parameters *const p = reel_model_parameters(model);
        reel_named_tensor buffers[REEL_MAX_LATENTS + 1];
        ck_assert_int_eq(reel_model_buffers(model, buffers), published[i].latents + 1);
        ck_assert_str_eq(buffers[0].name, published[i].first_latent);
        ck_assert_str_eq(buffers[published[i].latents - 1].name, published[i].last_latent);
        ck_assert_str_eq(buffers[published[i].latents].name, "inner.puzzle_emb.weights");
        ck_assert_int_eq(reel_parameters_find(p, "inner.H_level.layers.0.mlp.down_proj.weight") != NULL,
                         published[i].has_H_level);
        ck_assert_int_eq(reel_parameters_find(p, "inner.L_level.layers.0.mlp.down_proj.weight") != NULL,
                         published[i].has_L_level);
        reel_model_free(model);
    }
}
END_TEST

START_TEST(test_models_hold_no_puzzle_token_beyond_need) {
    reel_model_config c = reel_model_config_default("hrm");
    c.seq_len = S;
    c.vocab_size = V;
    c.hidden_size = 16;
    c.puzzle_emb_ndim = 40;
    reel_model *const model = built(&c);
    ck_assert_int_eq(reel_model_puzzle_tokens(model), 3); /* 40 numbers in tokens of 16 */
    reel_model_free(model);
}
END_TEST

/* ---- gradients --------------------------------------------------------------------------------------- */

/* A model with what it is run on. */
typedef struct bench {
    reel_model *model;
    reel_tensor *inputs, *puzzle_rows;
    reel_latents latents;
} bench;

static reel_tensor *noise(int64_t stream_index, int rank, const int64_t *shape) {
    reel_tensor *const t = reel_tensor_new(ctx, REEL_F64, rank, shape);
    reel_fill_truncated_normal(ctx, t, 1,
                               (reel_draw){.stream = REEL_STREAM_USER, .index = (uint64_t)stream_index});
    return t;
}

static bench bench_of(const reel_model_config *config) {
    bench b = {.model = built(config)};
    int32_t tokens[B * S];
    for (int i = 0; i < B * S; i++)
        tokens[i] = i * 7 % V;
    b.inputs = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(B, S));
    reel_write(ctx, b.inputs, tokens, sizeof tokens);
    b.puzzle_rows = noise(0, 2, (const int64_t[]){B, config->puzzle_emb_ndim});
    for (int i = 0; i < reel_model_latent_count(b.model); i++)
        b.latents.z[i] = noise(1 + i, 3, (const int64_t[]){B, reel_model_tokens(b.model), D});
    return b;
}

static void bench_free(bench *b) {
    reel_tensor_free(ctx, b->inputs);
    reel_tensor_free(ctx, b->puzzle_rows);
    for (int i = 0; i < REEL_MAX_LATENTS; i++)
        reel_tensor_free(ctx, b->latents.z[i]);
    reel_model_free(b->model);
}

/* Moves the latents on by a supervision step. */
static void think(bench *b) {
    const reel_outputs out = reel_model_forward(ctx, b->model, b->inputs, b->puzzle_rows, b->latents);
    for (int i = 0; i < reel_model_latent_count(b->model); i++)
        reel_copy(ctx, b->latents.z[i], out.latents.z[i]);
    end_tape();
}

/* Gradients of sum(w * logits), w noise, for every parameter; the logits go to `logits` (B,S,V). */
static void differentiate(const bench *b, double *logits) {
    reel_parameters_zero_grad(reel_model_parameters(b->model));
    reel_tensor *const w = noise(100, 3, (const int64_t[]){B, S, V});
    const reel_outputs out = reel_model_forward(ctx, b->model, b->inputs, b->puzzle_rows, b->latents);
    reel_read(ctx, out.logits, logits, B * S * V * sizeof *logits);
    reel_backward(ctx, reel_sum(ctx, reel_mul(ctx, w, out.logits), NULL, 0, 0));
    end_tape();
    reel_tensor_free(ctx, w);
}

static const double *gradient(const bench *b, const char *name) {
    reel_tensor *const parameter = reel_parameters_find(reel_model_parameters(b->model), name);
    ck_assert_msg(parameter != NULL, "no %s", name);
    return reel_grad(ctx, parameter)->data;
}

static void expect_same_gradients(const bench *a, const bench *b) {
    const reel_parameters *const p = reel_model_parameters(a->model);
    for (int i = 0; i < reel_parameters_count(p); i++) {
        const char *const name = reel_parameters_name(p, i);
        const size_t bytes = (size_t)reel_elements(reel_parameters_at(p, i)) * sizeof(double);
        ck_assert_msg(memcmp(gradient(a, name), gradient(b, name), bytes) == 0, "%s differs", name);
    }
}

static reel_tensor *logits_of(reel_context *context, reel_tensor *const *parameters, void *arg) {
    (void)parameters;
    const bench *const b = arg;
    return reel_model_forward(context, b->model, b->inputs, b->puzzle_rows, b->latents).logits;
}

/* Everything has a gradient where there is but one recursion, and in HRM but one update in it. */
START_TEST(test_models_gradients_match_differences) {
    for (int i = 0; i < ARCHITECTURES; i++) {
        reel_model_config c = small(architectures[i]);
        c.H_cycles = 1;
        c.L_cycles = c.one_step_gradient ? 1 : 2;
        bench b = bench_of(&c);
        const reel_parameters *const p = reel_model_parameters(b.model);
        const int count = reel_parameters_count(p);
        reel_tensor **const leaves = calloc((size_t)count, sizeof *leaves);
        ck_assert_ptr_nonnull(leaves);
        for (int j = 0; j < count; j++)
            leaves[j] = reel_parameters_at(p, j);
        reel_check check = {0};
        const reel_status status = reel_gradient_check(ctx, logits_of, &b, leaves, count, &check);
        ck_assert_msg(status == REEL_OK, "%s: %s", architectures[i], reel_context_message(ctx));
        end_tape();
        free(leaves);
        bench_free(&b);
    }
}
END_TEST

/* Two recursions are one without gradient and then one with. */
START_TEST(test_models_learn_from_the_last_recursion_alone) {
    static const char *const kin[] = {"trm", "trm_singlez", "trm_hier6"};
    double expected[B * S * V], logits[B * S * V];
    for (int i = 0; i < 3; i++) {
        reel_model_config c = small(kin[i]);
        bench both = bench_of(&c);
        c.H_cycles = 1;
        bench last = bench_of(&c);
        think(&last);
        differentiate(&both, logits);
        differentiate(&last, expected);
        ck_assert_mem_eq(logits, expected, sizeof logits);
        expect_same_gradients(&both, &last);
        bench_free(&both);
        bench_free(&last);
    }
}
END_TEST

/* With one_step_gradient H_cycles 2 and L_cycles 2 are the updates L L H L without gradient and then L H
 * with: here the former are put together from a recursion (L L H) and the z_L of a shorter one (L). */
START_TEST(test_models_one_step_gradient_learns_from_two_updates_alone) {
    enum { Z_H, Z_L };
    static const char *const pair[] = {"trm", "hrm"};
    double expected[B * S * V], logits[B * S * V];
    for (int i = 0; i < 2; i++) {
        reel_model_config c = small(pair[i]);
        c.one_step_gradient = true;
        bench whole = bench_of(&c);
        c.H_cycles = 1;
        bench recursion = bench_of(&c);
        c.L_cycles = 1;
        bench last = bench_of(&c);
        think(&recursion);
        for (int z = Z_H; z <= Z_L; z++)
            reel_copy(ctx, last.latents.z[z], recursion.latents.z[z]);
        think(&last);
        reel_copy(ctx, last.latents.z[Z_H], recursion.latents.z[Z_H]);
        differentiate(&whole, logits);
        differentiate(&last, expected);
        ck_assert_mem_eq(logits, expected, sizeof logits);
        expect_same_gradients(&whole, &last);
        bench_free(&whole);
        bench_free(&recursion);
        bench_free(&last);
    }
}
END_TEST

/* Of the six latents each update of a recursion has its own. */
START_TEST(test_models_hier6_updates_one_latent_after_another) {
    const reel_model_config c = small("trm_hier6"); /* with two updates in a recursion */
    const bool expected[] = {true, true, true, false, false, false, false};
    bench b = bench_of(&c);
    const reel_outputs out = reel_model_forward(ctx, b.model, b.inputs, b.puzzle_rows, b.latents);
    for (int i = 0; i < reel_model_latent_count(b.model); i++)
        ck_assert_int_eq(out.latents.z[i] != b.latents.z[i], expected[i]);
    end_tape();
    bench_free(&b);
}
END_TEST

/* Updates that do nothing but write down what they are asked for: L0, L1, ... and H, in lower case without
 * gradient. */
static char asked[64];

static reel_latents spy(const reel_model *model, const char *what, reel_latents s) {
    const reel_network *const net = reel_model_network(model, REEL_L_LEVEL);
    s.z[0] = reel_network_apply(ctx, net, s.z, 1);
    const char name[] = {what[0], reel_needs_grad(s.z[0]) ? '+' : '-', what[1], '\0'};
    strcat(asked, name);
    return s;
}

static reel_latents spy_latent(reel_context *context, const reel_model *model, int64_t i, reel_tensor *x,
                               reel_latents s) {
    (void)context;
    (void)x;
    const char what[] = {'L', (char)('0' + i), '\0'};
    return spy(model, what, s);
}

static reel_latents spy_answer(reel_context *context, const reel_model *model, reel_latents s) {
    (void)context;
    return spy(model, "H", s);
}

START_TEST(test_models_recursion_updates_in_order_and_with_gradient_at_its_end) {
    const reel_trm_updates spies = {spy_latent, spy_answer};
    for (int one_step = 0; one_step < 2; one_step++) {
        reel_model_config c = small("trm");
        c.L_cycles = 3;
        c.one_step_gradient = one_step;
        bench b = bench_of(&c);
        asked[0] = '\0';
        reel_deep_recursion(ctx, b.model, &spies, b.latents.z[1], b.latents);
        ck_assert_str_eq(asked, one_step ? "L-0L-1L-2H-L-0L-1L+2H+" : "L-0L-1L-2H-L+0L+1L+2H+");
        end_tape();
        bench_free(&b);
    }
}
END_TEST

/* Copies every weight of L_level into the H_level of the same model. */
static void tie(const bench *b) {
    const reel_parameters *const p = reel_model_parameters(b->model);
    for (int i = 0; i < reel_parameters_count(p); i++) {
        char name[128];
        strcpy(name, reel_parameters_name(p, i));
        char *const level = strstr(name, "H_level");
        if (!level)
            continue;
        *level = 'L';
        reel_copy(ctx, reel_parameters_at(p, i), reel_parameters_find(p, name));
    }
}

/* Two networks with the same weights compute what one does, and their gradients add up to its gradient. */
START_TEST(test_models_separate_networks_share_the_gradient_of_one) {
    static const char *const pair[] = {"trm", "trm_hier6"};
    static const char *const parts[] = {"mlp.gate_up_proj", "mlp.down_proj", "self_attn.qkv_proj",
                                        "self_attn.o_proj"};
    double expected[B * S * V], logits[B * S * V];
    for (int i = 0; i < 2; i++) {
        reel_model_config c = small(pair[i]);
        bench one = bench_of(&c);
        c.separate_networks = true;
        bench two = bench_of(&c);
        const reel_parameters *const p = reel_model_parameters(one.model);
        for (int j = 0; j < reel_parameters_count(p); j++)
            reel_copy(ctx, reel_parameters_find(reel_model_parameters(two.model), reel_parameters_name(p, j)),
                      reel_parameters_at(p, j));
        tie(&two);
        differentiate(&one, expected);
        differentiate(&two, logits);
        ck_assert_mem_eq(logits, expected, sizeof logits);
        for (int j = 0; j < 4; j++) {
            char L[128], H[128];
            snprintf(L, sizeof L, "inner.L_level.layers.0.%s.weight", parts[j]);
            snprintf(H, sizeof H, "inner.H_level.layers.0.%s.weight", parts[j]);
            const double *const whole = gradient(&one, L), *const latent = gradient(&two, L),
                                *const answer = gradient(&two, H);
            double largest = 0;
            for (int64_t k = 0; k < reel_elements(reel_parameters_find(p, L)); k++) {
                ck_assert_double_eq_tol(latent[k] + answer[k], whole[k], 1e-12);
                largest = fmax(largest, fmin(fabs(latent[k]), fabs(answer[k])));
            }
            ck_assert_double_gt(largest, 1e-3); /* neither is idle */
        }
        bench_free(&one);
        bench_free(&two);
    }
}
END_TEST

/* ---- supervision steps ------------------------------------------------------------------------------- */

/* Two steps of training with the q head held at these values. */
typedef struct outcome {
    int halted; /* rows, after the first step */
    double q_continue_loss;
    double continue_gradient; /* of the continue head's bias */
} outcome;

static outcome train(const reel_model_config *config, double q_halt, double q_continue) {
    static const int32_t inputs[B * S] = {1, 2, 3, 4, 4, 3, 2, 1, 0, 1, 0, 1}, identifiers[B] = {0, 1, 0};
    reel_model *const model = built(config);
    reel_carry *const carry = reel_carry_new(ctx, model, B);
    ck_assert_ptr_nonnull(carry);
    reel_tensor *const bias = reel_parameters_find(reel_model_parameters(model), "inner.q_head.bias");
    reel_write(ctx, bias, (const double[]){q_halt, q_continue}, 2 * sizeof(double));
    outcome o = {0};
    for (uint32_t step = 1; step <= 2; step++) {
        reel_carry_offer(ctx, carry, inputs, inputs, identifiers);
        reel_carry_explore(ctx, model, carry, step);
        const reel_act_result r = reel_act_step(ctx, model, carry, REEL_ACT_TRAIN);
        if (step == 1) {
            uint8_t halted[B];
            reel_read(ctx, carry->halted, halted, sizeof halted);
            o.halted = halted[0] + halted[1] + halted[2];
            o.q_continue_loss = reel_item(ctx, r.q_continue_loss);
        }
        reel_backward(ctx, r.loss);
        end_tape();
    }
    o.continue_gradient = ((const double *)reel_grad(ctx, bias)->data)[1];
    reel_carry_free(ctx, carry);
    reel_model_free(model);
    return o;
}

START_TEST(test_models_halt_against_zero_or_against_the_continue_head) {
    for (int i = 0; i < ARCHITECTURES; i++) {
        for (int no_continue = 0; no_continue < 2; no_continue++) {
            reel_model_config c = small(architectures[i]);
            c.no_ACT_continue = no_continue;
            /* the baseline looks at its continue head even where nothing trains it */
            const bool against_zero = no_continue && strcmp(architectures[i], "transformers_baseline") != 0;
            ck_assert_int_eq(train(&c, 1, 2).halted, against_zero ? B : 0);
            ck_assert_int_eq(train(&c, -2, -3).halted, against_zero ? 0 : B);
            ck_assert_int_eq(train(&c, -2, -1).halted, 0);
            ck_assert_int_eq(train(&c, 2, 1).halted, B);
            c.act_enabled = false;
            ck_assert_int_eq(train(&c, 2, 1).halted, 0);
        }
    }
}
END_TEST

START_TEST(test_models_train_the_continue_head_only_where_asked) {
    for (int i = 0; i < ARCHITECTURES; i++) {
        reel_model_config c = small(architectures[i]);
        ck_assert_int_eq(c.no_ACT_continue, strcmp(architectures[i], "hrm") != 0);
        c.no_ACT_continue = true;
        outcome o = train(&c, -2, -1);
        ck_assert_double_eq(o.q_continue_loss, 0);
        ck_assert_double_eq(o.continue_gradient, 0);
        c.no_ACT_continue = false;
        o = train(&c, -2, -1);
        /* the target is sigmoid(max(q_halt, q_continue)) of the next step, -1 for these heads */
        const double target = 1 / (1 + exp(1));
        ck_assert_double_eq_tol(o.q_continue_loss, B * (log1p(exp(-1)) + target), 1e-12);
        c.halt_max_steps = 1; /* no step to go on to */
        ck_assert_double_eq(train(&c, -2, -1).q_continue_loss, 0);
    }
}
END_TEST

/* ---- what is refused --------------------------------------------------------------------------------- */

static void expect_refused(const reel_model_config *config, const char *message) {
    ck_assert_ptr_null(reel_model_new(ctx, config));
    ck_assert_str_eq(reel_context_message(ctx), message);
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_ERROR_ARGUMENT);
}

START_TEST(test_models_refuse_by_name_what_they_cannot_take) {
    reel_model_config c = small("trm_hier7");
    expect_refused(&c, "model trm_hier7: arch is none that this build knows");
    c = small("trm");
    c.arch = NULL;
    expect_refused(&c, "model (none): arch is none that this build knows");
    for (int i = 0; i < ARCHITECTURES; i++) {
        char message[128];
        c = small(architectures[i]);
        c.hidden_size = 10;
        snprintf(message, sizeof message,
                 "model %s: rotary positions need an even head size, hidden_size / num_heads is odd",
                 architectures[i]);
        expect_refused(&c, message);
    }
    c = small("trm_hier6");
    c.L_cycles = 7;
    expect_refused(&c, "model trm_hier6: L_cycles must be at most 6, the number of latents");
    c = small("hrm");
    c.H_layers = 0;
    expect_refused(&c, "model hrm: H_layers must be at least 1 and at most 1024");
    c = small("trm");
    c.L_layers = 1025;
    expect_refused(&c, "model trm: L_layers must be at least 1 and at most 1024");
    c.L_layers = 1;
    c.H_cycles = 0;
    expect_refused(&c, "model trm: H_cycles and L_cycles must be at least 1 and at most 2^24");
    c = small("trm_singlez");
    c.separate_networks = true;
    expect_refused(&c, "model trm_singlez: separate_networks needs an answer apart from the latent");
    c = small("hrm");
    c.separate_networks = false;
    expect_refused(&c, "model hrm: separate_networks cannot be off; trm has one network");
    c = small("transformers_baseline");
    c.mlp_t = true;
    expect_refused(&c, "model transformers_baseline: mlp_t cannot be on, it mixes tokens by attention");
}
END_TEST

/* As published: the baseline has no cycles and no L_level, and TRM no H_level of its own. */
START_TEST(test_models_ignore_sizes_that_mean_nothing_to_them) {
    reel_model_config c = small("transformers_baseline");
    c.H_cycles = c.L_cycles = c.L_layers = 0;
    reel_model_free(built(&c));
    c = small("trm");
    c.H_layers = 0;
    reel_model_free(built(&c));
}
END_TEST

int main(void) {
    TCase *const tests = tcase_create("models");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_models_have_the_published_number_of_parameters);
    tcase_add_test(tests, test_models_name_networks_and_latents_as_published);
    tcase_add_test(tests, test_models_hold_no_puzzle_token_beyond_need);
    tcase_add_test(tests, test_models_gradients_match_differences);
    tcase_add_test(tests, test_models_learn_from_the_last_recursion_alone);
    tcase_add_test(tests, test_models_one_step_gradient_learns_from_two_updates_alone);
    tcase_add_test(tests, test_models_hier6_updates_one_latent_after_another);
    tcase_add_test(tests, test_models_recursion_updates_in_order_and_with_gradient_at_its_end);
    tcase_add_test(tests, test_models_separate_networks_share_the_gradient_of_one);
    tcase_add_test(tests, test_models_halt_against_zero_or_against_the_continue_head);
    tcase_add_test(tests, test_models_train_the_continue_head_only_where_asked);
    tcase_add_test(tests, test_models_refuse_by_name_what_they_cannot_take);
    tcase_add_test(tests, test_models_ignore_sizes_that_mean_nothing_to_them);
    Suite *const suite = suite_create("models");
    suite_add_tcase(suite, tests);
    SRunner *const runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
