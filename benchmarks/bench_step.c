/* Times a step of TRM on random puzzles, or the matrix products that bound it.
 *
 *     bench_step --arch mlp --hidden 512 --batch 16 --steps 5
 *     bench_step --arch mlp --forward-only
 *     bench_step --gemm-roof --dtype f32
 *     bench_step --device cuda --tune choices.txt
 *
 * A step is one supervision step of training, with gradients, optimizer and moving average, or, with
 * --forward-only, one of evaluation. Printed are the median step with its spread, rows times steps per
 * second, GFLOP/s of the matrix products, the most that the tape holds, peak memory, and, after three steps
 * of warm-up, how often a step asked the system for memory and how many minor page faults it took.
 * On a GPU steps are replayed (reel_replay), unless --eager says otherwise.
 * --steps 0 stops before the first step: what is resident then is no cost of a step. --profile also splits
 * the time by kind of op, on standard error. --gemm-roof prints the GFLOP/s of one large matrix product.
 *
 * --tune FILE measures which algorithms suit the matrix products of such a step on this GPU and keeps the
 * choices in FILE, for --choices FILE and for trm_train gemm_choices=FILE. Nothing else should run meanwhile.
 * With both options only those are measured that are not in the one file, and the other gets all: a second
 * call with --forward-only brings those of an evaluation to those of training. */
#include "gemm_file.h"
#include "profile.h"
#include "timing.h"

#include <reel/act.h>
#include <reel/autograd.h>
#include <reel/nn.h>
#include <reel/ops.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { WARM_UP = 3, ROOF_SIZE = 4096 };

typedef struct settings {
    reel_model_config model;
    int64_t batch, micro_batch, steps, threads;
    reel_device device;
    const char *tune, *choices;
    bool forward_only, eager, gemm_roof, profile, json;
} settings;

static void fail(const char *message) {
    fprintf(stderr, "bench_step: %s\n", message);
    exit(EXIT_FAILURE);
}

/* ---- options ----------------------------------------------------------------------------------------- */

enum {
    ARCH = 1,
    HIDDEN,
    HEADS,
    BATCH,
    MICRO_BATCH,
    SEQ,
    VOCAB,
    PUZZLE_LEN,
    H_CYCLES,
    L_CYCLES,
    ROUND_WIDTH,
    DTYPE,
    STEPS,
    THREADS,
    DEVICE,
    FORWARD_ONLY,
    EAGER,
    GEMM_ROOF,
    TUNE,
    CHOICES,
    PROFILE,
    JSON
};

static const struct argp_option options[] = {
    {"arch", ARCH, "mlp|att", 0, "what mixes tokens (mlp)", 0},
    {"hidden", HIDDEN, "N", 0, "hidden size (512)", 0},
    {"heads", HEADS, "N", 0, "attention heads (8)", 0},
    {"batch", BATCH, "N", 0, "rows (16)", 0},
    {"micro-batch", MICRO_BATCH, "N", 0, "rows whose gradients are taken at once (what suits the device)", 0},
    {"seq", SEQ, "N", 0, "puzzle tokens (81)", 0},
    {"vocab", VOCAB, "N", 0, "different tokens (11)", 0},
    {"puzzle_len", PUZZLE_LEN, "N", 0, "puzzle embedding tokens (16); 0: no puzzle embedding", 0},
    {"H", H_CYCLES, "N", 0, "H_cycles (3)", 0},
    {"L", L_CYCLES, "N", 0, "L_cycles (6)", 0},
    {"round_width", ROUND_WIDTH, "N", 0, "inner widths are multiples of it (256)", 0},
    {"dtype", DTYPE, "f32|bf16|f64", 0, "forward dtype (f32)", 0},
    {"steps", STEPS, "N", 0, "timed steps (5); 0 stops before the first", 0},
    {"threads", THREADS, "N", 0, "threads (all)", 0},
    {"device", DEVICE, "cpu|cuda", 0, "what computes (cpu)", 0},
    {"forward-only", FORWARD_ONLY, NULL, 0, "evaluate, without gradient", 0},
    {"eager", EAGER, NULL, 0, "queue every kernel from the host instead of replaying the step on a GPU", 0},
    {"gemm-roof", GEMM_ROOF, NULL, 0, "time one large matrix product instead of a step", 0},
    {"tune", TUNE, "FILE", 0, "measure algorithms of matrix products, on a GPU, and keep the choices", 0},
    {"choices", CHOICES, "FILE", 0, "take the choices of --tune", 0},
    {"profile", PROFILE, NULL, 0, "split the time of the timed steps by kind of op", 0},
    {"json", JSON, NULL, 0, "one JSON object instead of text", 0},
    {0},
};

static bool mlp_named(struct argp_state *state, const char *name) {
    const bool mlp = strcmp(name, "mlp") == 0;
    if (!mlp && strcmp(name, "att") != 0)
        argp_error(state, "--arch is mlp or att, not '%s'", name);
    return mlp;
}

/* Where the value of an option that takes a size goes; NULL for other options. */
static int64_t *size_of(settings *s, int key) {
    switch (key) {
    case HIDDEN:
        return &s->model.hidden_size;
    case HEADS:
        return &s->model.num_heads;
    case BATCH:
        return &s->batch;
    case MICRO_BATCH:
        return &s->micro_batch;
    case SEQ:
        return &s->model.seq_len;
    case VOCAB:
        return &s->model.vocab_size;
    case PUZZLE_LEN:
        return &s->model.puzzle_emb_len;
    case H_CYCLES:
        return &s->model.H_cycles;
    case L_CYCLES:
        return &s->model.L_cycles;
    case ROUND_WIDTH:
        return &s->model.round_width;
    case THREADS:
        return &s->threads;
    default:
        return NULL;
    }
}

static error_t parse(int key, char *text, struct argp_state *state) {
    settings *const s = state->input;
    int64_t *const size = size_of(s, key);
    if (size) {
        *size = timing_whole(state, text, key == PUZZLE_LEN ? 0 : key == VOCAB ? 2 : 1);
        return 0;
    }
    switch (key) {
    case ARCH:
        s->model.mlp_t = mlp_named(state, text);
        return 0;
    case DTYPE:
        s->model.forward_dtype = timing_dtype(state, text);
        return 0;
    case DEVICE:
        s->device = timing_device(state, text);
        return 0;
    case STEPS:
        s->steps = timing_whole(state, text, 0);
        return 0;
    case FORWARD_ONLY:
        s->forward_only = true;
        return 0;
    case EAGER:
        s->eager = true;
        return 0;
    case GEMM_ROOF:
        s->gemm_roof = true;
        return 0;
    case TUNE:
        s->tune = text;
        return 0;
    case CHOICES:
        s->choices = text;
        return 0;
    case PROFILE:
        s->profile = true;
        return 0;
    case JSON:
        s->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static settings settings_from(int argc, char **argv) {
    settings s = {.model = reel_model_config_default("trm"), .batch = 16, .steps = 5};
    s.model.mlp_t = true;
    s.model.forward_dtype = REEL_F32;
    s.model.seq_len = 81;
    s.model.vocab_size = 11;
    const struct argp argp = {.options = options, .parser = parse, .doc = "Times a step of TRM."};
    argp_parse(&argp, argc, argv, 0, NULL, &s);
    s.model.puzzle_emb_ndim = s.model.puzzle_emb_len > 0 ? s.model.hidden_size : 0;
    return s;
}

/* ---- counters ------------------------------------------------------------------------------------------ */

static long minor_faults(void) {
    struct rusage now;
    getrusage(RUSAGE_SELF, &now);
    return now.ru_minflt;
}

/* Not getrusage's ru_maxrss: a process inherits that from the one that started it. */
static double resident_peak_mib(void) {
    FILE *const status = fopen("/proc/self/status", "r");
    long kib = -1;
    char line[256];
    while (status && kib < 0 && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %ld kB", &kib) != 1)
            kib = -1;
    if (status)
        fclose(status);
    return kib < 0 ? NAN : (double)kib / 0x1p10;
}

/* ---- what is timed ----------------------------------------------------------------------------------- */

typedef struct bench {
    const settings *settings;
    reel_context *ctx;
    reel_model *model;
    reel_carry *carry;
    reel_optimizer *optimizer;
    uint32_t steps_done;
    int64_t tape_bytes;
} bench;

static reel_context *new_context(const settings *s) {
    reel_context *ctx;
    reel_error error = {0};
    const reel_context_options on = {.device = s->device, .threads = (int)s->threads};
    if (reel_context_new(&ctx, &on, &error) != REEL_OK ||
        (s->choices && gemm_file_read(ctx, s->choices, &error) != REEL_OK) ||
        (s->tune && reel_gemm_choices_measure(ctx, &error) != REEL_OK))
        fail(error.message);
    return ctx;
}

/* Every token but the padding, with equal chance. */
static void fill_grid(reel_context *ctx, reel_tensor *grid, int64_t vocab_size, uint64_t index) {
    reel_random r = reel_random_begin(0, (reel_draw){.stream = REEL_STREAM_USER, .index = index});
    const size_t count = (size_t)reel_elements(grid);
    int32_t *const cells = malloc(count * sizeof *cells);
    if (!cells)
        fail("no memory");
    for (size_t i = 0; i < count; i++)
        cells[i] = 1 + (int32_t)reel_random_below(&r, (uint32_t)vocab_size - 1);
    reel_write(ctx, grid, cells, count * sizeof *cells);
    free(cells);
}

static bench bench_begin(const settings *s) {
    const reel_optimizer_options adam = {
        .kind = REEL_ADAM_ATAN2, .beta1 = 0.9, .beta2 = 0.95, .weight_decay = 1, .ema_rate = 0.999};
    bench b = {.settings = s, .ctx = new_context(s)};
    b.model = reel_model_new(b.ctx, &s->model);
    b.carry = b.model ? reel_carry_new(b.ctx, b.model, s->batch) : NULL;
    if (!b.carry)
        fail(reel_context_message(b.ctx));
    if (!s->forward_only && !(b.optimizer = reel_optimizer_new(reel_model_parameters(b.model), &adam)))
        fail(reel_context_message(b.ctx));
    fill_grid(b.ctx, b.carry->offered_inputs, s->model.vocab_size, 0);
    fill_grid(b.ctx, b.carry->offered_labels, s->model.vocab_size, 1);
    return b;
}

static void bench_end(bench *b) {
    reel_optimizer_free(b->optimizer);
    reel_carry_free(b->ctx, b->carry);
    reel_model_free(b->model);
    reel_context_free(b->ctx);
}

static void train_step(bench *b) {
    reel_act_train(b->ctx, b->model, b->carry, b->settings->micro_batch);
    b->tape_bytes = reel_tape_of(b->ctx).peak_bytes;
    reel_optimizer_apply(b->optimizer);
}

/* Rows halt together after halt_max_steps and take the offer again, so that evaluations follow each other. */
static void evaluation_step(bench *b) {
    const reel_scope scope = reel_scope_begin(b->ctx, REEL_NO_GRAD);
    reel_act_step(b->ctx, b->model, b->carry, REEL_ACT_EVALUATE);
    b->tape_bytes = reel_tape_of(b->ctx).peak_bytes;
    reel_scope_end(b->ctx, scope, NULL, 0);
}

static void step(reel_context *ctx, void *arg) {
    bench *const b = arg;
    (void)ctx;
    if (b->settings->forward_only)
        evaluation_step(b);
    else
        train_step(b);
}

/* One step, in seconds. */
static double timed_step(bench *b) {
    const double start = timing_seconds();
    b->steps_done++;
    if (!b->settings->forward_only) {
        reel_carry_explore(b->ctx, b->model, b->carry, b->steps_done);
        reel_optimizer_schedule(b->optimizer, 1e-4);
    }
    if (b->settings->eager)
        step(b->ctx, b);
    else
        reel_replay(b->ctx, step, b);
    if (reel_context_synchronise(b->ctx) != REEL_OK)
        fail(reel_context_message(b->ctx));
    reel_tape_reset(b->ctx);
    return timing_seconds() - start;
}

/* Floating-point operations of the matrix products: 2 per multiply-add, gradients twice the forward pass,
 * through the last of the H_cycles recursions. */
static double step_flop(const settings *s) {
    const reel_model_config *const c = &s->model;
    const double T = (double)(reel_model_config_puzzle_tokens(c) + c->seq_len), D = (double)c->hidden_size,
                 tokens = (double)s->batch * T;
    const double inner = (double)reel_swiglu_width(c->hidden_size, c->expansion, c->round_width);
    const double inner_t = (double)reel_swiglu_width((int64_t)T, c->expansion, c->round_width);
    const double mix =
        c->mlp_t ? 2 * 3 * inner_t * T * (double)s->batch * D : 2 * tokens * (4 * D * D + 2 * T * D);
    const double pass = (double)c->L_layers * (mix + 2 * 3 * tokens * inner * D);
    const double forward = pass * (double)(c->L_cycles + 1) * (double)c->H_cycles;
    return s->forward_only ? forward : forward + 2 * pass * (double)(c->L_cycles + 1);
}

/* ---- reports ----------------------------------------------------------------------------------------- */

static void add_text(cJSON *report, const char *name, const char *text) {
    if (!cJSON_AddStringToObject(report, name, text))
        fail("no memory");
}

/* Hundredths are enough; what is no number becomes null. */
static void add_number(cJSON *report, const char *name, double value) {
    if (!cJSON_AddNumberToObject(report, name, round(100 * value) / 100))
        fail("no memory");
}

/* What both kinds of report begin with. */
static cJSON *report_begin(const settings *s, const reel_context *ctx) {
    cJSON *const report = cJSON_CreateObject();
    add_text(report, "dtype", reel_dtype_name(s->model.forward_dtype));
    add_number(report, "threads", reel_context_threads(ctx));
    add_text(report, "isa", reel_context_isa(ctx));
    add_text(report, "device", reel_context_device_name(ctx));
    return report;
}

/* One line of JSON, or one line per value. */
static void report_end(cJSON *report, const settings *s) {
    char *const line = cJSON_PrintUnformatted(report);
    if (!line)
        fail("no memory");
    if (s->json)
        puts(line);
    for (const cJSON *item = report->child; item && !s->json; item = item->next)
        if (cJSON_IsString(item))
            printf("%-26s %s\n", item->string, item->valuestring);
        else
            printf("%-26s %.10g\n", item->string, item->valuedouble);
    free(line);
    cJSON_Delete(report);
}

/* What was counted over the timed steps. */
typedef struct measured {
    double *step_seconds; /* ascending */
    double median;
    int64_t system_allocations;
    double minor_faults_per_step;
} measured;

static measured measure(bench *b) {
    const int64_t steps = b->settings->steps;
    measured m = {.step_seconds = calloc((size_t)steps + 1, sizeof *m.step_seconds)};
    if (!m.step_seconds)
        fail("no memory");
    for (int i = 0; i < WARM_UP && steps > 0; i++)
        timed_step(b);
    const int64_t allocations = reel_memory_of(b->ctx).system_allocations;
    const long faults = minor_faults();
    if (b->settings->profile)
        reel_profile_start(b->ctx);
    for (int64_t i = 0; i < steps; i++)
        m.step_seconds[i] = timed_step(b);
    reel_profile_stop(b->ctx);
    m.minor_faults_per_step = steps > 0 ? (double)(minor_faults() - faults) / (double)steps : NAN;
    m.system_allocations = reel_memory_of(b->ctx).system_allocations - allocations;
    m.median = timing_median(m.step_seconds, steps);
    return m;
}

static void report_model(const settings *s, const bench *b, const measured *m) {
    const double flop = step_flop(s);
    cJSON *const report = report_begin(s, b->ctx);
    add_text(report, "arch", s->model.mlp_t ? "mlp" : "att");
    add_text(report, "work", s->forward_only ? "evaluation" : "training");
    if (s->device == REEL_CUDA)
        add_text(report, "queued", s->eager || s->profile ? "from the host" : "by replay");
    add_number(report, "hidden", (double)s->model.hidden_size);
    add_number(report, "batch", (double)s->batch);
    add_number(report, "step_ms", 1e3 * m->median);
    add_number(report, "step_ms_min", s->steps > 0 ? 1e3 * m->step_seconds[0] : NAN);
    add_number(report, "step_ms_max", s->steps > 0 ? 1e3 * m->step_seconds[s->steps - 1] : NAN);
    add_number(report, "puzzles_per_second", (double)s->batch / m->median);
    add_number(report, "step_gflop", 1e-9 * flop);
    add_number(report, "gflop_per_second", 1e-9 * flop / m->median);
    add_number(report, "tape_mib", (double)b->tape_bytes / 0x1p20);
    add_number(report, "pool_peak_mib", (double)reel_memory_of(b->ctx).peak_bytes / 0x1p20);
    if (s->device == REEL_CUDA) /* what the pool holds of the device, in use or not */
        add_number(report, "device_peak_mib", (double)reel_memory_of(b->ctx).reserved_bytes / 0x1p20);
    add_number(report, "resident_peak_mib", resident_peak_mib());
    add_number(report, "system_allocations", (double)m->system_allocations);
    add_number(report, "minor_faults_per_step", m->minor_faults_per_step);
    report_end(report, s);
}

static void bench_model(const settings *s) {
    bench b = bench_begin(s);
    const measured m = measure(&b);
    reel_error error = {0};
    if (s->tune && gemm_file_write(b.ctx, s->tune, &error) != REEL_OK)
        fail(error.message);
    report_model(s, &b, &m);
    if (s->profile) {
        fputc('\n', stderr);
        profile_print(stderr, b.ctx, s->steps, profile_roof(b.ctx, s->model.forward_dtype, ROOF_SIZE));
    }
    free(m.step_seconds);
    bench_end(&b);
}

/* ---- the roof ---------------------------------------------------------------------------------------- */

static void bench_roof(const settings *s) {
    reel_context *const ctx = new_context(s);
    const double roof = profile_roof(ctx, s->model.forward_dtype, ROOF_SIZE);
    if (reel_context_status(ctx) != REEL_OK)
        fail(reel_context_message(ctx));
    cJSON *const report = report_begin(s, ctx);
    add_number(report, "size", ROOF_SIZE);
    add_number(report, "gemm_gflop_per_second", roof);
    report_end(report, s);
    reel_context_free(ctx);
}

int main(int argc, char **argv) {
    const settings s = settings_from(argc, argv);
    if (s.gemm_roof)
        bench_roof(&s);
    else
        bench_model(&s);
    return EXIT_SUCCESS;
}
