/* Matrix products of the simulated GPU, by the host's BLAS.
 *
 * All elements are read and written here, one by one, so that the sanitizers see an access outside of a
 * matrix, which they cannot inside the BLAS. Of its two algorithms, which compute the same, it proposes the
 * first and measures the second to be faster. */
#include "bf16.h"
#include "blas.h"
#include "gemm_table.h"
#include "simulator.h"

#include <stdlib.h>

enum { PROPOSED = 1, FASTER };

/* ---- choices ------------------------------------------------------------------------------------------- */

struct reel__gemm_store {
    reel__gemm_choices choices;
};

static void store_free(reel_context *ctx) {
    free(ctx->gemm_store->choices.items);
    free(ctx->gemm_store);
    ctx->gemm_store = NULL;
}

reel_status reel__gemm_choices_of(reel__gemm_choices **table, reel_context *ctx, reel_error *error) {
    *table = NULL;
    if (!ctx->device)
        return reel_fail(error, REEL_ERROR_ARGUMENT, "the CPU has no choices of algorithms");
    if (!ctx->gemm_store) {
        ctx->gemm_store = calloc(1, sizeof *ctx->gemm_store);
        if (!ctx->gemm_store)
            return reel_fail(error, REEL_ERROR_MEMORY, "no memory for choices of algorithms");
        ctx->gemm_store_free = store_free;
        ctx->gemm_store->choices =
            (reel__gemm_choices){.chosen_by = "simulated cuBLASLt 1", .gpu = reel_context_device_name(ctx)};
    }
    *table = &ctx->gemm_store->choices;
    return REEL_OK;
}

/* As gemm_cuda.c does it. */
static void choose(reel_context *ctx, const char *op, const reel__gemm_question *of) {
    reel__gemm_choices *table;
    reel_error error = {0};
    if (reel__gemm_choices_of(&table, ctx, &error) != REEL_OK) {
        reel__error(ctx, error.status, op, "%s", error.message);
        return;
    }
    const reel__gemm_choice *const given = reel__gemm_choices_find(table, of);
    const reel__gemm_choice made = {.of = *of, .algorithm = {table->measures ? FASTER : PROPOSED}};
    if (given && given->algorithm[0] != PROPOSED && given->algorithm[0] != FASTER)
        reel__error(ctx, REEL_ERROR_DEVICE, op, "cuBLASLt refuses the chosen algorithm");
    else if (!given && !reel__gemm_choices_add(table, &made))
        reel__error(ctx, REEL_ERROR_MEMORY, op, "no memory for choices of algorithms");
}

/* ---- products ------------------------------------------------------------------------------------------ */

/* Element i of a matrix, and its replacement. */
static double get(const void *matrix, int64_t dtype, int64_t i) {
    return dtype == REEL_F64   ? ((const double *)matrix)[i]
           : dtype == REEL_F32 ? (double)((const float *)matrix)[i]
                               : (double)reel__from_bf16(((const reel_bf16 *)matrix)[i]);
}

static void set(void *matrix, int64_t dtype, int64_t i, double value) {
    if (dtype == REEL_F64)
        ((double *)matrix)[i] = value;
    else if (dtype == REEL_F32)
        ((float *)matrix)[i] = (float)value;
    else
        ((reel_bf16 *)matrix)[i] = reel__to_bf16((float)value);
}

/* Between a matrix and a row-major one of the type that sums are formed in. */
typedef struct strides {
    int64_t row, column;
} strides;

static void pack(void *to, int64_t wide, int64_t rows, int64_t columns, const void *from, int64_t dtype,
                 strides s) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            set(to, wide, i * columns + j, get(from, dtype, i * s.row + j * s.column));
}

static void unpack(const void *from, int64_t wide, int64_t rows, int64_t columns, void *to, int64_t dtype,
                   strides s) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            set(to, dtype, i * s.row + j * s.column, get(from, wide, i * columns + j));
}

/* One entry of the batch; a, b and c are scratch of the type of the sums. */
static void multiply(const reel__gemm_shape *s, const void *from_a, const void *from_b, void *to_c, char *a,
                     char *b, char *c) {
    const int64_t wide = reel__wide((reel_dtype)s->dtype);
    const strides a_strides = {s->a_row, s->a_column}, b_strides = {s->b_row, s->b_column};
    const strides c_strides = {s->c_row, 1};
    const reel__matrix left = {a, s->k, 1}, right = {b, s->n, 1};
    pack(a, wide, s->m, s->k, from_a, s->dtype, a_strides);
    pack(b, wide, s->k, s->n, from_b, s->dtype, b_strides);
    if (s->accumulate)
        pack(c, wide, s->m, s->n, to_c, s->c_dtype, c_strides);
    if (wide == REEL_F64)
        reel__gemm_f64(s->m, s->n, s->k, 1, left, right, (double *)(void *)c, s->n, s->accumulate);
    else
        reel__gemm_f32(s->m, s->n, s->k, 1, left, right, (float *)(void *)c, s->n, s->accumulate);
    unpack(c, wide, s->m, s->n, to_c, s->c_dtype, c_strides);
}

typedef struct product {
    reel__gemm_shape shape;
    const char *a, *b;
    char *c;
    char *a_wide, *b_wide, *c_wide; /* scratch */
} product;

static void run(void *argument) {
    const product *const p = argument;
    const reel__gemm_shape *const s = &p->shape;
    const int64_t element = (int64_t)reel_dtype_bytes((reel_dtype)s->dtype);
    const int64_t c_element = (int64_t)reel_dtype_bytes((reel_dtype)s->c_dtype);
    for (int64_t e = 0; e < s->batches; e++)
        multiply(s, p->a + e * s->a_batch * element, p->b + e * s->b_batch * element,
                 p->c + e * s->c_batch * c_element, p->a_wide, p->b_wide, p->c_wide);
}

void reel__gemm(reel_context *ctx, const char *op, const reel__gemm_shape *s, const void *a, const void *b,
                void *c) {
    const int64_t wide = (int64_t)reel_dtype_bytes(reel__wide((reel_dtype)s->dtype));
    if (!reel__blas_readable(s->m, s->k, s->a_row, s->a_column) ||
        !reel__blas_readable(s->k, s->n, s->b_row, s->b_column)) {
        reel__error(ctx, REEL_ERROR_DEVICE, op, "cuBLASLt would not read a factor with these strides");
        return;
    }
    const reel__gemm_question question = reel__gemm_question_of(s, a, b, c);
    choose(ctx, op, &question);
    if (reel__failed(ctx))
        return;
    const size_t bytes = (size_t)((s->m * s->k + s->k * s->n + s->m * s->n) * wide);
    reel__storage *const scratch = reel__storage_new(ctx, bytes);
    if (!scratch) {
        reel__no_memory(ctx, op, bytes, "a product of the simulator");
        return;
    }
    product p = {.shape = *s, .a = a, .b = b, .c = c, .a_wide = scratch->data};
    p.b_wide = p.a_wide + s->m * s->k * wide;
    p.c_wide = p.b_wide + s->k * s->n * wide;
    reel__sim_queue(ctx, run, &p, sizeof p);
    reel__storage_release(ctx, scratch);
}
