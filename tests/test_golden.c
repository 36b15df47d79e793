/* Golden trajectories: five training steps of TRM and its relatives as PyTorch computes them in float64.
 *
 *     REEL_GOLDEN=DIR test_golden [NAME ...]
 *
 * runs every *.safetensors in DIR, or those named, building the model from the configuration in the file's
 * metadata, in f64, f32 and bf16, and prints one line per file. REEL_TEST_DEVICE=cuda has them run on the
 * GPU. Exits 1 on any FAIL, 77 (skipped) where there is no DIR or no GPU.
 *
 * Keys of a file: init.* and buf.* the state before, batch.K.* what step K is offered, step.K.* what it
 * gives, grad.* the gradients of step 0, final.* and ema.* the state after. Errors are max|a-b| / max|b| per
 * tensor. golden_from_pytorch.py makes such files with the published code. */
#include <reel/act.h>
#include <reel/autograd.h>
#include <reel/optim.h>
#include <reel/safetensors.h>

#include "reference_file.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77, NAME_BYTES = 256 };

static reel_context_options options = {.device = REEL_CPU};

static const double f64_tolerance = 1e-9;  /* rounding of a few thousand operations in f64 */
static const double f32_tolerance = 2e-3;  /* the same in f32, grown by the recursion */
static const double f32_share = 0.999;     /* atan2 turns a gradient of rounding noise into a full step */
static const double bf16_tolerance = 0.03; /* 8 bits of mantissa */
/* Some trajectories multiply a disturbance until nobody can follow them in f32 (PyTorch's own f32 leaves
 * trm_mlp by 0.25 in the logits of the fifth step). How much is measured: the f64 run is repeated from
 * parameters moved by a rounding of f32. Where that alone breaks the bar, f32 may do this many times as much,
 * because it rounds in every operation and not once. The first step is held to the bar in any case. */
static const double roundings = 8;

/* The worst over a trajectory. */
typedef struct report {
    double logits, losses, gradients, parameters, ema;
    double first_logits, first_losses; /* of step 0 alone */
    double first_loss;                 /* relative error of step 0's trained loss */
    int64_t elements, agreeing;        /* parameter elements after the steps, those within f32_tolerance */
    int states_differ;                 /* steps, halted or correct */
} report;

typedef struct trajectory {
    const reel_safetensors *file;
    reel_model_config config;
    int64_t batch_size, steps;
    double lr, puzzle_emb_lr, puzzle_emb_weight_decay;
    reel_optimizer_options optimizer;
} trajectory;

/* ---- the file ------------------------------------------------------------------------------------------ */

static double number(const cJSON *object, const char *key, double absent) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (cJSON_IsBool(item))
        return cJSON_IsTrue(item);
    return cJSON_IsNumber(item) ? item->valuedouble : absent;
}

static const char *word(const cJSON *object, const char *key, const char *absent) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : absent;
}

static void read_config(const cJSON *json, trajectory *t) {
    reel_model_config *c = &t->config;
    *c = reel_model_config_default(word(json, "arch", "unnamed"));
    c->seq_len = (int64_t)number(json, "seq_len", 0);
    c->vocab_size = (int64_t)number(json, "vocab_size", 0);
    c->num_puzzle_identifiers = (int64_t)number(json, "num_puzzle_identifiers", 0);
    c->hidden_size = (int64_t)number(json, "hidden_size", 0);
    c->num_heads = (int64_t)number(json, "num_heads", 0);
    c->expansion = number(json, "expansion", 0);
    c->H_cycles = (int64_t)number(json, "H_cycles", 0);
    c->L_cycles = (int64_t)number(json, "L_cycles", 0);
    c->H_layers = (int64_t)number(json, "H_layers", 0);
    c->L_layers = (int64_t)number(json, "L_layers", 0);
    c->puzzle_emb_ndim = (int64_t)number(json, "puzzle_emb_ndim", 0);
    c->puzzle_emb_len = (int64_t)number(json, "puzzle_emb_len", c->puzzle_emb_len);
    c->mlp_t = number(json, "mlp_t", 0) != 0;
    c->rope_theta = number(json, "rope_theta", c->rope_theta);
    c->rms_norm_eps = number(json, "rms_norm_eps", c->rms_norm_eps);
    c->round_width = (int64_t)number(json, "round_width", (double)c->round_width);
    c->halt_max_steps = (int64_t)number(json, "halt_max_steps", 0);
    c->halt_exploration_prob = number(json, "halt_exploration_prob", 0);
    c->act_enabled = number(json, "act_enabled", c->act_enabled) != 0;
    c->no_ACT_continue = number(json, "no_ACT_continue", c->no_ACT_continue) != 0;
    c->one_step_gradient = number(json, "one_step_gradient", c->one_step_gradient) != 0;
    c->separate_networks = number(json, "separate_networks", c->separate_networks) != 0;
    const char *positions = word(json, "pos_encodings", "none");
    c->pos_encodings = strcmp(positions, "rope") == 0      ? REEL_POS_ROPE
                       : strcmp(positions, "learned") == 0 ? REEL_POS_LEARNED
                                                           : REEL_POS_NONE;
    const char *loss = word(json, "loss_type", "stablemax_cross_entropy");
    c->loss_type = strcmp(loss, "softmax_cross_entropy") == 0 ? REEL_LOSS_SOFTMAX : REEL_LOSS_STABLEMAX;
    t->batch_size = (int64_t)number(json, "batch_size", 0);
}

static void read_train(const cJSON *json, trajectory *t) {
    const char *optimizer = word(json, "optimizer", "adam_atan2");
    t->steps = (int64_t)number(json, "steps", 0);
    t->lr = number(json, "lr", 0);
    t->puzzle_emb_lr = number(json, "puzzle_emb_lr", 0);
    t->puzzle_emb_weight_decay = number(json, "puzzle_emb_weight_decay", 0);
    t->optimizer = (reel_optimizer_options){
        .kind = strcmp(optimizer, "adamw") == 0 ? REEL_ADAM_W : REEL_ADAM_ATAN2,
        .beta1 = number(json, "beta1", 0),
        .beta2 = number(json, "beta2", 0),
        .eps = number(json, "adamw_eps", 1e-8),
        .weight_decay = number(json, "weight_decay", 0),
        .ema_rate = number(json, "ema_rate", 0),
    };
}

/* ---- comparing ----------------------------------------------------------------------------------------- */

/* Error of `ours` against the golden tensor `key`; r, if not NULL, counts the elements. */
static double compare(reel_context *ctx, const trajectory *t, const char *key, const reel_tensor *ours,
                      report *r) {
    if (r)
        r->elements += reel_elements(ours);
    return reference_error(ctx, t->file, key, ours, f32_tolerance, r ? &r->agreeing : NULL);
}

static void compare_step(reel_context *ctx, const trajectory *t, int64_t k, const reel_act_result *result,
                         const reel_carry *carry, report *r) {
    const struct {
        const char *name;
        const reel_tensor *ours;
        double *worst;
    } values[] = {
        {"logits", result->outputs.logits, &r->logits},
        {"q_halt", result->outputs.q_halt, &r->logits},
        {"q_continue", result->outputs.q_continue, &r->logits},
        {"lm_loss", result->lm_loss, &r->losses},
        {"q_halt_loss", result->q_halt_loss, &r->losses},
        {"q_continue_loss", result->q_continue_loss, &r->losses},
    };
    char key[NAME_BYTES];
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        snprintf(key, sizeof key, "step.%lld.%s", (long long)k, values[i].name);
        worsen(values[i].worst, compare(ctx, t, key, values[i].ours, NULL));
    }
    const struct {
        const char *name;
        const reel_tensor *ours;
    } states[] = {{"steps", carry->steps}, {"halted", carry->halted}, {"correct", result->correct}};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        snprintf(key, sizeof key, "step.%lld.%s", (long long)k, states[i].name);
        r->states_differ += compare(ctx, t, key, states[i].ours, NULL) != 0;
    }
    if (k > 0)
        return;
    r->first_logits = r->logits;
    r->first_losses = r->losses;
    int64_t count;
    double *lm = reference_values(ctx, t->file, "step.0.lm_loss", &count);
    double *halt = reference_values(ctx, t->file, "step.0.q_halt_loss", &count);
    double *go_on = reference_values(ctx, t->file, "step.0.q_continue_loss", &count);
    const double expected = (*lm + 0.5 * (*halt + (go_on ? *go_on : 0))) / (double)t->batch_size;
    r->first_loss = fabs(reel_item(ctx, result->loss) - expected) / fabs(expected);
    free(lm);
    free(halt);
    free(go_on);
}

/* ---- one trajectory ------------------------------------------------------------------------------------ */

typedef struct run {
    reel_context *ctx;
    reel_model *model;
    reel_carry *carry;
    reel_optimizer *optimizer;
} run;

static void load(const trajectory *t, reel_context *ctx, const char *prefix, const char *name,
                 reel_tensor *to) {
    char key[NAME_BYTES];
    reel_error error = {0};
    snprintf(key, sizeof key, "%s.%s", prefix, name);
    if (reel_safetensors_load(ctx, t->file, key, to, &error) != REEL_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(EXIT_FAILURE);
    }
    reel_touch(to);
}

/* Moves every f64 parameter by up to 2^-21 of itself, a few units in the last place of an f32: no more than
 * rounding does to any computation in f32. */
static void disturb(reel_context *ctx, reel_parameters *p) {
    for (int i = 0; i < reel_parameters_count(p); i++) {
        reel_tensor *values = reel_parameters_at(p, i);
        reel_random r = reel_random_begin(0, (reel_draw){.stream = REEL_STREAM_USER, .index = (uint64_t)i});
        const int64_t n = reel_elements(values);
        double *const x = malloc((size_t)n * sizeof *x);
        if (!x || reel_read(ctx, values, x, (size_t)n * sizeof *x) != REEL_OK)
            exit(EXIT_FAILURE);
        for (int64_t j = 0; j < n; j++)
            x[j] *= 1 + 0x1p-21 * (2 * reel_random_uniform(&r) - 1);
        reel_write(ctx, values, x, (size_t)n * sizeof *x);
        free(x);
    }
}

static run begin(const trajectory *t, reel_dtype dtype) {
    run r = {0};
    reel_error error = {0};
    reel_model_config config = t->config;
    config.forward_dtype = dtype;
    if (reel_context_new(&r.ctx, &options, &error) == REEL_OK)
        r.model = reel_model_new(r.ctx, &config);
    if (!r.model) {
        fprintf(stderr, "%s%s\n", error.message, r.ctx ? reel_context_message(r.ctx) : "");
        exit(EXIT_FAILURE);
    }
    reel_parameters *p = reel_model_parameters(r.model);
    for (int i = 0; i < reel_parameters_count(p); i++)
        load(t, r.ctx, "init", reel_parameters_name(p, i), reel_parameters_at(p, i));
    reel_named_tensor buffers[REEL_MAX_LATENTS + 1];
    const int count = reel_model_buffers(r.model, buffers);
    for (int i = 0; i < count; i++)
        load(t, r.ctx, "buf", buffers[i].name, buffers[i].tensor);
    r.carry = reel_carry_new(r.ctx, r.model, t->batch_size);
    r.optimizer = reel_optimizer_new(p, &t->optimizer);
    return r;
}

static void end(run *r) {
    reel_optimizer_free(r->optimizer);
    reel_carry_free(r->ctx, r->carry);
    reel_model_free(r->model);
    reel_context_free(r->ctx);
}

static void offer(const trajectory *t, const run *r, int64_t k) {
    static const char *const names[] = {"inputs", "labels", "puzzle_identifiers"};
    reel_tensor *const to[] = {r->carry->offered_inputs, r->carry->offered_labels,
                               r->carry->offered_identifiers};
    for (int i = 0; i < 3; i++) {
        char prefix[NAME_BYTES];
        snprintf(prefix, sizeof prefix, "batch.%lld", (long long)k);
        load(t, r->ctx, prefix, names[i], to[i]);
    }
}

static void train_step(const trajectory *t, const run *r, int64_t k, report *out) {
    reel_parameters *p = reel_model_parameters(r->model);
    offer(t, r, k);
    reel_carry_explore(r->ctx, r->model, r->carry, (uint32_t)(k + 1));
    const reel_act_result result = reel_act_step(r->ctx, r->model, r->carry, REEL_ACT_TRAIN);
    if (reel_context_status(r->ctx) == REEL_OK)
        compare_step(r->ctx, t, k, &result, r->carry, out);
    reel_backward(r->ctx, result.loss);
    for (int i = 0; i < reel_parameters_count(p) && k == 0; i++) {
        char key[NAME_BYTES];
        snprintf(key, sizeof key, "grad.%s", reel_parameters_name(p, i));
        worsen(&out->gradients, compare(r->ctx, t, key, reel_grad(r->ctx, reel_parameters_at(p, i)), NULL));
    }
    if (r->carry->puzzle_rows) {
        const reel_tensor *rows = reel_grad(r->ctx, r->carry->puzzle_rows);
        if (k == 0)
            worsen(&out->gradients, compare(r->ctx, t, "grad.puzzle_emb", rows, NULL));
        reel_sign_sgd_rows(r->ctx, reel_model_puzzle_embeddings(r->model), r->carry->puzzle_identifiers, rows,
                           t->puzzle_emb_lr, t->puzzle_emb_weight_decay);
    }
    reel_optimizer_step(r->optimizer, t->lr);
    char message[REEL_MESSAGE_BYTES];
    snprintf(message, sizeof message, "%s", reel_context_message(r->ctx));
    if (reel_tape_reset(r->ctx) != REEL_OK) {
        fprintf(stderr, "step %lld: %s\n", (long long)k, message);
        exit(EXIT_FAILURE);
    }
}

static void compare_final(const trajectory *t, const run *r, report *out) {
    reel_parameters *p = reel_model_parameters(r->model);
    for (int average = 0; average < 2; average++) {
        double *worst = average ? &out->ema : &out->parameters;
        for (int i = 0; i < reel_parameters_count(p); i++) {
            char key[NAME_BYTES];
            snprintf(key, sizeof key, "%s.%s", average ? "ema" : "final", reel_parameters_name(p, i));
            worsen(worst, compare(r->ctx, t, key, reel_parameters_at(p, i), average ? NULL : out));
        }
        reel_optimizer_swap_ema(r->optimizer);
    }
    reel_tensor *puzzle_embeddings = reel_model_puzzle_embeddings(r->model);
    if (puzzle_embeddings)
        worsen(&out->parameters,
               compare(r->ctx, t, "final.inner.puzzle_emb.weights", puzzle_embeddings, out));
}

typedef enum start { AS_GIVEN, DISTURBED } start;

static report replay(const trajectory *t, reel_dtype dtype, int64_t steps, start from) {
    report out = {0};
    run r = begin(t, dtype);
    if (from == DISTURBED)
        disturb(r.ctx, reel_model_parameters(r.model));
    for (int64_t k = 0; k < steps; k++)
        train_step(t, &r, k, &out);
    if (steps == t->steps)
        compare_final(t, &r, &out);
    end(&r);
    return out;
}

/* ---- all of them --------------------------------------------------------------------------------------- */

static int f64_ok(const report *r) {
    const double errors[] = {r->logits, r->losses, r->gradients, r->parameters, r->ema};
    int ok = r->states_differ == 0;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        ok = ok && errors[i] <= f64_tolerance;
    return ok;
}

/* What f32 may err by, given what a mere disturbance of the f64 run does. */
static double bar(double limit, double disturbed) {
    return disturbed <= limit ? limit : roundings * disturbed;
}

static double disagreeing(const report *r) {
    return 1 - (double)r->agreeing / (double)r->elements;
}

static int f32_ok(const report *r, const report *disturbed) {
    return r->first_logits <= f32_tolerance && r->first_losses <= f32_tolerance &&
           r->gradients <= f32_tolerance && r->logits <= bar(f32_tolerance, disturbed->logits) &&
           r->losses <= bar(f32_tolerance, disturbed->losses) &&
           disagreeing(r) <= bar(1 - f32_share, disagreeing(disturbed));
}

/* Runs one trajectory; 0 when it agrees. */
static int check(const char *name, const trajectory *t) {
    printf("%s worst relative error of: ", name);
    const report f64 = replay(t, REEL_F64, t->steps, AS_GIVEN);
    const report disturbed = replay(t, REEL_F64, t->steps, DISTURBED);
    const report f32 = replay(t, REEL_F32, t->steps, AS_GIVEN);
    const report bf16 = replay(t, REEL_BF16, 1, AS_GIVEN);
    const int ok = f64_ok(&f64) && f32_ok(&f32, &disturbed) && bf16.first_loss <= bf16_tolerance;
    printf("logits %.1e, losses %.1e, gradients %.1e, parameters %.1e, EMA %.1e", f64.logits, f64.losses,
           f64.gradients, f64.parameters, f64.ema);
    printf(" (f32: logits %.1e, losses %.1e, gradients %.1e, %.2f %% of parameters", f32.logits, f32.losses,
           f32.gradients, 100 * (1 - disagreeing(&f32)));
    if (disturbed.logits > f32_tolerance)
        printf(", first step's logits %.1e; f64 disturbed by 2^-21: logits %.1e, losses %.1e, %.2f %%",
               f32.first_logits, disturbed.logits, disturbed.losses, 100 * (1 - disagreeing(&disturbed)));
    printf("; bf16: first loss %.2f %%)%s; %s\n", 100 * bf16.first_loss,
           f64.states_differ ? ", halting differs" : "", ok ? "ok" : "FAIL");
    return !ok;
}

static int check_file(const char *folder, const char *name) {
    char path[4096];
    reel_safetensors *file;
    reel_error error = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (reel_safetensors_open(&file, path, &error) != REEL_OK) {
        printf("%s %s; FAIL\n", name, error.message);
        return 1;
    }
    const char *config_text = reel_safetensors_metadata(file, "config");
    const char *train_text = reel_safetensors_metadata(file, "train");
    cJSON *config = config_text ? cJSON_Parse(config_text) : NULL,
          *train = train_text ? cJSON_Parse(train_text) : NULL;
    int failed = 1;
    if (config && train) {
        trajectory t = {.file = file};
        read_config(config, &t);
        read_train(train, &t);
        char title[NAME_BYTES];
        snprintf(title, sizeof title, "%.*s", (int)(strlen(name) - strlen(".safetensors")), name);
        failed = check(title, &t);
    } else {
        printf("%s has no config and train in its metadata; FAIL\n", name);
    }
    fflush(stdout);
    cJSON_Delete(config);
    cJSON_Delete(train);
    reel_safetensors_close(file);
    return failed;
}

static int is_trajectory(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".safetensors") == 0;
}

/* Whether the file is among the names, which leave its ending out. */
static bool is_named(const char *file, int n, char *const *names) {
    for (int k = 0; k < n; k++) {
        const size_t length = strlen(names[k]);
        if (strncmp(file, names[k], length) == 0 && strcmp(file + length, ".safetensors") == 0)
            return true;
    }
    return n == 0;
}

static bool there_is_device(void) {
    reel_context *ctx;
    reel_error error = {0};
    const bool there = reel_context_new(&ctx, &options, &error) == REEL_OK;
    if (there)
        reel_context_free(ctx);
    else
        printf("skipped: %s\n", error.message);
    return there;
}

int main(int argc, char **argv) {
    const char *folder = getenv("REEL_GOLDEN"), *device = getenv("REEL_TEST_DEVICE");
    struct dirent **files;
    const int count = folder ? scandir(folder, &files, is_trajectory, alphasort) : 0;
    if (count <= 0) {
        printf("skipped: REEL_GOLDEN names no folder with trajectories\n");
        return SKIPPED;
    }
    if (device && strcmp(device, "cuda") == 0)
        options.device = REEL_CUDA;
    if (!there_is_device())
        return SKIPPED;
    int failed = 0, done = 0;
    for (int i = 0; i < count; i++) {
        if (is_named(files[i]->d_name, argc - 1, argv + 1)) {
            failed += check_file(folder, files[i]->d_name);
            done++;
        }
        free(files[i]);
    }
    free(files);
    if (done == 0)
        printf("no trajectory has such a name; FAIL\n");
    return failed || done == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
