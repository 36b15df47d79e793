/* Cases of the matrix products. */
#include "op_case.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A sum of K rounded products errs by less than K / 2 epsilons of the sum of their magnitudes, about K here,
 * and usually by its square root; K is 260 at most. bf16 has one rounding of the result; dx of a row of 260
 * is one more. */
#define TOLERANCES .forward = {64, 64, 1}, .backward = {64, 64, 1}

/* ---- matmul -------------------------------------------------------------------------------------------- */

static reel_tensor *call_matmul(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    (void)v;
    return reel_matmul(ctx, in[0], in[1]);
}

/* c[..., m, n] = sum_k a[..., m, k] b[..., k, n] */
static void reference_matmul(const op_variant *v, const op_array *in, op_array *c) {
    const op_array *a = &in[0], *b = &in[1];
    op_array leading[2] = {*a, *b};
    int rank;
    int64_t shape[REEL_MAX_RANK], index[REEL_MAX_RANK] = {0};
    (void)v;
    leading[0].rank -= 2;
    leading[1].rank -= 2;
    op_broadcast_shape(leading, 2, &rank, shape);
    const int64_t M = a->shape[a->rank - 2], K = a->shape[a->rank - 1], N = b->shape[b->rank - 1];
    shape[rank] = M;
    shape[rank + 1] = N;
    op_shape(c, rank + 2, shape);
    for (int64_t i = 0, n = op_count(c); i < n; i++, op_next(c->rank, shape, index)) {
        int64_t at_a = 0, at_b = 0; /* the matrix among the leading axes */
        for (int axis = 0; axis < a->rank - 2; axis++)
            at_a = at_a * a->shape[axis] + (a->shape[axis] == 1 ? 0 : index[rank - (a->rank - 2) + axis]);
        for (int axis = 0; axis < b->rank - 2; axis++)
            at_b = at_b * b->shape[axis] + (b->shape[axis] == 1 ? 0 : index[rank - (b->rank - 2) + axis]);
        const int64_t row = index[rank], column = index[rank + 1];
        for (int64_t k = 0; k < K; k++)
            c->values[i] += a->values[(at_a * M + row) * K + k] * b->values[(at_b * K + k) * N + column];
    }
}

/* ---- bf16, however it is computed ---- */

/* Products as large as these go by tiles; the second sums its weights' gradient over examples. */
static const int64_t bf16_shapes[][4] = {{1, 301, 97, 260}, {37, 33, 37, 64}}; /* examples, M, K, N */

/* c = a b and the gradient of b, from random a and b, in f32; the caller frees. */
static float *bf16_products(const int64_t *s, int64_t *count) {
    reel_context *ctx;
    ck_assert_int_eq(reel_context_new(&ctx, NULL, NULL), REEL_OK);
    reel_tensor *a = reel_tensor_new(ctx, REEL_BF16, REEL_SHAPE(s[0], s[1], s[2]));
    reel_tensor *b = reel_tensor_new(ctx, REEL_BF16, REEL_SHAPE(s[2], s[3]));
    reel_fill_uniform(ctx, a, -1, 1, (reel_draw){.stream = REEL_STREAM_USER, .index = 0});
    reel_fill_uniform(ctx, b, -1, 1, (reel_draw){.stream = REEL_STREAM_USER, .index = 1});
    reel_require_grad(ctx, b);
    reel_tensor *c = reel_matmul(ctx, a, b);
    reel_tensor *wide = reel_cast(ctx, c, REEL_F32);
    const int64_t products = reel_elements(c), slopes = reel_elements(b);
    *count = products + slopes;
    float *values = malloc((size_t)*count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    reel_read(ctx, wide, values, (size_t)products * sizeof *values);
    reel_backward(ctx, reel_sum(ctx, reel_mul(ctx, wide, wide), NULL, 0, 0));
    reel_read(ctx, reel_grad(ctx, b), values + products, (size_t)slopes * sizeof *values);
    ck_assert_msg(reel_context_status(ctx) == REEL_OK, "%s", reel_context_message(ctx));
    reel_context_free(ctx);
    return values;
}

/* Products of bf16 in one piece and by way of f32, which the portable instructions always take, differ by the
 * order of their sums: at most by the last bit of the result. */
static void bf16_agrees_with_f32(reel_context *unused) {
    (void)unused;
    const char *isa = getenv("REEL_CPU_ISA");
    char *before = isa ? strdup(isa) : NULL;
    for (size_t i = 0; i < sizeof bf16_shapes / sizeof bf16_shapes[0]; i++) {
        int64_t count;
        float *direct = bf16_products(bf16_shapes[i], &count);
        setenv("REEL_CPU_ISA", "portable", 1);
        float *by_f32 = bf16_products(bf16_shapes[i], &count);
        if (before)
            setenv("REEL_CPU_ISA", before, 1);
        else
            unsetenv("REEL_CPU_ISA");
        float largest = 1;
        for (int64_t k = 0; k < count; k++)
            largest = fmaxf(largest, fabsf(by_f32[k]));
        for (int64_t k = 0; k < count; k++) {
            const float error = fabsf(direct[k] - by_f32[k]);
            ck_assert_msg(error <= 0x1p-7f * fabsf(by_f32[k]) + 0x1p-10f * largest,
                          "matmul in bf16: element %lld is %g, by way of f32 %g", (long long)k,
                          (double)direct[k], (double)by_f32[k]);
        }
        free(direct);
        free(by_f32);
    }
    free(before);
}

void op_case_matmul(op_case *c);
void op_case_matmul(op_case *c) {
    *c = (op_case){
        .call = call_matmul,
        .reference = reference_matmul,
        TOLERANCES,
        .variants =
            {
                {"matrices", {{OP_SHAPE(3, 4)}, {OP_SHAPE(4, 5)}}},
                {"batch", {{OP_SHAPE(2, 3, 4)}, {OP_SHAPE(2, 4, 2)}}},
                {"two leading axes", {{OP_SHAPE(2, 3, 2, 4)}, {OP_SHAPE(2, 3, 4, 3)}}},
                {"leading axes broadcast", {{OP_SHAPE(2, 1, 3, 4)}, {OP_SHAPE(3, 4, 2)}}},
                {"one matrix on the left", {{OP_SHAPE(3, 4)}, {OP_SHAPE(3, 4, 2)}}},
                {"one matrix on the right", {{OP_SHAPE(3, 2, 4)}, {OP_SHAPE(4, 3)}}},
                {"row by column", {{OP_SHAPE(1, 7)}, {OP_SHAPE(7, 1)}}},
                {"column by row", {{OP_SHAPE(5, 1)}, {OP_SHAPE(1, 6)}}},
                {"no inner size", {{OP_SHAPE(2, 0)}, {OP_SHAPE(0, 3)}}},
                {"no rows", {{OP_SHAPE(0, 4)}, {OP_SHAPE(4, 3)}}},
                {"large", {{OP_SHAPE(301, 97)}, {OP_SHAPE(97, 260)}}, .large = true},
                {"large batch", {{OP_SHAPE(37, 33, 20)}, {OP_SHAPE(37, 20, 35)}}, .large = true},
                {"large shared right", {{OP_SHAPE(7, 33, 20)}, {OP_SHAPE(20, 35)}}, .large = true},
                {"large shared left", {{OP_SHAPE(33, 20)}, {OP_SHAPE(7, 20, 35)}}, .large = true},
                /* left's gradient is a sum of more terms than a GPU has slices for */
                {"many shared left", {{OP_SHAPE(2, 3)}, {OP_SHAPE(701, 3, 4)}}, .large = true},
                /* rows of 13, beside which a GPU's tensor cores want whole vectors: turned, or padded */
                {"odd rows, even columns", {{OP_SHAPE(8, 13)}, {OP_SHAPE(3, 13, 64)}}, .large = true},
                {"odd rows and columns", {{OP_SHAPE(7, 13)}, {OP_SHAPE(3, 13, 64)}}, .large = true},
            },
        .also = bf16_agrees_with_f32,
        .refusals =
            {
                {"inner sizes", {{OP_SHAPE(3, 4)}, {OP_SHAPE(5, 3)}}},
                {"rank 1", {{OP_SHAPE(4)}, {OP_SHAPE(4, 3)}}},
                {"leading axes", {{OP_SHAPE(2, 3, 4)}, {OP_SHAPE(3, 4, 2)}}},
            },
    };
}

/* ---- linear -------------------------------------------------------------------------------------------- */

static reel_tensor *call_linear(reel_context *ctx, reel_tensor *const *in, const op_variant *v) {
    (void)v;
    return reel_linear(ctx, in[0], in[1], in[2]);
}

/* y[..., o] = sum_i x[..., i] weight[o, i] + bias[o] */
static void reference_linear(const op_variant *v, const op_array *in, op_array *y) {
    const op_array *x = &in[0], *weight = &in[1], *bias = &in[2];
    const int64_t I = weight->shape[1], O = weight->shape[0];
    int64_t shape[REEL_MAX_RANK] = {0};
    (void)v;
    for (int i = 0; i < x->rank; i++)
        shape[i] = x->shape[i];
    shape[x->rank - 1] = O;
    op_shape(y, x->rank, shape);
    for (int64_t row = 0, rows = op_count(y) / O; row < rows; row++)
        for (int64_t o = 0; o < O; o++) {
            double sum = bias->values ? bias->values[o] : 0;
            for (int64_t i = 0; i < I; i++)
                sum += x->values[row * I + i] * weight->values[o * I + i];
            y->values[row * O + o] = sum;
        }
}

void op_case_linear(op_case *c);
void op_case_linear(op_case *c) {
    *c = (op_case){
        .call = call_linear,
        .reference = reference_linear,
        TOLERANCES,
        .variants =
            {
                {"rows", {{OP_SHAPE(3, 5)}, {OP_SHAPE(4, 5)}, {OP_SHAPE(4)}}},
                {"no bias", {{OP_SHAPE(3, 5)}, {OP_SHAPE(4, 5)}, {.absent = true}}},
                {"one row", {{OP_SHAPE(5)}, {OP_SHAPE(3, 5)}, {OP_SHAPE(3)}}},
                {"batch of rows", {{OP_SHAPE(2, 3, 5)}, {OP_SHAPE(4, 5)}, {OP_SHAPE(4)}}},
                {"one output", {{OP_SHAPE(2, 3)}, {OP_SHAPE(1, 3)}, {OP_SHAPE(1)}}},
                {"no rows", {{OP_SHAPE(0, 5)}, {OP_SHAPE(4, 5)}, {OP_SHAPE(4)}}},
                {"large", {{OP_SHAPE(5, 67, 97)}, {OP_SHAPE(260, 97)}, {OP_SHAPE(260)}}, .large = true},
            },
        .refusals =
            {
                {"inner sizes", {{OP_SHAPE(3, 5)}, {OP_SHAPE(5, 4)}, {.absent = true}}},
                {"weight of rank 1", {{OP_SHAPE(3, 5)}, {OP_SHAPE(5)}, {.absent = true}}},
                {"bias size", {{OP_SHAPE(3, 5)}, {OP_SHAPE(4, 5)}, {OP_SHAPE(5)}}},
                {"x a scalar", {{0}, {OP_SHAPE(4, 5)}, {.absent = true}}},
            },
    };
}
