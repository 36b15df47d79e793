/* Training steps of networks that are no TRM, a small GPT and a GRU written from public ops, against what
 * PyTorch computes in float64.
 *
 * tests/steps_from_pytorch.py writes the files and states the networks in PyTorch's words. Keys: init.* the
 * parameters before, batch.K.* what step K is shown, loss.K its loss, grad.* the gradients of step 0, final.*
 * the parameters after the last step. Errors are max|a-b| / max|b| per tensor.
 *
 * B batch, T tokens, D hidden, H heads, V vocabulary */
#include <reel/autograd.h>
#include <reel/ops.h>
#include <reel/optim.h>

#include "reference_file.h"

#include <check.h>
#include <stdarg.h>
#include <string.h>

enum { STEPS = 3, MAX_PARAMETERS = 40, NAME_BYTES = 64 };

/* As in steps_from_pytorch.py. */
static const double lr = 0.01;
static const reel_optimizer_options adamw = {
    .kind = REEL_ADAM_W, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-2, .weight_decay = 0.1};

typedef struct training {
    reel_context *ctx;
    reel_safetensors *file;
    reel_dtype dtype; /* of the activations; parameters are f64 for f64, else f32 */
    reel_parameters *parameters;
    reel_tensor *slots[MAX_PARAMETERS];
    reel_optimizer *optimizer;
} training;

typedef reel_tensor *loss_fn(const training *t, int64_t step);

/* ---- the words that both networks are written in ------------------------------------------------------ */

/* The parameter PREFIX.NAME, in the dtype of the activations. */
static reel_tensor *parameter(const training *t, const char *prefix, const char *name) {
    char full[2 * NAME_BYTES];
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    reel_tensor *p = reel_parameters_find(t->parameters, full);
    ck_assert_msg(p != NULL, "%s: no such parameter", full);
    return reel_cast(t->ctx, p, t->dtype);
}

/* What step `step` is shown, owned until the context is freed. */
static reel_tensor *shown(const training *t, int64_t step, const char *name, reel_dtype dtype) {
    char key[NAME_BYTES];
    reel_error error = {0};
    snprintf(key, sizeof key, "batch.%lld.%s", (long long)step, name);
    const reel_safetensors_entry *entry = reel_safetensors_find(t->file, key);
    ck_assert_msg(entry != NULL, "%s: missing", key);
    reel_tensor *x = reel_tensor_new(t->ctx, dtype, entry->rank, entry->shape);
    ck_assert_msg(reel_safetensors_load(t->ctx, t->file, key, x, &error) == REEL_OK, "%s", error.message);
    return x;
}

static reel_tensor *linear(const training *t, reel_tensor *x, const char *prefix) {
    return reel_linear(t->ctx, x, parameter(t, prefix, "weight"), parameter(t, prefix, "bias"));
}

static reel_tensor *layer_norm(const training *t, reel_tensor *x, const char *prefix) {
    const double eps = 1e-5; /* PyTorch's */
    return reel_layer_norm(t->ctx, x, parameter(t, prefix, "weight"), parameter(t, prefix, "bias"), -1, eps);
}

/* ---- GPT ----------------------------------------------------------------------------------------------- */

/* x (B, T, D) -> (B, T, D) */
static reel_tensor *causal_attention(const training *t, reel_tensor *x, const char *prefix) {
    enum { H = 2, TOKENS = 1, HEADS = 2 };
    reel_context *ctx = t->ctx;
    const int64_t B = x->shape[0], T = x->shape[1], D = x->shape[2];
    reel_tensor *qkv = reel_linear(ctx, x, parameter(t, prefix, "qkv.weight"), NULL); /* (B, T, 3 D) */
    reel_tensor *part[3] = {0};
    reel_split(ctx, qkv, -1, (const int64_t[]){D, D, D}, 3, part);
    for (int i = 0; i < 3; i++) {
        part[i] = reel_reshape(ctx, part[i], REEL_SHAPE(B, T, H, D / H));
        part[i] = reel_transpose(ctx, part[i], TOKENS, HEADS); /* (B, H, T, d) */
    }
    reel_tensor *y = reel_scaled_dot_product_attention(ctx, part[0], part[1], part[2], NULL, REEL_CAUSAL);
    return reel_reshape(ctx, reel_transpose(ctx, y, TOKENS, HEADS), REEL_SHAPE(B, T, D));
}

static reel_tensor *gpt_block(const training *t, reel_tensor *x, int layer) {
    static const char *const parts[] = {"norm_1", "project", "norm_2", "up", "down"};
    enum { NORM_1, PROJECT, NORM_2, UP, DOWN, PARTS };
    char block[NAME_BYTES], name[PARTS][NAME_BYTES + 16];
    snprintf(block, sizeof block, "blocks.%d", layer);
    for (int i = 0; i < PARTS; i++)
        snprintf(name[i], sizeof name[i], "%s.%s", block, parts[i]);
    reel_tensor *mixed = causal_attention(t, layer_norm(t, x, name[NORM_1]), block);
    x = reel_add(t->ctx, x, linear(t, mixed, name[PROJECT]));
    reel_tensor *inner = reel_gelu(t->ctx, linear(t, layer_norm(t, x, name[NORM_2]), name[UP]));
    return reel_add(t->ctx, x, linear(t, inner, name[DOWN]));
}

/* The token embeddings are also the map to the logits, and get both gradients. */
static reel_tensor *gpt_loss(const training *t, int64_t step) {
    enum { LAYERS = 2 };
    reel_context *ctx = t->ctx;
    reel_tensor *tokens = parameter(t, "tokens", "weight");                              /* (V, D) */
    reel_tensor *x = reel_embedding(ctx, tokens, shown(t, step, "inputs", REEL_I32), 1); /* (B, T, D) */
    x = reel_add(ctx, x, parameter(t, "positions", "weight"));
    for (int layer = 0; layer < LAYERS; layer++)
        x = gpt_block(t, x, layer);
    reel_tensor *logits = reel_linear(ctx, layer_norm(t, x, "norm"), tokens, NULL); /* (B, T, V) */
    reel_tensor *losses = reel_softmax_cross_entropy(ctx, logits, shown(t, step, "labels", REEL_I32));
    return reel_mean(ctx, losses, NULL, 0, 0);
}

/* ---- GRU ----------------------------------------------------------------------------------------------- */

/* h' = (1 - z) n + z h, n = tanh(in_n + r hidden_n), (r, z) = sigmoid(in + hidden); in and hidden (B, 3 D) */
static reel_tensor *gru_cell(reel_context *ctx, reel_tensor *in, reel_tensor *hidden, reel_tensor *h) {
    enum { RESET, UPDATE, NEW, GATES };
    const int64_t D = h->shape[1], widths[GATES] = {D, D, D};
    reel_tensor *a[GATES] = {0}, *b[GATES] = {0};
    reel_split(ctx, in, -1, widths, GATES, a);
    reel_split(ctx, hidden, -1, widths, GATES, b);
    reel_tensor *r = reel_sigmoid(ctx, reel_add(ctx, a[RESET], b[RESET]));
    reel_tensor *z = reel_sigmoid(ctx, reel_add(ctx, a[UPDATE], b[UPDATE]));
    reel_tensor *n = reel_tanh(ctx, reel_add(ctx, a[NEW], reel_mul(ctx, r, b[NEW])));
    return reel_add(ctx, n, reel_mul(ctx, z, reel_sub(ctx, h, n)));
}

static reel_tensor *gru_loss(const training *t, int64_t step) {
    enum { MAX_T = 16, TOKENS = 1 };
    reel_context *ctx = t->ctx;
    reel_tensor *x = shown(t, step, "inputs", t->dtype); /* (B, T, in) */
    reel_tensor *in =
        reel_linear(ctx, x, parameter(t, "gru", "weight_ih_l0"), parameter(t, "gru", "bias_ih_l0"));
    reel_tensor *weight = parameter(t, "gru", "weight_hh_l0"), *bias = parameter(t, "gru", "bias_hh_l0");
    const int64_t B = x->shape[0], T = x->shape[1], D = weight->shape[1];
    ck_assert_int_le(T, MAX_T);
    reel_tensor *h = reel_tensor_new(ctx, t->dtype, REEL_SHAPE(B, D)), *all[MAX_T];
    for (int64_t i = 0; i < T; i++) {
        reel_tensor *now = reel_reshape(ctx, reel_narrow(ctx, in, TOKENS, i, 1), REEL_SHAPE(B, 3 * D));
        h = all[i] = gru_cell(ctx, now, reel_linear(ctx, h, weight, bias), h);
    }
    reel_tensor *logits = linear(t, reel_stack(ctx, all, (int)T, TOKENS), "out"); /* (B, T, out) */
    reel_tensor *targets = shown(t, step, "targets", t->dtype);
    return reel_mean(ctx, reel_binary_cross_entropy_with_logits(ctx, logits, targets), NULL, 0, 0);
}

/* ---- training ------------------------------------------------------------------------------------------ */

/* The parameters are those that the file has. */
static void load_parameters(training *t) {
    static const char prefix[] = "init.";
    const size_t skip = sizeof prefix - 1;
    int count = 0;
    t->parameters = reel_parameters_new(t->ctx, t->dtype == REEL_F64 ? REEL_F64 : REEL_F32);
    for (int64_t i = 0; i < reel_safetensors_count(t->file); i++) {
        const reel_safetensors_entry *entry = reel_safetensors_at(t->file, i);
        if (strncmp(entry->name, prefix, skip) != 0)
            continue;
        ck_assert_int_lt(count, MAX_PARAMETERS);
        reel_parameter(t->parameters, &t->slots[count++], entry->name + skip, entry->rank, entry->shape,
                       reel_init_zeros());
    }
    ck_assert_msg(reel_parameters_build(t->parameters) == REEL_OK, "%s", reel_context_message(t->ctx));
    for (int i = 0; i < count; i++) {
        char key[2 * NAME_BYTES];
        reel_error error = {0};
        snprintf(key, sizeof key, "%s%s", prefix, reel_parameters_name(t->parameters, i));
        ck_assert_msg(reel_safetensors_load(t->ctx, t->file, key, t->slots[i], &error) == REEL_OK, "%s",
                      error.message);
    }
    reel_parameters_touch(t->parameters);
}

static training begin(const char *path, reel_dtype dtype) {
    training t = {.dtype = dtype};
    reel_error error = {0};
    ck_assert_msg(reel_context_new(&t.ctx, NULL, &error) == REEL_OK, "%s", error.message);
    ck_assert_msg(reel_safetensors_open(&t.file, path, &error) == REEL_OK, "%s", error.message);
    load_parameters(&t);
    t.optimizer = reel_optimizer_new(t.parameters, &adamw);
    return t;
}

static void end(training *t) {
    reel_optimizer_free(t->optimizer);
    reel_parameters_free(t->parameters);
    reel_safetensors_close(t->file);
    reel_context_free(t->ctx);
}

/* The worst relative errors. */
typedef struct errors {
    double loss, gradient, parameter;
} errors;

typedef enum compared { GRADIENTS, VALUES } compared;

/* Over all parameters. */
static double worst_of_all(const training *t, compared what) {
    double worst = 0;
    for (int i = 0; i < reel_parameters_count(t->parameters); i++) {
        char key[2 * NAME_BYTES];
        const reel_tensor *ours = what == GRADIENTS ? reel_grad(t->ctx, t->slots[i]) : t->slots[i];
        snprintf(key, sizeof key, "%s.%s", what == GRADIENTS ? "grad" : "final",
                 reel_parameters_name(t->parameters, i));
        worsen(&worst, reference_error(t->ctx, t->file, key, ours, 0, NULL));
    }
    return worst;
}

static errors train(const char *path, loss_fn *loss_of, reel_dtype dtype) {
    training t = begin(path, dtype);
    errors worst = {0};
    for (int64_t step = 0; step < STEPS; step++) {
        char key[NAME_BYTES];
        snprintf(key, sizeof key, "loss.%lld", (long long)step);
        reel_tensor *loss = loss_of(&t, step);
        ck_assert_msg(reel_context_status(t.ctx) == REEL_OK, "%s", reel_context_message(t.ctx));
        worsen(&worst.loss, reference_error(t.ctx, t.file, key, loss, 0, NULL));
        reel_backward(t.ctx, loss);
        if (step == 0)
            worst.gradient = worst_of_all(&t, GRADIENTS);
        reel_optimizer_step(t.optimizer, lr);
        ck_assert_msg(reel_context_status(t.ctx) == REEL_OK, "%s", reel_context_message(t.ctx));
        reel_tape_reset(t.ctx);
    }
    worst.parameter = worst_of_all(&t, VALUES);
    end(&t);
    return worst;
}

/* ---- tests --------------------------------------------------------------------------------------------- */

static const struct {
    const char *path;
    loss_fn *loss;
} networks[] = {{"tests/fixtures/gpt_steps.safetensors", gpt_loss},
                {"tests/fixtures/gru_steps.safetensors", gru_loss}};
enum { NETWORKS = sizeof networks / sizeof networks[0] };

static void expect_steps(int network, reel_dtype dtype, double epsilon, errors limit) {
    const errors got = train(networks[network].path, networks[network].loss, dtype);
    ck_assert_msg(got.loss <= limit.loss * epsilon && got.gradient <= limit.gradient * epsilon &&
                      got.parameter <= limit.parameter * epsilon,
                  "%s in %s: loss off by %.1e, gradients by %.1e, parameters by %.1e", networks[network].path,
                  reel_dtype_name(dtype), got.loss, got.gradient, got.parameter);
}

/* In epsilons. A loss comes of some dozen rounded operations in a row, a gradient of twice as many, and the
 * least of them are small differences of larger numbers: 17 epsilons were seen. A parameter moves by a
 * hundredth of what its gradient moves by. */
static const errors wide_limits = {.loss = 8, .gradient = 64, .parameter = 8};
/* In bf16 an op rounds but once, at its end, and losses and parameters are f32: 0.2, 4 and 0.1 were seen. */
static const errors bf16_limits = {.loss = 1, .gradient = 10, .parameter = 0.5};

START_TEST(test_steps_agree_with_pytorch_in_f64) {
    expect_steps(_i, REEL_F64, 0x1p-52, wide_limits);
}
END_TEST

START_TEST(test_steps_agree_with_pytorch_in_f32) {
    expect_steps(_i, REEL_F32, 0x1p-23, wide_limits);
}
END_TEST

START_TEST(test_steps_agree_with_pytorch_in_bf16) {
    expect_steps(_i, REEL_BF16, 0x1p-7, bf16_limits);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("steps");
    TCase *tcase = tcase_create("steps");
    tcase_add_loop_test(tcase, test_steps_agree_with_pytorch_in_f64, 0, NETWORKS);
    tcase_add_loop_test(tcase, test_steps_agree_with_pytorch_in_f32, 0, NETWORKS);
    tcase_add_loop_test(tcase, test_steps_agree_with_pytorch_in_bf16, 0, NETWORKS);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
