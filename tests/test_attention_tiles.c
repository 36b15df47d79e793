/* Attention on the device against the CPU, in sizes around those of the tiles that it is cut into, with what
 * lies behind each result watched. */
#include "kernels.h"
#ifdef REEL_CUDA_SIMULATED
#include "simulator.h"
#endif
#include "context.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, H = 2, SKIPPED = 77 };

/* What the kernels are given, with a row of NaN behind, and what they write; y and the gradients have a row
 * of CANARY behind. */
enum { Q, K, V, DY, Y, DQ, DK, DV, LOG_SUM, TENSORS };
static const char *const names[TENSORS] = {"q", "k", "v", "dy", "y", "dq", "dk", "dv", "log_sum"};
static const double CANARY = 7;

typedef struct sizes {
    int64_t Tq, Tk, d;
    int causal;
} sizes;

/* Among the causal ones a tile of 64 keys of which the first query sees all but the last. */
static const sizes cases[] = {
    {1, 1, 8, 0},     {1, 1, 1, 1},     {15, 17, 16, 0},  {16, 16, 32, 0}, {17, 15, 20, 1},  {31, 65, 64, 0},
    {32, 64, 64, 0},  {33, 63, 64, 1},  {129, 81, 64, 0}, {97, 97, 40, 1}, {17, 33, 128, 0}, {65, 31, 128, 1},
    {17, 15, 256, 0}, {33, 65, 136, 1}, {17, 33, 264, 0}, {33, 63, 64, 0}, {17, 31, 256, 0}, {65, 40, 257, 1},
    {3, 0, 8, 0},     {0, 3, 8, 0},     {2, 64, 64, 1},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static bool is_of_queries(int which) {
    return which == Q || which == DY || which == Y || which == DQ;
}

/* (B, H, T, d) over an owned (B, T + 1, H, d), as the heads of a projection lie. */
static reel_tensor heads(const reel_tensor *base, int64_t T) {
    reel_tensor x = *base;
    const int64_t d = base->shape[3];
    const int64_t shape[] = {B, H, T, d}, stride[] = {(T + 1) * H * d, d, H * d, 1};
    memcpy(x.shape, shape, sizeof shape);
    memcpy(x.stride, stride, sizeof stride);
    return x;
}

/* What nobody may read: a 0 times it shows. */
static void poison_row_behind(reel_context *ctx, const reel_tensor *base) {
    const int64_t T = base->shape[1] - 1, shape[] = {B, 1, H, base->shape[3]};
    reel_tensor row = *base;
    memcpy(row.shape, shape, sizeof shape);
    row.data = (char *)base->data + T * base->stride[1] * (int64_t)reel_dtype_bytes(base->dtype);
    reel__fill_values(ctx, &row, NAN);
}

static double *values_of(reel_context *ctx, const reel_tensor *x) {
    reel_tensor host = *x;
    host.dtype = REEL_F64;
    host.data = malloc((size_t)(reel_elements(x) + 1) * sizeof(double));
    ck_assert_ptr_nonnull(host.data);
    reel__contiguous_strides(x->rank, x->shape, host.stride);
    reel__read_values(ctx, &host, x);
    return host.data;
}

/* The forward and the backward pass; all tensors' values come out. */
static void run(reel_device device, reel_dtype dtype, const sizes *s, double *out[TENSORS]) {
    const reel_context_options options = {.device = device, .threads = 1};
    reel_context *ctx;
    reel_error error = {0};
    reel_tensor *base[TENSORS], x[TENSORS];
    ck_assert_msg(reel_context_new(&ctx, &options, &error) == REEL_OK, "%s", error.message);
    for (int i = 0; i < TENSORS; i++) {
        const int64_t T = is_of_queries(i) ? s->Tq : s->Tk;
        if (i == LOG_SUM) {
            base[i] = reel_tensor_new(ctx, reel__wide(dtype), REEL_SHAPE(B, H, s->Tq));
            x[i] = *base[i];
        } else {
            base[i] = reel_tensor_new(ctx, dtype, REEL_SHAPE(B, T + 1, H, s->d));
            x[i] = heads(base[i], T);
        }
        if (i <= DY) {
            reel_fill_uniform(ctx, base[i], -2, 2,
                              (reel_draw){.stream = REEL_STREAM_USER, .index = (uint64_t)i});
            poison_row_behind(ctx, base[i]);
        } else {
            reel_fill(ctx, base[i], CANARY);
        }
    }
    const double scale = 1 / sqrt((double)s->d);
    REEL_DISPATCH(ctx, attention, (ctx, &x[Q], &x[K], &x[V], NULL, s->causal, scale, &x[Y], &x[LOG_SUM]));
    REEL_DISPATCH(ctx, attention_backward,
                  (ctx, &x[Q], &x[K], &x[V], NULL, s->causal, scale, &x[Y], &x[LOG_SUM], &x[DY], &x[DQ],
                   &x[DK], &x[DV]));
    for (int i = 0; i < TENSORS; i++)
        out[i] = values_of(ctx, base[i]);
    ck_assert_msg(reel_context_status(ctx) == REEL_OK, "%s", reel_context_message(ctx));
    for (int i = 0; i < TENSORS; i++)
        reel_tensor_free(ctx, base[i]);
    reel_context_free(ctx);
}

static int64_t count_of(int which, const sizes *s) {
    return which == LOG_SUM ? B * H * s->Tq : B * ((is_of_queries(which) ? s->Tq : s->Tk) + 1) * H * s->d;
}

static void compare(reel_dtype dtype, const sizes *s, double *const want[TENSORS],
                    double *const got[TENSORS]) {
    /* sums of 129 and 257 products in another order; bf16 has p and ds rounded before the second product */
    const double tolerance = dtype == REEL_BF16 ? 0x1p-6 : dtype == REEL_F32 ? 1e-5 : 1e-13;
    for (int i = Y; i < TENSORS; i++) {
        double largest = 0x1p-4; /* the slopes of a single key are 0 but for rounding */
        for (int64_t j = 0; j < count_of(i, s); j++)
            if (isfinite(want[i][j]) && want[i][j] != CANARY)
                largest = fmax(largest, fabs(want[i][j]));
        for (int64_t j = 0; j < count_of(i, s); j++)
            ck_assert_msg(want[i][j] == got[i][j] ||
                              (want[i][j] != CANARY && fabs(want[i][j] - got[i][j]) <= tolerance * largest),
                          "Tq %d, Tk %d, d %d, causal %d, %s: %s[%d] is %.9g, on the CPU %.9g", (int)s->Tq,
                          (int)s->Tk, (int)s->d, s->causal, reel_dtype_name(dtype), names[i], (int)j,
                          got[i][j], want[i][j]);
    }
}

static void check_case(reel_dtype dtype, const sizes *s) {
    double *want[TENSORS], *got[TENSORS];
    run(REEL_CPU, dtype, s, want);
    run(REEL_CUDA, dtype, s, got);
    compare(dtype, s, want, got);
    for (int i = 0; i < TENSORS; i++) {
        free(want[i]);
        free(got[i]);
    }
}

START_TEST(test_attention_agrees_with_the_cpu_around_tile_sizes) {
    for (reel_dtype dtype = REEL_F64; dtype <= REEL_BF16; dtype++) {
#ifdef REEL_CUDA_SIMULATED
        reel__sim_set_order((reel__sim_order)((_i + (int)dtype) % REEL__SIM_ORDERS));
#endif
        check_case(dtype, &cases[_i]);
    }
}
END_TEST

int main(void) {
    const reel_context_options options = {.device = REEL_CUDA};
    reel_context *ctx;
    reel_error error = {0};
    if (reel_context_new(&ctx, &options, &error) != REEL_OK) {
        fprintf(stderr, "test_attention_tiles: %s\n", error.message);
        return error.status == REEL_ERROR_DEVICE ? SKIPPED : EXIT_FAILURE;
    }
    reel_context_free(ctx);
    Suite *suite = suite_create("attention_tiles");
    TCase *tcase = tcase_create("sizes");
    tcase_add_loop_test(tcase, test_attention_agrees_with_the_cpu_around_tile_sizes, 0, CASES);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
