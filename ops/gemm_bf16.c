/* oneDNN's matrix product primitives, kept by the context under the shape that they were made for. */
#include "gemm_bf16.h"

#ifndef REEL_ONEDNN_BF16

bool reel__bf16_ready(const reel_context *ctx) {
    (void)ctx;
    return false;
}

bool reel__bf16_plans(reel_context *ctx, const char *op, int n, const reel__bf16_shape *shapes,
                      const reel__bf16_plan **plans) {
    (void)n, (void)shapes, (void)plans;
    reel__error(ctx, REEL_ERROR_DEVICE, op, "this build computes no products of bf16");
    return false;
}

size_t reel__bf16_scratch(const reel__bf16_plan *plan) {
    (void)plan;
    return 0;
}

void reel__gemm_bf16(const reel_context *ctx, const reel__bf16_plan *plan, const void *a, const void *b,
                     void *c, void *scratch) {
    (void)ctx, (void)plan, (void)a, (void)b, (void)c, (void)scratch;
}

#else

#include "blas.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

enum { A, B, C, SCRATCH, ARGUMENTS };
enum { BUCKETS = 256, MOST_PLANS = 1024 };

struct reel__bf16_plan {
    reel__bf16_plan *next; /* in its bucket */
    reel__bf16_shape shape;
    dnnl_primitive_t primitive;
    size_t scratch_bytes;
    int threads;
    dnnl_memory_t memory[][ARGUMENTS]; /* per thread: oneDNN's headers, which carry the address of a call */
};

struct reel__bf16_store {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int count;
    reel__bf16_plan *buckets[BUCKETS];
};

/* ---- life ---------------------------------------------------------------------------------------------- */

static void free_plan(reel__bf16_plan *plan) {
    for (int thread = 0; thread < plan->threads; thread++)
        for (int i = 0; i < ARGUMENTS; i++)
            dnnl_memory_destroy(plan->memory[thread][i]); /* NULL is accepted */
    dnnl_primitive_destroy(plan->primitive);
    free(plan);
}

static void free_plans(struct reel__bf16_store *store) {
    for (int i = 0; i < BUCKETS; i++)
        while (store->buckets[i]) {
            reel__bf16_plan *next = store->buckets[i]->next;
            free_plan(store->buckets[i]);
            store->buckets[i] = next;
        }
    store->count = 0;
}

static void store_free(reel_context *ctx) {
    struct reel__bf16_store *store = ctx->bf16_store;
    free_plans(store);
    dnnl_stream_destroy(store->stream);
    dnnl_engine_destroy(store->engine);
    free(store);
    ctx->bf16_store = NULL;
}

/* The context's store, made at first use; NULL when memory is short. */
static struct reel__bf16_store *store_of(reel_context *ctx) {
    if (ctx->bf16_store)
        return ctx->bf16_store;
    struct reel__bf16_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    ctx->bf16_store = store;
    ctx->bf16_store_free = store_free;
    if (dnnl_engine_create(&store->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&store->stream, store->engine, dnnl_stream_default_flags) == dnnl_success)
        return store;
    store_free(ctx);
    return NULL;
}

/* Without these instructions oneDNN emulates them, more slowly than f32 computes. */
bool reel__bf16_ready(const reel_context *ctx) {
    const unsigned needed = dnnl_cpu_isa_avx512_core_bf16;
    return ctx->backend == REEL__CPU_AVX512 && (dnnl_get_effective_cpu_isa() & needed) == needed;
}

/* ---- plans --------------------------------------------------------------------------------------------- */

typedef struct matrices {
    dnnl_memory_desc_t description[3]; /* a, b, c */
} matrices;

static dnnl_status_t describe(const reel__bf16_shape *s, matrices *m) {
    const dnnl_dims_t a = {s->m, s->k}, b = {s->k, s->n}, c = {s->m, s->n};
    const dnnl_dims_t a_stride = {s->a_row, s->a_column}, b_stride = {s->b_row, s->b_column};
    const dnnl_dims_t c_stride = {s->c_row, 1};
    const dnnl_data_type_t c_type = s->c_is_f32 ? dnnl_f32 : dnnl_bf16;
    dnnl_status_t status = dnnl_memory_desc_init_by_strides(&m->description[A], 2, a, dnnl_bf16, a_stride);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_strides(&m->description[B], 2, b, dnnl_bf16, b_stride);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_strides(&m->description[C], 2, c, c_type, c_stride);
    return status;
}

/* Scratch memory is ours, so that a call takes none from the system. */
static dnnl_status_t attributes(const reel__bf16_shape *s, dnnl_primitive_attr_t *attributes) {
    dnnl_status_t status = dnnl_primitive_attr_create(attributes);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
    if (status != dnnl_success || !s->accumulate)
        return status;
    dnnl_post_ops_t after = NULL;
    status = dnnl_post_ops_create(&after);
    if (status == dnnl_success)
        status = dnnl_post_ops_append_sum(after, 1);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(*attributes, after);
    dnnl_post_ops_destroy(after);
    return status;
}

static dnnl_status_t make_headers(reel__bf16_plan *plan, dnnl_engine_t engine, const matrices *m,
                                  const dnnl_memory_desc_t *scratch) {
    const dnnl_memory_desc_t *const descriptions[ARGUMENTS] = {&m->description[A], &m->description[B],
                                                               &m->description[C], scratch};
    dnnl_status_t status = dnnl_success;
    for (int thread = 0; thread < plan->threads; thread++)
        for (int i = 0; i < ARGUMENTS && status == dnnl_success; i++)
            status = dnnl_memory_create(&plan->memory[thread][i], descriptions[i], engine, DNNL_MEMORY_NONE);
    return status;
}

static dnnl_status_t fill_plan(reel__bf16_plan *plan, dnnl_engine_t engine) {
    matrices m;
    dnnl_matmul_desc_t product;
    dnnl_primitive_attr_t attribute = NULL;
    dnnl_primitive_desc_t description = NULL;
    dnnl_status_t status = describe(&plan->shape, &m);
    if (status == dnnl_success)
        status = attributes(&plan->shape, &attribute);
    if (status == dnnl_success)
        status =
            dnnl_matmul_desc_init(&product, &m.description[A], &m.description[B], NULL, &m.description[C]);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&description, &product, attribute, engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&plan->primitive, description);
    if (status == dnnl_success) {
        const dnnl_memory_desc_t *scratch =
            dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
        plan->scratch_bytes = dnnl_memory_desc_get_size(scratch);
        status = make_headers(plan, engine, &m, scratch);
    }
    dnnl_primitive_desc_destroy(description);
    dnnl_primitive_attr_destroy(attribute);
    return status;
}

/* Where oneDNN gets no memory for its code it throws, through C: so there must be room before it starts. */
static bool has_room(void) {
    const size_t room_bytes = (size_t)16 << 20;
    void *volatile room = malloc(room_bytes); /* or a compiler omits it */
    free(room);
    return room != NULL;
}

static reel__bf16_plan *new_plan(reel_context *ctx, struct reel__bf16_store *store,
                                 const reel__bf16_shape *shape) {
    const size_t headers = (size_t)ctx->threads * sizeof(dnnl_memory_t[ARGUMENTS]);
    reel__bf16_plan *plan = has_room() ? calloc(1, sizeof *plan + headers) : NULL;
    if (!plan)
        return NULL;
    plan->shape = *shape;
    plan->threads = ctx->threads;
    const int threads_before = reel__blas_one_thread();
    const dnnl_status_t status = fill_plan(plan, store->engine);
    reel__blas_threads_back(threads_before);
    if (status == dnnl_success)
        return plan;
    free_plan(plan);
    return NULL;
}

static unsigned bucket_of(const reel__bf16_shape *shape) {
    const int64_t *const number = &shape->m;
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof *shape / sizeof *number; i++)
        hash = (hash ^ (uint64_t)number[i]) * 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio */
    return (unsigned)(hash >> 56);
}

static const reel__bf16_plan *plan_of(reel_context *ctx, struct reel__bf16_store *store,
                                      const reel__bf16_shape *shape) {
    reel__bf16_plan **const bucket = &store->buckets[bucket_of(shape)];
    for (const reel__bf16_plan *plan = *bucket; plan; plan = plan->next)
        if (memcmp(&plan->shape, shape, sizeof *shape) == 0)
            return plan;
    reel__bf16_plan *plan = new_plan(ctx, store, shape);
    if (plan) {
        plan->next = *bucket;
        *bucket = plan;
        store->count++;
    }
    return plan;
}

bool reel__bf16_plans(reel_context *ctx, const char *op, int n, const reel__bf16_shape *shapes,
                      const reel__bf16_plan **plans) {
    struct reel__bf16_store *store = store_of(ctx);
    if (store && store->count > MOST_PLANS) /* shapes that do not repeat */
        free_plans(store);
    for (int i = 0; i < n; i++) {
        plans[i] = store ? plan_of(ctx, store, &shapes[i]) : NULL;
        if (plans[i])
            continue;
        reel__error(ctx, REEL_ERROR_MEMORY, op, "no memory for oneDNN's code of %lld x %lld x %lld",
                    (long long)shapes[i].m, (long long)shapes[i].n, (long long)shapes[i].k);
        return false;
    }
    return true;
}

size_t reel__bf16_scratch(const reel__bf16_plan *plan) {
    return plan->scratch_bytes;
}

/* ---- products ------------------------------------------------------------------------------------------ */

/* Fails only for arguments that do not fit the plan, which ours do. */
void reel__gemm_bf16(const reel_context *ctx, const reel__bf16_plan *plan, const void *a, const void *b,
                     void *c, void *scratch) {
    const dnnl_memory_t *const memory = plan->memory[reel__thread_index()];
    const void *const data[ARGUMENTS] = {a, b, c, scratch};
    for (int i = 0; i < ARGUMENTS; i++)
        dnnl_memory_set_data_handle(memory[i], (void *)(uintptr_t)data[i]);
    const dnnl_exec_arg_t arguments[ARGUMENTS] = {
        {DNNL_ARG_SRC, memory[A]},
        {DNNL_ARG_WEIGHTS, memory[B]},
        {DNNL_ARG_DST, memory[C]},
        {DNNL_ARG_SCRATCHPAD, memory[SCRATCH]},
    };
    const int threads_before = reel__blas_one_thread();
    dnnl_primitive_execute(plan->primitive, ctx->bf16_store->stream, ARGUMENTS, arguments);
    reel__blas_threads_back(threads_before);
}

#endif
