/* Optimizers against their formulas in plain double arithmetic. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <reel/autograd.h>
#include <reel/optim.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static reel_context *ctx;

static reel_context *new_context(int threads) {
    const reel_context_options options = {.threads = threads, .seed = 7};
    reel_context *made;
    reel_error error = {0};
    ck_assert_msg(reel_context_new(&made, &options, &error) == REEL_OK, "%s", error.message);
    return made;
}

static void setup(void) {
    ctx = new_context(0);
}

static void teardown(void) {
    reel_context_free(ctx);
}

/* The call failed so, its message says this, and the context works again afterwards. */
static void expect_error(reel_status status, reel_status expected, const char *message) {
    ck_assert_int_eq(status, expected);
    ck_assert_ptr_nonnull(strstr(reel_context_message(ctx), message));
    ck_assert_int_eq(reel_tape_reset(ctx), expected);
}

/* ---- values in and out ------------------------------------------------------------------------------- */

/* Pseudo-random in (-1, 1), the same for the same arguments. */
static double noise(int64_t i, int64_t step) {
    uint32_t words[4];
    reel_random_bits(1, (reel_draw){REEL_STREAM_USER, (uint64_t)i, (uint32_t)step}, 0, words);
    return words[0] / 2147483648.0 - 1;
}

static double get(const reel_tensor *t, int64_t i) {
    return t->dtype == REEL_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

static void set(reel_tensor *t, int64_t i, double value) {
    if (t->dtype == REEL_F64)
        ((double *)t->data)[i] = value;
    else
        ((float *)t->data)[i] = (float)value;
}

static size_t bytes_of(const reel_tensor *t) {
    return (size_t)reel_elements(t) * reel_dtype_bytes(t->dtype);
}

static void *bits_of(const reel_tensor *t) {
    void *copy = malloc(bytes_of(t));
    ck_assert_ptr_nonnull(copy);
    return memcpy(copy, t->data, bytes_of(t));
}

static void expect_bits(const reel_tensor *t, void *copy) {
    ck_assert_mem_eq(t->data, copy, bytes_of(t));
    free(copy);
}

/* Two parameters of sizes that need padding; the second is left without gradient where a test says so. */
enum { ROWS = 5, COLUMNS = 7, BIAS = 3, FIRST = ROWS * COLUMNS };

typedef struct network {
    reel_parameters *params;
    reel_tensor *weight, *bias;
} network;

static network new_network(reel_dtype dtype) {
    network n;
    n.params = reel_parameters_new(ctx, dtype);
    reel_parameter(n.params, &n.weight, "net.weight", REEL_SHAPE(ROWS, COLUMNS),
                   reel_init_truncated_normal(0.5));
    reel_parameter(n.params, &n.bias, "net.bias", REEL_SHAPE(BIAS), reel_init_constant(0.25));
    ck_assert_msg(reel_parameters_build(n.params) == REEL_OK, "%s", reel_context_message(ctx));
    return n;
}

/* As backward would: a gradient that is there and marked so. */
static void set_gradient(reel_tensor *parameter, int64_t step) {
    reel_tensor *g = reel_grad(ctx, parameter);
    for (int64_t i = 0; i < reel_elements(g); i++)
        set(g, i, noise(i, step));
}

/* ---- parameters -------------------------------------------------------------------------------------- */

START_TEST(test_parameters_lie_contiguous_and_aligned_in_order) {
    const reel_dtype dtype = _i ? REEL_F64 : REEL_F32;
    const size_t size = reel_dtype_bytes(dtype);
    network n = new_network(dtype);
    const char *values = reel_parameters_values(n.params)->data;
    const char *gradients = reel_parameters_gradients(n.params)->data;
    const size_t line = dtype == REEL_F32 ? 128 : 64; /* so that bf16 copies are aligned to 64 bytes too */
    const size_t second = (FIRST * size + line - 1) / line * line;
    ck_assert_ptr_eq(n.weight->data, values);
    ck_assert_ptr_eq(n.bias->data, values + second);
    ck_assert_ptr_eq(reel_grad(ctx, n.weight)->data, gradients);
    ck_assert_ptr_eq(reel_grad(ctx, n.bias)->data, gradients + second);
    ck_assert_uint_eq((uintptr_t)values % 64, 0);
    ck_assert_uint_eq((uintptr_t)gradients % 64, 0);
    ck_assert_uint_eq(bytes_of(reel_parameters_values(n.params)), second + line);
    for (int64_t i = FIRST; i < (int64_t)(second / size); i++)
        ck_assert_double_eq(get(reel_parameters_values(n.params), i), 0);
    ck_assert_int_eq(reel_parameters_elements(n.params), FIRST + BIAS);
    reel_parameters_free(n.params);
}
END_TEST

START_TEST(test_parameters_are_found_by_name_and_position) {
    network n = new_network(REEL_F32);
    ck_assert_int_eq(reel_parameters_count(n.params), 2);
    ck_assert_str_eq(reel_parameters_name(n.params, 1), "net.bias");
    ck_assert_ptr_eq(reel_parameters_at(n.params, 1), n.bias);
    for (int i = 0; i < 2; i++) {
        ck_assert_str_eq(reel_parameters_list(n.params)[i].name, reel_parameters_name(n.params, i));
        ck_assert_ptr_eq(reel_parameters_list(n.params)[i].tensor, reel_parameters_at(n.params, i));
    }
    ck_assert_ptr_eq(reel_parameters_find(n.params, "net.weight"), n.weight);
    ck_assert_ptr_null(reel_parameters_find(n.params, "net.wait"));
    ck_assert(reel_needs_grad(n.weight) && reel_needs_grad(n.bias));
    reel_parameters_free(n.params);
}
END_TEST

START_TEST(test_initial_values_come_from_stream_and_position) {
    network n = new_network(REEL_F32);
    reel_tensor *expected = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(ROWS, COLUMNS));
    reel_fill_truncated_normal(ctx, expected, 0.5, (reel_draw){.stream = REEL_STREAM_INIT, .index = 0});
    ck_assert_mem_eq(n.weight->data, expected->data, bytes_of(expected));
    for (int i = 0; i < BIAS; i++)
        ck_assert_double_eq(get(n.bias, i), 0.25);
    reel_parameters *params = reel_parameters_new(ctx, REEL_F32);
    reel_tensor *first, *second;
    reel_parameter(params, &first, "zeros", REEL_SHAPE(4), reel_init_zeros());
    reel_parameter(params, &second, "drawn", REEL_SHAPE(ROWS, COLUMNS), reel_init_truncated_normal(0.5));
    ck_assert_int_eq(reel_parameters_build(params), REEL_OK);
    reel_fill_truncated_normal(ctx, expected, 0.5, (reel_draw){.stream = REEL_STREAM_INIT, .index = 1});
    ck_assert_mem_eq(second->data, expected->data, bytes_of(expected));
    ck_assert_double_eq(get(first, 3), 0);
    reel_tensor_free(ctx, expected);
    reel_parameters_free(params);
    reel_parameters_free(n.params);
}
END_TEST

START_TEST(test_wrong_declarations_are_refused_and_leave_void_tensors) {
    const reel_init init = reel_init_zeros();
    reel_tensor *a, *b;
    reel_parameters *params = reel_parameters_new(ctx, REEL_F32);
    reel_parameter(params, &a, "a", REEL_SHAPE(2), init);
    ck_assert(reel_is_void(a));
    expect_error(reel_parameter(params, &b, "a", REEL_SHAPE(2), init), REEL_ERROR_ARGUMENT, "a is declared");
    ck_assert(reel_is_void(b));
    expect_error(reel_parameter(params, &b, "", REEL_SHAPE(2), init), REEL_ERROR_ARGUMENT, "no name");
    expect_error(reel_parameter(params, &b, "b", REEL_SHAPE(2, 0), init), REEL_ERROR_SHAPE, "[2,0]");
    expect_error(reel_parameter(params, &b, "b", REEL_SHAPE(INT64_MAX, 2), init), REEL_ERROR_SHAPE, "b of");
    reel_parameter(params, &b, "b", REEL_SHAPE(1, -1), init);
    ck_assert_int_eq(reel_parameters_build(params), REEL_ERROR_SHAPE); /* remembers the declaration's error */
    ck_assert(reel_is_void(a) && reel_is_void(reel_parameters_values(params)));
    reel_tape_reset(ctx);
    ck_assert_int_eq(reel_parameters_build(params), REEL_OK);
    ck_assert(!reel_is_void(a));
    expect_error(reel_parameters_build(params), REEL_ERROR_STATE, "already");
    expect_error(reel_parameter(params, &b, "b", REEL_SHAPE(2), init), REEL_ERROR_STATE, "after the build");
    reel_parameters_free(params);
    ck_assert_ptr_null(reel_parameters_new(ctx, REEL_BF16));
    expect_error(reel_context_status(ctx), REEL_ERROR_DTYPE, "bf16");
}
END_TEST

START_TEST(test_build_without_memory_leaves_void_tensors) {
    reel_parameters *params = reel_parameters_new(ctx, REEL_F64);
    reel_tensor *small, *huge;
    reel_parameter(params, &small, "small", REEL_SHAPE(2), reel_init_zeros());
    reel_parameter(params, &huge, "huge", REEL_SHAPE((int64_t)1 << 58), reel_init_zeros());
    const int64_t live = reel_memory_of(ctx).live_bytes;
    expect_error(reel_parameters_build(params), REEL_ERROR_MEMORY, "memory");
    ck_assert(reel_is_void(small) && reel_is_void(huge));
    ck_assert_int_eq(reel_memory_of(ctx).live_bytes, live);
    reel_parameters_free(params);
}
END_TEST

/* ---- Adam ---------------------------------------------------------------------------------------------- */

typedef struct reference {
    double p, m, v, ema;
} reference;

static void reference_step(reference *r, const reel_optimizer_options *o, double lr, double g, int t) {
    r->p *= 1 - lr * o->weight_decay;
    r->m += (1 - o->beta1) * (g - r->m);
    r->v = o->beta2 * r->v + (1 - o->beta2) * g * g;
    const double rate = lr / (1 - pow(o->beta1, t)), root = sqrt(r->v / (1 - pow(o->beta2, t)));
    r->p -= o->kind == REEL_ADAM_ATAN2 ? rate * atan2(r->m, root) : rate * (r->m / (root + o->eps));
    r->ema = o->ema_rate * r->ema + (1 - o->ema_rate) * r->p;
}

static const reel_optimizer_options both_kinds[] = {
    {.kind = REEL_ADAM_ATAN2, .beta1 = 0.9, .beta2 = 0.95, .weight_decay = 0.1, .ema_rate = 0.9},
    {.kind = REEL_ADAM_W, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .ema_rate = 0.9},
};

/* Six steps, the bias without gradient in every second one. Each of the few roundings of a step is relative
 * to values below 2, so a handful of epsilons per step bounds the error. */
START_TEST(test_adam_follows_its_formula) {
    enum { STEPS = 6, COUNT = FIRST + BIAS };
    const reel_optimizer_options *options = &both_kinds[_i / 2];
    const reel_dtype dtype = _i % 2 ? REEL_F32 : REEL_F64;
    const double tolerance = 8 * STEPS * (dtype == REEL_F64 ? DBL_EPSILON : (double)FLT_EPSILON);
    network n = new_network(dtype);
    reference expected[COUNT];
    for (int i = 0; i < COUNT; i++) {
        const double p = i < FIRST ? get(n.weight, i) : get(n.bias, i - FIRST);
        expected[i] = (reference){.p = p, .ema = p};
    }
    reel_optimizer *optimizer = reel_optimizer_new(n.params, options);
    for (int t = 1; t <= STEPS; t++) {
        const double lr = 0.02 * t;
        set_gradient(n.weight, t);
        if (t % 2)
            set_gradient(n.bias, -t);
        for (int i = 0; i < COUNT; i++) {
            const double g = i < FIRST ? noise(i, t) : t % 2 ? noise(i - FIRST, -t) : 0;
            reference_step(&expected[i], options, lr, dtype == REEL_F64 ? g : (double)(float)g, t);
        }
        ck_assert_msg(reel_optimizer_step(optimizer, lr) == REEL_OK, "%s", reel_context_message(ctx));
    }
    const reel_optimizer_state state = reel_optimizer_state_of(optimizer);
    const int64_t second = (char *)n.bias->data - (char *)n.weight->data;
    ck_assert_int_eq(state.steps, STEPS);
    for (int i = 0; i < COUNT; i++) {
        const int64_t at = i < FIRST ? i : i - FIRST + second / (int64_t)reel_dtype_bytes(dtype);
        ck_assert_double_eq_tol(get(reel_parameters_values(n.params), at), expected[i].p, tolerance);
        ck_assert_double_eq_tol(get(state.m, at), expected[i].m, tolerance);
        ck_assert_double_eq_tol(get(state.v, at), expected[i].v, tolerance);
        ck_assert_double_eq_tol(get(state.ema, at), expected[i].ema, tolerance);
    }
    reel_optimizer_free(optimizer);
    reel_parameters_free(n.params);
}
END_TEST

/* Padding is stepped too and must stay zero in all five arrays. */
START_TEST(test_padding_stays_zero) {
    network n = new_network(REEL_F32);
    reel_optimizer *optimizer = reel_optimizer_new(n.params, &both_kinds[_i]);
    for (int t = 1; t <= 3; t++) {
        set_gradient(n.weight, t);
        ck_assert_int_eq(reel_optimizer_step(optimizer, 0.1), REEL_OK);
    }
    const reel_optimizer_state state = reel_optimizer_state_of(optimizer);
    const reel_tensor *const arrays[] = {reel_parameters_values(n.params), state.m, state.v, state.ema};
    for (int k = 0; k < 4; k++)
        for (int i = FIRST; i < 48; i++)
            ck_assert_double_eq(get(arrays[k], i), 0);
    reel_optimizer_free(optimizer);
    reel_parameters_free(n.params);
}
END_TEST

START_TEST(test_step_touches_parameters_and_forgets_gradients) {
    network n = new_network(REEL_F32);
    reel_optimizer *optimizer = reel_optimizer_new(n.params, &both_kinds[0]);
    set_gradient(n.weight, 1);
    const int64_t version = n.weight->version;
    ck_assert_int_eq(reel_optimizer_step(optimizer, 0.1), REEL_OK);
    ck_assert_int_gt(n.weight->version, version);
    for (int i = 0; i < FIRST; i++)
        ck_assert_double_eq(get(reel_grad(ctx, n.weight), i), 0);
    reel_optimizer_free(optimizer);
    reel_parameters_free(n.params);
}
END_TEST

/* With m0 and v0 given, beta1 = beta2 = 1/2, no gradient and lr = 1/2, a first step from p = 0 gives exactly
 * p = -atan2(m0 / 2, sqrt(v0)); squares of 12-bit numbers make the root exact. So the scan sees the vector
 * code of the instruction set that the context chose. */
START_TEST(test_f32_atan2_is_within_two_and_a_half_ulp) {
    enum { COUNT = 1 << 18 };
    const reel_optimizer_options options = {.kind = REEL_ADAM_ATAN2, .beta1 = 0.5, .beta2 = 0.5};
    reel_parameters *params = reel_parameters_new(ctx, REEL_F32);
    reel_tensor *p;
    reel_parameter(params, &p, "p", REEL_SHAPE(COUNT), reel_init_zeros());
    ck_assert_int_eq(reel_parameters_build(params), REEL_OK);
    reel_optimizer *optimizer = reel_optimizer_new(params, &options);
    const reel_optimizer_state state = reel_optimizer_state_of(optimizer);
    float *y = malloc(COUNT * sizeof *y), *x = malloc(COUNT * sizeof *x);
    ck_assert(y && x);
    for (int i = 0; i < COUNT; i++) {
        x[i] = ldexpf((float)(1 + i % 4095), i % 37 - 20);
        y[i] = (float)(noise(i, 0) < 0 ? -x[i] * exp(12 * noise(i, 1)) : x[i] * exp(2 * noise(i, 1)));
    }
    const float special[][2] = {{0, 0},           {1, 0},     {-1, 0},    {1e-38f, 0}, {0, 1},
                                {1e-30f, 1e-15f}, {1e30f, 1}, {1, 1},     {-3, 3},     {0.41421357f, 1},
                                {1e18f, 1e18f},   {1e37f, 1}, {-1, 1e18f}};
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        y[i] = special[i][0];
        x[i] = special[i][1];
    }
    for (int i = 0; i < COUNT; i++) {
        set(state.m, i, 2 * y[i]);
        set(state.v, i, x[i] * x[i]);
    }
    ck_assert_int_eq(reel_optimizer_step(optimizer, 0.5), REEL_OK);
    for (int i = 0; i < COUNT; i++) {
        const double root = sqrtf((float)get(state.v, i) / 0.5f), want = atan2(y[i], root);
        int exponent;
        frexp(want, &exponent);
        const double ulp = fmax(ldexp(1, exponent - FLT_MANT_DIG), FLT_MIN);
        ck_assert_msg(fabs(-get(p, i) - want) <= 2.5 * ulp, "atan2(%.9g, %.9g) = %.9g, not %.9g", y[i], root,
                      -get(p, i), want);
    }
    free(y);
    free(x);
    reel_optimizer_free(optimizer);
    reel_parameters_free(params);
}
END_TEST

/* Everything a run of three clipped steps leaves behind, over an arena of several pieces. */
static void *bits_after_steps(int threads, reel_dtype dtype, reel_optimizer_kind kind, size_t *bytes) {
    reel_optimizer_options options = both_kinds[kind];
    options.max_grad_norm = 0.5;
    reel_context *outer = ctx;
    ctx = new_context(threads);
    reel_parameters *params = reel_parameters_new(ctx, dtype);
    reel_tensor *p;
    reel_parameter(params, &p, "p", REEL_SHAPE(50021), reel_init_truncated_normal(1));
    ck_assert_int_eq(reel_parameters_build(params), REEL_OK);
    reel_optimizer *optimizer = reel_optimizer_new(params, &options);
    for (int t = 1; t <= 3; t++) {
        set_gradient(p, t);
        ck_assert_int_eq(reel_optimizer_step(optimizer, 0.1), REEL_OK);
    }
    const reel_optimizer_state state = reel_optimizer_state_of(optimizer);
    const reel_tensor *const arrays[] = {reel_parameters_values(params), state.m, state.v, state.ema};
    const size_t each = bytes_of(arrays[0]);
    *bytes = 4 * each + sizeof(double);
    char *bits = malloc(*bytes);
    ck_assert_ptr_nonnull(bits);
    for (size_t k = 0; k < 4; k++)
        memcpy(bits + k * each, arrays[k]->data, each);
    const double norm = reel_optimizer_grad_norm(optimizer);
    memcpy(bits + 4 * each, &norm, sizeof norm);
    reel_optimizer_free(optimizer);
    reel_parameters_free(params);
    reel_context_free(ctx);
    ctx = outer;
    return bits;
}

START_TEST(test_steps_have_the_same_bits_for_any_threads) {
    const reel_dtype dtype = _i % 2 ? REEL_F32 : REEL_F64;
    size_t bytes;
    void *one = bits_after_steps(1, dtype, (reel_optimizer_kind)(_i / 2), &bytes);
    for (int threads = 2; threads <= 3; threads++) {
        void *more = bits_after_steps(threads, dtype, (reel_optimizer_kind)(_i / 2), &bytes);
        ck_assert_mem_eq(one, more, bytes);
        free(more);
    }
    free(one);
}
END_TEST

/* Steps 3 and 4 of a new optimizer that was given the state after step 2 are those of the old one. */
START_TEST(test_restored_state_continues_with_the_same_bits) {
    network a = new_network(REEL_F32), b = new_network(REEL_F32);
    reel_optimizer *old = reel_optimizer_new(a.params, &both_kinds[0]);
    reel_optimizer *new = reel_optimizer_new(b.params, &both_kinds[0]);
    for (int t = 1; t <= 4; t++) {
        if (t == 3) {
            const reel_optimizer_state from = reel_optimizer_state_of(old), to = reel_optimizer_state_of(new);
            reel_copy(ctx, to.m, from.m);
            reel_copy(ctx, to.v, from.v);
            reel_copy(ctx, to.ema, from.ema);
            reel_copy(ctx, reel_parameters_values(b.params), reel_parameters_values(a.params));
            reel_parameters_touch(b.params);
            ck_assert_int_eq(reel_optimizer_set_steps(new, from.steps), REEL_OK);
        }
        set_gradient(a.weight, t);
        ck_assert_int_eq(reel_optimizer_step(old, 0.1), REEL_OK);
        if (t < 3)
            continue;
        set_gradient(b.weight, t);
        ck_assert_int_eq(reel_optimizer_step(new, 0.1), REEL_OK);
    }
    expect_bits(reel_parameters_values(b.params), bits_of(reel_parameters_values(a.params)));
    expect_bits(reel_optimizer_state_of(new).ema, bits_of(reel_optimizer_state_of(old).ema));
    expect_error(reel_optimizer_set_steps(new, -1), REEL_ERROR_ARGUMENT, "-1");
    reel_optimizer_free(old);
    reel_optimizer_free(new);
    reel_parameters_free(a.params);
    reel_parameters_free(b.params);
}
END_TEST

START_TEST(test_ema_swaps_in_and_back_to_the_bit) {
    network n = new_network(REEL_F32);
    reel_tensor *values = reel_parameters_values(n.params);
    reel_optimizer *optimizer = reel_optimizer_new(n.params, &both_kinds[0]);
    reel_tensor *ema = reel_optimizer_state_of(optimizer).ema;
    set_gradient(n.weight, 1);
    ck_assert_int_eq(reel_optimizer_step(optimizer, 0.1), REEL_OK);
    void *trained = bits_of(values), *trained_again = bits_of(values), *averaged = bits_of(ema);
    ck_assert_mem_ne(values->data, ema->data, bytes_of(ema));
    const int64_t version = n.bias->version;
    ck_assert_int_eq(reel_optimizer_swap_ema(optimizer), REEL_OK);
    ck_assert_int_gt(n.bias->version, version);
    expect_bits(values, averaged);
    expect_bits(ema, trained);
    set_gradient(n.weight, 2);
    expect_error(reel_optimizer_step(optimizer, 0.1), REEL_ERROR_STATE, "swapped in");
    ck_assert_int_eq(reel_optimizer_swap_ema(optimizer), REEL_OK);
    expect_bits(values, trained_again);
    ck_assert_int_eq(reel_optimizer_step(optimizer, 0.1), REEL_OK);
    reel_optimizer_free(optimizer);
    reel_parameters_free(n.params);
}
END_TEST

START_TEST(test_swap_without_ema_does_nothing) {
    network n = new_network(REEL_F32);
    reel_optimizer_options options = both_kinds[0];
    options.ema_rate = 0;
    reel_optimizer *optimizer = reel_optimizer_new(n.params, &options);
    ck_assert_ptr_null(reel_optimizer_state_of(optimizer).ema);
    void *before = bits_of(reel_parameters_values(n.params));
    ck_assert_int_eq(reel_optimizer_swap_ema(optimizer), REEL_OK);
    expect_bits(reel_parameters_values(n.params), before);
    ck_assert_int_eq(reel_optimizer_step(optimizer, 0.1), REEL_OK);
    reel_optimizer_free(optimizer);
    reel_parameters_free(n.params);
}
END_TEST

START_TEST(test_gradient_that_is_not_finite_changes_nothing) {
    const double broken[] = {NAN, INFINITY, -INFINITY};
    network n = new_network(_i / 3 ? REEL_F64 : REEL_F32);
    reel_optimizer *optimizer = reel_optimizer_new(n.params, &both_kinds[0]);
    set_gradient(n.weight, 1);
    ck_assert_int_eq(reel_optimizer_step(optimizer, 0.1), REEL_OK);
    const reel_optimizer_state before = reel_optimizer_state_of(optimizer);
    void *values = bits_of(reel_parameters_values(n.params));
    void *m = bits_of(before.m), *v = bits_of(before.v), *ema = bits_of(before.ema);
    const double norm = reel_optimizer_grad_norm(optimizer);
    set_gradient(n.weight, 2);
    set(reel_grad(ctx, n.bias), 1, broken[_i % 3]);
    expect_error(reel_optimizer_step(optimizer, 0.1), REEL_ERROR_NOT_FINITE, "net.bias [3]");
    expect_bits(reel_parameters_values(n.params), values);
    expect_bits(before.m, m);
    expect_bits(before.v, v);
    expect_bits(before.ema, ema);
    ck_assert_int_eq(reel_optimizer_state_of(optimizer).steps, before.steps);
    ck_assert_double_eq(reel_optimizer_grad_norm(optimizer), norm);
    reel_optimizer_free(optimizer);
    reel_parameters_free(n.params);
}
END_TEST

/* Both kinds, scheduled and applied one by one, against reel_optimizer_step. */
START_TEST(test_a_step_in_two_parts_has_the_same_bits) {
    network n[2] = {new_network(REEL_F32), new_network(REEL_F32)};
    reel_optimizer *optimizer[2];
    for (int i = 0; i < 2; i++)
        optimizer[i] = reel_optimizer_new(n[i].params, &both_kinds[_i]);
    for (int step = 1; step <= 4; step++) {
        for (int i = 0; i < 2; i++)
            set_gradient(n[i].weight, step);
        ck_assert_int_eq(reel_optimizer_step(optimizer[0], 0.1 / step), REEL_OK);
        ck_assert_int_eq(reel_optimizer_schedule(optimizer[1], 0.1 / step), REEL_OK);
        ck_assert_int_eq(reel_optimizer_apply(optimizer[1]), REEL_OK);
        ck_assert_int_eq(reel_optimizer_state_of(optimizer[1]).steps, step);
    }
    expect_bits(reel_parameters_values(n[1].params), bits_of(reel_parameters_values(n[0].params)));
    for (int i = 0; i < 2; i++) {
        reel_optimizer_free(optimizer[i]);
        reel_parameters_free(n[i].params);
    }
}
END_TEST

START_TEST(test_a_step_that_is_not_taken_is_not_counted) {
    network n = new_network(REEL_F32);
    reel_optimizer *optimizer = reel_optimizer_new(n.params, &both_kinds[0]);
    void *values = bits_of(reel_parameters_values(n.params));
    set_gradient(n.weight, 1);
    expect_error(reel_optimizer_apply(optimizer), REEL_ERROR_STATE, "schedule it");
    ck_assert_int_eq(reel_optimizer_schedule(optimizer, 0.1), REEL_OK);
    ck_assert_int_eq(reel_fill(ctx, NULL, 1), REEL_ERROR_STATE);
    expect_error(reel_optimizer_apply(optimizer), REEL_ERROR_STATE, "fill: no tensor");
    ck_assert_int_eq(reel_optimizer_state_of(optimizer).steps, 0);
    expect_error(reel_optimizer_apply(optimizer), REEL_ERROR_STATE, "schedule it");
    ck_assert_int_eq(reel_optimizer_state_of(optimizer).steps, 0);
    expect_bits(reel_parameters_values(n.params), values);
    reel_optimizer_free(optimizer);
    reel_parameters_free(n.params);
}
END_TEST

/* A step after a failed op of the same pass does nothing and hands the error on. */
START_TEST(test_step_after_an_error_does_nothing) {
    network n = new_network(REEL_F32);
    reel_optimizer *optimizer = reel_optimizer_new(n.params, &both_kinds[0]);
    set_gradient(n.weight, 1);
    void *values = bits_of(reel_parameters_values(n.params));
    ck_assert_int_eq(reel_fill(ctx, NULL, 1), REEL_ERROR_STATE);
    expect_error(reel_optimizer_step(optimizer, 0.1), REEL_ERROR_STATE, "fill: no tensor");
    expect_bits(reel_parameters_values(n.params), values);
    expect_error(reel_optimizer_step(optimizer, NAN), REEL_ERROR_ARGUMENT, "lr is");
    expect_error(reel_optimizer_step(optimizer, -1), REEL_ERROR_ARGUMENT, "lr is -1");
    reel_optimizer_free(optimizer);
    reel_parameters_free(n.params);
}
END_TEST

START_TEST(test_options_out_of_range_are_refused) {
    const struct {
        const char *name;
        reel_optimizer_options options;
    } wrong[] = {
        {"beta1", {.beta1 = 1}},
        {"beta2", {.beta2 = -0.1}},
        {"beta2", {.beta2 = NAN}},
        {"eps", {.kind = REEL_ADAM_W}},
        {"weight_decay", {.weight_decay = -1}},
        {"weight_decay", {.weight_decay = INFINITY}},
        {"ema_rate", {.ema_rate = 1}},
        {"max_grad_norm", {.max_grad_norm = NAN}},
    };
    network n = new_network(REEL_F32);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_ptr_null(reel_optimizer_new(n.params, &wrong[i].options));
        expect_error(reel_context_status(ctx), REEL_ERROR_ARGUMENT, wrong[i].name);
    }
    reel_parameters *not_built = reel_parameters_new(ctx, REEL_F32);
    ck_assert_ptr_null(reel_optimizer_new(not_built, &both_kinds[0]));
    expect_error(reel_context_status(ctx), REEL_ERROR_STATE, "not built");
    reel_parameters_free(not_built);
    reel_parameters_free(n.params);
}
END_TEST

/* ---- clipping ------------------------------------------------------------------------------------------ */

/* With beta1 = 0 m is the gradient as it was used. */
START_TEST(test_clipping_scales_by_the_norm_over_all_parameters) {
    network n = new_network(REEL_F64);
    double squares = 0;
    for (int i = 0; i < FIRST; i++)
        squares += noise(i, 1) * noise(i, 1);
    for (int i = 0; i < BIAS; i++)
        squares += noise(i, 2) * noise(i, 2);
    const double norm = sqrt(squares), limit = _i ? 0.5 * norm : 2 * norm;
    const double scale = _i ? limit / (norm + 1e-6) : 1;
    const reel_optimizer_options options = {.beta2 = 0.9, .max_grad_norm = limit};
    reel_optimizer *optimizer = reel_optimizer_new(n.params, &options);
    set_gradient(n.weight, 1);
    set_gradient(n.bias, 2);
    ck_assert_int_eq(reel_optimizer_step(optimizer, 0.1), REEL_OK);
    ck_assert_double_eq_tol(reel_optimizer_grad_norm(optimizer), norm, 16 * DBL_EPSILON * norm);
    for (int i = 0; i < FIRST; i++)
        ck_assert_double_eq_tol(get(reel_optimizer_state_of(optimizer).m, i), scale * noise(i, 1),
                                16 * DBL_EPSILON);
    reel_optimizer_free(optimizer);
    reel_parameters_free(n.params);
}
END_TEST

/* ---- sparse tables ------------------------------------------------------------------------------------- */

enum { TABLE_ROWS = 1000, WIDTH = 600, EXAMPLES = 40 };

typedef struct sparse {
    reel_tensor *table, *ids, *gradient;
} sparse;

/* Ids repeat; where they do, gradients cancel in some columns. */
static sparse new_sparse(reel_dtype dtype) {
    const sparse s = {reel_tensor_new(ctx, dtype, REEL_SHAPE(TABLE_ROWS, WIDTH)),
                      reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(EXAMPLES)),
                      reel_tensor_new(ctx, dtype, REEL_SHAPE(EXAMPLES, WIDTH))};
    for (int64_t i = 0; i < reel_elements(s.table); i++)
        set(s.table, i, noise(i, 3));
    for (int i = 0; i < EXAMPLES; i++)
        ((int32_t *)s.ids->data)[i] = i < 2 ? TABLE_ROWS - 1 : i * i * 7 % 31 * 10;
    for (int64_t i = 0; i < reel_elements(s.gradient); i++)
        set(s.gradient, i, noise(i, 4));
    for (int64_t i = 0; i < WIDTH; i += 3)
        set(s.gradient, WIDTH + i, -get(s.gradient, i));
    return s;
}

static void free_sparse(sparse s) {
    reel_tensor_free(ctx, s.table);
    reel_tensor_free(ctx, s.ids);
    reel_tensor_free(ctx, s.gradient);
}

START_TEST(test_sign_sgd_steps_named_rows_and_no_others) {
    const double lr = 0.01, weight_decay = 0.5;
    const sparse s = new_sparse(_i ? REEL_F64 : REEL_F32);
    const double tolerance = 4 * (_i ? DBL_EPSILON : (double)FLT_EPSILON);
    void *before = bits_of(s.table);
    reel_tensor old = *s.table;
    old.data = before;
    const int64_t version = s.table->version;
    ck_assert_int_eq(reel_sign_sgd_rows(ctx, s.table, s.ids, s.gradient, lr, weight_decay), REEL_OK);
    ck_assert_int_gt(s.table->version, version);
    int64_t zero_sums = 0;
    for (int64_t row = 0; row < TABLE_ROWS; row++)
        for (int64_t k = 0; k < WIDTH; k++) {
            double sum = 0;
            bool named = false;
            for (int64_t i = 0; i < EXAMPLES; i++)
                if (((const int32_t *)s.ids->data)[i] == row) {
                    named = true;
                    sum += get(s.gradient, i * WIDTH + k);
                }
            const double w = get(&old, row * WIDTH + k), got = get(s.table, row * WIDTH + k);
            if (!named) {
                ck_assert(got == w);
                continue;
            }
            zero_sums += sum == 0;
            ck_assert_double_eq_tol(got, w * (1 - lr * weight_decay) - lr * ((sum > 0) - (sum < 0)),
                                    tolerance);
        }
    ck_assert_int_eq(zero_sums, WIDTH / 3);
    free(before);
    free_sparse(s);
}
END_TEST

/* 2^24 + 1 + ... + 1 - 2^24 in f32: one by one from the left the ones are lost, in any other order not. */
START_TEST(test_sign_sgd_sums_in_example_order) {
    const float big = 16777216;
    const float gradients[] = {big, 1, 1, -big};
    const int32_t same_id[] = {1, 1, 1, 1};
    const double expected[] = {1, 0}; /* the sum is 0, so row 1 stays; then, reversed, 2 > 0 */
    reel_tensor *table = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(2, 1));
    reel_tensor *ids = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(4));
    reel_tensor *gradient = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(4, 1));
    reel_write(ctx, ids, same_id, sizeof same_id);
    for (int pass = 0; pass < 2; pass++) {
        reel_fill(ctx, table, 1);
        for (int i = 0; i < 4; i++)
            set(gradient, i, pass == 0 ? gradients[i] : gradients[(int[]){0, 3, 1, 2}[i]]);
        ck_assert_int_eq(reel_sign_sgd_rows(ctx, table, ids, gradient, 1, 0), REEL_OK);
        ck_assert_double_eq(get(table, 1), expected[pass]);
        ck_assert_double_eq(get(table, 0), 1);
    }
    free_sparse((sparse){table, ids, gradient});
}
END_TEST

START_TEST(test_sign_sgd_has_the_same_bits_for_any_threads) {
    void *one = NULL;
    reel_context *outer = ctx;
    for (int threads = 1; threads <= 3; threads++) {
        ctx = new_context(threads);
        const sparse s = new_sparse(REEL_F32);
        ck_assert_int_eq(reel_sign_sgd_rows(ctx, s.table, s.ids, s.gradient, 0.01, 0.1), REEL_OK);
        if (threads == 1)
            one = bits_of(s.table);
        ck_assert_mem_eq(s.table->data, one, bytes_of(s.table));
        reel_context_free(ctx);
    }
    free(one);
    ctx = outer;
}
END_TEST

START_TEST(test_sign_sgd_refuses_bad_input_and_changes_nothing) {
    const sparse s = new_sparse(REEL_F32);
    void *before = bits_of(s.table);
    int32_t *id = s.ids->data;
    const int32_t kept = id[3];
    id[3] = TABLE_ROWS;
    expect_error(reel_sign_sgd_rows(ctx, s.table, s.ids, s.gradient, 1, 0), REEL_ERROR_ARGUMENT,
                 "ids[3] is 1000, the table has 1000 rows");
    id[3] = -1;
    expect_error(reel_sign_sgd_rows(ctx, s.table, s.ids, s.gradient, 1, 0), REEL_ERROR_ARGUMENT, "is -1");
    id[3] = kept;
    set(s.gradient, 2 * WIDTH + 5, NAN);
    expect_error(reel_sign_sgd_rows(ctx, s.table, s.ids, s.gradient, 1, 0), REEL_ERROR_NOT_FINITE,
                 "example 2");
    set(s.gradient, 2 * WIDTH + 5, 0);
    expect_error(reel_sign_sgd_rows(ctx, s.table, s.ids, s.table, 1, 0), REEL_ERROR_SHAPE, "(B,D)");
    expect_error(reel_sign_sgd_rows(ctx, s.table, s.gradient, s.gradient, 1, 0), REEL_ERROR_DTYPE, "ids f32");
    expect_error(reel_sign_sgd_rows(ctx, s.table, s.ids, s.gradient, -1, 0), REEL_ERROR_ARGUMENT, "lr");
    expect_error(reel_sign_sgd_apply(ctx, s.table, s.ids, s.gradient, s.gradient), REEL_ERROR_DTYPE,
                 "rates are f32");
    reel_tensor *one_rate = reel_tensor_new(ctx, REEL_F64, REEL_SHAPE(1));
    expect_error(reel_sign_sgd_schedule(ctx, one_rate, 1, 0), REEL_ERROR_SHAPE, "rates [1]");
    reel_tensor_free(ctx, one_rate);
    reel_tensor *no_ids = reel_tensor_new(ctx, REEL_I32, REEL_SHAPE(0));
    reel_tensor *no_gradient = reel_tensor_new(ctx, REEL_F32, REEL_SHAPE(0, WIDTH));
    ck_assert_int_eq(reel_sign_sgd_rows(ctx, s.table, no_ids, no_gradient, 1, 0), REEL_OK);
    expect_bits(s.table, before);
    reel_tensor_free(ctx, no_ids);
    reel_tensor_free(ctx, no_gradient);
    free_sparse(s);
}
END_TEST

/* ---- schedule ------------------------------------------------------------------------------------------ */

START_TEST(test_learning_rate_warms_up_then_falls_as_published) {
    const double tolerance = 4 * DBL_EPSILON;
    ck_assert_double_eq(reel_cosine_lr(1, 1, 100, 1000, 0.1), 1.0 / 100);
    ck_assert_double_eq(reel_cosine_lr(99, 2, 100, 1000, 0.1), 2 * 99.0 / 100);
    ck_assert_double_eq(reel_cosine_lr(100, 2, 100, 1000, 0.1), 2);
    ck_assert_double_eq_tol(reel_cosine_lr(550, 2, 100, 1000, 0.1), 2 * (0.1 + 0.9 * 0.5), tolerance);
    ck_assert_double_eq_tol(reel_cosine_lr(400, 1, 100, 1000, 0.1), 0.1 + 0.9 * 0.75, tolerance);
    ck_assert_double_eq_tol(reel_cosine_lr(1000, 2, 100, 1000, 0.1), 0.2, tolerance);
    for (int64_t step = 100; step <= 1000; step += 50) /* the published default, ratio 1, is flat */
        ck_assert_double_eq(reel_cosine_lr(step, 3, 100, 1000, 1), 3);
    ck_assert_double_eq(reel_cosine_lr(1, 1, 0, 0, 0), 0); /* progress 1 of at least one step */
    ck_assert_double_eq(reel_cosine_lr(1, 1, 1, 10, 0), 1);
    ck_assert_double_eq(reel_cosine_lr(5, 1, 10, 5, 0), 0.5); /* total below the warm-up */
}
END_TEST

static Suite *optim_suite(void) {
    enum { DTYPES = 2, KINDS = 2, BROKEN = 3 };
    Suite *suite = suite_create("optim");
    TCase *t = tcase_create("optim");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_parameters_lie_contiguous_and_aligned_in_order, 0, DTYPES);
    tcase_add_test(t, test_parameters_are_found_by_name_and_position);
    tcase_add_test(t, test_initial_values_come_from_stream_and_position);
    tcase_add_test(t, test_wrong_declarations_are_refused_and_leave_void_tensors);
    tcase_add_test(t, test_build_without_memory_leaves_void_tensors);
    tcase_add_loop_test(t, test_adam_follows_its_formula, 0, DTYPES * KINDS);
    tcase_add_loop_test(t, test_padding_stays_zero, 0, KINDS);
    tcase_add_test(t, test_step_touches_parameters_and_forgets_gradients);
    tcase_add_test(t, test_f32_atan2_is_within_two_and_a_half_ulp);
    tcase_add_loop_test(t, test_steps_have_the_same_bits_for_any_threads, 0, DTYPES * KINDS);
    tcase_add_test(t, test_restored_state_continues_with_the_same_bits);
    tcase_add_test(t, test_ema_swaps_in_and_back_to_the_bit);
    tcase_add_test(t, test_swap_without_ema_does_nothing);
    tcase_add_loop_test(t, test_gradient_that_is_not_finite_changes_nothing, 0, DTYPES * BROKEN);
    tcase_add_loop_test(t, test_a_step_in_two_parts_has_the_same_bits, 0, KINDS);
    tcase_add_test(t, test_a_step_that_is_not_taken_is_not_counted);
    tcase_add_test(t, test_step_after_an_error_does_nothing);
    tcase_add_test(t, test_options_out_of_range_are_refused);
    tcase_add_loop_test(t, test_clipping_scales_by_the_norm_over_all_parameters, 0, 2);
    tcase_add_loop_test(t, test_sign_sgd_steps_named_rows_and_no_others, 0, DTYPES);
    tcase_add_test(t, test_sign_sgd_sums_in_example_order);
    tcase_add_test(t, test_sign_sgd_has_the_same_bits_for_any_threads);
    tcase_add_test(t, test_sign_sgd_refuses_bad_input_and_changes_nothing);
    tcase_add_test(t, test_learning_rate_warms_up_then_falls_as_published);
    suite_add_tcase(suite, t);
    return suite;
}

int main(void) {
    SRunner *runner = srunner_create(optim_suite());
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
