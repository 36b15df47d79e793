/* Matrix products by cuBLASLt.
 *
 * The library has many algorithms for a product. Which one runs is chosen once for a shape and its alignments
 * (gemm_table.h): by a file, or else by the library's heuristic, which may answer otherwise in another
 * version or on another GPU; by measurement only where that is asked for. Of the ways to split a sum over
 * blocks, those are allowed that add the parts up in a step of its own: so every algorithm gives the same
 * bits in every run. */
#include "blas.h"
#include "device.h"
#include "gemm_table.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { A, B, C, MATRICES };
enum { MOST_PLANS = 1024, MOST_BATCHES = 65535 /* of a grid's z axis */ };

typedef struct plan {
    struct plan *next;
    reel__gemm_question of;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t layout[MATRICES];
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_bytes;
} plan;

_Static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof((reel__gemm_choice *)0)->algorithm,
               "a choice holds an algorithm");

struct reel__gemm_store {
    reel__gemm_choices choices;
    cublasLtHandle_t library;
    reel__storage *workspace; /* of all products, which follow each other: one as long as the context lives */
    plan *plans;              /* the one used last comes first: a model has some dozens */
    int count;
};

/* ---- life ---------------------------------------------------------------------------------------------- */

static void free_plan(plan *p) {
    for (int i = 0; i < MATRICES; i++)
        if (p->layout[i])
            (void)cublasLtMatrixLayoutDestroy(p->layout[i]);
    if (p->product)
        (void)cublasLtMatmulDescDestroy(p->product);
    free(p);
}

static void free_plans(struct reel__gemm_store *store) {
    while (store->plans) {
        plan *const next = store->plans->next;
        free_plan(store->plans);
        store->plans = next;
    }
    store->count = 0;
}

static void store_free(reel_context *ctx) {
    struct reel__gemm_store *const store = ctx->gemm_store;
    free_plans(store);
    if (store->library)
        (void)cublasLtDestroy(store->library);
    if (store->workspace)
        reel__storage_release(ctx, store->workspace);
    free(store->choices.items);
    free(store);
    ctx->gemm_store = NULL;
}

/* The context's store, made at first use. */
static reel_status open_store(reel_context *ctx, reel_error *error) {
    if (ctx->gemm_store)
        return REEL_OK;
    struct reel__gemm_store *const store = ctx->gemm_store = calloc(1, sizeof *store);
    if (!store)
        return reel_fail(error, REEL_ERROR_MEMORY, "no memory for matrix products");
    ctx->gemm_store_free = store_free;
    store->choices.gpu = reel_context_device_name(ctx);
    (void)snprintf(store->choices.chosen_by, sizeof store->choices.chosen_by, "cuBLASLt %zu",
                   cublasLtGetVersion());
    const cublasStatus_t created = cublasLtCreate(&store->library);
    if (created == CUBLAS_STATUS_SUCCESS)
        return REEL_OK;
    store_free(ctx);
    return reel_fail(error, REEL_ERROR_DEVICE, "cuBLASLt does not start: %s",
                     cublasLtGetStatusString(created));
}

/* The error is kept where it cannot be had. */
static void take_workspace(reel_context *ctx, const char *op) {
    struct reel__gemm_store *const store = ctx->gemm_store;
    if (!store->workspace)
        store->workspace = reel__storage_new(ctx, REEL__GEMM_WORKSPACE_BYTES);
    if (!store->workspace)
        reel__no_memory(ctx, op, REEL__GEMM_WORKSPACE_BYTES, "the workspace of matrix products");
}

reel_status reel__gemm_choices_of(reel__gemm_choices **table, reel_context *ctx, reel_error *error) {
    *table = NULL;
    const reel_status status =
        ctx->device ? open_store(ctx, error)
                    : reel_fail(error, REEL_ERROR_ARGUMENT, "the CPU has no choices of algorithms");
    if (status == REEL_OK)
        *table = &ctx->gemm_store->choices;
    return status;
}

/* ---- plans --------------------------------------------------------------------------------------------- */

static cudaDataType_t type_of(int64_t dtype) {
    return dtype == REEL_F64 ? CUDA_R_64F : dtype == REEL_F32 ? CUDA_R_32F : CUDA_R_16BF;
}

/* Rows and columns as cuBLASLt counts them: a column's elements lie side by side, columns `distance` apart.
 */
static cublasStatus_t describe(cublasLtMatrixLayout_t *layout, int64_t dtype, int64_t rows, int64_t columns,
                               int64_t distance, int64_t batches, int64_t batch_stride) {
    const int32_t count = (int32_t)batches;
    cublasStatus_t status =
        cublasLtMatrixLayoutCreate(layout, type_of(dtype), (uint64_t)rows, (uint64_t)columns, distance);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                                  sizeof count);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                  &batch_stride, sizeof batch_stride);
    return status;
}

/* cuBLASLt's matrices are the transposes of ours, so it is asked for c^T = b^T a^T: b comes first. */
static cublasStatus_t describe_product(plan *p) {
    const reel__gemm_shape *const s = &p->of.shape;
    int64_t a_row, a_column, b_row, b_column;
    reel__blas_strides(s->m, s->k, s->a_row, s->a_column, &a_row, &a_column);
    reel__blas_strides(s->k, s->n, s->b_row, s->b_column, &b_row, &b_column);
    const cublasOperation_t of_a = a_column == 1 ? CUBLAS_OP_N : CUBLAS_OP_T;
    const cublasOperation_t of_b = b_column == 1 ? CUBLAS_OP_N : CUBLAS_OP_T;
    cublasStatus_t status =
        of_a == CUBLAS_OP_N ? describe(&p->layout[A], s->dtype, s->k, s->m, a_row, s->batches, s->a_batch)
                            : describe(&p->layout[A], s->dtype, s->m, s->k, a_column, s->batches, s->a_batch);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = of_b == CUBLAS_OP_N
                     ? describe(&p->layout[B], s->dtype, s->n, s->k, b_row, s->batches, s->b_batch)
                     : describe(&p->layout[B], s->dtype, s->k, s->n, b_column, s->batches, s->b_batch);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = describe(&p->layout[C], s->c_dtype, s->n, s->m, s->c_row, s->batches, s->c_batch);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = s->dtype == REEL_F64 ? cublasLtMatmulDescCreate(&p->product, CUBLAS_COMPUTE_64F, CUDA_R_64F)
                                      : cublasLtMatmulDescCreate(&p->product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_TRANSA, &of_b, sizeof of_b);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_TRANSB, &of_a, sizeof of_a);
    return status;
}

/* What the heuristic may choose from. */
static cublasStatus_t set_preference(cublasLtMatmulPreference_t preference, const reel__gemm_question *of) {
    const uint64_t workspace_bytes = REEL__GEMM_WORKSPACE_BYTES;
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        int64_t bytes;
    } alignments[] = {
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, of->b_alignment}, /* their first is our b */
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, of->a_alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, of->c_alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, of->c_alignment},
    };
    cublasStatus_t status = cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes, sizeof workspace_bytes);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                      &reductions, sizeof reductions);
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments && status == CUBLAS_STATUS_SUCCESS; i++) {
        const uint32_t bytes = (uint32_t)alignments[i].bytes;
        status =
            cublasLtMatmulPreferenceSetAttribute(preference, alignments[i].attribute, &bytes, sizeof bytes);
    }
    return status;
}

/* The heuristic's first answers, at most `wanted`. */
static cublasStatus_t propose(const plan *p, cublasLtHandle_t library,
                              cublasLtMatmulHeuristicResult_t *proposals, int wanted, int *found) {
    cublasLtMatmulPreference_t preference;
    *found = 0;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    status = set_preference(preference, &p->of);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulAlgoGetHeuristic(library, p->product, p->layout[B], p->layout[A], p->layout[C],
                                                p->layout[C], preference, wanted, proposals, found);
    (void)cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

/* Queues the product. */
static cublasStatus_t launch(const reel_context *ctx, const plan *p, const void *a, const void *b, void *c) {
    const bool f64 = p->of.shape.dtype == REEL_F64, add = p->of.shape.accumulate;
    const double one_f64 = 1, beta_f64 = add ? 1 : 0;
    const float one_f32 = 1, beta_f32 = add ? 1 : 0;
    return cublasLtMatmul(ctx->gemm_store->library, p->product,
                          f64 ? (const void *)&one_f64 : (const void *)&one_f32, b, p->layout[B], a,
                          p->layout[A], f64 ? (const void *)&beta_f64 : (const void *)&beta_f32, c,
                          p->layout[C], c, p->layout[C], &p->algorithm, ctx->gemm_store->workspace->data,
                          p->workspace_bytes, reel__device_stream(ctx));
}

static void use(plan *p, const cublasLtMatmulHeuristicResult_t *proposal) {
    p->algorithm = proposal->algo;
    p->workspace_bytes = proposal->workspaceSize;
}

/* ---- measurement --------------------------------------------------------------------------------------- */

enum { PROPOSALS = 8, ROUNDS = 5, LAUNCHES = 10 /* in a round: one alone is shorter than its launch */ };

static int ascending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Milliseconds of the median round; infinite where the algorithm does not run. */
static float time_of(const reel_context *ctx, const plan *p, const void *a, const void *b, void *c,
                     const cudaEvent_t event[2]) {
    cudaStream_t const stream = reel__device_stream(ctx);
    float ms[ROUNDS];
    bool runs = launch(ctx, p, a, b, c) == CUBLAS_STATUS_SUCCESS; /* its code is loaded, and not timed */
    for (int round = 0; round < ROUNDS && runs; round++) {
        runs = cudaEventRecord(event[0], stream) == cudaSuccess;
        for (int i = 0; i < LAUNCHES && runs; i++)
            runs = launch(ctx, p, a, b, c) == CUBLAS_STATUS_SUCCESS;
        runs = runs && cudaEventRecord(event[1], stream) == cudaSuccess &&
               cudaEventSynchronize(event[1]) == cudaSuccess &&
               cudaEventElapsedTime(&ms[round], event[0], event[1]) == cudaSuccess;
    }
    if (!runs) {
        (void)cudaGetLastError(); /* or the next kernel would be blamed */
        return INFINITY;
    }
    qsort(ms, ROUNDS, sizeof *ms, ascending);
    return ms[ROUNDS / 2];
}

/* The fastest of the proposals, by products of a and b into scratch memory; -1 where none runs. */
static int fastest(reel_context *ctx, plan *p, const cublasLtMatmulHeuristicResult_t *proposals, int found,
                   const void *a, const void *b) {
    const reel__gemm_shape *const s = &p->of.shape;
    const int64_t elements = (s->batches - 1) * s->c_batch + (s->m - 1) * s->c_row + s->n;
    const size_t bytes = (size_t)elements * reel_dtype_bytes((reel_dtype)s->c_dtype);
    reel__storage *const c = reel__storage_new(ctx, bytes);
    cudaEvent_t event[2] = {NULL, NULL};
    float least = INFINITY;
    int best = -1;
    if (c && cudaEventCreate(&event[0]) == cudaSuccess && cudaEventCreate(&event[1]) == cudaSuccess) {
        reel__device_zero(ctx, c->data, bytes); /* it is added to where the product accumulates */
        for (int i = 0; i < found; i++) {
            use(p, &proposals[i]);
            const float ms = proposals[i].state == CUBLAS_STATUS_SUCCESS
                                 ? time_of(ctx, p, a, b, c->data, event)
                                 : INFINITY;
            if (ms < least) {
                least = ms;
                best = i;
            }
        }
    }
    for (int i = 0; i < 2; i++)
        if (event[i])
            (void)cudaEventDestroy(event[i]);
    if (c)
        reel__storage_release(ctx, c);
    return best;
}

/* ---- choices ------------------------------------------------------------------------------------------- */

/* Chooses an algorithm and keeps the choice. */
static cublasStatus_t choose(reel_context *ctx, plan *p, const void *a, const void *b) {
    struct reel__gemm_store *const store = ctx->gemm_store;
    const bool measures = store->choices.measures;
    cublasLtMatmulHeuristicResult_t proposals[PROPOSALS] = {0};
    int found;
    const cublasStatus_t status = propose(p, store->library, proposals, measures ? PROPOSALS : 1, &found);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    const int taken = found == 0 ? -1 : measures ? fastest(ctx, p, proposals, found, a, b) : 0;
    if (taken < 0)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (proposals[taken].state != CUBLAS_STATUS_SUCCESS)
        return proposals[taken].state;
    use(p, &proposals[taken]);
    reel__gemm_choice choice = {.of = p->of, .workspace_bytes = (int64_t)p->workspace_bytes};
    memcpy(choice.algorithm, &p->algorithm, sizeof choice.algorithm);
    return reel__gemm_choices_add(&store->choices, &choice) ? CUBLAS_STATUS_SUCCESS
                                                            : CUBLAS_STATUS_ALLOC_FAILED;
}

/* Takes the algorithm that was chosen before, if it can run. */
static cublasStatus_t take(plan *p, cublasLtHandle_t library, const reel__gemm_choice *choice) {
    cublasLtMatmulHeuristicResult_t checked = {0};
    memcpy(&p->algorithm, choice->algorithm, sizeof p->algorithm);
    const cublasStatus_t status = cublasLtMatmulAlgoCheck(
        library, p->product, p->layout[B], p->layout[A], p->layout[C], p->layout[C], &p->algorithm, &checked);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    p->workspace_bytes = (size_t)choice->workspace_bytes;
    if (p->workspace_bytes < checked.workspaceSize)
        p->workspace_bytes = checked.workspaceSize;
    return p->workspace_bytes <= REEL__GEMM_WORKSPACE_BYTES ? CUBLAS_STATUS_SUCCESS
                                                            : CUBLAS_STATUS_NOT_SUPPORTED;
}

static bool succeeded(reel_context *ctx, const char *op, const char *who, const reel__gemm_question *of,
                      cublasStatus_t status) {
    const reel__gemm_shape *const s = &of->shape;
    if (status == CUBLAS_STATUS_SUCCESS)
        return true;
    reel__error(ctx, REEL_ERROR_DEVICE, op, "%s: %s, for %lld products %lld x %lld x %lld of %s", who,
                cublasLtGetStatusString(status), (long long)s->batches, (long long)s->m, (long long)s->n,
                (long long)s->k, reel_dtype_name((reel_dtype)s->dtype));
    return false;
}

static plan *new_plan(reel_context *ctx, const char *op, const reel__gemm_question *of, const void *a,
                      const void *b) {
    struct reel__gemm_store *const store = ctx->gemm_store;
    const reel__gemm_choice *const chosen = reel__gemm_choices_find(&store->choices, of);
    plan *const p = calloc(1, sizeof *p);
    cublasStatus_t status = CUBLAS_STATUS_ALLOC_FAILED;
    if (p) {
        p->of = *of;
        status = describe_product(p);
    }
    if (status == CUBLAS_STATUS_SUCCESS)
        status = chosen ? take(p, store->library, chosen) : choose(ctx, p, a, b);
    if (succeeded(ctx, op, chosen ? "the algorithm chosen before" : "cuBLASLt", of, status))
        return p;
    if (p)
        free_plan(p);
    return NULL;
}

/* The plan for a question, from the list or new, now the first of it; NULL with the error kept. a and b are
 * what a measurement multiplies. */
static plan *plan_of(reel_context *ctx, const char *op, const reel__gemm_question *of, const void *a,
                     const void *b) {
    struct reel__gemm_store *const store = ctx->gemm_store;
    plan **at = &store->plans;
    while (*at && memcmp(&(*at)->of, of, sizeof *of) != 0)
        at = &(*at)->next;
    plan *p = *at;
    if (p) {
        *at = p->next;
    } else {
        if (store->count >= MOST_PLANS) /* shapes that do not repeat */
            free_plans(store);
        p = new_plan(ctx, op, of, a, b);
        if (!p)
            return NULL;
        store->count++;
    }
    p->next = store->plans;
    store->plans = p;
    return p;
}

/* ---- products ------------------------------------------------------------------------------------------ */

void reel__gemm(reel_context *ctx, const char *op, const reel__gemm_shape *shape, const void *a,
                const void *b, void *c) {
    const int64_t element = (int64_t)reel_dtype_bytes((reel_dtype)shape->dtype);
    const int64_t c_element = (int64_t)reel_dtype_bytes((reel_dtype)shape->c_dtype);
    reel_error error = {0};
    if (open_store(ctx, &error) != REEL_OK)
        reel__error(ctx, error.status, op, "%s", error.message);
    else
        take_workspace(ctx, op);
    for (int64_t first = 0; first < shape->batches && !reel__failed(ctx); first += MOST_BATCHES) {
        const void *const a_first = (const char *)a + first * shape->a_batch * element;
        const void *const b_first = (const char *)b + first * shape->b_batch * element;
        void *const c_first = (char *)c + first * shape->c_batch * c_element;
        const int64_t left = shape->batches - first;
        reel__gemm_shape part = *shape;
        part.batches = left < MOST_BATCHES ? left : MOST_BATCHES;
        const reel__gemm_question of = reel__gemm_question_of(&part, a_first, b_first, c_first);
        const plan *const p = plan_of(ctx, op, &of, a_first, b_first);
        if (p && succeeded(ctx, op, "cuBLASLt", &of, launch(ctx, p, a_first, b_first, c_first)))
            reel__device_launched(ctx, op);
    }
}
