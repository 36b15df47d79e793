/* Times a training step of TRM on random puzzles.
 *
 *     bench_step --arch mlp --hidden 512 --batch 16 --steps 5
 *
 * prints the median step with its spread, puzzles per second (rows times steps per second), GFLOP/s of the
 * matrix products, what the tape holds when backward begins, peak memory, and, after three steps of warm-up,
 * how often a step asked the system for memory and how many minor page faults it took. */
#include <reel/act.h>
#include <reel/autograd.h>
#include <reel/nn.h>

#include <argp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { WARM_UP = 3 };

typedef struct settings {
    reel_model_config model;
    int64_t batch, steps;
    int threads;
    int json;
} settings;

/* ---- options
 * -------------------------------------------------------------------------------------------------- */

enum {
    ARCH = 1,
    HIDDEN,
    HEADS,
    BATCH,
    SEQ,
    PUZZLE_LEN,
    H_CYCLES,
    L_CYCLES,
    ROUND_WIDTH,
    DTYPE,
    STEPS,
    THREADS,
    JSON
};

static const struct argp_option options[] = {
    {"arch", ARCH, "mlp|att", 0, "what mixes tokens (mlp)", 0},
    {"hidden", HIDDEN, "N", 0, "hidden size (512)", 0},
    {"heads", HEADS, "N", 0, "attention heads (8)", 0},
    {"batch", BATCH, "N", 0, "rows (16)", 0},
    {"seq", SEQ, "N", 0, "puzzle tokens (81)", 0},
    {"puzzle_len", PUZZLE_LEN, "N", 0, "puzzle embedding tokens (16)", 0},
    {"H", H_CYCLES, "N", 0, "H_cycles (3)", 0},
    {"L", L_CYCLES, "N", 0, "L_cycles (6)", 0},
    {"round_width", ROUND_WIDTH, "N", 0, "inner widths are multiples of it (256)", 0},
    {"dtype", DTYPE, "f32|bf16|f64", 0, "forward dtype (f32)", 0},
    {"steps", STEPS, "N", 0, "timed steps (5)", 0},
    {"threads", THREADS, "N", 0, "threads (all)", 0},
    {"json", JSON, NULL, 0, "one JSON object instead of text", 0},
    {0},
};

static int64_t whole(struct argp_state *state, const char *text) {
    char *end;
    const long long value = strtoll(text, &end, 10);
    if (*end || value < 1 || value > 1 << 24)
        argp_error(state, "'%s' is no number from 1 to 2^24", text);
    return value;
}

static error_t parse(int key, char *text, struct argp_state *state) {
    settings *s = state->input;
    reel_model_config *c = &s->model;
    switch (key) {
    case ARCH:
        if (strcmp(text, "mlp") != 0 && strcmp(text, "att") != 0)
            argp_error(state, "--arch is mlp or att, not '%s'", text);
        c->mlp_t = strcmp(text, "mlp") == 0;
        return 0;
    case DTYPE:
        for (c->forward_dtype = REEL_F64; c->forward_dtype <= REEL_BF16; c->forward_dtype++)
            if (strcmp(text, reel_dtype_name(c->forward_dtype)) == 0)
                return 0;
        argp_error(state, "--dtype is f32, bf16 or f64, not '%s'", text);
        return 0;
    case HIDDEN:
        c->hidden_size = whole(state, text);
        return 0;
    case HEADS:
        c->num_heads = whole(state, text);
        return 0;
    case BATCH:
        s->batch = whole(state, text);
        return 0;
    case SEQ:
        c->seq_len = whole(state, text);
        return 0;
    case PUZZLE_LEN:
        c->puzzle_emb_len = whole(state, text);
        return 0;
    case H_CYCLES:
        c->H_cycles = whole(state, text);
        return 0;
    case L_CYCLES:
        c->L_cycles = whole(state, text);
        return 0;
    case ROUND_WIDTH:
        c->round_width = whole(state, text);
        return 0;
    case STEPS:
        s->steps = whole(state, text);
        return 0;
    case THREADS:
        s->threads = (int)whole(state, text);
        return 0;
    case JSON:
        s->json = 1;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the work of a step
 * ------------------------------------------------------------------------------------------ */

/* Floating-point operations of the matrix products: 2 per multiply-add, gradients twice the forward pass. */
static double step_flop(const settings *s) {
    const reel_model_config *c = &s->model;
    const double T = (double)(c->puzzle_emb_len + c->seq_len), D = (double)c->hidden_size,
                 tokens = (double)s->batch * T;
    const double inner = (double)reel_swiglu_width(c->hidden_size, c->expansion, c->round_width);
    const double inner_t = (double)reel_swiglu_width((int64_t)T, c->expansion, c->round_width);
    const double mix =
        c->mlp_t ? 2 * 3 * inner_t * T * (double)s->batch * D : 2 * tokens * (4 * D * D + 2 * T * D);
    const double pass = (double)c->L_layers * (mix + 2 * 3 * tokens * inner * D);
    const double passes = (double)(c->L_cycles + 1);
    return pass * passes * ((double)c->H_cycles - 1 + 3);
}

/* ---- timing
 * ----------------------------------------------------------------------------------------------------------
 */

typedef struct bench {
    reel_context *ctx;
    reel_model *model;
    reel_carry *carry;
    reel_optimizer *optimizer;
    int64_t tape_bytes;
} bench;

static void fail(const char *message) {
    fprintf(stderr, "bench_step: %s\n", message);
    exit(EXIT_FAILURE);
}

static bench begin(const settings *s) {
    const reel_optimizer_options adam = {
        .kind = REEL_ADAM_ATAN2, .beta1 = 0.9, .beta2 = 0.95, .weight_decay = 1, .ema_rate = 0.999};
    bench b = {0};
    reel_error error = {0};
    if (reel_context_new(&b.ctx, &(reel_context_options){.threads = s->threads}, &error) != REEL_OK)
        fail(error.message);
    b.model = reel_model_new(b.ctx, &s->model);
    b.carry = b.model ? reel_carry_new(b.ctx, b.model, s->batch) : NULL;
    b.optimizer = b.carry ? reel_optimizer_new(reel_model_parameters(b.model), &adam) : NULL;
    if (!b.optimizer)
        fail(reel_context_message(b.ctx));
    reel_tensor *const grids[] = {b.carry->offered_inputs, b.carry->offered_labels};
    for (int i = 0; i < 2; i++) {
        int32_t *cells = grids[i]->data;
        reel_random r = reel_random_begin(0, (reel_draw){.stream = REEL_STREAM_USER, .index = (uint64_t)i});
        for (int64_t j = 0; j < reel_elements(grids[i]); j++)
            cells[j] = 1 + (int32_t)reel_random_below(&r, (uint32_t)s->model.vocab_size - 1);
    }
    return b;
}

static void train_step(bench *b, uint32_t step) {
    const reel_act_result r = reel_act_step(b->ctx, b->model, b->carry, step, REEL_ACT_TRAIN);
    b->tape_bytes = reel_tape_of(b->ctx).live_bytes;
    reel_backward(b->ctx, r.loss);
    reel_optimizer_step(b->optimizer, 1e-4);
    if (reel_context_status(b->ctx) != REEL_OK)
        fail(reel_context_message(b->ctx));
    reel_tape_reset(b->ctx);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct rusage usage(void) {
    struct rusage now;
    getrusage(RUSAGE_SELF, &now);
    return now;
}

int main(int argc, char **argv) {
    settings s = {.model = reel_model_config_default(), .batch = 16, .steps = 5};
    s.model.mlp_t = true;
    s.model.forward_dtype = REEL_F32;
    s.model.seq_len = 81;
    s.model.vocab_size = 11;
    const struct argp argp = {.options = options, .parser = parse, .doc = "Times a training step of TRM."};
    argp_parse(&argp, argc, argv, 0, NULL, &s);
    s.model.puzzle_emb_ndim = s.model.hidden_size;

    bench b = begin(&s);
    double *times = calloc((size_t)s.steps, sizeof *times);
    if (!times)
        fail("no memory");
    for (uint32_t step = 1; step <= WARM_UP; step++)
        train_step(&b, step);
    const int64_t allocations = reel_memory_of(b.ctx).system_allocations;
    const long faults = usage().ru_minflt;
    for (int64_t i = 0; i < s.steps; i++) {
        const double start = seconds();
        train_step(&b, (uint32_t)(WARM_UP + 1 + i));
        times[i] = seconds() - start;
    }
    const double faults_per_step = (double)(usage().ru_minflt - faults) / (double)s.steps;
    const reel_memory memory = reel_memory_of(b.ctx);
    qsort(times, (size_t)s.steps, sizeof *times, by_size);
    const double median = times[s.steps / 2];
    const char *format =
        s.json ? "{\"arch\": \"%s\", \"dtype\": \"%s\", \"hidden\": %lld, \"batch\": %lld, \"threads\": %d, "
                 "\"isa\": \"%s\", "
                 "\"step_ms\": %.2f, \"step_ms_min\": %.2f, \"step_ms_max\": %.2f, \"puzzles_per_second\": "
                 "%.2f, "
                 "\"gflop_per_second\": %.1f, \"tape_mib\": %.1f, \"pool_peak_mib\": %.1f, "
                 "\"resident_peak_mib\": %.1f, "
                 "\"system_allocations\": %lld, \"minor_faults_per_step\": %.1f}\n"
               : "%s %s hidden %lld batch %lld, %d threads, %s\n"
                 "step %.1f ms (%.1f - %.1f), %.1f puzzles/s, %.0f GFLOP/s\n"
                 "memory: tape at backward %.1f MiB, pool peak %.1f MiB, resident peak %.1f MiB\n"
                 "after warm-up: %lld system allocations, %.1f minor page faults a step\n";
    printf(format, s.model.mlp_t ? "mlp" : "att", reel_dtype_name(s.model.forward_dtype),
           (long long)s.model.hidden_size, (long long)s.batch, reel_context_threads(b.ctx),
           reel_context_isa(b.ctx), 1e3 * median, 1e3 * times[0], 1e3 * times[s.steps - 1],
           (double)s.batch / median, 1e-9 * step_flop(&s) / median, (double)b.tape_bytes / 0x1p20,
           (double)memory.peak_bytes / 0x1p20, (double)usage().ru_maxrss / 0x1p10,
           (long long)(memory.system_allocations - allocations), faults_per_step);
    free(times);
    reel_optimizer_free(b.optimizer);
    reel_carry_free(b.ctx, b.carry);
    reel_model_free(b.model);
    reel_context_free(b.ctx);
    return EXIT_SUCCESS;
}
