/* Contexts: made from options and the machine, freed with all they own. */
#include "context.h"
#include "device.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    reel__backend backend;
} isa_names[] = {
    {"portable", REEL__CPU_PORTABLE},
    {"avx2", REEL__CPU_AVX2},
    {"avx512", REEL__CPU_AVX512},
};
enum { ISA_COUNT = sizeof isa_names / sizeof isa_names[0] };

/* The best instruction set that both this build and this CPU have. */
static reel__backend best_isa(void) {
#ifdef REEL_X86_ISAS
    __builtin_cpu_init();
    const bool avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    if (avx2)
        return avx512 ? REEL__CPU_AVX512 : REEL__CPU_AVX2;
#endif
    return REEL__CPU_PORTABLE;
}

/* REEL_CPU_ISA forces a smaller set than the CPU's best. */
static reel_status choose_isa(reel__backend *chosen, reel_error *error) {
    *chosen = best_isa();
    const char *wanted = getenv("REEL_CPU_ISA");
    if (!wanted || !*wanted)
        return REEL_OK;
    for (int i = 0; i < ISA_COUNT; i++) {
        if (strcmp(wanted, isa_names[i].name) != 0)
            continue;
        if (isa_names[i].backend > *chosen)
            return reel_fail(error, REEL_ERROR_DEVICE,
                             "REEL_CPU_ISA=%s: this CPU or build has no more than %s", wanted,
                             isa_names[*chosen].name);
        *chosen = isa_names[i].backend;
        return REEL_OK;
    }
    return reel_fail(error, REEL_ERROR_ARGUMENT, "REEL_CPU_ISA=%s: expected portable, avx2 or avx512",
                     wanted);
}

int reel_device_count(reel_device device) {
    return device == REEL_CPU ? 1 : device == REEL_CUDA ? reel__device_count() : 0;
}

/* The tensor that stands for the result of a failed op: its shape can be read, it is never written. */
static reel_tensor *void_tensor_new(void) {
    reel__tensor *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->pub.dtype = REEL_F32;
    t->pub.id = -1;
    return &t->pub;
}

reel_status reel_context_new(reel_context **context, const reel_context_options *options, reel_error *error) {
    enum { MAX_THREADS = 1024 };
    const reel_context_options defaults = {0};
    if (!options)
        options = &defaults;
    *context = NULL;
    if (options->device != REEL_CPU && options->device != REEL_CUDA)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "device: there is no device %d", (int)options->device);
    if (options->threads < 0 || options->threads > MAX_THREADS)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "threads: %d is not in 0 .. %d", options->threads,
                         MAX_THREADS);
    reel__backend backend = REEL__CUDA;
    reel__device *device = NULL;
    const reel_status status =
        options->device == REEL_CUDA ? reel__device_open(&device, error) : choose_isa(&backend, error);
    if (status != REEL_OK)
        return status;
    reel_context *ctx = calloc(1, sizeof *ctx);
    reel_tensor *void_tensor = void_tensor_new();
    const int threads = options->threads ? options->threads : reel__usable_threads();
    struct reel__workers *workers = threads > 1 ? reel__workers_new(threads - 1) : NULL;
    if (!ctx || !void_tensor || (threads > 1 && !workers)) {
        free(ctx);
        free(void_tensor);
        reel__workers_free(workers);
        reel__device_close(device);
        return reel_fail(error, REEL_ERROR_MEMORY, "context: no memory for %d threads", threads);
    }
    const char *check = getenv("REEL_CHECK");
    ctx->backend = backend;
    ctx->device = ctx->pool.device = device;
    ctx->threads = threads;
    ctx->workers = workers;
    ctx->seed = options->seed;
    ctx->check_finite = check && strcmp(check, "1") == 0;
    ctx->void_tensor = void_tensor;
    *context = ctx;
    return REEL_OK;
}

void reel_context_free(reel_context *ctx) {
    if (!ctx)
        return;
    if (ctx->replays)
        ctx->replays_free(ctx);
    if (ctx->tape_free)
        ctx->tape_free(ctx);
    if (ctx->bf16_store)
        ctx->bf16_store_free(ctx);
    if (ctx->gemm_store)
        ctx->gemm_store_free(ctx);
    for (reel__tensor *t = ctx->owned; t; t = t->next)
        t->cast = t->grad = NULL; /* these are owned too: the loop below finds each in the list once */
    while (ctx->owned)
        reel_tensor_free(ctx, &ctx->owned->pub);
    reel__region_free(&ctx->region);
    reel__staging_free(ctx); /* waits for uploads into what the pool frees */
    reel__pool_free(&ctx->pool);
    reel__device_close(ctx->device);
    reel__workers_free(ctx->workers);
    free(ctx->profile);
    free(ctx->void_tensor);
    free(ctx);
}

int reel_context_threads(const reel_context *ctx) {
    return ctx->threads;
}

uint64_t reel_context_seed(const reel_context *ctx) {
    return ctx->seed;
}

const char *reel_context_isa(const reel_context *ctx) {
    return ctx->device ? "cuda" : isa_names[ctx->backend].name;
}

reel_device reel_context_device(const reel_context *ctx) {
    return ctx->device ? REEL_CUDA : REEL_CPU;
}

reel_status reel_context_synchronise(reel_context *ctx) {
    if (ctx->device && !reel__needs_host(ctx, "reel_context_synchronise waits for the device"))
        reel__device_synchronise(ctx);
    return ctx->error.status;
}

const char *reel_context_device_name(const reel_context *ctx) {
    return ctx->device ? reel__device_name(ctx->device) : "CPU";
}
