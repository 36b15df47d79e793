/* Contexts: made from options and the machine, freed with all they own. */
#include "context.h"
#include "device.h"

#include <stdlib.h>
#include <string.h>

#ifdef REEL_BF16_UNITS
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Each has what those before it have. */
static const struct isa {
    const char *name;
    reel__backend backend;
    reel__bf16_unit bf16_unit;
} isas[] = {
    {"portable", REEL__CPU_PORTABLE, REEL__BF16_NONE}, {"avx2", REEL__CPU_AVX2, REEL__BF16_NONE},
    {"avx512", REEL__CPU_AVX512, REEL__BF16_NONE},     {"avx512_bf16", REEL__CPU_AVX512, REEL__BF16_VECTORS},
    {"amx", REEL__CPU_AVX512, REEL__BF16_TILES},
};
enum { PORTABLE, AVX2, AVX512, AVX512_BF16, AMX, ISAS };

#ifdef REEL_BF16_UNITS
/* The process asks once for the registers of AMX: the kernel saves their 8 KiB for those alone who do. */
static bool may_use_tiles(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

/* Beyond AVX-512. Where Intel's CPUs have no AMX, they multiply pairs of bf16 more slowly than numbers of
 * f32. */
static int best_with_bf16(void) {
    enum { LEAF = 7, AVX512_BF16_OF_EAX = 1 << 5, AMX_OF_EDX = 1 << 22 | 1 << 24 /* BF16, TILE */ };
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(LEAF, 1, &eax, &ebx, &ecx, &edx) || !(eax & AVX512_BF16_OF_EAX))
        return AVX512;
    __get_cpuid_count(LEAF, 0, &eax, &ebx, &ecx, &edx);
    if ((edx & AMX_OF_EDX) == AMX_OF_EDX && may_use_tiles())
        return AMX;
    return __builtin_cpu_is("intel") ? AVX512 : AVX512_BF16;
}
#elif defined REEL_X86_ISAS
static int best_with_bf16(void) {
    return AVX512;
}
#endif

/* The best instruction set that both this build and this CPU have. */
static int best_isa(void) {
#ifdef REEL_X86_ISAS
    __builtin_cpu_init();
    const bool avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    if (avx2)
        return avx512 ? best_with_bf16() : AVX2;
#endif
    return PORTABLE;
}

/* REEL_CPU_ISA forces a smaller set than the CPU's best. */
static reel_status choose_isa(const struct isa **chosen, reel_error *error) {
    const int best = best_isa();
    const char *wanted = getenv("REEL_CPU_ISA");
    *chosen = &isas[best];
    if (!wanted || !*wanted)
        return REEL_OK;
    for (int i = 0; i < ISAS; i++) {
        if (strcmp(wanted, isas[i].name) != 0)
            continue;
        *chosen = &isas[i];
        if (i > best)
            return reel_fail(error, REEL_ERROR_DEVICE,
                             "REEL_CPU_ISA=%s: this CPU or build has no more than %s", wanted,
                             isas[best].name);
        return REEL_OK;
    }
    return reel_fail(error, REEL_ERROR_ARGUMENT,
                     "REEL_CPU_ISA=%s: expected portable, avx2, avx512, avx512_bf16 or amx", wanted);
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
    static const struct isa of_device = {"cuda", REEL__CUDA, REEL__BF16_NONE};
    const struct isa *isa = &of_device;
    reel__device *device = NULL;
    const reel_status status =
        options->device == REEL_CUDA ? reel__device_open(&device, error) : choose_isa(&isa, error);
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
    ctx->isa = isa->name;
    ctx->backend = isa->backend;
    ctx->bf16_unit = isa->bf16_unit;
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
    return ctx->isa;
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
