/* Times every op, forward and backward, one call at a time.
 *
 *     bench_ops                                all ops at the shapes of benchmarks/shapes/
 *     bench_ops rms_norm                       one op; or a part of names, or the name of sizes: bench_ops
 * maze bench_ops --json=before.json             the same, and the numbers into a file bench_ops --compare
 * before.json          what has changed since, beyond the noise bench_ops --against-pytorch PyTorch's op
 * beside ours, in turns
 *
 * First the roofs are measured: one large product, and copies small and large. */
#include "ops_report.h"
#include "torch_peer.h"

#include <reel/atomic_file.h>
#include <reel/autograd.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 3, LEAST_WARM = 3, LEAST_COLD = 4, MAX_FILES = 16, QUICK_EVICTOR_BYTES = 1 << 20 };
static const double ROUND_SECONDS = 0.02, COLD_SECONDS = 0.03;

typedef struct settings {
    const char *filter, *json_path, *before_path;
    const char *shape_files[MAX_FILES];
    int shape_file_count;
    reel_device device;
    reel_dtype dtype;
    int threads;
    double time_scale; /* of how long everything is measured */
    bool json, against_pytorch, list;
} settings;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("bench_ops: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

/* ---- options ------------------------------------------------------------------------------------------- */

enum { DEVICE = 1, DTYPE, THREADS, JSON, SHAPES, COMPARE, AGAINST_PYTORCH, QUICK, LIST };

static const struct argp_option options[] = {
    {"device", DEVICE, "cpu|cuda", 0, "where to (cpu)", 0},
    {"dtype", DTYPE, "f32|bf16|f64", 0, "of the inputs (f32)", 0},
    {"threads", THREADS, "N", 0, "threads (all)", 0},
    {"json", JSON, "FILE", OPTION_ARG_OPTIONAL, "JSON in the place of the table, or into FILE beside it", 0},
    {"shapes", SHAPES, "FILE", 0, "measure what this file names (trm.txt and sweep.txt); may be repeated", 0},
    {"compare", COMPARE, "OLD.json", 0, "mark what has changed since then beyond the noise", 0},
    {"against-pytorch", AGAINST_PYTORCH, NULL, 0,
     "PyTorch's op beside ours; the environment's PYTHON names an interpreter that has PyTorch", 0},
    {"list", LIST, NULL, 0, "print what would be measured, and measure nothing", 0},
    {"quick", QUICK, NULL, 0, "a few calls of each, to see that everything runs", 0},
    {0},
};

static void add_shape_file(struct argp_state *state, settings *s, const char *path) {
    if (s->shape_file_count == MAX_FILES)
        argp_error(state, "--shapes is given more than %d times", MAX_FILES);
    s->shape_files[s->shape_file_count++] = path;
}

static error_t parse(int key, char *text, struct argp_state *state) {
    settings *const s = state->input;
    switch (key) {
    case DEVICE:
        s->device = timing_device(state, text);
        return 0;
    case DTYPE:
        s->dtype = timing_dtype(state, text);
        return 0;
    case THREADS:
        s->threads = (int)timing_whole(state, text, 1);
        return 0;
    case JSON:
        s->json_path = text;
        s->json = !text;
        return 0;
    case SHAPES:
        add_shape_file(state, s, text);
        return 0;
    case COMPARE:
        s->before_path = text;
        return 0;
    case AGAINST_PYTORCH:
        s->against_pytorch = true;
        return 0;
    case QUICK:
        s->time_scale = 0;
        return 0;
    case LIST:
        s->list = true;
        return 0;
    case ARGP_KEY_ARG:
        if (s->filter)
            argp_error(state, "more than one filter: '%s' and '%s'", s->filter, text);
        s->filter = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static settings settings_from(int argc, char **argv) {
    settings s = {.dtype = REEL_F32, .time_scale = 1};
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[FILTER]",
        .doc = "Times every op, forward and backward. FILTER chooses ops: the name of one, "
               "or else a part of the names of ops or sizes."};
    argp_parse(&argp, argc, argv, 0, NULL, &s);
    if (s.shape_file_count == 0) {
        s.shape_files[s.shape_file_count++] = BENCHMARKS_FOLDER "/shapes/trm.txt";
        s.shape_files[s.shape_file_count++] = BENCHMARKS_FOLDER "/shapes/sweep.txt";
    }
    return s;
}

/* ---- which cases --------------------------------------------------------------------------------------- */

static bool names_an_op(const char *filter) {
    for (int i = 0; i < bench_op_count; i++)
        if (strcmp(bench_ops[i].name, filter) == 0)
            return true;
    return false;
}

static bool is_chosen(const settings *s, const bench_case *c) {
    if (!s->filter)
        return true;
    if (names_an_op(s->filter))
        return strcmp(c->op->name, s->filter) == 0;
    return strstr(c->op->name, s->filter) || strstr(c->sizes, s->filter);
}

static bench_cases read_cases(const settings *s) {
    bench_cases cases = {0};
    reel_error error = {0};
    for (int i = 0; i < s->shape_file_count; i++)
        if (shape_file_read(&cases, s->shape_files[i], &error) != REEL_OK)
            fail("%s", error.message);
    int chosen = 0;
    for (int i = 0; i < cases.count; i++)
        chosen += is_chosen(s, &cases.all[i]);
    if (chosen == 0)
        fail("no op and no sizes match '%s'", s->filter);
    return cases;
}

/* ---- measuring ----------------------------------------------------------------------------------------- */

typedef struct bench {
    const settings *settings;
    reel_context *ctx;
    op_sampler *sampler;
    torch_peer *peer; /* NULL without --against-pytorch */
    ops_report report;
    timing_samples warm[SAMPLER_PASSES], cold[SAMPLER_PASSES], torch[SAMPLER_PASSES];
} bench;

static void check(const bench *b, const bench_case *c, reel_status status) {
    if (status != REEL_OK)
        fail("%s: %s", c->place, reel_context_message(b->ctx));
}

static void begin_samples(bench *b) {
    for (int pass = 0; pass < SAMPLER_PASSES; pass++) {
        timing_begin(&b->warm[pass]);
        timing_begin(&b->cold[pass]);
        timing_begin(&b->torch[pass]);
    }
}

/* Ours and PyTorch's in turns. */
static void measure_case(bench *b, const bench_case *c) {
    const double scale = b->settings->time_scale;
    reel_error error = {0};
    begin_samples(b);
    check(b, c, op_sampler_begin(b->sampler, c));
    if (b->peer && torch_peer_begin(b->peer, c, &error) != REEL_OK)
        fail("%s: %s", c->place, error.message);
    for (int round = 0; round < ROUNDS; round++) {
        check(b, c, op_sampler_run(b->sampler, SAMPLER_WARM, scale * ROUND_SECONDS, LEAST_WARM, b->warm));
        if (b->peer &&
            torch_peer_run(b->peer, scale * ROUND_SECONDS, LEAST_WARM, b->torch, &error) != REEL_OK)
            fail("%s: %s", c->place, error.message);
    }
    check(
        b, c,
        op_sampler_run(b->sampler, SAMPLER_COLD, scale * COLD_SECONDS, scale > 0 ? LEAST_COLD : 1, b->cold));
}

static void report_case(bench *b, const bench_case *c) {
    const int passes = op_sampler_has_backward(b->sampler) ? SAMPLER_PASSES : 1;
    for (int pass = 0; pass < passes; pass++) {
        ops_row row = {.of = c, .pass = (sampler_pass)pass};
        row.warm = timing_summarise(&b->warm[pass]);
        row.cold = timing_summarise(&b->cold[pass]);
        row.torch = timing_summarise(&b->torch[pass]);
        row.flop = op_sampler_flop(b->sampler, row.pass);
        row.bytes = op_sampler_bytes(b->sampler, row.pass);
        ops_report_find_before(&b->report, &row);
        if (!ops_report_row(&b->report, &row))
            fail("no memory for the results");
    }
}

/* ---- roofs --------------------------------------------------------------------------------------------- */

/* The least time of an op of two square matrices, or one, of `elements` each. */
static double least_seconds(bench *b, const char *op, int64_t rows, int64_t columns, int inputs) {
    bench_case c = {.sizes = "", .arguments = "", .place = "roof", .inputs = inputs, .no_grad = true};
    for (int i = 0; i < bench_op_count; i++)
        if (strcmp(bench_ops[i].name, op) == 0)
            c.op = &bench_ops[i];
    for (int i = 0; i < inputs; i++)
        c.shape[i] = (bench_shape){.given = true, .rank = 2, .size = {rows, columns}};
    begin_samples(b);
    check(b, &c, op_sampler_begin(b->sampler, &c));
    for (int round = 0; round < ROUNDS; round++)
        check(b, &c,
              op_sampler_run(b->sampler, SAMPLER_WARM, b->settings->time_scale * 0.1, LEAST_WARM, b->warm));
    op_sampler_end(b->sampler);
    return timing_summarise(&b->warm[SAMPLER_FORWARD]).least;
}

static void measure_roofs(bench *b) {
    const int64_t side = b->settings->time_scale > 0 ? 2048 : 256;
    const double cube = (double)side * (double)side * (double)side;
    const int64_t largest = b->settings->time_scale > 0 ? 1 << 24 : 1 << 20; /* elements */
    const double element_bytes = (double)reel_dtype_bytes(b->settings->dtype);
    ops_roofs *const roofs = &b->report.roofs;
    roofs->gemm_flop_per_second = 2 * cube / least_seconds(b, "matmul", side, side, 2);
    for (int i = 0; i < ROOFS_COPIES; i++) {
        enum { COLUMNS = 1 << 8, STEP_BITS = 4 }; /* sixteen times as large each time */
        const int64_t elements = largest >> STEP_BITS * (ROOFS_COPIES - 1 - i);
        roofs->copy[i].bytes = 2 * element_bytes * (double)elements;
        roofs->copy[i].bytes_per_second =
            roofs->copy[i].bytes / least_seconds(b, "clone", elements / COLUMNS, COLUMNS, 1);
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* PyTorch's process first: one with the engine's threads does not fork. */
static void bench_begin(bench *b, const settings *s) {
    *b = (bench){.settings = s, .report = {.dtype = s->dtype, .out = s->json ? NULL : stdout}};
    reel_error error = {0};
    if (s->before_path && ops_report_read_before(&b->report, s->before_path, &error) != REEL_OK)
        fail("%s", error.message);
    if (s->against_pytorch && torch_peer_new(&b->peer, &error) != REEL_OK)
        fail("%s", error.message);
    const reel_context_options wanted = {.device = s->device, .threads = s->threads};
    if (reel_context_new(&b->ctx, &wanted, &error) != REEL_OK)
        fail("%s", error.message);
    b->report.threads = reel_context_threads(b->ctx);
    b->report.isa = reel_context_isa(b->ctx);
    b->report.device = s->device == REEL_CPU ? "cpu" : "cuda";
    b->report.torch = b->peer ? torch_peer_version(b->peer) : NULL;
    if (b->peer && torch_peer_configure(b->peer, b->report.threads, s->dtype, s->device, &error) != REEL_OK)
        fail("%s", error.message);
    b->sampler = op_sampler_new(b->ctx, s->dtype, s->time_scale > 0 ? 0 : QUICK_EVICTOR_BYTES);
    if (!b->sampler || reel_context_status(b->ctx) != REEL_OK)
        fail("%s", b->sampler ? reel_context_message(b->ctx) : "no memory");
}

static void write_json(const bench *b) {
    char *const text = ops_report_json(&b->report);
    if (!text)
        fail("no memory for the results");
    if (b->settings->json)
        puts(text);
    if (b->settings->json_path) {
        reel_atomic_file *file;
        reel_error error = {0};
        reel_status status = reel_atomic_open(&file, b->settings->json_path, &error);
        if (status == REEL_OK) {
            reel_atomic_write(file, text, strlen(text));
            status = reel_atomic_commit(file, &error);
        }
        if (status != REEL_OK)
            fail("%s", error.message);
    }
    free(text);
}

static void bench_end(bench *b) {
    ops_report_end(&b->report);
    if (b->settings->json || b->settings->json_path)
        write_json(b);
    ops_report_free(&b->report);
    op_sampler_free(b->sampler);
    reel_context_free(b->ctx);
    torch_peer_free(b->peer);
}

static void list(const settings *s, const bench_cases *cases) {
    for (int i = 0; i < cases->count; i++) {
        const bench_case *const c = &cases->all[i];
        if (is_chosen(s, c))
            printf("%s: %s %s %s\n", c->place, c->op->name, c->sizes, c->arguments);
    }
}

static void measure_all(const settings *s, const bench_cases *cases) {
    static bench b; /* large, for its samples */
    bench_begin(&b, s);
    measure_roofs(&b);
    if (!ops_report_begin(&b.report))
        fail("no memory for the results");
    for (int i = 0; i < cases->count; i++) {
        if (!is_chosen(s, &cases->all[i]))
            continue;
        measure_case(&b, &cases->all[i]);
        report_case(&b, &cases->all[i]);
        op_sampler_end(b.sampler);
    }
    bench_end(&b);
}

int main(int argc, char **argv) {
    const settings s = settings_from(argc, argv);
    bench_cases cases = read_cases(&s);
    if (s.list)
        list(&s, &cases);
    else
        measure_all(&s, &cases);
    bench_cases_free(&cases);
    if (fflush(stdout) != 0 || ferror(stdout))
        fail("standard output: cannot be written");
    return EXIT_SUCCESS;
}
