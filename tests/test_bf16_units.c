/* Products of bf16 by each unit that this CPU has for them, beside the same by way of f32, and products of
 * f32 by AMX, beside f64: sizes around those of tiles, every layout of the factors, sums in parts, and gated
 * MLPs, of which swiglu is part. Skipped where the CPU or the build has no such unit. */
#include <check.h>
#include <math.h>
#include <reel/reel.h>
#include <stdlib.h>
#include <string.h>

static const char *const units[] = {"avx512_bf16", "amx"};
enum { UNITS = sizeof units / sizeof units[0], SKIPPED = 77, MOST_INPUTS = 3 };

static reel_context *context_with(const char *isa) {
    reel_context *ctx;
    setenv("REEL_CPU_ISA", isa, 1);
    return reel_context_new(&ctx, NULL, NULL) == REEL_OK ? ctx : NULL;
}

static bool has(const char *unit) {
    reel_context *ctx = context_with(unit);
    reel_context_free(ctx);
    return ctx != NULL;
}

/* A result and the gradients of its inputs. */
typedef struct values {
    int64_t count, tensors, end[1 + MOST_INPUTS]; /* of all; where each tensor's end */
    double *at;
} values;

static void append(reel_context *ctx, values *v, reel_tensor *x) {
    const int64_t n = reel_elements(x);
    v->at = realloc(v->at, (size_t)(v->count + n) * sizeof *v->at);
    ck_assert_ptr_nonnull(v->at);
    ck_assert_int_eq(reel_read(ctx, reel_cast(ctx, x, REEL_F64), v->at + v->count, (size_t)n * sizeof *v->at),
                     REEL_OK);
    v->count += n;
    v->end[v->tensors++] = v->count;
}

typedef reel_tensor *function(reel_context *ctx, reel_tensor *const *in, int axis);

/* The function of random inputs of a dtype, whose values are those of `filled`, and their gradients for the
 * sum of its squares. */
static values computed(const char *isa, reel_dtype filled, reel_dtype dtype, function *f, int axis,
                       int inputs, const int64_t (*shape)[5]) {
    reel_context *ctx = context_with(isa);
    reel_tensor *in[MOST_INPUTS];
    values v = {0};
    ck_assert_ptr_nonnull(ctx);
    for (int i = 0; i < inputs; i++) {
        reel_tensor *drawn = reel_tensor_new(ctx, filled, (int)shape[i][0], shape[i] + 1);
        reel_fill_uniform(ctx, drawn, -1, 1, (reel_draw){.stream = REEL_STREAM_USER, .index = i});
        in[i] = reel_tensor_new(ctx, dtype, (int)shape[i][0], shape[i] + 1);
        reel_copy(ctx, in[i], reel_cast(ctx, drawn, dtype));
        reel_require_grad(ctx, in[i]);
    }
    reel_tensor *y = f(ctx, in, axis);
    append(ctx, &v, y);
    reel_tensor *wide = dtype == REEL_BF16 ? reel_cast(ctx, y, REEL_F32) : y;
    reel_backward(ctx, reel_sum(ctx, reel_mul(ctx, wide, wide), NULL, 0, 0));
    for (int i = 0; i < inputs; i++)
        append(ctx, &v, reel_grad(ctx, in[i]));
    ck_assert_msg(reel_context_status(ctx) == REEL_OK, "%s", reel_context_message(ctx));
    reel_context_free(ctx);
    return v;
}

/* They differ by the order of sums, and so by what is rounded on the way, by less than a hundredth in the
 * mean: a term left out or taken twice would be a tenth of a sum of a hundred. No single one is far off
 * either. */
static void assert_agrees(const char *name, const char *unit, int64_t n, const double *x,
                          const double *expected) {
    double error = 0, size = 0, worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        const double off = fabs(x[i] - expected[i]);
        error += off * off;
        size += expected[i] * expected[i];
        worst = fmax(worst, off);
        largest = fmax(largest, fabs(expected[i]));
        ck_assert_msg(isfinite(x[i]), "%s by %s: value %lld is %g", name, unit, (long long)i, x[i]);
    }
    ck_assert_msg(sqrt(error) <= 0.01 * sqrt(size), "%s by %s: %g off in the mean, of %g", name, unit,
                  sqrt(error / (double)n), sqrt(size / (double)n));
    ck_assert_msg(worst <= 0x1p-6 * largest, "%s by %s: one is %g off, the largest is %g", name, unit, worst,
                  largest);
}

static void assert_units_agree(const char *name, function *f, int axis, int inputs,
                               const int64_t (*shape)[5]) {
    const values by_f32 = computed("portable", REEL_BF16, REEL_BF16, f, axis, inputs, shape);
    for (int u = 0; u < UNITS; u++) {
        if (!has(units[u]))
            continue;
        const values v = computed(units[u], REEL_BF16, REEL_BF16, f, axis, inputs, shape);
        ck_assert_int_eq(v.count, by_f32.count);
        for (int64_t i = 0, begin = 0; i < v.tensors; begin = v.end[i++])
            assert_agrees(name, units[u], v.end[i] - begin, v.at + begin, by_f32.at + begin);
        free(v.at);
    }
    free(by_f32.at);
}

static double error_of(const values *v, const values *exact, int64_t tensor) {
    double sum = 0;
    for (int64_t i = tensor ? v->end[tensor - 1] : 0; i < v->end[tensor]; i++)
        sum += (v->at[i] - exact->at[i]) * (v->at[i] - exact->at[i]);
    return sqrt(sum);
}

/* In f32 the parts of numbers leave no more out than rounding does: beside f64 the error is, in the mean,
 * that of f32 instructions. A product of parts left out would be 20 times that. */
static void assert_f32_is_as_exact(const char *name, function *f, int axis, int inputs,
                                   const int64_t (*shape)[5]) {
    if (!has("amx"))
        return;
    const values exact = computed("portable", REEL_F32, REEL_F64, f, axis, inputs, shape);
    const values plain = computed("portable", REEL_F32, REEL_F32, f, axis, inputs, shape);
    const values v = computed("amx", REEL_F32, REEL_F32, f, axis, inputs, shape);
    for (int64_t i = 0; i < v.tensors; i++) {
        const double error = error_of(&v, &exact, i), usual = error_of(&plain, &exact, i);
        ck_assert_msg(error <= 2 * usual, "%s, tensor %lld: error %g, that of f32 instructions is %g", name,
                      (long long)i, error, usual);
    }
    free(exact.at);
    free(plain.at);
    free(v.at);
}

static reel_tensor *product(reel_context *ctx, reel_tensor *const *in, int axis) {
    (void)axis;
    return reel_matmul(ctx, in[0], in[1]);
}

static reel_tensor *product_with_transposed(reel_context *ctx, reel_tensor *const *in, int axis) {
    (void)axis;
    const int last = in[1]->rank - 1;
    return reel_matmul(ctx, in[0], reel_transpose(ctx, in[1], last - 1, last));
}

/* Its rows begin at any number. */
static reel_tensor *product_of_part(reel_context *ctx, reel_tensor *const *in, int axis) {
    (void)axis;
    return reel_matmul(ctx, reel_narrow(ctx, in[0], 1, 1, in[0]->shape[1] - 1), in[1]);
}

static const int64_t sizes[][3] = {/* M, K, N */
                                   {1, 1, 1},    {1, 40, 3},   {64, 32, 20},   {3, 1, 40},
                                   {15, 31, 17}, {16, 32, 16}, {17, 33, 15},   {32, 64, 33},
                                   {33, 2, 130}, {48, 97, 64}, {301, 97, 260}, {5000, 40, 24}};

START_TEST(test_products_agree_with_those_by_way_of_f32) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const int64_t M = sizes[i][0], K = sizes[i][1], N = sizes[i][2];
        assert_units_agree("a b", product, 0, 2, (const int64_t[][5]){{2, M, K}, {2, K, N}});
        assert_units_agree("part of a, b", product_of_part, 0, 2,
                           (const int64_t[][5]){{2, M, K + 1}, {2, K, N}});
        assert_units_agree("a b^T", product_with_transposed, 0, 2,
                           (const int64_t[][5]){{2, M, K}, {2, N, K}});
    }
}
END_TEST

START_TEST(test_products_of_many_matrices_agree_whoever_is_shared) {
    const int64_t B = 5, M = 50, K = 37, N = 140;
    assert_units_agree("one b", product, 0, 2, (const int64_t[][5]){{3, B, M, K}, {2, K, N}});
    assert_units_agree("one a", product, 0, 2, (const int64_t[][5]){{2, M, K}, {3, B, K, N}});
    assert_units_agree("each its own", product, 0, 2, (const int64_t[][5]){{3, B, M, K}, {3, B, K, N}});
    assert_units_agree("long sums", product, 0, 2, (const int64_t[][5]){{3, 2, 2500, 8}, {3, 2, 8, 20}});
}
END_TEST

START_TEST(test_products_of_f32_are_as_exact_as_by_f32_instructions) {
    static const int64_t of_f32[][3] = {/* M, K, N: little beyond them in tiles, or they go elsewhere */
                                        {64, 128, 64},
                                        {96, 97, 128},
                                        {159, 127, 111},
                                        {111, 1055, 301},
                                        {2500, 64, 64}};
    for (size_t i = 0; i < sizeof of_f32 / sizeof of_f32[0]; i++) {
        const int64_t M = of_f32[i][0], K = of_f32[i][1], N = of_f32[i][2];
        assert_f32_is_as_exact("a b", product, 0, 2, (const int64_t[][5]){{2, M, K}, {2, K, N}});
        assert_f32_is_as_exact("a b^T", product_with_transposed, 0, 2,
                               (const int64_t[][5]){{2, M, K}, {2, N, K}});
    }
    const int64_t B = 5, M = 79, K = 95, N = 143;
    assert_f32_is_as_exact("one b", product, 0, 2, (const int64_t[][5]){{3, B, M, K}, {2, K, N}});
    assert_f32_is_as_exact("one a", product, 0, 2, (const int64_t[][5]){{2, M, K}, {3, B, K, N}});
    assert_f32_is_as_exact("each its own", product, 0, 2, (const int64_t[][5]){{3, B, M, K}, {3, B, K, N}});
}
END_TEST

static void assert_nan_stays_in_its_row(const char *unit, reel_dtype dtype) {
    enum { M = 64, K = 64, N = 80, ROW = 7 };
    reel_context *ctx = context_with(unit);
    reel_tensor *a = reel_tensor_new(ctx, dtype, REEL_SHAPE(M, K));
    reel_tensor *b = reel_tensor_new(ctx, dtype, REEL_SHAPE(K, N));
    reel_fill_uniform(ctx, a, -1, 1, (reel_draw){.stream = REEL_STREAM_USER});
    reel_fill_uniform(ctx, b, -1, 1, (reel_draw){.stream = REEL_STREAM_USER, .index = 1});
    reel_fill(ctx, reel_narrow(ctx, a, 0, ROW, 1), (double)NAN);
    values v = {0};
    append(ctx, &v, reel_matmul(ctx, a, b));
    for (int64_t i = 0; i < v.count; i++)
        ck_assert_msg(!isfinite(v.at[i]) == (i / N == ROW), "%s: row %lld", unit, (long long)(i / N));
    free(v.at);
    reel_context_free(ctx);
}

START_TEST(test_a_value_that_is_not_finite_stays_in_its_row) {
    for (int u = 0; u < UNITS; u++) {
        if (!has(units[u]))
            continue;
        assert_nan_stays_in_its_row(units[u], REEL_BF16);
        assert_nan_stays_in_its_row(units[u], REEL_F32);
    }
}
END_TEST

static reel_tensor *gated_mlp(reel_context *ctx, reel_tensor *const *in, int axis) {
    return reel_gated_mlp(ctx, in[0], in[1], in[2], axis);
}

typedef void assertion(const char *name, function *f, int axis, int inputs, const int64_t (*shape)[5]);

/* Along both axes. A size: rows or columns, in, inner, out. */
static void assert_of_gated_mlps(assertion *holds, const int64_t (*size)[4], size_t sizes_of_mlp) {
    for (size_t i = 0; i < sizes_of_mlp; i++) {
        const int64_t n = size[i][0], in = size[i][1], inner = size[i][2], out = size[i][3];
        holds("MLP of rows", gated_mlp, -1, 3,
              (const int64_t[][5]){{2, n, in}, {2, 2 * inner, in}, {2, out, inner}});
        holds("MLP of columns", gated_mlp, -2, 3,
              (const int64_t[][5]){{3, 2, in, n}, {2, 2 * inner, in}, {2, out, inner}});
    }
}

START_TEST(test_gated_mlps_agree_with_those_by_way_of_f32) {
    static const int64_t cases[][4] = {{1, 1, 1, 1},      {3, 5, 7, 2},      {17, 32, 16, 33},
                                       {130, 37, 40, 37}, {300, 64, 96, 64}, {140, 120, 48, 50},
                                       {64, 128, 33, 128}};
    assert_of_gated_mlps(assert_units_agree, cases, sizeof cases / sizeof cases[0]);
}
END_TEST

START_TEST(test_gated_mlps_of_f32_are_as_exact_as_by_f32_instructions) {
    static const int64_t cases[][4] = {{143, 63, 127, 79}, {64, 128, 96, 64}, {271, 95, 95, 96}};
    assert_of_gated_mlps(assert_f32_is_as_exact, cases, sizeof cases / sizeof cases[0]);
}
END_TEST

static reel_tensor *attention(reel_context *ctx, reel_tensor *const *in, int causal) {
    return reel_scaled_dot_product_attention(ctx, in[0], in[1], in[2], NULL, causal ? REEL_CAUSAL : 0);
}

START_TEST(test_attention_agrees_with_that_by_way_of_f32) {
    static const int64_t cases[][3] = {/* queries, keys, head size */
                                       {1, 1, 1},
                                       {3, 40, 5},
                                       {97, 97, 64},
                                       {130, 33, 20},
                                       {64, 128, 32}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int causal = 0; causal < 2; causal++) {
            const int64_t Tq = cases[i][0], Tk = cases[i][1], d = cases[i][2];
            assert_units_agree("attention", attention, causal, 3,
                               (const int64_t[][5]){{4, 2, 3, Tq, d}, {4, 2, 3, Tk, d}, {4, 2, 3, Tk, d}});
        }
}
END_TEST

int main(void) {
    bool any = false;
    for (int u = 0; u < UNITS; u++)
        any = any || has(units[u]);
    if (!any)
        return SKIPPED;
    Suite *suite = suite_create("bf16_units");
    TCase *tests = tcase_create("bf16_units");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_products_agree_with_those_by_way_of_f32);
    tcase_add_test(tests, test_products_of_many_matrices_agree_whoever_is_shared);
    tcase_add_test(tests, test_products_of_f32_are_as_exact_as_by_f32_instructions);
    tcase_add_test(tests, test_gated_mlps_of_f32_are_as_exact_as_by_f32_instructions);
    tcase_add_test(tests, test_a_value_that_is_not_finite_stays_in_its_row);
    tcase_add_test(tests, test_gated_mlps_agree_with_those_by_way_of_f32);
    tcase_add_test(tests, test_attention_agrees_with_that_by_way_of_f32);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
