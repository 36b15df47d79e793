/* The bf16 copies of the weights that an optimizer's step writes: beside casts, bit for bit. With
 * REEL_TEST_DEVICE=cuda on a GPU, or what simulates one. */
#include "context.h"

#include <check.h>
#include <math.h>
#include <reel/autograd.h>
#include <reel/ops.h>
#include <reel/optim.h>
#include <reel/tensor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77 };

static reel_context *ctx;
static reel_device device;

static void setup(void) {
    const reel_context_options options = {.device = device, .seed = 7};
    reel_error error = {0};
    ck_assert_msg(reel_context_new(&ctx, &options, &error) == REEL_OK, "%s", error.message);
}

static void teardown(void) {
    reel_context_free(ctx);
}

/* ---- values in and out --------------------------------------------------------------------------------- */

/* The bits of a tensor, to be freed. */
static void *bits_of(const reel_tensor *t) {
    const size_t bytes = (size_t)reel_elements(t) * reel_dtype_bytes(t->dtype);
    void *const bits = malloc(bytes + 1);
    ck_assert_ptr_nonnull(bits);
    ck_assert_msg(reel_read(ctx, t, bits, bytes) == REEL_OK, "%s", reel_context_message(ctx));
    return bits;
}

static void expect_same_bits(const reel_tensor *t, const reel_tensor *expected) {
    void *const got = bits_of(t), *const wanted = bits_of(expected);
    ck_assert_mem_eq(got, wanted, (size_t)reel_elements(t) * reel_dtype_bytes(t->dtype));
    free(got);
    free(wanted);
}

static void end_step(void) {
    ck_assert_int_eq(reel_tape_reset(ctx), REEL_OK);
}

/* Where p's cast lies. */
static const void *cast_address(reel_tensor *p, reel_dtype dtype) {
    const void *const data = reel_cast(ctx, p, dtype)->data;
    end_step();
    return data;
}

static void expect_cast_of_values(reel_tensor *p, reel_dtype dtype) {
    reel_tensor *const expected = reel_tensor_new(ctx, dtype, p->rank, p->shape);
    reel_copy(ctx, expected, p);
    expect_same_bits(reel_cast(ctx, p, dtype), expected);
    end_step();
    reel_tensor_free(ctx, expected);
}

/* That a step has written p's copy, at this address, is seen by what is put into it behind the step: a cast
 * made anew would not have it. */
static void expect_cast_is_the_steps(reel_tensor *p, const void *address) {
    reel_tensor *const kept = reel_tensor_new(ctx, REEL_BF16, p->rank, p->shape);
    reel_tensor *const marked = reel_tensor_new(ctx, REEL_BF16, p->rank, p->shape);
    reel_tensor copy = *kept;
    copy.data = (void *)(uintptr_t)address;
    reel__copy_values(ctx, kept, &copy, false);
    reel__fill_values(ctx, &copy, 12345);
    reel_fill(ctx, marked, 12345);
    expect_same_bits(reel_cast(ctx, p, REEL_BF16), marked);
    end_step();
    reel__copy_values(ctx, &copy, kept, false);
    reel_tensor_free(ctx, kept);
    reel_tensor_free(ctx, marked);
}

/* ---- weights ------------------------------------------------------------------------------------------- */

/* Sizes that need padding; only the matrix is given a gradient. */
enum { ROWS = 5, COLUMNS = 7, BIAS = 3 };

typedef struct network {
    reel_parameters *params;
    reel_tensor *matrix, *bias;
    reel_optimizer *optimizer;
} network;

static const reel_optimizer_options options[] = {
    {.kind = REEL_ADAM_ATAN2, .beta1 = 0.9, .beta2 = 0.95, .weight_decay = 0.1, .ema_rate = 0.9},
    {.kind = REEL_ADAM_W, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .ema_rate = 0.9, .max_grad_norm = 0.5},
    {.kind = REEL_ADAM_ATAN2, .beta1 = 0.9, .beta2 = 0.95, .max_grad_norm = 0.5},
    {.kind = REEL_ADAM_W, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

static network new_network(reel_dtype dtype, const reel_optimizer_options *how) {
    network n;
    n.params = reel_parameters_new(ctx, dtype);
    reel_parameter(n.params, &n.matrix, "matrix", REEL_SHAPE(ROWS, COLUMNS), reel_init_truncated_normal(0.5));
    reel_parameter(n.params, &n.bias, "bias", REEL_SHAPE(BIAS), reel_init_constant(0.3));
    reel_parameters_build(n.params);
    n.optimizer = reel_optimizer_new(n.params, how);
    ck_assert_msg(reel_context_status(ctx) == REEL_OK, "%s", reel_context_message(ctx));
    return n;
}

static void free_network(network *n) {
    reel_optimizer_free(n->optimizer);
    reel_parameters_free(n->params);
}

static reel_status step_with_gradient(const network *n, reel_tensor *p, double gradient) {
    reel_copy(ctx, reel_grad(ctx, p),
              reel_constant(ctx, reel_grad(ctx, p)->dtype, p->rank, p->shape, gradient));
    reel_optimizer_step(n->optimizer, 0.1);
    reel_context_synchronise(ctx);
    return reel_tape_reset(ctx);
}

static void take_step(const network *n) {
    ck_assert_int_eq(step_with_gradient(n, n->matrix, 0.7), REEL_OK);
}

/* ---- what a step writes -------------------------------------------------------------------------------- */

/* The matrix alone is in use: the bias gets its copy beside it. */
START_TEST(test_a_step_writes_the_copies) {
    const int64_t before = reel_memory_of(ctx).live_bytes;
    network n = new_network(REEL_F32, &options[_i]);
    expect_cast_of_values(n.matrix, REEL_BF16);
    take_step(&n);
    const void *const matrix = cast_address(n.matrix, REEL_BF16), *const bias =
                                                                      cast_address(n.bias, REEL_BF16);
    ck_assert_uint_eq((uintptr_t)matrix % 64, 0);
    ck_assert_uint_eq((uintptr_t)bias % 64, 0);
    for (int i = 0; i < 2; i++) {
        take_step(&n);
        expect_cast_is_the_steps(n.matrix, matrix);
        expect_cast_is_the_steps(n.bias, bias);
        expect_cast_of_values(n.matrix, REEL_BF16);
        expect_cast_of_values(n.bias, REEL_BF16);
    }
    free_network(&n);
    ck_assert_int_eq(reel_memory_of(ctx).live_bytes, before);
}
END_TEST

/* A rate of 0 leaves every value: ties, what bf16 cannot hold, NaN. Sizes around packs, blocks and pieces. */
START_TEST(test_copies_have_the_bits_of_casts) {
    static const int64_t counts[] = {12, 13, 2049, 50021};
    static const float special[] = {1.00390625f, 1.01171875f, 3.4e38f, -3.4e38f, NAN,      INFINITY,
                                    -INFINITY,   -0.0f,       1e-40f,  1e-38f,   65535.0f, -1.00390625f};
    network n = {.params = reel_parameters_new(ctx, REEL_F32)};
    reel_parameter(n.params, &n.matrix, "p", REEL_SHAPE(counts[_i]), reel_init_truncated_normal(1));
    ck_assert_int_eq(reel_parameters_build(n.params), REEL_OK);
    const int64_t length = sizeof special / sizeof special[0];
    float *const values = bits_of(n.matrix);
    memcpy(values + counts[_i] - length, special, sizeof special);
    reel_write(ctx, n.matrix, values, (size_t)counts[_i] * sizeof *values);
    n.optimizer = reel_optimizer_new(n.params, &options[0]);
    cast_address(n.matrix, REEL_BF16);
    for (int i = 0; i < 2; i++) {
        reel_optimizer_step(n.optimizer, 0);
        ck_assert_int_eq(reel__inside(n.matrix)->cast_version, n.matrix->version);
        expect_cast_of_values(n.matrix, REEL_BF16);
    }
    free(values);
    free_network(&n);
}
END_TEST

/* Also where it is the very first, before which nothing is in the copies. */
START_TEST(test_a_step_that_is_left_out_leaves_casts_right) {
    network n = new_network(REEL_F32, &options[_i]);
    cast_address(n.matrix, REEL_BF16);
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            take_step(&n);
        else
            ck_assert_int_eq(step_with_gradient(&n, n.bias, NAN), REEL_ERROR_NOT_FINITE);
        reel_parameters_zero_grad(n.params);
        expect_cast_of_values(n.matrix, REEL_BF16);
        expect_cast_of_values(n.bias, REEL_BF16);
    }
    free_network(&n);
}
END_TEST

/* The two passes of a tape that is kept see the same weights, whatever steps come between. */
START_TEST(test_a_copy_that_a_rule_saved_is_not_written) {
    enum { KEPT = 3 };
    network n = new_network(REEL_F32, &options[0]);
    for (int step = 1; step <= KEPT + 1; step++) {
        reel_tensor *const half = reel_cast(ctx, n.matrix, REEL_BF16);
        reel_tensor *const square = reel_cast(ctx, reel_mul(ctx, half, half), REEL_F32);
        reel_tensor *const loss = reel_sum(ctx, square, NULL, 0, 0);
        reel_backward_flags(ctx, loss, step == KEPT ? REEL_KEEP_TAPE : 0);
        if (step == KEPT) {
            reel_tensor *const slope = reel_clone(ctx, reel_grad(ctx, n.matrix));
            reel_optimizer_step(n.optimizer, 0.1);
            reel_backward(ctx, loss);
            expect_same_bits(reel_grad(ctx, n.matrix), slope);
            reel_zero_grad(n.matrix);
        } else {
            ck_assert_int_eq(reel_optimizer_step(n.optimizer, 0.1), REEL_OK);
        }
        /* what is on the tape besides rules keeps no step from its copies */
        ck_assert_int_eq(reel__inside(n.matrix)->cast_version == n.matrix->version, step != KEPT);
        end_step();
        expect_cast_of_values(n.matrix, REEL_BF16);
    }
    const void *const copy = cast_address(n.matrix, REEL_BF16);
    take_step(&n);
    expect_cast_is_the_steps(n.matrix, copy); /* it is back in its place */
    free_network(&n);
}
END_TEST

/* What was cast before a step outlives it where the step does not write there. */
START_TEST(test_a_cast_of_weights_that_are_written_keeps_its_values) {
    network n = new_network(REEL_F32, &options[0]);
    cast_address(n.matrix, REEL_BF16);
    take_step(&n);
    reel_tensor *const before = reel_cast(ctx, n.matrix, REEL_BF16), *const kept = reel_clone(ctx, before);
    reel_fill(ctx, n.matrix, 5);
    reel_tensor *const after = reel_cast(ctx, n.matrix, REEL_BF16);
    expect_same_bits(before, kept);
    ck_assert_double_eq(reel_item(ctx, reel_mean(ctx, after, NULL, 0, 0)), 5);
    end_step();
    take_step(&n);
    expect_cast_is_the_steps(n.matrix, cast_address(n.matrix, REEL_BF16));
    expect_cast_of_values(n.matrix, REEL_BF16);
    free_network(&n);
}
END_TEST

START_TEST(test_casts_are_of_the_average_while_it_is_swapped_in) {
    network n = new_network(REEL_F32, &options[0]);
    cast_address(n.matrix, REEL_BF16);
    take_step(&n);
    const void *const copy = cast_address(n.matrix, REEL_BF16);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(reel_optimizer_swap_ema(n.optimizer), REEL_OK);
        expect_cast_of_values(n.matrix, REEL_BF16);
        expect_cast_of_values(n.bias, REEL_BF16);
        ck_assert_ptr_eq(cast_address(n.matrix, REEL_BF16), copy); /* in the same memory */
    }
    take_step(&n);
    expect_cast_is_the_steps(n.matrix, copy);
    free_network(&n);
}
END_TEST

/* ---- who has them -------------------------------------------------------------------------------------- */

/* Not a list that nobody has cast to bf16, nor one of f64. */
START_TEST(test_who_does_not_cast_to_bf16_pays_nothing) {
    network n = new_network(REEL_F32, &options[0]), wide = new_network(REEL_F64, &options[0]);
    cast_address(n.matrix, REEL_F64);
    cast_address(wide.matrix, REEL_BF16);
    const int64_t before = reel_memory_of(ctx).live_bytes;
    take_step(&n);
    take_step(&wide);
    ck_assert_int_eq(reel_memory_of(ctx).live_bytes, before);
    expect_cast_of_values(n.matrix, REEL_F64);
    expect_cast_of_values(wide.matrix, REEL_BF16);
    free_network(&n);
    free_network(&wide);
}
END_TEST

START_TEST(test_a_cast_to_another_dtype_stays_where_it_is) {
    network n = new_network(REEL_F32, &options[0]);
    const void *const wide = cast_address(n.bias, REEL_F64);
    cast_address(n.matrix, REEL_BF16);
    for (int i = 0; i < 2; i++) {
        take_step(&n);
        expect_cast_of_values(n.matrix, REEL_BF16);
        expect_cast_of_values(n.bias, REEL_F64);
        ck_assert_ptr_eq(cast_address(n.bias, REEL_F64), wide);
    }
    cast_address(n.bias, REEL_BF16); /* and moves in when it is one to bf16 */
    take_step(&n);
    const void *const bias = cast_address(n.bias, REEL_BF16);
    take_step(&n);
    expect_cast_is_the_steps(n.bias, bias);
    free_network(&n);
}
END_TEST

int main(void) {
    const char *const wanted = getenv("REEL_TEST_DEVICE");
    device = wanted && strcmp(wanted, "cuda") == 0 ? REEL_CUDA : REEL_CPU;
    reel_error error = {0};
    if (reel_context_new(&ctx, &(reel_context_options){.device = device}, &error) != REEL_OK) {
        fprintf(stderr, "test_weight_copies: %s\n", error.message);
        return error.status == REEL_ERROR_DEVICE ? SKIPPED : EXIT_FAILURE;
    }
    reel_context_free(ctx);
    Suite *suite = suite_create("weight_copies");
    TCase *t = tcase_create("weight_copies");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_a_step_writes_the_copies, 0, OPTIONS);
    tcase_add_loop_test(t, test_copies_have_the_bits_of_casts, 0, 4);
    tcase_add_loop_test(t, test_a_step_that_is_left_out_leaves_casts_right, 0, OPTIONS);
    tcase_add_test(t, test_a_copy_that_a_rule_saved_is_not_written);
    tcase_add_test(t, test_a_cast_of_weights_that_are_written_keeps_its_values);
    tcase_add_test(t, test_casts_are_of_the_average_while_it_is_swapped_in);
    tcase_add_test(t, test_who_does_not_cast_to_bf16_pays_nothing);
    tcase_add_test(t, test_a_cast_to_another_dtype_stays_where_it_is);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
