/* Matrix products by cuBLASLt.
 *
 * The library has many algorithms for a product. Which one runs is its heuristic's choice, made once for a
 * shape and its alignments and kept by the context, never a measurement: so the choice is a function of the
 * shape, the library's version and the GPU, and the same bits come out in every run. (A file of choices could
 * only repeat them: the library's description of an algorithm is good for one version of it.) Of the ways to
 * split a sum over blocks, those are allowed that add the parts up in a step of its own. */
#include "blas.h"
#include "device.h"
#include "gemm.h"

#include <cublasLt.h>
#include <stdlib.h>
#include <string.h>

enum { A, B, C, MATRICES };
enum { MOST_PLANS = 1024, MOST_BATCHES = 65535 /* of a grid's z axis */ };

/* What the choice depends on. */
typedef struct question {
    reel__gemm_shape shape;
    int64_t alignment[MATRICES]; /* of the addresses, in bytes */
} question;

typedef struct plan {
    struct plan *next;
    question of;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t layout[MATRICES];
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_bytes;
} plan;

struct reel__gemm_store {
    cublasLtHandle_t library;
    plan *plans; /* the one used last comes first: a model has some dozens */
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
    free_plans(ctx->gemm_store);
    (void)cublasLtDestroy(ctx->gemm_store->library);
    free(ctx->gemm_store);
    ctx->gemm_store = NULL;
}

/* The context's store, made at first use; NULL with the error kept. */
static struct reel__gemm_store *store_of(reel_context *ctx, const char *op) {
    if (ctx->gemm_store)
        return ctx->gemm_store;
    struct reel__gemm_store *const store = calloc(1, sizeof *store);
    const cublasStatus_t status = store ? cublasLtCreate(&store->library) : CUBLAS_STATUS_ALLOC_FAILED;
    if (status != CUBLAS_STATUS_SUCCESS) {
        reel__error(ctx, REEL_ERROR_DEVICE, op, "cuBLASLt does not start: %s",
                    cublasLtGetStatusString(status));
        free(store);
        return NULL;
    }
    ctx->gemm_store = store;
    ctx->gemm_store_free = store_free;
    return store;
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
static cublasStatus_t set_preference(cublasLtMatmulPreference_t preference, const question *of) {
    const uint64_t workspace_bytes = (uint64_t)32 << 20; /* NVIDIA's advice for Hopper */
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        int matrix;
    } alignments[] = {
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, B}, /* their first is our b */
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, A},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, C},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, C},
    };
    cublasStatus_t status = cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes, sizeof workspace_bytes);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                      &reductions, sizeof reductions);
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments && status == CUBLAS_STATUS_SUCCESS; i++) {
        const uint32_t bytes = (uint32_t)of->alignment[alignments[i].matrix];
        status =
            cublasLtMatmulPreferenceSetAttribute(preference, alignments[i].attribute, &bytes, sizeof bytes);
    }
    return status;
}

static cublasStatus_t choose_algorithm(plan *p, cublasLtHandle_t library) {
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t result = {0};
    int found = 0;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    status = set_preference(preference, &p->of);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulAlgoGetHeuristic(library, p->product, p->layout[B], p->layout[A], p->layout[C],
                                                p->layout[C], preference, 1, &result, &found);
    (void)cublasLtMatmulPreferenceDestroy(preference);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = found == 1 ? result.state : CUBLAS_STATUS_NOT_SUPPORTED;
    p->algorithm = result.algo;
    p->workspace_bytes = result.workspaceSize;
    return status;
}

static bool succeeded(reel_context *ctx, const char *op, const question *of, cublasStatus_t status) {
    const reel__gemm_shape *const s = &of->shape;
    if (status == CUBLAS_STATUS_SUCCESS)
        return true;
    reel__error(ctx, REEL_ERROR_DEVICE, op, "cuBLASLt: %s, for %lld products %lld x %lld x %lld of %s",
                cublasLtGetStatusString(status), (long long)s->batches, (long long)s->m, (long long)s->n,
                (long long)s->k, reel_dtype_name((reel_dtype)s->dtype));
    return false;
}

static plan *new_plan(reel_context *ctx, const char *op, const question *of) {
    plan *const p = calloc(1, sizeof *p);
    cublasStatus_t status = CUBLAS_STATUS_ALLOC_FAILED;
    if (p) {
        p->of = *of;
        status = describe_product(p);
    }
    if (status == CUBLAS_STATUS_SUCCESS)
        status = choose_algorithm(p, ctx->gemm_store->library);
    if (succeeded(ctx, op, of, status))
        return p;
    if (p)
        free_plan(p);
    return NULL;
}

/* The plan for a question, from the list or new, now the first of it; NULL with the error kept. */
static plan *plan_of(reel_context *ctx, const char *op, const question *of) {
    struct reel__gemm_store *const store = store_of(ctx, op);
    if (!store)
        return NULL;
    plan **at = &store->plans;
    while (*at && memcmp(&(*at)->of, of, sizeof *of) != 0)
        at = &(*at)->next;
    plan *p = *at;
    if (p) {
        *at = p->next;
    } else {
        if (store->count >= MOST_PLANS) /* shapes that do not repeat */
            free_plans(store);
        p = new_plan(ctx, op, of);
        if (!p)
            return NULL;
        store->count++;
    }
    p->next = store->plans;
    store->plans = p;
    return p;
}

/* ---- products ------------------------------------------------------------------------------------------ */

/* The largest power of two that divides an address, as far as any algorithm asks. */
static int64_t alignment_of(const void *address) {
    const uintptr_t most = 256, bits = (uintptr_t)address | most;
    return (int64_t)(bits & -bits);
}

static void launch(reel_context *ctx, const char *op, const plan *p, const void *a, const void *b, void *c) {
    const bool f64 = p->of.shape.dtype == REEL_F64, add = p->of.shape.accumulate;
    const double one_f64 = 1, beta_f64 = add ? 1 : 0;
    const float one_f32 = 1, beta_f32 = add ? 1 : 0;
    reel__storage *const workspace =
        p->workspace_bytes > 0 ? reel__storage_new(ctx, p->workspace_bytes) : NULL;
    if (p->workspace_bytes > 0 && !workspace) {
        reel__no_memory(ctx, op, p->workspace_bytes, "cuBLASLt's workspace");
        return;
    }
    const cublasStatus_t status = cublasLtMatmul(
        ctx->gemm_store->library, p->product, f64 ? (const void *)&one_f64 : (const void *)&one_f32, b,
        p->layout[B], a, p->layout[A], f64 ? (const void *)&beta_f64 : (const void *)&beta_f32, c,
        p->layout[C], c, p->layout[C], &p->algorithm, workspace ? workspace->data : NULL, p->workspace_bytes,
        reel__device_stream(ctx));
    if (workspace)
        reel__storage_release(ctx, workspace);
    if (succeeded(ctx, op, &p->of, status))
        reel__device_launched(ctx, op);
}

void reel__gemm(reel_context *ctx, const char *op, const reel__gemm_shape *shape, const void *a,
                const void *b, void *c) {
    const int64_t element = (int64_t)reel_dtype_bytes((reel_dtype)shape->dtype);
    const int64_t c_element = (int64_t)reel_dtype_bytes((reel_dtype)shape->c_dtype);
    for (int64_t first = 0; first < shape->batches && !reel__failed(ctx); first += MOST_BATCHES) {
        const void *const a_first = (const char *)a + first * shape->a_batch * element;
        const void *const b_first = (const char *)b + first * shape->b_batch * element;
        void *const c_first = (char *)c + first * shape->c_batch * c_element;
        question of = {.shape = *shape,
                       .alignment = {alignment_of(a_first), alignment_of(b_first), alignment_of(c_first)}};
        const int64_t left = shape->batches - first;
        of.shape.batches = left < MOST_BATCHES ? left : MOST_BATCHES;
        const plan *const p = plan_of(ctx, op, &of);
        if (p)
            launch(ctx, op, p, a_first, b_first, c_first);
    }
}
